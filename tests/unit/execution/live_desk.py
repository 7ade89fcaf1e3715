"""A live driver on simulated time: real gateway, pipeline, journal and broker, nothing takes real time."""

import asyncio
import sys
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the market and the engine's parts of the kill tests

from execution_script import CASH, DAY_NS, SYMBOLS, TOPS, spec
from qts._core import Gateway, Instruments, JournalWriter, SafetyWord
from qts.broker.sim_async import SimAsyncBroker, SimDelays
from qts.broker.sim_book import SimBook
from qts.broker.wrapped import Wrapped
from qts.clock.virtual import VirtualLoop
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import OrderDecision, RiskApproval
from qts.execution.history import read_history
from qts.execution.interfaces import ExecStance, QuoteView
from qts.execution.journal import OrderJournal
from qts.execution.live import Listener, LiveExecution, LiveTimes
from qts.execution.pipeline import ExecutionPipeline
from qts.execution.restart import recover, restore

S = 1_000_000_000
MS = 1_000_000
TRACKS = ("SCALP", "SWING", "PORTFOLIO")


def instruments() -> Instruments:
    table = Instruments()
    for symbol in SYMBOLS:
        table.add(spec(symbol))
    return table


class Codes:
    def __init__(self):
        self.told = []

    def report(self, code, message, *, effect=""):
        self.told.append((code, message, effect))

    @property
    def codes(self):
        return [code for code, _, _ in self.told]


class StillMarket:
    """Best prices that stand still and are always fresh."""

    def __init__(self, table, clock):
        self._table, self._clock = table, clock

    def quote(self, instrument):
        top = TOPS[instrument]
        return QuoteView(top.bid, top.bid, top.bid_qty, top.ask, top.ask_qty, self._clock.now_ns())

    def tick_size(self, instrument, price, now_ns):
        return self._table.tick_size(instrument, price, now_ns)

    def floor_to_tick(self, instrument, price, now_ns):
        return self._table.floor_to_tick(instrument, price, now_ns)

    def ceil_to_tick(self, instrument, price, now_ns):
        return self._table.ceil_to_tick(instrument, price, now_ns)

    def price_limits(self, instrument, now_ns):
        return self._table.price_limits(instrument, TOPS[instrument].bid, now_ns) or (0, 0)

    def is_open(self, instrument, track, intent, now_ns):
        return True

    def volume_profile(self, instrument, now_ns):
        return ()

    def adv(self, instrument):
        return 0


class Line(Wrapped):
    """A broker between which and the driver a test can do something: `line.place = lambda call: ...`.

    Each hook is given the call that would be made and returns its answer, or raises.
    """

    def __init__(self, inner):
        super().__init__(inner)
        self.hooks = {}
        self.calls = []

    def _through(self, name, call):
        self.calls.append(name)
        hook = self.hooks.get(name)
        return call() if hook is None else hook(call)

    async def connect(self):
        await self._through("connect", self._inner.connect)

    async def send(self, permit):
        return await self._through("send", lambda: self._inner.send(permit))

    async def modify(self, permit):
        return await self._through("modify", lambda: self._inner.modify(permit))

    async def cancel(self, permit):
        return await self._through("cancel", lambda: self._inner.cancel(permit))

    async def query_orders(self):
        return await self._through("query_orders", self._inner.query_orders)

    async def query_fills(self, since_ns=0):
        return await self._through("query_fills", lambda: self._inner.query_fills(since_ns))

    async def query_positions(self):
        return await self._through("query_positions", self._inner.query_positions)

    async def query_cash(self):
        return await self._through("query_cash", self._inner.query_cash)

    async def heartbeat(self):
        return await self._through("heartbeat", self._inner.heartbeat)

    def subscribe_fills(self, callback):
        def through(event):
            hook = self.hooks.get("stream")
            for one in [event] if hook is None else hook(event):
                callback(one)

        return self._inner.subscribe_fills(through)


class Desk:
    """One account with everything around it; `again` starts it anew on the same journal and broker."""

    def __init__(self, home, loop, *, delays=None, book=None, gateway=None, timer=None, times=None):
        self.home, self.loop, self.clock = home, loop, loop.clock
        if book is None:
            bases = {SYMBOLS[one]: top.bid for one, top in TOPS.items()}
            book = SimBook(instruments(), cash=CASH, base_prices=bases, config={"requests_per_s": 0})
            for one, top in TOPS.items():
                book.quote(symbol=SYMBOLS[one], **top._asdict(), now_ns=self.clock.now_ns())
        self.book, self.delays = book, delays
        self.sim = SimAsyncBroker(book, self.clock, delays=delays)
        self.line = Line(self.sim)
        self.codes, self.word, table = Codes(), SafetyWord(), instruments()
        config = {"orders_per_s": 1_000} | (gateway or {})
        self.gateway = Gateway(table, cash=CASH, safety=self.word, config=config)
        self.writer = JournalWriter(home, sync=False)
        self.history = read_history(home)
        self.journal = OrderJournal(self.writer, codes=self.codes, word=self.word, inline=True)
        self.pipeline = ExecutionPipeline(
            gateway=self.gateway,
            market=StillMarket(table, self.clock),
            stance=ExecStance,
            link=lambda: (self.line.is_connected, self.line.is_stream_up),
            journal=self.journal,
            codes=self.codes,
            config=ExecutionConfig(),
            timer=timer or self.clock.monotonic_ns,
            recovering=True,
        )
        self.fills, self.results = [], {}
        self.live = LiveExecution(
            broker=self.line,
            gateway=self.gateway,
            pipeline=self.pipeline,
            journal=self.journal,
            clock=self.clock,
            codes=self.codes,
            listener=Listener(lambda fill, event: self.fills.append(fill), self._closed),
            symbols=dict(enumerate(SYMBOLS)),
            times=times or LiveTimes(),
        )

    def _closed(self, result):
        self.results[result.decision_id] = result

    async def start(self):
        self.restored = restore(self.history, gateway=self.gateway, pipeline=self.pipeline, now_ns=self.clock.now_ns())
        self.recovery = await recover(self.live, self.restored)
        return self.recovery

    async def again(self):
        """The next process: whatever this one knew is gone, but for its journal. The broker goes on."""
        await self.live.close()
        return Desk(self.home, self.loop, delays=self.delays, book=self.book)

    def decide(self, name, instrument, side, qty, price, **more):
        now_ns = self.clock.now_ns()
        given = {
            "decision_id": name,
            "instrument": instrument,
            "symbol": SYMBOLS[instrument],
            "market": "KRX",
            "side": side,
            "intent": "ENTRY" if side == "BUY" else "EXIT",
            "qty": qty,
            "price_type": "LIMIT",
            "price": price,
            "decision_price": price,
            "decision_ts_ns": now_ns,
            "pool_id": "SCALP",
            "strategy_tag": "test",
            "risk_approval": RiskApproval(approved=True, allowed_qty=qty, at_ns=now_ns),
            "deadline_ns": now_ns + 60 * S,
            "action": "ENTRY" if side == "BUY" else "STRATEGY_EXIT",
        }
        return self.live.submit(OrderDecision(**(given | more)))

    async def over(self, name, limit_s=200):
        """Wait until the execution of a decision is over, and return its result."""
        async with asyncio.timeout(limit_s):
            while name not in self.results:  # noqa: ASYNC110 - simulated time, and nobody to set an event
                await asyncio.sleep(0.01)
        return self.results[name]

    async def until(self, condition, limit_s=100):
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def same_books(self):
        """Whether the broker has what we think it has, and nothing of ours lives."""
        held = {row.symbol: row.qty for row in self.book.positions() if row.qty}
        ours = {
            symbol: qty
            for one, symbol in enumerate(SYMBOLS)
            if (qty := sum(self.gateway.position(one, track)[0] for track in TRACKS))
        }
        assert ours == held
        assert self.gateway.cash == self.book.cash().cash
        return True

    def live_orders(self):
        return self.book.orders(open_only=True)


@contextmanager
def virtual_loop():
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(DAY_NS)) as runner:
        yield runner


def play(home, scene, **given):
    """Run `scene(desk)` with a desk that has started, and close it."""

    async def whole():
        desk = Desk(home, asyncio.get_running_loop(), **given)
        await desk.start()
        try:
            return await scene(desk)
        finally:
            await desk.live.close()

    with virtual_loop() as runner:
        return runner.run(whole())


__all__ = ["CASH", "DAY_NS", "MS", "SYMBOLS", "TOPS", "Desk", "S", "SimDelays", "play", "virtual_loop"]
