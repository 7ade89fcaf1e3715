"""The clock port, the clock of the machine, and the clock of a simulation."""

import time
from datetime import datetime
from typing import Protocol

from qts.clock.instants import from_ns


class Clock(Protocol):
    """Where time comes from. Monotonic nanoseconds measure durations, UTC nanoseconds label moments."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        ...

    def now_utc(self) -> datetime:
        """Return the same moment as an aware datetime."""
        ...

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never run backwards, from an arbitrary start."""
        ...

    def sleep_until(self, monotonic_ns: int) -> None:
        """Block until `monotonic_ns` of this clock; return at once if that has passed."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        return time.time_ns()

    def now_utc(self) -> datetime:
        """Return the moment as an aware datetime."""
        return from_ns(time.time_ns())

    def monotonic_ns(self) -> int:
        """Return monotonic nanoseconds."""
        return time.monotonic_ns()

    def sleep_until(self, monotonic_ns: int) -> None:
        """Block until `monotonic_ns`; KeyboardInterrupt ends the wait."""
        while (left_ns := monotonic_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)


def process_time_ns() -> int:
    """Return nanoseconds of processor time that this process has used: for measurements on a shared host."""
    return time.process_time_ns()


class SimClock:
    """A clock that stands still until it is moved, and never moves backwards.

    Args:
        start_ns: first UTC time; monotonic time starts at zero there.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return simulated UTC nanoseconds."""
        return self._now_ns

    def now_utc(self) -> datetime:
        """Return the simulated moment as an aware datetime."""
        return from_ns(self._now_ns)

    def monotonic_ns(self) -> int:
        """Return nanoseconds since the start of the simulation."""
        return self._now_ns - self._start_ns

    def advance_to(self, now_ns: int) -> None:
        """Move to `now_ns`, UTC; ValueError if that lies in the past."""
        if now_ns < self._now_ns:
            raise ValueError(f"simulated time {now_ns} lies before {self._now_ns}")
        self._now_ns = now_ns

    def sleep_until(self, monotonic_ns: int) -> None:
        """Move to `monotonic_ns` instead of waiting."""
        self._now_ns = max(self._now_ns, self._start_ns + monotonic_ns)
