-- Currencies, instruments, runs, positions, the ledger, and what waits to be mirrored.

CREATE TABLE currencies (
    code  VARCHAR(8) PRIMARY KEY,
    scale SMALLINT NOT NULL CHECK (scale BETWEEN 0 AND 8)
);

CREATE TABLE instruments (
    symbol      VARCHAR(20) PRIMARY KEY,
    name        TEXT NOT NULL,
    currency    VARCHAR(8) NOT NULL REFERENCES currencies (code),
    price_scale SMALLINT NOT NULL CHECK (price_scale BETWEEN 0 AND 8),
    qty_scale   SMALLINT NOT NULL CHECK (qty_scale BETWEEN 0 AND 8),
    money_scale SMALLINT NOT NULL CHECK (money_scale BETWEEN 0 AND 8)
);

CREATE TABLE sessions (
    no            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id    VARCHAR(64) NOT NULL UNIQUE,
    mode          VARCHAR(20) NOT NULL,
    strategy      VARCHAR(50) NOT NULL,
    broker        VARCHAR(20) NOT NULL,
    account_id    VARCHAR(40) NOT NULL,
    currency      VARCHAR(8) NOT NULL REFERENCES currencies (code),
    cash_start    BIGINT NOT NULL,
    started_ns    BIGINT NOT NULL,
    config_hash   VARCHAR(64) NOT NULL,
    status        VARCHAR(8) NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'DONE', 'STOPPED', 'FAULT')),
    ended_ns      BIGINT,
    cash_end      BIGINT,
    decision_hash VARCHAR(64)
);

CREATE TABLE run_orders (
    session_no  BIGINT NOT NULL REFERENCES sessions (no),
    order_id    BIGINT NOT NULL,
    ts_ns       BIGINT NOT NULL,
    decision_id VARCHAR(64) NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    pool_id     VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNASSIGNED')),
    side        VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    kind        VARCHAR(8) NOT NULL,
    tif         VARCHAR(4) NOT NULL,
    qty         BIGINT NOT NULL,
    limit_price BIGINT NOT NULL,
    state       VARCHAR(20) NOT NULL,
    filled_qty  BIGINT NOT NULL,
    amount      BIGINT NOT NULL,
    end_reason  TEXT NOT NULL,
    strategy    VARCHAR(50) NOT NULL,
    updated_ns  BIGINT NOT NULL,
    PRIMARY KEY (session_no, order_id)
);

CREATE TABLE equity (
    no           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_no   BIGINT NOT NULL REFERENCES sessions (no),
    ts_ns        BIGINT NOT NULL,
    cash         BIGINT NOT NULL,
    market_value BIGINT NOT NULL
);
CREATE INDEX idx_equity_session ON equity (session_no, ts_ns, no);

CREATE TABLE positions (
    account_id     VARCHAR(40) NOT NULL DEFAULT 'main',
    pool_id        VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNASSIGNED')),
    symbol         VARCHAR(20) NOT NULL,
    qty            NUMERIC(18, 8) NOT NULL CHECK (qty >= 0),
    cost_total     NUMERIC(26, 8) NOT NULL CHECK (cost_total >= 0),
    avg_price      NUMERIC(18, 8) NOT NULL CHECK (avg_price >= 0),
    opened_at      TIMESTAMPTZ,
    market         VARCHAR(10),
    currency       VARCHAR(8) NOT NULL,
    exposure_value NUMERIC(26, 8),
    unrealized_pnl NUMERIC(26, 8),
    exposure_pct   NUMERIC(5, 4),
    realized_pnl   NUMERIC(26, 8) NOT NULL DEFAULT 0,
    last_fill_key  VARCHAR(160),
    version        BIGINT NOT NULL DEFAULT 0,
    oversold       BOOLEAN NOT NULL DEFAULT false,
    opened_ns      BIGINT,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, pool_id, symbol)
);
CREATE INDEX idx_positions_market ON positions (market);
CREATE INDEX idx_positions_updated ON positions (updated_at DESC);

CREATE VIEW positions_by_symbol AS
SELECT account_id, symbol, min(market) AS market, min(currency) AS currency,
       sum(qty) AS qty, sum(cost_total) AS cost_total,
       CASE WHEN sum(qty) > 0 THEN round(sum(cost_total) / sum(qty), 8) ELSE 0 END AS avg_price,
       sum(exposure_value) AS exposure_value, sum(exposure_pct) AS exposure_pct,
       sum(unrealized_pnl) AS unrealized_pnl, sum(realized_pnl) AS realized_pnl, max(updated_at) AS updated_at
FROM positions
GROUP BY account_id, symbol;

-- One row for each fill and each correction, for ever. It stays an ordinary table: partitioned by time it would have
-- to carry the time in every unique key, and then the same fill could stand in it twice.
CREATE TABLE t_ledger (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fill_key        VARCHAR(160) NOT NULL UNIQUE,
    entry_type      VARCHAR(12) NOT NULL DEFAULT 'FILL'
                    CHECK (entry_type IN ('FILL', 'REVERSAL', 'FEE_ADJ', 'RECON_ADJ')),
    timestamp       TIMESTAMPTZ NOT NULL,
    recorded_at     TIMESTAMPTZ NOT NULL,
    trade_date      DATE NOT NULL,
    account_id      VARCHAR(40) NOT NULL,
    pool_id         VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNASSIGNED')),
    symbol          VARCHAR(20) NOT NULL,
    side            VARCHAR(4) NOT NULL CHECK (side IN ('BUY', 'SELL')),
    qty             NUMERIC(18, 8) NOT NULL CHECK (qty > 0),
    price           NUMERIC(18, 8) NOT NULL CHECK (price > 0),
    amount          NUMERIC(26, 8) NOT NULL CHECK (amount >= 0),
    fee             NUMERIC(26, 8) NOT NULL DEFAULT 0,
    tax             NUMERIC(26, 8) NOT NULL DEFAULT 0,
    currency        VARCHAR(8) NOT NULL,
    realized_pnl    NUMERIC(26, 8),
    strategy_tag    VARCHAR(50),
    order_id        VARCHAR(100) CHECK (order_id IS NOT NULL OR entry_type <> 'FILL'),
    broker          VARCHAR(20) NOT NULL,
    client_order_id VARCHAR(64),
    decision_id     VARCHAR(64),
    broker_exec_id  VARCHAR(100),
    slippage_bps    NUMERIC(10, 3),
    cum_filled_qty  NUMERIC(18, 8),
    reverses_id     BIGINT REFERENCES t_ledger (id) CHECK ((reverses_id IS NOT NULL) = (entry_type = 'REVERSAL')),
    raw             JSONB,
    exec_ns         BIGINT NOT NULL,
    recv_ns         BIGINT NOT NULL,
    exec_ref        VARCHAR(100) NOT NULL,
    run_id          VARCHAR(64),
    reason          TEXT,
    CHECK (entry_type <> 'FILL' OR (fee >= 0 AND tax >= 0))
);
CREATE INDEX idx_ledger_timestamp ON t_ledger (timestamp DESC);
CREATE INDEX idx_ledger_symbol ON t_ledger (symbol, timestamp DESC);
CREATE INDEX idx_ledger_strategy ON t_ledger (strategy_tag, timestamp DESC);
CREATE INDEX idx_ledger_trade_date ON t_ledger (account_id, trade_date);
CREATE INDEX idx_ledger_order ON t_ledger (order_id);
CREATE INDEX idx_ledger_run ON t_ledger (run_id, id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX idx_ledger_reverses ON t_ledger (reverses_id) WHERE reverses_id IS NOT NULL;

-- Fills that the ledger refused, word for word, for a person to look at.
CREATE TABLE fill_quarantine (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fill_key VARCHAR(160) NOT NULL,
    cause    TEXT NOT NULL,
    content  TEXT NOT NULL,
    at       TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE sheet_outbox (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    data_set        VARCHAR(20) NOT NULL,
    key             VARCHAR(200) NOT NULL,
    op              VARCHAR(8) NOT NULL CHECK (op IN ('UPSERT', 'APPEND')),
    payload         JSONB NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    status          VARCHAR(8) NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'DONE', 'DEAD')),
    last_error      TEXT
);
CREATE INDEX idx_outbox_waiting ON sheet_outbox (seq) WHERE status = 'PENDING';

CREATE TABLE journal_ack (
    journal  VARCHAR(40) PRIMARY KEY,
    seq      BIGINT NOT NULL CHECK (seq >= 0),
    acked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- What is written once stays as it was, whoever is connected.
CREATE FUNCTION qts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER t_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON t_ledger
FOR EACH STATEMENT EXECUTE FUNCTION qts_refuse_change();
