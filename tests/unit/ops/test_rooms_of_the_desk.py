"""What the desk does with the real state machines behind it."""

from datetime import UTC, datetime

import pytest

from qts.clock import NS_PER_S, SimClock
from qts.ops.operator import Login, Operator
from qts.ops.operator.rooms import SafetyDesk, StateDesk
from qts.safety import CheckOutcome, OperatorBook, Role, SafetyStateManager
from qts.state import NotActive, OperatingStateManager, OverrideRejected

BY = Operator(1_000, "kim", 42)
CAUSE = "a drill, as every month"


class Green:
    name, codes = "reconciliation", frozenset()

    def run(self, request):
        return CheckOutcome(is_passed=True)


@pytest.fixture
def clock():
    return SimClock(int(datetime(2026, 1, 5, 1, tzinfo=UTC).timestamp()) * NS_PER_S)


@pytest.fixture
def safety(tmp_path, clock):
    book = OperatorBook(tmp_path / "operators.json")
    book.add("lee", Role.SAFETY_OFFICER, "correct horse battery")
    return SafetyStateManager(clock, operators=book, checks=[Green()], account_alias="paper")


LEE = Login("lee", "correct horse battery")


@pytest.mark.parametrize("level", [1, 2])
def test_a_kill_is_engaged_at_its_level(safety, level):
    desk = SafetyDesk(safety)
    assert desk.kill(level, by=BY, cause="look").applied
    seen = desk.safety()
    assert (seen.state, seen.kill_level, seen.cause) == ("LOCKDOWN", level, "KS")


def test_a_kill_is_released_and_then_approved(safety, clock):
    desk = SafetyDesk(safety)
    desk.kill(1, by=BY, cause="look")
    asked = desk.request_release("KS", by=BY, login=LEE, cause=CAUSE, phrase="paper KS")
    assert asked.applied
    assert not desk.release(asked.detail["nonce"], by=BY, login=LEE).applied, "too soon"
    clock.advance_to(clock.now_ns() + 61 * NS_PER_S)
    assert desk.release(asked.detail["nonce"], by=BY, login=LEE).applied
    asked = desk.request_approve("KS", by=BY, login=LEE, cause=CAUSE, phrase="paper KS")
    clock.advance_to(clock.now_ns() + 61 * NS_PER_S)
    done = desk.approve(asked.detail["nonce"], by=BY, login=LEE)
    assert (done.applied, done.detail["from"], done.detail["to"]) == (True, "LOCKDOWN", "WARNING")
    seen = desk.safety()
    assert (seen.kill_level, seen.probation_left, str(seen.size_factor)) == (0, 50, "0.5")


def test_a_disarmed_switch_says_so(clock):
    from qts.safety import SafetyConfig

    desk = SafetyDesk(SafetyStateManager(clock, SafetyConfig(kill_switch_armed=False)))
    assert not desk.kill(3, by=BY, cause="look").applied


def test_an_override_is_shown_held_and_cleared(clock):
    desk = StateDesk(OperatingStateManager(clock=clock), clock)
    assert desk.operating().override is None
    held = desk.set_override("DEFENSIVE", by=BY, reason="election", duration_s=86_400, revert_to=None)
    assert held.detail["state"] == "DEFENSIVE"
    seen = desk.operating()
    assert (seen.state, seen.cause, seen.override.by, seen.override.revert_to) == (
        "DEFENSIVE",
        "MANUAL_OVERRIDE",
        "CLI:kim",
        "BALANCED",
    )
    assert desk.clear_override(by=BY, reason="over early").applied
    with pytest.raises(NotActive):
        desk.clear_override(by=BY, reason="again")
    with pytest.raises(OverrideRejected):
        desk.set_override("DEFENSIVE", by=BY, reason="too long", duration_s=8 * 86_400, revert_to=None)
