"""What a position cost, what a sale brought, and how the account stands: the vectors of the specification."""

import pytest

from qts.engines import Holding, PerformanceTracker, account_value, drawdown_ppm, sale_result
from qts.strategy import Terms

SHARE = Terms.of(0, "A", 1, 0, 0, 0)


def test_vector_of_the_specification():
    holding = Holding(0, 0).buy(100, 100 * 70_000).buy(50, 50 * 71_000)
    assert holding == (150, 10_550_000)
    left, removed = holding.sell(60)
    amount = 60 * 72_000
    sale = sale_result(amount, fee=648, tax=8_640, cost_removed=removed)
    assert (amount, removed) == (4_320_000, 4_220_000)
    assert (sale.gross, sale.net) == (100_000, 90_712)
    assert left == (90, 6_330_000)


def test_cost_leaves_rounded_down_and_ends_at_zero():
    holding = Holding(3, 100)
    removed = []
    for _ in range(3):
        holding, cost = holding.sell(1)
        removed.append(cost)
    assert removed == [33, 33, 34]
    assert holding == (0, 0)


@pytest.mark.parametrize("qty", [0, -1, 4])
def test_more_than_is_held_cannot_be_sold(qty):
    with pytest.raises(ValueError, match="does not fit a holding of 3"):
        Holding(3, 100).sell(qty)


def test_account_value_marks_positions_and_leaves_unknown_prices_at_cost():
    marks = {0: 110, 1: 0}
    positions = [(0, 10, 1_000), (1, 5, 500)]
    value = account_value(2_000, positions, lambda _: SHARE, marks.__getitem__)
    assert value == (2_000, 1_600, 3_600, 1_500, 100)


def test_drawdown_follows_the_equity_and_never_forgets_the_worst():
    tracker = PerformanceTracker(1_000_000)
    equity = 1_000_000.0
    for change in (0.01, -0.02, 0.015, 0.0, -0.005, 0.02):
        equity *= 1 + change
        tracker.mark(round(equity))
    assert round(equity) == 1_019_616
    assert tracker.max_drawdown_ppm == 20_000
    assert (tracker.high_water, tracker.last_equity) == (1_019_616, 1_019_616)


def test_session_starts_from_the_last_equity():
    tracker = PerformanceTracker(100)
    tracker.begin_session("2024-06-03")
    tracker.mark(110)
    tracker.begin_session("2024-06-03")
    assert tracker.start_equity == 100
    tracker.begin_session("2024-06-04")
    assert tracker.start_equity == 110


@pytest.mark.parametrize(("equity", "high", "expected"), [(90, 100, 100_000), (100, 100, 0), (120, 100, 0), (5, 0, 0)])
def test_drawdown_in_parts_per_million(equity, high, expected):
    assert drawdown_ppm(equity, high) == expected
