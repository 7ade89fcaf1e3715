"""What holds whatever the metrics, the safety state and the operator do."""

from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_samples import FAIL, HOUR, LOCKDOWN, MINUTE, NORMAL, QUIET, STRONG, WARNING, A, B, D, Desk

from qts.clock import NS_PER_DAY
from qts.state import (
    AggressiveToBalanced,
    BalancedToAggressive,
    BalancedToDefensive,
    DefensiveToBalanced,
    OverrideRejected,
    RejectedRiskOn,
    StateConfig,
    TransitionKind,
    TransitionMetrics,
    rules_of,
)

FEW = settings(max_examples=50, deadline=None)
RULES = (TransitionKind.RULE_SOFT, TransitionKind.RULE_HARD)

# Values around every threshold, so that a random sample has something to say.
METRICS = st.builds(
    TransitionMetrics,
    drawdown_pct=st.sampled_from([0.0, 0.01, 0.05, 0.06, 0.11]),
    vix=st.sampled_from([10.0, 14.0, 19.0, 22.0, 26.0, 31.0]),
    consecutive_scalp_losses=st.sampled_from([0, 5, 6]),
    daily_loss_pct=st.sampled_from([0.0, 0.01, 0.03]),
    market_circuit_breaker=st.sampled_from([False, False, False, True]),
    consecutive_profitable_days=st.sampled_from([0, 3, 5]),
    cagr=st.sampled_from([0.1, 0.3]),
    target_cagr=st.just(0.2),
    capital_growth_pct=st.sampled_from([0.05, 0.2]),
    win_rate_30d=st.sampled_from([0.5, 0.7]),
)
KINDS = st.sampled_from([STRONG, QUIET]) | METRICS
SAFETY = st.sampled_from([NORMAL] * 12 + [WARNING] * 3 + [FAIL, LOCKDOWN])
STATES = st.sampled_from([A, B, D])
POLICIES = st.sampled_from(["LITERAL", "SAFE"])
RUNS = st.lists(st.tuples(KINDS, SAFETY, st.integers(1, 60)), min_size=1, max_size=12)
"""Metrics and safety that hold for so many hours."""


def play(desk, runs):
    """Look every hour; yield what was before and after each look."""
    for metrics, safety, hours in runs:
        for _ in range(hours):
            desk.wait(HOUR)
            before = desk.snapshot
            count = len(desk.manager.history(36_500))
            desk.look(metrics, safety)
            yield before, metrics, safety, desk.manager.history(36_500)[count:]


class Reference:
    """The shipped policy written down once more, as plainly as it can be said."""

    def __init__(self, state):
        self.state, self.hours, self.since, self.pending, self.count = state, 0, None, None, 0
        self.is_locked = False

    def move(self, to):
        if to is not self.state:
            self.state, self.hours, self.since = to, 0, 0
        self.pending, self.count = None, 0

    def look(self, m, safety):  # noqa: C901 - said in one piece, so that it can be read against the rules
        """One hour later."""
        if not self.is_locked:
            self.hours += 1
            self.since = None if self.since is None else self.since + 1
        if self.is_locked and safety is not LOCKDOWN:
            self.is_locked = False
            self.move(B if self.state is A else self.state)
            self.since = 0
            if safety is FAIL:
                self.move(D)
            return
        if safety is LOCKDOWN:
            self.is_locked = True
            return
        if safety is FAIL:
            self.move(D)
            return
        target = None
        if self.state is A:
            if m.drawdown_pct > 0.05 or m.daily_loss_pct > 0.02 or m.vix > 25 or m.consecutive_scalp_losses > 5:
                target = B
        elif self.state is D:
            calm = m.drawdown_pct < 0.05 and m.vix < 20 and m.consecutive_profitable_days >= 3
            if calm and safety is NORMAL and self.hours >= 120:
                target = B
        elif m.drawdown_pct > 0.10 or m.vix > 30 or m.market_circuit_breaker or safety is WARNING:
            target = D
        elif m.cagr > m.target_cagr and m.vix < 15 and m.capital_growth_pct > 0.10 and m.win_rate_30d > 0.60:
            target = A if self.hours >= 240 else None
        self.count = 0 if target is None else self.count + 1 if target is self.pending else 1
        self.pending = target
        is_open = self.hours >= {A: 168, B: 120, D: 72}[self.state] and (self.since is None or self.since > 24)
        if target is not None and self.count >= 2 and is_open:
            self.move(target)


def _known(runs):
    full = replace(QUIET, cagr=0.1, target_cagr=0.2, capital_growth_pct=0.05, win_rate_30d=0.5)
    return [(full if metrics is QUIET else metrics, safety, hours * 3) for metrics, safety, hours in runs]


@FEW
@given(STATES, RUNS)
def test_the_shipped_policy_gives_the_labels_of_a_plain_reference(state, runs):
    desk, plain = Desk(state), Reference(state)
    for metrics, safety, hours in _known(runs):
        for _ in range(hours):
            desk.wait(HOUR)
            desk.look(metrics, safety)
            plain.look(metrics, safety)
            assert desk.state is plain.state


@FEW
@given(STATES, POLICIES, RUNS)
def test_no_rule_moves_unless_it_is_satisfied_and_stay_and_cooldown_are_over(state, policy, runs):
    desk = Desk(state, policy)
    config = StateConfig(policy=policy)
    for before, metrics, safety, records in play(desk, runs):
        for record in records:
            if record.kind not in RULES:
                continue
            rule = next(
                one for one in rules_of(config) if (one.source, one.target) == (record.from_state, record.to_state)
            )
            age_days = before.state_duration_days
            assert rule.evaluate(metrics, safety, age_days) is record.to_state
            if record.kind is TransitionKind.RULE_SOFT:
                assert age_days * NS_PER_DAY >= config.min_duration_days[record.from_state] * NS_PER_DAY
                changes = [one for one in desk.manager.history(36_500)[:-1] if one.from_state is not one.to_state]
                if changes:
                    assert record.effective_at - changes[-1].effective_at > timedelta(hours=24)


@FEW
@given(STATES, POLICIES, RUNS)
def test_nothing_leads_from_defensive_to_aggressive_but_an_operator(state, policy, runs):
    desk = Desk(state, policy)
    for *_, records in play(desk, runs):
        assert not any((one.from_state, one.to_state) == (D, A) for one in records)


@FEW
@given(STATES, POLICIES, RUNS)
def test_the_same_metrics_in_the_same_order_give_the_same_records(state, policy, runs):
    one, other = Desk(state, policy), Desk(state, policy)
    for desk in (one, other):
        for _ in play(desk, runs):
            pass
    assert one.manager.history(36_500) == other.manager.history(36_500)
    assert one.snapshot == other.snapshot


NAMES = [field.name for field in fields(TransitionMetrics)]
BLIND = st.lists(
    st.tuples(
        KINDS,
        st.sets(
            st.sampled_from(["drawdown_pct", "vix", "market_circuit_breaker", "consecutive_scalp_losses"]), min_size=1
        ),
        st.sampled_from([None, float("nan"), -1]),
        SAFETY,
        st.integers(1, 60),
    ),
    min_size=1,
    max_size=8,
)


@FEW
@given(STATES, POLICIES, RUNS, BLIND)
def test_unknown_metrics_never_raise_the_risk(state, policy, seen, blind):
    desk = Desk(state, policy)
    for _ in play(desk, seen):
        pass
    needs = {B: {"drawdown_pct", "vix", "market_circuit_breaker"}, D: {"drawdown_pct", "vix"}, A: set()}
    for metrics, names, nothing, safety, hours in blind:
        masked = replace(metrics, **dict.fromkeys(names, nothing))
        for before, _, _, records in play(desk, [(masked, safety, hours)]):
            if names & needs[before.current_state]:
                assert not any(one.to_state.rank > one.from_state.rank for one in records)


@FEW
@given(STATES, POLICIES, RUNS, st.lists(st.tuples(STATES, STATES, st.floats(0.01, 7.0)), min_size=1, max_size=4))
def test_an_override_always_expires(state, policy, runs, wishes):
    desk = Desk(state, policy)
    desk.look(STRONG)
    cut = max(1, len(runs) // len(wishes))
    for number, (target, revert, days) in enumerate(wishes):
        with suppress(OverrideRejected):
            desk.order(target, days=days, revert=revert)
        for _, _, safety, _ in play(desk, runs[number * cut : (number + 1) * cut]):
            snapshot = desk.snapshot
            if snapshot.manual_override and safety is not LOCKDOWN:
                assert snapshot.override_expiry > desk.clock.now_utc()
                assert snapshot.override_expiry - desk.clock.now_utc() <= timedelta(days=7)
    desk.wait(timedelta(days=7))
    desk.look(QUIET, NORMAL)
    assert not desk.snapshot.manual_override


@FEW
@given(STATES, POLICIES, RUNS)
def test_fail_is_always_defensive_and_lockdown_never_moves(state, policy, runs):
    desk = Desk(state, policy)
    for before, _, safety, _ in play(desk, runs):
        if safety is FAIL:
            assert desk.state is D
        if safety is LOCKDOWN:
            assert desk.state is before.current_state
        assert desk.snapshot.trading_paused is (safety in (FAIL, LOCKDOWN))


@FEW
@given(st.sampled_from([A, B]), st.lists(st.tuples(METRICS, st.sampled_from([NORMAL, WARNING])), max_size=60))
def test_under_safe_a_confirmed_loss_never_leaves_more_risk_than_its_target(state, samples):
    desk = Desk(state, "SAFE")
    before = None
    for metrics, safety in samples:
        desk.wait(MINUTE)
        desk.look(metrics, safety)
        is_deep = metrics.drawdown_pct > 0.10 or metrics.market_circuit_breaker
        was_deep = before is not None and (before.drawdown_pct > 0.10 or before.market_circuit_breaker)
        is_loss = metrics.drawdown_pct > 0.05 or metrics.daily_loss_pct > 0.02
        was_loss = before is not None and (before.drawdown_pct > 0.05 or before.daily_loss_pct > 0.02)
        if is_deep and was_deep:
            assert desk.state is not A
        if is_loss and was_loss:
            assert desk.state is not A
        before = metrics


@FEW
@given(STATES, POLICIES, RUNS)
def test_effective_limits_are_never_looser_than_those_of_the_label(state, policy, runs):
    desk = Desk(state, policy)
    for _ in play(desk, runs):
        snapshot = desk.snapshot
        assert snapshot.effective_properties == snapshot.properties.limited_by(snapshot.effective_properties)
        if policy == "LITERAL":
            assert snapshot.effective_properties == snapshot.properties


@FEW
@given(STATES, STATES, POLICIES)
def test_a_forced_request_never_raises_the_risk(state, target, policy):
    desk = Desk(state, policy)
    try:
        desk.manager.request_transition(target)
    except RejectedRiskOn:
        assert target.rank > state.rank
    assert desk.state.rank == min(state.rank, target.rank)


@pytest.mark.parametrize(
    ("rule", "source", "target"),
    [
        (AggressiveToBalanced, A, B),
        (BalancedToDefensive, B, D),
        (DefensiveToBalanced, D, B),
        (BalancedToAggressive, B, A),
    ],
)
def test_each_rule_knows_where_it_leads(rule, source, target):
    assert (rule().source, rule().target) == (source, target)
