"""Keeping the ticks of a run: from the core to a spool on disk, and from there to the database."""

import asyncio
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qts._core import JournalDamageError, TickSpool
from qts.codes import EngineFault, UsageError
from qts.data.ticks import SqliteTicks, TickStore, disk_use_of
from qts.engine.storage import TICKS, installation_id, server_settings
from qts.feed.archive import Imported, Manifest, export_ticks, import_ticks
from qts.instruments import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qts._core import StepEngine
    from qts.clock import Clock
    from qts.config import QtsConfig, Secrets
    from qts.data.ticks import PostgresTicks
    from qts.engine.database import DatabaseDesk

SPOOL: Final = Path("spool") / "ticks"
"""Directory of the spool in a home."""
_STOP_S: Final = 30.0
KST: Final = timezone(timedelta(hours=9))


@contextmanager
def kept_ticks(
    core: "StepEngine",
    config: "QtsConfig",
    home: Path,
    clock: "Clock",
    secrets: "Secrets",
    report: "Callable[[str, str], object]",
) -> "Iterator[TickStore | None]":
    """Keep every quote and trade of `core` while the block runs; before its first `run`. None if ticks are not kept.

    At the end what the spool holds is carried to the database; what does not get there in 30 s waits for the next run.

    Raises:
        UsageError: another process has the spool.
        EngineFault: FS125, the spool is damaged; it has to be moved away.
    """
    if not config.data.store_ticks:
        yield None
        return
    spool = _open_spool(home / SPOOL)
    try:
        core.record_ticks(spool)
        store = TickStore(
            spool,
            lambda: sink_of(config, home, secrets, installation_id(home)),
            clock=clock,
            report=report,
            disk_use=disk_use_of(home),
        )
        store.start()
        try:
            yield store
        finally:
            is_carried = True
            with suppress(Exception):  # why the store has ended it has told itself; the books go on without it
                is_carried = store.stop(_STOP_S)
            if not is_carried:
                report("GR107", "ticks wait in the spool for the next run: the database has not taken them in time")
    finally:
        spool.close()


class TickDesk:
    """Takes ticks out of the store and into it, for `qts-engine db`.

    Args:
        desk: the database of the home.
    """

    def __init__(self, desk: "DatabaseDesk") -> None:
        self._desk = desk
        self._catalog = Catalog.load(desk.config.reference)

    def export(self, path: Path, first: str, last: str, source: str | None) -> Manifest:
        """Write the ticks of some days of the exchange to a file; see `qts.feed.archive.export_ticks`."""
        start, end = _midnight(first, "--from"), _midnight(last, "--to", days=1)
        scales = {row.symbol: row.qty_scale for row in self._catalog}
        name = source or installation_id(self._desk.home)

        async def work() -> Manifest:
            reader = self._sink("")
            try:
                return await export_ticks(reader, path, start, end, scales=scales, source=name)
            finally:
                await reader.close()

        return asyncio.run(work())

    def take_in(self, path: Path) -> Imported:
        """Put a file of ticks into the store; see `qts.feed.archive.import_ticks`."""
        return asyncio.run(import_ticks(path, self._catalog.core, self._sink))

    def _sink(self, source: str) -> "SqliteTicks | PostgresTicks":
        return sink_of(self._desk.config, self._desk.home, self._desk.secrets, source)


def _midnight(text: str, option: str, *, days: int = 0) -> datetime:
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(
            found=f"{option} {text!r}", expected="a date as YYYY-MM-DD", hint=f"for example {option} 2026-01-05"
        ) from None
    return datetime.combine(day, time(), KST)


def sink_of(config: "QtsConfig", home: Path, secrets: "Secrets", source: str) -> "SqliteTicks | PostgresTicks":
    """Return what keeps ticks by the configuration; `source` names in their key where they come from."""
    if config.data.profile == "sqlite":
        return SqliteTicks(home / TICKS, source)
    from qts.data.postgres.connect import connect
    from qts.data.ticks import PostgresTicks

    settings = server_settings(config, secrets)
    return PostgresTicks(lambda: connect(settings, "ticks"), source)


def _open_spool(path: Path) -> TickSpool:
    path.mkdir(parents=True, exist_ok=True)
    try:
        return TickSpool(path)
    except JournalDamageError as error:
        where, at, found, expected = error.args
        raise EngineFault(
            "FS125",
            where=f"{where}, byte {at}",
            found=found,
            expected=expected,
            hint=f"move {path} away and keep it; ticks that were not carried yet are in it",
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            found=f"the tick spool {path}: {error}",
            expected="a directory that can be written to and that nobody else uses",
            hint="see that no other engine runs in this home",
        ) from None
