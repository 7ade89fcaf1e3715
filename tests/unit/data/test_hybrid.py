"""Outages: what is booked while database, sheets or journal are away, what is told, and when entries are blocked."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from qts._core import JournalWriter, journal_records
from qts.clock import NS_PER_S, SimClock
from qts.codes import UsageError
from qts.data.exceptions import FillConflict, NotDurable, RowInvalid, SourceUnavailable
from qts.data.hybrid import FillJournal, HybridAdapter, MirrorPace, MirrorWorker, OutageClock
from qts.data.hybrid.tasks import stop
from qts.data.records import LedgerEntry
from qts.data.sqlite.adapter import SQLiteAdapter

from ...faulty_books import FaultyBooks
from ...sheets_samples import START_NS, make_book, sheets
from ...sheets_server import SheetsServer
from .contract.samples import FROM, HYNIX, KRW, SAMSUNG, TO, bar, fill, reversal


class House:
    """A hybrid adapter with everything behind it; background work only when asked for."""

    def __init__(self, server, path, **options):
        self.server, self.path = server, path
        self.clock = SimClock(START_NS)
        self.runner = asyncio.Runner()
        self.told = []
        self.free = 0.5
        self.options = options
        self.open()

    def open(self, *, down=False, **options):
        self.writer = JournalWriter(self.path / "journal", sync=False)
        self.books = FaultyBooks(SQLiteAdapter(self.path / "qts.sqlite", self.clock, mirror=True))
        self.books.down = down
        self.journal = FillJournal(self.writer, self.path / "journal")
        self.hybrid = HybridAdapter(
            **{
                "primary": self.books,
                "sheets": sheets(self.server, self.path, clock=self.clock, settings={"max_retries": 0}),
                "journal": self.journal,
                "clock": self.clock,
                "report": lambda code, message: self.told.append((code, message)),
                "free_disk": lambda: self.free,
                **self.options,
                **options,
            }
        )

        async def opened():
            await self.hybrid.open()
            tasks, self.hybrid._tasks = self.hybrid._tasks, []
            await stop(tasks)
            await self.hybrid.register([KRW], [SAMSUNG, HYNIX])

        self.run(opened())

    def stop(self):
        self.run(self.hybrid.close())
        self.writer.close()

    def close(self):
        self.stop()
        self.runner.close()

    def restart(self, **options):
        self.stop()
        self.open(**options)

    def run(self, call):
        return self.runner.run(call)

    def apply(self, *numbers, **changes):
        return [self.run(self.hybrid.apply_fill(fill(number, **changes))).status for number in numbers]

    def advance(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NS_PER_S))
        self.run(self.hybrid.watch())

    @property
    def codes(self):
        return [code for code, _ in self.told]

    def orders(self):
        return [int(one.fill.order_id) for one in self.run(self.books.fetch_ledger(FROM, TO))]

    def on_sheet(self):
        return [int(one.fill.order_id) for one in self.run(self.hybrid.sheets.ledger()).values()]


@pytest.fixture
def server():
    with SheetsServer() as running:
        make_book(running)
        yield running


@pytest.fixture
def house(server, tmp_path):
    made = House(server, tmp_path)
    yield made
    made.close()


def test_a_fill_is_in_the_journal_before_it_is_in_the_database(house):
    house.books.down = True
    assert house.apply(1) == ["SPOOLED"]
    assert [kind for _, _, kind, _, _ in journal_records(house.path / "journal") if kind == "FILL"] == ["FILL"]


def test_sheets_that_are_away_keep_no_fill_waiting(house):
    house.server.cut(999)
    assert house.apply(1, 2) == ["INSERTED", "INSERTED"]
    assert house.run(house.hybrid.mirror.work()) == 0
    assert house.hybrid.entries_allowed
    house.server.heal()
    house.advance(2)
    assert house.run(house.hybrid.mirror.work()) == 4
    assert house.on_sheet() == [1, 2]


def test_while_the_database_is_away_fills_are_spooled_and_then_booked_in_order(house):
    house.apply(1)
    house.books.down = True
    assert house.apply(2, 3, 4) == ["SPOOLED"] * 3
    assert house.hybrid.spool.depth == 3
    house.books.down = False
    house.advance(5)
    assert house.hybrid.spool.settled
    assert house.orders() == [1, 2, 3, 4]
    assert house.run(house.books.journal_ack("engine")) > 0
    assert house.apply(3) == ["DUPLICATE"]


def test_the_spool_outlives_a_restart_even_with_the_database_still_away(house):
    house.apply(1)
    house.books.down = True
    house.apply(2, 3)
    house.restart(down=True)
    assert house.apply(4) == ["SPOOLED"]
    assert house.codes.count("GR100") >= 1
    house.books.down = False
    house.advance(5)
    assert house.orders() == [1, 2, 3, 4]
    assert not house.hybrid.outage.away


def test_a_lost_answer_of_the_database_books_once(house):
    house.books.plan = ["lost"]
    assert house.apply(1) == ["SPOOLED"]
    house.advance(5)
    assert house.orders() == [1]
    house.books.plan = ["lost", "lost"]
    house.apply(2)
    house.restart()
    assert house.orders() == [1, 2]


def test_a_database_that_hangs_keeps_no_caller_waiting(house):
    house.hybrid.spool._answer_s = 0.05

    async def slow():
        house.books.gate = asyncio.Event()
        async with asyncio.timeout(5):
            statuses = [(await house.hybrid.apply_fill(fill(number))).status for number in (1, 2)]
        house.books.gate.set()
        await house.hybrid.spool.catch_up()
        return statuses

    assert house.run(slow()) == ["SPOOLED", "SPOOLED"]
    house.books.gate = None
    assert house.hybrid.spool.depth == 0
    assert house.orders() == [1, 2]


def test_the_stages_of_an_outage(house):
    house.books.down = True
    house.apply(1)
    assert (house.codes, house.hybrid.entries_allowed) == (["GR100"], True)
    house.advance(30)
    assert (house.codes, house.hybrid.entries_allowed) == (["GR100"], True)
    house.advance(1)
    assert (house.codes, house.hybrid.entries_allowed) == (["GR100", "GR100"], False)
    assert "entries are blocked" in house.told[-1][1]
    house.advance(269)
    assert house.codes == ["GR100", "GR100"]
    house.advance(1)
    assert house.codes == ["GR100", "GR100", "FS120"]
    house.advance(60)
    assert house.codes == ["GR100", "GR100", "FS120"]
    assert house.apply(2) == ["SPOOLED"]  # fills are facts, whatever the stage
    house.books.down = False
    house.advance(10)
    assert house.hybrid.entries_allowed
    house.books.down = True
    house.apply(3)
    assert house.codes[-1] == "GR100"


def test_a_disk_that_is_nearly_full_ends_an_outage_at_once(house):
    house.books.down = True
    house.free = 0.09
    house.apply(1)
    assert house.codes == ["FS120"]
    assert not house.hybrid.entries_allowed


@pytest.mark.parametrize(
    ("depth", "allowed", "code"), [(10_000, True, "GR100"), (10_001, False, "GR100"), (50_001, False, "FS120")]
)
def test_the_number_of_records_counts_as_well(depth, allowed, code):
    told = []
    outage = OutageClock(SimClock(0), lambda *one: told.append(one[0]), depth=lambda: depth, free_disk=lambda: 1.0)
    outage.down("test")
    assert (outage.entries_allowed, told) == (allowed, [code])


class BrokenJournal:
    def __init__(self, error_at):
        self.error_at = error_at
        self.broken = True
        self.seq = 0

    def append(self, kind, payload, *, version=1):
        if self.broken and self.error_at == "append":
            raise OSError(28, "No space left on device")
        self.seq += 1
        return self.seq

    def wait_durable(self, seq, timeout_s=1.0):
        if self.broken:
            raise TimeoutError("not durable")


@pytest.mark.parametrize("error_at", ["append", "sync"])
def test_without_journal_and_database_nothing_is_durable(house, error_at):
    writer = BrokenJournal(error_at)
    house.restart(journal=FillJournal(writer, house.path / "journal", "broken"))
    house.books.down = True
    with pytest.raises(NotDurable) as caught:
        house.apply(1)
    assert caught.value.code == "FS063"
    assert "FS063" in house.codes
    assert not house.hybrid.entries_allowed
    with pytest.raises(NotDurable):
        house.run(house.hybrid.append_ledger(LedgerEntry(entry_type="FILL", fill=fill(1))))


def test_without_journal_the_database_still_takes_a_fill_and_entries_are_blocked(house):
    writer = BrokenJournal("append")
    house.restart(journal=FillJournal(writer, house.path / "journal", "broken"))
    assert house.apply(1) == ["INSERTED"]
    assert house.codes == ["FS063"]
    assert not house.hybrid.entries_allowed
    writer.broken = False
    assert house.apply(2) == ["INSERTED"]
    assert house.hybrid.entries_allowed


def test_a_damaged_journal_is_told_and_nothing_is_replayed(house):
    house.books.down = True
    house.apply(1, 2)
    house.stop()
    segment = next(path for path in sorted((house.path / "journal").iterdir()) if path.stat().st_size > 100)
    content = bytearray(segment.read_bytes())
    at = content.index(b"0000000001")
    content[at] ^= 1
    segment.write_bytes(content)
    with pytest.raises(Exception, match=r"damaged|FS125"):
        house.open()
    segment.write_bytes(bytes(content[:at]) + b"0" + bytes(content[at + 1 :]))
    house.open()
    assert house.orders() == [1, 2]


def test_a_fill_that_contradicts_the_ledger_is_told_to_its_caller_and_to_everybody(house):
    house.apply(1)
    with pytest.raises(FillConflict):
        house.apply(1, price=69_000)
    assert house.codes == ["FS122"]
    assert house.apply(2) == ["INSERTED"]


def test_a_fill_that_the_database_refuses_holds_nothing_up(house):
    with pytest.raises(RowInvalid):
        house.apply(1, symbol="035720")
    assert house.codes == ["FS122"]
    house.books.down = True
    assert house.apply(2, 3) == ["SPOOLED", "SPOOLED"]
    assert house.apply(4, symbol="035720") == ["SPOOLED"]
    assert house.apply(5) == ["SPOOLED"]
    house.books.down = False
    house.advance(5)
    assert house.orders() == [2, 3, 5]
    assert house.codes.count("FS122") == 2
    house.restart()
    assert house.orders() == [2, 3, 5]
    assert house.codes.count("FS122") == 2


def test_a_correction_goes_the_same_way(house):
    house.apply(1)
    house.books.down = True
    assert house.run(house.hybrid.append_ledger(reversal(fill(1)))) is True
    house.restart(down=True)
    house.books.down = False
    house.advance(5)
    entries = house.run(house.books.fetch_ledger(FROM, TO))
    assert [entry.entry_type for entry in entries] == ["FILL", "REVERSAL"]
    house.run(house.hybrid.mirror.drain())
    assert list(house.run(house.hybrid.sheets.ledger()).values()) == entries


def test_reads_of_the_sheets_see_what_was_just_booked_or_fail(house):
    house.hybrid.switch_reads("sheets")
    house.apply(1)
    (row,) = house.run(house.hybrid.fetch_positions())
    assert row.qty == 10
    house.server.cut(999)
    house.apply(2)
    with pytest.raises(SourceUnavailable):
        house.run(house.hybrid.fetch_positions())
    house.hybrid.switch_reads("db")
    assert house.run(house.hybrid.fetch_positions())[0].qty == 20


def test_the_mode_without_a_database(server, tmp_path):
    house = House(server, tmp_path, primary=None, mode="SHEETS_ONLY")
    server.cut(99)
    assert house.apply(1, 2) == ["SPOOLED", "SPOOLED"]
    server.heal()
    house.advance(5)
    assert house.apply(3) == ["INSERTED"]
    assert house.on_sheet() == [1, 2, 3]
    ack = house.run(house.hybrid.journal_ack("engine"))
    assert ack > 0
    house.restart()
    assert house.on_sheet() == [1, 2, 3]
    assert house.run(house.hybrid.fetch_positions())[0].qty == 30
    with pytest.raises(UsageError):
        house.hybrid.switch_reads("db")
    house.close()


def test_the_mode_without_sheets(server, tmp_path):
    house = House(server, tmp_path, sheets=None, mode="DB_ONLY")
    assert house.apply(1) == ["INSERTED"]
    assert house.hybrid.mirror is None
    assert house.run(house.hybrid.health_check()).healthy
    assert house.run(house.hybrid.store_ohlcv([bar(1)])) == 1
    house.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "BOTH"},
        {"read_source": "cache"},
        {"sheets": None},
        {"primary": None},
        {"mode": "SHEETS_ONLY", "sheets": None},
    ],
)
def test_settings_that_do_not_fit_are_refused(house, wrong):
    parts = {"primary": house.books, "sheets": house.hybrid.sheets, "journal": house.journal, "clock": house.clock}
    with pytest.raises(UsageError, match="DATA_SOURCE_MODE"):
        HybridAdapter(**{**parts, "report": print, **wrong})


def test_entries_are_held_while_somebody_asks_for_it(house):
    house.hybrid.hold_entries("rollback")
    assert not house.hybrid.entries_allowed
    house.hybrid.release_entries("rollback")
    assert house.hybrid.entries_allowed


def test_a_position_is_not_set_while_fills_are_on_their_way(house):
    house.books.down = True
    house.apply(1)
    with pytest.raises(SourceUnavailable):
        house.run(house.hybrid.update_position("005930", fill(1).qty, fill(1).price, pool_id="SCALP"))


# The mirror


def test_sheets_that_are_away_are_asked_less_and_less_often(house):
    house.server.cut(10**6)
    house.apply(1)
    asked = []
    for second in range(400):
        before = len(house.server.requests)
        house.run(house.hybrid.mirror.work())
        if len(house.server.requests) > before:
            asked.append(second)
        house.clock.advance_to(house.clock.now_ns() + NS_PER_S)
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert max(gaps) == 60


def test_rows_that_wait_too_long_are_told_and_after_a_day_urgently(house):
    house.server.cut(10**6)
    house.apply(1)
    for seconds in (60, 1, 3_600, 86_400, 10):
        house.clock.advance_to(house.clock.now_ns() + seconds * NS_PER_S)
        house.run(house.hybrid.mirror.work())
    assert house.codes == ["GR105", "GR105"]
    assert "more than a day" in house.told[-1][1]
    house.server.heal()
    house.run(house.hybrid.mirror.drain())
    assert house.on_sheet() == [1]


def test_a_row_that_is_refused_dies_after_twenty_tries_and_the_others_go_on(house):
    house.apply(1, symbol="000660")
    house.apply(2)
    poison = house.run(house.books.outbox_pending())[0]

    class Picky:
        async def apply(self, rows):
            return {row.seq: "poison" for row in rows if row.seq == poison.seq}

    told = []
    worker = MirrorWorker(house.books, Picky(), house.clock, lambda *one: told.append(one), pace=MirrorPace())
    assert house.run(worker.work()) == 3
    tries = 1
    while house.run(house.books.outbox_waiting())[0]:
        house.clock.advance_to(house.clock.now_ns() + 60 * NS_PER_S)
        tries += bool(house.run(house.books.outbox_pending()))
        house.run(worker.work())
        assert tries < 30
    assert tries == 20
    assert any(poison.key in message and "given up" in message for _, message in told)


def test_an_outage_of_the_sheets_kills_no_row(house):
    house.server.cut(10**6)
    house.apply(1)
    for _ in range(60):
        house.clock.advance_to(house.clock.now_ns() + 61 * NS_PER_S)
        house.run(house.hybrid.mirror.work())
    assert [row.attempts for row in house.run(house.books.outbox_pending())] == [0, 0]


def test_what_waits_survives_a_restart(house):
    house.server.cut(10**6)
    house.apply(1, 2)
    house.restart()
    house.server.heal()
    house.run(house.hybrid.mirror.drain())
    assert house.on_sheet() == [1, 2]


def test_the_mirror_rests_while_it_may_not_write(server, tmp_path):
    may = [False]
    house = House(server, tmp_path, mirror_may=lambda: may[0])
    house.apply(1)
    assert house.run(house.hybrid.mirror.work()) == 0
    may[0] = True
    assert house.run(house.hybrid.mirror.work()) == 2
    house.close()


def test_in_the_background_a_fill_reaches_the_sheets_without_being_asked(server, tmp_path):
    house = House(server, tmp_path, pace=MirrorPace(interval_s=30))

    async def lives():
        house.hybrid._tasks = [asyncio.create_task(house.hybrid.mirror.run())]
        await house.hybrid.apply_fill(fill(1))
        async with asyncio.timeout(10):
            while (await house.books.outbox_waiting())[0]:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)

    house.run(lives())
    assert house.on_sheet() == [1]
    house.close()


def test_the_age_is_that_of_the_oldest_row(house):
    house.apply(1)
    waiting, since = house.run(house.books.outbox_waiting())
    assert (waiting, house.clock.now_utc() - since < timedelta(seconds=1)) == (2, True)


def test_a_batch_that_the_server_refuses_is_written_row_by_row(house):
    house.apply(1)
    house.run(house.hybrid.mirror.drain())
    house.apply(2, 3)
    house.apply(4, symbol="000660")
    house.server.fail(400, 1, r"book:batchUpdate")
    house.server.fail(400, 1, r"values:batchUpdate")
    house.run(house.hybrid.mirror.drain())
    assert house.on_sheet() == [1, 2, 3, 4]
    assert {row.symbol: row.qty for row in house.run(house.hybrid.sheets.fetch_positions())} == {
        "005930": 30,
        "000660": 10,
    }


def test_a_mistake_in_the_books_reaches_the_caller_and_leaves_nobody_waiting(house):
    async def broken(fills, *, ack=None):
        raise KeyError("a mistake")

    house.books.books.apply_fills = broken
    with pytest.raises(KeyError):
        house.apply(1)
    del house.books.books.apply_fills
    assert house.apply(2) == ["INSERTED"]
    assert house.orders() == [1, 2]


def test_sheets_that_are_away_at_the_start_keep_nobody_from_starting_unless_they_are_read(house):
    house.stop()
    house.server.cut(10**6)
    house.open()
    assert house.apply(1) == ["INSERTED"]
    house.server.heal()
    house.run(house.hybrid.mirror.drain())
    assert house.on_sheet() == [1]
    house.stop()
    house.server.cut(10**6)
    with pytest.raises(SourceUnavailable):
        house.open(read_source="sheets")
    house.writer.close()
    house.server.heal()
    house.open()
