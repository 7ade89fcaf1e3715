"""Safety outranks the operating state, always."""

from dataclasses import replace
from datetime import timedelta

import pytest
from state_samples import (
    CALM,
    DAY,
    FAIL,
    HOUR,
    LOCKDOWN,
    NORMAL,
    QUIET,
    RECOVERED,
    START,
    STRONG,
    WARNING,
    A,
    B,
    D,
    Desk,
)

from qts.state import NotInLockdown, RejectedRiskOn, TransitionKind, TransitionReason, TransitionSource

CRASH = replace(CALM, drawdown_pct=0.11)


@pytest.mark.parametrize("policy", ["LITERAL", "SAFE"])
@pytest.mark.parametrize("state", [A, B, D])
@pytest.mark.parametrize("safety", [NORMAL, WARNING, FAIL, LOCKDOWN])
def test_every_safety_state_in_every_operating_state(policy, state, safety):
    """All metrics quiet and every gate open but confirmation: what is left is what safety does."""
    desk = Desk(state, policy)
    desk.settle(8)
    at_once = desk.look(QUIET, safety)
    expected = D if safety is FAIL else state
    assert at_once is (None if expected is state else expected)
    assert desk.state is expected
    assert desk.snapshot.trading_paused is (safety in (FAIL, LOCKDOWN))
    later = desk.hours(2, QUIET, safety)[-1]
    if safety is WARNING:
        expected = {A: B if policy == "SAFE" else A, B: D, D: D}[state]
    assert later is expected


def test_a_change_of_safety_acts_without_waiting_for_metrics():
    desk = Desk(A)
    result = desk.manager.on_safety_change(NORMAL, FAIL, ["FS050"])
    assert (result.from_state, result.to_state) == (A, D)
    assert (result.reason, result.source) == (TransitionReason.SAFETY_FAIL_TRIGGERED, TransitionSource.SAFETY)
    assert result.safety_state is FAIL
    assert "FS050" in result.detail
    assert desk.manager.on_safety_change(NORMAL, FAIL) is None
    assert desk.manager.on_safety_change(FAIL, WARNING) is None
    assert not desk.snapshot.trading_paused
    assert desk.state is D


def test_the_cascade_from_warning_to_fail_to_lockdown_and_back():
    desk = Desk(A)
    steps = [
        (NORMAL, WARNING, A),
        (WARNING, FAIL, D),
        (FAIL, LOCKDOWN, D),
        (LOCKDOWN, WARNING, D),
        (WARNING, NORMAL, D),
    ]
    for old, new, state in steps:
        desk.manager.on_safety_change(old, new)
        assert desk.state is state
    assert [one.kind for one in desk.manager.history(30)] == [
        TransitionKind.BOOT,
        TransitionKind.FORCED_SAFETY,
        TransitionKind.FORCED_SAFETY,
        TransitionKind.LOCKDOWN_RELEASE,
    ]


@pytest.mark.parametrize("state", [A, B, D])
def test_lockdown_preserves_the_state_and_stops_its_clocks(state):
    desk = Desk(state)
    desk.settle(2)
    desk.look(QUIET, LOCKDOWN)
    assert desk.last.reason is TransitionReason.SAFETY_LOCKDOWN
    for _ in range(30):
        desk.wait(DAY)
        assert desk.look(CRASH, LOCKDOWN) is None
    assert desk.state is state
    assert desk.snapshot.state_duration_days == 2.0
    assert desk.snapshot.pending_target is None


@pytest.mark.parametrize(
    ("state", "after", "reason"),
    [
        (A, B, TransitionReason.LOCKDOWN_RELEASE_CONSERVATIVE),
        (B, B, TransitionReason.LOCKDOWN_RELEASE),
        (D, D, TransitionReason.LOCKDOWN_RELEASE),
    ],
)
def test_release_returns_aggressive_as_balanced(state, after, reason):
    desk = Desk(state)
    with pytest.raises(NotInLockdown, match="NORMAL"):
        desk.manager.release_lockdown("kim")
    desk.look(QUIET, LOCKDOWN)
    result = desk.manager.release_lockdown("kim")
    assert (result.kind, result.reason, result.to_state) == (TransitionKind.LOCKDOWN_RELEASE, reason, after)
    assert result.operator_id == "kim"
    assert (desk.state, desk.snapshot.trading_paused) == (after, False)


@pytest.mark.parametrize("seen_by", ["change", "evaluation"])
def test_a_release_that_is_only_seen_is_as_conservative(seen_by):
    desk = Desk(A)
    desk.look(QUIET, LOCKDOWN)
    if seen_by == "change":
        desk.manager.on_safety_change(LOCKDOWN, NORMAL)
    else:
        assert desk.look(QUIET, NORMAL) is B
    assert desk.state is B


def test_release_restarts_the_cooldown_and_clears_what_was_counted():
    desk = Desk(B)
    desk.settle(6)
    desk.hours(1, replace(CALM, vix=31.0))
    desk.look(QUIET, LOCKDOWN)
    desk.manager.release_lockdown("kim")
    assert desk.snapshot.pending_target is None
    assert desk.snapshot.state_duration_days == pytest.approx(6 + 1 / 24)
    states = desk.hours(26, replace(CALM, vix=31.0))
    assert states == [B] * 24 + [D] * 2


def test_under_safe_the_first_sample_after_a_release_is_enough():
    desk = Desk(A, "SAFE")
    desk.look(QUIET, LOCKDOWN)
    desk.manager.release_lockdown("kim")
    desk.look(replace(QUIET, drawdown_pct=None))
    assert desk.look(CRASH) is D


def test_an_override_to_aggressive_does_not_survive_a_lockdown():
    desk = Desk(B)
    desk.order(A, days=5)
    desk.look(QUIET, LOCKDOWN)
    assert desk.snapshot.manual_override
    desk.manager.release_lockdown("kim")
    assert (desk.state, desk.snapshot.manual_override) == (B, False)


def test_an_override_to_less_risk_does():
    desk = Desk(B)
    desk.order(D, days=5)
    desk.look(QUIET, LOCKDOWN)
    desk.manager.release_lockdown("kim")
    assert (desk.state, desk.snapshot.manual_override) == (D, True)


@pytest.mark.parametrize(("state", "revert", "lands"), [(D, A, B), (D, B, B), (A, D, D), (B, A, B)])
def test_an_override_that_expired_in_lockdown_ends_at_the_release_and_never_in_aggressive(state, revert, lands):
    desk = Desk(B)
    desk.order(state, days=1, revert=revert)
    desk.look(QUIET, LOCKDOWN)
    desk.wait(2 * DAY)
    assert desk.look(QUIET, LOCKDOWN) is None
    assert desk.manager.check_override_expiry() is None
    assert desk.state is state
    desk.manager.release_lockdown("kim")
    assert (desk.state, desk.snapshot.manual_override) == (lands, False)


def test_an_override_cancelled_in_lockdown_moves_nothing():
    desk = Desk(B)
    desk.order(D, revert=A)
    desk.look(QUIET, LOCKDOWN)
    desk.manager.cancel_override("lee", "void")
    assert (desk.state, desk.snapshot.manual_override) == (D, False)


def test_the_micro_risk_loop_forces_defensive_past_gates_and_overrides():
    desk = Desk(B)
    desk.order(A, days=5)
    result = desk.manager.request_transition(D, detail="CRITICAL")
    assert (result.kind, result.reason) == (TransitionKind.FORCED_MICRO_RISK, TransitionReason.MICRO_RISK_ESCALATION)
    assert (result.source, result.detail) == (TransitionSource.MICRO_RISK_LOOP, "CRITICAL")
    assert (desk.state, desk.snapshot.manual_override) == (D, False)


def test_asking_for_the_state_in_force_changes_nothing():
    desk = Desk(B)
    first = desk.manager.request_transition(D)
    version = desk.snapshot.version
    again = desk.manager.request_transition(D)
    assert (again.from_state, again.to_state) == (D, D)
    assert desk.snapshot.version == version
    assert desk.last == first


@pytest.mark.parametrize(("state", "target"), [(B, A), (D, B), (D, A)])
def test_a_forced_move_never_raises_the_risk(state, target):
    desk = Desk(state)
    with pytest.raises(RejectedRiskOn, match=str(target)):
        desk.manager.request_transition(target)
    assert desk.state is state


def test_a_forced_move_in_lockdown_changes_nothing():
    desk = Desk(B)
    desk.look(QUIET, LOCKDOWN)
    result = desk.manager.request_transition(D)
    assert (result.to_state, desk.state) == (B, B)


def test_hours_in_fail_confirm_nothing():
    desk = Desk(D)
    desk.hours(24 * 6, RECOVERED, FAIL)
    assert desk.snapshot.pending_target is None
    assert desk.hours(2, RECOVERED, NORMAL) == [D, B]


def test_from_lockdown_straight_to_fail_forces_defensive():
    desk = Desk(A)
    desk.look(STRONG, LOCKDOWN)
    desk.wait(HOUR)
    assert desk.look(STRONG, FAIL) is D
    assert desk.last.effective_at == START + timedelta(hours=1)


def test_the_name_of_a_safety_state_counts_as_much_and_no_other_word_does():
    desk = Desk(A)
    assert desk.manager.on_safety_change("NORMAL", "FAIL").to_state is D
    for policy in ("LITERAL", "SAFE"):
        desk = Desk(A, policy)
        assert desk.look(QUIET, "FAIL") is D
        desk.look(QUIET, "LOCKDOWN")
        assert desk.last.reason is TransitionReason.SAFETY_LOCKDOWN
        desk.look(QUIET, "NORMAL")
        assert not desk.snapshot.trading_paused
    recovering = Desk(D)
    assert recovering.hours(24 * 5 + 1, RECOVERED, "NORMAL")[-1] is B
    with pytest.raises(ValueError, match="BLUE"):
        desk.look(QUIET, "BLUE")
