"""Databases and journal of a set: copied while they are in use, and read again in full."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qts._core import JournalDamageError, journal_verify
from qts.codes import DataError, UsageError
from qts.data.sqlite import migrations
from qts.data.sqlite.connection import open_database
from qts.data.sqlite.verify import differences
from qts.ops.backup.files import PRIVATE, copy_backwards, copy_whole

if TYPE_CHECKING:
    from qts.ops.backup.contracts import ServerDump

SEGMENTS: Final = "*.qtsj"
_ATTEMPTS: Final = 5
_SHOWN: Final = 3


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of which others may write at the same time, as it stands at one moment.

    The copy is one file: what its write-ahead log held is in it.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    with closing(_reader(source)) as read, closing(sqlite3.connect(target, isolation_level=None)) as write:
        read.backup(write)  # in one step: a writer does not make it begin again
        write.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_database(path: Path) -> tuple[list[str], int]:
    """Read a database in full; return what is wrong with it and how many ledger rows it has.

    The books must follow from the ledger. A file of an earlier version is brought up in a copy for that.
    """
    with closing(_reader(path)) as db:
        found = [row[0] for row in db.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            return [f"integrity: {line}" for line in found[:_SHOWN]], 0
        if db.execute("PRAGMA application_id").fetchone()[0] != migrations.APPLICATION_ID:
            return [], 0
        rows = db.execute("SELECT count(*) FROM t_ledger").fetchone()[0]
        if db.execute("PRAGMA user_version").fetchone()[0] == migrations.shipped()[-1].version:
            return _books(db), rows
    with tempfile.TemporaryDirectory(prefix="qts-verify-") as scratch:
        copy = Path(scratch) / path.name
        shutil.copyfile(path, copy)
        with closing(open_database(copy)) as db:
            return _books(db), rows


def _books(db: sqlite3.Connection) -> list[str]:
    found = differences(db)
    more = [f"and {len(found) - _SHOWN} more differences"] if len(found) > _SHOWN else []
    return [f"ledger: {difference}" for difference in found[:_SHOWN]] + more


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)


def copy_journal(source: Path, target: Path) -> int:
    """Copy the journal in a directory, of which others may write or retire segments; return how many records it has.

    Raises:
        DataError: it cannot be copied so that it is whole, or is damaged where it lies.
    """
    problem = ""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700, parents=True)
        try:
            _copy_segments(source, target)
            return journal_verify(target)["records"]
        except FileNotFoundError as error:  # retired while it was copied
            problem = f"{error.filename} is gone"
        except JournalDamageError as error:
            problem = " ".join(str(part) for part in error.args)
    raise DataError(
        found=f"the journal in {source}: {problem}",
        expected="a journal that can be read",
        hint="qts-engine journal verify says what is wrong with it",
    )


def _copy_segments(source: Path, target: Path) -> None:
    """Copy what is there now; segments that are begun meanwhile are left out, the last one may end early."""
    segments = sorted(source.glob(SEGMENTS))
    for path in sorted(source.iterdir()):
        is_other = path.name != "lock" and not path.name.endswith(SEGMENTS[1:])
        if is_other and path.is_file() and not path.is_symlink():
            copy_whole(path, target / path.name)
    for path in segments:
        copy_backwards(path, target / path.name)


def check_journal(path: Path) -> tuple[list[str], int]:
    """Read a journal in full; return what is wrong with it and how many records it has."""
    try:
        return [], journal_verify(path)["records"]
    except JournalDamageError as error:
        return ["journal: " + " ".join(str(part) for part in error.args)], 0
    except (OSError, ValueError) as error:
        return [f"journal: {error}"], 0


def dump_server(server: ServerDump, target: Path) -> None:
    """Write the contents of a database server in the custom format of its dump program.

    Raises:
        UsageError: the program is not there.
        DataError: it failed; its own words are in the error.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = ["--format=custom", "--no-owner", f"--file={target}", f"--dbname={server.database}"]
    _run(server, server.dump, arguments)
    target.chmod(PRIVATE)


def restore_server(server: ServerDump, dump: Path) -> None:
    """Load a dump into an empty database, all of it or nothing.

    Raises:
        UsageError: the program is not there.
        DataError: it failed, as it does if the database has tables already; nothing was loaded.
    """
    arguments = ["--exit-on-error", "--single-transaction", "--no-owner", f"--dbname={server.database}", str(dump)]
    _run(server, server.restore, arguments)


def _run(server: ServerDump, program: str, arguments: list[str]) -> None:
    path = shutil.which(program)
    if path is None:
        raise UsageError(
            found=f"no program {program!r}",
            expected="the client programs of PostgreSQL",
            hint="install them, or give the path of the program",
        )
    place = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}", "--no-password"]
    environment = {**os.environ, "PGPASSWORD": server.password.get_secret_value(), "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - a program of the settings, no shell
            [path, *place, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=server.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        found = f"{program} did not end within {server.timeout_s} s"
    else:
        if done.returncode == 0:
            return
        found = f"{program} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
    raise DataError(
        found=found,
        expected=f"{server.user}@{server.host}:{server.port}/{server.database} to answer",
        hint="check address, user and DB_PASSWORD; the program must not be older than the server",
    )
