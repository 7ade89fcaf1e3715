"""The dispatcher with its real threads. Nothing here sleeps: threads meet at events, with a limit to every wait."""

import asyncio
import logging
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from event_samples import MOMENT, event, fill

from qts import _core
from qts._shapes import BusSettings
from qts.clock import SystemClock
from qts.codes import UsageError
from qts.event import (
    SAFETY_TO_DEGRADATION,
    CallbackHandler,
    DegradationLevel,
    EventConfig,
    EventDispatcher,
    EventError,
    EventHandler,
    EventPriority,
    EventType,
    LoggingHandler,
    PutResult,
    TypeFilterHandler,
    create_event,
)
from qts.event.dispatcher import bus_settings
from qts.event.wire import Arrival, to_row, to_wire

P0, P1, P2, P3 = EventPriority
WAIT_S = 20


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


async def until(condition):
    """Let the loop and other threads go on until something is so; the limit of `run` ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0)


class Collector(EventHandler):
    """Keeps what it gets and says when it has got so many."""

    def __init__(self, wanted=1, name="collector"):
        self.events, self.threads = [], set()
        self._wanted, self._name = wanted, name
        self._enough = threading.Event()

    @property
    def name(self):
        return self._name

    def handle(self, event):
        self.events.append(event)
        self.threads.add(threading.current_thread().name)
        if len(self.events) >= self._wanted:
            self._enough.set()

    async def wait(self):
        await asyncio.to_thread(self.wait_here)
        return self.events

    def wait_here(self):
        assert self._enough.wait(WAIT_S), f"{len(self.events)} of {self._wanted} events"


class Gate(EventHandler):
    """Keeps its thread until it is opened."""

    def __init__(self):
        self.entered, self.open = threading.Event(), threading.Event()
        self.handled = 0

    def handle(self, event):
        self.entered.set()
        assert self.open.wait(WAIT_S)
        self.handled += 1


def dispatcher(*handlers, **queues):
    """Return a dispatcher with handlers of P0 to P3; None = none."""
    config = EventConfig.from_settings()
    for name, capacity in queues.items():
        rows = dict(config.queues)
        level = {"p0": P0, "p1": P1, "p2": P2, "p3": P3}[name]
        rows[level] = replace(rows[level], capacity=capacity)
        config = replace(config, queues=rows)
    bus = EventDispatcher(config)
    for priority, some in zip(EventPriority, handlers, strict=False):
        for handler in some if isinstance(some, list) else [some]:
            if handler is not None:
                bus.register_handler(priority, handler)
    return bus


@asynccontextmanager
async def running(bus):
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


def test_events_of_every_level_reach_their_handlers_as_they_were_sent():
    async def work():
        handlers = [Collector() for _ in EventPriority]
        kinds = (EventType.FILL_CONFIRMED, EventType.PRICE_TICK, EventType.SIGNAL_GENERATED, EventType.METRIC_RECORD)
        async with running(dispatcher(*handlers)) as bus:
            sent = [event(kind) for kind in kinds]
            for one in sent:
                assert await bus.dispatch(one) is True
            assert [(await handler.wait())[0] for handler in handlers] == sent
        assert [handler.threads for handler in handlers] == [{f"qts-notify-p{level}"} for level in range(4)]
        figures = bus.figures()
        assert [figures.levels[priority].handled for priority in EventPriority] == [1, 1, 1, 1]
        assert [figures.levels[priority].counters["admitted"] for priority in EventPriority] == [1, 1, 1, 1]
        assert figures.latencies["FILL_CONFIRMED"]["total"]["n"] == 1
        assert (figures.native_errors, figures.native_unhandled, bus.errors) == (0, 0, ())

    run(work())


def test_coroutine_handlers_run_on_the_loop_in_order_and_after_the_others():
    async def work():
        loop, order, done = asyncio.get_running_loop(), [], asyncio.Event()

        async def later(one):
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
            order.append(("later", one.payload["order_id"]))
            if len(order) == 6:
                done.set()

        def first(one):
            order.append(("first", one.payload["order_id"]))

        handlers = [CallbackHandler(later, "later"), CallbackHandler(first, "first")]
        async with running(dispatcher(handlers)) as bus:
            for number in range(3):
                await bus.dispatch(fill(number))
            await asyncio.wait_for(done.wait(), WAIT_S)
        for name in ("first", "later"):
            assert [number for who, number in order if who == name] == ["ORD-0", "ORD-1", "ORD-2"]
        for number in range(3):
            assert order.index(("first", f"ORD-{number}")) < order.index(("later", f"ORD-{number}"))
        assert bus.figures().levels[P0].handled == 3

    run(work())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_p0_handler_that_fails_three_times_leaves_a_dead_letter_and_stops_no_other(is_async):
    async def work():
        attempts = []

        def fails(one):
            attempts.append(one.event_id)
            raise RuntimeError("no position")

        async def fails_later(one):
            fails(one)

        last = Collector(2)
        failing = CallbackHandler(fails_later if is_async else fails, "failing")
        bus = dispatcher([failing, last])
        async with running(bus):
            sent = [fill(1), fill(2)]
            for one in sent:
                await bus.dispatch(one)
            assert await last.wait() == sent
        assert attempts == [sent[0].event_id] * 3 + [sent[1].event_id] * 3
        letters = bus.dead_letters()
        assert [(letter.event, letter.handler, letter.attempts) for letter in letters] == [
            (one, "failing", 3) for one in sent
        ]
        assert letters[0].error == "RuntimeError: no position"
        assert [error.attempt for error in bus.errors] == [1, 2, 3, 1, 2, 3]
        assert bus.figures().levels[P0].errors == 6
        alerts = [alert for alert in bus.alerts() if alert.name == "p0_dead_letter"]
        assert [(alert.code, alert.numbers) for alert in alerts] == [("FS098", {"times": 2})]
        assert not [alert for alert in bus.alerts() if alert.name == "p0_dead_letter"]

    run(work())


def test_a_p0_handler_that_recovers_is_tried_again_in_place():
    async def work():
        seen = []

        def fails_once(one):
            seen.append(one.payload["order_id"])
            if len(seen) == 1:
                raise RuntimeError("not yet")

        last = Collector(2)
        async with running(dispatcher([CallbackHandler(fails_once, "f"), last])) as bus:
            for number in (1, 2):
                await bus.dispatch(fill(number))
            await last.wait()
        assert seen == ["ORD-1", "ORD-1", "ORD-2"]
        assert bus.dead_letters() == ()

    run(work())


def test_a_failing_handler_below_p0_is_called_once_and_counted():
    async def work():
        last = Collector()

        def wrong(one):
            async def never():
                raise AssertionError

            return never()

        def fails(one):
            raise KeyError("x")

        handlers = [CallbackHandler(fails, "fails"), CallbackHandler(wrong, "wrong"), last]
        async with running(dispatcher(Collector(), None, handlers)) as bus:
            await bus.dispatch(event(EventType.INDICATOR_UPDATE))
            await last.wait()
        assert [(error.priority, error.handler, error.attempt) for error in bus.errors] == [
            (P2, "fails", 1),
            (P2, "wrong", 1),
        ]
        assert "no coroutine function" in bus.errors[1].error
        assert bus.dead_letters() == ()

    run(work())


def test_a_slow_p3_handler_does_not_delay_p0():
    async def work():
        slow, fast = Gate(), Collector(100)
        async with running(dispatcher(fast, None, None, slow)) as bus:
            await bus.dispatch(event(EventType.METRIC_RECORD))
            assert await asyncio.to_thread(slow.entered.wait, WAIT_S)
            for number in range(100):
                assert await bus.dispatch(fill(number))
            await fast.wait()
            assert slow.handled == 0
            latency = bus.figures().latencies["FILL_CONFIRMED"]["total"]
            assert latency["n"] == 100
            slow.open.set()

    run(work())


def test_a_thread_that_holds_the_interpreter_does_not_stop_p0():
    """With the interpreter never let go, the native side goes on and Python's handlers wait."""
    heard = Collector(200)

    async def work():
        face = dispatcher(heard)
        async with running(face):
            rows = [to_wire(fill(number)) for number in range(100)]
            interval = sys.getswitchinterval()
            sys.setswitchinterval(1_000)
            try:
                counts = []
                for _ in range(2):
                    assert set(face._bus.dispatch_many(rows)) == {PutResult.ACCEPTED}
                    for _ in range(5_000_000):  # holds the interpreter; ends long before this number
                        if face._bus.depths()[0][0] == 0 and face._bus.counters()[0]["handled"] == 100 * (
                            len(counts) + 1
                        ):
                            break
                    counts.append(face._bus.counters()[0]["handled"])
                heard_meanwhile = len(heard.events)
            finally:
                sys.setswitchinterval(interval)
            assert counts == [100, 200]
            assert heard_meanwhile == 0
            await heard.wait()
            assert face.figures().levels[P0].handled <= 200

    run(work())


def test_stopping_handles_what_p0_holds_and_begins_nothing_of_p2():
    async def work():
        gate, p0_gate, later = Gate(), Gate(), Collector()
        bus = dispatcher(p0_gate, None, [gate, later])
        await bus.start()
        await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=0))
        assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
        for number in range(1, 20):
            assert await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number))
        for number in range(50):
            assert await bus.dispatch(fill(number))
        stopping = asyncio.create_task(bus.stop())
        await until(lambda: bus.state != "RUNNING")
        gate.open.set()
        p0_gate.open.set()
        report = await stopping
        assert (bus.state, report.p0_left, report.stuck_threads, report.stuck_levels) == ("CLOSED", 0, 0, ())
        assert p0_gate.handled == 50
        assert gate.handled == 1
        lost = {one.payload["cycle_id"] for one in bus.lost_signals()}
        lost |= {letter.event.payload["cycle_id"] for letter in bus.dead_letters()}
        assert lost == set(range(1, 20)), "each of them is on record"
        assert await bus.dispatch(fill()) is False
        assert bus.dispatch_nowait(fill()) is PutResult.CLOSED
        again = await bus.stop()
        assert again.p0_left == 0

    run(work())


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_left_of_a_batch_of_p2_is_not_begun_once_the_dispatcher_stops(is_async):
    async def work():
        entered, free, turn = threading.Semaphore(0), threading.Semaphore(0), asyncio.Semaphore(0)
        begun = []

        def waits(one):
            begun.append(one.payload["cycle_id"])
            entered.release()
            assert free.acquire(timeout=WAIT_S)

        async def waits_later(one):
            begun.append(one.payload["cycle_id"])
            entered.release()
            await turn.acquire()

        bus = dispatcher(Collector(), None, CallbackHandler(waits_later if is_async else waits, "waits"))
        await bus.start()
        await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=0))
        assert await asyncio.to_thread(entered.acquire, timeout=WAIT_S)
        for number in range(1, 10):
            await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number))
        await until(lambda: bus.figures().levels[P2].waiting == 9)
        free.release()
        turn.release()
        assert await asyncio.to_thread(entered.acquire, timeout=WAIT_S)
        assert bus.figures().levels[P2].waiting == 0, "the second batch has all of them"
        stopping = asyncio.create_task(bus.stop())
        await until(lambda: bus.state != "RUNNING")
        free.release()
        turn.release()
        assert (await stopping).p2_discarded == 8
        assert begun == [0, 1]
        assert [one.payload["cycle_id"] for one in bus.lost_signals()] == list(range(2, 10))

    run(work())


def test_signals_that_find_no_room_on_their_way_to_python_are_on_record():
    async def work():
        gate = Gate()
        async with running(dispatcher(Collector(), None, gate, p2=2)) as bus:
            await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=0))
            assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
            for number in (1, 2, 3):
                assert await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number))
                await until(lambda: not bus.figures().levels[P2].depth)
            unreadable = [*to_row(event(EventType.SIGNAL_GENERATED, cycle_id=4))]
            unreadable[7] = b"\xff"
            bus._bus.dispatch(_core.WireEvent(*unreadable))
            await until(lambda: len(bus.dead_letters()) == 2)
            first, second = bus.dead_letters()
            assert (first.event.payload["cycle_id"], first.handler, first.attempts) == (3, "python", 1)
            assert (second.event, "no room" in second.error) == (None, True)
            assert bus.figures().levels[P2].counters["python_refused"] == 2
            gate.open.set()

    run(work())


def test_a_dispatcher_that_cannot_start_says_so():
    async def work():
        stopped = dispatcher(Collector())
        await stopped.stop()
        with pytest.raises(UsageError, match="started or stopped before"):
            await stopped.start()
        taken = dispatcher(Collector())
        taken._bus.subscribe(0)
        with pytest.raises(UsageError, match="python"):
            await taken.start()

    run(work())


def test_a_handler_that_does_not_come_back_does_not_keep_stop(monkeypatch):
    async def work():
        monkeypatch.setattr("qts.event.dispatcher.FINISH_S", 0.01)
        gate = Gate()
        bus = dispatcher(gate)
        await bus.start()
        await bus.dispatch(fill())
        assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
        assert (await bus.stop()).stuck_levels == (P0,)
        gate.open.set()

    run(work())


def test_a_full_p0_refuses_at_once_or_lets_the_coroutine_wait():
    async def work():
        heard = Collector(18)
        bus = dispatcher(heard, p0=16)
        for number in range(16):
            assert bus.dispatch_nowait(fill(number)) is PutResult.ACCEPTED, "P0 is let in before the start"
        assert bus.dispatch_nowait(fill(99)) is PutResult.REFUSED_FULL
        waiting = [asyncio.create_task(bus.dispatch(fill(number))) for number in (16, 17)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        async with running(bus):
            assert await asyncio.gather(*waiting) == [True, True]
            await heard.wait()

    run(work())


def test_a_wait_for_room_ends_when_the_dispatcher_stops():
    async def work():
        bus = dispatcher(Collector(), p0=16)
        for number in range(16):
            bus.dispatch_nowait(fill(number))
        waiting = [asyncio.create_task(bus.dispatch(fill(number))) for number in range(6)]
        await asyncio.sleep(0)
        await bus.stop()
        assert await asyncio.gather(*waiting) == [False] * 6

    run(work())


def test_a_thread_may_wait_for_room_and_gives_up_in_time():
    bus = _core.LiveBus({"p0_capacity": 16})
    rows = [to_wire(fill(number)) for number in range(17)]
    assert list(bus.dispatch_many(rows[:16])) == [PutResult.ACCEPTED] * 16
    assert bus.dispatch(rows[16], 5) == PutResult.REFUSED_FULL
    results = []
    waiter = threading.Thread(target=lambda: results.append(bus.dispatch(rows[16], -1)))
    waiter.start()
    bus.subscribe(0)
    bus.start()
    waiter.join(WAIT_S)
    assert results == [PutResult.ACCEPTED]
    bus.stop()
    assert len(bus.drain(0, 100)) == 17, "what P0 holds for Python outlives the stop"


def test_levels_pause_their_rows_and_protected_events_flow():
    async def work():
        heard = [Collector(), Collector(), Collector(), Collector()]
        async with running(dispatcher(*heard)) as bus:
            bus.set_degradation_level(DegradationLevel.CRITICAL_ONLY)
            assert bus.level is DegradationLevel.CRITICAL_ONLY
            assert bus.dispatch_nowait(event(EventType.SIGNAL_GENERATED)) is PutResult.REFUSED_PAUSED
            unreadable = [*to_row(event(EventType.SIGNAL_GENERATED, cycle_id=4))]
            unreadable[7] = b"\xff"
            assert bus._bus.dispatch(_core.WireEvent(*unreadable)) == PutResult.REFUSED_PAUSED
            assert await bus.dispatch(event(EventType.INDICATOR_UPDATE)) is False
            assert await bus.dispatch(event(EventType.PRICE_TICK))
            assert await bus.dispatch(event(EventType.METRIC_RECORD))
            alarm = event(EventType.NOTIFICATION_SEND, severity="CRITICAL")
            assert await bus.dispatch(alarm)
            assert await bus.dispatch(fill())
            await heard[0].wait()
            assert await heard[3].wait() == [alarm]
            assert (heard[1].events, heard[2].events) == ([], [])
            assert [one.event_type for one in bus.lost_signals()] == [EventType.SIGNAL_GENERATED]
            assert [error.handler for error in bus.errors] == ["wire"]
            bus.set_degradation_level(DegradationLevel.NORMAL)
            await heard[1].wait()
        codes = [(alert.name, alert.code) for alert in bus.alerts() if alert.name == "level"]
        assert codes == [("level", "GR090"), ("level", "")]

    run(work())


def test_safety_states_ask_for_their_level_independently_of_the_operator():
    bus = dispatcher(Collector())
    for state, level in SAFETY_TO_DEGRADATION.items():
        bus.set_safety_state(state)
        assert bus.level is level
    bus.set_degradation_level(DegradationLevel.P3_PAUSED)
    assert bus.level is DegradationLevel.CRITICAL_ONLY
    bus.set_safety_state("NORMAL")
    assert bus.level is DegradationLevel.P3_PAUSED
    with pytest.raises(UsageError, match="LOCKDOWN"):
        bus.set_safety_state("PANIC")


def test_mistakes_are_refused():
    async def work():
        bus = EventDispatcher(EventConfig.from_settings())
        with pytest.raises(UsageError, match="no handler on P0"):
            await bus.start()
        bus.register_handler(P0, Collector())
        with pytest.raises(UsageError, match="each name once"):
            bus.register_handler(P0, Collector())
        assert bus.dispatch_nowait(event(EventType.PRICE_TICK)) is PutResult.CLOSED
        with pytest.raises(EventError, match="order_id"):
            await bus.dispatch(create_event(EventType.FILL_CONFIRMED, "BROKER_KIS"))
        with pytest.raises(EventError, match="at most 184"):
            bus.dispatch_nowait(event(EventType.PRICE_TICK, note="x" * 200))
        async with running(bus):
            with pytest.raises(UsageError, match="after the start"):
                bus.register_handler(P1, Collector())
            with pytest.raises(UsageError, match="started or stopped before"):
                await bus.start()

    run(work())


def test_filters_and_loggers_get_what_is_theirs(caplog):
    async def work():
        stops, everything = Collector(), Collector(2, "everything")
        handlers = [
            TypeFilterHandler(stops, [EventType.EMERGENCY_STOP]),
            LoggingHandler(level=logging.INFO),
            everything,
        ]
        async with running(dispatcher(handlers)) as bus:
            await bus.dispatch(fill())
            await bus.dispatch(event(EventType.EMERGENCY_STOP, "SAFETY"))
            await everything.wait()
        assert [one.event_type for one in stops.events] == [EventType.EMERGENCY_STOP]

    with caplog.at_level(logging.INFO, "qts.event"):
        run(work())
    assert any("FILL_CONFIRMED from BROKER_KIS" in line for line in caplog.messages)
    with pytest.raises(ValueError, match="at least one"):
        TypeFilterHandler(Collector(), [])


def test_what_no_python_handler_wants_is_counted():
    async def work():
        last = Collector()
        only = TypeFilterHandler(last, [EventType.EMERGENCY_STOP])
        async with running(dispatcher(only)) as bus:
            await bus.dispatch(fill())
            await bus.dispatch(event(EventType.PRICE_TICK))
            await last_stop(bus, last)
        figures = bus.figures()
        assert figures.levels[P0].unhandled == 1
        assert figures.native_unhandled == 1

    async def last_stop(bus, last):
        # A stop may overtake the fill, but not once the fill has been handed over.
        await until(lambda: bus.figures().levels[P0].handled and bus.figures().native_unhandled)
        await bus.dispatch(event(EventType.EMERGENCY_STOP))
        await last.wait()

    run(work())


def test_a_handler_that_cannot_say_what_it_wants_or_tries_to_exit_keeps_nobody_from_hearing():
    class Broken(Collector):
        def wants(self, kind):
            raise LookupError(kind)

    async def work():
        broken, last = Broken(name="broken"), Collector(2, "last")
        exits = CallbackHandler(lambda one: sys.exit(1), "exits")
        async with running(dispatcher([broken, exits, last])) as bus:
            for number in (1, 2):
                await bus.dispatch(fill(number))
            await last.wait()
        assert len(broken.events) == 2
        assert [letter.handler for letter in bus.dead_letters()] == ["exits"] * 2
        assert {error.handler for error in bus.errors} == {"broken", "exits"}

    run(work())


def test_what_a_cancelled_batch_leaves_of_p0_is_on_record():
    async def work():
        entered = asyncio.Event()

        async def waits(one):
            entered.set()
            await asyncio.Event().wait()

        bus = dispatcher(CallbackHandler(waits, "waits"))
        for number in range(3):
            await bus.dispatch(fill(number))
        async with running(bus):
            await entered.wait()

            def is_over():
                bus._levels[P0]._task.cancel()  # of one batch after the other, also before its first step
                return len(bus.dead_letters()) == 3

            await until(is_over)
        letters = bus.dead_letters()
        assert [letter.event.payload["order_id"] for letter in letters] == ["ORD-0", "ORD-1", "ORD-2"]
        assert all("CancelledError" in letter.error for letter in letters)

    run(work())


def test_without_a_loop_there_is_nowhere_to_run_coroutines():
    bus = dispatcher(Collector())
    level = bus._levels[P0]
    level._post([(Arrival(fill(), 1, 0, 0, 1), (Collector(name="later"),))])
    (letter,) = bus.dead_letters()
    assert (letter.handler, "event loop" in letter.error, level.is_busy) == ("later", True, False)


def test_a_loop_that_is_gone_leaves_its_p0_events_on_record():
    heard = threading.Event()

    async def never(one):
        raise AssertionError

    async def start(bus):
        await bus.start()

    bus = dispatcher([CallbackHandler(never, "never"), CallbackHandler(lambda one: heard.set(), "first")])
    asyncio.run(start(bus))
    bus.dispatch_nowait(fill())
    assert heard.wait(WAIT_S)
    run(bus.stop())
    (letter,) = bus.dead_letters()
    assert (letter.handler, "closed" in letter.error) == ("never", True)


def test_what_cannot_be_read_is_on_record_and_does_not_stop_the_rest():
    async def work():
        heard = Collector()
        bus = dispatcher(heard)
        row = list(to_row(fill(1)))
        row[7] = b"\x00native"
        bus._bus.dispatch(_core.WireEvent(*row))
        await bus.dispatch(fill(2))
        async with running(bus):
            assert (await heard.wait())[0].payload["order_id"] == "ORD-2"
        (letter,) = bus.dead_letters()
        assert (letter.event, letter.handler, letter.event_id.replace("-", "")) == (None, "wire", row[2].hex())

    run(work())


def test_equal_wishes_merge_on_their_way_to_a_busy_handler():
    async def work():
        gate, seen = Gate(), Collector(2, "seen")
        async with running(dispatcher(Collector(), None, [gate, seen])) as bus:
            await bus.dispatch(event(EventType.STRATEGY_EVALUATE, strategy_id="first"))
            assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
            for symbol in ("A", "B", "C", "D"):
                await bus.dispatch(event(EventType.STRATEGY_EVALUATE, symbols=[symbol]))
            await until(lambda: not bus.figures().levels[P2].depth)
            gate.open.set()
            await until(lambda: len(seen.events) >= 2)
        assert sorted(s for one in seen.events[1:] for s in one.payload["symbols"]) == ["A", "B", "C", "D"]
        assert len(seen.events) == 2

    run(work())


def test_settings_reach_the_core_and_unknown_ones_are_refused():
    settings = bus_settings(EventConfig.from_settings())
    assert settings["depth_alerts"] == [(50, 80), (7_000, 9_000), (800, 950), (40_000, 47_500)]
    assert settings["backpressure"] == [(0.7, 0.9), (0.8, 0.95)]
    assert settings["p3_sample_period"] == 10
    every = dict.fromkeys(BusSettings.__annotations__, 5)
    pairs = dict.fromkeys(("p0_latency_ms", "p1_batch", "p2_batch", "p3_batch", "isolation_p99_ms"), (5, 6))
    assert _core.LiveBus({**every, **pairs, "depth_alerts": [(5, 6)] * 4, "backpressure": [(0.5, 0.6)] * 2})
    with pytest.raises(ValueError, match=r"unknown setting .p9_capacity"):
        _core.LiveBus({"p9_capacity": 1})
    with pytest.raises(ValueError, match="p1_capacity is 0"):
        _core.LiveBus({"p1_capacity": 0})
    with pytest.raises(TypeError):
        _core.LiveBus({"p1_batch": 5})
    with pytest.raises(OverflowError):
        _core.LiveBus({"p0_capacity": -1})


def test_the_core_refuses_numbers_that_do_not_exist():
    bus = _core.LiveBus()
    for call in (lambda: bus.set_slot(3, 0), lambda: bus.set_slot(0, 4), lambda: bus.drain(4, 1), lambda: bus.wake(4)):
        with pytest.raises(ValueError, match="expected 0 to"):
            call()
    with pytest.raises(ValueError, match="expected 0 to"):
        bus.subscribe(4)
    with pytest.raises(_core.EngineError, match="no handler on P0"):
        bus.start()
    bus.subscribe(0)
    with pytest.raises(_core.EngineError, match="python"):
        bus.subscribe(0)
    bus.start()
    with pytest.raises(_core.EngineError, match="started before"):
        bus.start()
    bus.stop()
    assert bus.stop() == {"p0_left": 0, "p2_discarded": 0, "p3_discarded": 0, "stuck_threads": 0}


def test_a_batch_with_one_event_at_fault_admits_none():
    bus = _core.LiveBus()
    with pytest.raises(TypeError, match="WireEvent"):
        bus.dispatch_many([to_wire(fill()), to_row(fill())])
    assert bus.depths()[0] == (0, 0)


def test_a_batch_goes_to_its_levels_in_order():
    bus = _core.LiveBus({"p1_capacity": 100, "p1_shards": 1})
    bus.subscribe(0)
    bus.subscribe(1)
    bus.start()
    bus.set_slot(2, DegradationLevel.CRITICAL_ONLY.severity)  # P1 stays where it is
    ticks = [event(EventType.PRICE_TICK, price=1_000 + number, bid=1_000, ask=2_000) for number in range(250)]
    mixed = [*ticks[:30], fill(1), ticks[30], fill(2), *ticks[31:], event(EventType.METRIC_RECORD)]
    results = list(bus.dispatch_many([to_wire(one) for one in mixed]))
    kept, displaced = PutResult.ACCEPTED, PutResult.ACCEPTED_DROPPED_OLDEST
    assert results == [kept] * 102 + [displaced] * 150 + [kept]
    assert bus.counters()[1]["dropped"] == 150
    assert bus.depths()[1] == (100, 0)
    bus.stop()
    assert bus.dispatch_many([to_wire(one) for one in ticks[:2]]) == bytes([PutResult.CLOSED] * 2)


def test_times_of_admission_are_those_of_the_python_clock():
    bus, clock = _core.LiveBus(), SystemClock()
    bus.subscribe(0)
    before = clock.monotonic_ns()
    bus.dispatch(to_wire(fill()))
    after = clock.monotonic_ns()
    bus.start()
    bus.stop()
    (row,) = bus.drain(0, 9)
    assert before <= row[4] <= after
    assert row[3] != MOMENT
