"""What a strategy sees."""

from collections import deque

import pytest

from qts.strategy import Bar, Bars, Ema, ExecutionView, Intent


@pytest.fixture
def bars():
    return Bars(deque(Bar(0, 10, start, 1, 1, 1, start, 1) for start in (0, 10, 20, 30)))


def test_bars_read_like_a_sequence(bars):
    assert (len(bars), bars[0].start_ns, bars[-1].start_ns) == (4, 0, 30)
    assert [bar.close for bar in bars[-2:]] == [20, 30]
    assert [bar.close for bar in bars] == [0, 10, 20, 30]
    assert [bar.close for bar in reversed(bars)] == [30, 20, 10, 0]
    with pytest.raises(TypeError):
        bars[0] = None


@pytest.mark.parametrize(("since", "expected"), [(None, [0, 10, 20, 30]), (10, [20, 30]), (30, []), (25, [30])])
def test_bars_since(bars, since, expected):
    assert [bar.start_ns for bar in bars.since(since)] == expected


def test_execution_view_counts_what_can_be_sold():
    view = ExecutionView(10, 100, 0, 0, 4, 0, 0)
    assert (view.sellable_qty, view.is_idle) == (6, False)
    assert ExecutionView(3, 100, 0, 0, 4, 0, 0).sellable_qty == 0
    assert ExecutionView(0, 0, 0, 0, 0, 0, 0).is_idle


def test_intent_shortcuts():
    entry = Intent.entry("A", "why", weight_ppm=5, ref_price=7)
    assert (entry.side, entry.purpose, entry.target_weight_ppm, entry.qty) == ("BUY", "ENTRY", 5, None)
    out = Intent.exit("A", "why")
    assert (out.side, out.purpose, out.urgency, out.qty, out.target_weight_ppm) == ("SELL", "EXIT", "HIGH", None, None)


def test_ema_starts_at_the_first_value_and_follows():
    ema = Ema(3)
    assert [ema.update(value) for value in (10, 20, 20)] == [10, 15, 17.5]
    assert ema.count == 3
