"""Records of the data layer as every adapter takes and returns them: exact decimals, aware times, checked when made.

Prices, quantities and money are `Decimal` and finite. Nanoseconds stand beside the moments that databases keep in
microseconds, so that nothing is lost on the way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from qts.clock.instants import from_ns
from qts.data.exceptions import RowInvalid

PoolId: TypeAlias = Literal["SCALP", "SWING", "PORTFOLIO", "UNASSIGNED"]
LedgerKind: TypeAlias = Literal["FILL", "REVERSAL", "FEE_ADJ", "RECON_ADJ"]
Side: TypeAlias = Literal["BUY", "SELL"]
Interval: TypeAlias = Literal["1m", "1d"]

POOLS: Final[tuple[str, ...]] = get_args(PoolId)
SIDES: Final[tuple[str, ...]] = get_args(Side)
LEDGER_KINDS: Final[tuple[str, ...]] = get_args(LedgerKind)
MAIN: Final = "main"
"""Account of an installation that has one."""
ALL_POOLS: Final = "ALL"
"""Pool of a position that is the sum over pools."""

_ZERO: Final = Decimal(0)
_WHOLE_DIGITS: Final = 18
_SYMBOL_LENGTH: Final = 20


def fill_key_of(broker: str, account_id: str, trade_date: date, order_id: str, exec_ref: str) -> str:
    """Return the key that a fill has once and for all: `broker:account:trade_date:order_id:exec_ref`."""
    return f"{broker}:{account_id}:{trade_date.isoformat()}:{order_id}:{exec_ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill as the broker reported it.

    Raises:
        RowInvalid: a value is missing, of the wrong kind or impossible.
    """

    broker: str
    account_id: str
    trade_date: date
    """Business date of the exchange; part of the key, because broker order numbers may restart daily."""
    order_id: str
    """The broker's order number, verbatim."""
    exec_ref: str
    """The broker's execution id, or `cum=` and the quantity of the order filled so far."""
    pool_id: PoolId
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    amount: Decimal
    """As the broker states it, else quantity times price."""
    fee: Decimal = _ZERO
    tax: Decimal = _ZERO
    currency: str = "KRW"
    ts_exec_ns: int
    """Exchange time of the execution, UTC nanoseconds."""
    ts_recv_ns: int
    """Engine time at which it was heard of."""
    cum_filled_qty: Decimal | None = None
    client_order_id: str | None = None
    decision_id: str | None = None
    strategy_tag: str | None = None
    reason: str | None = None
    run_id: str | None = None
    """The run of the engine that booked it."""
    broker_exec_id: str | None = None
    slippage_bps: Decimal | None = None
    """Signed, positive = cost."""
    raw: str | None = None
    """What the broker sent, as JSON, without credentials."""

    def __post_init__(self) -> None:
        """Check every value."""
        where = f"fill of order {self.order_id!r}"
        for name in ("broker", "account_id", "order_id", "exec_ref"):
            _text(getattr(self, name), name, where)
        check_symbol(self.symbol, where)
        _one_of(self.side, SIDES, "side", where)
        _one_of(self.pool_id, POOLS, "pool_id", where)
        check_decimal(self.qty, "qty", where, above=True)
        check_decimal(self.price, "price", where, above=True)
        for name in ("amount", "fee", "tax"):
            check_decimal(getattr(self, name), name, where)
        if not isinstance(self.trade_date, date) or isinstance(self.trade_date, datetime):
            raise _wrong(where, "trade_date", repr(self.trade_date), "a date")
        if self.raw is not None:
            _json(self.raw, where)

    @property
    def fill_key(self) -> str:
        """The deterministic key of the fill."""
        return fill_key_of(self.broker, self.account_id, self.trade_date, self.order_id, self.exec_ref)

    @property
    def timestamp(self) -> datetime:
        """Execution time to the microsecond."""
        return from_ns(self.ts_exec_ns)

    @property
    def recorded_at(self) -> datetime:
        """Time of receipt to the microsecond."""
        return from_ns(self.ts_recv_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A row of the ledger: a fill, or a correction that refers to one."""

    entry_type: LedgerKind
    fill: Fill
    realized_pnl: Decimal | None = None
    """Of a sale: amount less cost, fee and tax, as booked."""
    reverses_key: str | None = None
    """Key of the entry that a REVERSAL takes back."""

    def __post_init__(self) -> None:
        """Check that kind and reference fit."""
        where = f"ledger entry {self.fill.fill_key}"
        _one_of(self.entry_type, LEDGER_KINDS, "entry_type", where)
        if (self.entry_type == "REVERSAL") != (self.reverses_key is not None):
            raise _wrong(where, "reverses_key", repr(self.reverses_key), "a key with REVERSAL, none otherwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What one pool of one account holds of one symbol; a closed position has quantity 0."""

    account_id: str
    pool_id: str
    """A pool, or `ALL` for the sum over pools."""
    symbol: str
    qty: Decimal
    cost_total: Decimal
    """Cost of `qty` without fees."""
    realized_pnl: Decimal
    currency: str = "KRW"
    opened_at: datetime | None = None
    last_fill_key: str = ""
    version: int = 0
    oversold: bool = False
    """More was sold than was held: to be reconciled with the broker."""

    def __post_init__(self) -> None:
        """Check every value."""
        where = f"position {self.symbol}/{self.pool_id}"
        check_symbol(self.symbol, where)
        check_decimal(self.qty, "qty", where)
        check_decimal(self.cost_total, "cost_total", where)
        if self.opened_at is not None and self.opened_at.utcoffset() is None:
            raise _wrong(where, "opened_at", str(self.opened_at), "a time with its zone")

    @property
    def avg_price(self) -> Decimal:
        """Average cost, to 8 decimals; 0 for a closed position."""
        if not self.qty:
            return _ZERO
        return (self.cost_total / self.qty).quantize(Decimal("1e-8"))


class FillResult(NamedTuple):
    """What became of a fill."""

    status: Literal["INSERTED", "DUPLICATE", "SPOOLED"]
    """SPOOLED: durable in the journal, not in the database yet."""
    position: Position | None
    """As it stands after the fill; None while that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ohlcv:
    """One bar. `time` of a daily bar is 00:00 UTC of its trade date."""

    time: datetime
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    """In units of the instrument's quantity scale; shares at KRX."""
    trade_date: date | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        """Check that high and low hold open and close."""
        where = f"bar of {self.symbol} at {self.time}"
        check_symbol(self.symbol, where)
        if self.time.utcoffset() != timedelta(0):
            raise _wrong(where, "time", str(self.time), "a time in UTC")
        for name in ("open", "high", "low", "close"):
            check_decimal(getattr(self, name), name, where, above=True)
        if self.high < max(self.open, self.close) or self.low > min(self.open, self.close):
            found = f"open {self.open}, high {self.high}, low {self.low}, close {self.close}"
            raise _wrong(where, "high and low", found, "high and low that hold open and close")
        if isinstance(self.volume, bool) or not isinstance(self.volume, int) or self.volume < 0:
            raise _wrong(where, "volume", repr(self.volume), "a whole number from 0")


class Tick(NamedTuple):
    """One tick as stored: a trade (`T`) or a quote (`Q`)."""

    time: datetime
    symbol: str
    kind: Literal["T", "Q"]
    price: Decimal | None
    volume: int
    side: Side | None
    bid: Decimal | None
    bid_qty: int | None
    ask: Decimal | None
    ask_qty: int | None
    source: str
    seq: int
    event_ns: int
    recv_ns: int


class ExecutionLog(NamedTuple):
    """One line about a stage of an execution; stored as well as can be, never at the cost of trading."""

    time: datetime
    order_id: str
    symbol: str
    stage: str
    latency_ms: Decimal | None
    success: bool
    error_code: str | None = None
    trace_id: str | None = None


class RiskLimits(NamedTuple):
    """The limits of `risk_configs`, copies of `risk.*` of the configuration."""

    max_exposure_pct: Decimal
    max_symbol_exposure_pct: Decimal
    daily_loss_limit: Decimal
    max_trade_qty: Decimal


class OutboxRow(NamedTuple):
    """A change that waits to be mirrored to the sheets, in the order of `seq`."""

    seq: int
    data_set: str
    """`Position` or `T_Ledger`."""
    key: str
    op: Literal["UPSERT", "APPEND"]
    payload: dict[str, Any]
    """Column to text, null or whole number."""
    created_at: datetime
    attempts: int


class JournalAck(NamedTuple):
    """How far the records of a journal are in the database; written in the transaction that brings them there."""

    journal: str
    """Name of the journal."""
    seq: int
    """Number of the last record that is."""


class Capabilities(NamedTuple):
    """What a source can do, found by trying it, not by its name."""

    profile: Literal["sqlite", "postgres", "timescale", "sheets", "hybrid"]
    ticks: bool
    transactions: bool
    aggregates: bool
    """Continuous aggregates, kept by the server."""
    compression: bool
    server_version: str = ""


class Health(NamedTuple):
    """How a source is."""

    healthy: bool
    latency_ms: float | None
    """Of the question asked; None without an answer."""
    detail: str
    pool_in_use: int = 0
    pool_size: int = 0
    replication_lag_s: float | None = None
    """None where no replica is configured."""


@dataclass(frozen=True, slots=True)
class RawDataContract:
    """Rows of a sheet as its schema reads them, with the version of that schema."""

    sheet: str
    schema_version: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)


def check_decimal(value: object, name: str, where: str, *, above: bool = False, signed: bool = False) -> None:
    """Check an exact number: finite, 0 or more (`above`: more than 0; `signed`: any), up to 18 whole digits.

    Raises:
        RowInvalid: it is not.
    """
    wanted = "an exact decimal number above 0" if above else "an exact decimal number of 0 or more"
    if not isinstance(value, Decimal) or not value.is_finite():
        raise _wrong(where, name, repr(value), wanted)
    if not signed and (value < 0 or (above and value == 0)):
        raise _wrong(where, name, str(value), wanted)
    if value.adjusted() >= _WHOLE_DIGITS:
        raise _wrong(where, name, str(value), f"at most {_WHOLE_DIGITS} digits in front of the point")


def check_symbol(value: object, where: str) -> None:
    """Check a symbol: text, because leading zeros count.

    Raises:
        RowInvalid: it is something else, empty, too long or has blanks around it.
    """
    if not isinstance(value, str) or not value or value != value.strip() or len(value) > _SYMBOL_LENGTH:
        raise _wrong(where, "symbol", repr(value), f"text of up to {_SYMBOL_LENGTH} characters, such as '005930'")


def _text(value: object, name: str, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise _wrong(where, name, repr(value), "text")


def _one_of(value: object, allowed: tuple[str, ...], name: str, where: str) -> None:
    if value not in allowed:
        raise _wrong(where, name, repr(value), ", ".join(allowed))


def _json(text: str, where: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise _wrong(where, "raw", str(error), "JSON") from None


def _wrong(where: str, name: str, found: str, expected: str) -> RowInvalid:
    return RowInvalid(found=f"{name} {found}", expected=expected, hint="mend the row where it comes from", where=where)
