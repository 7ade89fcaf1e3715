"""Finds out what a server can do by trying it, not by what it is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import asyncpg

from qts.data.exceptions import SchemaMismatch

if TYPE_CHECKING:
    from qts.data.postgres.link import Link

Profile = Literal["postgres", "timescale"]

OLDEST_SERVER: Final = 14
OLDEST_EXTENSION: Final = (2, 10)

_TRIAL: Final = (
    "CREATE TABLE qts_trial (time TIMESTAMPTZ NOT NULL, symbol TEXT NOT NULL, price NUMERIC NOT NULL)",
    "SELECT create_hypertable('qts_trial', 'time', chunk_time_interval => INTERVAL '1 day')",
    "CREATE MATERIALIZED VIEW qts_trial_bars WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS"
    " SELECT time_bucket(INTERVAL '1 minute', time) AS bucket, symbol, max(price) AS high"
    " FROM qts_trial GROUP BY bucket, symbol WITH NO DATA",
    "SELECT add_continuous_aggregate_policy('qts_trial_bars', start_offset => INTERVAL '1 hour',"
    " end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '1 minute')",
    "ALTER TABLE qts_trial SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol')",
    "SELECT add_compression_policy('qts_trial', INTERVAL '1 day')",
    "SELECT add_retention_policy('qts_trial', INTERVAL '7 days')",
)


class Found(NamedTuple):
    """What a server is and can do."""

    server_version: str
    extension_version: str | None
    """Of TimescaleDB, where it can be installed or is."""
    missing: str
    """Why it cannot serve as `timescale`; empty if it can."""

    @property
    def profile(self) -> Profile:
        """The profile that `auto` stands for here."""
        return "postgres" if self.missing else "timescale"


class _Undone(Exception):  # noqa: N818 - not an error: how a trial is taken back
    """Rolls a trial back."""


async def server_version(link: Link) -> str:
    """Return the version of the server.

    Raises:
        SchemaMismatch: it is too old.
    """
    shown = str(await link.fetchval("SELECT current_setting('server_version')"))
    number = int(await link.fetchval("SELECT current_setting('server_version_num')::int"))
    if number // 10_000 < OLDEST_SERVER:
        raise SchemaMismatch(
            found=f"PostgreSQL {shown}",
            expected=f"PostgreSQL {OLDEST_SERVER} or newer",
            hint="upgrade the server, or use the embedded database: data.backend: sqlite",
            code="FS123",
        )
    return shown


async def probe(link: Link) -> Found:
    """Try everything that profile `timescale` needs, in a transaction that is taken back.

    The extension is installed for it if it can be, and removed if it does not do: a session in which it was created and
    taken back could not create it again.

    Raises:
        SchemaMismatch: the server is too old for any profile.
    """
    version = await server_version(link)
    row = await link.fetchrow(
        "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),"
        " (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')"
    )
    installed, available = tuple(row)
    extension = installed or available
    if extension is None:
        return Found(version, None, "the extension timescaledb is not there")
    if _version(extension) < OLDEST_EXTENSION:
        oldest = ".".join(map(str, OLDEST_EXTENSION))
        return Found(version, extension, f"timescaledb is {extension}, older than {oldest}")
    missing = await _tried(link)
    if missing and installed is None:
        await link.execute("DROP EXTENSION IF EXISTS timescaledb CASCADE")
    return Found(version, extension, missing)


async def _tried(link: Link) -> str:
    """Why a trial failed; empty if it did not. Nothing of it stays."""
    try:
        await link.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        async with link.transaction():
            for statement in _TRIAL:
                await link.execute(statement)
            raise _Undone  # noqa: TRY301 - leaves the transaction, which takes everything back
    except _Undone:
        return ""
    except asyncpg.PostgresError as error:
        return f"timescaledb refuses: {str(error).splitlines()[0]}"


async def still_capable(link: Link) -> str:
    """Why a server that was installed as `timescale` is none any more; empty if it still is."""
    extension = await link.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    if extension is None:
        return "the extension timescaledb is gone"
    license_name = await link.fetchval("SELECT current_setting('timescaledb.license', true)")
    if license_name != "timescale":
        return f"timescaledb runs under the license {license_name!r}, without compression and policies"
    return ""


def decided(found: Found, wanted: str, pinned: str | None) -> Profile:
    """Return the profile to use: the pinned one, or that which is installed now.

    Raises:
        SchemaMismatch: the wanted profile is not possible, or not the one that was installed.
    """
    if pinned is not None:
        if wanted not in ("auto", pinned):
            raise SchemaMismatch(
                found=f"a database that was installed with profile {pinned}",
                expected=f"profile {wanted}, which the configuration asks for",
                hint=f"set data.backend to {pinned}, or move the data into a new database",
                code="FS123",
            )
        if pinned == "timescale" and found.missing:
            raise downgraded(found.missing)
        return "timescale" if pinned == "timescale" else "postgres"
    if wanted == "timescale" and found.missing:
        raise SchemaMismatch(
            found=found.missing,
            expected="TimescaleDB 2.10 or newer with compression, policies and continuous aggregates",
            hint="install the extension in its community edition, or set data.backend to postgres",
            code="FS123",
        )
    return "postgres" if wanted == "postgres" else found.profile


def downgraded(missing: str) -> SchemaMismatch:
    """Return the error for a server that can no longer do what the database was installed for."""
    return SchemaMismatch(
        found=missing,
        expected="TimescaleDB with compression, policies and continuous aggregates, as when this was installed",
        hint="bring the extension back; to go on without it, move the data into a database of profile postgres",
        code="FS123",
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
