-- Executions are told apart by their account: two runs over the same data decide the same under the same ids. Beside it
-- what an execution was decided on and what it went through, and the id under which an order of a run was sent.

ALTER TABLE run_orders ADD COLUMN client_order_id TEXT CHECK (length(client_order_id) <= 64);

CREATE TABLE intents_2 (
    execution_id TEXT NOT NULL CHECK (length(execution_id) <= 64),
    decision_id TEXT NOT NULL CHECK (length(decision_id) <= 64),
    parent_order_id TEXT NOT NULL CHECK (length(parent_order_id) <= 64),
    account_id TEXT NOT NULL CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    market TEXT CHECK (length(market) <= 10),
    side TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent TEXT NOT NULL CHECK (length(intent) <= 10),
    qty INTEGER NOT NULL CHECK (qty >= 0),
    price_type TEXT NOT NULL CHECK (length(price_type) <= 10),
    price INTEGER CHECK (price >= 0),
    decision_price INTEGER CHECK (decision_price >= 0),
    decision_ts INTEGER NOT NULL,
    deadline INTEGER,
    risk_allowed_qty INTEGER CHECK (risk_allowed_qty >= 0),
    risk_approved_at INTEGER,
    strategy_tag TEXT CHECK (length(strategy_tag) <= 50),
    hold_id TEXT CHECK (length(hold_id) <= 64),
    state TEXT NOT NULL CHECK (length(state) <= 12),
    disposition TEXT CHECK (length(disposition) <= 10),
    reason TEXT CHECK (length(reason) <= 40),
    filled_qty INTEGER NOT NULL DEFAULT 0 CHECK (filled_qty >= 0),
    unsent_qty INTEGER NOT NULL DEFAULT 0 CHECK (unsent_qty >= 0),
    cancelled_qty INTEGER NOT NULL DEFAULT 0 CHECK (cancelled_qty >= 0),
    avg_fill_price INTEGER CHECK (avg_fill_price >= 0),
    amount TEXT NOT NULL DEFAULT '0',
    fee TEXT NOT NULL DEFAULT '0',
    tax TEXT NOT NULL DEFAULT '0',
    slippage_bps INTEGER,
    rounds_used INTEGER NOT NULL DEFAULT 0,
    codes TEXT CHECK (codes IS NULL OR json_valid(codes)),
    execution_start INTEGER,
    execution_end INTEGER,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    version INTEGER NOT NULL DEFAULT 0,
    detail TEXT CHECK (detail IS NULL OR json_valid(detail)),
    PRIMARY KEY (account_id, execution_id),
    UNIQUE (account_id, decision_id)
) STRICT, WITHOUT ROWID;

INSERT INTO intents_2 (
    execution_id, decision_id, parent_order_id, account_id, pool_id, symbol, market, side, intent, qty, price_type,
    price, decision_price, decision_ts, deadline, risk_allowed_qty, risk_approved_at, strategy_tag, hold_id, state,
    disposition, reason, filled_qty, unsent_qty, cancelled_qty, avg_fill_price, amount, fee, tax, slippage_bps,
    rounds_used, codes, execution_start, execution_end, created_at, updated_at, version
)
SELECT
    execution_id, decision_id, parent_order_id, account_id, pool_id, symbol, market, side, intent, qty, price_type,
    price, decision_price, decision_ts, deadline, risk_allowed_qty, risk_approved_at, strategy_tag, hold_id, state,
    disposition, reason, filled_qty, unsent_qty, cancelled_qty, avg_fill_price, amount, fee, tax, slippage_bps,
    rounds_used, codes, execution_start, execution_end, created_at, updated_at, version
FROM intents;

CREATE TABLE orders_2 (
    client_order_id TEXT NOT NULL CHECK (length(client_order_id) <= 64),
    execution_id TEXT NOT NULL CHECK (length(execution_id) <= 64),
    sequence INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    parent_order_id TEXT NOT NULL CHECK (length(parent_order_id) <= 64),
    account_id TEXT NOT NULL CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    broker TEXT NOT NULL CHECK (length(broker) <= 20),
    venue TEXT CHECK (length(venue) <= 8),
    broker_order_id TEXT CHECK (length(broker_order_id) <= 100),
    prev_broker_order_id TEXT CHECK (length(prev_broker_order_id) <= 100),
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    side TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent TEXT NOT NULL CHECK (length(intent) <= 10),
    qty INTEGER NOT NULL CHECK (qty >= 0),
    price INTEGER CHECK (price >= 0),
    price_type TEXT NOT NULL CHECK (length(price_type) <= 10),
    scheduled_time INTEGER,
    max_wait_ms INTEGER,
    max_participation_rate INTEGER,
    status TEXT NOT NULL CHECK (length(status) <= 16),
    filled_qty INTEGER NOT NULL DEFAULT 0 CHECK (filled_qty >= 0),
    avg_fill_price INTEGER CHECK (avg_fill_price >= 0),
    sent_at INTEGER,
    ack_at INTEGER,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, client_order_id),
    UNIQUE (account_id, execution_id, sequence, generation),
    FOREIGN KEY (account_id, execution_id) REFERENCES intents_2 (account_id, execution_id)
) STRICT, WITHOUT ROWID;

INSERT INTO orders_2 (
    client_order_id, execution_id, sequence, generation, parent_order_id, account_id, pool_id, broker, venue,
    broker_order_id, prev_broker_order_id, symbol, side, intent, qty, price, price_type, scheduled_time, max_wait_ms,
    max_participation_rate, status, filled_qty, avg_fill_price, sent_at, ack_at, created_at, updated_at, version
)
SELECT
    client_order_id, execution_id, sequence, generation, parent_order_id, account_id, pool_id, broker, venue,
    broker_order_id, prev_broker_order_id, symbol, side, intent, qty, price, price_type, scheduled_time, max_wait_ms,
    max_participation_rate, status, filled_qty, avg_fill_price, sent_at, ack_at, created_at, updated_at, version
FROM orders;

DROP TABLE orders;

DROP TABLE intents;

ALTER TABLE intents_2 RENAME TO intents;

ALTER TABLE orders_2 RENAME TO orders;

CREATE INDEX idx_orders_broker ON orders (broker_order_id) WHERE broker_order_id IS NOT NULL;
