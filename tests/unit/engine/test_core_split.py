"""Splits and dividends on the real core, alone and with the capital books: nothing of value is made or lost."""

from datetime import UTC, date, datetime

import pytest

from qts._core import StepEngine
from qts.capital.books import CapitalBooks
from qts.capital.config import CapitalFlowConfig
from qts.capital.exceptions import NotKept
from qts.codes import EngineFault
from qts.engine.build import catalog_in, load_config
from qts.engine.pools import LiveTable
from qts.instruments import DividendPayment, Split, apply_split
from qts.ops.close import PoolActions

START_NS = 1_767_571_200_000_000_000  # 2026-01-05 09:00 in Seoul
HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"
CLOSE = 70_050


class Host:
    """A core that holds 7 shares for SCALP and 3 for SWING."""

    def __init__(self):
        self.catalog = catalog_in(load_config(None), "KRW")
        self.samsung = self.catalog["005930"]
        self.core = StepEngine(self.catalog.core, cash=10_000_000)
        times = (START_NS + n * 1_000_000_000 for n in range(9))
        rows = "".join(f"{t},{t},005930,Q,,,,70000,100,70100,100\n" for t in times)
        self.core.add_chunks("quotes", iter([(HEADER + rows).encode()]))
        self.core.set_p0_handler(lambda event: None)
        self.core.fund_pools(2_000_000, 4_000_000, 4_000_000)
        self.core.run(START_NS)
        for track, qty in (("SCALP", 7), ("SWING", 3)):
            self.order(track, "BUY", qty, 70_100)
        self.core.run(START_NS + 1_000_000_000)

    def order(self, track, side, qty, limit):
        return self.core.submit(self.samsung.id, track, side, "LIMIT", "DAY", limit, qty)

    def split(self, numerator, denominator):
        row = Split("005930", self.samsung.id, date(2026, 1, 6), numerator, denominator)
        return apply_split(self.core, row, self.samsung, CLOSE)


def test_a_split_keeps_cost_and_cash():
    host = Host()
    cash = host.core.cash
    rows = host.split(50, 1)
    assert [row[1:] for row in rows] == [("SCALP", 7, 350, 490_700, 0, 0), ("SWING", 3, 150, 210_300, 0, 0)]
    assert host.core.position(host.samsung.id, "SCALP")[:2] == (350, 490_700)
    assert host.core.cash == cash


def test_a_consolidation_owes_the_fractions_at_the_close_before_and_they_can_be_paid():
    host = Host()
    cash = host.core.cash
    rows = host.split(1, 5)
    assert [row[1:] for row in rows] == [
        ("SCALP", 7, 1, 490_700, 0, 2 * CLOSE),
        ("SWING", 3, 0, 0, 210_300, 3 * CLOSE),
    ]
    for row in rows:
        host.core.credit(row.track, row.cash_in_lieu)
    assert host.core.cash == cash + 5 * CLOSE
    value_after = 1 * (5 * CLOSE) + 5 * CLOSE  # one share at the base price of five, and the cash
    assert value_after == 10 * CLOSE


def test_a_working_order_refuses_the_split_with_a_code_and_nothing_changes():
    host = Host()
    host.order("SCALP", "SELL", 2, 90_000)
    with pytest.raises(EngineFault) as caught:
        host.split(2, 1)
    assert caught.value.code == "FS071"
    assert caught.value.hint
    assert host.core.position(host.samsung.id, "SCALP")[:2] == (7, 490_700)


# With the capital books

AT = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)
NOTICE = Split("005930", 0, date(2026, 1, 6), 1, 5)


class Sink:
    """Keeps what the books write; refuses while it is full."""

    def __init__(self):
        self.lines = []
        self.is_full = False

    def entries(self, lines):
        if self.is_full:
            raise NotKept("disk full")
        self.lines += lines

    def pools(self, pools):
        pass

    transfer = hold = pools


class Account(Host):
    """A core with books over it that know its two fills."""

    def __init__(self):
        super().__init__()
        self.sink = Sink()
        self.books = CapitalBooks(LiveTable(self.core), self.sink, CapitalFlowConfig())
        amounts = {"SCALP": 2_000_000, "SWING": 4_000_000, "PORTFOLIO": 4_000_000}
        self.books.fund(amounts, AT, is_live_funded=True)
        for order, (track, qty, amount) in enumerate((("SCALP", 7, 490_700), ("SWING", 3, 210_300)), start=1):
            fee = amounts[track] - amount - self.core.pool_money(track)[0]
            self.books.on_fill(
                order_id=order, exec_id=1, pool=track, symbol="005930", side="BUY", qty=qty, amount=amount, fee=fee,
                tax=0, hold_left=0, at=AT,
            )  # fmt: skip
        self.rebased = []
        self.split_row = NOTICE._replace(instrument=self.samsung.id)
        self.actions = self.ports()

    def ports(self):
        return PoolActions(
            self.core,
            self.books,
            self.catalog,
            prev_close=lambda instrument: CLOSE,
            rebase=self.rebased.append,
            now=lambda: AT,
        )

    def agree(self):
        assert self.books.verify(self.core.cash) == ()
        held = {(row.track, row.symbol): row.qty for row in self.actions.positions()}
        assert {place: one.qty for place, one in self.books.holdings.items() if one.qty} == held


def test_a_split_is_booked_to_the_pools_and_its_fractions_are_paid_once():
    account = Account()
    account.agree()
    cash = account.core.cash
    for _ in range(2):
        account.actions.split(account.split_row)
        assert [tuple(row) for row in account.actions.positions()] == [("005930", "SCALP", 1)]
        assert account.core.cash == cash + 5 * CLOSE
        account.agree()
    account.ports().split(account.split_row)  # a new process over books that know it
    assert account.core.cash == cash + 5 * CLOSE
    assert account.rebased == [account.split_row, account.split_row]  # prices are adjusted once in each process
    account.agree()


def test_a_split_while_an_order_works_is_refused_before_anything_is_booked():
    account = Account()
    account.order("SWING", "SELL", 1, 90_000)
    lines = len(account.sink.lines)
    with pytest.raises(EngineFault) as caught:
        account.actions.split(account.split_row)
    assert caught.value.code == "FS071"
    assert (len(account.sink.lines), account.rebased) == (lines, [])
    account.agree()


def test_a_split_of_what_nobody_holds_only_adjusts_prices():
    account = Account()
    lines = len(account.sink.lines)
    other = account.split_row._replace(symbol="000660", instrument=account.catalog["000660"].id)
    account.actions.split(other)
    assert (len(account.sink.lines), account.rebased) == (lines, [other])


def test_books_that_cannot_keep_a_split_leave_the_core_alone_and_it_is_tried_again():
    account = Account()
    account.sink.is_full = True
    with pytest.raises(EngineFault):
        account.actions.split(account.split_row)
    account.agree()
    account.sink.is_full = False
    account.actions.split(account.split_row)
    assert [row.qty for row in account.actions.positions()] == [1]
    account.agree()


def test_a_dividend_is_income_of_the_pool_that_held_and_is_booked_once():
    account = Account()
    cash, before = account.core.cash, account.books.snapshot(AT)["SWING"]
    payment = DividendPayment(
        "dividend:005930:2025-12-29:SWING", "005930", "SWING", 3, 1_083, 166, 917, date(2026, 1, 5)
    )
    for _ in range(2):
        account.actions.pay(payment)
    account.ports().pay(payment)
    account.actions.pay(payment._replace(key="dividend:005930:2026-03-31:SWING", gross=1, tax=1, net=0))
    after = account.books.snapshot(AT)["SWING"]
    assert account.core.cash == cash + 917
    assert after.realized_pnl - before.realized_pnl == 917
    assert after.available_capital - before.available_capital == 917
    assert {line.ref_id for line in account.sink.lines if line.cause == "DIVIDEND"} == {payment.key}
    account.agree()
