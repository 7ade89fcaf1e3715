"""The way from sheets to a database and back, one phase at a time.

0 infrastructure, 1 schema and load, 2 both are written and the sheets are read, 3 both are written and the database is
read, 4 the sheets are a view that nobody else may edit, 5 the database alone. Every change is checked, recorded with
who made it, and can be taken back without losing a row.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.codes import UsageError
from qts.data.exceptions import SourceUnavailable
from qts.data.hybrid.mirror import MirrorWorker
from qts.data.migration.consistency import BOOKS, GATE_DAYS, Consistency, gate
from qts.data.migration.load import export, load
from qts.data.records import JournalAck
from qts.data.sheets.layout import MIRRORED
from qts.data.sheets.mirror import SheetsMirror

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import date, datetime
    from decimal import Decimal

    from qts.clock import Clock
    from qts.data.hybrid.adapter import Mode, ReadSource
    from qts.data.hybrid.journal import FillJournal
    from qts.data.migration.consistency import CheckResult, Gate
    from qts.data.sheets.adapter import GoogleSheetsAdapter

_LOG: Final = logging.getLogger(__name__)
_MODES: Final[dict[int, tuple[Mode, ReadSource]]] = {
    0: ("SHEETS_ONLY", "sheets"),
    1: ("SHEETS_ONLY", "sheets"),
    2: ("HYBRID", "sheets"),
    3: ("HYBRID", "db"),
    4: ("HYBRID", "db"),
    5: ("DB_ONLY", "db"),
}
_LAST: Final = 5
_VIEW: Final = 4
_PROTECTION: Final = "kept by the engine: a view of its database"


class PhaseState(NamedTuple):
    """Where an installation is."""

    phase: int
    mode: Mode
    read_source: ReadSource
    changed_at: datetime
    operator_id: str


class PhaseChange(NamedTuple):
    """What a change of phase did."""

    before: PhaseState | None
    after: PhaseState
    steps: tuple[str, ...]


class MarketState(NamedTuple):
    """What the world looks like when a phase is to be changed."""

    market_open: bool
    safety: str
    """NORMAL, WARNING, FAIL or LOCKDOWN."""
    sessions: Sequence[date] = ()
    """Trading days that are over, ascending; the gate looks at those since the last change."""


class Migration:
    """Changes phases.

    Args:
        db: the database, opened (`DataSourceAdapter`, `Outbox` and `RunBooks`).
        sheets: the spreadsheet, opened.
        clock: labels changes.
        session_date: returns the trading day of a moment.
        journal: what is in it must be in the books before anything is switched; None where there is none.
        broker: as in `Consistency`.
        report: takes a code and a message.
        gate_days: trading days that a gate asks for.
    """

    def __init__(
        self,
        db: Any,  # noqa: ANN401 - three protocols in one
        sheets: GoogleSheetsAdapter,
        clock: Clock,
        *,
        session_date: Callable[[datetime], date],
        journal: FillJournal | None = None,
        broker: Callable[[], Awaitable[Mapping[str, Decimal]]] | None = None,
        report: Callable[[str, str], None] = lambda _code, _message: None,
        gate_days: int = GATE_DAYS,
    ) -> None:
        self._db = db
        self._sheets = sheets
        self._clock = clock
        self._session_date = session_date
        self._journal = journal
        self._has_broker = broker is not None
        self._gate_days = gate_days
        self._worker = MirrorWorker(db, SheetsMirror(sheets), clock, report)
        self.checks = Consistency(db, sheets, clock, broker=broker)
        self._steps: list[str] = []

    async def status(self) -> PhaseState | None:
        """Return the phase; None if nobody has begun."""
        rows = await self._db.read("migration_state")
        if not rows:
            return None
        row = max(rows, key=lambda one: one["id"])
        return PhaseState(*(row[name] for name in PhaseState._fields))

    async def begin(self, operator_id: str, *, fresh: bool) -> PhaseChange:
        """Record the first phase: 5 for an installation without sheets of its own, else 0.

        Raises:
            UsageError: it has been recorded.
        """
        before = await self.status()
        if before is not None:
            raise _refused(f"phase {before.phase} since {before.changed_at}", "an installation without a phase")
        self._steps = []
        return await self._changed(None, _LAST if fresh else 0, operator_id)

    async def gate(self, world: MarketState) -> Gate:
        """Return how many trading days in a row sheets and database have agreed since the last change of phase."""
        state = await self._known()
        since = self._session_date(state.changed_at)
        sessions = [day for day in world.sessions if day > since]
        return gate(await self._db.read("consistency_reports"), sessions, self._session_date, needed=self._gate_days)

    async def advance(self, operator_id: str, world: MarketState) -> PhaseChange:
        """Go to the next phase.

        Raises:
            UsageError: the next phase is not due; the message says what is missing. Nothing has changed.
            DataConsistencyError: database and sheets do not agree. The phase has not changed.
            SourceUnavailable: a side does not answer. The phase has not changed.
        """
        state = await self._known()
        if state.phase == _LAST:
            raise _refused("phase 5, the last", "a phase before it")
        self._steps = []
        if world.safety != "NORMAL":
            raise _refused(f"Safety {world.safety}", "Safety NORMAL: phases do not change otherwise")
        if world.market_open:
            raise _refused("an open market", "a market that is closed")
        await self._leave(state.phase, world)
        return await self._changed(state, state.phase + 1, operator_id)

    async def _leave(self, phase: int, world: MarketState) -> None:
        if phase == 0:
            await self._do(await load(self._db, self._sheets))
            await self._drain()
            await self._agreed(BOOKS)
        elif phase == 1:
            await self._do(await load(self._db, self._sheets))  # what was booked since the first load
            await self._drain()
            await self._agreed(BOOKS)
        else:
            passed = await self.gate(world)
            if phase != _VIEW and not passed.passed:
                raise _refused(
                    f"{passed.days} trading days in a row at 100 %"
                    + (f" ({passed.last_failed}: {passed.reason})" if passed.last_failed else ""),
                    f"{passed.needed} in a row",
                )
            await self._settled()
            await self._drain()
            await self._agreed(BOOKS)
            if phase + 1 == _VIEW:
                await self._sheets.book.protect(MIRRORED, _PROTECTION)
                await self._do([f"{', '.join(MIRRORED)} protected: only the engine writes them"])

    async def rollback(self, operator_id: str, world: MarketState) -> PhaseChange:
        """Go back: from phase 2 to the sheets alone, from 3, 4 and 5 to phase 2.

        Raises:
            UsageError: the market is open (unless Safety is FAIL), LOCKDOWN, or there is nothing to go back to.
            DataConsistencyError: database and sheets do not agree. The phase has not changed.
            SourceUnavailable: rows still wait for the sheets, or a side does not answer. The phase has not changed.
        """
        state = await self._known()
        if state.phase not in (2, 3, 4, 5):
            raise _refused(f"phase {state.phase}", "phase 2, 3, 4 or 5")
        if world.safety == "LOCKDOWN":
            raise _refused("LOCKDOWN", "Safety NORMAL, WARNING or FAIL: phases are frozen in LOCKDOWN")
        if world.market_open and world.safety != "FAIL":
            raise _refused("an open market", "a market that is closed, or Safety FAIL")
        self._steps = []
        await self._settled()
        if state.phase >= _VIEW:
            await self._do(await export(self._db, self._sheets))
        await self._drain()
        scopes = ("C1", "C2", "C3", "C4", *(("C5",) if self._has_broker else ()))
        await self._agreed(scopes if state.phase >= _VIEW else BOOKS)
        if state.phase >= _VIEW:
            await self._sheets.book.unprotect(MIRRORED, _PROTECTION)
            await self._do([f"protection of {', '.join(MIRRORED)} taken off"])
        if state.phase == 2 and self._journal is not None:
            seq = await self._db.journal_ack(self._journal.name)
            await self._sheets.apply_fills([], ack=JournalAck(self._journal.name, seq))
            await self._do([f"the sheets go on after journal record {seq}"])
        return await self._changed(state, 1 if state.phase == 2 else 2, operator_id)

    # Steps

    async def _settled(self) -> None:
        """Refuse while the journal holds fills that are not in the database."""
        if self._journal is None:
            return
        after = await self._db.journal_ack(self._journal.name)
        waiting = 0
        async for chunk in self._journal.entries(after, None):
            waiting += len(chunk)
        if waiting:
            raise SourceUnavailable(
                found=f"{waiting} fills in the journal that are not in the database",
                expected="none",
                hint="start the engine with the database up, or `qts-engine db migrate`, then try again",
            )
        await self._do(["everything of the journal is in the database"])

    async def _drain(self) -> None:
        await self._worker.drain()
        await self._do(["the outbox is empty"])

    async def _agreed(self, scopes: Sequence[str]) -> list[CheckResult]:
        results = await self.checks.check_all(scopes)
        for result in results:
            if not result.clean:
                raise _refused(
                    f"{result.scope}: {result.matched} of {result.compared} agree, first {result.mismatches[0]}",
                    "100 %",
                    "find the cause; `qts-engine db verify` lists every difference",
                )
        await self._do([f"{', '.join(scopes)} at 100 %"])
        return results

    async def _do(self, steps: Sequence[str]) -> None:
        for step in steps:
            _LOG.info("migration: %s", step)
            self._steps.append(step)

    async def _known(self) -> PhaseState:
        state = await self.status()
        if state is None:
            raise _refused("an installation without a phase", "one", "`qts-engine db init` records the first one")
        return state

    async def _changed(self, before: PhaseState | None, phase: int, operator_id: str) -> PhaseChange:
        mode, source = _MODES[phase]
        after = PhaseState(phase, mode, source, self._clock.now_utc(), operator_id)
        await self._db.write("migration_state", after._asdict())
        await self._do([f"phase {phase}: {mode}, reads {source}"])
        return PhaseChange(before, after, tuple(self._steps))


def _refused(
    found: str, expected: str, hint: str = "see `qts-engine db status`; nothing has been switched"
) -> UsageError:
    return UsageError(found=found, expected=expected, hint=hint)
