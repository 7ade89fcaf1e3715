"""Checks rows and conditions against the logical schema before they are sent anywhere."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from qts.data.exceptions import NotSupported, RowInvalid
from qts.data.tables import Column, Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_INT: Final = 2**63 - 1
_TRUE: Final = {"true": True, "false": False}


def writable(name: str) -> Table:
    """Return a table that `write` may write.

    Raises:
        RowInvalid: there is no such table.
        NotSupported: it is written by something else, so that its rules hold.
    """
    found = table(name)
    if found.through:
        raise NotSupported(
            found=f"a row for {name}",
            expected=f"{found.through}, which is what writes this table",
            hint="use that, so that the rules of the books hold",
        )
    return found


def checked_row(name: str, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a row of a table with every column that the database does not number itself, defaults filled in.

    Raises:
        RowInvalid: a value is missing (RC001), of the wrong kind (RC002) or does not fit; or a column is unknown.
    """
    target = table(name)
    for unknown in row.keys() - _names(name):
        target.column(unknown)
    result: dict[str, Any] = {}
    for column in target.columns:
        if column.name in row:
            result[column.name] = checked_value(target.name, column, row[column.name])
        elif column.default == "identity":
            continue
        elif column.default is not None:
            result[column.name] = default_of(column, now)
        elif column.nullable:
            result[column.name] = None
        else:
            raise _invalid(target.name, f"RC001: no value for {column.name}", f"{column.meaning}, which is required")
    return result


@cache
def _names(name: str) -> frozenset[str]:
    return frozenset(column.name for column in table(name).columns)


def checked_where(name: str, where: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return conditions on a table, checked; a value of None asks for rows without one.

    Raises:
        RowInvalid: a column is unknown or a value is of the wrong kind.
        NotSupported: the table is a time series and no moment is given, so that all of it would be read.
    """
    target = table(name)
    given = dict(where or {})
    if target.time and given.get(target.time) is None:
        raise NotSupported(
            found=f"a query of {name} without a range of {target.time}",
            expected="a closed-open range of time",
            hint=f"use the fetch method of the series, or give {target.time}",
        )
    checked: dict[str, Any] = {}
    for key, value in given.items():
        column = target.column(key)
        checked[key] = None if value is None else checked_value(name, column, value)
    return checked


def default_of(column: Column, now: datetime) -> object:
    """Return what stands for a value that is not given."""
    text = column.default or ""
    if text == "now":
        return now
    if column.kind == "int":
        return int(text)
    if column.kind == "decimal":
        return Decimal(text)
    return _TRUE[text] if column.kind == "bool" else text


def checked_value(where: str, column: Column, value: object) -> object:
    """Return a value as its column holds it; a decimal that has more digits than the column is refused, not rounded.

    Raises:
        RowInvalid: it is of the wrong kind (RC002), missing (RC001) or does not fit.
    """
    if value is None:
        if column.nullable:
            return None
        raise _invalid(where, f"RC001: {column.name} is empty", f"{column.meaning}, which is required")
    check = _CHECKS[column.kind]
    problem = check(column, value)
    if problem:
        raise _invalid(where, f"RC002: {column.name} {value!r}", problem)
    return value


def _text(column: Column, value: object) -> str:
    if not isinstance(value, str):
        return "text"
    if "\x00" in value:
        return "text without NUL characters"
    return f"at most {column.length} characters" if column.length and len(value) > column.length else ""


def _int(_column: Column, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and -_MAX_INT <= value <= _MAX_INT:
        return ""
    return "a whole number of 64 bits"


def _decimal(column: Column, value: object) -> str:
    if not isinstance(value, Decimal) or not value.is_finite():
        return "an exact decimal number"
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > column.scale:
        return f"at most {column.scale} digits behind the point"
    whole = column.digits - column.scale
    return f"at most {whole} digits in front of the point" if value and value.adjusted() >= whole else ""


def _timestamp(_column: Column, value: object) -> str:
    return "" if isinstance(value, datetime) and value.utcoffset() is not None else "a time with its zone"


def _date(_column: Column, value: object) -> str:
    return "" if isinstance(value, date) and not isinstance(value, datetime) else "a date"


def _bool(_column: Column, value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _json(_column: Column, value: object) -> str:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"what JSON can hold ({error})"
    return "JSON without NUL characters" if "\\u0000" in text else ""


_CHECKS: Final = {
    "text": _text,
    "int": _int,
    "decimal": _decimal,
    "timestamp": _timestamp,
    "date": _date,
    "bool": _bool,
    "json": _json,
}


def _invalid(where: str, found: str, expected: str) -> RowInvalid:
    return RowInvalid(found=found, expected=expected, hint="mend the row where it comes from", where=where)
