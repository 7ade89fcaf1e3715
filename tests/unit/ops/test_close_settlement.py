"""T+2: cash is there to trade with at once, and to be taken out once it is settled."""

import json
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.codes import DataError, UsageError
from qts.config import ConfigManager
from qts.data import FillRow
from qts.instruments import AlwaysOpen, load_calendars
from qts.ops.close import SettlementLedger, Trade, trades_of

MONDAY = date(2024, 3, 4)
WEDNESDAY = date(2024, 3, 6)


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


@pytest.fixture(scope="module")
def krx():
    return load_calendars(ConfigManager().load().reference)["XKRX"]


@pytest.fixture
def ledger(krx):
    return SettlementLedger(krx)


@pytest.mark.parametrize(
    ("trade_date", "settles_on"),
    [
        (MONDAY, WEDNESDAY),
        (date(2024, 3, 8), date(2024, 3, 12)),  # over a weekend
        (date(2024, 2, 8), date(2024, 2, 14)),  # over the lunar new year: the 9th to the 12th are closed
        (date(2024, 12, 27), date(2025, 1, 2)),  # the last days of the year: the 31st and the 1st are closed
    ],
)
def test_a_trade_is_settled_two_business_days_later(ledger, trade_date, settles_on):
    assert ledger.settles_on(trade_date) == settles_on


def test_proceeds_trade_at_once_and_can_be_withdrawn_at_t_plus_2(ledger):
    ledger.book(Trade("a", MONDAY, 700_000))
    cash = 1_000_000  # it counts the sale: that is what orders go by
    assert ledger.unsettled(MONDAY) == 700_000
    assert ledger.withdrawable(cash, MONDAY) == 300_000
    assert ledger.withdrawable(cash, date(2024, 3, 5)) == 300_000
    assert ledger.withdrawable(cash, WEDNESDAY) == 1_000_000
    assert ledger.settle(date(2024, 3, 5)) == []
    [settled] = ledger.settle(WEDNESDAY)
    assert (settled.trade.key, settled.settles_on) == ("a", WEDNESDAY)
    assert ledger.settle(WEDNESDAY) == []


def test_proceeds_that_have_bought_again_do_not_stand_against_settled_cash(ledger):
    ledger.book(Trade("sale", MONDAY, 700_000))
    ledger.book(Trade("purchase", MONDAY, -700_000))
    assert ledger.withdrawable(300_000, MONDAY) == 300_000


def test_what_a_purchase_will_cost_is_not_withdrawn(ledger):
    ledger.book(Trade("purchase", MONDAY, -600_000))
    assert ledger.withdrawable(400_000, MONDAY) == 400_000  # of settled 1,000,000
    ledger.book(Trade("sale", date(2024, 3, 5), 600_000))
    assert ledger.withdrawable(1_000_000, date(2024, 3, 5)) == 400_000  # the sale comes a day after the purchase is due


def test_a_withdrawal_above_what_is_settled_is_refused_with_a_code_and_changes_nothing(ledger):
    ledger.book(Trade("a", MONDAY, 700_000))
    before = ledger.state()
    ledger.check_withdrawal(300_000, 1_000_000, MONDAY)
    for amount in (300_001, 0, -5):
        with pytest.raises(UsageError) as caught:
            ledger.check_withdrawal(amount, 1_000_000, MONDAY)
        assert caught.value.code == "GR042"
        assert "300000 can be withdrawn" in caught.value.found
        assert "2 business days" in caught.value.hint
    assert ledger.state() == before


def test_a_trade_counts_once_before_and_after_it_is_settled(ledger):
    trade = Trade("a", MONDAY, 700_000)
    assert ledger.book(trade)
    assert not ledger.book(trade)
    with pytest.raises(DataError) as caught:
        ledger.book(trade._replace(amount=700_001))
    assert caught.value.code == "FS122"
    ledger.settle(WEDNESDAY)
    assert not ledger.book(trade)
    assert ledger.unsettled(MONDAY) == 0


def test_a_market_that_never_closes_settles_two_days_later():
    ledger = SettlementLedger(AlwaysOpen())
    assert ledger.settles_on(date(2024, 3, 8)) == date(2024, 3, 10)


def test_fills_are_cash_after_their_costs():
    def fill(order, side, fee, tax):
        return FillRow(
            *("2024-03-04", order, "1", 1, 1, "d", "005930", "SWING", side),
            *(10, 70_000, 700_000, fee, tax, 10, "cross", "ema"),
        )

    sale, purchase = trades_of([fill(1, "SELL", 105, 1_260), fill(2, "BUY", 105, 0)])
    assert sale == ("2024-03-04:1:1", MONDAY, 698_635)
    assert purchase == ("2024-03-04:2:1", MONDAY, -700_105)


_TRADES = st.lists(st.tuples(st.integers(0, 9), st.integers(-(10**9), 10**9).filter(bool)), max_size=20)


@settings(deadline=None)
@given(trades=_TRADES, cash=st.integers(0, 10**10), at=st.integers(0, 14), restart=st.booleans())
def test_taking_all_that_can_be_taken_leaves_every_purchase_its_money(krx, trades, cash, at, restart):
    days = [row.date for row in krx.sessions(date(2024, 2, 1), date(2024, 2, 29))]
    ledger = SettlementLedger(krx)
    for number, (day, amount) in enumerate(trades):
        ledger.book(Trade(str(number), days[day], amount))
    settled = [row for day in days[: at + 1] for row in ledger.settle(day)]
    if restart:
        ledger = SettlementLedger.restored(krx, json.loads(json.dumps(ledger.state())))
    left = ledger.waiting()
    assert len(settled) + len(left) == len(trades)
    assert all(row.settles_on > days[at] for row in left)
    assert all(one.settles_on <= other.settles_on for one, other in pairwise(left))
    free = ledger.withdrawable(cash, days[at])
    balances = [cash - ledger.unsettled(day) for day in days[at:]]
    assert free == max(0, min(balances))
