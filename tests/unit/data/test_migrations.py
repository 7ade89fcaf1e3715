"""The schema of the embedded database: reached from every earlier version, as the logical schema says, never"
" by chance."""

import asyncio
import shutil
import sqlite3

import pytest

from qts.clock import SystemClock
from qts.data import SQLiteStore
from qts.data.exceptions import SchemaMismatch
from qts.data.sqlite import migrations
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.data.sqlite.connection import open_database
from qts.data.tables import TABLES

from .conftest import begun, fill, order

TICKS = {"tick_data", "tick_ack", "tick_quarantine"}
"""Kept in files of their own."""
DIFFERENT = {
    "t_ledger": (
        # derived from exec_ns, recv_ns and the instrument; beside it in ledger_details
        {"timestamp", "recorded_at", "currency", "broker", "run_id", "client_order_id", "broker_exec_id"}
        | {"slippage_bps", "reverses_id", "raw"},
        {"session_no"},
    ),
    "positions": ({"avg_price", "currency", "opened_at"}, set()),
    "fill_quarantine": (set(), {"session_no"}),
    "daily_pnl": (set(), {"price_scale", "qty_scale", "money_scale"}),
}
"""Columns that the file leaves out, and those that it has beside them."""


def old_file(path, *statements):
    """A database as the first version of the schema made it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript(migrations.shipped()[0].sql)
        db.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        for statement in statements:
            db.execute(statement)
    db.close()


OLD_ROWS = (
    "INSERT INTO currencies VALUES ('KRW', 0)",
    "INSERT INTO instruments VALUES ('005930', 'Samsung', 'KRW', 0, 0, 0)",
    "INSERT INTO sessions (session_id, mode, strategy, broker, account_id, currency, cash_start, started_ns,"
    " config_hash) VALUES ('old', 'SIM', 's', 'sim', 'paper-old', 'KRW', 1000, 1, 'cafe')",
    "INSERT INTO t_ledger VALUES (1, 'sim:paper-old:2024-01-02:7:1', 'FILL', 1, 'paper-old', NULL,"
    " '2024-01-02', 7, '1',"
    " 11, 10, 'd', '005930', 'SWING', 'BUY', 3, 70000, 210000, 31, 0, 3, 'cross', 'ema')",
    "INSERT INTO t_ledger VALUES (2, 'sim:paper-old:2024-01-02:8:2', 'FILL', 1, 'paper-old', 2000,"
    " '2024-01-02', 8, '2',"
    " 13, 12, 'd', '005930', 'SWING', 'SELL', 1, 72000, 72000, 0, 0, 1, 'cross', 'ema')",
    "INSERT INTO positions VALUES ('paper-old', 'SWING', '005930', 2, 140000, 2000, 11, 'sim:paper-old:2024-01-02:8:2',"
    " 2, 0)",
    "INSERT INTO orders VALUES (1, 7, 9, 'd', '005930', 'SWING', 'BUY', 'LIMIT', 'DAY', 3, 70000, 'FILLED', 3, 210000,"
    " '', 'ema', 11)",
    "INSERT INTO orders VALUES (1, 8, 9, 'd', '005930', 'SWING', 'SELL', 'LIMIT', 'DAY', 1, 72000, 'FILLED', 1, 72000,"
    " '', 'ema', 13)",
    "INSERT INTO equity VALUES (1, 1, 5, 860, 140)",
    "INSERT INTO fill_quarantine VALUES (1, 'k', 1, 'because', '(1, 2)')",
)


def test_a_file_of_the_first_version_is_brought_up_with_everything_in_it(path):
    old_file(path, *OLD_ROWS)

    async def look():
        adapter = SQLiteAdapter(path, SystemClock())
        await adapter.open()
        try:
            position = await adapter.get_position("005930", "SWING", "paper-old")
            return position, await adapter.fetch_fills("7", account_id="paper-old"), await adapter.verify()
        finally:
            await adapter.close()

    position, (entry,), differences = asyncio.run(look())
    assert (position.qty, position.cost_total, position.realized_pnl) == (2, 140_000, 2_000)
    assert (entry.fill.broker, entry.fill.run_id, entry.fill.order_id) == ("sim", "old", "7")
    assert (entry.fill.price, entry.fill.cum_filled_qty) == (70_000, 3)
    assert differences == []
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM run_orders").fetchone() == (2,)
        assert db.execute("SELECT cash, market_value FROM equity").fetchall() == [(860, 140)]
        assert db.execute("SELECT fill_key, session_no, cause, content FROM fill_quarantine").fetchall() == [
            ("k", 1, "because", "(1, 2)")
        ]
        versions = db.execute("SELECT version, checksum FROM schema_version ORDER BY version").fetchall()
        assert versions == [(script.version, script.checksum) for script in migrations.shipped()]
    db.close()


def test_an_upgraded_file_and_a_new_one_have_the_same_schema(path, tmp_path):
    old_file(path)
    catalogues = []
    for file in (path, tmp_path / "new.sqlite"):
        db = open_database(file)
        catalogues.append(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall())
        db.close()
    assert catalogues[0] == catalogues[1]


def test_every_version_leads_to_the_last(path):
    scripts = migrations.shipped()
    assert [script.version for script in scripts] == list(range(1, len(scripts) + 1))
    for upto in range(1, len(scripts) + 1):
        db = sqlite3.connect(":memory:", isolation_level=None)
        assert migrations.migrate(db, scripts[:upto]) == upto
        assert migrations.migrate(db, scripts) == len(scripts)
        assert migrations.migrate(db, scripts) == len(scripts)  # again is nothing
        db.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(path):
    old_file(path, *OLD_ROWS)
    scripts = migrations.shipped()
    broken = (*scripts[:2], scripts[2]._replace(sql="CREATE TABLE one (a);\nINSERT INTO nowhere VALUES (1);"))
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.Error, match="nowhere"):
        migrations.migrate(db, broken)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT qty FROM orders ORDER BY order_id").fetchall() == [(3,), (1,)]
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('one', 'schema_version')").fetchone() == (0,)
    db.close()
    SQLiteStore(path).close()


def test_a_script_that_was_changed_after_it_was_applied_is_told_with_both_checksums(path, tmp_path):
    begun(path).close()
    changed = tmp_path / "sql"
    shutil.copytree(migrations._SCRIPTS, changed)
    with (changed / "0002_ledger_of_brokers.sql").open("a") as script:
        script.write("-- harmless\n")
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(SchemaMismatch) as caught:
        migrations.migrate(db, migrations.shipped(changed))
    db.close()
    assert caught.value.code == "FS123"
    for part in (
        "0002_ledger_of_brokers.sql",
        migrations.shipped()[1].checksum,
        migrations.shipped(changed)[1].checksum,
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("version", [0, 99])
def test_a_file_of_no_version_that_is_known_is_refused_by_the_adapter(path, version):
    begun(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match=f"version {version}") as caught:
        asyncio.run(SQLiteAdapter(path, SystemClock()).open())
    assert caught.value.code == "FS123"
    assert path.read_bytes() == before


# The file against the logical schema


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    db = open_database(tmp_path_factory.mktemp("db") / "qts.sqlite")
    yield db
    db.close()


@pytest.mark.parametrize("name", sorted(TABLES.keys() - TICKS))
def test_the_file_has_what_the_logical_schema_says(catalogue, name):
    target = TABLES[name]
    found = {row[1]: row for row in catalogue.execute(f"PRAGMA table_info({name})")}
    derived, extra = DIFFERENT.get(name, (set(), set()))
    wanted = {column.name: column for column in target.columns}
    assert found.keys() - extra - {"oversold"} == wanted.keys() - derived - {"oversold"}
    if name == "daily_pnl":
        return  # a view
    for column in target.columns:
        if column.name in derived:
            continue
        _, _, kind, not_null, default, key = found[column.name]
        is_text = column.kind in {"text", "json", "date"} or column.digits > 18
        booked = name in {"t_ledger", "positions"} and column.kind == "decimal"  # in the scale of the instrument
        assert kind == ("INTEGER" if booked or not is_text else "TEXT"), column
        if column.default == "identity":
            assert key == 1
            continue
        assert bool(not_null) >= (not column.nullable) or name == "t_ledger", column
        if name != "t_ledger":
            assert (default is not None) == (column.default is not None), column
    keys = [row[1] for row in sorted(found.values(), key=lambda row: row[5]) if row[5]]
    assert keys == list(target.key)
    uniques = {
        tuple(row[2] for row in catalogue.execute(f"PRAGMA index_info({index[1]})"))
        for index in catalogue.execute(f"PRAGMA index_list({name})")
        if index[2]
    }
    assert set(target.unique) <= uniques


def test_there_is_no_table_that_the_logical_schema_does_not_know(catalogue):
    tables = {row[0] for row in catalogue.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables - TABLES.keys() == {"ledger_details"}


@pytest.mark.parametrize("table", ["t_ledger", "capital_ledger", "audit_log"])
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = 'x'", "DELETE FROM {}"])
def test_what_only_grows_cannot_be_changed(path, table, change):
    with begun(path) as store:
        store.record_fill(fill(1))
    db = open_database(path)
    db.execute("INSERT INTO capital_ledger VALUES (1, 1, 'main', 'SCALP', 'AVAILABLE', '1', 'FILL', 'k', 1)")
    db.execute("INSERT INTO audit_log (seq, ts_utc, actor, kind, prev_hash, hash) VALUES (1, 1, 'a', 'k', '', 'h')")
    statement = change.format(table).replace("account_id", "actor" if table == "audit_log" else "account_id")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO capital_transfers VALUES ('t', 'k', 'A', 'B', '-1', 'K', 'r', 'PENDING', 1, NULL, NULL,"
        " NULL, NULL,"
        " 'B', 'N', NULL, 'main', NULL)",
        "INSERT INTO strategies (strategy_id, param_name, value) VALUES ('s', printf('%0101d', 1), 'v')",
        "INSERT INTO ohlcv_1d (time, symbol, open, high, low, close, volume, trade_date)"
        " VALUES (1, 's', 5, 4, 3, 4, 0, '2024-01-02')",
        "INSERT INTO positions (account_id, pool_id, symbol, qty, cost_total) VALUES ('a', 'SCALP', 'nobody', 1, 1)",
        "INSERT INTO dividends (symbol, record_date, amount, currency, meta) VALUES ('s', '2024-01-02', 1, 'KRW', '{')",
    ],
)
def test_rows_that_break_the_rules_are_refused_by_the_file_itself(catalogue, statement):
    with pytest.raises(sqlite3.IntegrityError):
        catalogue.execute(statement)


def test_views_tell_what_the_ledger_says(path):
    with begun(path) as store:
        for row in (
            fill(1, qty=10),
            fill(2, "SELL", 4, 71_000),
            fill(3, qty=2, track="SWING", ts_exec_ns=3_700 * 10**9),
        ):
            store.record_fill(row)
        store.record_order(order(1))
    db = open_database(path)
    gain = 4_000 - fill(2, "SELL", 4, 71_000).fee - fill(2, "SELL", 4, 71_000).tax
    fees = sum(row[0] for row in db.execute("SELECT fee FROM t_ledger"))
    assert db.execute("SELECT qty, cost_total, realized_pnl FROM positions_by_symbol").fetchall() == [
        (8, 560_000, gain)
    ]
    (daily,) = db.execute("SELECT day, realized_pnl, trade_count, net_cash_flow, fees FROM daily_pnl").fetchall()
    assert daily == ("2024-01-02", gain, 3, 284_000 - 840_000, fees)
    assert db.execute("SELECT hour, realized_pnl, trade_count FROM hourly_pnl ORDER BY hour").fetchall() == [
        (0, gain, 2),
        (3_600_000_000, 0, 1),
    ]
    (performance,) = db.execute(
        "SELECT strategy_tag, trade_count, win_count, loss_count, realized_pnl, avg_pnl, win_rate"
        " FROM strategy_performance"
    ).fetchall()
    assert performance == ("ema_cross", 3, 1, 0, gain, gain, 10_000)
    assert db.execute("SELECT * FROM daily_metrics").fetchall() == []
    db.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT * FROM ledger_details WHERE account_id = 'a' AND exec_ns >= 1 AND exec_ns < 2",
            "timestamp",
        ),
        ("SELECT * FROM ledger_details WHERE account_id = 'a' AND order_id = '1'", "ledger_order"),
        ("SELECT * FROM t_ledger WHERE fill_key >= 'a' AND fill_key < 'b'", "autoindex"),
        ("SELECT * FROM ohlcv_1d WHERE symbol = 's' AND time >= 1 AND time < 2", "PRIMARY KEY"),
        ("SELECT * FROM ohlcv_1m WHERE symbol = 's' AND bucket >= 1 AND bucket < 2", "PRIMARY KEY"),
        ("SELECT * FROM execution_logs WHERE order_id = '1' AND time >= 1 AND time < 2", "exec_logs_order"),
        ("SELECT avg(latency_ms) FROM execution_logs WHERE stage = 'S' AND time >= 1 AND time < 2", "exec_logs_stage"),
    ],
)
def test_questions_of_the_day_use_an_index(catalogue, query, index):
    plan = " ".join(row[3] for row in catalogue.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert index in plan
    assert "SEARCH" in plan
