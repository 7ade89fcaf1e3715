"""`capital.yaml`: targets and bounds of the three pools, and when capital moves between them."""

from datetime import time
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import ClockTime, Flag, Fraction, Number, Portion, Whole, Word, refuse
from qts.config.models.base import Section

Ratio = Annotated[Fraction, Field(gt=0)]
Amount = Annotated[Number, Field(ge=0)]
PoolName = Literal["PORTFOLIO", "SWING", "SCALP"]


def _with_defaults(rows: type[Section], given: object) -> object:
    """Return what is given of some rows, each filled up with the defaults of that row."""
    if not isinstance(given, dict):
        return given
    fields = rows.model_fields
    return {
        name: {**dict(fields[name].default), **row} if name in fields and isinstance(row, dict) else row
        for name, row in given.items()
    }


class InitialSettings(Section):
    """How a new account is split."""

    mode: Literal["STATE_BASED", "SCALP_FIRST"] = Field(
        default="STATE_BASED",
        description="STATE_BASED: by the targets of the operating state. SCALP_FIRST: all of it to SCALP.",
    )


class TargetSettings(Section):
    """Target shares of the pools in one operating state."""

    scalp: Portion = Field(description="Target share of SCALP.")
    swing: Portion = Field(description="Target share of SWING.")
    portfolio: Portion = Field(description="Target share of PORTFOLIO.")

    @model_validator(mode="after")
    def _they_are_the_whole(self) -> Self:
        if self.scalp + self.swing + self.portfolio != 1:
            raise refuse("ordered", order="scalp + swing + portfolio = 1", hint="whole_hint")
        return self


def _targets(scalp: str, swing: str, portfolio: str) -> TargetSettings:
    return TargetSettings(scalp=Decimal(scalp), swing=Decimal(swing), portfolio=Decimal(portfolio))


class StateTargets(Section):
    """Target shares by operating state."""

    AGGRESSIVE: TargetSettings = Field(default=_targets("0.70", "0.20", "0.10"), description="In AGGRESSIVE.")
    BALANCED: TargetSettings = Field(default=_targets("0.40", "0.35", "0.25"), description="In BALANCED.")
    DEFENSIVE: TargetSettings = Field(default=_targets("0.10", "0.20", "0.70"), description="In DEFENSIVE.")

    @model_validator(mode="before")
    @classmethod
    def _absent_keys_keep_their_default(cls, value: object) -> object:
        return _with_defaults(cls, value)


class ConstraintSettings(Section):
    """Outer band of a pool."""

    min_pct: Portion = Field(description="Share of the total below which the pool is too small (GR051).")
    max_pct: Portion = Field(description="Share of the total above which the pool is too large (GR052).")
    min_amount: Amount = Field(description="Capital below which the pool opens no position (GR051).")


def _band(min_pct: str, max_pct: str, min_amount: int) -> ConstraintSettings:
    return ConstraintSettings(min_pct=Decimal(min_pct), max_pct=Decimal(max_pct), min_amount=Decimal(min_amount))


class ConstraintsSettings(Section):
    """Outer bands of the pools."""

    scalp: ConstraintSettings = Field(default=_band("0.05", "0.80", 1_000_000), description="Band of SCALP.")
    swing: ConstraintSettings = Field(default=_band("0.10", "0.50", 2_000_000), description="Band of SWING.")
    portfolio: ConstraintSettings = Field(default=_band("0.05", "0.80", 3_000_000), description="Band of PORTFOLIO.")

    @model_validator(mode="before")
    @classmethod
    def _absent_keys_keep_their_default(cls, value: object) -> object:
        return _with_defaults(cls, value)

    @model_validator(mode="after")
    def _they_can_hold_the_whole(self) -> Self:
        bands = (self.scalp, self.swing, self.portfolio)
        if any(band.min_pct > band.max_pct for band in bands):
            raise refuse("ordered", order="min_pct <= max_pct of each pool")
        if not sum(band.min_pct for band in bands) <= 1 <= sum(band.max_pct for band in bands):
            raise refuse("ordered", order="sum of min_pct <= 1 <= sum of max_pct")
        return self


class RebalanceMoves(Section):
    """How capital moves towards the targets."""

    min_amount: Amount = Field(default=Decimal(100_000), description="Smallest receipt of a pool in a rebalance.")
    at: Literal["market_close"] = Field(default="market_close", description="When capital moves.")
    priority: tuple[PoolName, PoolName, PoolName] = Field(
        default=("PORTFOLIO", "SWING", "SCALP"), description="Order in which pools receive capital."
    )
    pair_cooldown_days: Annotated[Whole, Field(ge=0, le=90)] = Field(
        default=5,
        description="Sessions after a promotion or demotion in which a rebalance does not move capital back.",
    )

    @model_validator(mode="after")
    def _every_pool_has_its_place(self) -> Self:
        if len(set(self.priority)) != len(self.priority):
            raise refuse("ordered", order="priority names each pool once")
        return self


class WeeklySchedule(Section):
    """When SCALP is reviewed."""

    frequency: Literal["weekly", "monthly"] = Field(
        default="weekly", description="Reviewed on the first session of each week (Monday) or of each month."
    )
    at: ClockTime = Field(default=time(8, 30), description="Time of that, in the exchange's zone, before the open.")


class QuarterlySchedule(Section):
    """When SWING is reviewed."""

    frequency: Literal["quarterly"] = Field(
        default="quarterly", description="Reviewed on the last session of each quarter."
    )
    at: ClockTime = Field(default=time(16, 0), description="Time of that, in the exchange's zone, after the close.")


class ScalpPromotionSettings(Section):
    """Profit of SCALP goes up to SWING if all of these hold."""

    min_accumulated_profit: Amount = Field(
        default=Decimal(1_000_000), description="Realised net profit since the last promotion that is needed at least."
    )
    min_sharpe: Number = Field(default=Decimal("1.5"), description="Sharpe ratio of 30 sessions that must be exceeded.")
    min_win_rate_30d: Fraction = Field(
        default=Decimal("0.55"), description="Share of winning trades of 30 days that must be exceeded."
    )
    min_trades_30d: Annotated[Whole, Field(ge=0)] = Field(
        default=50, description="Closed trades of 30 days that are needed at least."
    )
    max_mdd_30d: Fraction = Field(default=Decimal("0.10"), description="Largest drawdown of 30 days that is allowed.")
    transfer_ratio: Ratio = Field(
        default=Decimal("0.50"), description="Part of the profit above the threshold that moves."
    )
    schedule: WeeklySchedule = Field(default_factory=WeeklySchedule, description="When it is reviewed.")


class SwingPromotionSettings(Section):
    """Profit of SWING goes up to PORTFOLIO if all of these hold."""

    min_accumulated_profit: Amount = Field(
        default=Decimal(5_000_000), description="Realised net profit since the last promotion that is needed at least."
    )
    min_sharpe: Number = Field(default=Decimal("1.2"), description="Sharpe ratio of 90 sessions that must be exceeded.")
    max_mdd_recovery_days: Annotated[Whole, Field(ge=0)] = Field(
        default=30, description="Most calendar days from the trough of the largest drawdown back to its peak."
    )
    min_holding_period_avg: Annotated[Number, Field(ge=0)] = Field(
        default=Decimal(5), description="Days that positions were held on average, at least."
    )
    max_mdd_90d: Fraction = Field(default=Decimal("0.15"), description="Largest drawdown of 90 days that is allowed.")
    transfer_ratio: Ratio = Field(
        default=Decimal("0.30"), description="Part of the profit above the threshold that moves."
    )
    schedule: QuarterlySchedule = Field(default_factory=QuarterlySchedule, description="When it is reviewed.")


class PromotionSettings(Section):
    """Profit goes up: SCALP to SWING to PORTFOLIO."""

    s2w: ScalpPromotionSettings = Field(default_factory=ScalpPromotionSettings, description="SCALP to SWING.")
    w2p: SwingPromotionSettings = Field(default_factory=SwingPromotionSettings, description="SWING to PORTFOLIO.")
    min_transfer_amount: Amount = Field(
        default=Decimal(100_000), description="Amount below which nothing moves and the profit carries over."
    )
    max_transfer_amount: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="Most that one promotion moves; unset = the daily limit alone binds."
    )
    max_retries_per_period: Annotated[Whole, Field(ge=0, le=10)] = Field(
        default=3, description="Further attempts of a promotion of one period."
    )


class PortfolioDemotionSettings(Section):
    """PORTFOLIO to SWING."""

    trigger_mdd: Ratio = Field(default=Decimal("0.10"), description="Drawdown of PORTFOLIO that must be exceeded.")
    transfer_ratio: Ratio = Field(default=Decimal("0.20"), description="Part of PORTFOLIO that moves then.")


class SwingDemotionSettings(Section):
    """SWING to SCALP; if both triggers are exceeded, the larger ratio moves, never both."""

    trigger_mdd: Ratio = Field(default=Decimal("0.15"), description="Drawdown of SWING that must be exceeded.")
    transfer_ratio: Ratio = Field(default=Decimal("0.30"), description="Part of SWING that moves then.")
    trigger_consecutive_losses: Annotated[Whole, Field(ge=1)] = Field(
        default=5, description="Losing SWING trades in a row that must be exceeded."
    )
    loss_transfer_ratio: Ratio = Field(
        default=Decimal("0.20"), description="Part of SWING that moves after too many losses in a row."
    )


class DemotionSettings(Section):
    """Capital goes down after losses: PORTFOLIO to SWING to SCALP."""

    enabled: Flag = Field(default=True, description="Capital may go down at all.")
    p2w: PortfolioDemotionSettings = Field(default_factory=PortfolioDemotionSettings, description="PORTFOLIO to SWING.")
    w2s: SwingDemotionSettings = Field(default_factory=SwingDemotionSettings, description="SWING to SCALP.")
    quarantine_days: Annotated[Whole, Field(ge=0, le=90)] = Field(
        default=5, description="Sessions for which the receiving pool may not spend what it received."
    )
    rearm_days: Annotated[Whole, Field(ge=1, le=250)] = Field(
        default=20, description="Sessions after which a trigger may fire again although it has not recovered."
    )


class LockSettings(Section):
    """When a pool is locked."""

    mdd: Ratio = Field(default=Decimal("0.20"), description="Drawdown of a pool that must be exceeded (FS082).")


class UnexplainedSettings(Section):
    """Change of capital that nothing explains (FS083)."""

    abs: Amount = Field(default=Decimal(1_000), description="Difference that is tolerated.")
    pct: Fraction = Field(default=Decimal("0.0001"), description="Or this part of the equity, if that is more.")
    pool_drop: Ratio = Field(
        default=Decimal("0.10"), description="Fall of a pool between two snapshots at which transfers stop."
    )


class MismatchSettings(Section):
    """Pools, ledger and broker disagree (FS084)."""

    recheck_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=1_000, description="Milliseconds after which it is looked at again before it counts."
    )
    max_attempts: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=3, description="Attempts after which it is a fault."
    )
    deadline_s: Annotated[Whole, Field(ge=1, le=3_600)] = Field(
        default=60, description="Seconds after which it is a fault."
    )


class MetricSettings(Section):
    """What a measure must be to count."""

    max_age_days: Annotated[Whole, Field(ge=1, le=30)] = Field(
        default=1, description="Sessions after which a measure is too old (GR057)."
    )


class CapitalSettings(Section):
    """Capital of the three pools."""

    mode: Literal["AUTO", "ON", "OFF"] = Field(
        default="AUTO",
        description="ON: three pools. OFF: the account is one. AUTO: pools where strategies of several tracks run.",
    )
    currency: Word = Field(default="KRW", description="Currency of the pools; amounts of this file are in it.")
    initial: InitialSettings = Field(default_factory=InitialSettings, description="How a new account is split.")
    targets: StateTargets = Field(default_factory=StateTargets, description="Target shares by operating state.")
    constraints: ConstraintsSettings = Field(default_factory=ConstraintsSettings, description="Outer bands.")
    drift_threshold: Annotated[Ratio, Field(lt=1)] = Field(
        default=Decimal("0.10"), description="Distance of a share from its target that must be exceeded (GR055)."
    )
    daily_move_limit_pct: Ratio = Field(
        default=Decimal("0.05"), description="Part of the equity that may move between pools in a day (GR054)."
    )
    rebalance: RebalanceMoves = Field(default_factory=RebalanceMoves, description="Moves towards the targets.")
    promotion: PromotionSettings = Field(default_factory=PromotionSettings, description="Profit goes up.")
    demotion: DemotionSettings = Field(default_factory=DemotionSettings, description="Capital goes down.")
    lock: LockSettings = Field(default_factory=LockSettings, description="When a pool is locked.")
    fs083: UnexplainedSettings = Field(default_factory=UnexplainedSettings, description="Unexplained changes.")
    fs084: MismatchSettings = Field(default_factory=MismatchSettings, description="Books that disagree.")
    target_sum_tolerance_bps: Annotated[Whole, Field(ge=0, le=1_000)] = Field(
        default=50,
        description="Basis points by which the sum of targets may be off to be put right in a run (GR050).",
    )
    metrics: MetricSettings = Field(default_factory=MetricSettings, description="Measures.")

    @model_validator(mode="after")
    def _targets_lie_in_the_bands(self) -> Self:
        for state in ("AGGRESSIVE", "BALANCED", "DEFENSIVE"):
            targets: TargetSettings = getattr(self.targets, state)
            for pool in ("scalp", "swing", "portfolio"):
                band: ConstraintSettings = getattr(self.constraints, pool)
                if not band.min_pct <= getattr(targets, pool) <= band.max_pct:
                    order = f"constraints.{pool}.min_pct <= targets.{state}.{pool} <= constraints.{pool}.max_pct"
                    raise refuse("ordered", order=order)
        return self

    @model_validator(mode="after")
    def _demotion_comes_before_the_lock(self) -> Self:
        for pair in ("p2w", "w2s"):
            if getattr(self.demotion, pair).trigger_mdd >= self.lock.mdd:
                raise refuse("ordered", order=f"demotion.{pair}.trigger_mdd < lock.mdd")
        return self


class CapitalFile(Section):
    """`capital.yaml`."""

    capital: CapitalSettings = Field(default_factory=CapitalSettings, description="Capital of the three pools.")
