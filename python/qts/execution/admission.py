"""From a decision to orders that have left: the states PRECHECK, SPLITTING and SENDING."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts.execution.contracts import EscapeMode, EscapeReason, Refusal, State
from qts.execution.states import FAILED, MONITORING, SENDING, SPLITTING

if TYPE_CHECKING:
    from collections.abc import Callable

    from qts.execution.context import Context
    from qts.execution.contracts import OrderDecision
    from qts.execution.execution import Execution
    from qts.execution.precheck import PreCheck
    from qts.execution.result import Sizes
    from qts.execution.send import AsyncSend
    from qts.execution.split import OrderSplit


class Admission:
    """Runs stages 1 to 3. Each method returns the state to go to, or None to wait."""

    __slots__ = ("_context", "_precheck", "_send", "_sizes", "_split", "recovering")

    def __init__(
        self,
        context: Context,
        precheck: PreCheck,
        split: OrderSplit,
        send: AsyncSend,
        sizes: Callable[[int], Sizes],
        *,
        recovering: bool,
    ) -> None:
        self._context = context
        self._precheck = precheck
        self._split = split
        self._send = send
        self._sizes = sizes
        self.recovering = recovering
        """Whether entries wait for the end of the recovery."""

    def precheck(self, execution: Execution, now_ns: int) -> State | None:
        """Ask whether the decision may go; an exit waits for the entry that it pre-empts, any for a link just lost."""
        context, config = self._context, self._context.config
        if now_ns >= execution.started_ns + config.precheck_timeout_ns:
            execution.reason = execution.reason or Refusal.EXPIRED.value
            return FAILED
        if any(one in context.live for one in execution.preempts):
            until_ns = execution.started_ns + config.cancel_confirm_ns
            if now_ns < until_ns:
                execution.wake(until_ns)
                return None
        since = context.timer()
        decision = self._confirmed(execution)
        result = self._precheck.run(
            decision,
            now_ns,
            context.stance(),
            context.link(),
            context.market,
            recovering=self.recovering,
            known=self._known(execution),
            lot=self._sizes(decision.instrument).lot,
        )
        context.took(execution, "PRECHECK", since, now_ns, "" if result.reason is None else result.reason.value)
        if result.reason is Refusal.BROKER_DISCONNECTED and self._waits_for_link(execution, now_ns):
            return None
        for code in result.codes:
            context.tell(execution, code, f"{decision.symbol}: {result.reason or 'quantity reduced'}")
        if not result.passed:
            self._refused(execution, result.reason, now_ns)
            return FAILED
        execution.order = result.order
        execution.hold_id = result.hold_id
        execution.prechecked_ns = now_ns
        if execution.latencies[-1].ns > config.precheck_timeout_ns:
            execution.reason = Refusal.EXPIRED.value
            return FAILED
        return SPLITTING

    def _confirmed(self, execution: Execution) -> OrderDecision:
        """The decision, of an exit that pre-empted an entry for no more than what is confirmed and not being sold."""
        decision = execution.decision
        if execution.preempts:
            held = self._context.gateway.exposure(decision.instrument, decision.pool_id)[1]
            if 0 < held < decision.qty:
                return decision._replace(qty=held)
        return decision

    def _known(self, execution: Execution) -> Refusal | None:
        """What the own book has against an execution. An exit is only refused for another exit of the same."""
        context, decision = self._context, execution.decision
        live = context.live
        if len(live) > 1:
            for other in live.values():
                if other is execution or other.decision.instrument != decision.instrument:
                    continue
                if other.decision.side == decision.side or execution.is_entry:
                    return Refusal.POSITION_INVALID
            if execution.is_entry and len(live) > context.config.max_inflight_executions:
                return Refusal.INFLIGHT_LIMIT
        if execution.is_entry and context.tally.entries_blocked:
            return Refusal.STATE_BLOCKED
        return None

    def _waits_for_link(self, execution: Execution, now_ns: int) -> bool:
        """The driver reconnects; a decision waits for that once, for a short while."""
        if not execution.reconnect_until_ns:
            execution.reconnect_until_ns = now_ns + self._context.config.reconnect_ns
        execution.wake(execution.reconnect_until_ns)
        return now_ns < execution.reconnect_until_ns

    def _refused(self, execution: Execution, reason: Refusal | None, now_ns: int) -> None:
        context = self._context
        execution.reason = "" if reason is None else reason.value
        if reason is Refusal.PRICE_STALE and context.tally.stale_refused(now_ns):
            context.tell(execution, "GR066", f"{execution.decision.symbol}: entries refused for stale prices")

    def split(self, execution: Execution, now_ns: int) -> State | None:
        """Cut the order into children."""
        context = self._context
        since = context.timer()
        sizes = self._sizes(execution.decision.instrument)
        try:
            result = self._split.run(execution.order, now_ns, context.market, lot=sizes.lot, unit=sizes.unit)
        except ValueError as error:
            execution.reason = str(error)
            context.took(execution, "SPLITTING", since, now_ns, "SPLIT_FAILED")
            return FAILED
        execution.take_splits(result)
        context.took(execution, "SPLITTING", since, now_ns)
        for code in result.codes:
            context.tell(execution, code, f"{execution.decision.symbol}: children merged to {len(result.splits)}")
        if execution.latencies[-1].ns > context.config.splitting_timeout_ns:
            execution.reason = "SPLIT_TIMEOUT"
            return FAILED
        return SENDING

    def send(self, execution: Execution, now_ns: int) -> State | None:
        """Send what is due, and wait until each of it has an answer, for as long as that may take."""
        context = self._context
        over_ns = execution.entered_ns + context.config.sending_timeout_ns
        if now_ns >= over_ns:
            self._send.drop_unsent(execution)
            if execution.unanswered:
                mode = EscapeMode.CANCEL_ONLY if execution.is_entry else EscapeMode.FLATTEN_EXECUTION
                context.escape(execution, EscapeReason.SEND_UNKNOWN, mode, now_ns, "no answer")
                return None
            return self._sent(execution, now_ns)
        execution.wake(over_ns)
        if execution.pending:
            since = context.timer()
            commands = len(context.commands)
            self._send.run(execution, now_ns)
            if len(context.commands) != commands:
                context.took(execution, "SENDING", since, now_ns)
            if execution.state is not SENDING:
                return None
        if execution.unanswered or self._send.has_due(execution, execution.entered_ns):
            return None
        return self._sent(execution, now_ns)

    def _sent(self, execution: Execution, now_ns: int) -> State:
        """Every child that was due has an answer: on, or over if none of them ever reached the broker."""
        if execution.is_known:
            return MONITORING
        self._send.drop_unsent(execution)
        if any(one.generation for one in execution.children):
            context = self._context
            what = f"{execution.decision.symbol}: no child of {execution.execution_id} was taken ({execution.reason})"
            context.tell(execution, "FS090", what, effect=context.tally.send_failed(now_ns))
        return FAILED
