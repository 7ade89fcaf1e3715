"""Brings what waits in the outbox to the sheets, every few seconds or when woken, and never at the cost of a fill."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from qts.clock import NS_PER_S
from qts.codes import QtsError
from qts.data.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.clock import Clock
    from qts.data.interfaces import Outbox
    from qts.data.records import OutboxRow

_DAY_S: Final = 86_400


class Mirror(Protocol):
    """What rows of the outbox are written to."""

    async def apply(self, rows: Sequence[OutboxRow]) -> dict[int, str]:
        """Write rows in their order; return those that will never be taken, with the reason."""
        ...


class MirrorPace(NamedTuple):
    """How the mirror works."""

    interval_s: float = 5.0
    batch: int = 500
    longest_backoff_s: float = 60.0
    tries: int = 20
    """Of a row that is refused, before it is given up."""
    late_s: float = 60.0
    """Age of the oldest row from which on it is told."""


class MirrorWorker:
    """Empties the outbox.

    Args:
        outbox: where the rows wait.
        mirror: where they go.
        clock: measures pauses and ages.
        report: takes a code and a message: GR105.
        pace: how.
        may: whether the mirror may write now; it pauses while it may not.
    """

    def __init__(
        self,
        outbox: Outbox,
        mirror: Mirror,
        clock: Clock,
        report: Callable[[str, str], None],
        *,
        pace: MirrorPace | None = None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._outbox = outbox
        self._mirror = mirror
        self._clock = clock
        self._report = report
        self._pace = pace or MirrorPace()
        self._may = may
        self._woken = asyncio.Event()
        self._working = asyncio.Lock()
        self._failures = 0
        self._not_before_ns = 0
        self._late = 0
        self.last_error = ""
        """Why the last attempt failed; empty after one that did not."""

    def wake(self) -> None:
        """Do not wait for the next interval."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.interval_s):
                    await self._woken.wait()
            self._woken.clear()
            while await self.work():
                pass

    async def work(self) -> int:
        """Mirror one batch unless it is too early; return how many rows were done with. Never raises QtsError."""
        if not self._may() or self._clock.monotonic_ns() < self._not_before_ns:
            return 0
        try:
            done = await self._batch()
        except QtsError as error:
            self._failed(error)
            done = 0
        try:
            await self.check_age()
        except SourceUnavailable:
            return 0  # the database is away, which its own watch tells
        return done

    async def drain(self) -> None:
        """Mirror everything that waits.

        Raises:
            SourceUnavailable: rows are left; the message says how many and why.
        """
        while True:
            waiting, _ = await self._outbox.outbox_waiting()
            if not waiting:
                return
            self._not_before_ns = 0
            done = await self.work()
            left, _ = await self._outbox.outbox_waiting()
            if not done and left >= waiting:
                raise SourceUnavailable(
                    found=f"{waiting} rows wait for the sheets ({self.last_error or 'held back by a refused row'})",
                    expected="an empty outbox",
                    hint="check the spreadsheet and its quota, then try again",
                    code="GR105",
                )

    async def check_age(self) -> None:
        """Tell GR105 when the oldest row waits too long, and once more after a day."""
        waiting, since = await self._outbox.outbox_waiting()
        age_s = 0.0 if since is None else (self._clock.now_utc() - since) / timedelta(seconds=1)
        late = (age_s > self._pace.late_s) + (age_s > _DAY_S)
        if late > self._late:
            urgent = ", for more than a day: somebody has to look at it" if late > 1 else ""
            self._report(
                "GR105", f"{waiting} rows wait for the sheets, the oldest {age_s:.0f} s{urgent}; {self.last_error}"
            )
        self._late = late

    async def _batch(self) -> int:
        async with self._working:
            rows = await self._outbox.outbox_pending(self._pace.batch)
            if not rows:
                return 0
            refused = await self._mirror.apply(rows)
            done = [row.seq for row in rows if row.seq not in refused]
            await self._outbox.outbox_done(done)
            for row in rows:
                if row.seq in refused:
                    await self._refused(row, refused[row.seq])
            self._failures = 0
            self.last_error = ""
            return len(done)

    async def _refused(self, row: OutboxRow, error: str) -> None:
        tries = row.attempts + 1
        self.last_error = error
        if tries >= self._pace.tries:
            self._report("GR105", f"{row.data_set} {row.key} is given up after {tries} tries: {error}")
            await self._outbox.outbox_failed([row.seq], error, retry_at=None)
            return
        wait_s = min(2.0**tries, self._pace.longest_backoff_s)
        await self._outbox.outbox_failed([row.seq], error, retry_at=self._clock.now_utc() + timedelta(seconds=wait_s))

    def _failed(self, error: QtsError) -> None:
        """Wait longer each time; the rows are not at fault, so nothing counts against them."""
        self.last_error = str(error)
        wait_s = min(2.0**self._failures, self._pace.longest_backoff_s)
        self._failures += 1
        self._not_before_ns = self._clock.monotonic_ns() + int(wait_s * NS_PER_S)
