"""The lines that the simulated broker's server and client exchange over a socket.

Each line is one JSON object in UTF-8, ended by a newline, at most `MAX_LINE` bytes. Money, prices, quantities and times
are integers of at most 64 bits.

The client asks `{"id": 7, "do": "place", ...}`. The server answers with lines that carry the same id:

- `{"id": 7, "ok": true, ...}`: carried out, with the fields of the answer;
- `{"id": 7, "ok": false, "kind": "PERMANENT", "code": "...", "text": "..."}`: not carried out;
- a list: `{"id": 7, "ok": true, "count": 2}`, then as many `{"id": 7, "row": {...}}`, then `{"id": 7, "end": 2}`.

| do | fields | answer |
|---|---|---|
| hello | - | name, client_order_ids, amend_gives_new_number, orders_per_s, queries_per_s |
| place | symbol, side, kind, tif, limit, qty | broker_no, ts_ns |
| amend | broker_no, limit, qty (the new total) | broker_no, original_no, ts_ns |
| cancel | broker_no | broker_no, ts_ns |
| orders | open_only | list of `BrokerOrder` |
| fills | since_ns | list of `FillEvent` |
| positions | - | list of `BrokerPosition` |
| cash | - | cash, orderable |
| ping | - | ts_ns |
| subscribe | - | nothing; from then on the connection carries notices |
| quote | symbol, bid, bid_qty, ask, ask_qty | nothing: the market has moved |
| trade | symbol, price, qty | nothing |
| halt | symbol, halted | nothing |
| fill_now | broker_no, qty, price | filled |
| reject_next | kind, action (empty: any) | nothing |
| reject_next_at_exchange | - | nothing |
| transfer_in | symbol, qty, cost | nothing |
| end_session | - | nothing |

From `quote` on they are for who plays the market. Notices are lines `{"notice": "FILL" | "ORDER" | "ALIVE", ...}`;
ALIVE comes again and again, so that silence means a broken line.

A line that cannot be read, whoever sent it, is never guessed at: `Unreadable`, and the connection ends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar, cast

from qts.broker.asynchronous import (
    BrokerCash,
    BrokerOrder,
    BrokerPosition,
    CancelAck,
    Capability,
    FillEvent,
    ModifyAck,
    OrderAck,
    OrderNotice,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts.broker.asynchronous import RejectKind, StreamEvent

Line: TypeAlias = dict[str, Any]
T = TypeVar("T")

MAX_LINE: Final = 1 << 20
_MAX_INT: Final = (1 << 63) - 1
_MAX_TEXT: Final = 1_000

SIDES: Final = frozenset({"BUY", "SELL"})
KINDS: Final = frozenset({"LIMIT", "MARKET"})
TIFS: Final = frozenset({"DAY", "IOC"})
_REJECT_KINDS: Final = frozenset({"TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE", "SYMBOL_NOT_FOUND", "ALREADY_DONE"})
_ACTIONS: Final = frozenset({"", "PLACE", "AMEND", "CANCEL"})
_NOTICE_KINDS: Final = frozenset({"ACCEPTED", "AMENDED", "CANCELLED", "REJECTED", "EXPIRED"})


class Unreadable(ValueError):  # noqa: N818 - named for what is known
    """A line, or a part of one, that does not say what it should."""


def dump(line: Mapping[str, object]) -> bytes:
    """Return the bytes of one line, newline included."""
    data = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(data) > MAX_LINE:
        raise Unreadable(f"line of {len(data)} bytes; at most {MAX_LINE}")
    return data


def load(data: bytes) -> Line:
    """Read one line, with or without its newline."""
    if len(data) > MAX_LINE:
        raise Unreadable(f"line of {len(data)} bytes; at most {MAX_LINE}")
    try:
        line = json.loads(data.decode("utf-8", "strict"), parse_constant=_no_constant, parse_float=_no_float)
    except (ValueError, RecursionError) as error:  # bad UTF-8 and bad JSON are both ValueErrors
        raise Unreadable(f"not a line of JSON: {type(error).__name__}") from None
    if not isinstance(line, dict):
        raise Unreadable(f"a line is an object, not {type(line).__name__}")
    return line


def _no_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no number of this protocol")


def _no_float(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no integer")


def integer(value: object) -> int:
    """Return an integer of at most 64 bits."""
    if type(value) is not int or not -_MAX_INT <= value <= _MAX_INT:
        raise Unreadable(f"{str(value)[:40]!r} is no integer of 64 bits")
    return value


def natural(value: object) -> int:
    """Return an integer that is not negative."""
    if (number := integer(value)) < 0:
        raise Unreadable(f"{number} is negative")
    return number


def text(value: object) -> str:
    """Return a text of reasonable length."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise Unreadable(f"{str(value)[:40]!r} is no text of at most {_MAX_TEXT} characters")
    return value


def number_text(value: object) -> str:
    """Return a text that is not empty: a number that names something."""
    if not (found := text(value)):
        raise Unreadable("an empty number")
    return found


def truth(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise Unreadable(f"{str(value)[:40]!r} is neither true nor false")
    return value


def _one_of(names: frozenset[str]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise Unreadable(f"{str(value)[:40]!r} is none of {', '.join(sorted(names))}")
        return value

    return check


def _maybe(check: Callable[[object], int]) -> Callable[[object], int | None]:
    return lambda value: None if value is None else check(value)


side, order_kind, tif = _one_of(SIDES), _one_of(KINDS), _one_of(TIFS)
reject_kind, action = _one_of(_REJECT_KINDS), _one_of(_ACTIONS)

_FIELDS: Final[Mapping[type, Mapping[str, Callable[[object], object]]]] = {
    OrderAck: {"broker_no": number_text, "ts_ns": natural},
    ModifyAck: {"broker_no": number_text, "original_no": number_text, "ts_ns": natural},
    CancelAck: {"broker_no": number_text, "ts_ns": natural},
    Capability: {
        "name": number_text,
        "client_order_ids": truth,
        "amend_gives_new_number": truth,
        "orders_per_s": natural,
        "queries_per_s": natural,
    },
    FillEvent: {
        "event_id": number_text,
        "broker_no": number_text,
        "symbol": number_text,
        "side": side,
        "qty": natural,
        "price": natural,
        "cumulative_qty": _maybe(natural),
        "fee": _maybe(integer),
        "tax": _maybe(integer),
        "ts_ns": natural,
    },
    OrderNotice: {
        "broker_no": number_text,
        "kind": _one_of(_NOTICE_KINDS),
        "original_no": text,
        "remaining_qty": natural,
        "ts_ns": natural,
    },
    BrokerOrder: {
        "broker_no": number_text,
        "original_no": text,
        "symbol": number_text,
        "side": side,
        "kind": order_kind,
        "qty": natural,
        "limit": natural,
        "filled_qty": natural,
        "remaining_qty": natural,
        "is_live": truth,
        "ts_ns": natural,
    },
    BrokerPosition: {"symbol": number_text, "qty": integer, "sellable_qty": integer, "cost_total": integer},
    BrokerCash: {"cash": integer, "orderable": integer},
}


def read(shape: type[T], line: Mapping[str, object]) -> T:
    """Build a contract from the fields of a line; every field has to be there, and none beside them."""
    fields = _FIELDS[shape]
    if line.keys() != fields.keys():
        odd = sorted(map(str, line.keys() ^ fields.keys()))
        raise Unreadable(f"{shape.__name__} with odd or missing {', '.join(odd)[:80]}")
    return shape(**{name: check(line[name]) for name, check in fields.items()})


def answer(number: int, fields: Mapping[str, object]) -> bytes:
    """Line that says: carried out."""
    return dump({"id": number, "ok": True, **fields})


def refusal(number: int, error: Rejected) -> bytes:
    """Line that says: not carried out."""
    return dump({"id": number, "ok": False, "kind": error.kind, "code": error.code, "text": error.text})


def listing(number: int, rows: list[dict[str, object]]) -> bytes:
    """All lines of a list: how many, each, and the end."""
    lines = [dump({"id": number, "ok": True, "count": len(rows)})]
    lines += [dump({"id": number, "row": row}) for row in rows]
    return b"".join([*lines, dump({"id": number, "end": len(rows)})])


def rejected(line: Mapping[str, object]) -> Rejected:
    """Read the fields of a refusal."""
    if line.keys() != {"kind", "code", "text"}:
        raise Unreadable("a refusal that does not say kind, code and text")
    kind = cast("RejectKind", reject_kind(line["kind"]))
    return Rejected(kind, text(line["code"]), text(line["text"]))


def notice(event: StreamEvent) -> bytes:
    """Line of the stream."""
    return dump({"notice": "FILL" if isinstance(event, FillEvent) else "ORDER", **event._asdict()})


ALIVE: Final = dump({"notice": "ALIVE"})


def read_notice(line: Line) -> StreamEvent | None:
    """Read a line of the stream; None for a sign of life."""
    kind = line.pop("notice", None)
    if kind == "FILL":
        return read(FillEvent, line)
    if kind == "ORDER":
        return read(OrderNotice, line)
    if kind == "ALIVE" and not line:
        return None
    raise Unreadable(f"{str(kind)[:40]!r} is no notice")
