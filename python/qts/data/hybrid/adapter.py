"""The books of an installation that has, had or will have sheets: one door to journal, database and spreadsheet."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from qts.codes import UsageError
from qts.data.exceptions import SourceUnavailable
from qts.data.hybrid.mirror import MirrorWorker
from qts.data.hybrid.spool import Spool
from qts.data.hybrid.tasks import stop
from qts.data.outage import OutageClock
from qts.data.records import MAIN, FillResult, LedgerEntry
from qts.data.sheets.mirror import SheetsMirror

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from qts.clock import Clock
    from qts.data.contracts import CurrencyRow, InstrumentRow
    from qts.data.hybrid.journal import FillJournal
    from qts.data.hybrid.mirror import MirrorPace
    from qts.data.interfaces import DataSourceAdapter
    from qts.data.outage import OutageLimits
    from qts.data.records import (
        Capabilities,
        ExecutionLog,
        Fill,
        Health,
        Interval,
        JournalAck,
        Ohlcv,
        Position,
        RawDataContract,
        RiskLimits,
        Tick,
    )
    from qts.data.sheets.adapter import GoogleSheetsAdapter

Mode = Literal["SHEETS_ONLY", "HYBRID", "DB_ONLY"]
ReadSource = Literal["sheets", "db"]

_WATCH_S: Final = 1.0
_ANSWER_S: Final = 1.0
_SHEETS_ANSWER_S: Final = 10.0
"""A fill on sheets takes several requests of up to half a second each."""


class HybridAdapter:
    """Journal, database and sheets behind `DataSourceAdapter`.

    Fills go into the journal, then into the database, and from its outbox to the sheets; in the mode SHEETS_ONLY the
    spreadsheet takes the place of the database. Parameters and positions are read where `read_source` says; ticks,
    lines about executions and tables are in the database only. `primary` and `sheets` are opened and closed with it;
    the journal belongs to whoever opened it.

    Args:
        primary: the database, with its outbox (`Outbox`); None in the mode SHEETS_ONLY.
        sheets: the spreadsheet; may be None in the mode DB_ONLY.
        journal: takes every fill first.
        clock: measures outages and pauses.
        report: takes a code and a message.
        mode: which of them are in use.
        read_source: where the mode HYBRID reads positions, ledger, bars and parameters.
        limits: stages of an outage of the database.
        pace: how the mirror works.
        mirror_may: whether the mirror may write now.
        free_disk: returns the free part of the journal's disk, 0 to 1.
    """

    def __init__(
        self,
        *,
        primary: Any,  # noqa: ANN401 - DataSourceAdapter and Outbox in one
        sheets: GoogleSheetsAdapter | None,
        journal: FillJournal,
        clock: Clock,
        report: Callable[[str, str], None],
        mode: Mode = "HYBRID",
        read_source: ReadSource = "db",
        limits: OutageLimits | None = None,
        pace: MirrorPace | None = None,
        mirror_may: Callable[[], bool] = lambda: True,
        free_disk: Callable[[], float] | None = None,
    ) -> None:
        _check(mode, read_source, primary, sheets)
        self.mode: Mode = mode
        self._read_source: ReadSource = read_source
        self.primary = primary
        self.sheets = sheets
        self._books: DataSourceAdapter = sheets if mode == "SHEETS_ONLY" and sheets is not None else primary
        answer_s = _SHEETS_ANSWER_S if mode == "SHEETS_ONLY" else _ANSWER_S
        self.spool = Spool(self._books, journal, clock, report, answer_s=answer_s)
        self.outage = OutageClock(
            clock,
            report,
            depth=lambda: self.spool.depth,
            free_disk=free_disk or (lambda: _free_part(journal)),
            limits=limits,
        )
        self.spool.outage = self.outage
        self.mirror: MirrorWorker | None = None
        """Brings the outbox to the sheets; None where there is no database or no spreadsheet."""
        if primary is not None and sheets is not None and mode != "SHEETS_ONLY":
            self.mirror = MirrorWorker(primary, SheetsMirror(sheets), clock, report, pace=pace, may=mirror_may)
            self.spool.on_booked = self.mirror.wake
        self.spool.before_try = self._connected
        self._closed = True
        self._connecting = False
        self._known: tuple[dict[str, CurrencyRow], dict[str, InstrumentRow]] = ({}, {})
        self._holds: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    @property
    def capabilities(self) -> Capabilities:
        """What the books can do."""
        return self._books.capabilities._replace(profile="hybrid")

    async def open(self) -> None:
        """Open database and spreadsheet, bring what the journal holds into the books, and begin to work.

        A database that does not answer keeps nobody from starting: fills are spooled, entries follow the outage clock.
        A spreadsheet that does not answer matters only where it is read.

        Raises:
            SchemaMismatch: FS001 or FS123.
            SourceUnavailable: what is read from does not answer.
        """
        try:
            if self.sheets is not None:
                await self._open_sheets(self.sheets)
            if self.mode != "SHEETS_ONLY":
                self._connecting = True
                try:
                    await self._connected()
                except SourceUnavailable as error:
                    self.outage.down(error.found)
        except BaseException:
            await self.close()
            raise
        self._closed = False
        await self.spool.catch_up()
        self._tasks = [asyncio.create_task(self._watch(), name="qts-books-watch")]
        if self.mirror is not None:
            self._tasks.append(asyncio.create_task(self.mirror.run(), name="qts-sheets-mirror"))

    async def _open_sheets(self, sheets: GoogleSheetsAdapter) -> None:
        try:
            await sheets.open()
        except SourceUnavailable:
            if self.mode == "SHEETS_ONLY" or self.read_source == "sheets":
                raise

    async def _connected(self) -> None:
        """Open the database if that has not been possible yet."""
        if self._connecting:
            await self.primary.open()
            await self.primary.register(self._known[0].values(), self._known[1].values())
            self._connecting = False

    async def close(self) -> None:
        """Stop working and let go of everything; what is not in the database is in the journal."""
        self._closed = True
        self._connecting = False
        tasks, self._tasks = self._tasks, []
        await stop(tasks)
        await self.spool.close()
        for part in (self.primary, self.sheets):
            if part is not None:
                await part.close()

    async def _watch(self) -> None:
        """Try again while the database is away, and follow the outage."""
        while True:
            await asyncio.sleep(_WATCH_S)
            await self.watch()

    async def watch(self) -> None:
        """Look after the spool once."""
        if not self.spool.settled:
            await self.spool.catch_up()
        self.outage.watch()

    async def health_check(self) -> Health:
        """Return how the books are."""
        health = await self._books.health_check()
        state = f"{self.mode}, reads {self.read_source}, {self.spool.depth} spooled"
        return health._replace(detail=f"{state}; {health.detail}")

    async def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; to a database that is away, as soon as it is back."""
        currencies, instruments = list(currencies), list(instruments)
        if self._closed:
            raise _closed()
        self._known[0].update((row.code, row) for row in currencies)
        self._known[1].update((row.symbol, row) for row in instruments)
        if self.mode != "SHEETS_ONLY" and not self._connecting:
            await self.primary.register(currencies, instruments)
        if self.sheets is not None and (self.mode == "SHEETS_ONLY" or self.read_source == "sheets"):
            await self.sheets.register(currencies, instruments)

    # Entries

    @property
    def entries_allowed(self) -> bool:
        """Whether new positions may be opened as far as the books are concerned."""
        return not (self.spool.journal_failed or self._holds) and self.outage.entries_allowed

    def hold_entries(self, reason: str) -> None:
        """Block entries until `release_entries` is called with the same reason."""
        self._holds.add(reason)

    def release_entries(self, reason: str) -> None:
        """Take back what `hold_entries` did."""
        self._holds.discard(reason)

    # Where things are read

    @property
    def read_source(self) -> ReadSource:
        """Where positions, ledger, bars and parameters are read."""
        return {"SHEETS_ONLY": "sheets", "DB_ONLY": "db"}.get(self.mode, self._read_source)  # type: ignore[return-value]

    def switch_reads(self, source: ReadSource) -> None:
        """Read from somewhere else from now on; UsageError outside the mode HYBRID."""
        if self.mode != "HYBRID":
            raise UsageError(
                found=f"a switch of reads in the mode {self.mode}",
                expected="the mode HYBRID",
                hint="see `qts-engine db status`",
            )
        self._read_source = source

    async def _source(self) -> DataSourceAdapter:
        """Return what is read. Sheets are not read while something that was booked has not reached them."""
        if self.read_source == "db":
            return self._books
        if self.sheets is None:
            raise SourceUnavailable(found="no spreadsheet", expected="GOOGLE_SHEET_KEY", hint="set it", code="FS126")
        if self.mirror is not None:
            waiting, _ = await self.primary.outbox_waiting()
            if waiting:
                await self.mirror.drain()
        return self.sheets

    # Positions and ledger

    async def fetch_positions(self, account_id: str = MAIN, *, include_closed: bool = False) -> list[Position]:
        """Return the positions of an account by symbol and pool."""
        return await (await self._source()).fetch_positions(account_id, include_closed=include_closed)

    async def get_position(self, symbol: str, pool_id: str | None = None, account_id: str = MAIN) -> Position | None:
        """Return the position of a pool, or the sum over pools; None if there never was one."""
        return await (await self._source()).get_position(symbol, pool_id, account_id)

    async def update_position(
        self, symbol: str, qty: Decimal, avg_price: Decimal, *, pool_id: str, account_id: str = MAIN
    ) -> None:
        """Set a position after a reconciliation, once every fill before it is booked."""
        if not self.spool.settled and not await self.spool.catch_up():
            raise SourceUnavailable(
                found=f"{self.spool.depth} fills that are not in the database yet",
                expected="an empty spool before a position is set",
                hint="wait until the database is back",
            )
        await self._books.update_position(symbol, qty, avg_price, pool_id=pool_id, account_id=account_id)
        if self.mirror is not None:
            self.mirror.wake()

    async def apply_fill(self, fill: Fill) -> FillResult:
        """Book a fill: journal, then database. SPOOLED while the database is away.

        Raises:
            NotDurable: FS063, it could be made durable nowhere.
            FillConflict: FS122.
            DataConsistencyError: FS070, more was sold than was held; it is booked.
            RowInvalid: the database refuses it.
        """
        return (await self.apply_fills([fill]))[0]

    async def apply_fills(self, fills: Sequence[Fill], *, ack: JournalAck | None = None) -> list[FillResult]:
        """Book fills in their order; with an `ack` they come from a journal and go to the database directly."""
        if self._closed:
            raise _closed()
        if ack is not None:
            return await self._books.apply_fills(fills, ack=ack)
        if not fills:
            return []
        return await self.spool.submit([LedgerEntry(entry_type="FILL", fill=fill) for fill in fills])

    async def append_ledger(self, entry: LedgerEntry) -> bool:
        """Write a ledger row; true only if it is durable, in the database or in the journal. Raises as `apply_fill`."""
        if self._closed:
            raise _closed()
        await self.spool.submit([entry])
        return True

    async def fetch_ledger(
        self, start: datetime, end: datetime, *, account_id: str = MAIN, symbol: str | None = None
    ) -> list[LedgerEntry]:
        """Return ledger rows executed in [start, end), in the order of booking."""
        return await (await self._source()).fetch_ledger(start, end, account_id=account_id, symbol=symbol)

    async def fetch_fills(self, order_id: str, *, account_id: str = MAIN) -> list[LedgerEntry]:
        """Return the ledger rows of an order, in the order of booking."""
        return await (await self._source()).fetch_fills(order_id, account_id=account_id)

    async def journal_ack(self, journal: str) -> int:
        """Return the number of the last record of a journal that is in the books."""
        return await self._books.journal_ack(journal)

    # Market data

    async def fetch_ohlcv(self, symbol: str, start: datetime, end: datetime, interval: Interval = "1d") -> list[Ohlcv]:
        """Return bars in [start, end), ascending; bars of a minute are in the database only."""
        source = await self._source() if interval == "1d" else self._books
        return await source.fetch_ohlcv(symbol, start, end, interval)

    async def store_ohlcv(self, bars: Sequence[Ohlcv], interval: Interval = "1d") -> int:
        """Write bars; in the mode HYBRID daily ones to the sheet as well, as far as it answers."""
        changed = await self._books.store_ohlcv(bars, interval)
        if self.mode == "HYBRID" and interval == "1d" and self.sheets is not None:
            with suppress(SourceUnavailable):  # the comparison of bars tells what is missing, the export brings it
                await self.sheets.store_ohlcv(bars)
        return changed

    def fetch_tick_data(
        self, symbol: str, start: datetime, end: datetime, limit: int | None = None
    ) -> AsyncIterator[Tick]:
        """Stream ticks in [start, end), from the database."""
        return self._books.fetch_tick_data(symbol, start, end, limit)

    async def get_avg_daily_volume(self, symbol: str, days: int = 20) -> Decimal | None:
        """Return the mean volume of the last `days` daily bars; None if there are fewer."""
        return await (await self._source()).get_avg_daily_volume(symbol, days)

    # Executions

    async def store_execution_log(self, logs: Sequence[ExecutionLog]) -> None:
        """Write lines about executions as well as can be; never raises."""
        await self._books.store_execution_log(logs)

    async def fetch_execution_logs(self, order_id: str, start: datetime, end: datetime) -> list[ExecutionLog]:
        """Return the lines about an order in [start, end), from the database."""
        return await self._books.fetch_execution_logs(order_id, start, end)

    # Parameters and tables

    async def get_risk_limits(self) -> RiskLimits:
        """Return the risk limits."""
        return await (await self._source()).get_risk_limits()

    async def fetch_raw_data(self, sheet_name: str) -> RawDataContract:
        """Return the rows of a sheet, or of the table that stands for it."""
        return await (await self._source()).fetch_raw_data(sheet_name)

    async def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table, from the database; in the mode SHEETS_ONLY of those that stand on sheets."""
        return await self._books.read(table, where, limit=limit)

    async def write(self, table: str, row: Mapping[str, Any]) -> bool:
        """Insert or replace a row of a table; say whether anything changed."""
        return await self._books.write(table, row)

    async def batch_write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows in one transaction; return how many changed anything."""
        return await self._books.batch_write(table, rows)


def _closed() -> SourceUnavailable:
    return SourceUnavailable(found="the books are closed", expected="open() first", hint="open them")


def _check(mode: str, read_source: str, primary: object, sheets: object) -> None:
    wrong = ""
    if mode not in get_args(Mode):
        wrong = f"DATA_SOURCE_MODE {mode!r}"
    elif read_source not in get_args(ReadSource):
        wrong = f"data.read_source {read_source!r}"
    elif mode != "DB_ONLY" and sheets is None:
        wrong = f"{mode} without a spreadsheet"
    elif mode != "SHEETS_ONLY" and primary is None:
        wrong = f"{mode} without a database"
    if wrong:
        raise UsageError(
            found=wrong,
            expected="SHEETS_ONLY, HYBRID or DB_ONLY; sheets or db; and what the mode needs",
            hint="check DATA_SOURCE_MODE, data.read_source, GOOGLE_SHEET_KEY and the database in config/data.yaml",
        )


def _free_part(journal: FillJournal) -> float:
    usage = shutil.disk_usage(journal.path)
    return usage.free / usage.total
