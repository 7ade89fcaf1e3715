"""A clock to move, credentials, checks that can be turned, and a manager around them."""

import json
from dataclasses import dataclass, field

from qts.clock import SimClock
from qts.safety import (
    CheckOutcome,
    Credential,
    Evidence,
    MemoryChannel,
    Notifier,
    Route,
    SafetyStateManager,
)

S = 1_000_000_000
START_NS = 1_767_571_200 * S  # 2026-01-05 00:00 UTC

KIM = Credential("kim", "correct horse battery")
LEE = Credential("lee-officer", "staple of the safety desk")
CAUSE = "token had expired; renewed it"


class Clock(SimClock):
    """A clock whose wall time can be set wrong, as an operator or a daemon may do."""

    step_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.step_ns

    def pass_s(self, seconds: float) -> None:
        self.advance_to(super().now_ns() + int(seconds * S))


GREEN = CheckOutcome(is_passed=True)


@dataclass
class Check:
    """A release check that answers as told, and counts how often it was asked."""

    name: str = "reconciliation"
    codes: frozenset = frozenset()
    outcome: CheckOutcome = GREEN
    error: Exception | None = None
    asked: list = field(default_factory=list)

    def run(self, request):
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return self.outcome


@dataclass
class Desk:
    """A manager and what a test needs to hold beside it."""

    manager: SafetyStateManager
    clock: Clock
    check: Check
    told: MemoryChannel

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.manager._books.audit.lines]

    def evidence(self, **changes) -> Evidence:
        code = self.manager.snapshot().last_code
        given = {"code": code, "cause": CAUSE, "phrase": f"paper-1 {code}", **changes}
        return Evidence(**given)

    def approve(self):
        asked = self.manager.request_approve(LEE, self.evidence())
        assert asked.reason == "cool_down", asked
        self.clock.pass_s(60)
        return self.manager.approve(LEE, asked.meta["nonce"])

    def release_kill(self):
        asked = self.manager.request_release_kill(LEE, self.evidence())
        assert asked.reason == "cool_down", asked
        self.clock.pass_s(60)
        return self.manager.release_kill(LEE, asked.meta["nonce"])


def made_desk(clock, operators, **given) -> Desk:
    check, told = Check(), MemoryChannel(route=Route.LOG)
    notifier = Notifier([told], clock)
    options = {"operators": operators, "checks": [check], "account_alias": "paper-1", "notifier": notifier, **given}
    manager = SafetyStateManager(clock, **options)
    return Desk(manager, clock, check, told)
