"""Ticks in SQLite: a file for each UTC day, and one for the position.

A day's file says up to which number it holds what belongs into it, in the transaction that puts it there; the position
over all is written last. So a batch that is half done after a crash is done again, and no file takes a tick twice.
Syncs are full: the spool lets go of what is said to be kept here.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qts.clock import from_ns, to_ns, utc_date
from qts.data.ticks.contracts import SinkUnavailable
from qts.data.ticks.postgres import QUARANTINE, check_source, quarantine_row
from qts.data.ticks.ranges import check_limit, check_range
from qts.data.ticks.records import STORED_DECIMALS, TRADE, TickBatch, TickRow, decimals

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from qts.data.ticks.records import Rejected

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS tick_data (
  time INTEGER NOT NULL, symbol TEXT NOT NULL, kind TEXT NOT NULL, price INTEGER, volume INTEGER NOT NULL, side TEXT,
  bid INTEGER, ask INTEGER, bid_qty INTEGER, ask_qty INTEGER, source TEXT NOT NULL, seq INTEGER NOT NULL,
  event_ns INTEGER NOT NULL, recv_ns INTEGER NOT NULL, UNIQUE (symbol, time, source, seq));
CREATE TABLE IF NOT EXISTS tick_ack (source TEXT PRIMARY KEY, through_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tick_quarantine ({", ".join(QUARANTINE)}, PRIMARY KEY (source, seq));
"""
_COLUMNS: Final = (
    "time", "symbol", "kind", "price", "volume", "side", "bid", "ask", "bid_qty", "ask_qty", "source", "seq",
    "event_ns", "recv_ns",
)  # fmt: skip
_INSERT: Final = f"INSERT INTO tick_data VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - marks only
_INSERT_REJECTED: Final = f"INSERT OR IGNORE INTO tick_quarantine VALUES ({', '.join('?' * len(QUARANTINE))})"  # noqa: S608 - marks only
_ACK: Final = "INSERT INTO tick_ack VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET through_seq = excluded.through_seq"
_DAY_NS: Final = 86_400_000_000_000
_OPEN_DAYS: Final = 4
"""Files that are kept open."""
_BLOCK: Final = 5_000
_STEP: Final = Decimal(1).scaleb(-STORED_DECIMALS)


class SqliteTicks:
    """Keeps ticks in files of a directory, and reads them back.

    Its calls block the event loop for as long as the disk takes: run it where nothing else waits, as the tick store
    does.

    Args:
        directory: of its own; made if need be.
        source: who the ticks come from; part of their key.
    """

    def __init__(self, directory: Path, source: str = "") -> None:
        if source:
            check_source(source)
        self._directory = directory
        self._source = source
        self._days: dict[int, sqlite3.Connection] = {}
        self._main: sqlite3.Connection | None = None
        self._position: int | None = None

    async def position(self) -> int:
        """Return the number of the last tick that is kept; see `TickSink.position`."""
        try:
            self._position = _position(self._index(), self._source)
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        return self._position

    async def copy(self, batch: TickBatch, rejected: Sequence[Rejected], *, through_seq: int) -> int:
        """Keep a batch and the position; see `TickSink.copy`. A day's share is one transaction of its file."""
        before = self._position if self._position is not None else await self.position()
        if through_seq <= before:
            return 0
        kept = 0
        try:
            days = batch.rows["ts_event_ns"] // _DAY_NS
            for day in np.unique(days).tolist():
                part = TickBatch(batch.rows[days == day], batch.symbols)
                kept += self._put_day(self._day(day), part, through_seq)
            self._put_position(batch, rejected, through_seq)
        except (OSError, sqlite3.Error) as error:
            await self.close()
            raise self._unavailable(error) from error
        self._position = through_seq
        return kept

    def _put_day(self, db: sqlite3.Connection, batch: TickBatch, through_seq: int) -> int:
        with db:
            db.execute("BEGIN IMMEDIATE")
            rows = batch.rows[batch.rows["seq"] > _position(db, self._source)]
            if len(rows):
                db.executemany(_INSERT, _columns(TickBatch(rows, batch.symbols), self._source))
                db.execute(_ACK, (self._source, through_seq))
            return len(rows)

    def _put_position(self, batch: TickBatch, rejected: Sequence[Rejected], through_seq: int) -> None:
        db = self._index()
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_INSERT_REJECTED, [quarantine_row(self._source, batch, one) for one in rejected])
            db.execute(_ACK, (self._source, through_seq))

    async def fetch_ticks(
        self, symbol: str, start: datetime, end: datetime, limit: int, *, source: str | None = None
    ) -> list[TickRow]:
        """Return ticks by (time, seq); see `TickReader.fetch_ticks`."""
        check_range(start, end)
        check_limit(limit)
        query = (
            "SELECT * FROM tick_data WHERE symbol = ? AND time >= ? AND time < ? AND source = coalesce(?, source) "
            "ORDER BY time, seq, source LIMIT ?"
        )
        first, last = to_ns(start) // 1_000, to_ns(end) // 1_000
        found: list[TickRow] = []
        try:
            for day in self._days_in(start, end):
                rows = self._day(day).execute(query, (symbol, first, last, source, limit - len(found)))
                found += [_tick(row) for row in rows]
                if len(found) >= limit:
                    break
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        return found

    async def stream(
        self, start: datetime, end: datetime, *, source: str | None = None
    ) -> AsyncGenerator[list[TickRow], None]:
        """Return all ticks in the order in which they came, in blocks; see `TickReader.stream`."""
        check_range(start, end)
        query = (
            "SELECT * FROM tick_data WHERE time >= ? AND time < ? AND source = coalesce(?, source) "
            "ORDER BY recv_ns, source, seq"
        )
        args = (to_ns(start) // 1_000, to_ns(end) // 1_000, source)
        # Connections of its own: what is written meanwhile goes on. Times may cross a day, so days are merged.
        days: list[sqlite3.Connection] = []
        merged: Generator[Any, None, None] | None = None
        try:
            days = [_open(self._path(day), readonly=True) for day in self._days_in(start, end)]
            merged = heapq.merge(*(db.execute(query, args) for db in days), key=lambda row: (row[13], row[10], row[11]))
            block: list[TickRow] = []
            for row in merged:
                block.append(_tick(row))
                if len(block) == _BLOCK:
                    yield block
                    block = []
                    await asyncio.sleep(0)
            if block:
                yield block
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        finally:
            if merged is not None:
                merged.close()
            for db in days:
                db.close()

    async def close(self) -> None:
        """Close the files."""
        for db in (*self._days.values(), *([self._main] if self._main else [])):
            with suppress(sqlite3.Error):
                db.close()
        self._days.clear()
        self._main = None
        self._position = None

    def _path(self, day: int) -> Path:
        return self._directory / f"ticks-{utc_date(day * _DAY_NS):%Y%m%d}.db"

    def _days_in(self, start: datetime, end: datetime) -> Iterator[int]:
        for day in range(to_ns(start) // _DAY_NS, (to_ns(end) - 1) // _DAY_NS + 1):
            if self._path(day).exists():
                yield day

    def _day(self, day: int) -> sqlite3.Connection:
        db = self._days.pop(day, None) or self._made(self._path(day))
        self._days[day] = db  # the one used last stands last
        while len(self._days) > _OPEN_DAYS:
            self._days.pop(next(iter(self._days))).close()
        return db

    def _index(self) -> sqlite3.Connection:
        if self._main is None:
            self._main = self._made(self._directory / "position.db")
        return self._main

    def _made(self, path: Path) -> sqlite3.Connection:
        self._directory.mkdir(parents=True, exist_ok=True)
        db = _open(path)
        db.executescript(_TABLES)
        return db

    def _unavailable(self, error: Exception) -> SinkUnavailable:
        return SinkUnavailable(
            "GR100",
            found=f"the tick files in {self._directory} cannot be used: {error}",
            expected="files that can be read and written",
            hint="see that the disk has room and the directory is ours; ticks wait in the spool meanwhile",
        )


def _open(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    mode = "?mode=ro" if readonly else ""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}{mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    if not readonly:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    return db


def _position(db: sqlite3.Connection, source: str) -> int:
    row = db.execute("SELECT through_seq FROM tick_ack WHERE source = ?", (source,)).fetchone()
    return 0 if row is None else int(row[0])


def _columns(batch: TickBatch, source: str) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a batch as `tick_data` has them."""
    rows = batch.rows
    is_trade = rows["kind"] == TRADE
    factor = decimals(batch)

    def known(values: Any, present: Any) -> list[int | None]:  # noqa: ANN401 - arrays
        cells: list[int | None] = np.where(present, values.astype(np.object_), np.array(None)).tolist()
        return cells

    names = np.array([symbol for symbol, _, _ in batch.symbols], dtype=object)
    sides = np.array([None, "BUY", "SELL"], dtype=object)[np.where(is_trade, rows["side"], 0)]
    return zip(
        (rows["ts_event_ns"] // 1_000).tolist(),
        names[rows["instrument"]].tolist(),
        np.where(is_trade, "T", "Q").tolist(),
        known(rows["price"] * factor, is_trade),
        np.where(is_trade, rows["qty"], 0).tolist(),
        sides.tolist(),
        known(rows["bid"] * factor, rows["bid"] != 0),
        known(rows["ask"] * factor, rows["ask"] != 0),
        known(rows["bid_qty"], rows["bid_qty"] != 0),
        known(rows["ask_qty"], rows["ask_qty"] != 0),
        [source] * len(rows),
        rows["seq"].tolist(),
        rows["ts_event_ns"].tolist(),
        rows["ts_recv_ns"].tolist(),
        strict=True,
    )


def _tick(row: tuple[Any, ...]) -> TickRow:
    time, symbol, kind, price, volume, side, bid, ask, *rest = row
    prices = [None if value is None else Decimal(value) * _STEP for value in (price, bid, ask)]
    return TickRow(from_ns(time * 1_000), symbol, kind, prices[0], volume, side, prices[1], prices[2], *rest)
