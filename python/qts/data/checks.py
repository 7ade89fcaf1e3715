"""What every adapter refuses in the same words, before it asks its source anything."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, datetime

from qts.data.exceptions import RowInvalid


def check_range(start: object, end: object) -> tuple[datetime, datetime]:
    """Return a range of time with both ends, [start, end).

    Raises:
        RowInvalid: an end is missing, has no zone, stands for "everything", or the ends are the wrong way round.
    """
    moments = []
    for name, moment in (("start", start), ("end", end)):
        if not isinstance(moment, datetime) or moment.utcoffset() is None:
            raise _wrong(f"{name} {moment!r}", "a time with its zone; nothing is read without both ends")
        moments.append(moment)
    first, last = moments
    if first.year <= MINYEAR + 1 or last.year >= MAXYEAR - 1:
        raise _wrong(f"a range from {first} to {last}", "a range with two real ends")
    if first > last:
        raise _wrong(f"a range from {first} to {last}", "a start that is not behind the end")
    return first, last


def check_count(value: object, name: str) -> int:
    """Return a whole number from 1.

    Raises:
        RowInvalid: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(f"{name} {value!r}", "a whole number from 1")
    return value


def _wrong(found: str, expected: str) -> RowInvalid:
    return RowInvalid(found=found, expected=expected, hint="mend the call")
