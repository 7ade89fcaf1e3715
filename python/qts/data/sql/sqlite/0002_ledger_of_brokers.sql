-- Ledger and positions as brokers need them: order numbers are text, a track is a pool, corrections refer to what they
-- correct, and a fill that no run of the engine has booked has no session.

CREATE TABLE t_ledger_2 (
    id              INTEGER PRIMARY KEY,
    fill_key        TEXT NOT NULL UNIQUE,
    entry_type      TEXT NOT NULL DEFAULT 'FILL'
                    CHECK (entry_type = 'FILL' OR entry_type = 'REVERSAL' OR entry_type = 'FEE_ADJ' OR entry_type = 'RECON_ADJ'),
    session_no      INTEGER NOT NULL DEFAULT 0,
    account_id      TEXT NOT NULL,
    realized_pnl    INTEGER,
    trade_date      TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    exec_ref        TEXT NOT NULL,
    recv_ns         INTEGER NOT NULL,
    exec_ns         INTEGER NOT NULL,
    decision_id     TEXT,
    symbol          TEXT NOT NULL,
    pool_id         TEXT NOT NULL
                    CHECK (pool_id = 'SCALP' OR pool_id = 'SWING' OR pool_id = 'PORTFOLIO' OR pool_id = 'UNASSIGNED'),
    side            TEXT NOT NULL CHECK (side = 'BUY' OR side = 'SELL'),
    qty             INTEGER NOT NULL CHECK (qty > 0),
    price           INTEGER NOT NULL CHECK (price > 0),
    amount          INTEGER NOT NULL CHECK (amount >= 0),
    fee             INTEGER NOT NULL CHECK (fee >= 0),
    tax             INTEGER NOT NULL CHECK (tax >= 0),
    cum_filled_qty  INTEGER,
    reason          TEXT,
    strategy_tag    TEXT
) STRICT;

INSERT INTO t_ledger_2 (id, fill_key, entry_type, session_no, account_id, realized_pnl, trade_date, order_id,
    exec_ref, recv_ns, exec_ns, decision_id, symbol, pool_id, side, qty, price, amount, fee, tax, cum_filled_qty,
    reason, strategy_tag)
SELECT id, fill_key, entry_type, session_no, account_id, realized_pnl, trade_date, order_id, exec_ref, ts_recv_ns,
    ts_exec_ns, decision_id, symbol, track, side, qty, price, amount, fee, tax, cum_qty, reason, strategy_tag
FROM t_ledger
ORDER BY id;

DROP TABLE t_ledger;

ALTER TABLE t_ledger_2 RENAME TO t_ledger;

CREATE TRIGGER t_ledger_no_update BEFORE UPDATE ON t_ledger
BEGIN SELECT RAISE(ABORT, 't_ledger is append-only'); END;

CREATE TRIGGER t_ledger_no_delete BEFORE DELETE ON t_ledger
BEGIN SELECT RAISE(ABORT, 't_ledger is append-only'); END;

-- What a row has that no run of the engine has booked, with what such rows are found by. It stands apart, because more
-- columns and indexes of the ledger would cost every backtest a tenth of its speed.
CREATE TABLE ledger_details (
    id              INTEGER PRIMARY KEY REFERENCES t_ledger (id),
    account_id      TEXT NOT NULL,
    exec_ns         INTEGER NOT NULL,
    order_id        TEXT NOT NULL,
    broker          TEXT NOT NULL,
    run_id          TEXT,
    client_order_id TEXT,
    broker_exec_id  TEXT,
    slippage_bps    INTEGER,
    reverses_id     INTEGER UNIQUE REFERENCES t_ledger (id),
    raw             TEXT
) STRICT;

CREATE INDEX idx_ledger_timestamp ON ledger_details (account_id, exec_ns);
CREATE INDEX idx_ledger_order ON ledger_details (account_id, order_id);

CREATE TRIGGER ledger_details_no_update BEFORE UPDATE ON ledger_details
BEGIN SELECT RAISE(ABORT, 'ledger_details is append-only'); END;

CREATE TRIGGER ledger_details_no_delete BEFORE DELETE ON ledger_details
BEGIN SELECT RAISE(ABORT, 'ledger_details is append-only'); END;

CREATE TABLE positions_2 (
    account_id     TEXT NOT NULL DEFAULT 'main',
    pool_id        TEXT NOT NULL,
    symbol         TEXT NOT NULL REFERENCES instruments (symbol),
    qty            INTEGER NOT NULL CHECK (qty >= 0),
    cost_total     INTEGER NOT NULL CHECK (cost_total >= 0),
    realized_pnl   INTEGER NOT NULL DEFAULT 0,
    opened_ns      INTEGER,
    last_fill_key  TEXT,
    version        INTEGER NOT NULL DEFAULT 0,
    oversold       INTEGER NOT NULL DEFAULT 0 CHECK (oversold IN (0, 1)),
    market         TEXT CHECK (length(market) <= 10),
    exposure_value INTEGER,
    unrealized_pnl INTEGER,
    exposure_pct   INTEGER,
    created_at     INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    updated_at     INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (account_id, pool_id, symbol)
) STRICT, WITHOUT ROWID;

INSERT INTO positions_2 (account_id, pool_id, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key, version,
    oversold)
SELECT account_id, track, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key, version, oversold
FROM positions;

DROP TABLE positions;

ALTER TABLE positions_2 RENAME TO positions;

ALTER TABLE orders RENAME TO run_orders;

ALTER TABLE run_orders RENAME COLUMN track TO pool_id;

CREATE TABLE fill_quarantine_2 (
    id         INTEGER PRIMARY KEY,
    fill_key   TEXT NOT NULL,
    session_no INTEGER NOT NULL DEFAULT 0,
    cause      TEXT NOT NULL,
    content    TEXT NOT NULL,
    at         INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000)
) STRICT;

INSERT INTO fill_quarantine_2 (id, fill_key, session_no, cause, content)
SELECT id, fill_key, session_no, cause, content FROM fill_quarantine ORDER BY id;

DROP TABLE fill_quarantine;

ALTER TABLE fill_quarantine_2 RENAME TO fill_quarantine;
