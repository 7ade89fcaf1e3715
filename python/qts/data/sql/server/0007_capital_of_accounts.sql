-- Accounts are told apart: every run of a simulated account numbers its orders, holds and weeks from the beginning, and
-- two runs over the same data decide the same under the same ids. Beside it what the capital room knows of a pool.

ALTER TABLE decisions ADD COLUMN run_id VARCHAR(64) NOT NULL DEFAULT 'unknown';
ALTER TABLE decisions ADD COLUMN line TEXT;
ALTER TABLE decisions DROP CONSTRAINT decisions_pkey;
ALTER TABLE decisions ADD PRIMARY KEY (run_id, decision_id);

ALTER TABLE capital_pools ADD COLUMN nav_gain NUMERIC(26, 8) NOT NULL DEFAULT 0;
ALTER TABLE capital_pools ADD COLUMN is_funded BOOLEAN NOT NULL DEFAULT false;

ALTER TABLE capital_transfers ADD COLUMN account_id VARCHAR(40) NOT NULL DEFAULT 'main';
ALTER TABLE capital_transfers ADD COLUMN session_date DATE;
ALTER TABLE capital_transfers DROP CONSTRAINT capital_transfers_transfer_key_key;
ALTER TABLE capital_transfers DROP CONSTRAINT capital_transfers_pkey;
ALTER TABLE capital_transfers ADD PRIMARY KEY (account_id, transfer_id);
ALTER TABLE capital_transfers ADD UNIQUE (account_id, transfer_key);

ALTER TABLE capital_ledger ADD COLUMN entry_no BIGINT;
ALTER TABLE capital_ledger DROP CONSTRAINT capital_ledger_cause_ref_id_pool_id_bucket_key;
ALTER TABLE capital_ledger ADD UNIQUE (account_id, cause, ref_id, pool_id, bucket);
CREATE INDEX idx_capital_ledger_account ON capital_ledger (account_id, entry_id);

ALTER TABLE capital_holds DROP CONSTRAINT capital_holds_pkey;
ALTER TABLE capital_holds ADD PRIMARY KEY (account_id, hold_id);
