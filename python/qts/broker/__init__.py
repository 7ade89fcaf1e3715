"""Brokers: the port, the order contracts, and the simulated broker."""

from qts.broker.contracts import (
    TERMINAL_STATUSES,
    TRACKS,
    OrderRequest,
    OrderResponse,
    OrderStatus,
    OrderType,
    Side,
    SubmitAck,
    TimeInForce,
    Track,
)
from qts.broker.interfaces import BrokerPort, FillNotice, OrderEndNotice
from qts.broker.sim import SimBroker

__all__ = [
    "TERMINAL_STATUSES",
    "TRACKS",
    "BrokerPort",
    "FillNotice",
    "OrderEndNotice",
    "OrderRequest",
    "OrderResponse",
    "OrderStatus",
    "OrderType",
    "Side",
    "SimBroker",
    "SubmitAck",
    "TimeInForce",
    "Track",
]
