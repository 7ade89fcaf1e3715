"""A capital room that really runs: books, engine, rebalancer and the exchange's calendar, driven day by day."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from books_samples import CONFIG, MemoryLive, MemorySink

from qts.capital.books import CapitalBooks
from qts.capital.contracts import POOLS, MetricValue, PauseCause, PerformanceMetrics
from qts.capital.engine import CapitalEngine, EvaluationGuard
from qts.capital.flow import Day, rebalance_limits
from qts.capital.metrics import MetricsTracker
from qts.capital.recovery import recover
from qts.capital.schedule import SessionSchedule
from qts.capital.service import CapitalTransferService
from qts.clock import SimClock, to_ns
from qts.safety import SafetyState
from qts.state import OperatingState, OperatingStateManager, StateConfig
from qts.state.rebalance import Rebalancer

NORMAL = SafetyState.NORMAL
BALANCED = OperatingState.BALANCED
EVEN = {"SCALP": 19_200_000, "SWING": 16_800_000, "PORTFOLIO": 12_000_000}
"""48,000,000 won on the targets of BALANCED: room for every worked example under the day's limit."""


class KnownMetrics(MetricsTracker):
    """Measures as they are, except for those that a test fixes."""

    def __init__(self):
        super().__init__()
        self.fixed = {}

    def metrics(self):
        found = super().metrics()
        if self.as_of is None:
            return found
        values = {name: MetricValue(value, self.as_of, 100) for name, value in self.fixed.items()}
        return found._replace(**values)


GOOD = {
    "scalp_sharpe": Decimal("1.8"),
    "scalp_win_rate": Decimal("0.58"),
    "scalp_trades_30d": Decimal(60),
    "scalp_mdd_30d": Decimal("0.05"),
    "swing_sharpe": Decimal("1.4"),
    "swing_mdd_90d": Decimal("0.08"),
    "swing_mdd_recovery_days": Decimal(12),
    "swing_avg_holding_days": Decimal("7.5"),
}
assert set(GOOD) <= set(PerformanceMetrics._fields)


class Firm:
    """Everything around the service that a day needs."""

    def __init__(self, calendar, start=date(2026, 1, 5), state=BALANCED, amounts=None, config=CONFIG):
        self.calendar, self.day = calendar, start
        self.clock = SimClock(to_ns(datetime(2025, 1, 1, tzinfo=UTC)))
        self.state_config = StateConfig(default=state)
        self.manager = OperatingStateManager(self.state_config, clock=self.clock)
        self.config = config
        self.live, self.sink = MemoryLive(), MemorySink()
        self.books = CapitalBooks(self.live, self.sink, config)
        self.metrics = KnownMetrics()
        self.schedule = SessionSchedule(calendar, start)
        self.values, self.notes, self.extra, self.history = {}, [], 0, []
        self.safety, self.shown = NORMAL, None
        self.since_release = None
        self.books.fund(EVEN if amounts is None else amounts, self.at(8))
        self.make()
        self.service.reconciled(())

    def make(self):
        limits = rebalance_limits(self.config)
        self.rebalancer = Rebalancer(self.state_config, limits, self.clock, lambda *note: self.notes.append(note))
        guard = EvaluationGuard(CapitalEngine("en"))
        self.service = CapitalTransferService(self.books, self.metrics, self.schedule, guard.evaluate, self.rebalancer)

    def restart(self, *, with_state=True):
        """End the process and begin another with what is on record."""
        kept = self.service.state()
        self.live = MemoryLive()
        self.books = recover(self.live, self.sink, self.config, self.sink.records(self.history), self.at(8))
        fixed = self.metrics.fixed
        if with_state:
            self.metrics = KnownMetrics()
            self.metrics.fixed = fixed
        self.make()
        if with_state:
            self.service.restore(kept)
        self.service.reconciled(())

    def at(self, hour, minute=0):
        """Time of the day in Seoul."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) + timedelta(
            hours=hour - 9, minutes=minute
        )

    def view(self, at):
        now = to_ns(at)
        if self.clock.now_ns() < now:
            self.clock.advance_to(now)
        snapshot = self.shown or self.manager.get_snapshot()
        equity = self.equity + self.extra
        return Day(at, self.day, snapshot, self.safety, equity, equity, sessions_since_release=self.since_release)

    @property
    def equity(self):
        """What the broker would say: cash and the positions at their value."""
        cash = sum(self.live.cash.values()) + self.live.loose
        return cash + sum(self.values.get(pool, self.books.invested(pool)) for pool in POOLS)

    def open(self, hour=8, minute=30):
        return self.service.open_day(self.view(self.at(hour, minute)))

    def close(self, trades=(), findings=()):
        return self.service.close_day(self.view(self.at(16)), self.values, trades, findings)

    def next(self):
        self.day = self.calendar.next_session(self.day).date
        return self.day

    def run(self, sessions=1, **fixed):
        """Play whole days; return the results of the closes."""
        self.metrics.fixed.update(fixed)
        results = []
        for _ in range(sessions):
            self.open()
            results.append(self.close())
            self.next()
        return results

    def earn(self, pool, amount):
        """Realise a profit."""
        self.books.dividend(pool, "005930", amount, f"{pool}{len(self.sink.lines)}", self.at(12))

    def lose(self, pool, amount):
        """Carry an unrealised loss: positions of double that amount lose a half."""
        held = self.books.invested(pool)
        order = f"x{len(self.sink.lines)}"
        assert self.live.admit(order, pool, 2 * amount)
        self.books.hold(order, pool, 2 * amount, self.at(12))
        self.live.fill(order, pool, 2 * amount, 0)
        self.books.on_fill(
            order_id=order, exec_id=1, pool=pool, symbol="005930", side="BUY", qty=1, amount=2 * amount, fee=0, tax=0,
            hold_left=0, at=self.at(12),
        )  # fmt: skip
        self.remember(order, pool, 2 * amount)
        self.values[pool] = self.values.get(pool, held) + amount

    def remember(self, order, pool, amount):
        from qts.capital.recovery import FillRecord

        self.history.append(FillRecord(order, 1, pool, "005930", "BUY", 1, amount))

    def become(self, state):
        """Change the operating state."""
        snapshot = self.manager.get_snapshot()
        properties = self.state_config.properties[state]
        from dataclasses import replace

        self.shown = replace(
            snapshot,
            current_state=state,
            previous_state=snapshot.current_state,
            properties=properties,
            effective_properties=properties,
            version=snapshot.version + 1,
        )

    def totals(self):
        return {pool: self.books.total(pool) for pool in POOLS}

    def pause_causes(self, pool):
        return self.books.causes(pool) - {PauseCause.START}
