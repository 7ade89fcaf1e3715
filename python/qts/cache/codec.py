"""Records as the text that a server holds, and back. What is read is checked as strictly as what is written."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from qts.cache.contracts import (
    SCHEMA_VERSION,
    Family,
    Level,
    OrderbookSnapshot,
    OrderState,
    OrderStatus,
    Phase,
    Position,
    Price,
    Record,
    RiskSnapshot,
    StrategyParams,
)
from qts.cache.exceptions import BadRecord
from qts.cache.messages import say
from qts.money import parse_decimal, plain

Fields = Mapping[str, str]


def encode(record: Record) -> dict[str, str]:
    """Return every field of a record as text; a book gives the fields of its `meta` key."""
    return _ENCODERS[type(record)](record) | {"ver": str(record.ver), "src": record.src, "sv": str(record.sv)}


def decode(family: Family, name: str, fields: Fields, key: str) -> Record | None:
    """Return the record of `fields`; None if it is of a schema that this program does not know.

    Raises:
        BadRecord: a field is missing or unreadable.
    """
    if fields.get("sv") != str(SCHEMA_VERSION):
        if "sv" not in fields:
            raise _missing(key, "sv")
        return None
    return _DECODERS[family](name, _Reader(fields, key))


class _Reader:
    """Fields by name, each in the type that is asked for."""

    def __init__(self, fields: Fields, key: str) -> None:
        self._fields = fields
        self._key = key

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if value is None:
            raise _missing(self._key, name)
        return value

    def read(self, name: str, how: Callable[[str], Any]) -> Any:  # noqa: ANN401 - whatever `how` makes
        value = self.text(name)
        try:
            return how(value)
        except (ValueError, KeyError) as error:
            found = say("unreadable", key=self._key, name=name, value=repr(value))
            raise BadRecord(found=found, expected=say("readable"), hint=say("key_hint")) from error

    def number(self, name: str) -> Decimal:
        number: Decimal = self.read(name, parse_decimal)
        return number

    def whole(self, name: str) -> int:
        whole: int = self.read(name, _whole)
        return whole

    def common(self) -> dict[str, Any]:
        return {"ver": self.whole("ver"), "src": self.text("src")}


def _missing(key: str, name: str) -> BadRecord:
    found = say("missing_field", key=key, name=name)
    return BadRecord(found=found, expected=say("readable"), hint=say("key_hint"))


def _whole(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise ValueError(text)
    return int(text)


def _encode_price(record: Price) -> dict[str, str]:
    return {
        "bid": plain(record.bid),
        "ask": plain(record.ask),
        "last": plain(record.last),
        "volume": str(record.volume),
        "timestamp": str(record.timestamp),
        "recv_ts": str(record.recv_ts),
        "phase": record.phase,
    }


def _decode_price(name: str, read: _Reader) -> Price:
    return Price(
        symbol=name,
        bid=read.number("bid"),
        ask=read.number("ask"),
        last=read.number("last"),
        volume=read.whole("volume"),
        timestamp=read.whole("timestamp"),
        recv_ts=read.whole("recv_ts"),
        phase=read.read("phase", Phase),
        **read.common(),
    )


def _encode_position(record: Position) -> dict[str, str]:
    return {
        "qty": plain(record.qty),
        "avg_price": plain(record.avg_price),
        "unrealized_pnl": plain(record.unrealized_pnl),
        "exposure_pct": plain(record.exposure_pct),
        "updated_at": str(record.updated_at),
    }


def _decode_position(name: str, read: _Reader) -> Position:
    return Position(
        symbol=name,
        qty=read.number("qty"),
        avg_price=read.number("avg_price"),
        unrealized_pnl=read.number("unrealized_pnl"),
        exposure_pct=read.number("exposure_pct"),
        updated_at=read.whole("updated_at"),
        **read.common(),
    )


def _encode_book(record: OrderbookSnapshot) -> dict[str, str]:
    return {
        "timestamp": str(record.timestamp),
        "recv_ts": str(record.recv_ts),
        "depth": str(record.depth),
        "phase": record.phase,
    }


def _decode_book(name: str, read: _Reader) -> OrderbookSnapshot:
    return OrderbookSnapshot(
        symbol=name,
        bids=read.read("bids", _levels),
        asks=read.read("asks", _levels),
        timestamp=read.whole("timestamp"),
        recv_ts=read.whole("recv_ts"),
        phase=read.read("phase", Phase),
        **read.common(),
    )


def _levels(text: str) -> tuple[Level, ...]:
    flat = text.split()
    return tuple(Level(parse_decimal(price), _whole(qty)) for price, qty in zip(flat[::2], flat[1::2], strict=True))


def levels_text(levels: tuple[Level, ...]) -> str:
    """Return levels as "price quantity price quantity ..."."""
    return " ".join(f"{plain(price)} {qty}" for price, qty in levels)


def scores(book: OrderbookSnapshot) -> int:
    """Return the decimals at which every price of the book is a whole number, as a sorted set compares them."""
    exponents = [price.normalize().as_tuple().exponent for price, _ in (*book.bids, *book.asks)]
    return max((-exponent for exponent in exponents if isinstance(exponent, int) and exponent < 0), default=0)


def encode_snapshot(book: OrderbookSnapshot) -> str:
    """Return a book as one value, its version first so that a script can compare it."""
    fields = encode(book) | {"bids": levels_text(book.bids), "asks": levels_text(book.asks)}
    return f"{book.ver} {json.dumps(fields, separators=(',', ':'))}"


def decode_snapshot(value: str, key: str) -> dict[str, str]:
    """Return the fields of a book in its compact form.

    Raises:
        BadRecord: the value is no book.
    """
    try:
        fields = json.loads(value.partition(" ")[2])
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(field, str) for field in fields.values()):
        found = say("unreadable", key=key, name="value", value=repr(value[:40]))
        raise BadRecord(found=found, expected=say("readable"), hint=say("key_hint"))
    return fields


def _encode_risk(record: RiskSnapshot) -> dict[str, str]:
    return {
        "exposure_used": plain(record.exposure_used),
        "daily_pnl": plain(record.daily_pnl),
        "trade_count": str(record.trade_count),
        "remaining_limit": plain(record.remaining_limit or Decimal(0)),
        "max_exposure_pct": plain(record.max_exposure_pct),
        "daily_loss_limit": plain(record.daily_loss_limit),
        "updated_at": str(record.updated_at),
        "trade_date": record.trade_date.isoformat(),
    }


def _decode_risk(_name: str, read: _Reader) -> RiskSnapshot:
    return RiskSnapshot(
        exposure_used=read.number("exposure_used"),
        daily_pnl=read.number("daily_pnl"),
        trade_count=read.whole("trade_count"),
        remaining_limit=read.number("remaining_limit"),
        max_exposure_pct=read.number("max_exposure_pct"),
        daily_loss_limit=read.number("daily_loss_limit"),
        updated_at=read.whole("updated_at"),
        trade_date=read.read("trade_date", date.fromisoformat),
        **read.common(),
    )


def _encode_order(record: OrderStatus) -> dict[str, str]:
    return {
        "status": record.status,
        "filled_qty": plain(record.filled_qty),
        "pending_qty": plain(record.pending_qty),
        "avg_fill_price": plain(record.avg_fill_price),
        "last_update": str(record.last_update),
    }


def _decode_order(name: str, read: _Reader) -> OrderStatus:
    return OrderStatus(
        order_id=name,
        status=read.read("status", OrderState),
        filled_qty=read.number("filled_qty"),
        pending_qty=read.number("pending_qty"),
        avg_fill_price=read.number("avg_fill_price"),
        last_update=read.whole("last_update"),
        **read.common(),
    )


def _encode_strategy(record: StrategyParams) -> dict[str, str]:
    return {
        "active": "true" if record.active else "false",
        "params": _dump(record.params),
        "last_signal": record.last_signal,
        "updated_at": str(record.updated_at),
    }


def _decode_strategy(name: str, read: _Reader) -> StrategyParams:
    return StrategyParams(
        strategy_id=name,
        active=read.read("active", {"true": True, "false": False}.__getitem__),
        params=read.read("params", _load),
        last_signal=read.text("last_signal"),
        updated_at=read.whole("updated_at"),
        **read.common(),
    )


def _load(text: str) -> object:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(word: str) -> object:
    raise ValueError(word)


def _dump(value: object) -> str:
    """JSON with decimals as plain numbers; the library would make floats of them."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{_dump(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_dump, value)) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value)


_ENCODERS: Final[Mapping[type, Callable[[Any], dict[str, str]]]] = {
    Price: _encode_price,
    Position: _encode_position,
    OrderbookSnapshot: _encode_book,
    RiskSnapshot: _encode_risk,
    OrderStatus: _encode_order,
    StrategyParams: _encode_strategy,
}
_DECODERS: Final[Mapping[Family, Callable[[str, _Reader], Record]]] = {
    Family.PRICE: _decode_price,
    Family.POSITION: _decode_position,
    Family.BOOK: _decode_book,
    Family.RISK: _decode_risk,
    Family.ORDER: _decode_order,
    Family.STRATEGY: _decode_strategy,
}
