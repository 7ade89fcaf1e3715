"""The four safety states, what moves them, and what came of it (spec 01 §1)."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from qts.codes import Effect


class SafetyState(StrEnum):
    """How far the system and its data are trusted; one value for the whole process and account.

    Members order by severity, not by the alphabet: `SafetyState.FAIL > SafetyState.WARNING`.
    """

    severity: int
    """0 for NORMAL up to 3 for LOCKDOWN: the number in the state word of the core."""

    def __new__(cls, name: str, severity: int = 0) -> Self:
        """Make a member that knows its severity: states are compared on every cycle."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.severity = severity
        return member

    NORMAL = "NORMAL", 0
    WARNING = "WARNING", 1
    FAIL = "FAIL", 2
    LOCKDOWN = "LOCKDOWN", 3

    def __lt__(self, other: str, /) -> bool:
        return self.severity < SafetyState(other).severity

    def __le__(self, other: str, /) -> bool:
        return self.severity <= SafetyState(other).severity

    def __gt__(self, other: str, /) -> bool:
        return self.severity > SafetyState(other).severity

    def __ge__(self, other: str, /) -> bool:
        return self.severity >= SafetyState(other).severity


EFFECT_TO_STATE: Final[Mapping[Effect, SafetyState]] = MappingProxyType(
    {
        "NOTE": SafetyState.NORMAL,
        "WARN": SafetyState.WARNING,
        "FAIL": SafetyState.FAIL,
        "LOCKDOWN": SafetyState.LOCKDOWN,
    }
)
"""The state that each effect of a code asks for at least."""


class EventKind(StrEnum):
    """What can happen to the safety state."""

    ANOMALY = "ANOMALY"
    GUARDRAIL = "GUARDRAIL"
    FAIL_SAFE = "FAIL_SAFE"
    KILL = "KILL"
    CLEAR = "CLEAR"
    ACK = "ACK"
    APPROVE = "APPROVE"
    RESTORE = "RESTORE"


class AnomalyLevel(StrEnum):
    """How grave an anomaly is; Low alone shortens the quiet period."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class KillLevel(IntEnum):
    """What a kill stops: K1 new cycles and entries, K2 working orders too, K3 closes all positions."""

    K1 = 1
    K2 = 2
    K3 = 3


class SafetyEvent(NamedTuple):
    """One thing that happened. Which fields count depends on `kind`.

    Attributes:
        kind: what happened.
        code: FS, GR, AN or KS code; empty for timers and operators.
        effect: FAIL_SAFE: what the code asks for.
        counts: GUARDRAIL: whether the frequency rule counts it.
        warns: GUARDRAIL: whether it alone asks for WARNING.
        level: ANOMALY: how grave it is.
        cause: FAIL_SAFE: id of the root cause; the same id within 2 s counts once.
        restored: RESTORE: the recorded state.
        operator: ACK, APPROVE: who.
        refusal: ACK, APPROVE: why the evidence does not do; empty if it does.
    """

    kind: EventKind
    code: str = ""
    effect: Effect = "NOTE"
    counts: bool = False
    warns: bool = False
    level: AnomalyLevel = AnomalyLevel.MEDIUM
    cause: str = ""
    restored: SafetyState = SafetyState.NORMAL
    operator: str = ""
    refusal: str = ""


class TransitionResult(NamedTuple):
    """What an event did. `applied` is false for what the table does not list and for what was refused.

    Attributes:
        from_state: the state before.
        to_state: the state after.
        event: what happened.
        applied: whether the table lists it and its effect was carried out.
        reason: a fixed word that says why.
        meta: code, consecutive, operator, and for a release request nonce, effective_at and checks.
        refusal: the same reason as a message for a person, in their language; empty if there is none.
    """

    from_state: SafetyState
    to_state: SafetyState
    event: EventKind
    applied: bool
    reason: str
    meta: Mapping[str, object] = MappingProxyType({})
    refusal: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether the state is another one now."""
        return self.from_state != self.to_state
