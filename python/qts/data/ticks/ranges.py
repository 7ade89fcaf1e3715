"""Ranges of time in which ticks are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.codes import UsageError

if TYPE_CHECKING:
    from datetime import datetime

LIMIT: Final = 1_000_000
"""Most ticks of one answer."""
LONGEST_DAYS: Final = 366


def check_range(start: datetime, end: datetime) -> None:
    """Refuse what would be no range, or one without a bound.

    Raises:
        UsageError: it is naive, empty, or longer than a year.
    """
    for name, moment in (("start", start), ("end", end)):
        if moment.utcoffset() is None:
            raise UsageError(
                found=f"{name} {moment.isoformat()} without a time zone", expected="an aware time", hint="add +00:00"
            )
    if end <= start:
        raise UsageError(found=f"from {start.isoformat()} to {end.isoformat()}", expected="an end behind the start")
    if (end - start).days > LONGEST_DAYS:
        raise UsageError(
            found=f"a range of {(end - start).days} days",
            expected=f"at most {LONGEST_DAYS}",
            hint="ask for one part after the other",
        )


def check_limit(limit: int) -> None:
    """Refuse a number of ticks that no answer has.

    Raises:
        UsageError: it is not from 1 to `LIMIT`.
    """
    if not 1 <= limit <= LIMIT:
        raise UsageError(
            found=f"a limit of {limit} ticks", expected=f"1 to {LIMIT}", hint="export more than that to a file"
        )
