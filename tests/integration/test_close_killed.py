"""A close whose process is killed: wherever it dies, each effect is there once when the close is done.

Run as a program, this file closes one session again and again in copies of the same home. Each copy is killed by
SIGKILL at another place: at every file that is opened or renamed, at every transaction, and before and after the work
of each step. It is then killed a second time in the attempt after it, and run to its end.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from qts.clock import SimClock
from qts.codes import EngineFault
from qts.config import ConfigManager
from qts.instruments import CorporateActions, Dividend, Held, Split, load_calendars
from qts.ops.backup import BackupSource, backups, verify_backup
from qts.ops.close import (
    ORDER,
    BooksNow,
    CloseFiles,
    CloseStep,
    SettlementDesk,
    StepResult,
    StepState,
    Trade,
    backup_step,
    dividends_step,
    pending,
    reconcile_step,
    report_step,
    run_close,
    settle_step,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
FIRST, DAY = date(2024, 3, 19), date(2024, 3, 27)
CLOSE_NS = 1_711_524_600_000_000_000
"""2024-03-27 16:30 in Seoul."""

ACTIONS = CorporateActions(
    [
        Dividend("005930", date(2024, 3, 20), date(2024, 3, 21), DAY, 100, 1, 10_000_000),  # paid today
        Dividend("000660", date(2024, 3, 28), date(2024, 3, 29), date(2024, 4, 19), 50, 1, 0),  # owed from today on
    ],
    [Split("005930", 0, date(2024, 3, 28), 5, 1)],  # tomorrow
)
TRADES = {
    date(2024, 3, 25): [Trade("sale", date(2024, 3, 25), 700)],  # settled today
    DAY: [Trade("purchase", DAY, -300)],  # settled later
}


class Account:
    """Cash, holdings and a ledger in one database: an effect and its key are written in one transaction."""

    def __init__(self, home):
        (home / "books").mkdir(parents=True, exist_ok=True)
        self.path = home / "books" / "account.sqlite"
        with closing(self._open()) as db:
            db.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, amount INTEGER)")
            db.execute("CREATE TABLE IF NOT EXISTS held (symbol TEXT PRIMARY KEY, qty INTEGER)")
            db.execute("INSERT OR IGNORE INTO held VALUES ('005930', 10), ('000660', 4), ('cash', 1000)")

    def _open(self):
        return sqlite3.connect(self.path, isolation_level=None)

    def once(self, key, symbol, change):
        """Change a holding unless `key` is there; return whether it was changed."""
        point(self.path)
        with closing(self._open()) as db:
            db.execute("BEGIN IMMEDIATE")
            is_new = db.execute("INSERT OR IGNORE INTO done VALUES (?, 1)", (key,)).rowcount == 1
            if is_new:
                db.execute(f"UPDATE held SET qty = qty {change} WHERE symbol = ?", (symbol,))  # noqa: S608 - a constant
            point(self.path)
            db.execute("COMMIT")
        point(self.path)
        return is_new

    def held(self):
        with closing(self._open()) as db:
            return dict(db.execute("SELECT symbol, qty FROM held"))

    def done(self):
        with closing(self._open()) as db:
            return [key for (key,) in db.execute("SELECT key FROM done ORDER BY key")]

    # What the step of dividends and splits asks for

    def positions(self):
        return [Held(symbol, "SWING", qty) for symbol, qty in self.held().items() if symbol != "cash"]

    def pay(self, payment):
        self.once(payment.key, "cash", f"+ {payment.net}")

    def split(self, split):
        self.once(split.key, split.symbol, f"* {split.numerator} / {split.denominator}")


def point(path):
    """A place at which the process may be killed."""
    sys.audit("close.point", str(path))


def steps(home, calendar, clock):
    account = Account(home)

    def look():
        held = [row for row in account.positions() if row.qty]
        cash = account.held()["cash"]
        return BooksNow(held, cash, held, cash, [])

    def effect(name, change):
        def run(context):
            account.once(context.key, "cash", change)
            return StepResult(f"{name} done")

        return CloseStep(name, run)

    return [
        reconcile_step(look),
        settle_step(calendar, lambda day: TRADES.get(day, [])),
        dividends_step(ACTIONS, calendar, date(2024, 3, 18), account),
        report_step(lambda given: {"cash": account.held()["cash"]}),
        backup_step(BackupSource(home=home), home / "sets", clock),
        effect("capital", "+ 7"),
        effect("state_review", "+ 10000"),
    ]


def close(home, calendar, day=DAY):
    clock = SimClock(CLOSE_NS)
    chosen = steps(home, calendar, clock)
    if day != DAY:
        chosen = chosen[1:3]
    return run_close(home, "main", day, chosen, clock)


def killed(home, calendar, at):
    """Close in a process that dies at the `at`th place; return whether it got so far."""
    child = os.fork()
    if child == 0:
        left = at

        def hook(event, arguments):
            nonlocal left
            watched = event in {"open", "os.rename", "os.mkdir", "os.remove", "close.point"}
            if watched and arguments and str(home) in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        status = 1
        try:
            status = 0 if close(home, calendar).failed is None else 2
        finally:
            os._exit(status)
    _, code = os.waitpid(child, 0)
    if os.WIFSIGNALED(code):
        return True
    if os.WEXITSTATUS(code) != 0:
        raise SystemExit(f"the close failed at place {at}")
    return False


def found(home, calendar):
    """What there is after the close, in a form that can be compared."""
    record = CloseFiles(home, "main").load(DAY)
    account = Account(home)
    return {
        "finished": record.is_finished,
        "states": [step.state.value for step in record.steps],
        "held": account.held(),
        "done": account.done(),
        "waiting": [row.trade.key for row in SettlementDesk(home, "main", calendar).ledger.waiting()],
        "book": json.loads((home / "state/close/main/actions/book.json").read_bytes())["body"],
        "report": (home / "reports/close/main/2024-03-27.json").read_text(),
        "sets": [verify_backup(one.path).is_good for one in backups(home / "sets")],
    }


def under_way(home):
    """The step that is under way by the record; "between" if none is, "before" if there is no record."""
    record = CloseFiles(home, "main").load(DAY)
    if record is None:
        return "before"
    return next((step.name for step in record.steps if step.state is StepState.RUNNING), "between")


def drive(place):
    calendar = load_calendars(ConfigManager().load().reference)["XKRX"]
    template = place / "template"
    for session in calendar.sessions(FIRST, date(2024, 3, 26)):
        assert close(template, calendar, session.date).failed is None
    home, at, died = place / "home", 1, True
    while died:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)
        died = killed(home, calendar, at)
        where = under_way(home) if died else "done"
        if died:
            killed(home, calendar, 3 + at % 7)  # the attempt after it dies early
            close(home, calendar)
        sys.stdout.write(json.dumps({"at": at, "where": where, "found": found(home, calendar)}) + "\n")
        at += 5 if where == "backup" else 1  # what a backup does at each of its files is a test of its own


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("close")
    done = subprocess.run(
        [sys.executable, __file__, place], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], place


def test_wherever_it_is_killed_everything_is_there_once(runs):
    rows, _ = runs
    whole = rows[-1]["found"]
    assert rows[-1]["where"] == "done"
    assert whole["finished"]
    assert whole["states"] == ["DONE"] * len(ORDER)
    assert whole["held"] == {"005930": 50, "000660": 4, "cash": 1_000 + 900 + 7 + 10_000}
    assert whole["done"] == [
        "close:main:2024-03-27:capital",
        "close:main:2024-03-27:state_review",
        "dividend:005930:2024-03-21:SWING",
        "split:005930:2024-03-28",
    ]
    assert whole["waiting"] == ["purchase"]
    assert [row["dividend"]["symbol"] for row in whole["book"]["dividends"]["owed"]] == ["000660"]
    assert whole["sets"] == [True]
    assert [row for row in rows if row["found"] != whole] == []


def test_it_was_killed_inside_every_step_and_between_them(runs):
    rows, _ = runs
    places = {}
    for row in rows:
        places[row["where"]] = places.get(row["where"], 0) + 1
    assert set(places) == {*ORDER, "before", "between", "done"}
    assert places["between"] >= 2 * len(ORDER)
    assert all(places[name] >= 2 for name in ORDER)


def test_a_session_that_a_dead_process_left_is_pending_at_the_next_start(runs, tmp_path):
    _, place = runs
    calendar = load_calendars(ConfigManager().load().reference)["XKRX"]
    home = tmp_path / "home"
    shutil.copytree(place / "template", home)
    now = SimClock(CLOSE_NS).now_utc()
    assert pending(home, "main", calendar, now) == (DAY,)
    assert killed(home, calendar, 40)
    assert pending(home, "main", calendar, now) == (DAY,)
    close(home, calendar)
    assert pending(home, "main", calendar, now) == ()


def test_a_fault_in_the_account_leaves_the_record_and_the_account_as_they_were(runs, tmp_path, monkeypatch):
    _, place = runs
    calendar = load_calendars(ConfigManager().load().reference)["XKRX"]
    home = tmp_path / "home"
    shutil.copytree(place / "template", home)

    def refuse(account, payment):
        raise EngineFault("FS086", found="the ledger takes nothing")

    with monkeypatch.context() as patch:
        patch.setattr(Account, "pay", refuse)
        outcome = close(home, calendar)
    assert (outcome.failed.name, outcome.failed.code) == ("dividends", "FS086")
    assert Account(home).done() == []
    assert close(home, calendar).failed is None
    assert Account(home).held()["cash"] == 11_907


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
