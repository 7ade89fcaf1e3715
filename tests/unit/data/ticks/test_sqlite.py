"""Ticks in files of SQLite: a file a day, every tick once, whatever dies when."""

import asyncio
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from qts._core import TickSpool
from qts.clock import NS_PER_DAY, SystemClock, from_ns
from qts.codes import UsageError
from qts.data.ticks import SinkUnavailable, SqliteTicks, TickStore, check, disk_use_of

from .conftest import T0, batch, make, put, until
from .test_postgres import Carried, expected

END = from_ns(T0 + 10 * NS_PER_DAY)


async def all_of(directory, **which):
    ticks = SqliteTicks(directory)
    try:
        return [row async for block in ticks.stream(from_ns(T0 - NS_PER_DAY), END, **which) for row in block]
    finally:
        await ticks.close()


def stored(directory, **which):
    return asyncio.run(all_of(directory, **which))


def test_what_is_read_is_what_was_written_over_days(tmp_path):
    rows = make(3_000)
    rows["ts_event_ns"][1_000:] += NS_PER_DAY
    rows["ts_event_ns"][1_500:1_600] -= NS_PER_DAY  # late ones of the day before
    rows["ts_recv_ns"] = T0 + rows["seq"] * 1_000 + 2 * NS_PER_DAY

    async def run():
        ticks = SqliteTicks(tmp_path, "test")
        for first in range(0, 3_000, 700):
            part = rows[first : first + 700]
            assert await ticks.copy(batch(part), [], through_seq=int(part["seq"][-1])) == len(part)
        await ticks.close()

    asyncio.run(run())
    assert stored(tmp_path) == [expected(row) for row in rows]
    assert sorted(path.name for path in tmp_path.glob("ticks-*.db")) == ["ticks-20240102.db", "ticks-20240103.db"]


def test_a_range_is_closed_at_its_start_and_open_at_its_end_over_days(tmp_path):
    rows = make(600)
    rows["ts_event_ns"][300:] += NS_PER_DAY

    async def run():
        ticks = SqliteTicks(tmp_path, "test")
        await ticks.copy(batch(rows), [], through_seq=600)
        last = from_ns(int(rows["ts_event_ns"][599]))
        found = await ticks.fetch_ticks("000660", from_ns(T0), last, 1_000)
        few = await ticks.fetch_ticks("000660", from_ns(T0), last, 150)
        with pytest.raises(UsageError, match="400 days"):
            await ticks.fetch_ticks("000660", last, last + timedelta(days=400), 1)
        await ticks.close()
        return found, few

    found, few = asyncio.run(run())
    wanted = [expected(row) for row in rows if row["instrument"] == 2]
    assert found == [row for row in wanted if row[11] < 600]
    assert few == found[:150]


def test_a_batch_that_was_half_done_when_the_process_died_is_completed(tmp_path):
    rows = make(100)
    rows["ts_event_ns"][::2] += NS_PER_DAY

    class Dies(SqliteTicks):
        def _put_position(self, *_):
            raise sqlite3.OperationalError("killed here")

    async def run():
        dying = Dies(tmp_path, "test")
        with pytest.raises(SinkUnavailable, match="killed here"):
            await dying.copy(batch(rows), [], through_seq=100)
        ticks = SqliteTicks(tmp_path, "test")
        assert await ticks.position() == 0
        late = make(120)
        late["ts_event_ns"] = rows["ts_event_ns"].tolist() + late["ts_event_ns"][100:].tolist()
        # The batch is another one now, and longer: each file knows what it has.
        assert await ticks.copy(batch(late), [], through_seq=120) == 20
        await ticks.close()

    asyncio.run(run())
    assert sorted(row.seq for row in stored(tmp_path)) == list(range(1, 121))


def test_what_is_rejected_stands_apart(tmp_path):
    rows = make(10)
    rows["ts_event_ns"][3] += 10**10
    found = check(batch(rows))

    async def run():
        ticks = SqliteTicks(tmp_path, "test")
        assert await ticks.copy(found.batch, found.rejected, through_seq=10) == 9
        await ticks.close()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "position.db") as db:
        assert db.execute("SELECT seq, cause FROM tick_quarantine").fetchall() == [(4, "FUTURE")]
    db.close()


CHILD = """
    import sys, threading
    from pathlib import Path
    from qts._core import TickSpool
    from qts.clock import SystemClock
    from qts.data.ticks import SqliteTicks, TickStore
    from tests.unit.data.ticks.conftest import make, put
    home = Path(sys.argv[1])
    spool = TickSpool(home / "spool", segment_bytes=1 << 20, group_ms=1)
    store = TickStore(spool, lambda: SqliteTicks(home / "db", "test"), clock=SystemClock(), report=print)
    store.start()
    first = int(sys.argv[2])
    while True:
        put(spool, make(500, first))
        first += 500
        if spool.figures()["pending"] == 0:
            print(first - 1, flush=True)
        threading.Event().wait(0.001)
"""


def test_a_process_that_is_killed_again_and_again_leaves_every_tick_once_and_in_order(tmp_path):
    root = Path(__file__).parents[4]
    first = written = 1
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), tmp_path, str(first)],
            stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        ) as child:  # fmt: skip
            lines = []
            while len(lines) < 30 + 11 * round_:
                lines.append(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        written = max(int(line) for line in lines if line.strip().isdigit())
        # What was put in after the last line may be there or not: the next round begins behind it, with a gap.
        first = (written // 500 + 100) * 500 + 1
    spool = TickSpool(tmp_path / "spool", segment_bytes=1 << 20, group_ms=1)
    told = []
    store = TickStore(
        spool, lambda: SqliteTicks(tmp_path / "db", "test"), clock=SystemClock(), report=lambda *what: told.append(what)
    )
    store.start()
    assert store.stop()
    spool.close()
    numbers = [(row.event_ns - T0) // 1_001 for row in stored(tmp_path / "db")]
    assert numbers == sorted(set(numbers))
    starts = {1} | {number for before, number in itertools.pairwise(numbers) if number != before + 1}
    assert len(starts) == 4, "one gap between rounds, none inside"
    assert numbers[-1] >= written
    assert told == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own with 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = (shutil.which(name) or name for name in ("mount", "umount"))
    order = [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", place]
    mounted = subprocess.run(order, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run([umount, "-l", place], check=True)


def test_a_full_disk_under_the_store_keeps_ticks_in_the_spool_until_there_is_room(tmp_path, spool, small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7 << 20))
    carried = Carried(spool, lambda: SqliteTicks(small_disk / "db", "test"))
    put(spool, make(20_000))
    until("a failure", lambda: carried.store.figures().failures > 1)
    ballast.unlink()
    until("everything", lambda: carried.store.figures().stored == 20_000)
    assert carried.store.stop()
    assert [(row.event_ns - T0) // 1_001 for row in stored(small_disk / "db")] == list(range(1, 20_001))
    assert [code for code, _ in carried.told] == ["GR100", "GR100"]


def test_a_full_disk_under_the_spool_loses_nothing_silently(tmp_path, small_disk):
    spool = TickSpool(small_disk / "spool", segment_bytes=1 << 20, group_ms=1, pending_blocks=4)
    number = 1
    while spool.figures()["lost"] == 0 or spool.figures()["trouble"] is None:
        put(spool, make(256, number))
        number += 256
    figures = spool.figures()
    assert "No space left" in figures["trouble"]
    assert figures["taken"] == figures["written"] + figures["pending"] + figures["lost"]
    carried = Carried(spool, lambda: SqliteTicks(tmp_path / "db", "test"))
    until("room", lambda: not carried.store.figures().behind)
    put(spool, make(256, number))
    assert carried.store.stop()
    lost = spool.figures()["lost"]
    spool.close()
    numbers = [(row.event_ns - T0) // 1_001 for row in stored(tmp_path / "db")]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == number - 1 + 256
    assert sum(int(text.split()[0]) for code, text in carried.told if "never written" in text) == lost
    assert "GR107" in carried.codes()


def test_a_disk_that_is_nearly_full_ends_the_intake_and_says_so(tmp_path, spool):
    use = [0.85]
    carried = Carried(spool, lambda: SqliteTicks(tmp_path / "db", "test"), disk_use=lambda: use[0])
    put(spool, make(10))
    until("stored", lambda: carried.store.figures().stored == 10)
    use[0] = 0.9
    until("shut", lambda: carried.store.figures().is_shut)
    put(spool, make(7, 11))
    use[0] = 0.5
    until("open", lambda: not carried.store.figures().is_shut)
    put(spool, make(5, 18))
    until("stored", lambda: carried.store.figures().stored == 15)
    assert carried.store.stop()
    assert carried.store.figures().lost == 7
    assert carried.codes().count("GR103") == 3
    assert any(code == "GR107" and text.startswith("7 ticks") for code, text in carried.told)
    assert 0 < disk_use_of(tmp_path)() < 1


def test_the_spool_lets_go_of_files_that_are_not_needed(tmp_path):
    spool = TickSpool(tmp_path / "spool", segment_bytes=64 << 10, group_ms=1)
    carried = Carried(spool, lambda: SqliteTicks(tmp_path / "db", "test"))
    for first in range(1, 40_000, 1_000):
        put(spool, make(1_000, first))
        until("stored", lambda first=first: carried.store.figures().stored == first + 999)
    until("few files", lambda: len(list((tmp_path / "spool").glob("*.qtsj"))) < 8)
    assert carried.store.stop()
    spool.close()
