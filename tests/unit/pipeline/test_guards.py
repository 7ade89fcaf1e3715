"""What stands between a wish and an order, and what must not stand between a position and its exit."""

import json

import pytest

from qts.engines import RiskLimits
from qts.pipeline.pricing import explicit, marketable, reference_price
from qts.strategy import Intent, Quote

NO_LIMITS = RiskLimits(max_trade_qty=None, max_order_money=None)


pytestmark = pytest.mark.usefixtures("strategy")


@pytest.fixture
def strategy(world, scripted):
    strategy = scripted()
    world.set_quote(0, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(strategy)
    return strategy


def buy(**parts):
    return Intent.entry("A", "in", **{"qty": 10, **parts})


def sell():
    return Intent.exit("A", "out")


def refusal(world, *intents):
    world.wish(*intents)
    return json.loads(world.lines[-1])["reason"]


def test_second_entry_waits_while_the_first_works(world):
    world.wish(buy())
    assert refusal(world, buy(qty=11)) == "GR033"


def test_equal_entry_within_a_minute_is_a_duplicate(world):
    world.wish(buy())
    world.end(1)
    world.wait(59)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert refusal(world, buy()) == "GR033"
    world.wait(1)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert world.wish(buy()).status == "executed"


def test_second_exit_waits_while_the_first_works(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell())
    assert refusal(world, sell()) == "GR032"  # nothing is left to sell
    world.positions_[0, "SCALP"] = (15, 1_050_000, 0)
    assert refusal(world, sell()) == "GR033"
    assert [request.qty for request in world.placed] == [10]


def test_exit_without_a_position_is_refused(world):
    assert refusal(world, sell()) == "GR032"


def test_partial_exit_never_exceeds_the_holding(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(Intent("A", "SELL", "REDUCE", "part", qty=25))
    assert world.placed[0].qty == 10


def test_stale_quote_stops_an_entry_but_no_exit(world):
    world.set_quote(0, bid=70_000, ask=70_100, age_ns=301_000_000)
    assert refusal(world, buy()) == "GR037"
    world.hold(0, "SCALP", 10, 700_000)
    world.set_quote(0, bid=70_000, ask=70_100, age_ns=3_600_000_000_000)
    assert world.wish(sell()).status == "executed"


def test_swing_entries_live_with_an_older_quote(world, scripted):
    world.pipeline(scripted(track="SWING"))
    world.set_quote(0, bid=70_000, ask=70_100, age_ns=2_999_000_000)
    assert world.wish(buy()).status == "executed"


def test_price_that_moved_away_stops_an_entry(world):
    assert refusal(world, buy(ref_price=69_300)) == "GR041"
    assert world.wish(buy(ref_price=69_500)).status == "executed"


@pytest.mark.parametrize("phase", ["OPEN_GUARD", "CLOSE_GUARD"])
def test_guard_phases_let_only_exits_pass(world, phase):
    world.phase_ = phase
    assert refusal(world, buy()) == "GR034"
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(sell()).status == "executed"


@pytest.mark.parametrize("phase", ["PREPARE", "OPENING_AUCTION", "CLOSING_AUCTION", "CLOSE_SET", "MONITOR"])
def test_closed_market_lets_nothing_pass(world, phase):
    world.phase_ = phase
    world.hold(0, "SCALP", 10, 700_000)
    assert refusal(world, buy()) == "GR034"
    assert refusal(world, sell()) == "GR034"


def test_strategy_may_opt_into_the_open_guard_but_scalp_never_into_the_close_guard(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted(phases=frozenset({"OPEN_GUARD", "CLOSE_GUARD"})))
    world.phase_ = "CLOSE_GUARD"
    assert refusal(world, buy()) == "GR034"
    world.phase_ = "OPEN_GUARD"
    assert world.wish(buy()).status == "executed"


def test_sells_are_never_held_back_by_money_exposure_or_losses(world, scripted):
    tight = RiskLimits(
        max_exposure_ppm=0,
        max_symbol_exposure_ppm=0,
        daily_loss_warning_ppm=1,
        dd_warning_ppm=1,
        dd_danger_ppm=2,
        max_risk_score_ppm=0,
        max_trade_qty=0,
        max_order_money=0,
    )
    world.pipeline(scripted(), limits=tight)
    world.cash_ = 0
    world.hold(0, "SCALP", 1_000, 70_000_000)
    world.set_quote(0, bid=60_000, ask=60_100)
    assert world.wish(sell()).status == "executed"
    assert world.placed[0].qty == 1_000


def test_reentry_waits_for_the_cooldown_after_an_exit(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell())
    world.wait(30)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.fill(1, 10, 70_000)
    world.positions_.clear()
    world.wait(59)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert refusal(world, buy()) == "reentry_cooldown"
    world.wait(1)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert world.wish(buy()).status == "executed"


def test_swing_reenters_in_the_next_session_only(world, scripted):
    world.pipeline(scripted(track="SWING"))
    world.set_quote(0, bid=70_000, ask=70_100)
    world.hold(0, "SWING", 10, 700_000)
    world.wish(sell())
    world.fill(1, 10, 70_000)
    world.positions_.clear()
    world.wait(4 * 3_600)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert refusal(world, buy()) == "reentry_cooldown"
    world.wait(20 * 3_600)
    world.set_quote(0, bid=70_000, ask=70_100)
    assert world.wish(buy()).status == "executed"


def test_weight_already_held_needs_no_order(world):
    world.hold(0, "SCALP", 140, 9_800_000)
    assert refusal(world, buy(qty=None, weight_ppm=50_000)) == "at_target_weight"


@pytest.mark.parametrize(
    "intent",
    [
        Intent("A", "SELL", "ENTRY", "short", qty=1),
        Intent("A", "BUY", "EXIT", "cover", qty=1),
        Intent("A", "BUY", "ENTRY", "nothing"),
        Intent("A", "BUY", "ENTRY", "both", qty=1, target_weight_ppm=1),
        Intent("A", "BUY", "ENTRY", "negative", qty=-1),
        Intent("A", "BUY", "ENTRY", "heavy", target_weight_ppm=1_000_001),
        Intent("A", "BUY", "ENTRY", "sure", qty=1, confidence=1.1),
        Intent("A", "BUY", "ENTRY", "over", qty=1, ttl_ms=0),
        Intent("A", "HOLD", "ENTRY", "what", qty=1),
    ],
)
def test_malformed_wishes_are_dropped(world, intent):
    assert refusal(world, intent) == "malformed_intent"


def test_unsure_entry_is_dropped_and_unsure_exit_is_not(world):
    assert refusal(world, buy(confidence=0.69)) == "BELOW_STATE_THRESHOLD"
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(sell()._replace(confidence=0.0)).status == "executed"


def test_market_orders_are_for_whom_the_configuration_names(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted())
    world.wish(buy()._replace(order_type="MARKET"))
    assert world.placed[0].order_type == "LIMIT"
    world.end(1)
    world.pipeline(scripted(), market_order_strategies=frozenset({"scripted"}))
    world.wish(buy(qty=11)._replace(order_type="MARKET"))
    assert (world.placed[1].order_type, world.placed[1].limit_price) == ("MARKET", 70_200)
    world.end(2)
    world.set_quote(0, bid=69_000, ask=70_100)
    world.wish(buy(qty=12)._replace(order_type="MARKET"))
    assert world.placed[2].order_type == "LIMIT"


class TestPricing:
    @pytest.fixture
    def rules(self, world, scripted):
        return world.pipeline(scripted())._runner._decide._rules

    def quote(self, bid=0, ask=0, last=0, prev_close=0):
        return Quote(last, bid, 1, ask, 1, 0, prev_close)

    def test_reference_is_the_other_side_or_the_last_trade(self):
        assert reference_price(self.quote(bid=9, ask=10, last=8), "BUY") == 10
        assert reference_price(self.quote(bid=9, ask=10, last=8), "SELL") == 9
        assert reference_price(self.quote(last=8), "BUY") == 8
        assert reference_price(self.quote(bid=9, last=8), "BUY") == 0
        assert reference_price(self.quote(ask=10, last=8), "SELL") == 8
        assert reference_price(self.quote(ask=10), "SELL") == 10

    @pytest.mark.parametrize(
        ("ask", "ticks", "expected"),
        [(70_100, 1, 70_200), (1_999, 1, 2_000), (49_950, 3, 50_100), (70_100, 9, 70_400), (1_000, 9, 1_005)],
    )
    def test_purchase_goes_ticks_beyond_the_ask_and_stays_within_the_cap(self, rules, ask, ticks, expected):
        assert marketable(rules, 0, self.quote(bid=1, ask=ask), "BUY", ticks, 50, 0).price == expected

    def test_cap_below_one_tick_leaves_the_ask_itself(self, rules):
        assert marketable(rules, 0, self.quote(bid=99, ask=100), "BUY", 1, 50, 0).price == 100

    def test_price_off_the_ladder_is_moved_against_us(self, rules):
        assert marketable(rules, 0, self.quote(last=70_030), "BUY", 1, 50, 0).price == 70_200
        assert marketable(rules, 0, self.quote(last=70_070), "SELL", 2, 50, 0).price == 69_800

    def test_sale_below_the_bid_never_leaves_the_ladder(self, rules):
        assert marketable(rules, 0, self.quote(bid=2_000), "SELL", 1, 50, 0).price == 1_999
        assert marketable(rules, 0, self.quote(bid=3), "SELL", 16, 50, 0).price == 1

    def test_day_limits_bind(self, rules):
        limited = self.quote(bid=92_500, ask=92_600, prev_close=71_300)
        assert marketable(rules, 0, limited, "BUY", 3, 50, 0).price == 92_600
        floor = self.quote(bid=50_000, prev_close=71_300)
        assert marketable(rules, 0, floor, "SELL", 2, 50, 0).price == 50_000

    def test_no_price_is_a_state(self, rules):
        assert marketable(rules, 0, self.quote(), "SELL", 2, 50, 0) == (0, "no_price")
        assert explicit(rules, 0, self.quote(), "BUY", 0, 0) == (0, "no_price")

    def test_wished_price_is_kept_on_the_ladder_and_flagged_if_moved(self, rules):
        assert explicit(rules, 0, self.quote(), "BUY", 70_100, 0) == (70_100, "")
        assert explicit(rules, 0, self.quote(), "BUY", 70_110, 0) == (70_200, "GR036")
        assert explicit(rules, 0, self.quote(), "SELL", 70_190, 0) == (70_100, "GR036")
        assert explicit(rules, 0, self.quote(prev_close=71_300), "BUY", 99_000, 0) == (92_600, "GR036")
