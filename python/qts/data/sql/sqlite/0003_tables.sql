-- The other tables of the logical schema.
--
-- Moments are INTEGER, UTC microseconds; dates and JSON are TEXT. Decimals of up to 18 digits are INTEGER in the scale
-- of their column; wider ones, money among them, are TEXT in their plain form, since 63 bits would not hold them. Ticks
-- are in files of their own.

CREATE TABLE strategies (
    strategy_id TEXT NOT NULL CHECK (length(strategy_id) <= 50),
    param_name TEXT NOT NULL CHECK (length(param_name) <= 100),
    value TEXT NOT NULL,
    value_type TEXT NOT NULL DEFAULT 'string' CHECK (length(value_type) <= 20),
    description TEXT,
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (strategy_id, param_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE risk_configs (
    config_key TEXT NOT NULL CHECK (length(config_key) <= 100),
    value INTEGER NOT NULL,
    description TEXT,
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (config_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE config (
    scope TEXT NOT NULL CHECK (length(scope) <= 12),
    category TEXT CHECK (length(category) <= 50),
    sub_category TEXT CHECK (length(sub_category) <= 50),
    key TEXT NOT NULL CHECK (length(key) <= 100),
    value TEXT NOT NULL,
    description TEXT,
    tag TEXT CHECK (length(tag) <= 12),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE dividends (
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    ex_date TEXT,
    record_date TEXT NOT NULL,
    pay_date TEXT,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL CHECK (length(currency) <= 8),
    source TEXT CHECK (length(source) <= 50),
    meta TEXT CHECK (meta IS NULL OR json_valid(meta)),
    PRIMARY KEY (symbol, record_date, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE equity_history (
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    trade_date TEXT NOT NULL,
    total_equity TEXT NOT NULL,
    daily_pnl TEXT NOT NULL,
    net_flow TEXT NOT NULL DEFAULT '0',
    daily_return INTEGER,
    cumulative_return INTEGER,
    volatility_20d INTEGER,
    high_watermark TEXT,
    drawdown INTEGER,
    mdd INTEGER,
    nav INTEGER,
    PRIMARY KEY (account_id, trade_date)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
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
    PRIMARY KEY (execution_id),
    UNIQUE (decision_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
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
    PRIMARY KEY (client_order_id),
    UNIQUE (execution_id, sequence, generation),
    FOREIGN KEY (execution_id) REFERENCES intents (execution_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE decisions (
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
    PRIMARY KEY (decision_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE safety_state (
    scope TEXT NOT NULL CHECK (length(scope) <= 40),
    state TEXT NOT NULL CHECK (length(state) <= 12),
    causes TEXT CHECK (causes IS NULL OR json_valid(causes)),
    ack TEXT CHECK (ack IS NULL OR json_valid(ack)),
    kill TEXT CHECK (kill IS NULL OR json_valid(kill)),
    audit_seq INTEGER NOT NULL,
    audit_hash TEXT NOT NULL CHECK (length(audit_hash) <= 64),
    version INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    seq INTEGER NOT NULL,
    ts_utc INTEGER NOT NULL,
    session_date TEXT,
    actor TEXT NOT NULL CHECK (length(actor) <= 64),
    kind TEXT NOT NULL CHECK (length(kind) <= 40),
    code TEXT CHECK (length(code) <= 8),
    from_state TEXT CHECK (length(from_state) <= 20),
    to_state TEXT CHECK (length(to_state) <= 20),
    applied INTEGER NOT NULL DEFAULT 1 CHECK (applied IN (0, 1)),
    reason TEXT,
    refs TEXT CHECK (refs IS NULL OR json_valid(refs)),
    payload TEXT CHECK (payload IS NULL OR json_valid(payload)),
    prev_hash TEXT NOT NULL CHECK (length(prev_hash) <= 64),
    hash TEXT NOT NULL CHECK (length(hash) <= 64),
    PRIMARY KEY (seq),
    UNIQUE (prev_hash),
    UNIQUE (hash)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;

CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;

CREATE TABLE operating_state (
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    current_state TEXT NOT NULL CHECK (length(current_state) <= 12),
    previous_state TEXT CHECK (length(previous_state) <= 12),
    transition_timestamp INTEGER,
    transition_reason TEXT CHECK (length(transition_reason) <= 40),
    manual_override INTEGER NOT NULL DEFAULT 0 CHECK (manual_override IN (0, 1)),
    override_expiry INTEGER,
    state_duration_days INTEGER NOT NULL DEFAULT 0,
    properties TEXT NOT NULL CHECK (properties IS NULL OR json_valid(properties)),
    effective_properties TEXT NOT NULL CHECK (effective_properties IS NULL OR json_valid(effective_properties)),
    pending_target TEXT CHECK (length(pending_target) <= 12),
    pending_count INTEGER NOT NULL DEFAULT 0,
    pending_since INTEGER,
    tightened INTEGER NOT NULL DEFAULT 0 CHECK (tightened IN (0, 1)),
    trading_paused INTEGER NOT NULL DEFAULT 0 CHECK (trading_paused IN (0, 1)),
    version INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE operating_state_history (
    transition_id TEXT NOT NULL CHECK (length(transition_id) <= 26),
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    from_state TEXT NOT NULL CHECK (length(from_state) <= 12),
    to_state TEXT NOT NULL CHECK (length(to_state) <= 12),
    kind TEXT NOT NULL CHECK (length(kind) <= 20),
    reason TEXT NOT NULL CHECK (length(reason) <= 40),
    metrics TEXT CHECK (metrics IS NULL OR json_valid(metrics)),
    safety_state TEXT NOT NULL CHECK (length(safety_state) <= 12),
    source TEXT NOT NULL CHECK (length(source) <= 20),
    operator_id TEXT CHECK (length(operator_id) <= 64),
    decided_at INTEGER NOT NULL,
    effective_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (transition_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE manual_overrides (
    override_id TEXT NOT NULL CHECK (length(override_id) <= 26),
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    override_state TEXT NOT NULL CHECK (length(override_state) <= 12),
    override_reason TEXT NOT NULL CHECK (length(override_reason) <= 500),
    operator_id TEXT NOT NULL CHECK (length(operator_id) <= 64),
    override_time INTEGER NOT NULL,
    expiry_time INTEGER NOT NULL,
    auto_revert_state TEXT CHECK (length(auto_revert_state) <= 12),
    ended_at INTEGER,
    end_reason TEXT CHECK (length(end_reason) <= 40),
    version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (override_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rebalance_plans (
    plan_id TEXT NOT NULL CHECK (length(plan_id) <= 26),
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    trigger TEXT NOT NULL CHECK (length(trigger) <= 40),
    state TEXT NOT NULL CHECK (length(state) <= 12),
    status TEXT NOT NULL CHECK (length(status) <= 12),
    equity_at_open TEXT NOT NULL,
    pools TEXT NOT NULL CHECK (pools IS NULL OR json_valid(pools)),
    budget_total TEXT NOT NULL,
    budget_used TEXT NOT NULL DEFAULT '0',
    version INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    updated_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (plan_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sheet_outbox (
    seq INTEGER PRIMARY KEY,
    data_set TEXT NOT NULL CHECK (length(data_set) <= 20),
    key TEXT NOT NULL CHECK (length(key) <= 200),
    op TEXT NOT NULL CHECK (length(op) <= 8),
    payload TEXT NOT NULL CHECK (payload IS NULL OR json_valid(payload)),
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    status TEXT NOT NULL DEFAULT 'PENDING' CHECK (length(status) <= 8),
    last_error TEXT
) STRICT;

CREATE TABLE journal_ack (
    journal TEXT NOT NULL CHECK (length(journal) <= 40),
    seq INTEGER NOT NULL,
    acked_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (journal)
) STRICT, WITHOUT ROWID;

CREATE TABLE consistency_reports (
    run_id TEXT NOT NULL CHECK (length(run_id) <= 64),
    started_at INTEGER NOT NULL,
    scope TEXT NOT NULL CHECK (length(scope) <= 40),
    compared INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    mismatches TEXT CHECK (mismatches IS NULL OR json_valid(mismatches)),
    match_pct INTEGER NOT NULL,
    PRIMARY KEY (run_id, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE migration_state (
    id INTEGER PRIMARY KEY,
    phase INTEGER NOT NULL,
    mode TEXT NOT NULL CHECK (length(mode) <= 12),
    read_source TEXT NOT NULL CHECK (length(read_source) <= 8),
    changed_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    operator_id TEXT NOT NULL CHECK (length(operator_id) <= 64)
) STRICT;

CREATE TABLE capital_pools (
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    version TEXT NOT NULL CHECK (length(version) <= 12),
    timestamp INTEGER NOT NULL,
    total_capital TEXT NOT NULL,
    available_capital TEXT NOT NULL,
    invested_capital TEXT NOT NULL,
    reserved_capital TEXT NOT NULL,
    held_for_orders TEXT NOT NULL,
    realized_pnl TEXT NOT NULL DEFAULT '0',
    unrealized_pnl TEXT NOT NULL DEFAULT '0',
    accumulated_profit TEXT NOT NULL DEFAULT '0',
    allocation_pct INTEGER NOT NULL,
    target_allocation_pct INTEGER NOT NULL,
    last_promotion_time INTEGER,
    promotion_eligible INTEGER NOT NULL DEFAULT 0 CHECK (promotion_eligible IN (0, 1)),
    pool_state TEXT NOT NULL CHECK (length(pool_state) <= 8),
    pause_causes TEXT CHECK (pause_causes IS NULL OR json_valid(pause_causes)),
    lock_reason TEXT,
    lock_code TEXT CHECK (length(lock_code) <= 8),
    lock_timestamp INTEGER,
    units TEXT NOT NULL DEFAULT '0',
    unit_price INTEGER NOT NULL DEFAULT 0,
    peak_unit_price INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, pool_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE capital_transfers (
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
    PRIMARY KEY (transfer_id),
    UNIQUE (transfer_key),
    CHECK (amount NOT GLOB '-*' AND amount <> '0')
) STRICT, WITHOUT ROWID;

CREATE TABLE capital_ledger (
    entry_id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    account_id TEXT NOT NULL DEFAULT 'main' CHECK (length(account_id) <= 40),
    pool_id TEXT NOT NULL CHECK (length(pool_id) <= 12),
    bucket TEXT NOT NULL CHECK (length(bucket) <= 12),
    amount TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (length(cause) <= 10),
    ref_id TEXT NOT NULL CHECK (length(ref_id) <= 160),
    UNIQUE (cause, ref_id, pool_id, bucket)
) STRICT;

CREATE TRIGGER capital_ledger_no_update BEFORE UPDATE ON capital_ledger
BEGIN SELECT RAISE(ABORT, 'capital_ledger is append-only'); END;

CREATE TRIGGER capital_ledger_no_delete BEFORE DELETE ON capital_ledger
BEGIN SELECT RAISE(ABORT, 'capital_ledger is append-only'); END;

CREATE TABLE capital_holds (
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
    PRIMARY KEY (hold_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ohlcv_1d (
    time INTEGER NOT NULL,
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    open INTEGER NOT NULL CHECK (open >= 0),
    high INTEGER NOT NULL CHECK (high >= 0),
    low INTEGER NOT NULL CHECK (low >= 0),
    close INTEGER NOT NULL CHECK (close >= 0),
    volume INTEGER NOT NULL,
    trade_date TEXT NOT NULL,
    source TEXT CHECK (length(source) <= 20),
    revision INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (symbol, time),
    CHECK (high >= max(open, close) AND low <= min(open, close))
) STRICT, WITHOUT ROWID;

CREATE TABLE execution_logs (
    time INTEGER NOT NULL,
    order_id TEXT NOT NULL CHECK (length(order_id) <= 100),
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    stage TEXT NOT NULL CHECK (length(stage) <= 50),
    latency_ms INTEGER,
    success INTEGER NOT NULL CHECK (success IN (0, 1)),
    error_code TEXT CHECK (length(error_code) <= 50),
    trace_id TEXT CHECK (length(trace_id) <= 64)
) STRICT;

CREATE TABLE feedback_data (
    time INTEGER NOT NULL,
    execution_id TEXT NOT NULL CHECK (length(execution_id) <= 64),
    order_id TEXT NOT NULL CHECK (length(order_id) <= 100),
    revision INTEGER NOT NULL,
    calc_version INTEGER NOT NULL,
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    strategy_tag TEXT NOT NULL CHECK (length(strategy_tag) <= 50),
    order_type TEXT NOT NULL CHECK (length(order_type) <= 20),
    side TEXT NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent TEXT NOT NULL CHECK (length(intent) <= 10),
    execution_start INTEGER NOT NULL,
    execution_end INTEGER NOT NULL,
    feedback_generated_at INTEGER NOT NULL,
    decision_price INTEGER CHECK (decision_price >= 0),
    original_qty INTEGER NOT NULL CHECK (original_qty >= 0),
    total_filled_qty INTEGER NOT NULL CHECK (total_filled_qty >= 0),
    avg_fill_price INTEGER CHECK (avg_fill_price >= 0),
    total_slippage_bps INTEGER,
    timing_cost_bps INTEGER,
    spread_cost_bps INTEGER,
    realized_impact_bps INTEGER,
    implementation_shortfall_bps INTEGER,
    market_impact_bps INTEGER,
    spread_at_execution INTEGER,
    avg_fill_latency_ms INTEGER,
    avg_ack_latency_ms INTEGER,
    markout_5s_bps INTEGER,
    markout_60s_bps INTEGER,
    partial_fill_ratio INTEGER NOT NULL,
    execution_quality_score INTEGER,
    volatility_at_execution INTEGER,
    depth_at_execution INTEGER,
    adv_20d INTEGER CHECK (adv_20d >= 0),
    participation INTEGER,
    time_slot TEXT NOT NULL CHECK (length(time_slot) <= 11),
    session_phase TEXT NOT NULL CHECK (length(session_phase) <= 16),
    final_state TEXT NOT NULL CHECK (length(final_state) <= 12),
    operating_state TEXT NOT NULL CHECK (length(operating_state) <= 12),
    safety_state TEXT NOT NULL CHECK (length(safety_state) <= 12),
    quality_status TEXT NOT NULL CHECK (length(quality_status) <= 12),
    exclude_reason TEXT CHECK (length(exclude_reason) <= 40),
    tick_count INTEGER NOT NULL,
    tick_first_ts INTEGER,
    tick_last_ts INTEGER,
    PRIMARY KEY (execution_id, revision, time)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback_summary (
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    order_type TEXT NOT NULL CHECK (length(order_type) <= 20),
    time_slot TEXT NOT NULL CHECK (length(time_slot) <= 11),
    version INTEGER NOT NULL,
    avg_slippage_bps INTEGER NOT NULL,
    avg_market_impact_bps INTEGER NOT NULL,
    avg_quality_score INTEGER NOT NULL,
    p90_slippage_bps INTEGER NOT NULL,
    stderr_bps INTEGER NOT NULL,
    impact_coeff INTEGER NOT NULL,
    kyle_lambda INTEGER,
    n_eff INTEGER NOT NULL,
    level INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (length(status) <= 8),
    as_of INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,
    PRIMARY KEY (symbol, order_type, time_slot, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE ohlcv_1m (
    bucket INTEGER NOT NULL,
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    open INTEGER NOT NULL CHECK (open >= 0),
    high INTEGER NOT NULL CHECK (high >= 0),
    low INTEGER NOT NULL CHECK (low >= 0),
    close INTEGER NOT NULL CHECK (close >= 0),
    volume TEXT NOT NULL,
    PRIMARY KEY (symbol, bucket),
    CHECK (high >= max(open, close) AND low <= min(open, close))
) STRICT, WITHOUT ROWID;

CREATE TABLE hourly_execution_metrics (
    hour INTEGER NOT NULL,
    stage TEXT NOT NULL CHECK (length(stage) <= 50),
    avg_latency_ms INTEGER,
    p99_latency_ms INTEGER,
    success_count INTEGER NOT NULL,
    failure_count INTEGER NOT NULL,
    PRIMARY KEY (stage, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE hourly_feedback_stats (
    bucket INTEGER NOT NULL,
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    strategy_tag TEXT NOT NULL CHECK (length(strategy_tag) <= 50),
    order_type TEXT NOT NULL CHECK (length(order_type) <= 20),
    metric TEXT NOT NULL CHECK (length(metric) <= 40),
    count INTEGER NOT NULL,
    mean INTEGER NOT NULL,
    p50 INTEGER NOT NULL,
    p90 INTEGER NOT NULL,
    p95 INTEGER NOT NULL,
    p99 INTEGER NOT NULL,
    PRIMARY KEY (symbol, bucket, strategy_tag, order_type, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE daily_feedback_stats (
    bucket INTEGER NOT NULL,
    symbol TEXT NOT NULL CHECK (length(symbol) <= 20),
    strategy_tag TEXT NOT NULL CHECK (length(strategy_tag) <= 50),
    order_type TEXT NOT NULL CHECK (length(order_type) <= 20),
    metric TEXT NOT NULL CHECK (length(metric) <= 40),
    count INTEGER NOT NULL,
    mean INTEGER NOT NULL,
    p50 INTEGER NOT NULL,
    p90 INTEGER NOT NULL,
    p95 INTEGER NOT NULL,
    p99 INTEGER NOT NULL,
    PRIMARY KEY (symbol, bucket, strategy_tag, order_type, metric)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_strategies_updated ON strategies (updated_at DESC);
CREATE INDEX idx_orders_broker ON orders (broker_order_id) WHERE broker_order_id IS NOT NULL;
CREATE INDEX idx_outbox_pending ON sheet_outbox (data_set, key, seq) WHERE status = 'PENDING';
CREATE INDEX idx_outbox_order ON sheet_outbox (seq) WHERE status = 'PENDING';
CREATE INDEX idx_exec_logs_order ON execution_logs (order_id, time);
CREATE INDEX idx_exec_logs_stage ON execution_logs (stage, time);
CREATE INDEX idx_exec_logs_time ON execution_logs (time);
CREATE INDEX idx_feedback_symbol_time ON feedback_data (symbol, time);
CREATE INDEX idx_feedback_strategy_time ON feedback_data (strategy_tag, time);
