"""Paper sessions whose books are on a PostgreSQL server: chosen by configuration alone, through outages and kills."""

import asyncio
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from tests.servers import APP, APP_PASSWORD

from qts._core import journal_records
from qts.codes import EngineFault
from qts.config import load_secrets
from qts.data.settings import Retries, ServerSettings
from qts.engine import Engine, backtest
from qts.engine.build import load_config
from qts.engine.storage import server_settings

DAY = date(2026, 1, 5)
SMALL = {"sim.session.symbols": "005930, 000660"}


@pytest.fixture
def on_server(monkeypatch):
    """Point the environment of this test at a database; a server that was away is asked again soon."""
    soon = partial(ServerSettings, retries=Retries(breaker_open_ms=100))
    monkeypatch.setattr("qts.engine.storage.ServerSettings", soon)

    def point(database):
        monkeypatch.setenv("DB_HOST", database.server.host)
        monkeypatch.setenv("DB_PORT", str(database.server.port))
        monkeypatch.setenv("DB_NAME", database.name)
        monkeypatch.setenv("DB_USER", APP)
        monkeypatch.setenv("DB_PASSWORD", APP_PASSWORD)
        return database

    return point


def engine_in(home, overrides=None):
    return Engine.from_config(load_config(None, SMALL | (overrides or {})), day=DAY, seed=3, home=home)


def run(home, overrides=None, **options):
    return asyncio.run(engine_in(home, overrides).run(**options))


def journaled_fills(home: Path):
    """What the journal says happened: the truth that the database has to agree with."""
    rows = [json.loads(payload) for _, _, kind, _, payload in journal_records(home / "journal") if kind == "FILL"]
    return [(row["run"][0], row["fill"][1], row["fill"][6], row["fill"][8], row["fill"][9]) for row in rows]


def ledger(database):
    rows = database.fetch("SELECT run_id, order_id, symbol, side, qty FROM t_ledger ORDER BY id")
    return [(row[0], int(row[1]), row[2], row[3], int(row[4])) for row in rows]


def positions_by_ledger(database):
    query = (
        "SELECT account_id, pool_id, symbol, sum(CASE side WHEN 'BUY' THEN qty ELSE -qty END) FROM t_ledger"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    stored = "SELECT account_id, pool_id, symbol, qty FROM positions ORDER BY 1, 2, 3"
    return [tuple(row) for row in database.fetch(query)], [tuple(row) for row in database.fetch(stored)]


def test_the_books_of_a_session_are_the_same_on_a_server_and_embedded(postgres, on_server, tmp_path):
    with run(tmp_path / "embedded") as embedded:
        there = (embedded.report["run"]["decision_hash"], embedded.report["account"])
        embedded.write(tmp_path / "a")
    on_server(postgres)
    with run(tmp_path / "server") as served:
        assert (served.report["run"]["decision_hash"], served.report["account"]) == there
        served.write(tmp_path / "b")
    for name in ("fills.csv", "orders.csv", "equity.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert not (tmp_path / "server" / "db").exists(), "nothing is embedded beside a server"
    assert ledger(postgres) == journaled_fills(tmp_path / "server")
    derived, stored = positions_by_ledger(postgres)
    assert derived == stored
    assert [row[0] for row in postgres.fetch("SELECT status FROM sessions")] == ["DONE"]


def test_the_command_line_runs_on_a_server_by_its_environment_alone(postgres, on_server, tmp_path):
    on_server(postgres)
    command = [sys.executable, "-m", "qts.cli", "run", "--speed", "max", "--seed", "3", "--date", "2026-01-05"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        env={**os.environ, "QTS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "fills.csv").open() as file:
        fills = list(csv.DictReader(file))
    assert [row["symbol"] for row in fills] == [row[2] for row in ledger(postgres)]
    assert len(fills) > 0


def test_a_server_that_is_killed_and_comes_back_misses_nothing(postgres_private, on_server, tmp_path):
    """kill -9 in the middle of a session, and back before its end: the ledger is the journal, each fill once."""
    server = on_server(postgres_private).server
    fills_at = []

    def watch(status):
        if status.fills >= 4 and not fills_at:
            fills_at.append(status.fills)
            server.kill9()
        elif fills_at and len(fills_at) == 1 and status.fills >= fills_at[0] + 4:
            fills_at.append(status.fills)
            server.start()

    with run(tmp_path, on_status=watch) as result:
        assert len(fills_at) == 2
        assert result.report["fills"] > fills_at[1]
    assert ledger(postgres_private) == journaled_fills(tmp_path)
    derived, stored = positions_by_ledger(postgres_private)
    assert derived == stored


def test_a_server_that_stays_away_ends_the_run_and_the_next_start_brings_what_waits(
    postgres_private, on_server, tmp_path, monkeypatch
):
    server = on_server(postgres_private).server
    killed = threading.Event()

    def watch(status):
        if status.fills >= 4 and not killed.is_set():
            killed.set()
            server.kill9()

    engine = engine_in(tmp_path)
    monkeypatch.setattr(engine._store, "_flush_s", 0.5)
    with pytest.raises(EngineFault) as caught:
        asyncio.run(engine.run(on_status=watch))
    assert caught.value.code == "FS120"
    assert "next start goes on from the journal" in caught.value.hint
    of_first = journaled_fills(tmp_path)
    server.start()
    assert len(ledger(postgres_private)) < len(of_first), "something waits"
    with run(tmp_path) as result:
        assert result.report["fills"] == 0, "the state FAIL of the session before asks for an operator"
    assert ledger(postgres_private) == of_first
    derived, stored = positions_by_ledger(postgres_private)
    assert derived == stored
    assert [row[0] for row in postgres_private.fetch("SELECT status FROM sessions ORDER BY no")] == ["FAULT", "DONE"]


def test_an_engine_that_is_killed_leaves_nothing_that_its_successor_does_not_bring(postgres, on_server, tmp_path):
    """The process dies by SIGKILL between journal and database; the next start makes both equal."""
    on_server(postgres)
    home = tmp_path / "home"
    # Held by somebody else, the ledger takes nothing: every fill of the session stays in the journal.
    script = (
        "import asyncio, os, signal, sys\n"
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from qts.engine import Engine\n"
        "from qts.engine.build import load_config\n"
        "config = load_config(None, {'sim.session.symbols': '005930, 000660'})\n"
        "engine = Engine.from_config(config, day=date(2026, 1, 5), seed=3, home=Path(sys.argv[1]))\n"
        "die = lambda status: os.kill(os.getpid(), signal.SIGKILL) if status.fills >= 6 else None\n"
        "asyncio.run(engine.run(on_status=die))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = journaled_fills(home)
    assert len(before) >= 6
    with run(home):
        pass
    after = journaled_fills(home)
    assert after[: len(before)] == before
    assert ledger(postgres) == after
    derived, stored = positions_by_ledger(postgres)
    assert derived == stored


def test_a_wrong_password_refuses_the_start_in_words(postgres, on_server, tmp_path, monkeypatch):
    on_server(postgres)
    monkeypatch.setenv("DB_PASSWORD", "wrong-password")
    with pytest.raises(Exception, match="password") as caught:
        run(tmp_path)
    assert "wrong-password" not in str(caught.value)
    assert journaled_fills(tmp_path) == []


def test_settings_of_the_server_come_from_the_configuration(postgres, on_server, tmp_path):
    on_server(postgres)
    config = load_config(
        None, {"data.db.pool.trading": 6, "data.db.timeouts_ms.statement": 700, "data.db.ssl": "require"}
    )
    settings = server_settings(config, load_secrets(tmp_path))
    assert (settings.host, settings.port, settings.database, settings.user) == (
        postgres.server.host,
        postgres.server.port,
        postgres.name,
        APP,
    )
    assert (settings.pool.trading, settings.timeouts.statement, settings.ssl_mode) == (6, 700, "require")
    assert settings.password.get_secret_value() == APP_PASSWORD
    assert APP_PASSWORD not in repr(settings)


@pytest.mark.parametrize("place", ["embedded", "server"])
def test_every_tick_of_a_session_is_kept_once(place, postgres, on_server, tmp_path):
    if place == "server":
        on_server(postgres)
    with run(tmp_path, {"data.store_ticks": True}) as result:
        records = result.report["run"]["data"][0]["rows"]
    if place == "server":
        counts = postgres.fetch("SELECT count(*), count(DISTINCT seq) FROM tick_data")[0]
    else:
        counts = [0, 0]
        for path in (tmp_path / "db" / "ticks").glob("ticks-*.db"):
            db = sqlite3.connect(path)
            row = db.execute("SELECT count(*), count(DISTINCT seq) FROM tick_data").fetchone()
            db.close()
            counts = [counts[0] + row[0], counts[1] + row[1]]
    assert tuple(counts) == (records, records)


@pytest.mark.parametrize("place", ["embedded", "server"])
def test_a_backtest_is_the_same_wherever_its_books_are_kept(place, postgres, on_server, sample, tmp_path, monkeypatch):
    with backtest(sample.ticks, "quote_reversion", out=tmp_path / "temporary") as temporary:
        expected = (temporary.report["run"]["decision_hash"], temporary.report["account"], temporary.report["fills"])
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    if place == "server":
        on_server(postgres)
    config = load_config(None, {"data.keep_backtests": True})
    with backtest(sample.ticks, "quote_reversion", config=config, out=tmp_path / "kept") as kept:
        found = (kept.report["run"]["decision_hash"], kept.report["account"], kept.report["fills"])
    assert found == expected
    for name in ("fills.csv", "orders.csv", "equity.csv"):
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "temporary" / name).read_bytes()
    if place == "server":
        rows = postgres.fetch("SELECT count(*) FROM t_ledger")[0][0]
    else:
        db = sqlite3.connect(tmp_path / "home" / "db" / "backtests.sqlite")
        rows = db.execute("SELECT count(*) FROM t_ledger").fetchone()[0]
        db.close()
    assert rows == expected[2] > 0
