"""What has had its time goes, once a good backup has it; everything else stays."""

import sqlite3

import pytest

from qts.clock import SimClock
from qts.clock.instants import NS_PER_DAY
from qts.data.sqlite.connection import open_database
from qts.ops.backup import BackupSource, DayFiles, create_backup, plan_upkeep, run_upkeep

NOW_NS = 1_704_180_600_000_000_000
NOW = NOW_NS // 1_000
DAY = NS_PER_DAY // 1_000


@pytest.fixture
def clock():
    return SimClock(NOW_NS)


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    path = home / "db" / "main.sqlite"
    db = open_database(path)
    db.execute("BEGIN")
    for status, days in (("DONE", 31), ("DONE", 30), ("DONE", 29), ("PENDING", 99), ("DEAD", 99)):
        db.execute(
            "INSERT INTO sheet_outbox (data_set, key, op, payload, created_at, next_attempt_at, status)"
            " VALUES ('Position', 'k', 'UPSERT', '{}', ?, 0, ?)",
            (NOW - days * DAY - (days == 31), status),
        )
    for days in (364, 366):
        db.execute(
            "INSERT INTO consistency_reports VALUES (?, ?, 'C1', 1, 1, NULL, 1000000)", (str(days), NOW - days * DAY)
        )
    db.executemany(
        "INSERT INTO execution_logs VALUES (?, '1', '005930', 'SENDING', 1, 1, NULL, NULL)",
        [(NOW - days * DAY,) for days in (89, *[91] * 12_000)],
    )
    db.execute("INSERT INTO audit_log (seq, ts_utc, actor, kind, prev_hash, hash) VALUES (1, 1, 'a', 'k', '', 'h')")
    db.execute("COMMIT")
    db.close()
    ticks = home / "ticks"
    ticks.mkdir()
    for name in ("ticks-20231225.db", "ticks-20231226.db", "ticks-20240102.db", "ticks-notes.db"):
        (ticks / name).write_text("x")
    (ticks / "ticks-20231225.db-wal").write_text("x")
    (ticks / "ticks-20231220.db").symlink_to(ticks / "ticks-20240102.db")
    return home


def backup(home, clock):
    create_backup(BackupSource(home=home), home.parent / "backups", clock)


def arguments(home, clock):
    kind = DayFiles(home / "ticks", "ticks-*.db", 7)
    return [home / "db" / "main.sqlite"], [kind], home.parent / "backups", clock


def test_only_what_has_had_its_time_is_removed(home, clock):
    backup(home, clock)
    planned = plan_upkeep(*arguments(home, clock))
    done = run_upkeep(*arguments(home, clock))
    assert done == planned
    assert done.skipped == ""
    assert [path.name for path in done.files] == ["ticks-20231225.db", "ticks-20231225.db-wal"]
    assert {table: count for table, count in done.rows.items() if count} == {
        "sheet_outbox": 1,
        "consistency_reports": 1,
        "execution_logs": 12_000,
    }
    with sqlite3.connect(home / "db" / "main.sqlite") as db:
        statuses = [row[0] for row in db.execute("SELECT status FROM sheet_outbox ORDER BY seq")]
        assert statuses == ["DONE", "DONE", "PENDING", "DEAD"]
        assert db.execute("SELECT run_id FROM consistency_reports").fetchall() == [("364",)]
        assert db.execute("SELECT count(*) FROM execution_logs").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM audit_log").fetchone() == (1,)
    db.close()
    assert len(list((home / "ticks").iterdir())) == 4
    assert run_upkeep(*arguments(home, clock)).files == ()


def test_nothing_is_removed_without_a_good_backup(home, clock):
    assert run_upkeep(*arguments(home, clock)) == ((), {}, "GR108: there is no verified backup")
    backup(home, clock)
    clock.advance_to(clock.now_ns() + 27 * 3_600_000_000_000)
    done = run_upkeep(*arguments(home, clock))
    assert done.skipped == "GR108: qts_backup_20240102_163000 is 27.0 h old"
    assert plan_upkeep(*arguments(home, clock)).skipped == done.skipped
    assert len(list((home / "ticks").iterdir())) == 6
    with sqlite3.connect(home / "db" / "main.sqlite") as db:
        assert db.execute("SELECT count(*) FROM execution_logs").fetchone() == (12_001,)
    db.close()
