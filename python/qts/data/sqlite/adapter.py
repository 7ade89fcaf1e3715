"""The embedded database as a source of data: asynchronous, one writer, several readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.data.exceptions import AdapterError
from qts.data.records import Capabilities, Health
from qts.data.sqlite import booking
from qts.data.sqlite.entries import Instruments
from qts.data.sqlite.outbox import OutboxTable
from qts.data.sqlite.parameters import Parameters
from qts.data.sqlite.pool import Pool
from qts.data.sqlite.runs import Runs
from qts.data.sqlite.series import Series

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from qts.clock import Clock
    from qts.data.contracts import CurrencyRow, InstrumentRow
    from qts.data.sqlite.series import TickSource

_READERS: Final = 2
_DEADLINE_MS: Final = 15_000


class SQLiteAdapter(Runs, Series, Parameters, OutboxTable):
    """`DataSourceAdapter`, `Outbox` and `RunBooks` on one SQLite file.

    Writes go through one thread, each call a transaction of its own; what a call has returned from survives a crash
    of the process and of the machine. Reads run beside it, each on one state of the file. Other processes may use
    the file at the same time; a writer waits up to 5 s for another.

    A call that is cancelled or not answered by its deadline may still write: repeat it by its key.

    Args:
        path: the database file, created with its directory if absent.
        clock: labels rows of the outbox and of parameters.
        mirror: put every change of ledger and positions into the outbox.
        ticks: where ticks are read from; None: requests for ticks are not supported.
        readers: connections that read.
        deadline_ms: how long a call may take.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        mirror: bool = False,
        ticks: TickSource | None = None,
        readers: int = _READERS,
        deadline_ms: int = _DEADLINE_MS,
    ) -> None:
        self._clock = clock
        self._mirrors = mirror
        self._ticks = ticks
        self._instruments = Instruments()
        self._pool = Pool(path, readers=readers, deadline_ms=deadline_ms)
        self._version = ""
        self.log_failures = 0

    @property
    def capabilities(self) -> Capabilities:
        """What the source can do."""
        return Capabilities(
            profile="sqlite",
            ticks=self._ticks is not None,
            transactions=True,
            aggregates=False,
            compression=False,
            server_version=self._version,
        )

    async def open(self) -> None:
        """Open the file and bring it to the schema of this program.

        Raises:
            SourceUnavailable: it cannot be opened.
            SchemaMismatch: FS123, it is not a database of this program, a newer one, or a migration was changed.
        """
        await self._pool.open()
        self._version = await self._pool.read(lambda db: db.execute("SELECT sqlite_version()").fetchone()[0])

    async def close(self) -> None:
        """Let what is under way end and close the file. Calling it again does nothing."""
        await self._pool.close()

    async def health_check(self) -> Health:
        """Return how the source is; never raises."""
        began = self._clock.monotonic_ns()
        try:
            version = await self._pool.read(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        except AdapterError as error:
            return Health(healthy=False, latency_ms=None, detail=str(error))
        spent_ms = (self._clock.monotonic_ns() - began) / 1e6
        return Health(
            healthy=True,
            latency_ms=spent_ms,
            detail=f"schema version {version}",
            pool_in_use=self._pool.in_use,
            pool_size=self._pool.size,
        )

    async def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; UsageError if one is known with other scales."""
        known = (list(currencies), list(instruments))

        def job(db: sqlite3.Connection) -> None:
            booking.register(db, self._pool.name, *known)

        await self._pool.write(job)
