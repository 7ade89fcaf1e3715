"""Stage 2: the children add up to the order whatever the market is said to be like."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_samples import CONFIG, NOW, SHARE, Market, S, at_market, decision, exit_of

from qts.execution.contracts import VolumeBucket
from qts.execution.split import OrderSplit

PAST = -10 * S
EIGHT_COINS = 10**8


def split(order, market=None, config=CONFIG, **units):
    return OrderSplit(config).run(order, NOW, market or Market(bid=74_900, ask=75_000, ask_qty=10**9), **units)


def profiled(*buckets, adv=0, **quotes):
    market = Market(**({"bid": 74_900, "ask": 75_000, "ask_qty": 10**9} | quotes))
    market.profile = [VolumeBucket(NOW + after, volume) for after, volume in buckets]
    market.daily_volume = adv
    return market


def quantities(result):
    return [child.qty for child in result.splits]


def delays_s(result):
    return [(child.scheduled_ns - NOW) / S for child in result.splits]


# Which way.


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (decision(qty=100), "SINGLE"),
        (decision(qty=101), "VWAP"),
        (exit_of(qty=5_000, horizon_ms=10_000), "SINGLE"),
    ],
)
def test_exits_and_small_orders_go_out_in_one_piece(order, expected):
    market = profiled((0, 10_000), (10 * S, 10_000), adv=100_000)
    assert split(order, market).strategy == expected


def test_a_large_order_follows_the_profile_before_anything_else():
    market = profiled((0, 10_000), (10 * S, 10_000), adv=1_000_000, ask_qty=10)
    assert split(decision(qty=1_000, horizon_ms=20_000), market).strategy == "VWAP"
    assert split(decision(qty=999, horizon_ms=20_000), market).strategy == "TWAP"


def test_an_unknown_daily_volume_is_no_reason_to_follow_a_profile():
    assert split(decision(), profiled((0, 100_000), adv=0)).strategy == "SINGLE"


def test_more_than_half_of_the_best_quote_hides_its_size():
    assert split(decision(qty=500), Market(bid=74_900, ask=75_000, ask_qty=1_000, bid_qty=1)).strategy == "SINGLE"
    assert split(decision(qty=501), Market(bid=74_900, ask=75_000, ask_qty=1_000, bid_qty=9_999)).strategy == "ICEBERG"
    short = decision(qty=501, side="SELL")
    assert split(short, Market(bid=74_900, ask=75_000, ask_qty=9_999, bid_qty=1_000)).strategy == "ICEBERG"


def test_without_a_quote_there_is_no_depth_to_hide_from():
    assert split(decision(), Market()).strategy == "SINGLE"


# How much, and when.


def test_one_thousand_shares_follow_the_profile_in_more_than_one_piece():
    shape = (150, 120, 100, 80, 80, 100, 120, 150, 100)
    market = profiled(*((at * 5 * S, volume * 10) for at, volume in enumerate(shape)), adv=1_000_000)
    result = split(decision(), market)
    assert (result.strategy, result.codes) == ("VWAP", ())
    assert quantities(result) == [*shape]
    assert delays_s(result) == [at * 5 for at in range(9)]
    assert {child.max_participation_rate_ppm for child in result.splits} == {100_000}


def test_the_last_bucket_takes_what_rounding_leaves():
    market = profiled((0, 100_000), (S, 100_000), (2 * S, 100_000), adv=1_000)
    assert quantities(split(decision(), market)) == [333, 333, 334]


def test_buckets_that_are_past_or_beyond_the_horizon_do_not_count():
    market = profiled((PAST, 10**9), (S, 10_000), (55 * S, 10_000), (55 * S + 1, 10**9), adv=1_000)
    result = split(decision(), market)
    assert quantities(result) == [500, 500]
    assert delays_s(result) == [1, 55]


def test_a_bucket_too_small_for_a_share_is_left_out_and_the_rest_is_numbered_through():
    market = profiled((0, 100_000), (S, 10), (2 * S, 100_000), adv=1_000)
    result = split(decision(), market)
    assert [(child.sequence, child.qty) for child in result.splits] == [(1, 499), (2, 501)]


def test_no_child_is_more_than_its_share_of_the_expected_volume():
    market = profiled((0, 3_334), (S, 3_333), (2 * S, 3_333), adv=1_000)  # room for 333 + 333 + 333
    assert split(decision(qty=1_000), market).strategy == "SINGLE"
    assert quantities(split(decision(qty=999), market)) == [333, 333, 333]


def test_what_the_last_bucket_has_no_room_for_goes_to_the_one_before():
    market = profiled((0, 5_019), (S, 4_981), adv=1_000)  # room for 501 and 498; 501.4 and 497.6 would be even
    assert quantities(split(decision(qty=999), market)) == [501, 498]
    market = profiled((0, 10_009), (S, 10_009), (2 * S, 1_009), adv=1_000)  # rounding leaves the last more than 100
    result = split(decision(qty=2_100), market)
    assert quantities(result) == [1_000, 1_000, 100]


def test_a_profile_may_come_in_any_order():
    market = profiled((2 * S, 30_000), (0, 10_000), (S, 20_000), adv=1_000)
    result = split(decision(qty=600), market)
    assert (quantities(result), delays_s(result)) == ([100, 200, 300], [0, 1, 2])


@pytest.mark.parametrize("buckets", [(), ((0, 0), (S, 0)), ((PAST, 10**9),)])
def test_without_a_profile_the_horizon_decides(buckets):
    assert split(decision(horizon_ms=10_000), profiled(*buckets, adv=1_000)).strategy == "TWAP"
    assert split(decision(horizon_ms=0), profiled(*buckets, adv=1_000)).strategy == "SINGLE"


def test_equal_parts_at_equal_intervals():
    result = split(decision(qty=1_003, horizon_ms=22_000))
    assert result.strategy == "TWAP"
    assert quantities(result) == [91, 91, 91, 91, 91, 92, 91, 91, 91, 91, 92]
    assert delays_s(result) == [at * 2 for at in range(11)]


def test_no_more_parts_than_are_allowed():
    result = split(decision(qty=100_000, horizon_ms=20_000))
    assert quantities(result) == [5_000] * 20
    assert result.codes == ()


@pytest.mark.parametrize(
    ("horizon_ms", "deadline_s", "last_s"), [(600_000, 600, 49.5), (600_000, 10, 9), (1, 60, 0.0009)]
)
def test_nothing_is_scheduled_beyond_the_horizon_or_the_deadline(horizon_ms, deadline_s, last_s):
    order = decision(qty=1_000, horizon_ms=horizon_ms, deadline_ns=NOW + deadline_s * S)
    assert delays_s(split(order))[-1] == last_s


def test_a_deadline_that_has_come_leaves_no_time_to_spread():
    assert split(decision(horizon_ms=5_000, deadline_ns=NOW)).strategy == "SINGLE"
    assert split(decision(horizon_ms=5_000, deadline_ns=NOW - 1)).strategy == "SINGLE"


def test_an_iceberg_shows_a_part_at_a_time():
    result = split(decision(qty=950), Market(bid=74_900, ask=75_000, ask_qty=1_000))
    assert quantities(result) == [100] * 9 + [50]
    assert delays_s(result) == [0] * 10


def test_too_many_children_are_merged_with_their_neighbours_and_that_is_reported():
    result = split(decision(qty=4_100), Market(bid=74_900, ask=75_000, ask_qty=1_000))
    assert (result.strategy, result.codes) == ("ICEBERG", ("GR060",))
    assert quantities(result) == [200] * 19 + [300]
    buckets = profiled(*((at * S, 10_000) for at in range(50)), adv=1_000)
    result = split(decision(qty=5_000), buckets)
    assert result.codes == ("GR060",)
    assert len(result.splits) == 20
    assert sum(quantities(result)) == 5_000
    assert delays_s(result)[:4] == [0, 2, 5, 7]


# At what price.


def test_a_limit_is_every_childs_limit():
    assert {child.price for child in split(decision(price=75_200, horizon_ms=9_000)).splits} == {75_200}


def test_an_entry_without_a_limit_goes_to_the_slippage_limit_and_no_further():
    assert {child.price for child in split(at_market(horizon_ms=9_000)).splits} == {75_300}  # 75,375 on the ladder
    assert split(at_market(side="SELL")).splits[0].price == 74_700  # 74,625, rounded up
    upper = Market(ask=75_000, base=57_800)  # the day ends at 75,100
    assert upper.price_limits(SHARE, NOW)[1] == 75_100
    assert split(at_market(), upper).splits[0].price == 75_100


def test_an_exit_without_a_limit_is_a_market_order():
    assert split(exit_of(price_type="MARKET", price=None)).splits[0].price is None


# Lots and scales.


def test_children_are_whole_lots():
    result = split(decision(qty=1_050, horizon_ms=5_000), lot=50)
    assert quantities(result) == [50] + [100] * 10


@pytest.mark.parametrize("qty", [0, -100, 75])
def test_a_quantity_that_is_no_whole_lot_is_refused(qty):
    with pytest.raises(ValueError, match="lot"):
        split(decision(qty=qty), lot=50)


def test_sizes_of_the_settings_are_whole_units_of_instruments_that_are_divided():
    assert split(decision(qty=100 * EIGHT_COINS, horizon_ms=9_000), unit=EIGHT_COINS).strategy == "SINGLE"
    result = split(decision(qty=300 * EIGHT_COINS, horizon_ms=9_000), unit=EIGHT_COINS, lot=1_000)
    assert quantities(result) == [100 * EIGHT_COINS] * 3


# Laws.

buckets = st.lists(st.tuples(st.integers(-60 * S, 90 * S), st.one_of(st.just(0), st.integers(0, 10**7))), max_size=60)


@given(
    lots=st.integers(1, 200_000),
    lot=st.sampled_from([1, 10]),
    horizon_ms=st.integers(0, 120_000),
    deadline_ns=st.integers(-S, 100 * S),
    shape=buckets,
    adv=st.one_of(st.just(0), st.integers(1, 10**8)),
    depth=st.integers(0, 10**6),
    side=st.sampled_from(["BUY", "SELL"]),
    intent=st.sampled_from(["ENTRY", "EXIT"]),
    most=st.integers(1, 30),
    price=st.sampled_from([None, 75_000]),
)
def test_children_add_up_to_the_order(lots, lot, horizon_ms, deadline_ns, shape, adv, depth, side, intent, most, price):
    order = decision(
        qty=lots * lot,
        side=side,
        intent=intent,
        horizon_ms=horizon_ms,
        deadline_ns=NOW + deadline_ns,
        price=price,
        price_type="LIMIT" if price else "MARKET",
    )
    market = profiled(*shape, adv=adv, ask_qty=depth, bid_qty=depth)
    result = split(order, market, replace(CONFIG, max_splits=most), lot=lot)
    assert sum(quantities(result)) == order.qty
    assert min(quantities(result)) > 0
    assert all(qty % lot == 0 for qty in quantities(result))
    assert 1 <= len(result.splits) <= most
    assert [child.sequence for child in result.splits] == list(range(1, len(result.splits) + 1))
    times = [child.scheduled_ns for child in result.splits]
    assert times == sorted(times)
    assert times[0] >= NOW
    assert times[-1] <= max(NOW, min(NOW + CONFIG.max_horizon_ns, order.deadline_ns))
    if intent == "ENTRY":
        assert all(child.price is not None for child in result.splits)


@given(lots=st.integers(101, 100_000), shape=buckets)
def test_no_child_of_a_profile_takes_more_than_its_share(lots, shape):
    market = profiled(*shape, adv=1)
    result = split(decision(qty=lots), market, replace(CONFIG, max_splits=100))
    if result.strategy == "VWAP":
        room = {}
        for bucket in market.profile:
            room[bucket.start_ns] = room.get(bucket.start_ns, 0) + bucket.volume // 10
        taken = {}
        for child in result.splits:
            taken[child.scheduled_ns] = taken.get(child.scheduled_ns, 0) + child.qty
        assert all(qty <= room[at] for at, qty in taken.items())
