"""Dividends and splits: what the file may say, who is owed what, and what a split does to figures."""

import json
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.clock import midnight_ns
from qts.codes import ConfigError, DataError, EngineFault
from qts.config import ConfigManager, check
from qts.instruments import (
    Catalog,
    CorporateActions,
    Dividend,
    DividendBook,
    Held,
    Split,
    SplitBook,
    adjusted_bars,
    adjusted_price,
    adjusted_qty,
    apply_split,
    load_calendars,
)
from qts.strategy.contracts import Bar

BEFORE = date(2024, 3, 27)
EX = date(2024, 3, 28)
RECORD = date(2024, 3, 29)
PAY = date(2024, 4, 19)
SEOUL_S = 9 * 3_600

GOOD = "{ex_date: 2024-03-28, record_date: 2024-03-29, pay_date: 2024-04-19, amount: 361, currency: KRW}"


def corporate(tmp_path, dividends="{}", splits="{}"):
    (tmp_path / "reference").mkdir(exist_ok=True)
    text = f"dividends: {dividends}\nsplits: {splits}\n"
    (tmp_path / "reference" / "corporate_actions.yaml").write_text(text)
    return tmp_path


def loaded(directory):
    reference = ConfigManager(directory).load().reference
    return CorporateActions.load(reference, Catalog.load(reference), load_calendars(reference))


def dividend(symbol="005930", ex=EX, record=RECORD, pay=PAY, amount=361, tax_e8=15_400_000):
    return Dividend(symbol, ex, record, pay, amount, 1, tax_e8)


def split(numerator=50, denominator=1, day=EX, symbol="005930"):
    return Split(symbol, 0, day, numerator, denominator)


# The file


def test_none_are_shipped_and_the_example_in_the_file_is_right(tmp_path):
    reference = ConfigManager().load().reference
    assert (reference.dividends, reference.splits) == ({}, {})
    text = (ConfigManager()._dir / "reference" / "corporate_actions.yaml").read_text()
    example = text[text.index("# dividends:\n") : text.index("\ndividends: {}")]
    (tmp_path / "reference").mkdir()
    shown = "\n".join(line.removeprefix("#").removeprefix(" ") for line in example.splitlines())
    (tmp_path / "reference" / "corporate_actions.yaml").write_text(shown)
    actions = loaded(tmp_path)
    assert [row.key for row in actions.dividends] == ["dividend:005930:2026-03-31"]
    assert [row.key for row in actions.splits] == ["split:005930:2018-05-04"]


@pytest.mark.parametrize(
    ("dividends", "splits", "key", "expected"),
    [
        (f'{{"005930": [{GOOD.replace("03-29", "03-28")}]}}', "{}", "dividends.005930.0", "ex_date < record_date"),
        (f'{{"005930": [{GOOD.replace("04-19", "03-28")}]}}', "{}", "dividends.005930.0", "record_date <= pay_date"),
        (f'{{"005930": [{GOOD.replace("361", "0")}]}}', "{}", "dividends.005930.0.amount", "more than 0"),
        (f'{{"005930": [{GOOD.replace("361", "-5")}]}}', "{}", "dividends.005930.0.amount", "more than 0"),
        (f'{{"005930": [{GOOD.replace("KRW", "USD")}]}}', "{}", "dividends.005930.0.currency", "KRW, the currency of"),
        (f'{{"005930": [{GOOD.replace("KRW", "KRW, tax_rate: 15.4")}]}}', "{}", "dividends.005930.0.tax_rate", "0"),
        (f'{{"005930": [{GOOD}, {GOOD}]}}', "{}", "dividends.005930.1.record_date", "one row for each record_date"),
        (f'{{"005931": [{GOOD}]}}', "{}", "dividends.005931", "005930"),
        ("{}", '{"0": [{effective_date: 2024-03-28, numerator: 2, denominator: 1}]}', "splits.0", "005930"),
        (
            "{}",
            '{"005930": [{effective_date: 2024-03-28, numerator: 0, denominator: 1}]}',
            "splits.005930.0.numerator",
            "more than 0",
        ),
        (
            "{}",
            '{"005930": [{effective_date: 2024-03-28, numerator: 2, denominator: -1}]}',
            "splits.005930.0.denominator",
            "more than 0",
        ),
        (
            "{}",
            '{"005930": [{effective_date: 2024-03-28, numerator: 3, denominator: 3}]}',
            "splits.005930.0",
            "a numerator that is not the denominator",
        ),
        (
            "{}",
            '{"005930": [{effective_date: 2024-13-28, numerator: 3, denominator: 1}]}',
            "splits.005930.0.effective_date",
            "a date as YYYY-MM-DD",
        ),
        (
            "{}",
            '{"005930": [{effective_date: 2024-03-28, numerator: 3, denominator: 1},'
            " {effective_date: 2024-03-28, numerator: 2, denominator: 1}]}",
            "splits.005930.1.effective_date",
            "one row for each effective_date",
        ),
    ],
)
def test_a_bad_row_is_told_with_file_entry_and_what_was_expected(tmp_path, dividends, splits, key, expected):
    [finding] = check(corporate(tmp_path, dividends, splits))
    assert (finding.file, finding.key) == ("reference/corporate_actions.yaml", key)
    assert expected in finding.expected
    assert finding.found
    assert finding.hint
    assert finding.as_error().code == "FS003"


@pytest.mark.parametrize(
    ("rows", "entry", "code"),
    [
        (f'{{"005930": [{GOOD.replace("2024-03-28", "2024-03-24")}]}}', "dividends.005930.0: ex_date", "FS127"),
        (f'{{"005930": [{GOOD.replace("2024-03-28", "1901-03-24")}]}}', "dividends.005930.0.ex_date", "FS127"),
        ('{"005930": [{effective_date: 2024-03-01, numerator: 2, denominator: 1}]}', "splits.005930.0", "FS003"),
    ],
)
def test_a_day_that_is_no_session_is_refused_with_its_code(tmp_path, rows, entry, code):
    tables = (rows, "{}") if code == "FS127" else ("{}", rows)
    with pytest.raises(ConfigError) as caught:
        loaded(corporate(tmp_path, *tables))
    assert caught.value.found.startswith(entry)
    assert (caught.value.code, caught.value.where) == (code, "reference/corporate_actions.yaml")
    assert caught.value.expected
    assert caught.value.hint


def test_amounts_are_exact_to_the_won_and_tax_is_withheld(tmp_path):
    text = GOOD.replace("361", "361.5")
    [row] = loaded(corporate(tmp_path, f'{{"005930": [{text}]}}')).dividends
    assert row.gross(101) == 36_511  # 36 511.5
    assert row.tax(row.gross(101)) == 5_622  # 5 622.694


def test_actions_of_instruments_that_a_run_does_not_have_are_left_out(tmp_path):
    reference = ConfigManager(corporate(tmp_path, f'{{"005930": [{GOOD}]}}')).load().reference
    others = {symbol: row for symbol, row in reference.instruments.items() if symbol != "005930"}
    catalog = Catalog.load(reference.model_copy(update={"instruments": others}))
    assert CorporateActions.load(reference, catalog, load_calendars(reference)).dividends == ()


# Who is owed what


@pytest.fixture
def book(krx):
    return DividendBook(CorporateActions([dividend()]), krx, date(2024, 3, 4))


def test_who_holds_at_the_close_before_the_ex_date_is_paid_on_the_pay_date_and_once(book):
    assert book.on_session_close(date(2024, 3, 26), [Held("005930", "SWING", 500)]) == []
    [owed] = book.on_session_close(BEFORE, [Held("005930", "SWING", 100), Held("000660", "SWING", 7)])
    assert owed.holdings == (("SWING", 100),)
    assert book.on_session_close(EX, [Held("005930", "SCALP", 900)]) == []  # bought without the right
    assert book.due(date(2024, 4, 18)) == []
    [paid] = book.due(PAY)
    assert paid == (
        "dividend:005930:2024-03-29:SWING",
        *("005930", "SWING", 100),
        *(36_100, 5_559, 30_541),
        PAY,
    )
    assert book.due(PAY) == []
    assert book.due(date(2024, 12, 30)) == []


def test_what_was_sold_after_the_ex_date_is_still_paid(book):
    book.on_session_close(BEFORE, [Held("005930", "SWING", 100)])
    book.on_session_close(EX, [])
    assert [payment.qty for payment in book.due(PAY)] == [100]


def test_a_close_that_is_repeated_changes_nothing(book):
    book.on_session_close(BEFORE, [Held("005930", "SWING", 100)])
    assert book.on_session_close(BEFORE, [Held("005930", "SWING", 999)]) == []
    assert [payment.qty for payment in book.due(PAY)] == [100]


def test_a_close_that_was_missed_loses_no_dividend(book):
    book.on_session_close(date(2024, 3, 20), [Held("005930", "SWING", 100)])
    [owed] = book.on_session_close(date(2024, 4, 5), [Held("005930", "SWING", 100)])  # nothing ran for two weeks
    assert owed.dividend.ex_date == EX


def test_what_went_ex_before_the_account_began_belongs_to_others(krx):
    book = DividendBook(CorporateActions([dividend()]), krx, EX)
    assert book.on_session_close(EX, [Held("005930", "SWING", 100)]) == []
    assert book.late(EX) == []


def test_a_quantity_below_zero_is_refused_and_nothing_is_recorded(book):
    before = book.state()
    with pytest.raises(DataError) as caught:
        book.on_session_close(BEFORE, [Held("005930", "SWING", -1)])
    assert caught.value.code == "FS053"
    assert book.state() == before


def test_a_row_that_was_corrected_before_it_is_paid_counts_as_corrected(book, krx):
    book.on_session_close(BEFORE, [Held("005930", "SWING", 100)])
    corrected = CorporateActions([dividend(amount=400, pay=date(2024, 4, 22))])
    again = DividendBook.restored(corrected, krx, json.loads(json.dumps(book.state())))
    assert again.due(PAY) == []
    assert [payment.gross for payment in again.due(date(2024, 4, 22))] == [40_000]


def test_a_row_that_was_removed_is_still_paid_as_recorded(book, krx):
    book.on_session_close(BEFORE, [Held("005930", "SWING", 100)])
    again = DividendBook.restored(CorporateActions(), krx, book.state())
    assert [payment.gross for payment in again.due(PAY)] == [36_100]


def test_a_row_that_comes_after_its_ex_date_is_told_and_can_be_entitled_once(krx):
    book = DividendBook(CorporateActions(), krx, date(2024, 3, 4))
    book.on_session_close(BEFORE, [Held("005930", "SWING", 100)])
    again = DividendBook.restored(CorporateActions([dividend()]), krx, book.state())
    assert again.late(EX) == [dividend()]
    again.entitle(dividend(), [Held("005930", "SWING", 100)])
    again.entitle(dividend(), [Held("005930", "SWING", 500)])
    assert again.late(EX) == []
    assert [payment.qty for payment in again.due(PAY)] == [100]


def test_a_symbol_that_is_halted_for_months_keeps_its_dividends(krx):
    """Nothing trades from March to August; the shares stay, and what they earn is paid."""
    spring = dividend()
    summer = dividend(ex=date(2024, 6, 27), record=date(2024, 6, 28), pay=date(2024, 8, 20), amount=100)
    book = DividendBook(CorporateActions([summer, spring]), krx, date(2024, 3, 4))
    paid = []
    for session in krx.sessions(date(2024, 3, 5), date(2024, 8, 30)):
        book.on_session_close(session.date, [Held("005930", "PORTFOLIO", 10)])
        paid += book.due(session.date)
    assert [(row.gross, row.pay_date) for row in paid] == [(3_610, PAY), (1_000, date(2024, 8, 20))]


_TRACKS = st.dictionaries(st.sampled_from(["PORTFOLIO", "SCALP", "SWING"]), st.integers(0, 10**7), min_size=1)


@settings(deadline=None)
@given(held=_TRACKS, amount_e8=st.integers(1, 10**12), tax_e8=st.integers(0, 10**8))
def test_tracks_together_get_what_one_holder_of_all_shares_gets(krx, held, amount_e8, tax_e8):
    per_share = Fraction(amount_e8, 10**8)
    row = Dividend("005930", EX, RECORD, PAY, per_share.numerator, per_share.denominator, tax_e8)
    book = DividendBook(CorporateActions([row]), krx, date(2024, 3, 4))
    book.on_session_close(BEFORE, [Held("005930", track, qty) for track, qty in held.items()])
    paid = book.due(PAY)
    gross = row.gross(sum(held.values()))
    assert sum(payment.gross for payment in paid) == gross
    assert sum(payment.tax for payment in paid) == row.tax(gross)
    assert all(payment.net == payment.gross - payment.tax for payment in paid)
    assert len({payment.key for payment in paid}) == len(paid)


@settings(deadline=None)
@given(days=st.lists(st.integers(0, 120), max_size=12), restart_every=st.integers(1, 3))
def test_whatever_days_it_is_asked_on_and_however_often_it_restarts_each_dividend_is_paid_once(
    krx, days, restart_every
):
    sessions = krx.sessions(date(2024, 3, 5), date(2024, 9, 13))
    rows = [
        dividend(ex=sessions[at].date, record=sessions[at + 1].date, pay=sessions[at + 8].date, amount=at)
        for at in (3, 20, 21, 60)
    ]
    actions = CorporateActions(rows)
    book, paid = DividendBook(actions, krx, date(2024, 3, 4)), []
    for number, at in enumerate([*sorted(days), 125]):
        book.on_session_close(sessions[at].date, [Held("005930", "SWING", 3)])
        paid += book.due(sessions[at].date)
        if number % restart_every == 0:
            book = DividendBook.restored(actions, krx, json.loads(json.dumps(book.state())))
    assert sorted(payment.key for payment in paid) == sorted(f"{row.key}:SWING" for row in rows)


# Splits


class Core:
    """Holdings in integers, as the core keeps them."""

    def __init__(self, **held):
        self.held = held

    def split(self, instrument, numerator, denominator):
        rows = []
        for track, before in self.held.items():
            after, rest = divmod(before * numerator, denominator)
            self.held[track] = after
            rows.append((track, before, after, 1_000 if after else 0, 0 if after else 1_000, rest))
        return rows


def test_a_split_multiplies_shares_and_pays_nothing(catalog):
    core = Core(SWING=10, SCALP=3)
    held = apply_split(core, split(50, 1), catalog["005930"], 2_650_000)
    assert [(row.track, row.qty_after, row.cash_in_lieu) for row in held] == [("SWING", 500, 0), ("SCALP", 150, 0)]
    assert core.held == {"SWING": 500, "SCALP": 150}


def test_fractions_of_a_consolidation_are_paid_at_the_close_before(catalog):
    core = Core(SWING=107, PORTFOLIO=9)
    held = apply_split(core, split(1, 10), catalog["005930"], 501)
    assert [(row.qty_after, row.cost, row.written_off, row.cash_in_lieu) for row in held] == [
        (10, 1_000, 0, 7 * 501),
        (0, 0, 1_000, 9 * 501),
    ]


@settings(deadline=None)
@given(
    before=st.integers(0, 10**7),
    numerator=st.integers(1, 99),
    denominator=st.integers(1, 99),
    close=st.integers(1, 10**6),
)
def test_a_split_neither_makes_nor_loses_value(catalog, before, numerator, denominator, close):
    core = Core(SWING=before)
    [row] = apply_split(core, split(numerator, denominator), catalog["005930"], close)
    value_after = Fraction(row.qty_after * close * denominator, numerator) + row.cash_in_lieu
    assert 0 <= before * close - value_after < 1  # less than one won is truncated


def test_a_core_that_loses_shares_is_a_fault(catalog):
    core = Core(SWING=7)
    core.split = lambda *_: [("SWING", 7, 4, 1_000, 0, 0)]
    with pytest.raises(EngineFault) as caught:
        apply_split(core, split(1, 2), catalog["005930"], 500)
    assert caught.value.code == "FS053"


def test_splits_are_due_once_and_those_before_the_account_began_never():
    actions = CorporateActions(splits=[split(2, 1, date(2024, 1, 3)), split(5, 1, EX), split(1, 10, PAY)])
    book = SplitBook(actions, date(2024, 3, 4))
    assert book.due(BEFORE) == []
    assert [row.numerator for row in book.due(EX)] == [5]
    assert book.due(EX) == []
    assert [row.denominator for row in SplitBook(actions, book.through).due(date(2024, 5, 2))] == [10]


class Other(NamedTuple):
    """A bar of another make."""

    start_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int


def test_bars_before_a_split_are_adjusted_and_those_since_are_not(krx):
    def bar(day, *prices, volume=10):
        return Bar(0, 1, midnight_ns(day, SEOUL_S), *prices, volume)

    bars = [bar(BEFORE, 2_650_000, 2_700_000, 2_600_000, 2_650_025), bar(EX, 53_000, 53_900, 51_800, 51_900)]
    adjusted = adjusted_bars(bars, [split(50, 1)], krx.session_date)
    assert adjusted[0][3:] == (53_000, 54_000, 52_000, 53_001, 500)  # half a won goes up
    assert adjusted[1] is bars[1]
    assert adjusted_bars(bars, [], krx.session_date) == bars
    [other] = adjusted_bars([Other(midnight_ns(BEFORE, SEOUL_S), 4, 4, 4, 4, 9)], [split(1, 10)], krx.session_date)
    assert other[1:] == (40, 40, 40, 40, 1)


def test_two_splits_are_rounded_once():
    both = [split(3, 1), split(1, 3)]
    assert adjusted_price(10_001, both) == 10_001
    assert adjusted_qty(10_001, both) == 10_001


@settings(deadline=None)
@given(price=st.integers(0, 10**9), numerator=st.integers(1, 99), denominator=st.integers(1, 99))
def test_an_adjusted_price_is_within_half_a_unit_and_never_nothing(price, numerator, denominator):
    found = adjusted_price(price, [split(numerator, denominator)])
    exact = Fraction(price * denominator, numerator)
    assert abs(found - exact) <= Fraction(1, 2) or found == 1
    assert (found == 0) == (price == 0)
