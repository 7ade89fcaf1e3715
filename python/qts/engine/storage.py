"""Where books are kept: an embedded database or a server, by configuration alone."""

import asyncio
import logging
import os
import re
import secrets as entropy
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from qts.codes import UsageError
from qts.config import DB_PASSWORD, home_dir, load_secrets
from qts.data import CurrencyRow, InstrumentRow, JournaledStore, SQLiteStore
from qts.data.exceptions import SourceUnavailable
from qts.data.outage import OutageLimits
from qts.data.settings import PoolSizes, ServerSettings, Timeouts
from qts.engine.sheets import mirror_of
from qts.instruments import Catalog
from qts.ops.backup import DayFiles, backup_age, run_upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from qts.clock import Clock
    from qts.config import QtsConfig, Secrets
    from qts.data import RunStore
    from qts.data.postgres import TimescaleDBAdapter
    from qts.data.sqlite.adapter import SQLiteAdapter
    from qts.ops.backup import BackupAge

log: Final = logging.getLogger(__name__)
JOURNAL: Final = "journal"
"""Directory of the journal in a home."""
PAPER: Final = "paper.sqlite"
"""Embedded database of paper accounts, in `db` of a home."""
BACKTESTS: Final = "backtests.sqlite"
"""Embedded database of backtests whose books are kept."""
BACKUPS: Final = "backups"
"""Directory of backup sets in a home, if no other is named."""
_UPKEEP_S: Final = 60
_TICK_DAYS: Final = 7
"""Days for which the embedded tick files are kept."""
TICKS: Final = Path("db") / "ticks"
"""Directory of the embedded tick files in a home."""
_ID: Final = "installation"
_NAME: Final = re.compile("[0-9a-f]{16}")
_KEPT_APART: Final = frozenset({"GR100", "FS120"})
"""Codes of an outage, which the store behind the journal tells itself: it knows what waits."""


def server_settings(config: "QtsConfig", secrets: "Secrets") -> ServerSettings:
    """Return where the server is and how long it may take; the password comes from the secrets, and may be none."""
    data = config.data
    db, pool, timeouts = data.db, data.db.pool, data.db.timeouts_ms
    password = secrets.require([DB_PASSWORD])[DB_PASSWORD] if DB_PASSWORD in secrets else SecretStr("")
    return ServerSettings(
        host=db.host or "localhost",
        port=db.port,
        database=db.name,
        user=db.user,
        password=password,
        ssl=db.ssl,
        profile=data.backend if data.backend != "sqlite" else "auto",
        mirror=data.source_mode != "DB_ONLY",
        pool=PoolSizes(
            trading=pool.trading, ingest=pool.ingest, analytics=pool.analytics, trading_min=min(pool.min, pool.trading)
        ),
        timeouts=Timeouts(
            acquire=timeouts.acquire,
            connect=timeouts.connect,
            statement=timeouts.statement,
            analytics=timeouts.analytics,
            lock=timeouts.lock,
            idle_in_transaction=timeouts.idle_in_transaction,
        ),
    )


def adapter_of(
    config: "QtsConfig",
    home: Path,
    clock: "Clock",
    secrets: "Secrets",
    report: "Callable[[str, str], None] | None" = None,
    *,
    file: str = PAPER,
) -> "SQLiteAdapter | TimescaleDBAdapter":
    """Return the database of the configuration, not open yet. Drivers are loaded only for what is used."""
    if config.data.profile == "server":
        from qts.data.postgres import TimescaleDBAdapter

        return TimescaleDBAdapter(server_settings(config, secrets), clock, report)
    from qts.data.sqlite.adapter import SQLiteAdapter

    return SQLiteAdapter(home / "db" / file, clock, mirror=config.data.source_mode != "DB_ONLY")


def run_store(config: "QtsConfig", home: Path, clock: "Clock", secrets: "Secrets") -> JournaledStore:
    """Return the books of a run in a home, not open yet: the journal, and the database of the configuration behind."""
    outage = config.data.outage
    store = JournaledStore(
        clock,
        home / JOURNAL,
        name=lambda: installation_id(home),
        limits=OutageLimits(outage.entry_block_s, outage.fail_s, outage.entry_block_records, outage.fail_records),
    )

    def report(code: str, text: str) -> None:
        if code not in _KEPT_APART:
            store.report(code, text)

    books = adapter_of(config, home, clock, secrets, report)
    if config.data.profile == "server":
        work = partial(_server_upkeep, books, backups_of(config, home), clock)  # type: ignore[arg-type]  # by profile
    else:
        work = partial(_embedded_upkeep, home, backups_of(config, home), clock)
    store.beside(partial(_keep_up, work, report))
    if config.data.source_mode != "DB_ONLY":
        store.beside(mirror_of(config, books, clock, report))
    return store.behind(books, known=lambda: rows_of(Catalog.load(config.reference)))


def rows_of(catalog: "Catalog") -> "tuple[list[CurrencyRow], list[InstrumentRow]]":
    """Return the currencies and instruments of a catalog as a store registers them."""
    currencies = {row.currency: CurrencyRow(row.currency, catalog.currency(row.currency).scale) for row in catalog}
    instruments = [
        InstrumentRow(row.symbol, row.name, row.currency, row.price_scale, row.qty_scale, row.money_scale)
        for row in catalog
    ]
    return list(currencies.values()), instruments


def backups_of(config: "QtsConfig", home: Path) -> Path:
    """Return where backup sets lie; nothing expires while the last one there is not good."""
    named = config.data.backup_dir
    return home / BACKUPS if named is None else Path(named).expanduser()


async def _keep_up(work: "Callable[[], Coroutine[Any, Any, BackupAge]]", report: "Callable[[str, str], None]") -> None:
    """Do the upkeep every minute until cancelled; tell of a backup that is too old when it becomes so."""
    told = ""
    while True:
        try:
            age = await work()
        except SourceUnavailable:
            pass  # nothing can be done while the database is away; that is told where fills wait for it
        except Exception:
            log.exception("the upkeep of the database failed; it is tried again in a minute")
        else:
            if age.code and age.code != told:
                last = f"the last verified backup is {age.name}" if age.name else "there is no verified backup"
                report(age.code, f"{last}; nothing expires until there is a good one")
            told = age.code
        await asyncio.sleep(_UPKEEP_S)


async def _server_upkeep(server: "TimescaleDBAdapter", backups: Path, clock: "Clock") -> "BackupAge":
    """Keep partitions, aggregates and retention of a server in order."""
    age = await asyncio.to_thread(backup_age, backups, clock)
    await server.maintenance().run(backup_is_good=not age.code)
    return age


async def _embedded_upkeep(home: Path, backups: Path, clock: "Clock") -> "BackupAge":
    """Remove tick files and rows that have had their time."""
    ticks = DayFiles(home / TICKS, "ticks-*.db", _TICK_DAYS)
    await asyncio.to_thread(run_upkeep, [home / "db" / PAPER], [ticks], backups, clock)
    return await asyncio.to_thread(backup_age, backups, clock)


def backtest_store(config: "QtsConfig", clock: "Clock") -> "RunStore":
    """Return the books of a backtest, open: temporary, or in the database of the configuration if it keeps them.

    Raises:
        AdapterError: that database cannot be opened.
    """
    if not config.data.keep_backtests:
        return SQLiteStore(None, keep_decisions=False)  # their lines are in decisions.jsonl of the report
    home = home_dir()
    store = JournaledStore(clock, None, name=lambda: "")  # what can be run again needs no journal
    store.behind(adapter_of(config, home, clock, load_secrets(home), file=BACKTESTS))
    store.open()
    return store


def installation_id(home: Path) -> str:
    """Return the name by which a database knows the journal of this home; made at the first call, kept for ever.

    Raises:
        UsageError: the file that holds it cannot be made or read, or holds something else.
    """
    path = home / "state" / _ID
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _nameless(path, str(error)) from None
    # Complete before it has its name: a process that dies meanwhile leaves no home without one, nor a second reader.
    fresh = path.with_name(f"{_ID}.{entropy.token_hex(8)}.new")
    try:
        if not path.exists():
            with fresh.open("x", encoding="ascii") as file:
                file.write(f"{entropy.token_hex(8)}\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o600)
            with suppress(FileExistsError):  # another process was quicker
                os.link(fresh, path)
        name = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _nameless(path, str(error)) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
    if not _NAME.fullmatch(name):
        raise _nameless(path, f"it holds {name[:40]!r}")
    return name


def _nameless(path: Path, reason: str) -> UsageError:
    return UsageError(
        found=f"the name of this home in {path}: {reason}",
        expected="16 hexadecimal digits, by which databases tell homes apart",
        hint="see that the home can be written to; a file without a name can be removed, the next start makes one",
    )
