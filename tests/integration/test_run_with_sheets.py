"""Paper sessions whose fills go to a spreadsheet as well, and the operator's way from one to the other and back."""

import asyncio
import json
import sqlite3
import threading
from collections import Counter
from datetime import UTC, date, datetime
from functools import partial

import pytest
from tests.sheets_samples import make_book
from tests.sheets_server import SheetsServer

from qts._core import journal_records
from qts.cli import main
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.config import home_dir
from qts.data.sheets import SheetsSettings
from qts.engine import Engine
from qts.engine.build import load_config
from qts.engine.database import DatabaseDesk
from qts.engine.sheets import MigrationDesk

DAY = date(2026, 1, 5)
SMALL = {"sim.session.symbols": "005930, 000660"}
DAY_S = 86_400


class Calendar:
    """The machine's clock, set to a day of the test's choice: phases change on trading days only."""

    def __init__(self):
        self.day = date(2026, 1, 5)
        self._machine = SystemClock()
        self._start_ns = self._machine.monotonic_ns()

    def now_ns(self):
        evening = datetime(self.day.year, self.day.month, self.day.day, 9, tzinfo=UTC)  # 18:00 in Seoul
        return int(evening.timestamp()) * 10**9 + self._machine.monotonic_ns() - self._start_ns

    def now_utc(self):
        return datetime.fromtimestamp(self.now_ns() / 1e9, UTC)

    def monotonic_ns(self):
        return self._machine.monotonic_ns()

    def sleep_until(self, monotonic_ns):
        self._machine.sleep_until(monotonic_ns)


@pytest.fixture
def calendar(monkeypatch):
    clock = Calendar()
    monkeypatch.setattr("qts.engine.database.SystemClock", lambda: clock)
    return clock


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A spreadsheet that the environment of this test names."""
    with SheetsServer() as server:
        make_book(server)
        settings = partial(SheetsSettings, endpoint=server.endpoint)
        monkeypatch.setattr("qts.data.sheets.SheetsSettings", settings)
        monkeypatch.setenv("GOOGLE_SHEET_KEY", "book")
        monkeypatch.setenv("GOOGLE_CREDENTIALS_FILE", str(server.credentials(tmp_path)))
        monkeypatch.setenv("DATA_SOURCE_MODE", "HYBRID")
        monkeypatch.setenv("QTS_DATA__SHEETS__MIRROR_INTERVAL_S", "1")
        monkeypatch.setenv("QTS_DATA__SHEETS__QUOTA_PER_MIN", "1000")
        monkeypatch.setenv("QTS_DATA__CONSISTENCY__GATE_DAYS", "1")
        yield server


def run(*, most_fills=None, on_status=None, clock=None, flush_s=None, **options):
    """Run a session, to its end or until there are some fills: a whole one ends in WARNING, which freezes phases."""
    engine = Engine.from_config(load_config(None, SMALL), day=DAY, seed=3, home=home_dir(), clock=clock)

    if flush_s is not None:
        engine._store._flush_s = flush_s

    def watch(status):
        if most_fills is not None and status.fills >= most_fills:
            engine.request_stop()
        if on_status is not None:
            on_status(status)

    return asyncio.run(engine.run(on_status=watch, **options))


def db(capsys, *words, expected=0):
    """What a command of `qts-engine db` answered."""
    code = main(["db", *words, "--json"])
    out, error = capsys.readouterr()
    assert code == expected, (words, out, error)
    return json.loads(out) if out.strip() else error


def refused(capsys, *words, code=2):
    answered = main(["db", *words])
    out, error = capsys.readouterr()
    assert answered == code, (words, out, error)
    return error


def column(server, title, name):
    header, *rows = server.cells(title)
    place = header.index(name)
    return [row[place] for row in rows if len(row) > place and row[place] != ""]


def fills_of_journal():
    rows = [json.loads(payload) for _, _, kind, _, payload in journal_records(home_dir() / "journal") if kind == "FILL"]
    return [(row["fill"][6], row["fill"][8], row["fill"][9]) for row in rows]


def test_the_way_from_the_sheets_to_the_database_and_back(book, calendar, capsys):
    """Sessions are run in between, and every fill stands on both sides exactly once in the end."""
    db(capsys, "init")
    assert db(capsys, "status")["phase"] == 0
    assert "phase 0" in refused(capsys, "cutover", "--by", "kim")
    with run(most_fills=4, clock=calendar) as first:
        fills = first.report["fills"]
    assert fills > 0
    assert db(capsys, "migrate", "--by", "kim")["to"] == 1
    assert len(column(book, "T_Ledger", "fill_key")) == fills
    assert db(capsys, "migrate", "--by", "kim")["to"] == 2
    assert "1 in a row" in refused(capsys, "migrate", "--by", "kim"), "no trading day has been compared"
    calendar.day = date(2026, 1, 6)
    assert db(capsys, "verify") == {"ok": True, "differences": []}
    assert db(capsys, "migrate", "--by", "kim")["to"] == 3
    assert "db cutover" in refused(capsys, "migrate", "--by", "kim")
    assert "1 in a row" in refused(capsys, "cutover", "--by", "kim")
    calendar.day = date(2026, 1, 7)
    with run(most_fills=4, clock=calendar) as second:
        fills += second.report["fills"]
    assert db(capsys, "verify")["ok"]
    assert db(capsys, "cutover", "--by", "kim")["to"] == 4
    assert all(sheet.protected for title, sheet in book.book().sheets.items() if title in {"Position", "T_Ledger"})
    assert db(capsys, "cutover", "--by", "kim")["mode"] == "DB_ONLY"
    assert db(capsys, "rollback", "--by", "kim")["to"] == 2
    assert not any(sheet.protected for sheet in book.book().sheets.values())
    assert db(capsys, "rollback", "--by", "kim")["to"] == 1
    keys = column(book, "T_Ledger", "fill_key")
    assert len(keys) == len(set(keys)) == fills == len(fills_of_journal())
    assert set(column(book, "T_Ledger", "symbol")) == {"005930", "000660"}, "text, with its zeros"
    assert db(capsys, "verify")["ok"]


def test_fills_made_without_the_sheets_are_brought_by_the_way_back(book, calendar, capsys, monkeypatch):
    db(capsys, "init")
    for _ in range(2):
        db(capsys, "migrate", "--by", "kim")
    for day, word in ((6, "migrate"), (7, "cutover")):
        calendar.day = date(2026, 1, day)
        assert db(capsys, "verify")["ok"]
        db(capsys, word, "--by", "kim")
    db(capsys, "cutover", "--by", "kim")
    monkeypatch.setenv("DATA_SOURCE_MODE", "DB_ONLY")
    with run(most_fills=4, clock=calendar) as alone:
        fills = alone.report["fills"]
    assert column(book, "T_Ledger", "fill_key") == []
    assert db(capsys, "verify")["ok"], "sheets that are left behind are compared no more"
    assert db(capsys, "rollback", "--by", "kim")["to"] == 2
    assert len(set(column(book, "T_Ledger", "fill_key"))) == fills > 0
    monkeypatch.setenv("DATA_SOURCE_MODE", "HYBRID")
    assert db(capsys, "verify")["ok"]


def test_sheets_that_are_away_hold_nothing_up_and_lack_nothing_afterwards(book, capsys):
    db(capsys, "init")
    book.fail(503, times=10_000)
    with run() as result:
        fills = result.report["fills"]
    assert fills > 0
    assert column(book, "T_Ledger", "symbol") == []
    book.heal()
    assert db(capsys, "verify")["ok"]
    assert len(set(column(book, "T_Ledger", "fill_key"))) == fills


def test_a_comparison_while_the_engine_runs_doubles_no_row(book, capsys):
    """Two processes that bring the same rows to the sheets would both find them missing."""
    db(capsys, "init")
    book.latency_ms = (150, 250)
    answers = []

    def compare():
        try:
            answers.append(MigrationDesk(DatabaseDesk()).compare())
        except Exception as error:
            answers.append(error)

    threads = []

    def watch(status):
        if status.fills >= 2 and not any(thread.is_alive() for thread in threads) and len(threads) < 8:
            threads.append(threading.Thread(target=compare))
            threads[-1].start()

    with run(speed=3_000, on_status=watch):
        for thread in threads:
            thread.join(60)
    book.latency_ms = (0, 0)
    assert answers
    doubled = {key: times for key, times in Counter(column(book, "T_Ledger", "fill_key")).items() if times > 1}
    assert not doubled
    assert db(capsys, "verify")["ok"]


def test_nothing_is_switched_while_the_journal_holds_fills_that_are_not_booked(book, calendar, capsys):
    """The books were locked by somebody else until the session had failed: its last fills are in the journal only."""
    db(capsys, "init")
    for _ in range(2):
        db(capsys, "migrate", "--by", "kim")
    locks = []

    def lock(status):
        if status.fills >= 2 and not locks:
            locks.append(sqlite3.connect(home_dir() / "db" / "paper.sqlite", isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    with pytest.raises(EngineFault, match="journal"):
        run(most_fills=12, on_status=lock, clock=calendar, flush_s=0.5)
    locks[0].close()
    assert db(capsys, "status")["journal"]["waiting"] > 0
    for word in ("rollback", "migrate"):
        assert "in the journal" in refused(capsys, word, "--by", "kim", code=1)
    assert db(capsys, "status")["phase"] == 2
    with run(clock=calendar):  # brings what waits
        pass
    assert db(capsys, "rollback", "--by", "kim")["to"] == 1
    assert len(set(column(book, "T_Ledger", "fill_key"))) == len(fills_of_journal()) > 2


@pytest.mark.parametrize("fault", ["no key file", "no such sheet", "nonsense"])
def test_sheets_that_cannot_be_used_are_told_of_and_hold_nothing_up(fault, book, capsys, monkeypatch, tmp_path):
    db(capsys, "init")
    if fault == "no key file":
        monkeypatch.setenv("GOOGLE_CREDENTIALS_FILE", str(tmp_path / "nowhere.json"))
    elif fault == "no such sheet":
        with book.lock:
            gone = book.book().sheets.pop("T_Ledger")
    else:
        answer, book.answer = book.answer, lambda *_: {}
    with run() as result:
        fills = result.report["fills"]
    assert fills > 0
    code = main(["db", "verify"])
    out, error = capsys.readouterr()
    assert code in (1, 2), out
    assert "Traceback" not in error
    assert error.startswith("error")
    if fault == "no key file":
        monkeypatch.setenv("GOOGLE_CREDENTIALS_FILE", str(book.credentials(tmp_path)))
    elif fault == "no such sheet":
        book.book().sheets["T_Ledger"] = gone
    else:
        book.answer = answer
    assert db(capsys, "verify")["ok"]
    assert len(set(column(book, "T_Ledger", "fill_key"))) == fills


def test_no_phase_changes_under_an_engine_that_runs(book, calendar, capsys):
    db(capsys, "init")
    answers = []

    def ask(_):
        if not answers:
            answers.extend(refused(capsys, word, "--by", "kim") for word in ("migrate", "cutover", "rollback"))

    with run(most_fills=1, on_status=ask, clock=calendar):
        pass
    assert all("an engine" in answer for answer in answers), answers
    assert db(capsys, "migrate", "--by", "kim")["to"] == 1
