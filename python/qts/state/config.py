"""Settings of the operating state, as the rules use them; `state.yaml` is where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qts.state.contracts import STATE_PROPERTIES, OperatingState, StateProperties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.config import OperatingStateSettings, QtsConfig, StatePropertySettings

GatePolicy: TypeAlias = Literal["LITERAL", "SAFE"]

COOLDOWN_HOURS: Final = 24
CONFIRMATION_CYCLES: Final = 2
HYSTERESIS_CONFIG: Final[Mapping[OperatingState, Mapping[str, int]]] = {
    OperatingState.AGGRESSIVE: {"min_duration_days": 7},
    OperatingState.BALANCED: {"min_duration_days": 5},
    OperatingState.DEFENSIVE: {"min_duration_days": 3},
}


@dataclass(frozen=True, slots=True)
class AggressiveToBalancedLimits:
    """Any value above its limit lowers AGGRESSIVE to BALANCED."""

    drawdown_pct: float = 0.05
    vix: float = 25.0
    consecutive_scalp_losses: int = 5
    daily_loss_pct: float = 0.02


@dataclass(frozen=True, slots=True)
class BalancedToDefensiveLimits:
    """Any value above its limit lowers BALANCED to DEFENSIVE."""

    drawdown_pct: float = 0.10
    vix: float = 30.0


@dataclass(frozen=True, slots=True)
class DefensiveToBalancedLimits:
    """All of them raise DEFENSIVE to BALANCED: below the first two, at least the others."""

    drawdown_pct: float = 0.05
    vix: float = 20.0
    consecutive_profitable_days: int = 3
    min_duration_days: int = 5


@dataclass(frozen=True, slots=True)
class BalancedToAggressiveLimits:
    """All of them raise BALANCED to AGGRESSIVE: below the index, above growth and win rate."""

    vix: float = 15.0
    capital_growth_pct: float = 0.10
    win_rate_30d: float = 0.60
    min_duration_days: int = 10
    target_cagr: float | None = None
    max_drawdown_pct: float = 0.05
    """SAFE only."""


@dataclass(frozen=True, slots=True)
class RebalanceRules:
    """When a rebalance starts and ends."""

    stop_band_pct: float = 0.02
    schedule: Literal["monthly", "quarterly"] = "monthly"
    on_defensive_entry: bool = True
    manual_enabled: bool = True
    allow_position_sells: bool = False


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Everything the operating state is configured by; the defaults are the shipped ones."""

    default: OperatingState = OperatingState.BALANCED
    transition_enabled: bool = True
    policy: GatePolicy = "LITERAL"
    hard_confirm_samples: int = 2
    min_duration_days: Mapping[OperatingState, int] = field(
        default_factory=lambda: {state: row["min_duration_days"] for state, row in HYSTERESIS_CONFIG.items()}
    )
    cooldown_hours: int = COOLDOWN_HOURS
    confirmation_cycles: int = CONFIRMATION_CYCLES
    evaluation_interval_sec: int = 3_600
    metrics_interval_sec: int = 60
    growth_lookback_days: int = 90
    cagr_min_days: int = 90
    win_rate_min_trades: int = 20
    aggressive_to_balanced: AggressiveToBalancedLimits = AggressiveToBalancedLimits()
    balanced_to_defensive: BalancedToDefensiveLimits = BalancedToDefensiveLimits()
    defensive_to_balanced: DefensiveToBalancedLimits = DefensiveToBalancedLimits()
    balanced_to_aggressive: BalancedToAggressiveLimits = BalancedToAggressiveLimits()
    override_enabled: bool = True
    override_max_days: int = 7
    dual_control_live: bool = True
    properties: Mapping[OperatingState, StateProperties] = field(default_factory=lambda: STATE_PROPERTIES)
    rebalance: RebalanceRules = RebalanceRules()
    vol_max_age_sec: int = 900
    """Age of the volatility index above which nothing gets riskier in a session (`vol_index.max_age_sec`)."""

    @property
    def is_safe(self) -> bool:
        """Whether the gate policy is SAFE."""
        return self.policy == "SAFE"

    @classmethod
    def from_config(cls, config: QtsConfig) -> StateConfig:
        """Return what a resolved configuration says of the operating state, the age of the index included."""
        return cls.from_settings(config.operating_state, vol_max_age_sec=config.local.vol_index.max_age_sec)

    @classmethod
    def from_settings(cls, settings: OperatingStateSettings, *, vol_max_age_sec: int = 900) -> StateConfig:
        """Return the settings of a resolved configuration in this form."""
        moves, stay, shares = settings.transitions, settings.hysteresis, settings.properties
        down, lowest = moves.aggressive_to_balanced, moves.balanced_to_defensive
        back, up = moves.defensive_to_balanced, moves.balanced_to_aggressive
        plan = settings.rebalance
        return cls(
            default=OperatingState(settings.default),
            transition_enabled=settings.transition_enabled,
            policy=settings.gates.policy,
            hard_confirm_samples=settings.gates.hard_confirm_samples,
            min_duration_days={
                OperatingState.AGGRESSIVE: stay.aggressive.min_duration_days,
                OperatingState.BALANCED: stay.balanced.min_duration_days,
                OperatingState.DEFENSIVE: stay.defensive.min_duration_days,
            },
            cooldown_hours=settings.cooldown_hours,
            confirmation_cycles=settings.confirmation_cycles,
            evaluation_interval_sec=settings.evaluation_interval_sec,
            metrics_interval_sec=settings.metrics_interval_sec,
            growth_lookback_days=settings.growth_lookback_days,
            cagr_min_days=settings.cagr_min_days,
            win_rate_min_trades=settings.win_rate_min_trades,
            aggressive_to_balanced=AggressiveToBalancedLimits(
                float(down.drawdown_pct), float(down.vix), down.consecutive_scalp_losses, float(down.daily_loss_pct)
            ),
            balanced_to_defensive=BalancedToDefensiveLimits(float(lowest.drawdown_pct), float(lowest.vix)),
            defensive_to_balanced=DefensiveToBalancedLimits(
                float(back.drawdown_pct), float(back.vix), back.consecutive_profitable_days, back.min_duration_days
            ),
            balanced_to_aggressive=BalancedToAggressiveLimits(
                float(up.vix),
                float(up.capital_growth_pct),
                float(up.win_rate_30d),
                up.min_duration_days,
                None if up.target_cagr is None else float(up.target_cagr),
                float(up.max_drawdown_pct),
            ),
            override_enabled=settings.override.enabled,
            override_max_days=settings.override.max_duration_days,
            dual_control_live=settings.override.dual_control_live,
            properties={
                OperatingState.AGGRESSIVE: _properties(shares.aggressive),
                OperatingState.BALANCED: _properties(shares.balanced),
                OperatingState.DEFENSIVE: _properties(shares.defensive),
            },
            rebalance=RebalanceRules(
                float(plan.stop_band_pct),
                plan.schedule,
                plan.on_defensive_entry,
                plan.manual_enabled,
                plan.allow_position_sells,
            ),
            vol_max_age_sec=vol_max_age_sec,
        )


def _properties(row: StatePropertySettings) -> StateProperties:
    def share(pair: tuple[object, object]) -> tuple[float, float]:
        return float(str(pair[0])), float(str(pair[1]))

    return StateProperties(
        scalp_allocation_range=share(row.scalp_allocation_range),
        swing_allocation_range=share(row.swing_allocation_range),
        portfolio_allocation_range=share(row.portfolio_allocation_range),
        risk_tolerance_multiplier=float(row.risk_tolerance_multiplier),
        entry_signal_threshold=float(row.entry_signal_threshold),
        max_positions=row.max_positions,
        max_daily_trades=row.max_daily_trades,
        rebalancing_enabled=row.rebalancing_enabled,
        new_entry_enabled=row.new_entry_enabled,
        scalp_engine_active=row.scalp_engine_active,
        swing_engine_active=row.swing_engine_active,
    )
