"""The steps of a close: what each finds, does, and does not do twice."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from qts.clock import SimClock, to_ns
from qts.codes import EngineFault
from qts.config import ConfigManager
from qts.data import CurrencyRow, Difference, FillRow, InstrumentRow, SessionRow, SQLiteStore
from qts.instruments import CorporateActions, Dividend, Held, Split, load_calendars
from qts.ops.backup import BackupSource, backups, verify_backup
from qts.ops.close import (
    ActionsDesk,
    BooksNow,
    BrokerBooks,
    CloseContext,
    CloseStatus,
    CloseStep,
    SettlementDesk,
    StepResult,
    Trade,
    backup_step,
    broker_differences,
    dividends_step,
    internal_differences,
    reconcile_step,
    report_step,
    run_close,
    run_simulated,
    settle_step,
    stale_marks,
    trades_of,
)

BEFORE, EX, RECORD, PAY = date(2024, 3, 27), date(2024, 3, 28), date(2024, 3, 29), date(2024, 4, 19)
HALF_PAST_FOUR = datetime(2024, 3, 27, 7, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


@pytest.fixture(scope="module")
def krx():
    return load_calendars(ConfigManager().load().reference)["XKRX"]


@pytest.fixture
def clock():
    return SimClock(to_ns(HALF_PAST_FOUR))


def context(home, day=BEFORE, **more):
    given = {
        "home": home,
        "account": "main",
        "day": day,
        "key": f"close:main:{day}",
        "attempt": 1,
        "now": HALF_PAST_FOUR,
        "since": HALF_PAST_FOUR,
        "is_catch_up": False,
        "results": {},
    }
    return CloseContext(**given | more)


# Reconcile


def books(**more):
    held = [Held("005930", "SCALP", 10), Held("005930", "SWING", 5), Held("000660", "SWING", 3)]
    given = {
        "core": held,
        "core_cash": 1_000_000,
        "ledger": [*held[::-1], Held("035720", "SWING", 0)],
        "ledger_cash": 1_000_000,
        "differences": [],
        "pools_cash": 1_000_000,
        "broker": BrokerBooks({"005930": 15, "000660": 3}, 1_000_500),
    }
    return BooksNow(**given | more)


def test_books_that_agree_pass_and_say_what_was_compared(tmp_path):
    result = reconcile_step(books).run(context(tmp_path))
    assert (result.detail, result.values) == ("3 holdings and the cash agree", {"holdings": "3", "cash": "1000000"})


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            {"ledger": [Held("005930", "SCALP", 15), Held("000660", "SWING", 3)]},
            "FS070",
            "005930/SCALP: 10 in the engine, 15",
        ),
        ({"core": []}, "FS070", "000660/SWING: 0 in the engine, 3 in the ledger"),
        ({"ledger_cash": 999_999}, "FS070", "cash: 1000000 in the engine, 999999 in the ledger"),
        ({"pools_cash": 1_000_001}, "FS070", "1000000 of the account, 1000001 of its pools"),
        ({"differences": [Difference("main", "SWING", "005930", "qty", 5, 6)]}, "FS070", "qty of 005930"),
        ({"broker": BrokerBooks({"005930": 16, "000660": 3}, 1_000_000)}, "FS071", "005930: 15 over all tracks, 16"),
        ({"broker": BrokerBooks({"005930": 15}, 1_000_000)}, "FS071", "000660: 3 over all tracks, 0 at the broker"),
        ({"broker": BrokerBooks({"005930": 15, "000660": 3}, 1_001_001)}, "FS071", "1001001 at the broker, tolerance"),
    ],
)
def test_a_difference_stops_the_close_with_its_code(tmp_path, clock, change, code, words):
    ran = []
    later = CloseStep("settle", lambda given: ran.append(given) or StepResult("done"))
    outcome = run_close(tmp_path, "main", BEFORE, [reconcile_step(lambda: books(**change)), later], clock)
    assert (outcome.status, outcome.failed.code) == (CloseStatus.FAILED, code)
    assert words in outcome.failed.message
    assert ran == []


def test_cash_may_differ_from_the_brokers_by_a_thousand_or_a_ten_thousandth():
    rich = {"core_cash": 10**9, "broker": BrokerBooks({"005930": 15, "000660": 3}, 10**9 + 100_000)}
    assert broker_differences(books(**rich)) == []
    assert broker_differences(books(broker=None)) == []
    assert internal_differences(books(pools_cash=None)) == []


def test_the_ledger_of_a_store_is_compared_as_it_is(tmp_path):
    """A real store: what it derives again from its fills is what the step sees."""
    fill = FillRow(
        *("2024-03-27", 1, "1", 1_000, 900, "d1", "005930", "SCALP", "BUY"),
        *(10, 70_000, 700_000, 105, 0, 10, "cross", "ema"),
    )
    with SQLiteStore(tmp_path / "paper.sqlite") as store:
        store.register([CurrencyRow("KRW", 0)], [InstrumentRow("005930", "Samsung", "KRW", 0, 0, 0)])
        store.begin_session(SessionRow("run", "SIM", "ema", "sim", "main", "KRW", 1_000_000, 1, "cafe"))
        store.record_fill(fill)

        def look(core_qty=10):
            held = [Held(row.symbol, row.track, row.qty) for row in store.positions()]
            cash = 1_000_000 + sum(trade.amount for trade in trades_of(store.iter_fills()))
            core = [Held("005930", "SCALP", core_qty)]
            return BooksNow(core, 299_895, held, cash, store.verify())

        assert reconcile_step(look).run(context(tmp_path)).values["holdings"] == "1"
        with pytest.raises(EngineFault):
            reconcile_step(lambda: look(9)).run(context(tmp_path))


# Settle


def test_trades_are_settled_over_days_and_a_second_run_of_a_day_changes_nothing(tmp_path, krx):
    trades = {BEFORE: [Trade("a", BEFORE, 700), Trade("b", BEFORE, -200)], EX: [Trade("c", EX, 50)]}
    step = settle_step(krx, lambda day: trades.get(day, []))
    path = tmp_path / "state" / "close" / "main" / "settlement" / "ledger.json"
    for day, settled, unsettled in ((BEFORE, 0, 500), (EX, 0, 550), (RECORD, 500, 50), (date(2024, 4, 1), 50, 0)):
        result = step.run(context(tmp_path, day))
        assert (result.values["settled"], result.values["unsettled"]) == (str(settled), str(unsettled))
        written = path.read_bytes()
        assert step.run(context(tmp_path, day, attempt=2)) == result
        assert path.read_bytes() == written
    assert SettlementDesk(tmp_path, "main", krx).ledger.waiting() == []


def test_a_settlement_that_was_altered_is_told_and_left_alone(tmp_path, krx):
    step = settle_step(krx, lambda day: [Trade("a", day, 700)])
    step.run(context(tmp_path))
    path = tmp_path / "state" / "close" / "main" / "settlement" / "ledger.json"
    path.write_bytes(path.read_bytes().replace(b"700", b"999"))
    altered = path.read_bytes()
    with pytest.raises(EngineFault) as caught:
        step.run(context(tmp_path, EX))
    assert (caught.value.code, path.read_bytes()) == ("FS126", altered)


# Dividends and splits


class Ports:
    """An account whose ledger knows what it has done by its key."""

    def __init__(self, **held):
        self.held = held
        self.done = {}
        self.calls = []

    def positions(self):
        return [Held("005930", track, qty) for track, qty in self.held.items()]

    def pay(self, payment):
        self.calls.append(payment.key)
        self.done.setdefault(payment.key, payment.net)

    def split(self, split):
        self.calls.append(split.key)
        if split.key not in self.done:
            self.done[split.key] = 0
            self.held = {track: qty * split.numerator // split.denominator for track, qty in self.held.items()}


def actions(*, splits=()):
    return CorporateActions([Dividend("005930", EX, RECORD, PAY, 361, 1, 15_400_000)], splits)


def test_dividends_are_recorded_paid_once_and_a_split_does_not_change_who_is_owed(tmp_path, krx):
    ports = Ports(SWING=100)
    step = dividends_step(actions(splits=[Split("005930", 0, EX, 50, 1)]), krx, date(2024, 3, 4), ports)
    first = step.run(context(tmp_path))
    assert first.detail == "0 dividends paid, 1 recorded, 1 splits"
    assert ports.held == {"SWING": 5_000}
    again = step.run(context(tmp_path, attempt=2))
    assert (again, ports.held) == (first, {"SWING": 5_000})
    ports.held = {}
    paid = step.run(context(tmp_path, PAY))
    assert paid.values == {"net": "30541", "tax": "5559"}
    step.run(context(tmp_path, PAY, attempt=2))
    assert ports.calls == ["split:005930:2024-03-28", "dividend:005930:2024-03-29:SWING"]


def test_a_payment_that_fails_is_tried_again_with_its_key(tmp_path, krx, clock):
    ports = Ports(SWING=100)
    step = dividends_step(actions(), krx, date(2024, 3, 4), ports)
    run_close(tmp_path, "main", BEFORE, [step], clock)
    book, ports.pay = ports.pay, lambda payment: (_ for _ in ()).throw(EngineFault("FS086", found="disk full"))
    failed = run_close(tmp_path, "main", PAY, [step], clock)
    assert failed.failed.code == "FS086"
    assert len(ActionsDesk(tmp_path, "main", actions(), krx, date(2024, 3, 4)).dividends.waiting(PAY)) == 1
    ports.pay = book
    assert run_close(tmp_path, "main", PAY, [step], clock).status is CloseStatus.DONE
    assert ports.done == {"dividend:005930:2024-03-29:SWING": 30_541}


def test_a_split_that_fails_is_tried_again_and_who_is_owed_stands(tmp_path, krx, clock):
    ports = Ports(SWING=100)
    step = dividends_step(actions(splits=[Split("005930", 0, EX, 1, 10)]), krx, date(2024, 3, 4), ports)
    split, ports.split = ports.split, lambda row: (_ for _ in ()).throw(EngineFault("FS053", found="lost"))
    assert run_close(tmp_path, "main", BEFORE, [step], clock).failed.code == "FS053"
    ports.split = split
    assert run_close(tmp_path, "main", BEFORE, [step], clock).status is CloseStatus.DONE
    assert ports.held == {"SWING": 10}
    [owed] = ActionsDesk(tmp_path, "main", actions(), krx, date(2024, 3, 4)).dividends.owed()
    assert owed.holdings == (("SWING", 100),)


def test_a_dividend_that_came_late_is_told_to_the_operator(tmp_path, krx, clock):
    ports = Ports(SWING=100)
    run_close(tmp_path, "main", BEFORE, [dividends_step(CorporateActions(), krx, date(2024, 3, 4), ports)], clock)
    outcome = run_close(tmp_path, "main", EX, [dividends_step(actions(), krx, date(2024, 3, 4), ports)], clock)
    [(code, words)] = outcome.reports
    assert code == "FS127"
    assert words.startswith("005930: the dividend of 2024-03-28 came after its ex-date")


# Report


def test_a_report_has_what_was_done_and_is_the_same_to_the_byte(tmp_path, clock):
    settle = CloseStep("settle", lambda given: StepResult("2 settled", {"settled": "500"}))
    step = report_step(lambda given: {"result": "17", "reports": [("GR108", "old")]})
    outcome = run_close(tmp_path, "main", BEFORE, [settle, step], clock)
    path = tmp_path / "reports" / "close" / "main" / "2024-03-27.json"
    document = json.loads(path.read_bytes())
    assert document["steps"]["settle"] == {"detail": "2 settled", "values": {"settled": "500"}, "reports": []}
    assert (document["result"], document["day"]) == ("17", "2024-03-27")
    assert outcome.reports == (("GR108", "old"),)
    written = path.read_bytes()
    results = {"settle": outcome.record.steps[0].result}
    step.run(context(tmp_path, attempt=2, results=results))
    assert path.read_bytes() == written


# Backup


def test_a_backup_is_made_verified_and_not_made_again(tmp_path, clock):
    home, root = tmp_path / "home", tmp_path / "sets"
    home.mkdir()
    step = backup_step(BackupSource(home=home), root, clock)
    first = step.run(context(home))
    [made] = backups(root)
    assert made.is_verified
    assert verify_backup(made.path).is_good
    clock.advance_to(clock.now_ns() + 60_000_000_000)
    again = step.run(context(home, attempt=2))
    assert again == first
    assert [one.path for one in backups(root)] == [made.path]
    clock.advance_to(clock.now_ns() + 86_400_000_000_000)
    step.run(context(home, EX, since=HALF_PAST_FOUR + timedelta(days=1)))
    assert len(backups(root)) == 2


def test_sessions_that_are_closed_late_leave_the_backup_to_the_last(tmp_path, clock):
    home, root = tmp_path / "home", tmp_path / "sets"
    home.mkdir()
    result = backup_step(BackupSource(home=home), root, clock).run(context(home, is_catch_up=True))
    assert result.detail == "left to the last of the sessions that are closed late"
    assert backups(root) == []


def test_a_backup_that_cannot_be_made_stops_the_close(tmp_path, clock):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "sets").write_text("a file")
    outcome = run_close(home, "main", BEFORE, [backup_step(BackupSource(home=home), tmp_path / "sets", clock)], clock)
    assert outcome.status is CloseStatus.FAILED
    assert "cannot be written to" in outcome.failed.message


# A symbol that does not trade


def test_a_halted_symbol_is_told_with_the_sessions_since_its_last_price(krx):
    held = [
        Held("005930", "SWING", 10),
        Held("005930", "SCALP", 1),
        Held("000660", "SWING", 3),
        Held("035720", "SWING", 0),
    ]
    last = {"005930": date(2024, 1, 2), "000660": BEFORE, "035720": date(2024, 1, 2)}
    [mark] = stale_marks(held, last, BEFORE, krx)
    assert (mark.symbol, mark.last_price_on, mark.sessions) == ("005930", date(2024, 1, 2), 58)
    assert str(mark).startswith("005930: no price for 58 sessions, valued at its last; an exit waits")
    assert stale_marks(held, last, BEFORE, krx, fresh_sessions=58) == []
    assert [row.sessions for row in stale_marks(held[:1], {}, BEFORE, krx)] == [250]


def test_months_without_a_price_close_every_day_and_pay_what_is_due(tmp_path, krx, clock):
    """From the ex-date on nothing trades: each close runs and says so, the shares stay, the dividend is paid."""
    ports = Ports(PORTFOLIO=100)

    def look():
        held = ports.positions()
        return BooksNow(held, 1_000 + sum(ports.done.values()), held, 1_000 + sum(ports.done.values()), [])

    def more(given):
        marks = stale_marks(ports.positions(), {"005930": BEFORE}, given.day, krx, fresh_sessions=5)
        return {"reports": [mark.report for mark in marks]}

    steps = [
        reconcile_step(look),
        settle_step(krx, lambda day: []),
        dividends_step(actions(), krx, date(2024, 3, 4), ports),
        report_step(more),
    ]
    told = []
    for session in krx.sessions(BEFORE, date(2024, 7, 31)):
        outcome = run_close(tmp_path, "main", session.date, steps, clock)
        assert outcome.status is CloseStatus.DONE
        told += [words for code, words in outcome.reports if code == "GR037"]
    assert ports.held == {"PORTFOLIO": 100}
    assert ports.done == {"dividend:005930:2024-03-29:PORTFOLIO": 30_541}
    assert "no price for 6 sessions" in told[0]
    assert len(told) == len(krx.sessions(BEFORE, date(2024, 7, 31))) - 6


# Simulated accounts


def test_a_simulated_account_closes_as_a_real_one_does_and_leaves_no_file(tmp_path, krx, clock):
    trades = {BEFORE: [Trade("a", BEFORE, 700)]}
    ends = []
    for run, home in ((run_close, tmp_path / "real"), (run_simulated, None)):
        ports = Ports(SWING=100)
        desks = (
            None if home else SettlementDesk(None, "main", krx),
            None if home else ActionsDesk(None, "main", actions(), krx, date(2024, 3, 4)),
        )
        steps = [
            reconcile_step(books),
            settle_step(krx, lambda day: trades.get(day, []), desks[0]),
            dividends_step(actions(), krx, date(2024, 3, 4), ports, desks[1]),
        ]
        days = krx.sessions(date(2024, 3, 25), PAY)
        outcomes = [run(home or tmp_path / "none", "main", row.date, steps, clock) for row in days]
        assert all(row.status is CloseStatus.DONE for row in outcomes)
        ends.append((ports.done, [[step.result for step in row.record.steps] for row in outcomes]))
    assert ends[0] == ends[1]
    assert ends[1][0] == {"dividend:005930:2024-03-29:SWING": 30_541}
    assert not (tmp_path / "none").exists()


def test_a_simulated_close_stops_at_a_failure(tmp_path, clock):
    ran = []
    steps = [reconcile_step(lambda: books(ledger_cash=1)), CloseStep("settle", lambda given: ran.append(given))]
    outcome = run_simulated(tmp_path, "main", BEFORE, steps, clock)
    assert (outcome.status, outcome.failed.code, ran) == (CloseStatus.FAILED, "FS070", [])
