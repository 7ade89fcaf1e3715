"""Target weights: when they are asked for, and what is refused as weights."""

from collections import deque
from datetime import UTC, datetime

import pytest

from qts.codes import UsageError
from qts.strategy import Bar, Bars, ExecutionView, MarketView, Quote, Terms
from qts.strategy.examples import TargetWeights

DAY_NS = 86_400_000_000_000


def asked(strategy, day, symbol="A", working_buy=0):
    opened = datetime.fromisoformat(day).replace(tzinfo=UTC)  # 9 o'clock in Korea
    ts_ns = int(opened.timestamp()) * 1_000_000_000
    terms = Terms.of(0, symbol, 1, 0, 0, 0)
    bars = Bars(deque([Bar(0, DAY_NS, ts_ns - DAY_NS, 1, 1, 1, 1, 1)]))
    market = MarketView(symbol, terms, Quote(100, 99, 1, 101, 1, 0, 0), bars, "FULL", ts_ns)
    return strategy.generate_intents(market, ExecutionView(0, 0, 0, working_buy, 0, 10**9, 0))


def days(strategy, *when, **parts):
    return [day for day in when if asked(strategy, day, **parts)]


def test_the_first_sessions_of_each_month():
    strategy = TargetWeights(weights="A=0.3,B=0.2")
    assert days(strategy, "2024-01-15", "2024-01-16", "2024-01-17", "2024-01-31") == ["2024-01-15", "2024-01-16"]
    assert days(strategy, "2024-02-01", "2024-02-02", "2024-02-05") == ["2024-02-01", "2024-02-02"]
    assert days(strategy, "2025-02-03", "2025-02-04", "2025-02-05") == ["2025-02-03", "2025-02-04"]


def test_the_first_session_of_each_quarter():
    strategy = TargetWeights(weights="A=1", every="quarter", sessions=1)
    assert days(strategy, "2024-01-02", "2024-02-01", "2024-03-04", "2024-04-01", "2024-07-01") == [
        "2024-01-02",
        "2024-04-01",
        "2024-07-01",
    ]


def test_the_month_is_that_of_korea():
    strategy = TargetWeights(weights="A=1", sessions=1)
    assert days(strategy, "2024-01-02", "2024-01-31T14:59:59", "2024-01-31T15:00:00") == [
        "2024-01-02",
        "2024-01-31T15:00:00",
    ]


def test_wish_is_a_weight_on_either_side():
    [intent] = asked(TargetWeights(weights="A=0.123456"), "2024-01-02")
    assert (intent.purpose, intent.target_weight_ppm, intent.qty) == ("REBALANCE", 123_456, None)


def test_symbols_go_by_themselves_and_others_are_left_alone():
    strategy = TargetWeights(weights="A=0.3,B=0.2", sessions=1)
    assert days(strategy, "2024-01-02") == ["2024-01-02"]
    assert days(strategy, "2024-01-05", symbol="B") == ["2024-01-05"]
    assert days(strategy, "2024-01-05", symbol="C") == []


def test_what_works_is_waited_for_and_not_counted():
    strategy = TargetWeights(weights="A=0.3", sessions=1)
    assert days(strategy, "2024-01-02", working_buy=1) == []
    assert days(strategy, "2024-01-03") == ["2024-01-03"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "SYMBOL=WEIGHT"),
        ({"weights": "A"}, "SYMBOL=WEIGHT"),
        ({"weights": "A=0.3,"}, "SYMBOL=WEIGHT"),
        ({"weights": "A=30"}, "SYMBOL=WEIGHT"),
        ({"weights": "A=-0.1"}, "SYMBOL=WEIGHT"),
        ({"weights": "A=nan"}, "SYMBOL=WEIGHT"),
        ({"weights": "A=0.1,A=0.2"}, "each symbol once, not A twice"),
        ({"weights": "A=0.7,B=0.300001"}, "add up to at most 1, not 1.000001"),
        ({"weights": "A=0.7,B=0.2", "full": "true"}, "add up to exactly 1, not 0.9"),
    ],
)
def test_weights_that_are_none_are_refused(params, expected):
    with pytest.raises(UsageError) as raised:
        TargetWeights(**params)
    assert expected in raised.value.expected
    assert raised.value.found.startswith("weights=")


def test_weights_may_be_everything_or_less():
    assert TargetWeights(weights="A=0.7, B=0.3", full=True).strategy_id == "target_weights"
    assert TargetWeights(weights="A=0").params.weights == "A=0"
