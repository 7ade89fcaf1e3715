-- Accounts are told apart: every run of a simulated account numbers its orders, holds and weeks from the beginning, and
-- two runs over the same data decide the same under the same ids. Beside it what the capital room knows of a pool.

CREATE TABLE decisions_2 (
    run_id TEXT NOT NULL DEFAULT 'unknown' CHECK (length(run_id) <= 64),
    decision_id TEXT NOT NULL CHECK (length(decision_id) <= 64),
    created_at INTEGER NOT NULL,
    pipeline_step TEXT NOT NULL CHECK (length(pipeline_step) <= 20),
    action TEXT NOT NULL CHECK (length(action) <= 4),
    strategy_name TEXT NOT NULL CHECK (length(strategy_name) <= 50),
    symbol TEXT CHECK (length(symbol) <= 20),
    qty INTEGER CHECK (qty >= 0),
    risk_approved INTEGER NOT NULL CHECK (risk_approved IN (0, 1)),
    portfolio_adjusted INTEGER NOT NULL CHECK (portfolio_adjusted IN (0, 1)),
    reason TEXT,
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    line TEXT,
    PRIMARY KEY (run_id, decision_id)
) STRICT, WITHOUT ROWID;

INSERT INTO decisions_2 (
    decision_id, created_at, pipeline_step, action, strategy_name, symbol, qty, risk_approved, portfolio_adjusted,
    reason, metadata
)
SELECT
    decision_id, created_at, pipeline_step, action, strategy_name, symbol, qty, risk_approved, portfolio_adjusted,
    reason, metadata
FROM decisions;

DROP TABLE decisions;

ALTER TABLE decisions_2 RENAME TO decisions;

ALTER TABLE capital_pools ADD COLUMN nav_gain TEXT NOT NULL DEFAULT '0';
ALTER TABLE capital_pools ADD COLUMN is_funded INTEGER NOT NULL DEFAULT 0 CHECK (is_funded IN (0, 1));

CREATE TABLE capital_transfers_2 (
    transfer_id TEXT NOT NULL CHECK (length(transfer_id) <= 64),
    transfer_key TEXT NOT NULL CHECK (length(transfer_key) <= 64),
    from_pool TEXT NOT NULL CHECK (length(from_pool) <= 12),
    to_pool TEXT NOT NULL CHECK (length(to_pool) <= 12),
    amount TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (length(kind) <= 12),
    reason TEXT NOT NULL CHECK (length(reason) <= 40),
    status TEXT NOT NULL CHECK (length(status) <= 10),
    requested_at INTEGER NOT NULL,
    committed_at INTEGER,
    before_pools TEXT CHECK (before_pools IS NULL OR json_valid(before_pools)),
    after_pools TEXT CHECK (after_pools IS NULL OR json_valid(after_pools)),
    criteria TEXT CHECK (criteria IS NULL OR json_valid(criteria)),
    operating_state TEXT NOT NULL CHECK (length(operating_state) <= 12),
    safety_state TEXT NOT NULL CHECK (length(safety_state) <= 12),
    operator_id TEXT CHECK (length(operator_id) <= 64),
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    session_date TEXT,
    PRIMARY KEY (account_id, transfer_id),
    UNIQUE (account_id, transfer_key),
    CHECK (amount NOT GLOB '-*' AND amount <> '0')
) STRICT, WITHOUT ROWID;

INSERT INTO capital_transfers_2 (
    transfer_id, transfer_key, from_pool, to_pool, amount, kind, reason, status, requested_at, committed_at,
    before_pools, after_pools, criteria, operating_state, safety_state, operator_id
)
SELECT
    transfer_id, transfer_key, from_pool, to_pool, amount, kind, reason, status, requested_at, committed_at,
    before_pools, after_pools, criteria, operating_state, safety_state, operator_id
FROM capital_transfers;

DROP TABLE capital_transfers;

ALTER TABLE capital_transfers_2 RENAME TO capital_transfers;

CREATE TABLE capital_ledger_2 (
    entry_id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    bucket TEXT NOT NULL CHECK (length(bucket) <= 12),
    amount TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (length(cause) <= 10),
    ref_id TEXT NOT NULL CHECK (length(ref_id) <= 160),
    entry_no INTEGER,
    UNIQUE (account_id, cause, ref_id, pool_id, bucket)
) STRICT;

INSERT INTO capital_ledger_2 (
    entry_id, time, account_id, pool_id, bucket, amount, cause, ref_id
)
SELECT
    entry_id, time, account_id, pool_id, bucket, amount, cause, ref_id
FROM capital_ledger
ORDER BY entry_id;

DROP TABLE capital_ledger;

ALTER TABLE capital_ledger_2 RENAME TO capital_ledger;

CREATE INDEX idx_capital_ledger_account ON capital_ledger (account_id, entry_id);

CREATE TRIGGER capital_ledger_no_update BEFORE UPDATE ON capital_ledger
BEGIN SELECT RAISE(ABORT, 'capital_ledger is append-only'); END;

CREATE TRIGGER capital_ledger_no_delete BEFORE DELETE ON capital_ledger
BEGIN SELECT RAISE(ABORT, 'capital_ledger is append-only'); END;

CREATE TABLE capital_holds_2 (
    hold_id TEXT NOT NULL CHECK (length(hold_id) <= 64),
    order_id TEXT NOT NULL CHECK (length(order_id) <= 64),
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    amount TEXT NOT NULL,
    remaining TEXT NOT NULL,
    state TEXT NOT NULL CHECK (length(state) <= 12),
    reason TEXT NOT NULL CHECK (length(reason) <= 40),
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, hold_id)
) STRICT, WITHOUT ROWID;

INSERT INTO capital_holds_2 (
    hold_id, order_id, account_id, pool_id, amount, remaining, state, reason, created_at, updated_at, version
)
SELECT
    hold_id, order_id, account_id, pool_id, amount, remaining, state, reason, created_at, updated_at, version
FROM capital_holds;

DROP TABLE capital_holds;

ALTER TABLE capital_holds_2 RENAME TO capital_holds;
