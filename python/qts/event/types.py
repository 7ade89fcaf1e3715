"""The enumerations of the event system."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class EventPriority(IntEnum):
    """Level of an event; a lower number goes first."""

    P0_CRITICAL = 0
    P1_HIGH = 1
    P2_MEDIUM = 2
    P3_LOW = 3


class EventType(StrEnum):
    """Every event there is; the set is closed. Orders, exits and locks are commands, never events."""

    FILL_CONFIRMED = "FILL_CONFIRMED"
    FILL_PARTIAL = "FILL_PARTIAL"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    POSITION_UPDATE = "POSITION_UPDATE"
    EMERGENCY_STOP = "EMERGENCY_STOP"
    BROKER_DISCONNECT = "BROKER_DISCONNECT"

    PRICE_TICK = "PRICE_TICK"
    ORDERBOOK_UPDATE = "ORDERBOOK_UPDATE"
    VOLUME_UPDATE = "VOLUME_UPDATE"
    INDEX_UPDATE = "INDEX_UPDATE"
    VIX_UPDATE = "VIX_UPDATE"

    ETEDA_CYCLE_START = "ETEDA_CYCLE_START"
    STRATEGY_EVALUATE = "STRATEGY_EVALUATE"
    RISK_EVALUATE = "RISK_EVALUATE"
    PORTFOLIO_EVALUATE = "PORTFOLIO_EVALUATE"
    INDICATOR_UPDATE = "INDICATOR_UPDATE"
    SIGNAL_GENERATED = "SIGNAL_GENERATED"

    DASHBOARD_UPDATE = "DASHBOARD_UPDATE"
    LOG_WRITE = "LOG_WRITE"
    REPORT_GENERATE = "REPORT_GENERATE"
    NOTIFICATION_SEND = "NOTIFICATION_SEND"
    METRIC_RECORD = "METRIC_RECORD"


class OverflowPolicy(StrEnum):
    """What a full queue does."""

    BLOCK = "BLOCK"
    DROP_OLDEST = "DROP_OLDEST"
    COLLAPSE = "COLLAPSE"
    SAMPLE = "SAMPLE"


class DegradationLevel(StrEnum):
    """How much of the event system still runs, in rising order of severity."""

    NORMAL = "NORMAL"
    P3_PAUSED = "P3_PAUSED"
    P2_P3_PAUSED = "P2_P3_PAUSED"
    CRITICAL_ONLY = "CRITICAL_ONLY"

    @property
    def severity(self) -> int:
        """0 for NORMAL up to 3 for CRITICAL_ONLY."""
        return list(DegradationLevel).index(self)


class PutResult(IntEnum):
    """What became of an event that was put; the numbers are those of the core."""

    ACCEPTED = 0
    ACCEPTED_DROPPED_OLDEST = 1
    MERGED = 2
    SAMPLED_OUT = 3
    REFUSED_PAUSED = 4
    REFUSED_FULL = 5
    SPILLED = 6
    CLOSED = 7

    @property
    def is_refused(self) -> bool:
        """Whether the event was turned away; one that was merged or sampled out was not."""
        return self in {PutResult.REFUSED_PAUSED, PutResult.REFUSED_FULL, PutResult.CLOSED}


_LEVELS: Final[dict[EventPriority, tuple[EventType, ...]]] = {
    EventPriority.P0_CRITICAL: (
        EventType.FILL_CONFIRMED,
        EventType.FILL_PARTIAL,
        EventType.ORDER_REJECTED,
        EventType.ORDER_CANCELLED,
        EventType.POSITION_UPDATE,
        EventType.EMERGENCY_STOP,
        EventType.BROKER_DISCONNECT,
    ),
    EventPriority.P1_HIGH: (
        EventType.PRICE_TICK,
        EventType.ORDERBOOK_UPDATE,
        EventType.VOLUME_UPDATE,
        EventType.INDEX_UPDATE,
        EventType.VIX_UPDATE,
    ),
    EventPriority.P2_MEDIUM: (
        EventType.ETEDA_CYCLE_START,
        EventType.STRATEGY_EVALUATE,
        EventType.RISK_EVALUATE,
        EventType.PORTFOLIO_EVALUATE,
        EventType.INDICATOR_UPDATE,
        EventType.SIGNAL_GENERATED,
    ),
    EventPriority.P3_LOW: (
        EventType.DASHBOARD_UPDATE,
        EventType.LOG_WRITE,
        EventType.REPORT_GENERATE,
        EventType.NOTIFICATION_SEND,
        EventType.METRIC_RECORD,
    ),
}

EVENT_PRIORITY_MAP: Final[Mapping[EventType, EventPriority]] = MappingProxyType(
    {kind: priority for priority, kinds in _LEVELS.items() for kind in kinds}
)
"""The level of each type; a type's level never depends on anything else."""

SAFETY_TO_DEGRADATION: Final[Mapping[str, DegradationLevel]] = MappingProxyType(
    {
        "NORMAL": DegradationLevel.NORMAL,
        "WARNING": DegradationLevel.P3_PAUSED,
        "FAIL": DegradationLevel.P2_P3_PAUSED,
        "LOCKDOWN": DegradationLevel.CRITICAL_ONLY,
    }
)
"""The degradation level that each safety state asks for."""
