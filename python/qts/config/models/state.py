"""`state.yaml`: thresholds, waiting times and properties of the three operating states."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from qts.config.fields import Flag, Fraction, Number, Whole, refuse, split_words
from qts.config.models.base import Section

StateName = Literal["AGGRESSIVE", "BALANCED", "DEFENSIVE"]

Share = Annotated[tuple[Fraction, Fraction], BeforeValidator(split_words)]
"""Least and most of the equity, as fractions."""

DRIFT_THRESHOLD: Final = Decimal("0.10")
"""Drift of a pool, as a share of the total, above which a rebalance starts (`capital.drift_threshold`)."""


class Stay(Section):
    """How long a state is kept at least."""

    min_duration_days: Annotated[Whole, Field(ge=0, le=90)] = Field(
        description="Days of 24 hours that the state is kept before a rule may leave it."
    )


class HysteresisSettings(Section):
    """Shortest stay by state."""

    aggressive: Stay = Field(default=Stay(min_duration_days=7), description="Stay in AGGRESSIVE.")
    balanced: Stay = Field(default=Stay(min_duration_days=5), description="Stay in BALANCED.")
    defensive: Stay = Field(default=Stay(min_duration_days=3), description="Stay in DEFENSIVE.")


class GateSettings(Section):
    """Which moves wait for stay, cooldown and confirmation."""

    policy: Literal["LITERAL", "SAFE"] = Field(
        default="LITERAL",
        description="LITERAL: every move that safety does not force waits. SAFE: losses act after a confirming sample,"
        " and limits tighten while a move to less risk waits.",
    )
    hard_confirm_samples: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=2, description="Samples in a row that confirm a loss or a circuit breaker (SAFE only)."
    )


class AggressiveToBalancedSettings(Section):
    """Any of these lowers AGGRESSIVE to BALANCED."""

    drawdown_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.05"), description="Drawdown from the highest net asset value above which the state is left."
    )
    vix: Annotated[Number, Field(gt=0)] = Field(
        default=Decimal(25), description="Volatility index, in points, above which the state is left."
    )
    consecutive_scalp_losses: Annotated[Whole, Field(gt=0)] = Field(
        default=5, description="Losing scalp trades in a row above which the state is left."
    )
    daily_loss_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.02"), description="Loss since the session opened above which the state is left."
    )


class BalancedToDefensiveSettings(Section):
    """Any of these, a circuit breaker or a safety warning lowers BALANCED to DEFENSIVE."""

    drawdown_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.10"), description="Drawdown from the highest net asset value above which the state is left."
    )
    vix: Annotated[Number, Field(gt=0)] = Field(
        default=Decimal(30), description="Volatility index, in points, above which the state is left."
    )


class DefensiveToBalancedSettings(Section):
    """All of these, with safety NORMAL, raise DEFENSIVE to BALANCED."""

    drawdown_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.05"), description="Drawdown from the highest net asset value that must not be reached."
    )
    vix: Annotated[Number, Field(gt=0)] = Field(
        default=Decimal(20), description="Volatility index, in points, that must not be reached."
    )
    consecutive_profitable_days: Annotated[Whole, Field(ge=0)] = Field(
        default=3, description="Completed trading days in a row with a profit that are needed at least."
    )
    min_duration_days: Annotated[Whole, Field(ge=0, le=90)] = Field(
        default=5, description="Days in the state that are needed at least."
    )


class BalancedToAggressiveSettings(Section):
    """All of these raise BALANCED to AGGRESSIVE."""

    vix: Annotated[Number, Field(gt=0)] = Field(
        default=Decimal(15), description="Volatility index, in points, that must not be reached."
    )
    capital_growth_pct: Annotated[Number, Field(ge=0)] = Field(
        default=Decimal("0.10"), description="Growth of the net asset value that must be exceeded."
    )
    win_rate_30d: Fraction = Field(
        default=Decimal("0.60"), description="Share of winning trades of 30 days that must be exceeded."
    )
    min_duration_days: Annotated[Whole, Field(ge=0, le=90)] = Field(
        default=10, description="Days in the state that are needed at least."
    )
    target_cagr: Annotated[Number, Field(ge=0, le=5)] | None = Field(
        default=None, description="Yearly growth that must be exceeded, as a fraction; unset = the move is never made."
    )
    max_drawdown_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.05"),
        description="Drawdown that must not be reached (SAFE only, also the limit of an override to AGGRESSIVE).",
    )


class TransitionSettings(Section):
    """Thresholds of the four moves. Losses and the index compare strictly, counts of days inclusively."""

    aggressive_to_balanced: AggressiveToBalancedSettings = Field(
        default_factory=AggressiveToBalancedSettings, description="AGGRESSIVE to BALANCED, any of them."
    )
    balanced_to_defensive: BalancedToDefensiveSettings = Field(
        default_factory=BalancedToDefensiveSettings, description="BALANCED to DEFENSIVE, any of them."
    )
    defensive_to_balanced: DefensiveToBalancedSettings = Field(
        default_factory=DefensiveToBalancedSettings, description="DEFENSIVE to BALANCED, all of them."
    )
    balanced_to_aggressive: BalancedToAggressiveSettings = Field(
        default_factory=BalancedToAggressiveSettings, description="BALANCED to AGGRESSIVE, all of them."
    )

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> Self:
        lower, lowest = self.aggressive_to_balanced, self.balanced_to_defensive
        back, up = self.defensive_to_balanced, self.balanced_to_aggressive
        ordered = (
            ("aggressive_to_balanced.drawdown_pct < balanced_to_defensive.drawdown_pct",
             lower.drawdown_pct < lowest.drawdown_pct),
            ("aggressive_to_balanced.vix < balanced_to_defensive.vix", lower.vix < lowest.vix),
            ("balanced_to_aggressive.vix < aggressive_to_balanced.vix", up.vix < lower.vix),
            ("defensive_to_balanced.vix < balanced_to_defensive.vix", back.vix < lowest.vix),
            ("defensive_to_balanced.drawdown_pct < balanced_to_defensive.drawdown_pct",
             back.drawdown_pct < lowest.drawdown_pct),
        )  # fmt: skip
        for order, holds in ordered:
            if not holds:  # a way back that is open while the way out is would let the state swing for ever
                raise refuse("ordered", order=order)
        return self


class OverrideSettings(Section):
    """What an operator may impose."""

    enabled: Flag = Field(default=True, description="Operators may override the state; DEFENSIVE they always may.")
    max_duration_days: Annotated[Whole, Field(ge=1, le=7)] = Field(
        default=7, description="Days after which an override ends at the latest; a longer one is refused."
    )
    dual_control_live: Flag = Field(
        default=True,
        description="In live trading a second operator confirms an override to more risk (SAFE only).",
    )


class StatePropertySettings(Section):
    """What a state permits."""

    scalp_allocation_range: Share = Field(description="Least and most of the equity for SCALP.")
    swing_allocation_range: Share = Field(description="Least and most of the equity for SWING.")
    portfolio_allocation_range: Share = Field(description="Least and most of the equity for PORTFOLIO.")
    risk_tolerance_multiplier: Annotated[Number, Field(gt=0, le=2)] = Field(
        description="Factor on the limits of entries; hard limits cap the product."
    )
    entry_signal_threshold: Fraction = Field(description="Confidence below which an entry is dropped; never an exit.")
    max_positions: Annotated[Whole, Field(ge=0)] = Field(description="Most symbols held at once.")
    max_daily_trades: Annotated[Whole, Field(ge=0)] = Field(description="Most entry orders of a trading day.")
    rebalancing_enabled: Flag = Field(description="The system may move capital between pools.")
    new_entry_enabled: Flag = Field(description="Positions may be opened.")
    scalp_engine_active: Flag = Field(description="SCALP may enter; if not, it only exits.")
    swing_engine_active: Flag = Field(description="SWING runs.")

    @model_validator(mode="after")
    def _ranges_hold_the_whole(self) -> Self:
        ranges = (self.scalp_allocation_range, self.swing_allocation_range, self.portfolio_allocation_range)
        if any(least > most for least, most in ranges):
            raise refuse("ordered", order="least <= most in each *_allocation_range")
        if not sum(least for least, _ in ranges) <= 1 <= sum(most for _, most in ranges):
            raise refuse("ordered", order="sum of the least shares <= 1 <= sum of the most")
        return self


def _properties(*shares: str, multiplier: str, threshold: str, positions: int, trades: int, **flags: bool) -> Any:  # noqa: ANN401
    ranges = [split_words(share) for share in shares]
    return StatePropertySettings.model_validate(
        {
            "scalp_allocation_range": ranges[0],
            "swing_allocation_range": ranges[1],
            "portfolio_allocation_range": ranges[2],
            "risk_tolerance_multiplier": multiplier,
            "entry_signal_threshold": threshold,
            "max_positions": positions,
            "max_daily_trades": trades,
            "swing_engine_active": True,
            **flags,
        }
    )


_DEFAULTS: Final[Mapping[str, StatePropertySettings]] = {
    "aggressive": _properties(
        "0.60,0.80", "0.15,0.30", "0.05,0.10", multiplier="1.2", threshold="0.6", positions=20, trades=50,
        rebalancing_enabled=False, new_entry_enabled=True, scalp_engine_active=True,
    ),
    "balanced": _properties(
        "0.30,0.50", "0.30,0.40", "0.20,0.30", multiplier="1.0", threshold="0.7", positions=15, trades=30,
        rebalancing_enabled=True, new_entry_enabled=True, scalp_engine_active=True,
    ),
    "defensive": _properties(
        "0.05,0.15", "0.15,0.25", "0.60,0.80", multiplier="0.5", threshold="0.9", positions=10, trades=10,
        rebalancing_enabled=True, new_entry_enabled=False, scalp_engine_active=False,
    ),
}  # fmt: skip


class PropertiesSettings(Section):
    """What each state permits; a key that is left out keeps its default."""

    aggressive: StatePropertySettings = Field(default=_DEFAULTS["aggressive"], description="AGGRESSIVE.")
    balanced: StatePropertySettings = Field(default=_DEFAULTS["balanced"], description="BALANCED.")
    defensive: StatePropertySettings = Field(default=_DEFAULTS["defensive"], description="DEFENSIVE.")

    @model_validator(mode="before")
    @classmethod
    def _absent_keys_keep_their_default(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {
            name: {**dict(_DEFAULTS[name]), **given} if name in _DEFAULTS and isinstance(given, dict) else given
            for name, given in value.items()
        }


class RebalanceSettings(Section):
    """When and how capital moves between pools."""

    stop_band_pct: Annotated[Fraction, Field(gt=0, lt=DRIFT_THRESHOLD)] = Field(
        default=Decimal("0.02"), description="Drift of every pool at which a running rebalance is done."
    )
    schedule: Literal["monthly", "quarterly"] = Field(
        default="monthly", description="A rebalance is planned on the first session of each month or quarter."
    )
    on_defensive_entry: Flag = Field(default=True, description="Entering DEFENSIVE plans a rebalance.")
    manual_enabled: Flag = Field(default=True, description="An operator may plan a rebalance.")
    allow_position_sells: Flag = Field(
        default=False, description="A rebalance may take more from a pool than its free capital, by selling."
    )


class OperatingStateSettings(Section):
    """The operating state of the account."""

    default: StateName = Field(default="BALANCED", description="State of the very first start.")
    transition_enabled: Flag = Field(
        default=True, description="Rules may change the state; what safety forces always does."
    )
    gates: GateSettings = Field(default_factory=GateSettings, description="What waits.")
    hysteresis: HysteresisSettings = Field(default_factory=HysteresisSettings, description="Shortest stay.")
    cooldown_hours: Annotated[Whole, Field(ge=0, le=168)] = Field(
        default=24, description="Hours that must have passed since the last change, and a moment more."
    )
    confirmation_cycles: Annotated[Whole, Field(ge=1, le=24)] = Field(
        default=2, description="Evaluations in a row that confirm a change."
    )
    evaluation_interval_sec: Annotated[Whole, Field(ge=60, le=86_400)] = Field(
        default=3_600, description="Seconds between two evaluations, counted from midnight UTC."
    )
    metrics_interval_sec: Annotated[Whole, Field(ge=1, le=600)] = Field(
        default=60, description="Seconds between two samples of the metrics."
    )
    growth_lookback_days: Annotated[Whole, Field(ge=1)] = Field(
        default=90, description="Days over which growth of the net asset value is measured."
    )
    cagr_min_days: Annotated[Whole, Field(ge=1)] = Field(
        default=90, description="Days of history without which yearly growth is unknown."
    )
    win_rate_min_trades: Annotated[Whole, Field(ge=1)] = Field(
        default=20, description="Closed trades without which the share of winning ones is unknown."
    )
    transitions: TransitionSettings = Field(default_factory=TransitionSettings, description="Thresholds.")
    override: OverrideSettings = Field(default_factory=OverrideSettings, description="What an operator may impose.")
    properties: PropertiesSettings = Field(default_factory=PropertiesSettings, description="What a state permits.")
    rebalance: RebalanceSettings = Field(default_factory=RebalanceSettings, description="Capital between pools.")


class StateFile(Section):
    """`state.yaml`."""

    operating_state: OperatingStateSettings = Field(
        default_factory=OperatingStateSettings, description="The operating state of the account."
    )
