"""Opens databases: ours, whole, and with the settings that keep them so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from qts.codes import UsageError
from qts.data import schema

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_TIMEOUT_S = 5.0


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open or create a database; None for a temporary one on disk that is gone when it is closed.

    Raises:
        UsageError: the file cannot be opened, is not a database of this program, or of a newer version.
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
    except UsageError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path | None) -> None:
    is_new = _is_new(db, path)  # before anything is set: some settings are written into the file
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
    if is_new:
        db.executescript(
            f"BEGIN IMMEDIATE; {schema.TABLES} PRAGMA application_id = {schema.APPLICATION_ID};"
            f" PRAGMA user_version = {schema.SCHEMA_VERSION}; COMMIT;"
        )


def _is_new(db: sqlite3.Connection, path: Path | None) -> bool:
    """Whether the database is still empty; UsageError if it is not ours to write to."""
    db.execute("BEGIN")  # one view for all three, whoever creates the tables meanwhile
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    db.execute("COMMIT")
    if application == 0 and tables == 0:
        return True
    if application != schema.APPLICATION_ID:
        raise UsageError(
            found=f"{path} is a database of another program",
            expected="a database of qts-engine, or no file",
            hint="set QTS_HOME to another directory",
        )
    if version != schema.SCHEMA_VERSION:
        raise UsageError(
            found=f"{path} has schema version {version}",
            expected=f"version {schema.SCHEMA_VERSION}",
            hint="use the version of qts-engine that wrote it, or set QTS_HOME to another directory",
        )
    return False


def _unusable(path: Path | None, reason: str) -> UsageError:
    return UsageError(
        found=f"the database {path or 'in the temporary directory'} cannot be opened ({reason})",
        expected="a file that can be written to",
        hint="check the directory's permissions and free space, or set QTS_HOME to another directory",
    )
