"""Measures of the pools against numbers worked out by hand."""

import json
import math
from datetime import date, timedelta
from decimal import Decimal

import pytest
from books_samples import Room

from qts.capital.contracts import PerformanceMetrics, TransferKind
from qts.capital.metrics import ClosedTrade, MetricsTracker

MONDAY = date(2026, 1, 5)


class Tape:
    """A tracker fed with unit prices, one a day."""

    def __init__(self):
        self.tracker = MetricsTracker()
        self.contract = Room().pool("SWING")
        self.day = MONDAY - timedelta(days=1)

    def play(self, prices, pool="SWING", peak=None, **changes):
        for price in prices:
            self.day += timedelta(days=1)
            price = Decimal(str(price)).quantize(Decimal("0.000001"))
            shown = self.contract._replace(unit_price=price, peak_unit_price=Decimal(str(peak or price)), **changes)
            self.tracker.close(self.day, {pool: shown})
        return self.tracker.metrics()


def up_and_down(returns):
    """Prices of +25 % and -20 % in turns: exact in six places, and back at 1 after every pair."""
    return [1 if number % 2 == 0 else 1.25 for number in range(returns + 1)]


def test_before_the_first_close_nothing_is_known():
    assert MetricsTracker().metrics() == PerformanceMetrics()
    assert MetricsTracker().as_of is None


@pytest.mark.parametrize(("pool", "name", "least"), [("SCALP", "scalp_sharpe", 20), ("SWING", "swing_sharpe", 60)])
def test_sharpe_is_mean_by_sample_deviation_by_the_root_of_252(pool, name, least):
    # Mean 0.025, each return 0.225 away from it: the ratio is 1/9 of sqrt(252 (n - 1) / n).
    few = getattr(Tape().play(up_and_down(least - 1), pool), name)
    assert (few.value, few.sample_count) == (None, least - 1)
    found = getattr(Tape().play(up_and_down(least), pool), name)
    assert found.sample_count == least
    assert found.value == Decimal(math.sqrt(252 * (least - 1) / least) / 9).quantize(Decimal("0.000001"))
    if least == 20:
        assert found.value == Decimal("1.719173")


def test_sharpe_looks_at_thirty_returns_and_no_further():
    early = [1 + 0.5 * number for number in range(40)]
    tape = Tape()
    tape.play(early, "SCALP")
    found = tape.play(up_and_down(30), "SCALP").scalp_sharpe
    assert found.sample_count == 30
    assert found.value == Decimal(math.sqrt(252 * 29 / 30) / 9).quantize(Decimal("0.000001"))


def test_a_price_that_never_moves_has_no_sharpe():
    assert Tape().play([1] * 25, "SCALP").scalp_sharpe.value is None


def test_the_deepest_fall_and_the_days_to_its_end():
    found = Tape().play([1, 1.2, 0.9, 1.0, 1.1, 1.2, 1.3, 1.17])
    assert found.swing_mdd_90d.value == Decimal("0.250000")
    assert found.swing_mdd_recovery_days.value == 3  # from the third day to the sixth
    assert found.swing_mdd_90d.sample_count == 7


def test_a_fall_that_is_not_made_good_has_no_end():
    found = Tape().play([1, 1.2, 0.9, 1.19])
    assert found.swing_mdd_90d.value == Decimal("0.250000")
    assert found.swing_mdd_recovery_days.value is None
    assert found.swing_mdd_recovery_days.sample_count == 3


def test_without_a_fall_there_is_nothing_to_recover():
    found = Tape().play([1, 1, 1.1])
    assert found.swing_mdd_90d.value == 0
    assert found.swing_mdd_recovery_days.value == 0
    assert Tape().play([1]).swing_mdd_90d.value is None


def test_the_drawdown_now_is_from_the_peak_since_the_last_re_base():
    tape = Tape()
    assert tape.play([0.9], peak=1.08).swing_mdd.value == Decimal("0.166667")
    shown = tape.contract._replace(unit_price=Decimal("0.9"), peak_unit_price=Decimal("0.9"))
    tape.tracker.follow({"SWING": shown})
    assert tape.tracker.metrics().swing_mdd.value == 0


def test_an_unfunded_pool_has_no_drawdown_and_no_returns():
    found = Tape().play([1, 1, 1], units=0, is_funded=False)
    assert found.swing_mdd is None
    assert found.swing_mdd_90d.sample_count == 0


def trades(pool, nets, closed=MONDAY, days=4):
    return [ClosedTrade(pool, closed - timedelta(days=days), closed, net) for net in nets]


def test_the_win_rate_counts_trades_of_thirty_days_and_break_even_is_no_win():
    tape = Tape()
    tape.tracker.closed(trades("SCALP", [9, 9], MONDAY - timedelta(days=30)))  # too old by one day
    tape.tracker.closed(trades("SCALP", [5, 5], MONDAY - timedelta(days=29)))
    tape.tracker.closed(trades("SCALP", [1, 0, -1]))
    tape.tracker.closed(trades("SWING", [-1]))
    found = tape.play([1], "SCALP")
    assert found.scalp_win_rate.value == Decimal("0.600000")
    assert found.scalp_trades_30d == (Decimal(5), MONDAY, 5)


def test_no_trades_have_no_win_rate_but_a_count():
    found = Tape().play([1], "SCALP")
    assert (found.scalp_win_rate.value, found.scalp_trades_30d.value) == (None, 0)


def test_holding_time_is_the_mean_of_ninety_days_in_days():
    tape = Tape()
    tape.tracker.closed(trades("SWING", [1], days=4))
    tape.tracker.closed(trades("SWING", [1, 1], days=7))
    tape.tracker.closed(trades("SCALP", [1], days=300))
    tape.tracker.closed(trades("SWING", [1], MONDAY - timedelta(days=90), days=300))
    assert tape.play([1]).swing_avg_holding_days == (Decimal("6.000000"), MONDAY, 3)


@pytest.mark.parametrize(
    ("nets", "run"), [([], 0), ([-1], 1), ([-1, -1, 5], 0), ([5, -1, -2], 2), ([-1, 0], 0), ([-1] * 6, 6)]
)
def test_losses_in_a_row_by_closed_trade(nets, run):
    tape = Tape()
    tape.tracker.closed(trades("SWING", nets))
    assert tape.play([1]).swing_consecutive_losses.value == run


def test_losses_are_counted_anew_after_a_demotion():
    tape = Tape()
    tape.tracker.closed(trades("SWING", [-1] * 6))
    tape.tracker.reset_losses("SWING")
    tape.tracker.closed(trades("SWING", [-1]))
    assert tape.play([1]).swing_consecutive_losses.value == 1


def test_the_same_close_again_replaces_the_first():
    tape = Tape()
    tape.play([1, 2])
    tape.day -= timedelta(days=1)
    assert tape.play([1.5]).swing_mdd_90d.sample_count == 1


def test_a_restart_changes_no_measure():
    tape = Tape()
    tape.tracker.closed(trades("SCALP", [5, -2, 0]) + trades("SWING", [-1, -1]))
    before = tape.play([1, 1.2, 0.9, 1.19], peak=1.2)
    again = MetricsTracker()
    again.restore(json.loads(json.dumps(tape.tracker.state())))
    assert again.metrics() == before
    assert again.state() == tape.tracker.state()
    with pytest.raises((ValueError, KeyError, TypeError, ArithmeticError)):
        again.restore({"as_of": "yesterday", "closes": {}, "trades": [], "losses": {}, "mdd": {}})
    assert again.metrics() == before


def test_a_transfer_of_a_third_changes_no_measure():  # T12
    def play(moves):
        room, tracker = Room(), MetricsTracker()
        room.invest("SWING", 2_000_000)
        for number in range(70):
            room.books.mark({"SWING": 2_000_000 + (number % 7) * 90_000}, room.now)
            tracker.close(MONDAY + timedelta(days=number), room.books.snapshot(room.now))
            if moves and number == 35:
                room.commit("SWING", "SCALP", 1_500_000, "W>S:MDD:1", TransferKind.DEMOTION)
        return room, tracker.metrics()

    (still, before), (moved, after) = play(False), play(True)
    # Less capital under the same positions: what they earn from then on weighs more, the transfer itself nothing.
    assert moved.books.total("SWING") == still.books.total("SWING") - 1_500_000
    assert after.swing_mdd.value >= before.swing_mdd.value
    room, tracker = Room(), MetricsTracker()
    for number in range(70):
        if number == 35:
            room.commit("SWING", "SCALP", 1_500_000, "W>S:MDD:1", TransferKind.DEMOTION)
        tracker.close(MONDAY + timedelta(days=number), room.books.snapshot(room.now))
    found = tracker.metrics()
    assert (found.swing_mdd.value, found.scalp_mdd.value, found.swing_mdd_90d.value) == (0, 0, 0)
