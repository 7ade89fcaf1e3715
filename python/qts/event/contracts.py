"""The event contract."""

import itertools
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from qts.clock import SystemClock
from qts.event.types import (
    EVENT_PRIORITY_MAP,
    SAFETY_TO_DEGRADATION,
    DegradationLevel,
    EventPriority,
    EventType,
    OverflowPolicy,
    PutResult,
)

__all__ = [
    "EVENT_PRIORITY_MAP",
    "SAFETY_TO_DEGRADATION",
    "DegradationLevel",
    "Event",
    "EventFlags",
    "EventPriority",
    "EventType",
    "OverflowPolicy",
    "PutResult",
    "create_event",
    "default_flags",
]

SOURCE_CHARS_MAX: Final = 32
PROCESS_TIME_MS_MAX: Final = 60_000
P0_PROCESS_TIME_MS: Final = 10

_CLOCK: Final = SystemClock()


def _now() -> datetime:
    return _CLOCK.now_utc()


class _Identities:
    """UUIDs of version 4 whose last 48 bits count up: as unique as any, without a call of the system for each."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Draw the random part."""
        self._prefix = str(uuid.uuid4())[:24]
        self._numbers = itertools.count()

    def new(self) -> str:
        """Return the next one."""
        return f"{self._prefix}{next(self._numbers):012x}"


_IDENTITIES: Final = _Identities()
os.register_at_fork(after_in_child=_IDENTITIES.begin)
_new_id: Final = _IDENTITIES.new


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. Immutable; `create_event` fills in what follows from the type.

    Args:
        event_type: one of the 23.
        priority: level of the type.
        event_id: identity, never used twice.
        timestamp: moment of creation, aware; for the record only, never for order.
        source: name of the producer, at most 32 characters.
        payload: data of the type; read-only.
        requires_ack: the handler's return confirms it.
        max_process_time_ms: time that a handler may take, 0 = no limit.
        can_batch: may be delivered with others of its level.
        can_collapse: may merge with an older one of the same key; P2 only, never a signal.
        can_drop: may be sampled out while the queue is full; P3 only, never audit records or alerts.

    Raises:
        ValueError: level or flags contradict the type.
        TypeError: the timestamp has no time zone.
    """

    event_type: EventType
    priority: EventPriority
    event_id: str = field(default_factory=_new_id)
    timestamp: datetime = field(default_factory=_now)
    source: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    requires_ack: bool = False
    max_process_time_ms: int = 0
    can_batch: bool = False
    can_collapse: bool = False
    can_drop: bool = False
    wire: Any = field(default=None, init=False, repr=False, compare=False)
    """How the event travels; filled in by `qts.event.wire.to_wire`."""

    def __post_init__(self) -> None:
        """Check the event and freeze its payload."""
        object.__setattr__(self, "event_type", EventType(self.event_type))
        object.__setattr__(self, "priority", EventPriority(self.priority))
        object.__setattr__(self, "payload", MappingProxyType(dict(self.payload)))
        if self.timestamp.utcoffset() is None:
            raise TypeError(f"naive timestamp {self.timestamp.isoformat()}; expected one with a time zone")
        object.__setattr__(self, "timestamp", self.timestamp.astimezone(UTC))
        problem = self._problem()
        if problem:
            raise ValueError(f"event {self.event_type}: {problem}")

    def _problem(self) -> str:
        """Return the first contradiction, empty if there is none."""
        level = EVENT_PRIORITY_MAP[self.event_type]
        checks = (
            (self.priority is not level, f"priority {self.priority.name}; expected {level.name}"),
            (len(self.source) > SOURCE_CHARS_MAX, f"source longer than {SOURCE_CHARS_MAX} characters"),
            (
                not 0 <= self.max_process_time_ms <= PROCESS_TIME_MS_MAX,
                f"max_process_time_ms {self.max_process_time_ms}; expected 0..{PROCESS_TIME_MS_MAX}",
            ),
            (not self.event_id, "empty event_id"),
            (self.timestamp.timestamp() <= 0, "timestamp not after 1970"),
            (self.can_batch and level is EventPriority.P0_CRITICAL, "P0 events are delivered one by one"),
            (self.can_collapse and not _may_collapse(self.event_type), "it may not be merged"),
            (self.can_drop and not _may_drop(self.event_type, self.payload), "it may not be dropped"),
        )
        return next((problem for wrong, problem in checks if wrong), "")


class EventFlags(NamedTuple):
    """How events of a type are treated unless one of them says otherwise."""

    requires_ack: bool
    max_process_time_ms: int
    can_batch: bool
    can_collapse: bool
    can_drop: bool


def default_flags(kind: EventType, payload: Mapping[str, Any]) -> EventFlags:
    """Return the flags that follow from type and payload."""
    flags = _FLAGS[kind]
    if flags.can_drop and not _may_drop(kind, payload):
        return flags._replace(can_drop=False)
    return flags


def create_event(
    event_type: EventType,
    source: str,
    payload: Mapping[str, Any] | None = None,
    *,
    timestamp: datetime | None = None,
    event_id: str | None = None,
) -> Event:
    """Return an event with the level and flags of its type.

    `timestamp` is now and `event_id` a fresh one unless given.
    """
    kind = event_type if type(event_type) is EventType else EventType(event_type)
    priority, flags = _PLANS[kind]
    data = {} if payload is None else dict(payload)
    if flags.can_drop and not _may_drop(kind, data):
        flags = flags._replace(can_drop=False)
    if timestamp is not None or event_id is not None or len(source) > SOURCE_CHARS_MAX:
        return Event(
            event_type=kind,
            priority=priority,
            event_id=_new_id() if event_id is None else event_id,
            timestamp=_now() if timestamp is None else timestamp,
            source=source,
            payload=data,
            **flags._asdict(),
        )
    # What follows from the type cannot contradict it, so there is nothing to check: a fifth of the time.
    event = _NEW(Event)
    values = (kind, priority, _new_id(), _now(), source, MappingProxyType(data), *flags, None)
    for fill_in, value in zip(_FILL_IN, values, strict=True):
        fill_in(event, value)
    return event


def _may_collapse(kind: EventType) -> bool:
    """Whether events of a type may merge: strategy work may, but a signal is an offer of its own."""
    return EVENT_PRIORITY_MAP[kind] is EventPriority.P2_MEDIUM and kind is not EventType.SIGNAL_GENERATED


def _may_drop(kind: EventType, payload: Mapping[str, Any]) -> bool:
    """Whether an event may be sampled out: audit records, alerts and reports on request may not."""
    if EVENT_PRIORITY_MAP[kind] is not EventPriority.P3_LOW:
        return False
    if kind is EventType.LOG_WRITE:
        return payload.get("audit", False) is not True
    if kind is EventType.NOTIFICATION_SEND:
        return bool(payload.get("severity", "INFO") == "INFO")
    if kind is EventType.REPORT_GENERATE:
        return payload.get("periodic", False) is True
    return True


_FLAGS: Final[Mapping[EventType, EventFlags]] = MappingProxyType(
    {
        kind: EventFlags(
            requires_ack=level is EventPriority.P0_CRITICAL,
            max_process_time_ms=P0_PROCESS_TIME_MS if level is EventPriority.P0_CRITICAL else 0,
            can_batch=level is not EventPriority.P0_CRITICAL,
            can_collapse=_may_collapse(kind),
            can_drop=level is EventPriority.P3_LOW,
        )
        for kind, level in EVENT_PRIORITY_MAP.items()
    }
)
"""Flags by type; the payload of a P3 event may still protect it."""

_PLANS: Final = MappingProxyType({kind: (EVENT_PRIORITY_MAP[kind], flags) for kind, flags in _FLAGS.items()})
"""Level and flags by type, found with one look: enumerations are slow keys."""
_NEW: Final = object.__new__
_FILL_IN: Final = tuple(getattr(Event, column.name).__set__ for column in fields(Event))
"""How the fields of a new event get their values, in their order."""
