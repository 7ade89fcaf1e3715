"""From sheets to a database and back: nothing is switched unless everything agrees, and nothing is lost on the way."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest

from qts._core import JournalWriter
from qts.clock import NS_PER_S, SimClock
from qts.codes import UsageError
from qts.data.exceptions import DataConsistencyError, RowInvalid, SourceUnavailable
from qts.data.hybrid import FillJournal, MirrorWorker
from qts.data.migration import Consistency, ConsistencyMonitor, MarketState, Migration, export, gate
from qts.data.records import JournalAck
from qts.data.sheets import SheetsMirror
from qts.data.sqlite.adapter import SQLiteAdapter

from ...sheets_samples import CONFIG_HEADER, HEADERS, LEDGER_HEADER, POSITION_HEADER, START_NS, make_book, sheets
from ...sheets_server import OPERATOR, SheetsServer
from .contract.samples import FROM, HYNIX, KRW, SAMSUNG, TO, bar, fill

DAY_NS = 86_400 * NS_PER_S
QUIET = MarketState(market_open=False, safety="NORMAL")
ROW = ["2024-01-02T09:00:00+09:00", "005930", "BUY", "10", "70000", "700000", "105", "EMA"]


class House:
    """A database, a spreadsheet and what moves between them."""

    def __init__(self, server, path):
        self.server = server
        self.clock = SimClock(START_NS)
        self.runner = asyncio.Runner()
        self.told = []
        self.sheets = sheets(server, path, clock=self.clock, settings={"max_retries": 0})
        self.db = SQLiteAdapter(path / "qts.sqlite", self.clock, mirror=True)
        self.writer = JournalWriter(path / "journal", sync=False)
        self.journal = FillJournal(self.writer, path / "journal")
        self.broker = {}
        for part in (self.sheets, self.db):
            self.run(part.open())
            self.run(part.register([KRW], [SAMSUNG, HYNIX]))
        self.migration = Migration(
            self.db,
            self.sheets,
            self.clock,
            session_date=lambda moment: moment.date(),
            journal=self.journal,
            gate_days=3,
        )
        self.checks = Consistency(self.db, self.sheets, self.clock, broker=self.holdings)
        self.worker = MirrorWorker(self.db, SheetsMirror(self.sheets), self.clock, print)
        self.monitor = ConsistencyMonitor(
            self.checks, self.db, self.clock, lambda *one: self.told.append(one), drain=self.worker.drain
        )
        self.days = []

    async def holdings(self):
        return self.broker

    def run(self, call):
        return self.runner.run(call)

    def close(self):
        for part in (self.sheets, self.db):
            self.run(part.close())
        self.writer.close()
        self.runner.close()

    def book(self, *fills):
        for one in fills:
            self.run(self.db.apply_fill(one))

    def check(self, scope):
        return self.run(self.checks.check(scope))

    def minutes(self, count):
        self.clock.advance_to(self.clock.now_ns() + count * 60 * NS_PER_S)

    def trading_day(self):
        self.clock.advance_to(self.clock.now_ns() + DAY_NS)
        self.run(self.worker.drain())
        self.run(self.monitor.run(("C1", "C2", "C3")))
        self.days.append(self.clock.now_utc().date())

    def world(self, **changes):
        return MarketState(**{"market_open": False, "safety": "NORMAL", "sessions": tuple(self.days), **changes})

    def advance(self, times=1, **changes):
        return [self.run(self.migration.advance("kim", self.world(**changes))) for _ in range(times)][-1]

    def rollback(self, **changes):
        return self.run(self.migration.rollback("kim", self.world(**changes)))

    def to_phase(self, phase):
        self.run(self.migration.begin("kim", fresh=False))
        for number in range(phase):
            if number in (2, 3):
                for _ in range(3):
                    self.trading_day()
            self.advance()

    def phase(self):
        state = self.run(self.migration.status())
        return state.phase, state.mode, state.read_source

    def keys(self):
        db = [one.fill.fill_key for one in self.run(self.db.fetch_ledger(FROM, TO))]
        return db, list(self.run(self.sheets.ledger()))


@pytest.fixture
def server():
    with SheetsServer() as running:
        make_book(running)
        running.fill("Strategy", [HEADERS["Strategy"], ["fast", "012", "", "ema"]])
        running.fill("Config_Scalp", [CONFIG_HEADER, ["A", "B", "limit", "5", "", "TUNABLE"]])
        running.fill("T_Ledger", [LEDGER_HEADER, ROW])
        running.fill("Position", [POSITION_HEADER, ["005930", "10", "70000"], ["000660", "3", "120000"]])
        yield running


@pytest.fixture
def house(server, tmp_path):
    made = House(server, tmp_path)
    yield made
    made.close()


# Comparisons


def test_books_that_agree_agree_everywhere(house):
    house.to_phase(2)
    house.book(fill(1), fill(2, "SELL", 4), fill(3, symbol="000660"))
    house.run(house.worker.drain())
    house.broker = {"005930": Decimal(16), "000660": Decimal(13)}
    for scope in ("C1", "C2", "C3", "C4", "C5", "C6", "C7"):
        result = house.check(scope)
        assert result.clean, result
        assert result.match_pct == 100
    assert house.check("C1").compared == 4


@pytest.mark.parametrize(
    ("change", "scopes"),
    [
        (lambda h: edit(h, "Position", 1, "qty", "11"), {"C1"}),
        (lambda h: edit(h, "Position", 1, "avg_price", "70000.0001"), {"C1"}),
        (lambda h: drop(h, "Position", 1), {"C1"}),
        (lambda h: drop(h, "T_Ledger", 1), {"C2", "C3"}),
        (lambda h: edit(h, "T_Ledger", 1, "qty", "9"), {"C3"}),
        (lambda h: edit(h, "T_Ledger", 1, "fee", "106"), {"C3"}),
        (lambda h: edit(h, "Strategy", 1, "value", "12"), {"C6"}),
        (lambda h: edit(h, "Config_Scalp", 1, "VALUE", "6"), {"C6"}),
        (lambda h: drop(h, "Config_Scalp", 1), {"C6"}),
        (lambda h: h.run(h.sheets.store_ohlcv([bar(1)])), {"C7"}),
        (lambda h: h.run(h.db.store_ohlcv([bar(1)])), {"C7"}),
        (lambda h: h.book(fill(9, symbol="000660")), {"C1", "C2", "C3", "C5"}),
        (lambda h: h.run(h.db.write("strategies", {"strategy_id": "x", "param_name": "y", "value": "z"})), {"C6"}),
        (lambda h: h.broker.update({"005930": Decimal(9)}), {"C5"}),
    ],
)  # fmt: skip
def test_every_difference_is_found_on_whichever_side_it_is(house, change, scopes):
    house.to_phase(1)
    house.broker = {"005930": Decimal(10), "000660": Decimal(3)}
    change(house)
    found = {scope for scope in ("C1", "C2", "C3", "C4", "C5", "C6", "C7") if not house.check(scope).clean}
    assert found == scopes


def edit(house, sheet, row, column, value):
    cells = house.server.cells(sheet)
    cells[row][cells[0].index(column)] = value
    house.server.fill(sheet, cells)


def drop(house, sheet, row):
    cells = house.server.cells(sheet)
    house.server.fill(sheet, [line for number, line in enumerate(cells) if number != row])


def test_a_row_on_its_way_is_no_mismatch(house):
    house.to_phase(2)
    house.book(fill(1))
    (result,) = house.run(house.monitor.run(["C2"]))
    assert result.clean
    (report,) = house.run(house.db.read("consistency_reports"))
    assert (report["scope"], report["match_pct"], report["compared"]) == ("C2", 100, 3)


@pytest.mark.parametrize(("column", "code"), [("qty", "FS124"), ("avg_price", "GR109")])
def test_a_mismatch_is_told_when_it_has_lasted_a_quarter_of_an_hour(house, column, code):
    house.to_phase(1)
    edit(house, "Position", 1, column, "71000")
    for minutes, told in ((0, []), (14, []), (1, [code]), (5, [code])):
        house.minutes(minutes)
        house.clock.advance_to(house.clock.now_ns() + 1_000)
        house.run(house.monitor.run(["C1"]))
        assert [one for one, _ in house.told] == told
    edit(house, "Position", 1, column, "10" if column == "qty" else "70000")
    house.minutes(1)
    house.run(house.monitor.run(["C1"]))
    assert len(house.told) == 1


def test_nothing_is_recorded_of_a_side_that_does_not_answer(house):
    house.to_phase(1)
    house.server.cut(99)
    with pytest.raises(SourceUnavailable):
        house.run(house.monitor.run(["C1"]))
    assert house.run(house.db.read("consistency_reports")) == []


def reports(*days):
    """Reports of three scopes a day; a percentage of 0 leaves the day out."""
    start = date(2024, 1, 1)
    return [
        {"scope": scope, "match_pct": Decimal(pct), "started_at": start + timedelta(days=number)}
        for number, pct in enumerate(days)
        for scope in ("C1", "C2", "C3")
        if pct
    ]


@pytest.mark.parametrize(
    ("days", "count", "passed"),
    [
        ([100] * 10, 10, True),
        ([100] * 9, 9, False),
        ([99, *[100] * 10], 10, True),
        ([*[100] * 10, "99.9999"], 0, False),
        ([*[100] * 5, "99.9999", *[100] * 9], 9, False),
        ([*[100] * 5, 0, *[100] * 9], 9, False),
        ([], 0, False),
    ],
)
def test_the_gate_counts_days_in_a_row(days, count, passed):
    sessions = [date(2024, 1, 1) + timedelta(days=number) for number in range(len(days))]
    result = gate(reports(*days), sessions, lambda moment: moment)
    assert (result.days, result.passed) == (count, passed)


# Phases


def test_the_whole_way_there(house):
    house.run(house.migration.begin("kim", fresh=False))
    assert house.phase() == (0, "SHEETS_ONLY", "sheets")
    change = house.advance()
    assert house.phase() == (1, "SHEETS_ONLY", "sheets")
    assert any("1 fills and 1 opening positions" in step for step in change.steps)
    db, on_sheet = house.keys()
    assert sorted(db) == sorted(on_sheet)
    assert len(db) == 2
    assert [(row.symbol, row.qty) for row in house.run(house.db.fetch_positions())] == [("000660", 3), ("005930", 10)]
    assert house.run(house.db.read("strategies"))[0]["value"] == "012"
    house.advance()
    assert house.phase() == (2, "HYBRID", "sheets")
    with pytest.raises(UsageError, match="0 trading days"):
        house.advance()
    house.book(fill(1))
    for _ in range(3):
        house.trading_day()
    house.advance()
    assert house.phase() == (3, "HYBRID", "db")
    with pytest.raises(UsageError, match="0 trading days"):
        house.advance()
    for _ in range(3):
        house.trading_day()
    house.advance()
    assert house.phase() == (4, "HYBRID", "db")
    assert house.sheets.book.protected("Position")
    house.book(fill(2))
    house.run(house.worker.drain())  # the view goes on
    house.advance()
    assert house.phase() == (5, "DB_ONLY", "db")
    with pytest.raises(UsageError, match="the last"):
        house.advance()
    assert len(house.run(house.db.read("migration_state"))) == 6


def test_a_new_installation_starts_at_the_end(house):
    change = house.run(house.migration.begin("kim", fresh=True))
    assert (change.before, change.after.mode) == (None, "DB_ONLY")
    with pytest.raises(UsageError):
        house.run(house.migration.begin("kim", fresh=True))


def test_the_load_can_be_repeated(house):
    house.to_phase(1)
    before = house.keys(), house.server.cells("T_Ledger"), house.run(house.db.fetch_positions(include_closed=True))
    house.advance()
    after = house.keys(), house.server.cells("T_Ledger"), house.run(house.db.fetch_positions(include_closed=True))
    assert after == before


def nothing_changed(house):
    assert house.run(house.db.fetch_ledger(FROM, TO)) == []
    assert house.run(house.db.fetch_positions(include_closed=True)) == []
    assert house.phase()[0] == 0


@pytest.mark.parametrize(
    ("sheet", "rows", "error", "told"),
    [
        ("Position", [POSITION_HEADER, ["005930", "11", "70000"]], DataConsistencyError, "adds up to 10"),
        ("Position", [POSITION_HEADER, ["005930", "10", "69999"]], DataConsistencyError, "adds up to 10"),
        ("Position", [POSITION_HEADER], DataConsistencyError, "lacks"),
        ("Position", [POSITION_HEADER, [5930, "10", "70000"]], RowInvalid, "plain text"),
        ("Position", [POSITION_HEADER, ["035720", "10", "70000"]], RowInvalid, "035720"),
        ("T_Ledger", [LEDGER_HEADER, [*ROW[:2], "SELL", *ROW[3:]]], DataConsistencyError, "sells more"),
        ("T_Ledger", [LEDGER_HEADER, ROW, [*ROW[:4], "NaN"]], RowInvalid, "price"),
        ("T_Ledger", [LEDGER_HEADER, ROW, [*ROW[:4], "70000.5"]], RowInvalid, "70000.5"),
    ],
)
def test_sheets_that_contradict_themselves_are_not_loaded_not_even_in_part(house, sheet, rows, error, told):
    house.run(house.migration.begin("kim", fresh=False))
    house.server.fill(sheet, rows)
    before = house.server.cells("T_Ledger"), house.server.cells("Position")
    with pytest.raises(error, match=told):
        house.advance()
    nothing_changed(house)
    assert (house.server.cells("T_Ledger"), house.server.cells("Position")) == before


def test_a_load_that_breaks_off_leaves_the_sheets_whole_and_goes_on_later(house):
    house.run(house.migration.begin("kim", fresh=False))
    for after in range(0, 40, 3):
        house.server.fail(500, 1, "", after=after)
        try:
            house.advance()
        except SourceUnavailable:
            house.server.heal()
            assert house.phase()[0] == 0
            assert [row[:8] for row in house.server.cells("T_Ledger")][1] == ROW
        else:
            break
    house.server.heal()
    if house.phase()[0] == 0:
        house.advance()
    db, on_sheet = house.keys()
    assert sorted(db) == sorted(on_sheet)
    assert len(db) == 2


@pytest.mark.parametrize(
    ("world", "told"),
    [({"market_open": True}, "open market"), ({"safety": "WARNING"}, "WARNING"), ({"safety": "FAIL"}, "FAIL")],
)
def test_phases_advance_in_quiet_only(house, world, told):
    house.run(house.migration.begin("kim", fresh=False))
    with pytest.raises(UsageError, match=told):
        house.advance(**world)
    nothing_changed(house)


@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_the_way_back_loses_nothing(house, phase, tmp_path):
    house.to_phase(phase)
    house.book(fill(1), fill(2, "SELL", 4, symbol="005930"), fill(3, pool_id="SWING"))
    if phase == 5:  # nobody mirrors any more: what waits is brought by the export
        drop(house, "T_Ledger", 2)
    change = house.rollback()
    assert house.phase() == ((1, "SHEETS_ONLY", "sheets") if phase == 2 else (2, "HYBRID", "sheets"))
    db, on_sheet = house.keys()
    assert sorted(db) == sorted(on_sheet)
    assert len(db) == 5
    assert not house.sheets.book.protected("Position")
    assert change.steps[-1].startswith("phase")
    person = sheets(house.server, tmp_path)
    person._client._settings = person._client._settings._replace(
        credentials_file=house.server.credentials(tmp_path, OPERATOR)
    )
    house.run(person.open())
    house.run(person.register([KRW], [SAMSUNG]))
    result = house.run(person.apply_fill(fill(4)))  # the sheets alone can go on: positions continue where they were
    before = house.run(house.db.get_position("005930", "SCALP"))
    assert (result.status, result.position.qty) == ("INSERTED", before.qty + 10)
    assert result.position.version == before.version + 1
    house.run(person.close())


def test_forth_and_back_and_forth(house):
    house.to_phase(2)
    house.book(fill(1))
    house.rollback()
    house.run(house.sheets.apply_fill(fill(2)))  # booked on the sheets alone
    house.advance()
    assert house.phase() == (2, "HYBRID", "sheets")
    db, on_sheet = house.keys()
    assert db == on_sheet or sorted(db) == sorted(on_sheet)
    assert fill(2).fill_key in db
    assert house.run(house.db.get_position("005930", "SCALP")).qty == 20


@pytest.mark.parametrize(
    ("world", "told"), [({"market_open": True}, "open market"), ({"safety": "LOCKDOWN"}, "LOCKDOWN")]
)
def test_the_way_back_is_closed_while_the_market_is_open(house, world, told):
    house.to_phase(2)
    with pytest.raises(UsageError, match=told):
        house.rollback(**world)
    assert house.phase()[0] == 2


def test_with_safety_fail_the_way_back_is_open_during_the_market(house):
    house.to_phase(2)
    house.rollback(market_open=True, safety="FAIL")
    assert house.phase()[0] == 1


def test_nothing_is_switched_while_rows_wait_for_the_sheets(house):
    house.to_phase(3)
    house.book(fill(1))
    house.server.fail(500, 10**6, "POST")
    with pytest.raises(SourceUnavailable, match="wait for the sheets"):
        house.rollback()
    assert house.phase()[0] == 3
    house.server.heal()
    house.rollback()
    assert house.phase()[0] == 2


def test_nothing_is_switched_while_the_books_differ(house):
    house.to_phase(3)
    edit(house, "Position", 1, "qty", "11")
    with pytest.raises(UsageError, match="C1"):
        house.rollback()
    assert house.phase()[0] == 3


def test_nothing_is_switched_while_the_journal_knows_more(house):
    from qts.data.hybrid.codec import encode
    from qts.data.records import LedgerEntry

    house.to_phase(2)
    seq = house.writer.append("FILL", encode(LedgerEntry(entry_type="FILL", fill=fill(1))))
    with pytest.raises(SourceUnavailable, match="1 fills in the journal"):
        house.rollback()
    house.run(house.db.apply_fills([fill(1)], ack=JournalAck("engine", seq)))
    house.rollback()
    assert house.run(house.sheets.journal_ack("engine")) == seq


def test_an_export_can_be_repeated(house):
    house.to_phase(2)
    house.book(fill(1))
    house.run(export(house.db, house.sheets))
    before = house.server.cells("T_Ledger"), house.server.cells("Position")
    house.run(export(house.db, house.sheets))
    assert (house.server.cells("T_Ledger"), house.server.cells("Position")) == before
