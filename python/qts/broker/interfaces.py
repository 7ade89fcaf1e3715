"""What the engine asks of a broker, and what it hears from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qts.broker.contracts import OrderRequest, Side, SubmitAck, Track


class BrokerPort(Protocol):
    """The only way out. Neither call waits for a fill."""

    def place(self, request: OrderRequest) -> SubmitAck:
        """Send an order; whatever happens to it later arrives as P0 events under `broker_order_id`."""
        ...

    def cancel(self, broker_order_id: int) -> bool:
        """Ask for the end of an order; False if it does not work any more."""
        ...


class FillNotice(Protocol):
    """A booked fill, as the core delivers it. Integers in the instrument's scales, UTC nanoseconds."""

    @property
    def kind(self) -> str:
        """FILL_PARTIAL or FILL_CONFIRMED."""
        ...

    @property
    def order_id(self) -> int:
        """Broker order id."""
        ...

    @property
    def instrument(self) -> int:
        """Instrument id."""
        ...

    @property
    def symbol(self) -> str:
        """Symbol."""
        ...

    @property
    def track(self) -> Track:
        """Track that pays or holds."""
        ...

    @property
    def side(self) -> Side:
        """Direction."""
        ...

    @property
    def qty(self) -> int:
        """Quantity of this fill."""
        ...

    @property
    def price(self) -> int:
        """Price of this fill."""
        ...

    @property
    def cumulative(self) -> int:
        """Quantity of the order filled so far, this fill included."""
        ...

    @property
    def remaining(self) -> int:
        """Quantity of the order still to fill."""
        ...

    @property
    def amount(self) -> int:
        """Quantity times price, in money units."""
        ...

    @property
    def fee(self) -> int:
        """Commission, in money units."""
        ...

    @property
    def tax(self) -> int:
        """Transaction tax, in money units."""
        ...

    @property
    def ts_recv_ns(self) -> int:
        """Engine time at which the fill was heard of."""
        ...


class OrderEndNotice(Protocol):
    """The end of an order that did not come from its last fill."""

    @property
    def kind(self) -> str:
        """ORDER_REJECTED or ORDER_CANCELLED."""
        ...

    @property
    def order_id(self) -> int:
        """Broker order id."""
        ...

    @property
    def instrument(self) -> int:
        """Instrument id."""
        ...

    @property
    def symbol(self) -> str:
        """Symbol."""
        ...

    @property
    def track(self) -> Track:
        """Track of the order."""
        ...

    @property
    def side(self) -> Side:
        """Direction."""
        ...

    @property
    def reason(self) -> str:
        """Name of the reason."""
        ...

    @property
    def remaining(self) -> int:
        """Quantity that was not filled."""
        ...

    @property
    def ts_recv_ns(self) -> int:
        """Engine time at which the end was heard of."""
        ...
