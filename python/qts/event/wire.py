"""Events as numbers and bytes, the form in which they cross the border to the core.

A payload is JSON. That of P0 and P1 has to fit into a slot, so it is a list of the fields of its type in their order,
followed by an object with whatever else there is. Decimals and moments keep their exact value.
"""

import hashlib
import json
import math
import re
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, cast

from qts._core import WireEvent
from qts._shapes import EventRow, EventRowOut
from qts.clock import from_ns, to_ns
from qts.event.contracts import Event, EventFlags, default_flags
from qts.event.errors import EventError
from qts.event.payloads import FIELDS, Field, check
from qts.event.types import EVENT_PRIORITY_MAP, EventType

SLOT_PAYLOAD_MAX: Final = 184
"""Longest payload of a P0 or P1 event in bytes, as it travels."""
HEAP_PAYLOAD_MAX: Final = 64 * 1024
"""Longest payload of a P2 or P3 event in bytes, as it travels."""
SYMBOLS_MAX: Final = 100
"""Most symbols of a wish to evaluate a strategy."""

SOURCES: Final = (
    "BROKER_KIS",
    "BROKER_KIWOOM",
    "MARKET_DATA",
    "SYSTEM",
    "SAFETY",
    "MICRO_RISK_LOOP",
    "ETEDA_SCHEDULER",
    "ETEDA",
    "CALC_ENGINE",
    "STRATEGY",
    "UI_ENGINE",
    "LOGGER",
    "REPORTER",
    "NOTIFIER",
    "MONITOR",
)
"""Producers that have a number; any other name travels with the payload."""

_KINDS: Final = tuple(EventType)
_SOURCE_NUMBERS: Final = MappingProxyType({name: number for number, name in enumerate(SOURCES)})
_OTHER_SOURCE: Final = SOURCES.index("SYSTEM")

_EXTRA: Final = "$e"
"""Where an event differs from what its type and header tell."""
_DECIMAL: Final = "$d"
_MOMENT: Final = "$t"
_SHORT: Final = MappingProxyType(
    {
        "requires_ack": "r",
        "max_process_time_ms": "m",
        "can_batch": "b",
        "can_collapse": "c",
        "can_drop": "d",
        "source": "s",
        "event_id": "i",
    }
)
"""Names of what differs, as they travel: a slot is small."""

_SCOPES: Final[Mapping[EventType, tuple[str, ...]]] = MappingProxyType(
    {
        EventType.ETEDA_CYCLE_START: ("pipeline_id",),
        EventType.STRATEGY_EVALUATE: ("strategy_type", "strategy_id"),
        EventType.RISK_EVALUATE: ("account", "symbol"),
        EventType.PORTFOLIO_EVALUATE: ("account",),
        EventType.INDICATOR_UPDATE: ("symbol", "indicator", "timeframe"),
        EventType.SIGNAL_GENERATED: ("strategy", "symbol", "side", "cycle_id"),
    }
)
"""Fields that make two pending events the same wish; one that is missing counts as empty."""
_AS_IS: Final = frozenset({str, int, bool, type(None)})
_SEPARATOR: Final = "\x1f"

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_SHARDS: Final[dict[str, int]] = {}
_SYMBOLS: Final[list[str]] = []
_SHARDS_MAX: Final = 2**16
_NAMING: Final = threading.Lock()

_RECORD: Final = b"\x01"
"""First byte of a tick that travels as a record; JSON never begins with it."""
_TICK: Final = struct.Struct("<IIqqqq")

Plain: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None


class _Plan(NamedTuple):
    """What there is to know about a type, found with one look: enumerations are slow keys."""

    number: int
    fields: tuple[Field, ...] | None
    scope: tuple[str, ...]


_PLANS: Final = MappingProxyType(
    {kind: _Plan(number, FIELDS.get(kind), _SCOPES.get(kind, ())) for number, kind in enumerate(_KINDS)}
)


class Arrival(NamedTuple):
    """An event that has come out of its level.

    Args:
        event: the event.
        seq: number of its admission.
        t_enqueue_ns: monotonic nanoseconds of its admission; 0 = not measured.
        merged_count: events folded into it.
        sampled_weight: events it stands for.
    """

    event: Event
    seq: int
    t_enqueue_ns: int
    merged_count: int
    sampled_weight: int


def to_wire(event: Event) -> WireEvent:
    """Return an event as the core takes it.

    Raises:
        EventError: a field is missing or of a wrong type or range, a value cannot travel, or there is too much of it.
    """
    if event.wire is None:
        # An event never changes: whoever makes it early dispatches it in a fraction of the time.
        object.__setattr__(event, "wire", WireEvent(*to_row(event)))
    return cast("WireEvent", event.wire)


def to_row(event: Event) -> EventRow:
    """Return the parts of an event, of which the core makes a `WireEvent`. Errors as `to_wire`."""
    kind, payload = event.event_type, event.payload
    plan = _PLANS[kind]
    if plan.fields is not None:
        check(kind, plan.fields, payload)
    is_uuid = _UUID.fullmatch(event.event_id) is not None
    data = _encoded(kind, _body(event, plan, _differences(event, is_uuid=is_uuid)))
    limit = HEAP_PAYLOAD_MAX if plan.fields is None else SLOT_PAYLOAD_MAX
    if len(data) > limit:
        raise EventError(kind, "payload", found=f"{len(data)} bytes", expected=f"at most {limit} as it travels")
    return (
        plan.number,
        _SOURCE_NUMBERS.get(event.source, _OTHER_SOURCE),
        _id_bytes(event.event_id, is_uuid=is_uuid),
        b"",
        to_ns(event.timestamp),
        _scope(event, plan.scope) if plan.scope else "",
        shard_of(payload.get("symbol") or payload.get("id")),
        data,
        _symbols(event) if kind is EventType.STRATEGY_EVALUATE else None,
        event.can_drop,
    )


def from_row(row: EventRowOut) -> Arrival:
    """Return what the core delivers as an event.

    Raises:
        EventError: the payload is none that this module has written.
    """
    _, _, seq, _, t_enqueue_ns, _, _, merged_count, weight, _, _ = row
    kind = _KINDS[row[0]]
    try:
        event = _event(kind, row)
    except (ValueError, ArithmeticError, TypeError, LookupError, struct.error) as error:
        raise EventError(kind, "payload", found=str(error), expected="what `to_row` writes") from error
    return Arrival(event, seq, t_enqueue_ns, merged_count, weight)


def _event(kind: EventType, row: EventRowOut) -> Event:
    _, source, _, ts_ns, _, _, _, _, _, data, symbols = row
    payload, extra = (_tick(data), {}) if data[:1] == _RECORD else _unlisted(kind, _DECODE(data.decode()))
    if symbols:
        payload["symbols"] = symbols
    flags: dict[str, Any] = default_flags(kind, payload)._asdict()
    if extra:
        flags = {name: extra.get(_SHORT[name], usual) for name, usual in flags.items()}
    return Event(
        event_type=kind,
        priority=EVENT_PRIORITY_MAP[kind],
        event_id=extra.get(_SHORT["event_id"]) or row_id(row),
        timestamp=from_ns(ts_ns),
        source=extra.get(_SHORT["source"], SOURCES[source]),
        payload=payload,
        **flags,
    )


def _tick(data: bytes) -> dict[str, Any]:
    """Return the payload of a tick that has travelled as a record."""
    _, symbol, price, volume, bid, ask = _TICK.unpack(data)
    return {"symbol": _SYMBOLS[symbol], "price": price, "volume": volume, "bid": bid, "ask": ask}


def row_id(row: EventRowOut) -> str:
    """Return the identity of what the core delivers, also if the rest cannot be read."""
    digits = row[5].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def shard_of(symbol: object) -> int:
    """Return the number that keeps the market data of one symbol in order, 0 to 65,535.

    Symbols get numbers of their own as they come: a level that resumes keeps the newest event of each number.
    """
    if not isinstance(symbol, str) or not symbol:
        return 0
    number = _SHARDS.get(symbol)
    if number is None:
        number = zlib.crc32(symbol.encode()) % _SHARDS_MAX if len(_SYMBOLS) >= _SHARDS_MAX else symbol_number(symbol)
    return number


def symbol_number(symbol: str) -> int:
    """Return the number of a symbol in records of ticks, the same as long as the process lives.

    Raises:
        EventError: the symbol is empty, or there are 65,536 others.
    """
    number = _SHARDS.get(symbol)
    if number is not None:
        return number
    with _NAMING:
        if not symbol or len(_SYMBOLS) >= _SHARDS_MAX:
            found = f"symbol {symbol!r} after {len(_SYMBOLS)} others"
            raise EventError(EventType.PRICE_TICK, "symbol", found=found, expected=f"one of at most {_SHARDS_MAX}")
        if symbol not in _SHARDS:
            _SYMBOLS.append(symbol)
            _SHARDS[symbol] = len(_SYMBOLS) - 1
        return _SHARDS[symbol]


def symbol_name(number: int) -> str:
    """Return the symbol of a number that `symbol_number` gave.

    Raises:
        IndexError: it gave no such number.
    """
    return _SYMBOLS[number]


def symbol_count() -> int:
    """Return how many symbols have a number: all below it are taken."""
    return len(_SYMBOLS)


def _differences(event: Event, *, is_uuid: bool) -> dict[str, Any]:
    """Return what the type and the header of an event do not tell."""
    usual = default_flags(event.event_type, event.payload)
    flags = EventFlags(
        event.requires_ack, event.max_process_time_ms, event.can_batch, event.can_collapse, event.can_drop
    )
    extra: dict[str, Any] = {}
    if flags != usual:
        rows = zip(EventFlags._fields, flags, usual, strict=True)
        extra = {_SHORT[name]: found for name, found, expected in rows if found != expected}
    if event.source not in _SOURCE_NUMBERS:
        extra[_SHORT["source"]] = event.source
    if not is_uuid:
        extra[_SHORT["event_id"]] = event.event_id
    return extra


def _id_bytes(event_id: str, *, is_uuid: bool) -> bytes:
    """Return 16 bytes for an identity: those of a UUID, else a hash that stands for it in the journal."""
    if is_uuid:
        return bytes.fromhex(event_id.replace("-", ""))
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()


def _scope(event: Event, names: tuple[str, ...]) -> str:
    parts = [str(event.payload.get(name, "")) for name in names]
    if event.event_type is EventType.RISK_EVALUATE and not parts[-1]:
        parts[-1] = "ALL"
    if not event.can_collapse and event.event_type is not EventType.SIGNAL_GENERATED:
        parts.append(event.event_id)  # nothing else has its scope, so nothing merges with it
    return _SEPARATOR.join(parts)


def _symbols(event: Event) -> list[str]:
    symbols = event.payload.get("symbols", ())
    is_list = isinstance(symbols, Sequence) and not isinstance(symbols, str)
    if not is_list or len(symbols) > SYMBOLS_MAX or not all(isinstance(symbol, str) for symbol in symbols):
        expected = f"a list of at most {SYMBOLS_MAX} symbols"
        raise EventError(event.event_type, "symbols", found=f"{symbols!r:.80}", expected=expected)
    return list(symbols)


def _body(event: Event, plan: _Plan, extra: dict[str, Any]) -> Plain:
    """Return the payload as it travels."""
    kind, payload = event.event_type, event.payload
    declared = plan.fields
    if declared is None:
        plain = _plain_mapping(kind, "", payload)
        if kind is EventType.STRATEGY_EVALUATE:
            plain.pop("symbols", None)  # they travel beside it, where the queue can merge them
        return {**plain, _EXTRA: extra} if extra else plain
    listed: list[Any] = []
    for field in declared:
        value: Any = payload.get(field.name)
        listed.append(to_ns(value) if field.is_moment else _plain(kind, field.name, value))
    if len(payload) > len(declared) or extra:
        names = {field.name for field in declared}
        rest = {name: value for name, value in payload.items() if name not in names}
        last = _plain_mapping(kind, "", rest)
        listed.append({**last, _EXTRA: extra} if extra else last)
    return listed


def _unlisted(kind: EventType, body: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return payload and differences from what has travelled."""
    declared = FIELDS.get(kind)
    if declared is None:
        if not isinstance(body, dict):
            raise TypeError(f"{type(body).__name__} instead of an object")
        return body, body.pop(_EXTRA, {})
    if not isinstance(body, list) or not 0 <= len(body) - len(declared) <= 1:
        raise TypeError(f"{type(body).__name__} instead of a list of {len(declared)} fields")
    payload: dict[str, Any] = {}
    for field, value in zip(declared, body, strict=False):
        payload[field.name] = from_ns(value) if field.is_moment else value
    rest = body[len(declared)] if len(body) > len(declared) else {}
    if not isinstance(rest, dict):
        raise TypeError(f"{type(rest).__name__} instead of the rest of the payload")
    extra = rest.pop(_EXTRA, {})
    return payload | rest, extra


def _plain(kind: EventType, path: str, value: object) -> Plain:
    """Return a value as JSON has it, exactly."""
    if type(value) in _AS_IS:
        return value  # type: ignore[return-value] # one of those types
    match value:
        case Enum():
            return _plain(kind, path, value.value)
        case str() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return {_DECIMAL: str(value)}
        case datetime() if value.utcoffset() is not None:
            return {_MOMENT: to_ns(value)}
        case Mapping():
            return _plain_mapping(kind, path, value)
        case list() | tuple():
            return [_plain(kind, path, item) for item in value]
    expected = "text, finite numbers, true, false, nothing, moments with a time zone, lists and mappings of those"
    raise EventError(kind, path or "payload", found=f"{type(value).__name__} {value!r:.80}", expected=expected)


def _plain_mapping(kind: EventType, path: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {}
    for name, item in value.items():
        if not isinstance(name, str) or name.startswith("$"):
            raise EventError(kind, path or "payload", found=f"key {name!r}", expected="text that does not begin with $")
        plain[name] = _plain(kind, f"{path}.{name}" if path else name, item)
    return plain


def _encoded(kind: EventType, body: Plain) -> bytes:
    try:
        return _ENCODE(body).encode()
    except ValueError as error:
        raise EventError(kind, "payload", found=str(error), expected="text that UTF-8 can hold") from error


def _revived(found: dict[str, Any]) -> object:
    if len(found) == 1:
        if _DECIMAL in found:
            return Decimal(found[_DECIMAL])
        if _MOMENT in found:
            return from_ns(found[_MOMENT])
    return found


_DECODE: Final = json.JSONDecoder(object_hook=_revived).decode
