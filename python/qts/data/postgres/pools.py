"""Connections to a server: apart by use, with deadlines, repeats and a breaker."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import asyncpg

from qts.data.exceptions import AdapterError, PoolExhausted, SourceUnavailable
from qts.data.postgres.errors import CONNECTION_LOST, DRIVER, TRANSIENT, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from qts.clock import Clock
    from qts.data.settings import ServerSettings

T = TypeVar("T")

Use = Literal["trading", "ingest", "analytics"]
USES: Final[tuple[Use, ...]] = ("trading", "ingest", "analytics")

_MS: Final = 1_000_000
_NEARLY_ALL: Final = 0.9
_RELAXED: Final = 0.5
_WINDOW: Final = 256
"""Queries over which the 99th percentile is taken."""
_NETWORK_MS: Final = 1_000
"""What a statement may take on the network, on top of its time at the server."""


class Pools:
    """The connections of one process to one database.

    Args:
        settings: address, sizes and times.
        clock: measures outages, queries and pauses of the breaker.
        report: is told (code, message) when something begins to go wrong.
    """

    def __init__(self, settings: ServerSettings, clock: Clock, report: Callable[[str, str], None]) -> None:
        self.settings = settings
        self._clock = clock
        self._report = report
        self._pools: dict[Use, asyncpg.Pool[asyncpg.Record]] = {}
        self._free: dict[Use, asyncio.Semaphore] = {}
        self._in_use: dict[Use, int] = dict.fromkeys(USES, 0)
        self._random = random.Random(settings.retries.seed)  # noqa: S311 - pauses, no secrets
        self._failures = 0
        self._open_until_ns = 0
        self._down_since_ns: int | None = None
        self._told_fault = False
        self._told_full = False
        self._slow_until_ns = 0
        self._latencies: deque[int] = deque(maxlen=_WINDOW)
        self._measured = 0

    @property
    def is_open(self) -> bool:
        """Whether there are pools."""
        return bool(self._pools)

    @property
    def outage_ms(self) -> int:
        """For how long the server has not answered; 0 while it does."""
        return 0 if self._down_since_ns is None else (self._clock.monotonic_ns() - self._down_since_ns) // _MS

    def usage(self) -> tuple[int, int]:
        """Return connections in use and the most there may be."""
        return sum(self._in_use.values()), sum(self._size(use) for use in USES)

    async def open(self) -> None:
        """Connect.

        Raises:
            SourceUnavailable: the server cannot be reached or does not let us in.
        """
        if self._pools:
            return
        try:
            for use in USES:
                self._pools[use] = await self._pool(use)
                self._free[use] = asyncio.Semaphore(self._size(use))
        except DRIVER as error:
            await self.close()
            raise told(error, self.settings) from None
        except BaseException:
            await self.close()
            raise

    async def _pool(self, use: Use) -> asyncpg.Pool[asyncpg.Record]:
        settings, times = self.settings, self.settings.timeouts
        statement = times.analytics if use == "analytics" else times.statement
        pool = asyncpg.create_pool(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            password=settings.password.get_secret_value(),
            ssl=settings.ssl_mode,
            timeout=times.connect / 1_000,
            command_timeout=(statement + _NETWORK_MS) / 1_000,
            min_size=min(settings.pool.trading_min, self._size(use)) if use == "trading" else 0,
            max_size=self._size(use),
            init=_prepare,
            server_settings={
                "application_name": f"qts-engine {use}",
                "statement_timeout": str(statement),
                "lock_timeout": str(times.lock),
                "idle_in_transaction_session_timeout": str(times.idle_in_transaction),
                "timezone": "UTC",
            },
        )
        return await pool

    def _size(self, use: Use) -> int:
        sizes = self.settings.pool
        return {"trading": sizes.trading, "ingest": sizes.ingest, "analytics": sizes.analytics}[use]

    async def close(self) -> None:
        """Let go of every connection."""
        pools, self._pools, self._free = list(self._pools.values()), {}, {}
        for pool in pools:
            try:
                async with asyncio.timeout(self.settings.timeouts.connect / 1_000):
                    await pool.close()
            except DRIVER:
                pool.terminate()

    async def run(self, use: Use, work: Callable[[Any], Awaitable[T]], *, repeats: bool = True) -> T:
        """Return `work(connection)`, tried again if the server was away for a moment.

        Args:
            use: whose connections are taken.
            work: what is done; with `repeats` it may be called more than once, so it must be found by its key.
            repeats: whether it may be.

        Raises:
            SourceUnavailable: closed, breaker open, no connection, no answer.
            AdapterError: what else the server has against it.
        """
        attempts = self.settings.retries.attempts if repeats else 1
        for attempt in range(1, attempts + 1):
            self._check_ready(use)
            try:
                result = await self._once(use, work)
            except DRIVER as error:
                if isinstance(error, TRANSIENT):
                    self._failed(error)
                    if attempt < attempts and self._open_until_ns <= self._clock.monotonic_ns():
                        await self._pause()
                        continue
                raise self._final(error) from None
            self._succeeded()
            return result
        raise AssertionError("unreachable")

    async def _once(self, use: Use, work: Callable[[Any], Awaitable[T]]) -> T:
        async with self.connection(use) as connection:
            started = self._clock.monotonic_ns()
            result = await work(connection)
            if use == "trading":
                self._measure(self._clock.monotonic_ns() - started)
            return result

    @asynccontextmanager
    async def connection(self, use: Use) -> AsyncIterator[Any]:
        """Lend a connection. What happens in it is not repeated, and errors of the driver come as they are.

        Raises:
            SourceUnavailable: closed, or every connection is in use for longer than may be waited.
        """
        self._check_ready(use)
        free, pool = self._free[use], self._pools[use]
        try:
            async with asyncio.timeout(self.settings.timeouts.acquire / 1_000):
                await free.acquire()
        except TimeoutError:
            self._note_use()
            raise PoolExhausted(
                found=f"every connection for {use} is in use ({self._size(use)})",
                expected=f"a free one within {self.settings.timeouts.acquire} ms",
                hint=f"raise data.db.pool.{use}, or look for what keeps them",
                where=f"PostgreSQL {self.settings.shown}",
                code="GR101",
            ) from None
        try:
            self._in_use[use] += 1
            self._note_use()
            connection = await pool.acquire(timeout=self.settings.timeouts.connect / 1_000)
            try:
                yield connection
            finally:
                await pool.release(connection, timeout=self.settings.timeouts.connect / 1_000)
        finally:
            self._in_use[use] -= 1
            self._note_use()
            free.release()

    def check_open(self) -> None:
        """Check that there are pools.

        Raises:
            SourceUnavailable: there are none.
        """
        if not self._pools:
            raise SourceUnavailable(
                found="the connection to the database is closed",
                expected="an open one",
                hint="open it first",
                where=f"PostgreSQL {self.settings.shown}",
            )

    def _check_ready(self, use: Use) -> None:
        self.check_open()
        now = self._clock.monotonic_ns()
        if now < self._open_until_ns:
            raise SourceUnavailable(
                found=f"the server has failed {self._failures} times in a row and is left alone for"
                f" {(self._open_until_ns - now) // _MS} ms",
                expected="a server that answers",
                hint="check whether it runs; what is booked waits in the journal",
                where=f"PostgreSQL {self.settings.shown}",
                code="GR100",
            )
        if use == "analytics" and now < self._slow_until_ns:
            raise SourceUnavailable(
                found="reports wait while the server is slow to answer the books",
                expected=f"a 99th percentile below {self.settings.retries.slow_ms} ms",
                hint="ask again later",
                where=f"PostgreSQL {self.settings.shown}",
                code="GR102",
            )

    async def _pause(self) -> None:
        retries = self.settings.retries
        await asyncio.sleep(self._random.uniform(retries.pause_min_ms, retries.pause_max_ms) / 1_000)

    def _final(self, error: BaseException) -> AdapterError:
        known = told(error, self.settings)
        if known.code == "GR103":
            self._report("GR103", str(known))
        return known

    def _failed(self, error: BaseException) -> None:
        """Count a failure; a lock that is held or a slow statement is none of the server's being away."""
        retries = self.settings.retries
        now = self._clock.monotonic_ns()
        if not isinstance(error, (*CONNECTION_LOST, TimeoutError, asyncpg.TooManyConnectionsError)):
            return
        self._failures += 1
        if self._failures >= retries.breaker_failures:
            self._open_until_ns = now + retries.breaker_open_ms * _MS
        if self._down_since_ns is None:
            self._down_since_ns = now
            self._report("GR100", str(told(error, self.settings)))
        elif not self._told_fault and self.outage_ms >= retries.fail_ms:
            self._told_fault = True
            self._report("FS120", f"the database has been away for {self.outage_ms // 1_000} s")

    def _succeeded(self) -> None:
        self._failures = 0
        self._down_since_ns = None
        self._told_fault = False

    def _note_use(self) -> None:
        shares = [self._in_use[use] / self._size(use) for use in USES]
        if max(shares) > _NEARLY_ALL and not self._told_full:
            self._told_full = True
            busiest = USES[shares.index(max(shares))]
            self._report("GR101", f"{self._in_use[busiest]} of {self._size(busiest)} connections for {busiest} in use")
        elif max(shares) <= _RELAXED:
            self._told_full = False

    def _measure(self, elapsed_ns: int) -> None:
        self._latencies.append(elapsed_ns)
        self._measured += 1
        if self._measured % (_WINDOW // 4) or len(self._latencies) < _WINDOW // 4:
            return
        p99_ms = sorted(self._latencies)[len(self._latencies) * 99 // 100] // _MS
        if p99_ms <= self.settings.retries.slow_ms:
            self._slow_until_ns = 0
            return
        now = self._clock.monotonic_ns()
        if now >= self._slow_until_ns:
            self._report("GR102", f"the 99th percentile of the last queries is {p99_ms} ms; reports wait")
        self._slow_until_ns = now + self.settings.retries.breaker_open_ms * _MS


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Take and give JSON as what it stands for."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=_dumps, decoder=json.loads, format="text")


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
