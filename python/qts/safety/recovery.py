"""What has to hold before FAIL, LOCKDOWN or the kill switch is left (spec 01 §1.4 and §7)."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from qts.clock import NS_PER_S, Clock
from qts.safety.config import CAUSE_LENGTH, CLOCK_STEP_MS, COOL_DOWN_S, RECONCILIATION_AGE_S, REQUEST_LIFE_S
from qts.safety.exceptions import Refusal
from qts.safety.operators import Authority, Channel, Role
from qts.safety.states import SafetyState

RECONCILIATION: Final = "reconciliation"
DRY_CYCLES: Final = {SafetyState.FAIL: 3, SafetyState.LOCKDOWN: 10}
"""Clean cycles in safe mode that a release takes."""
CHECKS: Final = (
    "code",
    "broker",
    RECONCILIATION,
    "no_unknown_order",
    "config",
    "market_data",
    "journal",
    "dry_cycles",
)
"""Every check of §7. Those whose room is not built are absent, and are named so in each result."""
LOCKDOWN_ONLY: Final = frozenset({"journal"})


class CheckRequest(NamedTuple):
    """What a check is asked for.

    Attributes:
        state: FAIL or LOCKDOWN: what is to be left.
        codes: codes that led there.
        dry_cycles: clean cycles in safe mode that it takes.
    """

    state: SafetyState
    codes: tuple[str, ...]
    dry_cycles: int


class CheckOutcome(NamedTuple):
    """What a check found.

    Attributes:
        is_passed: whether it is green.
        detail: for the operator, one line.
        as_of_ns: monotonic nanoseconds of what was looked at; None: now.
    """

    is_passed: bool
    detail: str = ""
    as_of_ns: int | None = None


class ReleaseCheck(Protocol):
    """One check before a release. A room that has something to say registers one."""

    @property
    def name(self) -> str:
        """One of `CHECKS`; several may share a name, then all of them must pass."""
        ...

    @property
    def codes(self) -> frozenset[str]:
        """The codes it belongs to; empty: it is asked whatever the code."""
        ...

    def run(self, request: CheckRequest) -> CheckOutcome:
        """Look now. May block for as long as a query to the broker takes; what is raised counts as not passed."""
        ...


class Checked(NamedTuple):
    """What all checks found: outcome by name, and names of checks that no room provides."""

    outcomes: Mapping[str, CheckOutcome]
    absent: tuple[str, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of those that did not pass."""
        return tuple(name for name, outcome in self.outcomes.items() if not outcome.is_passed)

    def as_dict(self) -> dict[str, str]:
        """Return pass, fail or absent by name, for a record."""
        ran = {name: "pass" if outcome.is_passed else "fail" for name, outcome in self.outcomes.items()}
        return ran | dict.fromkeys(self.absent, "absent")


def run_checks(checks: Iterable[ReleaseCheck], state: SafetyState, codes: tuple[str, ...], clock: Clock) -> Checked:
    """Run every registered check that concerns this release."""
    request = CheckRequest(state, codes, DRY_CYCLES[state])
    outcomes: dict[str, CheckOutcome] = {}
    for check in checks:
        if check.name in LOCKDOWN_ONLY and state != SafetyState.LOCKDOWN:
            continue
        if check.codes and not check.codes & set(codes):
            continue
        outcome = _run(check, request)
        if check.name == RECONCILIATION and state == SafetyState.LOCKDOWN:
            outcome = _fresh(outcome, clock.monotonic_ns())
        before = outcomes.get(check.name)
        if before is None or before.is_passed:
            outcomes[check.name] = outcome
    wanted = [name for name in CHECKS if name not in LOCKDOWN_ONLY or state == SafetyState.LOCKDOWN]
    return Checked(outcomes, tuple(name for name in wanted if name not in outcomes))


def _run(check: ReleaseCheck, request: CheckRequest) -> CheckOutcome:
    try:
        return check.run(request)
    except Exception as error:
        return CheckOutcome(is_passed=False, detail=f"{type(error).__name__}: {error}")


def _fresh(outcome: CheckOutcome, now_ns: int) -> CheckOutcome:
    age_ns = 0 if outcome.as_of_ns is None else now_ns - outcome.as_of_ns
    if outcome.is_passed and not 0 <= age_ns < RECONCILIATION_AGE_S * NS_PER_S:
        return outcome._replace(is_passed=False, detail=f"{age_ns / NS_PER_S:.0f} s old")
    return outcome


class Release(StrEnum):
    """What an operator asks to leave."""

    APPROVE = "APPROVE"
    RELEASE = "RELEASE"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an operator brings along.

    Attributes:
        code: the code they were shown and answer for.
        cause: what was wrong, in their words.
        phrase: account alias and code, typed; for LOCKDOWN and the kill switch.
        channel: where they act from.
    """

    code: str
    cause: str
    phrase: str = ""
    channel: Channel = Channel.CLI


@dataclass(frozen=True, slots=True)
class PendingRelease:
    """A request that waits for its cool-down.

    Attributes:
        nonce: names it once.
        what: what is to be left.
        authority: who asked.
        evidence: with what.
        requested_ns: UTC nanoseconds.
        effective_ns: UTC nanoseconds from which it can be made effective.
        monotonic_ns: monotonic nanoseconds of the request.
        faults: number of faults seen by then; one more voids it.
    """

    nonce: str
    what: Release
    authority: Authority
    evidence: Evidence
    requested_ns: int
    effective_ns: int
    monotonic_ns: int
    faults: int


def open_request(what: Release, authority: Authority, evidence: Evidence, clock: Clock, faults: int) -> PendingRelease:
    """Return a request that takes effect after the cool-down, at the earliest."""
    now_ns = clock.now_ns()
    return PendingRelease(
        nonce=secrets.token_hex(8),
        what=what,
        authority=authority,
        evidence=evidence,
        requested_ns=now_ns,
        effective_ns=now_ns + COOL_DOWN_S * NS_PER_S,
        monotonic_ns=clock.monotonic_ns(),
        faults=faults,
    )


def require_channel(evidence: Evidence) -> None:
    """Refuse a release by chat."""
    if evidence.channel is Channel.CHAT:
        raise Refusal("channel_not_allowed", channel=evidence.channel.value)


def require_evidence(evidence: Evidence, codes: Sequence[str]) -> None:
    """Refuse evidence that does not do for FAIL: channel, code or cause."""
    require_channel(evidence)
    if not codes or evidence.code != codes[-1]:
        raise Refusal("wrong_code", code=evidence.code, expected=codes[-1] if codes else "")
    if len(evidence.cause.strip()) < CAUSE_LENGTH:
        raise Refusal("cause_too_short", length=len(evidence.cause.strip()), least=CAUSE_LENGTH)


def require_officer(authority: Authority, evidence: Evidence, alias: str) -> None:
    """Refuse a role or a phrase that does not do for LOCKDOWN."""
    if authority.role is not Role.SAFETY_OFFICER:
        raise Refusal("role_required", operator=authority.operator_id, role=authority.role)
    if evidence.phrase != f"{alias} {evidence.code}":
        raise Refusal("wrong_phrase")


def require_due(
    pending: PendingRelease | None, what: Release, nonce: str, authority: Authority, clock: Clock, faults: int
) -> PendingRelease:
    """Return the request that `nonce` names if it may take effect now; refuse it otherwise."""
    if pending is None or pending.what is not what or pending.nonce != nonce:
        raise Refusal("no_request")
    if pending.authority != authority:
        raise Refusal("another_operator", operator=authority.operator_id)
    if pending.faults != faults:
        raise Refusal("fault_since_request")
    waited_ns = clock.monotonic_ns() - pending.monotonic_ns
    step_ms = (clock.now_ns() - pending.requested_ns - waited_ns) // 1_000_000
    if abs(step_ms) > CLOCK_STEP_MS:
        raise Refusal("clock_stepped", step_ms=step_ms)
    if waited_ns < COOL_DOWN_S * NS_PER_S:
        raise Refusal("cool_down", left_s=COOL_DOWN_S - waited_ns // NS_PER_S)
    if waited_ns > REQUEST_LIFE_S * NS_PER_S:
        raise Refusal("request_expired", life_s=REQUEST_LIFE_S)
    return pending


def require_checks(checked: Checked, required: Iterable[str]) -> None:
    """Refuse if a check did not pass, or one that must be there is absent."""
    missing = sorted(set(required) & set(checked.absent))
    if missing:
        raise Refusal("check_absent", checks=", ".join(missing))
    if checked.failed:
        shown = ", ".join(f"{name} ({checked.outcomes[name].detail or '-'})" for name in checked.failed)
        raise Refusal("check_failed", checks=shown)
