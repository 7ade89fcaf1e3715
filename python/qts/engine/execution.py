"""Executions of a stepped run: what SCALP decides is carried out on the engine's venue, by the engine's clock.

The core tells its gateway of every answer and fill first; then it is told here, and from here the executions. All of it
happens on the engine's thread, inside its handlers, so that the same input gives the same orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts._core import PermitRefused
from qts.broker.contracts import OrderRequest
from qts.engine.execution_gateway import StepGateway
from qts.engine.execution_records import AheadJournal, Basis, ExecutionRecorder, Running, Sent
from qts.execution.contracts import (
    BookedFill,
    Disposition,
    EscapeMode,
    EscapeReason,
    OrderDecision,
    RiskApproval,
    State,
)
from qts.execution.interfaces import Cancel, Closed, ExecStance, Modify, Send
from qts.execution.pipeline import ExecutionPipeline
from qts.execution.result import Sizes
from qts.ops.report.contracts import ExecutionFigures
from qts.pipeline.act import action_of
from qts.pipeline.orders import WorkingOrder
from qts.strategy.contracts import EXIT_PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts._core import FillEvent, OrderEvent, StepEngine
    from qts.codes import EngineFault
    from qts.data import RunStore
    from qts.engine.capital import CapitalDesk
    from qts.engine.execution_market import StepMarket
    from qts.engine.supervisor import Supervisor
    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import ExecutionResult
    from qts.execution.interfaces import Command
    from qts.pipeline.contracts import Cycle, SentOrder, Stance, Switches
    from qts.pipeline.contracts import OrderDecision as Decided
    from qts.pipeline.interfaces import SessionPort
    from qts.pipeline.orders import OrderBook
    from qts.strategy.contracts import Terms

NEVER: Final = 1 << 62
"""A time that does not come."""
LIFE_NS: Final = 60_000_000_000
"""Time after a decision in which quantity may be sent for it (spec 15 §3.1)."""
STAGE_METRICS: Final = {"PRECHECK": 11, "SPLITTING": 12, "SENDING": 13, "ADJUSTING": 15, "ESCAPING": 16, "TOTAL": 17}
"""Numbers under which the core keeps what stages took, behind those of the pipeline; TOTAL is without the wait."""
_IN_TOTAL: Final = frozenset({"PRECHECK", "SPLITTING", "SENDING", "ADJUSTING"})
_MS_NS: Final = 1_000_000
_FILLS: Final = frozenset({"FILL_PARTIAL", "FILL_CONFIRMED"})
_UP: Final = (True, True)
"""A simulated venue is always there, and so is what it says."""
_BY: Final = "the end of the session"
"""Who leaves what an escape could not sell."""
_DAILY_LIMIT: Final = "GR062"
_BLOCKED: Final = "STATE_BLOCKED"


class SteppedExecutions:
    """The executions of one stepped run, as the pipeline's `ExecutionPort`.

    Args:
        core: the engine; its gateway is the account's one way out.
        orders: the pipeline's book of orders, which takes in each order of an execution.
        terms: of the instruments, by id.
        markets: names of their markets, by id.
        market: prices, ladder and hours.
        sessions: phases and dates.
        supervisor: asked for both states, told of codes.
        store: the books: evidence is on record there before an order leaves.
        recorder: takes what came of each execution.
        config: limits and times.
        timer: monotonic nanoseconds, to measure own time.
        metric: takes the name of a stage and what it took.
        capital: the pools of the account; None where it is not divided.
    """

    def __init__(
        self,
        core: StepEngine,
        orders: OrderBook,
        *,
        terms: Sequence[Terms],
        markets: Sequence[str],
        market: StepMarket,
        sessions: SessionPort,
        supervisor: Callable[[], Supervisor],
        store: RunStore,
        recorder: ExecutionRecorder,
        config: ExecutionConfig,
        timer: Callable[[], int],
        metric: Callable[[str, int], object],
        capital: CapitalDesk | None = None,
    ) -> None:
        self._core = core
        self._orders = orders
        self._terms = terms
        self._markets = markets
        self._market = market
        self._sessions = sessions
        self._supervisor = supervisor
        self._recorder = recorder
        self._metric = metric
        self._capital = capital
        self._now_ns = 0
        self._running: dict[str, Running] = {}
        self._day = ""
        self._sent: dict[int, tuple[Running, Sent]] = {}
        self._armed: dict[int, int] = {}
        self._cycle: Cycle | None = None
        """The cycle whose decision is being taken on."""
        self._seen: tuple[object, ...] = ()
        self._stance = ExecStance()
        self.counts = ExecutionCounts()
        """What came of the executions so far."""
        self._journal = AheadJournal(store, self._on_journal)
        self._sizes = [Sizes(one.lot, 10**one.qty_scale, one.value_div) for one in terms]
        self.pipeline = ExecutionPipeline(
            gateway=StepGateway(core.gateway),
            market=market,
            stance=self._exec_stance,
            link=lambda: _UP,
            journal=self._journal,
            codes=self,
            config=config,
            timer=timer,
            sizes=self._sizes.__getitem__,
        )
        """The six stages."""
        self._max_wait_ns = config.max_wait_ms * _MS_NS
        self._escaping_ns = config.escaping_timeout_ns
        core.set_answer_handler(self._on_answer)
        core.set_timer_handler(self._on_timer)

    @property
    def now_ns(self) -> int:
        """The engine's time of what is being handled."""
        return self._now_ns

    # What the pipeline of decisions asks

    def submit(self, decision: Decided, cycle: Cycle) -> str:
        """Take a decision on and return at once: empty, or why it was refused."""
        now_ns = self._at(cycle.ts_ns)
        supervisor, terms = self._supervisor(), decision.terms
        limits, entries = supervisor.stance(), self._orders.entries_on(cycle.session_date)
        self._cycle = cycle
        basis = Basis(
            self._market.quote(terms.instrument),
            max(0, cycle.ts_ns - decision.ref_ts_ns),
            self._exec_stance(),
            limits,
            entries,
        )
        wanted = self._decision(decision, limits, cycle.ts_ns)
        ttl_ns = decision.ttl_ns if wanted.intent == "ENTRY" and decision.ttl_ns < self._max_wait_ns else NEVER
        running = Running(decision, wanted, basis, cycle.ts_ns + ttl_ns)
        self._running[running.execution_id] = running
        self._orders.begin_execution(running.execution_id, decision)
        try:
            execution_id = self.pipeline.submit(wanted, now_ns)
            running.execution = self.pipeline.live.get(execution_id)
            running.planned()
        finally:
            self._cycle = None
        self._carry_out(now_ns)
        if running.execution_id in self._running:
            self._recorder.began(running, now_ns)
        return running.refused

    def on_stance(self, ts_ns: int) -> None:
        """Take in what has become of both states, the session and the time that entries have."""
        if not self._running:
            return
        now_ns = self._at(ts_ns)
        self.pipeline.on_stance(now_ns)
        may_enter = self._exec_stance().may_enter
        for running in tuple(self._running.values()):
            is_entry = running.decision.intent == "ENTRY"
            phase = self._sessions.phase(running.decision.instrument, ts_ns)
            if phase not in EXIT_PHASES or (is_entry and phase == "CLOSE_GUARD"):
                self._end(running, EscapeReason.SESSION_END, now_ns)
            elif is_entry and not may_enter:
                self._end(running, EscapeReason.MANUAL, now_ns)
            elif ts_ns >= running.ends_ns:
                self._end(running, EscapeReason.TIME_LIMIT_EXCEEDED, now_ns)
        self._carry_out(now_ns)

    def withdraw_entries(self, ts_ns: int, instrument: int | None = None) -> None:
        """Make entries end, of one instrument or of all: what is filled stays, the rest is cancelled."""
        if not self._running:
            return
        now_ns = self._at(ts_ns)
        for running in tuple(self._running.values()):
            decision = running.decision
            if decision.intent == "ENTRY" and instrument in (None, decision.instrument):
                self._end(running, EscapeReason.PREEMPTED if instrument is not None else EscapeReason.MANUAL, now_ns)
        self._carry_out(now_ns)

    def _end(self, running: Running, reason: EscapeReason, now_ns: int) -> None:
        """Cancel what an execution has out, once."""
        execution = running.execution
        if execution is not None and execution.state is not State.ESCAPING:
            self.pipeline.escape(reason, EscapeMode.CANCEL_ONLY, now_ns, execution_id=running.execution_id)

    def _decision(self, decided: Decided, limits: Stance, ts_ns: int) -> OrderDecision:
        """Return what executions are asked for: the price limit of an exit is the worst that it may cost."""
        terms, is_market = decided.terms, decided.order_type == "MARKET"
        risk = decided.evaluation.risk
        return OrderDecision(
            decided.decision_id,
            terms.instrument,
            terms.symbol,
            self._markets[terms.instrument],
            decided.side,
            "ENTRY" if decided.side == "BUY" else "EXIT",
            decided.qty,
            decided.order_type,
            None if is_market else decided.limit_price,
            decided.ref_price or decided.limit_price,
            ts_ns,
            decided.track,
            decided.strategy_id,
            RiskApproval(risk is not None and risk.approved, decided.qty if risk is None else risk.allowed_qty, ts_ns),
            ts_ns + LIFE_NS,
            action_of(decided, limits),
            decided.reason,
            decided.limit_price if is_market and decided.side == "SELL" else 0,
        )

    def _exec_stance(self) -> ExecStance:
        """Return what both states let executions do now. Made anew only after one of them has changed."""
        supervisor = self._supervisor()
        limits, switches, safety = supervisor.stance(), supervisor.switches(), supervisor.safety.state
        seen = (limits, switches, safety)
        if seen != self._seen:
            self._seen, self._stance = seen, _stance_of(limits, switches, safety.name)
        stance, cycle = self._stance, self._cycle
        # Only who begins counts against the day: what has begun is in the count already.
        if cycle is not None and stance.may_enter:
            entries = self._orders.entries_on(cycle.session_date)
            if entries >= limits.max_daily_trades:
                return stance._replace(may_enter=False, entry_refusal=_DAILY_LIMIT)
        return stance

    # What the engine tells

    def on_p0(self, event: FillEvent | OrderEvent, order: SentOrder) -> None:
        """Take in a booked fill or the end of an order, after the books; `order` is how it stands there."""
        now_ns = self._at(event.ts_recv_ns)
        known = self._sent.get(event.order_id)
        if known is None:
            return
        running, sent = known
        sent.is_now(order.response.status, event.ts_recv_ns)
        if event.kind in _FILLS:
            self._on_fill(event, running, sent)  # type: ignore[arg-type]  # told apart by its kind
        else:
            self._on_end(event, running, sent, now_ns)  # type: ignore[arg-type]
        self._carry_out(now_ns)

    def _on_fill(self, fill: FillEvent, running: Running, sent: Sent) -> None:
        sent.filled += fill.qty
        sent.amount += fill.qty * fill.price
        running.booked(fill.amount, fill.fee, fill.tax)
        self.pipeline.on_fill(
            BookedFill(
                fill.order_id,
                fill.qty,
                fill.price,
                fill.fee,
                fill.tax,
                fill.cumulative,
                fill.remaining,
                fill.ts_recv_ns,
                fill.remaining < 0,
            )
        )

    def _on_end(self, end: OrderEvent, running: Running, sent: Sent, now_ns: int) -> None:
        if end.kind == "ORDER_REJECTED":
            if sent.ack_ns is None:
                self.pipeline.on_rejected(end.order_id, "PERMANENT", end.reason, end.reason, now_ns)
            else:
                self.pipeline.on_order_end(end.order_id, "REJECTED", now_ns)
        elif end.reason == "SESSION_END":
            self.pipeline.on_order_end(end.order_id, "EXPIRED", now_ns)
            if running.execution_id in self.pipeline.live:  # the parts that were still to come belong to this session
                self._end(running, EscapeReason.SESSION_END, now_ns)
                self._leave(running, now_ns)
        else:
            self.pipeline.on_order_end(end.order_id, "CANCELLED", now_ns)

    def _leave(self, running: Running, now_ns: int) -> None:
        """Give up an escape that the session has ended: nobody is here to take it over, and the next exit can."""
        execution = running.execution
        if execution is not None and execution.state is State.ESCAPING and not execution.out:
            self.pipeline.acknowledge(running.execution_id, _BY, now_ns)

    def _on_answer(self, kind: str, order_id: int, now_ns: int) -> None:
        """Take in what the venue says to a request."""
        known = self._sent.get(order_id)
        if known is None:
            return
        self._at(now_ns)
        running, sent = known
        pipeline = self.pipeline
        if kind == "ACCEPTED":
            sent.ack_ns = now_ns
            sent.is_now("ACCEPTED", now_ns)
            pipeline.on_sent(order_id, str(order_id), now_ns)
            if running.decided.tif == "IOC":  # what is not there at once is not waited for
                self._end(running, EscapeReason.TIME_LIMIT_EXCEEDED, now_ns)
        elif kind == "AMENDED":
            self._amended(order_id, sent)
            pipeline.on_amended(order_id, str(order_id), now_ns)
        elif kind == "AMEND_REFUSED":
            pipeline.on_amend_rejected(order_id, "ALREADY_DONE", kind, "", now_ns)
        elif kind == "CANCEL_REFUSED":
            pipeline.on_cancel_rejected(order_id, "ALREADY_DONE", kind, "", now_ns)
        self._carry_out(now_ns)

    def _amended(self, order_id: int, sent: Sent) -> None:
        """See an order as it is at the venue now."""
        child = sent.child
        sent.price, sent.qty = child.amend_price or sent.price, child.amend_qty or sent.qty
        for order in self._orders:
            if order.order_id == order_id:
                order.request = order.request._replace(limit_price=sent.price, qty=sent.qty)

    def _on_timer(self, now_ns: int) -> None:
        """Do what is due."""
        self._armed = {instrument: at_ns for instrument, at_ns in self._armed.items() if at_ns > now_ns}
        self._at(now_ns)
        self.pipeline.on_timer(now_ns)
        self._carry_out(now_ns)

    def _begin_day(self, now_ns: int) -> None:
        day = self._sessions.session_date(now_ns)
        if day != self._day:
            self._day = day
            self.pipeline.new_session()

    def _skip(self, gap_ns: int) -> None:
        """Let time pass in which nothing happened anywhere: between prints and over night nobody could have bought."""
        for running in self._running.values():
            execution = running.execution
            if execution is not None and execution.state is State.ESCAPING:
                execution.escape_from_ns += gap_ns

    def _at(self, now_ns: int) -> int:
        before_ns, self._now_ns = self._now_ns, max(now_ns, self._core.now_ns or now_ns)
        if self._now_ns - before_ns > self._escaping_ns:
            self._skip(self._now_ns - before_ns)
        self._begin_day(self._now_ns)
        return self._now_ns

    # What is to be done

    def _carry_out(self, now_ns: int) -> None:
        """Carry commands out until there are none, and ask to be woken for what is due."""
        pipeline = self.pipeline
        while commands := pipeline.take_commands():
            for command in commands:
                self._do(command, now_ns)
        if self._capital is not None:
            self._follow_holds(self._capital)
        self._arm()

    def _follow_holds(self, capital: CapitalDesk) -> None:
        """Have the books of the pools hold what the gate holds, also for parts that have not been sent."""
        for running in self._running.values():
            execution = running.execution
            if execution is not None and execution.hold_id:
                capital.follow_hold(execution.hold_id, running.decision.pool_id)

    def _do(self, command: Command, now_ns: int) -> None:
        if isinstance(command, Send):
            self._send(command, now_ns)
        elif isinstance(command, Closed):
            self._closed(command.result)
        elif isinstance(command, Modify):
            try:
                self._ahead(command)
                self._core.send(command.permit)  # type: ignore[arg-type]  # issued by its gateway
            except PermitRefused as refused:
                self.pipeline.on_amend_not_sent(command.order_id, str(refused), now_ns)
        elif isinstance(command, Cancel):
            try:
                self._core.send(command.permit)  # type: ignore[arg-type]  # issued by its gateway
            except PermitRefused as refused:
                self.pipeline.on_cancel_not_sent(command.order_id, str(refused), now_ns)
        # A query is for answers that are lost. Those of a simulated venue are not, they only take their time.

    def _send(self, command: Send, now_ns: int) -> None:
        running = self._running[command.execution_id]
        try:
            self._ahead(command)
            self._adopt(running, command, now_ns)
            self._core.send(command.permit)  # type: ignore[arg-type]  # issued by its gateway
        except PermitRefused as refused:
            self._disown(command.order_id)
            self.pipeline.on_not_sent(command.order_id, str(refused), now_ns)

    def _ahead(self, command: Send | Modify) -> None:
        """Wait until an intent is durable. Without a journal entries stay; what reduces a position goes."""
        if not self._journal.is_durable(command.after_seq):
            running = self._running[command.execution_id]
            if running.decision.intent == "ENTRY":
                command.permit.void()
                raise PermitRefused(self._journal.failure)

    def _adopt(self, running: Running, command: Send, now_ns: int) -> None:
        """Put an order into the book of orders before it leaves: its answer may come in the same instant."""
        execution = running.execution
        assert execution is not None  # noqa: S101 - one that was refused sends nothing
        running.planned()
        child = next(one for one in execution.children if one.order_id == command.order_id)
        sent = Sent(execution, child, command.order_id, command.split_id, now_ns)
        running.orders.append(sent)
        self._sent[command.order_id] = (running, sent)
        decided, decision = running.decided, running.decision
        if sent.side != decision.side:
            decided = decided._replace(action=sent.side, side=sent.side, purpose="EXIT")
        request = OrderRequest(
            command.split_id,
            decision.instrument,
            decision.symbol,
            decision.pool_id,
            sent.side,
            sent.qty,
            "MARKET" if child.is_market else "LIMIT",
            sent.price,
            "DAY",
            "KRX",
            False,  # noqa: FBT003 - field of a contract
        )
        self._orders.add(WorkingOrder(command.order_id, request, decided, now_ns, command.execution_id))
        if self._capital is not None and execution.hold_id and sent.side == "BUY":
            self._capital.on_send(command.order_id, execution.hold_id, decision.pool_id)

    def _disown(self, order_id: int) -> None:
        """Take an order back that never left."""
        known = self._sent.pop(order_id, None)
        if known is not None:
            running, sent = known
            running.orders.remove(sent)
            self._orders.remove(order_id)

    def _closed(self, result: ExecutionResult) -> None:
        running = self._running.pop(result.execution_id, None)
        if running is None:
            return
        is_refused = result.disposition is Disposition.REFUSED
        if is_refused:
            running.refused = result.reason or "REFUSED"
        self._orders.end_execution(result.execution_id, is_refused=is_refused)
        if self._capital is not None and running.execution is not None and running.execution.hold_id:
            self._capital.follow_hold(running.execution.hold_id, result.pool_id)
        for sent in running.orders:
            self._sent.pop(sent.order_id, None)
        self.counts.take(result)
        total_ns = 0
        for one in result.latencies:
            self._metric(one.stage, one.ns)
            if one.stage in _IN_TOTAL:
                total_ns += one.ns
        if not is_refused:
            self._metric("TOTAL", total_ns)
        self._recorder.over(running, result)

    def _arm(self) -> None:
        """Ask to be woken when the first execution of each instrument wants to be looked at."""
        due: dict[int, int] = {}
        for execution in self.pipeline.live.values():
            instrument, at_ns = execution.decision.instrument, execution.due_ns
            if at_ns < due.get(instrument, NEVER):
                due[instrument] = at_ns
        for instrument, at_ns in due.items():
            if at_ns < self._armed.get(instrument, NEVER):  # one that is set for an earlier time looks again then
                self._armed[instrument] = at_ns
                self._core.set_timer(instrument, at_ns)

    # What is told

    def report(self, code: str, message: str, *, effect: str = "") -> None:
        """Hand a code on; see `qts.execution.interfaces.CodeSink`."""
        self._supervisor().on_execution(code, message, effect)

    def _on_journal(self, fault: EngineFault) -> None:
        self._supervisor().fail(fault.code, fault.found, "execution")

    def finish(self, now_ns: int) -> None:
        """End what is under way at the end of a run; write down what cannot be ended, because an order is out."""
        for running in tuple(self._running.values()):
            self._end(running, EscapeReason.SESSION_END, now_ns)
        for command in self.pipeline.take_commands():
            if isinstance(command, Closed):
                self._closed(command.result)
        for running in self._running.values():
            self._recorder.began(running, now_ns)


class ExecutionCounts:
    """What came of executions: how many by state and disposition, and how far fills were from what was decided."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.dispositions: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.filled = 0
        """Executions with a fill."""
        self.slippage_e3 = 0
        """Sum over them, in thousandths of a basis point; positive = cost."""
        self.adverse_e3 = 0
        """Sum of what was a cost alone."""
        self.rounds = 0

    def take(self, result: ExecutionResult) -> None:
        """Count an execution that is over."""
        _count(self.states, result.final_state.value)
        _count(self.dispositions, result.disposition.value)
        if result.disposition is Disposition.REFUSED:
            _count(self.refusals, result.reason or "REFUSED")
        self.rounds += result.rounds_used
        if result.slippage_bps_e3 is not None:
            self.filled += 1
            self.slippage_e3 += result.slippage_bps_e3
            self.adverse_e3 += max(0, result.slippage_bps_e3)

    def figures(self) -> ExecutionFigures | None:
        """Return them for the report; None if there was none."""
        if not self.states:
            return None
        return ExecutionFigures(
            dict(sorted(self.states.items())),
            dict(sorted(self.dispositions.items())),
            dict(sorted(self.refusals.items())),
            self.filled,
            self.slippage_e3,
            self.adverse_e3,
            self.rounds,
        )


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _stance_of(limits: Stance, switches: Switches, safety: str) -> ExecStance:
    may_enter = (
        limits.may_enter
        and limits.new_entries
        and "SCALP" not in limits.exit_only
        and switches.trading_enabled is True
        and not (switches.safe_mode or switches.kill_switch)
    )
    return ExecStance(
        safety,  # type: ignore[arg-type]  # names of states
        may_enter,
        "" if may_enter else _BLOCKED,
        switches.pipeline_paused,
    )
