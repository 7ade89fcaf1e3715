"""The dispatcher of a live session: events in, handlers called, with nothing below P0 in its way."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from qts._core import EngineError, LiveBus, SafetyWord
from qts._shapes import BusSettings, EventRowOut
from qts.clock import SystemClock
from qts.codes import UsageError
from qts.event.config import EventConfig, JournalLimits
from qts.event.contracts import Event
from qts.event.errors import EventError
from qts.event.handlers import EventHandler
from qts.event.interpreter import SwitchInterval
from qts.event.notify import Courier, Level, Watch
from qts.event.records import (
    ALERT_CODES,
    DeadLetter,
    DispatcherFigures,
    EventAlert,
    HandlerError,
    LevelFigures,
    StopReport,
)
from qts.event.ticks import TickFeed, TickHandler, TickResult, dispatch_ticks, symbol_rows
from qts.event.types import SAFETY_TO_DEGRADATION, DegradationLevel, EventPriority, PutResult
from qts.event.wire import from_row, row_id, to_wire

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from qts._core import TickSpool

P0_BATCH: Final = 256
FINISH_S: Final = 5.0
"""How long the handlers may take to come back when the dispatcher stops, all of them together."""
_CLOCK: Final = SystemClock()
_WAIT_MS: Final = 200
"""How long a thread waits for room on P0 before it looks whether it is still wanted."""
_SAFETY, _OPERATOR = 0, 2
_LEVELS: Final = tuple(DegradationLevel)
_RESULTS: Final = tuple(PutResult)
"""By number: a look into a tuple takes a tenth of a call of the enumeration."""


def bus_settings(config: EventConfig) -> BusSettings:
    """Return the settings of the queues as the core takes them; the rest keeps its defaults."""
    p0, p1, p2, p3 = (config.queues[priority] for priority in EventPriority)
    settings = BusSettings(
        p0_capacity=p0.capacity,
        p0_spill_capacity=p0.spill_capacity,
        p1_capacity=p1.capacity,
        p1_batch=(p1.batch_size, p1.batch_timeout_ms),
        p2_capacity=p2.capacity,
        p2_batch=(p2.batch_size, p2.batch_timeout_ms),
        p3_capacity=p3.capacity,
        p3_batch=(p3.batch_size, p3.batch_timeout_ms),
        p3_sample_period=max(1, round(1 / p3.sample_rate)),
        check_interval_ms=config.check_interval_ms,
        p0_latency_ms=(config.live.p0_max_latency_ms, 2 * config.live.p0_max_latency_ms),
        p0_max_attempts=config.live.p0_max_retries,
        p0_poll_ms=config.live.p0_poll_timeout_ms,
        p1_shards=config.live.p1_shards,
        p2_max_event_age_ms=config.live.p2_max_event_age_ms,
        p3_handler_timeout_ms=config.live.p3_handler_timeout_ms,
        p3_max_workers=config.live.p3_max_workers,
        workers=config.live.workers,
        isolation_window_s=config.live.isolation_window_s,
        isolation_p99_ms=(config.live.p0_max_latency_ms, config.live.p1_max_latency_ms),
        p0_core=config.live.p0_core,
        p1_core=config.live.p1_core,
        batch_max_factor=config.live.batch_max_factor,
        recover_ms=config.live.recover_ms,
        dead_letters=config.live.dead_letters,
        p0_drain_ms=config.live.p0_drain_ms,
        p3_drain_ms=config.live.p3_drain_ms,
    )
    p3_alert = (p3.capacity * 80 // 100, p3.capacity * 95 // 100)
    rows = (config.alerts.get(priority) for priority in EventPriority)
    settings["depth_alerts"] = [p3_alert if row is None else (row.warning, row.critical) for row in rows]
    pressure = (config.backpressure[priority] for priority in (EventPriority.P1_HIGH, EventPriority.P2_MEDIUM))
    settings["backpressure"] = [(row.warning, row.critical) for row in pressure]
    return settings


class EventDispatcher:
    """Routes events to their level and calls the handlers registered there.

    The queues and their threads are native: what happens to P0 does not wait for Python. Handlers run on threads of
    Python's own, one for each level, and coroutine handlers on the loop on which `start` was awaited. Of one level,
    synchronous handlers come first, then coroutines, each in the order of their registration.

    A handler that takes longer than its event allows (`max_process_time_ms`, 10 ms on P0) is reported by `alerts`. One
    of P3 that has not come back after `p3.handler_timeout_ms` is reported as stuck and left behind: the level goes on
    without it, and is paused but for protected events while more than two are stuck.

    While it runs, the interpreter's switch interval is that of the configuration, if that is shorter than the present
    one; it is given back on stop.

    Args:
        config: queues, alerts and back-pressure.
        journal: directory of the journal. P0 events are written there before they are admitted; those whose handlers
            have not come back when the process ends are handled first after the next start, so handlers must be
            idempotent. One process at a time. None = no journal.
        safety: the word that every order is held against. It is raised with the code of each fault of the dispatcher's
            own at the instant that entries are blocked for it, whether or not Python runs.
        limits: the room of the journal. Segments in which every event is handled or a dead letter are retired by
            themselves: when they are old enough, whenever a new one is made, and before the quota is reached.

    Raises:
        ValueError: a queue without room, a journal that another process writes, or limits that no journal can have.
        OSError: the journal cannot be read or written.
    """

    def __init__(
        self,
        config: EventConfig,
        *,
        journal: Path | None = None,
        limits: JournalLimits | None = None,
        safety: SafetyWord | None = None,
    ) -> None:
        settings = bus_settings(config)
        room = JournalLimits() if limits is None else limits
        settings["journal_segment_bytes"] = room.segment_bytes
        settings["journal_quota_bytes"] = room.quota_bytes
        settings["journal_keep_days"] = room.keep_days
        self._bus = LiveBus(settings, journal, safety)
        self._config = config
        batches = {priority: config.queues[priority].batch_size for priority in EventPriority}
        batches[EventPriority.P0_CRITICAL] = P0_BATCH
        limits_ms = {EventPriority.P3_LOW: config.live.p3_handler_timeout_ms}
        self._levels = {
            priority: Level(self._bus, priority, batch, limit_ms=limits_ms.get(priority, 0))
            for priority, batch in batches.items()
        }
        self._ticks = TickFeed(self._bus)
        self._couriers: list[Courier] = []
        self._watch = Watch((), 1.0)
        self._interval = SwitchInterval(config.live.switch_interval_ms)
        self._waiters = ThreadPoolExecutor(max_workers=4, thread_name_prefix="qts-put")
        self._dead_seen = 0

    def register_handler(self, priority: EventPriority, handler: EventHandler) -> None:
        """Add a handler for the events of a level; only before the start.

        Raises:
            UsageError: it has been started, or the level has a handler of that name.
        """
        level = self._levels[EventPriority(priority)]
        if self._bus.state() != "STOPPED" or self._couriers:
            raise UsageError(
                found=f"handler {handler.name!r} after the start", expected="handlers are registered before it"
            )
        if any(known.name == handler.name for known in level.all):
            raise UsageError(
                found=f"a second handler {handler.name!r} on {level.priority.name}",
                expected="each name once on a level",
            )
        level.all.append(handler)

    def register_tick_handler(self, handler: TickHandler, name: str) -> None:
        """Add a handler that takes ticks as records, up to 4,096 at once; only before the start.

        It is called on a thread for such handlers alone, and gets what came in through `dispatch_ticks`.

        Raises:
            UsageError: it has been started, or there is a tick handler of that name.
        """
        known = [other for other, _ in self._ticks.handlers]
        if self._bus.state() != "STOPPED" or self._couriers or name in known:
            expected = f"a new name before the start; there are {known}"
            raise UsageError(found=f"tick handler {name!r}", expected=expected)
        self._ticks.handlers.append((name, handler))

    async def start(self) -> None:
        """Start the threads. Coroutine handlers will run on the current event loop.

        Raises:
            UsageError: nobody handles P0, or it has been started before.
        """
        if self._couriers or self._bus.state() != "STOPPED":
            raise UsageError(found="the dispatcher has been started or stopped before", expected="a new one")
        if not self._levels[EventPriority.P0_CRITICAL].all:
            raise UsageError(found="no handler on P0_CRITICAL", expected="at least one: no fill may go unheard")
        loop = asyncio.get_running_loop()
        heard = (level for level in self._levels.values() if level.all)
        self._couriers = [Courier(f"qts-notify-p{int(level.priority)}", level) for level in heard]
        if self._ticks.handlers:
            self._couriers.append(Courier("qts-notify-ticks", self._ticks))
        try:
            for courier in self._couriers:
                courier.start(loop)
            self._bus.start()
        except EngineError as error:
            raise UsageError(found=str(error), expected="a dispatcher that can start") from error
        self._watch = Watch(self._couriers, self._config.check_interval_ms / 1_000)
        self._watch.start()
        self._interval.ask()

    async def stop(self) -> StopReport:
        """Stop in order and return what was left behind; a second call finds nothing to do.

        P1 to P3 are no longer let in, P0 is emptied, then the handlers finish: up to 14 s if none of them comes back.
        The event loop is not blocked meanwhile.
        """
        for priority in (EventPriority.P1_HIGH, EventPriority.P2_MEDIUM):
            self._levels[priority].cease()
        self._ticks.cease()
        return await asyncio.get_running_loop().run_in_executor(None, self._stop)

    def _stop(self) -> StopReport:
        left = self._bus.stop()
        for courier in self._couriers:
            courier.ask_to_finish()
        deadline_ns = _CLOCK.monotonic_ns() + int(FINISH_S * 1e9)
        patience_s = self._config.live.p3_drain_ms / 1_000
        # P3 first: the others go on meanwhile, but there a handler that does not come back has to be left behind.
        are_back = [
            courier.finish((deadline_ns - _CLOCK.monotonic_ns()) / 1e9, patience_s)
            for courier in reversed(self._couriers)
        ]
        self._watch.stop()
        self._interval.give_back()
        self._bus.close_journal()
        p2, p3 = self._levels[EventPriority.P2_MEDIUM], self._levels[EventPriority.P3_LOW]
        return StopReport(
            p0_left=left["p0_left"],
            p2_discarded=left["p2_discarded"] + p2.discarded,
            p3_discarded=left["p3_discarded"] + p3.unserved,
            stuck_threads=left["stuck_threads"],
            stuck_levels=tuple(
                courier.level.priority
                for courier, is_back in zip(self._couriers, reversed(are_back), strict=True)
                if not is_back
            ),
        )

    async def dispatch(self, event: Event) -> bool:
        """Admit an event; False only if it is refused. Waits while P0 is full, without blocking the event loop.

        Raises:
            EventError: the payload is not that of its type, or too large.
        """
        wire = to_wire(event)
        result = _RESULTS[self._bus.dispatch(wire)]
        loop = asyncio.get_running_loop()
        while result is PutResult.REFUSED_FULL and event.priority is EventPriority.P0_CRITICAL:
            result = PutResult(await loop.run_in_executor(self._waiters, self._bus.dispatch, wire, _WAIT_MS))
        return not result.is_refused

    def dispatch_nowait(self, event: Event) -> PutResult:
        """Admit an event and say what became of it. Never waits: a full P0 refuses it. From any thread.

        Raises:
            EventError: the payload is not that of its type, or too large.
        """
        return _RESULTS[self._bus.dispatch(event.wire or to_wire(event))]

    def dispatch_ticks(self, batch: "Buffer", source: str = "MARKET_DATA") -> TickResult:
        """Admit PRICE_TICKs from a buffer of records (`qts.event.ticks.TICK_DTYPE`). Never waits; from any thread.

        `batch` is a structured array of numpy or bytes; `symbol` of each record comes from `symbol_number`. All are
        checked before the first is admitted. At capacity the oldest events give way, as always on P1. Handlers of
        `register_tick_handler` get them as records, all others as events.

        Raises:
            EventError: it is no buffer of whole records, or names the first record and field at fault; nothing has
                been admitted then.
        """
        return dispatch_ticks(self._bus, batch, source)

    def record_ticks(self, spool: "TickSpool", scales: Mapping[str, tuple[int, int]]) -> None:
        """Keep the records of `dispatch_ticks` in `spool`, before any can give way to a newer one.

        Call it again when a symbol has been named that was not there before.

        Args:
            spool: where they go; what it cannot write it counts, and nobody waits.
            scales: decimals of prices and of quantities, by symbol; for all that `symbol_number` knows.

        Raises:
            UsageError: a symbol has a number and no scales.
        """
        self._bus.record_ticks(spool, symbol_rows(scales))

    def set_degradation_level(self, level: DegradationLevel) -> None:
        """Set the level that the operator asks for; the highest of operator, safety and back-pressure is in force."""
        self._bus.set_slot(_OPERATOR, DegradationLevel(level).severity)

    def set_safety_state(self, state: str) -> None:
        """Set the level that a safety state asks for: NORMAL, WARNING, FAIL or LOCKDOWN.

        Raises:
            UsageError: no such state.
        """
        level = SAFETY_TO_DEGRADATION.get(str(state))
        if level is None:
            raise UsageError(found=f"safety state {state!r}", expected=f"one of {', '.join(SAFETY_TO_DEGRADATION)}")
        self._bus.set_slot(_SAFETY, level.severity)

    @property
    def level(self) -> DegradationLevel:
        """The degradation level in force."""
        return _LEVELS[self._bus.level()]

    @property
    def state(self) -> str:
        """STOPPED, RUNNING, DRAINING or CLOSED."""
        return self._bus.state()

    def figures(self) -> DispatcherFigures:
        """Return depths, counters and latencies; takes locks of the core for microseconds."""
        rows = zip(self._levels.items(), self._bus.depths(), self._bus.counters(), strict=True)
        native_errors, native_unhandled = self._bus.failures()
        p0_violations, p1_violations, journal_failures = self._bus.faults()
        return DispatcherFigures(
            levels=MappingProxyType(
                {
                    priority: LevelFigures(
                        depth,
                        waiting,
                        counters,
                        sum(one.handled for one in served),
                        sum(one.errors for one in served),
                        level.unhandled,
                        level.slow,
                        level.stuck,
                        level.paused_drop,
                    )
                    for (priority, level), (depth, waiting), counters in rows
                    for served in [(level, self._ticks) if priority is EventPriority.P1_HIGH else (level,)]
                }
            ),
            latencies=MappingProxyType(self._bus.latencies()),
            native_errors=native_errors,
            native_unhandled=native_unhandled,
            holds=self.holds,
            isolation_violations=(p0_violations, p1_violations),
            journal_failures=journal_failures,
            scheduling=self._bus.scheduling(),
        )

    @property
    def holds(self) -> tuple[str, ...]:
        """Codes for which entries are blocked now; the native side blocks them at once, whoever hears the alert.

        FS095 ends by itself. FS063, FS096, FS097 and FS098 stand until `release`; FS096 and FS097 pause P2 and P3, too.
        """
        return tuple(self._bus.holds())

    @property
    def raised_codes(self) -> frozenset[str]:
        """Codes with which the safety word is raised, once for each alert of theirs; none without a word."""
        return frozenset(self._bus.raised_codes)

    def release(self, code: str) -> bool:
        """Say that the cause of a code in `holds` has been dealt with; False if it still stands.

        After FS097 the queue is built again; False if there is no memory for it.

        Raises:
            UsageError: a code that blocks nothing here.
        """
        try:
            return self._bus.release(code)
        except ValueError as error:
            raise UsageError(found=f"code {code!r}", expected="one of FS063, FS095, FS096, FS097, FS098") from error

    def alerts(self) -> tuple[EventAlert, ...]:
        """Take the alerts since the last call: those of the native side, oldest first, then those of Python's handlers.

        "p3_protected_lost" tells how many protected events of P3 found neither room nor a journal, at the 1st, 2nd, 4th
        and so on. "handler_slow" is one row for each handler, with how often and the longest time ("latency_ns");
        "p3_stuck" is a handler of P3 that was left behind; "python_silent" one of P0 or P1 that has not come back for a
        second.
        """
        alerts = [EventAlert(name, _code(name, numbers), numbers) for name, numbers in self._bus.alerts()]
        dead = self._levels[EventPriority.P0_CRITICAL].dead
        if dead > self._dead_seen:
            times = {"times": dead - self._dead_seen}
            alerts.append(EventAlert("p0_dead_letter", ALERT_CODES["p0_dead_letter"], times))
            self._dead_seen = dead
        alerts += [alert for level in self._levels.values() for alert in level.take_alerts()]
        return tuple(alerts)

    @property
    def errors(self) -> tuple[HandlerError, ...]:
        """The newest failures of Python handlers, 1,024 of each level, oldest first within a level."""
        return tuple(error for level in (*self._levels.values(), self._ticks) for error in tuple(level.failures))

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Return the newest events that were given up: on the native side, then 1,024 of Python's P0 handlers."""
        native = [
            _dead_letter((kind, source, seq, ts_ns, 0, id_bytes, "", 0, 1, data, []), handler, error, attempts)
            for kind, source, seq, ts_ns, id_bytes, data, handler, error, attempts in self._bus.dead_letters()
        ]
        return (*native, *tuple(self._levels[EventPriority.P0_CRITICAL].dead_letters))

    def lost_signals(self) -> tuple[Event, ...]:
        """Take the signals that were refused, purged or expired since the last call: what was not acted on."""
        p2 = self._levels[EventPriority.P2_MEDIUM]
        lost = [arrival.event for arrival in p2.read(self._bus.lost_signals())]
        while p2.discarded_signals:
            lost.append(p2.discarded_signals.popleft())
        return tuple(lost)


def _code(name: str, numbers: dict[str, int]) -> str:
    if name == "level" and numbers["level"] == DegradationLevel.CRITICAL_ONLY.severity:
        return "GR090"
    return ALERT_CODES.get(name, "")


def _dead_letter(row: EventRowOut, handler: str, error: str, attempts: int) -> DeadLetter:
    try:
        event = from_row(row).event
    except EventError:
        event = None  # a native producer wrote it
    return DeadLetter(event, row_id(row), handler, error, attempts)
