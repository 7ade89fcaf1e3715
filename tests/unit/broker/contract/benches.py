"""Where brokers are tried: each with a market to move, a gateway that issues permits, and a loop to run on.

A later broker gets a bench of its own here and the whole suite with it.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from qts._core import Gateway, Instruments, SafetyWord
from qts.broker.asynchronous import AsyncBrokerInterface, FillEvent, OrderAck, StreamEvent
from qts.broker.checked import Checked
from qts.broker.faults import FaultPlan, FaultRates
from qts.broker.faulty import Faulty
from qts.broker.rate_limited import RateLimited
from qts.broker.sim_async import SimAsyncBroker
from qts.broker.sim_book import SimBook
from qts.broker.sim_client import SimMarketLine, SimSocketBroker
from qts.broker.traced import Traced
from qts.broker.wrapped import Wrapped
from qts.clock import SystemClock
from qts.clock.virtual import VirtualLoop

from .proxy import Proxy

START = 1_764_032_400_000_000_000  # 2025-11-25 10:00 in Korea
SYMBOL = "005930"
BASE = 70_000
CASH = 10_000_000
SLOW_NS = 400_000_000
"""From a slow broker's answer until its exchange has the request."""
SPEC = {
    "symbol": SYMBOL,
    "currency": "KRW",
    "price_scale": 0,
    "qty_scale": 0,
    "money_scale": 0,
    "lot": 1,
    "price_increment": 1,
    "ladder": [(0, [(0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000)])],
    "costs": [(0, 15_000, 15_000, 200_000)],
    "limit_rate": [(0, 30_000_000)],
}
STATE = {
    "instruments": [SPEC, SPEC | {"symbol": "삼성-1"}],
    "cash": CASH,
    "base_prices": {SYMBOL: BASE, "삼성-1": BASE},
    "config": {"requests_per_s": 0},
}


def state(**config: object) -> str:
    return json.dumps(STATE | {"config": STATE["config"] | config})


class Bench:
    """One broker, and all that a test does to it. Subclasses say where the broker is and how its line breaks."""

    broker: AsyncBrokerInterface
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    def __init__(self, *, dress: str) -> None:
        self._dress = dress
        self.events: list[StreamEvent] = []
        self.traces: list[object] = []
        self._parked: list[FillEvent] = []
        self._orders: dict[str, int] = {}
        instruments = Instruments()
        for spec in STATE["instruments"]:
            instruments.add(spec)
        self.word = SafetyWord()
        self.gateway = Gateway(
            instruments,
            cash=100 * CASH,  # more than the broker has, so that the broker can refuse
            safety=self.word,
            config={"orders_per_s": 1_000, "exit_reserve": 0, "cancel_reserve": 0, "permit_ttl_ms": 5_000},
        )

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test on a loop of its own, with the broker connected."""
        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            runner.run(self._run(test))

    async def _run(self, test: Coroutine[Any, Any, None]) -> None:
        try:
            await self.open()
            self.broker.subscribe_fills(self._hear)
            await self.broker.connect()
            await self.quote(69_900, 1_000, 70_100, 1_000)
            await test
        finally:
            test.close()
            await self.close()

    def dressed(self, inner: AsyncBrokerInterface, clock) -> AsyncBrokerInterface:
        if self._dress == "wrapped":
            return Wrapped(inner)
        if self._dress != "decorated":
            return inner
        faultless = Faulty(inner, FaultPlan(1, FaultRates()), clock)
        limited = RateLimited(faultless, clock, published_per_s=100_000)
        return Checked(Traced(limited, clock, self.traces.append), clock)

    # What an engine does

    def now_ns(self) -> int:
        raise NotImplementedError

    def permit(self, side="BUY", qty=10, limit=70_000, kind="LIMIT", tif="DAY", *, now_ns=None, instrument=0):
        action = "ENTRY" if side == "BUY" else "STRATEGY_EXIT"
        now_ns = self.now_ns() if now_ns is None else now_ns
        return self.gateway.request(instrument, "SCALP", side, kind, tif, limit, qty, action=action, now_ns=now_ns)

    def amend_permit(self, broker_no, limit, qty):
        return self.gateway.request_amend(self._orders[broker_no], limit, qty, action="ENTRY", now_ns=self.now_ns())

    def cancel_permit(self, broker_no):
        return self.gateway.request_cancel(self._orders[broker_no], now_ns=self.now_ns())

    def order_id(self, broker_no: str) -> int:
        return self._orders[broker_no]

    def raise_safety(self) -> None:
        """Forbid entries."""
        self.word.raise_state(2, "FS040", self.now_ns())

    async def place(self, *args, **kwargs) -> OrderAck:
        """Send an order as an engine does, and book its fills."""
        permit = self.permit(*args, **kwargs)
        ack = await self.broker.send(permit)
        self.gateway.on_ack(permit.order_id, ack.broker_no, self.now_ns())
        self._orders[ack.broker_no] = permit.order_id
        self._book()
        return ack

    async def amend(self, broker_no, limit, qty):
        ack = await self.broker.modify(self.amend_permit(broker_no, limit, qty))
        order_id = self._orders[broker_no]
        self.gateway.on_amended(order_id, ack.broker_no, self.now_ns())
        self._orders[ack.broker_no] = order_id
        self._book()
        return ack

    async def cancel(self, broker_no):
        return await self.broker.cancel(self.cancel_permit(broker_no))

    async def buy_now(self, qty=10):
        """Hold `qty`, bought of what is offered."""
        ack = await self.place("BUY", qty, 70_100)
        await self.until(lambda: sum(fill.qty for fill in self.fills(ack.broker_no)) == qty)
        return ack

    def fills(self, *numbers) -> list[FillEvent]:
        found = [event for event in self.events if isinstance(event, FillEvent)]
        return [fill for fill in found if not numbers or fill.broker_no in numbers]

    def notices(self, broker_no) -> list[str]:
        return [
            event.kind for event in self.events if not isinstance(event, FillEvent) and event.broker_no == broker_no
        ]

    async def until(self, condition) -> None:
        for _ in range(1_000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it never came to be")

    def _hear(self, event: StreamEvent) -> None:
        self.events.append(event)
        if isinstance(event, FillEvent):
            self._parked.append(event)
            self._book()

    def _book(self) -> None:
        """Book the fills whose order is known by now."""
        parked, self._parked = self._parked, []
        for fill in parked:
            if (order_id := self.gateway.find(fill.broker_no)) is None:
                self._parked.append(fill)
            else:
                self.gateway.on_fill(order_id, fill.event_id, fill.qty, fill.price, fill.fee, fill.tax, self.now_ns())

    # What only a simulated broker lets a test do

    async def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def quote(self, bid, bid_qty, ask, ask_qty) -> None:
        raise NotImplementedError

    async def fill(self, broker_no, qty, price) -> None:
        """Fill a working order, whatever the market shows."""
        raise NotImplementedError

    async def refuse_next(self, kind) -> None:
        raise NotImplementedError

    async def halt(self, *, halted) -> None:
        raise NotImplementedError

    async def cut(self, *, link=True, stream=True, reachable=True) -> None:
        """Break connections and return when the client has seen it."""
        raise NotImplementedError


class SimBench(Bench):
    """The simulated broker in this process, in simulated time."""

    def __init__(self, *, dress: str = "", **config: object) -> None:
        super().__init__(dress=dress)
        self._config = config
        self.start_ns = START
        self.filled: list[tuple[str, int]] = []
        self.loop_factory = lambda: VirtualLoop(self.start_ns)

    async def open(self) -> None:
        self._clock = asyncio.get_running_loop().clock
        self.book = SimBook.from_state(state(**self._config))
        self.inner = SimAsyncBroker(self.book, self._clock)
        self.broker = self.dressed(self.inner, self._clock)

    async def close(self) -> None:
        await self.broker.close()

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def quote(self, bid, bid_qty, ask, ask_qty) -> None:
        self.book.quote(symbol=SYMBOL, bid=bid, bid_qty=bid_qty, ask=ask, ask_qty=ask_qty, now_ns=self.now_ns())
        self.inner.tell()

    async def fill(self, broker_no, qty, price) -> None:
        assert self.book.fill_now(broker_no=broker_no, qty=qty, price=price, now_ns=self.now_ns())
        self.inner.tell()

    async def refuse_next(self, kind) -> None:
        self.book.reject_next(kind)

    async def halt(self, *, halted) -> None:
        self.book.halt(symbol=SYMBOL, halted=halted, now_ns=self.now_ns())
        self.inner.tell()

    async def cut(self, *, link=True, stream=True, reachable=True) -> None:
        self.inner.cut(link=link, stream=stream, reachable=reachable)


class SocketBench(Bench):
    """The simulated broker in another process, over a socket with a proxy in it, in real time."""

    def __init__(self, tmp_path: Path, *, dress: str = "", **config: object) -> None:
        super().__init__(dress=dress)
        self._state = tmp_path / "broker.json"
        self._state.write_text(state(**config), encoding="utf-8")
        self._clock = SystemClock()

    def _start(self) -> int:
        """Start the broker's process and return the port that it says it listens on."""
        command = [sys.executable, "-m", "qts.broker.sim_server", "--state", self._state, "--alive-ms", "50"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE)
        return int(self.server.stdout.readline())

    async def open(self) -> None:
        port = await asyncio.to_thread(self._start)
        self.proxy = Proxy(port)
        await self.proxy.open()
        self.market = SimMarketLine("127.0.0.1", port)
        await self.market.connect()
        self.inner = SimSocketBroker(
            "127.0.0.1", self.proxy.port, clock=self._clock, answer_timeout_ms=1_500, silence_ms=2_000
        )
        self.broker = self.dressed(self.inner, self._clock)

    async def close(self) -> None:
        with suppress(AttributeError):
            await self.broker.close()
            await self.market.close()
            await self.proxy.close()
        self.server.terminate()
        self.server.wait(10)
        self.server.stdout.close()

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def quote(self, bid, bid_qty, ask, ask_qty) -> None:
        await self.market.quote(SYMBOL, bid, bid_qty, ask, ask_qty)

    async def fill(self, broker_no, qty, price) -> None:
        assert await self.market.fill_now(broker_no, qty, price)

    async def refuse_next(self, kind) -> None:
        await self.market.reject_next(kind)

    async def halt(self, *, halted) -> None:
        await self.market.halt(SYMBOL, halted=halted)

    async def cut(self, *, link=True, stream=True, reachable=True) -> None:
        self.proxy.is_refusing = not reachable
        self.proxy.drop(requests=link, stream=stream)
        await self.until(lambda: not (link and self.inner.is_connected) and not (stream and self.inner.is_stream_up))
