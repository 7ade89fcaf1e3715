"""An event loop whose time is simulated: what waits for hours is over at once, and always in the same order."""

import asyncio
import selectors
from datetime import datetime
from typing import Final

from qts.clock.instants import from_ns

_NS: Final = 1_000_000_000


class _Jumping(selectors.DefaultSelector):
    """Asks what is ready and does not wait: the time that would have been waited has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_ns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # nothing is planned: only another thread or a socket can go on
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.passed_ns += max(1, round(timeout * _NS))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on which `asyncio.sleep`, timeouts and `call_later` take no real time.

    Time stands still while anything is ready to run, and jumps to the next timer when nothing is. It is meant for what
    runs inside the loop alone: time goes on while a thread or a socket is being waited for, if a timer is set.

    Args:
        start_ns: UTC nanoseconds at which `clock` begins.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.clock = LoopClock(self, start_ns)
        self._clock_resolution = 1e-9  # the loop's own field: timers that lie closer together run as one

    def time(self) -> float:
        """Return the simulated seconds since the loop was made."""
        return self._jumping.passed_ns / _NS

    @property
    def passed_ns(self) -> int:
        """Simulated nanoseconds since the loop was made, exact."""
        return self._jumping.passed_ns


class LoopClock:
    """The clock of a `VirtualLoop`: moves as the loop does, and only then."""

    def __init__(self, loop: VirtualLoop, start_ns: int) -> None:
        self._loop = loop
        self._start_ns = start_ns

    def now_ns(self) -> int:
        """Return simulated UTC nanoseconds."""
        return self._start_ns + self._loop.passed_ns

    def now_utc(self) -> datetime:
        """Return the simulated moment as an aware datetime."""
        return from_ns(self.now_ns())

    def monotonic_ns(self) -> int:
        """Return nanoseconds since the loop was made."""
        return self._loop.passed_ns

    def sleep_until(self, monotonic_ns: int) -> None:
        """Not to be had: whoever blocks the loop stops its time. Await `asyncio.sleep`."""
        raise NotImplementedError(f"blocking until {monotonic_ns} inside an event loop; await asyncio.sleep instead")
