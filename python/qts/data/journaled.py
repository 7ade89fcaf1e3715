"""The books of a run behind the journal: what happens is durable here before the database hears of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

from qts.codes import EngineFault, UsageError
from qts.data.capital import check_capital, not_kept
from qts.data.contracts import (
    DecisionRow,
    EquityRow,
    ExecutionRow,
    FillRow,
    FlushResult,
    OrderRow,
    SessionRow,
    StoreCondition,
)
from qts.data.exceptions import (
    AdapterError,
    CapitalConflict,
    CapitalNotKept,
    DataConsistencyError,
    FillConflict,
    LedgerConflict,
    LedgerMismatch,
    SourceUnavailable,
    StoreUnavailable,
)
from qts.data.journaled_ahead import JournaledAhead
from qts.data.journaled_errors import away, journal_is_behind, never_taken, of_another_version, records_of, unwritable
from qts.data.journaled_reads import JournaledReads
from qts.data.journaled_records import (
    KINDS,
    VERSION,
    Ending,
    Funds,
    Waiting,
    open_journal,
    payload_of,
    row_in,
    waits_for_order,
)
from qts.data.outage import OutageClock, OutageLimits
from qts.data.records import JournalAck

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from qts._core import JournalWriter
    from qts.clock import Clock
    from qts.data.contracts import CapitalRow, CurrencyRow, InstrumentRow, SessionStatus
    from qts.data.interfaces import DataSourceAdapter, RunBooks
    from qts.data.journaled_records import Row

    class Books(DataSourceAdapter, RunBooks, Protocol):
        """What lies behind the journal."""

    Known = tuple[Iterable[CurrencyRow], Iterable[InstrumentRow]]


_T = TypeVar("_T")

_BATCH: Final = 1_000
"""Records that one transaction takes."""
_PAIR: Final = frozenset({"FILL", "ORDER_EVENT"})
"""Records that the books take together."""
_FAULTS: Final[dict[type[AdapterError], tuple[type[EngineFault], str]]] = {
    FillConflict: (LedgerConflict, "FS122"),
    CapitalConflict: (CapitalNotKept, "FS086"),
    DataConsistencyError: (LedgerMismatch, "FS070"),
}
_TOLD: Final = tuple(_FAULTS)
"""What is raised when everything else of a batch has been written."""
_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to reach a database that is away."""
_OPEN_S: Final = 30.0
"""How long opening may take, replay not counted."""
_READ_S: Final = 60.0
_DURABLE_S: Final = 1.0
"""A record that is not durable by then is a fault of the journal."""
_SAMPLES: Final = 10_000
"""Samples of equity that are sent at once."""
_AHEAD: Final = 20_000
"""Rows that a run without a journal may be ahead of its database; then it waits."""
_EQUITY_KEPT: Final = 100_000
"""Samples of equity that wait in memory at most; they can be derived, and so are not in the journal."""


class JournaledStore(JournaledAhead, JournaledReads):
    """Durable books of one run at a time, behind the journal.

    A row is appended to the journal when it is recorded; a thread of its own brings it to the database, in order, as
    soon as the journal has synced it. While the database is away the run goes on, and what waits is brought when it is
    back: by this process, or by the next one that opens the same journal. Use it from one thread.

    `behind` names the database, `open` opens both; the end of a session lets go of the journal, `close` of the rest.

    Args:
        clock: measures outages.
        journal: directory of the journal; None: without one, for what can be run again.
        name: names this journal in the database, so that several engines can share one; asked at the opening.
        limits: when an outage holds entries back, and when it is a fault.
        flush_s: how long the end of a session waits for a database that is away.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Path | None,
        *,
        name: Callable[[], str],
        limits: OutageLimits = OutageLimits(),  # noqa: B008 - a value
        flush_s: float = 90.0,
    ) -> None:
        super().__init__()
        self._books: Books | None = None
        self._known: Callable[[], Known] = lambda: ((), ())
        self._directory = journal
        self._name_of = name
        self._name = ""
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._waiting: deque[Waiting] = deque()
        self._equity: deque[EquityRow] = deque()
        self._unjournaled = 0
        self._writing = False
        self._is_asked = False
        self._batch = _BATCH
        self._sending: list[EquityRow] = []
        self._equity_seq = 0
        self._is_idle = True
        self._is_journal_told = False
        self._is_full_told = False
        self._reports: deque[tuple[str, str]] = deque()
        self._error: AdapterError | None = None
        self._outage = OutageClock(
            clock, self.report, depth=lambda: len(self._waiting), free_disk=self._free_disk, limits=limits
        )
        self._session: SessionRow | None = None
        self._journal: JournalWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._companions: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.duplicates = 0
        """Fills of this session that were in the ledger already."""
        self.replayed = 0
        """Records that an earlier process had left for this one."""

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Name work that goes on on the thread of the books while they are open; it deals with its own errors."""
        self._companions.append(work)

    def behind(self, books: Books, known: Callable[[], Known] = lambda: ((), ())) -> Self:
        """Name the database, an adapter that is not open yet; this object opens and closes it.

        `known` returns currencies and instruments, for runs of the journal that a new database has not heard of.
        """
        self._books, self._known = books, known
        return self

    def open(self) -> None:
        """Open journal and database, and bring what an earlier process has left. Blocks until that is done.

        Raises:
            AdapterError: the database is not as it should be, does not take what was left, or has what this journal
                never held.
            StoreUnavailable: it does not answer.
            EngineFault: FS063, the journal cannot be written; FS125, it is damaged.
        """
        self._name = self._name_of()
        if self._directory is not None:
            self._journal = open_journal(self._directory)
        self._wake = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qts-books", daemon=True)
        self._thread.start()
        try:
            self._call(self._database.open(), _OPEN_S)
            if self._directory is not None:
                self._equity_seq = self._call(self._database.journal_ack(f"{self._name} equity"), _READ_S)
                self._replay(self._directory)
        except BaseException:
            self.close()
            raise
        for work in (self._write_on, *self._companions):
            asyncio.run_coroutine_threadsafe(work(), self._loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Bring what waits to the database if it answers, and let go of both. What it does not take stays durable."""
        if self._loop is None:
            return
        if threading.current_thread() is self._thread:  # by the collector, which runs anywhere: it must not wait here
            threading.Thread(target=self.close, name="qts-books-end", daemon=True).start()
            return
        with suppress(EngineFault):
            self.flush()
        with suppress(Exception):
            self._call(self._let_go(), _OPEN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None
        self._close_journal()

    # What the numbers mean, and sessions

    def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; what is known already must agree.

        Raises:
            UsageError: a currency or symbol is in the database with other scales.
            StoreUnavailable: the database does not answer.
        """
        self._call(self._database.register(currencies, instruments), _READ_S)

    def begin_session(self, session: SessionRow) -> None:
        """Open a session; everything recorded from now on belongs to it.

        Raises:
            UsageError: the session exists already.
            StoreUnavailable: the database does not answer.
        """
        self._call(self._database.begin_run(session), _READ_S)
        self._session = session
        if self._directory is None:
            self._name = f"run {session.session_id}"
        self.duplicates = 0

    def end_session(self, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str) -> None:
        """Write what is pending and close the session. `ended_ns` is wall-clock time.

        Raises:
            StoreUnavailable: the database does not answer; the end is in the journal, the next start brings it.
        """
        ending = Ending(status, ended_ns, cash_end, decision_hash)
        self._append("EXECUTION_STATE", ending)
        self._wait_drained(self._flush_s)
        self._raise_error()
        self._close_journal()

    # Writing

    def record_fill(self, fill: FillRow) -> None:
        """Append a fill to the journal. Raises what an earlier row has met with in the database."""
        self._append("FILL", fill)
        self._raise_error()  # after it: whatever became of earlier rows, this one has happened

    def record_order(self, order: OrderRow) -> None:
        """Append the state of an order to the journal. Raises what an earlier row has met with in the database."""
        self._append("ORDER_EVENT", order)
        self._raise_error()

    def record_capital(self, rows: Sequence[CapitalRow]) -> None:
        """Append rows of capital that belong together to the journal, as one record.

        What they meet with in the database is told by the next fill or order: by then they have happened.

        Raises:
            EngineFault: FS086, they cannot be kept; nothing has happened then.
        """
        check_capital(rows)
        if rows:
            funds = Funds(tuple(rows))
            self._append(funds.kind, funds)

    def record_equity(self, sample: EquityRow) -> None:
        """Take in a sample of equity; kept in memory until the database has it.

        What does not fit there any more is left out and reported (GR107): it can be derived from the ledger.
        """
        if self._directory is None and len(self._equity) >= _AHEAD:
            self.flush()
        with self._lock:
            if len(self._equity) < _EQUITY_KEPT:
                self._equity.append(sample)
                return
        if not self._is_full_told:
            self._is_full_told = True
            self.report("GR107", f"{_EQUITY_KEPT} samples of equity wait for the database; new ones are left out")

    def flush(self) -> FlushResult:
        """Wait until the database has everything; while it is known to be away, do not wait.

        Raises:
            LedgerConflict: a fill contradicts the ledger or breaks its rules.
            LedgerMismatch: more was sold than was held.
            StoreUnavailable: the database does not answer; everything is in the journal.
        """
        self._wait_drained(0.0 if self._outage.away else self._flush_s)
        self._raise_error()
        return FlushResult(0, self.duplicates, 0, 0)

    def condition(self) -> StoreCondition:
        """Return whether entries may be made, and what was reported since the last look. Does not block."""
        with self._lock:
            if self._outage.away:
                self._outage.watch()
            reports = [self._reports.popleft() for _ in range(len(self._reports))]
            return StoreCondition(self._outage.reason, tuple(reports))

    def report(self, code: str, text: str) -> None:
        """Take in a code for the next `condition`. From any thread."""
        self._reports.append((code, text))

    # Inside

    @property
    def _database(self) -> Books:
        if self._books is None:
            raise RuntimeError("behind comes first")
        return self._books

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the store is not open")
        return self._loop

    def _open_session(self) -> SessionRow:
        if self._session is None:
            raise RuntimeError("begin_session comes first")
        return self._session

    def _append(self, kind: str, row: Row) -> int:
        if self._directory is None and len(self._waiting) >= _AHEAD:
            self.flush()
        seq = self._journaled(kind, row)
        with self._lock:
            is_idle, self._is_idle = self._is_idle, False
            self._waiting.append(Waiting(seq, kind, row))
        if is_idle:
            self._running.call_soon_threadsafe(self._wake.set)
        return seq

    def _free_disk(self) -> float:
        """Return the free part of the journal's disk."""
        if self._directory is None:
            return 1.0
        usage = shutil.disk_usage(self._directory)
        return usage.free / usage.total

    def _journaled(self, kind: str, row: Row) -> int:
        if self._directory is None:
            self._unjournaled += 1
            return self._unjournaled
        payload = payload_of(self._open_session(), kind, row)
        if self._journal is None:
            raise RuntimeError("the session has ended")
        try:
            return self._journal.append(kind, payload, version=VERSION)
        except (OSError, ValueError) as error:
            raise (not_kept if isinstance(row, Funds) else unwritable)(str(error)) from None

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _call(self, coroutine: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        """Run a coroutine on the thread of the books and return what it returns."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise away(f"no answer within {timeout_s:g} s") from None
        except SourceUnavailable as error:
            raise StoreUnavailable(
                "FS120", found=error.found, expected=error.expected, hint=error.hint, where=error.where
            ) from None

    def _wait_drained(self, timeout_s: float) -> None:
        self._is_asked = True
        self._running.call_soon_threadsafe(self._wake.set)
        with self._drained:
            is_empty = self._drained.wait_for(
                lambda: not (self._waiting or self._equity or self._writing) or self._error is not None, timeout_s
            )
            waiting = len(self._waiting)
            self._is_asked = False
        if not is_empty:
            raise away(f"{waiting} records wait for the database")

    def _raise_error(self) -> None:
        error = self._error
        if error is None:
            return
        kind: type[EngineFault] = StoreUnavailable
        code = "FS120"
        if isinstance(error, _TOLD):
            # The rest of the batch is in the books, and what comes after it can be: it is told once.
            self._error = None
            kind, code = next(fault for of, fault in _FAULTS.items() if isinstance(error, of))
        raise kind(code, found=error.found, expected=error.expected, hint=error.hint, where=error.where)

    # On the thread of the books

    async def _let_go(self) -> None:
        """End what goes on, then close the database."""
        mine = asyncio.current_task()
        going = [task for task in asyncio.all_tasks() if task is not mine]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        await self._database.close()

    async def _write_on(self) -> None:
        """Bring what waits to the database, until it is cancelled or the database will never take it."""
        attempt = 0
        while True:
            if attempt == 0:
                await self._wake.wait()
                self._wake.clear()
            try:
                while await self._write_batch():
                    attempt = 0
                attempt = 0
            except SourceUnavailable as error:
                with self._lock:
                    self._writing = False
                    self._batch = max(1, self._batch // 4)  # what a slow server cannot do in its time it may in parts
                    self._outage.down(error.found)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            except Exception as error:  # it will never be taken: it stays in the journal, and the engine is told
                self._done(0, 0, never_taken(error))
                return

    async def _write_batch(self) -> bool:
        """Write the oldest records that wait, in one transaction, then samples of equity; False if there were none."""
        with self._lock:
            batch = [self._waiting[number] for number in range(self._due())]
            if not self._sending and self._equity:
                # What was sent once is sent again as it was, under its number: that is how it is written once.
                self._equity_seq += 1
                self._sending = [self._equity[number] for number in range(min(_SAMPLES, len(self._equity)))]
            self._writing = bool(batch or self._sending)
            self._is_idle = not self._writing
        if not self._writing or self._session is None:
            return False
        if batch:
            await self._until_durable(batch)
            error = None
            try:
                await self._to_database(self._session, batch)
            except _TOLD as told:
                error = told
            self._done(len(batch), 0, error)
        if self._sending:
            ack = JournalAck(f"{self._name} equity", self._equity_seq)
            await self._database.write_run(self._session, [], [], self._sending, ack=ack)
            sent, self._sending = len(self._sending), []
            self._done(0, sent, None)
        self._batch = min(_BATCH, self._batch * 2)
        return True

    def _due(self) -> int:
        """Return how many rows to write now: an order and the fill in front of it together, so that both agree.

        Other records may lie between the two.
        """
        waiting = self._waiting
        count = min(self._batch, len(waiting))
        last = next((number for number in range(count - 1, -1, -1) if waiting[number].kind in _PAIR), None)
        if last is None or not waits_for_order(waiting[last]):
            return count
        for number in range(count, len(waiting)):
            if waiting[number].kind in _PAIR:
                return number + (waiting[number].kind != "FILL")
        return count if self._is_asked else last  # its order is about to follow

    async def _until_durable(self, batch: list[Waiting]) -> None:
        if self._journal is None:
            return
        try:
            await asyncio.to_thread(self._journal.wait_durable, batch[-1].seq, _DURABLE_S)
        except (TimeoutError, ValueError, OSError) as error:
            found = f"the journal does not become durable: {error}"
            if not self._is_journal_told:
                self._is_journal_told = True
                # One code for one cause: the ledger of capital has its own where nothing else is concerned.
                self.report("FS086" if all(isinstance(one.row, Funds) for one in batch) else "FS063", found)
            raise SourceUnavailable(found=found) from None
        self._is_journal_told = False

    async def _to_database(self, session: SessionRow, batch: list[Waiting]) -> None:
        fills = [one.row for one in batch if isinstance(one.row, FillRow)]
        orders = {one.row.order_id: one.row for one in batch if isinstance(one.row, OrderRow)}
        endings = [one for one in batch if isinstance(one.row, Ending)]
        funds = [row for one in batch if isinstance(one.row, Funds) for row in one.row.rows]
        decisions = [one.row for one in batch if isinstance(one.row, DecisionRow)]
        executions = [one.row for one in batch if isinstance(one.row, ExecutionRow)]
        # An ending is acknowledged once it is done; until then a restart finds it in the journal again.
        ack = JournalAck(self._name, endings[0].seq - 1 if endings else batch[-1].seq)
        refused: AdapterError | None = None
        try:
            self.duplicates += await self._database.write_run(
                session,
                fills,
                list(orders.values()),
                [],
                ack=ack,
                funds=funds,
                decisions=decisions,
                executions=executions,
            )
        except _TOLD as error:
            refused = error  # all the rest of the batch has been written
        if executions:
            await self._log_stages(self._database)
        for one in endings:
            await self._database.end_run(session, **one.row._asdict())
        if endings:
            await self._database.write_run(session, [], [], [], ack=JournalAck(self._name, batch[-1].seq))
        if refused is not None:
            raise refused

    def _done(self, rows: int, samples: int, error: AdapterError | None) -> None:
        with self._drained:
            for _ in range(rows):
                self._waiting.popleft()
            for _ in range(samples):
                self._equity.popleft()
            self._writing = bool(rows and self._sending)
            self._error = self._error or error
            self._outage.up()
            self._drained.notify_all()

    # What an earlier process has left

    def _replay(self, directory: Path) -> None:
        """Bring what the journal holds and the database does not have yet, in order."""
        acked = self._call(self._database.journal_ack(self._name), _READ_S)
        last = 0 if self._journal is None else self._journal.durable_seq
        if acked > last:
            raise journal_is_behind(directory, acked, last)
        batch: list[Waiting] = []
        session: SessionRow | None = None
        for seq, _, kind, version, payload in records_of(directory):
            if seq <= acked or kind not in KINDS:
                continue
            if version > VERSION:
                raise of_another_version(directory, seq, version)
            record = json.loads(payload)
            row = row_in(kind, record) if "run" in record else None
            if row is None:
                continue
            its = SessionRow(*record["run"])
            if session is not None and (its != session or len(batch) >= _BATCH):
                self._bring(session, batch)
                batch = []
            session = its
            batch.append(Waiting(seq, kind, row))
        if session is not None:
            self._bring(session, batch)

    def _bring(self, session: SessionRow, batch: list[Waiting]) -> None:
        """Bring records in their order; what a slow database cannot do in its time it gets in parts."""
        size = len(batch)
        while batch:
            try:
                self._bring_at_once(session, batch[:size])
            except StoreUnavailable:
                if size == 1:
                    raise
                size = max(1, size // 4)
            else:
                batch = batch[size:]

    def _bring_at_once(self, session: SessionRow, batch: list[Waiting]) -> None:
        try:
            try:
                self._call(self._to_database(session, batch), _READ_S)
            except UsageError:  # it was never begun there: the database is younger than the journal
                self.register(*self._known())
                self._call(self._database.begin_run(session), _READ_S)
                self._call(self._to_database(session, batch), _READ_S)
        except _TOLD as error:
            self.report(error.code, error.found)  # it is in quarantine or marked; the rest has been written
        self.replayed += len(batch)
        self.duplicates = 0
