"""Rows of the store.

Prices, quantities and money are integers: price and quantity in the instrument's scales, money in the currency's
scale (`InstrumentRow` and `CurrencyRow` hold them). Times are UTC nanoseconds. Rows are named tuples because a run
builds one for every fill.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

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


CORPORATE_ORDER: Final = 0
"""Number that no order has: of rows that say what a corporate action has made of a holding."""


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

    @property
    def entry_type(self) -> Literal["FILL", "RECON_ADJ"]:
        """What the ledger calls it: a row that no order has made is an adjustment."""
        return "FILL" if self.order_id != CORPORATE_ORDER else "RECON_ADJ"


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
    client_order_id: str | None = None
    """Id under which it was sent; None in books of earlier versions."""


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


class CapitalEntryRow(NamedTuple):
    """One line of the double-entry ledger of capital; (cause, ref_id, pool_id, bucket) is unique on an account.

    The rows of capital hold moments in whole microseconds, as UTC nanoseconds; finer ones are cut off.
    """

    entry_id: int
    """Number that the capital room gave it."""
    ts_ns: int
    pool_id: str
    """SCALP, SWING, PORTFOLIO or UNALLOCATED."""
    bucket: str
    """AVAILABLE, INVESTED, RESERVED, HELD, and UNALLOCATED for the pool of that name."""
    amount: int
    """Signed."""
    cause: str
    """FILL, FEE, TAX, DIVIDEND, HOLD, TRANSFER, EXTERNAL or ADJUST."""
    ref_id: str
    """What it belongs to."""


class CapitalTransferRow(NamedTuple):
    """A transfer of capital as it stands. A later row of the same id or key replaces it until it is COMMITTED."""

    transfer_id: str
    transfer_key: str
    """What may happen only once on an account, such as `S>W:2026-W05`."""
    from_pool: Track
    to_pool: Track
    amount: int
    """More than 0."""
    kind: str
    """PROMOTION, DEMOTION or REBALANCE."""
    reason: str
    status: str
    """PENDING, COMMITTED, REJECTED or EXPIRED."""
    requested_ns: int
    committed_ns: int | None
    before: tuple[tuple[str, int], ...]
    """Totals of both pools before it."""
    after: tuple[tuple[str, int], ...]
    criteria: tuple[tuple[str, str], ...]
    """What it was decided on, by name."""
    operating_state: str
    safety_state: str
    operator_id: str | None
    session_date: str | None
    """Trading day whose limit it counts against, YYYY-MM-DD."""


class CapitalHoldRow(NamedTuple):
    """Money held for an order; a row of a higher version replaces it."""

    hold_id: str
    order_id: str
    pool_id: Track
    amount: int
    remaining: int
    state: str
    """PLACED, PARTLY_USED or CLOSED."""
    reason: str
    ts_ns: int
    """Of this version."""
    version: int


class CapitalPoolRow(NamedTuple):
    """A pool as it stands; a row of a lower revision never replaces it."""

    pool_id: Track
    version: str
    """Of the contract."""
    ts_ns: int
    total_capital: int
    available_capital: int
    invested_capital: int
    reserved_capital: int
    held_for_orders: int
    realized_pnl: int
    unrealized_pnl: int
    accumulated_profit: int
    nav_gain: int
    """Gain of the unit price since the last promotion, in money."""
    allocation_bps: int
    """Share of the total of all pools, in ten-thousandths."""
    target_bps: int
    last_promotion_ns: int | None
    promotion_eligible: bool
    pool_state: str
    """ACTIVE, PAUSED or LOCKED."""
    pause_causes: tuple[str, ...]
    lock_reason: str | None
    lock_code: str | None
    lock_ns: int | None
    units: int
    """Units of the pool, times 10**8."""
    unit_price: int
    """Net asset value of a unit, times 10**6."""
    peak_unit_price: int
    """Highest since the last re-base, times 10**6."""
    is_funded: bool
    revision: int


CapitalRow: TypeAlias = CapitalEntryRow | CapitalTransferRow | CapitalHoldRow | CapitalPoolRow


class DecisionRow(NamedTuple):
    """A decision of a run, as its canonical line says it."""

    decision_id: str
    """Unique in the run."""
    ts_ns: int
    line: str
    """JSON without a newline."""


class IntentRow(NamedTuple):
    """An execution as it stands; a row of a higher version replaces it. Its id is unique on an account."""

    execution_id: str
    decision_id: str
    symbol: str
    market: str
    track: Track
    side: Side
    intent: Literal["ENTRY", "EXIT"]
    qty: int
    """Decided."""
    kind: Literal["LIMIT", "MARKET"]
    limit_price: int | None
    decision_price: int
    decided_ns: int
    deadline_ns: int
    allowed_qty: int
    """That risk allowed."""
    approved_ns: int
    strategy: str
    hold_id: int
    """Hold of capital behind it, 0 = none."""
    state: str
    disposition: str
    """Empty until it is over, as are the figures below."""
    reason: str
    filled_qty: int
    unsent_qty: int
    cancelled_qty: int
    amount: int
    avg_price_e6: int | None
    """In millionths of a price unit."""
    fee: int
    tax: int
    slippage_e3: int | None
    """Thousandths of a basis point, positive = cost."""
    rounds: int
    codes: tuple[str, ...]
    start_ns: int
    end_ns: int | None
    updated_ns: int
    version: int
    detail: str
    """What it was decided on and what it went through, as a JSON object."""


class ChildRow(NamedTuple):
    """An order of an execution as it stands; a row of a higher version replaces it."""

    client_order_id: str
    """Its split id, unique on an account."""
    execution_id: str
    sequence: int
    generation: int
    order_id: int
    symbol: str
    track: Track
    side: Side
    intent: Literal["ENTRY", "EXIT", "ESCAPE"]
    kind: Literal["LIMIT", "MARKET"]
    qty: int
    price: int | None
    scheduled_ns: int
    max_wait_ms: int
    state: str
    filled_qty: int
    avg_price_e6: int | None
    sent_ns: int | None
    ack_ns: int | None
    updated_ns: int
    version: int


class ExecutionRow(NamedTuple):
    """An execution with its orders: kept together or not at all."""

    intent: IntentRow
    children: tuple[ChildRow, ...]


class StageRow(NamedTuple):
    """How long a stage of an execution took; kept as well as can be."""

    ts_ns: int
    execution_id: str
    symbol: str
    stage: str
    latency_ns: int
    success: bool
    error_code: str


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
