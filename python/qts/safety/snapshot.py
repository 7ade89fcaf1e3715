"""What the manager shows of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from qts.safety.record import Suspension
from qts.safety.states import KillLevel, SafetyState


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Two facts: whether it can be engaged, and how far it is."""

    is_armed: bool
    is_engaged: bool
    level: KillLevel | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SafetySnapshot:
    """The safety state at one moment.

    Attributes:
        state: the state in force.
        since_ns: UTC nanoseconds of the last change.
        reason: why that came.
        consecutive: fail-safes in a row.
        codes: codes that led here, oldest first; empty in NORMAL.
        last_code: the last of them: the one that an operator answers for.
        is_trading_allowed: whether an entry may leave.
        is_lockdown: whether the state is LOCKDOWN.
        kill_switch: armed and engaged.
        is_safe_mode: whether decisions are made and not sent.
        flags: names of the flags that are set.
        probation_left: cycles of probation that are left.
        size_factor: what entries are multiplied by.
        suspensions: what is suspended.
        pending: what waits for its cool-down: nonce, what, operator, effective_at; empty if nothing does.
        is_ack_pending: whether an alarm waits for somebody.
        raises_lost: raises that were counted and not kept.
    """

    state: SafetyState
    since_ns: int
    reason: str
    consecutive: int
    codes: tuple[str, ...]
    last_code: str
    is_trading_allowed: bool
    is_lockdown: bool
    kill_switch: KillSwitch
    is_safe_mode: bool
    flags: tuple[str, ...]
    probation_left: int
    size_factor: Decimal
    suspensions: tuple[Suspension, ...]
    pending: Mapping[str, str]
    is_ack_pending: bool
    raises_lost: int


class RunVerdict(NamedTuple):
    """Whether a cycle may start and act; if not, why: kill_switch, safety, pipeline_paused or safe_mode."""

    may_run: bool
    may_act: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.may_run


class StateChange(NamedTuple):
    """What listeners are told, after the fact.

    Attributes:
        from_state: the state before.
        to_state: the state after.
        codes: codes that led here; after a release those that it answered for.
        reason: why.
        at_ns: UTC nanoseconds.
        is_approved: whether an operator released LOCKDOWN.
    """

    from_state: SafetyState
    to_state: SafetyState
    codes: tuple[str, ...]
    reason: str
    at_ns: int
    is_approved: bool
