"""Holdings whose price is old: halted symbols keep their shares, and are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.ops.close.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from qts.instruments import Calendar, Held

MOST_COUNTED: Final = 250
"""Sessions that are counted at most; from a year on it makes no difference."""


class StaleMark(NamedTuple):
    """A holding that is valued at an old price."""

    symbol: str
    last_price_on: date | None
    """Session of the last price; None = none was ever seen."""
    sessions: int
    """Sessions without a price, the one that is closed included; at most `MOST_COUNTED`."""

    @property
    def report(self) -> tuple[str, str]:
        """What the operator is told: GR037, a stale quote, and of what."""
        return "GR037", str(self)

    def __str__(self) -> str:
        return say("stale_mark", symbol=self.symbol, sessions=self.sessions)


def stale_marks(
    held: Iterable[Held], last_price_on: Mapping[str, date], day: date, calendar: Calendar, *, fresh_sessions: int = 0
) -> list[StaleMark]:
    """Return the held symbols without a price for more than `fresh_sessions` sessions up to `day`, by symbol."""
    found = []
    for symbol in sorted({row.symbol for row in held if row.qty}):
        last = last_price_on.get(symbol)
        missed = MOST_COUNTED if last is None else _sessions_after(last, day, calendar)
        if missed > fresh_sessions:
            found.append(StaleMark(symbol, last, missed))
    return found


def _sessions_after(last: date, day: date, calendar: Calendar) -> int:
    count, at = 0, last
    while at < day and count < MOST_COUNTED:
        at = calendar.next_session(at).date
        count += at <= day
    return count
