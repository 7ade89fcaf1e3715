"""Recorded daily history: an index and a volatility index, and the moment at which each value could be known."""

from __future__ import annotations

import csv
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from qts.clock import NS_PER_S, midnight_ns, to_ns, utc_date
from qts.codes import DataError
from qts.state.interfaces import VolObservation
from qts.state.messages import say
from qts.state.quality import VIX_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qts.clock import Clock

VIX_HEADER: Final = ("DATE", "OPEN", "HIGH", "LOW", "CLOSE")
INDEX_HEADER: Final = ("date", "close")

KST_S: Final = 9 * 3_600
"""Seconds of Korean time east of UTC; no summer time since 1988."""
OPEN_NS: Final = 9 * 3_600 * NS_PER_S
CLOSE_NS: Final = (15 * 3_600 + 30 * 60) * NS_PER_S
"""Session of every day in Korean time. Earlier years closed earlier: a value is known late here, never early."""
_VIX_CLOSE: Final = time(16, 15, tzinfo=ZoneInfo("America/New_York"))
"""On days with a short session the index closes earlier: known late here, never early."""

FALL_YEARS: Final = (1998, 2008, 2020)
_YEAR: Final = timedelta(days=365)


class DailyClose(NamedTuple):
    """The close of one day, in points."""

    day: date
    close: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """Both indices, oldest first; each has at least one day."""

    index: tuple[DailyClose, ...]
    vix: tuple[DailyClose, ...]

    def shared(self) -> tuple[DailyClose, ...]:
        """Return the days of the index from the first day of the VIX to its last."""
        first, last = self.vix[0].day, self.vix[-1].day
        return tuple(one for one in self.index if first <= one.day <= last)

    def falls(self) -> list[Fall]:
        """Return the falls to the lowest close of FALL_YEARS, from the highest close of the 365 days before it."""
        days, found = self.shared(), []
        for year in FALL_YEARS:
            of_year = [one for one in days if one.day.year == year]
            if of_year:
                trough = min(of_year, key=lambda one: one.close)
                before = [one for one in days if _YEAR >= trough.day - one.day >= timedelta(0)]
                found.append(Fall(max(before, key=lambda one: one.close), trough))
        return found


class Fall(NamedTuple):
    """A fall of the index, close to close."""

    peak: DailyClose
    trough: DailyClose

    @property
    def depth(self) -> float:
        """Part of the peak that was lost."""
        return float(1 - self.trough.close / self.peak.close)


def read_history(vix: Path, index: Path) -> History:
    """Return what two CSV files hold: `DATE,OPEN,HIGH,LOW,CLOSE` and `date,close`, days ascending.

    Raises:
        DataError: a file is missing or cannot be read, its header is another one, a row is bad, or no day of the index
            lies within the VIX.
    """
    history = History(tuple(_closes(index, INDEX_HEADER)), read_vix(vix))
    if not history.shared():
        raise DataError(
            found=say("history_apart", first=history.vix[0].day, last=history.vix[-1].day),
            expected=say("history_apart_expected", first=history.index[0].day, last=history.index[-1].day),
            hint=say("history_apart_hint"),
            where=str(vix),
        )
    return history


def read_vix(path: Path) -> tuple[DailyClose, ...]:
    """Return the closes of a VIX file; see `read_history`, which raises the same."""
    return tuple(_closes(path, VIX_HEADER, most=VIX_MAX))


def _closes(path: Path, header: tuple[str, ...], most: float | None = None) -> Iterator[DailyClose]:
    """Yield the closes of a file; the last column is the close."""
    last: date | None = None
    line = 0
    for line, row in enumerate(_rows(path), start=1):
        if line == 1:
            if tuple(name.strip() for name in row) != header:
                raise _bad(path, line, repr(",".join(row)[:120]), ",".join(header))
            continue
        day, close = _row(path, line, row, header, most)
        if last is not None and day <= last:
            raise _bad(path, line, say("history_order", day=day, last=last), say("history_order_expected"))
        last = day
        yield DailyClose(day, close)
    if last is None:
        raise _bad(path, max(line, 1), say("history_empty"), f"{','.join(header)}, {say('history_empty_expected')}")


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file)
    except FileNotFoundError:
        found = say("history_no_file")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = say("history_unreadable", reason=error)
    else:
        return
    raise DataError(found=found, expected=say("history_file_expected"), hint=say("history_hint"), where=str(path))


def _row(path: Path, line: int, row: list[str], header: tuple[str, ...], most: float | None) -> tuple[date, Decimal]:
    if len(row) != len(header):
        raise _bad(path, line, say("history_columns", count=len(row)), ",".join(header))
    try:
        day = date.fromisoformat(row[0].strip())
    except ValueError:
        raise _bad(path, line, f"{header[0]} {row[0]!r}", say("history_day_expected")) from None
    for name, text in zip(header[1:], row[1:], strict=True):
        try:
            value = Decimal(text.strip())
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or value <= 0 or (most is not None and value > most):
            limit = "" if most is None else say("history_most", most=f"{most:g}")
            raise _bad(path, line, f"{name} {text!r}", say("history_value_expected") + limit)
    return day, value


def _bad(path: Path, line: int, found: str, expected: str) -> DataError:
    return DataError(found=found, expected=expected, hint=say("history_hint"), where=f"{path}:{line}")


def open_ns(day: date) -> int:
    """Return when the Korean session of a day opens."""
    return midnight_ns(day, KST_S) + OPEN_NS


def close_ns(day: date) -> int:
    """Return when the Korean session of a day has closed, and its index close is known."""
    return midnight_ns(day, KST_S) + CLOSE_NS


def vix_ns(day: date) -> int:
    """Return when the close of the VIX is published: 16:15 in New York, the next morning in Seoul."""
    return to_ns(datetime.combine(day, _VIX_CLOSE).astimezone(UTC))


class Sessions:
    """Tells whether the Korean market is open: on the days of the index, from open to close."""

    def __init__(self, days: Sequence[DailyClose]) -> None:
        self._days = frozenset(one.day for one in days)

    def __call__(self, now_ns: int) -> bool:
        """Return whether the market is open at a moment, UTC nanoseconds."""
        day = utc_date(now_ns, KST_S)
        return day in self._days and open_ns(day) <= now_ns < close_ns(day)


class PublishedVix:
    """The recorded VIX as a feed: knows what has been published by the clock, and nothing else."""

    def __init__(self, closes: Sequence[DailyClose], clock: Clock) -> None:
        self._seen = [VolObservation(float(one.close), vix_ns(one.day)) for one in closes]
        self._times = [one.asof_ns for one in self._seen]
        self._clock = clock

    def latest(self) -> VolObservation | None:
        """Return the newest close that has been published."""
        count = self._count()
        return self._seen[count - 1] if count else None

    def daily_closes(self) -> list[VolObservation]:
        """Return every close that has been published, oldest first."""
        return self._seen[: self._count()]

    def _count(self) -> int:
        return bisect_right(self._times, self._clock.now_ns())
