"""The structure on a real server: what the migrations make, what the tables refuse, and what stops the start."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from qts.clock import SimClock, SystemClock
from qts.clock.instants import to_ns
from qts.data.exceptions import SchemaMismatch, SourceUnavailable
from qts.data.postgres import TimescaleDBAdapter
from qts.data.postgres.migrate import Migration, check_schema, migrate, migrations
from qts.data.postgres.probe import Found, decided, probe, server_version
from qts.data.tables import TABLES

from ...servers import APP
from .contract.samples import fill
from .postgres_helpers import opened, settings_of

NOW = datetime(2024, 1, 2, tzinfo=UTC)

KINDS = {
    "text": {"character varying", "text", "character"},
    "int": {"bigint", "integer", "smallint", "numeric"},
    "decimal": {"numeric"},
    "timestamp": {"timestamp with time zone"},
    "date": {"date"},
    "bool": {"boolean"},
    "json": {"jsonb"},
}
VIEWS = {"ohlcv_1m", "hourly_execution_metrics", "daily_pnl"}

INDEXES = {
    "idx_positions_market": "positions USING btree (market)",
    "idx_positions_updated": "positions USING btree (updated_at DESC)",
    "idx_ledger_timestamp": 't_ledger USING btree ("timestamp" DESC)',
    "idx_ledger_symbol": 't_ledger USING btree (symbol, "timestamp" DESC)',
    "idx_ledger_strategy": 't_ledger USING btree (strategy_tag, "timestamp" DESC)',
    "idx_ledger_trade_date": "t_ledger USING btree (account_id, trade_date)",
    "idx_ledger_order": "t_ledger USING btree (order_id)",
    "idx_strategies_updated": "strategies USING btree (updated_at DESC)",
    "idx_tick_symbol_time": 'tick_data USING btree (symbol, "time" DESC, source, seq)',
    "idx_ohlcv_1d_symbol_time": 'ohlcv_1d USING btree (symbol, "time" DESC)',
    "idx_ohlcv_1m_symbol_bucket": "ohlcv_1m_kept USING btree (symbol, bucket DESC)",
    "idx_exec_logs_order": 'execution_logs USING btree (order_id, "time" DESC)',
    "idx_exec_logs_stage": 'execution_logs USING btree (stage, "time" DESC)',
    "idx_exec_logs_time": 'execution_logs USING btree ("time" DESC)',
    "idx_feedback_symbol_time": 'feedback_data USING btree (symbol, "time" DESC)',
    "idx_feedback_strategy_time": 'feedback_data USING btree (strategy_tag, "time" DESC)',
}


def run(database, use, user="postgres"):
    return database.server.run(use, database.name, user)


class TestStructure:
    @pytest.mark.parametrize("name", sorted(TABLES))
    def test_a_table_is_as_the_logical_schema_says(self, postgres, name):
        rows = postgres.fetch(
            "SELECT column_name::text, data_type::text, coalesce(character_maximum_length, 0) AS length,"
            " numeric_precision, numeric_scale, is_nullable = 'YES' AS nullable, column_default IS NOT NULL OR"
            " is_identity = 'YES' AS filled FROM information_schema.columns WHERE table_name = $1",
            name,
        )
        there = {row["column_name"]: row for row in rows}
        assert there.keys() == {column.name for column in TABLES[name].columns}
        for column in TABLES[name].columns:
            row = there[column.name]
            assert row["data_type"] in KINDS[column.kind], column
            if name in VIEWS:
                continue
            assert row["nullable"] == column.nullable, column
            assert row["length"] == column.length, column
            if column.kind == "decimal":
                assert (row["numeric_precision"], row["numeric_scale"]) == (column.digits, column.scale), column

    @pytest.mark.parametrize("name", sorted(TABLES.keys() - VIEWS))
    def test_its_keys_are_unique(self, postgres, name):
        rows = postgres.fetch(
            "SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_index i"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indrelid = $1::regclass AND i.indisunique GROUP BY i.indexrelid",
            name,
        )
        there = {tuple(row[0]) for row in rows}
        wanted = {tuple(sorted(key)) for key in (TABLES[name].key, *TABLES[name].unique) if key}
        assert wanted <= there

    def test_indexes_are_those_that_were_planned(self, postgres):
        rows = postgres.fetch("SELECT indexname::text, indexdef FROM pg_indexes WHERE indexname LIKE 'idx\\_%'")
        there = {row[0]: row[1].split(" ON ")[1].removeprefix("ONLY ").removeprefix("public.") for row in rows}
        assert {name: there.get(name) for name in INDEXES} == INDEXES

    def test_every_series_is_partitioned_with_a_place_for_strays(self, postgres):
        rows = postgres.fetch(
            "SELECT p.partrelid::regclass::text, p.partdefid::regclass::text FROM pg_partitioned_table p"
        )
        assert {row[0]: row[1] for row in rows} == {
            name: f"{name}_default" for name in ("tick_data", "ohlcv_1d", "execution_logs", "feedback_data")
        }


LEDGER = {
    "fill_key": "k",
    "timestamp": NOW,
    "recorded_at": NOW,
    "trade_date": NOW.date(),
    "account_id": "main",
    "pool_id": "SCALP",
    "symbol": "005930",
    "side": "BUY",
    "qty": Decimal(1),
    "price": Decimal(1),
    "amount": Decimal(1),
    "currency": "KRW",
    "order_id": "1",
    "broker": "sim",
    "exec_ns": 1,
    "recv_ns": 1,
    "exec_ref": "1",
}


def insert(database, table, row):
    names, numbers = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    query = f"INSERT INTO {table} ({names}) VALUES ({numbers})"  # noqa: S608 - names of this file
    run(database, lambda link: link.execute(query, *row.values()))


class TestConstraints:
    @pytest.mark.parametrize(
        "changes",
        [
            {"side": "HOLD"},
            {"qty": Decimal(0)},
            {"qty": Decimal(-1)},
            {"price": Decimal(0)},
            {"amount": Decimal(-1)},
            {"fee": Decimal(-1)},
            {"pool_id": "ALL"},
            {"entry_type": "NOTE"},
            {"order_id": None},
            {"entry_type": "REVERSAL"},
        ],
        ids=str,
    )
    def test_a_ledger_row_that_cannot_be_one_is_refused(self, postgres, changes):
        with pytest.raises(asyncpg.CheckViolationError):
            insert(postgres, "t_ledger", {**LEDGER, **changes})

    def test_a_fill_key_stands_once(self, postgres):
        insert(postgres, "t_ledger", LEDGER)
        with pytest.raises(asyncpg.UniqueViolationError):
            insert(postgres, "t_ledger", {**LEDGER, "qty": Decimal(2)})

    @pytest.mark.parametrize("changes", [{"qty": Decimal(-1)}, {"cost_total": Decimal(-1)}, {"pool_id": "X"}], ids=str)
    def test_a_position_is_never_negative(self, postgres, changes):
        row = {"pool_id": "SCALP", "symbol": "005930", "qty": Decimal(1), "cost_total": Decimal(1)}
        row |= {"avg_price": Decimal(1), "currency": "KRW"}
        insert(postgres, "positions", row)
        with pytest.raises(asyncpg.CheckViolationError):
            insert(postgres, "positions", {**row, "symbol": "000660", **changes})

    def test_a_bar_holds_open_and_close(self, postgres):
        row = {"time": NOW, "symbol": "005930", "volume": 1, "trade_date": NOW.date()}
        row |= {"open": Decimal(10), "high": Decimal(12), "low": Decimal(9), "close": Decimal(11)}
        insert(postgres, "ohlcv_1d", row)
        for changes in ({"high": Decimal(10)}, {"low": Decimal(11)}, {"volume": -1}):
            with pytest.raises(asyncpg.CheckViolationError):
                insert(postgres, "ohlcv_1d", {**row, "time": NOW + timedelta(days=1), **changes})


class TestRights:
    @pytest.mark.parametrize("name", sorted(n for n, t in TABLES.items() if t.append_only and n != "schema_version"))
    def test_the_application_may_add_to_what_is_append_only_and_no_more(self, postgres, name):
        rows = postgres.fetch(
            "SELECT p, has_table_privilege($1, $2, p) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE',"
            " 'TRUNCATE']) p",
            APP,
            name,
        )
        assert {row[0] for row in rows if row[1]} == {"SELECT", "INSERT"}

    @pytest.mark.parametrize("name", ["t_ledger", "capital_ledger", "audit_log", "operating_state_history"])
    def test_not_even_the_owner_changes_what_is_written_for_ever(self, postgres, name):
        for statement in (f"DELETE FROM {name}", f"TRUNCATE {name} CASCADE"):  # noqa: S608
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                postgres.execute(statement)

    def test_the_application_makes_and_drops_no_table(self, postgres):
        async def as_app(link):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await link.execute("DROP TABLE t_ledger")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await link.execute("INSERT INTO schema_version VALUES ('x', 1, 'x', now())")
            with pytest.raises(asyncpg.RaiseError):
                await link.execute("SELECT qts_drop_partition('t_ledger', 't_ledger')")

        run(postgres, as_app, APP)


def steps(*texts):
    return [
        Migration(number, f"{number:04}_step.sql", text, hashlib.sha256(text.encode()).hexdigest())
        for number, text in enumerate(texts, start=1)
    ]


def apply(database, known=None, **options):
    return run(database, lambda link: migrate(link, clock=SystemClock(), steps=known, **options))


class TestMigrations:
    def test_applying_twice_changes_nothing(self, postgres_empty):
        first, second = apply(postgres_empty), apply(postgres_empty)
        assert first.applied == [one.name for one in migrations()]
        assert (first.profile, second.applied) == ("postgres", [])

    def test_every_earlier_version_comes_to_the_same_structure(self, postgres_server):
        async def whole(link):
            from qts.data.postgres.migrate import structure

            return await structure(link)

        found = []
        for first in range(len(migrations()) + 1):
            database = postgres_server.new_database()
            apply(database, migrations()[:first])
            assert apply(database).applied == [one.name for one in migrations()[first:]]
            run(database, lambda link: check_schema(link))
            found.append(run(database, whole))
            database.drop()
        assert all(one == found[0] for one in found)

    def test_two_at_once_apply_each_file_once(self, postgres_empty):
        async def both():
            links = [await asyncpg.connect(postgres_empty.admin_dsn) for _ in range(2)]
            done = await asyncio.gather(*(migrate(link, clock=SystemClock()) for link in links))
            for link in links:
                await link.close()
            return done

        done = asyncio.run(both())
        assert sorted(name for one in done for name in one.applied) == [one.name for one in migrations()]

    def test_a_changed_file_is_refused_with_both_checksums(self, postgres_empty):
        one, other = steps("CREATE TABLE a (n INT)"), steps("CREATE TABLE a (n BIGINT)")
        apply(postgres_empty, one)
        with pytest.raises(SchemaMismatch) as caught:
            apply(postgres_empty, other)
        assert caught.value.code == "FS123"
        for part in ("0001_step.sql", one[0].checksum, other[0].checksum):
            assert part in str(caught.value)

    def test_a_file_that_fails_leaves_nothing_and_the_ones_before_stand(self, postgres_empty):
        broken = steps("CREATE TABLE a (n INT)", "CREATE TABLE b (n INT); SELECT no_such_function()")
        with pytest.raises(asyncpg.UndefinedFunctionError):
            apply(postgres_empty, broken)
        rows = postgres_empty.fetch("SELECT to_regclass('a') IS NULL, to_regclass('b') IS NULL")
        assert tuple(rows[0]) == (False, True)
        assert apply(postgres_empty, steps("CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)")).applied == [
            "0002_step.sql"
        ]

    def test_a_newer_database_is_left_alone(self, postgres_empty):
        apply(postgres_empty, steps("SELECT 1", "SELECT 2"))
        with pytest.raises(SchemaMismatch, match="migration 0002"):
            apply(postgres_empty, steps("SELECT 1"))

    def test_numbers_without_a_gap(self, tmp_path):
        (tmp_path / "0001_a.sql").write_text("SELECT 1")
        (tmp_path / "0003_c.sql").write_text("SELECT 3")
        with pytest.raises(SchemaMismatch, match=r"0003_c\.sql"):
            migrations(tmp_path)

    def test_blocks_are_for_their_profile(self):
        (one,) = steps("a\n-- profile: timescale\nb\n-- profile: postgres\nc\n-- profile: all\nd")
        assert (one.script("timescale"), one.script("postgres")) == ("a\nb\nd", "a\nc\nd")


class TestProfiles:
    def test_a_server_without_the_extension_is_postgres_and_stays_so(self, postgres_empty):
        assert apply(postgres_empty).profile == "postgres"
        with pytest.raises(SchemaMismatch, match="installed with profile postgres"):
            apply(postgres_empty, profile="timescale")

    def test_demanding_the_extension_where_it_is_not_is_refused_before_anything_is_made(self, postgres_empty):
        with pytest.raises(SchemaMismatch, match="timescaledb is not there") as caught:
            apply(postgres_empty, profile="timescale")
        assert caught.value.code == "FS123"
        assert postgres_empty.fetch("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [
            (0,)
        ]

    def test_it_says_why_it_is_not_there(self, postgres_empty):
        assert "not there" in run(postgres_empty, probe).missing

    @pytest.mark.parametrize(
        ("missing", "wanted", "pinned", "result"),
        [
            ("", "auto", None, "timescale"),
            ("", "postgres", None, "postgres"),
            ("", "timescale", None, "timescale"),
            ("gone", "auto", None, "postgres"),
            ("", "auto", "postgres", "postgres"),  # the extension came later: still what was installed
            ("", "auto", "timescale", "timescale"),
            ("gone", "timescale", None, None),
            ("gone", "auto", "timescale", None),
            ("", "timescale", "postgres", None),
            ("", "postgres", "timescale", None),
        ],
    )
    def test_decided_once_and_never_downgraded(self, missing, wanted, pinned, result):
        found = Found("18", "2.23", missing)
        if result is None:
            with pytest.raises(SchemaMismatch):
                decided(found, wanted, pinned)
        else:
            assert decided(found, wanted, pinned) == result

    def test_an_old_server_is_refused(self):
        class Old:
            async def fetchval(self, query):
                return 130_011 if "num" in query else "13.11"

        with pytest.raises(SchemaMismatch, match=r"PostgreSQL 13\.11") as caught:
            asyncio.run(server_version(Old()))
        assert "PostgreSQL 14" in str(caught.value)

    def test_what_it_cannot_do_is_said(self, postgres):
        async def look():
            async with opened(postgres) as adapter:
                return adapter.capabilities

        found = asyncio.run(look())
        assert (found.profile, found.compression, found.aggregates) == ("postgres", False, False)
        assert found.ticks
        assert found.server_version.startswith("18")


class TestStart:
    def _refused(self, there, kind, **changes):
        adapter = TimescaleDBAdapter(replace(settings_of(there), **changes), SystemClock())
        with pytest.raises(kind) as caught:
            asyncio.run(adapter.open())
        assert caught.value.found
        assert caught.value.expected
        assert caught.value.hint
        return str(caught.value)

    def test_a_wrong_port(self, postgres):
        assert "DB_PORT" in self._refused(postgres, SourceUnavailable, port=1)

    def test_a_wrong_host(self, postgres):
        self._refused(postgres, SourceUnavailable, host="/nowhere")

    def test_a_wrong_database(self, postgres):
        assert "no such database" in self._refused(postgres, SourceUnavailable, database="nowhere")

    def test_a_wrong_user(self, postgres):
        assert "DB_USER" in self._refused(postgres, SourceUnavailable, user="nobody")

    def test_encryption_that_the_server_does_not_speak(self, postgres):
        assert "TLS" in self._refused(postgres, SourceUnavailable, ssl="require")

    def test_encryption_is_the_default_for_another_host(self, postgres):
        settings = settings_of(postgres)
        assert settings.ssl_mode == "disable"
        assert replace(settings, host="db.example.org").ssl_mode == "require"

    def test_an_empty_database(self, postgres_empty):
        assert "db init" in self._refused(postgres_empty, SchemaMismatch)

    def test_a_database_that_is_behind(self, postgres_empty):
        apply(postgres_empty, migrations()[:-1], role=APP)
        message = self._refused(postgres_empty, SchemaMismatch)
        assert migrations()[-1].name in message
        assert "db migrate" in message

    @pytest.mark.parametrize(
        "statement",
        [
            "ALTER TABLE strategies ADD COLUMN colour TEXT",
            "ALTER TABLE strategies ALTER COLUMN value TYPE VARCHAR(10)",
            "ALTER TABLE strategies DROP COLUMN description",
        ],
    )
    def test_a_column_that_no_migration_made(self, postgres, statement):
        postgres.execute(statement)
        told = []
        with pytest.raises(SchemaMismatch, match="columns of strategies") as caught:
            asyncio.run(_open(postgres, told))
        assert caught.value.code == "FS123"
        assert [code for code, _ in told] == ["FS123"]

    def test_a_clock_that_differs_is_told(self, postgres):
        async def skewed(by_s):
            told = []
            clock = SimClock(to_ns(datetime.now(UTC)) + by_s * 10**9)
            async with opened(postgres, clock, told) as adapter:
                return adapter.clock_skew_ms, [code for code, _ in told]

        skew_ms, told = asyncio.run(skewed(0))
        assert abs(skew_ms) < 1_000
        assert told == []
        skew_ms, told = asyncio.run(skewed(-5))
        assert 4_000 < skew_ms < 6_000
        assert told == ["GR102"]

    def test_opening_and_closing_twice(self, postgres):
        async def twice():
            async with opened(postgres) as adapter:
                await adapter.open()
                await adapter.apply_fill(fill(1))
                await adapter.close()
                await adapter.close()

        asyncio.run(twice())


async def _open(database, told):
    adapter = TimescaleDBAdapter(
        settings_of(database), SystemClock(), lambda code, message: told.append((code, message))
    )
    await adapter.open()
