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
        "filled_qty",
        "order_id",
        "request",
        "sent_ns",
    )

    def __init__(self, order_id: int, request: OrderRequest, decision: OrderDecision, sent_ns: int) -> None:
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


class UnfinishedExit(NamedTuple):
    """A position that was to be closed and is not, because its order ended unfilled."""

    strategy_id: str
    reason: str
    attempt: int


class OrderBook:
    """Working orders by id, kept from P0 events alone. One that ends leaves at once: memory stays flat."""

    def __init__(self) -> None:
        self._working: dict[int, WorkingOrder] = {}
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

    def entries_on(self, session_date: str) -> int:
        """Return how many entry orders were accepted on a session date; rebalancing is no entry."""
        return self._entries if session_date == self._entries_date else 0

    def count_entry(self, session_date: str) -> None:
        """Count an entry order that was accepted."""
        self._entries = self.entries_on(session_date) + 1
        self._entries_date = session_date

    def buying(self) -> frozenset[int]:
        """Return the instruments that a working order buys."""
        if not self._working:
            return frozenset()
        return frozenset(order.request.instrument for order in self._working.values() if order.request.side == "BUY")

    def on_fill(self, fill: FillNotice) -> SentOrder | None:
        """Apply a fill; None if the order is not ours."""
        self.last_fill_price[fill.instrument, fill.track] = fill.price
        order = self._working.get(fill.order_id)
        if order is None:
            return None
        order.filled_qty = fill.cumulative
        order.amount += fill.amount
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
        if order.decision.purpose == "EXIT" and status != "REJECTED" and end.remaining > 0:
            decision = order.decision
            key = (order.request.instrument, order.request.track)
            self.unfinished_exits[key] = UnfinishedExit(decision.strategy_id, decision.reason, decision.attempt + 1)
        return order.view(status, end.reason, end.ts_recv_ns)
