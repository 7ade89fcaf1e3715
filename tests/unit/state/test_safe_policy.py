"""The switch: losses act after a confirming sample, limits tighten while a label is held."""

from dataclasses import replace
from datetime import timedelta

import pytest
from state_samples import (
    CALM,
    HOUR,
    MINUTE,
    NORMAL,
    QUIET,
    RECOVERED,
    STRONG,
    WARNING,
    A,
    B,
    D,
    Desk,
)

from qts.state import STATE_PROPERTIES, MetricFlag, MetricQuality, TransitionKind, TransitionReason

STORM = replace(QUIET, vix=31.0)
UNEASY = replace(QUIET, vix=26.0)


def safe(state=A, **changes):
    return Desk(state, "SAFE", **changes)


@pytest.mark.parametrize(
    ("change", "target", "reason"),
    [
        ({"drawdown_pct": 0.06}, B, TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED),
        ({"daily_loss_pct": 0.021}, B, TransitionReason.DAILY_LOSS_EXCEEDED),
        ({"drawdown_pct": 0.11}, D, TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED),
        ({"market_circuit_breaker": True}, D, TransitionReason.MARKET_CIRCUIT_BREAKER),
    ],
)
def test_a_loss_on_day_two_of_aggressive_acts_within_two_samples(change, target, reason):
    desk = safe()
    desk.settle(2)
    assert desk.minutes(2, replace(QUIET, **change)) == [A, target]
    assert (desk.last.kind, desk.last.reason) == (TransitionKind.RULE_HARD, reason)


def test_one_bad_print_does_nothing_however_often_it_comes():
    desk = safe()
    bad = replace(QUIET, drawdown_pct=0.5, market_circuit_breaker=True, daily_loss_pct=0.5)
    for _ in range(5):
        assert desk.minutes(1, bad) == [A]
        assert desk.minutes(1, QUIET) == [A]


def test_samples_that_follow_too_closely_count_once():
    desk = safe()
    bad = replace(QUIET, drawdown_pct=0.06)
    desk.minutes(1, bad)
    desk.wait(timedelta(seconds=29))
    assert desk.look(bad) is None
    desk.wait(timedelta(seconds=1))
    assert desk.look(bad) is B


def test_a_sample_that_does_not_know_neither_confirms_nor_clears():
    desk = safe()
    bad, blind = replace(QUIET, drawdown_pct=0.06), replace(QUIET, drawdown_pct=None)
    assert [*desk.minutes(1, bad), *desk.minutes(3, blind), *desk.minutes(1, bad)] == [A] * 4 + [B]


def test_a_stale_loss_does_not_act_at_once():
    desk = safe()
    bad = replace(QUIET, drawdown_pct=0.11)
    for _ in range(4):
        desk.wait(MINUTE)
        now = desk.clock.now_utc()
        desk.look(bad, NORMAL, MetricQuality(now, now, {"drawdown_pct": MetricFlag.STALE}))
    assert desk.state is A


def test_a_loss_that_grows_is_confirmed_for_both_targets():
    desk = safe()
    assert desk.minutes(2, replace(QUIET, drawdown_pct=0.06))[-1] is B
    desk = safe()
    desk.minutes(1, replace(QUIET, drawdown_pct=0.11))
    desk.minutes(1, replace(QUIET, drawdown_pct=0.09))
    assert desk.state is B  # both samples were above 5 %, one of them above 10 %


def test_volatility_inside_the_shortest_stay_tightens_and_keeps_the_label():
    desk = safe()
    assert desk.hours(2, UNEASY) == [A, A]
    snapshot = desk.snapshot
    assert snapshot.tightened
    assert snapshot.properties == STATE_PROPERTIES[A]
    assert snapshot.effective_properties == STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[B])
    assert "GR085" in desk.heard.codes
    desk.hours(24 * 7 - 2, UNEASY)
    assert desk.state is B
    assert not desk.snapshot.tightened


def test_tightening_ends_when_its_cause_is_gone_for_two_hours():
    desk = safe()
    desk.hours(2, UNEASY)
    desk.hours(1, QUIET)
    assert desk.snapshot.tightened
    desk.hours(1, UNEASY)
    desk.hours(1, QUIET)
    assert desk.snapshot.tightened
    desk.hours(1, QUIET)
    assert not desk.snapshot.tightened
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A]


def test_an_unknown_index_does_not_end_a_tightening():
    desk = safe()
    desk.hours(2, UNEASY)
    desk.hours(5, replace(QUIET, vix=None))
    assert desk.snapshot.tightened


def test_a_storm_tightens_to_defensive_and_a_lesser_one_not_at_once_to_less():
    desk = safe()
    desk.hours(2, STORM)
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[D])
    desk.hours(1, UNEASY)
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[D])
    desk.hours(1, UNEASY)
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[B])
    assert desk.state is A


def test_a_storm_from_aggressive_goes_straight_to_defensive():
    desk = safe()
    desk.settle(7)
    assert desk.hours(2, STORM) == [A, D]
    assert desk.last.kind is TransitionKind.RULE_SOFT


def test_a_warning_lowers_aggressive_only_to_balanced():
    desk = safe()
    desk.settle(7)
    assert desk.hours(2, QUIET, WARNING) == [A, B]


def test_growth_needs_every_sample_of_two_whole_hours():
    def climb(minute_of_doubt):
        desk = safe(B)
        desk.settle(11)
        states = []
        for minute in range(200):
            doubt = replace(STRONG, vix=15.0) if minute == minute_of_doubt else STRONG
            states += desk.minutes(1, doubt)
        return states.index(A) + 1 if A in states else None

    # Looks begin at a full hour; the interval that was running then does not count as a whole one.
    assert climb(None) == 180
    assert climb(30) == 180
    assert climb(70) is None


def test_growth_needs_samples_without_a_gap():
    desk = safe(B)
    desk.settle(11)
    assert set(desk.hours(10, STRONG)) == {B}


def test_recovery_waits_like_growth():
    desk = safe(D)
    for _ in range(6):
        desk.minutes(24 * 60, RECOVERED)
    assert desk.state is B
    assert desk.last.reason is TransitionReason.RECOVERY_CONFIRMED


def test_an_unknown_index_caps_at_the_limits_of_balanced():
    desk = safe()
    desk.look(replace(QUIET, vix=None))
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[B])
    assert not desk.snapshot.tightened
    desk.look(QUIET)
    assert desk.snapshot.effective_properties == STATE_PROPERTIES[A]
    literal = Desk(A)
    literal.look(replace(QUIET, vix=None))
    assert literal.snapshot.effective_properties == STATE_PROPERTIES[A]


def test_the_fifth_change_within_thirty_days_is_told_once():
    desk = safe(B, min_duration_days={A: 0, B: 0, D: 0}, cooldown_hours=0)
    for _ in range(3):
        desk.look(QUIET)
        desk.order(A, days=0.01, revert=B)
        desk.wait(HOUR)
        desk.look(QUIET)
    assert desk.heard.codes.count("GR086") == 1


def test_recovery_is_closed_for_a_week_after_too_many_changes():
    def recovers_after(swings):
        desk = safe(B, min_duration_days={A: 0, B: 0, D: 0}, cooldown_hours=0)
        desk.look(QUIET)
        for _ in range(swings):
            desk.order(D, days=0.01, revert=B)
            desk.wait(HOUR)
            desk.look(QUIET)
        desk.manager.request_transition(D)
        desk.settle(5)
        desk.minutes(1, RECOVERED)
        return desk.minutes(3 * 1_440, RECOVERED).index(B) / 1_440

    assert recovers_after(1) < 0.2
    assert 1.9 < recovers_after(2) < 2.2  # five days have passed already


def test_rules_that_are_frozen_do_not_act_on_losses_either():
    desk = safe(transition_enabled=False)
    assert set(desk.minutes(5, replace(CALM, drawdown_pct=0.2))) == {A}
    assert not desk.snapshot.tightened
