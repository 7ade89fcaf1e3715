"""Ticks in PostgreSQL: batches by binary COPY, read back through a cursor."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from qts.codes import UsageError
from qts.data.ticks.contracts import SinkUnavailable
from qts.data.ticks.pgcopy import COLUMNS, encode
from qts.data.ticks.ranges import check_limit, check_range
from qts.data.ticks.records import SOURCE_LENGTH, TRADE, TickBatch, TickRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
    from datetime import datetime

    from qts.data.ticks.records import Rejected

    Connection = Any
    """An `asyncpg.Connection`."""

_BLOCK: Final = 5_000
QUARANTINE: Final = (
    "source", "seq", "cause", "event_ns", "recv_ns", "symbol", "kind", "price", "volume", "side", "bid", "bid_qty",
    "ask", "ask_qty", "price_scale", "qty_scale",
)  # fmt: skip
_INSERT_REJECTED: Final = (
    f"INSERT INTO tick_quarantine ({', '.join(QUARANTINE)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join(f'${at}' for at in range(1, len(QUARANTINE) + 1))}) ON CONFLICT DO NOTHING"
)
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM tick_data "  # noqa: S608 - names of our own
_SIDES: Final = (None, "BUY", "SELL")


def check_source(source: str) -> None:
    """Refuse a name that does not fit into the table.

    Raises:
        UsageError: it is empty or too long.
    """
    if not 1 <= len(source) <= SOURCE_LENGTH:
        raise UsageError(found=f"the source {source!r}", expected=f"a name of 1 to {SOURCE_LENGTH} characters")


def quarantine_row(source: str, batch: TickBatch, one: Rejected) -> tuple[object, ...]:
    """Return a rejected tick as a row of `tick_quarantine`, its figures as integers in the scales told beside them."""
    row, number = one.row, int(one.row["instrument"])
    symbol, price_scale, qty_scale = batch.symbols[number] if number < len(batch.symbols) else (f"#{number}", 0, 0)
    figures = [int(row[name]) for name in ("bid", "bid_qty", "ask", "ask_qty")]
    return (
        source, int(row["seq"]), one.cause, int(row["ts_event_ns"]), int(row["ts_recv_ns"]), symbol,
        "T" if row["kind"] == TRADE else "Q", int(row["price"]), int(row["qty"]), _SIDES[int(row["side"])], *figures,
        price_scale, qty_scale,
    )  # fmt: skip


class PostgresTicks:
    """Keeps ticks in `tick_data` and the position in `tick_ack`, and reads them back.

    Plain PostgreSQL and TimescaleDB alike: rows go into the parent table.

    Args:
        connect: opens a connection of asyncpg.
        source: who the ticks come from; part of their key.
        timeout_s: longest that one statement may take; the connection is given up then.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], source: str = "", *, timeout_s: float = 10.0
    ) -> None:
        if source:
            check_source(source)
        self._connect = connect
        self._source = source
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._position: int | None = None
        self._lost = asyncio.Event()

    async def position(self) -> int:
        """Return the number of the last tick that is kept; see `TickSink.position`."""
        async with self._guarded() as connection:
            await connection.execute(
                "INSERT INTO tick_ack (source, through_seq, acked_at) VALUES ($1, 0, now()) ON CONFLICT DO NOTHING",
                self._source,
                timeout=self._timeout_s,
            )
            found = await connection.fetchval(
                "SELECT through_seq FROM tick_ack WHERE source = $1", self._source, timeout=self._timeout_s
            )
            self._position = int(found)
            return self._position

    async def copy(self, batch: TickBatch, rejected: Sequence[Rejected], *, through_seq: int) -> int:
        """Keep a batch and the position in one transaction; see `TickSink.copy`."""
        while True:
            before = self._position if self._position is not None else await self.position()
            if through_seq <= before:
                return 0
            rows = batch.rows
            if len(rows) and rows["seq"][0] <= before:
                rows = rows[rows["seq"] > before]
            part = TickBatch(rows, batch.symbols)
            async with self._guarded() as connection:
                # Never rolled back by hand: after a fault the connection is thrown away, and the transaction with it.
                transaction = connection.transaction()
                await transaction.start()
                is_kept = await self._claim(connection, before, through_seq)
                if is_kept:
                    await self._write(connection, part, [one for one in rejected if one.row["seq"] > before])
                await asyncio.wait_for(transaction.commit(), self._timeout_s)
            if is_kept:
                self._position = through_seq
                return len(rows)
            self._position = None  # somebody else has gone on from there: look again

    async def _claim(self, connection: Connection, before: int, through_seq: int) -> bool:
        done = await connection.execute(
            "UPDATE tick_ack SET through_seq = $2, acked_at = now() WHERE source = $1 AND through_seq = $3",
            self._source,
            through_seq,
            before,
            timeout=self._timeout_s,
        )
        return str(done) == "UPDATE 1"

    async def _write(self, connection: Connection, batch: TickBatch, rejected: Sequence[Rejected]) -> None:
        if len(batch.rows):
            await self._while_connected(
                connection.copy_to_table(
                    "tick_data", source=io.BytesIO(encode(batch, self._source)), columns=COLUMNS, format="binary"
                )
            )
        if rejected:
            rows = [quarantine_row(self._source, batch, one) for one in rejected]
            await connection.executemany(_INSERT_REJECTED, rows, timeout=self._timeout_s)

    async def _while_connected(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for a COPY, but not for ever: asyncpg does not end one whose connection is lost while it sends."""
        copying = asyncio.ensure_future(work)
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait((copying, lost), timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not copying.done():
                raise ConnectionError("the connection was lost, or the server stood still, during a COPY")
            copying.result()
        finally:
            for one in (copying, lost):
                one.cancel()
            await asyncio.gather(copying, lost, return_exceptions=True)

    async def fetch_ticks(
        self, symbol: str, start: datetime, end: datetime, limit: int, *, source: str | None = None
    ) -> list[TickRow]:
        """Return ticks by (time, seq); see `TickReader.fetch_ticks`."""
        check_range(start, end)
        check_limit(limit)
        query = (
            f"{_SELECT} WHERE symbol = $1 AND time >= $2 AND time < $3 AND ($4::text IS NULL OR source = $4) "
            "ORDER BY time, seq, source LIMIT $5"
        )
        async with self._guarded() as connection:
            rows = await connection.fetch(query, symbol, start, end, source, limit, timeout=self._timeout_s)
        return [TickRow(*row) for row in rows]

    async def stream(
        self, start: datetime, end: datetime, *, source: str | None = None
    ) -> AsyncGenerator[list[TickRow], None]:
        """Return all ticks in the order in which they came, in blocks; see `TickReader.stream`."""
        check_range(start, end)
        query = (
            f"{_SELECT} WHERE time >= $1 AND time < $2 AND ($3::text IS NULL OR source = $3) "
            "ORDER BY recv_ns, source, seq"
        )
        async with self._guarded() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(query, start, end, source)
            while rows := await cursor.fetch(_BLOCK):
                yield [TickRow(*row) for row in rows]

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close(timeout=self._timeout_s)

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[Connection]:
        """Give the connection; after any fault it is thrown away, and what happened is told as `SinkUnavailable`."""
        try:
            if self._connection is None or self._connection.is_closed():
                fresh: Any = await asyncio.wait_for(self._connect(), self._timeout_s)
                self._connection = fresh
                lost = self._lost = asyncio.Event()
                fresh.add_termination_listener(lambda _: lost.set())
            yield self._connection
        except UsageError:
            raise
        except Exception as error:
            connection, self._connection, self._position = self._connection, None, None
            if connection is not None:
                connection.terminate()
            raise SinkUnavailable(
                "GR100",
                found=f"PostgreSQL did not take part: {type(error).__name__}: {error}",
                expected="an answer of the database",
                hint="see that the server runs and has room; ticks wait in the spool meanwhile",
            ) from error
