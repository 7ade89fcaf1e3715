-- Compression and retention. Where the server has policies it does the work; elsewhere the engine's maintenance job
-- does, through functions that may do no more than this, whoever calls them.

-- profile: timescale
SELECT add_continuous_aggregate_policy('ohlcv_1m', start_offset => INTERVAL '1 hour', end_offset => INTERVAL '1 minute',
                                       schedule_interval => INTERVAL '1 minute');
SELECT add_continuous_aggregate_policy('hourly_execution_metrics', start_offset => INTERVAL '3 days',
                                       end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '1 hour');

ALTER TABLE tick_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',
                           timescaledb.compress_orderby = 'time DESC, seq');
ALTER TABLE ohlcv_1d SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',
                          timescaledb.compress_orderby = 'time');
ALTER TABLE execution_logs SET (timescaledb.compress, timescaledb.compress_segmentby = 'stage',
                                timescaledb.compress_orderby = 'time');
ALTER TABLE feedback_data SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',
                               timescaledb.compress_orderby = 'time');
ALTER MATERIALIZED VIEW ohlcv_1m SET (timescaledb.compress = true);

SELECT add_compression_policy('tick_data', INTERVAL '1 day');
SELECT add_compression_policy('ohlcv_1m', INTERVAL '3 days');
SELECT add_compression_policy('ohlcv_1d', INTERVAL '1 year');
SELECT add_compression_policy('execution_logs', INTERVAL '7 days');
SELECT add_compression_policy('feedback_data', INTERVAL '14 days');

SELECT add_retention_policy('tick_data', INTERVAL '7 days');
SELECT add_retention_policy('ohlcv_1m', INTERVAL '30 days');
SELECT add_retention_policy('execution_logs', INTERVAL '90 days');
SELECT add_retention_policy('feedback_data', INTERVAL '180 days');
SELECT add_retention_policy('hourly_execution_metrics', INTERVAL '180 days');

-- Nothing is dropped while the latest backup is not good.
CREATE FUNCTION qts_schedule_retention(is_on boolean) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    changed bigint := 0;
    job record;
BEGIN
    FOR job IN SELECT job_id FROM timescaledb_information.jobs
               WHERE proc_name = 'policy_retention' AND scheduled <> is_on LOOP
        PERFORM alter_job(job.job_id, scheduled => is_on);
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END $$;

-- profile: postgres
CREATE FUNCTION qts_add_partition(parent text, starts timestamptz, ends timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    child text := parent || '_' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF parent NOT IN ('tick_data', 'ohlcv_1d', 'execution_logs', 'feedback_data') THEN
        RAISE EXCEPTION '% has no partitions', parent;
    END IF;
    IF to_regclass(format('%I', child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE time >= $1 AND time < $2 RETURNING *)'
                   ' INSERT INTO %I SELECT * FROM moved', parent || '_default', child) USING starts, ends;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, starts, ends);
    RETURN true;
END $$;

CREATE FUNCTION qts_drop_partition(parent text, child text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF parent NOT IN ('tick_data', 'execution_logs', 'feedback_data') OR child = parent || '_default' THEN
        RAISE EXCEPTION '% of % is kept', child, parent;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass(format('%I', parent))
                                             AND inhrelid = to_regclass(format('%I', child))) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, child);
    EXECUTE format('DROP TABLE %I', child);
    RETURN true;
END $$;

CREATE FUNCTION qts_expire_aggregates(at timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH bars AS (DELETE FROM ohlcv_1m_kept WHERE bucket < at - INTERVAL '30 days' RETURNING 1),
    metrics AS (DELETE FROM hourly_execution_metrics_kept WHERE hour < at - INTERVAL '180 days' RETURNING 1)
    SELECT (SELECT count(*) FROM bars) + (SELECT count(*) FROM metrics)
$$;

-- profile: all
CREATE FUNCTION qts_expire(at timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH outbox AS (DELETE FROM sheet_outbox WHERE status = 'DONE' AND created_at < at - INTERVAL '30 days' RETURNING 1),
    reports AS (DELETE FROM consistency_reports WHERE started_at < at - INTERVAL '365 days' RETURNING 1),
    summaries AS (DELETE FROM feedback_summary WHERE as_of < at - INTERVAL '400 days' RETURNING 1),
    hourly AS (DELETE FROM hourly_feedback_stats WHERE bucket < at - INTERVAL '180 days' RETURNING 1),
    daily AS (DELETE FROM daily_feedback_stats WHERE bucket < at - INTERVAL '5 years' RETURNING 1)
    SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM reports) + (SELECT count(*) FROM summaries)
         + (SELECT count(*) FROM hourly) + (SELECT count(*) FROM daily)
$$;
