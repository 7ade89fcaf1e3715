"""What a run's books say at a close, and what a split leaves in its ledger."""

from datetime import UTC, date, datetime

import pytest

from qts._core import StepEngine
from qts.capital.books import SplitPart
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.config import DividendRow, SplitRow
from qts.data import CurrencyRow, FillRow, InstrumentRow, SessionRow, SQLiteStore
from qts.engine.build import catalog_in, load_config
from qts.engine.closing import AccountBooks, ActionBooks, RunLedger, SessionClose, Wiring, action_findings
from qts.instruments import CorporateActions, Held, load_calendars
from qts.ops.report import RunRecorder

AT = datetime(2026, 1, 5, 6, 30, tzinfo=UTC)
DAY = date(2026, 1, 5)
NS = 1_767_571_200_000_000_000


def fill(number, side, qty, price, *, fee=0, tax=0, symbol="005930", track="SWING"):
    return FillRow(
        DAY.isoformat(), number, str(number), NS, NS, "d", symbol, track, side, qty, price, qty * price, fee, tax, qty,
        "why", "s",
    )  # fmt: skip


@pytest.fixture
def books():
    catalog = catalog_in(load_config(None), "KRW")
    store = SQLiteStore(None)
    store.register(
        [CurrencyRow("KRW", 0)],
        [InstrumentRow(r.symbol, r.name, r.currency, r.price_scale, r.qty_scale, r.money_scale) for r in catalog],
    )
    store.begin_session(SessionRow("r1", "BACKTEST", "s", "sim", "a1", "KRW", 10_000_000, NS, "h"))
    recorder = RunRecorder(store)
    yield catalog, store, recorder
    recorder.close()
    store.close()


def test_the_ledger_of_a_run_follows_cash_and_holdings():
    ledger = RunLedger(1_000_000)
    ledger.on_fill(fill(1, "BUY", 10, 70_000, fee=100))
    ledger.on_fill(fill(2, "SELL", 4, 71_000, fee=50, tax=500))
    assert ledger.cash == 1_000_000 - 700_100 + 284_000 - 550
    assert ledger.held() == [Held("005930", "SWING", 6)]
    assert [trade.amount for trade in ledger.take_trades(DAY)] == [-700_100 + 283_450]
    assert ledger.take_trades(DAY) == []
    ledger.on_fill(fill(3, "SELL", 6, 71_000))
    assert ledger.held() == []
    assert ledger.agrees(ledger.cash, {})
    assert not ledger.agrees(ledger.cash - 1, {})


class Holding:
    """A core that holds 15 shares; what is credited to it is counted."""

    def __init__(self, catalog):
        self.now_ns = NS
        self.cash = 10_000_000 - 15 * 70_000
        self._row = (catalog["005930"].id, "SWING", 15, 15 * 70_000, NS)

    def positions(self):
        return [self._row]

    def credit(self, track, amount):
        assert track is None
        self.cash += amount


@pytest.mark.parametrize(("qty", "lieu"), [(30, 0), (7, 35_000), (0, 900_000)])
def test_a_split_is_a_pair_of_adjustments_and_the_books_add_up(books, qty, lieu):
    catalog, store, recorder = books
    core, ledger = Holding(catalog), RunLedger(10_000_000)
    bought = fill(1, "BUY", 15, 70_000)
    store.record_fill(bought)
    ledger.on_fill(bought)
    told = []
    actions = ActionBooks(
        AccountBooks(core, store), core, catalog, ledger, store, recorder, lambda *split: told.append(split)
    )
    actions.day = DAY
    parts = [SplitPart("SWING", qty, lieu)]
    assert actions.split("005930", parts, "2026-01-06", AT)
    assert not actions.split("005930", parts, "2026-01-06", AT), "once"
    assert told == [(catalog["005930"].id, "SWING", qty, lieu, DAY)]
    (row,) = store.positions()
    assert (row.qty, row.cost_total) == (qty, 15 * 70_000 if qty else 0)
    assert row.realized_pnl == lieu - (0 if qty else 15 * 70_000)
    assert store.verify() == []
    assert list(store.iter_fills()) == [bought]
    assert core.cash == ledger.cash
    assert [(split.day, split.qty_after) for split in recorder.splits] == [("2026-01-06", qty)]
    assert [income.amount for income in recorder.incomes] == ([lieu] if lieu else [])


def test_a_split_and_a_fill_in_one_batch_are_written_in_their_order(books):
    catalog, store, recorder = books
    core, ledger = Holding(catalog), RunLedger(10_000_000)
    store.record_fill(fill(1, "BUY", 15, 70_000))
    ActionBooks(AccountBooks(core, store), core, catalog, ledger, store, recorder, lambda *_: None).split(
        "005930", [SplitPart("SWING", 30)], "2026-01-06", AT
    )
    store.record_fill(fill(2, "SELL", 30, 36_000))
    (row,) = store.positions()
    assert (row.qty, row.cost_total, row.realized_pnl) == (0, 0, 30 * 36_000 - 15 * 70_000)
    assert not row.oversold
    assert store.verify() == []
    assert store.duplicates == 0


def test_a_core_that_contradicts_the_fills_ends_the_run(books):
    catalog, store, recorder = books
    config = load_config(None)
    calendar = load_calendars(config.reference)[catalog["005930"].calendar]
    core = StepEngine(catalog.core, cash=10_000_000)
    close = SessionClose(
        Wiring(
            core, catalog, calendar, CorporateActions(), store, recorder, None, SystemClock(), lambda _: 0,
            lambda *_: None, lambda *_: None,
        ),
        10_000_000,
    )  # fmt: skip
    close.close(DAY)
    close.on_fill(fill(1, "BUY", 1, 70_000))
    with pytest.raises(EngineFault) as error:
        close.close(date(2026, 1, 6))
    assert error.value.code == "FS070"


def test_days_of_actions_that_are_no_sessions_are_findings():
    config = load_config(None)
    assert action_findings(config) == []
    update = {
        "splits": {"005930": (SplitRow(effective_date=date(2026, 1, 4), numerator=2, denominator=1),)},
        "dividends": {
            "000660": (
                DividendRow(
                    ex_date=date(2026, 1, 3), record_date=date(2026, 1, 5), pay_date=date(2026, 1, 9), amount=1,
                    currency="KRW",
                ),
            )
        },
    }  # fmt: skip
    wrong = config.model_copy(update={"reference": config.reference.model_copy(update=update)})
    found = action_findings(wrong)
    assert [row.key for row in found] == ["dividends.000660.0", "splits.005930.0"]
    assert all("2026-01-0" in row.found for row in found)
