"""Stage 3: children leave when they are due, and what their answers mean.

The same routine sends the children that are due at once (SENDING) and the later ones and iceberg slices (MONITORING).
An attempt is repeated only if it is known that the broker has not carried it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts._core import OrderRefused
from qts.execution.contracts import EscapeMode, EscapeReason
from qts.execution.execution import NEVER, split_id_of
from qts.execution.states import ESCAPING, ChildState

if TYPE_CHECKING:
    from qts.broker.asynchronous import RejectKind
    from qts.execution.context import Context
    from qts.execution.contracts import ActionClass
    from qts.execution.execution import Child, Execution

_PENDING: Final = ChildState.PENDING
WAITING: Final = frozenset({"EQUAL_IN_DOUBT", "INSUFFICIENT_POSITION"})
"""Refusals that end by themselves: an equal order is answered, a weaker holder's sale ends."""
SAFETY_BLOCKED: Final = "SAFETY_BLOCKED"
WAIT_NS: Final = 100_000_000
"""How often it is asked again; an answer to this execution asks at once."""


class AsyncSend:
    """Sends what is due."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def run(self, execution: Execution, now_ns: int) -> None:
        """Hand out every child that may leave now; say when the next one may."""
        if now_ns > execution.decision.deadline_ns:
            self.drop_unsent(execution)
            return
        if not execution.pending:
            return
        is_iceberg = execution.strategy == "ICEBERG"
        for child in execution.children:
            if child.state != _PENDING:
                if is_iceberg and child.is_out:
                    return  # the next slice shows itself when this one is gone
                continue
            due_ns = max(child.scheduled_ns, child.retry_ns)
            if due_ns > now_ns:
                execution.wake(due_ns)
            else:
                self._try(execution, child, now_ns)
            if execution.is_closing:
                return
            if is_iceberg:
                return

    def has_due(self, execution: Execution, now_ns: int) -> bool:
        """Whether a child that was due at the begin of SENDING has not left yet."""
        if not execution.pending:
            return False
        if execution.strategy == "ICEBERG":
            first = execution.children[0]
            return first.state == ChildState.PENDING
        return any(one.state == ChildState.PENDING and one.scheduled_ns <= now_ns for one in execution.children)

    def drop_unsent(self, execution: Execution) -> None:
        """Send nothing more: what has not left never will, and its hold is given back."""
        execution.is_closing = True
        if not execution.pending:
            return
        for child in execution.children:
            if child.state == ChildState.PENDING:
                execution.mark(child, ChildState.CANCELLED)
        self._shrink_hold(execution)

    def _try(self, execution: Execution, child: Child, now_ns: int) -> None:
        """Send one child, or say when to try again, or give it up."""
        config = self._context.config
        if child.first_try_ns == NEVER:
            child.first_try_ns = now_ns
        elif now_ns - child.first_try_ns >= config.sending_timeout_ns:
            self._skip(execution, child)
            return
        if self._has_equal_in_flight(execution, child):
            execution.wake(now_ns + WAIT_NS)
            return
        if execution.is_entry and now_ns > execution.prechecked_ns and not self._is_fresh(execution, now_ns):
            self._later(execution, child, now_ns + config.poll_interval_ns)
            return
        if not execution.is_entry and not execution.lease and not self._claim(execution, child, now_ns):
            return
        child.generation += 1
        child.split_id = split_id_of(execution.execution_id, child.sequence, child.generation)
        try:
            self._context.place(
                execution, child, self._action(execution), self._limit(execution, child, now_ns), now_ns
            )
        except OrderRefused as refused:
            child.generation -= 1
            self._refused(execution, child, str(refused.args[0]), int(refused.args[1] or 0), now_ns)
            return
        if not execution.is_entry:
            execution.exit_running = True
        execution.wake(now_ns + config.ack_timeout_ns)

    def _action(self, execution: Execution) -> ActionClass:
        """The class of an order: an exit that has begun is only finished."""
        if execution.is_entry or not execution.exit_running:
            return execution.decision.action
        return "RUNNING_EXIT"

    def _limit(self, execution: Execution, child: Child, now_ns: int) -> int:
        if not child.is_market:
            return child.price
        decision = execution.decision
        return market_bound(self._context, decision.instrument, decision.side, decision.worst_price, now_ns)

    def _claim(self, execution: Execution, child: Child, now_ns: int) -> bool:
        """Take the exit of the position; what it does not cover is not sent."""
        decision = execution.order
        try:
            lease, qty = self._context.gateway.claim_exit(
                decision.instrument, decision.pool_id, "EXECUTION", decision.qty, now_ns
            )
        except OrderRefused as refused:
            execution.reason = str(refused.args[0])
            self._skip(execution, child)
            return False
        execution.lease = lease
        if qty > 0:  # else a weaker holder has all of it in flight, and this waits until that has ended
            child.qty = min(child.qty, qty)
        return True

    def _is_fresh(self, execution: Execution, now_ns: int) -> bool:
        quote = self._context.market.quote(execution.decision.instrument)
        return now_ns - quote.ts_ns <= self._context.config.price_max_age_ns

    def _has_equal_in_flight(self, execution: Execution, child: Child) -> bool:
        """Whether a lost answer could not be told apart: another child of the same price and size has none yet."""
        if not execution.unanswered:
            return False
        return any(
            one is not child
            and ChildState.SENDING <= one.state <= ChildState.UNKNOWN
            and one.qty == child.qty
            and one.price == child.price
            for one in execution.children
        )

    def _refused(self, execution: Execution, child: Child, reason: str, retry_at_ns: int, now_ns: int) -> None:
        """A gate said no: wait if it says until when, else this child is not sent."""
        if retry_at_ns > 0:
            self._later(execution, child, max(retry_at_ns, now_ns + 1))
        elif reason in WAITING:
            self._later(execution, child, now_ns + WAIT_NS)
        elif reason == SAFETY_BLOCKED and execution.is_entry:
            execution.reason = reason
            self.drop_unsent(execution)
            if execution.out:
                self._context.escape(execution, EscapeReason.SAFETY_FAIL, EscapeMode.CANCEL_ONLY, now_ns, reason)
        else:
            execution.reason = reason
            self._skip(execution, child)

    def _later(self, execution: Execution, child: Child, at_ns: int) -> None:
        child.retry_ns = at_ns
        execution.wake(at_ns)

    def _skip(self, execution: Execution, child: Child) -> None:
        execution.mark(child, ChildState.CANCELLED)
        self._shrink_hold(execution)

    def _shrink_hold(self, execution: Execution) -> None:
        """Give back the hold of what will not be sent any more."""
        if execution.hold_id:
            keep = sum(one.qty for one in execution.children if one.state == ChildState.PENDING)
            self._context.gateway.close_hold(execution.hold_id, keep)

    # ------------------------------------------------------------------------------------------------ answers

    def sent(self, execution: Execution, child: Child, broker_no: str, now_ns: int) -> None:
        """The broker has it. A fill may have said so before."""
        self._context.event(execution, child, "SENT", now_ns, broker_no=broker_no)
        child.was_live = execution.is_known = True
        if now_ns < child.live_ns:
            child.live_ns = now_ns
        if child.state <= ChildState.UNKNOWN:
            execution.mark(child, child.live_state)

    def failed(self, execution: Execution, child: Child, now_ns: int) -> None:
        """It has provably not been carried out and may be later: again after a pause, up to three times in all."""
        config = self._context.config
        if child.is_escape:
            execution.escape_attempts -= 1  # it has not been tried: the market has never seen it
        if execution.is_closing or child.generation >= config.max_attempts:
            execution.mark(child, ChildState.CANCELLED if execution.is_closing else ChildState.FAILED)
            self._shrink_hold(execution)
            return
        execution.mark(child, ChildState.PENDING)
        self._later(execution, child, now_ns + config.backoff_ns)

    def rejected(self, execution: Execution, child: Child, kind: RejectKind, code: str, text: str, now_ns: int) -> None:
        """The broker refused it."""
        if kind == "TRANSIENT":
            self.failed(execution, child, now_ns)
            return
        execution.mark(child, ChildState.REJECTED)
        execution.reason = code or kind
        said = f"{execution.decision.symbol}: {code} {text}".rstrip()
        if kind == "INSUFFICIENT_BALANCE":
            self._context.tell(execution, "GR061", said)
            self.drop_unsent(execution)
            self._context.query("INSUFFICIENT_BALANCE")
        elif kind == "SYMBOL_NOT_FOUND":
            self._context.tell(execution, "FS091", said)
            self._context.gateway.freeze(execution.decision.instrument, reason="FS091", frozen=True)
            self.drop_unsent(execution)
            if execution.out and execution.state is not ESCAPING:
                self._context.escape(execution, EscapeReason.INTERNAL, EscapeMode.CANCEL_ONLY, now_ns, "FS091")
        else:
            self._shrink_hold(execution)


def market_bound(context: Context, instrument: int, side: str, worst_price: int, now_ns: int) -> int:
    """Return the price that bounds the cost of a MARKET order: a wished worst one, else the limit of the day.

    Where no limits are known, a third off the last price; a MARKET order fills at what is there all the same.
    """
    if worst_price > 0:
        return worst_price
    market = context.market
    lowest, highest = market.price_limits(instrument, now_ns)
    limit = lowest if side == "SELL" else highest
    if limit > 0:
        return limit
    quote = market.quote(instrument)
    base = quote.last or quote.bid or quote.ask
    if side == "SELL":
        return max(1, market.ceil_to_tick(instrument, max(1, base * 2 // 3), now_ns))
    return max(1, market.floor_to_tick(instrument, base * 4 // 3, now_ns))
