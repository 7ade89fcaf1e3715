"""What survives a restart."""

from dataclasses import dataclass
from datetime import date, datetime

from qts.safety import SafetyState
from qts.state.contracts import ManualOverride, OperatingState, TransitionReason


@dataclass(frozen=True, slots=True)
class StoredState:
    """Everything that the manager knows, as of `saved_at`. Counters of confirmations are published, not restored."""

    version: int
    state: OperatingState
    previous: OperatingState | None
    transition_at: datetime | None
    transition_reason: TransitionReason | None
    override: ManualOverride | None
    renewals: int
    """How often the override in force has been renewed without a pause."""
    safety: SafetyState
    age_ns: int
    """Time in the state, without LOCKDOWN."""
    since_last_ns: int | None
    """Time since the last change, without LOCKDOWN; None = there was none."""
    saved_at: datetime
    pending_target: OperatingState | None = None
    pending_count: int = 0
    pending_since: datetime | None = None
    tight_target: OperatingState | None = None
    """The waiting move to less risk whose limits hold already (SAFE only)."""
    is_capped: bool = False
    """The index is unknown, and the limits of BALANCED hold at most (SAFE only)."""


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What has to survive a restart, or the drawdown would begin again at zero."""

    nav: float
    """Net asset value of a unit; 1 at the beginning."""
    high_water: float
    session_open: float
    """`nav` when the session opened."""
    equity: int
    """Equity, in units of the account's currency, at the last valuation."""
    asof: datetime
    scalp_losses: int
    closes: tuple[tuple[date, float], ...]
    """Session and `nav` at its end, oldest first."""
    trades: tuple[tuple[datetime, bool], ...]
    """When a trade was closed and whether it won, those of 30 days."""
