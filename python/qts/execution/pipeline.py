"""Decisions in, orders out: the six stages of every execution of an account, without I/O and without waiting.

It is told what happens, each time after the gateway has been told, and leaves what is to be done in a list of commands.
Nothing that goes wrong inside comes out as an exception: the execution it happened to escapes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from qts.execution.adjust import AdaptiveAdjust
from qts.execution.admission import Admission
from qts.execution.answers import Answers
from qts.execution.cancels import Cancels
from qts.execution.context import Context
from qts.execution.contracts import (
    TERMINAL,
    EscapeMode,
    EscapeReason,
    OrderDecision,
    Refusal,
    RiskApproval,
    State,
)
from qts.execution.escape import EmergencyEscape
from qts.execution.execution import NEVER, Execution, execution_id_of
from qts.execution.interfaces import Closed
from qts.execution.monitor import PartialFillMonitor
from qts.execution.precheck import PreCheck
from qts.execution.rebuild import rebuilt, settle
from qts.execution.result import Sizes, build
from qts.execution.rounds import AdjustRounds
from qts.execution.send import AsyncSend
from qts.execution.split import OrderSplit
from qts.execution.states import (
    ADJUSTING,
    ESCAPED,
    ESCAPING,
    FAILED,
    INIT,
    MONITORING,
    PRECHECK,
    SENDING,
    SPLITTING,
    ChildState,
)
from qts.execution.unknown import UnknownOrders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts.broker.contracts import Track
    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import ExecutionResult
    from qts.execution.interfaces import CodeSink, Command, ExecStance, ExecutionJournal, GatewayPort, MarketView
    from qts.execution.records import ExecutionSnapshot

RESULTS: Final = 1_000
"""Results that are kept."""
SEEN: Final = 65_536
"""Decisions that are remembered: an older one is refused by its deadline."""
_ROUNDS: Final = 16
"""Most states that an execution can go through at one instant."""
_STOPPED: Final = frozenset({"FAIL", "LOCKDOWN"})


_WHOLE: Final = Sizes()


def _whole_shares(_instrument: int) -> Sizes:
    return _WHOLE


class ExecutionPipeline(Answers):
    """The executions of one account.

    Args:
        gateway: the account's one way out.
        market: prices and the ladder.
        stance: what safety and operating state let executions do now.
        link: (connected, stream up).
        journal: takes records in front of effects; without `wants_records` (an attribute) nothing is built for it.
        codes: hears of codes.
        config: limits and times.
        timer: monotonic nanoseconds, to measure own time only.
        broker: name of the broker, for reports.
        recovering: entries wait for `open_for_entries`.
        sizes: how an instrument counts; whole shares in whole won unless said otherwise.
    """

    def __init__(
        self,
        *,
        gateway: GatewayPort,
        market: MarketView,
        stance: Callable[[], ExecStance],
        link: Callable[[], tuple[bool, bool]],
        journal: ExecutionJournal,
        codes: CodeSink,
        config: ExecutionConfig,
        timer: Callable[[], int],
        broker: str = "sim",
        recovering: bool = False,
        sizes: Callable[[int], Sizes] = _whole_shares,
    ) -> None:
        context = Context(
            gateway=gateway,
            market=market,
            stance=stance,
            link=link,
            journal=journal,
            codes=codes,
            config=config,
            timer=timer,
        )
        adjust = AdaptiveAdjust(config)
        send, cancels, unknown = AsyncSend(context), Cancels(context), UnknownOrders(context)
        rounds = AdjustRounds(context, adjust, send, cancels)
        super().__init__(context, send, cancels, unknown, rounds, adjust)
        self.broker = broker
        self._admission = Admission(
            context, PreCheck(gateway, config), OrderSplit(config), send, sizes, recovering=recovering
        )
        self._monitor = PartialFillMonitor(context, send, cancels, rounds)
        self._escape = EmergencyEscape(context, send, cancels)
        self._sizes = sizes
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._names: dict[int, tuple[str, str]] = {}
        self._results: deque[ExecutionResult] = deque(maxlen=RESULTS)
        self._link_down_ns = NEVER
        self._liquidations = 0
        self.duplicates = 0
        """Decisions that came again. They change nothing."""
        context.escape = self._escape.begin

    # ------------------------------------------------------------------------------------------------ views

    @property
    def live(self) -> Mapping[str, Execution]:
        """Executions that are not over, by id, oldest first."""
        return self._context.live

    @property
    def results(self) -> deque[ExecutionResult]:
        """The last results, newest last."""
        return self._results

    @property
    def unknown_orders(self) -> int:
        """Orders of which nobody knows whether the broker has them."""
        return self._unknown.count

    def set_hooks(
        self,
        *,
        found: Callable[[int, str, int], None] | None = None,
        proven_absent: Callable[[int], None] | None = None,
        suspend: Callable[[str], None] | None = None,
    ) -> None:
        """Name who carries out what only a driver can.

        Args:
            found: (order id, broker number, now) of an UNKNOWN order that a list has: tell the gateway (`on_ack`) and
                then `on_sent`.
            proven_absent: an UNKNOWN order that no list had. If neither cash nor positions have moved either, tell the
                gateway (`on_reject` with `not_received`) and then `on_absent`.
            suspend: told why, when the pipeline of decisions should be suspended.
        """
        self._unknown.found = found
        self._unknown.proven_absent = proven_absent
        self._escape.suspend = suspend

    def take_commands(self) -> list[Command]:
        """Return what is to be done, in order, and forget it."""
        commands = self._context.commands
        if not commands:
            return []
        self._context.commands = []
        return commands

    def next_due_ns(self) -> int | None:
        """When `on_timer` wants to be called; None if nothing is waited for."""
        due_ns = self._unknown.next_due_ns()
        for execution in self._context.live.values():
            due_ns = min(due_ns, execution.due_ns)
        if self._link_down_ns != NEVER and self._context.live:
            due_ns = min(due_ns, self._link_down_ns + self._context.config.quote_silence_ns)
        return None if due_ns >= NEVER else due_ns

    # ------------------------------------------------------------------------------------------------ from outside

    def submit(self, decision: OrderDecision, now_ns: int) -> str:
        """Begin the one execution of a decision and return its id; of a decision that came before, that of the first.

        A refusal is a `Closed` among the commands already.
        """
        execution_id = execution_id_of(decision.decision_id)
        if decision.decision_id in self._seen:
            self.duplicates += 1
            return execution_id
        self._remember(decision)
        execution = Execution(decision, now_ns)
        self._context.live[execution_id] = execution
        if not self._context.go(execution, PRECHECK, now_ns):
            return execution_id
        if not execution.is_entry:
            self._preempt(execution, now_ns)
        self._advance(execution, now_ns)
        return execution_id

    def open_for_entries(self) -> None:
        """Recovery and reconciliation are done."""
        self._admission.recovering = False

    def new_session(self) -> None:
        """Begin a trading day: counts by the day start anew."""
        self._context.tally.new_session()

    def escape(
        self,
        reason: EscapeReason,
        mode: EscapeMode,
        now_ns: int,
        *,
        execution_id: str = "",
        instrument: int | None = None,
    ) -> int:
        """Make executions escape: one, those of an instrument, or all; return how many.

        FLATTEN_POOL of an instrument that has no execution begins one, to sell what the pool SCALP holds of it.
        """
        chosen = [
            execution
            for execution in self._context.live.values()
            if (not execution_id or execution.execution_id == execution_id)
            and (instrument is None or execution.decision.instrument == instrument)
        ]
        if not chosen and mode is EscapeMode.FLATTEN_POOL and instrument is not None and not execution_id:
            chosen = self._liquidation_of(instrument, now_ns)
        for execution in chosen:
            if execution.execution_id in self._context.live:
                self._begin_escape(execution, reason, mode, now_ns)
        for execution in chosen:
            if execution.execution_id in self._context.live:
                self._advance(execution, now_ns)
        return len(chosen)

    def yield_to_loop(self, instrument: int, track: Track, now_ns: int) -> int:
        """The risk loop claims the exit of a position: executions of it cancel; return what is confirmed held."""
        mine = [
            execution
            for execution in self._context.live.values()
            if execution.decision.instrument == instrument and execution.decision.pool_id == track
        ]
        for execution in mine:
            self._escape.hand_over(execution, now_ns)
        for execution in mine:
            if "GR068" not in execution.codes:
                said = f"{execution.decision.symbol}: {execution.execution_id} yields to the risk loop"
                self._context.tell(execution, "GR068", said)
            self._advance(execution, now_ns)
        return self._context.gateway.position(instrument, track)[0]

    def acknowledge(self, execution_id: str, operator: str, now_ns: int) -> None:
        """An operator takes over what an escape has left: the only way from ESCAPING to FAILED.

        Raises:
            LookupError: no such execution lives.
            ValueError: it does not escape, or nobody is named.
        """
        execution = self._context.live.get(execution_id)
        if execution is None:
            raise LookupError(f"no execution {execution_id} lives")
        if execution.state is not ESCAPING or not operator:
            raise ValueError(f"{execution_id} is in {execution.state}, expected ESCAPING and the name of an operator")
        execution.reason = f"acknowledged by {operator}"
        self._finish(execution, FAILED, now_ns, operator=operator)

    def restore(self, snapshot: ExecutionSnapshot, now_ns: int) -> str:
        """Take over an execution of before a restart, and return its id. The gateway knows its orders already.

        One that had sent nothing is refused; what lived escapes: entries cancel, exits are finished at the market.
        """
        decision = snapshot.decision
        execution = rebuilt(snapshot, now_ns)
        self._remember(decision)
        if snapshot.state in TERMINAL:
            for child in execution.children:
                if child.order_id:
                    self._context.late[child.order_id] = (execution.execution_id, child.split_id, child.was_live)
            return execution.execution_id
        self._context.live[execution.execution_id] = execution
        if snapshot.state in (INIT, PRECHECK, SPLITTING):
            execution.reason = Refusal.RECOVERING.value
            if execution.state is INIT:
                self._context.go(execution, PRECHECK, now_ns, "restart")
            self._finish(execution, FAILED, now_ns)
            return execution.execution_id
        settle(execution, self._context, self._unknown, now_ns)
        mode = EscapeMode.CANCEL_ONLY if execution.is_entry else EscapeMode.FLATTEN_EXECUTION
        if execution.state is ESCAPING:
            execution.escape_from_ns = now_ns
            self._send.drop_unsent(execution)
            self._cancels.want(execution, now_ns)
        else:
            self._begin_escape(execution, EscapeReason.RECOVERY, mode, now_ns, "restart")
        self._advance(execution, now_ns)
        return execution.execution_id

    # ------------------------------------------------------------------------------------------------ time and world

    def on_timer(self, now_ns: int) -> None:
        """Do what is due."""
        self._unknown.step(now_ns)
        self._link_timed_out(now_ns)
        for execution in [one for one in self._context.live.values() if one.due_ns <= now_ns]:
            if execution.execution_id in self._context.live:
                self._advance(execution, now_ns)

    def on_link(self, now_ns: int) -> None:
        """The link has changed: decisions that wait for it are asked again; one that is down for long is left."""
        connected, stream = self._context.link()
        if not connected:
            self._link_down_ns = min(self._link_down_ns, now_ns)
        else:
            self._link_down_ns = NEVER
            if self._unknown.count or self._context.orders:
                self._context.query("RECONNECTED" if stream else "STREAM_DOWN")
        for execution in [one for one in self._context.live.values() if one.state is PRECHECK]:
            self._advance(execution, now_ns)

    def on_stance(self, now_ns: int) -> None:
        """Safety or the operating state has changed: in FAIL and LOCKDOWN entries escape, exits run on."""
        safety = self._context.stance().safety
        if safety not in _STOPPED:
            return
        reason = EscapeReason.SAFETY_FAIL if safety == "FAIL" else EscapeReason.LOCKDOWN
        self._escape_entries(reason, now_ns)

    def _escape_entries(self, reason: EscapeReason, now_ns: int) -> None:
        """Cancel every entry, keep what is filled. Exits run on: what protects is not taken away by a fault."""
        entries = [one for one in self._context.live.values() if one.is_entry and one.state is not ESCAPING]
        for execution in entries:
            self._begin_escape(execution, reason, EscapeMode.CANCEL_ONLY, now_ns)
        for execution in entries:
            self._advance(execution, now_ns)

    def _link_timed_out(self, now_ns: int) -> None:
        if now_ns >= self._link_down_ns + self._context.config.quote_silence_ns:
            self._link_down_ns = NEVER
            self._escape_entries(EscapeReason.BROKER_DISCONNECT, now_ns)

    # ------------------------------------------------------------------------------------------------ states

    def _advance(self, execution: Execution, now_ns: int) -> None:
        """Take an execution as far as it can go at this instant, and find out when it wants to be looked at again."""
        try:
            for _ in range(_ROUNDS):
                state = execution.state
                execution.due_ns = NEVER
                if execution.unanswered:
                    self._look_for_silence(execution, now_ns)
                after = self._step(execution, state, now_ns)
                if after is None:
                    if execution.state is state:
                        return
                elif after in TERMINAL:
                    self._finish(execution, after, now_ns)
                    return
                elif not self._context.go(execution, after, now_ns) and execution.state is state:
                    return
            execution.wake(now_ns + self._context.config.poll_interval_ns)
        except Exception as error:  # an execution's fault must not take the engine with it
            self._fault(execution, error, now_ns)

    def _step(self, execution: Execution, state: State, now_ns: int) -> State | None:
        """Let the stage of the state do what it can; return the state to go to, if one."""
        if state is MONITORING:
            return self._monitor.run(execution, now_ns)
        if state is SENDING:
            return self._admission.send(execution, now_ns)
        if state is ADJUSTING:
            return self._rounds.run(execution, now_ns)
        if state is ESCAPING:
            return self._escape.run(execution, now_ns)
        if state is PRECHECK:
            return self._admission.precheck(execution, now_ns)
        if state is SPLITTING:
            return self._admission.split(execution, now_ns)
        return None

    def _fault(self, execution: Execution, error: Exception, now_ns: int) -> None:
        """Something inside broke: cancel what this execution has at the broker, tell, and look again."""
        context = self._context
        where = f"{execution.execution_id} in {execution.state}"
        context.tell(execution, "FS092", f"internal error, {where}: {type(error).__name__}: {error}", effect="FAIL")
        execution.wake(now_ns + context.config.escape_retry_ns)
        if execution.state in TERMINAL or execution.state is ESCAPING:
            return
        try:
            self._escape.begin(execution, EscapeReason.INTERNAL, EscapeMode.CANCEL_ONLY, now_ns, str(error))
        except Exception as second:
            context.tell(execution, "FS092", f"internal error, {where}: {second!r}; orders may live", effect="FAIL")

    def _begin_escape(
        self, execution: Execution, reason: EscapeReason, mode: EscapeMode, now_ns: int, why: str = ""
    ) -> None:
        try:
            self._escape.begin(execution, reason, mode, now_ns, why)
        except Exception as error:
            self._fault(execution, error, now_ns)

    def _look_for_silence(self, execution: Execution, now_ns: int) -> None:
        """A new order without an answer for too long is UNKNOWN, whatever the driver thinks."""
        limit_ns = self._context.config.ack_timeout_ns
        for child in execution.children:
            if child.state == ChildState.SENDING:
                if now_ns >= child.sent_ns + limit_ns:
                    self._unknown.begin(execution, child, now_ns)
                else:
                    execution.wake(child.sent_ns + limit_ns)

    # ------------------------------------------------------------------------------------------------ begin and end

    def _remember(self, decision: OrderDecision) -> None:
        self._seen[decision.decision_id] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        self._names[decision.instrument] = (decision.symbol, decision.market)

    def _preempt(self, execution: Execution, now_ns: int) -> None:
        """An exit goes before a running entry of the same instrument: that one cancels, and the exit waits for it."""
        decision = execution.decision
        entries = [
            one
            for one in self._context.live.values()
            if one.is_entry and one.decision.instrument == decision.instrument
        ]
        execution.preempts = tuple(one.execution_id for one in entries)
        for entry in entries:
            self._begin_escape(entry, EscapeReason.PREEMPTED, EscapeMode.CANCEL_ONLY, now_ns, execution.execution_id)
        for entry in entries:
            self._advance(entry, now_ns)

    def _flatten_rest(self, before: Execution, now_ns: int) -> None:
        """Sell what the pool still holds after the escape of one of its executions, unless another one will."""
        instrument, reason = before.decision.instrument, before.escape_reason
        is_live = any(one.decision.instrument == instrument for one in self._context.live.values())
        if is_live or before.decision.pool_id != "SCALP" or reason is None:
            return
        for execution in self._liquidation_of(instrument, now_ns):
            self._begin_escape(execution, reason, EscapeMode.FLATTEN_POOL, now_ns, "rest of the pool")
            self._advance(execution, now_ns)

    def _liquidation_of(self, instrument: int, now_ns: int) -> list[Execution]:
        """An execution that sells what the pool holds of an instrument; none if it holds nothing."""
        context = self._context
        held = context.gateway.position(instrument, "SCALP")[0]
        if held <= 0:
            return []
        self._liquidations += 1
        symbol, market = self._names.get(instrument, (str(instrument), ""))
        decision = OrderDecision(
            decision_id=f"flatten-{instrument}-{now_ns}-{self._liquidations}",
            instrument=instrument,
            symbol=symbol,
            market=market,
            side="SELL",
            intent="EXIT",
            qty=held,
            price_type="MARKET",
            price=None,
            decision_price=max(1, context.market.quote(instrument).last),
            decision_ts_ns=now_ns,
            pool_id="SCALP",
            strategy_tag="",
            risk_approval=RiskApproval(approved=True, allowed_qty=held, at_ns=now_ns),
            deadline_ns=now_ns + context.config.monitoring_timeout_ns,
            action="PROTECTIVE_EXIT",
            reason="FLATTEN_POOL",
        )
        execution = Execution(decision, now_ns)
        context.live[execution.execution_id] = execution
        return [execution]

    def _finish(self, execution: Execution, after: State, now_ns: int, *, operator: str = "") -> None:
        """End an execution: journal, give back hold and lease, and say what came of it."""
        context = self._context
        residual = self._escape.unsold(execution) if execution.state is ESCAPING else 0
        result = build(execution, after, residual, now_ns, self._sizes(execution.decision.instrument))
        more: dict[str, object] = {
            "disposition": result.disposition.value,
            "filled": result.filled_qty,
            "unsent": result.unsent_qty,
            "cancelled": result.cancelled_qty,
            "residual": residual,
            "operator": operator,
        }
        if not context.go(execution, after, now_ns, execution.reason, more):
            return
        if execution.hold_id:
            context.gateway.close_hold(execution.hold_id, 0)
        if execution.lease:
            context.gateway.release_exit(execution.lease)
        del context.live[execution.execution_id]
        context.forget_orders(execution)
        self._results.append(result)
        context.commands.append(Closed(result))
        if after is ESCAPED and execution.escape_mode is EscapeMode.FLATTEN_POOL and not execution.is_handed_over:
            self._flatten_rest(execution, now_ns)
        if context.live:
            for other in [one for one in context.live.values() if execution.execution_id in one.preempts]:
                if other.state is PRECHECK:
                    self._advance(other, now_ns)
