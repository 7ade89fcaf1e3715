"""Rebalancing plans: triggers, the day's limit, convergence, pauses and conservation of money."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from state_samples import LOCKDOWN, NORMAL, WARNING, A, B, D, Desk

from qts.safety import SafetyState
from qts.state import StateConfig
from qts.state.config import RebalanceRules
from qts.state.rebalance import (
    POOLS,
    Move,
    PlanStatus,
    RebalanceLimits,
    Rebalancer,
    RebalanceTrigger,
    WindowView,
    moves_towards,
    shares,
)


def weights(*percent):
    return dict(zip(POOLS, (Decimal(one) / 100 for one in percent), strict=True))


TARGETS = {A: weights(70, 20, 10), B: weights(40, 35, 25), D: weights(10, 20, 70)}
LIMITS = RebalanceLimits(TARGETS)
EQUITY = 100_000_000


def totals(*percent, equity=EQUITY):
    return {pool: equity * one // 100 for pool, one in zip(POOLS, percent, strict=True)}


class Room:
    """A rebalancer in a state, and pools that really move."""

    def __init__(self, state=D, held=(40, 35, 25), rules=None, limits=LIMITS):
        self.desk = Desk(state)
        self.codes = []
        config = replace(StateConfig(), rebalance=rules or RebalanceRules())
        self.balancer = Rebalancer(config, limits, self.desk.clock, lambda code, text: self.codes.append(code))
        self.totals = totals(*held)

    def arm(self, trigger=RebalanceTrigger.DEFENSIVE_ENTRY, codes=()):
        return self.balancer.arm(trigger, self.desk.snapshot, self.totals, codes)

    def view(self, **changes):
        view = WindowView(NORMAL, self.totals, self.totals, sum(self.totals.values()), 0, True, None)
        return view._replace(**changes)

    def moves(self, **changes):
        return self.balancer.next_moves(self.desk.snapshot, self.view(**changes))

    def apply(self, moves):
        for move in moves:
            self.totals[move.pool] += move.amount
            assert self.totals[move.pool] >= 0
        return self.balancer.book(moves, self.totals)

    @property
    def status(self):
        return self.balancer.plan.status


def test_targets_of_the_design_fit_the_states():
    LIMITS.check(StateConfig().properties)


@pytest.mark.parametrize("bad", [weights(70, 20, 11), weights(81, 15, 4), weights(60, 35, 5)])
def test_targets_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match="target"):
        Rebalancer(StateConfig(), RebalanceLimits({A: bad}), Desk().clock, print)


@pytest.mark.parametrize(("start", "held", "days"), [(D, (70, 20, 10), 12), (D, (40, 35, 25), 9), (B, (70, 20, 10), 6)])
def test_five_percent_a_day_converge_in_the_days_of_the_specification(start, held, days):
    room = Room(start, held)
    room.arm()
    used = 0
    while room.status is not PlanStatus.COMPLETED:
        used += 1
        moves = room.moves()
        assert sum(move.amount for move in moves) == 0
        received = sum(move.amount for move in moves if move.amount > 0)
        assert 0 < received <= EQUITY * 5 // 100
        assert [move.amount < 0 for move in moves] == sorted((move.amount < 0 for move in moves), reverse=True)
        assert room.apply(moves)
        assert room.moves(moved_today=received) == []
        room.balancer.close_window()
    assert used == days
    assert sum(room.totals.values()) == EQUITY
    assert all(abs(gap) <= Decimal("0.02") for gap in room.balancer.drift(start, room.totals).values())


def test_the_budget_is_shared_with_what_else_has_moved_today():
    room = Room()
    room.arm()
    assert sum(move.amount for move in room.moves(moved_today=3_000_000) if move.amount > 0) == 2_000_000
    assert room.status is PlanStatus.ACTIVE
    assert room.moves(moved_today=5_000_000) == []
    assert room.status is PlanStatus.ARMED
    assert room.codes == ["GR088"]


@pytest.mark.parametrize("safety", [one for one in SafetyState if one is not NORMAL])
def test_anything_but_safety_normal_pauses(safety):
    room = Room()
    room.arm()
    assert room.moves(safety=safety) == []
    assert room.status is PlanStatus.ARMED
    room.moves()
    assert room.moves(safety=safety) == []
    assert room.status is PlanStatus.PAUSED
    assert room.moves() != []
    assert room.status is PlanStatus.ACTIVE


def test_a_market_that_is_not_ready_pauses():
    room = Room()
    room.arm()
    room.moves()
    assert room.moves(is_market_ready=False) == []
    assert room.status is PlanStatus.PAUSED


def test_aggressive_only_flags_its_drift():
    room = Room(A, (40, 35, 25))
    assert room.balancer.has_drifted(A, room.totals)
    assert room.arm(RebalanceTrigger.DRIFT) is None
    assert not room.balancer.is_pending
    assert room.moves() == []


@pytest.mark.parametrize(("held", "drifted"), [((50, 30, 20), False), ((51, 29, 20), True), ((40, 35, 25), False)])
def test_drift_above_ten_points_starts_a_plan_exactly_ten_does_not(held, drifted):
    room = Room(B, held)
    assert room.balancer.has_drifted(B, room.totals) is drifted


def test_nothing_to_move_makes_no_plan():
    assert Room(D, (12, 20, 68)).arm() is None  # exactly within the two points at which one stops
    assert Room(D, (13, 20, 67)).arm() is not None
    room = Room()
    room.totals = dict.fromkeys(POOLS, 0)
    assert room.arm() is None
    assert shares(room.totals) == {}


def test_settings_switch_triggers_off():
    rules = RebalanceRules(on_defensive_entry=False, manual_enabled=False)
    room = Room(rules=rules)
    assert room.arm(RebalanceTrigger.DEFENSIVE_ENTRY) is None
    assert room.arm(RebalanceTrigger.OPERATOR) is None
    assert room.arm(RebalanceTrigger.SCHEDULE) is not None


@pytest.mark.parametrize(
    ("schedule", "day", "last", "due"),
    [
        ("monthly", date(2026, 2, 2), date(2026, 1, 30), True),
        ("monthly", date(2026, 2, 3), date(2026, 2, 2), False),
        ("quarterly", date(2026, 2, 2), date(2026, 1, 30), False),
        ("quarterly", date(2026, 4, 1), date(2026, 3, 31), True),
        ("quarterly", date(2026, 1, 2), date(2025, 12, 30), True),
    ],
)
def test_the_schedule(schedule, day, last, due):
    room = Room(rules=RebalanceRules(schedule=schedule))
    assert room.balancer.is_scheduled(day, last) is due


def test_a_technical_fail_needs_an_operators_consent():
    room = Room()
    assert room.arm(codes=["FS001"]).needs_confirmation
    assert room.moves() == []
    assert room.status is PlanStatus.ARMED
    room.balancer.confirm()
    assert room.moves() != []
    for codes in (["FS001", "FS050"], ["FS085"], ["FS100"], ["GR020"], []):
        assert not Room().arm(codes=codes).needs_confirmation


def test_a_newer_state_supersedes_the_plan():
    room = Room(B, (70, 20, 10))
    first = room.arm(RebalanceTrigger.SCHEDULE)
    assert room.arm(RebalanceTrigger.DRIFT) is first
    room.desk.manager.request_transition(D)
    assert room.moves() == []
    assert room.status is PlanStatus.CANCELLED
    assert room.arm().state is D


def test_after_a_release_from_lockdown_a_session_passes_first():
    room = Room()
    room.desk.look(safety=LOCKDOWN)
    room.desk.look(safety=WARNING)
    room.arm()
    assert room.moves(sessions_since_release=0) == []
    assert room.moves(sessions_since_release=1) != []
    room.balancer.cancel()
    assert room.status is PlanStatus.CANCELLED


def test_only_free_capital_moves_unless_sales_are_allowed():
    bound = {**totals(0, 0, 25), "SCALP": 1_000_000}
    room = Room()
    room.arm()
    assert room.moves(free=bound) == [Move("SCALP", -1_000_000), Move("PORTFOLIO", 1_000_000)]
    assert room.moves(free=dict.fromkeys(POOLS, 0)) == []
    selling = Room(rules=RebalanceRules(allow_position_sells=True))
    selling.arm()
    assert sum(move.amount for move in selling.moves(free=bound) if move.amount > 0) == 5_000_000


def test_small_residuals_wait():
    room = Room(B, (44, 35, 21), limits=replace(LIMITS, min_amount=4_000_001))
    room.arm(RebalanceTrigger.SCHEDULE)
    assert room.moves() == []
    exact = Room(B, (44, 35, 21), limits=replace(LIMITS, min_amount=4_000_000))
    exact.arm(RebalanceTrigger.SCHEDULE)
    assert exact.moves() == [Move("SCALP", -4_000_000), Move("PORTFOLIO", 4_000_000)]


def test_money_that_is_lost_on_the_way_pauses():
    room = Room()
    room.arm()
    moves = room.moves()
    assert not room.balancer.book([Move("SCALP", -100), Move("PORTFOLIO", 98)], room.totals)
    assert room.status is PlanStatus.PAUSED
    assert room.moves() == moves
    assert room.balancer.book([Move("SCALP", -100), Move("PORTFOLIO", 99)], room.totals)  # a won of rounding
    assert Room().balancer.book([], room.totals) is False


def test_a_plan_that_is_carried_over_is_told_once():
    room = Room()
    room.balancer.close_window()
    room.arm()
    for _ in range(5):
        room.balancer.close_window()
    assert room.codes == ["GR088"]


def test_a_market_that_did_it_itself_completes_the_plan():
    room = Room()
    room.arm()
    room.totals = totals(10, 20, 70)
    assert room.moves() == []
    assert room.status is PlanStatus.COMPLETED
    assert not room.balancer.is_pending


def test_a_pool_outside_its_range_on_two_days_is_told():
    room = Room(D, (20, 20, 60))
    check = lambda day: room.balancer.check_ranges(room.desk.snapshot, room.totals, date(2026, 1, day))  # noqa: E731
    assert check(5) == []
    assert check(5) == []  # the same day is one check
    assert check(6) == ["SCALP"]
    assert room.codes == ["GR081"]
    room.totals = totals(15, 25, 60)  # the very edge is inside
    assert check(7) == []
    room.totals = totals(20, 20, 60)
    assert check(8) == []


def test_promotion_waits_for_a_move_under_way():
    room = Room()
    room.arm()
    assert not room.balancer.is_active
    room.moves()
    assert room.balancer.is_active


@given(
    st.tuples(*[st.integers(0, 10**12)] * 3),
    st.sampled_from([A, B, D]),
    st.integers(0, 10**11),
    st.tuples(*[st.integers(-(10**9), 10**12)] * 3),
    st.sampled_from([1, 100_000]),
)
def test_moves_conserve_money_stay_in_the_budget_and_overshoot_nothing(held, state, budget, free, least):
    have = dict(zip(POOLS, held, strict=True))
    releasable = dict(zip(POOLS, free, strict=True))
    target = TARGETS[state]
    moves = moves_towards(
        target, have, budget=budget, releasable=releasable, min_amount=least, priority=LIMITS.priority
    )
    assert sum(move.amount for move in moves) == 0
    assert sum(move.amount for move in moves if move.amount > 0) <= budget
    whole = sum(held)
    for move in moves:
        gap = target[move.pool] * whole - have[move.pool]
        assert (move.amount > 0) is (gap > 0)
        assert abs(move.amount) <= abs(gap) + len(POOLS)  # won of rounding
        assert move.amount >= least or move.amount < 0
        assert move.amount > 0 or -move.amount <= releasable[move.pool]
