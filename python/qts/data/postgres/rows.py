"""How records stand in the tables of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.clock.instants import from_ns
from qts.data.records import Fill, LedgerEntry, Position
from qts.data.scales import from_units

if TYPE_CHECKING:
    from decimal import Decimal

    from qts.data.contracts import InstrumentRow
    from qts.data.ledger import Holding

ENTRY_COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("fill_key", "text"),
    ("entry_type", "text"),
    ("timestamp", "timestamptz"),
    ("recorded_at", "timestamptz"),
    ("trade_date", "date"),
    ("account_id", "text"),
    ("pool_id", "text"),
    ("symbol", "text"),
    ("side", "text"),
    ("qty", "numeric"),
    ("price", "numeric"),
    ("amount", "numeric"),
    ("fee", "numeric"),
    ("tax", "numeric"),
    ("currency", "text"),
    ("realized_pnl", "numeric"),
    ("strategy_tag", "text"),
    ("order_id", "text"),
    ("broker", "text"),
    ("client_order_id", "text"),
    ("decision_id", "text"),
    ("broker_exec_id", "text"),
    ("slippage_bps", "numeric"),
    ("cum_filled_qty", "numeric"),
    ("reverses_id", "bigint"),
    ("raw", "text"),
    ("exec_ns", "bigint"),
    ("recv_ns", "bigint"),
    ("exec_ref", "text"),
    ("run_id", "text"),
    ("reason", "text"),
)
"""Columns of a ledger row, in the order of `entry_values`."""

ENTRY_SELECT: Final = (
    "SELECT l.entry_type, l.broker, l.account_id, l.trade_date, l.order_id, l.exec_ref, l.pool_id, l.symbol, l.side,"
    " l.qty, l.price, l.amount, l.fee, l.tax, l.currency, l.exec_ns, l.recv_ns, l.cum_filled_qty, l.client_order_id,"
    " l.decision_id, l.strategy_tag, l.reason, l.run_id, l.broker_exec_id, l.slippage_bps, l.raw::text AS raw,"
    " l.realized_pnl, r.fill_key AS reverses_key FROM t_ledger l LEFT JOIN t_ledger r ON r.id = l.reverses_id"
)

POSITION_SELECT: Final = (
    "SELECT account_id, pool_id, symbol, qty, cost_total, realized_pnl, currency, opened_at, last_fill_key, version,"
    " oversold FROM positions"
)


def entry_values(entry: LedgerEntry, realized: Decimal | None, reverses_id: int | None) -> tuple[Any, ...]:
    """Return the values of a ledger row."""
    fill = entry.fill
    return (
        fill.fill_key,
        entry.entry_type,
        from_ns(fill.ts_exec_ns),
        from_ns(fill.ts_recv_ns),
        fill.trade_date,
        fill.account_id,
        fill.pool_id,
        fill.symbol,
        fill.side,
        fill.qty,
        fill.price,
        fill.amount,
        fill.fee,
        fill.tax,
        fill.currency,
        realized,
        fill.strategy_tag,
        fill.order_id,
        fill.broker,
        fill.client_order_id,
        fill.decision_id,
        fill.broker_exec_id,
        fill.slippage_bps,
        fill.cum_filled_qty,
        reverses_id,
        fill.raw,
        fill.ts_exec_ns,
        fill.ts_recv_ns,
        fill.exec_ref,
        fill.run_id,
        fill.reason,
    )


def entry_of(row: Any) -> LedgerEntry:  # noqa: ANN401 - a row of the driver
    """Return the ledger row that `ENTRY_SELECT` has read."""
    fill = Fill(
        broker=row["broker"],
        account_id=row["account_id"],
        trade_date=row["trade_date"],
        order_id=row["order_id"],
        exec_ref=row["exec_ref"],
        pool_id=row["pool_id"],
        symbol=row["symbol"],
        side=row["side"],
        qty=row["qty"],
        price=row["price"],
        amount=row["amount"],
        fee=row["fee"],
        tax=row["tax"],
        currency=row["currency"],
        ts_exec_ns=row["exec_ns"],
        ts_recv_ns=row["recv_ns"],
        cum_filled_qty=row["cum_filled_qty"],
        client_order_id=row["client_order_id"],
        decision_id=row["decision_id"],
        strategy_tag=row["strategy_tag"],
        reason=row["reason"],
        run_id=row["run_id"],
        broker_exec_id=row["broker_exec_id"],
        slippage_bps=row["slippage_bps"],
        raw=row["raw"],
    )
    return LedgerEntry(
        entry_type=row["entry_type"],
        fill=fill,
        realized_pnl=row["realized_pnl"],
        reverses_key=row["reverses_key"],
    )


def position_row(row: Any) -> Position:  # noqa: ANN401 - a row of the driver
    """Return the position that `POSITION_SELECT` has read."""
    return Position(**{**dict(row), "last_fill_key": row["last_fill_key"] or ""})


def position_of(place: tuple[str, str, str], holding: Holding, instrument: InstrumentRow) -> Position:
    """Return what is held as a record."""
    return Position(
        account_id=place[0],
        pool_id=place[1],
        symbol=place[2],
        qty=from_units(holding.qty, instrument.qty_scale),
        cost_total=from_units(holding.cost_total, instrument.money_scale),
        realized_pnl=from_units(holding.realized_pnl, instrument.money_scale),
        currency=instrument.currency,
        opened_at=None if holding.opened_ns is None else from_ns(holding.opened_ns),
        last_fill_key=holding.last_fill_key,
        version=holding.version,
        oversold=bool(holding.oversold),
    )
