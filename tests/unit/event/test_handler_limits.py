"""Handlers that are slow, silent or stuck, with real threads. They meet at events; only limits are waited for."""

import asyncio
import sys
import threading
from dataclasses import replace

import pytest
from event_samples import event, fill

from qts.clock import SystemClock
from qts.event import (
    Arrival,
    ArrivalHandler,
    CallbackHandler,
    EventConfig,
    EventDispatcher,
    EventPriority,
    EventType,
    TypeFilterHandler,
    create_event,
)
from qts.event.calls import SILENT_NS, Handlers
from qts.event.interpreter import SwitchInterval

P0, P1, P2, P3 = EventPriority
WAIT_S = 30


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


def dispatcher(handlers, *, p3=None, **live):
    config = EventConfig.from_settings()
    config = replace(config, check_interval_ms=10, live=replace(config.live, **live))
    if p3 is not None:
        rows = dict(config.queues)
        rows[P3] = replace(rows[P3], capacity=p3)
        config = replace(config, queues=rows)
    bus = EventDispatcher(config)
    for priority, some in {P0: [CallbackHandler(lambda one: None, "p0")], **handlers}.items():
        for handler in some:
            bus.register_handler(priority, handler)
    return bus


async def until(condition):
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0.001)


def alert_of(bus, name):
    """Wait for an alert; others are left out."""
    found = []

    async def wait():
        def has():
            found.extend(alert for alert in bus.alerts() if alert.name == name)
            return bool(found)

        await until(has)
        return found[0]

    return wait()


class Stuck:
    """Handles nothing until it is let go; says how many are in it."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.free = threading.Event()
        self.came_back = threading.Semaphore(0)

    def __call__(self, one):
        self.entered.release()
        assert self.free.wait(WAIT_S)
        self.came_back.release()


def alarm(number=0):
    return create_event(
        EventType.NOTIFICATION_SEND, "NOTIFIER", {"severity": "CRITICAL", "text": "alarm", "number": number}
    )


class Arrivals(ArrivalHandler):
    def __init__(self):
        self.all = []

    def handle_arrival(self, arrival):
        self.all.append(arrival)


class LaterArrivals(Arrivals):
    async def handle_arrival(self, arrival):
        self.all.append(arrival)


@pytest.mark.parametrize("handler", [Arrivals(), LaterArrivals()])
def test_merged_wishes_say_for_how_many_they_stand(handler):
    async def work():
        gate = Stuck()
        first = TypeFilterHandler(CallbackHandler(gate, "gate"), [EventType.INDICATOR_UPDATE])
        only = TypeFilterHandler(handler, [EventType.STRATEGY_EVALUATE])
        bus = dispatcher({P2: [first, only]})
        assert only.is_async is isinstance(handler, LaterArrivals)
        await bus.start()
        await bus.dispatch(event(EventType.INDICATOR_UPDATE))
        assert await asyncio.to_thread(gate.entered.acquire, timeout=WAIT_S)
        for symbol in "ABCDE":
            assert await bus.dispatch(event(EventType.STRATEGY_EVALUATE, symbols=[symbol]))
        await until(lambda: not bus.figures().levels[P2].depth)
        gate.free.set()
        await until(lambda: handler.all)
        await bus.stop()
        (arrival,) = handler.all
        assert (arrival.merged_count, arrival.event.payload["symbols"]) == (4, list("ABCDE"))
        assert arrival.seq
        assert arrival.t_enqueue_ns <= SystemClock().monotonic_ns()

    run(work())


def test_sampled_events_say_for_how_many_they_stand():
    async def work():
        gate, seen = Stuck(), Arrivals()
        bus = dispatcher({P3: [CallbackHandler(gate, "gate"), seen]}, p3=10)
        await bus.start()
        await bus.dispatch(alarm())
        assert await asyncio.to_thread(gate.entered.acquire, timeout=WAIT_S)
        for number in range(60):
            await bus.dispatch(event(EventType.METRIC_RECORD, number=number))
            await until(lambda: not bus.figures().levels[P3].depth)
        gate.free.set()
        await until(lambda: len(seen.all) == 11)
        await bus.stop()
        weights = [arrival.sampled_weight for arrival in seen.all]
        assert weights == [1] * 6 + [10] * 5
        assert [one.event.payload["number"] for one in seen.all[-5:]] == [19, 29, 39, 49, 59]

    run(work())


def test_an_event_that_has_not_travelled_stands_for_itself():
    handler = Arrivals()
    one = fill()
    TypeFilterHandler(handler, [EventType.FILL_CONFIRMED]).handle(one)
    assert handler.all == [Arrival(one, 0, 0, 0, 1)]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_p0_handler_over_its_budget_is_reported_and_the_event_does_not_come_again(is_async):
    async def work():
        clock, seen = SystemClock(), []

        def slow(one):
            seen.append(one.payload["order_id"])
            clock.sleep_until(clock.monotonic_ns() + 12_000_000)

        async def slow_later(one):
            slow(one)

        bus = dispatcher({P0: [CallbackHandler(slow_later if is_async else slow, "slow")]})
        await bus.start()
        for number in (1, 2):
            await bus.dispatch(fill(number))
        await until(lambda: bus.figures().levels[P0].slow == 2)
        (alert,) = [alert for alert in bus.alerts() if alert.name == "handler_slow"]
        assert (alert.handler, alert.code) == ("slow", "")
        assert alert.numbers["latency_ns"] >= 12_000_000
        assert {name: alert.numbers[name] for name in ("level", "times", "budget_ms")} == {
            "level": 0,
            "times": 2,
            "budget_ms": 10,
        }
        assert not [alert for alert in bus.alerts() if alert.name == "handler_slow"]
        await bus.stop()
        assert seen == ["ORD-1", "ORD-2"]
        assert bus.figures().levels[P0].errors == 0

    run(work())


def test_a_p0_handler_that_does_not_come_back_is_reported_while_it_runs_and_does_not_keep_stop(monkeypatch):
    async def work():
        monkeypatch.setattr("qts.event.dispatcher.FINISH_S", 0.05)
        monkeypatch.setattr("qts.event.calls.SILENT_NS", 20_000_000)
        stuck = Stuck()
        bus = dispatcher({P0: [CallbackHandler(stuck, "stuck")]})
        await bus.start()
        await bus.dispatch(fill())
        told = {}  # one look may find both, two looks may find one each

        def has_both():
            told.update((alert.name, alert) for alert in bus.alerts())
            return {"handler_slow", "python_silent"} <= told.keys()

        await until(has_both)
        slow, silent = told["handler_slow"], told["python_silent"]
        assert (slow.handler, slow.numbers["times"]) == ("stuck", 1)
        assert (silent.handler, silent.numbers["level"]) == ("stuck", 0)
        assert (await bus.stop()).stuck_levels == (P0,)
        stuck.free.set()
        assert await asyncio.to_thread(stuck.came_back.acquire, timeout=WAIT_S)
        assert bus.figures().levels[P0].slow == 1, "once, although it was seen twice"

    assert SILENT_NS == 1_000_000_000
    run(work())


def test_the_budget_of_an_event_counts_on_every_level_and_none_means_none():
    clock = type("Still", (), {"now": 0, "monotonic_ns": lambda self: self.now})()
    level = Handlers(P2, clock)
    handler = CallbackHandler(lambda one: None, "h")
    calls = [
        level.begin(handler, replace(event(EventType.INDICATOR_UPDATE), max_process_time_ms=limit))
        for limit in (0, 1, 5)
    ]
    clock.now = 2_000_000
    level.look(clock.now)
    assert [alert.numbers for alert in level.take_alerts()] == [
        {"level": 2, "times": 1, "latency_ns": 2_000_000, "budget_ms": 1}
    ]
    clock.now = 10_000_000
    for call in calls:
        level.end(call)
    assert [alert.numbers for alert in level.take_alerts()] == [
        {"level": 2, "times": 1, "latency_ns": 10_000_000, "budget_ms": 5}
    ], "the one that was reported while it ran is not reported again"
    assert level.slow == 2


def test_a_slow_call_that_comes_back_before_it_is_asked_about_counts_once_with_its_longest_time():
    clock = type("Still", (), {"now": 0, "monotonic_ns": lambda self: self.now})()
    level = Handlers(P0, clock)
    call = level.begin(CallbackHandler(lambda one: None, "h"), fill())
    clock.now = 20_000_000
    level.look(clock.now)
    clock.now = 30_000_000
    level.end(call)
    (alert,) = level.take_alerts()
    assert (alert.numbers["times"], alert.numbers["latency_ns"]) == (1, 30_000_000)


def test_a_stuck_p3_handler_keeps_only_itself():
    async def work():
        stuck, heard = Stuck(), Arrivals()
        once = iter([True])

        def sticks_once(one):
            if next(once, False):
                stuck(one)

        handlers = [CallbackHandler(sticks_once, "sticks"), heard]
        bus = dispatcher({P3: handlers}, p3_handler_timeout_ms=20)
        await bus.start()
        for number in range(5):
            await bus.dispatch(alarm(number))
        alert = await alert_of(bus, "p3_stuck")
        assert (alert.handler, alert.numbers) == ("sticks", {"level": 3, "stuck": 1})
        await until(lambda: len(heard.all) == 5)
        assert [one.event.payload["number"] for one in heard.all] == list(range(5)), "also the one it is stuck on"
        assert bus.figures().levels[P3].stuck == 1
        await bus.dispatch(alarm(5))
        await until(lambda: len(heard.all) == 6)
        stuck.free.set()
        await until(lambda: bus.figures().levels[P3].stuck == 0)
        await bus.dispatch(alarm(6))
        await until(lambda: len(heard.all) == 7)
        report = await bus.stop()
        assert (report.stuck_levels, report.p3_discarded) == ((), 0)
        assert bus.figures().levels[P3].handled == 7

    run(work())


def test_with_three_stuck_only_protected_events_go_on_and_with_four_nothing_until_one_comes_back():
    async def work():
        stuck, heard = Stuck(), Arrivals()
        sticks = TypeFilterHandler(CallbackHandler(stuck, "sticks"), [EventType.LOG_WRITE])
        bus = dispatcher({P3: [sticks, heard]}, p3_handler_timeout_ms=20)
        await bus.start()

        def audit(number):
            return create_event(EventType.LOG_WRITE, "LOGGER", {"audit": True, "number": number})

        for number in range(3):
            await bus.dispatch(audit(number))
        await until(lambda: bus.figures().levels[P3].stuck == 3)
        await bus.dispatch(event(EventType.METRIC_RECORD, number="droppable"))
        await until(lambda: bus.figures().levels[P3].paused_drop == 1)
        await bus.dispatch(alarm("protected"))
        await until(lambda: len(heard.all) == 4)
        assert heard.all[-1].event.payload["number"] == "protected"
        await bus.dispatch(audit(3))
        await until(lambda: bus.figures().levels[P3].stuck == 4)
        assert bus._levels[P3]._server is None
        await bus.dispatch(alarm("waits"))
        await until(lambda: not bus.figures().levels[P3].depth)
        assert len(heard.all) == 4
        stuck.free.set()
        await until(lambda: len(heard.all) == 6)
        await until(lambda: bus.figures().levels[P3].stuck == 0)
        await bus.dispatch(event(EventType.METRIC_RECORD, number="again"))
        await until(lambda: len(heard.all) == 7)
        assert sorted(str(one.event.payload["number"]) for one in heard.all) == sorted(
            ["0", "1", "2", "3", "protected", "waits", "again"]
        ), "each of them once"
        assert (await bus.stop()).stuck_levels == ()

    run(work())


def test_a_stuck_coroutine_handler_of_p3_is_left_to_itself():
    async def work():
        free, heard, over = asyncio.Event(), [], []

        async def sticks(one):
            if one.payload["number"] < 4:
                await free.wait()
                over.append(one.payload["number"])

        async def hears(one):
            heard.append(one.payload["number"])

        handlers = [CallbackHandler(sticks, "sticks"), CallbackHandler(hears, "hears")]
        bus = dispatcher({P3: handlers}, p3_handler_timeout_ms=10)
        await bus.start()
        for number in range(6):
            await bus.dispatch(alarm(number))
        await until(lambda: bus.figures().levels[P3].stuck == 4)
        assert heard == [0, 1, 2], "the fourth one is waited for"
        free.set()
        await until(lambda: len(heard) == 6)
        assert sorted(over) == [0, 1, 2, 3]
        await until(lambda: bus.figures().levels[P3].stuck == 0)
        await bus.stop()
        assert bus.errors == ()

    run(work())


def test_a_coroutine_of_p3_that_is_cancelled_is_on_record():
    async def work():
        tasks = []

        async def cancelled(one):
            tasks.append(asyncio.current_task())
            await asyncio.Event().wait()

        bus = dispatcher({P3: [CallbackHandler(cancelled, "cancelled")]})
        await bus.start()
        await bus.dispatch(alarm())
        await until(lambda: tasks)
        tasks[0].cancel()
        await until(lambda: bus.errors)
        assert bus.errors[0].error.startswith("CancelledError")
        await bus.dispatch(alarm())
        await until(lambda: len(tasks) == 2)
        bus._levels[P3]._task.cancel()
        await until(lambda: tasks[1].done())
        await bus.stop()

    run(work())


def test_stopping_leaves_a_stuck_p3_handler_behind_and_still_handles_what_is_protected():
    async def work():
        stuck, heard = Stuck(), Arrivals()
        once = iter([True])
        sticks = CallbackHandler(lambda one: stuck(one) if next(once, False) else None, "sticks")
        bus = dispatcher({P3: [sticks, heard]}, p3_drain_ms=50)
        await bus.start()
        await bus.dispatch(alarm(0))
        assert await asyncio.to_thread(stuck.entered.acquire, timeout=WAIT_S)
        for number in range(1, 20):
            await bus.dispatch(alarm(number))
        report = await bus.stop()
        assert report.stuck_levels == (P3,)
        assert [one.event.payload["number"] for one in heard.all] == list(range(20))
        stuck.free.set()
        assert await asyncio.to_thread(stuck.came_back.acquire, timeout=WAIT_S)

    run(work())


def test_a_level_that_pauses_does_not_wait_for_the_next_one():
    async def work():
        stuck, heard = Stuck(), threading.Event()
        handlers = {P2: [CallbackHandler(stuck, "slow")], P1: [CallbackHandler(lambda one: heard.set(), "tick")]}
        bus = dispatcher(handlers)
        await bus.start()
        await bus.dispatch(event(EventType.INDICATOR_UPDATE))
        assert await asyncio.to_thread(stuck.entered.acquire, timeout=WAIT_S)
        await bus.dispatch(event(EventType.PRICE_TICK))
        assert await asyncio.to_thread(heard.wait, WAIT_S), "P1 does not wait for a handler of P2"
        stuck.free.set()
        await bus.stop()

    run(work())


def test_the_switch_interval_is_that_of_the_configuration_while_a_dispatcher_runs():
    async def work():
        before = sys.getswitchinterval()
        first, second = dispatcher({}, switch_interval_ms=1.0), dispatcher({}, switch_interval_ms=0.25)
        third = dispatcher({}, switch_interval_ms=0)
        await first.start()
        assert sys.getswitchinterval() == pytest.approx(0.001)
        await second.start()
        await third.start()
        assert sys.getswitchinterval() == pytest.approx(0.00025)
        await first.stop()
        await third.stop()
        assert sys.getswitchinterval() == pytest.approx(0.00025)
        await second.stop()
        assert sys.getswitchinterval() == before

    run(work())


def test_a_shorter_switch_interval_stays_and_asking_twice_is_asking_once():
    before = sys.getswitchinterval()
    wish = SwitchInterval(50)
    wish.ask()
    wish.ask()
    assert sys.getswitchinterval() == before
    wish.give_back()
    wish.give_back()
    assert sys.getswitchinterval() == before
