"""What every backend does alike: one suite, run unchanged on each of them."""

import asyncio

import pytest
from cache_samples import (
    DAY,
    MAKERS,
    SYMBOL,
    D,
    Rig,
    book,
    order,
    position,
    price,
    reader,
    rigged,
    risk,
    strategy,
    until,
)

from qts.cache import (
    AuthorityUnavailable,
    CacheStaleData,
    Family,
    OrderState,
    PriceDataUnavailable,
    PutResult,
    TradeLimitExceeded,
    UnknownOrder,
)

BACKENDS = ("memory", "tiered", "redis")
FAMILIES = tuple(MAKERS)


@pytest.fixture(params=BACKENDS)
def made(request, server):
    return lambda **values: rigged(request.param, server.port, **values)


@pytest.fixture(params=("zset", "snapshot"))
def encoding(request):
    return request.param


@pytest.mark.parametrize("family", FAMILIES)
async def test_what_is_put_is_read_back_field_by_field(made, family):
    async with made() as rig:
        record = MAKERS[family](rig.clock, ver=7)
        assert await rig.cache.put(record) is PutResult.WRITTEN
        assert await reader(rig.cache, family)() == record


@pytest.mark.parametrize("family", FAMILIES)
async def test_an_equal_or_lower_version_changes_nothing(made, family):
    async with made() as rig:
        newest = MAKERS[family](rig.clock, ver=7)
        await rig.cache.put(newest)
        for ver in (7, 6, 1):
            other = MAKERS[family](rig.clock, ver=ver, src="other")
            assert await rig.cache.put(other) is PutResult.SUPERSEDED
        assert await reader(rig.cache, family)() == newest
        newer = MAKERS[family](rig.clock, ver=8)
        assert await rig.cache.put(newer) is PutResult.WRITTEN
        assert await reader(rig.cache, family)() == newer


async def test_t1_a_miss_loads_and_then_hits(made):
    async with made() as rig:
        rig.store.rows["pos"] = record = position(rig.clock, ver=3)
        assert await rig.cache.get_position(SYMBOL) == record
        assert await rig.cache.get_position(SYMBOL) == record
        assert rig.store.asked.count("pos") == 1
        assert rig.cache.metrics.hit_rate(Family.POSITION) == 0.5


async def test_t2_a_price_of_half_a_second_ago_is_stale(made):
    async with made(stale_threshold_ms={}) as rig:
        await rig.cache.put(price(rig.clock, timestamp=price(rig.clock).timestamp - 500))
        with pytest.raises(CacheStaleData) as caught:
            await rig.cache.get_price(SYMBOL)
        assert caught.value.found
        assert caught.value.expected == "<= 100 ms"
        assert "GR121" in rig.codes()
        rig.store.rows["price"] = price(rig.clock)
        assert "price" not in rig.store.asked, "a price never comes from the store"


async def test_a_quote_that_is_not_there_is_unknown(made):
    async with made() as rig:
        with pytest.raises(PriceDataUnavailable):
            await rig.cache.get_price(SYMBOL)
        with pytest.raises(PriceDataUnavailable):
            await rig.cache.get_book(SYMBOL)
        assert await rig.cache.get_prices([SYMBOL, "000660"]) == {}


async def test_prices_of_many_symbols_leave_out_those_that_cannot_be_used(made):
    async with made() as rig:
        good = price(rig.clock, symbol="000660")
        await rig.cache.put(good)
        await rig.cache.put(price(rig.clock, age_ms=4_000))
        assert await rig.cache.get_prices([SYMBOL, "000660", "035720"]) == {"000660": good}


async def test_t15_what_nobody_knows_is_neither_flat_nor_absent(made):
    async with made() as rig:
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_position(SYMBOL)
        assert await rig.cache.get_order("A-1") == UnknownOrder("A-1")
        assert (await rig.cache.get_order("A-1")).status is OrderState.UNKNOWN
        rig.store.failure = OSError("down")
        with pytest.raises(AuthorityUnavailable, match="down"):
            await rig.cache.get_position(SYMBOL)
        assert isinstance(await rig.cache.get_order("A-1"), UnknownOrder)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_strategy("rsi")


async def test_a_position_of_zero_is_a_statement(made):
    async with made() as rig:
        await rig.cache.put(position(rig.clock, qty=0))
        assert (await rig.cache.get_position(SYMBOL)).qty == 0


async def test_t7_the_best_bid_is_the_highest_and_the_best_ask_the_lowest_price(made, encoding):
    async with made(book_encoding=encoding) as rig:
        await rig.cache.put(book(rig.clock))
        seen = await rig.cache.get_book(SYMBOL)
        assert [level.price for level in seen.bids] == [75_000, 74_900, 74_800]
        assert [level.qty for level in seen.bids] == [1_000, 2_500, 5_000]
        assert [level.price for level in seen.asks] == [75_100, 75_200, 75_300]


async def test_t8_a_level_that_is_gone_is_gone(made, encoding):
    async with made(book_encoding=encoding) as rig:
        await rig.cache.put(book(rig.clock, ver=1))
        await rig.cache.put(book(rig.clock, ver=2, bids=((75_000, 10), (74_800, 4))))
        seen = await rig.cache.get_book(SYMBOL)
        assert [(level.price, level.qty) for level in seen.bids] == [(75_000, 10), (74_800, 4)]


async def test_a_book_with_decimals_keeps_them_and_their_order(made, encoding):
    async with made(book_encoding=encoding) as rig:
        cents = book(rig.clock, bids=((D("10.05"), 1), (D("9.9"), 2)), asks=((D("10.1"), 3), (D("10.15"), 4)))
        await rig.cache.put(cents)
        assert await rig.cache.get_book(SYMBOL) == cents


async def test_a_read_returns_as_many_levels_as_are_asked_for(made, encoding):
    async with made(book_encoding=encoding) as rig:
        bids = tuple((75_000 - at, at + 1) for at in range(12))
        asks = tuple((75_001 + at, at + 1) for at in range(12))
        await rig.cache.put(book(rig.clock, bids=bids, asks=asks))
        assert [len((await rig.cache.get_book(SYMBOL, depth)).bids) for depth in (None, 1, 10)] == [5, 1, 10]


async def test_a_check_before_an_order_gets_all_three_or_an_error(made):
    async with made() as rig:
        rig.store.rows["pos"] = held = position(rig.clock, ver=3)
        await rig.cache.put(known := risk(rig.clock, ver=9))
        with pytest.raises(PriceDataUnavailable):
            await rig.cache.get_precheck(SYMBOL)
        await rig.cache.put(quote := price(rig.clock))
        assert await rig.cache.get_precheck(SYMBOL, budget_ms=1_000) == (quote, held, known)
        rig.store.failure = OSError("down")
        await rig.cache.invalidate(Family.POSITION, SYMBOL, "test")
        await rig.cache.put(price(rig.clock, ver=2))
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_precheck(SYMBOL)


async def test_a_risk_state_of_another_day_is_none(made):
    async with made() as rig:
        await rig.cache.put(risk(rig.clock, ver=2))
        rig.days.day = DAY.replace(day=5)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_risk()


async def test_invalidation_forgets(made):
    async with made() as rig:
        await rig.cache.put(position(rig.clock))
        assert await rig.cache.invalidate(Family.POSITION, SYMBOL, "test")
        assert not await rig.cache.invalidate(Family.POSITION, SYMBOL, "test")
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_position(SYMBOL)


async def test_t14_two_hundred_who_miss_the_same_ask_once(made):
    async with made() as rig:
        rig.store.rows["pos"] = record = position(rig.clock)
        rig.store.gate = asyncio.Event()
        readers = [asyncio.ensure_future(rig.cache.get_position(SYMBOL)) for _ in range(200)]
        await until(lambda: rig.store.asked.count("pos"))
        rig.store.gate.set()
        assert await asyncio.gather(*readers) == [record] * 200
        assert rig.store.asked.count("pos") == 1


async def test_t9_a_slow_loader_does_not_undo_a_newer_fill(made):
    async with made() as rig:
        rig.store.rows["pos"] = position(rig.clock, ver=4)
        rig.store.gate = asyncio.Event()
        slow = asyncio.ensure_future(rig.cache.get_position(SYMBOL))
        await until(lambda: rig.store.asked.count("pos"))
        await rig.cache.put(fill := position(rig.clock, ver=5, qty=20))
        rig.store.gate.set()
        await slow
        assert await rig.cache.get_position(SYMBOL) == fill


async def test_t16_entries_are_counted_up_to_the_limit_and_anew_each_day(made):
    async with made() as rig:
        rig.store.trades[DAY] = 8
        await rig.cache.counter.rebuild()
        assert [await rig.cache.counter.reserve(10) for _ in range(2)] == [9, 10]
        with pytest.raises(TradeLimitExceeded, match="10 entries"):
            await rig.cache.counter.reserve(10)
        await rig.cache.counter.release()
        assert await rig.cache.counter.reserve(10) == 10
        rig.days.day = tomorrow = DAY.replace(day=5)
        rig.store.failure = OSError("down")
        with pytest.raises(TradeLimitExceeded, match="unknown"):
            await rig.cache.counter.reserve(10)
        rig.store.failure = None
        rig.store.trades[tomorrow] = 0
        assert await rig.cache.counter.reserve(10) == 1


async def test_the_ceiling_of_entries_holds_whatever_the_state_allows(made):
    async with made(daily_trade_ceiling=2) as rig:
        assert [await rig.cache.counter.reserve(50) for _ in range(2)] == [1, 2]
        with pytest.raises(TradeLimitExceeded):
            await rig.cache.counter.reserve(50)


async def test_write_through_puts_on_record_first_and_caches_nothing_that_was_refused(made):
    rig: Rig
    store_first: list[str] = []

    async def write(record) -> None:
        store_first.append(f"{record.ver}")
        if record.ver == 2:
            raise OSError("rolled back")

    async with made(ports={"write": write}) as rig:
        assert await rig.cache.write(position(rig.clock, ver=1)) is PutResult.WRITTEN
        with pytest.raises(OSError, match="rolled back"):
            await rig.cache.write(position(rig.clock, ver=2, qty=99))
        assert (await rig.cache.get_position(SYMBOL)).ver == 1
        assert store_first == ["1", "2"]


async def test_a_strategy_lives_on_for_a_day_when_every_tier_fails(made):
    async with made() as rig:
        rig.store.rows["strat"] = known = strategy(rig.clock)
        assert await rig.cache.get_strategy("rsi") == known
        rig.store.failure = OSError("down")
        await rig.cache.invalidate(Family.STRATEGY, "rsi", "test")
        last = await rig.cache.get_strategy("rsi")
        assert (last.params, last.is_last_known) == (known.params, True)
        rig.clock.jump(86_500)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_strategy("rsi")


async def test_orders_end(made):
    async with made() as rig:
        await rig.cache.put(order(rig.clock, ver=1))
        await rig.cache.put(done := order(rig.clock, ver=2, status=OrderState.FILLED))
        assert await rig.cache.get_order("A-1") == done
