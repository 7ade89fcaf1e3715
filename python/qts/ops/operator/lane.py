"""A thread that carries out one call after the other."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")
_END: Final = None


class Lane:
    """Carries out calls in order. Unlike those of a pool its thread never keeps a process from ending.

    Args:
        name: name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Have `work` carried out after what waits already; does not block."""
        future: Future[_Result] = Future()
        self._calls.put((future, work))
        return future

    def close(self) -> None:
        """End the thread after what waits already."""
        self._calls.put(_END)

    def _run(self) -> None:
        while (call := self._calls.get()) is not _END:
            future, work = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # whatever it is belongs to who asked
                    future.set_exception(error)
