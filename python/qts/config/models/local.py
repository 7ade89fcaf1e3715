"""`config_local.json`: system, hard risk limits, broker choice, loop. Never changed by a strategy."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import Flag, Fraction, Number, Whole, refuse
from qts.config.models.base import Section
from qts.config.models.safety import KillSwitchConfig

HARD_MAX_EXPOSURE: Final = Decimal("0.95")
HARD_MAX_SYMBOL_EXPOSURE: Final = Decimal("0.15")
HARD_MAX_DAILY_LOSS: Final = Decimal("0.05")
HARD_MAX_PER_TRADE: Final = Decimal("0.02")
"""Ceilings, as fractions of equity: no configuration and no operating state lifts a limit above them."""


class LoopConfig(Section):
    """The pipeline's timer."""

    interval_ms: Annotated[Whole, Field(ge=100, le=60_000)] = Field(
        default=1_000, description="Milliseconds between two cycles of the pipeline."
    )


class RiskConfig(Section):
    """Hard limits of the risk gate. Fractions are of account equity."""

    max_exposure_pct: Annotated[Fraction, Field(le=HARD_MAX_EXPOSURE)] = Field(
        default=Decimal("0.50"),
        description="Most of the equity that may be invested, all positions together.",
    )
    max_symbol_exposure_pct: Annotated[Fraction, Field(le=HARD_MAX_SYMBOL_EXPOSURE)] = Field(
        default=Decimal("0.10"), description="Most of the equity that one symbol may hold."
    )
    sector_limit_pct: Fraction = Field(
        default=Decimal("0.30"), description="Most of the equity that the symbols of one sector may hold together."
    )
    daily_loss_warning_pct: Annotated[Fraction, Field(le=HARD_MAX_DAILY_LOSS)] = Field(
        default=Decimal("0.02"), description="Loss of the day from which on no entry is made."
    )
    dd_warning_pct: Fraction = Field(
        default=Decimal("0.05"), description="Drawdown from the equity peak from which on entries are halved."
    )
    dd_danger_pct: Fraction = Field(
        default=Decimal("0.10"), description="Drawdown from the equity peak from which on no entry is made."
    )
    max_trade_qty: Annotated[Whole, Field(ge=1)] = Field(
        default=1_000, description="Most of one order, in whole units (shares, coins)."
    )
    max_order_krw: Annotated[Whole, Field(ge=1)] = Field(
        default=1_000_000, description="Most of one purchase, in whole units of the account's currency (KRW)."
    )
    max_risk_score: Annotated[Number, Field(ge=0, le=1)] = Field(
        default=Decimal("0.7"), description="Most of the track's cash that one purchase may take."
    )
    per_trade_pct: Annotated[Fraction, Field(le=HARD_MAX_PER_TRADE)] = Field(
        default=Decimal("0.005"), description="Most of the track's equity that an entry may lose down to its stop."
    )
    require_stop: Flag = Field(default=False, description="Whether an entry that names no stop is refused.")
    max_adv_pct: Fraction = Field(
        default=Decimal("0.01"),
        description="Largest entry as a fraction of the average volume of a day, once known.",
    )
    limit_by_depth: Flag = Field(
        default=False, description="Whether an entry is also limited by the quantity shown at the best price."
    )
    max_depth_pct: Fraction = Field(
        default=Decimal("0.20"), description="Largest entry as a fraction of that quantity, if limit_by_depth is true."
    )

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        if not self.dd_warning_pct <= self.dd_danger_pct:
            raise refuse("ordered", order="dd_warning_pct <= dd_danger_pct")
        return self


class BrokerConfig(Section):
    """Who executes orders."""

    id: Literal["sim"] = Field(default="sim", description="Broker: sim = the built-in simulated venue.")


class MarketConfig(Section):
    """Where market data come from."""

    source: Literal["sim", "file"] = Field(
        default="sim", description="Market data: sim = a simulated session, file = recorded data."
    )
    max_quote_age_ms: Annotated[Whole, Field(ge=1)] = Field(
        default=3_000, description="Age of a quote, in milliseconds, above which no entry is made on it."
    )


class VolIndexConfig(Section):
    """The volatility index that the thresholds called `vix` are compared with."""

    source: Literal["VIX", "VKOSPI", "NONE"] = Field(
        default="VIX", description="Volatility index; NONE = there is none, its level is unknown."
    )
    scaling: Literal["RAW", "PERCENTILE"] = Field(
        default="RAW",
        description="RAW = points as published; PERCENTILE = the rank within two years, on the scale of the VIX.",
    )
    max_age_sec: Annotated[Whole, Field(ge=60, le=86_400)] = Field(
        default=900, description="Age, in seconds, above which the index allows no change to more risk in a session."
    )


class LocalConfig(Section):
    """The LOCAL scope."""

    mode: Literal["SIM", "BACKTEST"] = Field(
        default="SIM",
        description="Run mode: SIM = paper trading on the simulated venue, BACKTEST = recorded data.",
    )
    trading_enabled: Flag = Field(
        default=False,
        description="Orders are sent only while this is true; the shipped paper configuration sets it.",
    )
    live_enabled: Flag = Field(
        default=False, description="One of the conditions of the live gate; none of them is enough alone."
    )
    pipeline_paused: Flag = Field(
        default=False,
        description="No strategy is asked and entries are withdrawn while this is true; what protects goes on.",
    )
    safe_mode: Flag = Field(
        default=False, description="Cycles run and decide, but nothing is sent, while this is true."
    )
    halt_all: Flag = Field(default=False, description="Nothing at all is sent while this is true, exits neither.")
    failsafe_enabled: Flag = Field(default=True, description="Whether fail-safes act; must be true to trade live.")
    kill_switch: KillSwitchConfig = Field(default_factory=KillSwitchConfig, description="The kill switch.")
    base_equity: Annotated[Whole, Field(gt=0)] = Field(
        default=10_000_000,
        description="Starting cash of a run that names none, in whole units of its currency.",
    )
    loop: LoopConfig = Field(default_factory=LoopConfig, description="The pipeline's timer.")
    risk: RiskConfig = Field(default_factory=RiskConfig, description="Hard risk limits.")
    broker: BrokerConfig = Field(default_factory=BrokerConfig, description="Who executes orders.")
    market: MarketConfig = Field(default_factory=MarketConfig, description="Where market data come from.")
    vol_index: VolIndexConfig = Field(default_factory=VolIndexConfig, description="The volatility index.")
