"""Time that runs faster than the machine's, the same in several processes: minutes of waiting take seconds.

`FastClock` and `FastLoop` agree: a loop's `call_later(60, ...)` is done when the clock has moved by 60 s. Processes
that share an anchor share the time, as `CLOCK_MONOTONIC` is one for the machine.
"""

import asyncio
import selectors
import time

from qts.clock import from_ns

NS = 1_000_000_000


class FastClock:
    """A clock whose UTC and monotonic time both run `speed` times too fast from `anchor_ns` (monotonic) on."""

    def __init__(self, anchor_ns: int, start_ns: int, speed: int) -> None:
        self._anchor_ns = anchor_ns
        self._start_ns = start_ns
        self.speed = speed

    @classmethod
    def beginning_now(cls, start_ns: int, speed: int) -> "FastClock":
        return cls(time.monotonic_ns(), start_ns, speed)

    @classmethod
    def parse(cls, text: str) -> "FastClock":
        return cls(*map(int, text.split(",")))

    def __str__(self) -> str:
        return f"{self._anchor_ns},{self._start_ns},{self.speed}"

    def monotonic_ns(self) -> int:
        return (time.monotonic_ns() - self._anchor_ns) * self.speed

    def now_ns(self) -> int:
        return self._start_ns + self.monotonic_ns()

    def now_utc(self):
        return from_ns(self.now_ns())

    def sleep_until(self, monotonic_ns: int) -> None:
        while (left_ns := monotonic_ns - self.monotonic_ns()) > 0:
            time.sleep(left_ns / self.speed / NS)


class _Hurried(selectors.DefaultSelector):
    def __init__(self, speed: int) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout=None):
        return super().select(timeout if timeout is None else timeout / self._speed)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop on the time of a `FastClock`."""

    def __init__(self, clock: FastClock) -> None:
        super().__init__(_Hurried(clock.speed))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_ns() / NS


def run(clock: FastClock, work):
    """`asyncio.run` on a `FastLoop`."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(clock)) as runner:
        return runner.run(work)
