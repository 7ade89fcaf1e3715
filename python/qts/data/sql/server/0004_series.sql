-- Time series. The same columns, constraints and indexes on both profiles; only the way they are partitioned differs.
-- A line `-- profile: NAME` says for which profile the lines below it are, until the next one.

CREATE TABLE tick_data (
    time     TIMESTAMPTZ NOT NULL,
    symbol   VARCHAR(20) NOT NULL,
    kind     CHAR(1) NOT NULL CHECK (kind IN ('T', 'Q')),
    price    NUMERIC(18, 8) CHECK (price > 0),
    volume   BIGINT NOT NULL CHECK (volume >= 0),
    side     VARCHAR(4) CHECK (side IN ('BUY', 'SELL')),
    bid      NUMERIC(18, 8) CHECK (bid > 0),
    bid_qty  BIGINT CHECK (bid_qty >= 0),
    ask      NUMERIC(18, 8) CHECK (ask > 0),
    ask_qty  BIGINT CHECK (ask_qty >= 0),
    source   VARCHAR(20) NOT NULL,
    seq      BIGINT NOT NULL,
    event_ns BIGINT NOT NULL,
    recv_ns  BIGINT NOT NULL,
    CHECK (kind = 'Q' OR price IS NOT NULL)
)
-- profile: postgres
PARTITION BY RANGE (time)
-- profile: all
;

CREATE TABLE ohlcv_1d (
    time       TIMESTAMPTZ NOT NULL,
    symbol     VARCHAR(20) NOT NULL,
    open       NUMERIC(18, 8) NOT NULL CHECK (open > 0),
    high       NUMERIC(18, 8) NOT NULL,
    low        NUMERIC(18, 8) NOT NULL,
    close      NUMERIC(18, 8) NOT NULL CHECK (close > 0),
    volume     BIGINT NOT NULL CHECK (volume >= 0),
    trade_date DATE NOT NULL,
    source     VARCHAR(20),
    revision   INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1),
    CHECK (high >= greatest(open, close)),
    CHECK (low > 0 AND low <= least(open, close))
)
-- profile: postgres
PARTITION BY RANGE (time)
-- profile: all
;

CREATE TABLE execution_logs (
    time       TIMESTAMPTZ NOT NULL,
    order_id   VARCHAR(100) NOT NULL,
    symbol     VARCHAR(20) NOT NULL,
    stage      VARCHAR(50) NOT NULL CHECK (stage IN ('PRECHECK', 'SPLITTING', 'SENDING', 'MONITORING', 'ADJUSTING',
                                                     'ESCAPING', 'COMPLETE', 'ESCAPED', 'FAILED')),
    latency_ms NUMERIC(10, 3),
    success    BOOLEAN NOT NULL,
    error_code VARCHAR(50),
    trace_id   VARCHAR(64)
)
-- profile: postgres
PARTITION BY RANGE (time)
-- profile: all
;

CREATE TABLE feedback_data (
    time                         TIMESTAMPTZ NOT NULL,
    execution_id                 VARCHAR(64) NOT NULL,
    order_id                     VARCHAR(100) NOT NULL,
    revision                     INTEGER NOT NULL CHECK (revision >= 1),
    calc_version                 INTEGER NOT NULL CHECK (calc_version >= 1),
    symbol                       VARCHAR(20) NOT NULL,
    strategy_tag                 VARCHAR(50) NOT NULL,
    order_type                   VARCHAR(20) NOT NULL,
    side                         VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    intent                       VARCHAR(10) NOT NULL CHECK (intent IN ('ENTRY', 'EXIT', 'REBALANCE', 'ESCAPE')),
    execution_start              TIMESTAMPTZ NOT NULL,
    execution_end                TIMESTAMPTZ NOT NULL,
    feedback_generated_at        TIMESTAMPTZ NOT NULL,
    decision_price               NUMERIC(18, 8),
    original_qty                 NUMERIC(18, 8) NOT NULL,
    total_filled_qty             NUMERIC(18, 8) NOT NULL,
    avg_fill_price               NUMERIC(18, 8),
    total_slippage_bps           NUMERIC(10, 3),
    timing_cost_bps              NUMERIC(10, 3),
    spread_cost_bps              NUMERIC(10, 3),
    realized_impact_bps          NUMERIC(10, 3),
    implementation_shortfall_bps NUMERIC(10, 3),
    market_impact_bps            NUMERIC(10, 3),
    spread_at_execution          NUMERIC(10, 3),
    avg_fill_latency_ms          NUMERIC(10, 3),
    avg_ack_latency_ms           NUMERIC(10, 3),
    markout_5s_bps               NUMERIC(10, 3),
    markout_60s_bps              NUMERIC(10, 3),
    partial_fill_ratio           NUMERIC(5, 4) NOT NULL,
    execution_quality_score      NUMERIC(5, 4),
    volatility_at_execution      NUMERIC(10, 6),
    depth_at_execution           BIGINT,
    adv_20d                      NUMERIC(18, 8),
    participation                NUMERIC(10, 6),
    time_slot                    VARCHAR(11) NOT NULL,
    session_phase                VARCHAR(16) NOT NULL,
    final_state                  VARCHAR(12) NOT NULL,
    operating_state              VARCHAR(12) NOT NULL,
    safety_state                 VARCHAR(12) NOT NULL,
    quality_status               VARCHAR(12) NOT NULL,
    exclude_reason               VARCHAR(40),
    tick_count                   INTEGER NOT NULL CHECK (tick_count >= 0),
    tick_first_ts                TIMESTAMPTZ,
    tick_last_ts                 TIMESTAMPTZ,
    CHECK (time = execution_end)
)
-- profile: postgres
PARTITION BY RANGE (time)
-- profile: all
;

-- profile: timescale
SELECT create_hypertable('tick_data', 'time', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
SELECT create_hypertable('ohlcv_1d', 'time', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
SELECT create_hypertable('execution_logs', 'time', chunk_time_interval => INTERVAL '1 day',
                         create_default_indexes => false);
SELECT create_hypertable('feedback_data', 'time', chunk_time_interval => INTERVAL '7 days',
                         create_default_indexes => false);

-- profile: postgres
-- Rows for which no partition has been made yet; they are moved when one is.
CREATE TABLE tick_data_default PARTITION OF tick_data DEFAULT;
CREATE TABLE ohlcv_1d_default PARTITION OF ohlcv_1d DEFAULT;
CREATE TABLE execution_logs_default PARTITION OF execution_logs DEFAULT;
CREATE TABLE feedback_data_default PARTITION OF feedback_data DEFAULT;

-- profile: all
-- One index keeps ticks unique and finds them by symbol and time: every further one costs each insert.
CREATE UNIQUE INDEX idx_tick_symbol_time ON tick_data (symbol, time DESC, source, seq);
CREATE UNIQUE INDEX idx_ohlcv_1d_symbol_time ON ohlcv_1d (symbol, time DESC);
CREATE INDEX idx_exec_logs_order ON execution_logs (order_id, time DESC);
CREATE INDEX idx_exec_logs_stage ON execution_logs (stage, time DESC);
CREATE INDEX idx_exec_logs_time ON execution_logs (time DESC);
CREATE UNIQUE INDEX feedback_data_key ON feedback_data (execution_id, revision, time);
CREATE INDEX idx_feedback_symbol_time ON feedback_data (symbol, time DESC);
CREATE INDEX idx_feedback_strategy_time ON feedback_data (strategy_tag, time DESC);

CREATE TABLE tick_ack (
    source      VARCHAR(20) PRIMARY KEY,
    through_seq BIGINT NOT NULL,
    acked_at    TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE tick_quarantine (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source  VARCHAR(20) NOT NULL,
    seq     BIGINT NOT NULL,
    recv_ns BIGINT NOT NULL,
    cause   TEXT NOT NULL,
    content TEXT NOT NULL
);

CREATE TABLE feedback_summary (
    symbol                VARCHAR(20) NOT NULL,
    order_type            VARCHAR(20) NOT NULL,
    time_slot             VARCHAR(11) NOT NULL,
    version               INTEGER NOT NULL,
    avg_slippage_bps      NUMERIC(10, 3) NOT NULL,
    avg_market_impact_bps NUMERIC(10, 3) NOT NULL,
    avg_quality_score     NUMERIC(5, 4) NOT NULL,
    p90_slippage_bps      NUMERIC(10, 3) NOT NULL,
    stderr_bps            NUMERIC(10, 3) NOT NULL,
    impact_coeff          NUMERIC(18, 6) NOT NULL,
    kyle_lambda           NUMERIC(18, 6),
    n_eff                 NUMERIC(18, 6) NOT NULL,
    level                 SMALLINT NOT NULL,
    status                VARCHAR(8) NOT NULL CHECK (status IN ('COLD', 'WARM', 'STALE')),
    as_of                 TIMESTAMPTZ NOT NULL,
    effective_from        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (symbol, order_type, time_slot, version)
);
