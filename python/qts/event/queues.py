"""The four queues, one overflow policy each, as asynchronous objects.

The queues themselves are native. Waiting happens on the event loop of whoever waits, so that several loops and threads
may share one queue and no loop is ever blocked.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

from qts._core import P0Queue, P1Queue, P2Queue, P3Queue, WireEvent
from qts._shapes import EventRowOut, QueueCounters
from qts.clock import SystemClock
from qts.event.config import QueueConfig
from qts.event.contracts import Event
from qts.event.errors import EventError
from qts.event.types import EventPriority, OverflowPolicy, PutResult
from qts.event.wire import from_row, to_wire

_CLOCK = SystemClock()
_NS_PER_MS = 1_000_000


class _NativeQueue(Protocol):
    def __len__(self) -> int: ...
    def put(self, wire: WireEvent, /) -> int: ...
    def take(self, most: int, /) -> list[EventRowOut]: ...
    def close(self) -> None: ...
    def counters(self) -> QueueCounters: ...


class _Waiters:
    """Those who wait for something to change, each woken on its own event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = deque()

    def join(self) -> asyncio.Event:
        """Return what will be set at the next change. Look again after joining: it may have happened before."""
        change = asyncio.Event()
        with self._lock:
            self._waiting.append((asyncio.get_running_loop(), change))
        return change

    def leave(self, change: asyncio.Event) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiting = deque(row for row in self._waiting if row[1] is not change)

    def notify(self) -> None:
        """Wake everybody; from any thread."""
        if not self._waiting:
            return
        with self._lock:
            woken, self._waiting = self._waiting, deque()
        for loop, change in woken:
            if not loop.is_closed():
                loop.call_soon_threadsafe(change.set)


class EventQueue(ABC):
    """A queue of the events of one level."""

    @abstractmethod
    async def put(self, event: Event) -> bool:
        """Put an event as the queue's policy has it; False only if it is refused, or the queue closed.

        Raises:
            EventError: an event of another level, or with a payload that cannot travel.
        """

    @abstractmethod
    async def get(self, timeout_ms: int = 0) -> Event | None:
        """Take the oldest event; None if there is none within `timeout_ms` (0 = do not wait)."""

    @abstractmethod
    async def get_batch(self, max_count: int, timeout_ms: int) -> list[Event]:
        """Take up to `max_count` events: what is there, or what comes first within `timeout_ms`."""

    @abstractmethod
    def size(self) -> int:
        """Return how many events wait; a snapshot."""

    @abstractmethod
    def capacity(self) -> int:
        """Return how many events it holds."""

    @abstractmethod
    def is_full(self) -> bool:
        """Return whether it was full at one moment; for figures, not for decisions."""

    @abstractmethod
    def close(self) -> None:
        """Let no more events in and wake whoever waits; what is in can still be taken."""


class _CoreQueue(EventQueue):
    """A native queue behind the asynchronous interface.

    Args:
        native: the queue.
        priority: its level.
        capacity: events it holds.
    """

    def __init__(self, native: _NativeQueue, priority: EventPriority, capacity: int) -> None:
        self._native = native
        self._priority = priority
        self._capacity = capacity
        self._is_closed = False
        self._arrivals = _Waiters()
        self._departures = _Waiters()

    async def put(self, event: Event) -> bool:
        """Put an event; False only if it is refused, or the queue closed."""
        return not self.put_nowait(event).is_refused

    def put_nowait(self, event: Event) -> PutResult:
        """Put an event and say what became of it; never waits. From any thread.

        Raises:
            EventError: an event of another level, or with a payload that cannot travel.
        """
        return self._put(self._wire(event))

    def _wire(self, event: Event) -> WireEvent:
        if event.priority is not self._priority:
            raise EventError(
                event.event_type, "priority", found=event.priority.name, expected=f"{self._priority.name} in this queue"
            )
        return to_wire(event)

    def _put(self, wire: WireEvent) -> PutResult:
        result = PutResult(self._native.put(wire))
        if not result.is_refused:
            self._arrivals.notify()
        return result

    async def get(self, timeout_ms: int = 0) -> Event | None:
        """Take the oldest event; None if there is none within `timeout_ms` (0 = do not wait)."""
        batch = await self.get_batch(1, timeout_ms)
        return batch[0] if batch else None

    async def get_batch(self, max_count: int, timeout_ms: int) -> list[Event]:
        """Take up to `max_count` events: what is there, or what comes first within `timeout_ms`.

        Raises:
            ValueError: `max_count` below 1.
        """
        if max_count < 1:
            raise ValueError(f"max_count {max_count}; expected at least 1")
        end_ns = _CLOCK.monotonic_ns() + timeout_ms * _NS_PER_MS
        while True:
            batch = self.get_nowait(max_count)
            left_ns = end_ns - _CLOCK.monotonic_ns()
            if batch or self._is_closed or left_ns <= 0:
                return batch
            change = self._arrivals.join()
            try:
                if not len(self._native) and not self._is_closed:
                    async with asyncio.timeout(left_ns / 1e9):
                        await change.wait()
            except TimeoutError:
                return self.get_nowait(max_count)
            finally:
                self._arrivals.leave(change)

    def get_nowait(self, max_count: int = 1) -> list[Event]:
        """Take what is there, at most `max_count` events; never waits. From any thread."""
        rows = self._native.take(max_count)
        if rows:
            self._departures.notify()
        return [from_row(row).event for row in rows]

    def size(self) -> int:
        """Return how many events wait; a snapshot, never above the capacity: places of their own do not count."""
        return min(len(self._native), self._capacity)

    def capacity(self) -> int:
        """Return how many events it holds."""
        return self._capacity

    def is_full(self) -> bool:
        """Return whether it was full at one moment; for figures, not for decisions."""
        return self.size() >= self._capacity

    def counters(self) -> QueueCounters:
        """Return what became of the events so far."""
        return self._native.counters()

    def close(self) -> None:
        """Let no more events in and wake whoever waits; what is in can still be taken."""
        self._is_closed = True
        self._native.close()
        self._arrivals.notify()
        self._departures.notify()


class BoundedQueue(_CoreQueue):
    """P0: nothing is lost, whoever puts waits for room.

    Args:
        capacity: events it holds; emergency stops and disconnects have 16 places of their own and go first.
    """

    def __init__(self, capacity: int = 100) -> None:
        super().__init__(P0Queue(capacity), EventPriority.P0_CRITICAL, capacity)

    async def put(self, event: Event) -> bool:
        """Put an event, waiting for room without blocking the event loop; False only once the queue is closed."""
        wire = self._wire(event)
        result = self._put(wire)
        while result is PutResult.REFUSED_FULL:
            change = self._departures.join()
            try:
                # Room may have come before this one waited.
                result = self._put(wire)
                if result is PutResult.REFUSED_FULL:
                    await change.wait()
            finally:
                self._departures.leave(change)
        return not result.is_refused


class RingBuffer(_CoreQueue):
    """P1: the oldest event gives way to a new one.

    Args:
        capacity: events it holds.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        super().__init__(P1Queue(capacity), EventPriority.P1_HIGH, capacity)


class CollapsingQueue(_CoreQueue):
    """P2: events of one type and scope merge into the oldest of them; signals never do.

    Args:
        capacity: events it holds.
    """

    def __init__(self, capacity: int = 1_000) -> None:
        super().__init__(P2Queue(capacity), EventPriority.P2_MEDIUM, capacity)


class SamplingQueue(_CoreQueue):
    """P3: when it is full, one in 1/`sample_rate` events of each type is kept; protected ones all are.

    Args:
        max_capacity: events it holds, besides 4,096 that may not be dropped.
        sample_rate: share kept while it is full, above 0 and at most 1.

    Raises:
        ValueError: a rate outside its range.
    """

    def __init__(self, max_capacity: int = 50_000, sample_rate: float = 0.1) -> None:
        if not 0 < sample_rate <= 1:
            raise ValueError(f"sample_rate {sample_rate}; expected above 0 and at most 1")
        native = P3Queue(max_capacity, round(1 / sample_rate))
        super().__init__(native, EventPriority.P3_LOW, max_capacity)


def create_queue(config: QueueConfig) -> EventQueue:
    """Return the queue that the settings describe.

    Raises:
        ValueError: no room, or a policy that is not that of the level.
    """
    match config.priority, config.overflow_policy:
        case EventPriority.P0_CRITICAL, OverflowPolicy.BLOCK:
            return BoundedQueue(config.capacity)
        case EventPriority.P1_HIGH, OverflowPolicy.DROP_OLDEST:
            return RingBuffer(config.capacity)
        case EventPriority.P2_MEDIUM, OverflowPolicy.COLLAPSE:
            return CollapsingQueue(config.capacity)
        case EventPriority.P3_LOW, OverflowPolicy.SAMPLE:
            return SamplingQueue(config.capacity, config.sample_rate)
    raise ValueError(f"{config.overflow_policy} on {config.priority.name}; each level has one policy of its own")
