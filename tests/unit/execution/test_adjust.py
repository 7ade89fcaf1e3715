"""Stage 5 on the exchange's ladder: at the edges of its bands, at every limit, and at the other side of the book."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stage_samples import CONFIG, NOW, SHARE, Market, S, decision, exit_of

from qts.execution.adjust import AdaptiveAdjust, WorkingOrder
from qts.execution.ladder import adverse_ppm, entry_cap, slippage_bps_e3

ADJUST = AdaptiveAdjust(CONFIG)
CHILD = WorkingOrder(order_id=7, price=75_000, qty=100)


def propose(order, market, child=CHILD, **more):
    return ADJUST.propose(order, child, NOW, market, **more)


def buy(decided, current, market, *, rounds=0, **more):
    order = decision(decision_price=decided, price=current)
    return propose(order, market, WorkingOrder(7, current, 100, 0, rounds), **more)


def sell(decided, current, market, *, rounds=0, **more):
    order = decision(side="SELL", decision_price=decided, price=current)
    return propose(order, market, WorkingOrder(7, current, 100, 0, rounds), **more)


def outcome(answer):
    return answer.action, answer.new_price, answer.codes


# Steps.


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (75_000, 75_100),  # a tenth of a percent is 75: less than a tick, and still one
        (1_500, 1_502),  # 1.5 is rounded up to two ticks of 1
        (4_000, 4_005),
        (4_995, 5_000),  # 4.995 is one tick of 5
        (4_990, 4_995),
        (1_999, 2_000),  # two ticks of 1 end at 2,001, which is no price above 2,000: the one below is
        (9_990, 10_000),
        (19_990, 20_000),  # two ticks of 10 end at 20,010; the ladder has 50 there
        (49_950, 50_000),
        (120_000, 120_200),  # 120 is rounded up to two ticks
        (199_900, 200_000),  # 199.9 is two ticks of 100: 200,100, where the tick is 500
        (499_500, 500_000),
        (700_000, 701_000),
    ],
)
def test_a_purchase_moves_up_by_a_tenth_of_a_percent_or_a_tick(current, expected):
    market = Market(bid=current, ask=current * 1_004 // 1_000 // 500 * 500 + 500 if current > 20_000 else current + 200)
    roomy = AdaptiveAdjust(replace(CONFIG, max_slippage_ppm=200_000))
    order = decision(decision_price=current, price=current)
    answer = roomy.propose(order, CHILD._replace(price=current), NOW, market)
    assert outcome(answer) == ("PRICE_IMPROVE", expected, ())
    assert (answer.order_id, answer.old_price, answer.old_qty, answer.new_qty, answer.round) == (
        7,
        current,
        100,
        100,
        1,
    )


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (75_000, 74_900),
        (1_500, 1_498),
        (2_000, 1_998),  # below 2,000 the tick is 1: two of it
        (5_000, 4_995),  # and below 5,000 it is 5
        (20_000, 19_980),
        (50_000, 49_950),
        (200_000, 199_800),
        (200_500, 200_000),
        (500_000, 499_500),
        (701_000, 700_000),
    ],
)
def test_a_sale_moves_down_by_as_much(current, expected):
    market = Market(bid=current * 97 // 100 // 1_000 * 1_000 if current > 20_000 else current - 200, ask=current)
    roomy = AdaptiveAdjust(replace(CONFIG, max_slippage_ppm=200_000))
    order = decision(side="SELL", decision_price=current, price=current)
    answer = roomy.propose(order, CHILD._replace(price=current), NOW, market)
    assert outcome(answer) == ("PRICE_IMPROVE", expected, ())


def test_a_purchase_goes_no_further_than_the_best_ask():
    assert outcome(buy(120_000, 120_000, Market(bid=119_900, ask=120_100))) == ("PRICE_IMPROVE", 120_100, ())


def test_a_sale_goes_no_further_than_the_best_bid():
    assert outcome(sell(120_000, 120_000, Market(bid=119_900, ask=120_100))) == ("PRICE_IMPROVE", 119_900, ())


def test_at_the_other_side_already_it_waits():
    assert outcome(buy(75_000, 75_100, Market(bid=75_000, ask=75_100))) == ("WAIT", 75_100, ())
    assert outcome(buy(75_000, 75_200, Market(bid=75_000, ask=75_100))) == ("WAIT", 75_200, ())
    assert outcome(sell(75_000, 74_900, Market(bid=74_900, ask=75_000))) == ("WAIT", 74_900, ())


# The slippage limit of an entry.


@pytest.mark.parametrize(
    ("side", "decided", "cap"),
    [
        ("BUY", 75_000, 75_300),
        ("BUY", 20_000, 20_100),
        ("BUY", 10_000, 10_050),
        ("BUY", 1_999, 2_005),  # 2,008 on the coarser ladder above 2,000
        ("BUY", 150, 150),  # less than a tick
        ("SELL", 75_000, 74_700),
        ("SELL", 20_000, 19_900),
        ("SELL", 2_005, 1_995),
        ("SELL", 150, 150),
    ],
)
def test_the_limit_is_rounded_to_the_safe_side(side, decided, cap):
    assert entry_cap(decision(side=side, decision_price=decided), Market(), CONFIG, NOW) == cap


def test_an_entry_reaches_the_limit_and_stops():
    tight = Market(bid=40_000, ask=40_200)  # the limit itself
    order = decision(decision_price=40_000, price=40_100)
    child = WorkingOrder(7, 40_100, 100)
    assert outcome(propose(order, tight, child)) == ("PRICE_IMPROVE", 40_150, ())
    child = WorkingOrder(7, 40_200, 100)
    assert outcome(propose(order, tight, child, avg_fill_price_e6=40_050 * 10**6)) == ("WAIT", 40_200, ())


@pytest.mark.parametrize(
    ("side", "market"),
    [("BUY", Market(bid=75_300, ask=75_400)), ("SELL", Market(bid=74_600, ask=74_700))],
)
def test_an_entry_that_nobody_will_take_within_the_limit_is_given_up(side, market):
    order = decision(side=side)
    assert outcome(propose(order, market)) == ("GIVE_UP", 75_000, ("FS094",))
    assert propose(order, market, urgent=True).action == "GIVE_UP"


def test_an_urgent_entry_goes_to_the_limit_at_once_and_stays_a_limit_order():
    answer = propose(decision(), Market(bid=74_900, ask=75_100), urgent=True)
    assert (outcome(answer), answer.round) == (("CONVERT_MARKET", 75_300, ()), 1)
    short = propose(decision(side="SELL"), Market(bid=74_900, ask=75_100), urgent=True)
    assert outcome(short) == ("CONVERT_MARKET", 74_700, ())


def test_a_slippage_above_the_warning_stops_improvements():
    market = Market(bid=75_000, ask=75_300)
    paid = 75_000 * 10**6 + 225 * 10**6  # 0.3 %
    assert propose(decision(), market, avg_fill_price_e6=paid).action == "PRICE_IMPROVE"
    assert outcome(propose(decision(), market, avg_fill_price_e6=paid + 1)) == ("WAIT", 75_000, ("GR063",))
    assert propose(decision(), market, avg_fill_price_e6=paid + 1, urgent=True).action == "WAIT"
    gained = 75_000 * 10**6 - 900 * 10**6
    assert propose(decision(), market, avg_fill_price_e6=gained).action == "PRICE_IMPROVE"
    short = propose(decision(side="SELL"), Market(bid=74_800, ask=75_000), avg_fill_price_e6=150_000_000_000 - paid - 1)
    assert outcome(short) == ("WAIT", 75_000, ("GR063",))


def test_before_the_first_fill_the_price_that_it_was_improved_to_counts_as_slippage():
    market = Market(bid=40_000, ask=40_200)
    assert buy(40_000, 40_100, market, rounds=2).action == "PRICE_IMPROVE"
    assert outcome(buy(40_000, 40_150, market, rounds=2)) == ("WAIT", 40_150, ("GR063",))
    assert buy(40_000, 40_150, market).action == "PRICE_IMPROVE"  # the strategy's own limit is not its slippage


# Daily limits.


def test_nothing_is_bid_beyond_the_limits_of_the_day():
    up = Market(bid=75_000, ask=75_100, base=57_800)
    assert up.price_limits(SHARE, NOW) == (40_500, 75_100)
    assert propose(decision(), up, urgent=True).new_price == 75_100
    assert propose(decision(), up).new_price == 75_100
    down = Market(bid=75_000, ask=75_100, base=107_000)
    assert down.price_limits(SHARE, NOW)[0] == 74_900
    assert propose(decision(side="SELL"), down, urgent=True).new_price == 74_900
    assert propose(exit_of(), down, urgent=True).new_price == 74_900


def test_a_quote_beyond_the_limits_of_the_day_is_not_followed():
    down = Market(bid=74_000, ask=75_000, base=107_000)  # the day ends at 74,900
    assert propose(exit_of(), down, CHILD._replace(price=74_900)).action == "WAIT"
    assert propose(exit_of(), down).new_price == 74_900
    up = Market(bid=75_000, ask=76_000, base=57_800)  # and here at 75,100
    assert propose(exit_of(side="BUY"), up, CHILD._replace(price=75_100)).action == "WAIT"
    assert propose(exit_of(side="BUY"), up).new_price == 75_100


# Quotes.


@pytest.mark.parametrize("order", [decision(), exit_of()])
def test_a_book_that_is_too_old_is_waited_for(order):
    assert propose(order, Market(bid=74_900, ask=75_100, ts_ns=NOW - 50_000_000)).action == "PRICE_IMPROVE"
    late = Market(bid=74_900, ask=75_100, ts_ns=NOW - 50_000_001)
    assert propose(order, late).action == "WAIT"
    assert propose(order, late, urgent=True).action == "WAIT"


@pytest.mark.parametrize("order", [decision(), exit_of()])
def test_an_instrument_without_quotes_is_waited_for(order):
    assert propose(order, Market()).action == "WAIT"
    assert not ADJUST.is_silent(SHARE, NOW + 100 * S, Market())


def test_an_empty_other_side_is_waited_for():
    assert propose(decision(), Market(bid=75_000)).action == "WAIT"
    assert propose(decision(side="SELL"), Market(ask=75_000)).action == "WAIT"
    assert propose(exit_of(), Market(ask=75_000)).action == "WAIT"


def test_three_seconds_without_quotes_are_the_time_limit():
    market = Market(bid=74_900, ask=75_100)
    assert not ADJUST.is_silent(SHARE, NOW + 3 * S, market)
    assert ADJUST.is_silent(SHARE, NOW + 3 * S + 1, market)


# Exits.


def test_an_exit_goes_beyond_the_limit_of_entries_and_says_so():
    order = exit_of()
    child = WorkingOrder(7, 74_800, 100)
    assert outcome(propose(order, Market(bid=74_000, ask=74_900), child)) == ("PRICE_IMPROVE", 74_700, ("GR063",))
    child = WorkingOrder(7, 74_900, 100)
    assert outcome(propose(order, Market(bid=74_000, ask=75_000), child)) == ("PRICE_IMPROVE", 74_800, ())


def test_an_urgent_exit_takes_any_price_of_the_day():
    day = Market(bid=74_900, ask=75_000, base=75_000)
    lowest = day.price_limits(SHARE, NOW)[0]
    assert outcome(propose(exit_of(), day, urgent=True)) == ("CONVERT_MARKET", lowest, ("GR063",))
    answer = propose(exit_of(), Market(bid=74_900, ask=75_000), urgent=True)
    assert (outcome(answer), answer.round) == (("CONVERT_MARKET", 74_900, ()), 1)
    assert propose(exit_of(), Market(ask=75_000), urgent=True).action == "WAIT"


def test_an_exit_never_goes_below_its_worst_price():
    order = exit_of(worst_price=74_950)
    market = Market(bid=74_000, ask=75_000)
    assert outcome(propose(order, market)) == ("WAIT", 75_000, ())  # 75,000 is the last price above it
    assert propose(exit_of(worst_price=74_900), market).new_price == 74_900
    assert propose(exit_of(worst_price=74_900), market, urgent=True).new_price == 74_900


def test_a_market_order_can_only_be_waited_for():
    for side in ("SELL", "BUY"):
        order = exit_of(side=side)
        assert propose(order, Market(bid=74_900, ask=75_000), CHILD._replace(price=0)).action == "WAIT"


# Rounds and quantities.


@pytest.mark.parametrize("urgent", [False, True])
def test_rounds_are_numbered_and_end(urgent):
    market = Market(bid=74_900, ask=75_200)
    assert [buy(75_000, 75_000, market, rounds=used, urgent=urgent).round for used in (0, 1, 2)] == [1, 2, 3]
    over = buy(75_000, 75_000, market, rounds=3, urgent=urgent)
    assert (over.action, over.round) == ("WAIT", 3)


def test_an_urgent_exit_is_not_held_up_by_rounds():
    child = CHILD._replace(rounds=3)
    assert propose(exit_of(), Market(bid=74_900, ask=75_000), child).action == "WAIT"
    assert propose(exit_of(), Market(bid=74_900, ask=75_000), child, urgent=True).action == "CONVERT_MARKET"


@pytest.mark.parametrize(("allowed", "left"), [(70, 70), (30, 40), (0, 40)])
def test_a_limit_that_fell_cuts_what_is_not_filled(allowed, left):
    child = CHILD._replace(filled_qty=40)
    stale = Market(bid=74_900, ask=75_000, ts_ns=NOW - 10 * S)
    answer = propose(decision(), stale, child, allowed_qty=allowed)
    assert (answer.action, answer.old_qty, answer.new_qty, answer.new_price) == ("REDUCE_QTY", 100, left, 75_000)
    assert answer.round == 0


@pytest.mark.parametrize("allowed", [100, 5_000])
def test_a_limit_with_room_changes_nothing(allowed):
    assert propose(decision(), Market(bid=74_900, ask=75_100), allowed_qty=allowed).action == "PRICE_IMPROVE"


# Slippage.


@pytest.mark.parametrize(
    ("side", "paid_e6", "bps_e3"),
    [
        ("BUY", 75_100 * 10**6, 13_333),  # 100 on 75,000 are 13.333 bps
        ("BUY", 74_900 * 10**6, -13_333),
        ("SELL", 74_900 * 10**6, 13_333),
        ("SELL", 75_000 * 10**6, 0),
        ("BUY", 75_000 * 10**6 + 3_750, 1),  # half of a thousandth is rounded away from zero
        ("BUY", 75_000 * 10**6 - 3_750, -1),
    ],
)
def test_slippage_is_positive_when_it_costs(side, paid_e6, bps_e3):
    assert slippage_bps_e3(side, 75_000, paid_e6) == bps_e3


@pytest.mark.parametrize(
    ("order", "above_ppm", "codes"),
    [
        (decision(), 3_000, ()),
        (decision(), 3_001, ("GR063",)),
        (decision(), 5_000, ("GR063",)),
        (decision(), 5_001, ("FS094",)),
        (exit_of(side="BUY"), 5_001, ("GR063",)),
        (decision(), -9_000, ()),
    ],
)
def test_fills_far_from_the_decision_are_reported(order, above_ppm, codes):
    assert ADJUST.slippage_codes(order, 75_000 * (10**6 + above_ppm)) == codes


# Laws.

prices = st.one_of(st.integers(100, 3_000), st.integers(3_000, 1_000_000))


def on_ladder(price):
    return Market().floor_to_tick(SHARE, price, NOW)


@given(
    side=st.sampled_from(["BUY", "SELL"]),
    decided=prices,
    off=st.integers(-30, 30),
    gap=st.integers(-40, 40),
    spread=st.integers(0, 20),
    base_off=st.integers(-300, 300),
    rounds=st.integers(0, 4),
    intent=st.sampled_from(["ENTRY", "EXIT"]),
    urgent=st.booleans(),
)
def test_a_new_price_is_on_the_ladder_nearer_and_within_every_limit(
    side, decided, off, gap, spread, base_off, rounds, intent, urgent
):
    decided = on_ladder(decided)
    thousandth = max(1, decided // 1_000)
    current, bid = on_ladder(decided + off * thousandth), on_ladder(decided + gap * thousandth)
    ask = Market().ceil_to_tick(SHARE, bid + 1 + spread * thousandth, NOW)
    base = on_ladder(decided + base_off * thousandth)
    assume(min(current, bid, base) > 0)
    market = Market(bid=bid, ask=ask, base=base)
    lowest, highest = market.price_limits(SHARE, NOW)
    assume(lowest <= current <= highest)
    order = decision(side=side, intent=intent, decision_price=decided, price=current)
    answer = propose(order, market, WorkingOrder(7, current, 100, 0, rounds), urgent=urgent)
    new = answer.new_price
    if answer.action in {"WAIT", "GIVE_UP"}:
        assert (new, answer.round) == (current, rounds)
        return
    assert new == on_ladder(new)
    assert lowest <= new <= highest
    assert new > current if side == "BUY" else new < current
    assert answer.round == rounds + 1
    if answer.action == "PRICE_IMPROVE":
        assert new <= ask if side == "BUY" else new >= bid
    if intent == "ENTRY":
        assert adverse_ppm(side, decided, new * 10**6) <= CONFIG.max_slippage_ppm
        assert answer.round <= CONFIG.max_adjustment_rounds
