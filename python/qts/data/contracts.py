"""Rows of the store.

Prices, quantities and money are integers: price and quantity in the instrument's scales, money in the currency's
scale (`InstrumentRow` and `CurrencyRow` hold them). Times are UTC nanoseconds. Rows are named tuples because a run
builds one for every fill.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Track: TypeAlias = Literal["SCALP", "SWING", "PORTFOLIO"]
Side: TypeAlias = Literal["BUY", "SELL"]
OrderState: TypeAlias = Literal[
    "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED", "EXPIRED", "UNKNOWN"
]
SessionStatus: TypeAlias = Literal["OPEN", "DONE", "STOPPED", "FAULT"]


class CurrencyRow(NamedTuple):
    """A currency and the number of decimals in which the store counts it."""

    code: str
    scale: int


class InstrumentRow(NamedTuple):
    """What it takes to read the integers of one symbol."""

    symbol: str
    name: str
    currency: str
    price_scale: int
    qty_scale: int
    money_scale: int


class SessionRow(NamedTuple):
    """One run of the engine on one account."""

    session_id: str
    """Unique in the store."""
    mode: str
    strategy: str
    broker: str
    account_id: str
    """A simulated account lives for one session only, so its name must be unique too."""
    currency: str
    cash_start: int
    started_ns: int
    """Wall-clock time of the start."""
    config_hash: str


class FillRow(NamedTuple):
    """One fill as booked. Broker and account are those of the session."""

    trade_date: str
    """Business date of the exchange, YYYY-MM-DD."""
    order_id: int
    exec_ref: str
    """The broker's execution id, unique within (broker, account, trade date, order)."""
    ts_ns: int
    """Engine time at which the fill was heard of."""
    ts_exec_ns: int
    """Exchange time of the execution."""
    decision_id: str
    symbol: str
    track: Track
    side: Side
    qty: int
    price: int
    amount: int
    """Quantity times price, in money units."""
    fee: int
    tax: int
    cum_qty: int
    """Quantity of the order filled so far, this fill included."""
    reason: str
    """Why the order was sent."""
    strategy: str


class OrderRow(NamedTuple):
    """An order as it stands; a later row of the same `order_id` replaces the earlier one."""

    order_id: int
    ts_ns: int
    """Engine time of the sending."""
    decision_id: str
    symbol: str
    track: Track
    side: Side
    kind: Literal["LIMIT", "MARKET"]
    tif: Literal["DAY", "IOC"]
    qty: int
    limit_price: int
    state: OrderState
    filled_qty: int
    amount: int
    """Sum of fill quantity times price, in money units."""
    end_reason: str
    """Why the order ended short of its quantity; empty while it works and after its last fill."""
    strategy: str
    updated_ns: int


class EquityRow(NamedTuple):
    """What the account was worth."""

    ts_ns: int
    cash: int
    market_value: int

    @property
    def equity(self) -> int:
        """Cash plus market value."""
        return self.cash + self.market_value


class PositionRow(NamedTuple):
    """What one track of one account holds of one symbol; a closed position keeps its row."""

    account_id: str
    track: Track
    symbol: str
    qty: int
    cost_total: int
    """Cost of `qty` without fees."""
    realized_pnl: int
    """Sum over the sales: amount less cost, fee and tax. The fees of purchases are not in it."""
    opened_ns: int | None
    """First fill since the position was flat; None while it is."""
    last_fill_key: str
    version: int
    """Fills applied so far."""
    oversold: bool
    """More was sold than was held: the position must be reconciled with the broker."""


class Difference(NamedTuple):
    """Something that the ledger says and another table contradicts."""

    account_id: str
    track: str
    symbol: str
    what: str
    """Column that differs; for an order with its number."""
    from_ledger: int
    stored: int

    def __str__(self) -> str:
        return (
            f"{self.what} of {self.symbol} ({self.account_id}, {self.track}): "
            f"{self.from_ledger} by the ledger, {self.stored} stored"
        )


class FlushResult(NamedTuple):
    """What one flush wrote."""

    fills: int
    duplicates: int
    """Fills that were in the ledger already, with the same content; they changed nothing."""
    orders: int
    equity: int


class StoreCondition(NamedTuple):
    """What the engine has to know about its books."""

    entries_held: str
    """Why nothing may be entered now; empty if it may."""
    reports: tuple[tuple[str, str], ...]
    """Codes and what happened, since the last look."""
