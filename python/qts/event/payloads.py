"""What the payloads of P0 and P1 events must hold: fields, their types and ranges.

Quantities and fees are integers in the instrument's scales; prices of market data may be exact decimals too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeGuard

from qts.event.errors import EventError
from qts.event.types import EventType

I64_MAX: Final = 2**63 - 1
LEVELS_PER_SIDE_MAX: Final = 10
VOLATILITY_MIN: Final = 5
VOLATILITY_MAX: Final = 150

_SIDES: Final = ("BUY", "SELL")


class Field(NamedTuple):
    """One field of a payload. A moment travels as UTC nanoseconds."""

    name: str
    is_valid: Callable[[Any], bool]
    expected: str
    is_moment: bool = False
    is_optional: bool = False


def _text(name: str, *, may_be_empty: bool = False) -> Field:
    if may_be_empty:
        return Field(name, lambda value: isinstance(value, str), "text")
    return Field(name, lambda value: isinstance(value, str) and value != "", "text that is not empty")


def _whole(name: str, low: int = -I64_MAX, *, is_optional: bool = False) -> Field:
    def is_valid(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= I64_MAX

    expected = "an integer of 64 bits" if low == -I64_MAX else f"an integer of at least {low}"
    return Field(name, is_valid, expected, is_optional=is_optional)


def _is_number(value: object) -> TypeGuard[int | float | Decimal]:
    if type(value) is int:
        return True  # nearly always
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(name: str, *, above: int | None = None, low: int | None = None, high: int | None = None) -> Field:
    def is_valid(value: object) -> bool:
        return (
            _is_number(value)
            and (above is None or value > above)
            and (low is None or value >= low)
            and (high is None or value <= high)
        )

    bounds = [
        f"{word} {bound}"
        for word, bound in (("above", above), ("at least", low), ("at most", high))
        if bound is not None
    ]
    return Field(name, is_valid, " ".join(["a finite number", " and ".join(bounds)]).strip())


def _one_of(name: str, *choices: str) -> Field:
    return Field(name, lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}")


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def _moment(name: str) -> Field:
    return Field(name, _is_moment, "a datetime with a time zone", is_moment=True)


def _is_level(row: object) -> bool:
    match row:
        case [side, price, qty]:
            return side in _SIDES and _is_number(price) and price > 0 and _is_number(qty) and qty >= 0
    return False


def _are_levels(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(_is_level, value)):
        return False
    return all(sum(row[0] == side for row in value) <= LEVELS_PER_SIDE_MAX for side in _SIDES)


_FILL: Final = (
    _text("order_id"),
    _text("symbol"),
    _text("exec_id"),
    _one_of("side", *_SIDES),
    _whole("filled_qty", 1),
    _whole("filled_price", 1),
    _whole("cumulative_qty", 0),
    _whole("remaining_qty", 0),
    _whole("fee", 0),
    _moment("filled_time"),
)
_ORDER_END: Final = (_text("order_id"), _text("symbol"), _text("reason_code"), _whole("remaining_qty", 0))

FIELDS: Final[Mapping[EventType, tuple[Field, ...]]] = MappingProxyType(
    {
        EventType.FILL_CONFIRMED: _FILL,
        EventType.FILL_PARTIAL: _FILL,
        EventType.ORDER_REJECTED: _ORDER_END,
        EventType.ORDER_CANCELLED: _ORDER_END,
        EventType.POSITION_UPDATE: (
            _text("symbol"),
            _one_of("track", "SCALP", "SWING", "PORTFOLIO"),
            _whole("qty"),
            _number("avg_price", low=0),
            _one_of("kind", "FILL_APPLIED", "EXIT_REQUESTED", "FREEZE", "UNFREEZE", "RECONCILED"),
            _text("reason", may_be_empty=True),
        ),
        EventType.EMERGENCY_STOP: (
            _one_of("scope", "ETEDA", "ENTRIES", "ALL"),
            _text("reason"),
            _text("code", may_be_empty=True),
            _text("origin"),
            _whole("duration_ms", 0, is_optional=True),
        ),
        EventType.BROKER_DISCONNECT: (
            _text("broker"),
            _one_of("channel", "ORDER", "FILL", "QUOTE"),
            _whole("last_seen_ns", 0),
        ),
        EventType.PRICE_TICK: (
            _text("symbol"),
            _number("price", above=0),
            _number("volume", low=0),
            _number("bid", above=0),
            _number("ask", above=0),
        ),
        EventType.ORDERBOOK_UPDATE: (
            _text("symbol"),
            Field(
                "levels",
                _are_levels,
                f"rows of side, price and quantity, at most {LEVELS_PER_SIDE_MAX} of a side",
            ),
        ),
        EventType.VOLUME_UPDATE: (_text("id"), _number("value", low=0), _moment("exch_time")),
        EventType.INDEX_UPDATE: (_text("id"), _number("value"), _moment("exch_time")),
        EventType.VIX_UPDATE: (
            _text("id"),
            _number("value", low=VOLATILITY_MIN, high=VOLATILITY_MAX),
            _moment("exch_time"),
        ),
    }
)
"""Fields of each P0 and P1 type, in the order in which they travel."""


def check(kind: EventType, fields: tuple[Field, ...], payload: Mapping[str, Any]) -> None:
    """Check a payload against the fields of its type.

    Raises:
        EventError: a field is missing, or of a wrong type or range.
    """
    for field in fields:
        value = payload.get(field.name)
        if value is None:
            if field.is_optional:
                continue
            raise EventError(kind, field.name, found="it is missing", expected=field.expected)
        if not field.is_valid(value):
            raise EventError(kind, field.name, found=f"{type(value).__name__} {value!r:.80}", expected=field.expected)
    if kind is EventType.PRICE_TICK and payload["bid"] > payload["ask"]:
        raise EventError(kind, "bid", found=f"{payload['bid']} above ask {payload['ask']}", expected="bid <= ask")
