"""Books behind the journal when what comes back is not what was left: nothing is lost, nothing is there twice."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from qts._core import JournalWriter
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.data import JournaledStore
from qts.data.exceptions import AdapterError, LedgerConflict, SourceUnavailable
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.data.sqlite.connection import open_database
from qts.data.sqlite.verify import differences

from .conftest import HYNIX, KRW, SAMSUNG, fill, order, session

END = {"ended_ns": 9, "cash_end": 5, "decision_hash": "beef"}


def store_in(home, *, file="books.sqlite", flush_s=20.0):
    store = JournaledStore(SystemClock(), home / "journal", name=lambda: "home", flush_s=flush_s)
    return store.behind(SQLiteAdapter(home / file, SystemClock()), known=lambda: ([KRW], [SAMSUNG, HYNIX]))


def begin(store, session_id="run-1"):
    store.register([KRW], [SAMSUNG, HYNIX])
    store.begin_session(session(session_id))


def rows(home, query, *, file="books.sqlite"):
    db = sqlite3.connect(home / file)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def booked(home, **options):
    return [int(row[0]) for row in rows(home, "SELECT order_id FROM t_ledger ORDER BY id", **options)]


def test_a_fill_that_follows_a_refused_one_is_in_the_journal_all_the_same(tmp_path):
    """What an earlier row has met with is told by the next one, which has happened too."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_fill(fill(1))
        store.record_fill(fill(1, qty=11))
        store.record_order(order(1))
        with store._drained:
            assert store._drained.wait_for(lambda: store._error is not None, timeout=20)
        with pytest.raises(LedgerConflict):
            store.record_fill(fill(2))
        store.flush()
    assert booked(tmp_path) == [1, 2]


def test_another_database_gets_every_run_that_the_journal_holds(tmp_path):
    """The configuration names a new database, or the old one is gone: the journal knows what has happened."""
    for run in ("run-1", "run-2"):
        with store_in(tmp_path) as store:
            store.open()
            begin(store, run)
            store.record_fill(fill(1))
            store.record_order(order(1))
            store.end_session("DONE", **END)
    with store_in(tmp_path, file="new.sqlite") as store:
        store.open()
        assert store.replayed == 6
    statuses = rows(tmp_path, "SELECT session_id, status FROM sessions ORDER BY no", file="new.sqlite")
    assert statuses == [("run-1", "DONE"), ("run-2", "DONE")]
    query = "SELECT fill_key, account_id, qty, amount, realized_pnl FROM t_ledger ORDER BY id"
    assert rows(tmp_path, query, file="new.sqlite") == rows(tmp_path, query)


def test_the_end_of_a_run_is_brought_although_a_fill_of_its_batch_was_refused(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_fill(fill(1))
        store.record_fill(fill(1, qty=11))
        with pytest.raises(LedgerConflict):
            store.end_session("DONE", **END)
    assert rows(tmp_path, "SELECT status FROM sessions") == [("DONE",)]
    with store_in(tmp_path, file="new.sqlite") as store:
        store.open()
        begin(store, "run-2")
        store.record_fill(fill(1))
    assert rows(tmp_path, "SELECT status FROM sessions", file="new.sqlite") == [("DONE",), ("OPEN",)]


def test_a_journal_that_the_database_is_ahead_of_is_not_written_on(tmp_path):
    """Removed, or brought back from an earlier day: its next records would count as acknowledged and be skipped."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 9):
            store.record_fill(fill(number))
    shutil.move(tmp_path / "journal", tmp_path / "aside")
    with store_in(tmp_path) as store, pytest.raises(AdapterError) as caught:
        store.open()
    assert "ends at" in caught.value.found
    assert "installation" in caught.value.hint
    shutil.rmtree(tmp_path / "journal")
    shutil.move(tmp_path / "aside", tmp_path / "journal")
    with store_in(tmp_path) as store:
        store.open()
        assert store.replayed == 0


def test_whoever_looks_between_a_fill_and_its_order_sees_neither(tmp_path):
    """A fill and the state of its order are two records: between them the books would contradict each other."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_order(order(1, "ACCEPTED", 0))
        store.flush()
        for number in range(1, 41):
            store.record_order(order(number + 1, "ACCEPTED", 0))
            store.record_fill(fill(number))
            with closing(open_database(tmp_path / "books.sqlite")) as db:
                for _ in range(20):
                    db.execute("BEGIN")
                    assert differences(db) == []
                    db.execute("COMMIT")
            store.record_order(order(number))
        store.flush()
    assert booked(tmp_path) == list(range(1, 41))


def test_a_fill_that_no_order_follows_is_written_when_it_is_asked_for(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_fill(fill(1))
        assert [row.order_id for row in store.iter_fills()] == [1]
        store.record_fill(fill(2))
    assert booked(tmp_path) == [1, 2]


def test_a_damaged_journal_refuses_the_start_in_words(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 60):
            store.record_fill(fill(number))
    (segment,) = (tmp_path / "journal").glob("*.qtsj")
    content = bytearray(segment.read_bytes())
    content[9_000] ^= 255
    segment.write_bytes(content)
    with store_in(tmp_path) as store, pytest.raises(EngineFault) as caught:
        store.open()
    assert caught.value.code == "FS125"
    assert segment.name in caught.value.where


def test_a_store_that_is_closed_on_its_own_thread_does_not_wait_for_itself(tmp_path):
    """As the garbage collector does it, wherever it runs."""
    store = store_in(tmp_path)
    store.open()
    begin(store)
    store.record_fill(fill(1))
    thread = store._thread
    store._loop.call_soon_threadsafe(store.close)
    thread.join(10)
    assert not thread.is_alive()
    assert booked(tmp_path) == [1]


class Slow(SQLiteAdapter):
    """A database that has no time for more than a few rows at once."""

    async def write_run(self, session, fills, orders, equity, **rest):
        if len(fills) + len(orders) > 20:
            raise SourceUnavailable(found="no answer in time", expected="an answer", hint="wait")
        return await super().write_run(session, fills, orders, equity, **rest)


def test_a_slow_database_gets_what_was_left_in_parts(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 121):
            store.record_fill(fill(number))
            store.record_order(order(number))
        store.end_session("DONE", **END)
    with JournaledStore(SystemClock(), tmp_path / "journal", name=lambda: "home") as slow:
        slow.behind(Slow(tmp_path / "slow.sqlite", SystemClock()), known=lambda: ([KRW], [SAMSUNG, HYNIX]))
        slow.open()
    assert booked(tmp_path, file="slow.sqlite") == list(range(1, 121))
    assert rows(tmp_path, "SELECT status FROM sessions", file="slow.sqlite") == [("DONE",)]


def test_records_that_a_newer_program_has_written_are_not_passed_over(tmp_path):
    journal = JournalWriter(tmp_path / "journal")
    journal.append("FILL", b"{}", version=2)
    journal.close()
    with store_in(tmp_path) as store, pytest.raises(AdapterError, match=r"record 1 .* layout 2"):
        store.open()
