-- Aggregates under the same names and with the same columns on both profiles.
--
-- Bars and stage metrics are continuous aggregates where the server keeps them. Elsewhere a job keeps finished buckets
-- in a table, and a view of the aggregate's name adds what came after them, so that readers see the last minutes in
-- both. Daily results come from the ledger, an ordinary table, from which no continuous aggregate can be made: a view.

-- profile: timescale
-- Ticks of one instant are ordered by their number; first() and last() compare one value, so both go into one.
CREATE MATERIALIZED VIEW ohlcv_1m WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', time) AS bucket, symbol,
       first(price, event_ns * 10000000000000000000::numeric + seq) AS open,
       max(price) AS high,
       min(price) AS low,
       last(price, event_ns * 10000000000000000000::numeric + seq) AS close,
       sum(volume) AS volume
FROM tick_data
WHERE kind = 'T'
GROUP BY bucket, symbol
WITH NO DATA;
CREATE INDEX idx_ohlcv_1m_symbol_bucket ON ohlcv_1m (symbol, bucket DESC);

CREATE MATERIALIZED VIEW hourly_execution_metrics
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 hour', time) AS hour, stage,
       round(avg(latency_ms), 3) AS avg_latency_ms,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99_latency_ms,
       count(*) FILTER (WHERE success) AS success_count,
       count(*) FILTER (WHERE NOT success) AS failure_count
FROM execution_logs
GROUP BY hour, stage
WITH NO DATA;
CREATE INDEX idx_exec_metrics_stage_hour ON hourly_execution_metrics (stage, hour DESC);

-- profile: postgres
CREATE TABLE ohlcv_1m_kept (
    bucket TIMESTAMPTZ NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    open   NUMERIC(18, 8) NOT NULL,
    high   NUMERIC(18, 8) NOT NULL,
    low    NUMERIC(18, 8) NOT NULL,
    close  NUMERIC(18, 8) NOT NULL,
    volume NUMERIC NOT NULL
);
CREATE UNIQUE INDEX idx_ohlcv_1m_symbol_bucket ON ohlcv_1m_kept (symbol, bucket DESC);

CREATE TABLE hourly_execution_metrics_kept (
    hour           TIMESTAMPTZ NOT NULL,
    stage          VARCHAR(50) NOT NULL,
    avg_latency_ms NUMERIC,
    p99_latency_ms NUMERIC,
    success_count  BIGINT NOT NULL,
    failure_count  BIGINT NOT NULL
);
CREATE UNIQUE INDEX idx_exec_metrics_stage_hour ON hourly_execution_metrics_kept (stage, hour DESC);

-- Up to where each of them is kept; what is younger is computed when it is asked for.
CREATE TABLE aggregate_watermark (
    name      VARCHAR(60) PRIMARY KEY,
    watermark TIMESTAMPTZ NOT NULL
);
INSERT INTO aggregate_watermark (name, watermark)
VALUES ('ohlcv_1m', '-infinity'), ('hourly_execution_metrics', '-infinity');

CREATE VIEW ohlcv_1m AS
SELECT bucket, symbol, open, high, low, close, volume
FROM ohlcv_1m_kept
WHERE bucket < (SELECT watermark FROM aggregate_watermark WHERE name = 'ohlcv_1m')
UNION ALL
SELECT date_trunc('minute', time, 'UTC') AS bucket, symbol,
       (array_agg(price ORDER BY event_ns, seq))[1],
       max(price),
       min(price),
       (array_agg(price ORDER BY event_ns DESC, seq DESC))[1],
       sum(volume)
FROM tick_data
WHERE kind = 'T' AND time >= (SELECT watermark FROM aggregate_watermark WHERE name = 'ohlcv_1m')
GROUP BY date_trunc('minute', time, 'UTC'), symbol;

CREATE VIEW hourly_execution_metrics AS
SELECT hour, stage, avg_latency_ms, p99_latency_ms, success_count, failure_count
FROM hourly_execution_metrics_kept
WHERE hour < (SELECT watermark FROM aggregate_watermark WHERE name = 'hourly_execution_metrics')
UNION ALL
SELECT date_trunc('hour', time, 'UTC') AS hour, stage,
       round(avg(latency_ms), 3),
       percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms),
       count(*) FILTER (WHERE success),
       count(*) FILTER (WHERE NOT success)
FROM execution_logs
WHERE time >= (SELECT watermark FROM aggregate_watermark WHERE name = 'hourly_execution_metrics')
GROUP BY date_trunc('hour', time, 'UTC'), stage;

-- profile: all
CREATE TABLE hourly_feedback_stats (
    bucket       TIMESTAMPTZ NOT NULL,
    symbol       VARCHAR(20) NOT NULL,
    strategy_tag VARCHAR(50) NOT NULL,
    order_type   VARCHAR(20) NOT NULL,
    metric       VARCHAR(40) NOT NULL,
    count        BIGINT NOT NULL,
    mean         NUMERIC(18, 6) NOT NULL,
    p50          NUMERIC(18, 6) NOT NULL,
    p90          NUMERIC(18, 6) NOT NULL,
    p95          NUMERIC(18, 6) NOT NULL,
    p99          NUMERIC(18, 6) NOT NULL,
    PRIMARY KEY (symbol, bucket, strategy_tag, order_type, metric)
);
CREATE INDEX idx_hourly_feedback_symbol_bucket ON hourly_feedback_stats (symbol, bucket DESC);

CREATE TABLE daily_feedback_stats (LIKE hourly_feedback_stats INCLUDING ALL);

CREATE VIEW daily_pnl AS
SELECT account_id, trade_date AS day, symbol,
       coalesce(sum(realized_pnl), 0)::numeric(26, 8) AS realized_pnl,
       count(*) FILTER (WHERE entry_type = 'FILL') AS trade_count,
       sum(CASE WHEN (side = 'SELL') = (entry_type <> 'REVERSAL') THEN amount ELSE -amount END)::numeric(26, 8)
           AS net_cash_flow,
       sum(CASE WHEN entry_type = 'REVERSAL' THEN -fee ELSE fee END)::numeric(26, 8) AS fees,
       sum(CASE WHEN entry_type = 'REVERSAL' THEN -tax ELSE tax END)::numeric(26, 8) AS taxes
FROM t_ledger
GROUP BY account_id, trade_date, symbol;

CREATE VIEW hourly_pnl AS
SELECT account_id, date_trunc('hour', timestamp, 'UTC') AS hour, symbol,
       coalesce(sum(realized_pnl), 0)::numeric(26, 8) AS realized_pnl,
       count(*) FILTER (WHERE entry_type = 'FILL') AS trade_count
FROM t_ledger
GROUP BY account_id, date_trunc('hour', timestamp, 'UTC'), symbol;

CREATE VIEW daily_metrics AS
SELECT account_id, trade_date AS day, total_equity, daily_pnl, net_flow, daily_return, cumulative_return,
       volatility_20d, high_watermark, drawdown, mdd, nav
FROM equity_history;

CREATE VIEW strategy_performance AS
SELECT account_id, strategy_tag,
       count(*) FILTER (WHERE entry_type = 'FILL') AS trade_count,
       count(*) FILTER (WHERE realized_pnl > 0) AS win_count,
       count(*) FILTER (WHERE realized_pnl < 0) AS loss_count,
       coalesce(sum(realized_pnl), 0)::numeric(26, 8) AS realized_pnl,
       round(avg(realized_pnl), 8) AS avg_pnl,
       CASE WHEN count(realized_pnl) > 0
            THEN round((count(*) FILTER (WHERE realized_pnl > 0))::numeric / count(realized_pnl), 4) END AS win_rate
FROM t_ledger
GROUP BY account_id, strategy_tag;
