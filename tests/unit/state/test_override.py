"""What an operator may impose, for how long, and what comes after."""

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

from qts.state import ManualOverride, NotActive, OverrideRejected, TransitionKind, TransitionReason, TransitionSource

STORM = replace(QUIET, vix=31.0)


def test_an_override_acts_at_once_past_every_gate_and_is_recorded():
    desk = Desk(B)
    wish = ManualOverride(D, "earnings week", "kim", START - DAY, START + 2 * DAY, B)
    snapshot = desk.manager.apply_override(wish)
    assert (snapshot.current_state, snapshot.manual_override) == (D, True)
    assert snapshot.override_expiry == START + 2 * DAY
    assert desk.manager.active_override.override_time == START  # set by the engine, not by the caller
    last = desk.last
    assert (last.kind, last.reason, last.source) == (
        TransitionKind.OVERRIDE,
        TransitionReason.MANUAL_OVERRIDE,
        TransitionSource.OPERATOR,
    )
    assert (last.operator_id, last.detail) == ("kim", "earnings week")


def test_seven_days_are_the_most_and_a_longer_one_is_refused_not_clipped():
    desk = Desk(B)
    with pytest.raises(OverrideRejected, match="at most 7 days") as refused:
        desk.order(D, days=7.00001)
    assert refused.value.code == "GR084"
    assert desk.heard.codes == ["GR084"]
    assert not desk.snapshot.manual_override
    desk.order(D, days=7)
    assert desk.snapshot.manual_override


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expiry_time": START}, "after now"),
        ({"expiry_time": START - HOUR}, "after now"),
        ({"expiry_time": (START + DAY).replace(tzinfo=None)}, "time zone"),
        ({"override_reason": ""}, "override_reason"),
        ({"override_reason": "   "}, "override_reason"),
        ({"override_reason": "x" * 501}, "override_reason"),
        ({"operator_id": ""}, "operator_id"),
        ({"operator_id": "x" * 65}, "operator_id"),
    ],
)
def test_an_override_that_is_not_whole_is_refused(change, words):
    desk = Desk(B)
    wish = ManualOverride(D, "x" * 500, "y" * 64, START, START + DAY, B)
    with pytest.raises(OverrideRejected, match=words):
        desk.manager.apply_override(replace(wish, **change))
    desk.manager.apply_override(wish)


def test_the_label_is_pinned_while_rules_are_still_counted():
    desk = Desk(B)
    desk.settle(6)
    desk.order(B, days=5)
    desk.wait(HOUR)
    assert set(desk.hours(48, STORM)) == {B}
    assert (desk.snapshot.pending_target, desk.snapshot.pending_count) == (D, 2)
    desk.manager.cancel_override("lee", "over")
    assert desk.hours(1, STORM) == [D]


@pytest.mark.parametrize("revert", [A, B, D])
def test_expiry_lands_on_the_recorded_state(revert):
    desk = Desk(B)
    desk.order(D, days=1, revert=revert)
    desk.wait(DAY - timedelta(microseconds=1))
    assert desk.manager.check_override_expiry() is None
    desk.wait(timedelta(microseconds=1))
    snapshot = desk.manager.check_override_expiry()
    assert (snapshot.current_state, snapshot.manual_override, snapshot.override_expiry) == (revert, False, None)
    assert desk.last.kind is TransitionKind.OVERRIDE_EXPIRED
    assert desk.manager.check_override_expiry() is None


def test_an_evaluation_ends_an_override_that_is_over():
    desk = Desk(B)
    desk.order(D, days=0.5)
    assert set(desk.hours(11, QUIET)) == {D}
    assert desk.hours(1, QUIET) == [B]


def test_under_literal_expiry_into_a_storm_lands_as_recorded_all_the_same():
    desk = Desk(B)
    desk.order(D, days=0.5, revert=A)
    desk.hours(12, replace(STORM, drawdown_pct=0.2))
    assert desk.state is A


@pytest.mark.parametrize(
    ("revert", "metrics", "safety", "lands"),
    [
        (B, QUIET, NORMAL, B),
        (A, QUIET, NORMAL, B),  # never AGGRESSIVE by itself
        (D, QUIET, NORMAL, D),
        (B, STORM, NORMAL, D),
        (B, replace(QUIET, drawdown_pct=0.11), NORMAL, D),
        (A, QUIET, WARNING, D),
        (B, replace(QUIET, vix=None), NORMAL, D),  # unknown: no way up
        (B, replace(QUIET, drawdown_pct=None), NORMAL, D),
    ],
)
def test_under_safe_expiry_is_checked_again(revert, metrics, safety, lands):
    desk = Desk(B, "SAFE")
    desk.order(D, days=0.5, revert=revert)
    desk.hours(12, metrics, safety)
    assert not desk.snapshot.manual_override
    assert desk.state is lands


def test_under_safe_an_override_that_expires_before_any_metrics_stays_low():
    desk = Desk(B, "SAFE")
    desk.order(D, days=0.5)
    desk.wait(DAY)
    assert desk.manager.check_override_expiry().current_state is D


def test_cancelling_ends_it_as_expiry_would():
    desk = Desk(B)
    with pytest.raises(NotActive, match="no override"):
        desk.manager.cancel_override("lee", "why not")
    desk.order(D)
    snapshot = desk.manager.cancel_override("lee", "calm again")
    assert (snapshot.current_state, snapshot.manual_override) == (B, False)
    assert desk.last.operator_id == "lee"
    assert "calm again" in desk.last.detail
    assert "kim" in desk.last.detail


@pytest.mark.parametrize("state", [A, B])
def test_fail_cancels_an_override_that_is_not_defensive(state):
    desk = Desk(B)
    desk.order(state, days=3)
    assert desk.look(QUIET, FAIL) is D or state is D
    assert (desk.state, desk.snapshot.manual_override) == (D, False)


def test_a_defensive_override_expires_during_fail_and_the_state_stays():
    desk = Desk(B)
    desk.order(D, days=0.5, revert=A)
    desk.hours(13, QUIET, FAIL)
    assert (desk.state, desk.snapshot.manual_override) == (D, False)


def test_an_operator_may_impose_defensive_during_fail_but_nothing_else():
    desk = Desk(B)
    desk.look(QUIET, FAIL)
    desk.order(D)
    for state in (A, B):
        with pytest.raises(OverrideRejected, match="FAIL"):
            desk.order(state)


@pytest.mark.parametrize("state", [A, B, D])
def test_lockdown_outranks_every_override(state):
    desk = Desk(B)
    desk.look(QUIET, LOCKDOWN)
    with pytest.raises(OverrideRejected, match="LOCKDOWN"):
        desk.order(state)


def test_more_risk_under_a_warning_is_refused_under_safe_only():
    for policy, refused in (("LITERAL", False), ("SAFE", True)):
        desk = Desk(B, policy)
        desk.look(STRONG, WARNING)
        if refused:
            with pytest.raises(OverrideRejected, match="WARNING"):
                desk.order(A)
            desk.order(D)
        else:
            desk.order(A)


@pytest.mark.parametrize(
    ("state", "target", "metrics", "words"),
    [
        (B, A, replace(STRONG, drawdown_pct=0.05), "drawdown_pct"),
        (B, A, replace(STRONG, drawdown_pct=None), "drawdown_pct"),
        (B, A, replace(STRONG, daily_loss_pct=0.03), "daily_loss_pct"),
        (B, A, replace(STRONG, market_circuit_breaker=True), "market_circuit_breaker"),
        (D, B, replace(RECOVERED, drawdown_pct=0.11), "drawdown_pct"),
        (D, B, replace(RECOVERED, market_circuit_breaker=None), "market_circuit_breaker"),
        (D, B, None, "drawdown_pct"),
    ],
)
def test_under_safe_more_risk_needs_a_sound_account(state, target, metrics, words):
    desk = Desk(state, "SAFE")
    if metrics is not None:
        desk.look(metrics)
    with pytest.raises(OverrideRejected, match=words):
        desk.order(target)
    literal = Desk(state)
    literal.order(target)
    assert literal.state is target


def test_under_safe_less_risk_needs_nothing():
    desk = Desk(A, "SAFE")
    desk.order(B)
    desk.order(D)
    assert desk.state is D


def test_live_trading_needs_a_second_operator_for_more_risk_under_safe():
    desk = Desk(D, "SAFE", is_live=True)
    desk.look(RECOVERED)
    for nobody in ("", " ", "kim"):
        with pytest.raises(OverrideRejected, match="second operator"):
            desk.order(B, confirmed_by=nobody)
    desk.order(B, confirmed_by="lee")
    for other in (Desk(D, is_live=True), Desk(D, "SAFE"), Desk(D, "SAFE", is_live=True, dual_control_live=False)):
        other.look(RECOVERED)
        other.order(B)


def test_a_loss_breaks_through_an_override_under_safe_only():
    for policy, state in (("SAFE", D), ("LITERAL", A)):
        desk = Desk(B, policy)
        desk.look(STRONG)
        desk.order(A, days=5)
        desk.minutes(2, replace(STRONG, drawdown_pct=0.11))
        assert desk.state is state
        assert desk.snapshot.manual_override is (state is A)


def test_volatility_does_not_break_through_nor_tighten():
    desk = Desk(B, "SAFE")
    desk.look(STRONG)
    desk.order(A, days=5)
    desk.hours(5, STORM)
    assert (desk.state, desk.snapshot.tightened) == (A, False)


def test_overrides_can_be_switched_off_but_for_defensive():
    desk = Desk(A, override_enabled=False)
    for state in (A, B):
        with pytest.raises(OverrideRejected, match="enabled"):
            desk.order(state)
    desk.order(D)
    assert desk.state is D


def test_the_third_renewal_without_a_pause_is_told():
    desk = Desk(B)
    for _ in range(3):
        desk.order(D)
    assert desk.heard.codes == []
    desk.order(D)
    assert desk.heard.codes == ["GR084"]
    desk.manager.cancel_override("kim", "pause")
    desk.order(D)
    assert desk.heard.codes == ["GR084"]


def test_an_override_to_the_same_state_resets_no_time():
    desk = Desk(B)
    desk.settle(3)
    desk.order(B)
    assert desk.snapshot.state_duration_days == 3.0
    assert desk.snapshot.transition_timestamp is None


def test_the_message_of_a_refusal_is_bilingual(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    with pytest.raises(OverrideRejected, match="최대 7일"):
        Desk(B).order(D, days=8)


def test_a_move_after_expiry_waits_for_the_cooldown():
    desk = Desk(B, min_duration_days={A: 0, B: 0, D: 0})
    desk.order(D, days=1 / 24)
    desk.wait(HOUR)
    desk.look(CALM)
    assert desk.state is B
    assert desk.hours(26, replace(CALM, vix=35.0)) == [B] * 24 + [D] * 2
