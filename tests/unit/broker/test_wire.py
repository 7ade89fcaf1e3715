"""Lines between the simulated broker's processes: what is written is read back, anything else is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.broker import wire
from qts.broker.asynchronous import (
    BrokerCash,
    BrokerOrder,
    BrokerPosition,
    Capability,
    FillEvent,
    ModifyAck,
    OrderNotice,
    Rejected,
)

FILL = FillEvent("e-1", "91", "삼성전자", "BUY", 3, 71_000, None, 30, None, 1_764_000_000_000_000_000)
ORDER = BrokerOrder("91", "", "005930", "SELL", "LIMIT", 5, 71_000, 2, 3, True, 7)
EXAMPLES = [
    FILL,
    FILL._replace(cumulative_qty=3, tax=-1),
    ORDER,
    ModifyAck("92", "91", 8),
    BrokerPosition("005930", 5, 3, 355_000),
    BrokerCash(-1, 0),
    Capability("sim", False, True, 8, 10),
    OrderNotice("91", "EXPIRED", "", 3, 9),
]


@pytest.mark.parametrize("contract", EXAMPLES, ids=lambda c: type(c).__name__)
def test_contract_that_is_written_is_read_back(contract):
    line = wire.load(wire.dump(contract._asdict()))
    again = wire.read(type(contract), line)
    assert again == contract
    assert [type(value) for value in again] == [type(value) for value in contract]


def test_korean_text_stays_text():
    data = wire.refusal(3, Rejected("PERMANENT", "40270000", "호가단위를 확인하십시오"))
    assert "호가단위" in data.decode()
    line = wire.load(data)
    del line["id"], line["ok"]
    error = wire.rejected(line)
    assert (error.kind, error.code, error.text) == ("PERMANENT", "40270000", "호가단위를 확인하십시오")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{",
        b"[1]",
        b"7",
        b'"text"',
        b"null",
        b'{"id":1}{"id":2}',
        b'{"id":NaN}',
        b'{"id":-Infinity}',
        b'{"id":1.0}',
        b'{"id":1e400}',
        b'{"id":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"id":' + b"9" * 5_000 + b"}",
        b'"' + b"x" * wire.MAX_LINE,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bytes_that_are_no_line_are_unreadable(data):
    with pytest.raises(wire.Unreadable):
        wire.load(data)


@pytest.mark.parametrize(
    "change",
    [
        {"qty": -1},
        {"qty": True},
        {"qty": "3"},
        {"qty": None},
        {"qty": 1 << 63},
        {"side": "HOLD"},
        {"side": ["BUY"]},
        {"event_id": ""},
        {"event_id": 5},
        {"event_id": "x" * 1_001},
        {"ts_ns": -1},
        {"more": 1},
    ],
    ids=str,
)
def test_fill_with_a_field_that_cannot_be_is_unreadable(change):
    with pytest.raises(wire.Unreadable):
        wire.read(FillEvent, FILL._asdict() | change)


@pytest.mark.parametrize("name", FillEvent._fields)
def test_fill_with_a_field_missing_is_unreadable(name):
    line = FILL._asdict()
    del line[name]
    with pytest.raises(wire.Unreadable, match=name):
        wire.read(FillEvent, line)


def test_truth_is_no_number_and_a_number_no_truth():
    with pytest.raises(wire.Unreadable):
        wire.read(BrokerOrder, ORDER._asdict() | {"is_live": 1})


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "PERMANENT", "code": "1"},
        {"kind": "MOOD", "code": "1", "text": ""},
        {"kind": "PERMANENT", "code": 1, "text": ""},
        {"kind": "PERMANENT", "code": "1", "text": "", "more": 1},
    ],
    ids=str,
)
def test_refusal_that_does_not_say_what_it_should_is_unreadable(line):
    with pytest.raises(wire.Unreadable):
        wire.rejected(line)


def test_list_says_how_many_rows_come_and_where_it_ends():
    lines = [json.loads(line) for line in wire.listing(4, [{"a": 1}, {"b": 2}]).splitlines()]
    assert lines == [
        {"id": 4, "ok": True, "count": 2},
        {"id": 4, "row": {"a": 1}},
        {"id": 4, "row": {"b": 2}},
        {"id": 4, "end": 2},
    ]


@pytest.mark.parametrize("event", [FILL, OrderNotice("91", "CANCELLED", "90", 3, 9)])
def test_notice_that_is_written_is_read_back(event):
    assert wire.read_notice(wire.load(wire.notice(event))) == event


def test_sign_of_life_is_no_event_and_anything_else_no_notice():
    assert wire.read_notice(wire.load(wire.ALIVE)) is None
    for line in ({"notice": "ALIVE", "more": 1}, {"notice": "RUMOUR"}, {}, {"notice": ["FILL"]}):
        with pytest.raises(wire.Unreadable):
            wire.read_notice(dict(line))


def test_line_that_is_too_long_is_not_written():
    with pytest.raises(wire.Unreadable, match="at most"):
        wire.dump({"text": "가" * wire.MAX_LINE})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_unreadable_and_nothing_else(data):
    try:
        line = wire.load(data)
    except wire.Unreadable:
        return
    assert isinstance(line, dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EXAMPLES), st.data())
def test_one_changed_field_gives_a_sound_contract_or_unreadable(contract, data):
    name = data.draw(st.sampled_from(contract._fields))
    value = data.draw(JSON)
    try:
        again = wire.read(type(contract), contract._asdict() | {name: value})
    except wire.Unreadable:
        return
    assert getattr(again, name) == value
    assert value is None or type(value) in {int, str, bool}
