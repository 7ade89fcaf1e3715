"""Capital in a run: the pools between the core's table, the pipeline, the transfer service and the report."""

from __future__ import annotations

from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final

from qts.capital.alerts import fresh_alerts
from qts.capital.allocation import initial_amounts
from qts.capital.books import CapitalBooks
from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import POOLS
from qts.capital.engine import CapitalEngine, EvaluationGuard
from qts.capital.flow import Day, rebalance_limits
from qts.capital.metrics import ClosedTrade, MetricsTracker
from qts.capital.schedule import SessionSchedule
from qts.capital.service import CapitalTransferService
from qts.clock import NS_PER_S, from_ns
from qts.codes import UsageError
from qts.engine.capital_messages import say
from qts.engine.capital_sink import RunCapitalSink
from qts.engine.pools import LiveTable, PoolBroker
from qts.safety import SafetyState
from qts.state.rebalance import Rebalancer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from qts._core import FillEvent, OrderEvent, StepEngine
    from qts.broker.contracts import Track
    from qts.broker.interfaces import BrokerPort
    from qts.capital.alerts import AlertKey
    from qts.capital.contracts import CapitalAlert, CapitalEngineOutput, CapitalPoolContract
    from qts.capital.flow import DayResult
    from qts.config import QtsConfig
    from qts.data import RunStore
    from qts.engine.supervisor import Supervisor
    from qts.instruments import Calendar
    from qts.money import Currency
    from qts.ops.report import RunRecorder
    from qts.pipeline.contracts import RawDataContract
    from qts.safety import StateChange
    from qts.state.rebalance import Pool
    from qts.strategy import Strategy

_BEFORE_NS: Final = 1_800 * NS_PER_S
"""Time before the open at which what is due before a session is done: 08:30 in a usual one."""
_UNITS: Final = 10**8
_OPERATOR: Final = "operator"
"""Who releases Safety; the audit trail has the name."""
_FILLS: Final = frozenset({"FILL_PARTIAL", "FILL_CONFIRMED"})
_GROUP: Final = "x"
"""What the number of a hold of several orders stands behind, so that it is no order's."""


def wants_pools(config: CapitalFlowConfig, strategies: Sequence[Strategy], currency: str) -> bool:
    """Whether a run divides its account: always, never, or where strategies of more than one track share it."""
    if config.mode == "AUTO":
        return currency == config.currency and len({strategy.track for strategy in strategies}) > 1
    return config.mode == "ON"


def pools_of(config: QtsConfig, strategies: Sequence[Strategy], currency: Currency) -> CapitalFlowConfig | None:
    """Return how the account of a run is divided; None if it is one pool.

    Raises:
        UsageError: pools are wanted for an account in another currency than theirs.
    """
    settings = CapitalFlowConfig.from_config(config, currency.scale)
    if not wants_pools(settings, strategies, currency.code):
        return None
    if currency.code != settings.currency:
        raise UsageError(
            found=f"capital.mode ON for an account in {currency.code}",
            expected=f"an account in {settings.currency}, the currency of capital.yaml",
            hint="set capital.mode to AUTO or OFF, or capital.currency with amounts that fit it",
        )
    return settings


class CapitalDesk:
    """The pools of one run, as the pipeline's `CapitalPort`, and what keeps them: books, measures, transfers.

    The live truth of available money is the core's table; the books follow each order and fill and say why money moved.
    Capital moves between sessions only.

    Args:
        core: the engine whose account is divided.
        config: settings of the capital room, in money units of the account.
        calendar: of the exchange.
        store: the books of the run.
        recorder: what the report is made of.
        supervisor: asked for both states from the first cycle on.
        value: market value of a holding: instrument, quantity, cost, all in units.
        symbols: by instrument id.
    """

    def __init__(
        self,
        core: StepEngine,
        config: CapitalFlowConfig,
        *,
        calendar: Calendar,
        store: RunStore,
        recorder: RunRecorder,
        supervisor: Callable[[], Supervisor],
        value: Callable[[int, int, int], int],
        symbols: Sequence[str],
    ) -> None:
        self._core = core
        self._config = config
        self._calendar = calendar
        self._recorder = recorder
        self._supervisor = supervisor
        self._value = value
        self._symbols = symbols
        self._sink = RunCapitalSink(store, lambda: core.now_ns or 0)
        self.books = CapitalBooks(LiveTable(core), self._sink, config)
        self._trades: list[ClosedTrade] = []
        self._guard = EvaluationGuard(CapitalEngine())
        self._service: CapitalTransferService | None = None
        self._session: date | None = None
        self._equity_at_open = 0
        self._released_at: int | None = None
        self._causes: tuple[str, ...] = ()
        self._number = 0
        self._key: tuple[object, ...] = ()
        self._deep: Mapping[Pool, int] = {}
        self._output: CapitalEngineOutput | None = None
        self._told: frozenset[AlertKey] = frozenset()
        self._thread = 0
        self._changes: deque[StateChange] = deque()
        self._is_to_reconcile = False
        self._gateway = core.gateway
        self._groups: dict[int, int] = {}
        """Hold that an order draws on together with others."""
        self._held: dict[int, int] = {}
        """What the books say that such a hold holds."""

    def broker(self, broker: BrokerPort) -> PoolBroker:
        """Return `broker` with the holds of its purchases told to the books."""
        return PoolBroker(broker, self._core.hold_of, self._on_hold)

    @property
    def service(self) -> CapitalTransferService:
        """What moves capital; from the first session on."""
        assert self._service is not None  # noqa: S101 - nothing asks before `observe`
        return self._service

    # What happens

    def _on_hold(self, order_id: int, track: Track, amount: int) -> None:
        self.books.hold(order_id, track, amount, self._now())

    def on_send(self, order_id: int, hold_id: int, track: Track) -> None:
        """Take in that an order draws on a hold that others draw on too."""
        self._groups[order_id] = hold_id
        self.follow_hold(hold_id, track)

    def follow_hold(self, hold_id: int, track: Track) -> None:
        """Have the books hold what the gate holds for a group of orders."""
        held = self._gateway.hold(hold_id)
        amount = 0 if held is None else held[0]
        if amount == self._held.get(hold_id, 0):
            return
        order = f"{_GROUP}{hold_id}"
        if amount:
            self.books.hold(order, track, amount, self._now())
            self._held[hold_id] = amount
        else:
            self.books.unhold(order, self._now())
            del self._held[hold_id]

    def on_p0(self, event: FillEvent | OrderEvent) -> None:
        """Book a fill or the end of an order, before anybody else hears of it."""
        group = self._groups.get(event.order_id, 0)
        if group:  # the books let go of what the gate has let go of, before anything is paid from it
            self.follow_hold(group, event.track)
        if event.kind not in _FILLS:
            self._groups.pop(event.order_id, None)
            self.books.unhold(event.order_id, self._now())
            return
        fill: FillEvent = event  # type: ignore[assignment]  # told apart by its kind
        if fill.remaining <= 0:
            self._groups.pop(fill.order_id, None)
        self.books.on_fill(
            order_id=fill.order_id,
            exec_id=fill.exec_seq,
            pool=fill.track,
            symbol=fill.symbol,
            side=fill.side,
            qty=fill.qty,
            amount=fill.amount,
            fee=fill.fee,
            tax=fill.tax,
            hold_left=0 if group else self._core.hold_of(fill.order_id),
            at=from_ns(fill.ts_recv_ns),
        )

    def on_trade(self, trade: ClosedTrade) -> None:
        """Take in a position that is flat again, for the measures of the next close."""
        self._trades.append(trade)

    def open_day(self, ts_ns: int) -> None:
        """Open a session, and with the first one the pools; before its first cycle."""
        self._session = self._calendar.session_date(ts_ns)
        if self._service is None:
            self._begin(ts_ns, self._session)
        self._is_to_reconcile = True
        self._follow()
        day = self._day(from_ns(self._calendar.session(self._session).open_ns - _BEFORE_NS))
        self._equity_at_open = day.total_equity
        self._take(self.service.open_day(day._replace(equity_at_open=day.total_equity)))

    def _begin(self, ts_ns: int, day: date) -> None:
        supervisor, at = self._supervisor(), from_ns(ts_ns)
        amounts = initial_amounts(self._config, supervisor.state.current_state, self._core.cash)
        self._core.fund_pools(**{pool.lower(): amounts[pool] for pool in POOLS})
        self.books.fund(amounts, at, is_live_funded=True)
        schedule = SessionSchedule(self._calendar, day)
        rebalancer = Rebalancer(
            supervisor.state_config,
            rebalance_limits(self._config),
            supervisor.market,
            lambda code, text: supervisor.on_code(code, text, "capital"),
        )
        self._service = CapitalTransferService(self.books, MetricsTracker(), schedule, self._guard.evaluate, rebalancer)
        self._thread = get_ident()
        supervisor.safety.subscribe(self._on_safety)

    def close_day(self) -> None:
        """Close the session that is open: value, measure, move capital."""
        assert self._session is not None  # noqa: S101 - a session that was opened is closed
        self._follow()
        at = from_ns(self._calendar.session(self._session).close_ns)
        day = self._day(at)
        values = self._values()
        findings = self.books.verify(self._core.cash, self._quantities())
        trades, self._trades = self._trades, []
        self._take(self.service.close_day(day, values, trades, findings))
        self._recorder.on_pools(self._session, self.books.snapshot(at).values())

    def _take(self, done: DayResult) -> None:
        """Record and tell what a day's service has done."""
        self._number = done.session.number
        for transfer in done.transfers:
            self._recorder.on_transfer(transfer)
        self._tell(done.alerts, is_whole=done.output is not None)
        self._key = ()

    # What the pipeline asks

    def look(self, ts_ns: int) -> Mapping[Track, CapitalPoolContract] | None:
        """Return the pools as they are now; what has become of Safety since the last cycle is in them."""
        self._follow()
        return self.books.snapshot(from_ns(ts_ns))

    def decide(self, raw: RawDataContract, equity: int, track_values: Mapping[Track, int]) -> CapitalEngineOutput:
        """Return what the capital engine makes of the pools; anew whenever they or a state have changed.

        Equal input gives equal output, so that an answer holds until its input is another. Prices alone ask for no new
        one within a session, unless a pool has fallen to where it would be locked.
        """
        ts_ns, books, supervisor = raw.cycle.ts_ns, self.books, self._supervisor()
        key = (books.revision, supervisor.state.version, supervisor.safety.word.value, self._session)
        output = self._output
        if output is not None and key == self._key and not self._is_deep(track_values):
            return output
        at = from_ns(ts_ns)
        books.mark(track_values, at)
        output = self._output = self.service.evaluate(self._day(at, equity))
        self._tell(output.capital_alerts)
        self._key = () if self._guard.failures else (books.revision, *key[1:])
        self._deep = self._lock_levels()
        return output

    def _is_deep(self, values: Mapping[Track, int]) -> bool:
        """Whether a pool is worth no more than what locks it."""
        accounts = self._deep
        return any(self.books.cash_of(pool) + values[pool] <= level for pool, level in accounts.items())

    def _lock_levels(self) -> dict[Pool, int]:
        shown = self.books.snapshot(self._now())
        rest = 1 - self._config.lock_mdd
        return {
            pool: int(one.units * one.peak_unit_price * rest / _UNITS)
            for pool, one in shown.items()
            if one.is_funded and one.lock_code is None
        }

    # Parts

    def _day(self, at: datetime, equity: int | None = None) -> Day:
        supervisor = self._supervisor()
        assert self._session is not None  # noqa: S101 - there is no day before `observe`
        released = self._released_at
        return Day(
            at=at,
            date=self._session,
            snapshot=supervisor.state.get_snapshot(),
            safety=supervisor.safety.state,
            total_equity=self._core.cash + sum(self._values().values()) if equity is None else equity,
            equity_at_open=self._equity_at_open,
            promotion_allowed=supervisor.state.promotion_allowed(is_rebalancing=False),
            sessions_since_release=None if released is None else self._number - released,
            cause_codes=self._causes,
        )

    def _values(self) -> dict[Pool, int]:
        values: dict[Pool, int] = dict.fromkeys(POOLS, 0)
        for instrument, track, qty, cost, _ in self._core.positions():
            values[track] += self._value(instrument, qty, cost)
        return values

    def _quantities(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for instrument, _, qty, _, _ in self._core.positions():
            symbol = self._symbols[instrument]
            held[symbol] = held.get(symbol, 0) + qty
        return held

    def _tell(self, alerts: Iterable[CapitalAlert], *, is_whole: bool = True) -> None:
        """Tell what is new: a finding is told when it appears or gets worse, and again only once it was gone.

        What is not whole, because nothing was evaluated, ends no finding that stood before.
        """
        fresh, now = fresh_alerts(self._told, alerts)
        self._told = now if is_whole else self._told | now
        for alert in fresh:
            if self._session is not None:
                self._recorder.on_capital_alert(self._session, alert)
            self._supervisor().on_capital(alert)

    def unlock(self, pool: Pool, operator: str, reason: str) -> None:
        """Take the lock off a pool, on the engine's thread; it goes on once the next cycle has found the books right.

        Raises:
            UsageError: there is no lock, no reason, or LOCKDOWN, which would lock it again.
            BooksBroken: the books do not balance.
        """
        if self._service is None:
            raise UsageError(found=say("not_begun"), expected=say("begun"), hint=say("begun_hint"))
        self._follow()
        at = self._now()
        if self._supervisor().safety.state is SafetyState.LOCKDOWN:
            raise UsageError(found=say("lockdown", pool=pool), expected=say("released"), hint=say("released_hint"))
        codes = _codes_of(self.books.snapshot(at)[pool])
        self.books.unlock(pool, operator, reason, at)
        locked = frozenset().union(*map(_codes_of, self.books.snapshot(at).values()))
        for code in codes - locked:
            self.service.resolve(code, operator, reason)
        self._is_to_reconcile = True

    def _on_safety(self, change: StateChange) -> None:
        """Take in a change: now if it happens on the engine's thread, else before its next cycle decides.

        An operator's word changes Safety on the thread of the desk, where neither books nor core may be touched. Orders
        that buy are kept out by Safety's own word meanwhile.
        """
        self._changes.append(change)
        if get_ident() == self._thread:
            self._take_changes()

    def _take_changes(self) -> None:
        while self._changes:
            change = self._changes.popleft()
            if change.from_state is SafetyState.LOCKDOWN:
                self._released_at = self._number
            if change.to_state >= SafetyState.FAIL:
                self._causes = tuple(change.codes)
            self.service.on_safety(change.to_state, self._now())
            if change.to_state < SafetyState.FAIL <= change.from_state:
                self._release(change)

    def _release(self, change: StateChange) -> None:
        """Follow a release: what it answered for is resolved, pools that LOCKDOWN alone had locked are unlocked."""
        reason = f"{change.from_state.name} -> {change.to_state.name}: {change.reason}"
        for code in change.codes:
            self.service.resolve(code, _OPERATOR, reason)
        if change.from_state is SafetyState.LOCKDOWN:
            self.service.release_lockdown(_OPERATOR, reason, self._now())
        self._is_to_reconcile = True

    def _follow(self) -> None:
        """Take in what Safety has become; then reconcile, if pools wait for it. Where no fill is under way."""
        if self._changes:
            self._take_changes()
        if self._is_to_reconcile:
            self._is_to_reconcile = False
            findings = self.books.verify(self._core.cash, self._quantities())
            if not self.service.reconciled(findings):
                self._tell(findings)

    def _now(self) -> datetime:
        return from_ns(self._core.now_ns or 0)


def _codes_of(pool: CapitalPoolContract) -> frozenset[str]:
    """Return the codes that lock a pool."""
    told = (pool.lock_reason or "").split("; ")
    return frozenset(one.partition(":")[0] for one in told if one)
