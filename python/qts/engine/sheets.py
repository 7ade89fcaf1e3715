"""Google Sheets beside the database: the mirror of a run, and the phases of the way from one to the other."""

import asyncio
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock import NS_PER_S, to_ns
from qts.codes import UsageError
from qts.data.exceptions import SourceUnavailable
from qts.engine.build import calendars_of, catalog_in
from qts.ops.operator import RunPlace
from qts.safety import SafetyState
from qts.safety.record import FileVault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from datetime import date, datetime

    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.data.interfaces import Outbox
    from qts.data.migration import CheckResult, MarketState, Migration, PhaseChange
    from qts.data.sheets import GoogleSheetsAdapter
    from qts.engine.database import DatabaseDesk
    from qts.instruments import Calendar

_OUTSIDE: Final = frozenset({"PREPARE", "CLOSE_SET", "MONITOR"})
_LOCAL: Final = "config_local.json"
_LOOK_BACK: Final = timedelta(days=60)
"""Trading days that a gate can ask for lie in here."""
_SWITCHED: Final = 3
"""Phase from which the sheets are no longer read; what follows is the cutover."""
_MIRRORED_S: Final = 120
"""Longest wait for the mirror of an engine that runs."""
_LOOK_S: Final = 0.2
_SCOPES: Final = ("C1", "C2", "C3", "C4", "C6", "C7")


class Compared(NamedTuple):
    """One comparison of sheets and database."""

    scope: str
    compared: int
    matched: int
    mismatches: tuple[dict[str, Any], ...]


def has_sheets(config: "QtsConfig") -> bool:
    """Return whether the configuration names a spreadsheet."""
    return config.data.sheets.key is not None and config.data.sheets.credentials_file is not None


def sheets_of(config: "QtsConfig", directory: Path | None, clock: "Clock") -> "GoogleSheetsAdapter":
    """Return the spreadsheet of the configuration, not open yet.

    Raises:
        UsageError: it names none.
    """
    from qts.data.sheets import GoogleSheetsAdapter, SheetsClient, SheetsSettings

    wanted = config.data.sheets
    if wanted.key is None or wanted.credentials_file is None:
        raise UsageError(
            found="no spreadsheet in the configuration",
            expected="data.sheets.key and data.sheets.credentials_file",
            hint="set GOOGLE_SHEET_KEY and GOOGLE_CREDENTIALS_FILE",
        )
    settings = SheetsSettings(
        Path(wanted.credentials_file).expanduser(),
        wanted.key,
        quota_per_min=wanted.quota_per_min,
        max_retries=wanted.max_retries,
    )
    local = None if directory is None else directory / _LOCAL
    return GoogleSheetsAdapter(SheetsClient(settings, clock), clock, config_local=local)


def mirror_of(
    config: "QtsConfig", outbox: "Outbox", clock: "Clock", report: "Callable[[str, str], None]"
) -> "Callable[[], Coroutine[Any, Any, None]]":
    """Return the work that brings what waits in the outbox to the sheets, until it is cancelled."""
    from qts.data.hybrid import MirrorPace, MirrorWorker
    from qts.data.sheets import SheetsMirror

    async def work() -> None:
        sheets = sheets_of(config, None, clock)
        try:
            pace = MirrorPace(interval_s=config.data.sheets.mirror_interval_s)
            await MirrorWorker(outbox, SheetsMirror(sheets), clock, report, pace=pace).run()
        finally:
            await sheets.close()

    return work


class MigrationDesk:
    """Changes phases and compares, for `qts-engine db`.

    Args:
        desk: the database of the home.
    """

    def __init__(self, desk: "DatabaseDesk") -> None:
        self._desk = desk
        config = desk.config
        self._calendar: Calendar = calendars_of(config, catalog_in(config, "KRW"))[0]

    def advance(self, by: str, *, cutover: bool) -> "PhaseChange":
        """Go to the next phase; from phase 3 on that is the cutover, which has a command of its own.

        Raises:
            UsageError: the next phase is not due, or is that of the other command, or an engine runs in this home.
            AdapterError: a side does not answer, or they do not agree. The phase has not changed.
        """

        async def work(migration: "Migration") -> "PhaseChange":
            state = await migration.status()
            if state is not None and (state.phase >= _SWITCHED) != cutover:
                raise UsageError(
                    found=f"phase {state.phase}",
                    expected="phase 3 or later" if cutover else "a phase before 3",
                    hint="qts-engine db migrate" if cutover else "the sheets are left with qts-engine db cutover",
                )
            return await migration.advance(by, self._world())

        with self._alone():
            return asyncio.run(self._with(work))

    def rollback(self, by: str) -> "PhaseChange":
        """Go back; see `qts.data.migration.Migration.rollback`."""

        async def work(migration: "Migration") -> "PhaseChange":
            return await migration.rollback(by, self._world())

        with self._alone():
            return asyncio.run(self._with(work))

    def compare(self) -> list[Compared]:
        """Compare sheets and database and put the result on record.

        Raises:
            AdapterError: a side does not answer; nothing is said about it then.
        """
        return asyncio.run(self._compared())

    async def _compared(self) -> list[Compared]:
        from qts.data.hybrid import MirrorWorker
        from qts.data.migration import Consistency, ConsistencyMonitor
        from qts.data.sheets import SheetsMirror

        desk = self._desk
        async with desk.opened() as db, self._sheets() as sheets:
            worker = MirrorWorker(db, SheetsMirror(sheets), desk.clock, _unheard)

            async def drain() -> None:
                with ExitStack() as alone:
                    try:
                        alone.enter_context(self._alone())
                    except UsageError:
                        await self._mirrored_by_the_engine(db)
                        return
                    await worker.drain()

            checks = Consistency(db, sheets, desk.clock)
            monitor = ConsistencyMonitor(checks, db, desk.clock, _unheard, drain=drain)
            return [_told(one) for one in await monitor.run(_SCOPES)]

    @contextmanager
    def _alone(self) -> "Iterator[None]":
        """Keep engines of this home away: two that bring rows to the sheets would both find them missing there.

        Raises:
            UsageError: one runs.
        """
        place = RunPlace(self._desk.home)
        try:
            yield
        finally:
            place.close()

    async def _mirrored_by_the_engine(self, outbox: "Outbox") -> None:
        """Wait until the engine that runs has brought to the sheets what waits now.

        Raises:
            SourceUnavailable: it has not in time.
        """
        clock = self._desk.clock
        started, deadline_ns = clock.now_utc(), clock.monotonic_ns() + _MIRRORED_S * NS_PER_S
        while True:
            waiting, since = await outbox.outbox_waiting()
            if since is None or since > started:
                return
            if clock.monotonic_ns() > deadline_ns:
                raise SourceUnavailable(
                    found=f"{waiting} rows that the engine has not brought to the sheets in {_MIRRORED_S} s",
                    expected="an empty outbox",
                    hint="check the spreadsheet and its quota, then try again",
                    code="GR105",
                )
            await asyncio.sleep(_LOOK_S)

    async def _with(self, work: "Callable[[Migration], Coroutine[Any, Any, PhaseChange]]") -> "PhaseChange":
        from qts.data.migration import Migration

        desk = self._desk
        async with desk.opened() as db, self._sheets() as sheets:
            if waiting := await desk.unbooked(db):
                raise SourceUnavailable(
                    found=f"{waiting} records in the journal that are not in the database",
                    expected="none",
                    hint="start the engine with the database up, then try again; nothing has been switched",
                )
            return await work(
                Migration(
                    db,
                    sheets,
                    desk.clock,
                    session_date=self._session_date,
                    gate_days=desk.config.data.consistency.gate_days,
                )
            )

    @asynccontextmanager
    async def _sheets(self) -> "AsyncIterator[GoogleSheetsAdapter]":
        sheets = sheets_of(self._desk.config, self._desk.directory, self._desk.clock)
        await sheets.open()
        try:
            yield sheets
        finally:
            await sheets.close()

    def _session_date(self, moment: "datetime") -> "date":
        return self._calendar.session_date(to_ns(moment))

    def _world(self) -> "MarketState":
        from qts.data.migration import MarketState

        now_ns = self._desk.clock.now_ns()
        today = self._calendar.session_date(now_ns)
        is_open = self._calendar.phase_at(now_ns) not in _OUTSIDE
        days = [today - timedelta(days=back) for back in range(_LOOK_BACK.days, -1, -1)]
        over = [
            day for day in days if self._calendar.is_session(day) and self._calendar.session(day).close_ns <= now_ns
        ]
        return MarketState(market_open=is_open, safety=self._safety(), sessions=over)

    def _safety(self) -> str:
        """Return the safety state on record; FAIL would permit what others do not, so nothing is guessed."""
        found = FileVault(self._desk.home / "state").load_state()
        if found.fault:
            raise UsageError(
                found=found.fault, expected="a safety state that can be read", hint="start the engine, which settles it"
            )
        return SafetyState.NORMAL.name if found.record is None else found.record.state


def _told(result: "CheckResult") -> Compared:
    return Compared(result.scope, result.compared, result.matched, tuple(result.mismatches))


def _unheard(_code: str, _message: str) -> None:
    """Take a code that is in the answer as well."""
