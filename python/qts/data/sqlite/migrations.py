"""Brings a database file to the schema of this program: numbered scripts, forward only, each known by its checksum."""

from __future__ import annotations

import hashlib
import sqlite3
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from qts.data.exceptions import SchemaMismatch

COMPONENT: Final = "sqlite"
APPLICATION_ID: Final = 0x51545331
"""Marks a file as ours ("QTS1"), so that a foreign database is never written to."""

_SCRIPTS: Final = Path(__file__).parents[1] / "sql" / "sqlite"
_VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS schema_version (
    component  TEXT NOT NULL CHECK (length(component) <= 60),
    version    INTEGER NOT NULL,
    checksum   TEXT NOT NULL CHECK (length(checksum) <= 64),
    applied_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    PRIMARY KEY (component, version)
) STRICT, WITHOUT ROWID;
"""


class Migration(NamedTuple):
    """One script."""

    version: int
    name: str
    sql: str
    checksum: str
    """SHA-256 of the script."""


@cache
def shipped(directory: Path = _SCRIPTS) -> tuple[Migration, ...]:
    """Return the scripts of a directory by number."""
    found = []
    for path in sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql")):
        content = path.read_bytes()
        found.append(Migration(int(path.name[:4]), path.name, content.decode(), hashlib.sha256(content).hexdigest()))
    return tuple(found)


def migrate(db: sqlite3.Connection, migrations: tuple[Migration, ...] | None = None) -> int:
    """Apply what is missing, all of it in one transaction, and return the version that the file has then.

    A file of version 1 has no record of its scripts yet: the first one counts as applied.

    Raises:
        SchemaMismatch: FS123, a script is not the one that was applied.
    """
    scripts = shipped() if migrations is None else migrations
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version == scripts[-1].version:
        _compare(db, scripts)
        return version
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been quicker
        _run(db, _VERSIONS)
        if version:
            db.execute(
                "INSERT OR IGNORE INTO schema_version (component, version, checksum) VALUES (?, 1, ?)",
                (COMPONENT, scripts[0].checksum),
            )
        _compare(db, scripts)
        for script in scripts:
            if script.version > version:
                _run(db, script.sql)
                db.execute(
                    "INSERT INTO schema_version (component, version, checksum) VALUES (?, ?, ?)",
                    (COMPONENT, script.version, script.checksum),
                )
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {scripts[-1].version}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return scripts[-1].version


def _run(db: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script inside the transaction that is open; `executescript` would commit it first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def _compare(db: sqlite3.Connection, scripts: tuple[Migration, ...]) -> None:
    """Raise SchemaMismatch if a script that was applied is not the one that is shipped."""
    ours = {script.version: script for script in scripts}
    applied = db.execute("SELECT version, checksum FROM schema_version WHERE component = ?", (COMPONENT,))
    for version, checksum in applied.fetchall():
        script = ours.get(version)
        if script is None or script.checksum != checksum:
            name = f"migration {version}" if script is None else script.name
            raise SchemaMismatch(
                found=f"{name} with checksum {script.checksum if script else 'none, it is missing'}",
                expected=f"the script that was applied to this database, with checksum {checksum}",
                hint="put the script back as it was; a change of the schema is a new script",
                code="FS123",
            )
