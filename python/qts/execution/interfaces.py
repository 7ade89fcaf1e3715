"""What executions ask of the world: one gateway, a view of the market, a place for records, and ears.

`ExecutionPipeline` does no I/O and waits for nothing. It is told what happens (`on_...`), puts what is to be done into
a list of commands, and says when it wants to be called next. A driver carries commands out: the stepped engine at
once and on one thread, `qts.execution.live` over a broker that answers when it likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from qts.broker.asynchronous import BrokerOrder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.broker.contracts import OrderType, Side, TimeInForce, Track
    from qts.execution.contracts import ActionClass, ExecutionResult, VolumeBucket

ListedOrder: TypeAlias = BrokerOrder
"""One row of a broker's list of orders of the day."""

Holder: TypeAlias = Literal["LOOP", "OPERATOR", "EXECUTION", "STRATEGY"]
"""Who may hold the exit of a position, strongest first."""


class Permit(Protocol):
    """A one-shot right to send one message. The message exists only for who redeems it, right before the write."""

    @property
    def order_id(self) -> int:
        """The order it is about."""
        ...

    @property
    def action(self) -> str:
        """PLACE, AMEND or CANCEL."""
        ...

    def redeem(self, now_ns: int) -> Outgoing:
        """Return the message to write now.

        Raises:
            PermitRefused: it has been used, has expired, or what stood at its issue no longer does; nothing may be
                written. The hold of an order that was never written is released.
        """
        ...

    def void(self) -> None:
        """Give it back unused: the message was never written."""
        ...


class Outgoing(Protocol):
    """What goes to the broker. Prices and quantities in the instrument's units."""

    order_id: int
    action: str
    """PLACE, AMEND or CANCEL."""
    instrument: int
    symbol: str
    side: Side
    kind: OrderType
    tif: TimeInForce
    limit: int
    qty: int
    broker_no: str
    """The broker's newest number of the order; empty for PLACE."""


class PreCheckAnswer(NamedTuple):
    """What the core says to a decision in one atomic step. Shape of `Gateway.precheck`."""

    reason: str
    """Name of a `Refusal`, empty if it passes."""
    qty: int
    """What may go."""
    hold_id: int
    """Hold for it; 0 = none."""
    asked: int
    """How many of the gates were asked, in the order of `precheck.GATES`."""


class GatewayPort(Protocol):
    """The account's one way out (Rust): orders, positions, cash, holds, blocks, rate budget, exit ledger, permits."""

    def precheck(
        self,
        instrument: int,
        track: Track,
        side: Side,
        qty: int,
        hold_price: int,
        action: ActionClass,
        now_ns: int,
        *,
        quote_ts_ns: int,
        max_age_ns: int,
        link_up: bool,
        market_open: bool,
        state_open: bool,
    ) -> tuple[str, int, int, int]:
        """Ask every gate of stage 1 in order and hold what the quantity may cost; see `PreCheckAnswer`."""
        ...

    def close_hold(self, hold_id: int, keep_qty: int = 0) -> None:
        """Shrink a hold to what live children still need plus `keep_qty` not yet sent."""
        ...

    def request(
        self,
        instrument: int,
        track: Track,
        side: Side,
        kind: OrderType,
        tif: TimeInForce,
        limit: int,
        qty: int,
        *,
        action: ActionClass,
        now_ns: int,
        hold_id: int = 0,
        lease: int = 0,
        holder: Holder = "EXECUTION",
    ) -> Permit:
        """Take an order through the gates; VALIDATED. OrderRefused (args: reason, retry_at_ns or 0) if one says no."""
        ...

    def request_amend(self, order_id: int, limit: int, qty: int, *, action: ActionClass, now_ns: int) -> Permit:
        """The right to change an order's price and quantity (total, not less than filled). One in flight per order."""
        ...

    def request_cancel(self, order_id: int, *, now_ns: int) -> Permit:
        """The right to cancel; only the rate budget can refuse it, for the shortest time."""
        ...

    def on_ack(self, order_id: int, broker_no: str, now_ns: int) -> str:
        """The broker holds the order, under that number; return its state."""
        ...

    def on_reject(self, order_id: int, now_ns: int, *, not_received: bool = False) -> str:
        """The broker has not taken the order, or provably never had it (`not_received`)."""
        ...

    def on_lost(self, order_id: int, now_ns: int) -> str:
        """The answer is lost: UNKNOWN (an amend or cancel in flight: the order stays as it was, in doubt)."""
        ...

    def on_amended(self, order_id: int, broker_no: str, now_ns: int) -> str:
        """The amend went through; fills under any number of the chain count."""
        ...

    def on_amend_refused(self, order_id: int, now_ns: int) -> str:
        """The amendment changed nothing; the order goes on as it was."""
        ...

    def on_cancel_refused(self, order_id: int, now_ns: int) -> str:
        """The cancel changed nothing; how the order ended, if it did, is for fills and lists to say."""
        ...

    def on_end(self, order_id: int, kind: Literal["CANCELLED", "EXPIRED"], now_ns: int) -> str:
        """The broker works the order no longer."""
        ...

    def on_fill(
        self, order_id: int, event_id: str, qty: int, price: int, fee: int | None, tax: int | None, now_ns: int
    ) -> tuple[str, int, int, int]:
        """Book a fill once: (state, or DUPLICATE or OVERFILL; cumulative; remaining; the position afterwards)."""
        ...

    def order_state(self, order_id: int) -> tuple[str, int, int, str]:
        """(state, filled, remaining, newest broker number); LookupError for one that was never requested."""
        ...

    def find(self, broker_no: str) -> int | None:
        """Return the order that a number of the broker belongs to, under any number of its chain."""
        ...

    def resolve(self, order_id: int, rows: Sequence[ListedOrder], now_ns: int) -> tuple[str, str]:
        """Match an UNKNOWN order with a broker's list: (FOUND, number), (ABSENT, ""), (AMBIGUOUS, "")."""
        ...

    def claim_exit(self, instrument: int, track: Track, holder: Holder, qty: int, now_ns: int) -> tuple[int, int]:
        """Take the exit of a position: (lease, quantity it may sell). A stronger holder takes it from a weaker one.

        OrderRefused if an equal or stronger one has it, or nothing is left to sell.
        """
        ...

    def release_exit(self, lease: int) -> None:
        """Give an exit back; orders of it that are still out stay counted."""
        ...

    def exit_of(self, instrument: int, track: Track) -> tuple[str, int, int] | None:
        """(holder, lease, quantity in flight) of the exit that is outstanding, if one is."""
        ...

    def freeze(self, instrument: int, *, reason: str, frozen: bool) -> None:
        """Refuse entries of an instrument, or take them again; each reason has to be taken back by itself."""
        ...

    def position(self, instrument: int, track: Track) -> tuple[int, int, int]:
        """Return (quantity, cost without fees in money units, opened_ns) of a track's holding."""
        ...

    def exposure(self, instrument: int, track: Track) -> tuple[int, int]:
        """(most, least) that may come to be held once every order that may be live has been answered."""
        ...


class QuoteView(NamedTuple):
    """Best prices; 0 where nothing is known."""

    last: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    ts_ns: int


class MarketView(Protocol):
    """Prices and the ladder of an instrument."""

    def quote(self, instrument: int) -> QuoteView:
        """Return the latest best prices."""
        ...

    def tick_size(self, instrument: int, price: int, now_ns: int) -> int:
        """Distance to the next price above, in price units."""
        ...

    def floor_to_tick(self, instrument: int, price: int, now_ns: int) -> int:
        """Return the highest price of the ladder that is not above `price`."""
        ...

    def ceil_to_tick(self, instrument: int, price: int, now_ns: int) -> int:
        """Return the lowest price of the ladder that is not below `price`."""
        ...

    def price_limits(self, instrument: int, now_ns: int) -> tuple[int, int]:
        """(lowest, highest) price of the day; (0, 0) = none known."""
        ...

    def is_open(self, instrument: int, track: Track, intent: str, now_ns: int) -> bool:
        """Whether the session and its phase let an order of that intent and track be sent."""
        ...

    def volume_profile(self, instrument: int, now_ns: int) -> Sequence[VolumeBucket]:
        """Return the expected volumes of the rest of the session; empty = none are known."""
        ...

    def adv(self, instrument: int) -> int:
        """Average daily volume in quantity units; 0 = unknown."""
        ...


class ExecStance(NamedTuple):
    """What safety and operating state let executions do now."""

    safety: Literal["NORMAL", "WARNING", "FAIL", "LOCKDOWN"] = "NORMAL"
    may_enter: bool = True
    """Operating state, switches, pauses and the day's number of entries let a SCALP entry through."""
    entry_refusal: str = ""
    """STATE_BLOCKED or a code such as GR062, if `may_enter` is False."""
    eteda_suspended: bool = False


class ExecutionJournal(Protocol):
    """Records in front of effects. Each call returns the number of the record; a driver waits for it to be durable."""

    def append(self, kind: str, record: Mapping[str, object]) -> int:
        """Append a record and return its number; never waits for the disk."""
        ...


class CodeSink(Protocol):
    """Who hears of fail-safe and guardrail codes."""

    def report(self, code: str, message: str, *, effect: str = "") -> None:
        """`effect` is a safety state that this occurrence asks for beyond the code's own, empty if none."""
        ...


class Send(NamedTuple):
    """Write a new order, once the journal is durable up to `after_seq`."""

    execution_id: str
    split_id: str
    order_id: int
    permit: Permit
    after_seq: int
    action: str = "PLACE"


class Modify(NamedTuple):
    """Amend an order."""

    execution_id: str
    split_id: str
    order_id: int
    permit: Permit
    after_seq: int
    action: str = "AMEND"


class Cancel(NamedTuple):
    """Cancel an order."""

    execution_id: str
    split_id: str
    order_id: int
    permit: Permit
    after_seq: int
    action: str = "CANCEL"


class Query(NamedTuple):
    """Ask the broker for its orders and fills of the day; the answer comes by `on_listing`."""

    reason: str
    action: str = "QUERY"


class Closed(NamedTuple):
    """An execution is over."""

    result: ExecutionResult
    action: str = "CLOSED"


Command: TypeAlias = Send | Modify | Cancel | Query | Closed
