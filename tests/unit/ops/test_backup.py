"""Backups: made while everything is in use, whole or not there, and good for a restore."""

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from qts._core import JournalWriter, journal_records, journal_verify
from qts.clock import SimClock
from qts.codes import DataError, UsageError
from qts.data import CurrencyRow, FillRow, InstrumentRow, SessionRow, SQLiteStore
from qts.engine.storage import installation_id
from qts.ops.backup import (
    BackupSet,
    BackupSource,
    ServerDump,
    apply_keeping,
    backup_age,
    backups,
    create_backup,
    mark_verified,
    plan_keeping,
    read_manifest,
    restore_backup,
    verify_backup,
)
from qts.ops.backup.databases import copy_journal
from qts.ops.backup.files import copy_backwards

HALF_PAST_FOUR_NS = 1_704_180_600_000_000_000
"""2024-01-02 16:30 in Seoul."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def fill(number):
    return FillRow(
        *("2024-01-02", number, str(number), 1_000 + number, 900 + number, f"d{number}", "005930", "SCALP", "BUY"),
        *(10, 70_000, 700_000, 105, 0, 10, "cross", "ema"),
    )


def book(path, numbers, run="run-1"):
    with SQLiteStore(path) as store:
        store.register([CurrencyRow("KRW", 0)], [InstrumentRow("005930", "Samsung", "KRW", 0, 0, 0)])
        store.begin_session(SessionRow(run, "SIM", "ema", "sim", f"paper-{run}", "KRW", 1, 1, "cafe"))
        for number in numbers:
            store.record_fill(fill(number))


@pytest.fixture
def clock():
    return SimClock(HALF_PAST_FOUR_NS)


@pytest.fixture
def home(tmp_path):
    """A home with two databases, a journal, a state directory with a trail, and things that no set holds."""
    home = tmp_path / "home"
    book(home / "db" / "paper.sqlite", range(1, 6))
    book(home / "db" / "main.sqlite", range(1, 3))
    writer = JournalWriter(home / "journal")
    for number in range(7):
        last = writer.append("AUDIT", b"%d" % number)
    writer.wait_durable(last)
    writer.close()
    state = home / "state"
    (state / "run").mkdir(parents=True)
    (state / "audit.jsonl").write_text('{"seq": 1}\n{"seq": 2}\n{"se')
    (state / "risk.json").write_text('{"symbol": "005930"}')
    (state / "run" / "engine.lock").write_text("12")
    (state / "link").symlink_to("/etc/passwd")
    (home / "cache").mkdir()
    (home / "cache" / "prices").write_text("1")
    return home


@pytest.fixture
def config(tmp_path):
    directory = tmp_path / "config"
    (directory / "strategies").mkdir(parents=True)
    (directory / "engine.yaml").write_text("mode: paper\n")
    (directory / "strategies" / "ema.yaml").write_text("fast: 12\n")
    return directory


@pytest.fixture
def root(tmp_path):
    return tmp_path / "backups"


def later(clock, ns):
    clock.advance_to(clock.now_ns() + ns)


def made(home, root, clock, **more):
    return create_backup(BackupSource(home=home, code_version="1.2.3", **more), root, clock)


# What a set is


def test_a_set_has_everything_that_must_survive_and_says_so(home, config, root, clock):
    done = made(home, root, clock, config=config)
    assert done.path.name == "qts_backup_20240102_163000"
    manifest = read_manifest(done.path)
    names = [file.name for file in manifest.files]
    segments = [name for name in names if name.startswith("journal/")]
    assert [name for name in names if name not in segments] == [
        "config/engine.yaml",
        "config/strategies/ema.yaml",
        "db/main.sqlite",
        "db/paper.sqlite",
        "state/audit.jsonl",
        "state/risk.json",
    ]
    records = journal_verify(home / "journal")["records"]
    counted = {file.name: file.records for file in manifest.files if file.records}
    assert counted == {
        "db/main.sqlite": 2,
        "db/paper.sqlite": 5,
        "state/audit.jsonl": 2,
        segments[-1]: records,
    }
    assert manifest.record_count == 2 + 5 + 2 + records
    assert (manifest.archive_name, manifest.source, manifest.code_version) == (done.path.name, str(home), "1.2.3")
    assert manifest.backup_at == clock.now_utc()
    document = json.loads((done.path / "MANIFEST.json").read_text())
    assert {"backup_at", "source", "archive_name", "record_count", "checksum"} <= document.keys()
    assert all(len(file["sha256"]) == 64 for file in document["files"])
    assert (done.path / "state" / "audit.jsonl").read_text() == '{"seq": 1}\n{"seq": 2}\n'  # whole lines only
    assert (done.path.stat().st_mode & 0o077, (done.path / "db/main.sqlite").stat().st_mode & 0o077) == (0, 0)
    assert backups(root) == [done]
    assert verify_backup(done.path).is_good


def test_a_home_without_anything_makes_an_empty_set(tmp_path, root, clock):
    (tmp_path / "new").mkdir()
    done = made(tmp_path / "new", root, clock)
    assert read_manifest(done.path).files == ()
    assert restore_backup(done.path, tmp_path / "back").is_good


def test_a_second_set_in_the_same_second_is_refused(home, root, clock):
    made(home, root, clock)
    with pytest.raises(UsageError, match="there already"):
        made(home, root, clock)
    assert len(backups(root)) == 1


def test_a_home_that_is_not_there_is_an_error_not_an_empty_set(tmp_path, root, clock):
    with pytest.raises(UsageError, match="no home"):
        made(tmp_path / "typo", root, clock)
    assert backups(root) == []


def test_books_that_do_not_agree_make_no_good_set(home, root, clock):
    with sqlite3.connect(home / "db" / "main.sqlite") as db:
        db.execute("UPDATE positions SET qty = 21")
    db.close()
    with pytest.raises(DataError, match="20 by the ledger, 21 stored"):
        made(home, root, clock)
    assert list(root.glob("*qts_backup_*")) == []


def test_a_damaged_journal_makes_no_good_set(home, root, clock):
    segment = min((home / "journal").glob("*.qtsj"))
    content = bytearray(segment.read_bytes())
    at = content.index(b"3", 60)
    for number in range(len(content)):
        if content[number : number + 1] == b"2" and number > 60:
            at = number
            break
    content[at] ^= 0xFF
    segment.write_bytes(content)
    with pytest.raises(DataError, match="journal"):
        made(home, root, clock)
    assert backups(root) == []


def test_a_full_disk_leaves_nothing_and_says_so(home, clock, tmp_path):
    with pytest.raises((DataError, UsageError)) as caught:
        made(home, tmp_path / "home" / "db" / "main.sqlite" / "backups", clock)
    assert "main.sqlite" in str(caught.value)


# While everything is in use


def test_databases_are_copied_as_they_stand_at_one_moment_while_others_write(home, root, clock):
    stop = threading.Event()
    path = home / "db" / "paper.sqlite"

    def write():
        for number in itertools.count():
            if stop.is_set():
                return
            book(path, range(1, 40), run=f"busy-{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            done = made(home, root, clock)
            assert verify_backup(done.path).is_good
            assert {path.name for path in (done.path / "db").iterdir()} == {"main.sqlite", "paper.sqlite"}
            later(clock, 1_000_000_000)
    finally:
        stop.set()
        writer.join()


def test_a_journal_that_is_written_to_is_copied_without_holes(home, tmp_path):
    stop = threading.Event()

    def write():
        writer = JournalWriter(home / "journal")
        while not stop.is_set():
            last = writer.append("AUDIT", os.urandom(3_000))
            if last % 16 == 0:
                writer.wait_durable(last, 30.0)
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = [copy_journal(home / "journal", tmp_path / f"copy-{number}") for number in range(8)]
    finally:
        stop.set()
        thread.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    whole = [bytes(record[4]) for record in journal_records(home / "journal")]
    for number, count in enumerate(counts):
        part = [bytes(record[4]) for record in journal_records(tmp_path / f"copy-{number}")]
        assert len(part) == count
        assert part == whole[:count]


def test_a_copied_journal_can_be_written_to(home, root, clock, tmp_path):
    done = made(home, root, clock)
    restore_backup(done.path, tmp_path / "back")
    before = journal_verify(tmp_path / "back" / "journal")["records"]
    writer = JournalWriter(tmp_path / "back" / "journal")
    writer.wait_durable(writer.append("AUDIT", b"next"))
    writer.close()
    assert journal_verify(tmp_path / "back" / "journal")["records"] > before


@settings(deadline=None, max_examples=40)  # the disk is shared
@given(st.binary(max_size=300_000), st.integers(0, 200_000))
def test_a_copy_from_the_end_is_the_file(tmp_path_factory, content, zeros):
    place = tmp_path_factory.mktemp("copy")
    (place / "a").write_bytes(content + bytes(zeros) + content[:7])
    copy_backwards(place / "a", place / "b")
    assert (place / "b").read_bytes() == (place / "a").read_bytes()
    shutil.rmtree(place)


KILLED = """
import os, signal, sys
from pathlib import Path
from qts.clock import SimClock
from qts.ops.backup import BackupSource, create_backup, restore_backup
from qts.ops.backup import files

what, home, root, calls = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
def trace(event, args):
    global calls
    if event in {"open", "os.rename", "os.mkdir", "os.truncate"} and str(args[0]).startswith(str(root)):
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(trace)
if what == "create":
    create_backup(BackupSource(home=home), root, SimClock(1_704_180_600_000_000_000))
else:
    restore_backup(home, root / "home")
"""


@pytest.mark.parametrize("at", [1, 2, 4, 7, 11, 16, 22])
def test_a_process_that_dies_leaves_no_half_set_that_looks_whole(home, root, clock, at):
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), "create", home, root, str(at)]
    done = subprocess.run(arguments, env=ENVIRONMENT, check=False, capture_output=True)
    found = backups(root)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert all(verify_backup(one.path).is_good for one in found)
    later(clock, 1_000_000_000)
    again = made(home, root, clock)
    assert backups(root) == [*found, again]
    assert list(root.glob(".qts_backup_*")) == []


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
def test_a_restore_that_dies_leaves_the_home_as_it_was(home, root, clock, tmp_path, at):
    done = made(home, root, clock)
    place = tmp_path / "place"
    place.mkdir()
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), "restore", done.path, place, str(at)]
    died = subprocess.run(arguments, env=ENVIRONMENT, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (place / "home").exists()
    assert restore_backup(done.path, place / "home").is_good
    assert os.listdir(place) == ["home"]  # noqa: PTH208 - with what has a dot in front


def test_two_backups_at_once_do_not_mix(home, root, clock):
    from qts.ops.backup.files import only_one

    with only_one(root), pytest.raises(UsageError, match="another process"):
        made(home, root, clock)
    assert made(home, root, clock).path.is_dir()


# Restoring


def test_a_restored_home_is_the_home(home, config, root, clock, tmp_path):
    done = made(home, root, clock, config=config)
    back = tmp_path / "back"
    back.mkdir()
    assert restore_backup(done.path, back).records == read_manifest(done.path).record_count
    with SQLiteStore(back / "db" / "paper.sqlite") as store:
        assert store.verify() == []
        store.begin_session(SessionRow("r2", "SIM", "ema", "sim", "paper-run-1", "KRW", 1, 1, "cafe"))
        store.record_fill(fill(1))  # known from before
        store.record_fill(fill(9))
        assert (store.flush().fills, store.duplicates) == (1, 1)
    payloads = [bytes(record[4]) for record in journal_records(back / "journal")]
    assert payloads == [bytes(record[4]) for record in journal_records(home / "journal")]
    assert (back / "state" / "risk.json").read_text() == '{"symbol": "005930"}'
    assert (back / "config" / "engine.yaml").read_text() == "mode: paper\n"
    assert sorted(path.name for path in back.iterdir()) == ["config", "db", "journal", "state"]


def test_a_restored_home_does_not_go_by_the_name_of_the_one_that_was_saved(home, root, clock, tmp_path):
    """The database may have come further with that one: new records would count as acknowledged."""
    name = installation_id(home)
    done = made(home, root, clock)
    restore_backup(done.path, tmp_path / "back")
    assert installation_id(tmp_path / "back") != name
    assert installation_id(home) == name


def test_a_set_can_be_restored_into_the_directory_that_one_is_in(home, root, clock, tmp_path, monkeypatch):
    done = made(home, root, clock)
    (tmp_path / "back").mkdir()
    monkeypatch.chdir(tmp_path / "back")
    restore_backup(done.path, Path())
    assert (tmp_path / "back" / "db" / "paper.sqlite").is_file()


@pytest.mark.parametrize("content", ["file", ".hidden", "db/"])
def test_nothing_is_ever_restored_over_something(home, root, clock, tmp_path, content):
    done = made(home, root, clock)
    back = tmp_path / "back"
    back.mkdir()
    (back / content).mkdir() if content.endswith("/") else (back / content).write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        restore_backup(done.path, back)
    assert len(list(back.iterdir())) == 1


def corrupt_byte(done):
    path = done.path / "state" / "risk.json"
    path.write_text(path.read_text().replace("5930", "5931"))


def lose_file(done):
    (done.path / "db" / "main.sqlite").unlink()


def add_file(done):
    (done.path / "state" / "extra.json").write_text("{}")


def shorten(done):
    path = done.path / "db" / "paper.sqlite"
    path.write_bytes(path.read_bytes()[:-4096])


def forge_manifest(done):
    path = done.path / "MANIFEST.json"
    document = json.loads(path.read_text())
    document["files"][0]["size"] += 1
    path.write_text(json.dumps(document))


def escape(done):
    path = done.path / "MANIFEST.json"
    path.write_text(path.read_text().replace("state/risk.json", "../../risk.json"))


def lose_manifest(done):
    (done.path / "MANIFEST.json").unlink()


@pytest.mark.parametrize(
    "harm",
    [corrupt_byte, lose_file, add_file, shorten, forge_manifest, escape, lose_manifest],
    ids=lambda f: f.__name__,
)
def test_a_set_that_is_not_what_was_written_is_told_and_not_restored(home, root, clock, tmp_path, harm):
    done = made(home, root, clock)
    harm(done)
    found = verify_backup(done.path)
    assert not found.is_good
    with pytest.raises(DataError):
        restore_backup(done.path, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not mark_verified(done.path, clock).is_good
    assert not any(one.is_verified for one in backups(root))


def test_a_set_of_an_earlier_schema_is_verified_and_restored_as_it_is(tmp_path, root, clock):
    from qts.data.sqlite import migrations

    home = tmp_path / "old"
    (home / "db").mkdir(parents=True)
    with sqlite3.connect(home / "db" / "paper.sqlite") as db:
        db.executescript(migrations.shipped()[0].sql)
        db.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    done = made(home, root, clock)
    restore_backup(done.path, tmp_path / "back")
    assert (tmp_path / "back/db/paper.sqlite").read_bytes() == (done.path / "db/paper.sqlite").read_bytes()


# Keeping


def dated(day, *, is_verified=True):
    moment = SimClock(HALF_PAST_FOUR_NS).now_utc() + timedelta(days=day)
    return BackupSet(f"/b/{day:05}", moment, is_verified)


def test_thirty_days_twelve_weeks_and_sixty_months_are_kept():
    sets = [dated(day) for day in range(2_500)]
    kept = {one.path for one in plan_keeping(sets).keep}
    days = [2_499 - int(path.rsplit("/", 1)[1]) for path in kept]
    assert sorted(days)[:30] == list(range(30))
    assert len([day for day in days if 30 <= day < 84]) in range(8, 12)  # weeks, and months that end there
    assert max(days) in range(1_770, 1_830)  # 60 months
    assert len(kept) <= 30 + 12 + 60


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4_000), st.booleans()), max_size=60, unique_by=lambda entry: entry[0]))
def test_the_last_good_set_is_never_dropped_and_a_good_one_only_for_a_newer_good_one(entries):
    sets = [dated(day, is_verified=good) for day, good in sorted(entries)]
    plan = plan_keeping(sets)
    assert sorted([*plan.keep, *plan.drop], key=lambda one: one.backup_at) == sets
    newest = max((one.backup_at for one in sets if one.is_verified), default=None)
    assert newest is None or any(one.backup_at == newest for one in plan.keep)
    assert all(newest is not None and newest > one.backup_at for one in plan.drop)
    assert plan_keeping(plan.keep).drop == ()  # again is nothing


def test_bad_sets_never_push_out_the_last_good_one():
    sets = [dated(0), *(dated(day, is_verified=False) for day in range(1, 400))]
    assert plan_keeping(sets).drop == ()


def test_sets_that_need_not_be_kept_are_removed(home, root, clock):
    for _ in range(3):
        made(home, root, clock)
        later(clock, 3_600_000_000_000)
    plan = apply_keeping(root)
    assert [one.path.name for one in plan.keep] == ["qts_backup_20240102_183000"]
    assert [one.path for one in backups(root)] == [plan.keep[0].path]
    assert sorted(path.name for path in root.iterdir()) == ["backup.lock", "qts_backup_20240102_183000"]


def test_the_age_is_that_of_the_last_verified_set(home, root, clock):
    assert backup_age(root, clock) == ("", None, "GR108")
    done = made(home, root, clock)
    later(clock, 26 * 3_600_000_000_000)
    assert backup_age(root, clock) == (done.path.name, 26.0, "")
    later(clock, 1_000_000_000)
    assert backup_age(root, clock).code == "GR108"
    newer = made(home, root, clock)
    assert backup_age(root, clock) == (newer.path.name, 0.0, "")
    (newer.path / "VERIFIED.json").unlink()
    assert backup_age(root, clock).name == done.path.name
    assert mark_verified(newer.path, clock).is_good
    assert backup_age(root, clock).name == newer.path.name


# Servers


def program(path, text):
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
    path.chmod(0o700)
    return str(path)


def test_the_password_of_a_server_is_in_no_argument(home, root, clock, tmp_path):
    tool = program(
        tmp_path / "pg_dump",
        f"""
        import json, os, sys
        json.dump([sys.argv, os.environ["PGPASSWORD"]], open({str(tmp_path / "seen")!r}, "w"))
        open(next(a for a in sys.argv if a.startswith("--file=")).removeprefix("--file="), "w").write("PGDMP")
        """,
    )
    secret = SecretStr("s3cret")
    server = ServerDump(host="localhost", port=5432, database="qts", user="qts", password=secret, dump=tool)
    done = made(home, root, clock, server=server)
    arguments, password = json.loads((tmp_path / "seen").read_text())
    assert password == "s3cret"  # noqa: S105 - of this test
    assert "s3cret" not in " ".join(arguments)
    assert "--format=custom" in arguments
    assert "s3cret" not in repr(server)
    assert "server/qts.dump" in [file.name for file in read_manifest(done.path).files]


def test_a_dump_that_fails_leaves_no_set(home, root, clock, tmp_path):
    tool = program(tmp_path / "pg_dump", 'import sys; sys.exit("pg_dump: error: no such server")')
    server = ServerDump(host="localhost", port=1, database="qts", user="qts", dump=tool)
    with pytest.raises(DataError, match="no such server"):
        made(home, root, clock, server=server)
    with pytest.raises(UsageError, match="no program"):
        made(home, root, clock, server=ServerDump(host="h", port=1, database="d", user="u", dump="pg_dump_9"))
    assert backups(root) == []
