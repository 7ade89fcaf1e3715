"""The way of a fill: into the journal, and when it is durable there into the database, in order and once.

What is in the journal and not in the database yet is the spool. While the database answers it holds what is under way;
while it does not, it grows, and is written in order when the database is back, after a restart from the journal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_S
from qts.codes import QtsError
from qts.data.exceptions import DataConsistencyError, FillConflict, NotDurable, SourceUnavailable
from qts.data.hybrid.tasks import stop
from qts.data.records import FillResult, JournalAck

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from qts.clock import Clock
    from qts.data.hybrid.journal import FillJournal
    from qts.data.interfaces import DataSourceAdapter
    from qts.data.outage import OutageClock
    from qts.data.records import LedgerEntry

_BATCH: Final = 500
_FIRST_RETRY_S: Final = 0.25
_LAST_RETRY_S: Final = 5.0


class _Job:
    """Entries of one call, or of the journal after a restart."""

    __slots__ = ("durable", "entries", "future", "seq", "unjournaled")

    def __init__(
        self, entries: Sequence[LedgerEntry], seq: int | None, future: asyncio.Future[list[FillResult]] | None
    ) -> None:
        self.entries = entries
        self.seq = seq
        """Number of the last record; None if the journal did not take it."""
        self.future = future
        self.durable = future is None
        self.unjournaled: NotDurable | None = None

    @property
    def waited_for(self) -> bool:
        return self.future is not None and not self.future.done()

    def settle(self, results: list[FillResult]) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(results)

    def fail(self, error: QtsError) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)


class Spool:
    """Brings entries into the journal and the database.

    Args:
        books: the database, or what stands for it.
        journal: the journal.
        clock: measures retries.
        report: takes a code and a message.
        answer_s: how long a caller waits for the database before what is durable counts as spooled.
    """

    def __init__(
        self,
        books: DataSourceAdapter,
        journal: FillJournal,
        clock: Clock,
        report: Callable[[str, str], None],
        *,
        answer_s: float = 1.0,
    ) -> None:
        self._answer_s = answer_s
        self._depth = 0
        self._books = books
        self._journal = journal
        self._clock = clock
        self._report = report
        self._jobs: deque[_Job] = deque()
        self._first_seq: int | None = None
        self._replayed = False
        self._pump: asyncio.Task[None] | None = None
        self._retry_at_ns = 0
        self._retry_s = _FIRST_RETRY_S
        self._damage_told = False
        self.outage: OutageClock | None = None
        """Told of what the database does."""
        self.journal_failed = False
        """Whether the journal did not take the last record: no entries then."""
        self.before_try: Callable[[], Awaitable[None]] = _at_once
        """Called before the database is written to; raises SourceUnavailable if it cannot be."""
        self.on_booked: Callable[[], None] = _nothing
        """Called when something new is in the database."""

    @property
    def depth(self) -> int:
        """Return how many entries are not in the database yet."""
        return self._depth

    @property
    def settled(self) -> bool:
        """Whether everything of the journal is in the database."""
        return self._replayed and not self._jobs

    async def submit(self, entries: Sequence[LedgerEntry]) -> list[FillResult]:
        """Bring entries into journal and database; SPOOLED for each while the database is away or slow.

        Raises:
            NotDurable: FS063, neither the journal nor the database took them.
            FillConflict: FS122, as the database says.
            DataConsistencyError: FS070, as the database says.
            RowInvalid: the database refuses them.
        """
        job = _Job(entries, None, asyncio.get_running_loop().create_future())
        try:
            for entry in entries:
                job.seq = self._journal.append(entry)
                if self._first_seq is None:
                    self._first_seq = job.seq
        except NotDurable as error:
            job.unjournaled = error
            job.seq = None
            self._journal_lost(error)
        self._jobs.append(job)
        self._depth += len(entries)
        self._kick()
        answer = job.future
        assert answer is not None  # noqa: S101 - made above
        await asyncio.wait([answer], timeout=self._answer_s)
        if not answer.done():
            await self._sync([job])  # the pump may be waiting for the database with an earlier one
            if job.durable:
                self._settle_spooled(job)
        return await asyncio.shield(answer)

    async def catch_up(self) -> bool:
        """Try to bring everything into the database; say whether all of it is there."""
        self._kick()
        while self._pump is not None and not self._pump.done():
            await asyncio.shield(self._pump)
        return self.settled

    async def close(self) -> None:
        """Stop; what is not in the database stays in the journal."""
        pump, self._pump = self._pump, None
        if pump is not None:
            await stop([pump])
        for job in self._jobs:
            self._settle_spooled(job)

    def retry_now(self) -> None:
        """Do not wait with the next try."""
        self._retry_at_ns = 0

    # The pump

    def _kick(self) -> None:
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run(), name="qts-spool")
            self._pump.add_done_callback(self._ended)

    def _ended(self, pump: asyncio.Task[None]) -> None:
        """Let nobody wait for a pump that broke."""
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            for job in self._jobs:
                if job.future is not None and not job.future.done():
                    job.future.set_exception(error)

    async def _run(self) -> None:
        while True:
            await self._make_durable()
            if self._retry_at_ns > self._clock.monotonic_ns():
                if self._spooled():
                    return
                continue
            try:
                await self.before_try()
                await self._replay()
                if not self._jobs:
                    self._back()
                    return
                await self._book()
            except SourceUnavailable as error:
                self._away(error)
            except DataConsistencyError as error:  # the journal itself
                if not self._damage_told:
                    self._damage_told = True
                    self._report(error.code or "FS125", str(error))
                self._away(error)

    async def _make_durable(self) -> None:
        """Wait until every entry that came by now is durable in the journal."""
        await self._sync(list(self._jobs))

    async def _sync(self, jobs: list[_Job]) -> None:
        waiting = [job for job in jobs if not job.durable and job.unjournaled is None]
        last = next((job.seq for job in reversed(waiting) if job.seq is not None), None)
        if last is None:
            return
        try:
            await self._journal.wait_durable(last)
        except NotDurable as error:
            self._journal_lost(error)
            for job in waiting:
                job.unjournaled = error
        else:
            self.journal_failed = False
            for job in waiting:
                job.durable = True

    def _journal_lost(self, error: NotDurable) -> None:
        if not self.journal_failed:
            self.journal_failed = True
            self._report("FS063", error.found)

    def _spooled(self) -> bool:
        """Tell everybody that what is durable is spooled; False if something still has to become durable."""
        if any(not job.durable and job.unjournaled is None for job in self._jobs):
            return False
        for job in self._jobs:
            self._settle_spooled(job)
        return True

    @staticmethod
    def _settle_spooled(job: _Job) -> None:
        if job.durable:
            job.settle([FillResult("SPOOLED", None)] * len(job.entries))
        else:
            job.fail(
                job.unjournaled
                or NotDurable(
                    found="the books were closed before a fill was durable",
                    expected="a fill in the journal or in the database",
                    hint="book it again; a fill that is there already changes nothing",
                    code="FS063",
                )
            )

    def _away(self, error: QtsError) -> None:
        self._retry_at_ns = self._clock.monotonic_ns() + int(self._retry_s * NS_PER_S)
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
        if self.outage is not None:
            self.outage.down(error.found)

    def _back(self) -> None:
        self._retry_s = _FIRST_RETRY_S
        if self.outage is not None and self.outage.away:
            self.outage.up()

    async def _replay(self) -> None:
        """Put in front what an earlier process left in the journal."""
        if self._replayed:
            return
        after = await self._books.journal_ack(self._journal.name)
        found: list[_Job] = []
        async for chunk in self._journal.entries(after, self._first_seq):
            found += [_Job([entry], seq, None) for seq, entry in chunk]
        self._jobs.extendleft(reversed(found))
        self._depth += len(found)
        self._replayed = True

    async def _book(self) -> None:
        """Book the first job, or as many as nobody waits for."""
        batch = [self._jobs[0]]
        if not batch[0].waited_for:
            for job in list(self._jobs)[1:_BATCH]:
                if job.waited_for:
                    break
                batch.append(job)
        entries = [entry for job in batch for entry in job.entries]
        seq = next((job.seq for job in reversed(batch) if job.seq is not None and job.durable), None)
        try:
            results = await self._write(entries, seq)
        except SourceUnavailable:
            raise
        except QtsError as error:
            await self._refused(batch, entries, seq, error)
        else:
            batch[0].settle(results)
            self._done(len(batch))

    async def _write(self, entries: Sequence[LedgerEntry], seq: int | None) -> list[FillResult]:
        ack = None if seq is None else JournalAck(self._journal.name, seq)
        if all(entry.entry_type == "FILL" for entry in entries):
            return await self._books.apply_fills([entry.fill for entry in entries], ack=ack)
        results: list[FillResult] = []
        for entry in entries:
            if entry.entry_type == "FILL":
                results += await self._books.apply_fills([entry.fill])
            else:
                await self._books.append_ledger(entry)
                results.append(FillResult("INSERTED", None))
        if ack is not None:
            await self._books.apply_fills([], ack=ack)
        return results

    async def _refused(
        self, batch: list[_Job], entries: Sequence[LedgerEntry], seq: int | None, error: QtsError
    ) -> None:
        """Deal with entries that the database refuses, wholly or in part."""
        told = isinstance(error, FillConflict | DataConsistencyError)
        if told and all(entry.entry_type == "FILL" for entry in entries):  # the rest of them is written, with the ack
            self._report(error.code or "FS122", str(error))
        elif len(batch) > 1:
            for job in batch:  # one by one, so that only what is refused is left out
                await self._alone(job)
            return
        else:
            await self._leave_out(entries, seq, error)
        batch[0].fail(error)
        self._done(len(batch))

    async def _alone(self, job: _Job) -> None:
        seq = job.seq if job.durable else None
        try:
            await self._write(job.entries, seq)
        except SourceUnavailable:
            raise
        except FillConflict as error:
            self._report(error.code or "FS122", str(error))
        except QtsError as error:
            await self._leave_out(job.entries, seq, error)
        self._done(1)

    async def _leave_out(self, entries: Sequence[LedgerEntry], seq: int | None, error: QtsError) -> None:
        keys = ", ".join(entry.fill.fill_key for entry in entries)
        self._report(error.code or "FS122", f"{keys}: {error}; journal record {seq} keeps it, the database does not")
        if seq is not None:
            await self._books.apply_fills([], ack=JournalAck(self._journal.name, seq))

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._depth -= len(self._jobs.popleft().entries)
        self._retry_s = _FIRST_RETRY_S
        self.on_booked()


async def _at_once() -> None:
    """Do nothing."""


def _nothing() -> None:
    """Do nothing."""
