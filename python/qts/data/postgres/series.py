"""Bars, ticks and lines about executions on a server."""

from __future__ import annotations

from datetime import UTC, time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qts.data.checks import check_count, check_range
from qts.data.exceptions import AdapterError, NotSupported, RowInvalid
from qts.data.postgres.errors import DRIVER, told
from qts.data.postgres.part import Part
from qts.data.records import ExecutionLog, Interval, Ohlcv, Tick
from qts.data.rows import checked_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime
    from decimal import Decimal

    from qts.data.postgres.link import Link

_BARS: Final = {
    "1d": "SELECT time, symbol, open, high, low, close, volume, trade_date, source FROM ohlcv_1d"
    " WHERE symbol = $1 AND time >= $2 AND time < $3 ORDER BY time",
    "1m": "SELECT bucket AS time, symbol, open, high, low, close, volume, NULL::date AS trade_date,"
    " NULL::text AS source FROM ohlcv_1m WHERE symbol = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket",
}

_STORE: Final = (
    "INSERT INTO ohlcv_1d AS b (time, symbol, open, high, low, close, volume, trade_date, source)"
    " SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],"
    " $7::bigint[], $8::date[], $9::text[])"
    " ON CONFLICT (symbol, time) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,"
    " close = excluded.close, volume = excluded.volume, source = excluded.source, revision = b.revision + 1"
    " WHERE (b.open, b.high, b.low, b.close, b.volume, b.source) IS DISTINCT FROM"
    " (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.source) RETURNING 1"
)

_TICKS: Final = (
    "SELECT time, symbol, kind, price, volume, side, bid, bid_qty, ask, ask_qty, source, seq, event_ns, recv_ns"
    " FROM tick_data WHERE symbol = $1 AND time >= $2 AND time < $3 ORDER BY time, seq LIMIT $4"
)

_LOGS: Final = (
    "SELECT time, order_id, symbol, stage, latency_ms, success, error_code, trace_id FROM execution_logs"
    " WHERE order_id = $1 AND time >= $2 AND time < $3 ORDER BY time"
)

_LOG: Final = (
    "INSERT INTO execution_logs (time, order_id, symbol, stage, latency_ms, success, error_code, trace_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)

_VOLUME: Final = (
    "SELECT count(*) AS days, avg(volume) AS mean FROM"
    " (SELECT volume FROM ohlcv_1d WHERE symbol = $1 ORDER BY time DESC LIMIT $2) AS latest"
)

_STAGES: Final = {"PRECHECK": "PRECHECK", "SEND": "SENDING", "FILL": "COMPLETE"}
"""Other names for stages, in capitals."""


class Series(Part):
    """Bars, ticks and lines about executions; see `DataSourceAdapter`."""

    async def fetch_ohlcv(self, symbol: str, start: datetime, end: datetime, interval: Interval = "1d") -> list[Ohlcv]:
        """Return bars in [start, end), ascending."""
        query = _BARS.get(interval)
        if query is None:
            raise _no_interval(interval)
        first, last = check_range(start, end)
        rows = await self._fetch("analytics", query, symbol, first, last)
        return [Ohlcv(**{**dict(row), "volume": int(row["volume"])}) for row in rows]

    async def store_ohlcv(self, bars: Sequence[Ohlcv], interval: Interval = "1d") -> int:
        """Write daily bars, return how many were new or different."""
        if interval != "1d":
            raise _no_interval(interval)
        self._pools.check_open()
        last: dict[tuple[str, datetime], tuple[Any, ...]] = {}
        for bar in bars:
            last[bar.symbol, bar.time] = _bar_values(bar)
        if not last:
            return 0
        columns = [list(column) for column in zip(*last.values(), strict=True)]
        rows = await self._in_transaction("ingest", lambda link: link.fetch(_STORE, *columns))
        return len(rows)

    async def get_avg_daily_volume(self, symbol: str, days: int = 20) -> Decimal | None:
        """Return the mean volume of the last `days` daily bars; None if there are fewer."""
        wanted = check_count(days, "days")
        (row,) = await self._fetch("trading", _VOLUME, symbol, wanted)
        if row["days"] < wanted:
            return None
        mean: Decimal = row["mean"]
        return mean

    async def fetch_tick_data(
        self, symbol: str, start: datetime, end: datetime, limit: int | None = None
    ) -> AsyncIterator[Tick]:
        """Stream ticks in [start, end), ascending by time and sequence."""
        first, last = check_range(start, end)
        most = None if limit is None else check_count(limit, "limit")
        try:
            async with (
                self._pools.connection("analytics") as link,
                link.transaction(readonly=True),
            ):
                async for row in link.cursor(_TICKS, symbol, first, last, most, prefetch=1_000):
                    yield Tick(*row)
        except DRIVER as error:
            raise told(error, self.settings) from None

    async def store_execution_log(self, logs: Sequence[ExecutionLog]) -> None:
        """Write lines about executions as well as can be; never raises."""
        rows = []
        for line in logs:
            try:
                stage = _STAGES.get(line.stage.upper(), line.stage.upper()) if isinstance(line.stage, str) else None
                known = line._replace(stage=stage or "")
                row = checked_row("execution_logs", known._asdict(), self._clock.now_utc())
            except AdapterError:
                self.lost_logs += 1
            else:
                rows.append(tuple(row.values()))
        if not rows:
            return
        try:
            await self._pools.run("ingest", lambda link: link.executemany(_LOG, rows), repeats=False)
        except AdapterError:
            # One that the table refuses takes the others with it; they are worth a second attempt on their own.
            await self._log_one_by_one(rows)

    async def _log_one_by_one(self, rows: list[tuple[Any, ...]]) -> None:
        for number, row in enumerate(rows):
            try:
                await self._pools.run("ingest", partial(_log, row), repeats=False)
            except RowInvalid:
                self.lost_logs += 1
            except AdapterError:
                self.lost_logs += len(rows) - number
                return

    lost_logs: int = 0
    """Lines about executions that could not be written."""

    async def fetch_execution_logs(self, order_id: str, start: datetime, end: datetime) -> list[ExecutionLog]:
        """Return the lines about an order in [start, end), ascending."""
        first, last = check_range(start, end)
        rows = await self._fetch("analytics", _LOGS, order_id, first, last)
        return [ExecutionLog(*row) for row in rows]


async def _log(row: tuple[Any, ...], link: Link) -> None:
    await link.execute(_LOG, *row)


def _bar_values(bar: Ohlcv) -> tuple[Any, ...]:
    if bar.time.time() != time(0) or bar.trade_date not in (None, bar.time.date()):
        raise RowInvalid(
            found=f"a daily bar of {bar.symbol} at {bar.time} for {bar.trade_date}",
            expected="00:00 UTC of its trade date",
            hint="label daily bars with their trade date",
        )
    day = bar.time.astimezone(UTC).date()
    return (bar.time, bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume, day, bar.source)


def _no_interval(interval: str) -> NotSupported:
    return NotSupported(
        found=f"bars of {interval}",
        expected="1d, or 1m for reading",
        hint="bars of a minute are made of the ticks by the server",
    )
