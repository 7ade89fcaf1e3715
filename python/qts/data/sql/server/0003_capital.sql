-- Capital pools, transfers between them, holds and their ledger.

CREATE TABLE capital_pools (
    account_id            VARCHAR(40) NOT NULL DEFAULT 'main',
    pool_id               VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNALLOCATED')),
    version               VARCHAR(12) NOT NULL,
    timestamp             TIMESTAMPTZ NOT NULL,
    total_capital         NUMERIC(26, 8) NOT NULL,
    available_capital     NUMERIC(26, 8) NOT NULL,
    invested_capital      NUMERIC(26, 8) NOT NULL,
    reserved_capital      NUMERIC(26, 8) NOT NULL,
    held_for_orders       NUMERIC(26, 8) NOT NULL,
    realized_pnl          NUMERIC(26, 8) NOT NULL DEFAULT 0,
    unrealized_pnl        NUMERIC(26, 8) NOT NULL DEFAULT 0,
    accumulated_profit    NUMERIC(26, 8) NOT NULL DEFAULT 0,
    allocation_pct        NUMERIC(5, 4) NOT NULL,
    target_allocation_pct NUMERIC(5, 4) NOT NULL,
    last_promotion_time   TIMESTAMPTZ,
    promotion_eligible    BOOLEAN NOT NULL DEFAULT false,
    pool_state            VARCHAR(8) NOT NULL,
    pause_causes          JSONB,
    lock_reason           TEXT,
    lock_code             VARCHAR(8),
    lock_timestamp        TIMESTAMPTZ,
    units                 NUMERIC(28, 8) NOT NULL DEFAULT 0,
    unit_price            NUMERIC(18, 6) NOT NULL DEFAULT 0,
    peak_unit_price       NUMERIC(18, 6) NOT NULL DEFAULT 0,
    revision              BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, pool_id)
);

CREATE TABLE capital_transfers (
    transfer_id     VARCHAR(64) PRIMARY KEY,
    transfer_key    VARCHAR(64) NOT NULL UNIQUE,
    from_pool       VARCHAR(12) NOT NULL,
    to_pool         VARCHAR(12) NOT NULL,
    amount          NUMERIC(26, 8) NOT NULL CHECK (amount > 0),
    kind            VARCHAR(12) NOT NULL CHECK (kind IN ('PROMOTION', 'DEMOTION', 'REBALANCE')),
    reason          VARCHAR(40) NOT NULL,
    status          VARCHAR(10) NOT NULL CHECK (status IN ('PENDING', 'COMMITTED', 'REJECTED', 'EXPIRED')),
    requested_at    TIMESTAMPTZ NOT NULL,
    committed_at    TIMESTAMPTZ,
    before_pools    JSONB,
    after_pools     JSONB,
    criteria        JSONB,
    operating_state VARCHAR(12) NOT NULL,
    safety_state    VARCHAR(12) NOT NULL,
    operator_id     VARCHAR(64),
    CHECK (from_pool <> to_pool)
);

CREATE TABLE capital_ledger (
    entry_id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time       TIMESTAMPTZ NOT NULL,
    account_id VARCHAR(40) NOT NULL DEFAULT 'main',
    pool_id    VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO', 'UNALLOCATED')),
    bucket     VARCHAR(12) NOT NULL CHECK (bucket IN ('AVAILABLE', 'INVESTED', 'RESERVED', 'HELD', 'UNALLOCATED')),
    amount     NUMERIC(26, 8) NOT NULL,
    cause      VARCHAR(10) NOT NULL
               CHECK (cause IN ('FILL', 'FEE', 'TAX', 'DIVIDEND', 'HOLD', 'TRANSFER', 'EXTERNAL', 'ADJUST')),
    ref_id     VARCHAR(160) NOT NULL,
    UNIQUE (cause, ref_id, pool_id, bucket),
    CHECK ((pool_id = 'UNALLOCATED') = (bucket = 'UNALLOCATED'))
);

CREATE TABLE capital_holds (
    hold_id    VARCHAR(64) PRIMARY KEY,
    order_id   VARCHAR(64) NOT NULL,
    account_id VARCHAR(40) NOT NULL DEFAULT 'main',
    pool_id    VARCHAR(12) NOT NULL CHECK (pool_id IN ('SCALP', 'SWING', 'PORTFOLIO')),
    amount     NUMERIC(26, 8) NOT NULL CHECK (amount >= 0),
    remaining  NUMERIC(26, 8) NOT NULL CHECK (remaining >= 0),
    state      VARCHAR(12) NOT NULL CHECK (state IN ('PLACED', 'PARTLY_USED', 'CLOSED')),
    reason     VARCHAR(40) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    version    BIGINT NOT NULL DEFAULT 0
);

CREATE TRIGGER capital_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON capital_ledger
FOR EACH STATEMENT EXECUTE FUNCTION qts_refuse_change();
