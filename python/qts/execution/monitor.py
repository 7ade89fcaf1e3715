"""Stage 4: waiting for fills, and what ends the wait. A partial fill is normal, not an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.config import PPM
from qts.execution.contracts import EscapeMode, EscapeReason, State
from qts.execution.states import ADJUSTING, COMPLETE, ChildState

if TYPE_CHECKING:
    from qts.execution.cancels import Cancels
    from qts.execution.context import Context
    from qts.execution.execution import Child, Execution
    from qts.execution.rounds import AdjustRounds
    from qts.execution.send import AsyncSend

_SENT: Final = ChildState.SENT
_PARTIAL: Final = ChildState.PARTIAL


class PartialFillMonitor:
    """Watches the children of an execution. Its time is counted over all visits of MONITORING."""

    __slots__ = ("_cancels", "_context", "_rounds", "_send")

    def __init__(self, context: Context, send: AsyncSend, cancels: Cancels, rounds: AdjustRounds) -> None:
        self._context = context
        self._send = send
        self._cancels = cancels
        self._rounds = rounds

    def run(self, execution: Execution, now_ns: int) -> State | None:
        """Return the state to go to, or None if there is nothing but to wait (or it escapes already)."""
        if not execution.out and not execution.pending:
            return self._ended(execution, now_ns)
        if self._is_over(execution, now_ns):
            return self._time_is_up(execution, now_ns)
        last_ns = execution.started_ns + self._context.total_timeout_ns
        if now_ns >= last_ns:
            self.give_up(execution, now_ns, "longer than all stages together")
            return None
        execution.wake(last_ns)
        if execution.pending:
            self._send.run(execution, now_ns)
            if not execution.out and not execution.pending:
                return self._ended(execution, now_ns)
        if execution.is_cancelling:
            self._cancels.step(execution, now_ns)
        if execution.unanswered and self._is_unknown_for_long(execution, now_ns):
            return None
        if execution.filled and execution.is_entry and self._loses_too_much(execution, now_ns):
            return None
        if self._is_slow(execution, now_ns) and self._rounds.may_begin(execution, now_ns):
            return ADJUSTING
        return None

    def _is_over(self, execution: Execution, now_ns: int) -> bool:
        """Whether the time for fills is over and nothing has been done about it; else it is woken then."""
        if execution.is_spent:
            return False
        over_ns = execution.entered_ns + self._context.config.monitoring_timeout_ns - execution.monitor_used_ns
        execution.wake(over_ns)
        return now_ns >= over_ns

    def give_up(self, execution: Execution, now_ns: int, why: str) -> None:
        """The time limit: entries keep their fills, exits are finished at the market."""
        mode = self._context.config.time_limit_mode_entry if execution.is_entry else EscapeMode.FLATTEN_EXECUTION
        self._context.escape(execution, EscapeReason.TIME_LIMIT_EXCEEDED, mode, now_ns, why)

    def _ended(self, execution: Execution, now_ns: int) -> State | None:
        """Nothing lives and nothing is to be sent. An exit that is not finished is finished at the market."""
        if execution.is_entry or not execution.remaining or execution.has_expired:
            return COMPLETE
        self._context.escape(
            execution, EscapeReason.TIME_LIMIT_EXCEEDED, EscapeMode.FLATTEN_EXECUTION, now_ns, "ended unfinished"
        )
        return None

    def _time_is_up(self, execution: Execution, now_ns: int) -> State | None:
        """The budget is spent with quantity unfilled."""
        context = self._context
        if "FS093" not in execution.codes:
            symbol, waited_s = execution.decision.symbol, context.config.monitoring_timeout_ns // 1_000_000_000
            context.tell(
                execution,
                "FS093",
                f"{symbol}: {execution.remaining} of {execution.order.qty} unfilled after {waited_s} s",
                effect=context.tally.budget_spent(now_ns),
            )
        if execution.is_entry and execution.filled:
            execution.is_spent = True
            execution.reason = EscapeReason.TIME_LIMIT_EXCEEDED.value
            self._send.drop_unsent(execution)
            self._cancels.want(execution, now_ns)
            return None if execution.out else COMPLETE
        if execution.is_entry and self._rounds.may_begin(execution, now_ns, is_spent=True):
            return ADJUSTING
        self.give_up(execution, now_ns, "monitor budget spent")
        return None

    def _is_slow(self, execution: Execution, now_ns: int) -> bool:
        """Whether a child has waited too long; GR064 tells once of each."""
        slow = False
        for child in execution.children:
            if not _SENT <= child.state <= _PARTIAL or child.cancel_wanted:
                continue
            late_ns = child.live_ns + child.max_wait_ns
            if now_ns < late_ns:
                execution.wake(late_ns)
                continue
            slow = True
            if not child.is_slow:
                self._tell_slow(execution, child)
        return slow

    def _tell_slow(self, execution: Execution, child: Child) -> None:
        child.is_slow = True
        what = f"{child.remaining} of {child.qty} unfilled after {child.max_wait_ns // 1_000_000} ms"
        self._context.tell(execution, "GR064", f"{execution.decision.symbol}: {what}")

    def _is_unknown_for_long(self, execution: Execution, now_ns: int) -> bool:
        """Whether a child sent from here is in doubt for as long as a send may take; then it escapes."""
        limit_ns = self._context.config.sending_timeout_ns
        for child in execution.children:
            if child.state == ChildState.UNKNOWN:
                if now_ns - child.sent_ns >= limit_ns:
                    mode = EscapeMode.CANCEL_ONLY if execution.is_entry else EscapeMode.FLATTEN_EXECUTION
                    self._context.escape(execution, EscapeReason.SEND_UNKNOWN, mode, now_ns, child.split_id)
                    return True
                execution.wake(child.sent_ns + limit_ns)
        return False

    def _loses_too_much(self, execution: Execution, now_ns: int) -> bool:
        """Whether what an unfinished entry has bought has lost more than it may; then it is sold again."""
        context = self._context
        quote = context.market.quote(execution.decision.instrument)
        execution.wake(now_ns + context.config.poll_interval_ns)
        is_long = execution.decision.side == "BUY"
        price = quote.bid if is_long else quote.ask
        if price <= 0 or now_ns - quote.ts_ns > context.config.quote_silence_ns:
            return False  # nobody sells on a price that is not trusted
        worth = execution.filled * price
        lost = (execution.amount - worth if is_long else worth - execution.amount) + execution.costs
        if lost * PPM < execution.amount * context.config.loss_threshold_ppm:
            return False
        context.escape(execution, EscapeReason.LOSS_LIMIT, EscapeMode.FLATTEN_EXECUTION, now_ns, f"lost {lost}")
        return True
