"""`event.yaml`: capacities, overflow policies, batching and alert depths of the four event queues."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import Number, Whole, refuse
from qts.config.models.base import Section


class P0Settings(Section):
    """P0, execution and fills: nothing is ever lost."""

    capacity: Annotated[Whole, Field(ge=16, le=4_096)] = Field(default=100, description="Events the queue holds.")
    overflow_policy: Literal["BLOCK"] = Field(default="BLOCK", description="When full: the producer waits.")
    spill_capacity: Annotated[Whole, Field(ge=16)] = Field(
        default=8_192, description="Events kept for producers that may never wait, once the queue is full."
    )
    max_latency_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=10, description="Milliseconds from admission to the end of handling above which a warning is given."
    )
    max_retries: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=3, description="Attempts of a handler at an event, the first included."
    )
    poll_timeout_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=1, description="Longest sleep of the P0 thread, in milliseconds."
    )

    @model_validator(mode="after")
    def _spill_holds_the_queue(self) -> Self:
        if self.spill_capacity < self.capacity:
            raise refuse("ordered", order="spill_capacity >= capacity")
        return self


class P1Settings(Section):
    """P1, market data: old ticks give way to new ones."""

    capacity: Annotated[Whole, Field(ge=100, le=1_000_000)] = Field(
        default=10_000, description="Events the queue holds."
    )
    overflow_policy: Literal["DROP_OLDEST"] = Field(
        default="DROP_OLDEST", description="When full: the oldest event goes."
    )
    batch_size: Annotated[Whole, Field(ge=1, le=1_000)] = Field(default=100, description="Most events of one batch.")
    batch_timeout_ms: Annotated[Whole, Field(ge=0, le=50)] = Field(
        default=10, description="Longest wait for a batch to fill, in milliseconds."
    )
    max_latency_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=50, description="Milliseconds that 99 of 100 events may take before a warning is given."
    )
    shards: Annotated[Whole, Field(ge=1, le=8)] = Field(
        default=2, description="Parts of the ring, each with a thread; a symbol always goes to the same one."
    )


class P2Settings(Section):
    """P2, strategy work: equal wishes merge."""

    capacity: Annotated[Whole, Field(ge=1)] = Field(default=1_000, description="Events the queue holds.")
    overflow_policy: Literal["COLLAPSE"] = Field(
        default="COLLAPSE", description="Events of one key merge, full or not."
    )
    batch_size: Annotated[Whole, Field(ge=1)] = Field(default=50, description="Most events of one batch.")
    batch_timeout_ms: Annotated[Whole, Field(ge=0)] = Field(
        default=100, description="Longest wait for a batch to fill, in milliseconds."
    )
    max_event_age_ms: Annotated[Whole, Field(ge=100, le=10_000)] = Field(
        default=1_000, description="Milliseconds after which a waiting signal is expired and never acted on."
    )


class P3Settings(Section):
    """P3, screen and logs: sampled when full."""

    capacity: Annotated[Whole, Field(ge=1)] = Field(default=50_000, description="Events the queue holds.")
    overflow_policy: Literal["SAMPLE"] = Field(
        default="SAMPLE", description="When full: one event in 1/sample_rate is kept."
    )
    sample_rate: Annotated[Number, Field(gt=0, le=1)] = Field(
        default=Decimal("0.1"), description="Share of events kept while the queue is full."
    )
    batch_size: Annotated[Whole, Field(ge=1)] = Field(default=100, description="Most events of one batch.")
    batch_timeout_ms: Annotated[Whole, Field(ge=0)] = Field(
        default=1_000, description="Longest wait for a batch to fill, in milliseconds."
    )
    handler_timeout_ms: Annotated[Whole, Field(ge=10, le=600_000)] = Field(
        default=5_000, description="Milliseconds after which a handler counts as stuck and its thread is replaced."
    )
    max_workers: Annotated[Whole, Field(ge=1, le=3)] = Field(
        default=2, description="Threads of P2 and P3 that may hold P3 work at once."
    )


class QueueSettings(Section):
    """The four queues."""

    p0: P0Settings = Field(default_factory=P0Settings, description="Execution and fills.")
    p1: P1Settings = Field(default_factory=P1Settings, description="Market data.")
    p2: P2Settings = Field(default_factory=P2Settings, description="Strategy work.")
    p3: P3Settings = Field(default_factory=P3Settings, description="Screen and logs.")


class DepthAlert(Section):
    """Depths of a queue at which it is reported."""

    warning: Annotated[Whole, Field(ge=1)] = Field(description="Depth, in events, at which a warning is given.")
    critical: Annotated[Whole, Field(ge=1)] = Field(description="Depth, in events, at which an alarm is given.")

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warning >= self.critical:
            raise refuse("ordered", order="warning < critical")
        return self


class AlertSettings(Section):
    """Depth alerts by queue."""

    p0_depth: DepthAlert = Field(default=DepthAlert(warning=50, critical=80), description="Depth of P0.")
    p1_depth: DepthAlert = Field(default=DepthAlert(warning=7_000, critical=9_000), description="Depth of P1.")
    p2_depth: DepthAlert = Field(default=DepthAlert(warning=800, critical=950), description="Depth of P2.")


class MonitoringSettings(Section):
    """How the queues are watched."""

    check_interval_ms: Annotated[Whole, Field(ge=10, le=1_000)] = Field(
        default=100, description="Milliseconds between two looks at the queues."
    )
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="Depth alerts.")


class BackpressureLevel(Section):
    """Fill ratios of a queue at which load is taken off it."""

    warning: Annotated[Number, Field(gt=0, lt=1)] = Field(description="Fill ratio above which batches grow.")
    critical: Annotated[Number, Field(gt=0, lt=1)] = Field(description="Fill ratio above which lower levels pause.")

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warning >= self.critical:
            raise refuse("ordered", order="warning < critical")
        return self


class BackpressureSettings(Section):
    """Back-pressure by queue."""

    p1: BackpressureLevel = Field(
        default=BackpressureLevel(warning=Decimal("0.70"), critical=Decimal("0.90")),
        description="Market data.",
    )
    p2: BackpressureLevel = Field(
        default=BackpressureLevel(warning=Decimal("0.80"), critical=Decimal("0.95")),
        description="Strategy work.",
    )
    batch_max_factor: Annotated[Whole, Field(ge=1, le=16)] = Field(
        default=4, description="How many times larger batches may get under pressure."
    )
    recover_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=1_000, description="Milliseconds that a queue must be well before measures are taken back."
    )


class ThreadSettings(Section):
    """Threads of the dispatcher; P0 has one, P1 one for each shard."""

    p2_p3: Annotated[Whole, Field(ge=2, le=64)] = Field(default=4, description="Threads that share P2 and P3.")
    p0_core: Annotated[Whole, Field(ge=0, le=1_023)] | None = Field(
        default=None, description="Core to which the P0 thread is bound, from 0; null = the system chooses."
    )
    p1_core: Annotated[Whole, Field(ge=0, le=1_023)] | None = Field(
        default=None, description="Core to which the P1 threads are bound, from 0; null = the system chooses."
    )


class LatencySettings(Section):
    """Whether the levels are kept apart."""

    isolation_window_s: Annotated[Whole, Field(ge=10, le=600)] = Field(
        default=60, description="Seconds over which latencies of P0 and P1 are judged against their max_latency_ms."
    )


class DeadLetterSettings(Section):
    """Events that were given up, and signals that were not acted on."""

    capacity: Annotated[Whole, Field(ge=1)] = Field(default=1_024, description="Events kept in memory.")


class ShutdownSettings(Section):
    """How long stopping may take."""

    p0_drain_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=5_000, description="Milliseconds to empty P0; what is left stays in the journal."
    )
    p3_drain_ms: Annotated[Whole, Field(ge=0, le=60_000)] = Field(
        default=2_000, description="Milliseconds to empty the protected events of P3."
    )


class PythonSettings(Section):
    """The interpreter while a live dispatcher runs."""

    switch_interval_ms: Annotated[Number, Field(ge=0, le=100)] = Field(
        default=Decimal("0.5"),
        description="Milliseconds after which a busy Python thread lets another one run, unless that is shorter "
        "already; 0 = leave the interpreter as it is.",
    )


class EventSettings(Section):
    """The event system."""

    queues: QueueSettings = Field(default_factory=QueueSettings, description="The four queues.")
    monitoring: MonitoringSettings = Field(default_factory=MonitoringSettings, description="How queues are watched.")
    backpressure: BackpressureSettings = Field(default_factory=BackpressureSettings, description="Load shedding.")
    threads: ThreadSettings = Field(default_factory=ThreadSettings, description="Threads of the dispatcher.")
    latency: LatencySettings = Field(default_factory=LatencySettings, description="Isolation of the levels.")
    dead_letter: DeadLetterSettings = Field(default_factory=DeadLetterSettings, description="Events given up.")
    shutdown: ShutdownSettings = Field(default_factory=ShutdownSettings, description="How long stopping may take.")
    python: PythonSettings = Field(default_factory=PythonSettings, description="The interpreter.")

    @model_validator(mode="after")
    def _alerts_lie_inside_the_queues(self) -> Self:
        for name in ("p0", "p1", "p2"):
            alert: DepthAlert = getattr(self.monitoring.alerts, f"{name}_depth")
            if alert.critical >= getattr(self.queues, name).capacity:
                raise refuse("ordered", order=f"monitoring.alerts.{name}_depth.critical < queues.{name}.capacity")
        return self


class EventFile(Section):
    """`event.yaml`."""

    event: EventSettings = Field(default_factory=EventSettings, description="The event system.")
