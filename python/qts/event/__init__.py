"""Events: the closed set of 23 types, their queues, and the dispatcher of a live session."""

from qts.event.config import BackpressureThreshold, EventConfig, JournalLimits, QueueAlert, QueueConfig
from qts.event.contracts import (
    EVENT_PRIORITY_MAP,
    SAFETY_TO_DEGRADATION,
    DegradationLevel,
    Event,
    EventPriority,
    EventType,
    OverflowPolicy,
    PutResult,
    create_event,
)
from qts.event.dispatcher import EventDispatcher
from qts.event.errors import EventError
from qts.event.handlers import ArrivalHandler, CallbackHandler, EventHandler, LoggingHandler, TypeFilterHandler
from qts.event.queues import BoundedQueue, CollapsingQueue, EventQueue, RingBuffer, SamplingQueue, create_queue
from qts.event.records import DeadLetter, DispatcherFigures, EventAlert, HandlerError, LevelFigures, StopReport
from qts.event.wire import Arrival

__all__ = [
    "EVENT_PRIORITY_MAP",
    "SAFETY_TO_DEGRADATION",
    "Arrival",
    "ArrivalHandler",
    "BackpressureThreshold",
    "BoundedQueue",
    "CallbackHandler",
    "CollapsingQueue",
    "DeadLetter",
    "DegradationLevel",
    "DispatcherFigures",
    "Event",
    "EventAlert",
    "EventConfig",
    "EventDispatcher",
    "EventError",
    "EventHandler",
    "EventPriority",
    "EventQueue",
    "EventType",
    "HandlerError",
    "JournalLimits",
    "LevelFigures",
    "LoggingHandler",
    "OverflowPolicy",
    "PutResult",
    "QueueAlert",
    "QueueConfig",
    "RingBuffer",
    "SamplingQueue",
    "StopReport",
    "TypeFilterHandler",
    "create_event",
    "create_queue",
]
