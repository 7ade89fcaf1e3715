"""The simulated broker: the core's venue behind the broker port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from qts.broker.contracts import SubmitAck

if TYPE_CHECKING:
    from qts.broker.contracts import OrderRequest, OrderType, Side, TimeInForce, Track

_NAME: Final = "sim"


class SimVenue(Protocol):
    """The part of `_core.StepEngine` that takes orders."""

    def submit(
        self,
        instrument: int,
        track: Track,
        side: Side,
        kind: OrderType,
        tif: TimeInForce,
        limit: int,
        qty: int,
        action: str | None = None,
    ) -> int:
        """Send an order through the gate and return its id."""
        ...

    def cancel(self, order_id: int) -> bool:
        """Send a cancel; False if the order no longer works."""
        ...


class SimBroker:
    """Sends orders to a simulated venue.

    A refusal of the gate is not an exception: the order gets an id and an ORDER_REJECTED event follows.
    """

    def __init__(self, venue: SimVenue) -> None:
        self._venue = venue

    def place(self, request: OrderRequest) -> SubmitAck:
        """Send `request`; a dry run is answered without being sent."""
        if request.dry_run:
            return SubmitAck(
                request.client_order_id, accepted=False, broker=_NAME, broker_order_id=None, message="dry run"
            )
        order_id = self._venue.submit(
            request.instrument,
            request.track,
            request.side,
            request.order_type,
            request.tif,
            request.limit_price,
            request.qty,
            request.action,
        )
        return SubmitAck(request.client_order_id, True, _NAME, order_id, "")  # noqa: FBT003 - field of a contract

    def cancel(self, broker_order_id: int) -> bool:
        """Ask for the end of an order; False if it does not work any more."""
        return self._venue.cancel(broker_order_id)
