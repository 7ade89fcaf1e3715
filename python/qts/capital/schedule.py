"""Sessions as capital counts them: first of a week, last of a quarter, number since the start (spec 14 §7.3)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from qts.capital.contracts import SessionInfo
from qts.codes import DataError

if TYPE_CHECKING:
    from qts.instruments import Calendar

RECENT: Final = 5
"""Sessions before the current one that are named: more than any measure may be old."""
_BACK_MAX: Final = 31
"""Days to look back for a session; no exchange has closed for longer."""
_KNOWN_MAX: Final = 64
"""Sessions whose place is remembered: more than a cooldown looks back over."""


class SessionSchedule:
    """Sessions of one calendar from the day on which the books began.

    Args:
        calendar: calendar of the exchange; days are its local days.
        began: day on which the books began; the first session from it on has number 0.
    """

    def __init__(self, calendar: Calendar, began: date) -> None:
        self._calendar = calendar
        self._began = began
        self._numbered = began - timedelta(days=1)
        """Day up to which sessions have been counted."""
        self._count = 0
        self._known: dict[date, SessionInfo] = {}

    def info(self, day: date) -> SessionInfo:
        """Return what capital has to know of a session.

        Raises:
            DataError: the market is closed that day, or the calendar does not reach to it.
        """
        known = self._known.get(day)
        if known is not None:
            return known
        self._calendar.session(day)
        before = self.before(day)
        if len(self._known) == _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        info = self._known[day] = SessionInfo(
            date=day,
            is_first_of_week=before is None or before.isocalendar()[:2] != day.isocalendar()[:2],
            is_first_of_month=before is None or (before.year, before.month) != (day.year, day.month),
            is_last_of_quarter=self._is_last_of_quarter(day),
            number=self._number(day),
            recent=self._recent(day),
        )
        return info

    def day_of(self, at_ns: int) -> date:
        """Return the local day of a moment, in UTC nanoseconds."""
        return self._calendar.session_date(at_ns)

    def before(self, day: date) -> date | None:
        """Return the session before a day; None if the calendar knows none."""
        for back in range(1, _BACK_MAX):
            other = day - timedelta(days=back)
            try:
                if self._calendar.is_session(other):
                    return other
            except DataError:
                return None
        return None

    def is_trading(self, at_ns: int) -> bool:
        """Whether a moment lies in the hours of a session: nothing that was missed is made up for then."""
        day = self._calendar.session_date(at_ns)
        if not self._calendar.is_session(day):
            return False
        session = self._calendar.session(day)
        return session.open_ns <= at_ns < session.close_ns

    def _is_last_of_quarter(self, day: date) -> bool:
        """Whether no session of the quarter follows; a calendar that ends within the quarter cannot say so."""
        other = day + timedelta(days=1)
        while quarter_of(other) == quarter_of(day):
            try:
                if self._calendar.is_session(other):
                    return False
            except DataError:
                return False
            other += timedelta(days=1)
        return True

    def _number(self, day: date) -> int:
        """Return how many sessions lie between the beginning and `day`."""
        if day <= self._numbered:
            return sum(1 for one in _days(self._began, day) if self._calendar.is_session(one))
        self._count += sum(
            1 for one in _days(self._numbered + timedelta(days=1), day) if self._calendar.is_session(one)
        )
        self._numbered = max(self._numbered, day - timedelta(days=1))
        return self._count

    def _recent(self, day: date) -> tuple[date, ...]:
        found: list[date] = []
        last: date | None = day
        while len(found) < RECENT and last is not None:
            last = self.before(last)
            if last is not None:
                found.append(last)
        return tuple(found)


def week_of(day: date) -> str:
    """Return the ISO week of a day, such as 2026-W05."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def month_of(day: date) -> str:
    """Return the month of a day, such as 2026-01."""
    return f"{day.year}-{day.month:02}"


def quarter_of(day: date) -> str:
    """Return the quarter of a day, such as 2026-Q1."""
    return f"{day.year}-Q{(day.month - 1) // 3 + 1}"


def _days(first: date, end: date) -> list[date]:
    """Return the days from `first` to the one before `end`."""
    return [date.fromordinal(number) for number in range(first.toordinal(), end.toordinal())]
