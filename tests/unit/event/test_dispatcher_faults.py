"""What the dispatcher tells Python when something fails: codes, blocked entries, figures. No thread sleeps here."""

import asyncio
import threading
from dataclasses import replace

import pytest
from event_samples import event, fill

from qts.codes import UsageError
from qts.event import (
    CallbackHandler,
    DegradationLevel,
    EventAlert,
    EventConfig,
    EventDispatcher,
    EventPriority,
    EventType,
    JournalLimits,
    PutResult,
)

P0, P1, P2, P3 = EventPriority
WAIT_S = 20


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


async def until(condition):
    """Let the loop and other threads go on until something is so; the limit of `run` ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0)


class Gate:
    """A handler that keeps its thread until it is opened."""

    def __init__(self):
        self.entered, self.open, self.handled = threading.Event(), threading.Event(), []

    def __call__(self, one):
        self.entered.set()
        assert self.open.wait(WAIT_S)
        self.handled.append(one.event_id)

    async def is_entered(self):
        assert await asyncio.to_thread(self.entered.wait, WAIT_S)


def dispatcher(p0, p2=None, *, journal=None, limits=None, **live):
    config = EventConfig.from_settings()
    config = replace(config, check_interval_ms=10, live=replace(config.live, **live))
    bus = EventDispatcher(config, journal=journal, limits=limits)
    bus.register_handler(P0, CallbackHandler(p0, "p0"))
    if p2 is not None:
        bus.register_handler(P2, CallbackHandler(p2, "p2"))
    return bus


class Alerts:
    """The alerts so far."""

    def __init__(self, bus):
        self._bus, self.all = bus, []

    def of(self, name):
        self.all.extend(self._bus.alerts())
        return [alert for alert in self.all if alert.name == name]

    async def wait(self, name, times=1):
        await until(lambda: len(self.of(name)) >= times)
        return self.of(name)


def test_a_slow_python_consumer_raises_the_alerts_of_its_level():
    async def work():
        slow_p0, slow_p2 = Gate(), Gate()
        bus = dispatcher(slow_p0, slow_p2)
        alerts = Alerts(bus)
        await bus.start()
        await bus.dispatch(fill(0))
        await slow_p0.is_entered()
        for number in range(1, 52):
            await bus.dispatch(fill(number))
        (alert,) = await alerts.wait("depth")
        assert alert.numbers["level"] == P0
        assert alert.numbers["critical"] == 0
        assert 50 < alert.numbers["depth"] <= 51
        for number in range(52, 82):
            await bus.dispatch(fill(number))
        assert (await alerts.wait("depth", 2))[1].numbers["critical"] == 1
        await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=0))
        await slow_p2.is_entered()
        for number in range(1, 952):
            await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number))
        await until(lambda: bus.level is DegradationLevel.P3_PAUSED)
        slow_p0.open.set()
        slow_p2.open.set()
        await bus.stop()
        assert len(slow_p0.handled) == 82

    run(work())


def test_a_p0_event_that_the_journal_does_not_take_is_handled_and_blocks_entries(tmp_path):
    async def work():
        gate = Gate()
        gate.open.set()
        bus = dispatcher(gate, journal=tmp_path)
        alerts = Alerts(bus)
        await bus.start()
        assert bus.holds == ()
        bus._bus.close_journal()  # nothing is written from now on
        assert await bus.dispatch(fill(1)) is True
        assert bus.holds == ("FS063",), "before anybody has handled it"
        await until(lambda: len(gate.handled) == 1)
        (alert,) = await alerts.wait("journal_failed")
        assert (alert.code, alert.effect) == ("FS063", "FAIL")
        await bus.dispatch(fill(2))
        await until(lambda: len(gate.handled) == 2)
        figures = bus.figures()
        assert (figures.journal_failures, figures.holds) == (2, ("FS063",))
        assert bus.errors == (), "what the journal does not know is not marked there"
        assert bus.release("FS063") is True
        assert bus.holds == ()
        await bus.stop()

    run(work())


def test_a_mark_that_the_journal_does_not_take_blocks_entries(tmp_path):
    async def work():
        gate = Gate()
        bus = dispatcher(gate, journal=tmp_path)
        await bus.start()
        await bus.dispatch(fill(1))
        await gate.is_entered()
        bus._bus.close_journal()
        gate.open.set()
        await until(lambda: bus.holds == ("FS063",))
        await until(lambda: bus.errors)
        assert bus.errors[0].handler == "journal"
        await bus.stop()

    run(work())


def test_a_journal_that_comes_near_its_quota_is_told_before_it_blocks_entries(tmp_path):
    """GR103 at four fifths, while all is well; FS063 where nothing may go because nothing is done."""
    limits = JournalLimits(segment_bytes=16 << 10, quota_bytes=160 << 10)

    async def work():
        gate, number = Gate(), 0
        gate.open.set()
        bus = dispatcher(gate, journal=tmp_path, limits=limits)
        alerts = Alerts(bus)
        await bus.start()
        while not alerts.of("journal_quota"):
            assert await bus.dispatch(fill(number))
            number += 1
        (alert,) = alerts.of("journal_quota")
        assert (alert.code, alert.effect) == ("GR103", "NOTE")
        assert alert.numbers["quota"] == limits.quota_bytes
        assert 0.8 * limits.quota_bytes <= alert.numbers["used"] <= limits.quota_bytes
        await until(lambda: len(gate.handled) == number)
        await until(lambda: bus.holds == ())  # P0 may have been full for a moment, which ends by itself
        assert bus.figures().journal_failures == 0
        gate.open.clear()
        while "FS063" not in bus.holds:
            assert await bus.dispatch(fill(number))
            number += 1
        (alert,) = await alerts.wait("journal_failed")
        assert alert.code == "FS063"
        gate.open.set()
        await until(lambda: len(gate.handled) == number)
        await bus.stop()

    async def again():
        gate = Gate()
        gate.open.set()
        bus = dispatcher(gate, journal=tmp_path, limits=limits)
        await bus.start()
        first = fill(0)
        assert await bus.dispatch(first)
        await until(lambda: first.event_id in gate.handled)  # and with it all that was left unfinished
        before = len(gate.handled)
        for number in range(1, 1_000):
            assert await bus.dispatch(fill(number))
            await until(lambda number=number: len(gate.handled) == before + number)
        await bus.stop()
        assert (bus.holds, bus.figures().journal_failures, bus.errors) == ((), 0, ()), "what is done makes room"
        assert sum(path.stat().st_size for path in tmp_path.glob("*.qtsj")) <= limits.quota_bytes

    run(work())
    run(again())


def test_limits_that_no_journal_can_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match="segment_bytes"):
        dispatcher(Gate(), journal=tmp_path, limits=JournalLimits(segment_bytes=1_000))


def test_a_full_p0_blocks_entries_at_once_and_until_it_has_had_room():
    async def work():
        gate = Gate()
        gate.open.set()
        bus = dispatcher(gate, recover_ms=0)
        for number in range(100):
            assert bus.dispatch_nowait(fill(number)) is PutResult.ACCEPTED
        assert bus.holds == ()
        assert bus.dispatch_nowait(fill(100)) is PutResult.REFUSED_FULL
        assert bus.holds == ("FS095",)
        await bus.start()
        alerts = Alerts(bus)
        (alert,) = await alerts.wait("p0_full")
        assert (alert.code, alert.effect) == ("FS095", "NOTE")
        await until(lambda: bus.holds == ())
        await bus.stop()

    run(work())


def test_only_what_blocks_can_be_released():
    bus = dispatcher(Gate())
    for code in ("FS050", ""):
        with pytest.raises(UsageError, match="FS063, FS095, FS096, FS097, FS098"):
            bus.release(code)


def test_signals_beyond_the_limit_are_counted_on_both_sides():
    async def work():
        gate = Gate()
        bus = dispatcher(lambda one: None, gate, dead_letters=4)
        await bus.start()
        await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=0))
        await gate.is_entered()
        for number in range(1, 11):
            await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number))
        await until(lambda: bus.figures().levels[P2].waiting == 10)
        bus.set_degradation_level(DegradationLevel.P2_P3_PAUSED)
        for number in range(11, 17):
            assert await bus.dispatch(event(EventType.SIGNAL_GENERATED, cycle_id=number)) is False
        counters = bus.figures().levels[P2].counters
        assert (counters["signals_discarded"], counters["python_signals_discarded"]) == (2, 6)
        lost = [one.payload["cycle_id"] for one in bus.lost_signals()]
        assert lost == [13, 14, 15, 16, 7, 8, 9, 10], "the newest of each side"
        gate.open.set()
        await bus.stop()

    run(work())


def test_how_the_threads_run_is_among_the_figures_and_a_core_that_is_not_there_is_told():
    async def work():
        gate = Gate()
        gate.open.set()
        bus = dispatcher(gate, p0_core=1_023)
        alerts = Alerts(bus)
        assert bus.figures().scheduling == ("normal", "normal")
        await bus.start()
        await bus.dispatch(fill(1))
        await until(lambda: gate.handled)
        (alert,) = await alerts.wait("core_not_available")
        assert alert.numbers == {"core": 1_023}
        p0, p1 = bus.figures().scheduling
        assert p0 in {"real-time", "high", "normal"}
        assert p1 in {"high", "normal"}
        await bus.stop()
        is_short = bus.figures().scheduling != ("real-time", "high")
        assert len(alerts.of("priority_not_permitted")) == is_short, "once, not for each thread"
        assert bus.figures().isolation_violations == (0, 0)

    run(work())


@pytest.mark.parametrize(
    ("name", "code", "numbers", "effect"),
    [
        ("p0_full", "FS095", {"times": 1, "lasting": 0}, "NOTE"),
        ("p0_full", "FS095", {"times": 1, "lasting": 1}, "FAIL"),
        ("p0_failed", "FS096", {"again": 0}, "FAIL"),
        ("p0_failed", "FS096", {"again": 1}, "LOCKDOWN"),
        ("p1_failed", "FS097", {}, "FAIL"),
        ("p0_dead_letter", "FS098", {"seq": 1}, "FAIL"),
        ("level", "GR090", {"level": 3}, "NOTE"),
        ("depth", "", {"level": 0, "critical": 1, "depth": 81}, None),
    ],
)
def test_an_alert_says_what_it_asks_of_the_safety_state(name, code, numbers, effect):
    assert EventAlert(name, code, numbers).effect == effect
