"""Executions under seeded trouble: a sample of the plans of `tests.execution_world`, and that its laws can fail.

The long way round: python -m tests.execution_world --plans 100000
"""

import pytest

from qts.broker.faults import FaultKind

from ..execution_plans.market import BASES, SYMBOLS, Market, catalog
from ..execution_plans.moments import MS, NEVER, Moments, S
from ..execution_plans.mutants import MUTANTS, noticed_by
from ..execution_plans.program import WHAT, plan_of
from ..execution_plans.shrink import shrink, what_broke
from ..execution_plans.weather import Faults, weather_of
from ..execution_plans.world import START_NS, play
from ..execution_world import run_plans

PLANS = 1_500
WORKERS = 2


@pytest.fixture(scope="module")
def report():
    return run_plans(0, PLANS, WORKERS)


def test_no_law_breaks_whatever_the_wire_and_the_market_do(report):
    assert report.plans == PLANS
    assert report.failures == []


def test_the_sample_has_every_fault_and_every_way_to_end(report):
    faults = {name.removeprefix("fault ") for name in report.counts if name.startswith("fault ")}
    assert faults == {kind.value for kind in FaultKind}
    assert report.counts["unknown"] > 100
    assert report.counts["absent"] > 10
    ends = {"COMPLETE FILLED", "COMPLETE PARTIAL", "ESCAPED NO_FILL", "ESCAPED FLATTENED", "FAILED REFUSED"}
    assert ends <= set(report.counts)
    codes = {"GR061", "GR063", "GR064", "GR067", "GR068", "FS090", "FS091", "FS092", "FS093", "FS094", "FS099"}
    assert {f"code {code}" for code in codes} <= set(report.counts)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name.replace(" ", "_"))
def test_a_fault_in_the_executions_is_noticed(mutant):
    law, _ = noticed_by(mutant)
    assert law in mutant.laws


def test_a_plan_that_fails_is_cut_down_and_tells_its_story(monkeypatch):
    MUTANTS[0].change(monkeypatch)
    failing = next(plan for plan in map(plan_of, range(2_000)) if what_broke(play(plan)))
    smaller = shrink(failing)
    outcome = play(smaller, told=True)
    assert what_broke(outcome) == what_broke(play(failing))
    assert len(smaller.steps) <= len(failing.steps)
    assert len(outcome.faults) <= len(play(failing).faults)
    assert any("LOST" in line for line in outcome.story)
    assert "BROKEN" in outcome.story[-1]


def test_plans_follow_from_their_seed_alone():
    assert plan_of(17) == plan_of(17)
    assert len({plan_of(seed).steps for seed in range(200)}) > 190
    whats = {step.what for seed in range(2_000) for step in plan_of(seed).steps}
    assert whats == set(WHAT)


def test_a_fault_that_is_left_out_leaves_the_others_as_they_were():
    seed = next(one for one in range(100) if weather_of(one).rates.lost_after)
    kinds = [Faults(weather_of(seed), START_NS).on_call("PLACE", START_NS)]
    whole = Faults(weather_of(seed), START_NS)
    first = [whole.on_call("PLACE", START_NS) for _ in range(40)]
    keys = [key for key, _ in whole.keys]
    assert kinds[0] == first[0]
    without = Faults(weather_of(seed)._replace(without=frozenset(keys[:1])), START_NS)
    second = [without.on_call("PLACE", START_NS) for _ in range(40)]
    left_out = keys[0][1]
    assert second[left_out] is None
    assert [one for n, one in enumerate(first) if n != left_out] == [
        one for n, one in enumerate(second) if n != left_out
    ]


def test_moments_come_in_order_and_those_of_one_time_as_they_were_asked_for():
    moments, seen = Moments(START_NS), []
    for name, at_ns in (("late", 2), ("first", 1), ("second", 1), ("past", -5)):
        moments.at(START_NS + at_ns, seen.append, name)
    while moments.next_ns != NEVER:
        moments.step()
    assert seen == ["past", "first", "second", "late"]
    assert moments.now_ns == START_NS + 2


@pytest.mark.parametrize("base", BASES)
def test_the_market_stays_on_the_ladder_and_inside_the_limits(base):
    market = Market(Moments(START_NS), (base,) * len(SYMBOLS))
    core, one = catalog().core, market.instruments[0]
    low, high = market.limits[one]
    for ticks in (1, -3, 400, -900, 6, 1):
        top = market.move(one, ticks, 2, 10, 10)
        assert low <= top.bid < top.ask <= high
        assert {core.floor_to_tick(one, price, START_NS) for price in (top.bid, top.ask)} == {top.bid, top.ask}
    assert market.limit_down(one).bid == 0
    assert market.quote(one).ask == low


def test_a_silent_feed_shows_how_old_its_price_is():
    moments = Moments(START_NS)
    market = Market(moments, (70_000,))
    one = market.instruments[0]
    market.silent_since[one] = START_NS
    moments.now_ns += 4 * S
    assert moments.now_ns - market.quote(one).ts_ns == 4 * S
    del market.silent_since[one]
    assert moments.now_ns - market.quote(one).ts_ns < 10 * MS
