"""What the broker says, as a driver passes it on: each answer after the gateway has been told.

An answer about an order of an execution that is over changes nothing; its fill is told as GR069 and asked about.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec

from qts.execution.contracts import BookedFill, EscapeReason
from qts.execution.records import execution_side
from qts.execution.states import ESCAPING, ChildState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from qts.broker.asynchronous import RejectKind
    from qts.execution.adjust import AdaptiveAdjust
    from qts.execution.cancels import Cancels
    from qts.execution.context import Context
    from qts.execution.execution import Child, Execution
    from qts.execution.interfaces import ListedOrder
    from qts.execution.rounds import AdjustRounds
    from qts.execution.send import AsyncSend
    from qts.execution.unknown import UnknownOrders

FAILURES: Final = 3
"""Calls in a row that failed or were lost, at which the link counts as unstable."""
E6: Final = 1_000_000


P = ParamSpec("P")


def guarded(answer: Callable[Concatenate[Answers, P], None]) -> Callable[Concatenate[Answers, P], None]:
    """Let nothing that goes wrong in listening out: the execution that the answer is about escapes."""

    @wraps(answer)
    def listen(self: Answers, /, *args: P.args, **more: P.kwargs) -> None:
        try:
            answer(self, *args, **more)
        except Exception as error:
            self._fault_of(args, error)

    return listen


class Answers:
    """The part of the pipeline that listens to the broker."""

    def __init__(
        self,
        context: Context,
        send: AsyncSend,
        cancels: Cancels,
        unknown: UnknownOrders,
        rounds: AdjustRounds,
        adjust: AdaptiveAdjust,
    ) -> None:
        self._context = context
        self._send = send
        self._cancels = cancels
        self._unknown = unknown
        self._rounds = rounds
        self._adjust = adjust
        self._failures = 0

    def _advance(self, execution: Execution, now_ns: int) -> None:
        raise NotImplementedError

    def _fault(self, execution: Execution, error: Exception, now_ns: int) -> None:
        raise NotImplementedError

    def _fault_of(self, args: tuple[object, ...], error: Exception) -> None:
        """Find out which order an answer was about, and when: the order's number or a fill first, the time last."""
        first = args[0]
        order_id = first.order_id if isinstance(first, BookedFill) else first
        now_ns = first.ts_ns if isinstance(first, BookedFill) else args[-1]
        found = self._context.orders.get(order_id) if isinstance(order_id, int) else None
        if found is not None and isinstance(now_ns, int):
            self._fault(found[0], error, now_ns)
        else:
            self._context.tell(None, "FS092", f"internal error at an answer: {error!r}", effect="FAIL")

    def _escape_entries(self, reason: EscapeReason, now_ns: int) -> None:
        raise NotImplementedError

    def _of(self, order_id: int, event: str, now_ns: int, broker_no: str = "") -> tuple[Execution, Child] | None:
        """The execution and child of an order; None, and a note, if its execution is over or it is an older attempt."""
        context = self._context
        found = context.orders.get(order_id)
        if found is not None and found[1].order_id == order_id:
            return found
        context.late_event(order_id, event, now_ns, broker_no=broker_no)
        if event == "SENT" and (order_id not in context.late or not context.late[order_id][2]):
            context.tell(None, "GR069", f"order {order_id} is at the broker as {broker_no}, and nobody waits for it")
            context.query("ORPHAN_ORDER")
        return None

    def _call_failed(self, now_ns: int) -> None:
        """A call came to nothing: three in a row, and entries leave an unstable link."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures = 0
            self._escape_entries(EscapeReason.BROKER_DISCONNECT, now_ns)

    # ------------------------------------------------------------------------------------------------ new orders

    @guarded
    def on_sent(self, order_id: int, broker_no: str, now_ns: int) -> None:
        """The broker has the order."""
        self._failures = 0
        self._unknown.end(order_id)
        found = self._of(order_id, "SENT", now_ns, broker_no)
        if found is not None:
            self._send.sent(*found, broker_no, now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_rejected(self, order_id: int, kind: RejectKind, code: str, text: str, now_ns: int) -> None:
        """The broker refused a new order."""
        self._failures = 0
        self._unknown.end(order_id)
        found = self._of(order_id, "REJECTED", now_ns)
        if found is not None and not found[1].is_over:
            self._context.event(*found, "REJECTED", now_ns, kind=kind, code=code, text=text)
            self._send.rejected(*found, kind, code, text, now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_not_sent(self, order_id: int, why: str, now_ns: int) -> None:
        """A new order never left this host."""
        found = self._of(order_id, "NOT_SENT", now_ns)
        self._unknown.end(order_id)
        if found is not None and found[1].state in (ChildState.SENDING, ChildState.UNKNOWN):
            self._context.event(*found, "NOT_SENT", now_ns, text=why)
            self._send.failed(*found, now_ns)
            # First what it means for this execution: one whose children all failed is FAILED, not an escape.
            self._advance(found[0], now_ns)
            self._call_failed(now_ns)

    @guarded
    def on_lost(self, order_id: int, why: str, now_ns: int) -> None:
        """The answer to a new order is lost: nobody knows whether the broker has it."""
        found = self._of(order_id, "LOST", now_ns)
        if found is not None and found[1].state <= ChildState.UNKNOWN:
            self._context.event(*found, "LOST", now_ns, text=why)
            self._unknown.begin(*found, now_ns)
            self._call_failed(now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_absent(self, order_id: int, now_ns: int) -> None:
        """It is proven that the broker never had an UNKNOWN order. It is not sent again: a new decision may."""
        self._unknown.end(order_id)
        found = self._of(order_id, "ABSENT", now_ns)
        if found is not None and not found[1].is_over:
            self._context.event(*found, "ABSENT", now_ns)
            found[0].mark(found[1], ChildState.FAILED)
            self._advance(found[0], now_ns)

    # ------------------------------------------------------------------------------------------------ amendments

    @guarded
    def on_amended(self, order_id: int, broker_no: str, now_ns: int) -> None:
        """An amendment went through, under a new number."""
        self._failures = 0
        found = self._of(order_id, "AMENDED", now_ns, broker_no)
        if found is not None:
            self._context.event(*found, "AMENDED", now_ns, broker_no=broker_no)
            self._rounds.amended(*found)
            self._advance(found[0], now_ns)

    @guarded
    def on_amend_rejected(self, order_id: int, kind: RejectKind, code: str, text: str, now_ns: int) -> None:
        """An amendment was refused; the order stays as it is, or has ended already."""
        self._failures = 0
        found = self._of(order_id, "AMEND_REJECTED", now_ns)
        if found is not None:
            self._context.event(*found, "AMEND_REJECTED", now_ns, kind=kind, code=code, text=text)
            self._rounds.refused(*found, kind)
            self._advance(found[0], now_ns)

    @guarded
    def on_amend_not_sent(self, order_id: int, why: str, now_ns: int) -> None:
        """An amendment never left this host."""
        found = self._of(order_id, "AMEND_NOT_SENT", now_ns)
        if found is not None:
            self._context.event(*found, "AMEND_NOT_SENT", now_ns, text=why)
            self._rounds.refused(*found, "TRANSIENT")
            self._call_failed(now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_amend_lost(self, order_id: int, why: str, now_ns: int) -> None:
        """Nobody knows whether an amendment went through: a list says it, by `on_amended` or `on_amend_rejected`."""
        found = self._of(order_id, "AMEND_LOST", now_ns)
        if found is not None:
            self._context.event(*found, "AMEND_LOST", now_ns, text=why)
            self._context.query("AMEND_LOST")
            self._call_failed(now_ns)
            self._advance(found[0], now_ns)

    # ------------------------------------------------------------------------------------------------ cancels

    @guarded
    def on_cancel_taken(self, order_id: int, now_ns: int) -> None:
        """A cancel was taken. How the order ended is still to come."""
        self._failures = 0
        found = self._of(order_id, "CANCEL_TAKEN", now_ns)
        if found is not None:
            self._context.event(*found, "CANCEL_TAKEN", now_ns)
            found[1].cancel_taken = True
            self._advance(found[0], now_ns)

    @guarded
    def on_cancel_rejected(self, order_id: int, kind: RejectKind, code: str, text: str, now_ns: int) -> None:
        """A cancel was refused."""
        self._failures = 0
        found = self._of(order_id, "CANCEL_REJECTED", now_ns)
        if found is not None and not found[1].is_over:
            self._context.event(*found, "CANCEL_REJECTED", now_ns, kind=kind, code=code, text=text)
            self._cancels.rejected(*found, kind, now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_cancel_lost(self, order_id: int, why: str, now_ns: int) -> None:
        """Nobody knows whether a cancel was carried out."""
        found = self._of(order_id, "CANCEL_LOST", now_ns)
        if found is not None and not found[1].is_over:
            self._context.event(*found, "CANCEL_LOST", now_ns, text=why)
            self._cancels.lost(*found, now_ns)
            self._call_failed(now_ns)
            self._advance(found[0], now_ns)

    @guarded
    def on_cancel_not_sent(self, order_id: int, why: str, now_ns: int) -> None:
        """A cancel never left this host."""
        found = self._of(order_id, "CANCEL_NOT_SENT", now_ns)
        if found is not None and not found[1].is_over:
            self._context.event(*found, "CANCEL_NOT_SENT", now_ns, text=why)
            self._cancels.again(*found, now_ns + self._context.config.backoff_ns)
            self._call_failed(now_ns)
            self._advance(found[0], now_ns)

    # ------------------------------------------------------------------------------------------------ fills and ends

    @guarded
    def on_fill(self, fill: BookedFill) -> None:
        """A fill that the gateway has booked. It counts in whatever state the order is thought to be."""
        context = self._context
        found = context.orders.get(fill.order_id)
        if found is None:
            self._late_fill(fill)
            return
        execution, child = found
        now_ns = fill.ts_ns
        execution.count(child, fill, execution_side(execution, child))
        if child.order_id == fill.order_id:
            self._follow(execution, child, fill)
        else:
            context.tell(execution, "GR069", f"{execution.decision.symbol}: fill of {fill.order_id}, sent anew since")
            context.query("LATE_FILL")
        if fill.overfill:
            self._overfilled(execution, fill)
        if execution.is_entry and not child.is_escape:
            paid_e6 = execution.amount * E6 // execution.filled
            self._rounds.tell_slippage(execution, self._adjust.slippage_codes(execution.order, paid_e6), now_ns)
        self._advance(execution, now_ns)

    def _follow(self, execution: Execution, child: Child, fill: BookedFill) -> None:
        """What a fill says about its order: the broker has it, and how much is left."""
        state = child.state
        if not child.was_live:
            child.was_live = execution.is_known = True
            child.live_ns = fill.ts_ns
        if state >= ChildState.FILLED:
            what = f"{execution.decision.symbol}: {fill.qty} filled of order {fill.order_id} after its end"
            self._context.tell(execution, "GR069", what)
            self._context.query("LATE_FILL")
            return
        if state == ChildState.UNKNOWN:
            self._unknown.end(fill.order_id)
        if child.filled >= child.qty:
            execution.mark(child, ChildState.FILLED)
        elif state <= ChildState.PARTIAL:
            execution.mark(child, ChildState.PARTIAL)

    def _overfilled(self, execution: Execution, fill: BookedFill) -> None:
        """More than was ordered: the books are not trusted any more."""
        context, decision = self._context, execution.decision
        what = f"{decision.symbol}: order {fill.order_id} filled {fill.cumulative}, more than was ordered"
        context.gateway.freeze(decision.instrument, reason="FS099", frozen=True)
        context.tell(execution, "FS099", what, effect="FAIL")
        context.query("OVERFILL")

    def _late_fill(self, fill: BookedFill) -> None:
        """A fill of an order whose execution is over, or that nobody here sent."""
        context = self._context
        is_late = fill.order_id in context.late
        owner = context.late[fill.order_id][0] if is_late else "no execution"
        context.late_event(fill.order_id, "LATE_FILL", fill.ts_ns, text=f"{fill.qty} at {fill.price}")
        context.tell(None, "GR069", f"order {fill.order_id} of {owner}: {fill.qty} filled {'late' if is_late else ''}")
        context.query("LATE_FILL")

    @guarded
    def on_order_end(self, order_id: int, kind: Literal["CANCELLED", "EXPIRED", "REJECTED"], now_ns: int) -> None:
        """How an order ended, from stream or list. Fills in front of it have been told."""
        self._unknown.end(order_id)
        event = "ENDED_REJECTED" if kind == "REJECTED" else kind
        found = self._of(order_id, event, now_ns)
        if found is None or found[1].is_over:
            return
        execution, child = found
        self._context.event(execution, child, event, now_ns)
        child.was_live = execution.is_known = True
        if kind == "EXPIRED":
            execution.has_expired = True
        if not child.cancel_wanted:
            execution.reason = kind
        execution.mark(child, ChildState.REJECTED if kind == "REJECTED" else ChildState.CANCELLED)
        self._advance(execution, now_ns)

    @guarded
    def on_listing(self, orders: Sequence[ListedOrder], now_ns: int) -> None:
        """A complete list of the day, after its fills and ends have been passed on."""
        self._unknown.on_listing(orders, now_ns)
        live = {row.broker_no for row in orders if row.is_live}
        for execution, child in tuple(self._context.orders.values()):
            if child.state == ChildState.CANCELLING and child.cancel_taken:
                number = self._context.gateway.order_state(child.order_id)[3]
                if number in live and now_ns > child.cancel_asked_ns:
                    self._cancels.again(execution, child, now_ns)
                    self._advance(execution, now_ns)
        for execution in tuple(self._context.live.values()):
            if execution.state is ESCAPING:
                self._advance(execution, now_ns)
