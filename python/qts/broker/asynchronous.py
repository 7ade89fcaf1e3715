"""The port of a broker that answers when it likes: what every adapter does, and how it says what it does not know.

The one rule: *silence is not an answer*. A request either was not sent (`NotSent`), was refused (`Rejected`), or may
have been carried out (`AnswerLost`); nothing else may be raised. A list that could not be read completely is
`AnswerLost` too, never a short list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.broker.contracts import OrderType, Side, TimeInForce

RejectKind: TypeAlias = Literal["TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE", "SYMBOL_NOT_FOUND", "ALREADY_DONE"]
"""TRANSIENT: the broker says that it has not carried it out and may take it later. ALREADY_DONE: there is nothing left
to cancel or amend."""


class BrokerError(Exception):
    """Something went wrong at the broker. Raised only as one of its three kinds."""


class NotSent(BrokerError):  # noqa: N818 - named for what is known
    """The request has provably not left this host (no connection, permit refused). `args`: why."""


class Rejected(BrokerError):  # noqa: N818 - named for what is known
    """The broker answered that it has not carried it out."""

    def __init__(self, kind: RejectKind, code: str, text: str) -> None:
        super().__init__(kind, code, text)
        self.kind = kind
        self.code = code
        """The broker's own code."""
        self.text = text
        """The broker's own words."""


class AnswerLost(BrokerError):  # noqa: N818 - named for what is known
    """The request may or may not have been carried out. `args`: what happened."""


class OrderAck(NamedTuple):
    """The broker holds the order. Nothing is filled by it."""

    broker_no: str
    ts_ns: int


class ModifyAck(NamedTuple):
    """An amendment went through, under a new number: Korean brokers give one for each.

    A broker that first takes an amendment and hears from the exchange later whether it went through is waited for by
    its adapter; if it does not say, that is `AnswerLost`.
    """

    broker_no: str
    original_no: str
    ts_ns: int


class CancelAck(NamedTuple):
    """A cancel was taken; the final status comes by the stream or a list. Until then the order may still fill."""

    broker_no: str
    """The number of the order that was cancelled."""
    ts_ns: int


class FillEvent(NamedTuple):
    """One execution. `broker_no` is any number of the order's chain."""

    event_id: str
    """Unique per execution and the same on stream and list: the broker's execution number."""
    broker_no: str
    symbol: str
    side: Side
    qty: int
    price: int
    cumulative_qty: int | None
    """Filled of the order so far as the broker counts; None if it does not say."""
    fee: int | None
    """Money units; None if the broker does not say yet."""
    tax: int | None
    ts_ns: int


class OrderNotice(NamedTuple):
    """What the stream says about an order beside its fills."""

    broker_no: str
    kind: Literal["ACCEPTED", "AMENDED", "CANCELLED", "REJECTED", "EXPIRED"]
    """ACCEPTED: the exchange has it. AMENDED: goes on under this number. REJECTED with an original: an amendment or a
    cancel of the original was refused, and that order goes on; without one: the order was refused after its number had
    been given. The others end the order."""
    original_no: str
    """The number that this one replaces or was to replace or cancel; empty if there is none."""
    remaining_qty: int
    ts_ns: int


StreamEvent: TypeAlias = FillEvent | OrderNotice


class BrokerOrder(NamedTuple):
    """One row of the day's orders.

    Each number of an order has a row of its own: what an amendment takes over is no longer in the row that it replaces.
    """

    broker_no: str
    original_no: str
    """Number of the order that this one amends, empty if it is not an amendment."""
    symbol: str
    side: Side
    kind: OrderType
    qty: int
    """What was to be traded when this number was given."""
    limit: int
    filled_qty: int
    """Filled under this number."""
    remaining_qty: int
    """What works on under this number; 0 unless it is live."""
    is_live: bool
    ts_ns: int
    """Time of acceptance at the broker, as accurate as the broker gives it."""


class BrokerPosition(NamedTuple):
    """What the broker says is held of a symbol, over all tracks."""

    symbol: str
    qty: int
    sellable_qty: int
    cost_total: int


class BrokerCash(NamedTuple):
    """Money at the broker, in money units."""

    cash: int
    """Settled and unsettled together: what the own books count as cash."""
    orderable: int


class Capability(NamedTuple):
    """What a broker can do."""

    name: str
    client_order_ids: bool
    """Whether an order can be found by an id of ours."""
    amend_gives_new_number: bool
    orders_per_s: int
    queries_per_s: int


class Message(Protocol):
    """What is written: see `qts.execution.interfaces.Outgoing`."""

    action: str
    symbol: str
    side: Side
    kind: OrderType
    tif: TimeInForce
    limit: int
    qty: int
    broker_no: str


class SendPermit(Protocol):
    """See `qts.execution.interfaces.Permit`; issued by the core alone."""

    @property
    def action(self) -> str:
        """PLACE, AMEND or CANCEL."""
        ...

    def redeem(self, now_ns: int) -> Message:
        """Return the message to write now, once."""
        ...

    def void(self) -> None:
        """Give it back: nothing has been written."""
        ...


class AsyncBrokerInterface(Protocol):
    """A broker. All times are UTC nanoseconds; quantities and prices are in the instrument's units.

    `send`, `modify` and `cancel` redeem their permit immediately before the write, and raise `NotSent` if the permit
    is refused; a permit that is not needed any more, because nothing can be written, they void first. None of them
    waits for a fill. All raise `NotSent`, `Rejected` or `AnswerLost` and nothing else.
    """

    @property
    def capability(self) -> Capability:
        """What the broker can do; known before a connection is."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether a request would leave now."""
        ...

    @property
    def is_stream_up(self) -> bool:
        """Whether fills arrive by themselves now."""
        ...

    async def connect(self) -> None:
        """Connect, or reconnect: log in, subscribe. `NotSent` if the broker cannot be reached."""
        ...

    async def close(self) -> None:
        """End the connection; whoever waits for an answer gets `AnswerLost`."""
        ...

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place the order of a PLACE permit."""
        ...

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Change price and total quantity. ALREADY_DONE: the order has ended."""
        ...

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel. An order that has ended is `Rejected` with kind ALREADY_DONE: the caller asks how it ended."""
        ...

    def subscribe_fills(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Call back on the event loop for each event, in the broker's order; return the end of the subscription.

        What happened while the stream was down is not repeated: ask `query_fills` after each reconnect.
        """
        ...

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day, ended ones too, complete or `AnswerLost`."""
        ...

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those of them that still work."""
        ...

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Every execution of the day at or after `since_ns`, complete or `AnswerLost`."""
        ...

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held, a row for each symbol, complete or `AnswerLost`."""
        ...

    async def query_cash(self) -> BrokerCash:
        """Money at the broker."""
        ...

    async def heartbeat(self) -> None:
        """Return if the broker answers."""
        ...
