"""What a real TimescaleDB makes of the project's SQL, and that both kinds of server answer alike."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from qts.clock import SimClock, SystemClock
from qts.clock.instants import to_ns
from qts.data.contracts import InstrumentRow
from qts.data.exceptions import SchemaMismatch
from qts.data.postgres.booking import Batch
from qts.data.postgres.maintenance import Maintenance
from qts.data.postgres.migrate import check_schema, migrate
from qts.data.postgres.probe import decided, probe, still_capable
from qts.data.postgres.series import _BARS, _LOGS, _TICKS, _VOLUME
from qts.data.records import Fill, LedgerEntry

pytestmark = pytest.mark.xdist_group("timescale")

DAY = datetime(2024, 1, 2, tzinfo=UTC)
LATER = datetime(2024, 3, 5, tzinfo=UTC)
"""Behind whatever other tests have had aggregated: what is once kept up to a moment is not computed live before it."""
SAMSUNG = InstrumentRow("005930", "Samsung Electronics", "KRW", 0, 0, 0)

CHUNKS = {
    "tick_data": timedelta(days=1),
    "ohlcv_1d": timedelta(days=30),
    "execution_logs": timedelta(days=1),
    "feedback_data": timedelta(days=7),
}
POLICIES = {
    ("policy_refresh_continuous_aggregate", "ohlcv_1m"): {"start_offset": "01:00:00", "end_offset": "00:01:00"},
    ("policy_refresh_continuous_aggregate", "hourly_execution_metrics"): {
        "start_offset": "3 days",
        "end_offset": "01:00:00",
    },
    ("policy_compression", "tick_data"): {"compress_after": "1 day"},
    ("policy_compression", "ohlcv_1m"): {"compress_after": "3 days"},
    ("policy_compression", "ohlcv_1d"): {"compress_after": "1 year"},
    ("policy_compression", "execution_logs"): {"compress_after": "7 days"},
    ("policy_compression", "feedback_data"): {"compress_after": "14 days"},
    ("policy_retention", "tick_data"): {"drop_after": "7 days"},
    ("policy_retention", "ohlcv_1m"): {"drop_after": "30 days"},
    ("policy_retention", "execution_logs"): {"drop_after": "90 days"},
    ("policy_retention", "feedback_data"): {"drop_after": "180 days"},
    ("policy_retention", "hourly_execution_metrics"): {"drop_after": "180 days"},
}
EVERY = {"ohlcv_1m": timedelta(minutes=1), "hourly_execution_metrics": timedelta(hours=1)}


def jobs(database):
    """(policy, relation) to (job, settings, how often)."""
    rows = database.query(
        "SELECT j.job_id, j.proc_name::text, coalesce(c.view_name, j.hypertable_name)::text, j.config,"
        " extract(epoch FROM j.schedule_interval)::bigint, j.scheduled FROM timescaledb_information.jobs j"
        " LEFT JOIN timescaledb_information.continuous_aggregates c"
        " ON c.materialization_hypertable_name = j.hypertable_name WHERE j.job_id >= 1000"
    )
    return {(row[1], row[2]): row for row in rows}


class TestCatalogue:
    def test_every_series_is_a_hypertable_with_its_chunk(self, timescale):
        rows = timescale.query(
            "SELECT hypertable_name::text, extract(epoch FROM time_interval)::bigint"
            " FROM timescaledb_information.dimensions WHERE hypertable_schema = 'public'"
        )
        assert {row[0]: timedelta(seconds=row[1]) for row in rows} == CHUNKS

    def test_the_ledger_is_none_so_that_a_fill_stays_unique(self, timescale):
        rows = timescale.query("SELECT hypertable_name::text FROM timescaledb_information.hypertables")
        assert "t_ledger" not in {row[0] for row in rows}

    def test_aggregates_show_the_last_minutes_too(self, timescale):
        rows = timescale.query(
            "SELECT view_name::text, materialized_only FROM timescaledb_information.continuous_aggregates"
        )
        assert dict(rows) == {"ohlcv_1m": False, "hourly_execution_metrics": False}

    def test_every_policy_is_there_with_the_intervals_of_the_plan(self, timescale):
        found = jobs(timescale)
        assert found.keys() == POLICIES.keys()
        for name, wanted in POLICIES.items():
            config = found[name][3]
            assert {key: config[key] for key in wanted} == wanted, name
        for relation, every in EVERY.items():
            assert found["policy_refresh_continuous_aggregate", relation][4] == every.total_seconds()

    def test_compression_is_segmented_and_ordered_as_it_is_read(self, timescale):
        rows = timescale.query(
            "SELECT hypertable_name::text, attname::text, segmentby_column_index, orderby_column_index, orderby_asc"
            " FROM timescaledb_information.compression_settings WHERE hypertable_name IN"
            " ('tick_data', 'ohlcv_1d', 'execution_logs', 'feedback_data')"
        )
        segments = {row[0]: row[1] for row in rows if row[2] is not None}
        orders = {(row[0], row[3]): (row[1], row[4]) for row in rows if row[3] is not None}
        assert segments == {
            "tick_data": "symbol",
            "ohlcv_1d": "symbol",
            "execution_logs": "stage",
            "feedback_data": "symbol",
        }
        assert orders["tick_data", 1] == ("time", False)
        assert orders["tick_data", 2] == ("seq", True)

    def test_applying_again_does_nothing(self, timescale):
        done = asyncio.run(migrate(timescale, clock=SystemClock()))
        assert (done.profile, done.applied) == ("timescale", [])
        assert asyncio.run(check_schema(timescale))[0] == "timescale"


class TestProbe:
    def test_it_tries_what_it_needs_and_leaves_nothing(self, timescale):
        before = jobs(timescale)
        found = asyncio.run(probe(timescale))
        assert (found.profile, found.missing) == ("timescale", "")
        assert jobs(timescale) == before
        assert timescale.query("SELECT to_regclass('qts_trial') IS NULL")[0][0] is True

    def test_an_apache_build_is_present_and_does_not_do(self, timescale):
        class ApacheBuild:
            """Refuses what the build without the community licence refuses, in its words."""

            def __getattr__(self, name):
                return getattr(timescale, name)

            async def execute(self, query, *values):
                if "add_compression_policy" in query:
                    raise asyncpg.FeatureNotSupportedError(
                        'functionality not supported under the current "apache" license'
                    )
                return await timescale.execute(query, *values)

        found = asyncio.run(probe(ApacheBuild()))
        assert "apache" in found.missing
        assert decided(found, "auto", None) == "postgres"
        with pytest.raises(SchemaMismatch, match="apache"):
            decided(found, "timescale", None)
        with pytest.raises(SchemaMismatch, match="apache"):  # installed as timescale: never downgraded silently
            decided(found, "auto", "timescale")

    def test_an_old_extension_does_not_do(self, timescale):
        class OldExtension:
            def __getattr__(self, name):
                return getattr(timescale, name)

            async def fetchrow(self, query, *values):
                return ("2.9.3", "2.9.3")

        found = asyncio.run(probe(OldExtension()))
        assert "2.9.3" in found.missing
        assert found.profile == "postgres"

    def test_a_capable_server_stays_capable(self, timescale):
        assert asyncio.run(still_capable(timescale)) == ""


class TestUpkeep:
    def test_raw_ticks_go_and_their_bars_stay(self, timescale):
        asyncio.run(_fill_series(timescale, seconds=300))
        asyncio.run(timescale.execute(_refresh("ohlcv_1m", DAY, DAY + timedelta(hours=1))))
        before = timescale.query(_BARS["1m"], "005930", DAY, DAY + timedelta(hours=1))
        assert len(before) == 5
        job = jobs(timescale)["policy_retention", "tick_data"][0]
        asyncio.run(timescale.execute(f"CALL run_job({job})"))
        assert timescale.query("SELECT count(*) FROM tick_data")[0][0] == 0
        assert timescale.query("SELECT count(*) FROM show_chunks('tick_data')")[0][0] == 0
        assert timescale.query(_BARS["1m"], "005930", DAY, DAY + timedelta(hours=1)) == before

    def test_old_ticks_are_compressed_and_read_as_before(self, timescale):
        asyncio.run(_fill_series(timescale, seconds=300))
        before = timescale.query(_TICKS, "005930", DAY, DAY + timedelta(hours=1), None)
        job = jobs(timescale)["policy_compression", "tick_data"][0]
        asyncio.run(timescale.execute(f"CALL run_job({job})"))
        rows = timescale.query(
            "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = 'tick_data'"
        )
        assert [row[0] for row in rows] == [True]
        assert timescale.query(_TICKS, "005930", DAY, DAY + timedelta(hours=1), None) == before

    def test_retention_rests_while_there_is_no_good_backup(self, timescale):
        class OneConnection:
            async def run(self, _use, work, **_options):
                return await work(timescale)

        job = Maintenance(OneConnection(), SystemClock(), lambda _code, _message: None, "timescale")
        for is_good in (False, True):
            asyncio.run(job.run(backup_is_good=is_good))
            scheduled = {row[5] for (name, _), row in jobs(timescale).items() if name == "policy_retention"}
            assert scheduled == {is_good}


TICK = (
    "INSERT INTO tick_data (time, symbol, kind, price, volume, source, seq, event_ns, recv_ns)"
    " VALUES ($1, $2, $3, $4, $5, 'krx', $6, $7, $7)"
)
LOG = (
    "INSERT INTO execution_logs (time, order_id, symbol, stage, latency_ms, success)"
    " VALUES ($1, $2, '005930', $3, $4, $5)"
)
BAR = (
    "INSERT INTO ohlcv_1d (time, symbol, open, high, low, close, volume, trade_date)"
    " VALUES ($1, '005930', 10, 12, 9, $2, $3, $4)"
)


async def _fill_series(link, seconds, start=DAY):
    """Two trades and a quote a second, the trades out of order and of one instant, and a line about an execution."""
    for second in range(seconds):
        moment = start + timedelta(seconds=second)
        for seq in (2, 1):
            price = Decimal(70_000 + (second * 37 + seq * 11) % 101) + Decimal("0.00000001") * seq
            await link.execute(TICK, moment, "005930", "T", price, seq, second * 10 + seq, to_ns(moment))
        await link.execute(TICK, moment, "005930", "Q", None, 0, second * 10 + 3, to_ns(moment))
        stage = ("PRECHECK", "SENDING")[second % 2]
        latency = Decimal(second * 7 % 101) / 8 if second % 5 else None
        await link.execute(LOG, moment, f"o{second % 3}", stage, latency, second % 7 != 0)


async def _fill_books(link):
    await link.execute("INSERT INTO currencies VALUES ('KRW', 0) ON CONFLICT DO NOTHING")
    await link.execute(
        "INSERT INTO instruments VALUES ('005930', 'Samsung Electronics', 'KRW', 0, 0, 0) ON CONFLICT DO NOTHING"
    )
    for day in range(1, 26):
        moment = datetime(2024, 1, day, tzinfo=UTC)
        await link.execute(BAR, moment, Decimal(9) + Decimal(day) / 16, day * 1_000, moment.date())
        await link.execute(
            "INSERT INTO equity_history (trade_date, total_equity, daily_pnl) VALUES ($1, $2, $3)",
            moment.date(),
            Decimal(10_000_000 + day),
            Decimal(day),
        )
    entries = []
    for number in range(1, 21):
        side, price = ("SELL" if number % 3 == 0 else "BUY"), Decimal(70_000 + number * 13)
        fill = Fill(
            broker="sim",
            account_id="main",
            trade_date=date(2024, 1, 2 + number // 8),
            order_id=f"{number:010}",
            exec_ref="1",
            pool_id=("SCALP", "SWING")[number // 10 % 2],
            symbol="005930",
            side=side,
            qty=Decimal(number % 4 + 1),
            price=price,
            amount=price * (number % 4 + 1),
            fee=Decimal(number),
            strategy_tag=("ema", None)[number % 2],
            ts_exec_ns=to_ns(DAY) + number * 3_600_000_000_001,
            ts_recv_ns=to_ns(DAY) + number * 3_600_000_000_002,
        )
        entries.append(LedgerEntry(entry_type="FILL", fill=fill))
    batch = Batch(entries, {"005930": SAMSUNG}, DAY, mirrored=True)
    async with link.transaction():
        await batch.write(link, None)


def _refresh(name, start, end):
    return f"CALL refresh_continuous_aggregate('{name}', '{start.isoformat()}', '{end.isoformat()}')"


HOUR = (LATER, LATER + timedelta(hours=1))
QUERIES = {
    "bars of a minute": (_BARS["1m"], "005930", *HOUR),
    "bars of a day": (_BARS["1d"], "005930", datetime(2023, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
    "ticks": (_TICKS, "005930", *HOUR, None),
    "first ticks": (_TICKS, "005930", *HOUR, 10),
    "lines of an order": (_LOGS, "o1", *HOUR),
    "average volume": (_VOLUME, "005930", 20),
    "stage metrics": (
        "SELECT hour, stage, avg_latency_ms, p99_latency_ms, success_count, failure_count FROM hourly_execution_metrics"
        " WHERE hour >= $1 AND hour < $2 ORDER BY hour, stage",
        *HOUR,
    ),
    "net flow by strategy": (
        "SELECT strategy_tag, sum(CASE side WHEN 'SELL' THEN amount - fee ELSE -(amount + fee) END) FROM t_ledger"
        " WHERE account_id = 'main' AND trade_date = $1 GROUP BY strategy_tag ORDER BY strategy_tag",
        date(2024, 1, 2),
    ),
    "results of a day": ("SELECT * FROM daily_pnl ORDER BY day, symbol",),
    "results of an hour": ("SELECT * FROM hourly_pnl ORDER BY hour, symbol",),
    "figures of a day": ("SELECT * FROM daily_metrics ORDER BY day",),
    "strategies": ("SELECT * FROM strategy_performance ORDER BY strategy_tag",),
    "positions": ("SELECT symbol, qty, cost_total, avg_price, realized_pnl FROM positions_by_symbol",),
    "pools": ("SELECT pool_id, symbol, qty, cost_total, avg_price, version FROM positions ORDER BY pool_id",),
    "waiting": ("SELECT data_set, key, op, payload::text FROM sheet_outbox ORDER BY seq",),
}


class TestBothAlike:
    def test_the_same_rows_give_the_same_answers(self, timescale, postgres):
        """Half of the aggregates is kept and half is computed when asked for, on both."""
        middle = LATER + timedelta(minutes=3)
        asyncio.run(_fill_series(timescale, 420, LATER))
        asyncio.run(_fill_books(timescale))
        asyncio.run(timescale.execute(_refresh("ohlcv_1m", LATER, middle)))
        there = {name: timescale.query(*query) for name, query in QUERIES.items()}

        class OneConnection:
            def __init__(self, link):
                self.link = link

            async def run(self, _use, work, **_options):
                return await work(self.link)

        async def ask(link):
            await link.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
            await _fill_series(link, 420, LATER)
            await _fill_books(link)
            clock = SimClock(to_ns(middle + timedelta(minutes=1)))
            job = Maintenance(OneConnection(link), clock, lambda _code, _message: None, "postgres")
            await job.run(backup_is_good=True)
            kept = await link.fetchval("SELECT count(*) FROM ohlcv_1m_kept")
            return kept, {name: await link.fetch(*query) for name, query in QUERIES.items()}

        kept, here = postgres.server.run(ask, postgres.name)
        assert kept == 3
        assert len(here["bars of a minute"]) == 7
        for name in QUERIES:
            assert here[name], name
            assert [tuple(row) for row in here[name]] == [tuple(row) for row in there[name]], name


def test_constraints_hold_on_it(timescale):
    with pytest.raises(asyncpg.CheckViolationError):
        timescale.query(TICK, DAY, "005930", "T", Decimal(-1), 1, 1, 1)
    timescale.query(TICK, DAY, "005930", "T", Decimal(1), 1, 1, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        timescale.query(TICK, DAY, "005930", "T", Decimal(1), 1, 1, 1)
