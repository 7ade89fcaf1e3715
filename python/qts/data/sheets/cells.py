"""Reads cells by the kind of their column and writes them as text: nothing is guessed, nothing is rounded."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from qts.data.exceptions import RowInvalid

if TYPE_CHECKING:
    from qts.data.sheets.layout import Field

MAX_CHARACTERS: Final = 50_000
"""Of one cell."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_FLAGS: Final = {"TRUE": True, "FALSE": False, "1": True, "0": False}
_EXPECTED: Final = {
    "text": "text",
    "symbol": "text such as '005930'",
    "decimal": "a number of 0 or more, such as 70000 or 0.5",
    "signed": "a number",
    "whole": "a whole number",
    "date": "a date written as 2024-01-31",
    "moment": "a time written as 2024-01-31T09:00:00+09:00",
    "flag": "TRUE or FALSE",
}


def read_cell(field: Field, cell: object, where: str, utc_offset_s: int = 0) -> Any:  # noqa: ANN401 - the kind tells the type
    """Return what a cell holds, None for a blank one. A time without a zone is one of the exchange.

    Raises:
        RowInvalid: FS010, it is not of the kind of its column (RC002).
    """
    if cell is None or cell == "":
        return None
    try:
        return _READ[field.kind](cell, utc_offset_s)
    except (ValueError, InvalidOperation):
        raise RowInvalid(
            found=f"RC002: {field.name} {cell!r}",
            expected=_EXPECTED[field.kind],
            hint=_hint(field, cell),
            where=where,
            code="FS010",
        ) from None


def write_cell(value: object, name: str, where: str) -> str:
    """Return a value as the text of a cell.

    Raises:
        RowInvalid: it is longer than a cell may be, or a number that is none.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _unwritable(f"{name} {value}", "a finite number", where)
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = value.isoformat() if isinstance(value, date) else str(value)
    if len(text) > MAX_CHARACTERS:
        raise _unwritable(f"{name} of {len(text)} characters", f"at most {MAX_CHARACTERS} characters in a cell", where)
    return text


def plain(value: Decimal) -> str:
    """Return a number without exponent and without zeros at its end."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _unwritable(found: str, expected: str, where: str) -> RowInvalid:
    return RowInvalid(found=f"RC002: {found}", expected=expected, hint="mend the row where it comes from", where=where)


def _hint(field: Field, cell: object) -> str:
    if field.kind == "symbol":
        return (
            f"the sheet has made a number of it ({cell!r}): format the column as plain text and type the symbol again "
            "with its leading zeros"
        )
    return "mend the cell; the row is not left out, because a row left out would look like something not held"


def _text(cell: object, _offset_s: int) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    return plain(Decimal(repr(cell))) if isinstance(cell, (int, float)) else str(cell)


def _symbol(cell: object, _offset_s: int) -> str:
    if not isinstance(cell, str):
        raise ValueError("a number")  # noqa: TRY004 - told as a wrong value
    return cell


def _number(cell: object, _offset_s: int = 0) -> Decimal:
    if isinstance(cell, bool):
        raise ValueError("a flag")  # noqa: TRY004 - told as a wrong value
    # The text of a binary number is the shortest that leads back to it: what was typed into the cell.
    text = cell.strip() if isinstance(cell, str) else repr(cell)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return Decimal(text)


def _decimal(cell: object, offset_s: int) -> Decimal:
    number = _number(cell, offset_s)
    if number < 0:
        raise ValueError("below 0")
    return number


def _whole(cell: object, offset_s: int) -> int:
    number = _number(cell, offset_s)
    if number != number.to_integral_value():
        raise ValueError("a fraction")
    return int(number)


def _date(cell: object, _offset_s: int) -> date:
    if not isinstance(cell, str):
        raise ValueError("a number")  # noqa: TRY004 - told as a wrong value
    return date.fromisoformat(cell.strip()[:10].replace(".", "-").replace("/", "-"))


def _moment(cell: object, offset_s: int) -> datetime:
    if not isinstance(cell, str):
        raise ValueError("a number")  # noqa: TRY004 - told as a wrong value
    moment = datetime.fromisoformat(cell.strip())
    if moment.utcoffset() is None:
        moment = moment.replace(tzinfo=timezone(timedelta(seconds=offset_s)))
    return moment.astimezone(UTC)


def _flag(cell: object, _offset_s: int) -> bool:
    return cell if isinstance(cell, bool) else _known_flag(str(cell))


def _known_flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip().upper()]
    except KeyError:
        raise ValueError(text) from None


_READ: Final = {
    "text": _text,
    "symbol": _symbol,
    "decimal": _decimal,
    "signed": _number,
    "whole": _whole,
    "date": _date,
    "moment": _moment,
    "flag": _flag,
}
