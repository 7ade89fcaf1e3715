"""Settings of the queues, as the event system uses them; `event.yaml` is where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from qts.config import EventSettings
from qts.event.types import EventPriority, OverflowPolicy

_PRIORITIES: Final = {
    "p0": EventPriority.P0_CRITICAL,
    "p1": EventPriority.P1_HIGH,
    "p2": EventPriority.P2_MEDIUM,
    "p3": EventPriority.P3_LOW,
}


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """One queue. `sample_rate` is that of P3, `spill_capacity` that of P0; elsewhere they have no effect."""

    priority: EventPriority
    capacity: int
    overflow_policy: OverflowPolicy
    batch_size: int = 1
    batch_timeout_ms: int = 0
    sample_rate: float = 1.0
    spill_capacity: int = 0


@dataclass(frozen=True, slots=True)
class BackpressureThreshold:
    """Fill ratios above which load is taken off a queue."""

    warning: float
    critical: float


@dataclass(frozen=True, slots=True)
class QueueAlert:
    """Depths, in events, at which a queue is reported."""

    warning: int
    critical: int


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """What only a live dispatcher uses; the defaults are those of `event.yaml`."""

    p0_max_latency_ms: int = 10
    p0_max_retries: int = 3
    p0_poll_timeout_ms: int = 1
    p1_shards: int = 2
    p2_max_event_age_ms: int = 1_000
    p3_handler_timeout_ms: int = 5_000
    p3_max_workers: int = 2
    workers: int = 4
    p1_max_latency_ms: int = 50
    isolation_window_s: int = 60
    p0_core: int | None = None
    p1_core: int | None = None
    batch_max_factor: int = 4
    recover_ms: int = 1_000
    dead_letters: int = 1_024
    p0_drain_ms: int = 5_000
    p3_drain_ms: int = 2_000
    switch_interval_ms: float = 0.5


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """The room of the dispatcher's journal.

    Args:
        segment_bytes: size of a segment, a multiple of 4,096; whole segments are retired.
        quota_bytes: most that all segments together take up. Before it is reached, segments go in which everything is
            done, however young; if none may, P0 is handled without the journal and entries are blocked (FS063).
        keep_days: days that a segment is kept otherwise, though everything in it is done.
    """

    segment_bytes: int = 64 << 20
    quota_bytes: int = 2 << 30
    keep_days: int = 30


@dataclass(frozen=True, slots=True)
class EventConfig:
    """Queues, alerts and back-pressure by level."""

    queues: Mapping[EventPriority, QueueConfig]
    alerts: Mapping[EventPriority, QueueAlert]
    backpressure: Mapping[EventPriority, BackpressureThreshold]
    check_interval_ms: int
    live: LiveConfig = LiveConfig()

    @classmethod
    def from_settings(cls, settings: EventSettings | None = None) -> "EventConfig":
        """Return the settings of a resolved configuration (None = the defaults) in this form."""
        event = EventSettings() if settings is None else settings
        p0, p1, p2, p3 = event.queues.p0, event.queues.p1, event.queues.p2, event.queues.p3
        queues = (
            QueueConfig(
                EventPriority.P0_CRITICAL,
                p0.capacity,
                OverflowPolicy(p0.overflow_policy),
                spill_capacity=p0.spill_capacity,
            ),
            *(
                QueueConfig(
                    _PRIORITIES[name],
                    queue.capacity,
                    OverflowPolicy(queue.overflow_policy),
                    batch_size=queue.batch_size,
                    batch_timeout_ms=queue.batch_timeout_ms,
                )
                for name, queue in (("p1", p1), ("p2", p2))
            ),
            QueueConfig(
                EventPriority.P3_LOW,
                p3.capacity,
                OverflowPolicy(p3.overflow_policy),
                batch_size=p3.batch_size,
                batch_timeout_ms=p3.batch_timeout_ms,
                sample_rate=float(p3.sample_rate),
            ),
        )
        alerts = event.monitoring.alerts
        depths = {"p0": alerts.p0_depth, "p1": alerts.p1_depth, "p2": alerts.p2_depth}
        levels = {"p1": event.backpressure.p1, "p2": event.backpressure.p2}
        return cls(
            queues=MappingProxyType({queue.priority: queue for queue in queues}),
            alerts=MappingProxyType(
                {_PRIORITIES[name]: QueueAlert(row.warning, row.critical) for name, row in depths.items()}
            ),
            backpressure=MappingProxyType(
                {
                    _PRIORITIES[name]: BackpressureThreshold(float(row.warning), float(row.critical))
                    for name, row in levels.items()
                }
            ),
            check_interval_ms=event.monitoring.check_interval_ms,
            live=_live(event),
        )


def _live(event: EventSettings) -> LiveConfig:
    p0, p1, p2, p3 = event.queues.p0, event.queues.p1, event.queues.p2, event.queues.p3
    return LiveConfig(
        p0_max_latency_ms=p0.max_latency_ms,
        p0_max_retries=p0.max_retries,
        p0_poll_timeout_ms=p0.poll_timeout_ms,
        p1_shards=p1.shards,
        p2_max_event_age_ms=p2.max_event_age_ms,
        p3_handler_timeout_ms=p3.handler_timeout_ms,
        p3_max_workers=p3.max_workers,
        workers=event.threads.p2_p3,
        p1_max_latency_ms=p1.max_latency_ms,
        isolation_window_s=event.latency.isolation_window_s,
        p0_core=event.threads.p0_core,
        p1_core=event.threads.p1_core,
        batch_max_factor=event.backpressure.batch_max_factor,
        recover_ms=event.backpressure.recover_ms,
        dead_letters=event.dead_letter.capacity,
        p0_drain_ms=event.shutdown.p0_drain_ms,
        p3_drain_ms=event.shutdown.p3_drain_ms,
        switch_interval_ms=float(event.python.switch_interval_ms),
    )
