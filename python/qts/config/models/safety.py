"""`safety.yaml`: lockdown, guardrails, warning, recovery, anomalies. The switches stand in the local file."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import Flag, Fraction, Number, Whole, refuse
from qts.config.models.base import Section


class KillSwitchConfig(Section):
    """The kill switch of the local file. Whether it is engaged is state, not configuration."""

    armed: Flag = Field(default=True, description="Whether the kill switch may be engaged at all.")


class LockdownSettings(Section):
    """When repeated faults lock the engine down, and what may still leave it then."""

    protective_exits: Literal["TRUSTED_ONLY", "KILL_PLAN_ONLY", "NONE"] = Field(
        default="TRUSTED_ONLY", description="Protective exits that may be sent in LOCKDOWN."
    )
    window_s: Annotated[Whole, Field(ge=60)] = Field(
        default=600, description="Seconds in which a second fail-safe leads to LOCKDOWN."
    )
    clean_cycles_to_reset: Annotated[Whole, Field(ge=1)] = Field(
        default=100, description="Cycles in NORMAL after which earlier fail-safes no longer count."
    )


class GuardrailSettings(Section):
    """How many guardrail hits make a warning."""

    warn_count: Annotated[Whole, Field(ge=1)] = Field(default=5, description="Guardrail hits that lead to WARNING.")
    warn_window_s: Annotated[Whole, Field(ge=1)] = Field(
        default=600, description="Seconds in which those hits are counted."
    )


class WarningSettings(Section):
    """What WARNING changes and how it ends by itself."""

    quiet_s: Annotated[Whole, Field(ge=1)] = Field(
        default=300, description="Seconds without anomaly or guardrail after which WARNING may end."
    )
    quiet_low_s: Annotated[Whole, Field(ge=1)] = Field(
        default=60, description="The same if all anomalies were of level Low."
    )
    clean_cycles: Annotated[Whole, Field(ge=1)] = Field(
        default=20, description="Clean cycles that WARNING also waits for before it ends."
    )
    size_factor: Fraction = Field(
        default=Decimal("1.0"), description="Share of the usual size that an entry gets in WARNING."
    )

    @model_validator(mode="after")
    def _low_is_shorter(self) -> Self:
        if self.quiet_low_s > self.quiet_s:
            raise refuse("ordered", order="quiet_low_s <= quiet_s")
        return self


class RecoverySettings(Section):
    """The way back to NORMAL after a release."""

    probation_cycles: Annotated[Whole, Field(ge=0)] = Field(
        default=50, description="Cycles in WARNING after a release; 0 goes straight to NORMAL."
    )


class AnomalySettings(Section):
    """Thresholds of the anomaly rules."""

    debounce_hits: Annotated[Whole, Field(ge=1)] = Field(
        default=2, description="Hits in a row after which a rule counts as met."
    )
    cooldown_s: Annotated[Whole, Field(ge=0)] = Field(
        default=60, description="Seconds after a report in which the same rule stays silent."
    )
    price_shock_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.05"), description="Move of a price, as a fraction, that is a shock (AN001)."
    )
    price_shock_window_s: Annotated[Whole, Field(ge=1)] = Field(
        default=60, description="Seconds in which that move happens."
    )
    volume_factor: Annotated[Number, Field(gt=1)] = Field(
        default=Decimal(10), description="Volume of a minute over its usual one (AN002)."
    )
    missing_after_open_s: Annotated[Whole, Field(ge=1)] = Field(
        default=60, description="Seconds after the open at which a symbol without a price is reported (AN010)."
    )
    stale_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=3_000, description="Milliseconds without an update while the market trades (AN011)."
    )
    disagreement_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.01"), description="Difference between stream and broker quote, as a fraction (AN012)."
    )
    disagreement_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=3_000, description="Milliseconds for which that difference lasts."
    )
    pnl_shock_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.02"), description="Change of equity, as a fraction, not explained by marks (AN020)."
    )
    pnl_shock_window_s: Annotated[Whole, Field(ge=1)] = Field(
        default=60, description="Seconds in which that change happens."
    )
    position_drift_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=1_000, description="Milliseconds for which shadow and book may differ (AN031)."
    )
    cycle_time_factor: Annotated[Number, Field(gt=1)] = Field(
        default=Decimal(3), description="Duration of a cycle over the median of the last ones (AN040)."
    )
    cycle_time_samples: Annotated[Whole, Field(ge=10)] = Field(
        default=100, description="Cycles that the median is taken from."
    )
    clock_offset_ms: Annotated[Whole, Field(ge=1, le=500)] = Field(
        default=100, description="Offset of the clock, in milliseconds, that is reported (AN041); 500 is a fault."
    )
    broker_slow_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=1_000, description="95th percentile of broker latency, in milliseconds, that is reported (AN050)."
    )
    broker_slow_calls: Annotated[Whole, Field(ge=1)] = Field(
        default=20, description="Calls that the percentile is taken from."
    )
    signal_storm_per_min: Annotated[Whole, Field(ge=1)] = Field(
        default=20, description="Intents of one strategy in a minute above which it is suspended (AN070)."
    )
    flips_per_hour: Annotated[Whole, Field(ge=1)] = Field(
        default=5, description="Changes of direction in a symbol and hour above which it is suspended (AN070)."
    )
    reject_storm: Annotated[Whole, Field(ge=1)] = Field(
        default=10, description="Risk rejections of one strategy in a row that are reported (AN071)."
    )


class SafetyFile(Section):
    """`safety.yaml`."""

    lockdown: LockdownSettings = Field(default_factory=LockdownSettings, description="When faults lock down.")
    guardrail: GuardrailSettings = Field(default_factory=GuardrailSettings, description="When guardrails warn.")
    warning: WarningSettings = Field(default_factory=WarningSettings, description="What WARNING changes.")
    recovery: RecoverySettings = Field(default_factory=RecoverySettings, description="The way back to NORMAL.")
    anomaly: AnomalySettings = Field(default_factory=AnomalySettings, description="Thresholds of anomaly rules.")
