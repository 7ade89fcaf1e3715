"""Tables of the embedded database.

Numbers are INTEGER in the scale of their instrument or currency, which the tables `instruments` and `currencies`
hold. One fixed scale for everything (1e8 for prices, 1e2 for money) would not do: the exact fee on a crypto fill has
eight decimals, and 1e8 on top of a KRW amount would overflow 63 bits at 92 billion won. A symbol's scales never change
within one database; `SQLiteStore.register` refuses it.

Checks on text are written with OR: SQLite takes 1.4 us a row longer for the same thing with IN, a third of an insert.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x51545331
"""Marks a file as ours ("QTS1"), so that a foreign database is never written to."""

SCHEMA_VERSION: Final = 1

TABLES: Final = """
CREATE TABLE IF NOT EXISTS currencies (
    code  TEXT PRIMARY KEY,
    scale INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 8)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS instruments (
    symbol      TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    currency    TEXT NOT NULL REFERENCES currencies (code),
    price_scale INTEGER NOT NULL CHECK (price_scale BETWEEN 0 AND 8),
    qty_scale   INTEGER NOT NULL CHECK (qty_scale BETWEEN 0 AND 8),
    money_scale INTEGER NOT NULL CHECK (money_scale BETWEEN 0 AND 8)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sessions (
    no            INTEGER PRIMARY KEY,
    session_id    TEXT NOT NULL UNIQUE,
    mode          TEXT NOT NULL,
    strategy      TEXT NOT NULL,
    broker        TEXT NOT NULL,
    account_id    TEXT NOT NULL,
    currency      TEXT NOT NULL REFERENCES currencies (code),
    cash_start    INTEGER NOT NULL,
    started_ns    INTEGER NOT NULL,
    config_hash   TEXT NOT NULL,
    status        TEXT NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'DONE', 'STOPPED', 'FAULT')),
    ended_ns      INTEGER,
    cash_end      INTEGER,
    decision_hash TEXT
) STRICT;

-- One row for each fill, for ever. fill_key = broker:account:trade_date:order_id:exec_ref.
CREATE TABLE IF NOT EXISTS t_ledger (
    id           INTEGER PRIMARY KEY,
    fill_key     TEXT NOT NULL UNIQUE,
    entry_type   TEXT NOT NULL DEFAULT 'FILL',
    session_no   INTEGER NOT NULL,
    account_id   TEXT NOT NULL,
    realized_pnl INTEGER,
    trade_date   TEXT NOT NULL,
    order_id     INTEGER NOT NULL,
    exec_ref     TEXT NOT NULL,
    ts_recv_ns   INTEGER NOT NULL,
    ts_exec_ns   INTEGER NOT NULL,
    decision_id  TEXT NOT NULL,
    symbol       TEXT NOT NULL,
    track        TEXT NOT NULL CHECK (track = 'SCALP' OR track = 'SWING' OR track = 'PORTFOLIO'),
    side         TEXT NOT NULL CHECK (side = 'BUY' OR side = 'SELL'),
    qty          INTEGER NOT NULL CHECK (qty > 0),
    price        INTEGER NOT NULL CHECK (price > 0),
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    fee          INTEGER NOT NULL CHECK (fee >= 0),
    tax          INTEGER NOT NULL CHECK (tax >= 0),
    cum_qty      INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    strategy_tag TEXT NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS t_ledger_no_update BEFORE UPDATE ON t_ledger
BEGIN SELECT RAISE(ABORT, 't_ledger is append-only'); END;

CREATE TRIGGER IF NOT EXISTS t_ledger_no_delete BEFORE DELETE ON t_ledger
BEGIN SELECT RAISE(ABORT, 't_ledger is append-only'); END;

-- Fills that the ledger refused, word for word, for a person to look at.
CREATE TABLE IF NOT EXISTS fill_quarantine (
    id         INTEGER PRIMARY KEY,
    fill_key   TEXT NOT NULL,
    session_no INTEGER NOT NULL,
    cause      TEXT NOT NULL,
    content    TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS positions (
    account_id    TEXT NOT NULL,
    track         TEXT NOT NULL,
    symbol        TEXT NOT NULL REFERENCES instruments (symbol),
    qty           INTEGER NOT NULL CHECK (qty >= 0),
    cost_total    INTEGER NOT NULL CHECK (cost_total >= 0),
    realized_pnl  INTEGER NOT NULL,
    opened_ns     INTEGER,
    last_fill_key TEXT NOT NULL,
    version       INTEGER NOT NULL,
    oversold      INTEGER NOT NULL DEFAULT 0 CHECK (oversold IN (0, 1)),
    PRIMARY KEY (account_id, track, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS orders (
    session_no  INTEGER NOT NULL REFERENCES sessions (no),
    order_id    INTEGER NOT NULL,
    ts_ns       INTEGER NOT NULL,
    decision_id TEXT NOT NULL,
    symbol      TEXT NOT NULL,
    track       TEXT NOT NULL CHECK (track = 'SCALP' OR track = 'SWING' OR track = 'PORTFOLIO'),
    side        TEXT NOT NULL CHECK (side = 'BUY' OR side = 'SELL'),
    kind        TEXT NOT NULL,
    tif         TEXT NOT NULL,
    qty         INTEGER NOT NULL,
    limit_price INTEGER NOT NULL,
    state       TEXT NOT NULL,
    filled_qty  INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    end_reason  TEXT NOT NULL,
    strategy    TEXT NOT NULL,
    updated_ns  INTEGER NOT NULL,
    PRIMARY KEY (session_no, order_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS equity (
    no           INTEGER PRIMARY KEY,
    session_no   INTEGER NOT NULL,
    ts_ns        INTEGER NOT NULL,
    cash         INTEGER NOT NULL,
    market_value INTEGER NOT NULL
) STRICT;
"""

FILL_INSERT: Final = (
    "INSERT INTO t_ledger (fill_key, session_no, account_id, realized_pnl, trade_date, order_id, exec_ref, ts_recv_ns,"
    " ts_exec_ns, decision_id, symbol, track, side, qty, price, amount, fee, tax, cum_qty, reason, strategy_tag)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Four columns of the store's own, then those of `FillRow` in its order."""

FILL_BY_KEY: Final = (
    "SELECT trade_date, order_id, exec_ref, ts_recv_ns, ts_exec_ns, decision_id, symbol, track, side, qty, price,"
    " amount, fee, tax, cum_qty, reason, strategy_tag FROM t_ledger WHERE fill_key = ?"
)

FILLS_OF_SESSION: Final = (
    "SELECT trade_date, order_id, exec_ref, ts_recv_ns, ts_exec_ns, decision_id, symbol, track, side, qty, price,"
    " amount, fee, tax, cum_qty, reason, strategy_tag FROM t_ledger WHERE session_no = ? ORDER BY id"
)

ALL_FILLS: Final = (
    "SELECT fill_key, session_no, account_id, realized_pnl, trade_date, order_id, exec_ref, ts_recv_ns, ts_exec_ns,"
    " decision_id, symbol, track, side, qty, price, amount, fee, tax, cum_qty, reason, strategy_tag"
    " FROM t_ledger ORDER BY id"
)

ORDER_UPSERT: Final = (
    "INSERT INTO orders (session_no, order_id, ts_ns, decision_id, symbol, track, side, kind, tif, qty, limit_price,"
    " state, filled_qty, amount, end_reason, strategy, updated_ns)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (session_no, order_id) DO UPDATE SET state = excluded.state, filled_qty = excluded.filled_qty,"
    " amount = excluded.amount, end_reason = excluded.end_reason, updated_ns = excluded.updated_ns"
)

ORDERS_OF_SESSION: Final = (
    "SELECT order_id, ts_ns, decision_id, symbol, track, side, kind, tif, qty, limit_price, state, filled_qty,"
    " amount, end_reason, strategy, updated_ns FROM orders WHERE session_no = ? ORDER BY order_id"
)

POSITION_UPSERT: Final = (
    "INSERT INTO positions (account_id, track, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key,"
    " version, oversold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account_id, track, symbol) DO UPDATE SET qty = excluded.qty, cost_total = excluded.cost_total,"
    " realized_pnl = excluded.realized_pnl, opened_ns = excluded.opened_ns, last_fill_key = excluded.last_fill_key,"
    " version = excluded.version, oversold = excluded.oversold"
)

POSITION_BY_KEY: Final = (
    "SELECT qty, cost_total, realized_pnl, opened_ns, last_fill_key, version, oversold FROM positions"
    " WHERE account_id = ? AND track = ? AND symbol = ?"
)

ALL_POSITIONS: Final = (
    "SELECT account_id, track, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key, version, oversold"
    " FROM positions ORDER BY account_id, track, symbol"
)

ORDERS_AGAINST_LEDGER: Final = (
    "SELECT s.account_id, o.track, o.symbol, o.order_id, ifnull(l.filled, 0), o.filled_qty"
    " FROM orders o JOIN sessions s ON s.no = o.session_no"
    " LEFT JOIN (SELECT session_no, order_id, sum(qty) AS filled FROM t_ledger GROUP BY session_no, order_id) l"
    " ON l.session_no = o.session_no AND l.order_id = o.order_id"
    " WHERE ifnull(l.filled, 0) <> o.filled_qty ORDER BY o.session_no, o.order_id"
)
