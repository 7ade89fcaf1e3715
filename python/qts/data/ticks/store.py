"""Carries ticks from the spool to where they are kept, on a thread of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from qts.codes import DataError
from qts.data.ticks.contracts import SinkUnavailable, TickFigures
from qts.data.ticks.records import batch_of, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qts._core import TickSpool
    from qts.clock import Clock
    from qts.data.ticks.contracts import Reporter, TickSink
    from qts.data.ticks.records import SymbolRow

BATCH: Final = 8_192
"""Ticks that are carried at once."""
_LOOK_S: Final = 0.02
"""How often an empty spool is looked at."""
_RETRY_NS: Final = (100_000_000, 10_000_000_000)
"""Shortest and longest wait after a failure."""
_CARE_NS: Final = 1_000_000_000
"""How often disk, losses and old files are looked after."""
NEAR: Final = 0.8
FULL: Final = 0.9
_PLACE_BITS: Final = 10


class TickStore:
    """Reads the spool in order and hands batches to a sink; what the sink does not take waits in the spool.

    `start` runs it on a thread with an event loop of its own, so that neither trading nor another loop waits for it;
    `run` runs it where it is called. Memory is one batch. A batch is let go of only when the sink has it, and the sink
    keeps its position with it: whatever dies when, every tick is there once.

    Args:
        spool: where ticks come from.
        sink: makes what keeps them; called on the thread that uses it.
        clock: paces attempts.
        report: is told codes: GR100 and its end, GR103, GR107.
        disk_use: share of the disk in use, from 0 to 1; see `disk_use_of`.
    """

    def __init__(
        self,
        spool: TickSpool,
        sink: Callable[[], TickSink],
        *,
        clock: Clock,
        report: Reporter,
        disk_use: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._spool = spool
        self._make_sink = sink
        self._clock = clock
        self._report = report
        self._disk_use = disk_use
        self._tables: dict[int, tuple[SymbolRow, ...]] = {}
        self._rejected: Counter[str] = Counter()
        self._stored = self._crossed = self._after = self._failures = self._lost_told = 0
        self._behind = True
        self._is_shut = self._is_near = False
        self._cared_ns: int | None = None
        self._wants_stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None

    def start(self) -> None:
        """Run on a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._run_thread, name="qts-ticks", daemon=True)
        self._thread.start()

    def _run_thread(self) -> None:
        try:
            asyncio.run(self.run())
        except BaseException as error:
            self._fault = error
            self._report("GR107", f"ticks are no longer carried to the store: {error}")

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Carry what the spool holds now, if the sink takes it in time, and end; whether all of it was carried.

        Raises:
            DataError: the spool and the sink do not belong together; nothing has been carried.
        """
        self._wants_stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
        if self._fault is not None:
            raise self._fault
        return not self._behind

    async def run(self) -> None:
        """Carry ticks until `stop` is asked for and the spool is empty, or the sink fails after that.

        Raises:
            DataError: the sink has ticks that the spool never gave, or the spool is damaged.
        """
        sink = self._make_sink()
        try:
            position = await self._start_at(sink)
            if position is None:
                return
            self._after = position
            self._spool.keep_behind(position)
            while await self._carry(sink):
                await self._care()
        finally:
            await sink.close()

    async def _start_at(self, sink: TickSink) -> int | None:
        """Return where to go on; None if the store is stopped before the sink answers."""
        while True:
            try:
                position = await sink.position()
            except SinkUnavailable as error:
                await self._care()
                if await self._failed(error):
                    return None
                continue
            self._recovered()
            if position > self._spool.last_seq:
                raise DataError(
                    found=f"ticks up to {position} in the store, but the spool has not come further than "
                    f"{self._spool.last_seq}",
                    expected="the spool that they came from",
                    hint="bring the spool directory back, or carry on under another source name",
                )
            return position

    async def _carry(self, sink: TickSink) -> bool:
        """Carry one batch; False when it is time to end."""
        # Asked first: what becomes durable between the two looks is read, not taken for nothing.
        on_its_way = self._spool.figures()["pending"] > 0 or self._spool.lag > 0
        data, table, through_seq, lost = await asyncio.to_thread(self._spool.read, self._after, BATCH)
        if lost:
            self._report("GR107", f"{lost} ticks in front of number {through_seq} are missing: they were never written")
        if not data:
            self._behind = on_its_way
            if self._wants_stop.is_set() and (not on_its_way or self._spool.figures()["trouble"] is not None):
                return False
            await asyncio.sleep(_LOOK_S)
            return True
        checked = check(batch_of(data, self._symbols(table)))
        while True:
            try:
                stored = await sink.copy(checked.batch, checked.rejected, through_seq=through_seq)
                break
            except SinkUnavailable as error:
                await self._care()
                if await self._failed(error):
                    return False
        self._recovered()
        self._after = through_seq
        self._stored += stored
        self._crossed += checked.crossed
        self._rejected.update(checked.causes)
        self._spool.keep_behind(through_seq)
        return True

    def _symbols(self, table: int) -> tuple[SymbolRow, ...]:
        if table not in self._tables:
            self._tables[table] = tuple(self._spool.table(table))
        return self._tables[table]

    async def _failed(self, error: SinkUnavailable) -> bool:
        """Wait before the next attempt; True if there is to be none."""
        self._failures += 1
        self._behind = True
        if self._failures == 1:
            self._report(error.code or "GR100", f"ticks wait in the spool: {error.found}")
        shortest, longest = _RETRY_NS
        due_ns = self._clock.monotonic_ns() + min(shortest << min(self._failures - 1, 20), longest)
        while self._clock.monotonic_ns() < due_ns:
            if self._wants_stop.is_set():
                return True
            await asyncio.sleep(_LOOK_S)
        return self._wants_stop.is_set()

    def _recovered(self) -> None:
        if self._failures:
            self._report("GR100", f"the store takes ticks again after {self._failures} attempts")
        self._failures = 0

    async def _care(self) -> None:
        """Look after the disk, losses and old files, now and then."""
        now_ns = self._clock.monotonic_ns()
        if self._cared_ns is not None and now_ns - self._cared_ns < _CARE_NS:
            return
        self._cared_ns = now_ns
        self._look_at_disk(self._disk_use())
        figures = self._spool.figures()
        if figures["lost"] > self._lost_told:
            cause = "the disk is nearly full" if self._is_shut else figures["trouble"] or "the disk does not keep up"
            self._report("GR107", f"{figures['lost'] - self._lost_told} ticks could not be written: {cause}")
            self._lost_told = figures["lost"]
        try:
            await asyncio.to_thread(self._spool.retire)
        except (OSError, ValueError) as error:
            self._report("GR107", f"the tick spool is in trouble: {error}")

    def _look_at_disk(self, use: float) -> None:
        is_near, is_full = use > NEAR, use >= FULL
        if is_near and not self._is_near:
            self._report("GR103", f"the disk is {use:.0%} full; at {FULL:.0%} no more ticks are taken")
        if is_full != self._is_shut:
            self._spool.shut(is_full)
            words = "no ticks are taken" if is_full else "ticks are taken again"
            self._report("GR103", f"the disk is {use:.0%} full: {words}")
        self._is_near, self._is_shut = is_near, is_full

    def figures(self) -> TickFigures:
        """Return what became of the ticks since the start; from any thread."""
        return TickFigures(
            stored=self._stored,
            rejected=dict(self._rejected),
            crossed=self._crossed,
            lost=self._spool.figures()["lost"],
            through_seq=self._after,
            behind=self._behind,
            failures=self._failures,
            is_shut=self._is_shut,
        )


def disk_use_of(path: Path) -> Callable[[], float]:
    """Return a function that tells how full the disk of a directory is, from 0 to 1."""

    def use() -> float:
        usage = shutil.disk_usage(path)
        return 1.0 - usage.free / usage.total

    return use
