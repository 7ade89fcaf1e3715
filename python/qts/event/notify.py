"""The Python side of the dispatcher: threads that wait for a descriptor, drain a batch and call the handlers.

The core never calls into Python. Each level has a thread of its own, so that no handler waits for one of a lower level.
Coroutine handlers get one wake-up of the event loop for each batch; the level is drained again once that batch is done.
A handler of P3 that does not come back in time keeps only itself: another thread goes on behind it.
"""

import asyncio
import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from qts._core import LiveBus
from qts.clock import Clock
from qts.event.calls import Call, Handlers
from qts.event.contracts import Event
from qts.event.handlers import EventHandler
from qts.event.types import EventPriority, EventType
from qts.event.wire import Arrival, row_id

MAX_STUCK: Final = 2
"""Stuck P3 handlers that change nothing; one more pauses P3 but for what is protected, as on the native side."""
_SEQ: Final = 2
"""Place of the sequence number in a row of the core."""

Work: TypeAlias = list[tuple[Arrival, tuple[EventHandler, ...]]]
"""Events and the coroutine handlers that want them."""


def _no_loop(_begin: Callable[[Work], None], _work: Work) -> object:
    raise RuntimeError("the dispatcher has not been started on an event loop")


class _Turn:
    """One event and the synchronous handlers that have still to see it: whoever takes over goes on with the next."""

    __slots__ = ("arrival", "later", "now")

    def __init__(self, arrival: Arrival, now: Iterator[EventHandler], later: tuple[EventHandler, ...]) -> None:
        self.arrival = arrival
        self.now = now
        self.later = later


class Level(Handlers):
    """One level on its way from the core to its handlers.

    Args:
        bus: the core.
        priority: the level.
        batch: most events taken at once.
        limit_ms: time after which a handler counts as stuck and is left behind; 0 = it is waited for. P3 only.
        clock: measures the calls.
    """

    def __init__(
        self, bus: LiveBus, priority: EventPriority, batch: int, *, limit_ms: int = 0, clock: Clock | None = None
    ) -> None:
        super().__init__(priority, clock)
        self._bus = bus
        self._batch = batch
        self._limit_ns = limit_ms * 1_000_000
        self._call_soon: Callable[[Callable[[Work], None], Work], object] = _no_loop
        self._task: asyncio.Task[None] | None = None
        self._turns: deque[_Turn] = deque()
        self._later: Work = []
        self._left: deque[tuple[Arrival, tuple[EventHandler, ...]]] = deque()
        self._on_loop = threading.Event()
        self._is_ceasing = threading.Event()
        self._done: Callable[[], None] = lambda: None
        self._is_acked = bus.is_journaled and priority is EventPriority.P0_CRITICAL
        self._unacked: dict[str, int] = {}
        """Numbers of the journaled events that coroutine handlers have not come back from, by event id."""
        self._turnover = threading.Lock()
        self._server: object | None = None
        """Which thread serves the level; None = nobody, because too many are stuck."""
        self._serving: Call | None = None
        self._stuck_tasks: set[asyncio.Task[None]] = set()
        self.stuck = 0
        self.paused_drop = 0
        self.discarded = 0
        self.discarded_signals: deque[Event] = deque()

    def subscribe(self, loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> int:
        """Listen to the level; return the descriptor to wait for. `done` is called whenever the loop is done."""
        self._call_soon = loop.call_soon_threadsafe
        self._done = done
        return self._bus.subscribe(int(self.priority))

    @property
    def is_busy(self) -> bool:
        """Whether a batch is still with the event loop."""
        return self._on_loop.is_set()

    @property
    def is_paused(self) -> bool:
        """Whether so many handlers are stuck that only protected events go on."""
        return self.stuck > MAX_STUCK

    @property
    def unserved(self) -> int:
        """Events that have been taken from the core and not been handled."""
        return len(self._turns)

    def cease(self) -> None:
        """Begin nothing more: what is left of a batch is discarded."""
        self._is_ceasing.set()

    def serve_by(self, server: object) -> None:
        """Let a thread serve the level."""
        with self._turnover:
            self._server = server

    def is_served_by(self, server: object) -> bool:
        """Whether that thread serves the level."""
        return self._server is server

    @property
    def limit_ns(self) -> int:
        """Time after which a handler counts as stuck, in nanoseconds; 0 = never."""
        return self._limit_ns

    def drain(self, server: object) -> bool:
        """Take a batch and call its handlers.

        Returns:
            False if there was nothing to do, the last batch is not done, or another thread serves the level.
        """
        if self.is_busy or self._server is not server:
            return False
        rows = () if self._turns else self._bus.drain(int(self.priority), self._batch)
        if self._is_acked:
            self._unacked.update({row_id(row): row[_SEQ] for row in rows})
        for arrival in self.read(rows):
            plan = self.plan(arrival.event)
            self._turns.append(_Turn(arrival, iter(plan.now), plan.later))
            if not plan.now and not plan.later:
                self.unhandled += 1
        is_work = bool(self._turns) or bool(rows)
        if not self._serve(server):
            return False
        later, self._later = self._later, []
        if self._is_acked:
            waiting_ids = {arrival.event.event_id for arrival, _ in later}
            self._ack([event_id for event_id in map(row_id, rows) if event_id not in waiting_ids])
        if later:
            self._post(later)
        return is_work

    def _serve(self, server: object) -> bool:
        """Call the synchronous handlers of what waits, in order; False if another thread has taken over."""
        while self._turns:
            turn = self._turns[0]
            if self._is_ceasing.is_set():
                self._discard(turn.arrival.event)
            elif self.is_paused and turn.arrival.event.can_drop:
                self.paused_drop += 1
            else:
                for handler in turn.now:
                    call = self._serving = self.begin(handler, turn.arrival.event)
                    self.attempt(handler, turn.arrival)
                    self.end(call)
                    if self._limit_ns and self._was_left_behind(call, server):
                        return self.is_served_by(server) and self._serve(server)
                if turn.later:
                    self._later.append((turn.arrival, turn.later))
                else:
                    self.handled += 1
            self._turns.popleft()
        return True

    def _was_left_behind(self, call: Call, server: object) -> bool:
        """Whether a handler that has come back had been given up; its thread serves the level again if nobody does."""
        with self._turnover:
            if not call.is_stuck:
                return False
            self.stuck -= 1
            if self._server is None:
                self._server = server
            return True

    def give_up(self, server: object | None, after_ns: int, now_ns: int) -> bool:
        """Leave a handler behind that has been at it for longer than `after_ns`; `server` takes over from its thread.

        Returns:
            False if there is no such handler, or so many are stuck that nobody takes over.
        """
        with self._turnover:
            call = self._serving
            if call is None or call not in self.calls or call.is_stuck or now_ns - call.begun_ns <= after_ns:
                return False
            self._mark(call)
            self._server = server if self.stuck <= MAX_STUCK + 1 else None
            return self._server is not None

    def _mark(self, call: Call) -> None:
        call.is_stuck = True
        self.stuck += 1
        self.alert("p3_stuck", call.handler, stuck=self.stuck)

    def _ack(self, event_ids: Iterable[str]) -> None:
        """Mark journaled events as done: their handlers have come back, or they are dead letters."""
        seqs = [self._unacked.pop(event_id) for event_id in event_ids if event_id in self._unacked]
        try:
            self._bus.ack(seqs)
        except (OSError, ValueError) as error:
            # They will come again after a restart; the thread of the level must not end for that.
            self.failed("journal", "", error, 1)

    def _discard(self, event: Event) -> None:
        self.discarded += 1
        if event.event_type is EventType.SIGNAL_GENERATED:
            self.discarded_signals.append(event)

    def _post(self, work: Work) -> None:
        self._on_loop.set()
        try:
            self._call_soon(self._begin, work)
        except RuntimeError as error:  # the loop is closed
            self._abandon(work, error)
            self._on_loop.clear()

    def _begin(self, work: Work) -> None:
        self._left.extend(work)
        task = asyncio.get_running_loop().create_task(self._run())
        # Not in the coroutine: a task that is cancelled before its first step never gets there.
        task.add_done_callback(self._ended)
        self._task = task

    async def _run(self) -> None:
        while self._left:
            arrival, handlers = self._left[0]
            if self._is_ceasing.is_set():
                self._discard(arrival.event)
            else:
                for handler in handlers:
                    await self._await(handler, arrival)
                self.handled += 1
                if self._is_acked:
                    self._ack([arrival.event.event_id])
            self._left.popleft()

    async def _await(self, handler: EventHandler, arrival: Arrival) -> None:
        """Await a handler; past the limit of the level it goes on by itself, unless too many do."""
        call = self.begin(handler, arrival.event)
        if not self._limit_ns:
            try:
                await self.attempt_async(handler, arrival)
            finally:
                self.end(call)
            return
        task = asyncio.get_running_loop().create_task(self.attempt_async(handler, arrival))

        def ended(task: "asyncio.Task[None]") -> None:
            self._stuck_tasks.discard(task)
            self.end(call)
            with self._turnover:
                self.stuck -= call.is_stuck
            if task.cancelled():
                self.failed(handler.name, arrival.event.event_id, asyncio.CancelledError(), 1)

        task.add_done_callback(ended)
        try:
            await asyncio.wait({task}, timeout=self._limit_ns / 1e9)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            self._stuck_tasks.add(task)
            with self._turnover:
                self._mark(call)
            while self.stuck > MAX_STUCK + 1:
                await asyncio.wait(self._stuck_tasks, return_when=asyncio.FIRST_COMPLETED)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._left:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            self._abandon(tuple(self._left), error or RuntimeError("it ended early"))
            self._left.clear()
        self._on_loop.clear()
        self._done()

    def _abandon(self, work: Iterable[tuple[Arrival, tuple[EventHandler, ...]]], error: BaseException) -> None:
        """Record what the event loop will not handle any more."""
        for arrival, handlers in work:
            for handler in handlers:
                self.failed(handler.name, arrival.event.event_id, error, 1)
                self.bury(arrival.event, arrival.event.event_id, handler.name, error, 1)


class Courier:
    """The thread that serves a level, and those that it has left behind in handlers that do not come back.

    Args:
        name: of the thread.
        level: what it serves.
    """

    def __init__(self, name: str, level: Level) -> None:
        self.level = level
        self._name = name
        self._descriptor = -1
        self._is_stopping = threading.Event()
        self._threads: list[tuple[object, threading.Thread]] = []
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Not at exit: the thread may still be waiting for it then.
        weakref.finalize(self, os.close, self._wake).atexit = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to the level and start the thread; coroutine handlers run on `loop`."""
        self._descriptor = self.level.subscribe(loop, self._look_again)
        server = object()
        self.level.serve_by(server)
        self._add(server)

    def watch(self, now_ns: int) -> None:
        """Report handlers that are late; put a new thread in the place of one that is stuck."""
        self.level.look(now_ns)
        if self.level.limit_ns:
            self._replace(self.level.limit_ns, now_ns)

    def ask_to_finish(self) -> None:
        """Let it handle what it may still have, and end."""
        self._is_stopping.set()
        self._look_again()

    def finish(self, timeout_s: float, patience_s: float) -> bool:
        """Wait for the end, at most `timeout_s`.

        A handler of P3 that is at it for longer than `patience_s` is left behind, so that what is protected there is
        still handled.

        Returns:
            False if a handler has not come back.
        """
        level = self.level
        deadline_ns = level.now_ns() + int(timeout_s * 1e9)
        while (left_ns := deadline_ns - level.now_ns()) > 0 and self._serving().is_alive():
            patience_ns = int(patience_s * 1e9) if level.limit_ns else left_ns
            serving = self._serving()
            serving.join(min(left_ns, patience_ns) / 1e9)
            if level.limit_ns and serving.is_alive():
                self._replace(patience_ns, level.now_ns())
        return not self._serving().is_alive() and not level.stuck

    def _serving(self) -> threading.Thread:
        """Return the thread that serves the level; while nobody does, the newest one."""
        of_server = (thread for server, thread in self._threads if self.level.is_served_by(server))
        return next(of_server, self._threads[-1][1])

    def _replace(self, after_ns: int, now_ns: int) -> None:
        server = object()
        if self.level.give_up(server, after_ns, now_ns):
            self._add(server)

    def _add(self, server: object) -> None:
        thread = threading.Thread(target=self._run, args=(server,), name=self._name, daemon=True)
        self._threads = [*(row for row in self._threads if row[1].is_alive()), (server, thread)]
        thread.start()
        self._look_again()  # the one before it may have taken the wake-up with it

    def _look_again(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self, server: object) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        level = self.level
        while level.is_served_by(server):
            # What comes while the loop has a batch must wait, and not wake this thread over and over.
            poll.register(self._descriptor, 0 if level.is_busy else select.POLLIN)
            ready = poll.poll()  # without the interpreter lock
            if any(descriptor == self._wake for descriptor, _ in ready):
                with suppress(BlockingIOError):  # another thread of the level has answered it
                    os.eventfd_read(self._wake)
            is_stopping = self._is_stopping.is_set()
            while level.drain(server):
                pass
            if is_stopping and not level.is_busy:
                return


class Watch:
    """A thread that looks after the handlers at an interval.

    Args:
        couriers: whose handlers.
        interval_s: time between two looks.
    """

    def __init__(self, couriers: Sequence[Courier], interval_s: float) -> None:
        self._couriers = tuple(couriers)
        self._interval_s = interval_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qts-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the last look; nothing to do if it has not begun."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._interval_s):
            for courier in self._couriers:
                courier.watch(courier.level.now_ns())
