"""Ticks as records: whole batches in and out, and nothing of a batch that is at fault."""

import asyncio
import struct
import threading

import numpy as np
import pytest

from qts import _core
from qts.codes import UsageError
from qts.event import (
    CallbackHandler,
    DegradationLevel,
    EventConfig,
    EventDispatcher,
    EventError,
    EventPriority,
    EventType,
)
from qts.event.ticks import TICK_BYTES, TICK_DTYPE, TickResult
from qts.event.wire import symbol_count, symbol_name, symbol_number

WAIT_S = 20
DTYPE = np.dtype(list(TICK_DTYPE))
MARKET = ("TICK-A", "TICK-B", "TICK-C")


def ticks(count, first=0):
    """Return records of three symbols whose price tells their place."""
    numbers = [symbol_number(symbol) for symbol in MARKET]
    batch = np.zeros(count, DTYPE)
    place = np.arange(first, first + count)
    batch["ts_ns"] = 1_700_000_000_000_000_000 + place
    batch["symbol"] = np.array(numbers)[place % len(numbers)]
    batch["price"], batch["volume"] = place + 100, place % 7
    batch["bid"], batch["ask"] = place + 99, place + 101
    return batch


class Records:
    """Keeps records and says when it has so many."""

    def __init__(self, wanted):
        self.batches, self._wanted, self._enough = [], wanted, threading.Event()

    def __call__(self, records):
        self.batches.append(np.frombuffer(records, DTYPE))
        if sum(map(len, self.batches)) >= self._wanted:
            self._enough.set()

    def wait(self):
        assert self._enough.wait(WAIT_S), f"{sum(map(len, self.batches))} of {self._wanted}"
        return np.concatenate(self.batches)


def live(work, *, handlers=(), tick_handlers=()):
    """Run a coroutine function on a started dispatcher, which it gets, then stop; return what it returned."""

    async def run():
        bus = EventDispatcher(EventConfig.from_settings())
        bus.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(lambda _: None, "p0"))
        for handler in handlers:
            bus.register_handler(EventPriority.P1_HIGH, handler)
        for number, handler in enumerate(tick_handlers):
            bus.register_tick_handler(handler, f"ticks-{number}")
        await bus.start()
        try:
            return await work(bus)
        finally:
            await bus.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_a_record_is_48_bytes_and_numpy_knows_its_fields():
    assert TICK_BYTES == DTYPE.itemsize == 48
    assert DTYPE.names == ("ts_ns", "symbol", "reserved", "price", "volume", "bid", "ask")


@pytest.mark.parametrize("form", [lambda batch: batch, lambda batch: batch.tobytes(), lambda batch: bytearray(batch)])
def test_a_batch_comes_out_as_it_went_in_with_each_symbol_in_order(form):
    seen, sent = Records(3_000), ticks(3_000)

    async def work(bus):
        assert bus.dispatch_ticks(form(sent)) == TickResult(3_000, 0, 0, 0)
        got = await asyncio.to_thread(seen.wait)
        for number in map(symbol_number, MARKET):
            assert (got[got["symbol"] == number] == sent[sent["symbol"] == number]).all()
        assert bus.figures().levels[EventPriority.P1_HIGH].handled == 3_000

    live(work, tick_handlers=[seen])


def test_other_handlers_get_the_same_ticks_as_events():
    got, enough = [], threading.Event()

    def take(event):
        got.append(event)
        if len(got) == 3:
            enough.set()

    async def work(bus):
        assert bus.dispatch_ticks(ticks(3)).admitted == 3
        assert await asyncio.to_thread(enough.wait, WAIT_S)

    live(work, handlers=[CallbackHandler(take)])
    first = min(got, key=lambda event: event.payload["price"])
    assert (first.event_type, first.source) == (EventType.PRICE_TICK, "MARKET_DATA")
    assert first.payload == {"symbol": "TICK-A", "price": 100, "volume": 0, "bid": 99, "ask": 101}
    assert len({event.event_id for event in got}) == 3


def test_what_a_full_ring_gives_up_is_counted_exactly():
    held, entered, seen = threading.Event(), threading.Event(), []

    def slow(records):
        seen.append(len(records) // TICK_BYTES)
        entered.set()
        assert held.wait(WAIT_S)

    async def work(bus):
        total = TickResult(*map(sum, zip(*(bus.dispatch_ticks(ticks(50_000)) for _ in range(20)), strict=True)))
        assert (total.admitted + total.refused, total.closed) == (1_000_000, 0)
        held.set()

        def settled():
            level = bus.figures().levels[EventPriority.P1_HIGH]
            counters = level.counters
            out = level.handled + counters["python_dropped"] + level.waiting
            return counters["handled"] == out and not level.depth and not level.waiting

        while not settled():  # noqa: ASYNC110 - other threads bring it about
            await asyncio.sleep(0)
        counters = bus.figures().levels[EventPriority.P1_HIGH].counters
        assert counters["admitted"] == total.admitted == counters["handled"] + counters["dropped"]
        assert counters["dropped"] == total.displaced
        assert sum(seen) + counters["python_dropped"] == counters["handled"]

    live(work, tick_handlers=[slow])


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("ts_ns", 0, "after 1970"),
        ("symbol", 2**31, "known symbol"),
        ("reserved", 1, "0"),
        ("price", 0, "above 0"),
        ("volume", -1, "at least 0"),
        ("bid", -5, "above 0"),
        ("ask", 100, "at least the bid"),
    ],
)
def test_one_record_at_fault_is_named_and_nothing_is_admitted(field, value, expected):
    async def work(bus):
        batch = ticks(1_000)
        batch[field][777] = value
        with pytest.raises(EventError, match=f"record 777, {field}.*{expected}"):
            bus.dispatch_ticks(batch)
        assert bus.figures().levels[EventPriority.P1_HIGH].counters["admitted"] == 0

    live(work)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (b"x" * 47, "record 0.*47 bytes"),
        (ticks(3).tobytes()[:-1], "record 2.*47 bytes"),
        (np.zeros(6), "elements of 8 bytes"),
        (np.zeros(1, [("price", "<i8"), ("rest", "V40")]), "dtype"),
        (np.zeros(1, "V48"), "record 0, ts_ns"),
        ([1, 2], "list"),
    ],
)
def test_what_is_no_batch_of_records_is_refused(batch, message):
    async def work(bus):
        with pytest.raises(EventError, match=message):
            bus.dispatch_ticks(batch)

    live(work)


def test_a_source_without_a_number_is_refused():
    with pytest.raises(EventError, match="MARKET_DATA"):
        EventDispatcher(EventConfig.from_settings()).dispatch_ticks(ticks(1), source="elsewhere")


def test_before_the_start_and_after_the_stop_ticks_find_it_closed():
    bus = EventDispatcher(EventConfig.from_settings())
    assert bus.dispatch_ticks(ticks(5)) == TickResult(0, 0, 0, 5)
    assert bus.dispatch_ticks(b"") == TickResult(0, 0, 0, 0)


def test_while_p1_is_paused_ticks_wait_and_the_newest_of_each_symbol_remains():
    seen = Records(1)

    async def work(bus):
        bus.set_degradation_level(DegradationLevel.CRITICAL_ONLY)
        bus.dispatch_ticks(ticks(300))
        bus.set_degradation_level(DegradationLevel.NORMAL)
        prices: list[int] = []
        while not {397, 398, 399} <= set(prices):
            await asyncio.sleep(0)
            prices = [price for batch in tuple(seen.batches) for price in batch["price"]]
        assert len(prices) < 10, "what was overtaken meanwhile has no value"

    live(work, tick_handlers=[seen])


def test_a_tick_handler_that_fails_is_recorded_and_stops_no_other():
    seen = Records(10)

    def fails(_records):
        raise RuntimeError("no")

    async def work(bus):
        bus.dispatch_ticks(ticks(10))
        await asyncio.to_thread(seen.wait)
        assert {error.handler for error in bus.errors} == {"ticks-0"}
        assert bus.figures().levels[EventPriority.P1_HIGH].errors >= 1

    live(work, tick_handlers=[fails, seen])


def test_a_tick_handler_is_registered_once_and_before_the_start():
    async def work(bus):
        with pytest.raises(UsageError, match="before the start"):
            bus.register_tick_handler(print, "late")

    live(work)
    bus = EventDispatcher(EventConfig.from_settings())
    bus.register_tick_handler(print, "a")
    with pytest.raises(UsageError, match="new name"):
        bus.register_tick_handler(print, "a")


def test_ticks_that_are_left_when_it_ceases_are_discarded():
    from qts.event.ticks import TickFeed

    class Left:
        is_journaled = False

        def drain_ticks(self, _most):
            return b"x" * TICK_BYTES * 2

    feed = TickFeed(Left())
    feed.handlers.append(("never", lambda _: pytest.fail("it was called")))
    feed.cease()
    server = object()
    assert not feed.drain(server), "another thread serves the feed"
    feed.serve_by(server)
    assert feed.drain(server)
    assert (feed.discarded, feed.handled) == (2, 0)


def test_symbols_keep_their_numbers():
    number = symbol_number("TICK-NEW")
    assert (symbol_name(number), symbol_number("TICK-NEW")) == ("TICK-NEW", number)
    assert number < symbol_count()
    with pytest.raises(EventError, match="symbol"):
        symbol_number("")


def test_the_core_takes_numbers_only():
    bus = _core.LiveBus()
    record = struct.pack("<qIIqqqq", 1, 0, 0, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="source number 99"):
        bus.dispatch_ticks(record, 1, 99, b"")
    with pytest.raises(ValueError, match="first_id has 3 bytes"):
        bus.dispatch_ticks(record, 1, 2, b"abc")
    assert bus.dispatch_ticks(memoryview(record), 1, 2, b"") == (0, 0, 0, 1)
