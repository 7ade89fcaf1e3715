"""Exact money, prices and quantities: decimal text and `Decimal` at the edges, scaled integers inside."""

from qts.money.decimals import (
    SCALE_MAX,
    UNITS_MAX,
    Currency,
    format_units,
    from_units,
    parse_decimal,
    plain,
    to_units,
)

__all__ = [
    "SCALE_MAX",
    "UNITS_MAX",
    "Currency",
    "format_units",
    "from_units",
    "parse_decimal",
    "plain",
    "to_units",
]
