"""Orders on their way: what Act sent, what became of it, and which exits are not done yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.broker.contracts import OrderRequest, OrderResponse, OrderStatus
from qts.pipeline.contracts import SentOrder
from qts.strategy.contracts import REDUCING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qts.broker.contracts import Track
    from qts.broker.interfaces import FillNotice, OrderEndNotice
    from qts.pipeline.contracts import OrderDecision


class WorkingOrder:
    """One order that can still fill."""

    __slots__ = (
        "amount",
        "cancel_sent",
        "deadline_ns",
        "decision",
        "execution_id",
        "filled_qty",
        "order_id",
        "request",
        "sent_ns",
    )

    def __init__(
        self, order_id: int, request: OrderRequest, decision: OrderDecision, sent_ns: int, execution_id: str = ""
    ) -> None:
        self.execution_id = execution_id
        """Execution that it is a part of, and that alone changes or cancels it; empty if Act sent it."""
        self.order_id = order_id
        self.request = request
        self.decision = decision
        self.sent_ns = sent_ns
        self.deadline_ns = sent_ns + decision.ttl_ns
        self.filled_qty = 0
        self.amount = 0
        self.cancel_sent = False

    @property
    def is_exit(self) -> bool:
        """Whether the order can only make a position smaller."""
        return self.decision.purpose in REDUCING

    def view(self, status: OrderStatus, message: str, updated_ns: int) -> SentOrder:
        """Return the order as a record."""
        decision = self.decision
        return SentOrder(
            self.request,
            OrderResponse(status, self.order_id, message, self.filled_qty, self.amount),
            decision.decision_id,
            decision.strategy_id,
            decision.purpose,
            decision.reason,
            self.sent_ns,
            updated_ns,
        )


class LiveExecution:
    """A decision that is being carried out in parts: between two of them no order works, and still it is under way."""

    __slots__ = ("decision", "remaining")

    def __init__(self, decision: OrderDecision) -> None:
        self.decision = decision
        self.remaining = decision.qty


class UnfinishedExit(NamedTuple):
    """A position that was to be closed and is not, because its order ended unfilled."""

    strategy_id: str
    reason: str
    attempt: int


class OrderBook:
    """Working orders by id, kept from P0 events alone. One that ends leaves at once: memory stays flat."""

    def __init__(self) -> None:
        self._working: dict[int, WorkingOrder] = {}
        self._executions: dict[str, LiveExecution] = {}
        self.unfinished_exits: dict[tuple[int, Track], UnfinishedExit] = {}
        self.last_fill_price: dict[tuple[int, Track], int] = {}
        self._entries = 0
        self._entries_date = ""

    def __len__(self) -> int:
        return len(self._working)

    def __iter__(self) -> Iterator[WorkingOrder]:
        return iter(self._working.values())

    def add(self, order: WorkingOrder) -> None:
        """Take in an order that was accepted for sending."""
        self._working[order.order_id] = order
        if order.is_exit:
            self.unfinished_exits.pop((order.request.instrument, order.request.track), None)

    def remove(self, order_id: int) -> None:
        """Forget an order that never left."""
        self._working.pop(order_id, None)

    def begin_execution(self, execution_id: str, decision: OrderDecision) -> None:
        """Take in a decision that is carried out in parts from now on."""
        self._executions[execution_id] = LiveExecution(decision)
        if decision.purpose in REDUCING:
            self.unfinished_exits.pop((decision.terms.instrument, decision.track), None)

    def end_execution(self, execution_id: str, *, is_refused: bool) -> None:
        """Take in that a decision is not carried out any more. An exit that leaves something is asked for again.

        One that was refused is not: its strategy asks again if the position is still there.
        """
        live = self._executions.pop(execution_id, None)
        if live is not None and live.decision.purpose == "EXIT" and live.remaining > 0 and not is_refused:
            self._leave_unfinished(live.decision)

    def executions(self) -> Iterator[LiveExecution]:
        """Return the decisions that are being carried out in parts."""
        return iter(self._executions.values())

    def in_parts(self, instrument: int, track: Track) -> tuple[int, int]:
        """Return what decisions that are carried out in parts still mean to buy and to sell."""
        buy = sell = 0
        for live in self._executions.values():
            decision = live.decision
            if decision.terms.instrument == instrument and decision.track == track:
                if decision.side == "BUY":
                    buy += live.remaining
                else:
                    sell += live.remaining
        return buy, sell

    def selling(self) -> set[tuple[int, Track]]:
        """Return the holdings that something under way sells."""
        found = {(order.request.instrument, order.request.track) for order in self if order.request.side == "SELL"}
        for live in self._executions.values():
            if live.decision.side == "SELL":
                found.add((live.decision.terms.instrument, live.decision.track))
        return found

    def _leave_unfinished(self, decision: OrderDecision) -> None:
        key = (decision.terms.instrument, decision.track)
        self.unfinished_exits[key] = UnfinishedExit(decision.strategy_id, decision.reason, decision.attempt + 1)

    def entries_on(self, session_date: str) -> int:
        """Return how many entry orders were accepted on a session date; rebalancing is no entry."""
        return self._entries if session_date == self._entries_date else 0

    def count_entry(self, session_date: str) -> None:
        """Count an entry order that was accepted."""
        self._entries = self.entries_on(session_date) + 1
        self._entries_date = session_date

    def buying(self) -> frozenset[int]:
        """Return the instruments that a working order or an execution buys."""
        if not (self._working or self._executions):
            return frozenset()
        orders = (order.request.instrument for order in self._working.values() if order.request.side == "BUY")
        parts = (live.decision.terms.instrument for live in self._executions.values() if live.decision.side == "BUY")
        return frozenset((*orders, *parts))

    def on_fill(self, fill: FillNotice) -> SentOrder | None:
        """Apply a fill; None if the order is not ours."""
        self.last_fill_price[fill.instrument, fill.track] = fill.price
        order = self._working.get(fill.order_id)
        if order is None:
            return None
        order.filled_qty = fill.cumulative
        order.amount += fill.amount
        live = self._executions.get(order.execution_id) if order.execution_id else None
        if live is not None and live.decision.side == fill.side:
            live.remaining -= fill.qty
        if fill.remaining > 0:
            return order.view("PARTIALLY_FILLED", "", fill.ts_recv_ns)
        del self._working[fill.order_id]
        return order.view("FILLED", "", fill.ts_recv_ns)

    def on_end(self, end: OrderEndNotice) -> SentOrder | None:
        """Apply the end of an order; None if the order is not ours."""
        order = self._working.pop(end.order_id, None)
        if order is None:
            return None
        status: OrderStatus = "REJECTED" if end.kind == "ORDER_REJECTED" else "CANCELLED"
        if end.reason == "SESSION_END":
            status = "EXPIRED"
        # A refused exit is not repeated here: the gate would refuse it again. Its strategy asks again if the
        # position is still there.
        # What is left of a part is its execution's to sell.
        is_exit = order.decision.purpose == "EXIT" and not order.execution_id
        if is_exit and status != "REJECTED" and end.remaining > 0:
            self._leave_unfinished(order.decision)
        return order.view(status, end.reason, end.ts_recv_ns)
