"""The one source of time. Nothing else in the project reads a clock."""

from qts.clock.clock import Clock, SimClock, SystemClock, process_time_ns
from qts.clock.instants import NS_PER_DAY, NS_PER_S, from_ns, midnight_ns, to_ns, utc_date

__all__ = [
    "NS_PER_DAY",
    "NS_PER_S",
    "Clock",
    "SimClock",
    "SystemClock",
    "from_ns",
    "midnight_ns",
    "process_time_ns",
    "to_ns",
    "utc_date",
]
