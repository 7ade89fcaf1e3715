"""What the capital room is told, what it answers, and what it writes down (spec 14 §4).

Money is an integer in units of the account's currency (KRW: 1 = 1 won). Shares are exact decimals between 0 and 1 with
four places. Times are aware UTC, session dates are dates of the exchange. Everything is immutable: an update is a new
value.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.state.rebalance import POOLS, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from qts.capital.config import CapitalFlowConfig
    from qts.safety import SafetyState
    from qts.state import OperatingState

    Day: TypeAlias = date

CONTRACT_VERSION: Final = "1.0.0"

__all__ = ["CONTRACT_VERSION", "POOLS", "Pool"]


class PoolState(StrEnum):
    """State of a pool."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    LOCKED = "LOCKED"


class PauseCause(StrEnum):
    """Why a pool is paused; it becomes active when the last cause is gone."""

    START = "START"
    """Created, or the process has just started: until it is reconciled."""
    SAFETY = "SAFETY"
    BELOW_MIN = "BELOW_MIN"
    DEFENSIVE = "DEFENSIVE"
    STORE = "STORE"
    OPERATOR = "OPERATOR"


class Bucket(StrEnum):
    """Where money of a pool is."""

    AVAILABLE = "AVAILABLE"
    INVESTED = "INVESTED"
    RESERVED = "RESERVED"
    HELD = "HELD"
    UNALLOCATED = "UNALLOCATED"


class Cause(StrEnum):
    """Why money moved."""

    FILL = "FILL"
    FEE = "FEE"
    TAX = "TAX"
    DIVIDEND = "DIVIDEND"
    HOLD = "HOLD"
    TRANSFER = "TRANSFER"
    EXTERNAL = "EXTERNAL"
    ADJUST = "ADJUST"


class TransferKind(StrEnum):
    """What a transfer is for."""

    PROMOTION = "PROMOTION"
    DEMOTION = "DEMOTION"
    REBALANCE = "REBALANCE"


class TransferReason(StrEnum):
    """What asked for a transfer."""

    PROFIT_THRESHOLD_EXCEEDED = "PROFIT_THRESHOLD_EXCEEDED"
    MDD_THRESHOLD_EXCEEDED = "MDD_THRESHOLD_EXCEEDED"
    CONSECUTIVE_LOSSES_EXCEEDED = "CONSECUTIVE_LOSSES_EXCEEDED"
    STATE_TARGET_CHANGE = "STATE_TARGET_CHANGE"
    DRIFT_EXCEEDED = "DRIFT_EXCEEDED"


class TransferStatus(StrEnum):
    """Where a transfer stands."""

    PENDING = "PENDING"
    COMMITTED = "COMMITTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class HoldState(StrEnum):
    """Where a hold for an order stands."""

    PLACED = "PLACED"
    PARTLY_USED = "PARTLY_USED"
    CLOSED = "CLOSED"


Severity: TypeAlias = Literal["INFO", "WARNING", "FAIL", "LOCKDOWN"]


class CapitalPoolContract(NamedTuple):
    """One pool at one moment. Every amount is required: an absent one is an error, never 0."""

    pool_id: Pool
    version: str
    timestamp: datetime
    total_capital: int
    """Book capital: net transfers and deposits, and realised net profit."""
    available_capital: int
    """Free for orders and transfers."""
    invested_capital: int
    """Cost of open positions, without fees."""
    reserved_capital: int
    """Set aside for a pending transfer, or in quarantine after a demotion."""
    held_for_orders: int
    """What working orders may still cost."""
    realized_pnl: int
    """Realised since the beginning, net of fees and taxes."""
    unrealized_pnl: int
    accumulated_profit: int
    """Base of a promotion: realised net profit since the last one."""
    nav_gain: int
    """Gain of the unit price since the last promotion, in money: what bounds a promotion beside the profit."""
    allocation_pct: Decimal
    """Share of the total of all pools, four places; 0 if there is no capital."""
    target_allocation_pct: Decimal
    last_promotion_time: datetime | None
    promotion_eligible: bool
    pool_state: PoolState
    pause_causes: tuple[PauseCause, ...]
    """Sorted by name; empty unless paused, and kept while locked."""
    lock_reason: str | None
    lock_code: str | None
    lock_timestamp: datetime | None
    units: int
    """Units of the pool, times 10**8."""
    unit_price: Decimal
    """Net asset value of a unit, six places; the last one if there are no units."""
    peak_unit_price: Decimal
    """Its highest since the last re-base."""
    is_funded: bool
    """Whether it has ever had capital: an unfunded pool has no drawdown and no minimum."""
    revision: int

    @property
    def nav(self) -> int:
        """Net asset value: book capital and what open positions have gained or lost."""
        return self.total_capital + self.unrealized_pnl


class MetricValue(NamedTuple):
    """A measure with where it comes from."""

    value: Decimal | None
    """Frozen to six places; None = cannot be told (not recovered, no loss, no samples)."""
    as_of: date
    """Session that it was measured after."""
    sample_count: int


class PerformanceMetrics(NamedTuple):
    """Measures that promotions and demotions go by (spec 14 §4.4). A missing one is None."""

    scalp_sharpe: MetricValue | None = None
    """30 sessions."""
    scalp_win_rate: MetricValue | None = None
    """30 calendar days, by closed trade, 0 to 1."""
    scalp_trades_30d: MetricValue | None = None
    scalp_mdd_30d: MetricValue | None = None
    swing_sharpe: MetricValue | None = None
    """90 sessions."""
    swing_mdd_90d: MetricValue | None = None
    swing_mdd_recovery_days: MetricValue | None = None
    """Calendar days from the trough to the prior peak; `value` None = not recovered; 0 = there was no drawdown."""
    swing_avg_holding_days: MetricValue | None = None
    swing_consecutive_losses: MetricValue | None = None
    scalp_mdd: MetricValue | None = None
    """Drawdown of the unit price now, from its peak since the last re-base."""
    swing_mdd: MetricValue | None = None
    portfolio_mdd: MetricValue | None = None


class Episode(NamedTuple):
    """State of one demotion trigger: it fires once until it is armed again."""

    number: int
    """Number of the current or last episode, from 1; 0 = none yet."""
    is_armed: bool
    fired_on: date | None
    """Session after which the transfer of this episode was committed."""
    sessions_since: int = 0
    """Sessions since `fired_on`."""
    rest: int = 0
    """What of this episode's amount is still to move: limits let it go in parts."""
    parts: int = 0
    """Transfers of this episode so far."""


class TransferProposal(NamedTuple):
    """What the engine thinks should move. Proposing moves nothing."""

    from_pool: Pool
    to_pool: Pool
    amount: int
    """More than 0."""
    kind: TransferKind
    reason: TransferReason
    transfer_key: str
    """Unique for what may happen once: `S>W:2026-W05`, `W>P:2026-Q1`, `P>W:MDD:3`, `W>S:LOSSES:1`, `S>P:2026-01-05`.

    The second part of an episode that limits did not let go at once is `P>W:MDD:3/2`.
    """
    criteria: tuple[tuple[str, str], ...] = ()
    """What it was decided on, as text, sorted by name."""


class CapitalTransfer(NamedTuple):
    """A transfer on record."""

    transfer_id: str
    proposal: TransferProposal
    status: TransferStatus
    requested_at: datetime
    committed_at: datetime | None
    before: tuple[tuple[Pool, int], ...]
    """Total of both pools before it."""
    after: tuple[tuple[Pool, int], ...]
    operating_state: OperatingState
    safety_state: SafetyState
    operator_id: str | None = None
    session_date: date | None = None
    """Trading day whose limit it counts against."""


class CapitalLedgerEntry(NamedTuple):
    """One line of the double-entry ledger; append-only. (cause, ref_id, pool_id, bucket) is unique."""

    entry_id: int
    time: datetime
    pool_id: Pool | Literal["UNALLOCATED"]
    bucket: Bucket
    amount: int
    """Signed."""
    cause: Cause
    ref_id: str
    """What it belongs to: `fill:<order>:<exec>`, `hold:<order>:<n>`, a transfer id, `dividend:<symbol>:<date>`..."""


class CapitalHold(NamedTuple):
    """Money held for one order."""

    hold_id: str
    order_id: str
    pool_id: Pool
    amount: int
    remaining: int
    state: HoldState
    reason: str


class SessionInfo(NamedTuple):
    """The trading day that an evaluation belongs to."""

    date: date
    is_first_of_week: bool
    """First session of its ISO week."""
    is_first_of_month: bool
    is_last_of_quarter: bool
    number: int
    """Sessions since the books began, from 0: pauses are counted in it."""
    recent: tuple[Day, ...] = ()
    """Sessions before this one, latest first: what the age of a metric is counted in. Beyond them weekdays count."""


class FlowGates(NamedTuple):
    """What other rooms say about moving capital."""

    promotion_allowed: bool
    """Safety NORMAL, no plan under way, operating state unchanged for 24 h (spec 18a §8)."""
    rebalancing_enabled: bool
    """Whether the operating state rebalances at all."""
    is_state_defensive: bool
    sessions_since_release: int | None = None
    """Sessions since the last release from LOCKDOWN; None = there was none."""
    open_codes: frozenset[str] = frozenset()
    """FS083 and FS084 that are not resolved."""


class CapitalEngineInput(NamedTuple):
    """Everything that an evaluation depends on."""

    as_of: datetime
    session: SessionInfo
    total_equity: int
    operating_state: OperatingState
    safety_state: SafetyState
    pool_states: Mapping[Pool, CapitalPoolContract]
    performance_metrics: PerformanceMetrics
    transfers_today: tuple[CapitalTransfer, ...]
    used_keys: frozenset[str]
    """Keys of committed transfers that could come up again."""
    episodes: Mapping[str, Episode]
    """By trigger: `P>W:MDD`, `W>S:MDD`, `W>S:LOSSES`."""
    gates: FlowGates
    config: CapitalFlowConfig
    last_targets: Mapping[Pool, Decimal] | None = None
    """Targets that were good last time: what stands if those of the configuration are not."""


class CapitalAlert(NamedTuple):
    """A finding with its code."""

    code: str
    pool_id: Pool | None
    severity: Severity
    message: str
    values: tuple[tuple[str, str], ...] = ()


class PoolLimit(NamedTuple):
    """What a pool may spend now."""

    available: int
    entries_allowed: bool
    reason: str
    """Code or cause of what forbids entries, empty if nothing does."""


class LockOrder(NamedTuple):
    """A pool that has to be locked."""

    pool_id: Pool
    code: str
    reason: str


class CapitalEngineOutput(NamedTuple):
    """Answer of an evaluation."""

    targets: Mapping[Pool, Decimal]
    """Target shares; their sum is exactly 1."""
    pending_promotions: tuple[TransferProposal, ...]
    pending_demotions: tuple[TransferProposal, ...]
    rebalancing_required: bool
    capital_alerts: tuple[CapitalAlert, ...]
    pool_limits: Mapping[Pool, PoolLimit]
    locks: tuple[LockOrder, ...]
    promotion_eligible: Mapping[Pool, bool]
    """Whether all criteria of the promotion out of a pool are met now."""
    promotion_progress: Mapping[Pool, Decimal]
    """Promotable profit as a share of its threshold, four places; not capped."""
    input_digest: str
    """SHA-256 over the canonical text of the input."""
