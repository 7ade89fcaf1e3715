"""Rows are checked against the logical schema before they are sent anywhere."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from qts.data.exceptions import NotSupported, RowInvalid
from qts.data.rows import checked_row, checked_where, writable
from qts.data.tables import TABLES, _column, table

NOW = datetime(2024, 1, 2, tzinfo=UTC)
DIVIDEND = {"symbol": "005930", "record_date": date(2024, 3, 28), "amount": Decimal(361), "currency": "KRW"}


def test_what_is_not_given_is_filled_in():
    row = checked_row("strategies", {"strategy_id": "ema", "param_name": "fast", "value": "12"}, NOW)
    assert row == {
        "strategy_id": "ema",
        "param_name": "fast",
        "value": "12",
        "value_type": "string",
        "description": None,
        "updated_at": NOW,
    }
    assert "seq" not in checked_row("sheet_outbox", {"data_set": "x", "key": "k", "op": "UPSERT", "payload": {}}, NOW)
    row = checked_row("positions", {name: Decimal(1) for name in ("qty", "cost_total", "avg_price")} | PLACE, NOW)
    assert (row["oversold"], row["realized_pnl"], row["version"]) == (False, Decimal(0), 0)


PLACE = {"pool_id": "SCALP", "symbol": "005930", "currency": "KRW"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": None}, "RC001"),
        ({"amount": 361.0}, "RC002"),
        ({"amount": "361"}, "RC002"),
        ({"amount": Decimal("NaN")}, "exact"),
        ({"amount": Decimal("0.123456789")}, "8 digits behind"),
        ({"amount": Decimal(10**10)}, "10 digits in front"),
        ({"symbol": 5930}, "RC002"),
        ({"symbol": "x" * 21}, "20 characters"),
        ({"symbol": "a\x00b"}, "NUL"),
        ({"record_date": NOW}, "a date"),
        ({"meta": {"n": float("nan")}}, "JSON"),
        ({"meta": {"n": {1, 2}}}, "JSON"),
        ({"meta": "a\x00b"}, "NUL"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused(changes, words):
    assert checked_row("dividends", DIVIDEND, NOW)["amount"] == 361
    with pytest.raises(RowInvalid) as caught:
        checked_row("dividends", {**DIVIDEND, **changes}, NOW)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [("seq", True), ("seq", 2**63), ("seq", "1"), ("acked_at", NOW.replace(tzinfo=None)), ("acked_at", "today")],
)
def test_numbers_have_64_bits_and_times_a_zone(column, value):
    with pytest.raises(RowInvalid, match="RC002"):
        checked_row("journal_ack", {"journal": "orders", "seq": 1, column: value}, NOW)


def test_a_truth_is_no_number():
    row = {"override_id": "x", "promotion_eligible": 1}
    with pytest.raises(RowInvalid):
        checked_row("capital_pools", row, NOW)


def test_a_required_value_that_is_missing_is_named():
    with pytest.raises(RowInvalid, match="RC001: no value for amount"):
        checked_row("dividends", {name: DIVIDEND[name] for name in ("symbol", "record_date", "currency")}, NOW)


def test_a_series_is_asked_for_a_moment():
    with pytest.raises(NotSupported, match="time"):
        checked_where("tick_data", {"symbol": "005930"})
    with pytest.raises(NotSupported):
        checked_where("tick_data", {"time": None})
    assert checked_where("tick_data", {"time": NOW}) == {"time": NOW}
    assert checked_where("dividends", None) == {}


@pytest.mark.parametrize("name", sorted(name for name, entry in TABLES.items() if entry.through))
def test_the_books_are_written_by_what_knows_their_rules(name):
    with pytest.raises(NotSupported) as caught:
        writable(name)
    assert TABLES[name].through in str(caught.value)


def test_only_tables_of_the_schema_are_known():
    with pytest.raises(RowInvalid, match="RC003"):
        table("pg_shadow")
    assert writable("strategies").key == ("strategy_id", "param_name")


def test_a_column_that_is_written_wrong_is_found_when_the_program_starts():
    with pytest.raises(ValueError, match="amount money nul"):
        _column("amount money nul")


def test_every_key_is_made_of_columns_that_may_not_be_empty():
    for entry in TABLES.values():
        for name in entry.key:
            assert not entry.column(name).nullable, (entry.name, name)
