"""What crosses the border: every event comes out as it went in, or is refused with a reason."""

from datetime import datetime
from decimal import Decimal

import pytest
from event_samples import FILL, MOMENT, PAYLOADS, TICK, event

from qts import _core
from qts.event import EVENT_PRIORITY_MAP, Event, EventError, EventPriority, EventType, PutResult, create_event
from qts.event.payloads import FIELDS
from qts.event.wire import SOURCES, from_row, row_id, shard_of, to_row, to_wire


class SubText(str):
    __slots__ = ()


def returned(sent):
    """Return an event as a queue gives it back."""
    make = {0: _core.P0Queue, 1: _core.P1Queue, 2: _core.P2Queue}.get(sent.priority)
    queue = _core.P3Queue(4, 1) if make is None else make(4)
    assert PutResult(queue.put(to_wire(sent))) is PutResult.ACCEPTED
    (row,) = queue.take(9)
    return from_row(row)


@pytest.mark.parametrize("kind", list(EventType))
def test_every_type_comes_out_as_it_went_in(kind):
    sent = event(kind)
    assert returned(sent).event == sent


def test_members_of_enumerations_travel_as_their_values():
    sent = event(EventType.METRIC_RECORD, of=EventType.LOG_WRITE, level=EventPriority.P3_LOW, flag=SubText("x"))
    back = returned(sent).event.payload
    assert (back["of"], back["level"], back["flag"]) == ("LOG_WRITE", 3, "x")


def test_payload_tables_cover_exactly_the_levels_that_need_them():
    assert set(FIELDS) == {kind for kind in EventType if EVENT_PRIORITY_MAP[kind] <= EventPriority.P1_HIGH}
    assert set(FIELDS) <= set(PAYLOADS)


@pytest.mark.parametrize("source", SOURCES)
def test_every_producer_has_its_number(source):
    assert returned(event(EventType.PRICE_TICK, source)).event.source == source


@pytest.mark.parametrize("kind", [EventType.PRICE_TICK, EventType.METRIC_RECORD])
def test_other_names_identities_flags_and_fields_travel_too(kind):
    plain = event(kind, "my feed", note="x", exact=Decimal("1.10"), at=MOMENT)
    sent = Event(
        event_type=kind,
        priority=plain.priority,
        event_id="tick 7",
        timestamp=plain.timestamp,
        source="my feed",
        payload=plain.payload,
        max_process_time_ms=5,
        can_batch=False,
    )
    back = returned(sent)
    assert back.event == sent
    assert str(back.event.payload["exact"]) == "1.10"
    assert (back.seq, back.merged_count, back.sampled_weight) == (1 if sent.priority == 1 else 0, 0, 1)


@pytest.mark.parametrize(
    ("kind", "changes", "field", "expected"),
    [
        (EventType.FILL_CONFIRMED, {"order_id": None}, "order_id", "not empty"),
        (EventType.FILL_CONFIRMED, {"order_id": ""}, "order_id", "not empty"),
        (EventType.FILL_CONFIRMED, {"side": "LONG"}, "side", "BUY, SELL"),
        (EventType.FILL_CONFIRMED, {"filled_qty": 0}, "filled_qty", "at least 1"),
        (EventType.FILL_CONFIRMED, {"filled_qty": True}, "filled_qty", "integer"),
        (EventType.FILL_CONFIRMED, {"filled_qty": 1.0}, "filled_qty", "integer"),
        (EventType.FILL_CONFIRMED, {"fee": 2**63}, "fee", "integer"),
        (EventType.FILL_CONFIRMED, {"filled_time": datetime(2026, 1, 1)}, "filled_time", "time zone"),  # noqa: DTZ001
        (EventType.POSITION_UPDATE, {"qty": 2**63}, "qty", "64 bits"),
        (EventType.POSITION_UPDATE, {"reason": 5}, "reason", "text"),
        (EventType.POSITION_UPDATE, {"avg_price": Decimal("NaN")}, "avg_price", "finite"),
        (EventType.POSITION_UPDATE, {"avg_price": -1}, "avg_price", "at least 0"),
        (EventType.EMERGENCY_STOP, {"duration_ms": -1}, "duration_ms", "at least 0"),
        (EventType.PRICE_TICK, {"price": 0}, "price", "above 0"),
        (EventType.PRICE_TICK, {"price": "71000"}, "price", "finite"),
        (EventType.PRICE_TICK, {"price": float("inf")}, "price", "finite"),
        (EventType.PRICE_TICK, {"bid": 71_001}, "bid", "bid <= ask"),
        (EventType.ORDERBOOK_UPDATE, {"levels": "BUY"}, "levels", "rows"),
        (EventType.ORDERBOOK_UPDATE, {"levels": [["BUY", 1]]}, "levels", "rows"),
        (EventType.ORDERBOOK_UPDATE, {"levels": [["BUY", 1, 1]] * 11}, "levels", "at most 10"),
        (EventType.VIX_UPDATE, {"value": 151}, "value", "at least 5 and at most 150"),
        (EventType.STRATEGY_EVALUATE, {"symbols": "005930"}, "symbols", "at most 100"),
        (EventType.STRATEGY_EVALUATE, {"symbols": ["a"] * 101}, "symbols", "at most 100"),
        (EventType.METRIC_RECORD, {"a": {"b": [float("nan")]}}, "a.b", "finite"),
        (EventType.METRIC_RECORD, {"a": object()}, "a", "lists and mappings"),
        (EventType.METRIC_RECORD, {"a": datetime(2026, 1, 1)}, "a", "time zone"),  # noqa: DTZ001
        (EventType.METRIC_RECORD, {"a": {1: 2}}, "a", "text"),
        (EventType.METRIC_RECORD, {"$d": "1"}, "payload", "begin with"),
        (EventType.METRIC_RECORD, {"a": "\ud800"}, "payload", "UTF-8"),
    ],
)
def test_a_payload_at_fault_is_refused_with_type_field_found_and_expected(kind, changes, field, expected):
    with pytest.raises(EventError) as caught:
        to_row(event(kind, **changes))
    error = caught.value
    assert (error.event_type, error.field) == (kind, field)
    assert expected in error.expected
    assert error.found
    assert str(error).startswith(f"{kind}.{field}")


def test_a_missing_field_is_named():
    rest = {name: value for name, value in FILL.items() if name != "exec_id"}
    with pytest.raises(EventError, match="exec_id: it is missing"):
        to_row(create_event(EventType.FILL_PARTIAL, "BROKER_KIS", rest))


@pytest.mark.parametrize(
    ("kind", "most"), [(EventType.PRICE_TICK, 184), (EventType.FILL_CONFIRMED, 184), (EventType.LOG_WRITE, 65_536)]
)
def test_a_payload_as_long_as_allowed_travels_and_a_byte_more_is_refused(kind, most):
    length = most - len(to_row(event(kind, note=""))[7])
    assert returned(event(kind, note="x" * length)).event.payload["note"] == "x" * length
    with pytest.raises(EventError, match=f"{most + 1} bytes"):
        to_row(event(kind, note="x" * (length + 1)))


def test_what_another_producer_wrote_is_refused_but_keeps_its_identity():
    row = list(to_row(event(EventType.PRICE_TICK)))
    for data in (
        b"\xff",
        b"{",
        b"{}",
        b"[1]",
        b"[1,2,3,4,5,6]",
        b"\x01",
        b"\x01" + b"\xff" * 39,
        b'[1,2,3,4,{"$d":"x"}]',
    ):
        queue = _core.P1Queue(4)
        row[7] = data
        queue.put(_core.WireEvent(*row))
        (out,) = queue.take(1)
        with pytest.raises(EventError):
            from_row(out)
        assert row_id(out).replace("-", "") == row[2].hex()
    low = list(to_row(event(EventType.METRIC_RECORD)))
    low[7] = b"[]"
    queue = _core.P3Queue(4, 1)
    queue.put(_core.WireEvent(*low))
    with pytest.raises(EventError, match="object"):
        from_row(queue.take(1)[0])


def test_a_symbol_keeps_its_shard_and_others_get_their_own():
    assert shard_of("shard-a") == shard_of("shard-a") != shard_of("shard-b")
    assert shard_of(None) == 0


def test_once_the_numbers_are_used_up_symbols_share_them(monkeypatch):
    monkeypatch.setattr("qts.event.wire._SHARDS", {})
    monkeypatch.setattr("qts.event.wire._SYMBOLS", [])
    monkeypatch.setattr("qts.event.wire._SHARDS_MAX", 1)
    assert [shard_of("a"), shard_of("b"), shard_of("a")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: 23}, "event type number 23"),
        ({1: 15}, "source number 15"),
        ({2: b"12"}, "id has 2 bytes"),
        ({3: b"1"}, "correlation has 1 bytes"),
        ({7: b"x" * 185}, "at most 184"),
    ],
)
def test_the_border_refuses_numbers_that_do_not_exist(change, message):
    row = list(to_row(create_event(EventType.PRICE_TICK, "MARKET_DATA", TICK)))
    for place, value in change.items():
        row[place] = value
    with pytest.raises(ValueError, match=message):
        _core.WireEvent(*row)
