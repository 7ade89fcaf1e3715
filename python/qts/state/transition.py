"""The transition rules: pure functions of metrics, safety and time in the state (design 003 section 4.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from qts.safety import SafetyState
from qts.state.config import StateConfig
from qts.state.contracts import OperatingState, TransitionReason

if TYPE_CHECKING:
    from qts.state.contracts import TransitionMetrics

_WARNING_OR_WORSE = frozenset({SafetyState.WARNING, SafetyState.FAIL, SafetyState.LOCKDOWN})


DURATION: Final = "state_duration_days"
"""Name of the one condition that time alone brings about."""


class Condition(NamedTuple):
    """One condition of a rule, as it stands now. A value that is unknown (None) meets no condition."""

    name: str
    value: float | int | bool | str | None
    relation: str
    """How value and threshold compare when the condition holds: `>`, `<`, `>=` or `is`."""
    threshold: float | int | bool | str | None
    is_met: bool
    reason: TransitionReason
    is_hard: bool = False
    """A loss or a circuit breaker: under policy SAFE it does not wait."""


@dataclass(frozen=True, slots=True)
class TransitionRule(ABC):
    """A move from one state to another. Rules look at nothing but their arguments."""

    config: StateConfig = field(default_factory=StateConfig)

    source: ClassVar[OperatingState]
    target: ClassVar[OperatingState]
    needs_all: ClassVar[bool]
    """Whether every condition has to hold; else one is enough."""

    @abstractmethod
    def conditions(
        self, metrics: TransitionMetrics, safety_state: SafetyState, state_duration_days: float
    ) -> tuple[Condition, ...]:
        """Return every condition with its value and threshold, the weightiest first."""

    def evaluate(
        self, metrics: TransitionMetrics, safety_state: SafetyState, state_duration_days: float
    ) -> OperatingState | None:
        """Return the target if the rule is satisfied."""
        found = self.conditions(metrics, safety_state, state_duration_days)
        met = [condition.is_met for condition in found]
        return self.target if (all(met) if self.needs_all else any(met)) else None


def _above(
    name: str, value: float | None, limit: float | None, reason: TransitionReason, *, is_hard: bool = False
) -> Condition:
    is_met = value is not None and limit is not None and value > limit
    return Condition(name, value, ">", limit, is_met, reason, is_hard)


def _below(name: str, value: float | None, limit: float, reason: TransitionReason) -> Condition:
    return Condition(name, value, "<", limit, value is not None and value < limit, reason)


def _at_least(name: str, value: float | None, limit: float, reason: TransitionReason) -> Condition:
    return Condition(name, value, ">=", limit, value is not None and value >= limit, reason)


def _breaker(metrics: TransitionMetrics) -> Condition:
    halted = metrics.market_circuit_breaker
    reason = TransitionReason.MARKET_CIRCUIT_BREAKER
    return Condition("market_circuit_breaker", halted, "is", True, halted is True, reason, is_hard=True)  # noqa: FBT003


def _warning(safety_state: SafetyState) -> Condition:
    is_met = safety_state in _WARNING_OR_WORSE
    threshold = SafetyState.WARNING.name
    return Condition("safety_state", safety_state.name, ">=", threshold, is_met, TransitionReason.SAFETY_WARNING)


def _normal(safety_state: SafetyState, reason: TransitionReason) -> Condition:
    return Condition("safety_state", safety_state.name, "is", "NORMAL", safety_state == SafetyState.NORMAL, reason)


class AggressiveToBalanced(TransitionRule):
    """AGGRESSIVE to BALANCED: any of drawdown, daily loss, index, losing streak; under SAFE also a safety warning."""

    source = OperatingState.AGGRESSIVE
    target = OperatingState.BALANCED
    needs_all = False

    def conditions(
        self,
        metrics: TransitionMetrics,
        safety_state: SafetyState,
        state_duration_days: float,  # noqa: ARG002 - one face for all rules
    ) -> tuple[Condition, ...]:
        """Return T1a to T1d, and T1e under SAFE."""
        limits = self.config.aggressive_to_balanced
        found = (
            _above(
                "drawdown_pct",
                metrics.drawdown_pct,
                limits.drawdown_pct,
                TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED,
                is_hard=True,
            ),
            _above(
                "daily_loss_pct",
                metrics.daily_loss_pct,
                limits.daily_loss_pct,
                TransitionReason.DAILY_LOSS_EXCEEDED,
                is_hard=True,
            ),
            _above("vix", metrics.vix, limits.vix, TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED),
            _above(
                "consecutive_scalp_losses",
                metrics.consecutive_scalp_losses,
                limits.consecutive_scalp_losses,
                TransitionReason.CONSECUTIVE_SCALP_LOSSES,
            ),
        )
        return (*found, _warning(safety_state)) if self.config.is_safe else found


class BalancedToDefensive(TransitionRule):
    """BALANCED to DEFENSIVE: any of drawdown, circuit breaker, index, safety WARNING or worse."""

    source = OperatingState.BALANCED
    target = OperatingState.DEFENSIVE
    needs_all = False

    def conditions(
        self,
        metrics: TransitionMetrics,
        safety_state: SafetyState,
        state_duration_days: float,  # noqa: ARG002 - one face for all rules
    ) -> tuple[Condition, ...]:
        """Return T2a to T2d."""
        return (*self._market_conditions(metrics), _warning(safety_state))

    def _market_conditions(self, metrics: TransitionMetrics) -> tuple[Condition, ...]:
        limits = self.config.balanced_to_defensive
        return (
            _above(
                "drawdown_pct",
                metrics.drawdown_pct,
                limits.drawdown_pct,
                TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED,
                is_hard=True,
            ),
            _breaker(metrics),
            _above("vix", metrics.vix, limits.vix, TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED),
        )


class AggressiveToDefensive(BalancedToDefensive):
    """AGGRESSIVE to DEFENSIVE, policy SAFE only: what lowers BALANCED to DEFENSIVE, but for the safety warning."""

    source = OperatingState.AGGRESSIVE

    def conditions(
        self,
        metrics: TransitionMetrics,
        safety_state: SafetyState,  # noqa: ARG002 - one face for all rules
        state_duration_days: float,  # noqa: ARG002
    ) -> tuple[Condition, ...]:
        """Return T2g."""
        return self._market_conditions(metrics)


class DefensiveToBalanced(TransitionRule):
    """DEFENSIVE to BALANCED: drawdown and index low again, profitable days, safety NORMAL, long enough."""

    source = OperatingState.DEFENSIVE
    target = OperatingState.BALANCED
    needs_all = True

    def conditions(
        self, metrics: TransitionMetrics, safety_state: SafetyState, state_duration_days: float
    ) -> tuple[Condition, ...]:
        """Return T3."""
        limits, reason = self.config.defensive_to_balanced, TransitionReason.RECOVERY_CONFIRMED
        return (
            _below("drawdown_pct", metrics.drawdown_pct, limits.drawdown_pct, reason),
            _below("vix", metrics.vix, limits.vix, reason),
            _at_least(
                "consecutive_profitable_days",
                metrics.consecutive_profitable_days,
                limits.consecutive_profitable_days,
                reason,
            ),
            _normal(safety_state, reason),
            _at_least(DURATION, state_duration_days, limits.min_duration_days, reason),
        )


class BalancedToAggressive(TransitionRule):
    """BALANCED to AGGRESSIVE: growth beats its target, index low, wins, long enough; under SAFE also no trouble."""

    source = OperatingState.BALANCED
    target = OperatingState.AGGRESSIVE
    needs_all = True

    def conditions(
        self, metrics: TransitionMetrics, safety_state: SafetyState, state_duration_days: float
    ) -> tuple[Condition, ...]:
        """Return T4."""
        limits, reason = self.config.balanced_to_aggressive, TransitionReason.PERFORMANCE_CONFIRMED
        found = (
            _above("cagr", metrics.cagr, metrics.target_cagr, reason),
            _below("vix", metrics.vix, limits.vix, reason),
            _above("capital_growth_pct", metrics.capital_growth_pct, limits.capital_growth_pct, reason),
            _above("win_rate_30d", metrics.win_rate_30d, limits.win_rate_30d, reason),
            _at_least(DURATION, state_duration_days, limits.min_duration_days, reason),
        )
        if not self.config.is_safe:
            return found
        halted = metrics.market_circuit_breaker
        return (
            *found,
            _normal(safety_state, reason),
            _below("drawdown_pct", metrics.drawdown_pct, limits.max_drawdown_pct, reason),
            Condition("market_circuit_breaker", halted, "is", False, halted is False, reason),  # noqa: FBT003
        )


def rules_of(config: StateConfig) -> tuple[TransitionRule, ...]:
    """Return the rules of the gate policy, the most defensive target first."""
    direct = (AggressiveToDefensive(config),) if config.is_safe else ()
    return (
        *direct,
        BalancedToDefensive(config),
        AggressiveToBalanced(config),
        DefensiveToBalanced(config),
        BalancedToAggressive(config),
    )


def safer(one: OperatingState, other: OperatingState) -> OperatingState:
    """Return the state of less risk."""
    return one if one.rank <= other.rank else other


def risk_on_reason(target: OperatingState) -> TransitionReason:
    """Return why a rule moves to more risk."""
    is_recovery = target is OperatingState.BALANCED
    return TransitionReason.RECOVERY_CONFIRMED if is_recovery else TransitionReason.PERFORMANCE_CONFIRMED
