"""Metrics that may not be compared, and what they are told apart by."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from state_samples import CALM, NORMAL, QUIET, START, STRONG, A, B, D, Desk

from qts.clock import to_ns
from qts.state import BalancedToDefensive, MetricFlag, MetricQuality, StateConfig
from qts.state.quality import judge

NOW = to_ns(START)
FRESH = MetricQuality(START, START)


def judged(metrics=STRONG, quality=FRESH, *, is_in_session=True):
    return judge(metrics, quality, NOW, is_in_session=is_in_session, config=StateConfig())


def flag_of(name, value):
    return judged(replace(STRONG, **{name: value})).flags[name]


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("drawdown_pct", 0.0, "VALID"),
        ("drawdown_pct", 1.0, "VALID"),
        ("drawdown_pct", -0.0001, "INVALID"),
        ("drawdown_pct", 1.0001, "INVALID"),
        ("drawdown_pct", math.nan, "INVALID"),
        ("drawdown_pct", math.inf, "INVALID"),
        ("drawdown_pct", "0.1", "INVALID"),
        ("drawdown_pct", True, "INVALID"),
        ("drawdown_pct", None, "MISSING"),
        ("vix", 0.0, "INVALID"),  # no feed is unknown, never zero
        ("vix", 0.01, "VALID"),
        ("vix", 200.0, "VALID"),
        ("vix", 200.1, "INVALID"),
        ("vix", None, "MISSING"),
        ("consecutive_scalp_losses", 0, "VALID"),
        ("consecutive_scalp_losses", -1, "INVALID"),
        ("consecutive_scalp_losses", 1.5, "INVALID"),
        ("consecutive_profitable_days", -1, "INVALID"),
        ("daily_loss_pct", -0.1, "INVALID"),
        ("market_circuit_breaker", False, "VALID"),
        ("market_circuit_breaker", 0, "INVALID"),
        ("market_circuit_breaker", None, "MISSING"),
        ("cagr", -0.5, "VALID"),
        ("cagr", math.nan, "INVALID"),
        ("target_cagr", -0.1, "INVALID"),
        ("capital_growth_pct", -0.5, "VALID"),
        ("win_rate_30d", 1.1, "INVALID"),
    ],
)
def test_values(name, value, flag):
    assert flag_of(name, value) is MetricFlag(flag)


@pytest.mark.parametrize(
    ("age_s", "is_in_session", "flag"),
    [
        (900, True, "VALID"),
        (901, True, "STALE"),
        (901, False, "VALID"),
        (86_400, True, "STALE"),
        (86_400, False, "VALID"),
        (86_401, True, "MISSING"),
        (86_401, False, "MISSING"),
        (-1, True, "INVALID"),
        (None, True, "MISSING"),
    ],
)
def test_age_of_the_index(age_s, is_in_session, flag):
    asof = None if age_s is None else START - timedelta(seconds=age_s)
    found = judged(quality=MetricQuality(START, asof), is_in_session=is_in_session)
    assert found.flags["vix"] is MetricFlag(flag)
    assert found.vix_is_unknown is (flag in ("MISSING", "INVALID"))
    assert (found.certain.vix is None) is (flag != "VALID")
    assert (found.usable.vix is None) is (flag not in ("VALID", "STALE"))


@pytest.mark.parametrize(
    ("age_s", "is_in_session", "flag"),
    [(60, True, "VALID"), (61, True, "STALE"), (61, False, "VALID"), (-1, False, "INVALID")],
)
def test_age_of_the_account(age_s, is_in_session, flag):
    found = judged(quality=MetricQuality(START - timedelta(seconds=age_s), START), is_in_session=is_in_session)
    assert found.flags["drawdown_pct"] is MetricFlag(flag)
    assert found.flags["win_rate_30d"] is MetricFlag(flag)
    assert found.flags["market_circuit_breaker"] is MetricFlag.VALID
    assert found.flags["target_cagr"] is MetricFlag.VALID


def test_what_the_producer_knows_counts():
    quality = MetricQuality(START, START, {"vix": MetricFlag.STALE, "cagr": MetricFlag.INVALID})
    found = judged(quality=quality)
    assert (found.certain.vix, found.usable.vix) == (None, 12.0)
    assert (found.certain.cagr, found.usable.cagr) == (None, None)
    assert found.quality.flags["cagr"] is MetricFlag.INVALID
    assert found.warnings == ["vix", "cagr"]


def test_too_little_history_is_no_warning():
    assert (
        judged(replace(STRONG, cagr=None, target_cagr=None, capital_growth_pct=None, win_rate_30d=None)).warnings == []
    )


def test_a_metric_that_fails_is_told_once_and_again_after_it_was_well():
    desk = Desk(B)
    for metrics, count in ((QUIET, 0), (replace(QUIET, vix=None), 1), (replace(QUIET, vix=0.0), 1), (QUIET, 1)):
        desk.look(metrics)
        assert desk.heard.codes.count("GR083") == count
    desk.look(replace(QUIET, vix=None))
    assert desk.heard.codes == ["GR083"] * 2
    assert "vix" in desk.heard.texts[0]


def test_an_account_that_is_not_valued_is_told_after_five_minutes_of_session():
    is_open = [True]
    desk = Desk(B, in_session=lambda ns: is_open[0])
    asof = desk.clock.now_utc()
    for seconds, codes in ((300, 0), (301, 1)):
        desk.clock.advance_to(to_ns(asof + timedelta(seconds=seconds)))
        desk.look(QUIET, NORMAL, MetricQuality(asof, desk.clock.now_utc()))
        assert desk.heard.codes.count("AN080") == codes
    is_open[0] = False
    desk.look(QUIET, NORMAL, MetricQuality(asof, desk.clock.now_utc()))
    is_open[0] = True
    desk.look(QUIET, NORMAL, MetricQuality(asof, desk.clock.now_utc()))
    assert desk.heard.codes.count("AN080") == 2


@pytest.mark.parametrize(("age", "moves"), [(timedelta(hours=24), True), (timedelta(hours=24, seconds=1), False)])
def test_an_old_index_still_lowers_the_risk_for_a_day(age, moves):
    desk = Desk(B)
    desk.settle(5)
    for _ in range(2):
        desk.wait(timedelta(hours=1))
        now = desk.clock.now_utc()
        desk.look(replace(CALM, vix=31.0), NORMAL, MetricQuality(now, now - age))
    assert desk.state is (D if moves else B)


def test_an_old_index_does_not_raise_the_risk_in_a_session():
    for is_open, state in ((True, B), (False, A)):
        desk = Desk(B, in_session=lambda ns, is_open=is_open: is_open)
        desk.settle(11)
        for _ in range(2):
            desk.wait(timedelta(hours=1))
            now = desk.clock.now_utc()
            desk.look(STRONG, NORMAL, MetricQuality(now, now - timedelta(minutes=16)))
        assert desk.state is state


class Broken(BalancedToDefensive):
    fails = True

    def conditions(self, metrics, safety_state, state_duration_days):
        if Broken.fails:
            raise ZeroDivisionError("by a rule")
        return super().conditions(metrics, safety_state, state_duration_days)


def test_a_rule_that_raises_moves_nothing_up_and_is_told_the_third_time(monkeypatch):
    desk = Desk(B)
    desk.settle(11)
    rules = desk.manager._rules
    desk.manager._rules = tuple(
        Broken(desk.config) if isinstance(rule, BalancedToDefensive) else rule for rule in rules
    )
    monkeypatch.setattr(Broken, "fails", True)
    assert set(desk.hours(5, STRONG)) == {B}
    assert desk.heard.codes == ["AN080"]
    assert "ZeroDivisionError" in desk.heard.texts[0]
    monkeypatch.setattr(Broken, "fails", False)
    assert desk.hours(2, STRONG) == [B, A]


def test_a_state_that_does_not_end_is_told_once():
    desk = Desk(D)
    desk.settle(30)
    assert desk.heard.codes == []
    desk.settle(2)
    assert desk.heard.codes == ["GR087"]
