-- The books of runs: ledger, positions, orders and equity.
--
-- Numbers are INTEGER in the scale of their instrument or currency, which the tables `instruments` and `currencies`
-- hold. Checks on text are written with OR: SQLite takes 1.4 us a row longer for the same thing with IN.

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
