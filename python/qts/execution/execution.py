"""What is known of an execution and of its children while it lives. Mutable, and changed by the stages only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.contracts import EscapeMode, EscapeReason, ExecutionFill
from qts.execution.states import INIT, ChildState

if TYPE_CHECKING:
    from qts.broker.contracts import OrderType, Side
    from qts.execution.contracts import BookedFill, OrderDecision, SplitResult, SplitStrategy, StageLatency

_OVER: Final = ChildState.FILLED
_ANSWERED: Final = ChildState.SENT
NEVER: Final = 1 << 62
"""A time that does not come."""


def execution_id_of(decision_id: str) -> str:
    """Return the id of the one execution that a decision can have."""
    return f"x-{decision_id}"


def split_id_of(execution_id: str, sequence: int, generation: int) -> str:
    """Return the id of an attempt to send a child: the same after a restart or in a replay."""
    return f"{execution_id}-{sequence}-{generation}"


class Child:
    """A part of an execution that is one order at the broker at a time."""

    __slots__ = (
        "amend_price",
        "amend_qty",
        "cancel_asked_ns",
        "cancel_due_ns",
        "cancel_taken",
        "cancel_wanted",
        "filled",
        "first_try_ns",
        "generation",
        "is_escape",
        "is_market",
        "is_slow",
        "live_ns",
        "max_wait_ns",
        "order_id",
        "price",
        "qty",
        "retry_ns",
        "scheduled_ns",
        "sent_ns",
        "sent_qty",
        "sequence",
        "split_id",
        "state",
        "was_live",
    )

    def __init__(
        self,
        sequence: int,
        qty: int,
        price: int | None,
        scheduled_ns: int,
        max_wait_ms: int,
        *,
        is_escape: bool = False,
    ) -> None:
        self.sequence = sequence
        self.qty = qty
        self.sent_qty = 0
        """What its newest attempt was sent with; amendments change `qty` only."""
        self.price = 0 if price is None else price
        """Its limit; of a MARKET order the bound of its cost, once it has been sent."""
        self.is_market = price is None
        self.scheduled_ns = scheduled_ns
        self.max_wait_ns = max_wait_ms * 1_000_000
        self.is_escape = is_escape
        """Whether it liquidates for the sixth stage."""
        self.state: int = ChildState.PENDING
        """One of `ChildState`."""
        self.order_id = 0
        """The gateway's number of the newest attempt; 0 = never tried."""
        self.split_id = ""
        self.generation = 0
        """Attempts so far."""
        self.filled = 0
        self.was_live = False
        """Whether a broker has ever had it."""
        self.is_slow = False
        """Whether GR064 has been told."""
        self.first_try_ns = NEVER
        self.retry_ns = 0
        """Not before then."""
        self.sent_ns = 0
        self.live_ns = NEVER
        self.amend_price = 0
        self.amend_qty = 0
        self.cancel_wanted = False
        self.cancel_taken = False
        """Whether the broker has taken the cancel that is on its way."""
        self.cancel_due_ns = 0
        self.cancel_asked_ns = NEVER
        """When the cancel that is on its way was handed out."""

    @property
    def kind(self) -> OrderType:
        """Limit or market."""
        return "MARKET" if self.is_market else "LIMIT"

    @property
    def remaining(self) -> int:
        """Quantity that it may still fill."""
        return max(0, self.qty - self.filled)

    @property
    def is_out(self) -> bool:
        """Whether it lives at the broker, or may."""
        return ChildState.PENDING < self.state < ChildState.FILLED

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it but a late fill."""
        return self.state >= ChildState.FILLED

    @property
    def state_name(self) -> str:
        """The name of its state."""
        return ChildState.NAMES[self.state]

    @property
    def live_state(self) -> int:
        """The state of a child that works and for which nothing is on its way."""
        return ChildState.PARTIAL if self.filled else ChildState.SENT


class Execution:
    """One decision on its way through the six stages."""

    __slots__ = (
        "adjust_used_ns",
        "amount",
        "children",
        "codes",
        "decision",
        "due_ns",
        "entered_ns",
        "escape_amount",
        "escape_attempts",
        "escape_cost",
        "escape_filled",
        "escape_from_ns",
        "escape_mode",
        "escape_qty",
        "escape_reason",
        "execution_id",
        "exit_running",
        "fee",
        "filled",
        "fills",
        "has_expired",
        "hold_id",
        "is_cancelling",
        "is_closing",
        "is_entry",
        "is_handed_over",
        "is_known",
        "is_overdue",
        "is_spent",
        "last_fill_ns",
        "latencies",
        "lease",
        "liquidation",
        "monitor_used_ns",
        "next_round_ns",
        "order",
        "order_ids",
        "out",
        "pending",
        "prechecked_ns",
        "preempts",
        "reason",
        "reconnect_until_ns",
        "round_begun_ns",
        "rounds",
        "seq",
        "started_ns",
        "state",
        "strategy",
        "tax",
        "unanswered",
        "wait_only",
    )

    def __init__(self, decision: OrderDecision, now_ns: int) -> None:
        self.execution_id = execution_id_of(decision.decision_id)
        self.decision = decision
        """As it was made."""
        self.order = decision
        """As PreCheck let it pass."""
        self.is_entry = decision.intent == "ENTRY"
        """Whether it buys into a position; an exit only reduces one."""
        self.state = INIT
        self.seq = 0
        """Number of its last transition."""
        self.started_ns = now_ns
        self.entered_ns = now_ns
        self.due_ns = now_ns
        self.prechecked_ns = 0
        self.reconnect_until_ns = 0
        self.preempts: tuple[str, ...] = ()
        """Executions that have to end, or to be given up waiting for, before this exit goes."""
        self.reason = ""
        self.hold_id = 0
        self.lease = 0
        self.exit_running = False
        """Whether an order of an exit has left: what follows only finishes it."""
        self.strategy: SplitStrategy = "SINGLE"
        self.children: list[Child] = []
        self.pending = 0
        """Children that are still to be sent."""
        self.out = 0
        """Children that live at the broker, or may."""
        self.unanswered = 0
        """Of these, those of which the broker has said nothing."""
        self.order_ids: list[int] = []
        """Every order of it, earlier attempts too."""
        self.is_known = False
        """Whether the broker has ever had an order of it."""
        self.is_cancelling = False
        """Whether a cancel of a child is wanted."""
        self.is_closing = False
        """Nothing more is sent."""
        self.is_spent = False
        """The monitor's time is over, and what is left is being cancelled."""
        self.has_expired = False
        """The session took an order off the book."""
        self.wait_only = False
        """GR063 or FS094: prices are no longer improved."""
        self.rounds = 0
        self.next_round_ns = 0
        self.round_begun_ns = -1
        self.monitor_used_ns = 0
        self.adjust_used_ns = 0
        self.filled = 0
        self.amount = 0
        """Sum of quantity times price, in units of both."""
        self.fee = 0
        self.tax = 0
        self.last_fill_ns = 0
        self.fills: list[ExecutionFill] = []
        self.codes: list[str] = []
        self.latencies: list[StageLatency] = []
        self.escape_reason: EscapeReason | None = None
        self.escape_mode = EscapeMode.CANCEL_ONLY
        self.escape_from_ns = NEVER
        self.escape_attempts = 0
        self.escape_qty = 0
        """What the liquidation was to sell at its first order."""
        self.escape_filled = 0
        self.escape_amount = 0
        self.escape_cost = 0
        """Fees and taxes of the liquidation."""
        self.liquidation: Child | None = None
        self.is_handed_over = False
        """Whether a stronger holder has the exit: this execution sells nothing more."""
        self.is_overdue = False
        """Whether it has been told that the escape takes too long."""

    @property
    def remaining(self) -> int:
        """What PreCheck let pass and is not filled."""
        return max(0, self.order.qty - self.filled)

    @property
    def costs(self) -> int:
        """Fees and taxes so far."""
        return self.fee + self.tax

    def take_splits(self, result: SplitResult) -> None:
        """Make a child of each part."""
        self.strategy = result.strategy
        self.children = [
            Child(one.sequence, one.qty, one.price, one.scheduled_ns, one.max_wait_ms) for one in result.splits
        ]
        self.pending = len(self.children)

    def count(self, child: Child | None, fill: BookedFill, side: Side) -> None:
        """Add a booked fill to what it belongs to; without a child it is of an earlier attempt."""
        qty = fill.qty
        is_escape = child is not None and child.is_escape
        if child is not None:
            child.filled += qty
        if is_escape:
            self.escape_filled += qty
            self.escape_amount += qty * fill.price
            self.escape_cost += fill.fee + fill.tax
        if not is_escape or not self.is_entry:
            self.filled += qty
            self.amount += qty * fill.price
            self.fee += fill.fee
            self.tax += fill.tax
        split_id = "" if child is None else child.split_id
        self.fills.append(
            ExecutionFill(fill.order_id, split_id, side, qty, fill.price, fill.fee, fill.tax, fill.ts_ns, is_escape)
        )

    def mark(self, child: Child, state: int) -> None:
        """Change the state of a child and keep the counts."""
        before = child.state
        if before == state:
            return
        child.state = state
        self.pending += (state == 0) - (before == 0)
        self.out += (0 < state < _OVER) - (0 < before < _OVER)
        self.unanswered += (0 < state < _ANSWERED) - (0 < before < _ANSWERED)

    def wake(self, at_ns: int) -> None:
        """Ask to be looked at by then."""
        if at_ns < self.due_ns:
            self.due_ns = at_ns
