"""The capital room's books over the journal of a run: killed at any record, they come back whole."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.unit.capital.books_samples import CONFIG, POOLS, SAMPLE, START, MemoryLive, Room, proposal

from qts.capital.books import CapitalBooks
from qts.capital.contracts import PauseCause, TransferKind, TransferStatus
from qts.capital.recovery import FillRecord, Records, recover
from qts.clock import SystemClock
from qts.clock.instants import to_ns
from qts.data import CurrencyRow, JournaledStore, SessionRow
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.engine.capital_sink import CapitalRecords, RunCapitalSink

ROOT = Path(__file__).parents[2]
HISTORY = (
    FillRecord("1", "1", "SCALP", "005930", "BUY", 5, 500_000),
    FillRecord("2", "1", "SCALP", "005930", "SELL", 2, 260_000),
)
CHILD = """
import sys
from pathlib import Path
from tests.integration.test_capital_records import killed_at
killed_at(Path(sys.argv[1]), int(sys.argv[2]))
"""


class KeptRoom(Room):
    """Books of the capital room that write into the books of a run."""

    def __init__(self, store):
        self.now = START
        self.live, self.sink = MemoryLive(), RunCapitalSink(store, lambda: to_ns(self.now))
        self.books = CapitalBooks(self.live, self.sink, CONFIG)
        self.books.fund(SAMPLE, self.now)
        for pool in POOLS:
            self.books.resume(pool, PauseCause.START)


def live_through(room):
    """A purchase, a promotion, a deposit, a sale, a demotion and a lock, each on the books."""
    room.order("1", "SCALP", 1_000_000)
    room.buy("1", "SCALP", 5, 100_000, fee=75, left=499_000)
    room.later(days=1)
    room.commit("SCALP", "SWING", 400_000)
    room.books.external(1_000, "d", room.now)
    room.sell("2", "SCALP", 2, 130_000)
    room.later(days=1)
    room.commit("SWING", "SCALP", 300_000, "W>S:MDD:1", TransferKind.DEMOTION)
    room.books.lock("PORTFOLIO", "FS082", "x", room.now)
    room.books.record(room.now)


def store_in(home, books=None):
    store = JournaledStore(SystemClock(), home / "journal", name=lambda: "home")
    return store.behind(
        books or SQLiteAdapter(home / "books.sqlite", SystemClock()), known=lambda: ([CurrencyRow("KRW", 0)], [])
    )


def begin(store, run):
    store.register([CurrencyRow("KRW", 0)], [])
    store.begin_session(SessionRow(run, "PAPER", "three", "sim", "paper", "KRW", 1, 1, "cafe"))


def killed_at(home, number):
    """Live through it all on a store, and end with the record of that number: durable, but not in the database."""
    import asyncio
    import os

    books = SQLiteAdapter(home / "books.sqlite", SystemClock())

    async def never(*_, **__):
        await asyncio.Event().wait()

    books.write_run = never
    store = store_in(home, books)
    store.open()
    begin(store, "run-1")
    record, calls = store.record_capital, 0

    def counted(rows):
        nonlocal calls
        record(rows)
        calls += 1
        if calls == number:
            store._journal.wait_durable(store._waiting[-1].seq, 10.0)
            os.kill(os.getpid(), signal.SIGKILL)

    store.record_capital = counted
    live_through(KeptRoom(store))
    sys.stdout.write(f"{calls}\n")
    sys.stdout.flush()
    os._exit(0)


def recovered(store):
    kept = CapitalRecords(store)
    records = Records(
        kept.entries(), kept.transfers(), kept.holds(), {one.pool_id: one for one in kept.pools()}, HISTORY
    )
    live = MemoryLive()
    later = START + timedelta(days=3)
    return recover(live, RunCapitalSink(store, lambda: to_ns(later)), CONFIG, records, later), live


def test_books_that_were_closed_come_back_as_they_were(tmp_path):
    with store_in(tmp_path) as store:
        store.open()
        begin(store, "run-1")
        room = KeptRoom(store)
        live_through(room)
        books, live = recovered(store)
        assert books.holdings == room.books.holdings
        assert {pool: books.buckets(pool) for pool in POOLS} == {pool: room.books.buckets(pool) for pool in POOLS}
        assert books.transfers == room.books.transfers
        assert books.unallocated == room.books.unallocated == 1_000
        assert books.hold_of("1") == 499_000
        assert [one.amount for one in books.quarantines] == [300_000]
        assert {pool: live.free(pool) for pool in POOLS} == {pool: room.live.free(pool) for pool in POOLS}
        assert books.verify(sum(live.cash.values()) + live.loose) == ()
        known = {one.pool_id: one for one in CapitalRecords(store).pools()}
        assert {pool: row.total_capital for pool, row in known.items()} == {pool: books.total(pool) for pool in POOLS}


def test_books_that_were_killed_at_any_record_are_whole(tmp_path):
    """What was durable is there, what was not has not happened, and a transfer is committed or has given all back."""
    count = int(
        subprocess.run(child(tmp_path / "whole", 0), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )
    assert count > 20
    seen = set()
    for number in range(4, count + 1, 3):
        home = tmp_path / str(number)
        done = subprocess.run(child(home, number), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        with store_in(home) as store:
            store.open()
            assert store.replayed == number
            begin(store, "run-2")
            books, live = recovered(store)
            assert books.verify(sum(live.cash.values()) + live.loose) == ()
            assert {one.status for one in books.transfers} <= {TransferStatus.COMMITTED, TransferStatus.EXPIRED}
            seen |= {(one.proposal.kind, one.status) for one in books.transfers}
            for pool in ("SCALP", "SWING"):
                books.resume(pool, PauseCause.START)
            room = Room.__new__(Room)
            room.now = START + timedelta(days=3)
            before = books.total("SCALP") + books.total("SWING")
            again = books.commit(proposal("SCALP", "SWING", 400_000), room.occasion())
            assert again.status is TransferStatus.COMMITTED
            assert books.total("SCALP") + books.total("SWING") == before
            entries = CapitalRecords(store).entries()
            committed = [line for line in entries if line.ref_id == again.transfer_id]
            assert [line.amount for line in committed] == [-400_000, 400_000], "the promotion was made twice, or not"
            store.end_session("DONE", ended_ns=1, cash_end=1, decision_hash="")
    assert (TransferKind.PROMOTION, TransferStatus.EXPIRED) in seen, "no kill has met a transfer under way"
    assert (TransferKind.PROMOTION, TransferStatus.COMMITTED) in seen


def child(home, number):
    home.mkdir()
    return [sys.executable, "-c", CHILD, str(home), str(number)]
