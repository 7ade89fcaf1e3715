"""Stage 6: send nothing more, cancel everything, wait for what is confirmed, sell that, and see it flat.

An escape is over when nothing lives and its goal is reached, or when a stronger holder has the exit. It is never given
up: what takes too long is told (FS092 rises to FAIL), and an operator may take it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts._core import OrderRefused
from qts.execution.contracts import EscapeMode, EscapeReason, State
from qts.execution.execution import Child, split_id_of
from qts.execution.send import market_bound
from qts.execution.states import ESCAPED, ESCAPING, ChildState

if TYPE_CHECKING:
    from collections.abc import Callable

    from qts.execution.cancels import Cancels
    from qts.execution.context import Context
    from qts.execution.contracts import ActionClass
    from qts.execution.execution import Execution
    from qts.execution.send import AsyncSend

_WIDTH: Final = {EscapeMode.CANCEL_ONLY: 0, EscapeMode.FLATTEN_EXECUTION: 1, EscapeMode.FLATTEN_POOL: 2}
_SUSPENDING: Final = frozenset({EscapeReason.SAFETY_FAIL, EscapeReason.BROKER_DISCONNECT})
_SLOWER: Final = 10
"""How much longer it takes between attempts that never reach the market, once the operator has been told."""
_TAKEN: Final = frozenset({"EXIT_TAKEN", "SAFETY_BLOCKED"})
"""Refusals of an exit that say that somebody else has it, or that nobody may begin one."""


class EmergencyEscape:
    """Makes executions escape."""

    __slots__ = ("_cancels", "_context", "_send", "suspend")

    def __init__(self, context: Context, send: AsyncSend, cancels: Cancels) -> None:
        self._context = context
        self._send = send
        self._cancels = cancels
        self.suspend: Callable[[str], None] | None = None
        """Asked to suspend the pipeline of decisions when safety or the broker is the reason."""

    def begin(self, execution: Execution, reason: EscapeReason, mode: EscapeMode, now_ns: int, why: str = "") -> None:
        """Make an execution escape, or widen what it does already. Cancels leave in this call."""
        context = self._context
        if execution.state is ESCAPING:
            if _WIDTH[mode] > _WIDTH[execution.escape_mode]:
                execution.escape_mode = mode
                context.note_escape(execution, now_ns, f"{reason}: wider")
            return
        since = context.timer()
        execution.escape_reason = reason
        execution.escape_mode = mode
        execution.escape_from_ns = now_ns
        if not context.go(execution, ESCAPING, now_ns, why):
            return
        self._send.drop_unsent(execution)
        self._cancels.want(execution, now_ns)
        said = f"{execution.decision.symbol}: {execution.execution_id} escapes ({reason}, {mode})"
        context.tell(execution, "FS092", f"{said}: {why}" if why else said)
        if reason in _SUSPENDING and self.suspend is not None:
            self.suspend(said)
        context.took(execution, "ESCAPING", since, now_ns)

    def hand_over(self, execution: Execution, now_ns: int) -> None:
        """A stronger holder takes the exit: everything is cancelled, the liquidation too, and nothing more is sold."""
        execution.is_handed_over = True
        if execution.state is not ESCAPING:
            self.begin(execution, EscapeReason.MICRO_RISK, EscapeMode.CANCEL_ONLY, now_ns)
        self._cancels.want(execution, now_ns)

    def run(self, execution: Execution, now_ns: int) -> State | None:
        """Return ESCAPED once the goal is reached, else None."""
        self._tell_overdue(execution, now_ns)
        self._cancels.step(execution, now_ns)
        if execution.escape_mode is EscapeMode.CANCEL_ONLY or execution.is_handed_over:
            return None if execution.out else ESCAPED
        config = self._context.config
        liquidation = execution.liquidation
        if liquidation is not None and liquidation.is_out:
            self._follow(execution, liquidation, now_ns)
            return None
        if execution.out:
            confirm_ns = execution.escape_from_ns + config.cancel_confirm_ns
            if now_ns < confirm_ns:
                execution.wake(confirm_ns)
                return None
        rest = self.rest(execution)
        if rest <= 0:
            return None if execution.out else ESCAPED
        if execution.escape_attempts >= config.escape_max_attempts:
            execution.wake(now_ns + config.escape_retry_ns)  # the position may be closed by others
            return None
        if liquidation is not None:
            slower = _SLOWER if execution.is_overdue else 1
            again_ns = liquidation.sent_ns + config.escape_retry_ns * slower
            if now_ns < again_ns:
                execution.wake(again_ns)
                return None
        self._liquidate(execution, rest, now_ns)
        return ESCAPED if execution.is_handed_over and not execution.out else None

    def rest(self, execution: Execution) -> int:
        """Return what is still to be sent for sale: what is not sold, less what is on its way already."""
        on_its_way = 0
        for child in execution.children:
            if child.is_out and (child.is_escape or not execution.is_entry):
                on_its_way += child.remaining
        return max(0, self.unsold(execution) - on_its_way)

    def unsold(self, execution: Execution) -> int:
        """Return what the goal of an escape wants sold and is not: confirmed, and its own.

        An exit sells its own quantity; what else the pool holds is sold by an execution of its own after it.
        """
        decision = execution.order
        if execution.escape_mode is EscapeMode.CANCEL_ONLY:
            return 0
        held = self._context.gateway.position(decision.instrument, decision.pool_id)[0]
        if execution.is_entry and execution.escape_mode is EscapeMode.FLATTEN_POOL:
            wanted = abs(held)
        elif execution.is_entry:
            wanted = execution.filled - execution.escape_filled
        else:
            wanted = execution.remaining
        return max(0, min(wanted, abs(held)))

    def _liquidate(self, execution: Execution, qty: int, now_ns: int) -> None:
        """Send one reduce-only MARKET order for what is confirmed."""
        context = self._context
        since = context.timer()
        may_sell = self._claim(execution, qty, now_ns)
        if may_sell <= 0:
            return
        execution.escape_attempts += 1
        first = not execution.escape_qty
        context.note_escape(execution, now_ns, f"liquidation {execution.escape_attempts} of {may_sell}")
        child = Child(len(execution.children) + 1, may_sell, None, now_ns, 0, is_escape=True)
        child.generation = 1
        child.split_id = split_id_of(execution.execution_id, child.sequence, 1)
        child.sent_ns = now_ns
        execution.children.append(child)
        execution.pending += 1
        execution.liquidation = child
        if first:
            execution.escape_qty = may_sell
            said = f"{execution.decision.symbol}: {may_sell} liquidated ({execution.escape_reason})"
            context.tell(execution, "FS092", said, effect=context.tally.flattened())
        action: ActionClass = "RUNNING_EXIT" if execution.exit_running else "PROTECTIVE_EXIT"
        decision = execution.decision
        side = decision.side if not execution.is_entry else ("SELL" if decision.side == "BUY" else "BUY")
        bound = market_bound(context, decision.instrument, side, 0, now_ns)
        try:
            context.place(execution, child, action, bound, now_ns)
        except OrderRefused as refused:
            self._not_placed(execution, child, str(refused.args[0]), int(refused.args[1] or 0), now_ns)
        else:
            execution.exit_running = True
            execution.wake(now_ns + context.config.escape_retry_ns)
        context.took(execution, "ESCAPING", since, now_ns)

    def _claim(self, execution: Execution, qty: int, now_ns: int) -> int:
        """Take the exit of the position and return what it lets sell; 0 if a stronger or equal holder has it."""
        gateway, decision = self._context.gateway, execution.decision
        if execution.lease:
            if execution.out:
                return qty
            gateway.release_exit(execution.lease)
            execution.lease = 0
        try:
            lease, allowed = gateway.claim_exit(decision.instrument, decision.pool_id, "EXECUTION", qty, now_ns)
        except OrderRefused:
            execution.is_handed_over = True
            self._cancels.want(execution, now_ns)
            return 0
        execution.lease = lease
        return min(qty, allowed)

    def _not_placed(self, execution: Execution, child: Child, reason: str, retry_at_ns: int, now_ns: int) -> None:
        execution.mark(child, ChildState.CANCELLED)
        if retry_at_ns > 0:
            execution.escape_attempts -= 1
            execution.liquidation = None
            execution.wake(max(retry_at_ns, now_ns + 1))
        elif reason in _TAKEN:
            execution.is_handed_over = True
            execution.reason = reason
        else:
            execution.reason = reason
            execution.wake(now_ns + self._context.config.escape_retry_ns)

    def _follow(self, execution: Execution, liquidation: Child, now_ns: int) -> None:
        """A liquidation that does not fill is cancelled and sent anew; the last one stays at the broker."""
        config = self._context.config
        if liquidation.cancel_wanted or execution.escape_attempts >= config.escape_max_attempts:
            return
        late_ns = liquidation.sent_ns + config.escape_retry_ns
        if now_ns >= late_ns:
            self._cancels.want_one(execution, liquidation, now_ns)
        else:
            execution.wake(late_ns)

    def _tell_overdue(self, execution: Execution, now_ns: int) -> None:
        over_ns = execution.escape_from_ns + self._context.config.escaping_timeout_ns
        if execution.is_overdue:
            return
        if now_ns < over_ns:
            execution.wake(over_ns)
            return
        execution.is_overdue = True
        what = (
            f"{self.unsold(execution)} not sold"
            if execution.escape_mode is not EscapeMode.CANCEL_ONLY
            else "orders live"
        )
        said = f"{execution.decision.symbol}: {execution.execution_id} has not escaped: {what}"
        self._context.tell(execution, "FS092", said, effect="FAIL")
