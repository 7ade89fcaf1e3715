"""Statements of the embedded database on the books: ledger, positions, orders and equity of runs.

Numbers are INTEGER in the scale of their instrument or currency, which the tables `instruments` and `currencies`
hold. One fixed scale for everything (1e8 for prices, 1e2 for money) would not do: the exact fee on a crypto fill has
eight decimals, and 1e8 on top of a KRW amount would overflow 63 bits at 92 billion won. A symbol's scales never change
within one database; `register` refuses it.
"""

from __future__ import annotations

from typing import Final

_ROW: Final = (
    "trade_date, order_id, exec_ref, recv_ns, exec_ns, decision_id, symbol, pool_id, side, qty, price, amount, fee,"
    " tax, cum_filled_qty, reason, strategy_tag"
)
"""Columns of `FillRow` in its order."""

_ROW_READ: Final = (
    "trade_date, CAST(order_id AS INTEGER), exec_ref, recv_ns, exec_ns, ifnull(decision_id, ''), symbol, pool_id, side,"
    " qty, price, amount, fee, tax, cum_filled_qty, ifnull(reason, ''), ifnull(strategy_tag, '')"
)

FILL_INSERT: Final = (
    f"INSERT INTO t_ledger (fill_key, session_no, account_id, realized_pnl, {_ROW})"  # noqa: S608 - constants
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Four columns of the books' own, then those of `FillRow` in its order."""

ADJUSTMENT_INSERT: Final = (
    f"INSERT INTO t_ledger (fill_key, session_no, account_id, realized_pnl, {_ROW}, entry_type)"  # noqa: S608 - constants
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'RECON_ADJ')"
)
"""As `FILL_INSERT`, of a row that no order has made."""

ROWS_AT_ONCE: Final = 32
"""Rows of one statement: a fifth quicker than as many statements, and within what every SQLite takes."""

FILLS_INSERT: Final = FILL_INSERT + f", ({', '.join('?' * 21)})" * (ROWS_AT_ONCE - 1)
"""As `FILL_INSERT`, for so many rows."""

ENTRY_INSERT: Final = (
    f"INSERT INTO t_ledger (fill_key, entry_type, account_id, realized_pnl, {_ROW})"  # noqa: S608 - constants
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""A row of a broker's fill, or of a correction: no session has booked it."""

DETAILS_INSERT: Final = (
    "INSERT INTO ledger_details (id, account_id, exec_ns, order_id, broker, run_id, client_order_id, broker_exec_id,"
    " slippage_bps, reverses_id, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

FILL_BY_KEY: Final = (
    "SELECT entry_type, trade_date, order_id, exec_ref, exec_ns, symbol, pool_id, side, qty, price, amount, fee, tax,"
    " cum_filled_qty FROM t_ledger WHERE fill_key = ?"
)
"""What makes two rows of one key the same."""

FILLS_OF_SESSION: Final = f"SELECT {_ROW_READ} FROM t_ledger WHERE session_no = ? AND order_id <> '0' ORDER BY id"  # noqa: S608 - constants

ALL_ENTRIES: Final = (
    "SELECT l.fill_key, l.entry_type, l.session_no, l.account_id, l.realized_pnl, o.realized_pnl,"  # noqa: S608 - constants
    + ", ".join(f" l.{name.strip()}" for name in _ROW.split(","))
    + " FROM t_ledger l LEFT JOIN ledger_details d ON d.id = l.id LEFT JOIN t_ledger o ON o.id = d.reverses_id"
)

ORDER_UPSERT: Final = (
    "INSERT INTO run_orders (session_no, order_id, ts_ns, decision_id, symbol, pool_id, side, kind, tif, qty,"
    " limit_price, state, filled_qty, amount, end_reason, strategy, updated_ns, client_order_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (session_no, order_id) DO UPDATE SET state = excluded.state, filled_qty = excluded.filled_qty,"
    " amount = excluded.amount, end_reason = excluded.end_reason, updated_ns = excluded.updated_ns,"
    " qty = excluded.qty, limit_price = excluded.limit_price"
)

ORDERS_OF_SESSION: Final = (
    "SELECT order_id, ts_ns, decision_id, symbol, pool_id, side, kind, tif, qty, limit_price, state, filled_qty,"
    " amount, end_reason, strategy, updated_ns, client_order_id FROM run_orders WHERE session_no = ? ORDER BY order_id"
)

EQUITY_INSERT: Final = "INSERT INTO equity (session_no, ts_ns, cash, market_value) VALUES (?, ?, ?, ?)"

EQUITY_OF_SESSION: Final = "SELECT ts_ns, cash, market_value FROM equity WHERE session_no = ? ORDER BY ts_ns, no"

POSITION_UPSERT: Final = (
    "INSERT INTO positions (account_id, pool_id, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key,"
    " version, oversold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account_id, pool_id, symbol) DO UPDATE SET qty = excluded.qty, cost_total = excluded.cost_total,"
    " realized_pnl = excluded.realized_pnl, opened_ns = excluded.opened_ns, last_fill_key = excluded.last_fill_key,"
    " version = excluded.version, oversold = excluded.oversold, updated_at = excluded.updated_at"
)

POSITION_BY_KEY: Final = (
    "SELECT qty, cost_total, realized_pnl, opened_ns, last_fill_key, version, oversold FROM positions"
    " WHERE account_id = ? AND pool_id = ? AND symbol = ?"
)

POSITIONS_OF_ACCOUNT: Final = (
    "SELECT account_id, pool_id, symbol, qty, cost_total, realized_pnl, opened_ns, ifnull(last_fill_key, ''), version,"
    " oversold FROM positions WHERE account_id = ? ORDER BY pool_id, symbol"
)

ALL_POSITIONS: Final = (
    "SELECT account_id, pool_id, symbol, qty, cost_total, realized_pnl FROM positions"
    " WHERE ?1 IS NULL OR account_id = ?1"
)

QUARANTINE: Final = "INSERT INTO fill_quarantine (fill_key, session_no, cause, content) VALUES (?, ?, ?, ?)"

ORDERS_AGAINST_LEDGER: Final = (
    "SELECT s.account_id, o.pool_id, o.symbol, o.order_id, ifnull(l.filled, 0), o.filled_qty"
    " FROM run_orders o JOIN sessions s ON s.no = o.session_no"
    " LEFT JOIN (SELECT session_no, CAST(order_id AS INTEGER) AS order_no, sum(qty) AS filled FROM t_ledger"
    " WHERE session_no <> 0 GROUP BY session_no, order_no) l"
    " ON l.session_no = o.session_no AND l.order_no = o.order_id"
    " WHERE ifnull(l.filled, 0) <> o.filled_qty AND (?1 IS NULL OR s.account_id = ?1)"
    " ORDER BY o.session_no, o.order_id"
)

SESSION_INSERT: Final = (
    "INSERT INTO sessions (session_id, mode, strategy, broker, account_id, currency, cash_start, started_ns,"
    " config_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

SESSION_END: Final = "UPDATE sessions SET status = ?, ended_ns = ?, cash_end = ?, decision_hash = ? WHERE no = ?"

INSTRUMENT_BY_SYMBOL: Final = (
    "SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments WHERE symbol = ?"
)
