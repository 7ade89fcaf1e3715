"""The gateway of a stepped run as executions see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qts._core import Gateway, SendPermit
    from qts.broker.contracts import OrderType, Side, TimeInForce, Track


class StepGateway:
    """The gateway of a stepped engine, with market orders that rest.

    The core sends a market order as one that takes what the best quote shows and is gone; KRX keeps what is left of it
    on the book. So what liquidates is sent as a limit at its bound: it takes what is there now, and what comes.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._request = gateway.request
        self.precheck = gateway.precheck
        self.close_hold = gateway.close_hold
        self.request_amend = gateway.request_amend
        self.request_cancel = gateway.request_cancel
        self.on_ack = gateway.on_ack
        self.on_reject = gateway.on_reject
        self.on_lost = gateway.on_lost
        self.on_amended = gateway.on_amended
        self.on_amend_refused = gateway.on_amend_refused
        self.on_cancel_refused = gateway.on_cancel_refused
        self.on_end = gateway.on_end
        self.on_fill = gateway.on_fill
        self.order_state = gateway.order_state
        self.find = gateway.find
        self.resolve = gateway.resolve
        self.claim_exit = gateway.claim_exit
        self.release_exit = gateway.release_exit
        self.exit_of = gateway.exit_of
        self.freeze = gateway.freeze
        self.position = gateway.position
        self.exposure = gateway.exposure

    def request(
        self,
        instrument: int,
        track: Track,
        side: Side,
        kind: OrderType,
        tif: TimeInForce,
        limit: int,
        qty: int,
        **terms: Any,  # noqa: ANN401 - handed on
    ) -> SendPermit:
        """Take an order through the gates; see `GatewayPort.request`."""
        del kind
        return self._request(instrument, track, side, "LIMIT", tif, limit, qty, **terms)
