"""Records of the cache, and what its operations answer.

Records are immutable and check themselves: one that exists is whole. Prices, quantities and amounts are `Decimal` or
`int`, never `float`; timestamps are Unix milliseconds, UTC. `ver` rises with every change of a record: the row version
of the database, or for quotes the sequence or receive time of the feed in microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from qts.cache.exceptions import BadRecord
from qts.cache.messages import say

SCHEMA_VERSION: Final = 1
VER_MAX: Final = 2**53 - 1
"""Largest version: servers compare versions as doubles."""
_SRC_MAX: Final = 32
_EXPOSURE_MAX: Final = Decimal("1.2")


class Family(StrEnum):
    """The six types of records; the value is the name in the configuration."""

    PRICE = "price"
    BOOK = "orderbook"
    POSITION = "position"
    RISK = "risk"
    ORDER = "order"
    STRATEGY = "strategy"


class Phase(StrEnum):
    """Phase of the session in which a quote was made; only CONTINUOUS is for scalping."""

    PRE = "PRE"
    OPEN_AUCTION = "OPEN_AUCTION"
    CONTINUOUS = "CONTINUOUS"
    CLOSE_AUCTION = "CLOSE_AUCTION"
    HALT = "HALT"
    CLOSED = "CLOSED"


class OrderState(StrEnum):
    """State of an order as other processes see it; the last four but UNKNOWN are final."""

    PENDING = "PENDING"
    SENT = "SENT"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


TERMINAL: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.FAILED})


class PutResult(StrEnum):
    """What became of a record."""

    WRITTEN = "WRITTEN"
    SUPERSEDED = "SUPERSEDED"
    """A newer one, or the same one of another writer, was there already."""
    DROPPED = "DROPPED"
    """It may not be written now: the safety state forbids it, or no backend takes it."""


class Readiness(StrEnum):
    """Whether the cache may be used for decisions."""

    READY = "READY"
    WARMING = "WARMING"
    DEGRADED = "DEGRADED"
    """Usable without the server: near cache and store."""
    OFF = "OFF"


def _whole(record: object, name: str, least: int, most: int = VER_MAX) -> None:
    value = getattr(record, name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(record, name, f"{least}..{most}")


def _number(record: object, name: str, least: Decimal | int | None = None, most: Decimal | int | None = None) -> None:
    value = getattr(record, name)
    if isinstance(value, int) and not isinstance(value, bool):
        object.__setattr__(record, name, Decimal(value))
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise _bad(record, name, say("decimal"))
    if (least is not None and value < least) or (most is not None and value > most):
        raise _bad(record, name, f"{'' if least is None else least}..{'' if most is None else most}")


def _bad(record: object, name: str, expected: str) -> BadRecord:
    found = say("field", record=type(record).__name__, name=name, value=repr(getattr(record, name)))
    return BadRecord(found=found, expected=expected, hint=say("writer_hint"))


def _rule(record: object, *, holds: bool, name: str, rule: str) -> None:
    if not holds:
        raise _bad(record, name, rule)


def _common(record: object) -> None:
    _whole(record, "ver", 1)
    _whole(record, "sv", SCHEMA_VERSION, SCHEMA_VERSION)
    src = getattr(record, "src", None)
    if not isinstance(src, str) or not 1 <= len(src) <= _SRC_MAX:
        raise _bad(record, "src", say("src_expected", most=_SRC_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Best prices and last trade of a symbol; a side of 0 is empty. `volume` is that of the session so far."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    volume: int
    timestamp: int
    recv_ts: int
    ver: int
    src: str
    phase: Phase = Phase.CONTINUOUS
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse what is no quote."""
        _common(self)
        _number(self, "bid", 0)
        _number(self, "ask", 0)
        _number(self, "last", 0)
        _rule(self, holds=self.last > 0, name="last", rule="> 0")
        _whole(self, "volume", 0)
        _whole(self, "timestamp", 1)
        _whole(self, "recv_ts", 1)
        crossed = self.phase == Phase.CONTINUOUS and 0 < self.ask < self.bid
        _rule(self, holds=not crossed, name="ask", rule=f">= bid {self.bid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held of a symbol; `qty` 0 is a statement, the absence of a record is none."""

    symbol: str
    qty: Decimal
    avg_price: Decimal
    unrealized_pnl: Decimal
    exposure_pct: Decimal
    updated_at: int
    ver: int
    src: str
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse what cannot be held."""
        _common(self)
        _number(self, "qty", 0)
        _number(self, "avg_price", 0)
        _number(self, "unrealized_pnl")
        _number(self, "exposure_pct", 0)
        _whole(self, "updated_at", 1)
        fits = (self.qty > 0) == (self.avg_price > 0)
        _rule(self, holds=fits, name="avg_price", rule="> 0 with a quantity, 0 without" if self.qty == 0 else "> 0")


class Level(NamedTuple):
    """A price and the quantity shown at it."""

    price: Decimal
    qty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderbookSnapshot:
    """Both sides of a book, best price first, of one moment."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    timestamp: int
    recv_ts: int
    ver: int
    src: str
    phase: Phase = Phase.CONTINUOUS
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse sides that are unordered, doubled, empty or crossed."""
        _common(self)
        _whole(self, "timestamp", 1)
        _whole(self, "recv_ts", 1)
        for name, falls in (("bids", True), ("asks", False)):
            self._check_side(name, falls=falls)
        if self.phase == Phase.CONTINUOUS:
            _rule(self, holds=bool(self.bids and self.asks), name="bids" if self.asks else "asks", rule=say("a_side"))
            _rule(self, holds=self.bids[0].price < self.asks[0].price, name="bids", rule=f"< {self.asks[0].price}")

    def _check_side(self, name: str, *, falls: bool) -> None:
        before: Decimal | None = None
        for price, qty in getattr(self, name):
            proper = isinstance(price, Decimal) and price.is_finite() and price > 0 and type(qty) is int and qty >= 0
            _rule(self, holds=proper, name=name, rule=say("level"))
            ordered = before is None or (price < before if falls else price > before)
            _rule(self, holds=ordered, name=name, rule=say("best_first"))
            before = price

    @property
    def depth(self) -> int:
        """Levels of the longer side."""
        return max(len(self.bids), len(self.asks))

    def cut(self, depth: int) -> "OrderbookSnapshot":
        """Return the book with at most `depth` levels of each side."""
        if self.depth <= depth:
            return self
        return OrderbookSnapshot(
            symbol=self.symbol,
            bids=self.bids[:depth],
            asks=self.asks[:depth],
            timestamp=self.timestamp,
            recv_ts=self.recv_ts,
            ver=self.ver,
            src=self.src,
            phase=self.phase,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSnapshot:
    """Use of the account's limits, for display and for processes that do not trade; orders never go by it."""

    exposure_used: Decimal
    daily_pnl: Decimal
    trade_count: int
    max_exposure_pct: Decimal
    daily_loss_limit: Decimal
    updated_at: int
    trade_date: date
    ver: int
    src: str
    remaining_limit: Decimal | None = None
    """Worked out if not given; another value than max(0, max_exposure_pct - exposure_used) is refused."""
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        _common(self)
        _number(self, "exposure_used", 0)
        _number(self, "max_exposure_pct", 0, 1)
        _rule(self, holds=self.exposure_used <= _EXPOSURE_MAX, name="exposure_used", rule=f"0..{_EXPOSURE_MAX}")
        _number(self, "daily_pnl")
        _number(self, "daily_loss_limit")
        _rule(self, holds=self.daily_loss_limit < 0, name="daily_loss_limit", rule="< 0")
        _whole(self, "trade_count", 0)
        _whole(self, "updated_at", 1)
        room = max(Decimal(0), self.max_exposure_pct - self.exposure_used)
        if self.remaining_limit is None:
            object.__setattr__(self, "remaining_limit", room)
        _number(self, "remaining_limit", 0, 1)
        _rule(self, holds=self.remaining_limit == room, name="remaining_limit", rule=f"{room}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """How far an order has come."""

    order_id: str
    status: OrderState
    filled_qty: Decimal
    pending_qty: Decimal
    avg_fill_price: Decimal
    last_update: int
    ver: int
    src: str
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse a final order that still works, and UNKNOWN, which is an answer and no record."""
        _common(self)
        _rule(self, holds=self.status in _RECORDED, name="status", rule=", ".join(_RECORDED))
        _number(self, "filled_qty", 0)
        _number(self, "pending_qty", 0)
        _number(self, "avg_fill_price", 0)
        _whole(self, "last_update", 1)
        _rule(self, holds=not (self.is_terminal and self.pending_qty), name="pending_qty", rule="0")
        _rule(self, holds=(self.filled_qty > 0) == (self.avg_fill_price > 0), name="avg_fill_price", rule="0 | > 0")

    @property
    def is_terminal(self) -> bool:
        """Whether the order is over."""
        return self.status in TERMINAL


_RECORDED: Final = tuple(state for state in OrderState if state is not OrderState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """The answer when nobody can tell about an order: it may well be working. Never send it again; reconcile first."""

    order_id: str
    status: OrderState = field(default=OrderState.UNKNOWN, init=False)
    is_terminal: bool = field(default=False, init=False)


Json: TypeAlias = "str | int | bool | Decimal | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyParams:
    """Parameters of a strategy; `is_last_known` marks a copy of up to a day that stands in for the store."""

    strategy_id: str
    active: bool
    params: Mapping[str, Json]
    updated_at: int
    ver: int
    src: str
    last_signal: str = ""
    is_last_known: bool = False
    sv: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse what is no switch and no table."""
        _common(self)
        _rule(self, holds=isinstance(self.active, bool), name="active", rule="true, false")
        _rule(self, holds=_is_json(self.params) and isinstance(self.params, Mapping), name="params", rule=say("json"))
        _rule(self, holds=isinstance(self.last_signal, str), name="last_signal", rule="str")
        _whole(self, "updated_at", 1)


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(below) for key, below in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, Decimal):
        return value.is_finite()
    return value is None or isinstance(value, str | int)


Record: TypeAlias = Price | Position | OrderbookSnapshot | RiskSnapshot | OrderStatus | StrategyParams

FAMILY_OF: Final[Mapping[type, Family]] = {
    Price: Family.PRICE,
    OrderbookSnapshot: Family.BOOK,
    Position: Family.POSITION,
    RiskSnapshot: Family.RISK,
    OrderStatus: Family.ORDER,
    StrategyParams: Family.STRATEGY,
}


def id_of(record: Record) -> str:
    """Return what tells a record from others of its family."""
    if isinstance(record, OrderStatus):
        return record.order_id
    if isinstance(record, StrategyParams):
        return record.strategy_id
    return "account" if isinstance(record, RiskSnapshot) else record.symbol


class PreCheckData(NamedTuple):
    """What a check before an order looks at. It decides nothing: limits are reserved in the process itself."""

    price: Price
    position: Position
    risk: RiskSnapshot


class ExitQuote(NamedTuple):
    """The last price known for a protective exit; stale data never hold an exit back."""

    price: Price
    age_ms: int
    is_fresh: bool
    """Within the age that exits accept; if not, act on it all the same or send a market order."""


class ReadyState(NamedTuple):
    """Readiness as a whole and, by symbol, whether its quotes have come."""

    state: Readiness
    symbols: Mapping[str, bool]
    reason: str = ""
