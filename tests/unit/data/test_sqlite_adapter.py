"""The embedded source of data under load, locks, deadlines and kills."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from qts.clock import SystemClock
from qts.data.exceptions import DeadlineExceeded, NotSupported, SchemaMismatch, SourceUnavailable
from qts.data.records import ExecutionLog, JournalAck
from qts.data.sqlite.adapter import SQLiteAdapter

from .contract.samples import HYNIX, KRW, SAMSUNG, fill

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@pytest.fixture
def runner():
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def adapter(path, runner):
    opened = SQLiteAdapter(path, SystemClock(), mirror=True)
    runner.run(opened.open())
    runner.run(opened.register([KRW], [SAMSUNG, HYNIX]))
    yield opened
    runner.run(opened.close())


def locked(path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_the_ledger_is_synced_and_readers_cannot_write(path, adapter, runner):
    assert runner.run(adapter._pool.write(lambda db: db.execute("PRAGMA synchronous").fetchone())) == (2,)
    assert runner.run(adapter._pool.read(lambda db: db.execute("PRAGMA journal_mode").fetchone())) == ("wal",)
    with pytest.raises(SourceUnavailable, match="readonly"):
        runner.run(adapter._pool.read(lambda db: db.execute("DELETE FROM sheet_outbox")))


def test_reads_go_on_while_another_process_holds_the_file(path, adapter, runner):
    runner.run(adapter.apply_fill(fill(1)))
    other = locked(path)
    try:
        assert [row.qty for row in runner.run(adapter.fetch_positions())] == [10]
        assert runner.run(adapter.health_check()).healthy
    finally:
        other.close()


def test_a_write_waits_for_another_writer_and_then_goes_through(path, adapter, runner):
    other = locked(path)

    async def write():
        writing = asyncio.ensure_future(adapter.apply_fill(fill(1)))
        await adapter.fetch_positions()  # a round trip: the write is under way
        assert adapter._pool.in_use == 1
        assert not writing.done()
        other.execute("ROLLBACK")
        return await writing

    assert runner.run(write()).status == "INSERTED"
    other.close()


def test_a_file_that_stays_locked_is_unavailable_and_nothing_was_written(path, adapter, runner):
    runner.run(adapter._pool.write(lambda db: None))
    adapter._pool._writer.execute("PRAGMA busy_timeout = 20")
    other = locked(path)
    with pytest.raises(SourceUnavailable, match="locked") as caught:
        runner.run(adapter.apply_fill(fill(1)))
    assert caught.value.code == "GR100"
    other.close()
    assert runner.run(adapter.fetch_positions()) == []
    assert runner.run(adapter.apply_fill(fill(1))).status == "INSERTED"


def test_a_call_ends_by_its_deadline_and_can_be_repeated(path, runner):
    adapter = SQLiteAdapter(path, SystemClock(), deadline_ms=100)

    async def late():
        await adapter.open()
        await adapter.register([KRW], [SAMSUNG])
        other = locked(path)
        with pytest.raises(DeadlineExceeded):
            await adapter.apply_fill(fill(1))
        other.close()
        while True:  # the first attempt is still at it; whichever wins, the fill is there once
            try:
                return (await adapter.apply_fill(fill(1))).position
            except DeadlineExceeded:
                continue

    position = runner.run(late())
    assert (position.qty, position.version) == (10, 1)
    runner.run(adapter.close())


def test_a_query_that_takes_too_long_is_broken_off_and_its_connection_is_free_again(path, runner):
    adapter = SQLiteAdapter(path, SystemClock(), readers=1, deadline_ms=200)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    async def late():
        await adapter.open()
        with pytest.raises(DeadlineExceeded):
            await adapter._pool.read(lambda db: db.execute(endless).fetchone())
        while True:
            try:
                return await adapter.fetch_positions()
            except DeadlineExceeded:
                continue

    assert runner.run(late()) == []
    runner.run(adapter.close())


def test_a_cancelled_call_leaves_a_source_that_works(adapter, runner):
    async def cancel():
        calls = [asyncio.ensure_future(adapter.apply_fill(fill(number))) for number in range(1, 30)]
        await calls[0]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for number in range(1, 30):
            await adapter.apply_fill(fill(number))
        return await adapter.get_position("005930", "SCALP")

    position = runner.run(cancel())
    assert (position.qty, position.version) == (290, 29)
    assert runner.run(adapter.verify()) == []


def test_many_calls_at_once_are_all_answered(adapter, runner):
    async def crowd():
        await asyncio.gather(*(adapter.apply_fill(fill(number)) for number in range(1, 101)))
        found = await asyncio.gather(*(adapter.get_position("005930") for _ in range(100)))
        return {position.qty for position in found}

    assert runner.run(crowd()) == {Decimal(1_000)}


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.data.contract.samples import KRW, SAMSUNG, fill
from qts.clock import SystemClock
from qts.data.records import JournalAck
from qts.data.sqlite.adapter import SQLiteAdapter

async def main():
    adapter = SQLiteAdapter(Path(sys.argv[1]), SystemClock(), mirror=True)
    await adapter.open()
    await adapter.register([KRW], [SAMSUNG])
    number = 0
    while True:
        batch = [fill(number + one) for one in range(1, 4)]
        number += 3
        await adapter.apply_fills(batch, ack=JournalAck("orders", number))
        print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("batches", [1, 9, 33])
def test_a_killed_writer_leaves_ledger_position_outbox_and_journal_in_step(path, runner, request, batches):
    root = str(request.config.rootpath)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), path, root], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    told = [int(process.stdout.readline()) for _ in range(batches)]
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().splitlines()]
    process.wait()
    process.stdout.close()
    adapter = SQLiteAdapter(path, SystemClock(), mirror=True)
    runner.run(adapter.open())
    acknowledged = runner.run(adapter.journal_ack("orders"))
    assert acknowledged >= told[-1]
    position = runner.run(adapter.get_position("005930", "SCALP"))
    assert (position.version, position.qty) == (acknowledged, 10 * acknowledged)
    assert runner.run(adapter.outbox_waiting())[0] == 2 * acknowledged
    assert runner.run(adapter.verify()) == []
    again = runner.run(adapter.apply_fills([fill(number) for number in range(1, acknowledged + 2)]))
    assert [result.status for result in again] == ["DUPLICATE"] * acknowledged + ["INSERTED"]
    runner.run(adapter.close())


def test_what_cannot_be_logged_is_counted(adapter, runner):
    line = ExecutionLog(datetime(2024, 1, 2, tzinfo=UTC), "1", "005930", "PRECHECK", Decimal(1), success=True)
    runner.run(adapter.store_execution_log([line, line._replace(latency_ms=Decimal("0.0001")), line._replace(stage=7)]))
    assert adapter.log_failures == 2


def test_ticks_are_not_tables_of_this_file(adapter, runner):
    for table in ("tick_data", "tick_ack"):
        with pytest.raises(NotSupported, match="tick store"):
            runner.run(
                adapter.read(table, {"time": datetime(2024, 1, 2, tzinfo=UTC)} if table == "tick_data" else None)
            )


def test_a_place_where_nothing_can_be_opened_is_unavailable(tmp_path, runner):
    (tmp_path / "db").write_text("in the way")
    with pytest.raises(SourceUnavailable, match="QTS_HOME"):
        runner.run(SQLiteAdapter(tmp_path / "db" / "x.sqlite", SystemClock()).open())


def test_a_database_of_another_program_is_refused(tmp_path, runner):
    with sqlite3.connect(tmp_path / "x.sqlite") as db:
        db.execute("CREATE TABLE recipes (name)")
    db.close()
    adapter = SQLiteAdapter(tmp_path / "x.sqlite", SystemClock())
    with pytest.raises(SchemaMismatch, match="another program"):
        runner.run(adapter.open())
    with pytest.raises(SourceUnavailable):
        runner.run(adapter.fetch_positions())


def test_the_number_of_a_journal_and_its_name_are_those_given(adapter, runner):
    runner.run(adapter.apply_fills([], ack=JournalAck("orders", 3)))
    (row,) = runner.run(adapter.read("journal_ack"))
    assert (row["journal"], row["seq"]) == ("orders", 3)
    assert row["acked_at"] <= SystemClock().now_utc()
