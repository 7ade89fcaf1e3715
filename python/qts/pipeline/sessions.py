"""Session phases and dates, looked up once a minute instead of once an event."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.config import SessionPhase as Phase

_MINUTE_NS: Final = 60_000_000_000
_DAY_NS: Final = 86_400_000_000_000
_KST_NS: Final = 9 * 3_600_000_000_000
"""Korea's offset from UTC; there is no daylight saving time."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class PhaseSource(Protocol):
    """A market's calendar."""

    def phase_at(self, ts_ns: int) -> Phase:
        """Return the phase at a UTC time; phases change on whole minutes only."""
        ...


class SessionClock:
    """Session phases by instrument and the account's business date, which is the date in Korea."""

    def __init__(self, calendars: Sequence[PhaseSource]) -> None:
        """Take the calendar of each instrument, by instrument id. Instruments may share one."""
        distinct = list({id(calendar): calendar for calendar in calendars}.values())
        index = {id(calendar): number for number, calendar in enumerate(distinct)}
        self._calendars = distinct
        self._calendar_of = [index[id(calendar)] for calendar in calendars]
        self._minute: list[int | None] = [None] * len(distinct)
        self._phase: list[Phase] = ["MONITOR"] * len(distinct)
        self._day: int | None = None
        self._date = ""

    def phase(self, instrument: int, ts_ns: int) -> Phase:
        """Return the session phase of the instrument's market."""
        calendar = self._calendar_of[instrument]
        minute = ts_ns // _MINUTE_NS
        if self._minute[calendar] != minute:
            self._phase[calendar] = self._calendars[calendar].phase_at(ts_ns)
            self._minute[calendar] = minute
        return self._phase[calendar]

    def session_date(self, ts_ns: int) -> str:
        """Return the business date, YYYY-MM-DD."""
        day = (ts_ns + _KST_NS) // _DAY_NS
        if day != self._day:
            self._day = day
            self._date = date.fromordinal(_EPOCH_ORDINAL + day).isoformat()
        return self._date
