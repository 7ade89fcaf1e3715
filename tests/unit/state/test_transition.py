"""Every condition of every rule: exactly at its threshold, just under it, just over it."""

import math
from dataclasses import replace

import pytest
from state_samples import FAIL, LOCKDOWN, NORMAL, QUIET, RECOVERED, STRONG, WARNING, A, B, D

from qts.state import (
    AggressiveToBalanced,
    AggressiveToDefensive,
    BalancedToAggressive,
    BalancedToDefensive,
    DefensiveToBalanced,
    StateConfig,
    TransitionReason,
    rules_of,
)

SAFE = StateConfig(policy="SAFE")


def under(value):
    return math.nextafter(value, -math.inf)


def over(value):
    return math.nextafter(value, math.inf)


@pytest.mark.parametrize(
    ("field", "value", "fires"),
    [
        ("drawdown_pct", under(0.05), False),
        ("drawdown_pct", 0.05, False),
        ("drawdown_pct", over(0.05), True),
        ("drawdown_pct", 0.06, True),
        ("daily_loss_pct", under(0.02), False),
        ("daily_loss_pct", 0.02, False),
        ("daily_loss_pct", over(0.02), True),
        ("vix", under(25.0), False),
        ("vix", 25.0, False),
        ("vix", over(25.0), True),
        ("consecutive_scalp_losses", 4, False),
        ("consecutive_scalp_losses", 5, False),
        ("consecutive_scalp_losses", 6, True),
        ("market_circuit_breaker", True, False),  # not among the conditions of this rule
        ("drawdown_pct", None, False),
        ("vix", None, False),
    ],
)
def test_t1_aggressive_to_balanced(field, value, fires):
    for config in (StateConfig(), SAFE):
        rule = AggressiveToBalanced(config)
        assert rule.evaluate(replace(QUIET, **{field: value}), NORMAL, 0.0) is (B if fires else None)


@pytest.mark.parametrize(("safety", "fires"), [(NORMAL, False), (WARNING, True)])
def test_t1e_a_safety_warning_lowers_aggressive_under_safe_only(safety, fires):
    assert AggressiveToBalanced(SAFE).evaluate(QUIET, safety, 0.0) is (B if fires else None)
    assert AggressiveToBalanced().evaluate(QUIET, safety, 0.0) is None


@pytest.mark.parametrize(
    ("field", "value", "fires"),
    [
        ("drawdown_pct", under(0.10), False),
        ("drawdown_pct", 0.10, False),
        ("drawdown_pct", over(0.10), True),
        ("vix", under(30.0), False),
        ("vix", 30.0, False),
        ("vix", over(30.0), True),
        ("vix", 35.0, True),
        ("market_circuit_breaker", False, False),
        ("market_circuit_breaker", True, True),
        ("market_circuit_breaker", None, False),
        ("daily_loss_pct", 0.5, False),
        ("consecutive_scalp_losses", 50, False),
    ],
)
def test_t2_balanced_to_defensive_and_under_safe_t2g_from_aggressive(field, value, fires):
    metrics = replace(QUIET, **{field: value})
    assert BalancedToDefensive().evaluate(metrics, NORMAL, 0.0) is (D if fires else None)
    assert AggressiveToDefensive(SAFE).evaluate(metrics, NORMAL, 0.0) is (D if fires else None)


@pytest.mark.parametrize(("safety", "fires"), [(NORMAL, False), (WARNING, True), (FAIL, True), (LOCKDOWN, True)])
def test_t2d_a_safety_warning_or_worse_lowers_balanced(safety, fires):
    assert BalancedToDefensive().evaluate(QUIET, safety, 0.0) is (D if fires else None)
    assert AggressiveToDefensive(SAFE).evaluate(QUIET, safety, 0.0) is None


@pytest.mark.parametrize(
    ("field", "value", "fires"),
    [
        ("drawdown_pct", under(0.05), True),
        ("drawdown_pct", 0.05, False),
        ("drawdown_pct", over(0.05), False),
        ("vix", under(20.0), True),
        ("vix", 20.0, False),
        ("vix", over(20.0), False),
        ("consecutive_profitable_days", 2, False),
        ("consecutive_profitable_days", 3, True),
        ("consecutive_profitable_days", 4, True),
        ("drawdown_pct", None, False),
        ("vix", None, False),
        ("consecutive_profitable_days", None, False),
    ],
)
def test_t3_defensive_to_balanced_needs_every_condition(field, value, fires):
    metrics = replace(RECOVERED, **{field: value})
    assert DefensiveToBalanced().evaluate(metrics, NORMAL, 5.0) is (B if fires else None)


@pytest.mark.parametrize(("days", "fires"), [(under(5.0), False), (5.0, True), (over(5.0), True)])
def test_t3_needs_five_days(days, fires):
    assert DefensiveToBalanced().evaluate(RECOVERED, NORMAL, days) is (B if fires else None)


@pytest.mark.parametrize("safety", [WARNING, FAIL, LOCKDOWN])
def test_t3_needs_safety_normal(safety):
    assert DefensiveToBalanced().evaluate(RECOVERED, safety, 5.0) is None


@pytest.mark.parametrize(
    ("field", "value", "fires"),
    [
        ("cagr", under(0.2), False),
        ("cagr", 0.2, False),
        ("cagr", over(0.2), True),
        ("target_cagr", None, False),
        ("vix", under(15.0), True),
        ("vix", 15.0, False),
        ("vix", over(15.0), False),
        ("capital_growth_pct", under(0.10), False),
        ("capital_growth_pct", 0.10, False),
        ("capital_growth_pct", over(0.10), True),
        ("win_rate_30d", under(0.60), False),
        ("win_rate_30d", 0.60, False),
        ("win_rate_30d", over(0.60), True),
        ("cagr", None, False),
        ("vix", None, False),
        ("capital_growth_pct", None, False),
        ("win_rate_30d", None, False),
    ],
)
def test_t4_balanced_to_aggressive_needs_every_condition(field, value, fires):
    for config in (StateConfig(), SAFE):
        rule = BalancedToAggressive(config)
        assert rule.evaluate(replace(STRONG, **{field: value}), NORMAL, 10.0) is (A if fires else None)


@pytest.mark.parametrize(("days", "fires"), [(under(10.0), False), (10.0, True), (over(10.0), True)])
def test_t4_needs_ten_days(days, fires):
    assert BalancedToAggressive().evaluate(STRONG, NORMAL, days) is (A if fires else None)


@pytest.mark.parametrize(
    ("change", "safety", "fires"),
    [
        ({"drawdown_pct": under(0.05)}, NORMAL, True),
        ({"drawdown_pct": 0.05}, NORMAL, False),
        ({"drawdown_pct": None}, NORMAL, False),
        ({"market_circuit_breaker": True}, NORMAL, False),
        ({"market_circuit_breaker": None}, NORMAL, False),
        ({}, WARNING, False),
    ],
)
def test_t4_has_three_more_conditions_under_safe(change, safety, fires):
    metrics = replace(STRONG, **change)
    assert BalancedToAggressive(SAFE).evaluate(metrics, safety, 10.0) is (A if fires else None)
    assert BalancedToAggressive().evaluate(metrics, safety, 10.0) is A


@pytest.mark.parametrize("rule", rules_of(SAFE), ids=lambda rule: type(rule).__name__)
def test_a_value_that_is_no_number_fires_nothing(rule):
    nothing = replace(STRONG, drawdown_pct=math.nan, vix=math.nan, daily_loss_pct=math.nan, cagr=math.nan)
    assert rule.evaluate(nothing, NORMAL, 100.0) is None


def test_no_rule_leads_from_defensive_to_aggressive():
    for config in (StateConfig(), SAFE):
        assert {(rule.source, rule.target) for rule in rules_of(config)} >= {(A, B), (B, D), (D, B), (B, A)}
        assert (D, A) not in {(rule.source, rule.target) for rule in rules_of(config)}
    assert len(rules_of(StateConfig())) == 4


def test_conditions_tell_value_threshold_and_reason():
    metrics = replace(QUIET, drawdown_pct=0.11, market_circuit_breaker=True, vix=31.0)
    found = BalancedToDefensive().conditions(metrics, WARNING, 0.0)
    assert [(one.name, one.value, one.relation, one.threshold, one.is_met) for one in found] == [
        ("drawdown_pct", 0.11, ">", 0.10, True),
        ("market_circuit_breaker", True, "is", True, True),
        ("vix", 31.0, ">", 30.0, True),
        ("safety_state", "WARNING", ">=", "WARNING", True),
    ]
    assert [one.reason for one in found] == [
        TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED,
        TransitionReason.MARKET_CIRCUIT_BREAKER,
        TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED,
        TransitionReason.SAFETY_WARNING,
    ]
    assert [one.is_hard for one in found] == [True, True, False, False]
