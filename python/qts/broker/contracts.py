"""What is said to a broker and what comes back.

Prices and quantities are integers in the instrument's scales, money is in the account currency's units, times
are UTC nanoseconds. The contracts are named tuples: immutable, and several times quicker to build than frozen
dataclasses, which matters to whoever sends an order between two ticks.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Side: TypeAlias = Literal["BUY", "SELL"]
Track: TypeAlias = Literal["SCALP", "SWING", "PORTFOLIO"]
OrderType: TypeAlias = Literal["LIMIT", "MARKET"]
TimeInForce: TypeAlias = Literal["DAY", "IOC"]
OrderStatus: TypeAlias = Literal[
    "ACCEPTED", "REJECTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "UNKNOWN"
]

TRACKS: Final[tuple[Track, ...]] = ("SCALP", "SWING", "PORTFOLIO")
"""Every track, in the order in which strategies are listed and run."""

TERMINAL_STATUSES: Final[frozenset[OrderStatus]] = frozenset({"REJECTED", "FILLED", "CANCELLED", "EXPIRED"})
"""States that an order does not leave."""


class OrderRequest(NamedTuple):
    """One order, normalised: no broker's codes in it."""

    client_order_id: str
    instrument: int
    symbol: str
    track: Track
    side: Side
    qty: int
    """Quantity units, a positive multiple of the lot."""
    order_type: OrderType
    limit_price: int
    """Worst price accepted, in price units. A MARKET order has one too: it bounds what the order can cost."""
    tif: TimeInForce = "DAY"
    venue: str = "KRX"
    dry_run: bool = True
    """A request that nobody has released is never sent."""
    action: str | None = None
    """What the safety word is asked for: a name of `ActionClass`; None = ENTRY or STRATEGY_EXIT by the side."""


class SubmitAck(NamedTuple):
    """The broker's first answer to an order: taken or not. Fills and later refusals arrive as P0 events."""

    client_order_id: str
    accepted: bool
    broker: str
    broker_order_id: int | None
    message: str


class OrderResponse(NamedTuple):
    """Where an order stands at the broker."""

    status: OrderStatus
    broker_order_id: int
    message: str
    """Reason of the end, empty while the order works and after a complete fill."""
    filled_qty: int
    amount: int
    """Sum of fill quantity times price, in money units."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self.status in TERMINAL_STATUSES
