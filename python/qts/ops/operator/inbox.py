"""Calls that have to run on the engine's own thread, between two of its steps."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Lock
from typing import Any, TypeVar

from qts.codes import QtsError
from qts.ops.operator.messages import say

_Result = TypeVar("_Result")


class EngineBusy(QtsError):  # noqa: N818 - a state, not a defect
    """The engine had no moment for a call; it was not made."""

    exit_code = 1


class EngineInbox:
    """Takes calls from any thread, and makes them where `run_due` is called."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._closed = False

    def call(self, work: Callable[[], _Result], *, timeout_s: float) -> _Result:
        """Return what `work` returned on the engine's thread. Blocks for up to `timeout_s` until it has begun.

        Raises:
            EngineBusy: the engine has not begun in time, or has ended; it never will.
        """
        future: Future[_Result] = Future()
        with self._lock:
            if self._closed:
                raise EngineBusy(found=say("engine_over"), expected=say("engine_there"))
            self._waiting.append((future, work))
        try:
            return future.result(timeout_s)
        except FutureTimeout:
            if future.cancel():
                found = say("engine_busy", seconds=f"{timeout_s:g}")
                raise EngineBusy(found=found, expected=say("engine_there"), hint=say("again")) from None
            return future.result()  # it has begun: what it says counts
        except CancelledError:
            raise EngineBusy(found=say("engine_over"), expected=say("engine_there")) from None

    def run_due(self) -> None:
        """Make the calls that wait. On the engine's thread; does not block."""
        while self._waiting:
            future, work = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

    def close(self) -> None:
        """Refuse what waits and what comes."""
        with self._lock:
            self._closed = True
            for future, _ in self._waiting:
                future.cancel()
            self._waiting.clear()
