"""The close of a paper session on the record: what is compared, settled, reported and kept once it is over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qts.engine.storage import backups_of
from qts.instruments import Held
from qts.ops.backup import BackupSource
from qts.ops.close import (
    BooksNow,
    CloseContext,
    CloseFiles,
    CloseOutcome,
    CloseStep,
    StepResult,
    announce,
    backup_step,
    reconcile_step,
    report_step,
    run_close,
    settle_step,
    trades_of,
)

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.data import JournaledStore
    from qts.engine.session import Session
    from qts.engine.supervisor import Supervisor
    from qts.ops.report import BacktestResult

_PREFIX: Final = "paper-"


class PaperClose:
    """Closes the sessions of paper accounts, each of which lives for one run.

    Dividends, splits and the transfers of the pools are done when the run closes its books, with everything else that
    moves money; here is what comes after, each step once, whatever becomes of the process.

    Args:
        config: resolved configuration; a backup is made where `data.backup_dir` names a place and the books are
            embedded.
        home: `QTS_HOME`.
        clock: labels the record.
    """

    def __init__(self, config: QtsConfig, home: Path, clock: Clock) -> None:
        self._config = config
        self._home = home
        self._clock = clock

    def begin(self, account: str, day: date) -> None:
        """Note that a session has begun: if this process does not close it, the next one does."""
        announce(self._home, account, day)

    def catch_up(self, store: JournaledStore) -> list[CloseOutcome]:
        """Close what earlier processes have left open, from what is in the books; `store` is open, without a session.

        An account that has died with its run has no engine to compare with and moves no capital any more: its ledger is
        compared with itself, and reported.
        """
        root = self._home / "state" / "close"
        accounts = sorted(path.name for path in root.glob(f"{_PREFIX}*") if path.is_dir()) if root.is_dir() else []
        outcomes = []
        for account in accounts:
            files = CloseFiles(self._home, account)
            for day in files.days():
                record = files.load(day)
                if record is not None and not record.is_finished:
                    steps = [reconcile_step(partial(_left, store, account)), report_step(), *self._backup()]
                    outcomes.append(run_close(self._home, account, day, steps, self._clock))
        return outcomes

    def close(
        self,
        account: str,
        day: date,
        session: Session,
        store: JournaledStore,
        supervisor: Supervisor,
        result: BacktestResult,
    ) -> CloseOutcome:
        """Close a session whose books are closed."""

        def review(_context: CloseContext) -> StepResult:
            state, safety = supervisor.state.current_state.value, supervisor.safety.state.name
            return StepResult(f"{state}, {safety}", {"operating_state": state, "safety_state": safety})

        def more(_context: CloseContext) -> dict[str, Any]:
            marks = [list(mark.report) for mark in session.stale_marks()]
            return {"account_figures": result.report["account"], "reports": marks}

        steps = [
            reconcile_step(lambda: _now(session, store)),
            settle_step(session.calendar, lambda _: trades_of(store.iter_fills())),
            report_step(more),
            *self._backup(),
            CloseStep("state_review", review),
        ]
        return run_close(self._home, account, day, steps, self._clock)

    def _backup(self) -> list[CloseStep]:
        data = self._config.data
        if data.backup_dir is None or data.profile == "server":
            return []
        return [backup_step(BackupSource(home=self._home), backups_of(self._config, self._home), self._clock)]


def _now(session: Session, store: JournaledStore) -> BooksNow:
    """Return what the engine, the fills and the ledger say."""
    core, terms = session.core, session.terms
    return BooksNow(
        core=[Held(terms[row[0]].symbol, row[1], row[2]) for row in core.positions()],
        core_cash=core.cash,
        ledger=[Held(row.symbol, row.track, row.qty) for row in store.positions()],
        ledger_cash=session.closing.ledger.cash,
        differences=store.verify(),
    )


def _left(store: JournaledStore, account: str) -> BooksNow:
    """Return what is left of an account without an engine: its ledger, compared with itself."""
    return BooksNow((), 0, (), 0, store.verify(account))
