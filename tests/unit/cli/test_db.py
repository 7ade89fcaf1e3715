"""`qts-engine db`, as its operator types it."""

import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from tests.servers import ADMIN, ADMIN_PASSWORD, APP, APP_PASSWORD

from qts.cli import main
from qts.engine import Engine
from qts.engine.build import load_config

DAY = date(2026, 1, 5)


def cli(*args, capsys):
    code = main(list(map(str, args)))
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A home in which a session has run; to be copied, not changed."""
    import asyncio

    home = tmp_path_factory.mktemp("ran") / "home"
    config = load_config(None, {"sim.session.symbols": "005930, 000660"})
    asyncio.run(Engine.from_config(config, day=DAY, seed=3, home=home).run()).close()
    return home


@pytest.fixture
def home(ran, tmp_path, monkeypatch):
    place = tmp_path / "home"
    shutil.copytree(ran, place)
    monkeypatch.setenv("QTS_HOME", str(place))
    return place


@pytest.fixture
def as_server(monkeypatch):
    def point(database):
        monkeypatch.setenv("DB_HOST", database.server.host)
        monkeypatch.setenv("DB_PORT", str(database.server.port))
        monkeypatch.setenv("DB_NAME", database.name)
        monkeypatch.setenv("DB_USER", APP)
        monkeypatch.setenv("DB_PASSWORD", APP_PASSWORD)
        monkeypatch.setenv("DB_OWNER_PASSWORD", ADMIN_PASSWORD)

    return point


def test_the_status_of_an_embedded_database(home, capsys):
    code, out, _ = cli("db", "status", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0
    assert (found["profile"], found["healthy"], found["journal"]["waiting"]) == ("sqlite", True, 0)
    assert found["journal"]["acknowledged"] > 0
    assert found["backup"] == {"last_verified": None, "age_h": None, "code": "GR108"}


def test_books_that_agree_are_verified(home, capsys):
    code, out, _ = cli("db", "verify", capsys=capsys)
    assert (code, out) == (0, "ledger, positions, orders and journal agree\n")


def test_a_position_that_somebody_has_changed_is_found(home, capsys):
    with sqlite3.connect(home / "db" / "paper.sqlite") as db:
        db.execute("UPDATE positions SET realized_pnl = realized_pnl + 1 WHERE symbol = '005930'")
    db.close()
    code, out, _ = cli("db", "verify", "--json", capsys=capsys)
    assert code == 1
    [difference] = json.loads(out)["differences"]
    assert "realized_pnl of 005930" in difference


def test_a_fill_that_the_ledger_has_lost_is_missed(home, capsys):
    with sqlite3.connect(home / "db" / "paper.sqlite") as db:
        db.execute("DROP TRIGGER t_ledger_no_delete")
        db.execute("DELETE FROM t_ledger WHERE id = (SELECT max(id) FROM t_ledger)")
    db.close()
    code, out, _ = cli("db", "verify", capsys=capsys)
    assert code == 1
    assert "is in the journal only" in out


@pytest.mark.parametrize("command", ["status", "verify"])
def test_a_journal_that_cannot_be_read_is_told_in_words(home, command, capsys):
    (segment,) = (home / "journal").glob("*.qtsj")
    content = bytearray(segment.read_bytes())
    content[9_000] ^= 255
    segment.write_bytes(content)
    code, _, err = cli("db", command, capsys=capsys)
    assert code == 1
    assert "FS125" in err
    assert segment.name in err
    segment.rename(segment.with_name("1.qtsj"))
    code, _, err = cli("db", command, capsys=capsys)
    assert code == 1
    assert "FS063" in err
    assert "1.qtsj" in err


@pytest.mark.parametrize(
    ("file", "to", "word"), [("none/x.csv", "2026-01-05", "x.csv"), ("x.csv", "9999-12-31", "9999-12-31")]
)
def test_an_export_to_nowhere_or_to_the_end_of_time_is_refused_in_words(tmp_path, file, to, word, capsys, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    code, _, err = cli("db", "export", tmp_path / file, "--from", "2026-01-05", "--to", to, capsys=capsys)
    assert code == 2
    assert word in err


def test_a_backup_is_made_found_again_and_restored(home, tmp_path, capsys):
    code, out, _ = cli("db", "backup", "--prune", "--json", capsys=capsys)
    made = json.loads(out)
    assert code == 0
    assert made["removed"] == []
    code, out, _ = cli("db", "status", "--json", capsys=capsys)
    assert json.loads(out)["backup"]["code"] is None
    code, _, _ = cli("db", "restore", made["path"], "--home", tmp_path / "again", capsys=capsys)
    assert code == 0
    code, out, _ = cli("db", "verify", "--home", tmp_path / "again", capsys=capsys)
    assert (code, out) == (0, "ledger, positions, orders and journal agree\n")


def test_a_home_in_use_is_never_restored_over(home, capsys):
    _, out, _ = cli("db", "backup", "--json", capsys=capsys)
    before = sorted(path.name for path in home.rglob("*"))
    code, _, err = cli("db", "restore", json.loads(out)["path"], capsys=capsys)
    assert code == 2
    assert str(home) in err
    assert sorted(path.name for path in home.rglob("*")) == before


def test_a_set_that_was_changed_is_not_restored(home, tmp_path, capsys):
    _, out, _ = cli("db", "backup", "--json", capsys=capsys)
    made = json.loads(out)["path"]
    with Path(made, "db", "paper.sqlite").open("r+b") as file:
        file.seek(5_000)
        file.write(b"\xff" * 8)
    code, _, err = cli("db", "restore", made, "--home", tmp_path / "again", capsys=capsys)
    assert code == 2
    assert "paper.sqlite" in err
    assert not (tmp_path / "again").exists()


def test_a_server_is_prepared_and_prepared_again(postgres_empty, as_server, home, capsys):
    as_server(postgres_empty)
    code, out, _ = cli("db", "init", "--owner", ADMIN, "--json", capsys=capsys)
    first = json.loads(out)
    assert code == 0
    assert (first["profile"], first["applied"][0][:4]) == ("postgres", "0001")
    code, out, _ = cli("db", "init", "--owner", ADMIN, "--json", capsys=capsys)
    assert (code, json.loads(out)["applied"]) == (0, [])
    code, out, _ = cli("db", "status", "--json", capsys=capsys)
    found = json.loads(out)
    assert (found["healthy"], found["profile"]) == (True, "postgres")
    assert found["journal"]["waiting"] > 0, "this server has nothing yet of what the home has journaled"
    with pytest.raises(Exception, match="permission denied"):
        postgres_empty.server.run(lambda link: link.execute("UPDATE t_ledger SET qty = 1"), postgres_empty.name, APP)


def test_a_server_without_tables_is_told_how_to_get_them(postgres_empty, as_server, home, capsys):
    as_server(postgres_empty)
    code, out, _ = cli("db", "status", "--json", capsys=capsys)
    found = json.loads(out)
    assert (code, found["healthy"]) == (1, False)
    assert "FS123" in found["detail"]
    assert "qts-engine db init" in found["detail"]


def test_a_server_that_is_not_there_is_told_in_words(as_server, monkeypatch, home, capsys):
    monkeypatch.setenv("DB_HOST", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", "1")
    code, _, err = cli("db", "init", capsys=capsys)
    assert code == 1
    assert "127.0.0.1:1" in err
    assert "Traceback" not in err


def test_backups_are_made_and_looked_for_where_the_configuration_says(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QTS_DATA__BACKUP_DIR", str(tmp_path / "elsewhere"))
    _, out, _ = cli("db", "backup", "--json", capsys=capsys)
    made = json.loads(out)["path"]
    assert made.startswith(str(tmp_path / "elsewhere"))
    _, out, _ = cli("db", "status", "--json", capsys=capsys)
    assert json.loads(out)["backup"]["last_verified"] == Path(made).name
