"""Protected events of P3 for which there is no room: they go to the journal as audit records, or it is told."""

import asyncio
import json
import threading

from event_samples import event, fill

from qts._core import journal_records
from qts.event import CallbackHandler, EventConfig, EventDispatcher, EventPriority, EventType, PutResult

P0, _, _, P3 = EventPriority
WAIT_S = 20
ROOM = 4_096


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


async def until(condition):
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0)


def alarm(number):
    return event(EventType.NOTIFICATION_SEND, severity="CRITICAL", number=number)


class Gate:
    """A P3 handler that keeps its thread until it is opened."""

    def __init__(self):
        self.open, self.heard = threading.Event(), []

    def __call__(self, one):
        assert self.open.wait(WAIT_S)
        self.heard.append(one.payload["number"])


async def flooded(gate, count, journal=None):
    """A dispatcher whose P3 handler does not come back, after `count` alarms; all that has no room has been seen to."""
    bus = EventDispatcher(EventConfig.from_settings(), journal=journal)
    bus.register_handler(P0, CallbackHandler(lambda one: None, "p0"))
    bus.register_handler(P3, CallbackHandler(gate, "gate"))
    await bus.start()
    results = [bus.dispatch_nowait(alarm(number)) for number in range(count)]
    assert set(results) <= {PutResult.ACCEPTED}, "the native side hands on at once"
    await until(lambda: counters(bus)["handled"] == count and bus.figures().levels[P3].depth == 0)
    return bus


def counters(bus):
    return bus.figures().levels[P3].counters


def kept(directory):
    records = journal_records(directory)
    return [json.loads(payload) for _, _, kind, _, payload in records if kind == "AUDIT"]


def test_what_finds_no_room_on_its_way_to_python_stands_in_the_journal(tmp_path):
    count = ROOM + 500
    gate = Gate()

    async def work():
        bus = await flooded(gate, count, tmp_path)
        await until(lambda: counters(bus)["python_spilled"] >= 300)
        assert (bus.holds, bus.alerts()) == ((), ())
        gate.open.set()
        await until(lambda: len(gate.heard) + counters(bus)["python_spilled"] == count)
        await bus.stop()
        return counters(bus)["python_spilled"]

    spilled = run(work())
    audits = kept(tmp_path)
    assert len(audits) == spilled
    assert sorted(gate.heard + [one["payload"]["number"] for one in audits]) == list(range(count)), "nothing is lost"
    first = audits[0]
    assert (first["event_type"], first["source"]) == ("NOTIFICATION_SEND", "SYSTEM")
    assert first["ts_ns"] > 0
    assert len(first["event_id"]) == 32


def test_what_still_waits_when_a_stop_ends_stands_in_the_journal(tmp_path):
    gate = Gate()

    async def work():
        bus = await flooded(gate, 1_000, tmp_path)
        report = await bus.stop()
        assert report.p3_discarded < 1_000
        return report.p3_discarded

    discarded = run(work())
    gate.open.set()
    audits = [one["payload"]["number"] for one in kept(tmp_path)]
    assert len(audits) > 500
    assert len(set(audits)) == len(audits)
    assert len(audits) + discarded + 4 >= 1_000, "the rest had been taken out: it is counted, or with a stuck handler"


def test_without_a_journal_it_is_told():
    count = ROOM + 300
    gate = Gate()

    async def work():
        bus = await flooded(gate, count)
        await until(lambda: counters(bus)["python_refused"] >= 100)
        gate.open.set()
        await until(lambda: len(gate.heard) + counters(bus)["python_refused"] == count)
        lost = counters(bus)["python_refused"]
        times = [alert.numbers["times"] for alert in bus.alerts() if alert.name == "p3_protected_lost"]
        assert times[:3] == [1, 2, 4]
        assert times[-1] <= lost < 2 * times[-1]
        assert counters(bus)["python_spilled"] == 0
        await bus.stop()

    run(work())


def test_a_journal_that_does_not_take_them_is_told(tmp_path):
    gate = Gate()

    async def work():
        bus = await flooded(gate, 1, tmp_path)
        bus._bus.close_journal()
        for number in range(ROOM + 300):
            bus.dispatch_nowait(alarm(number))
        await until(lambda: any(alert.name == "p3_protected_lost" for alert in bus.alerts()))
        gate.open.set()
        await bus.dispatch(fill())
        await bus.stop()

    run(work())


def test_what_may_be_dropped_is_not_kept(tmp_path):
    async def work():
        gate = Gate()
        gate.open.set()
        bus = await flooded(gate, 0, tmp_path)
        for at in range(100):
            await bus.dispatch(event(EventType.METRIC_RECORD, number=at))
        await bus.stop()

    run(work())
    assert kept(tmp_path) == []
