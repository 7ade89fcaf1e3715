"""Opens databases: ours, whole, and with the settings that keep them so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from qts.codes import UsageError
from qts.data.exceptions import SchemaMismatch
from qts.data.sqlite import migrations

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_TIMEOUT_S = 5.0


class CannotOpen(UsageError):  # noqa: N818 - what happened
    """The file cannot be opened at all, whoever it is from."""


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open a database of the schema of this program, or bring it there; None for a temporary one, gone when closed.

    Raises:
        UsageError: the file cannot be opened, is not a database of this program, or of a newer version.
        SchemaMismatch: FS123, a migration that was applied to it is not the one that is shipped.
    """
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            "" if path is None else path,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, str(error)) from None
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, str(error)) from None
    except (UsageError, SchemaMismatch):
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path | None) -> None:
    _refuse_strangers(db, path)  # before anything is set: some settings are written into the file
    if path is not None:
        # What a commit has returned from survives a crash of the process and of the machine.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    else:
        # Nothing outlives the process anyway; what a rollback needs is one batch, which fits into memory.
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA foreign_keys = ON")
    # Without this an INSERT OR REPLACE would delete a ledger row behind the back of its trigger.
    db.execute("PRAGMA recursive_triggers = ON")
    migrations.migrate(db)


def _refuse_strangers(db: sqlite3.Connection, path: Path | None) -> None:
    """Raise UsageError if the database is not ours to write to, or newer than this program."""
    db.execute("BEGIN")  # one view for all three, whoever creates the tables meanwhile
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    db.execute("COMMIT")
    if application == 0 and tables == 0:
        return
    if application != migrations.APPLICATION_ID:
        raise UsageError(
            found=f"{path} is a database of another program",
            expected="a database of qts-engine, or no file",
            hint="set QTS_HOME to another directory",
        )
    newest = migrations.shipped()[-1].version
    if not 1 <= version <= newest:
        raise UsageError(
            found=f"{path} has schema version {version}",
            expected=f"a version from 1 to {newest}",
            hint="use the version of qts-engine that wrote it, or set QTS_HOME to another directory",
        )


def _unusable(path: Path | None, reason: str) -> CannotOpen:
    return CannotOpen(
        found=f"the database {path or 'in the temporary directory'} cannot be opened ({reason})",
        expected="a file that can be written to",
        hint="check the directory's permissions and free space, or set QTS_HOME to another directory",
    )
