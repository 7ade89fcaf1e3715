"""Wishes of several strategies in one cycle."""

import json

import pytest

from qts.engines import RiskLimits
from qts.strategy import Intent


def lines(world):
    return [json.loads(line) for line in world.lines]


def reasons(world):
    return {(line["strategy"], line["side"], line["purpose"]): line["reason"] for line in lines(world)}


@pytest.fixture
def two(world, scripted):
    """Two scalp strategies that see the same symbol."""
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    one, other = scripted("one"), scripted("two")
    world.pipeline(one, other)
    return world


def run(world, *wishes):
    return world.p.on_cycle("EVENT", world.now_ns, list(wishes))


def buy(symbol="A", **parts):
    return Intent.entry(symbol, "in", **{"qty": 10, **parts})


def sell(symbol="A"):
    return Intent.exit(symbol, "out")


def test_strategies_run_by_track_and_id_whatever_the_order_of_listing(world, scripted):
    pipeline = world.pipeline(scripted("b", track="SWING"), scripted("z"), scripted("a", track="SWING"), scripted("y"))
    assert [slot.strategy_id for slot in pipeline.strategies.slots] == ["y", "z", "a", "b"]


def test_exit_beats_entry(two):
    two.hold(0, "SCALP", 10, 700_000)
    run(two, (0, buy()), (1, sell()))
    assert [request.side for request in two.placed] == ["SELL"]
    assert reasons(two)["one", "BUY", "ENTRY"] == "exit_first"


def test_two_entries_of_one_side_become_one_with_the_larger_quantity(two):
    run(two, (0, buy(qty=5, confidence=0.8)), (1, buy(qty=9, confidence=0.75)))
    [request] = two.placed
    assert request.qty == 9
    assert lines(two)[0]["strategy"] == "one"
    assert reasons(two)["two", "BUY", "ENTRY"] == "duplicate_side"


def test_two_weights_of_one_side_become_the_heavier(two):
    run(two, (0, buy(qty=None, weight_ppm=50_000)), (1, buy(qty=None, weight_ppm=80_000, confidence=0.9)))
    assert two.placed[0].qty == 8_000_000 // 70_200


def test_purpose_class_comes_before_confidence(two):
    two.hold(0, "SCALP", 10, 700_000)
    run(two, (0, Intent("A", "SELL", "REDUCE", "part", qty=3)), (1, sell()))
    assert two.placed[0].qty == 10


def test_opposite_wishes_that_are_no_exits_cancel_each_other(two):
    two.hold(0, "SCALP", 100, 7_000_000)
    rebalance = Intent("A", "SELL", "REBALANCE", "trim", target_weight_ppm=10_000)
    result = run(two, (0, buy()), (1, rebalance))
    assert (result.status, two.placed) == ("rejected", [])
    assert set(reasons(two).values()) == {"GR030"}


def test_exit_of_one_track_goes_before_the_entry_of_another(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted("scalp"), scripted("swing", track="SWING"))
    world.hold(0, "SWING", 10, 700_000)
    run(world, (0, buy()), (1, sell()))
    assert [request.side for request in world.placed] == ["SELL"]
    assert reasons(world)["scalp", "BUY", "ENTRY"] == "GR039"
    world.lines.clear()
    run(world, (0, buy()))
    assert lines(world)[0]["reason"] == "GR039"  # the sale still rests


def test_tracks_share_the_limit_of_a_symbol_in_their_order_of_priority(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted("scalp"), scripted("swing", track="SWING"))
    run(world, (0, buy(qty=100)), (1, buy(qty=100)))
    by_track = {request.track: request.qty for request in world.placed}
    assert by_track == {"SWING": 100, "SCALP": 10_000_000 // 70_200 - 100}


def test_purchases_of_one_cycle_share_the_cash(world, scripted):
    loose = RiskLimits(
        1_000_000,
        1_000_000,
        max_risk_score_ppm=1_000_000,
        max_trade_qty=None,
        max_order_money=None,
        sector_limit_ppm=1_000_000,
    )
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100)
    world.cash_ = 10_000_000
    world.pipeline(scripted("one"), scripted("two"), limits=loose)
    run(world, (0, buy(qty=80)), (1, buy("B", qty=80)))
    assert [request.qty for request in world.placed] == [80, 62]
    assert sum(request.qty * request.limit_price for request in world.placed) <= 10_000_000


def test_weights_beyond_everything_are_all_refused(two):
    run(two, (0, buy(qty=None, weight_ppm=600_000)), (1, buy("B", qty=None, weight_ppm=600_000)))
    assert two.placed == []
    assert set(reasons(two).values()) == {"PE020"}


def test_cap_on_wishes_keeps_the_exits(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.set_quote(1, bid=70_000, ask=70_100)
    world.pipeline(scripted("one"), scripted("two"), max_intents_per_cycle=1)
    world.hold(1, "SCALP", 10, 700_000)
    run(world, (0, buy()), (1, sell("B")))
    assert [request.side for request in world.placed] == ["SELL"]
    assert reasons(world)["one", "BUY", "ENTRY"] == "max_intents_per_cycle"


def test_rebalancing_follows_the_weight_down_and_ignores_trifles(two):
    two.hold(0, "SCALP", 100, 7_000_000)
    run(two, (0, Intent("A", "SELL", "REBALANCE", "trim", target_weight_ppm=64_000)))
    assert lines(two)[-1]["reason"] == "rebalance_too_small"
    run(two, (0, Intent("A", "SELL", "REBALANCE", "trim", target_weight_ppm=30_000)))
    target = 107_000_000 * 3 // 100 // 69_800
    assert [request.qty for request in two.placed] == [100 - target]


def test_three_tracks_in_one_cycle_share_the_symbol_in_their_order(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted("scalp"), scripted("keep", track="PORTFOLIO"), scripted("swing", track="SWING"))
    slots = {slot.strategy_id: number for number, slot in enumerate(world.p.strategies.tick_slots)}
    run(world, *((slots[name], buy(qty=60)) for name in ("scalp", "keep", "swing")))
    assert [(request.track, request.qty) for request in world.placed] == [
        ("SWING", 60),
        ("PORTFOLIO", 60),
        ("SCALP", 10_000_000 // 70_200 - 120),
    ]


def test_resting_purchase_of_one_track_is_withdrawn_before_the_sale_of_another_meets_it(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted("scalp"), scripted("swing", track="SWING"))
    run(world, (0, buy()))
    world.hold(0, "SWING", 10, 700_000)
    run(world, (1, sell()))
    assert [request.side for request in world.placed] == ["BUY", "SELL"]
    assert world.cancelled == [1]
