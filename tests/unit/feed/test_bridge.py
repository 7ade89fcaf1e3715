"""Days made up from daily bars, as a run meets them."""

from itertools import pairwise

import pytest

from qts._core import StepEngine
from qts.engine.build import catalog_in, load_config
from qts.feed import add_feed, inspect

DAY_NS = 86_400_000_000_000
SESSIONS = [(0, 32_400, 55_800)]  # 09:00 to 15:30 in Seoul
HEADER = "date,symbol,open,high,low,close,volume\n"
ROWS = (
    "2026-01-05,005930,70000,71200,69500,70900,1234567\n"
    "2026-01-05,000660,151000,153500,150500,150500,7654\n"
    "2026-01-06,005930,71000,71000,69000,69900,2234567\n"
)


@pytest.fixture
def days(tmp_path):
    path = tmp_path / "daily.csv"
    path.write_text(HEADER + ROWS)
    return path


def engine_on(path, bridge):
    catalog = catalog_in(load_config(None), "KRW")
    engine = StepEngine(catalog.core, cash=100_000_000)
    engine.add_bar_series(DAY_NS)
    add_feed(engine, [inspect(path)], SESSIONS, bridge=bridge)
    return engine


def ticks_of(path, bridge, symbol="005930"):
    engine = engine_on(path, bridge)
    seen = []
    engine.set_tick_handlers(
        [(lambda tick: seen.append((tick.symbol, tick.kind, tick.ts_ns, tick.price, tick.qty)), "SCALP", None)]
    )
    assert engine.run() == "end"
    return [row[1:] for row in seen if row[0] == symbol], engine.take_closed_bars()


def test_a_bridged_day_has_its_trades_and_the_same_daily_bars(days):
    plain, plain_bars = ticks_of(days, None)
    bridged, bars = ticks_of(days, (7, 39))
    assert bars == plain_bars
    assert len(bars) == 3
    assert (len(plain), len(bridged)) == (10, 82)
    first = bridged[:41]
    assert [kind for kind, *_ in first] == ["A", *"T" * 39, "B"]
    *steps, last_ns = [after[1] - at[1] for at, after in pairwise(first[1:])]
    # 38 even steps to 12.5 minutes before the end: the minutes in which scalp positions are closed.
    assert {step // 10 for step in steps} == {59_605_263_157}
    assert last_ns == 750_000_000_000
    prices = [price for _, _, price, _ in first[:-1]]
    assert (prices[0], max(prices), min(prices), prices[-1]) == (70_000, 71_200, 69_500, 70_900)
    assert sum(qty for *_, qty in first[:-1]) == 1_234_567


def test_a_bridge_follows_from_its_seed(days):
    assert ticks_of(days, (7, 39)) == ticks_of(days, (7, 39))
    assert ticks_of(days, (7, 39)) != ticks_of(days, (8, 39))


@pytest.mark.parametrize("seed", range(20))
def test_an_order_that_waits_gets_its_limit_and_no_better_price(days, seed):
    engine = engine_on(days, (seed, 39))
    samsung = catalog_in(load_config(None), "KRW").core.find("005930")
    prices, sent, fills = [], [], []

    def on_tick(tick):
        prices.append(tick.price)
        if tick.kind == "T" and not sent:
            sent.append(engine.submit(samsung, "SCALP", "BUY", "LIMIT", "DAY", 69_600, 1))

    engine.set_tick_handlers([(on_tick, "SCALP", [samsung])])
    engine.set_p0_handler(fills.append)
    engine.run(1_767_571_200_000_000_000 + DAY_NS // 2)
    assert min(prices) == 69_500
    assert [(fill.kind, fill.price) for fill in fills] == [("FILL_CONFIRMED", 69_600)]


def test_an_order_that_takes_pays_the_spread(days):
    engine = engine_on(days, (7, 39))
    samsung = catalog_in(load_config(None), "KRW").core.find("005930")
    fills, asks = [], []

    def on_tick(tick):
        if tick.kind == "T":
            asks.append((tick.bid, tick.ask))
            engine.submit(samsung, "SCALP", "BUY", "MARKET", "DAY", 75_000, 1)

    engine.set_tick_handlers([(on_tick, "SCALP", [samsung])])
    engine.set_p0_handler(fills.append)
    engine.run()
    assert len(fills) == 78
    assert [fill.price for fill in fills] == [ask for _, ask in asks]
    assert all(bid < ask for bid, ask in asks)


@pytest.mark.parametrize("bridge", [(1, 3), (1, 23_401)])
def test_a_bridge_that_cannot_be_is_told(days, bridge):
    with pytest.raises(ValueError, match=f"a bridge of {bridge[1]} prints a day, expected 4 to 23400"):
        engine_on(days, bridge)
