"""The durable ledger beside the database itself: the same rows, the same transactions, the same settings of the file.

Run with: python -m pytest benches/test_ledger.py --benchmark-only -s

The floor is `executemany` of ready rows into the same table, with a commit after each batch, each synced to the disk.
What the store adds is the key and the position of every fill. Both run in turns in one process; the printed table and
`extra_info` hold medians over the rounds, wall and processor time, and their ratio.
"""

import gc
import itertools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qts.clock import SystemClock
from qts.clock.clock import process_time_ns
from qts.data import CurrencyRow, FillRow, InstrumentRow, SessionRow, SQLiteStore
from qts.data.ledger import fill_key
from qts.data.sqlite import schema
from qts.data.sqlite.connection import open_database

ROUNDS = 5
FILLS = 200_000
BATCHES = (512, 4_096, 16_384)
TARGET = 200_000
CLOCK = SystemClock()
RUN = SessionRow("run", "SIM", "ema", "sim", "paper-run", "KRW", 1, 1, "cafe")
KRW = CurrencyRow("KRW", 0)
SAMSUNG = InstrumentRow("005930", "Samsung Electronics", "KRW", 0, 0, 0)


def fill(number: int) -> FillRow:
    side = "BUY" if number % 2 else "SELL"
    return FillRow(
        *("2024-01-02", number, str(number), 1_000 + number, 900 + number, f"d{number}", "005930", "SCALP", side),
        *(10, 70_000, 700_000, 105, 1_400 if side == "SELL" else 0, 10, "cross", "ema_cross"),
    )


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Fills a second, by the wall and by the processor."""
    wall, busy = CLOCK.monotonic_ns(), process_time_ns()
    work()
    busy, wall = process_time_ns() - busy, CLOCK.monotonic_ns() - wall
    return FILLS * 1e9 / wall, FILLS * 1e9 / busy


def by_store(path: Path, fills: list[FillRow], batch: int) -> tuple[float, float]:
    with SQLiteStore(path, batch=batch) as store:
        store.register([KRW], [SAMSUNG])
        store.begin_session(RUN)

        def work() -> None:
            record = store.record_fill
            for row in fills:
                record(row)
            store.flush()

        result = timed(work)
        assert sum(1 for _ in store.iter_fills()) == FILLS
    return result


def by_hand(path: Path, rows: list[tuple[object, ...]], batch: int) -> tuple[float, float]:
    db = open_database(path)

    def work() -> None:
        for start in range(0, FILLS, batch):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(schema.FILL_INSERT, rows[start : start + batch])
            db.execute("COMMIT")

    result = timed(work)
    db.close()
    return result


def test_ledger_in_durable_batches(benchmark, tmp_path):
    fills = [fill(number) for number in range(1, FILLS + 1)]
    rows = [(fill_key("sim", "paper-run", row), 1, "paper-run", None, *row) for row in fills]
    gc.freeze()  # what is prepared here is not the store's to be searched for garbage
    numbers = itertools.count()
    found: dict[int, list[tuple[tuple[float, float], tuple[float, float]]]] = {batch: [] for batch in BATCHES}

    def one_round() -> None:
        for batch in BATCHES:
            paths = [tmp_path / f"{next(numbers)}.sqlite" for _ in range(2)]
            found[batch].append((by_hand(paths[0], rows, batch), by_store(paths[1], fills, batch)))
            for path in paths:
                path.unlink()

    benchmark.pedantic(one_round, rounds=ROUNDS, iterations=1)
    lines = ["", "   batch   by hand /s     store /s  ratio  by hand cpu    store cpu  ratio"]
    best = 0.0
    for batch, pairs in found.items():
        floor, store, floor_cpu, store_cpu = (
            statistics.median(pair[who][what] for pair in pairs) for what in (0, 1) for who in (0, 1)
        )
        ratio = statistics.median(ours[0] / theirs[0] for theirs, ours in pairs)
        ratio_cpu = statistics.median(ours[1] / theirs[1] for theirs, ours in pairs)
        lines.append(
            f"{batch:>8,} {floor:>12,.0f} {store:>12,.0f} {ratio:>6.2f} {floor_cpu:>12,.0f} {store_cpu:>12,.0f}"
            f" {ratio_cpu:>6.2f}"
        )
        benchmark.extra_info[f"batch_{batch}"] = {"store": store, "by_hand": floor, "ratio": ratio, "cpu": store_cpu}
        best = max(best, *(ours[1] for _, ours in pairs))
    sys.stdout.write("\n".join(lines) + "\n")
    if best < TARGET and not benchmark.disabled:
        pytest.fail(f"{best:,.0f} fills a second of processor time; at least {TARGET:,} are wanted")
