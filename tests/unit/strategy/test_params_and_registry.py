"""Strategies by name and their parameters: every mistake has one clear message."""

from typing import ClassVar

import pytest
from pydantic import Field

from qts.codes import UsageError
from qts.strategy import (
    Duration,
    Requirements,
    Strategy,
    StrategyParams,
    StrategyRegistry,
    Weight,
    default_registry,
    duration_ns,
    weight_ppm,
)


class MyParams(StrategyParams):
    level: int = Field(3, ge=1, description="how many")
    share: Weight = 0.5
    bar: Duration = "1m"


class Mine(Strategy):
    name: ClassVar[str] = "mine"
    Params = MyParams


class Ticker(Strategy):
    name: ClassVar[str] = "ticker"

    def on_tick(self, tick):
        return None


def test_parameters_come_as_numbers_or_as_text():
    assert Mine(level=4).params == Mine(level="4").params
    assert Mine().params == MyParams(level=3, share=0.5, bar="1m")


def test_parameters_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Mine().params.level = 9


@pytest.mark.parametrize(
    ("values", "found", "expected"),
    [
        ({"levle": 1}, "parameter 'levle' for strategy 'mine'", "one of bar, level, share"),
        ({"level": "x"}, "level='x' for strategy 'mine'", "valid integer"),
        ({"level": 0}, "level=0 for strategy 'mine'", "greater than or equal to 1"),
        ({"share": "nan"}, "share='nan' for strategy 'mine'", "finite number"),
        ({"bar": "1x"}, "bar='1x' for strategy 'mine'", "for example 250ms"),
    ],
)
def test_mistake_is_told_with_what_was_found_and_expected(values, found, expected):
    with pytest.raises(UsageError) as raised:
        Mine(**values)
    assert found in raised.value.found
    assert expected in raised.value.expected
    assert raised.value.hint


def test_near_miss_is_named():
    with pytest.raises(UsageError, match="did you mean 'level'"):
        Mine(levle=1)


def test_strategy_without_parameters_takes_none():
    with pytest.raises(UsageError, match="it has no parameters"):
        Ticker(fast=1)


@pytest.mark.parametrize(
    ("text", "ns"),
    [("250ms", 250_000_000), ("1s", 10**9), ("5m", 300 * 10**9), ("1h", 3_600 * 10**9), ("1d", 86_400 * 10**9)],
)
def test_durations(text, ns):
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "1", "s", "0s", "-1s", "1.5s", " 1s", "1 s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="a number and a unit"):
        duration_ns(text)


def test_weight_in_parts_per_million():
    assert weight_ppm(0.1) == 100_000
    assert weight_ppm(0.29) == 290_000


def test_defaults_of_the_base_class_do_nothing():
    strategy = Ticker()
    assert strategy.requirements() == Requirements()
    assert strategy.generate_intents(None, None) == ()
    assert strategy.is_enabled()
    assert (strategy.on_fill(None), strategy.on_reject(None)) == (None, None)
    assert (Ticker.wants_ticks(), Mine.wants_ticks()) == (True, False)
    assert Mine().on_tick(None) is None
    assert type("Nameless", (Strategy,), {})().strategy_id == "Nameless"


def test_examples_are_registered():
    assert default_registry().names() == [
        "daily_momentum",
        "ema_cross",
        "quote_reversion",
        "target_weights",
        "volatility_breakout",
    ]


def test_registry_knows_who_was_registered():
    registry = StrategyRegistry()
    registry.register(Mine)
    assert registry.get("mine") is Mine
    assert registry.create("mine", {"level": "7"}).params.level == 7
    registry.unregister("mine")
    assert registry.names() == []


def test_name_is_taken_once_and_never_empty():
    registry = StrategyRegistry()
    registry.register(Mine)
    with pytest.raises(UsageError, match="second strategy called 'mine'"):
        registry.register(Mine)
    with pytest.raises(UsageError, match="without a name"):
        registry.register(Strategy)
    assert registry.get("mine") is Mine


def test_class_of_ones_own_is_named_by_module():
    found = StrategyRegistry().get("qts.strategy.examples.ema_cross:EmaCross")
    assert found.name == "ema_cross"


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        ("ema_crss", "did you mean 'ema_cross'"),
        ("zzz", "daily_momentum, ema_cross, quote_reversion"),
        ("no_such_module:X", "cannot be imported"),
        ("json:loads", "is not a strategy"),
        ("json:Nothing", "is missing"),
    ],
)
def test_unknown_strategy_is_told_with_what_exists(ref, text):
    with pytest.raises(UsageError, match=text):
        default_registry().get(ref)
