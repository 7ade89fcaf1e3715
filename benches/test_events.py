"""P0 to its Python handler beside what Python itself offers, and what it costs to send events from Python.

Run with: python -m pytest benches/test_events.py --benchmark-only -s

Every probe is due at a planned moment, so a producer that is held up counts. Latency is measured from that moment and
from the put, with another Python thread busy, or with P1 to P3 flooded by one: a design of one queue gets all of it
there, in order of priority. All designs run in turns in one process; `extra_info` and the printed tables hold medians
over the rounds and their ratio to the dispatcher. The floor is a bare `threading.Event`.
"""

import asyncio
import importlib.util
import itertools
import queue
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from qts.clock import SystemClock
from qts.event import CallbackHandler, Event, EventConfig, EventDispatcher, EventPriority, EventType, create_event
from qts.event.ticks import TICK_BYTES
from qts.event.wire import symbol_number, to_wire

PROBES = 150
PERIOD_NS = 2_000_000
CLOCK = SystemClock()


def fill() -> Event:
    event = create_event(
        EventType.EMERGENCY_STOP, "SAFETY", {"scope": "ALL", "reason": "probe", "code": "FS050", "origin": "SAFETY"}
    )
    to_wire(event)
    return event


def low() -> tuple[Event, ...]:
    """One event each of P1, P2 and P3, ready to be sent over and over."""
    tick = {"symbol": "005930", "price": 71_000, "volume": 5, "bid": 70_900, "ask": 71_000}
    return (
        create_event(EventType.PRICE_TICK, "MARKET_DATA", tick),
        create_event(EventType.RISK_EVALUATE, "ETEDA", {"account": "a", "symbol": "005930"}),
        create_event(EventType.METRIC_RECORD, "MONITOR", {"name": "x", "value": 1}),
    )


Put = Callable[[Event], object]


@contextmanager
def busy(_put: Put) -> Iterator[None]:
    """Another Python thread that computes all the time."""
    with repeated(lambda: sum(range(500))):
        yield


@contextmanager
def flooded(put: Put) -> Iterator[None]:
    """Another Python thread that floods P1 to P3, some 30,000 events a second, in bursts of 30."""
    events, pause = low() * 10, threading.Event()

    def burst() -> None:
        for event in events:
            put(event)
        pause.wait(0.001)

    with repeated(burst):
        yield


@contextmanager
def repeated(work: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


Load = Callable[[Put], AbstractContextManager[None]]


class Arrivals:
    """When the probes arrived; `wait` returns once the newest has. Other events are only counted."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []
        self.others = 0
        self._came = threading.Semaphore(0)

    def __call__(self, event: Event | None = None) -> None:
        if event is not None and event.priority is not EventPriority.P0_CRITICAL:
            self.others += 1
            return
        self.at_ns.append(CLOCK.monotonic_ns())
        self._came.release()

    def wait(self) -> None:
        assert self._came.acquire(timeout=20), "a probe did not arrive"


Figures = dict[str, float]


def probe(put: Callable[[], object], arrivals: Arrivals) -> Figures:
    """Put each probe when it is due; return microseconds to its handler from then, and from the put."""
    pause = threading.Event()
    due, queued = [], []
    due_ns = CLOCK.monotonic_ns()
    for _ in range(PROBES):
        due_ns = max(due_ns, CLOCK.monotonic_ns()) + PERIOD_NS
        pause.wait(max(0, due_ns - CLOCK.monotonic_ns()) / 1e9)
        put_ns = CLOCK.monotonic_ns()
        put()
        arrivals.wait()
        due.append((arrivals.at_ns[-1] - due_ns) / 1_000)
        queued.append((arrivals.at_ns[-1] - put_ns) / 1_000)
    figures = {}
    for name, waits in (("due", sorted(due)), ("queued", sorted(queued))):
        figures |= {f"{name} p50": statistics.median(waits), f"{name} p99": waits[int(len(waits) * 0.99)]}
    return figures


def bare(load: Load) -> Figures:
    """The floor: a thread that waits for an event object."""
    arrivals, asked, over = Arrivals(), threading.Event(), threading.Event()

    def sleeper() -> None:
        while True:
            asked.wait()
            asked.clear()
            if over.is_set():
                return
            arrivals()

    thread = threading.Thread(target=sleeper)
    thread.start()
    with load(lambda _: None):
        figures = probe(asked.set, arrivals)
    over.set()
    asked.set()
    thread.join()
    return figures


def priority_queue(load: Load) -> Figures:
    """`queue.PriorityQueue` and a thread."""
    arrivals, numbers = Arrivals(), itertools.count()
    events: queue.PriorityQueue[tuple[int, int, Event | None]] = queue.PriorityQueue()

    def worker() -> None:
        while (event := events.get()[2]) is not None:
            arrivals(event)

    def put(event: Event) -> None:
        events.put((event.priority, next(numbers), event))

    thread = threading.Thread(target=worker)
    thread.start()
    event = fill()
    with load(put):
        figures = probe(lambda: put(event), arrivals)
    events.put((9, next(numbers), None))
    thread.join()
    return figures


def asyncio_priority_queue(load: Load, run: Callable[[Coroutine[None, None, None]], None] = asyncio.run) -> Figures:
    """`asyncio.PriorityQueue` on a loop of its own."""
    arrivals, numbers, started = Arrivals(), itertools.count(), threading.Event()
    shared: list[tuple[asyncio.AbstractEventLoop, asyncio.PriorityQueue[tuple[int, int, Event | None]]]] = []

    async def consume() -> None:
        events: asyncio.PriorityQueue[tuple[int, int, Event | None]] = asyncio.PriorityQueue()
        shared.append((asyncio.get_running_loop(), events))
        started.set()
        while (event := (await events.get())[2]) is not None:
            arrivals(event)

    thread = threading.Thread(target=lambda: run(consume()))
    thread.start()
    started.wait()
    loop, events = shared[0]

    def put(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, (event.priority, next(numbers), event))

    event = fill()
    with load(put):
        figures = probe(lambda: put(event), arrivals)
    loop.call_soon_threadsafe(events.put_nowait, (9, next(numbers), None))
    thread.join()
    return figures


def uvloop_priority_queue(load: Load) -> Figures:
    """The same on uvloop."""
    import uvloop

    return asyncio_priority_queue(load, uvloop.run)


def dispatcher(load: Load) -> Figures:
    """`qts.event.EventDispatcher`, with handlers on all levels."""
    arrivals = Arrivals()
    live = EventDispatcher(EventConfig.from_settings())
    for priority in EventPriority:
        live.register_handler(priority, CallbackHandler(arrivals, name="probe"))

    async def run() -> Figures:
        await live.start()
        event = fill()
        with load(live.dispatch_nowait):
            figures = await asyncio.to_thread(probe, lambda: live.dispatch_nowait(event), arrivals)
        await live.stop()
        return figures

    return asyncio.run(run())


DESIGNS = [dispatcher, bare, priority_queue, asyncio_priority_queue]
if importlib.util.find_spec("uvloop"):
    DESIGNS.append(uvloop_priority_queue)
else:
    sys.stdout.write("uvloop_priority_queue: left out, uvloop is not installed (pip install 'qts-engine[bench]')\n")


@pytest.mark.parametrize("rounds", [3])
@pytest.mark.parametrize("load", [busy, flooded])
def test_p0_to_python_handler(benchmark, load, rounds):
    seen: dict[str, list[Figures]] = {design.__name__: [] for design in DESIGNS}

    def in_turns() -> None:
        for design in DESIGNS:
            seen[design.__name__].append(design(load))

    benchmark.pedantic(in_turns, rounds=rounds)
    table = {
        name: {which: round(statistics.median(one[which] for one in figures), 1) for which in figures[0]}
        for name, figures in seen.items()
    }
    benchmark.extra_info["us"] = table
    own = table["dispatcher"]
    sys.stdout.write(f"\nP0 to its Python handler in us (ratio to the dispatcher), {load.__name__}\n")
    for name, row in table.items():
        cells = "".join(f"{which:>12} {us:>8.1f} ({us / own[which]:>5.2f})" for which, us in row.items())
        sys.stdout.write(f"{name:<24}{cells}\n")
    assert all(us > 0 for row in table.values() for us in row.values())


@pytest.fixture
def running() -> Iterator[EventDispatcher]:
    """A dispatcher that handles P0 natively fast enough: one callback that does nothing."""
    live = EventDispatcher(EventConfig.from_settings())
    live.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(lambda _: None, name="none"))
    asyncio.run(live.start())
    yield live
    asyncio.run(live.stop())


def test_dispatch_of_a_ready_tick(benchmark, running):
    tick, *_ = low()
    to_wire(tick)
    result = benchmark.pedantic(running.dispatch_nowait, (tick,), rounds=200, iterations=2_000, warmup_rounds=5)
    assert not result.is_refused


def test_create_event(benchmark):
    payload = {"symbol": "005930", "price": 71_000, "volume": 5, "bid": 70_900, "ask": 71_000}
    event = benchmark(create_event, EventType.PRICE_TICK, "MARKET_DATA", payload)
    assert event.priority is EventPriority.P1_HIGH


@pytest.mark.parametrize("form", ["events", "records"])
def test_dispatch_of_a_batch(benchmark, running, form):
    """100,000 ticks a call: as a list of ready events, or as records."""
    count, (tick, *_) = 100_000, low()
    if form == "events":
        batch = [to_wire(tick)] * count
        benchmark.pedantic(running._bus.dispatch_many, (batch,), rounds=15, warmup_rounds=2)  # noqa: SLF001
    else:
        row = struct.pack("<qIIqqqq", 1, symbol_number("005930"), 0, 71_000, 5, 70_900, 71_000)
        result = benchmark.pedantic(running.dispatch_ticks, (row * count,), rounds=15, warmup_rounds=2)
        assert result.admitted + result.refused == count
    rate = round(count / benchmark.stats.stats.median) if benchmark.enabled else 0
    benchmark.extra_info["events_per_s"] = rate
    sys.stdout.write(f"\ndispatch of {form}: {rate:,} a second\n")


def test_ticks_from_python_to_python(benchmark):
    """Batches of 1,000 records in, the same records at a Python handler; whoever sends waits where the ring is full."""
    count, batch = 1_000_000, 1_000
    got, enough = [0], threading.Event()

    def take(records: bytes) -> None:
        got[0] += len(records) // TICK_BYTES
        if got[0] >= count:
            enough.set()

    live = EventDispatcher(EventConfig.from_settings())
    live.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(lambda _: None, name="none"))
    live.register_tick_handler(take, "take")
    asyncio.run(live.start())
    rows = b"".join(
        struct.pack("<qIIqqqq", 1 + at, symbol_number(f"S{at % 8}"), 0, 71_000, 5, 70_900, 71_000)
        for at in range(batch)
    )

    def send() -> None:
        got[0] = 0
        enough.clear()
        for sent in range(0, count, batch):
            while sent - got[0] > 8_000:
                time.sleep(0)
            live.dispatch_ticks(rows)
        assert enough.wait(60)

    benchmark.pedantic(send, rounds=7, warmup_rounds=1)
    asyncio.run(live.stop())
    rate = round(count / benchmark.stats.stats.median) if benchmark.enabled else 0
    benchmark.extra_info["events_per_s"] = rate
    sys.stdout.write(f"\nticks from Python to Python as records: {rate:,} a second\n")
