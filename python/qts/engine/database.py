"""The database of a home as its operator sees it: prepared, looked at, checked, backed up."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import SecretStr

from qts.clock import SystemClock
from qts.config import ConfigManager, home_dir, load_secrets
from qts.data import CapitalEntryRow, DecisionRow, FillRow, SessionRow
from qts.data.exceptions import AdapterError
from qts.data.journaled_errors import records_of
from qts.data.journaled_records import EVIDENCE, KINDS, Funds, row_of
from qts.engine.storage import JOURNAL, PAPER, adapter_of, backups_of, installation_id, server_settings
from qts.ops.backup import BackupSource, ServerDump, backup_age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from qts.config import QtsConfig, Secrets
    from qts.data.postgres import TimescaleDBAdapter
    from qts.data.sqlite.adapter import SQLiteAdapter

_T = TypeVar("_T")


class Prepared(NamedTuple):
    """What preparing a database has done."""

    where: str
    profile: str
    applied: list[str]
    """Migrations that were new; empty if there was nothing to do."""
    remark: str
    """Why the profile is this one, where that was decided now."""


class DatabaseDesk:
    """Does the work of `qts-engine db` for one home and configuration.

    Args:
        config: configuration directory; None: the shipped one.
        home: home of the engine; None: `QTS_HOME`, else `~/.qts`.

    Raises:
        ConfigError: the configuration is wrong, or the file of secrets can be used by others.
    """

    def __init__(self, config: Path | None = None, home: Path | None = None) -> None:
        self.directory = config
        self.config: QtsConfig = ConfigManager(config).load()
        self.home = home or home_dir()
        self.secrets: Secrets = load_secrets(self.home)
        self.clock = SystemClock()

    @property
    def where(self) -> str:
        """The database in words, without its password."""
        if self.config.data.profile == "server":
            return f"PostgreSQL {server_settings(self.config, self.secrets).shown}"
        return str(self.home / "db" / PAPER)

    def prepare(self, owner: str | None, owner_password: str) -> Prepared:
        """Bring the database to the schema of this version; to do it again changes nothing.

        Args:
            owner: role that is to own the tables of a server; None: the role of the configuration, which may then
                change what others could only add to.
            owner_password: of that role.

        Raises:
            AdapterError: it cannot be reached, or is not what it should be; a migration that failed has left nothing.
        """
        server = self.config.data.profile == "server"
        work = self._prepare_server(owner, owner_password) if server else self._prepare_embedded()
        return asyncio.run(self._prepared(work))

    async def _prepared(self, work: "Coroutine[Any, Any, Prepared]") -> Prepared:
        """Do it, and note the first phase of an installation that has none."""
        done = await work
        async with self.opened() as adapter:
            if not await adapter.read("migration_state"):
                mode = self.config.data.source_mode
                first = (
                    {"phase": 5, "mode": "DB_ONLY", "read_source": "db"}
                    if mode == "DB_ONLY"
                    else {"phase": 0, "mode": "SHEETS_ONLY", "read_source": "sheets"}
                )
                await adapter.write(
                    "migration_state", {**first, "changed_at": self.clock.now_utc(), "operator_id": "db init"}
                )
        return done

    async def _prepare_embedded(self) -> Prepared:
        async with self.opened():
            return Prepared(self.where, "sqlite", [], "")

    async def _prepare_server(self, owner: str | None, password: str) -> Prepared:
        from qts.data.postgres.connect import connect
        from qts.data.postgres.errors import DRIVER, told
        from qts.data.postgres.migrate import migrate

        settings = server_settings(self.config, self.secrets)
        as_owner = settings if owner is None else replace(settings, user=owner, password=SecretStr(password))
        link = await connect(as_owner, "db init")
        try:
            done = await migrate(
                link, clock=self.clock, profile=settings.profile, role=None if owner is None else settings.user
            )
        except DRIVER as error:
            raise told(error, as_owner) from None
        finally:
            await link.close()
        return Prepared(self.where, done.profile, done.applied, done.found.missing if done.applied else "")

    @asynccontextmanager
    async def opened(self) -> "AsyncIterator[SQLiteAdapter | TimescaleDBAdapter]":
        """Open the database while the block runs."""
        adapter = adapter_of(self.config, self.home, self.clock, self.secrets)
        await adapter.open()
        try:
            yield adapter
        finally:
            await adapter.close()

    def status(self) -> dict[str, Any]:
        """Return how the database is, what waits for it, and how old the last backup is; never raises for an outage."""
        found: dict[str, Any] = {
            "where": self.where,
            "backend": self.config.data.backend,
            "mode": self.config.data.source_mode,
        }
        try:
            found |= asyncio.run(self._looked_at())
        except AdapterError as error:
            found |= {"healthy": False, "detail": str(error)}
        age = backup_age(backups_of(self.config, self.home), self.clock)
        found["backup"] = {"last_verified": age.name or None, "age_h": age.age_h, "code": age.code or None}
        return found

    async def _looked_at(self) -> dict[str, Any]:
        async with self.opened() as adapter:
            health = await adapter.health_check()
            acked = await adapter.journal_ack(installation_id(self.home))
            waiting, since = await adapter.outbox_waiting()
            able = adapter.capabilities
            phase = await adapter.read("migration_state")
            return {
                "healthy": health.healthy,
                "detail": health.detail,
                "latency_ms": None if health.latency_ms is None else round(health.latency_ms, 3),
                "profile": able.profile,
                "server_version": able.server_version,
                "continuous_aggregates": able.aggregates,
                "compression": able.compression,
                "journal": {"acknowledged": acked, "waiting": await self.unbooked(adapter)},
                "outbox": {"waiting": waiting, "since": None if since is None else since.isoformat()},
                "phase": max(phase, key=lambda row: row["id"])["phase"] if phase else None,
            }

    async def unbooked(self, adapter: "SQLiteAdapter | TimescaleDBAdapter") -> int:
        """Return how many records of runs are in the journal of this home and not in the database."""
        return len(self._run_records(await adapter.journal_ack(installation_id(self.home))))

    def verify(self) -> list[str]:
        """Derive the books from the ledger again and compare ledger, capital and decisions with the journal.

        Raises:
            AdapterError: the database cannot be read.
        """
        return asyncio.run(self._verified())

    async def _verified(self) -> list[str]:
        async with self.opened() as adapter:
            differing = [str(one) for one in await adapter.verify()]
            acked = await adapter.journal_ack(installation_id(self.home))
            due: dict[SessionRow, set[FillRow]] = {}
            for seq, session, fill in self._fills():
                if seq <= acked:
                    due.setdefault(session, set()).add(fill)
            stored = {session: await adapter.run_fills(session) for session in due}
            # An engine may have booked more meanwhile; the journal has had it before that.
            journaled = {(session, fill) for _, session, fill in self._fills() if session in due}
            for session, fills in stored.items():
                name, only = session.session_id, due[session].difference(fills)
                differing += [f"fill {one} of run {name} is in the journal only" for one in sorted(only, key=_booked)]
                differing += [
                    f"fill {one} of run {name} is in the ledger only"
                    for one in fills
                    if (session, one) not in journaled
                ]
            differing += await self._funds_missing(adapter, acked)
        return differing

    async def _funds_missing(self, adapter: "SQLiteAdapter | TimescaleDBAdapter", acked: int) -> list[str]:
        """Return which capital ledger lines and decisions of the journal the database should have and has not."""
        lines: dict[str, tuple[SessionRow, dict[tuple[str, ...], CapitalEntryRow]]] = {}
        decisions: dict[SessionRow, dict[str, int]] = {}
        for seq, kind, record in self._run_records(0):
            if seq > acked or KINDS[kind] not in ("decision", "funds"):
                continue
            row, session = row_of(kind, record[KINDS[kind]]), SessionRow(*record["run"])
            if isinstance(row, DecisionRow):
                decisions.setdefault(session, {})[row.decision_id] = row.ts_ns
            elif isinstance(row, Funds):
                known = lines.setdefault(session.account_id, (session, {}))[1]
                for line in row.rows:
                    if isinstance(line, CapitalEntryRow):
                        known.setdefault(_key(line), line)  # of two with one key the first stands
        missing = []
        for account, (session, due) in lines.items():
            stored = {_key(one): one.amount for one in await adapter.run_entries(session)}
            missing += [
                f"{one} of the capital ledger of account {account} is in the journal only"
                for key, one in due.items()
                if stored.get(key) != one.amount
            ]
        for session, made in decisions.items():
            kept = {one.decision_id for one in await adapter.run_decisions(session)}
            missing += [
                f"decision {one} of run {session.session_id} is in the journal only" for one in made if one not in kept
            ]
        return missing

    def _fills(self) -> "Iterator[tuple[int, SessionRow, FillRow]]":
        """Yield number, run and row of every fill in the journal of this home."""
        for seq, kind, record in self._run_records(0):
            if kind == "FILL":
                yield seq, SessionRow(*record["run"]), FillRow(*record["fill"])

    def _run_records(self, after: int) -> "list[tuple[int, str, dict[str, Any]]]":
        """Return the records of runs in the journal of this home behind a number.

        Raises:
            EngineFault: FS125, the journal is damaged; FS063, it cannot be read.
        """
        directory = self.home / JOURNAL
        if not directory.is_dir():
            return []
        found = []
        for seq, _, kind, _, payload in records_of(directory):
            if seq > after and kind in KINDS:
                record = json.loads(payload)
                if "run" in record and EVIDENCE not in record:
                    found.append((seq, kind, record))
        return found

    def backup_source(self) -> BackupSource:
        """Return what a backup of this home consists of."""
        from qts._core import __version__

        return BackupSource(home=self.home, config=self.directory, server=self.server_dump(), code_version=__version__)

    def server_dump(self) -> ServerDump | None:
        """Return the server whose contents belong to a backup; None without one."""
        if self.config.data.profile != "server":
            return None
        settings = server_settings(self.config, self.secrets)
        return ServerDump(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            password=settings.password,
        )

    def run(self, work: "Callable[[SQLiteAdapter | TimescaleDBAdapter], Coroutine[Any, Any, _T]]") -> _T:
        """Open the database, do `work` with it, and return what that returns."""

        async def opened() -> _T:
            async with self.opened() as adapter:
                return await work(adapter)

        return asyncio.run(opened())


def _booked(fill: FillRow) -> tuple[int, int]:
    return (fill.ts_ns, fill.order_id)


def _key(line: CapitalEntryRow) -> tuple[str, ...]:
    return (line.cause, line.ref_id, line.pool_id, line.bucket)
