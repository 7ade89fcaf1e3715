"""The shipped gates: shortest stay, cooldown and two hourly confirmations for every move that safety does not force."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from state_samples import (
    CALM,
    DAY,
    FAIL,
    HOUR,
    MINUTE,
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

from qts.clock import NS_PER_DAY, NS_PER_S, SimClock, to_ns
from qts.safety import SafetyState
from qts.state import (
    STATE_PROPERTIES,
    StateConfig,
    TransitionKind,
    TransitionReason,
    TransitionSource,
    can_transition,
)

CRASH = replace(CALM, drawdown_pct=0.11)
STORM = replace(CALM, vix=31.0)
NS_PER_HOUR = 3_600 * NS_PER_S


@pytest.mark.parametrize(
    ("state", "age_ns", "since_ns", "may"),
    [
        (A, 2 * NS_PER_DAY, None, False),  # the documented case: two days in AGGRESSIVE
        (A, 7 * NS_PER_DAY - 1, None, False),
        (A, 7 * NS_PER_DAY, None, True),
        (B, 5 * NS_PER_DAY - 1, None, False),
        (B, 5 * NS_PER_DAY, None, True),
        (D, 3 * NS_PER_DAY - 1, None, False),
        (D, 3 * NS_PER_DAY, None, True),
        (B, 9 * NS_PER_DAY, 24 * NS_PER_HOUR - 1, False),
        (B, 9 * NS_PER_DAY, 24 * NS_PER_HOUR, False),
        (B, 9 * NS_PER_DAY, 24 * NS_PER_HOUR + 1, True),
    ],
)
def test_stay_is_inclusive_and_cooldown_strict(state, age_ns, since_ns, may):
    for policy in ("LITERAL", "SAFE"):
        assert can_transition(StateConfig(policy=policy), state, age_ns, since_ns) is may


def test_a_drawdown_on_day_two_waits_until_day_seven_and_then_moves_at_once():
    desk = Desk(A)
    desk.settle(2)
    states = desk.hours(24 * 5, CRASH)
    assert states[:-1] == [A] * (24 * 5 - 1)
    assert states[-1] is B  # day 7.0, to BALANCED: there is no way from AGGRESSIVE to DEFENSIVE
    assert (desk.last.kind, desk.last.reason) == (
        TransitionKind.RULE_SOFT,
        TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED,
    )
    assert desk.last.effective_at == START + timedelta(days=7)
    assert desk.last.metrics.drawdown_pct == 0.11


def test_nothing_tightens_while_a_move_waits():
    desk = Desk(A)
    desk.hours(10, CRASH)
    snapshot = desk.snapshot
    assert (snapshot.pending_target, snapshot.pending_count) == (B, 2)
    assert snapshot.pending_since == START + HOUR
    assert not snapshot.tightened
    assert snapshot.effective_properties == snapshot.properties == STATE_PROPERTIES[A]


def test_one_passing_cycle_changes_nothing_the_second_does():
    desk = Desk(B)
    desk.settle(5)
    assert desk.hours(2, STORM) == [B, D]
    assert desk.last.reason is TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED


def test_an_interrupted_confirmation_starts_again():
    desk = Desk(B)
    desk.settle(5)
    assert desk.hours(1, STORM) == [B]
    assert desk.snapshot.pending_count == 1
    assert desk.hours(1, QUIET) == [B]
    assert (desk.snapshot.pending_target, desk.snapshot.pending_count) == (None, 0)
    assert desk.hours(2, STORM) == [B, D]


def test_an_unknown_index_interrupts_too():
    desk = Desk(B)
    desk.settle(5)
    desk.hours(1, STORM)
    desk.hours(1, replace(CALM, vix=None))
    assert desk.hours(2, STORM) == [B, D]


def test_a_missed_hour_interrupts_too():
    desk = Desk(B)
    desk.settle(5)
    desk.hours(1, STORM)
    desk.wait(HOUR)
    assert desk.hours(2, STORM) == [B, D]


def test_samples_between_the_hours_count_nothing():
    desk = Desk(B)
    desk.settle(5)
    assert set(desk.minutes(59, STORM)) == {B}
    assert desk.snapshot.pending_count == 0
    assert set(desk.minutes(60, STORM)) == {B}
    assert desk.snapshot.pending_count == 1
    assert desk.minutes(1, STORM) == [D]


def test_hours_are_those_of_the_clock_whenever_the_engine_starts():
    desk = Desk(B, start=START + timedelta(minutes=50))
    desk.settle(5)  # looks at ten to every hour: each is the first of its hour
    desk.minutes(9, STORM)
    assert desk.snapshot.pending_count == 0
    desk.minutes(1, STORM)
    assert desk.snapshot.pending_count == 1


def test_the_cooldown_holds_a_move_whose_stay_is_over():
    desk = Desk(B, min_duration_days={A: 0, B: 0, D: 0})
    assert desk.hours(2, STORM) == [B, D]
    back = replace(RECOVERED, vix=10.0)
    desk.hours(24 * 5, back)
    assert desk.state is D  # T3 itself asks for five days; its first confirmation came with the last look
    assert desk.hours(1, back) == [B]
    states = desk.hours(26, STORM)
    assert states == [B] * 24 + [D] * 2  # confirmed long since; 24 h to the minute is not enough


def test_a_warning_waits_for_stay_cooldown_and_confirmation():
    desk = Desk(B)
    desk.settle(2)
    assert set(desk.hours(24 * 3 - 1, QUIET, WARNING)) == {B}
    assert desk.hours(1, QUIET, WARNING) == [D]
    assert desk.last.reason is TransitionReason.SAFETY_WARNING
    aggressive = Desk(A)
    aggressive.settle(8)
    assert set(aggressive.hours(10, QUIET, WARNING)) == {A}


def test_safety_fail_waits_for_nothing():
    for state in (A, B):
        desk = Desk(state)
        assert desk.look(QUIET, FAIL) is D
        assert desk.last.kind is TransitionKind.FORCED_SAFETY
        assert desk.last.source is TransitionSource.SAFETY


def test_a_circuit_breaker_waits_like_everything_else():
    desk = Desk(B)
    halt = replace(QUIET, market_circuit_breaker=True)
    desk.settle(4)
    assert desk.hours(24, halt)[-2:] == [B, D]
    aggressive = Desk(A)
    aggressive.settle(8)
    assert set(aggressive.hours(5, halt)) == {A}


def test_recovery_comes_after_five_days_and_one_more_confirmation():
    desk = Desk(D)
    states = desk.hours(24 * 5 + 1, RECOVERED)
    assert states[-2:] == [D, B]
    assert desk.last.reason is TransitionReason.RECOVERY_CONFIRMED
    assert desk.last.effective_at == START + timedelta(days=5, hours=1)


def test_growth_comes_after_ten_days_and_one_more_confirmation():
    desk = Desk(B)
    states = desk.hours(24 * 10 + 1, STRONG)
    assert states[-2:] == [B, A]
    assert desk.last.reason is TransitionReason.PERFORMANCE_CONFIRMED


def test_recovery_passes_through_balanced_never_straight_to_aggressive():
    desk = Desk(D)
    states = desk.hours(24 * 30, STRONG)
    assert [state for state, before in zip(states, [D, *states], strict=False) if state is not before] == [B, A]


def test_less_risk_comes_before_more():
    both = replace(STRONG, drawdown_pct=0.11)
    desk = Desk(B)
    desk.settle(11)
    assert desk.hours(2, both) == [B, D]


@pytest.mark.parametrize("unknown", ["drawdown_pct", "vix", "market_circuit_breaker"])
def test_nothing_gets_riskier_while_a_reason_for_less_risk_is_unknown(unknown):
    desk = Desk(B)
    desk.settle(11)
    assert set(desk.hours(5, replace(STRONG, **{unknown: None}))) == {B}
    assert desk.hours(2, STRONG) == [B, A]


def test_rules_can_be_frozen_and_forced_moves_still_act():
    desk = Desk(B, transition_enabled=False)
    desk.settle(6)
    assert set(desk.hours(5, CRASH)) == {B}
    assert desk.snapshot.pending_target is D  # still shown
    assert desk.look(CRASH, FAIL) is D


def test_every_published_change_has_a_higher_version():
    desk = Desk(B)
    seen = [desk.snapshot]
    for metrics in (QUIET, STORM, QUIET, STORM, STORM):
        desk.hours(1, metrics)
        seen.append(desk.snapshot)
    for before, after in pairwise(seen):
        is_same = replace(before, state_duration_days=0.0) == replace(after, state_duration_days=0.0)
        assert (after.version == before.version) is is_same
        assert after.version >= before.version


def test_time_in_the_state_is_shown_as_of_now():
    desk = Desk(B)
    assert desk.snapshot.state_duration_days == 0.0
    desk.wait(DAY / 2)
    assert desk.snapshot.state_duration_days == 0.5
    assert desk.manager.properties is STATE_PROPERTIES[B]


class TurnableClock(SimClock):
    """A wall clock that can be turned while the monotonic one goes on."""

    offset_ns = 0

    def now_ns(self):
        return super().now_ns() + self.offset_ns

    def now_utc(self):
        return START + timedelta(microseconds=(self.now_ns() - to_ns(START)) // 1_000)

    def advance_to(self, now_ns):
        super().advance_to(now_ns - self.offset_ns)


@pytest.mark.parametrize("turned", [-HOUR, timedelta(minutes=6)])
def test_a_clock_that_is_turned_breaks_confirmations_and_changes_no_duration(turned):
    clock = TurnableClock(to_ns(START))
    desk = Desk(B, clock=clock)
    desk.settle(6)
    desk.hours(1, STORM)
    clock.offset_ns += int(turned.total_seconds()) * NS_PER_S
    desk.look(STORM)
    assert desk.snapshot.pending_count == 0
    assert desk.snapshot.state_duration_days == pytest.approx(6 + 1 / 24)
    clock.offset_ns -= int(turned.total_seconds()) * NS_PER_S
    desk.look(STORM)
    assert desk.hours(2, STORM)[-1] is D


def test_a_clock_that_is_turned_back_prolongs_no_override():
    clock = TurnableClock(to_ns(START))
    desk = Desk(B, clock=clock)
    desk.order(D, days=1)
    clock.offset_ns -= 3 * NS_PER_DAY
    desk.wait(timedelta(hours=23))
    assert desk.manager.check_override_expiry() is None
    desk.wait(HOUR)
    assert desk.manager.check_override_expiry().manual_override is False


def test_history_keeps_what_was_recent():
    desk = Desk(B)
    desk.settle(5)
    desk.hours(2, STORM)
    assert [one.reason for one in desk.manager.history(30)] == [
        TransitionReason.BOOT_DEFAULT,
        TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED,
    ]
    assert len(desk.manager.history(1)) == 1
    assert desk.heard.results == desk.manager.history(30)
    ids = [one.transition_id for one in desk.manager.history(30)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {26}


def test_the_ways_out_are_shown_with_their_conditions():
    desk = Desk(B)
    assert desk.manager.next_transitions() == []
    desk.look(STORM)
    ways = dict(desk.manager.next_transitions())
    assert set(ways) == {A, D}
    assert [one.name for one in ways[D] if one.is_met] == ["vix"]
    assert all(one.name != "drawdown_pct" or one.value == 0.07 for one in ways[D])


def test_promotion_needs_safety_peace_and_a_day():
    desk = Desk(B)
    desk.look(QUIET)
    assert desk.manager.promotion_allowed(is_rebalancing=False)
    assert not desk.manager.promotion_allowed(is_rebalancing=True)
    desk.look(QUIET, WARNING)
    assert not desk.manager.promotion_allowed(is_rebalancing=False)
    desk.look(QUIET, FAIL)
    desk.look(QUIET, NORMAL)
    desk.wait(DAY)
    assert not desk.manager.promotion_allowed(is_rebalancing=False)
    desk.wait(MINUTE)
    assert desk.manager.promotion_allowed(is_rebalancing=False)


def test_a_manager_needs_no_arguments_and_no_quality():
    desk = Desk(B)
    assert desk.manager.policy == "LITERAL"
    assert desk.manager.evaluate_transition(QUIET, SafetyState.NORMAL) is None
