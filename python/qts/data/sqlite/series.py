"""Bars, lines about executions, and the way to the ticks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from qts.clock.instants import from_ns
from qts.data.checks import check_count, check_range
from qts.data.exceptions import AdapterError, NotSupported, RowInvalid
from qts.data.records import ExecutionLog, Ohlcv, Tick
from qts.data.rows import checked_row
from qts.data.sqlite.codec import encode, micros
from qts.data.tables import table
from qts.money import from_units

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Sequence

    from qts.clock import Clock
    from qts.data.records import Interval
    from qts.data.sqlite.pool import Pool

_SCALE: Final = 8
_MS_SCALE: Final = 3

_DAILY: Final = (
    "INSERT INTO ohlcv_1d (time, symbol, open, high, low, close, volume, trade_date, source)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, time) DO UPDATE SET open = excluded.open,"
    " high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,"
    " trade_date = excluded.trade_date, source = excluded.source, revision = revision + 1"
    " WHERE open IS NOT excluded.open OR high IS NOT excluded.high OR low IS NOT excluded.low"
    " OR close IS NOT excluded.close OR volume IS NOT excluded.volume"
)

_MINUTES: Final = (
    "INSERT INTO ohlcv_1m (bucket, symbol, open, high, low, close, volume) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (symbol, bucket) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,"
    " close = excluded.close, volume = excluded.volume"
    " WHERE open IS NOT excluded.open OR high IS NOT excluded.high OR low IS NOT excluded.low"
    " OR close IS NOT excluded.close OR volume IS NOT excluded.volume"
)

_FETCH: Final = {
    "1d": (
        "SELECT time, open, high, low, close, volume, trade_date, source FROM ohlcv_1d"
        " WHERE symbol = ? AND time >= ? AND time < ? ORDER BY time"
    ),
    "1m": (
        "SELECT bucket, open, high, low, close, volume, NULL, NULL FROM ohlcv_1m"
        " WHERE symbol = ? AND bucket >= ? AND bucket < ? ORDER BY bucket"
    ),
}

_VOLUMES: Final = "SELECT volume FROM ohlcv_1d WHERE symbol = ? ORDER BY time DESC LIMIT ?"

_LOGS: Final = (
    "SELECT time, order_id, symbol, stage, latency_ms, success, error_code, trace_id FROM execution_logs"
    " WHERE order_id = ? AND time >= ? AND time < ? ORDER BY time, rowid"
)


class TickSource(Protocol):
    """Where ticks are read from: the files of the tick store."""

    def fetch(self, symbol: str, start: datetime, end: datetime, limit: int | None) -> AsyncIterator[Tick]:
        """Stream ticks in [start, end), ascending by time and sequence."""
        ...


class Series:
    """What `DataSourceAdapter` has on market data and executions."""

    _pool: Pool
    _clock: Clock
    _ticks: TickSource | None
    log_failures: int
    """Calls whose lines about executions could not be written."""

    async def fetch_ohlcv(self, symbol: str, start: datetime, end: datetime, interval: Interval = "1d") -> list[Ohlcv]:
        """Return bars in [start, end), ascending; NotSupported for another interval."""
        query = _FETCH[_known(interval)]
        first, last = check_range(start, end)
        asked = (symbol, micros(first), micros(last))
        rows = await self._pool.read(lambda db: db.execute(query, asked).fetchall())
        return [_bar(symbol, row) for row in rows]

    async def store_ohlcv(self, bars: Sequence[Ohlcv], interval: Interval = "1d") -> int:
        """Write bars, return how many were new or different; a changed daily bar gets the next revision."""
        daily = _known(interval) == "1d"
        rows = [_row(bar, daily=daily) for bar in bars]
        statement = _DAILY if daily else _MINUTES

        def job(db: sqlite3.Connection) -> int:
            return sum(db.execute(statement, row).rowcount for row in rows)

        return await self._pool.write(job)

    def fetch_tick_data(
        self, symbol: str, start: datetime, end: datetime, limit: int | None = None
    ) -> AsyncIterator[Tick]:
        """Stream ticks in [start, end), ascending by time and sequence; NotSupported without a tick store."""
        if self._ticks is None:
            raise NotSupported(
                found="a request for ticks without a tick store",
                expected="a source that has ticks",
                hint="open the adapter with the tick store",
            )
        first, last = check_range(start, end)
        return self._ticks.fetch(symbol, first, last, None if limit is None else check_count(limit, "limit"))

    async def get_avg_daily_volume(self, symbol: str, days: int = 20) -> Decimal | None:
        """Return the mean volume of the last `days` daily bars; None if there are fewer."""
        count = check_count(days, "days")
        rows = await self._pool.read(lambda db: db.execute(_VOLUMES, (symbol, count)).fetchall())
        return Decimal(sum(row[0] for row in rows)) / count if len(rows) == count else None

    async def store_execution_log(self, logs: Sequence[ExecutionLog]) -> None:
        """Write lines about executions as well as can be; never raises. A line that cannot be one is left out."""
        target = table("execution_logs")
        rows = []
        for line in logs:
            try:
                checked = checked_row("execution_logs", line._asdict(), self._clock.now_utc())
                rows.append([encode(target.column(name), value) for name, value in checked.items()])
            except (AdapterError, ValueError):
                self.log_failures += 1
        marks = ", ".join("?" for _ in target.columns)
        names = ", ".join(column.name for column in target.columns)
        insert = f"INSERT INTO execution_logs ({names}) VALUES ({marks})"  # noqa: S608 - names of the schema
        try:
            await self._pool.write(lambda db: db.executemany(insert, rows).rowcount)
        except AdapterError:
            self.log_failures += len(rows)

    async def fetch_execution_logs(self, order_id: str, start: datetime, end: datetime) -> list[ExecutionLog]:
        """Return the lines about an order in [start, end), ascending."""
        first, last = check_range(start, end)
        asked = (order_id, micros(first), micros(last))
        rows = await self._pool.read(lambda db: db.execute(_LOGS, asked).fetchall())
        return [_line(row) for row in rows]


def _known(interval: str) -> str:
    if interval not in _FETCH:
        raise NotSupported(found=f"interval {interval!r}", expected=", ".join(_FETCH), hint="name one of these")
    return interval


def _row(bar: Ohlcv, *, daily: bool) -> tuple[object, ...]:
    where = f"bar of {bar.symbol} at {bar.time}"
    day = bar.trade_date or bar.time.date()
    if daily and bar.time != datetime.combine(day, time(), UTC):
        raise RowInvalid(
            found=f"a daily bar of {day}", expected=f"00:00 UTC of its trade date {day}", hint="mend it", where=where
        )
    if not daily and bar.time.replace(second=0, microsecond=0) != bar.time:
        raise RowInvalid(found="a bar", expected="the start of a minute", hint="mend it", where=where)
    price = table("ohlcv_1d").column("open")
    try:
        prices = [encode(price, value) for value in (bar.open, bar.high, bar.low, bar.close)]
    except ValueError as error:
        raise RowInvalid(found=str(error), expected="up to 8 decimals", hint="mend it", where=where) from None
    head = (micros(bar.time), bar.symbol, *prices)
    return (*head, bar.volume, day.isoformat(), bar.source) if daily else (*head, str(bar.volume))


def _bar(symbol: str, row: tuple[Any, ...]) -> Ohlcv:
    moment, opened, high, low, close, volume, day, source = row
    return Ohlcv(
        time=from_ns(moment * 1_000),
        symbol=symbol,
        open=from_units(opened, _SCALE),
        high=from_units(high, _SCALE),
        low=from_units(low, _SCALE),
        close=from_units(close, _SCALE),
        volume=int(volume),
        trade_date=None if day is None else date.fromisoformat(day),
        source=source,
    )


def _line(row: tuple[Any, ...]) -> ExecutionLog:
    moment, order, symbol, stage, latency, success, code, trace = row
    return ExecutionLog(
        time=from_ns(moment * 1_000),
        order_id=order,
        symbol=symbol,
        stage=stage,
        latency_ms=None if latency is None else from_units(latency, _MS_SCALE),
        success=bool(success),
        error_code=code,
        trace_id=trace,
    )
