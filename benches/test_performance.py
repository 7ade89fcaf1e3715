"""The figures of ten years on three tracks: 2,450 days, three strategies, 49,000 fills, holdings and pools by day.

Run with: python -m pytest benches/test_performance.py --benchmark-only -s

Floor: the bookkeeping that nobody can save, one pass over the fills that adds up amounts per track. `extra_info` holds
the median beside the floor of the same run, and beside the target.
"""

import gc
import statistics
import sys
from datetime import date, timedelta
from decimal import Decimal

import pytest

from qts.clock import SystemClock, process_time_ns
from qts.data import FillRow
from qts.engines import EquityDay, Holdings, PerformanceEngine, PerformanceInput

ROUNDS = 7
DAYS = 2_450
TARGET_MS = 200
CLOCK = SystemClock()
START = 100_000_000
SYMBOLS = tuple(f"{number:06d}" for number in range(7))
A_DAY = {"SCALP": 8, "SWING": 1, "PORTFOLIO": 1}
"""Round trips a day."""


def fill(number: int, day: str, track: str, symbol: str, side: str, price: int) -> FillRow:
    return FillRow(
        *(day, number, str(number), number * 10**9, number * 10**9, f"d{number}", symbol, track, side),
        *(10, price, 10 * price, price // 700, price // 50 if side == "SELL" else 0, 10, "", f"{track.lower()}_one"),
    )


def ten_years() -> PerformanceInput:
    """The same every time: prices go up and down by a fixed pattern."""
    days, fills, holdings = [], [], {}
    prices: dict[str, list[tuple[str, Decimal]]] = {track: [] for track in A_DAY}
    equity = START
    for number in range(DAYS):
        day = (date(2014, 1, 2) + timedelta(days=number * 365 // 245)).isoformat()
        for track, trips in A_DAY.items():
            for trip in range(trips):
                price = 50_000 + (number * 37 + trip * 911) % 20_000
                move = (number * 7919 + trip * 104_729) % 801 - 380
                symbol = SYMBOLS[(number + trip) % len(SYMBOLS)]
                fills.append(fill(len(fills), day, track, symbol, "BUY", price))
                fills.append(fill(len(fills), day, track, symbol, "SELL", price + move))
            prices[track].append((day, Decimal(1_000_000 + (number * 7919) % 100_003) / 1_000_000))
        equity += (number * 104_729) % 400_001 - 199_000
        days.append(EquityDay(day, equity, equity // 3))
        holdings[day] = [Holdings(track, symbol, 1_000_000 + number) for track in A_DAY for symbol in SYMBOLS]
    return PerformanceInput(START, days, fills, holdings=holdings, unit_prices=prices, reference=lambda one: one.price)


def milliseconds(work) -> float:
    gc.collect()
    started = CLOCK.monotonic_ns()
    work()
    return (CLOCK.monotonic_ns() - started) / 1e6


def processor_ms(work) -> float:
    started = process_time_ns()
    work()
    return (process_time_ns() - started) / 1e6


def floor(data: PerformanceInput) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in data.fills:
        sums[one.track] = sums.get(one.track, 0) + (one.amount if one.side == "SELL" else -one.amount) - one.fee
    return sums


def test_figures_of_ten_years_on_three_tracks(benchmark):
    data = ten_years()
    engine = PerformanceEngine()
    figures = engine.calculate_performance_metrics(data)
    assert figures.account.trades.trades == DAYS * sum(A_DAY.values())
    assert all(scope.returns is not None for scope in (*figures.tracks.values(), *figures.strategies.values()))

    benchmark.pedantic(engine.calculate_performance_metrics, args=(data,), rounds=ROUNDS, warmup_rounds=1)
    if not benchmark.enabled:
        return
    least = statistics.median(milliseconds(lambda: floor(data)) for _ in range(ROUNDS))
    median = benchmark.stats.stats.median * 1e3
    benchmark.extra_info.update(median_ms=median, floor_ms=least, target_ms=TARGET_MS, ratio=median / least)
    sys.stdout.write(f"\n{len(data.fills):,} fills: {median:.0f} ms, bare sums {least:.1f} ms, target {TARGET_MS} ms\n")
    busy = min(processor_ms(lambda: engine.calculate_performance_metrics(data)) for _ in range(ROUNDS))
    if busy > TARGET_MS:
        pytest.fail(f"{busy:.0f} ms of processor time for ten years; wanted {TARGET_MS} ms")
