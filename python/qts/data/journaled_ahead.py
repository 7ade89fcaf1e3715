"""What a run writes ahead: decisions and executions, on record before an order leaves."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from qts.data.capital import decision_row
from qts.data.contracts import ExecutionRow
from qts.data.executions import log_of
from qts.data.journaled_errors import unwritable
from qts.data.journaled_records import VERSION, evidence_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qts._core import JournalWriter
    from qts.data.contracts import ChildRow, IntentRow, SessionRow, StageRow
    from qts.data.interfaces import DataSourceAdapter
    from qts.data.journaled_records import Row

_DURABLE_S: Final = 1.0
"""A record that is not durable by then is a fault of the journal."""
_STAGES: Final = 20_000
"""Lines about stages that wait for the database at most; then the oldest go."""


class JournaledAhead:
    """The half of `JournaledStore` that others wait for before they send."""

    _journal: JournalWriter | None
    _directory: Path | None
    keeps_executions = True
    """Executions are brought to the database."""

    def __init__(self) -> None:
        self._undurable = 0
        self._stages: deque[StageRow] = deque(maxlen=_STAGES)

    if TYPE_CHECKING:

        def _append(self, kind: str, row: Row) -> int: ...
        def _open_session(self) -> SessionRow: ...

    @property
    def is_journaled(self) -> bool:
        """Whether there is a journal: what can be run again has none."""
        return self._directory is not None

    def record_decision(self, decision_id: str, ts_ns: int, line: bytes) -> None:
        """Append a decision to the journal; `decisions_durable` waits for it."""
        row = decision_row(decision_id, ts_ns, line)
        self._undurable = self._append("DECISION", row)

    def decisions_durable(self) -> None:
        """Return when every decision that was recorded is on the disk: after one commit of the journal's group.

        Without a journal it returns at once.

        Raises:
            EngineFault: FS063, they are not within a second.
        """
        if self._undurable:
            self._wait_durable(self._undurable, "a decision")
        self._undurable = 0

    def journal_execution(self, kind: str, record: Mapping[str, object]) -> int:
        """Append what an execution has done or is about to do; 0 without a journal.

        Raises:
            EngineFault: FS063, the journal cannot be written.
        """
        if self._journal is None:
            return 0
        try:
            return self._journal.append(kind, evidence_of(self._open_session(), record), version=VERSION)
        except (OSError, ValueError) as error:
            raise unwritable(str(error)) from None

    def journal_durable(self, seq: int) -> None:
        """Return when that record is on the disk; at once without a journal.

        Raises:
            EngineFault: FS063, it is not within a second.
        """
        if seq:
            self._wait_durable(seq, "an order")

    def record_intent(
        self, intent: IntentRow, children: Sequence[ChildRow] = (), stages: Sequence[StageRow] = ()
    ) -> None:
        """Append an execution as it stands; what its stages took is kept in memory until the database has it."""
        self._stages.extend(stages)  # first: they go with the row
        self._append("EXECUTION_STATE", ExecutionRow(intent, tuple(children)))

    def _wait_durable(self, seq: int, what: str) -> None:
        if self._journal is None:
            return
        try:
            self._journal.wait_durable(seq, _DURABLE_S)
        except (TimeoutError, ValueError, OSError) as error:
            raise unwritable(f"{what} does not become durable: {error}") from None

    async def _log_stages(self, database: DataSourceAdapter) -> None:
        """Bring what stages took to the database, as far as it takes it."""
        lines = [log_of(self._stages.popleft()) for _ in range(len(self._stages))]
        if lines:
            await database.store_execution_log(lines)
