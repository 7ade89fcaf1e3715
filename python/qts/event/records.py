"""What the dispatcher tells about itself."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from qts._shapes import BusCounters, Scheduling, TypeLatencies
from qts.codes import Effect, lookup
from qts.event.contracts import Event
from qts.event.types import EventPriority

ALERT_CODES: Final[Mapping[str, str]] = {
    "p0_full": "FS095",
    "p0_failed": "FS096",
    "p1_failed": "FS097",
    "p0_dead_letter": "FS098",
    "journal_failed": "FS063",
    "journal_quota": "GR103",
}
"""Codes of alerts that have one; "level" has GR090 when the level is CRITICAL_ONLY."""


class HandlerError(NamedTuple):
    """A handler that failed on an event.

    Args:
        priority: level of the event.
        handler: name of the handler.
        event_id: identity of the event, empty if it could not be read.
        error: type and text of the exception.
        attempt: which attempt it was, from 1.
    """

    priority: EventPriority
    handler: str
    event_id: str
    error: str
    attempt: int


class DeadLetter(NamedTuple):
    """An event that was given up.

    Args:
        event: the event; None if it could not be read.
        event_id: its identity.
        handler: name of the handler that failed.
        error: what it said last.
        attempts: how often it was tried.
    """

    event: Event | None
    event_id: str
    handler: str
    error: str
    attempts: int


class EventAlert(NamedTuple):
    """Something that the operator or the safety state should know.

    Args:
        name: what it is about, such as "depth", "p0_full" or "level".
        code: FS or GR code, empty if there is none.
        numbers: details, by name.
        handler: the Python handler concerned, empty if there is none.
    """

    name: str
    code: str
    numbers: Mapping[str, int]
    handler: str = ""

    @property
    def effect(self) -> Effect | None:
        """What it asks of the safety state; None without a code."""
        if self.name == "p0_failed" and self.numbers["again"]:
            return "LOCKDOWN"
        if self.name == "p0_full" and self.numbers["lasting"]:
            return "FAIL"
        return lookup(self.code).effect if self.code else None


class LevelFigures(NamedTuple):
    """One level.

    Args:
        depth: events in the queue.
        waiting: events that have left it and wait for Python.
        counters: what became of the events so far.
        handled: events that Python has handled.
        errors: attempts of Python handlers that failed.
        unhandled: events that no Python handler wanted.
        slow: calls of Python handlers that took longer than the event allows (`max_process_time_ms`).
        stuck: Python handlers of P3 that are past the time limit and have not come back.
        paused_drop: droppable P3 events discarded while too many handlers were stuck.
    """

    depth: int
    waiting: int
    counters: BusCounters
    handled: int
    errors: int
    unhandled: int
    slow: int = 0
    stuck: int = 0
    paused_drop: int = 0


class DispatcherFigures(NamedTuple):
    """The dispatcher at one moment.

    Args:
        levels: by level.
        latencies: of the native side by event type, in nanoseconds; P1 is sampled.
        native_errors: native handlers that failed.
        native_unhandled: events of levels to which nobody listens.
        holds: codes for which entries are blocked now.
        isolation_violations: windows in which more than one event in a hundred was slower than its level allows, of P0
            and of P1.
        journal_failures: P0 events, marks and protected P3 events that the journal did not take.
        scheduling: how the native threads of P0 and of P1 run: "real-time", "high" or "normal".
    """

    levels: Mapping[EventPriority, LevelFigures]
    latencies: Mapping[str, TypeLatencies]
    native_errors: int
    native_unhandled: int
    holds: tuple[str, ...]
    isolation_violations: tuple[int, int]
    journal_failures: int
    scheduling: tuple[Scheduling, Scheduling]


class StopReport(NamedTuple):
    """What stopping left behind.

    Args:
        p0_left: P0 events that were not handled in time.
        p2_discarded: P2 events discarded.
        p3_discarded: P3 events discarded.
        stuck_threads: native threads that did not come back.
        stuck_levels: levels whose Python handlers did not come back.
    """

    p0_left: int
    p2_discarded: int
    p3_discarded: int
    stuck_threads: int
    stuck_levels: tuple[EventPriority, ...]
