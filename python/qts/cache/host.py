"""A thread that runs a cache, for an engine whose own threads know no event loop."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from qts.cache.contracts import ReadyState
from qts.cache.manager import CacheManager

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
_START_S: Final = 30.0
_STOP_S: Final = 10.0


class CacheHost:
    """Starts a cache in an event loop of its own thread and stops it again.

    Other threads call what never waits (`push_*`, `peek_*`, `hold`, `get_exit_price`, `ready`) on the cache itself, and
    hand everything that is awaited to `wait` or `submit`.
    """

    def __init__(self, manager: CacheManager) -> None:
        self.manager = manager
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, timeout_s: float | None = _START_S) -> ReadyState:
        """Start the thread and the cache; return how far the cache is. Blocks until then.

        Args:
            timeout_s: seconds to wait at most; None: as long as the settings let connecting take.

        Raises:
            TimeoutError: it took longer.
        """
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="qts-cache", daemon=True)
        self._thread.start()
        return self.wait(self.manager.start(), timeout_s)

    def stop(self) -> None:
        """Stop the cache and its thread. Blocks 10 s at most."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self.wait(self.manager.stop(), _STOP_S)
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_STOP_S)

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Hand something that is awaited to the cache's loop and return at once.

        Raises:
            RuntimeError: the host does not run.
        """
        if self._loop is None:
            work.close()
            raise RuntimeError("the cache's thread does not run")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        """Do the same and block for the result, `timeout_s` seconds at most if given; what it raises is raised.

        Raises:
            TimeoutError: there is no result yet; the work is given up.
        """
        future = self.submit(work)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
