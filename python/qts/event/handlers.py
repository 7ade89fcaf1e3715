"""What is done with events.

A handler is either synchronous, and called on a thread of the dispatcher's Python side, or a coroutine function, and
awaited on the event loop on which the dispatcher was started. It must be idempotent: an event of P0 is tried again when
its handler fails, and may come again after a restart.
"""

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from qts.event.contracts import Event
from qts.event.types import EventType
from qts.event.wire import Arrival

Callback: TypeAlias = Callable[[Event], Awaitable[None] | None]


class EventHandler(ABC):
    """Handles the events of a level."""

    @property
    def name(self) -> str:
        """Name in figures and dead letters, used once on each level."""
        return type(self).__name__

    @property
    def is_async(self) -> bool:
        """Whether `handle`, or `handle_arrival`, is a coroutine function."""
        return inspect.iscoroutinefunction(self.handle) or inspect.iscoroutinefunction(self.handle_arrival)

    def wants(self, kind: EventType) -> bool:
        """Return whether events of a type are for this handler; all are unless overridden. Asked once a type."""
        return kind in EventType

    @abstractmethod
    def handle(self, event: Event) -> Awaitable[None] | None:
        """Handle an event; any exception counts as a failure and stops no other handler."""

    def handle_arrival(self, arrival: Arrival) -> Awaitable[None] | None:
        """Handle an event as it came out of its level; this is what the dispatcher calls, once for each event.

        Unless overridden it hands on the event alone. See `ArrivalHandler` for handlers that need the rest.
        """
        return self.handle(arrival.event)


class ArrivalHandler(EventHandler):
    """Handles events together with what became of them on their way: see `Arrival`.

    For those who must know how many wishes an event of P2 stands for (`merged_count`), how many events one of P3 stands
    for (`sampled_weight`), or when an event was admitted. Override `handle_arrival`, plain or as a coroutine function.
    """

    @abstractmethod
    def handle_arrival(self, arrival: Arrival) -> Awaitable[None] | None:
        """Handle an event and its envelope."""

    def handle(self, event: Event) -> Awaitable[None] | None:
        """Handle an event that has not travelled: it stands for itself alone."""
        return self.handle_arrival(Arrival(event, 0, 0, 0, 1))


class CallbackHandler(EventHandler):
    """Calls a function or a coroutine function.

    Args:
        callback: takes the event.
        name: None = the name of the callback.
    """

    def __init__(self, callback: Callback, name: str | None = None) -> None:
        self._callback = callback
        self._name = getattr(callback, "__qualname__", type(callback).__name__) if name is None else name

    @property
    def name(self) -> str:
        """Name in figures and dead letters."""
        return self._name

    @property
    def is_async(self) -> bool:
        """Whether the callback is a coroutine function, or an object whose call is one."""
        call = getattr(self._callback, "__call__", None)  # noqa: B004 - the method itself is asked, not whether it is
        return inspect.iscoroutinefunction(self._callback) or inspect.iscoroutinefunction(call)

    def handle(self, event: Event) -> Awaitable[None] | None:
        """Call the callback."""
        return self._callback(event)


class TypeFilterHandler(EventHandler):
    """Passes on the events of some types.

    Args:
        handler: gets them.
        types: which ones; at least one.

    Raises:
        ValueError: no types, or one that does not exist.
    """

    def __init__(self, handler: EventHandler, types: Iterable[EventType]) -> None:
        self._handler = handler
        self._types = frozenset(EventType(kind) for kind in types)
        if not self._types:
            raise ValueError("no event types; expected at least one")

    @property
    def name(self) -> str:
        """Name of the handler behind it."""
        return self._handler.name

    @property
    def is_async(self) -> bool:
        """Whether the handler behind it is."""
        return self._handler.is_async

    def wants(self, kind: EventType) -> bool:
        """Return whether the type is one of those passed on."""
        return kind in self._types and self._handler.wants(kind)

    def handle(self, event: Event) -> Awaitable[None] | None:
        """Pass the event on."""
        return self._handler.handle(event)

    def handle_arrival(self, arrival: Arrival) -> Awaitable[None] | None:
        """Pass the event on with its envelope."""
        return self._handler.handle_arrival(arrival)


class LoggingHandler(EventHandler):
    """Writes each event to a logger: type, source and identity, never the payload.

    Args:
        logger: where to; None = `qts.event`.
        level: at which level of `logging`.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.DEBUG) -> None:
        self._logger = logging.getLogger("qts.event") if logger is None else logger
        self._level = level

    def handle(self, event: Event) -> None:
        """Write one line."""
        self._logger.log(self._level, "%s from %s, %s", event.event_type, event.source, event.event_id)
