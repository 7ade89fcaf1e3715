"""What Python costs a live dispatcher, and a live dispatcher Python: the second half of `qts-engine bench`."""

import asyncio
import statistics
import sys
import threading
from typing import Any, Final, NamedTuple

from qts.clock import SystemClock, process_time_ns

EVERY_NS: Final = 2_000_000
"""Time between two P0 events that are due."""
_UNIT: Final = range(200)
_ROUNDS: Final = 3


class Row(NamedTuple):
    """One switch interval: how late a P0 event is heard, and how much of a busy thread's work is left.

    Args:
        interval_ms: the switch interval.
        p50_us: from the time at which an event was due to its Python handler, while another Python thread computes.
        p99_us: the same.
        work_alone: units of work of that thread by itself, for each second of processor time of the process.
        work_beside: the same beside the dispatcher, whose own time counts too.
    """

    interval_ms: float
    p50_us: float
    p99_us: float
    work_alone: float
    work_beside: float

    @property
    def share(self) -> float:
        """Share of the work that is left beside the dispatcher."""
        return self.work_beside / self.work_alone


class _Busy:
    """A Python thread that computes and counts what it gets done."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._units = 0
        # Processor time, so that what else the host does is not counted.
        self._begun_ns = process_time_ns()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.is_set():
            sum(_UNIT)
            self._units += 1

    def per_second(self) -> float:
        """Stop it and return its units of work for each second of processor time."""
        took_ns, units = process_time_ns() - self._begun_ns, self._units
        self._is_over.set()
        self._thread.join()
        return units * 1e9 / took_ns


def switch_rows(probes: int, intervals_ms: tuple[float, ...]) -> list[Row]:
    """Measure at each switch interval; medians of three rounds taken in turns. Leaves the interval as it was."""
    before_s = sys.getswitchinterval()
    found: dict[float, list[Row]] = {interval_ms: [] for interval_ms in intervals_ms}
    try:
        for _ in range(_ROUNDS):
            for interval_ms, rows in found.items():
                sys.setswitchinterval(interval_ms / 1_000)
                rows.append(_row(interval_ms, max(50, probes // _ROUNDS)))
    finally:
        sys.setswitchinterval(before_s)
    return [Row(*(statistics.median(column) for column in zip(*rows, strict=True))) for rows in found.values()]


def _row(interval_ms: float, probes: int) -> Row:
    clock = SystemClock()
    busy = _Busy()
    clock.sleep_until(clock.monotonic_ns() + probes * EVERY_NS)
    alone = busy.per_second()
    waits, beside = asyncio.run(_beside(probes))
    cuts = statistics.quantiles(waits, n=100)
    return Row(interval_ms, round(cuts[49] / 1_000, 1), round(cuts[98] / 1_000, 1), round(alone), round(beside))


async def _beside(probes: int) -> tuple[list[int], float]:
    """Return nanoseconds from due to handled of P0 events, and the work of a busy thread meanwhile.

    The dispatcher leaves the switch interval as it is.
    """
    from dataclasses import replace

    from qts.event import CallbackHandler, EventConfig, EventDispatcher, EventPriority, EventType, create_event

    clock = SystemClock()
    due_ns: list[int] = []
    waits: list[int] = []
    done = threading.Event()

    def heard(_: Any) -> None:  # noqa: ANN401 - whatever comes
        waits.append(clock.monotonic_ns() - due_ns[len(waits)])
        if len(waits) == probes:
            done.set()

    config = EventConfig.from_settings()
    dispatcher = EventDispatcher(replace(config, live=replace(config.live, switch_interval_ms=0)))
    dispatcher.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(heard, "probe"))
    payload = {"broker": "SIM", "channel": "FILL", "last_seen_ns": 1}
    events = [create_event(EventType.BROKER_DISCONNECT, "MONITOR", payload) for _ in range(probes)]
    await dispatcher.start()

    def produce() -> None:
        at_ns = clock.monotonic_ns()
        for event in events:
            at_ns += EVERY_NS
            # When it was due, not when this thread got to run: a producer that starves counts.
            due_ns.append(at_ns)
            clock.sleep_until(at_ns)
            dispatcher.dispatch_nowait(event)
        done.wait()

    busy = _Busy()
    await asyncio.to_thread(produce)
    work = busy.per_second()
    await dispatcher.stop()
    return waits, work
