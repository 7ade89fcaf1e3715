"""Threads and connections behind the asynchronous adapter: one writes, several read."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from qts.codes import UsageError
from qts.data.exceptions import DeadlineExceeded, SchemaMismatch, SourceUnavailable
from qts.data.sqlite.connection import CannotOpen, open_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")

_LOST: Final = "whether a write has happened is unknown; repeat it by its key"


class Pool:
    """A file that is open: its only writing connection in a thread of its own, and connections that only read.

    Args:
        path: the database file, created with its directory if absent.
        readers: connections, and threads, that read.
        deadline_ms: how long a call may take, the wait for a free thread included.
    """

    def __init__(self, path: Path, *, readers: int, deadline_ms: int) -> None:
        self._path = path
        self._deadline_s = deadline_ms / 1_000
        self._size = readers
        self._writer: sqlite3.Connection | None = None
        self._free: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._all: list[sqlite3.Connection] = []
        self._write_thread: ThreadPoolExecutor | None = None
        self._read_threads: ThreadPoolExecutor | None = None
        self.in_use = 0
        """Calls that are under way."""

    @property
    def name(self) -> str:
        """The file, for messages."""
        return str(self._path)

    @property
    def size(self) -> int:
        """Connections."""
        return self._size + 1

    async def open(self) -> None:
        """Open the file and bring it to the schema of this program; nothing if it is open.

        Raises:
            SourceUnavailable: it cannot be opened.
            SchemaMismatch: FS123, it is not a database of this program, or a newer one.
        """
        if self._writer is not None:
            return
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="qts-db-write")
        self._read_threads = ThreadPoolExecutor(self._size, thread_name_prefix="qts-db-read")
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._write_thread, self._connect)
        except BaseException:
            await self.close()
            raise

    def _connect(self) -> None:
        try:
            self._writer = open_database(self._path)
            for _ in range(self._size):
                reader = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro",
                    uri=True,
                    timeout=5.0,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._all.append(reader)
                reader.execute("PRAGMA query_only = ON")
                self._free.put(reader)
        except CannotOpen as error:
            raise SourceUnavailable(found=error.found, expected=error.expected, hint=error.hint) from error
        except UsageError as error:
            raise SchemaMismatch(found=error.found, expected=error.expected, hint=error.hint, code="FS123") from error
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """Let what is under way end, then close every connection; nothing if it is closed."""
        threads = [self._write_thread, self._read_threads]
        self._write_thread = self._read_threads = None
        loop = asyncio.get_running_loop()
        for pool in threads:
            if pool is not None:
                await loop.run_in_executor(None, pool.shutdown)
        for connection in [*self._all, *([self._writer] if self._writer else [])]:
            connection.close()
        self._all.clear()
        self._free = queue.SimpleQueue()
        self._writer = None

    async def read(self, job: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what a job reads, all of it from one state of the database.

        Raises:
            SourceUnavailable: the file is closed or does not answer.
            DeadlineExceeded: not in time; the query was broken off.
        """
        if self._read_threads is None:
            raise self._closed()
        free, running = self._free, []

        def run() -> _T:
            connection = free.get()
            running.append(connection)
            try:
                connection.execute("BEGIN")
                try:
                    return job(connection)
                finally:
                    connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise self._unavailable(error) from error
            finally:
                running.clear()
                free.put(connection)

        return await self._within(self._read_threads, run, running)

    async def write(self, job: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what a job returns that runs in one transaction, durable when it has.

        What the job raises takes everything back.

        Raises:
            SourceUnavailable: the file is closed or does not take what is written; nothing of it was.
            DeadlineExceeded: not in time; whether it is written is unknown.
        """
        if self._write_thread is None or self._writer is None:
            raise self._closed()
        connection = self._writer

        def run() -> _T:
            try:
                with connection:
                    # IMMEDIATE takes the write lock before anything is read: what is decided on stays as it is.
                    connection.execute("BEGIN IMMEDIATE")
                    return job(connection)
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

        return await self._within(self._write_thread, run, [])

    async def _within(
        self, threads: ThreadPoolExecutor, run: Callable[[], _T], running: list[sqlite3.Connection]
    ) -> _T:
        self.in_use += 1
        try:
            job = asyncio.get_running_loop().run_in_executor(threads, run)
            async with asyncio.timeout(self._deadline_s):
                return await job
        except TimeoutError:
            for connection in tuple(running):
                connection.interrupt()
            raise DeadlineExceeded(
                found=f"no answer of {self.name} within {self._deadline_s} s", expected="an answer", hint=_LOST
            ) from None
        except asyncio.CancelledError:
            for connection in tuple(running):
                connection.interrupt()
            raise
        finally:
            self.in_use -= 1

    def _closed(self) -> SourceUnavailable:
        return SourceUnavailable(found=f"{self.name} is not open", expected="an open database", hint="open it first")

    def _unavailable(self, error: sqlite3.Error) -> SourceUnavailable:
        return SourceUnavailable(
            found=f"{self.name} does not play along: {error}",
            expected="a database that answers",
            hint="free disk space or check the disk; a write that fails leaves nothing behind",
            code="GR100",
        )
