"""Settings of the capital room, as its rules use them; `capital.yaml` is where they come from (spec 14 §15)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

from qts.state import OperatingState
from qts.state.rebalance import POOLS, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

Shares: TypeAlias = "Mapping[Pool, Decimal]"


def _shares(scalp: str, swing: str, portfolio: str) -> dict[Pool, Decimal]:
    return dict(zip(POOLS, map(Decimal, (scalp, swing, portfolio)), strict=True))


def _targets() -> Mapping[OperatingState, Shares]:
    return {
        OperatingState.AGGRESSIVE: _shares("0.70", "0.20", "0.10"),
        OperatingState.BALANCED: _shares("0.40", "0.35", "0.25"),
        OperatingState.DEFENSIVE: _shares("0.10", "0.20", "0.70"),
    }


@dataclass(frozen=True, slots=True)
class PoolConstraint:
    """Outer band of a pool. Amounts are in money units."""

    min_pct: Decimal
    max_pct: Decimal
    min_amount: int


def _constraints() -> Mapping[Pool, PoolConstraint]:
    return {
        "SCALP": PoolConstraint(Decimal("0.05"), Decimal("0.80"), 1_000_000),
        "SWING": PoolConstraint(Decimal("0.10"), Decimal("0.50"), 2_000_000),
        "PORTFOLIO": PoolConstraint(Decimal("0.05"), Decimal("0.80"), 3_000_000),
    }


@dataclass(frozen=True, slots=True)
class ScalpPromotion:
    """SCALP to SWING."""

    min_accumulated_profit: int = 1_000_000
    min_sharpe: Decimal = Decimal("1.5")
    min_win_rate_30d: Decimal = Decimal("0.55")
    min_trades_30d: int = 50
    max_mdd_30d: Decimal = Decimal("0.10")
    transfer_ratio: Decimal = Decimal("0.50")
    frequency: Literal["weekly", "monthly"] = "weekly"
    at: time = time(8, 30)


@dataclass(frozen=True, slots=True)
class SwingPromotion:
    """SWING to PORTFOLIO."""

    min_accumulated_profit: int = 5_000_000
    min_sharpe: Decimal = Decimal("1.2")
    max_mdd_recovery_days: int = 30
    min_holding_period_avg: Decimal = Decimal(5)
    max_mdd_90d: Decimal = Decimal("0.15")
    transfer_ratio: Decimal = Decimal("0.30")
    at: time = time(16, 0)


@dataclass(frozen=True, slots=True)
class DemotionRules:
    """When capital goes down, and how long it rests there."""

    is_enabled: bool = True
    p2w_trigger_mdd: Decimal = Decimal("0.10")
    p2w_transfer_ratio: Decimal = Decimal("0.20")
    w2s_trigger_mdd: Decimal = Decimal("0.15")
    w2s_transfer_ratio: Decimal = Decimal("0.30")
    w2s_trigger_consecutive_losses: int = 5
    w2s_loss_transfer_ratio: Decimal = Decimal("0.20")
    quarantine_days: int = 5
    rearm_days: int = 20


@dataclass(frozen=True, slots=True)
class CapitalFlowConfig:
    """Everything the capital room is configured by; the defaults are the shipped ones."""

    mode: Literal["AUTO", "ON", "OFF"] = "AUTO"
    """AUTO: pools where strategies of more than one track run; else the account is one pool."""
    currency: str = "KRW"
    initial_mode: Literal["STATE_BASED", "SCALP_FIRST"] = "STATE_BASED"
    targets: Mapping[OperatingState, Shares] = field(default_factory=_targets)
    constraints: Mapping[Pool, PoolConstraint] = field(default_factory=_constraints)
    drift_threshold: Decimal = Decimal("0.10")
    daily_move_limit_pct: Decimal = Decimal("0.05")
    rebalance_min_amount: int = 100_000
    rebalance_priority: tuple[Pool, ...] = ("PORTFOLIO", "SWING", "SCALP")
    pair_cooldown_days: int = 5
    s2w: ScalpPromotion = field(default_factory=ScalpPromotion)
    w2p: SwingPromotion = field(default_factory=SwingPromotion)
    min_transfer_amount: int = 100_000
    max_transfer_amount: int | None = None
    max_retries_per_period: int = 3
    demotion: DemotionRules = field(default_factory=DemotionRules)
    lock_mdd: Decimal = Decimal("0.20")
    fs083_abs: int = 1_000
    fs083_pct: Decimal = Decimal("0.0001")
    fs083_pool_drop: Decimal = Decimal("0.10")
    fs084_recheck_ms: int = 1_000
    fs084_max_attempts: int = 3
    fs084_deadline_s: int = 60
    target_sum_tolerance_bps: int = 50
    metrics_max_age_days: int = 1
    """Sessions after which a metric is stale."""
