"""Exact conversion between decimals and scaled integers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.money import UNITS_MAX, Currency, format_units, from_units, parse_decimal, plain, to_units

UNITS = st.integers(-UNITS_MAX, UNITS_MAX)
SCALES = st.integers(0, 8)


@given(UNITS, SCALES)
def test_units_survive_the_way_through_text_and_number(units, scale):
    assert to_units(format_units(units, scale), scale) == units
    assert to_units(from_units(units, scale), scale) == units


@pytest.mark.parametrize(
    ("value", "scale", "units"),
    [
        ("2681.62000000", 8, 268_162_000_000),
        ("71300", 0, 71_300),
        ("71300.00", 0, 71_300),
        (Decimal("1E+3"), 2, 100_000),
        (Decimal("-0.50"), 1, -5),
        (7, 2, 700),
        ("-0", 0, 0),
        (Decimal("0E+30"), 8, 0),
    ],
)
def test_values_become_units(value, scale, units):
    assert to_units(value, scale) == units


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1,000", "1_000", "1e3", ".5", "5.", "NaN", "Infinity", "--1", "\u0661"]
)
def test_anything_but_a_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="plain decimal"):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("value", "scale", "message"),
    [
        ("0.001", 2, "more than 2 decimals"),
        (Decimal("NaN"), 2, "not a number"),
        (2**63, 0, "too large"),
        (Decimal("1E+100000"), 0, "too large"),
        ("1", 9, "scale 9"),
    ],
)
def test_what_does_not_fit_is_an_error(value, scale, message):
    with pytest.raises(ValueError, match=message):
        to_units(value, scale)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E+2", "100"),
        ("-0.00", "0"),
        ("-0", "0"),
        ("0.0", "0"),
        ("-1.0", "-1"),
    ],
)
def test_numbers_have_one_plain_spelling(number, text):
    assert plain(Decimal(number)) == text


def test_numbers_beyond_the_precision_of_the_decimal_context_stay_exact():
    assert str(from_units(10**40 + 1, 8)) == "100000000000000000000000000000000.00000001"


def test_a_currency_knows_its_scale():
    assert Currency("KRW", 0).scale == 0
    with pytest.raises(ValueError, match="scale -1"):
        Currency("KRW", -1)
