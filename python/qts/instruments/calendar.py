"""Trading calendars: which days trade, from when to when, and what a moment is within its day."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import Final, Protocol

from qts.clock import NS_PER_DAY, NS_PER_S, midnight_ns, utc_date
from qts.codes import ConfigError, DataError
from qts.config import AlwaysOpenCalendar, ExchangeCalendar, Reference, SessionPhase
from qts.instruments.kept_days import LibraryDays, kept_days
from qts.instruments.messages import say
from qts.instruments.session import PHASES, Session

_SATURDAY: Final = 5
_NS_PER_MIN: Final = 60 * NS_PER_S

_Edges = tuple[int, ...]
"""The eight moments of a day at which the phases change, UTC nanoseconds."""


class Calendar(Protocol):
    """What a market's calendar answers. Days are the market's local days, times UTC nanoseconds."""

    closes: bool
    """Whether the market closes at all."""
    utc_offset_s: int
    """Seconds east of UTC."""

    def session_date(self, ts_ns: int) -> date:
        """Return the local day of a moment."""
        ...

    def is_session(self, day: date) -> bool:
        """Whether the market trades on a day."""
        ...

    def session(self, day: date) -> Session:
        """Return the session of a trading day; DataError if it is none."""
        ...

    def next_session(self, day: date) -> Session:
        """Return the first session after a day."""
        ...

    def phase_at(self, ts_ns: int) -> SessionPhase:
        """Return the session phase of a moment."""
        ...

    def session_table(self) -> list[tuple[int, int, int]]:
        """Return the hours by date: (effective_from_ns, open_s, close_s), seconds of the local day."""
        ...

    def sessions_in_year(self, year: int) -> int:
        """Return the number of trading days of a year."""
        ...


class AlwaysOpen:
    """A market that never closes: every UTC day is a session, every moment FULL."""

    closes = False
    utc_offset_s = 0

    def session_date(self, ts_ns: int) -> date:
        """Return the UTC day of a moment."""
        return utc_date(ts_ns)

    def is_session(self, day: date) -> bool:  # noqa: ARG002 - every day
        """Return True."""
        return True

    def session(self, day: date) -> Session:
        """Return the UTC day."""
        start = midnight_ns(day)
        return Session(day, start, start + NS_PER_DAY, start + NS_PER_DAY)

    def next_session(self, day: date) -> Session:
        """Return the UTC day after `day`."""
        return self.session(day + timedelta(days=1))

    def phase_at(self, ts_ns: int) -> SessionPhase:  # noqa: ARG002 - always
        """Return FULL."""
        return "FULL"

    def session_table(self) -> list[tuple[int, int, int]]:
        """Return one row: the whole day."""
        return [(0, 0, NS_PER_DAY // NS_PER_S)]

    def sessions_in_year(self, year: int) -> int:
        """Return the number of days of a year."""
        return date(year + 1, 1, 1).toordinal() - date(year, 1, 1).toordinal()


class TradingCalendar:
    """An exchange with sessions.

    Closed days come from the library, which is asked once for each of its versions; hours and special days come from
    the reference data.
    """

    closes = True

    def __init__(self, name: str, rules: ExchangeCalendar) -> None:
        self._name = name
        self._rules = rules
        self._shifts = {row.date: row.shift_min for row in rules.shifted_days}
        self._edges: dict[int, _Edges | None] = {}
        self.utc_offset_s = rules.utc_offset_min * 60

    def session_date(self, ts_ns: int) -> date:
        """Return the local day of a moment."""
        return utc_date(ts_ns, self.utc_offset_s)

    def is_session(self, day: date) -> bool:
        """Whether the market trades on a day; DataError if the calendar does not reach to it."""
        self._check(day)
        return day in self._index

    def session(self, day: date) -> Session:
        """Return the session of a trading day; DataError if it is none."""
        if not self.is_session(day):
            raise DataError(
                found=say("closed_day", day=day, name=self._name),
                expected=say("closed_day_expected", next_day=self.next_session(day).date),
                hint=say("closed_day_hint"),
            )
        open_s, close_s = self._hours(day)
        start = midnight_ns(day, self.utc_offset_s)
        close_ns = start + close_s * NS_PER_S
        auction_ns = close_ns - self._rules.phases.auction_before_close_min * _NS_PER_MIN
        return Session(day, start + open_s * NS_PER_S, auction_ns, close_ns)

    def next_session(self, day: date) -> Session:
        """Return the first session after a day; DataError if the calendar ends before it."""
        number = bisect_right(self._days, day)
        if number == len(self._days):
            raise self._outside(day + timedelta(days=1))
        return self.session(self._days[number])

    def sessions(self, first: date, last: date) -> list[Session]:
        """Return the sessions from `first` to `last`, both included."""
        self._check(first)
        self._check(last)
        days = self._days[bisect_left(self._days, first) : bisect_right(self._days, last)]
        return [self.session(day) for day in days]

    def sessions_in_year(self, year: int) -> int:
        """Return the number of trading days of a year."""
        first, last = date(year, 1, 1), date(year, 12, 31)
        self._check(first)
        self._check(last)
        return bisect_right(self._days, last) - bisect_left(self._days, first)

    def phase_at(self, ts_ns: int) -> SessionPhase:
        """Return the session phase of a moment; MONITOR on closed days."""
        day_number = (ts_ns + self.utc_offset_s * NS_PER_S) // NS_PER_DAY
        try:
            edges = self._edges[day_number]
        except KeyError:
            edges = self._edges[day_number] = self._edges_of(self.session_date(ts_ns))
        if edges is None:
            return "MONITOR"
        number = bisect_right(edges, ts_ns)
        return PHASES[number] if number < len(PHASES) else "MONITOR"

    def session_table(self) -> list[tuple[int, int, int]]:
        """Return the hours by date: (effective_from_ns, open_s, close_s), seconds of the local day.

        A special day has a row of its own, and the session after it one that goes back to the regular hours.
        """
        table: list[tuple[int, int, int]] = []
        last: tuple[int, int] | None = None
        for day in self._days:
            hours = self._hours(day)
            if hours != last:
                table.append((midnight_ns(day, self.utc_offset_s), *hours))
                last = hours
        return table

    def _edges_of(self, day: date) -> _Edges | None:
        if not self.is_session(day):
            return None
        session, phases = self.session(day), self._rules.phases
        return (
            session.open_ns - phases.prepare_before_open_min * _NS_PER_MIN,
            session.open_ns - phases.auction_before_open_min * _NS_PER_MIN,
            session.open_ns,
            session.open_ns + phases.open_guard_min * _NS_PER_MIN,
            session.close_ns - phases.close_guard_before_close_min * _NS_PER_MIN,
            session.continuous_end_ns,
            session.close_ns,
            session.close_ns + phases.close_set_min * _NS_PER_MIN,
        )

    def _hours(self, day: date) -> tuple[int, int]:
        """Return opening and close of a trading day, seconds of the local day."""
        rows = self._rules.hours
        row = rows[max(0, bisect_right(self._hours_from, day) - 1)]
        open_min = row.open.hour * 60 + row.open.minute
        close_min = row.close.hour * 60 + row.close.minute
        shift = self._shifts.get(day, 0)
        if day in self._first_of_year:
            open_min += self._rules.first_session_open_shift_min
        return (open_min + shift) * 60, (close_min + shift) * 60

    @cached_property
    def _hours_from(self) -> list[date]:
        return [row.effective_from for row in self._rules.hours]

    @cached_property
    def _days(self) -> list[date]:
        """Every trading day, ascending."""
        sessions, holidays = kept_days(self._rules, self._library)
        extra = set(self._rules.extra_closed_days)
        return sorted(day for day in (*sessions, *self._saturdays(holidays)) if day not in extra)

    @cached_property
    def _index(self) -> frozenset[date]:
        return frozenset(self._days)

    @cached_property
    def _first_of_year(self) -> frozenset[date]:
        first: dict[int, date] = {}
        for day in self._days:
            first.setdefault(day.year, day)
        if self._days and self._days[0] == self._rules.first_day:
            del first[self._rules.first_day.year]  # the calendar begins in mid-year: its first day is not the year's
        return frozenset(first.values())

    def _library(self) -> LibraryDays:
        """Return the library's trading days, and its list of holidays."""
        # Imported here: the library and its pandas take a second, which only those pay who have no kept days.
        import exchange_calendars

        try:
            calendar = exchange_calendars.get_calendar(
                self._rules.library,
                start=self._rules.first_day.isoformat(),
                end=self._rules.last_day.isoformat(),
            )
        except exchange_calendars.errors.InvalidCalendarName:
            raise ConfigError(
                found=say("no_library_calendar", name=self._rules.library),
                expected=say("no_library_calendar_expected"),
                hint=say("no_library_calendar_hint"),
                where="reference/calendar.yaml",
            ) from None
        return [stamp.date() for stamp in calendar.sessions], {stamp.date() for stamp in calendar.adhoc_holidays}

    def _saturdays(self, holidays: set[date]) -> list[date]:
        """Return the Saturdays that traded; the library leaves them out."""
        last = self._rules.saturdays_until
        if last is None:
            return []
        first = self._rules.first_day + timedelta(days=(_SATURDAY - self._rules.first_day.weekday()) % 7)
        weeks = (min(last, self._rules.last_day) - first).days // 7 + 1
        days = (first + timedelta(weeks=week) for week in range(weeks))
        return [day for day in days if day not in holidays]

    def _check(self, day: date) -> None:
        if not self._rules.first_day <= day <= self._rules.last_day:
            raise self._outside(day)

    def _outside(self, day: date) -> DataError:
        return DataError(
            found=say("outside_calendar", day=day, name=self._name),
            expected=say("outside_calendar_expected", first=self._rules.first_day, last=self._rules.last_day),
            hint=say("outside_calendar_hint"),
        )


def load_calendars(reference: Reference) -> Mapping[str, Calendar]:
    """Return the calendars of a resolved configuration by name."""
    return {
        name: AlwaysOpen() if isinstance(rules, AlwaysOpenCalendar) else TradingCalendar(name, rules)
        for name, rules in reference.calendars.items()
    }
