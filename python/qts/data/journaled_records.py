"""What a run puts into its journal: rows as JSON, each record with the run that it belongs to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from qts._core import JournalDamageError, JournalWriter
from qts.data.contracts import (
    CORPORATE_ORDER,
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalTransferRow,
    ChildRow,
    DecisionRow,
    ExecutionRow,
    FillRow,
    IntentRow,
    OrderRow,
)
from qts.data.journaled_errors import damaged, unwritable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qts.data.contracts import CapitalRow, SessionRow, SessionStatus

VERSION: Final = 1
"""Layout of the payloads."""


class Ending(NamedTuple):
    """The end of a run."""

    status: SessionStatus
    ended_ns: int
    cash_end: int
    decision_hash: str


class Funds(NamedTuple):
    """Rows of capital that belong together: one record, so that a crash leaves all of them or none."""

    rows: tuple[CapitalRow, ...]

    @property
    def kind(self) -> str:
        """Kind of the record: a transfer is what the rest comes with, a hold stands alone."""
        if any(isinstance(row, CapitalTransferRow) for row in self.rows):
            return "CAPITAL_TRANSFER"
        return "CAPITAL_HOLD" if all(isinstance(row, CapitalHoldRow) for row in self.rows) else "CAPITAL_ENTRY"


Row: TypeAlias = FillRow | OrderRow | Ending | DecisionRow | Funds | ExecutionRow

KINDS: Final = {
    "FILL": "fill",
    "ORDER_EVENT": "order",
    "EXECUTION_STATE": "end",
    "DECISION": "decision",
    "CAPITAL_ENTRY": "funds",
    "CAPITAL_HOLD": "funds",
    "CAPITAL_TRANSFER": "funds",
}
"""Kinds of journal records that hold rows of a run, and the name of the row in them."""
INTENT: Final = "intent"
"""Name of an execution as it stands, in records of the kind that holds the end of a run as well."""
EVIDENCE: Final = "execution"
"""Name of what an execution has done or is about to do: evidence, and no row of a table."""

_FUNDS: Final[tuple[tuple[str, type[CapitalRow]], ...]] = (
    ("entries", CapitalEntryRow),
    ("transfers", CapitalTransferRow),
    ("holds", CapitalHoldRow),
    ("pools", CapitalPoolRow),
)


class Waiting(NamedTuple):
    """A record of the journal that the database does not have yet."""

    seq: int
    kind: str
    row: Row


def waits_for_order(one: Waiting) -> bool:
    """Whether the state of an order is about to follow: not on what a corporate action did, which had no order."""
    return isinstance(one.row, FillRow) and one.row.order_id != CORPORATE_ORDER


def payload_of(session: SessionRow, kind: str, row: Row) -> bytes:
    """Return a record as the journal holds it."""
    content: Any = list(row)
    if isinstance(row, Funds):
        content = {
            name: found for name, of in _FUNDS if (found := [list(one) for one in row.rows if isinstance(one, of)])
        }
    return _record(session, INTENT if isinstance(row, ExecutionRow) else KINDS[kind], content)


def evidence_of(session: SessionRow, record: Mapping[str, object]) -> bytes:
    """Return what an execution has done or is about to do as the journal holds it."""
    return _record(session, EVIDENCE, record)


def _record(session: SessionRow, name: str, content: object) -> bytes:
    record = {"run": list(session), name: content}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def row_in(kind: str, record: dict[str, Any]) -> Row | None:
    """Return the row in a record that was read from the journal; None if it holds none."""
    name = KINDS[kind]
    if INTENT in record:
        intent, children = record[INTENT]
        return ExecutionRow(IntentRow(*map(_frozen, intent)), tuple(ChildRow(*child) for child in children))
    return row_of(kind, record[name]) if name in record else None


def row_of(kind: str, values: Any) -> Row:  # noqa: ANN401 - JSON
    """Return the row of the name that its kind gives it."""
    if kind == "FILL":
        return FillRow(*values)
    if kind == "ORDER_EVENT":
        return OrderRow(*values)
    if kind == "DECISION":
        return DecisionRow(*values)
    if kind == "EXECUTION_STATE":
        return Ending(*values)
    return Funds(tuple(of(*map(_frozen, one)) for name, of in _FUNDS for one in values.get(name, ())))


def _frozen(value: Any) -> Any:  # noqa: ANN401 - JSON
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def open_journal(directory: Path) -> JournalWriter:
    """Open the journal in a directory for appends.

    Raises:
        EngineFault: FS125, it is damaged; FS063, it cannot be written.
    """
    try:
        return JournalWriter(directory)
    except JournalDamageError as error:
        raise damaged(error) from None
    except (OSError, ValueError) as error:
        raise unwritable(str(error)) from None
