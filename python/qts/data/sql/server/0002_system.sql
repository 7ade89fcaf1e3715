-- Parameters, execution programmes, decisions, safety, operating state and what the mirror is checked by.

CREATE TABLE strategies (
    strategy_id VARCHAR(50) NOT NULL,
    param_name  VARCHAR(100) NOT NULL,
    value       TEXT NOT NULL,
    value_type  VARCHAR(20) NOT NULL DEFAULT 'string'
                CHECK (value_type IN ('string', 'int', 'decimal', 'bool', 'json')),
    description TEXT,
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (strategy_id, param_name)
);
CREATE INDEX idx_strategies_updated ON strategies (updated_at DESC);

CREATE TABLE risk_configs (
    config_key  VARCHAR(100) PRIMARY KEY,
    value       NUMERIC(18, 8) NOT NULL,
    description TEXT,
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE config (
    scope        VARCHAR(12) NOT NULL CHECK (scope IN ('LOCAL', 'SCALP', 'SWING', 'PORTFOLIO')),
    category     VARCHAR(50),
    sub_category VARCHAR(50),
    key          VARCHAR(100) NOT NULL,
    value        TEXT NOT NULL,
    description  TEXT,
    tag          VARCHAR(12) CHECK (tag IN ('DANGER', 'STABLE', 'TUNABLE')),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);

CREATE TABLE dividends (
    symbol      VARCHAR(20) NOT NULL,
    ex_date     DATE,
    record_date DATE NOT NULL,
    pay_date    DATE,
    amount      NUMERIC(18, 8) NOT NULL CHECK (amount >= 0),
    currency    VARCHAR(8) NOT NULL,
    source      VARCHAR(50),
    meta        JSONB,
    PRIMARY KEY (symbol, record_date, currency)
);

CREATE TABLE equity_history (
    account_id        VARCHAR(40) NOT NULL DEFAULT 'main',
    trade_date        DATE NOT NULL,
    total_equity      NUMERIC(26, 8) NOT NULL,
    daily_pnl         NUMERIC(26, 8) NOT NULL,
    net_flow          NUMERIC(26, 8) NOT NULL DEFAULT 0,
    daily_return      NUMERIC(18, 8),
    cumulative_return NUMERIC(18, 8),
    volatility_20d    NUMERIC(18, 8),
    high_watermark    NUMERIC(26, 8),
    drawdown          NUMERIC(18, 8),
    mdd               NUMERIC(18, 8),
    nav               NUMERIC(18, 8),
    PRIMARY KEY (account_id, trade_date)
);

CREATE TABLE intents (
    execution_id     VARCHAR(64) PRIMARY KEY,
    decision_id      VARCHAR(64) NOT NULL UNIQUE,
    parent_order_id  VARCHAR(64) NOT NULL,
    account_id       VARCHAR(40) NOT NULL,
    pool_id          VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNASSIGNED')),
    symbol           VARCHAR(20) NOT NULL,
    market           VARCHAR(10),
    side             VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent           VARCHAR(10) NOT NULL CHECK (intent IN ('ENTRY', 'EXIT', 'REBALANCE', 'ESCAPE')),
    qty              NUMERIC(18, 8) NOT NULL CHECK (qty > 0),
    price_type       VARCHAR(10) NOT NULL CHECK (price_type IN ('MARKET', 'LIMIT')),
    price            NUMERIC(18, 8) CHECK (price > 0),
    decision_price   NUMERIC(18, 8) CHECK (decision_price > 0),
    decision_ts      TIMESTAMPTZ NOT NULL,
    deadline         TIMESTAMPTZ,
    risk_allowed_qty NUMERIC(18, 8) CHECK (risk_allowed_qty >= 0),
    risk_approved_at TIMESTAMPTZ,
    strategy_tag     VARCHAR(50),
    hold_id          VARCHAR(64),
    state            VARCHAR(12) NOT NULL,
    disposition      VARCHAR(10),
    reason           VARCHAR(40),
    filled_qty       NUMERIC(18, 8) NOT NULL DEFAULT 0 CHECK (filled_qty >= 0),
    unsent_qty       NUMERIC(18, 8) NOT NULL DEFAULT 0 CHECK (unsent_qty >= 0),
    cancelled_qty    NUMERIC(18, 8) NOT NULL DEFAULT 0 CHECK (cancelled_qty >= 0),
    avg_fill_price   NUMERIC(18, 8),
    amount           NUMERIC(26, 8) NOT NULL DEFAULT 0,
    fee              NUMERIC(26, 8) NOT NULL DEFAULT 0,
    tax              NUMERIC(26, 8) NOT NULL DEFAULT 0,
    slippage_bps     NUMERIC(10, 3),
    rounds_used      SMALLINT NOT NULL DEFAULT 0,
    codes            JSONB,
    execution_start  TIMESTAMPTZ,
    execution_end    TIMESTAMPTZ,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    version          BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE orders (
    client_order_id        VARCHAR(64) PRIMARY KEY,
    execution_id           VARCHAR(64) NOT NULL REFERENCES intents (execution_id),
    sequence               INTEGER NOT NULL,
    generation             INTEGER NOT NULL,
    parent_order_id        VARCHAR(64) NOT NULL,
    account_id             VARCHAR(40) NOT NULL,
    pool_id                VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNASSIGNED')),
    broker                 VARCHAR(20) NOT NULL,
    venue                  VARCHAR(8),
    broker_order_id        VARCHAR(100),
    prev_broker_order_id   VARCHAR(100),
    symbol                 VARCHAR(20) NOT NULL,
    side                   VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent                 VARCHAR(10) NOT NULL CHECK (intent IN ('ENTRY', 'EXIT', 'REBALANCE', 'ESCAPE')),
    qty                    NUMERIC(18, 8) NOT NULL CHECK (qty > 0),
    price                  NUMERIC(18, 8) CHECK (price > 0),
    price_type             VARCHAR(10) NOT NULL CHECK (price_type IN ('MARKET', 'LIMIT')),
    scheduled_time         TIMESTAMPTZ,
    max_wait_ms            INTEGER,
    max_participation_rate NUMERIC(5, 4),
    status                 VARCHAR(16) NOT NULL,
    filled_qty             NUMERIC(18, 8) NOT NULL DEFAULT 0 CHECK (filled_qty >= 0),
    avg_fill_price         NUMERIC(18, 8),
    sent_at                TIMESTAMPTZ,
    ack_at                 TIMESTAMPTZ,
    created_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    version                BIGINT NOT NULL DEFAULT 0,
    UNIQUE (execution_id, sequence, generation)
);

CREATE TABLE decisions (
    decision_id        VARCHAR(64) PRIMARY KEY,
    created_at         TIMESTAMPTZ NOT NULL,
    pipeline_step      VARCHAR(20) NOT NULL,
    action             VARCHAR(4) NOT NULL CHECK (action IN ('BUY', 'SELL', 'HOLD', 'NONE')),
    strategy_name      VARCHAR(50) NOT NULL,
    symbol             VARCHAR(20),
    qty                NUMERIC(18, 8) CHECK (qty > 0),
    risk_approved      BOOLEAN NOT NULL,
    portfolio_adjusted BOOLEAN NOT NULL,
    reason             TEXT,
    metadata           JSONB
);

CREATE TABLE safety_state (
    scope      VARCHAR(40) PRIMARY KEY,
    state      VARCHAR(12) NOT NULL CHECK (state IN ('NORMAL', 'WARNING', 'FAIL', 'LOCKDOWN')),
    causes     JSONB,
    ack        JSONB,
    kill       JSONB,
    audit_seq  BIGINT NOT NULL,
    audit_hash VARCHAR(64) NOT NULL,
    version    BIGINT NOT NULL DEFAULT 0,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE audit_log (
    seq          BIGINT PRIMARY KEY,
    ts_utc       TIMESTAMPTZ NOT NULL,
    session_date DATE,
    actor        VARCHAR(64) NOT NULL,
    kind         VARCHAR(40) NOT NULL,
    code         VARCHAR(8),
    from_state   VARCHAR(20),
    to_state     VARCHAR(20),
    applied      BOOLEAN NOT NULL DEFAULT true,
    reason       TEXT,
    refs         JSONB,
    payload      JSONB,
    prev_hash    VARCHAR(64) NOT NULL UNIQUE,
    hash         VARCHAR(64) NOT NULL UNIQUE
);

CREATE TABLE operating_state (
    account_id           VARCHAR(40) PRIMARY KEY DEFAULT 'main',
    current_state        VARCHAR(12) NOT NULL CHECK (current_state IN ('AGGRESSIVE', 'BALANCED', 'DEFENSIVE')),
    previous_state       VARCHAR(12) CHECK (previous_state IN ('AGGRESSIVE', 'BALANCED', 'DEFENSIVE')),
    transition_timestamp TIMESTAMPTZ,
    transition_reason    VARCHAR(40),
    manual_override      BOOLEAN NOT NULL DEFAULT false,
    override_expiry      TIMESTAMPTZ,
    state_duration_days  NUMERIC(18, 8) NOT NULL DEFAULT 0 CHECK (state_duration_days >= 0),
    properties           JSONB NOT NULL,
    effective_properties JSONB NOT NULL,
    pending_target       VARCHAR(12),
    pending_count        INTEGER NOT NULL DEFAULT 0,
    pending_since        TIMESTAMPTZ,
    tightened            BOOLEAN NOT NULL DEFAULT false,
    trading_paused       BOOLEAN NOT NULL DEFAULT false,
    version              BIGINT NOT NULL DEFAULT 0,
    updated_at           TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE operating_state_history (
    transition_id VARCHAR(26) PRIMARY KEY,
    account_id    VARCHAR(40) NOT NULL DEFAULT 'main',
    from_state    VARCHAR(12) NOT NULL,
    to_state      VARCHAR(12) NOT NULL,
    kind          VARCHAR(20) NOT NULL,
    reason        VARCHAR(40) NOT NULL,
    metrics       JSONB,
    safety_state  VARCHAR(12) NOT NULL,
    source        VARCHAR(20) NOT NULL,
    operator_id   VARCHAR(64),
    decided_at    TIMESTAMPTZ NOT NULL,
    effective_at  TIMESTAMPTZ NOT NULL,
    version       BIGINT NOT NULL
);

CREATE TABLE manual_overrides (
    override_id       VARCHAR(26) PRIMARY KEY,
    account_id        VARCHAR(40) NOT NULL DEFAULT 'main',
    override_state    VARCHAR(12) NOT NULL,
    override_reason   VARCHAR(500) NOT NULL CHECK (override_reason <> ''),
    operator_id       VARCHAR(64) NOT NULL CHECK (operator_id <> ''),
    override_time     TIMESTAMPTZ NOT NULL,
    expiry_time       TIMESTAMPTZ NOT NULL,
    auto_revert_state VARCHAR(12),
    ended_at          TIMESTAMPTZ,
    end_reason        VARCHAR(40),
    version           BIGINT NOT NULL DEFAULT 0,
    CHECK (expiry_time > override_time AND expiry_time <= override_time + INTERVAL '7 days')
);

CREATE TABLE rebalance_plans (
    plan_id        VARCHAR(26) PRIMARY KEY,
    account_id     VARCHAR(40) NOT NULL DEFAULT 'main',
    trigger        VARCHAR(40) NOT NULL,
    state          VARCHAR(12) NOT NULL,
    status         VARCHAR(12) NOT NULL
                   CHECK (status IN ('IDLE', 'ARMED', 'ACTIVE', 'PAUSED', 'COMPLETED', 'CANCELLED')),
    equity_at_open NUMERIC(26, 8) NOT NULL,
    pools          JSONB NOT NULL,
    budget_total   NUMERIC(26, 8) NOT NULL,
    budget_used    NUMERIC(26, 8) NOT NULL DEFAULT 0,
    version        BIGINT NOT NULL DEFAULT 0,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE consistency_reports (
    run_id     VARCHAR(64) NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    scope      VARCHAR(40) NOT NULL,
    compared   BIGINT NOT NULL,
    matched    BIGINT NOT NULL,
    mismatches JSONB,
    match_pct  NUMERIC(7, 4) NOT NULL,
    PRIMARY KEY (run_id, scope)
);

CREATE TABLE migration_state (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phase       SMALLINT NOT NULL CHECK (phase BETWEEN 0 AND 5),
    mode        VARCHAR(12) NOT NULL CHECK (mode IN ('SHEETS_ONLY', 'HYBRID', 'DB_ONLY')),
    read_source VARCHAR(8) NOT NULL CHECK (read_source IN ('sheets', 'db')),
    changed_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    operator_id VARCHAR(64) NOT NULL
);

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION qts_refuse_change();
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
FOR EACH STATEMENT EXECUTE FUNCTION qts_refuse_change();
CREATE TRIGGER operating_state_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operating_state_history
FOR EACH STATEMENT EXECUTE FUNCTION qts_refuse_change();
