"""What the transfer service is told of a day, what it answers, and where a promotion stands (spec 14 §7.4)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from qts.state.rebalance import RebalanceLimits

if TYPE_CHECKING:
    from datetime import date, datetime

    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import (
        CapitalAlert,
        CapitalEngineOutput,
        CapitalTransfer,
        SessionInfo,
    )
    from qts.capital.transfers import Quarantine
    from qts.safety import SafetyState
    from qts.state import OperatingStateSnapshot


class PromotionState(StrEnum):
    """Where the promotion of a pair stands."""

    ACCUMULATING = "ACCUMULATING"
    PROMOTION_READY = "PROMOTION_READY"
    TRANSFERRING = "TRANSFERRING"
    COMPLETED = "COMPLETED"


class Day(NamedTuple):
    """A session as other rooms see it when it opens or has closed."""

    at: datetime
    date: date
    """Session, by the exchange's calendar."""
    snapshot: OperatingStateSnapshot
    safety: SafetyState
    total_equity: int
    """Equity of the account, from outside the books, in money units."""
    equity_at_open: int
    """What the day's limit of a rebalance is a share of."""
    promotion_allowed: bool = True
    """What the operating state says of promotions (spec 18a §8)."""
    is_market_ready: bool = True
    """Prices fresh and no circuit breaker: capital may be moved towards the targets."""
    sessions_since_release: int | None = None
    """Sessions since the last release from LOCKDOWN; None = there was none."""
    cause_codes: tuple[str, ...] = ()
    """FS codes behind a forced DEFENSIVE."""


class DayResult(NamedTuple):
    """What the service did."""

    session: SessionInfo
    transfers: tuple[CapitalTransfer, ...] = ()
    released: tuple[Quarantine, ...] = ()
    """What has left quarantine."""
    alerts: tuple[CapitalAlert, ...] = ()
    """For Safety, each with its code."""
    output: CapitalEngineOutput | None = None
    """The last evaluation; None if there was nothing to evaluate."""


def rebalance_limits(config: CapitalFlowConfig) -> RebalanceLimits:
    """Return what the rebalancer of the operating state has to know of the capital room's settings."""
    return RebalanceLimits(
        targets=config.targets,
        drift_threshold=config.drift_threshold,
        daily_move_limit=config.daily_move_limit_pct,
        min_amount=config.rebalance_min_amount,
        priority=config.rebalance_priority,
    )
