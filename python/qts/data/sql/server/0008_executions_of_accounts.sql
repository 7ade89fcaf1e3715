-- Executions are told apart by their account: two runs over the same data decide the same under the same ids. Beside it
-- what an execution was decided on and what it went through, and the id under which an order of a run was sent.

ALTER TABLE run_orders ADD COLUMN client_order_id VARCHAR(64);

ALTER TABLE orders DROP CONSTRAINT orders_execution_id_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_execution_id_sequence_generation_key;
ALTER TABLE orders DROP CONSTRAINT orders_pkey;
ALTER TABLE intents ADD COLUMN detail JSONB;
ALTER TABLE intents DROP CONSTRAINT intents_decision_id_key;
ALTER TABLE intents DROP CONSTRAINT intents_pkey;
ALTER TABLE intents ADD PRIMARY KEY (account_id, execution_id);
ALTER TABLE intents ADD UNIQUE (account_id, decision_id);
ALTER TABLE orders ADD PRIMARY KEY (account_id, client_order_id);
ALTER TABLE orders ADD UNIQUE (account_id, execution_id, sequence, generation);
ALTER TABLE orders ADD FOREIGN KEY (account_id, execution_id) REFERENCES intents (account_id, execution_id);
