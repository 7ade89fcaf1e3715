"""Ticks at a rate that no market reaches, into PostgreSQL, with memory that stays where it is.

A minute at 100,000 a second: QTS_LOAD_SECONDS=60 python -m pytest -s tests/unit/data/ticks/test_load.py
"""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from qts._core import TickSpool
from qts.data.ticks import PostgresTicks

from .conftest import NAKED, SYMBOLS, make
from .test_postgres import Carried

RATE = 100_000
SECONDS = int(os.environ.get("QTS_LOAD_SECONDS", "3"))


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    # What is mapped from the spool's files is the page cache's, not ours.
    shared = int(Path("/proc/self/statm").read_text().split()[2])
    return (pages - shared) * 4_096 / (1 << 20)


def test_ticks_at_a_hundred_thousand_a_second_arrive_with_flat_memory(postgres, tmp_path):
    spool = TickSpool(tmp_path / "spool")
    carried = Carried(spool, lambda: PostgresTicks(lambda: postgres.connect("ticks"), "load"))
    table = spool.keep_table(SYMBOLS)
    block = make(2_000)
    memory, behind = [], []
    begin = time.monotonic()
    put = 0
    while put < RATE * SECONDS:
        rows = np.zeros(len(block), dtype=NAKED)
        for name in NAKED.names:
            rows[name] = block[name]
        rows["ts_event_ns"] += put * 1_001
        rows["ts_recv_ns"] += put * 1_001
        spool.append(table, rows.tobytes())
        put += len(rows)
        due = begin + put / RATE
        if put % (RATE // 2) == 0:
            memory.append(resident_mib())
            behind.append(put - carried.store.figures().stored)
        threading.Event().wait(max(due - time.monotonic(), 0))
    fed_s = time.monotonic() - begin
    assert carried.store.stop(60)
    took_s = time.monotonic() - begin
    figures = carried.store.figures()
    spool.close()

    async def count():
        connection = await postgres.connect("ticks")
        row = await connection.fetchrow("SELECT count(*), count(DISTINCT event_ns) FROM tick_data")
        await connection.close()
        return tuple(row)

    assert (figures.stored, figures.lost) == (put, 0)
    assert asyncio.run(count()) == (put, put)
    told = (
        f"{put} ticks fed in {fed_s:.1f} s, stored after {took_s:.1f} s ({put / took_s:,.0f}/s); most behind "
        f"{max(behind)}; resident MiB {[round(mib) for mib in memory]}"
    )
    sys.stdout.write(f"\n{told}\n")
    # The buffers are there after the first seconds. Whatever was kept for each tick would be at least 80 bytes of it.
    begun, end = memory[len(memory) // 3], memory[-1]
    assert end - begun < max(RATE * SECONDS * 2 / 3 * 80 / (1 << 20) / 4, 32), told
