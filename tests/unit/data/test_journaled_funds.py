"""Capital and decisions behind the journal: nothing is lost or there twice, and FS086 means that nothing happened."""

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from qts._core import journal_records
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.data import CapitalNotKept, JournaledStore, LedgerConflict, SQLiteStore, StoreUnavailable
from qts.data.exceptions import SourceUnavailable
from qts.data.postgres import TimescaleDBAdapter
from qts.data.settings import ServerSettings
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.data.sqlite.connection import open_database
from qts.data.sqlite.verify import differences

from .conftest import HYNIX, KRW, SAMSUNG, begun, fill, order, session
from .contract.funds import LOCKED, T0, decision, entry, hold, pool, transfer
from .postgres_helpers import settings_of

END = {"ended_ns": 9, "cash_end": 5, "decision_hash": "beef"}
ROOT = Path(__file__).parents[3]

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.unit.data.test_journaled_funds import books_in, posting, store_in

home, run, first, server = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
books = books_in(home, server)
inner = books.write_run

async def late(*rows, **rest):
    await asyncio.sleep(0.02)  # so that there is always something that only the journal has
    return await inner(*rows, **rest)

books.write_run = late
with store_in(home, books) as store:
    store.open()
    from tests.unit.data.conftest import HYNIX, KRW, SAMSUNG, session
    store.register([KRW], [SAMSUNG, HYNIX])
    store.begin_session(session(run, account_id="paper"))
    for number in range(first, first + 100_000):
        posting(store, number)
        print(number, flush=True)
"""


def books_in(home, server="", file="books.sqlite"):
    if not server:
        return SQLiteAdapter(home / file, SystemClock())
    host, port, name, user, password = json.loads(server)
    return TimescaleDBAdapter(
        ServerSettings(host=host, port=port, database=name, user=user, password=SecretStr(password)), SystemClock()
    )


def store_in(home, books=None, *, name="home"):
    store = JournaledStore(SystemClock(), home / "journal", name=lambda: name, flush_s=20)
    return store.behind(books or books_in(home), known=lambda: ([KRW], [SAMSUNG, HYNIX]))


def posting(store, number):
    """One cycle with an order: decision, durable; hold; fill with both of its ledger lines; the order."""
    store.record_decision(f"d{number}", T0 + number * 1_000, json.dumps({"no": number}).encode())
    store.decisions_durable()
    store.record_capital([hold(hold_id=f"hold:{number}:0", order_id=str(number))])
    store.record_fill(fill(number))
    store.record_capital([entry(number), entry(number, -1_000, bucket="INVESTED"), pool(revision=number)])
    store.record_order(order(number))
    store.record_capital([hold(1, "CLOSED", 0, hold_id=f"hold:{number}:0", order_id=str(number))])


def begin(store, run="run-1"):
    store.register([KRW], [SAMSUNG, HYNIX])
    store.begin_session(session(run, account_id="paper"))


@pytest.fixture(params=["sqlite", "postgres"])
def server(request):
    """Where the database is, for another process; empty for the embedded one."""
    if request.param == "sqlite":
        return ""
    settings = settings_of(request.getfixturevalue("postgres"))
    password = settings.password.get_secret_value()
    return json.dumps([settings.host, settings.port, settings.database, settings.user, password])


def test_what_was_recorded_is_read_back(tmp_path, server):
    rows = [entry(1), transfer(1), hold(), LOCKED]
    with store_in(tmp_path, books_in(tmp_path, server)) as store:
        store.open()
        begin(store)
        store.record_capital(rows)
        store.record_capital([])
        store.record_decision(*decision(1)[:2], decision(1).line.encode())
        store.decisions_durable()
        assert list(store.iter_capital_entries()) == rows[:1]
        assert list(store.iter_capital_transfers()) == rows[1:2]
        assert list(store.iter_capital_holds()) == rows[2:3]
        assert list(store.iter_capital_pools()) == rows[3:]
        assert list(store.iter_decisions()) == [decision(1)]
        store.end_session("DONE", **END)


def test_what_belongs_together_is_one_record(tmp_path):
    """A crash between two records could leave money taken and not given."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_capital([entry(1), entry(1, bucket="HELD"), transfer(1), pool()])
        store.record_capital([entry(2), pool(revision=2), hold()])
        store.record_capital([hold(1), hold(2)])
        store.record_decision("d1", T0, b"{}")
        store.end_session("DONE", **END)
    kinds = [kind for _, _, kind, _, _ in journal_records(tmp_path / "journal")]
    assert [kind for kind in kinds if kind != "COMMIT"] == [
        "CAPITAL_TRANSFER",
        "CAPITAL_ENTRY",
        "CAPITAL_HOLD",
        "DECISION",
        "EXECUTION_STATE",
    ]


def test_another_database_gets_all_of_it_and_the_same_one_nothing_twice(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 30):
            posting(store, number)
        store.record_capital([transfer(1, "PENDING")])
        store.record_capital([transfer(1), pool("SWING", 5)])
        store.end_session("DONE", **END)
    for file, name in (("new.sqlite", "home"), ("books.sqlite", "unacknowledged")):
        with store_in(tmp_path, books_in(tmp_path, file=file), name=name) as store:
            store.open()
            assert store.replayed == 29 * 6 + 3
            assert store.condition().reports == ()
    tables = ("capital_ledger", "capital_transfers", "capital_holds", "capital_pools", "decisions")
    with (
        closing(open_database(tmp_path / "books.sqlite")) as one,
        closing(open_database(tmp_path / "new.sqlite")) as two,
    ):
        for table in tables:
            query = f"SELECT * FROM {table} ORDER BY 1, 2, 3"  # noqa: S608 - names of above
            assert one.execute(query).fetchall() == two.execute(query).fetchall() != []
        assert one.execute("SELECT count(*) FROM capital_ledger").fetchone() == (58,)
        assert one.execute("SELECT DISTINCT state, version FROM capital_holds").fetchall() == [("CLOSED", 1)]
        assert one.execute("SELECT status FROM capital_transfers").fetchall() == [("COMMITTED",)]
        assert one.execute("SELECT count(*) FROM fill_quarantine").fetchone() == (0,)


def test_what_a_killed_process_had_recorded_is_in_the_books_once(tmp_path, server):
    """Kill -9 while the database lags behind the journal, several times: all that was said to be durable is there."""
    said = 0
    for attempt, kill_after in enumerate((1, 30, 7, 120), 1):
        command = [sys.executable, "-c", CHILD, str(tmp_path), f"run-{attempt}", str(said + 1_000), server]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
            for count, line in enumerate(child.stdout, 1):
                said = int(line)
                if count == kill_after:
                    child.kill()
            assert child.wait() == -signal.SIGKILL, child.stderr.read()
    with store_in(tmp_path, books_in(tmp_path, server)) as store:
        store.open()
        begin(store, "after")
        entries = list(store.iter_capital_entries())
        holds = list(store.iter_capital_holds())
        (last,) = store.iter_capital_pools()
        booked = {row.symbol: row.qty for row in store.positions()}
        assert store.condition().reports == ()
        assert store.verify() == []
    refs = [(row.ref_id, row.bucket) for row in entries]
    assert len(refs) == len(set(refs)), "a line is there twice"
    numbers = {row.entry_id for row in entries}
    assert len(entries) == 2 * len(numbers), "one half of a posting is missing"
    assert sum(row.amount for row in entries) == 0
    first, runs = 1_000, []
    for number in sorted(numbers):
        if runs and number == runs[-1] + 1:
            runs[-1] = number
        else:
            runs.append(number)
    assert len(runs) == 4, "a line in the middle of a run is missing"
    assert min(numbers) == first
    assert max(numbers) >= said - 1  # the last one was printed after its decision was durable, not its lines
    assert last.revision == max(numbers)
    assert booked["005930"] == 10 * len(numbers)
    assert {int(row.order_id) for row in holds} >= numbers


def test_a_decision_is_on_the_disk_when_the_barrier_returns(tmp_path):
    """Read from a copy of the file as it is, while the writer still has it open."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 50):
            store.record_decision(f"d{number}", T0, b'{"no":1}')
            before = store._journal.durable_seq
            store.decisions_durable()
            assert store._journal.durable_seq >= before
            assert store._journal.lag == 0
        store.decisions_durable()  # nothing new: at once
        assert len(list(store.iter_decisions())) == 49


def test_a_journal_that_takes_nothing_is_fs086_for_capital_alone(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_capital([entry(1)])
        store.flush()
        store._journal.close()
        for record, code in (
            (lambda: store.record_capital([entry(2)]), "FS086"),
            (lambda: store.record_fill(fill(1)), "FS063"),
            (lambda: store.record_decision("d1", T0, b"{}"), "FS063"),
        ):
            with pytest.raises(EngineFault) as caught:
                record()
            assert caught.value.code == code
        assert list(store.iter_capital_entries()) == [entry(1)]
        assert store.condition().reports == ()


def test_a_decision_that_does_not_become_durable_is_told(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_decision("d1", T0, b"{}")
        store._journal.wait_durable(store._undurable)
        store._undurable += 1_000  # a record that the journal will not have within a second
        with pytest.raises(EngineFault, match="decision does not become durable") as caught:
            store.decisions_durable()
        assert caught.value.code == "FS063"


WRONG = [
    entry(1, pool_id="ALL"),
    entry(1, bucket="UNALLOCATED"),
    entry(1, cause="LUCK"),
    entry(1, 10**17),
    entry(1, ref_id=""),
    entry(1, ref_id="x" * 161),
    entry(1, ref_id="a\0b"),
    transfer(1, to_pool="SCALP"),
    transfer(1, amount=0),
    transfer(1, "DONE"),
    transfer(1, criteria=(("a", "\0"),)),
    transfer(1, reason="x" * 41),
    hold(remaining=-1),
    hold(state="OPEN"),
    hold(hold_id="x" * 65),
    pool("UNALLOCATED"),
    pool(pool_state="OPEN"),
    pool(units=-1),
    pool(allocation_bps=100_000),
    pool(lock_code="FS082+FS083"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_row_that_no_table_takes_is_refused_before_anything_is_written(tmp_path, wrong):
    """In the journal it would keep everything behind it from the database, at every start."""
    with store_in(tmp_path) as store, begun() as backtest:
        store.open()
        begin(store)
        for one in (store, backtest):
            with pytest.raises(EngineFault) as caught:
                one.record_capital([entry(7), wrong])
            assert caught.value.code == "FS086"
            assert list(one.iter_capital_entries()) == []
        store.end_session("DONE", **END)
    kinds = {kind for _, _, kind, _, _ in journal_records(tmp_path / "journal")}
    assert not kinds & {"CAPITAL_ENTRY", "CAPITAL_HOLD", "CAPITAL_TRANSFER"}


def test_a_line_that_contradicts_one_is_told_once_and_the_run_goes_on(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_capital([entry(1)])
        store.record_capital([entry(1, 2), entry(2)])
        with pytest.raises(CapitalNotKept) as caught:
            store.flush()
        assert caught.value.code == "FS086"
        store.record_capital([entry(3)])
        assert list(store.iter_capital_entries()) == [entry(1), entry(2), entry(3)]


def test_capital_is_recorded_although_an_earlier_fill_was_refused(tmp_path):
    """What was to be written has happened, or FS086 is raised: nothing else may come out of it."""
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        store.record_fill(fill(1))
        store.record_fill(fill(1, qty=11))
        store.record_order(order(1))
        with store._drained:
            assert store._drained.wait_for(lambda: store._error is not None, timeout=20)
        store.record_capital([entry(1)])
        with pytest.raises(LedgerConflict):
            store.record_order(order(1))
        assert list(store.iter_capital_entries()) == [entry(1)]


def test_whoever_looks_between_a_fill_its_money_and_its_order_sees_books_that_agree(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store)
        for number in range(1, 31):
            store.record_order(order(number, "ACCEPTED", 0))
            store.record_fill(fill(number))
            store.record_capital([entry(number), pool(revision=number)])
            with closing(open_database(tmp_path / "books.sqlite")) as db:
                for _ in range(20):
                    db.execute("BEGIN")
                    assert differences(db) == []
                    db.execute("COMMIT")
            store.record_order(order(number))
        with store._drained:
            assert store._drained.wait_for(lambda: not store._waiting, timeout=20), "written without being asked for"


class Away(SQLiteAdapter):
    """A database that loses the answer to every other write, after the commit."""

    calls = 0

    async def write_run(self, *rows, **rest):
        done = await super().write_run(*rows, **rest)
        self.calls += 1
        if self.calls % 2:
            raise SourceUnavailable(found="no answer", expected="an answer", hint="wait")
        return done


def test_an_answer_that_was_lost_after_the_commit_writes_nothing_twice(tmp_path):
    with store_in(tmp_path, Away(tmp_path / "books.sqlite", SystemClock())) as store:
        store.open()
        begin(store)
        for number in range(1, 6):
            store.record_capital([entry(number), transfer(number), pool(revision=number)])
            store.record_decision(f"d{number}", T0, b"{}")
            store.flush()
        assert list(store.iter_capital_entries()) == [entry(number) for number in range(1, 6)]
        assert len(list(store.iter_capital_transfers())) == 5


def test_a_backtest_keeps_the_same_rows_and_waits_for_nothing(path):
    with begun(path) as store:
        for number in range(1, 1_200):
            store.record_decision(f"d{number}", T0, b"{}")
            store.decisions_durable()
            store.record_capital([entry(number), pool(revision=number)])
        store.record_capital([transfer(1), hold()])
        assert [row.entry_id for row in store.iter_capital_entries()] == list(range(1, 1_200))
        assert list(store.iter_capital_transfers()) == [transfer(1)]
        assert list(store.iter_capital_holds()) == [hold()]
        assert list(store.iter_capital_pools()) == [pool(revision=1_199)]
        assert len(list(store.iter_decisions())) == 1_199
        store.record_capital([entry(1, 5)])
        with pytest.raises(CapitalNotKept):
            store.flush()
        assert store.flush().fills == 0
    with SQLiteStore(path) as again:
        assert [row[0] for row in again._db.execute("SELECT content FROM fill_quarantine")] == [
            repr(tuple(entry(1, 5)))
        ]


def test_a_backtest_whose_file_takes_nothing_keeps_what_is_pending(path):
    with begun(path) as store:
        store._db.execute("PRAGMA query_only = ON")
        store.record_capital([entry(1)])
        with pytest.raises(StoreUnavailable) as caught:
            store.flush()
        assert caught.value.code == "FS086"
        store.record_fill(fill(1))
        with pytest.raises(StoreUnavailable) as caught:
            store.flush()
        assert caught.value.code == "FS120"
        store._db.execute("PRAGMA query_only = OFF")
        assert list(store.iter_capital_entries()) == [entry(1)]
        assert [row.order_id for row in store.iter_fills()] == [1]


def test_a_store_that_is_told_so_keeps_no_decisions():
    with begun(None, keep_decisions=False) as store:
        store.record_decision("d1", T0, b"{}")
        store.record_capital([entry(1)])
        assert list(store.iter_decisions()) == []
        assert list(store.iter_capital_entries()) == [entry(1)]
