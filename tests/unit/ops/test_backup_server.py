"""Backup and restore of a real server by its own programs."""

import pytest
from pydantic import SecretStr

from qts.clock import SimClock
from qts.codes import DataError, UsageError
from qts.ops.backup import BackupSource, ServerDump, create_backup, restore_backup

from ...servers import ADMIN, ADMIN_PASSWORD


@pytest.fixture
def root(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    (home / "state").mkdir(parents=True)
    (home / "state" / "risk.json").write_text("{}")
    return home


def dump_of(database, password=ADMIN_PASSWORD):
    server = database.server
    return ServerDump(
        host=server.host,
        port=server.port,
        database=database.name,
        user=ADMIN,
        password=SecretStr(password),
        dump=str(server._bin / "pg_dump"),
        restore=str(server._bin / "pg_restore"),
    )


def insert(database, number):
    database.execute(
        f"INSERT INTO strategies (strategy_id, param_name, value) VALUES ('ema_cross', 'p{number}', '005930')"  # noqa: S608 - of this test
    )


def rows(database):
    return [tuple(row) for row in database.fetch("SELECT param_name, value FROM strategies ORDER BY 1")]


def test_a_server_is_restored_into_an_empty_database_with_the_home(postgres, postgres_empty, home, root, tmp_path):
    insert(postgres, 1)
    done = create_backup(BackupSource(home=home, server=dump_of(postgres)), root, SimClock(0))
    insert(postgres, 2)
    back = tmp_path / "back"
    restore_backup(done.path, back, server=dump_of(postgres_empty))
    assert rows(postgres_empty) == [("p1", "005930")]
    assert (back / "state" / "risk.json").is_file()
    assert not (back / "server").exists()


def test_a_database_that_is_not_empty_is_left_as_it_is_and_so_is_the_home(postgres, home, root, tmp_path):
    insert(postgres, 1)
    done = create_backup(BackupSource(home=home, server=dump_of(postgres)), root, SimClock(0))
    insert(postgres, 2)
    with pytest.raises(DataError, match="pg_restore failed"):
        restore_backup(done.path, tmp_path / "back", server=dump_of(postgres))
    assert [name for name, _ in rows(postgres)] == ["p1", "p2"]
    assert not (tmp_path / "back").exists()


def test_a_wrong_password_is_told_and_leaves_no_set(postgres, home, root):
    with pytest.raises(DataError, match="password authentication failed") as caught:
        create_backup(BackupSource(home=home, server=dump_of(postgres, "wr0ng")), root, SimClock(0))
    assert "wr0ng" not in str(caught.value)
    assert not list(root.glob("*qts_backup*"))


def test_a_set_without_a_dump_is_not_for_a_server(postgres_empty, home, root, tmp_path):
    done = create_backup(BackupSource(home=home), root, SimClock(0))
    with pytest.raises(UsageError, match="has no dump"):
        restore_backup(done.path, tmp_path / "back", server=dump_of(postgres_empty))
    assert not (tmp_path / "back").exists()
