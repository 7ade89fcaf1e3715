"""The spreadsheet as a source of positions, ledger, bars and parameters.

It has no transactions. A fill is appended to the ledger first and its position is written after; what a crash leaves
between the two is made up for by the next fill, because a position names the last fill that it holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.codes import QtsError
from qts.data import tables
from qts.data.checks import check_count, check_range
from qts.data.exceptions import NotSupported, RowInvalid, SchemaMismatch
from qts.data.records import (
    ALL_POOLS,
    MAIN,
    POOLS,
    Capabilities,
    Fill,
    FillResult,
    Health,
    LedgerEntry,
    Position,
    RawDataContract,
    RiskLimits,
    check_decimal,
    check_symbol,
)
from qts.data.sheets import parameters
from qts.data.sheets.booking import Booking, last_key
from qts.data.sheets.books import Scales, scaled
from qts.data.sheets.cells import write_cell
from qts.data.sheets.layout import CONFIG_LOCAL, JOURNAL_SHEET, MIRRORED, QUARANTINE_SHEET, SHEETS, size_of, spec_of
from qts.data.sheets.rows import (
    LedgerRow,
    bar_values,
    bars_of,
    entry_values,
    ledger_of,
    position_values,
    positions_of,
)
from qts.data.sheets.spreadsheet import Spreadsheet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from qts.clock import Clock
    from qts.data.contracts import CurrencyRow, InstrumentRow
    from qts.data.records import ExecutionLog, Interval, JournalAck, Ohlcv, Tick
    from qts.data.sheets.client import SheetsClient
    from qts.data.sheets.rows import Grid, Row
    from qts.data.sheets.schema import SchemaKeeper
    from qts.data.sheets.spreadsheet import Put

    _Place = tuple[str, str, str]
    _Positions = dict[_Place, tuple[Position, Row]]

_SEOUL_S: Final = 9 * 3600


def _unreported(_code: str, _message: str) -> None:
    """Tell nobody."""


class GoogleSheetsAdapter:
    """A spreadsheet behind `DataSourceAdapter`.

    Args:
        client: the connection.
        clock: labels what is written.
        report: takes a code and a message, such as GR106 for a changed layout.
        config_local: file of the local configuration and the risk limits.
        schema: looks after the recorded structure of the sheets.
        utc_offset_s: of the exchange, for times without a zone.
    """

    def __init__(
        self,
        client: SheetsClient,
        clock: Clock,
        *,
        report: Callable[[str, str], None] = _unreported,
        config_local: Path | None = None,
        schema: SchemaKeeper | None = None,
        utc_offset_s: int = _SEOUL_S,
    ) -> None:
        self.book = Spreadsheet(client, utc_offset_s, report)
        self._client = client
        self._clock = clock
        self._config_local = config_local
        self._schema = schema
        self._offset_s = utc_offset_s
        self._scales = Scales()
        self._writing = asyncio.Lock()
        self.opened = False
        """Whether the structure of the spreadsheet is known."""

    @property
    def capabilities(self) -> Capabilities:
        """What a spreadsheet can do."""
        return Capabilities("sheets", ticks=False, transactions=False, aggregates=False, compression=False)

    async def open(self) -> None:
        """Connect, and check the headers of positions and ledger.

        Raises:
            UsageError: the key file is unusable.
            SchemaMismatch: FS001, a sheet or a required column is missing.
            SourceUnavailable: no answer.
        """
        self._client.open()
        try:
            await self.book.load()
            await self.book.headers(*MIRRORED)
            self.check_schema()
        except BaseException:
            await self._client.close()
            raise
        self.opened = True

    def check_schema(self) -> None:
        """Compare the columns found so far with those on record; SchemaMismatch FS001 if one was removed."""
        if self._schema is not None:
            self._schema.check(self.book.layouts)

    async def close(self) -> None:
        """Let go of the connection."""
        self.opened = False
        await self._client.close()

    async def health_check(self) -> Health:
        """Ask for the structure of the spreadsheet."""
        start_ns = self._clock.monotonic_ns()
        try:
            await self.book.load()
        except QtsError as error:
            return Health(healthy=False, latency_ms=None, detail=str(error))
        latency_ms = (self._clock.monotonic_ns() - start_ns) / 1e6
        return Health(healthy=True, latency_ms=latency_ms, detail=f"{len(self.book.titles)} sheets")

    async def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known for as long as the adapter lives; UsageError on another scale."""
        self._client.check_open()
        self._scales.register(currencies, instruments)

    # Positions

    async def fetch_positions(self, account_id: str = MAIN, *, include_closed: bool = False) -> list[Position]:
        """Return positions by symbol and pool. One row that cannot be read fails all of it."""
        found, _ = await self._positions()
        rows = [position for position, _ in found.values() if position.account_id == account_id]
        rows.sort(key=lambda position: (position.symbol, position.pool_id))
        return [position for position in rows if include_closed or position.qty]

    async def get_position(self, symbol: str, pool_id: str | None = None, account_id: str = MAIN) -> Position | None:
        """Return the position of a pool, or the sum over pools; None if there never was one."""
        rows = [row for row in await self.fetch_positions(account_id, include_closed=True) if row.symbol == symbol]
        if pool_id is not None:
            return next((row for row in rows if row.pool_id == pool_id), None)
        return sum_of_pools(rows)

    async def update_position(
        self, symbol: str, qty: Decimal, avg_price: Decimal, *, pool_id: str, account_id: str = MAIN
    ) -> None:
        """Set a position after a reconciliation; every fill on the ledger so far counts as applied."""
        where = f"position {symbol}/{pool_id}"
        check_symbol(symbol, where)
        check_decimal(qty, "qty", where)
        check_decimal(avg_price, "avg_price", where)
        if pool_id not in POOLS:
            raise RowInvalid(found=f"pool {pool_id!r}", expected=", ".join(POOLS), hint="name a pool", where=where)
        instrument = self._scales.instrument(symbol, where)
        scaled(qty, instrument.qty_scale, "qty", where)
        cost = (qty * avg_price).quantize(Decimal(1).scaleb(-instrument.money_scale), ROUND_HALF_UP)
        async with self._writing:
            (positions, grid), ledger, _ = await self._books()
            known = positions.get((account_id, pool_id, symbol))
            before = known[0] if known else None
            after = Position(
                account_id=account_id,
                pool_id=pool_id,
                symbol=symbol,
                qty=qty,
                cost_total=cost,
                realized_pnl=before.realized_pnl if before else Decimal(0),
                currency=instrument.currency,
                opened_at=((before.opened_at if before else None) or self._clock.now_utc()) if qty else None,
                last_fill_key=last_key(ledger, (account_id, pool_id, symbol)),
                version=before.version + 1 if before else 1,
            )
            await self.book.put({"Position": self._position_puts([after], positions, grid)})

    # Ledger

    async def apply_fill(self, fill: Fill) -> FillResult:
        """Book a fill: append its ledger row, then write its position."""
        return (await self.apply_fills([fill]))[0]

    async def apply_fills(self, fills: Sequence[Fill], *, ack: JournalAck | None = None) -> list[FillResult]:
        """Book fills in their order with three requests, whatever their number.

        Raises:
            RowInvalid: a fill does not fit its instrument; nothing is written.
            FillConflict: FS122, after everything else was written; the fill is on the sheet `_Quarantine`.
            DataConsistencyError: FS070, after everything was written: more was sold than was held.
        """
        for fill in fills:
            self._scales.check(fill)
        async with self._writing:
            (positions, grid), ledger, end = await self._books()
            booking = Booking(self._scales, positions, ledger)
            results = [booking.take(fill) for fill in fills]
            await self._write(booking, positions, grid, end, ack)
        booking.raise_for_errors()
        return results

    async def _write(
        self, booking: Booking, positions: _Positions, grid: Grid, end: int, ack: JournalAck | None
    ) -> None:
        if booking.refused:
            layout = await self.book.ready(QUARANTINE_SHEET.name)
            (quarantine,) = await self.book.grids(layout.sheet)
            now = self._clock.now_utc()
            rows = [{**line, "at": now} for line in booking.refused]
            await self.book.put({layout.sheet: list(enumerate(rows, start=quarantine.end + 1))})
        if booking.new:
            lines = [entry_values(entry) for entry in booking.new]
            await self.book.append("T_Ledger", lines, key="fill_key", end=end)
        puts: dict[str, list[Put]] = {}
        if booking.changed:
            puts["Position"] = self._position_puts(list(booking.changed.values()), positions, grid)
        if ack is not None:
            puts |= await self._ack_puts(ack)
        await self.book.put(puts)

    @staticmethod
    def _position_puts(changed: Sequence[Position], known: _Positions, grid: Grid) -> list[Put]:
        end = grid.end
        puts: list[Put] = []
        for position in changed:
            place = known.get((position.account_id, position.pool_id, position.symbol))
            if place is None:
                end += 1
            puts.append((end if place is None else place[1].number, position_values(position)))
        return puts

    async def _ack_puts(self, ack: JournalAck) -> dict[str, list[Put]]:
        layout = await self.book.ready(JOURNAL_SHEET.name)
        (grid,) = await self.book.grids(layout.sheet)
        known = next((row for row in grid.rows if row.values["journal"] == ack.journal), None)
        if known is not None and known.values["seq"] >= ack.seq:
            return {}
        values = {"journal": ack.journal, "seq": ack.seq, "acked_at": self._clock.now_utc()}
        return {layout.sheet: [(known.number if known else grid.end + 1, values)]}

    async def append_ledger(self, entry: LedgerEntry) -> bool:
        """Write a fill as `apply_fill` does; corrections are booked by a database only (NotSupported)."""
        if entry.entry_type != "FILL":
            raise NotSupported(
                found=f"a ledger entry {entry.entry_type} for the spreadsheet",
                expected="a fill",
                hint="corrections are booked in the database, which mirrors them to the sheets",
            )
        await self.apply_fill(entry.fill)
        return True

    async def fetch_ledger(
        self, start: datetime, end: datetime, *, account_id: str = MAIN, symbol: str | None = None
    ) -> list[LedgerEntry]:
        """Return ledger rows executed in [start, end), in the order of the sheet."""
        check_range(start, end)
        (grid,) = await self.book.grids("T_Ledger")
        return [
            row.entry
            for row in ledger_of(grid, self._offset_s).values()
            if row.entry.fill.account_id == account_id
            and start <= row.entry.fill.timestamp < end
            and symbol in (None, row.entry.fill.symbol)
        ]

    async def ledger(self) -> dict[str, LedgerEntry]:
        """Return all of the ledger by key, in the order of the sheet."""
        (grid,) = await self.book.grids("T_Ledger")
        return {key: row.entry for key, row in ledger_of(grid, self._offset_s).items()}

    async def fetch_fills(self, order_id: str, *, account_id: str = MAIN) -> list[LedgerEntry]:
        """Return the ledger rows of an order, in the order of the sheet."""
        entries = (await self.ledger()).values()
        return [entry for entry in entries if (entry.fill.order_id, entry.fill.account_id) == (order_id, account_id)]

    async def journal_ack(self, journal: str) -> int:
        """Return the number of the last record of a journal that is on the sheets."""
        if JOURNAL_SHEET.name not in self.book.titles:
            return 0
        await self.book.ready(JOURNAL_SHEET.name)
        (grid,) = await self.book.grids(JOURNAL_SHEET.name)
        return next((row.values["seq"] for row in grid.rows if row.values["journal"] == journal), 0)

    async def _positions(self) -> tuple[_Positions, Grid]:
        (grid,) = await self.book.grids("Position")
        return positions_of(grid), grid

    async def _books(self) -> tuple[tuple[_Positions, Grid], dict[str, LedgerRow], int]:
        held, booked = await self.book.grids("Position", "T_Ledger")
        return (positions_of(held), held), ledger_of(booked, self._offset_s), booked.end

    # Bars and ticks

    async def fetch_ohlcv(self, symbol: str, start: datetime, end: datetime, interval: Interval = "1d") -> list[Ohlcv]:
        """Return daily bars in [start, end), ascending."""
        _daily(interval)
        check_range(start, end)
        found = [bar for bar, _ in (await self._bars())[0].values()]
        return sorted(
            (bar for bar in found if bar.symbol == symbol and start <= bar.time < end), key=lambda bar: bar.time
        )

    async def store_ohlcv(self, bars: Sequence[Ohlcv], interval: Interval = "1d") -> int:
        """Write daily bars; return how many were new or different."""
        _daily(interval)
        for bar in bars:
            if (bar.time.hour, bar.time.minute, bar.time.second, bar.time.microsecond) != (0, 0, 0, 0):
                raise RowInvalid(
                    found=f"a daily bar of {bar.time}",
                    expected="00:00 UTC of its trade date",
                    hint="label the bar with its trade date",
                )
        async with self._writing:
            known, grid = await self._bars()
            wanted = {(bar.time.date().isoformat(), bar.symbol): bar for bar in bars}
            puts: list[Put] = []
            end = grid.end
            for key, bar in wanted.items():
                before = known.get(key)
                if before is not None and before[0] == replace(bar, trade_date=bar.time.date()):
                    continue
                if before is None:
                    end += 1
                puts.append((end if before is None else before[1].number, bar_values(bar)))
            await self.book.put({"History": puts} if puts else {})
            return len(puts)

    async def _bars(self) -> tuple[dict[tuple[str, str], tuple[Ohlcv, Row]], Grid]:
        (grid,) = await self.book.grids("History")
        if grid.layout.variant.name != "bars" or ("symbol" not in grid.layout.columns and grid.rows):
            raise NotSupported(
                found=f"the sheet History with the columns {', '.join(filter(None, grid.layout.header))}",
                expected="date, symbol, open, high, low, close, volume",
                hint="add a column 'symbol', or read bars from the database",
            )
        return bars_of(grid), grid

    async def fetch_tick_data(
        self, symbol: str, start: datetime, end: datetime, limit: int | None = None
    ) -> AsyncIterator[Tick]:
        """Refuse: a spreadsheet cannot hold ticks."""
        raise NotSupported(
            found=f"ticks of {symbol} ({start} to {end}, limit {limit})",
            expected="a database, because a spreadsheet cannot hold ticks",
            hint="set data.backend to sqlite, postgres or timescale",
        )
        yield  # makes it the stream that the contract has

    async def get_avg_daily_volume(self, symbol: str, days: int = 20) -> Decimal | None:
        """Return the mean volume of the last `days` daily bars; None if there are fewer."""
        check_count(days, "days")
        bars = sorted(
            (bar for bar, _ in (await self._bars())[0].values() if bar.symbol == symbol), key=lambda bar: bar.time
        )
        last = bars[-days:]
        return Decimal(sum(bar.volume for bar in last)) / days if len(last) == days else None

    # Executions

    async def store_execution_log(self, logs: Sequence[ExecutionLog]) -> None:
        """Drop them: lines about executions are for databases only."""

    async def fetch_execution_logs(self, order_id: str, start: datetime, end: datetime) -> list[ExecutionLog]:
        """Refuse: lines about executions are for databases only."""
        raise NotSupported(
            found=f"lines about order {order_id} ({start} to {end})",
            expected="a database",
            hint="set data.backend to sqlite, postgres or timescale",
        )

    # Parameters and tables

    async def get_risk_limits(self) -> RiskLimits:
        """Return the limits of the local configuration; RowInvalid if one is missing."""
        return parameters.risk_limits(parameters.local_rows(self._config_local))

    async def fetch_raw_data(self, sheet_name: str) -> RawDataContract:
        """Return the rows of a sheet; of a dashboard the cells of its blocks.

        Raises:
            SchemaMismatch: FS001.
            RowInvalid: FS010.
        """
        if sheet_name == CONFIG_LOCAL:
            return parameters.local_contract(self._config_local, self._version())
        spec = spec_of(sheet_name)
        if spec.blocks:
            ranges = [f"'{spec.name}'!{area}" for _, area in spec.blocks]
            cells = await self._client.read(ranges)
            rows = [{"block": name, "cells": block} for (name, _), block in zip(spec.blocks, cells, strict=True)]
            return RawDataContract(spec.name, self._version(), ("block", "cells"), rows)
        (grid,) = await self.book.grids(sheet_name)
        return self.contract_of(grid)

    async def write_block(self, sheet_name: str, block: str, rows: Sequence[Sequence[object]]) -> None:
        """Fill a block of a dashboard with text; cells of it that are not given are cleared.

        Raises:
            SchemaMismatch: FS001, there is no such sheet or block.
            RowInvalid: there is more than the block holds, or a value does not fit into a cell.
        """
        areas = dict(spec_of(sheet_name).blocks)
        if block not in areas:
            raise SchemaMismatch(
                found=f"RC003: block {block!r} of {sheet_name}",
                expected=", ".join(areas) or "a dashboard",
                hint="check the name of the block",
                code="FS001",
            )
        height, width = size_of(areas[block])
        if len(rows) > height or any(len(row) > width for row in rows):
            raise RowInvalid(
                found=f"{len(rows)} rows of up to {max(map(len, rows))} cells",
                expected=f"at most {height} rows of {width} cells",
                hint="show less",
                where=f"{sheet_name} {areas[block]}",
            )
        lines = [[write_cell(cell, block, sheet_name) for cell in row] for row in rows]
        lines = [[*line, *[""] * (width - len(line))] for line in lines]
        lines += [[""] * width for _ in range(height - len(lines))]
        async with self._writing:
            await self._client.update([(f"'{sheet_name}'!{areas[block]}", lines)])

    def contract_of(self, grid: Grid) -> RawDataContract:
        """Return a sheet that has been read as the raw contract has it; RowInvalid FS010 if a row is bad."""
        name = grid.layout.sheet
        if name == "Position":
            positions_of(grid)
        elif name == "T_Ledger":
            ledger_of(grid, self._offset_s)
        elif grid.layout.variant.name == "config":
            parameters.config_rows(grid)
        columns = tuple(field.name for field in grid.layout.variant.fields if field.name in grid.layout.columns)
        rows = [{column: row.values[column] for column in columns} for row in grid.rows]
        return RawDataContract(name, self._version(), columns, rows)

    def _version(self) -> str:
        return self._schema.version if self._schema is not None else "1.0"

    async def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table that stands on a sheet whose columns equal `where`.

        Raises:
            NotSupported: the table stands on no sheet.
        """
        known = tables.table(table)
        for name in where or {}:
            known.column(name)
        self._client.check_open()
        specs = [*SHEETS.values(), QUARANTINE_SHEET]
        names = [spec.name for spec in specs if spec.table == table and spec.name in self.book.titles]
        if table == QUARANTINE_SHEET.table and not names:
            return []
        if table not in parameters.READERS or not names:
            raise NotSupported(
                found=f"table {table!r}",
                expected=", ".join(sorted(parameters.READERS)),
                hint="a spreadsheet holds these only; the rest is in the database",
            )
        rows: list[dict[str, Any]] = []
        for grid in await self.book.grids(*names):
            rows += parameters.READERS[table](grid)
        asked = dict(where or {})
        return [row for row in rows if all(row.get(name) == value for name, value in asked.items())][:limit]

    async def write(self, table: str, row: Mapping[str, Any]) -> bool:
        """Insert a row of a parameter table, or replace it; say whether anything changed."""
        return bool(await self.batch_write(table, [row]))

    async def batch_write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows of a parameter table in one request; return how many changed anything."""
        if table not in parameters.WRITERS:
            raise NotSupported(
                found=f"rows for table {table!r}",
                expected=", ".join(sorted(parameters.WRITERS)),
                hint="fills go through apply_fill, bars through store_ohlcv",
            )
        async with self._writing:
            by_sheet: dict[str, list[Mapping[str, Any]]] = {}
            for row in rows:
                by_sheet.setdefault(parameters.WRITERS[table](row), []).append(row)
            puts = {}
            for name, lines in by_sheet.items():
                await self.book.ready(name)
                (grid,) = await self.book.grids(name)
                puts[name] = parameters.puts(grid, table, lines)
            await self.book.put({name: lines for name, lines in puts.items() if lines})
            return sum(map(len, puts.values()))


def sum_of_pools(rows: Sequence[Position]) -> Position | None:
    """Return the sum of positions of one symbol; None without any."""
    if not rows:
        return None
    opened = [row.opened_at for row in rows if row.opened_at is not None]
    latest = max(rows, key=lambda row: row.version)
    return Position(
        account_id=latest.account_id,
        pool_id=ALL_POOLS,
        symbol=latest.symbol,
        qty=sum((row.qty for row in rows), Decimal(0)),
        cost_total=sum((row.cost_total for row in rows), Decimal(0)),
        realized_pnl=sum((row.realized_pnl for row in rows), Decimal(0)),
        currency=latest.currency,
        opened_at=min(opened, default=None),
        last_fill_key=latest.last_fill_key,
        version=sum(row.version for row in rows),
        oversold=any(row.oversold for row in rows),
    )


def _daily(interval: str) -> None:
    if interval != "1d":
        raise NotSupported(
            found=f"bars of {interval} on a sheet", expected="1d", hint="bars of a minute are in the database"
        )
