"""Brokers: the ports, the order contracts, and the simulated broker of the stepped engine.

Brokers that answer when they like, and what is put around them, have modules of their own: `sim_async`, `sim_client`,
`sim_server`, `rate_limited`, `traced`, `checked`, `faulty`, `faults`.
"""

from qts.broker.asynchronous import (
    AnswerLost,
    AsyncBrokerInterface,
    BrokerCash,
    BrokerError,
    BrokerOrder,
    BrokerPosition,
    CancelAck,
    Capability,
    FillEvent,
    ModifyAck,
    NotSent,
    OrderAck,
    OrderNotice,
    Rejected,
    RejectKind,
    SendPermit,
    StreamEvent,
)
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
    "AnswerLost",
    "AsyncBrokerInterface",
    "BrokerCash",
    "BrokerError",
    "BrokerOrder",
    "BrokerPort",
    "BrokerPosition",
    "CancelAck",
    "Capability",
    "FillEvent",
    "FillNotice",
    "ModifyAck",
    "NotSent",
    "OrderAck",
    "OrderEndNotice",
    "OrderNotice",
    "OrderRequest",
    "OrderResponse",
    "OrderStatus",
    "OrderType",
    "RejectKind",
    "Rejected",
    "SendPermit",
    "Side",
    "SimBroker",
    "StreamEvent",
    "SubmitAck",
    "TimeInForce",
    "Track",
]
