"""Numbers of the safety room; defaults are those of spec 01 and spec 03 §1.4."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

ProtectiveExits: TypeAlias = Literal["TRUSTED_ONLY", "KILL_PLAN_ONLY", "NONE"]

CONSECUTIVE_LIMIT: Final = 2
"""This many fail-safes in a row lock the engine down."""
SAME_CAUSE_S: Final = 2
"""Codes of one root cause within this time count once."""
RECONCILIATION_AGE_S: Final = 60
"""LOCKDOWN is released only on a reconciliation younger than this."""
COOL_DOWN_S: Final = 60
"""Time between the request of a release from LOCKDOWN and its effect."""
REQUEST_LIFE_S: Final = 900
"""A request that is not made effective by then is void."""
CAUSE_LENGTH: Final = 10
"""Characters that the cause of a release must have at least."""
CLOCK_STEP_MS: Final = 500
"""A wall clock that disagrees with the monotonic one by more has been stepped (as FS062)."""


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """Keys of `safety.yaml` and, for the kill switch, of the local scope.

    Attributes:
        lockdown_window_s: a fail-safe this long after the one before it locks down.
        lockdown_clean_cycles_to_reset: clean cycles in NORMAL after which the count of fail-safes is zero.
        lockdown_protective_exits: what may reduce a position in LOCKDOWN; enforced where the exits are made.
        guardrail_warn_count: this many guardrails in `guardrail_warn_window_s` make WARNING.
        guardrail_warn_window_s: their window.
        warning_quiet_s: quiet time after which WARNING may end.
        warning_quiet_low_s: the same if there were Low anomalies alone.
        warning_clean_cycles: clean cycles in a row that it takes as well.
        warning_size_factor: factor on entries in WARNING, 0 to 1.
        recovery_probation_cycles: clean cycles of probation after a release; 0 = none.
        recovery_probation_factor: factor on entries in probation, 0 to 1.
        kill_switch_armed: whether the kill switch can be engaged at all.
    """

    lockdown_window_s: int = 600
    lockdown_clean_cycles_to_reset: int = 100
    lockdown_protective_exits: ProtectiveExits = "TRUSTED_ONLY"
    guardrail_warn_count: int = 5
    guardrail_warn_window_s: int = 600
    warning_quiet_s: int = 300
    warning_quiet_low_s: int = 60
    warning_clean_cycles: int = 20
    warning_size_factor: Decimal = Decimal(1)
    recovery_probation_cycles: int = 50
    recovery_probation_factor: Decimal = Decimal("0.5")
    kill_switch_armed: bool = True
