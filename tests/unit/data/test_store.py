"""The store as a file: opened, shared, filled up, killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qts.codes import UsageError
from qts.data import CurrencyRow, EquityRow, SQLiteStore, StoreUnavailable

from .conftest import HYNIX, KRW, SAMSUNG, begun, fill, order, session

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def test_rows_come_back_as_they_were_recorded(store):
    store.record_fill(fill(1))
    store.record_order(order(2, "CANCELLED", 0, end_reason="USER_CANCEL"))
    store.record_order(order(1, "ACCEPTED", 0))
    store.record_order(order(1, "FILLED", 10))
    store.record_equity(EquityRow(5, 100, 20))
    store.record_equity(EquityRow(5, 90, 25))
    assert list(store.iter_fills()) == [fill(1)]
    assert list(store.iter_orders()) == [order(1), order(2, "CANCELLED", 0, end_reason="USER_CANCEL")]
    assert [row.equity for row in store.iter_equity()] == [120, 115]
    assert store.instruments() == [HYNIX, SAMSUNG]


def test_an_order_keeps_one_row_with_its_latest_state_across_batches(store):
    store.record_order(order(1, "ACCEPTED", 0))
    store.flush()
    store.record_order(order(1, "PARTIALLY_FILLED", 4))
    store.flush()
    (row,) = store.iter_orders()
    assert (row.state, row.filled_qty) == ("PARTIALLY_FILLED", 4)


@pytest.mark.parametrize("record", ["fill", "order", "equity"])
def test_a_full_batch_is_written_without_being_asked(path, record):
    with begun(path, batch=3) as store, sqlite3.connect(path) as other:
        for number in range(1, 4):
            if record == "fill":
                store.record_fill(fill(number))
            elif record == "order":
                store.record_order(order(number))
            else:
                store.record_equity(EquityRow(number, 1, 1))
        table = {"fill": "t_ledger", "order": "run_orders", "equity": "equity"}[record]
        assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (3,)  # noqa: S608 - one of three names
    other.close()


def test_a_flush_of_nothing_is_nothing(store):
    assert store.flush() == (0, 0, 0, 0)


def test_closing_writes_what_is_pending_and_reopening_finds_it(path):
    with begun(path) as store:
        store.record_fill(fill(1))
        store.end_session("DONE", ended_ns=9, cash_end=42, decision_hash="beef")
    with SQLiteStore(path) as store:
        assert store.instruments() == [HYNIX, SAMSUNG]
        assert store.verify() == []
    with begun(path, "run-2") as store:
        assert list(store.iter_fills()) == []
        store.record_fill(fill(1))  # another account: the same numbers are another fill
        assert len(list(store.iter_fills())) == 1
        assert store.verify() == []
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT status, cash_end, decision_hash FROM sessions ORDER BY no").fetchall() == [
            ("DONE", 42, "beef"),
            ("OPEN", None, None),
        ]
    db.close()


def test_a_fill_known_from_an_earlier_session_of_the_account_is_a_duplicate(path):
    with begun(path) as store:
        store.record_fill(fill(1))
    with SQLiteStore(path) as store:
        store.begin_session(session("run-2", account_id="paper-run-1"))
        store.record_fill(fill(1))
        store.record_fill(fill(2))
        assert (store.flush().fills, store.duplicates) == (1, 1)
        assert store.positions()[0].qty == 20


def test_two_writers_on_one_account_do_not_lose_each_others_fills(path):
    with begun(path) as one, SQLiteStore(path) as other:
        other.begin_session(session("run-2", account_id="paper-run-1"))
        for number in range(1, 9):
            writer = one if number % 2 else other
            writer.record_fill(fill(number))
            writer.flush()
        assert one.positions()[0].qty == 80
        assert one.verify() == []


def test_many_may_create_the_same_database_at_once(path):
    path.parent.mkdir()
    script = (
        "import sys; from pathlib import Path; from qts.data import SQLiteStore; SQLiteStore(Path(sys.argv[1])).close()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, path], env=ENVIRONMENT) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    begun(path).close()


def test_a_temporary_store_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with begun(None, batch=10) as store:
        for number in range(1, 100):
            store.record_fill(fill(number))
        assert len(list(store.iter_fills())) == 99
    assert list(tmp_path.iterdir()) == []


def test_readers_are_not_kept_out_while_a_session_is_open(store, path):
    store.record_fill(fill(1))
    store.flush()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as reader:
        assert reader.execute("SELECT symbol, qty FROM t_ledger").fetchall() == [("005930", 10)]
    reader.close()


# Mistakes


def test_recording_before_a_session_begins_is_refused():
    store = SQLiteStore(None)
    store.record_fill(fill(1))
    with pytest.raises(UsageError, match="begin_session"):
        store.close()


@pytest.mark.parametrize(
    "changes", [{"account_id": "a:b"}, {"broker": ""}, {"session_id": "run-1"}, {"currency": "EUR"}]
)
def test_a_session_that_cannot_be_told_apart_is_refused(store, changes):
    with pytest.raises(UsageError):
        store.begin_session(session("run-2")._replace(**changes))


def test_scales_of_a_symbol_or_currency_cannot_change_under_its_rows(store):
    for currencies, instruments in (
        ([CurrencyRow("KRW", 2)], []),
        ([], [SAMSUNG._replace(price_scale=2)]),
        ([CurrencyRow("USD", 2)], [HYNIX._replace(currency="USD")]),
    ):
        with pytest.raises(UsageError, match="scale"):
            store.register(currencies, instruments)
    assert store.instruments() == [HYNIX, SAMSUNG]
    store.register([KRW], [SAMSUNG._replace(name="삼성전자")])
    assert store.instruments()[1].name == "삼성전자"


def test_a_refused_registration_registers_nothing(store):
    with pytest.raises(UsageError):
        store.register([CurrencyRow("USD", 2)], [SAMSUNG._replace(qty_scale=1)])
    assert store._db.execute("SELECT code FROM currencies").fetchall() == [("KRW",)]


def test_a_file_in_the_way_of_the_directory_is_a_clear_error(tmp_path):
    (tmp_path / "db").write_text("not a directory")
    with pytest.raises(UsageError) as caught:
        SQLiteStore(tmp_path / "db" / "qts.sqlite")
    assert str(tmp_path / "db" / "qts.sqlite") in str(caught.value)
    assert "QTS_HOME" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_place_where_nothing_can_be_created_is_a_clear_error():
    with pytest.raises(UsageError, match="cannot be opened"):
        SQLiteStore(Path("/proc/qts/db.sqlite"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission_is_a_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be opened"):
        SQLiteStore(tmp_path / "qts.sqlite")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    with pytest.raises(UsageError, match="not a database"):
        SQLiteStore(path)
    assert path.read_text() == "remember the milk\n" * 100


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program"):
        SQLiteStore(path)
    assert path.read_bytes() == before


def test_a_database_of_another_version_is_refused(path):
    begun(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UsageError, match="version 99"):
        SQLiteStore(path)


# Trouble


def test_a_full_disk_is_a_fault_and_nothing_pending_is_lost(store):
    limit = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {limit}")
    for number in range(1, 500):
        store.record_fill(fill(number))
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as caught:
            store.flush()
        assert caught.value.code == "FS120"
        assert "full" in str(caught.value)
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.flush().fills == 499
    assert store.positions()[0].qty == 4_990
    assert store.verify() == []


def test_a_database_that_stays_locked_is_a_fault(store, path):
    store._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.record_fill(fill(1))
    for attempt in (store.flush, lambda: store.register([KRW], [SAMSUNG])):
        with pytest.raises(StoreUnavailable, match="locked"):
            attempt()
    other.execute("ROLLBACK")
    other.close()
    assert store.flush().fills == 1


WRITER = """
    import sys
    from pathlib import Path

    sys.path[:0] = {tests!r}
    from conftest import begun, fill, order

    store = begun(Path({path!r}), batch={batch})
    number = 0
    while True:
        number += 1
        store.record_fill(fill(number))
        if number == {batch} * {after}:
            print("far enough", flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_killed_writer_leaves_whole_batches_only(path, after):
    batch = 50
    script = textwrap.dedent(WRITER).format(
        tests=[str(Path(__file__).parent)], path=str(path), batch=batch, after=after
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=ENVIRONMENT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"far enough\n"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    with begun(path, "run-2") as store:
        count, quantity = store._db.execute("SELECT count(*), sum(qty) FROM t_ledger").fetchone()
        assert count >= batch * after
        assert count % batch == 0
        assert store._db.execute("SELECT qty FROM positions").fetchone() == (quantity,)
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.verify() == []
