"""The example strategies: when they enter, when they leave, and what they never do."""

from collections import deque
from types import SimpleNamespace

import pytest

from qts.codes import UsageError
from qts.strategy import Bar, Bars, ExecutionView, MarketView, Quote, Terms
from qts.strategy.examples import EXAMPLES, DailyMomentum, EmaCross, QuoteReversion

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
TERMS = Terms.of(0, "A", 1, 0, 0, 0)
COIN = Terms.of(0, "ETHUSDT", 10_000, 8, 8, 8)


def view(bars, terms=TERMS):
    return MarketView(terms.symbol, terms, Quote(100, 99, 1, 101, 1, 0, 0), Bars(bars), "FULL", 0)


def holding(qty=0, working_buy=0, working_sell=0):
    return ExecutionView(qty, qty * 100, 0, working_buy, working_sell, 10**9, 0)


def bar(number, close, high=None, low=None, interval_ns=SECOND_NS):
    return Bar(0, interval_ns, number * interval_ns, close, high or close, low or close, close, 1)


class Feed:
    """Closes one bar after the other."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.rows = deque(maxlen=8)
        self.number = 0

    def close(self, close, position=None):
        self.number += 1
        self.rows.append(bar(self.number, close))
        return self.strategy.generate_intents(view(self.rows), position or holding())


@pytest.fixture
def cross():
    feed = Feed(EmaCross(fast=2, slow=4))
    for close in (100, 99, 98, 97):
        assert feed.close(close) == ()
    return feed


def test_ema_cross_enters_once_on_the_bar_of_the_cross(cross):
    [intent] = cross.close(120)
    assert (intent.side, intent.purpose, intent.target_weight_ppm, intent.ref_price) == ("BUY", "ENTRY", 100_000, 101)
    assert cross.close(121) == ()


def test_ema_cross_asks_for_its_exit_until_it_is_done(cross):
    cross.close(120)
    for _ in range(3):
        [intent] = cross.close(50, holding(10))
        assert (intent.side, intent.purpose, intent.qty) == ("SELL", "EXIT", None)
    assert cross.close(50, holding(10, working_sell=10)) == ()
    assert len(cross.close(50, holding(10, working_sell=4))) == 1


def test_ema_cross_waits_while_something_works(cross):
    assert cross.close(120, holding(0, working_buy=5)) == ()


def test_ema_cross_takes_in_every_bar_once():
    missed = Feed(EmaCross(fast=2, slow=4))
    for number, close in enumerate((100, 99, 98, 97, 120), 1):
        missed.rows.append(bar(number, close))
    assert len(missed.strategy.generate_intents(view(missed.rows), holding())) == 1
    assert missed.strategy.generate_intents(view(missed.rows), holding()) == ()


def test_ema_cross_fixed_quantity_is_in_whole_units():
    feed = Feed(EmaCross(fast=2, slow=4, qty="0.25"))
    for close in (100, 99, 98, 97):
        feed.close(close)
    feed.rows.append(bar(9, 120))
    [intent] = feed.strategy.generate_intents(view(feed.rows, COIN)._replace(symbol="A"), holding())
    assert (intent.qty, intent.target_weight_ppm) == (25_000_000, None)


def test_ema_cross_needs_a_faster_fast():
    with pytest.raises(UsageError, match=r"fast \(30\) must be less than slow \(26\)"):
        EmaCross(fast=30)


def test_ema_cross_requirements():
    needs = EmaCross(bar="5s").requirements()
    assert (needs.bar_interval_ns, needs.lookback) == (5 * SECOND_NS, 26)


class Ticks:
    """Quotes around a mid price, one every 10 ms."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.now_ns = 0
        self.state = {"position_qty": 0, "working_buy": 0, "working_sell": 0}

    def quote(self, mid, spread=2, wait_ms=10, **state):
        self.now_ns += wait_ms * 1_000_000
        bid = mid - spread // 2 if mid else 0
        return self.strategy.on_tick(
            SimpleNamespace(
                ts_ns=self.now_ns, symbol="A", instrument=0, kind="Q", price=0, qty=0,
                bid=bid, bid_qty=1, ask=bid + spread if bid else 0, ask_qty=1, **{**self.state, **state},
            )
        )  # fmt: skip


@pytest.fixture
def reversion():
    ticks = Ticks(QuoteReversion(period=10, spreads=3, min_dip_bps=1, max_hold="5s"))
    for _ in range(20):
        assert ticks.quote(100_000) is None
    return ticks


def test_reversion_buys_a_dip_of_enough_spreads(reversion):
    assert reversion.quote(99_996) is None
    intent = reversion.quote(99_900)
    assert (intent.side, intent.purpose, intent.ref_price) == ("BUY", "ENTRY", 99_901)


def test_reversion_wants_a_dip_that_is_worth_something():
    ticks = Ticks(QuoteReversion(period=10, spreads=3, min_dip_bps=20))
    for _ in range(20):
        ticks.quote(100_000)
    assert ticks.quote(99_900) is None
    assert ticks.quote(99_000) is not None


def test_reversion_learns_the_fair_value_first():
    ticks = Ticks(QuoteReversion(period=10))
    ticks.quote(100_000)
    assert ticks.quote(90_000) is None


def test_reversion_ignores_a_market_with_one_side(reversion):
    assert reversion.quote(0) is None


def test_reversion_does_not_repeat_itself_at_once(reversion):
    assert reversion.quote(99_900) is not None
    assert reversion.quote(99_800) is None
    assert reversion.quote(99_000, wait_ms=1_000) is not None


def test_reversion_pauses_after_an_exit(reversion):
    assert reversion.quote(100_500, position_qty=7).purpose == "EXIT"
    for _ in range(60):
        assert reversion.quote(90_000 - reversion.now_ns // 10_000_000, wait_ms=1_000) is None
    assert reversion.quote(50_000, wait_ms=1_000).purpose == "ENTRY"


def test_reversion_waits_while_something_works(reversion):
    assert reversion.quote(99_900, working_buy=1) is None
    assert reversion.quote(99_800, working_sell=1) is None


def test_reversion_sells_when_the_price_is_back(reversion):
    reversion.quote(99_900)
    assert reversion.quote(99_900, wait_ms=1_500, position_qty=7) is None
    intent = reversion.quote(100_000, position_qty=7)
    assert (intent.side, intent.purpose, intent.reason) == ("SELL", "EXIT", "back at fair value")


def test_reversion_sells_when_time_is_up_and_never_twice(reversion):
    reversion.quote(99_000, position_qty=7)
    for _ in range(400):
        assert reversion.quote(98_000 - reversion.now_ns // 10_000_000, position_qty=7) is None
    intent = reversion.quote(90_000, wait_ms=1_000, position_qty=7)
    assert intent.reason == "held for the longest time"
    assert reversion.quote(89_000, wait_ms=2_000, position_qty=7, working_sell=7) is None
    assert reversion.quote(88_000, wait_ms=2_000, position_qty=7) is not None


def daily(closes):
    return deque(bar(number, close, close + 2, close - 2, DAY_NS) for number, close in enumerate(closes))


@pytest.fixture
def momentum():
    return DailyMomentum(entry_days=5, exit_days=3)


def test_momentum_buys_a_close_above_the_high(momentum):
    [intent] = momentum.generate_intents(view(daily([100] * 9 + [103])), holding())
    assert (intent.side, intent.purpose, intent.target_weight_ppm) == ("BUY", "ENTRY", 100_000)
    assert momentum.generate_intents(view(daily([100] * 9 + [102])), holding()) == ()


def test_momentum_looks_at_so_many_days_only(momentum):
    closes = [200] + [100] * 5 + [103]
    assert len(momentum.generate_intents(view(daily(closes)), holding())) == 1
    closes = [200] + [100] * 4 + [103]
    assert momentum.generate_intents(view(daily(closes)), holding()) == ()


def test_momentum_sells_a_close_below_the_trailing_low(momentum):
    bars = view(daily([100] * 9 + [97]))
    [intent] = momentum.generate_intents(bars, holding(5))
    assert (intent.side, intent.purpose, intent.reason) == ("SELL", "EXIT", "close below 3-day low")
    assert momentum.generate_intents(bars, holding(5, working_sell=5)) == ()
    assert momentum.generate_intents(view(daily([100] * 9 + [98])), holding(5)) == ()


def test_momentum_adds_nothing_to_what_it_has_or_waits_for(momentum):
    bars = view(daily([100] * 9 + [103]))
    assert momentum.generate_intents(bars, holding(5)) == ()
    assert momentum.generate_intents(bars, holding(0, working_buy=5)) == ()


def test_momentum_requirements(momentum):
    needs = momentum.requirements()
    assert (needs.bar_interval_ns, needs.lookback, needs.phases) == (DAY_NS, 6, frozenset({"OPEN_GUARD"}))


@pytest.mark.parametrize("strategy", EXAMPLES)
def test_every_parameter_says_what_it_is(strategy):
    assert all(field.description for field in strategy.Params.model_fields.values())
    assert strategy.name
    assert strategy.__doc__
