"""Settings of the capital room, as its rules use them; `capital.yaml` is where they come from (spec 14 §15)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

from qts.capital.messages import say
from qts.codes import ConfigError
from qts.money import plain, to_units
from qts.state import OperatingState
from qts.state.rebalance import POOLS, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts.config import CapitalSettings, QtsConfig, TargetSettings

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
    rebalance_at: Literal["market_close"] = "market_close"
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

    @classmethod
    def from_config(cls, config: QtsConfig, money_scale: int = 0) -> CapitalFlowConfig:
        """Return what a resolved configuration says of capital, amounts in units of 10**-`money_scale`.

        Raises:
            ConfigError: an amount is finer than the unit.
        """
        return cls.from_settings(config.capital, money_scale)

    @classmethod
    def from_settings(cls, settings: CapitalSettings, money_scale: int = 0) -> CapitalFlowConfig:
        """Return the settings of a resolved configuration in this form."""
        units = _Units(settings.currency, money_scale)
        moves, most = settings.rebalance, settings.promotion.max_transfer_amount
        return cls(
            mode=settings.mode,
            currency=settings.currency,
            initial_mode=settings.initial.mode,
            targets={
                OperatingState.AGGRESSIVE: _by_pool(settings.targets.AGGRESSIVE),
                OperatingState.BALANCED: _by_pool(settings.targets.BALANCED),
                OperatingState.DEFENSIVE: _by_pool(settings.targets.DEFENSIVE),
            },
            constraints=_bands(settings, units),
            drift_threshold=settings.drift_threshold,
            daily_move_limit_pct=settings.daily_move_limit_pct,
            rebalance_min_amount=units("rebalance.min_amount", moves.min_amount),
            rebalance_at=moves.at,
            rebalance_priority=moves.priority,
            pair_cooldown_days=moves.pair_cooldown_days,
            s2w=_scalp_promotion(settings, units),
            w2p=_swing_promotion(settings, units),
            min_transfer_amount=units("promotion.min_transfer_amount", settings.promotion.min_transfer_amount),
            max_transfer_amount=None if most is None else units("promotion.max_transfer_amount", most),
            max_retries_per_period=settings.promotion.max_retries_per_period,
            demotion=_demotion(settings),
            lock_mdd=settings.lock.mdd,
            fs083_abs=units("fs083.abs", settings.fs083.abs),
            fs083_pct=settings.fs083.pct,
            fs083_pool_drop=settings.fs083.pool_drop,
            fs084_recheck_ms=settings.fs084.recheck_ms,
            fs084_max_attempts=settings.fs084.max_attempts,
            fs084_deadline_s=settings.fs084.deadline_s,
            target_sum_tolerance_bps=settings.target_sum_tolerance_bps,
            metrics_max_age_days=settings.metrics.max_age_days,
        )


@dataclass(frozen=True, slots=True)
class _Units:
    """Turns amounts of the file into money units."""

    currency: str
    scale: int

    def __call__(self, key: str, amount: Decimal) -> int:
        try:
            return to_units(amount, self.scale)
        except ValueError:
            raise ConfigError(
                found=say("amount_unfit", key=f"capital.{key}", value=plain(amount), currency=self.currency),
                expected=say("amount_unfit_expected", scale=self.scale),
                where="capital.yaml",
                code="FS003",
            ) from None


def _by_pool(row: TargetSettings) -> dict[Pool, Decimal]:
    return {"SCALP": row.scalp, "SWING": row.swing, "PORTFOLIO": row.portfolio}


def _bands(settings: CapitalSettings, units: Callable[[str, Decimal], int]) -> dict[Pool, PoolConstraint]:
    rows = settings.constraints
    named = zip(POOLS, (rows.scalp, rows.swing, rows.portfolio), strict=True)
    return {
        pool: PoolConstraint(row.min_pct, row.max_pct, units(f"constraints.{pool.lower()}.min_amount", row.min_amount))
        for pool, row in named
    }


def _scalp_promotion(settings: CapitalSettings, units: Callable[[str, Decimal], int]) -> ScalpPromotion:
    row = settings.promotion.s2w
    return ScalpPromotion(
        min_accumulated_profit=units("promotion.s2w.min_accumulated_profit", row.min_accumulated_profit),
        min_sharpe=row.min_sharpe,
        min_win_rate_30d=row.min_win_rate_30d,
        min_trades_30d=row.min_trades_30d,
        max_mdd_30d=row.max_mdd_30d,
        transfer_ratio=row.transfer_ratio,
        frequency=row.schedule.frequency,
        at=row.schedule.at,
    )


def _swing_promotion(settings: CapitalSettings, units: Callable[[str, Decimal], int]) -> SwingPromotion:
    row = settings.promotion.w2p
    return SwingPromotion(
        min_accumulated_profit=units("promotion.w2p.min_accumulated_profit", row.min_accumulated_profit),
        min_sharpe=row.min_sharpe,
        max_mdd_recovery_days=row.max_mdd_recovery_days,
        min_holding_period_avg=row.min_holding_period_avg,
        max_mdd_90d=row.max_mdd_90d,
        transfer_ratio=row.transfer_ratio,
        at=row.schedule.at,
    )


def _demotion(settings: CapitalSettings) -> DemotionRules:
    rows = settings.demotion
    return DemotionRules(
        is_enabled=rows.enabled,
        p2w_trigger_mdd=rows.p2w.trigger_mdd,
        p2w_transfer_ratio=rows.p2w.transfer_ratio,
        w2s_trigger_mdd=rows.w2s.trigger_mdd,
        w2s_transfer_ratio=rows.w2s.transfer_ratio,
        w2s_trigger_consecutive_losses=rows.w2s.trigger_consecutive_losses,
        w2s_loss_transfer_ratio=rows.w2s.loss_transfer_ratio,
        quarantine_days=rows.quarantine_days,
        rearm_days=rows.rearm_days,
    )
