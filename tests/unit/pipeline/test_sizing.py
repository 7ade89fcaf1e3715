"""How much a wish comes to, by each way of saying it, and what the days that are over say about it."""

import json
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.engines import RiskLimits, StrategyPolicy
from qts.pipeline.daily import SESSIONS, DailyBook
from qts.pipeline.ports import DAY_NS
from qts.strategy import Intent, Sizing

NO_LIMITS = RiskLimits(
    1_000_000,
    1_000_000,
    max_risk_score_ppm=1_000_000,
    max_trade_qty=None,
    max_order_money=None,
    sector_limit_ppm=1_000_000,
    per_trade_ppm=1_000_000,
)


@pytest.fixture(autouse=True)
def quoted(world, scripted):
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(scripted(), scripted("swing", track="SWING"), limits=NO_LIMITS)


def buy(**parts):
    return Intent.entry("A", "in", **parts)


def last(world):
    return json.loads(world.lines[-1])


def close_days(world, closes, volume=1_000, instrument=0):
    for close in closes:
        world.bars.append((instrument, DAY_NS, world.now_ns - DAY_NS, close, close, close, close, volume))


def test_fixed_cash_buys_whole_lots_at_the_limit_price(world):
    world.wish(buy(sizing=Sizing("CASH", 1_000_000)))
    assert world.placed[0].qty == 1_000_000 // 70_200


def test_risk_is_what_may_be_lost_down_to_the_stop(world):
    world.wish(buy(sizing=Sizing("RISK", 5_000), stop_price=65_200))
    assert world.placed[0].qty == 500_000 // 5_000


@pytest.mark.parametrize(("stop_price", "reason"), [(None, "stop_missing"), (70_200, "invalid_stop")])
def test_risk_without_a_stop_below_the_price_is_no_size(world, stop_price, reason):
    assert world.wish(buy(sizing=Sizing("RISK", 5_000), stop_price=stop_price)).reason == reason


def test_volatility_gives_each_position_the_same_usual_day(world):
    closes = [70_000 + 700 * (day % 2) for day in range(SESSIONS + 1)]
    close_days(world, closes, volume=10**9)
    world.wish(buy(sizing=Sizing("VOLATILITY", 2_000)))
    returns = [close / before - 1 for before, close in pairwise(closes)]
    exact = 100_000_000 * 0.002 / (statistics.stdev(returns) * 70_200)
    assert world.placed[0].qty == int(exact) == 279


def test_unknown_volatility_is_no_reason_to_buy(world):
    close_days(world, [70_000, 70_700] * (SESSIONS // 2))
    assert world.wish(buy(sizing=Sizing("VOLATILITY", 2_000))).reason == "volatility_unknown"


def test_exit_of_a_part_rounds_down_and_leaves_nothing_unsaid(world):
    world.hold(0, "SCALP", 7, 490_000)
    world.wish(Intent.exit("A", "half", ratio_ppm=500_000))
    assert world.placed[0].qty == 3
    assert world.wish(Intent.exit("A", "crumb", ratio_ppm=1)).reason == "GR032"


@pytest.mark.parametrize(
    "intent",
    [
        buy(sizing=Sizing("RATIO", 500_000)),
        buy(sizing=Sizing("CASH", 0)),
        buy(sizing=Sizing("RISK", 1_000_001), stop_price=1),
        buy(sizing=Sizing("CASH", 1), qty=1),
        buy(sizing=Sizing("CASH", 1), weight_ppm=1),
        Intent.exit("A", "out")._replace(sizing=Sizing("CASH", 1_000)),
    ],
)
def test_sizes_that_make_no_sense_are_malformed(world, intent):
    world.hold(0, "SCALP", 7, 490_000)
    assert world.wish(intent).reason == "malformed_intent"


def test_too_little_for_a_lot_is_said(world):
    assert world.wish(buy(sizing=Sizing("CASH", 70_199))).reason == "size_too_small"


def test_two_wishes_of_one_way_become_the_larger(world):
    world.wish(buy(sizing=Sizing("CASH", 500_000)), buy(sizing=Sizing("CASH", 900_000), confidence=0.8))
    assert world.placed[0].qty == 900_000 // 70_200


def test_vector_of_the_specification_through_the_cycle(world, scripted):
    limits = RiskLimits(2_000_000, 150_000, max_risk_score_ppm=1_000_000, max_trade_qty=None, max_order_money=None)
    world.cash_ = 700_000
    world.set_quote(0, bid=70_000, ask=70_000, last=70_000)
    world.hold(0, "SCALP", 5, 350_000)
    world.set_quote(1, bid=50_000)
    world.hold(1, "SWING", 179, 8_950_000)
    world.pipeline(scripted(), limits=limits)
    world.p.performance.start_equity = world.p.performance.high_water = 10_000_000
    [decision] = world.wish(buy(weight_ppm=120_000)).decisions
    sized = decision.evaluation.portfolio
    assert (decision.limit_price, sized.target_qty, sized.delta) == (70_100, 17, 12)
    assert (sized.final_qty, sized.binding_constraint) == (9, "buying_power")


def test_rebalancing_turns_to_the_side_where_its_weight_lies(world):
    world.hold(0, "SCALP", 100, 7_000_000)
    up = Intent("A", "SELL", "REBALANCE", "to target", target_weight_ppm=100_000)
    down = Intent("A", "BUY", "REBALANCE", "to target", target_weight_ppm=30_000)
    world.wish(up)
    world.end(1)
    world.wish(down)
    equity = 107_000_000
    assert [(request.side, request.qty) for request in world.placed] == [
        ("BUY", equity // 10 // 70_200 - 100),
        ("SELL", 100 - equity * 3 // 100 // 69_800),
    ]


def test_entry_never_turns(world):
    world.hold(0, "SCALP", 100, 7_000_000)
    assert world.wish(buy(weight_ppm=30_000)).reason == "at_target_weight"


def test_stop_of_a_wish_bounds_its_quantity(world, scripted):
    world.pipeline(scripted(), limits=RiskLimits(max_trade_qty=None, max_order_money=None))
    world.wish(buy(qty=140, stop_price=60_200))
    assert world.placed[0].qty == 50
    assert last(world)["codes"] == ["risk_per_trade"]


def test_policy_of_a_strategy_is_found_by_its_id(world, scripted):
    world.pipeline(scripted("one"), limits=NO_LIMITS, policies={"one": StrategyPolicy(7)})
    world.wish(buy(qty=10))
    [decision] = [request.qty for request in world.placed]
    assert (decision, last(world)["codes"]) == (7, ["strategy_policy"])


def test_sectors_add_up_over_tracks_cycles_and_wishes(world, scripted):
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=None, max_order_money=None)
    world.hold(0, "SWING", 100, 7_000_000)
    world.cash_ = 93_000_000
    world.pipeline(scripted(), limits=limits, sectors={"A": "Chips", "B": "Chips"})
    world.wish(buy(qty=200), Intent.entry("B", "in", qty=200))
    assert [request.qty for request in world.placed] == [200, (30_000_000 - 7_000_000 - 200 * 70_200) // 70_200]
    assert last(world)["codes"] == ["GR011"]
    world.end(2)
    world.wait(60)
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    assert world.wish(Intent.entry("B", "in", qty=200)).status == "executed"
    assert world.placed[2].qty == (30_000_000 - 7_000_000 - 200 * 70_200) // 70_200, "the first purchase still works"


def test_symbol_without_a_sector_is_a_sector_of_its_own(world, scripted):
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=None, max_order_money=None)
    world.pipeline(scripted(), limits=limits)
    world.wish(buy(qty=500), Intent.entry("B", "in", qty=500))
    assert [request.qty for request in world.placed] == [427, 427]


def test_average_volume_binds_from_the_twentieth_closed_session_on(world):
    close_days(world, [70_000] * (SESSIONS - 1), volume=1_000)
    [decision] = world.wish(buy(qty=50)).decisions
    assert (decision.qty, decision.evaluation.risk.silent) == (50, ("liquidity", "stop_distance"))
    world.end(1)
    close_days(world, [70_000], volume=9_999_999)
    [decision] = world.wish(buy(qty=49)).decisions
    assert (decision.qty, decision.codes) == (10, ("GR043",))


def test_market_without_volume_says_nothing_of_liquidity():
    book = DailyBook()
    for _ in range(SESSIONS + 1):
        book.add(0, 70_000, 0)
    assert book.stats(0) == (None, None)
    assert book.stats(1) == (None, None)


PRICES = st.lists(st.integers(1_000, 500_000), min_size=SESSIONS + 1, max_size=3 * SESSIONS)


@given(PRICES)
def test_days_are_measured_as_the_statistics_library_does(closes):
    book = DailyBook()
    for close in closes:
        book.add(0, close, close)
    window = closes[-SESSIONS - 1 :]
    returns = [close / before - 1 for before, close in pairwise(window)]
    stats = book.stats(0)
    assert stats.adv_qty == int(statistics.median(window[1:]))
    assert (stats.sigma_ppm or 0) == pytest.approx(statistics.stdev(returns) * 1_000_000, abs=2)
