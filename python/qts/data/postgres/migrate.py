"""Brings a database to the structure that this version of the program expects, and says whether it has it.

The SQL files are numbered, never changed once they are out, and only ever go forward. One set serves both profiles:
what differs stands in blocks below a line `-- profile: NAME`, beside what is common, so that they cannot drift apart.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.data.exceptions import SchemaMismatch
from qts.data.postgres.probe import Found, Profile, decided, downgraded, probe, server_version, still_capable
from qts.data.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable

    from qts.clock import Clock
    from qts.data.postgres.link import Link

_LOCK: Final = 0x515453_4D49
"""Number of the advisory lock under which one process at a time migrates a database."""

_SERVER: Final = "server"
_PROFILE: Final = "profile"
_TABLE: Final = "table:"
_MARK: Final = re.compile(r"-- profile: (all|postgres|timescale)")
_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")

_VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS schema_version (
    component  VARCHAR(60) NOT NULL,
    version    INTEGER NOT NULL,
    checksum   VARCHAR(64) NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (component, version)
)
"""

_INSERT: Final = "INSERT INTO schema_version (component, version, checksum, applied_at) VALUES ($1, $2, $3, $4)"

_COLUMNS: Final = (
    "SELECT table_name::text, column_name::text, data_type::text, coalesce(character_maximum_length, 0),"
    " coalesce(numeric_precision, 0), coalesce(numeric_scale, 0), is_nullable::text"
    " FROM information_schema.columns WHERE table_schema = current_schema() AND table_name::text = ANY($1::text[])"
    ' ORDER BY table_name::text COLLATE "C", column_name::text COLLATE "C"'
)


class Migration(NamedTuple):
    """One file of SQL."""

    version: int
    name: str
    text: str
    checksum: str
    """SHA-256 of the file."""

    def script(self, profile: Profile) -> str:
        """Return what of it is for a profile."""
        chosen: list[str] = []
        block = "all"
        for line in self.text.splitlines():
            mark = _MARK.fullmatch(line.strip())
            if mark:
                block = mark.group(1)
            elif block in ("all", profile):
                chosen.append(line)
        return "\n".join(chosen)


class Migrated(NamedTuple):
    """What a migration has done."""

    profile: Profile
    applied: list[str]
    """Names of the files that were new, in their order; empty if there was nothing to do."""
    found: Found


def migrations(directory: Traversable | None = None) -> list[Migration]:
    """Return the files of SQL in their order.

    Raises:
        SchemaMismatch: a number is missing or taken twice.
    """
    where = files("qts.data") / "sql" / "server" if directory is None else directory
    found = [_read(entry) for entry in where.iterdir() if entry.name.endswith(".sql")]
    found.sort()
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        raise SchemaMismatch(
            found=f"migration files {', '.join(one.name for one in found) or 'none'} in {where}",
            expected="files numbered from 0001 without a gap",
            hint="reinstall qts-engine",
            code="FS123",
        )
    return found


def _read(entry: Traversable) -> Migration:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        raise SchemaMismatch(
            found=f"migration file {entry.name}", expected="NNNN_name.sql", hint="reinstall qts-engine", code="FS123"
        )
    content = entry.read_bytes()
    return Migration(int(match.group(1)), entry.name, content.decode("utf-8"), hashlib.sha256(content).hexdigest())


async def migrate(
    link: Link,
    *,
    clock: Clock,
    profile: str = "auto",
    role: str | None = None,
    steps: list[Migration] | None = None,
) -> Migrated:
    """Apply what is new, each file in one transaction under a lock; to do it again changes nothing.

    Args:
        link: connection of the role that is to own the tables.
        clock: dates what is applied.
        profile: `auto`, `postgres` or `timescale`; decided at the first migration and kept.
        role: the application's role, which gets rights on the tables but may not change what is append-only.
        steps: the files; those of this version if not given.

    Raises:
        SchemaMismatch: a file that was applied has changed, the database is of a newer version, or the profile cannot
            be had. The file that failed has left nothing.
    """
    known = migrations() if steps is None else steps
    found = await _found(link, profile)
    async with link.transaction():
        await _take_lock(link)
        await link.execute(_VERSIONS)
        pinned = await pinned_profile(link)
        chosen = decided(found, profile, pinned)
        check_applied(await applied(link), known)
        if pinned is None:
            await link.execute(_INSERT, _PROFILE, 1, chosen, clock.now_utc())
    done = [one.name for one in known if await _apply(link, one, chosen, clock)]
    if done:
        await _note_structure(link, known[-1].version, clock)
    if role is not None:
        await _grant(link, role)
    return Migrated(chosen, done, found)


async def _found(link: Link, profile: str) -> Found:
    if profile == "postgres":
        return Found(await server_version(link), None, "profile postgres is asked for")
    return await probe(link)


async def _apply(link: Link, one: Migration, profile: Profile, clock: Clock) -> bool:
    """Apply a file; False if it has been, by whomever."""
    async with link.transaction():
        await _take_lock(link)
        if one.version in await applied(link):
            return False
        await link.execute(one.script(profile))
        await link.execute(_INSERT, _SERVER, one.version, one.checksum, clock.now_utc())
    return True


async def _take_lock(link: Link) -> None:
    # Somebody else may be migrating: that is worth waiting for, and so is building an index.
    await link.execute("SET LOCAL statement_timeout = 0")
    await link.execute("SET LOCAL lock_timeout = '60s'")
    await link.execute("SELECT pg_advisory_xact_lock($1::bigint)", _LOCK)


async def applied(link: Link) -> dict[int, str]:
    """Return version to checksum of the files that have been applied."""
    rows = await link.fetch("SELECT version, checksum FROM schema_version WHERE component = $1", _SERVER)
    return {row[0]: row[1] for row in rows}


async def pinned_profile(link: Link) -> str | None:
    """Return the profile that the database was installed with."""
    value = await link.fetchval("SELECT checksum FROM schema_version WHERE component = $1", _PROFILE)
    return None if value is None else str(value)


def check_applied(done: dict[int, str], known: list[Migration]) -> None:
    """Check that what was applied is what the files say.

    Raises:
        SchemaMismatch: FS123, a file has changed since, or there are migrations that this version does not know.
    """
    by_version = {one.version: one for one in known}
    for version, checksum in sorted(done.items()):
        one = by_version.get(version)
        if one is None:
            raise SchemaMismatch(
                found=f"a database with migration {version:04}",
                expected=f"one with at most {known[-1].version if known else 0:04}, which this version knows",
                hint="use the version of qts-engine that migrated it",
                code="FS123",
            )
        if one.checksum != checksum:
            raise SchemaMismatch(
                found=f"{one.name} with checksum {one.checksum}",
                expected=f"{checksum}, with which it was applied",
                hint="put the file back as it was; a change of the structure takes a new file",
                code="FS123",
                where=one.name,
            )


async def check_schema(link: Link, wanted: str = "auto") -> tuple[Profile, str]:
    """Check that a database has the structure that this version expects; return its profile and the server's version.

    Raises:
        SchemaMismatch: FS123, it has not.
    """
    version = await server_version(link)
    if await link.fetchval("SELECT to_regclass('schema_version') IS NULL"):
        raise SchemaMismatch(
            found="a database without the tables of qts-engine",
            expected="a database that was initialised",
            hint="run `qts-engine db init`",
            code="FS123",
        )
    known, done = migrations(), await applied(link)
    check_applied(done, known)
    missing = [one.name for one in known if one.version not in done]
    if missing:
        raise SchemaMismatch(
            found=f"a database without {', '.join(missing)}",
            expected=f"one migrated up to {known[-1].name}",
            hint="run `qts-engine db migrate`",
            code="FS123",
        )
    pinned = await pinned_profile(link)
    lost = await still_capable(link) if pinned == "timescale" else ""
    profile = decided(Found(version, None, lost), wanted, pinned)
    if lost:
        raise downgraded(lost)
    await _check_structure(link)
    return profile, version


async def structure(link: Link) -> dict[str, str]:
    """Return table to the hash of its columns and their types, for every table that is there."""
    rows = await link.fetch(_COLUMNS, [*TABLES, "schema_version"])
    columns: dict[str, list[str]] = {}
    for row in rows:
        columns.setdefault(row[0], []).append(" ".join(str(value) for value in tuple(row)[1:]))
    return {name: _hash(lines) for name, lines in columns.items()}


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def _note_structure(link: Link, version: int, clock: Clock) -> None:
    async with link.transaction():
        await _take_lock(link)
        for name, checksum in (await structure(link)).items():
            await link.execute(
                f"{_INSERT} ON CONFLICT (component, version) DO NOTHING",
                _TABLE + name,
                version,
                checksum,
                clock.now_utc(),
            )


async def _check_structure(link: Link) -> None:
    rows = await link.fetch(
        "SELECT DISTINCT ON (component) component, checksum FROM schema_version WHERE component LIKE 'table:%'"
        " ORDER BY component, version DESC"
    )
    noted = {row[0].removeprefix(_TABLE): row[1] for row in rows}
    now = await structure(link)
    changed = sorted(name for name in noted.keys() | now.keys() if noted.get(name) != now.get(name))
    if changed:
        raise SchemaMismatch(
            found=f"columns of {', '.join(changed)} that no migration made",
            expected="the columns and types that the migrations left",
            hint="take the change back, or restore the database; columns are changed by migrations only",
            code="FS123",
        )


async def _grant(link: Link, role: str) -> None:
    """Give the application its rights: it may add to everything and change nothing that is append-only."""
    quoted = await link.fetchval("SELECT quote_ident($1::text)", role)
    names = await link.fetch(
        "SELECT c.relname::text, c.relkind::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
        " AND c.relkind IN ('r', 'p', 'v') AND (NOT c.relispartition OR c.relname::text LIKE '%\\_default')"
        " AND (c.relname::text = ANY($1::text[]) OR c.relname::text LIKE '%\\_kept' OR c.relispartition"
        " OR c.relname = 'aggregate_watermark' OR c.relkind = 'v')",
        list(TABLES),
    )
    schema = await link.fetchval("SELECT quote_ident(current_schema())")
    statements = [f"GRANT USAGE ON SCHEMA {schema} TO {quoted}"]
    for name, kind in (tuple(row) for row in names):
        table = TABLES.get(name)
        statements.append(f"REVOKE ALL ON {name} FROM PUBLIC, {quoted}")
        if name == "schema_version" or kind == "v" or name.endswith("_default"):
            rights = "SELECT"
        elif table is not None and table.append_only:
            rights = "SELECT, INSERT"
        else:
            rights = "SELECT, INSERT, UPDATE"
        statements.append(f"GRANT {rights} ON {name} TO {quoted}")
    functions = await link.fetch(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace"
        " AND p.proname LIKE 'qts\\_%'"
    )
    for row in functions:
        statements.append(f"REVOKE ALL ON FUNCTION {row[0]} FROM PUBLIC")
        statements.append(f"GRANT EXECUTE ON FUNCTION {row[0]} TO {quoted}")
    async with link.transaction():
        await _take_lock(link)
        for statement in statements:
            await link.execute(statement)
