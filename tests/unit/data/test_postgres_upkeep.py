"""A server without policies: partitions, aggregates and the end of what has expired, and the plans of its queries."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from qts.clock import SimClock
from qts.clock.instants import to_ns
from qts.data.postgres.maintenance import Retention, partition_name
from qts.data.postgres.series import _BARS, _LOGS, _TICKS, _VOLUME

from .postgres_helpers import opened

NOW = datetime(2024, 1, 31, 9, 30, 30, tzinfo=UTC)
TICKS = ("time", "symbol", "kind", "price", "volume", "source", "seq", "event_ns", "recv_ns")
LOGS = ("time", "order_id", "symbol", "stage", "latency_ms", "success")


def tick(moment, seq, price=70_000, symbol="005930"):
    return (moment, symbol, "T", Decimal(price), 1, "krx", seq, to_ns(moment), to_ns(moment))


async def copy(adapter, table, columns, rows):
    async with adapter._pools.connection("analytics") as link:
        await link.copy_records_to_table(table, records=rows, columns=columns)


async def children(adapter, parent):
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass($1) ORDER BY 1"
    return [row[0] for row in await adapter._fetch("analytics", query, parent)]


async def bars(adapter, symbol="005930", start=NOW - timedelta(days=60), end=NOW + timedelta(days=60)):
    return await adapter.fetch_ohlcv(symbol, start, end, "1m")


@pytest.fixture
def kept(postgres):
    """Runs a test with an adapter, its clock at NOW, the job, and what was told."""

    def run(use):
        async def whole():
            clock, told = SimClock(to_ns(NOW)), []
            async with opened(postgres, clock, told) as adapter:
                told.clear()
                await use(adapter, adapter.maintenance(), clock, told)

        asyncio.run(whole())

    return run


class TestPartitions:
    def test_a_week_ahead_by_day_week_and_month(self, kept):
        async def use(adapter, job, clock, told):
            done = await job.run(backup_is_good=True)
            days = [partition_name("tick_data", NOW + timedelta(days=n)) for n in range(8)]
            assert await children(adapter, "tick_data") == [*days, "tick_data_default"]
            assert len(await children(adapter, "execution_logs")) == 9
            assert await children(adapter, "feedback_data") == [
                "feedback_data_20240129",
                "feedback_data_20240205",
                "feedback_data_default",
            ]
            assert await children(adapter, "ohlcv_1d") == [
                "ohlcv_1d_20240101",
                "ohlcv_1d_20240201",
                "ohlcv_1d_default",
            ]
            assert len(done.added) == 8 + 8 + 2 + 2
            assert (await job.run(backup_is_good=True)).added == []
            clock.advance_to(clock.now_ns() + 86_400 * 10**9)
            assert (await job.run(backup_is_good=True)).added == ["tick_data_20240208", "execution_logs_20240208"]
            assert told == []

        kept(use)

    def test_rows_that_came_too_early_are_told_and_moved(self, kept):
        async def use(adapter, job, clock, told):
            rows = [tick(NOW - timedelta(days=1), 1), tick(NOW, 2), tick(NOW, 3)]
            await copy(adapter, "tick_data", TICKS, rows)
            done = await job.run(backup_is_good=True)
            assert done.strays == {"tick_data": 3}
            assert [code for code, _ in told] == ["GR107"]
            counts = "SELECT tableoid::regclass::text, count(*) FROM tick_data GROUP BY 1 ORDER BY 1"
            found = [tuple(row) for row in await adapter._fetch("analytics", counts)]
            assert found == [("tick_data_20240130", 1), ("tick_data_20240131", 2)]
            assert (await job.run(backup_is_good=True)).strays == {}

        kept(use)


class TestAggregates:
    def test_readers_see_kept_minutes_and_the_one_that_runs(self, kept):
        async def use(adapter, job, clock, told):
            rows = [tick(NOW - timedelta(seconds=30 * n), 100 - n, 70_000 + n) for n in range(10)]
            await copy(adapter, "tick_data", TICKS, rows)
            before = await bars(adapter)
            await job.run(backup_is_good=True)
            assert await bars(adapter) == before
            assert len(before) == 5
            (kept_rows,) = await adapter._fetch("analytics", "SELECT count(*) FROM ohlcv_1m_kept")
            assert kept_rows[0] == 3  # up to 09:29; the rest may still change
            await copy(adapter, "tick_data", TICKS, [tick(NOW + timedelta(seconds=1), 200, 99_000)])
            assert (await bars(adapter))[-1].close == 99_000

        kept(use)

    def test_a_tick_that_comes_late_is_in_its_bar_after_the_next_run(self, kept):
        async def use(adapter, job, clock, told):
            await copy(adapter, "tick_data", TICKS, [tick(NOW - timedelta(minutes=30), 1)])
            await job.run(backup_is_good=True)
            await copy(adapter, "tick_data", TICKS, [tick(NOW - timedelta(minutes=30), 2, 80_000)])
            clock.advance_to(clock.now_ns() + 60 * 10**9)
            await job.run(backup_is_good=True)
            (bar,) = await bars(adapter)
            assert (bar.open, bar.close, bar.volume) == (70_000, 80_000, 2)

        kept(use)

    def test_an_outage_of_days_is_caught_up(self, kept):
        async def use(adapter, job, clock, told):
            rows = [tick(NOW - timedelta(hours=3 * n), n) for n in range(1, 40)]
            await copy(adapter, "tick_data", TICKS, rows)
            await job.run(backup_is_good=False)
            (mark,) = await adapter._fetch(
                "analytics", "SELECT watermark FROM aggregate_watermark WHERE name = 'ohlcv_1m'"
            )
            assert mark[0] == datetime(2024, 1, 31, 9, 29, tzinfo=UTC)
            (number,) = await adapter._fetch("analytics", "SELECT count(*) FROM ohlcv_1m_kept")
            assert number[0] == 39

        kept(use)


class TestRetention:
    async def _old_ticks(self, adapter):
        rows = [tick(NOW - timedelta(days=n), n) for n in range(12)]
        await copy(adapter, "tick_data", TICKS, rows)

    def test_raw_rows_go_after_their_bars_are_kept(self, kept):
        async def use(adapter, job, clock, told):
            await self._old_ticks(adapter)
            before = await bars(adapter)
            done = await job.run(backup_is_good=True)
            assert done.dropped == [partition_name("tick_data", NOW - timedelta(days=n)) for n in (11, 10, 9, 8)]
            assert await bars(adapter) == before
            assert len(before) == 12
            (number,) = await adapter._fetch("analytics", "SELECT count(*) FROM tick_data")
            assert number[0] == 8

        kept(use)

    def test_nothing_goes_without_a_good_backup(self, kept):
        async def use(adapter, job, clock, told):
            await self._old_ticks(adapter)
            done = await job.run(backup_is_good=False)
            assert (done.dropped, done.expired) == ([], 0)
            assert len(done.held_back) == 4
            assert "backup is not good" in done.held_back[0]
            assert len((await job.run(backup_is_good=True)).dropped) == 4

        kept(use)

    def test_nothing_goes_before_its_aggregate_is_kept(self, kept):
        async def use(adapter, job, clock, told):
            await self._old_ticks(adapter)
            await job.run(backup_is_good=False)
            async with adapter._pools.connection("analytics") as link:
                await link.execute(
                    "UPDATE aggregate_watermark SET watermark = $1 WHERE name = 'ohlcv_1m'", NOW - timedelta(days=10)
                )
            dropped, held_back = await job._drop_expired(backup_is_good=True)
            assert dropped == [partition_name("tick_data", NOW - timedelta(days=11))]
            assert len(held_back) == 3
            assert "ohlcv_1m is kept up to" in held_back[0]

        kept(use)

    def test_how_long_is_a_setting(self, kept):
        async def use(adapter, job, clock, told):
            await self._old_ticks(adapter)
            done = await adapter.maintenance(Retention(tick_data=10)).run(backup_is_good=True)
            assert done.dropped == [partition_name("tick_data", NOW - timedelta(days=11))]

        kept(use)

    def test_old_bars_and_mirrored_rows_expire_and_what_is_for_ever_does_not(self, kept):
        async def use(adapter, job, clock, told):
            async with adapter._pools.connection("analytics") as link:
                for days in (29, 31):
                    await link.execute(
                        "INSERT INTO ohlcv_1m_kept VALUES ($1, '005930', 1, 1, 1, 1, 1)", NOW - timedelta(days=days)
                    )
                    for status in ("DONE", "PENDING"):
                        await link.execute(
                            "INSERT INTO sheet_outbox (data_set, key, op, payload, created_at, status)"
                            " VALUES ('Position', 'k', 'UPSERT', $1, $2, $3)",
                            {},
                            NOW - timedelta(days=days),
                            status,
                        )
            assert (await job.run(backup_is_good=True)).expired == 2
            rows = await adapter._fetch("analytics", "SELECT status, count(*) FROM sheet_outbox GROUP BY 1 ORDER BY 1")
            assert [tuple(row) for row in rows] == [("DONE", 1), ("PENDING", 2)]

        kept(use)

    def test_no_function_drops_what_is_kept_for_ever(self, kept):
        async def use(adapter, job, clock, told):
            await job.run(backup_is_good=True)
            async with adapter._pools.connection("analytics") as link:
                for parent, child in (("ohlcv_1d", "ohlcv_1d_20240101"), ("tick_data", "tick_data_default")):
                    with pytest.raises(asyncpg.RaiseError):
                        await link.execute("SELECT qts_drop_partition($1, $2)", parent, child)
                assert await link.fetchval("SELECT qts_drop_partition('tick_data', 't_ledger')") is False

        kept(use)


def feedback(number, revision, slippage, moment):
    return {
        "time": moment,
        "execution_id": f"E{number}",
        "order_id": f"{number}",
        "revision": revision,
        "calc_version": 1,
        "symbol": "005930",
        "strategy_tag": "ema",
        "order_type": "LIMIT",
        "side": "BUY",
        "intent": "ENTRY",
        "execution_start": moment,
        "execution_end": moment,
        "feedback_generated_at": moment,
        "original_qty": Decimal(1),
        "total_filled_qty": Decimal(1),
        "total_slippage_bps": Decimal(slippage),
        "partial_fill_ratio": Decimal(1),
        "time_slot": "09:00-09:30",
        "session_phase": "CONTINUOUS",
        "final_state": "COMPLETE",
        "operating_state": "BALANCED",
        "safety_state": "NORMAL",
        "quality_status": "OK",
        "tick_count": 0,
    }


def test_statistics_of_feedback_take_the_latest_revision(kept):
    async def use(adapter, job, clock, told):
        rows = [feedback(number, 1, 100, NOW - timedelta(minutes=5)) for number in range(1, 11)]
        rows += [feedback(number, 2, number, NOW - timedelta(minutes=5)) for number in range(1, 11)]
        assert await adapter.batch_write("feedback_data", rows) == 20
        await job.run(backup_is_good=True)
        found = await adapter.read("hourly_feedback_stats", {"metric": "total_slippage_bps"})
        assert [(row["count"], row["mean"], row["p50"], row["p90"]) for row in found] == [(10, Decimal("5.5"), 5, 9)]
        assert len(await adapter.read("daily_feedback_stats")) == 1

    kept(use)


REFERENCE = {
    "last hour of bars of a minute": (_BARS["1m"], "S7", NOW - timedelta(hours=1), NOW),
    "an hour of ticks": (_TICKS, "S7", NOW - timedelta(hours=1), NOW, None),
    "a year of bars of a day": (_BARS["1d"], "S7", NOW - timedelta(days=365), NOW),
    "average volume": (_VOLUME, "S7", 20),
    "today's net flow by strategy": (
        "SELECT strategy_tag, sum(CASE side WHEN 'SELL' THEN amount - fee ELSE -(amount + fee) END) FROM t_ledger"
        " WHERE account_id = 'main' AND trade_date = $1 GROUP BY strategy_tag",
        date(2024, 1, 31),
    ),
    "latency of PRECHECK": (
        "SELECT avg(latency_ms), percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms) FROM execution_logs"
        " WHERE stage = 'PRECHECK' AND time >= $1 AND time < $2",
        NOW - timedelta(hours=1),
        NOW,
    ),
    "lines of an order": (_LOGS, "o77", NOW - timedelta(days=1), NOW),
    "fills of an order": ("SELECT id FROM t_ledger WHERE order_id = $1 AND account_id = $2", "77", "main"),
    "results of a day": (
        "SELECT realized_pnl FROM daily_pnl WHERE account_id = 'main' AND day = $1",
        date(2024, 1, 31),
    ),
}

LOOKED_AT = {"average volume": 40, "lines of an order": 5, "fills of an order": 5, "a year of bars of a day": 400}
"""Rows that a query may look at, of some 100,000."""

LEDGER = (
    "INSERT INTO t_ledger (fill_key, timestamp, recorded_at, trade_date, account_id, pool_id, symbol, side, qty, price,"
    " amount, currency, strategy_tag, order_id, broker, exec_ns, recv_ns, exec_ref)"
    " SELECT 'k' || n, t, t, t::date, 'main', 'SCALP', 'S' || n % 20, 'BUY', 1, 1, 1, 'KRW', 's' || n % 5, n::text,"
    " 'sim', n, n, n::text FROM (SELECT n, $1::timestamptz - n * interval '2 minutes' AS t"
    " FROM generate_series(1, 20000) n) AS rows"
)


def scans(plan, found):
    """Every scan of a plan: how, of what, and how many rows it looked at."""
    if "Relation Name" in plan:
        rows = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
        found.append((plan["Node Type"], plan["Relation Name"], rows))
    for child in plan.get("Plans", ()):
        scans(child, found)
    return found


def test_reference_queries_use_an_index_and_touch_few_partitions(postgres):
    async def use():
        clock = SimClock(to_ns(NOW))
        async with opened(postgres, clock) as adapter:
            rows = [
                tick(NOW - timedelta(seconds=s), s * 20 + n, symbol=f"S{n}") for s in range(1, 5_000) for n in range(20)
            ]
            rows += [tick(NOW - timedelta(days=d, seconds=s), s, symbol="S7") for d in (1, 2, 3) for s in range(2_000)]
            await copy(adapter, "tick_data", TICKS, rows)
            logs = [
                (NOW - timedelta(seconds=s), f"o{s}", "S7", ("PRECHECK", "SENDING")[s % 2], Decimal(s % 9), True)
                for s in range(60_000)
            ]
            await copy(adapter, "execution_logs", LOGS, logs)
            daily = [
                (datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=d), f"S{n}", *[Decimal(10)] * 4, 1)
                for d in range(395)
                for n in range(20)
            ]
            names = ("time", "symbol", "open", "high", "low", "close", "volume", "trade_date", "source", "revision")
            await copy(adapter, "ohlcv_1d", names, [(*row, row[0].date(), "krx", 1) for row in daily])
            await adapter.maintenance().run(backup_is_good=False)
        admin = await asyncpg.connect(postgres.admin_dsn)
        await admin.execute(LEDGER, NOW)
        await admin.execute("VACUUM ANALYZE")
        found = {}
        for name, (query, *values) in REFERENCE.items():
            plan = json.loads(await admin.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *values))
            found[name] = scans(plan[0]["Plan"], [])
        await admin.close()
        return found

    for name, plan in asyncio.run(use()).items():
        assert plan, name
        for how, what, rows in plan:
            # Partitions of the days to come are empty, and the list of aggregates has two rows.
            assert rows <= 2 or "Index" in how or "Bitmap Heap" in how, f"{name}: {how} of {what}, {rows} rows"
        assert sum(rows for _, _, rows in plan) <= LOOKED_AT.get(name, 4_000), f"{name}: {plan}"
