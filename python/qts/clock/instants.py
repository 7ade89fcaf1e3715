"""Exact conversion between UTC nanoseconds and aware datetimes."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_S

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)


def from_ns(ns: int) -> datetime:
    """Return UTC nanoseconds as an aware datetime; digits below a microsecond are dropped."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def to_ns(moment: datetime) -> int:
    """Return an aware datetime as UTC nanoseconds, exact.

    Raises:
        TypeError: `moment` has no time zone.
    """
    if moment.utcoffset() is None:
        raise TypeError(f"naive datetime {moment.isoformat()}; expected one with a time zone")
    return (moment - _EPOCH) // _MICROSECOND * 1_000


def utc_date(ns: int, offset_s: int = 0) -> date:
    """Return the calendar day of UTC nanoseconds in a zone `offset_s` seconds east of UTC."""
    return date.fromordinal(_EPOCH_DAY + (ns + offset_s * NS_PER_S) // NS_PER_DAY)


def midnight_ns(day: date, offset_s: int = 0) -> int:
    """Return the UTC nanoseconds at which `day` begins in a zone `offset_s` seconds east of UTC."""
    return (day.toordinal() - _EPOCH_DAY) * NS_PER_DAY - offset_s * NS_PER_S
