"""The breakout of yesterday's range: what it needs to have seen, where it enters, where it leaves."""

from types import SimpleNamespace

import pytest

from qts.codes import UsageError
from qts.strategy.examples import VolatilityBreakout

DAY_NS = 86_400_000_000_000
NINE_NS = 0  # 09:00 in Seoul is midnight UTC


class Market:
    """Prints of days, an hour apart."""

    def __init__(self, **params):
        self.strategy = VolatilityBreakout(**params)
        self.day = 0
        self.hour = 0

    def next_day(self, *prices, **more):
        self.day, self.hour = self.day + 1, 0
        return [self.print(price, **more) for price in prices]

    def print(self, price, kind="T", symbol="A", **state):
        ts_ns = self.day * DAY_NS + NINE_NS + round(self.hour * 3_600) * 1_000_000_000
        self.hour = min(self.hour + 1, 6)
        state = {"position_qty": 0, "working_buy": 0, "working_sell": 0} | state
        return self.strategy.on_tick(
            SimpleNamespace(
                ts_ns=ts_ns, symbol=symbol, instrument=ord(symbol), kind=kind, price=price,
                bid=price - 1, ask=price + 1, **state,
            )
        )  # fmt: skip


@pytest.fixture
def market():
    market = Market(part=0.5, stop_part=0.25, weight=0.2)
    assert market.next_day(1_000, 1_100, 1_000, 1_050) == [None] * 4  # a range of 100
    return market


def test_it_enters_at_the_open_plus_a_part_of_yesterdays_range(market):
    assert market.next_day(1_060, 1_109) == [None, None]
    intent = market.print(1_110)
    assert (intent.side, intent.purpose, intent.target_weight_ppm, intent.ref_price) == ("BUY", "ENTRY", 200_000, 1_111)


def test_it_asks_once_a_day_and_symbol_and_again_the_next_day(market):
    market.next_day(1_060)
    assert market.print(1_110) is not None
    assert market.print(1_150) is None
    assert market.next_day(1_000, 1_010) == [None, None]
    assert market.print(1_045) is not None, "half of 90 above 1000"


def test_the_first_day_of_a_symbol_knows_no_range():
    market = Market()
    assert market.next_day(1_000, 2_000, 3_000) == [None] * 3
    market.next_day(1_000, symbol="B")
    assert market.print(9_000, symbol="B") is None


def test_a_day_without_a_range_is_no_reason_to_enter():
    market = Market()
    market.next_day(1_000, 1_000)
    assert market.next_day(1_000, 1_001, 2_000) == [None] * 3


def test_it_leaves_below_the_stop_until_it_is_done(market):
    market.next_day(1_060)
    market.print(1_110)  # the stop is 25 lower
    assert market.print(1_086, position_qty=5) is None
    intent = market.print(1_085, position_qty=5)
    assert (intent.side, intent.purpose, intent.qty, intent.ref_price) == ("SELL", "EXIT", None, 1_084)
    assert market.print(1_080, position_qty=5, working_sell=5) is None
    assert market.print(1_080, position_qty=5) is not None


def test_it_waits_for_what_works(market):
    market.next_day(1_060)
    assert market.print(1_150, working_buy=5) is None
    assert market.print(1_150) is not None


@pytest.mark.parametrize("kind", ["Q", "B"])
def test_only_trades_make_a_day(market, kind):
    """A bar tells the high of a day that is over, or of one that is not: neither is a print."""
    market.next_day(1_060)
    assert market.print(9_999, kind=kind) is None
    assert market.print(1_109) is None
    assert market.print(1_110) is not None


def test_a_day_is_one_of_seoul():
    market = Market()
    market.next_day(1_000, 1_100)
    seen = market.strategy._days[ord("A")]
    market.hour = 15 - 1 / 3_600
    market.print(1_000)
    assert (seen.high, seen.range) == (1_100, 0), "a second before midnight in Seoul it is still that day"
    market.hour = 15
    market.print(1_050)
    assert (seen.range, seen.open) == (100, 1_050)


@pytest.mark.parametrize("params", [{"part": 0}, {"part": 3}, {"stop_part": -1}, {"weight": 1.5}, {"confidence": 2}])
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(UsageError):
        VolatilityBreakout(**params)
