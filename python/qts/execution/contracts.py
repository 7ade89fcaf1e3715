"""What goes into an execution, what its stages hand to each other, and what comes out (spec 15 §3).

Prices and quantities are integers in the instrument's scales, money is in the account currency's units, `_ns` are
UTC nanoseconds of the engine's clock. Named tuples: immutable, and quick enough to be built between two ticks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from qts.broker.contracts import OrderType, Side, Track

Intent: TypeAlias = Literal["ENTRY", "EXIT", "ESCAPE"]
"""EXIT and ESCAPE only reduce; ESCAPE is the liquidation leg of the sixth stage."""

ActionClass: TypeAlias = Literal[
    "ENTRY", "STRATEGY_EXIT", "PROTECTIVE_EXIT", "TRUSTED_EXIT", "KILL_PLAN", "RUNNING_EXIT"
]
"""Class of an order as the safety word knows it."""


class State(StrEnum):
    """The ten states of an execution (spec 15 §5.1). The table of transitions is the core's."""

    __hash__ = str.__hash__  # that of an enumeration is Python, and a state is looked up at each step

    INIT = "INIT"
    PRECHECK = "PRECHECK"
    SPLITTING = "SPLITTING"
    SENDING = "SENDING"
    MONITORING = "MONITORING"
    ADJUSTING = "ADJUSTING"
    ESCAPING = "ESCAPING"
    COMPLETE = "COMPLETE"
    ESCAPED = "ESCAPED"
    FAILED = "FAILED"


TERMINAL: Final = frozenset({State.COMPLETE, State.ESCAPED, State.FAILED})


class Disposition(StrEnum):
    """What an execution that is over has come to."""

    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    NO_FILL = "NO_FILL"
    FLATTENED = "FLATTENED"
    REFUSED = "REFUSED"
    RESIDUAL = "RESIDUAL"


class Refusal(StrEnum):
    """Why PreCheck lets a decision not pass."""

    POSITION_INVALID = "POSITION_INVALID"
    INSUFFICIENT_CAPITAL = "INSUFFICIENT_CAPITAL"
    BROKER_DISCONNECTED = "BROKER_DISCONNECTED"
    MARKET_CLOSED = "MARKET_CLOSED"
    RISK_LIMIT_EXCEEDED = "RISK_LIMIT_EXCEEDED"
    SAFETY_BLOCKED = "SAFETY_BLOCKED"
    STATE_BLOCKED = "STATE_BLOCKED"
    SYMBOL_FROZEN = "SYMBOL_FROZEN"
    PRICE_STALE = "PRICE_STALE"
    DUPLICATE_DECISION = "DUPLICATE_DECISION"
    EXPIRED = "EXPIRED"
    SHADOW_FULL = "SHADOW_FULL"
    INFLIGHT_LIMIT = "INFLIGHT_LIMIT"
    JOURNAL_FAILED = "JOURNAL_FAILED"
    RECOVERING = "RECOVERING"


class EscapeReason(StrEnum):
    """What made an execution escape."""

    TIME_LIMIT_EXCEEDED = "TIME_LIMIT_EXCEEDED"
    SAFETY_FAIL = "SAFETY_FAIL"
    BROKER_DISCONNECT = "BROKER_DISCONNECT"
    LOSS_LIMIT = "LOSS_LIMIT"
    MANUAL = "MANUAL"
    MICRO_RISK = "MICRO_RISK"
    LOCKDOWN = "LOCKDOWN"
    SEND_UNKNOWN = "SEND_UNKNOWN"
    PREEMPTED = "PREEMPTED"
    SESSION_END = "SESSION_END"
    RECOVERY = "RECOVERY"
    INTERNAL = "INTERNAL"


class EscapeMode(StrEnum):
    """How far an escape goes; a later trigger may only widen it."""

    CANCEL_ONLY = "CANCEL_ONLY"
    FLATTEN_EXECUTION = "FLATTEN_EXECUTION"
    FLATTEN_POOL = "FLATTEN_POOL"


class RiskApproval(NamedTuple):
    """What the risk engine allowed, and when."""

    approved: bool
    allowed_qty: int
    at_ns: int


class OrderDecision(NamedTuple):
    """What is to be traded. Execution decides how, never what; it may lower the quantity and nothing else."""

    decision_id: str
    """Unique; the idempotency key of the whole execution."""
    instrument: int
    symbol: str
    market: str
    side: Side
    intent: Literal["ENTRY", "EXIT"]
    qty: int
    price_type: OrderType
    price: int | None
    """Limit price; None exactly for MARKET."""
    decision_price: int
    """The quote that it was decided on: reference of the slippage."""
    decision_ts_ns: int
    pool_id: Track
    strategy_tag: str
    risk_approval: RiskApproval
    deadline_ns: int
    """After it no quantity is sent any more; monitoring and cancelling go on."""
    action: ActionClass
    """What the safety word is asked for."""
    reason: str = ""
    worst_price: int = 0
    """A price that an exit may never be below (market orders: what bounds their cost); 0 = none."""
    horizon_ms: int = 0
    """Time over which to spread the order (TWAP); 0 = none is wished."""


class Check(NamedTuple):
    """One gate of PreCheck that was asked."""

    name: str
    passed: bool
    available_qty: int | None = None


class PreCheckResult(NamedTuple):
    """Answer of stage 1. `order` is a new decision with the quantity that may go."""

    passed: bool
    order: OrderDecision
    checks: tuple[Check, ...]
    reason: Refusal | None
    ts_ns: int
    hold_id: int
    """Hold of capital that the children draw on; 0 = none (exits)."""
    codes: tuple[str, ...] = ()


SplitStrategy: TypeAlias = Literal["SINGLE", "TWAP", "VWAP", "ICEBERG"]


class SplitOrder(NamedTuple):
    """One child to be sent (spec 15 §3.3); what becomes of it is in `execution.Child`."""

    sequence: int
    qty: int
    price: int | None
    """Limit price; None = MARKET (flattening only)."""
    scheduled_ns: int
    """Earliest send time."""
    max_wait_ms: int
    max_participation_rate_ppm: int | None = None


class SplitResult(NamedTuple):
    """Answer of stage 2: the quantities add up to the order's exactly."""

    strategy: SplitStrategy
    splits: tuple[SplitOrder, ...]
    codes: tuple[str, ...] = ()
    """GR060 if children had to be merged."""


class VolumeBucket(NamedTuple):
    """Expected volume of a part of the session, in quantity units."""

    start_ns: int
    volume: int


class AdjustAction(StrEnum):
    """What stage 5 does about a child that waits."""

    PRICE_IMPROVE = "PRICE_IMPROVE"
    CONVERT_MARKET = "CONVERT_MARKET"
    REDUCE_QTY = "REDUCE_QTY"
    WAIT = "WAIT"
    GIVE_UP = "GIVE_UP"
    """No price within the cap: the rest is cancelled (ENTRY only)."""


class Adjustment(NamedTuple):
    """One answer of stage 5."""

    action: AdjustAction
    order_id: int
    old_price: int
    new_price: int
    old_qty: int
    new_qty: int
    round: int
    codes: tuple[str, ...] = ()


class EscapeResult(NamedTuple):
    """Answer of stage 6."""

    success: bool
    reason: EscapeReason
    mode: EscapeMode
    cancelled_orders: tuple[tuple[int, str], ...]
    """(order id, final status) of each child that was live."""
    liquidation_order: int | None
    liquidation_qty: int
    total_loss: int
    """Money units after fees and tax, negative = loss."""
    residual_qty: int
    ts_ns: int


class StageLatency(NamedTuple):
    """Own time that a stage took, waits for broker and market not counted."""

    stage: str
    ns: int
    at_ns: int
    success: bool = True
    error_code: str = ""


class BookedFill(NamedTuple):
    """A fill that the gateway has booked, as a driver hands it to the pipeline."""

    order_id: int
    qty: int
    price: int
    fee: int
    tax: int
    cumulative: int
    """Filled of the order so far."""
    remaining: int
    ts_ns: int
    overfill: bool = False
    """More has been filled than was ordered."""


class ExecutionFill(NamedTuple):
    """One fill of an execution, as booked."""

    order_id: int
    split_id: str
    side: Side
    qty: int
    price: int
    fee: int
    tax: int
    ts_ns: int
    is_escape: bool = False


class ExecutionResult(NamedTuple):
    """What came of a decision. filled + unsent + cancelled = the quantity that PreCheck let pass."""

    execution_id: str
    decision_id: str
    instrument: int
    symbol: str
    side: Side
    strategy_tag: str
    pool_id: Track
    order_type: OrderType
    original_qty: int
    precheck_qty: int
    success: bool
    final_state: State
    disposition: Disposition
    reason: str
    codes: tuple[str, ...]
    filled_qty: int
    unsent_qty: int
    cancelled_qty: int
    amount: int
    """Sum of quantity times price, in money units."""
    avg_fill_price_e6: int | None
    """Average price in millionths of a price unit; None if nothing filled."""
    fee: int
    tax: int
    decision_price: int
    slippage_bps_e3: int | None
    """Thousandths of a basis point against the decision price, positive = adverse; None if nothing filled."""
    rounds_used: int
    start_ns: int
    end_ns: int
    fills: tuple[ExecutionFill, ...]
    latencies: tuple[StageLatency, ...]
    escape: EscapeResult | None = None
