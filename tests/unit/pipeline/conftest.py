"""A small world around the pipeline: a market, an account, a venue and a calendar that a test moves by hand."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from qts.broker import SubmitAck
from qts.engines import RiskLimits
from qts.pipeline import Pipeline, PipelineConfig
from qts.pipeline.contracts import Stance
from qts.strategy import Quote, Requirements, Strategy, Terms

START_NS = 1_717_380_000_000_000_000  # 2024-06-03 11:00 in Korea
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
KRX_BANDS = ((0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000))


class KrxRules:
    """The KRX ladder, 30 % limits (plain truncation) and 1.5 bps commission."""

    def tick_size(self, instrument, price, ts_ns):
        return next(tick for start, tick in reversed(KRX_BANDS) if price >= start)

    def floor_to_tick(self, instrument, price, ts_ns):
        return price - price % self.tick_size(instrument, price, ts_ns)

    def ceil_to_tick(self, instrument, price, ts_ns):
        return -(-price // self.tick_size(instrument, price, ts_ns)) * self.tick_size(instrument, price, ts_ns)

    def step(self, instrument, price, ticks, ts_ns):
        for _ in range(abs(ticks)):
            price += (
                self.tick_size(instrument, price, ts_ns) if ticks > 0 else -self.tick_size(instrument, price - 1, ts_ns)
            )
        return price

    def price_limits(self, instrument, base, ts_ns):
        width = base * 3 // 10 // self.tick_size(instrument, base, ts_ns) * self.tick_size(instrument, base, ts_ns)
        return self.ceil_to_tick(instrument, base - width, ts_ns), self.floor_to_tick(instrument, base + width, ts_ns)

    def fee(self, instrument, side, amount, ts_ns):
        return amount * 15_000 // 100_000_000


class World:
    """Everything the pipeline can see, as plain attributes."""

    def __init__(self, symbols=("A", "B")):
        self.terms = [Terms.of(number, symbol, 1, 0, 0, 0) for number, symbol in enumerate(symbols)]
        self.quotes = {number: Quote(0, 0, 0, 0, 0, 0, 0) for number in range(len(symbols))}
        self.cash_ = 100_000_000
        self.reserved_ = 0
        self.positions_ = {}
        self.bars = []
        self.placed = []
        self.cancelled = []
        self.lines = []
        self.metrics = []
        self.phase_ = "FULL"
        self.place_error = None
        self.now_ns = START_NS
        self.ticks = 0
        self.stance = Stance()
        self.capital = None

    # market
    def quote(self, instrument):
        return self.quotes[instrument]

    def take_closed_bars(self):
        bars, self.bars = self.bars, []
        return bars

    def set_quote(self, instrument, bid=0, ask=0, last=0, prev_close=0, age_ns=0):
        self.quotes[instrument] = Quote(last, bid, 10, ask, 10, self.now_ns - age_ns, prev_close)

    # account
    def cash(self):
        return self.cash_

    def reserved(self):
        return self.reserved_

    def positions(self):
        return [(*key, *value) for key, value in self.positions_.items()]

    def hold(self, instrument, track, qty, cost):
        self.positions_[instrument, track] = (qty, cost, START_NS)

    def working(self, instrument, track):
        buys = sells = 0
        for order_id, request in enumerate(self.placed, 1):
            if order_id in self.ended or (request.instrument, request.track) != (instrument, track):
                continue
            if request.side == "BUY":
                buys += request.qty
            else:
                sells += request.qty
        return buys, sells

    ended: frozenset = frozenset()

    # broker
    def place(self, request):
        if self.place_error is not None:
            raise self.place_error
        self.placed.append(request)
        return SubmitAck(request.client_order_id, True, "fake", len(self.placed), "")

    def cancel(self, order_id):
        self.cancelled.append(order_id)
        return True

    # the rest
    def phase(self, instrument, ts_ns):
        return self.phase_

    def session_date(self, ts_ns):
        return "2024-06-03" if ts_ns < START_NS + 12 * HOUR_NS else "2024-06-04"

    def wait(self, seconds):
        self.now_ns += int(seconds * SECOND_NS)

    def append(self, line):
        self.lines.append(line)

    def record_metric(self, stage, value_ns):
        self.metrics.append((stage, value_ns))

    def monotonic_ns(self):
        self.ticks += 1
        return self.ticks

    def pipeline(self, *strategies, **settings):
        instruments = [terms.instrument for terms in self.terms]
        settings.setdefault("limits", RiskLimits(max_trade_qty=None, max_order_money=None))
        switches = settings.pop("switches", None)
        extra = {} if switches is None else {"switches": switches}
        extra["stance"] = lambda: self.stance
        extra["executions"] = settings.pop("executions", None)
        self.p = Pipeline(
            [(strategy, instruments) for strategy in strategies],
            self.terms,
            market=self,
            account=self,
            broker=self,
            rules=KrxRules(),
            sessions=self,
            log=self,
            clock=self,
            metrics=self,
            config=PipelineConfig(**settings),
            capital=self.capital,
            **extra,
        )
        return self.p

    def cycle(self, cause="INTERVAL", intents=()):
        return self.p.on_cycle(cause, self.now_ns, list(intents))

    def wish(self, *intents, handler=0):
        """Run the cycle that follows when a tick handler has returned these intents."""
        return self.p.on_cycle("EVENT", self.now_ns, [(handler, intent) for intent in intents])

    def close_bar(self, instrument, close, interval_ns=SECOND_NS, **prices):
        bar = (
            instrument,
            interval_ns,
            self.now_ns - interval_ns,
            prices.get("open", close),
            prices.get("high", close),
            prices.get("low", close),
            close,
            10,
        )
        self.bars.append(bar)

    def fill(self, order_id, qty, price, cumulative=None):
        request = self.placed[order_id - 1]
        cumulative = qty if cumulative is None else cumulative
        remaining = request.qty - cumulative
        if remaining == 0:
            self.ended |= {order_id}
        kind = "FILL_CONFIRMED" if remaining == 0 else "FILL_PARTIAL"
        return self.p.on_p0(
            SimpleNamespace(
                kind=kind, order_id=order_id, instrument=request.instrument, symbol=request.symbol,
                track=request.track, side=request.side, qty=qty, price=price, cumulative=cumulative,
                remaining=remaining, amount=qty * price, fee=0, tax=0, ts_recv_ns=self.now_ns, exec_seq=1,
            )
        )  # fmt: skip

    def end(self, order_id, kind="ORDER_CANCELLED", reason="USER_CANCEL", remaining=None):
        request = self.placed[order_id - 1]
        self.ended |= {order_id}
        return self.p.on_p0(
            SimpleNamespace(
                kind=kind, order_id=order_id, instrument=request.instrument, symbol=request.symbol,
                track=request.track, side=request.side, reason=reason,
                remaining=request.qty if remaining is None else remaining, ts_recv_ns=self.now_ns,
            )
        )  # fmt: skip

    def hash_of_lines(self):
        return hashlib.sha256("".join(f"{line}\n" for line in self.lines).encode()).hexdigest()


class Scripted(Strategy):
    """Returns what the test put in `answers`, for ticks and bars alike."""

    name = "scripted"

    def __init__(self, name="scripted", track="SCALP", bar_interval_ns=None, phases=frozenset()):
        super().__init__()
        self._id = name
        self.track = track
        self._needs = (bar_interval_ns, phases)
        self.answers = []
        self.seen = []
        self.fills = []
        self.rejects = []

    @property
    def strategy_id(self):
        return self._id

    def requirements(self):
        return Requirements(bar_interval_ns=self._needs[0], phases=self._needs[1])

    def generate_intents(self, market, execution):
        self.seen.append((market, execution))
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_tick(self, tick):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_fill(self, fill):
        self.fills.append(fill)

    def on_reject(self, end):
        self.rejects.append(end)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def scripted():
    return Scripted
