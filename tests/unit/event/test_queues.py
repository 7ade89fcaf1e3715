"""The asynchronous face of the queues, and each one's overflow policy."""

import asyncio
import threading

import pytest
from event_samples import event, fill

from qts import _core
from qts.event import (
    BoundedQueue,
    CollapsingQueue,
    EventConfig,
    EventError,
    EventPriority,
    EventType,
    OverflowPolicy,
    PutResult,
    QueueConfig,
    RingBuffer,
    SamplingQueue,
    create_queue,
)
from qts.event.wire import to_row, to_wire

WAIT_S = 10


def run(work):
    return asyncio.run(asyncio.wait_for(work, WAIT_S))


def tick(number, symbol="005930"):
    return event(EventType.PRICE_TICK, symbol=symbol, volume=number)


def volumes(events):
    return [one.payload["volume"] for one in events]


def metric(number, kind=EventType.METRIC_RECORD):
    return event(kind, n=number)


def numbers(events):
    return [one.payload["n"] for one in events]


QUEUES = [
    (BoundedQueue, fill),
    (RingBuffer, tick),
    (CollapsingQueue, lambda n: event(EventType.INDICATOR_UPDATE, symbol=str(n))),
    (SamplingQueue, metric),
]


@pytest.mark.parametrize(("make", "sample"), QUEUES)
def test_events_come_out_in_their_order(make, sample):
    async def work():
        queue, sent = make(8), [sample(n) for n in range(5)]
        assert [await queue.put(one) for one in sent] == [True] * 5
        assert (queue.size(), queue.capacity(), queue.is_full()) == (5, 8, False)
        assert await queue.get() == sent[0]
        assert await queue.get_batch(3, 0) == sent[1:4]
        assert await queue.get_batch(9, 1_000) == sent[4:]
        assert await queue.get() is None
        assert await queue.get(timeout_ms=1) is None
        counters = queue.counters()
        assert (counters["admitted"], counters["handled"]) == (5, 5)

    run(work())


@pytest.mark.parametrize(("make", "sample"), QUEUES)
def test_whoever_waits_is_woken_by_an_event_from_another_thread(make, sample):
    async def work():
        queue = make(8)
        waiting = asyncio.create_task(queue.get(timeout_ms=WAIT_S * 1_000))
        await asyncio.sleep(0)
        thread = threading.Thread(target=queue.put_nowait, args=(sample(1),))
        thread.start()
        assert (await waiting).event_type is sample(1).event_type
        thread.join()

    run(work())


@pytest.mark.parametrize(("make", "sample"), QUEUES)
def test_a_closed_queue_takes_nothing_in_gives_what_it_has_and_wakes_whoever_waits(make, sample):
    async def work():
        queue = make(8)
        waiting = asyncio.create_task(queue.get(timeout_ms=WAIT_S * 1_000))
        await asyncio.sleep(0)
        queue.close()
        assert await waiting is None
        assert await queue.put(sample(1)) is False
        assert queue.put_nowait(sample(1)) is PutResult.CLOSED

        left = make(8)
        await left.put(sample(1))
        left.close()
        assert await left.get(1_000) is not None
        assert await left.get(1_000) is None

    run(work())


@pytest.mark.parametrize(("make", "sample"), QUEUES)
def test_a_queue_takes_events_of_its_own_level_only(make, sample):
    async def work():
        other = tick(1) if make is not RingBuffer else fill()
        with pytest.raises(EventError, match="in this queue"):
            await make(8).put(other)
        with pytest.raises(ValueError, match="at least 1"):
            await make(8).get_batch(0, 0)

    run(work())


@pytest.mark.parametrize("make", [one for one, _ in QUEUES])
def test_a_queue_without_room_is_refused(make):
    with pytest.raises(ValueError, match="at least 1"):
        make(0)


def test_a_full_p0_makes_the_producer_wait_and_loses_nothing():
    async def work():
        queue = BoundedQueue(2)
        for number in range(2):
            assert await queue.put(fill(number))
        assert queue.is_full()
        assert queue.put_nowait(fill(9)) is PutResult.REFUSED_FULL
        waiting = [asyncio.create_task(queue.put(fill(number))) for number in (2, 3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        taken = [(await queue.get(WAIT_S * 1_000)).payload["order_id"] for _ in range(4)]
        assert await asyncio.gather(*waiting) == [True, True]
        assert sorted(taken) == [f"ORD-{number}" for number in range(4)]
        assert taken[:2] == ["ORD-0", "ORD-1"]

    run(work())


def test_closing_ends_the_wait_for_room():
    async def work():
        queue = BoundedQueue(1)
        await queue.put(fill())
        waiting = asyncio.create_task(queue.put(fill(2)))
        await asyncio.sleep(0)
        queue.close()
        assert await waiting is False

    run(work())


def test_a_stop_overtakes_fills():
    async def work():
        queue = BoundedQueue(1)
        await queue.put(fill())
        await queue.put(event(EventType.EMERGENCY_STOP))
        assert queue.size() == 1  # places of their own
        assert (await queue.get()).event_type is EventType.EMERGENCY_STOP

    run(work())


def test_a_full_p1_keeps_the_newest_and_counts_what_it_gave_up():
    async def work():
        queue = RingBuffer(10_000)
        rows = [to_row(tick(number, symbol=f"S{number % 7}")) for number in range(64)]
        wires = (_core.WireEvent(*rows[n % 64][:4], n + 1, *rows[n % 64][5:]) for n in range(10_500))
        results = [queue._put(wire) for wire in wires]
        assert results[:10_000] == [PutResult.ACCEPTED] * 10_000
        assert results[10_000:] == [PutResult.ACCEPTED_DROPPED_OLDEST] * 500
        assert queue.size() == 10_000
        counters = queue.counters()
        assert (counters["admitted"], counters["dropped"]) == (10_500, 500)
        stamps = [row[3] for row in queue._native.take(20_000)]
        assert stamps == list(range(501, 10_501))

    run(work())


def test_p2_merges_equal_wishes_at_the_older_place_and_never_signals():
    async def work():
        queue = CollapsingQueue(10)
        first = event(EventType.STRATEGY_EVALUATE, symbols=["A", "B"])
        other = event(EventType.STRATEGY_EVALUATE, strategy_id="b")
        newer = event(EventType.STRATEGY_EVALUATE, symbols=["B", "C"], calc_data_version=2)
        assert [queue.put_nowait(one) for one in (first, other, newer)] == [
            PutResult.ACCEPTED,
            PutResult.ACCEPTED,
            PutResult.MERGED,
        ]
        signals = [event(EventType.SIGNAL_GENERATED, cycle_id=n) for n in (1, 2)]
        assert [queue.put_nowait(one) for one in signals] == [PutResult.ACCEPTED] * 2
        merged, second, *rest = await queue.get_batch(9, 0)
        assert merged.payload["symbols"] == ["A", "B", "C"]
        assert (merged.payload["calc_data_version"], merged.event_id) == (2, newer.event_id)
        assert second == other
        assert rest == signals
        assert queue.counters()["merged"] == 1

    run(work())


@pytest.mark.parametrize(
    ("kind", "one", "another"),
    [
        (EventType.ETEDA_CYCLE_START, {"pipeline_id": "a"}, {"pipeline_id": "b"}),
        (EventType.RISK_EVALUATE, {"account": "a"}, {"account": "a", "symbol": "005930"}),
        (EventType.PORTFOLIO_EVALUATE, {"account": "a"}, {"account": "b"}),
        (EventType.INDICATOR_UPDATE, {"symbol": "a", "timeframe": "1m"}, {"symbol": "a", "timeframe": "5m"}),
    ],
)
def test_p2_merges_within_a_scope_only(kind, one, another):
    queue = CollapsingQueue(10)
    assert queue.put_nowait(event(kind, **one)) is PutResult.ACCEPTED
    assert queue.put_nowait(event(kind, **another)) is PutResult.ACCEPTED
    assert queue.put_nowait(event(kind, **one)) is PutResult.MERGED
    assert queue.size() == 2


def test_p2_keeps_apart_what_may_not_merge_and_bare_events_merge():
    queue = CollapsingQueue(10)
    kind = EventType.INDICATOR_UPDATE
    bare = event(kind)
    apart = [type(bare)(event_type=kind, priority=bare.priority, can_batch=True) for _ in range(2)]
    assert [queue.put_nowait(one) for one in (bare, event(kind), *apart)] == [
        PutResult.ACCEPTED,
        PutResult.MERGED,
        PutResult.ACCEPTED,
        PutResult.ACCEPTED,
    ]


def test_a_full_p2_gives_up_the_oldest_wish_and_refuses_when_only_signals_wait():
    async def work():
        queue = CollapsingQueue(2)
        assert await queue.put(event(EventType.INDICATOR_UPDATE))
        assert await queue.put(event(EventType.SIGNAL_GENERATED, cycle_id=1))
        full = event(EventType.SIGNAL_GENERATED, cycle_id=2)
        assert queue.put_nowait(full) is PutResult.ACCEPTED_DROPPED_OLDEST
        assert await queue.put(event(EventType.INDICATOR_UPDATE)) is False
        assert queue.counters()["refused"] == 1

    run(work())


def test_a_full_p3_keeps_one_in_ten_of_a_type_and_all_that_is_protected():
    async def work():
        queue = SamplingQueue(10, 0.1)
        for number in range(10):
            assert await queue.put(metric(number))
        results = [queue.put_nowait(metric(number)) for number in range(10, 40)]
        assert [n for n, result in zip(range(10, 40), results, strict=True) if result is not PutResult.SAMPLED_OUT] == [
            19,
            29,
            39,
        ]
        protected = [event(EventType.NOTIFICATION_SEND, severity="CRITICAL", n=n) for n in range(30)]
        assert [queue.put_nowait(one) for one in protected] == [PutResult.ACCEPTED] * 30
        assert await queue.put(metric(40)), "sampled out is not refused"
        taken = await queue.get_batch(99, 0)
        assert taken[:30] == protected
        assert numbers(taken[30:]) == [3, 4, 5, 6, 7, 8, 9, 19, 29, 39]

    run(work())


def test_queues_come_from_the_settings():
    config = EventConfig.from_settings()
    queues = [create_queue(config.queues[priority]) for priority in EventPriority]
    assert [type(queue) for queue in queues] == [BoundedQueue, RingBuffer, CollapsingQueue, SamplingQueue]
    assert [queue.capacity() for queue in queues] == [100, 10_000, 1_000, 50_000]


def test_a_policy_of_another_level_and_a_rate_out_of_range_are_refused():
    with pytest.raises(ValueError, match="one policy"):
        create_queue(QueueConfig(EventPriority.P0_CRITICAL, 10, OverflowPolicy.SAMPLE))
    for rate in (0, 1.5):
        with pytest.raises(ValueError, match="sample_rate"):
            SamplingQueue(10, rate)


def test_a_native_queue_refuses_events_that_do_not_fit_into_it():
    with pytest.raises(ValueError, match="expected one of P2 or P3"):
        _core.P2Queue(1).put(to_wire(tick(1)))
    with pytest.raises(ValueError, match="expected one of P0 or P1"):
        _core.P0Queue(1).put(to_wire(metric(1)))
