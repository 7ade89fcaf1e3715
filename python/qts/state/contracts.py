"""The three states, what they permit, and the records that go in and out (design 003 section 4.1)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from qts.safety import SafetyState

REASON_CHARS_MAX: Final = 500
OPERATOR_CHARS_MAX: Final = 64

Share: TypeAlias = tuple[float, float]
"""Least and most of the total equity, as fractions."""


class OperatingState(StrEnum):
    """How much risk the account takes."""

    AGGRESSIVE = "AGGRESSIVE"
    BALANCED = "BALANCED"
    DEFENSIVE = "DEFENSIVE"

    @property
    def rank(self) -> int:
        """2 AGGRESSIVE, 1 BALANCED, 0 DEFENSIVE: more is riskier."""
        return _RANK[self]


_RANK: Final = {OperatingState.AGGRESSIVE: 2, OperatingState.BALANCED: 1, OperatingState.DEFENSIVE: 0}


@dataclass(frozen=True, slots=True)
class StateProperties:
    """What a state permits. Ranges are fractions of the total equity.

    Raises:
        ValueError: the ranges cannot add up to the whole, or a number lies outside its range.
    """

    scalp_allocation_range: Share
    swing_allocation_range: Share
    portfolio_allocation_range: Share
    risk_tolerance_multiplier: float
    """Factor on entry limits, above 0 and at most 2; hard limits cap the product, fail-safe limits ignore it."""
    entry_signal_threshold: float
    """Confidence, 0 to 1, below which an entry is dropped; exits know no threshold."""
    max_positions: int
    max_daily_trades: int
    """Entry orders of a trading day; exits and rebalances do not count."""
    rebalancing_enabled: bool
    new_entry_enabled: bool
    scalp_engine_active: bool
    """False: SCALP only exits."""
    swing_engine_active: bool

    def __post_init__(self) -> None:
        """Check what every configuration must hold."""
        ranges = (self.scalp_allocation_range, self.swing_allocation_range, self.portfolio_allocation_range)
        if not all(0 <= least <= most <= 1 for least, most in ranges):
            raise ValueError(f"allocation ranges {ranges} do not lie between 0 and 1, least before most")
        if not math.fsum(least for least, _ in ranges) <= 1 <= math.fsum(most for _, most in ranges):
            raise ValueError(f"allocation ranges {ranges} cannot add up to the whole")
        if not 0 < self.risk_tolerance_multiplier <= 2 or not 0 <= self.entry_signal_threshold <= 1:
            raise ValueError("the multiplier lies above 0 and at most at 2, the threshold between 0 and 1")
        if self.max_positions < 0 or self.max_daily_trades < 0:
            raise ValueError("counts are not negative")

    def limited_by(self, other: "StateProperties") -> "StateProperties":
        """Return these properties with every limit of `other` that is tighter; shares and rebalancing stay."""
        return StateProperties(
            self.scalp_allocation_range,
            self.swing_allocation_range,
            self.portfolio_allocation_range,
            min(self.risk_tolerance_multiplier, other.risk_tolerance_multiplier),
            max(self.entry_signal_threshold, other.entry_signal_threshold),
            min(self.max_positions, other.max_positions),
            min(self.max_daily_trades, other.max_daily_trades),
            self.rebalancing_enabled,
            self.new_entry_enabled and other.new_entry_enabled,
            self.scalp_engine_active and other.scalp_engine_active,
            self.swing_engine_active and other.swing_engine_active,
        )


STATE_PROPERTIES: Final[Mapping[OperatingState, StateProperties]] = MappingProxyType(
    {
        OperatingState.AGGRESSIVE: StateProperties(
            scalp_allocation_range=(0.60, 0.80),
            swing_allocation_range=(0.15, 0.30),
            portfolio_allocation_range=(0.05, 0.10),
            risk_tolerance_multiplier=1.2,
            entry_signal_threshold=0.6,
            max_positions=20,
            max_daily_trades=50,
            rebalancing_enabled=False,
            new_entry_enabled=True,
            scalp_engine_active=True,
            swing_engine_active=True,
        ),
        OperatingState.BALANCED: StateProperties(
            scalp_allocation_range=(0.30, 0.50),
            swing_allocation_range=(0.30, 0.40),
            portfolio_allocation_range=(0.20, 0.30),
            risk_tolerance_multiplier=1.0,
            entry_signal_threshold=0.7,
            max_positions=15,
            max_daily_trades=30,
            rebalancing_enabled=True,
            new_entry_enabled=True,
            scalp_engine_active=True,
            swing_engine_active=True,
        ),
        OperatingState.DEFENSIVE: StateProperties(
            scalp_allocation_range=(0.05, 0.15),
            swing_allocation_range=(0.15, 0.25),
            portfolio_allocation_range=(0.60, 0.80),
            risk_tolerance_multiplier=0.5,
            entry_signal_threshold=0.9,
            max_positions=10,
            max_daily_trades=10,
            rebalancing_enabled=True,
            new_entry_enabled=False,
            scalp_engine_active=False,
            swing_engine_active=True,
        ),
    }
)
"""The properties of the design; a configuration may change them."""


@dataclass(frozen=True, slots=True)
class TransitionMetrics:
    """What the rules look at: exactly the ten fields of the design. None = unknown, which is never zero.

    Ratios are fractions (0.05 = 5 %), losses are positive.
    """

    drawdown_pct: float | None
    """1 - net asset value / its highest, marked to the market, deposits and withdrawals removed."""
    vix: float | None
    """Level of the volatility index in points, after its scaling."""
    consecutive_scalp_losses: int | None
    daily_loss_pct: float | None
    """Loss since the session opened, realised and unrealised."""
    market_circuit_breaker: bool | None
    """The primary market is halted as a whole."""
    consecutive_profitable_days: int | None
    """Completed trading days in a row with a profit; today is no such day."""
    cagr: float | None
    """Yearly growth of the net asset value."""
    target_cagr: float | None
    """What it has to exceed; None = never to AGGRESSIVE by rule."""
    capital_growth_pct: float | None
    """Growth of the net asset value over `growth_lookback_days`."""
    win_rate_30d: float | None
    """Winning trades of those closed in the last 30 days."""


class MetricFlag(StrEnum):
    """How far a metric can be relied on."""

    VALID = "VALID"
    STALE = "STALE"
    """Old: it may still lower the risk, never raise it."""
    MISSING = "MISSING"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class MetricQuality:
    """How old the metrics are, and what their producer knows to be wrong with them.

    `asof` is when the account was valued, `vix_asof` when the index was published (None = unknown, which counts as
    missing). A field that `flags` does not name is as good as its value and age.
    """

    asof: datetime
    vix_asof: datetime | None
    flags: Mapping[str, MetricFlag] = field(default_factory=dict)


class TransitionKind(StrEnum):
    """What opened the gate."""

    RULE_SOFT = "RULE_SOFT"
    RULE_HARD = "RULE_HARD"
    FORCED_SAFETY = "FORCED_SAFETY"
    FORCED_MICRO_RISK = "FORCED_MICRO_RISK"
    OVERRIDE = "OVERRIDE"
    OVERRIDE_EXPIRED = "OVERRIDE_EXPIRED"
    LOCKDOWN_RELEASE = "LOCKDOWN_RELEASE"
    BOOT = "BOOT"


class TransitionReason(StrEnum):
    """Why a state changed."""

    DRAWDOWN_THRESHOLD_EXCEEDED = "DRAWDOWN_THRESHOLD_EXCEEDED"
    VOLATILITY_THRESHOLD_EXCEEDED = "VOLATILITY_THRESHOLD_EXCEEDED"
    CONSECUTIVE_SCALP_LOSSES = "CONSECUTIVE_SCALP_LOSSES"
    DAILY_LOSS_EXCEEDED = "DAILY_LOSS_EXCEEDED"
    MARKET_CIRCUIT_BREAKER = "MARKET_CIRCUIT_BREAKER"
    SAFETY_WARNING = "SAFETY_WARNING"
    SAFETY_FAIL_TRIGGERED = "SAFETY_FAIL_TRIGGERED"
    SAFETY_LOCKDOWN = "SAFETY_LOCKDOWN"
    MICRO_RISK_ESCALATION = "MICRO_RISK_ESCALATION"
    RECOVERY_CONFIRMED = "RECOVERY_CONFIRMED"
    PERFORMANCE_CONFIRMED = "PERFORMANCE_CONFIRMED"
    MANUAL_OVERRIDE = "MANUAL_OVERRIDE"
    OVERRIDE_EXPIRED = "OVERRIDE_EXPIRED"
    LOCKDOWN_RELEASE = "LOCKDOWN_RELEASE"
    LOCKDOWN_RELEASE_CONSERVATIVE = "LOCKDOWN_RELEASE_CONSERVATIVE"
    BOOT_DEFAULT = "BOOT_DEFAULT"
    BOOT_STATE_CORRUPT = "BOOT_STATE_CORRUPT"


class OrderReason(StrEnum):
    """What an order decision says when the operating state made it."""

    STATE_DEFENSIVE = "STATE_DEFENSIVE"
    BELOW_STATE_THRESHOLD = "BELOW_STATE_THRESHOLD"
    NEW_ENTRY_BLOCKED_IN_DEFENSIVE_STATE = "NEW_ENTRY_BLOCKED_IN_DEFENSIVE_STATE"
    REBALANCE_PENDING = "REBALANCE_PENDING"
    STATE_CHANGED_BEFORE_ACT = "STATE_CHANGED_BEFORE_ACT"


class TransitionSource(StrEnum):
    """Who asked for a change."""

    RULES = "RULES"
    SAFETY = "SAFETY"
    MICRO_RISK_LOOP = "MICRO_RISK_LOOP"
    OPERATOR = "OPERATOR"


@dataclass(frozen=True, slots=True)
class ManualOverride:
    """A state that an operator imposes for a while. The engine sets `override_time` when it takes effect."""

    override_state: OperatingState
    override_reason: str
    """1 to 500 characters."""
    operator_id: str
    """1 to 64 characters, authenticated by whoever passes it on."""
    override_time: datetime
    expiry_time: datetime
    """After `override_time`, by at most `override.max_duration_days`."""
    auto_revert_state: OperatingState
    """State at expiry; under policy SAFE a candidate that is checked again."""


@dataclass(frozen=True, slots=True)
class TransitionResult:
    """A change of state, or a recorded decision to keep it. Never altered once written."""

    transition_id: str
    """ULID: sorts by time, follows from the content, so that the same run gives the same ids."""
    from_state: OperatingState
    to_state: OperatingState
    kind: TransitionKind
    reason: TransitionReason
    metrics: TransitionMetrics | None
    """As far as they were fit for use; None if there were none."""
    quality: MetricQuality | None
    safety_state: SafetyState
    source: TransitionSource
    operator_id: str | None
    decided_at: datetime
    effective_at: datetime
    version: int
    detail: str = ""
    """Reason in words: an operator's, or the safety codes."""


@dataclass(frozen=True, slots=True)
class OperatingStateSnapshot:
    """What everybody reads. Immutable; a reader keeps one for a whole cycle and compares `version` before it acts."""

    current_state: OperatingState
    previous_state: OperatingState | None
    transition_timestamp: datetime | None
    transition_reason: TransitionReason | None
    manual_override: bool
    override_expiry: datetime | None
    state_duration_days: float
    """Days in the state; time in LOCKDOWN does not count."""
    properties: StateProperties
    """Those of the state."""
    effective_properties: StateProperties
    """What holds now: consumers use this one. Equal to `properties` unless policy SAFE tightens it."""
    version: int
    """Grows with every change of a published field."""
    pending_target: OperatingState | None
    pending_count: int
    pending_since: datetime | None
    tightened: bool
    """A move to less risk waits, and its limits hold already (SAFE only)."""
    trading_paused: bool
    """Safety is FAIL or LOCKDOWN."""
