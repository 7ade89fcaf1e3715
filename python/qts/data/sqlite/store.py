"""The embedded store: ledger, positions, orders and equity in one SQLite database."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from qts.codes import UsageError
from qts.data.capital import check_capital, decision_row
from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalRow,
    CapitalTransferRow,
    CurrencyRow,
    DecisionRow,
    Difference,
    EquityRow,
    ExecutionRow,
    FillRow,
    FlushResult,
    InstrumentRow,
    OrderRow,
    PositionRow,
    SessionRow,
    StoreCondition,
)
from qts.data.exceptions import CapitalNotKept, LedgerConflict, LedgerMismatch, StoreUnavailable
from qts.data.sqlite import booking, capital, executions, schema
from qts.data.sqlite.connection import open_database
from qts.data.sqlite.entries import Instruments
from qts.data.sqlite.verify import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from qts.data.contracts import ChildRow, IntentRow, SessionStatus, StageRow

_BATCH: Final = 512
"""Rows that one transaction takes; a commit costs about as much as 50 rows."""


class SQLiteStore:
    """Durable books of one account at a time.

    Rows are collected and written in batches, each in one transaction: a ledger row and the position that it changes
    are seen together or not at all, whenever the process dies. What `flush` has returned from is on the disk. Use it
    from one thread at a time.

    Args:
        path: the database file, created with its directory if absent; None for a temporary database on disk, gone
            when the store is closed.
        batch: rows collected before they are written.
        keep_decisions: whether decisions and executions are written; False where a report keeps their lines anyway.

    Raises:
        UsageError: the file cannot be opened or is not one of ours.
    """

    def __init__(self, path: Path | None = None, *, batch: int = _BATCH, keep_decisions: bool = True) -> None:
        self._name = "temporary database" if path is None else str(path)
        self._db = open_database(path)
        self._batch = batch
        self.keeps_executions = keep_decisions
        """Whether executions are written, and decisions."""
        self._session_no = booking.NO_SESSION
        self._broker = ""
        self._account = ""
        self._fills: list[FillRow] = []
        self._orders: dict[int, OrderRow] = {}
        self._equity: list[EquityRow] = []
        self._capital: list[CapitalRow] = []
        self._decisions: list[DecisionRow] = []
        self._executions: list[ExecutionRow] = []
        self._stages: list[StageRow] = []
        self._instruments = Instruments()
        self._session: SessionRow | None = None
        self._scale = 0
        self.duplicates = 0
        """Fills of this session that were in the ledger already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_journaled(self) -> bool:
        """Whether there is a journal: never."""
        return False

    def open(self) -> None:
        """Do nothing: the database is open since this object was made."""

    def close(self) -> None:
        """Write what is pending and close the database."""
        try:
            self.flush()
        finally:
            self._db.close()

    # What the numbers mean

    def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; what is known already must agree.

        Raises:
            UsageError: a currency or symbol is in the database with other scales; nothing was registered.
            StoreUnavailable: the database cannot be written.
        """
        with self._transaction():
            booking.register(self._db, self._name, currencies, instruments)

    def instruments(self) -> list[InstrumentRow]:
        """Return every registered instrument, by symbol."""
        rows = self._db.execute(
            "SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments ORDER BY symbol"
        )
        return [InstrumentRow(*row) for row in rows]

    # Sessions

    def begin_session(self, session: SessionRow) -> None:
        """Open a session; everything recorded from now on belongs to it.

        Raises:
            UsageError: the session exists already, or a name contains a colon, which separates the parts of a fill key.
            StoreUnavailable: the database cannot be written.
        """
        booking.check_names(session)
        self.flush()
        with self._transaction():
            self._session_no = booking.begin_session(self._db, self._name, session)
        self._broker = session.broker
        self._account = session.account_id
        self._session = session
        self._scale = capital.scale_of(self._db, session)
        self.duplicates = 0

    def end_session(self, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str) -> None:
        """Write what is pending and close the session. `ended_ns` is wall-clock time.

        Raises:
            StoreUnavailable: the database cannot be written.
        """
        self.flush()
        with self._transaction():
            self._db.execute(schema.SESSION_END, (status, ended_ns, cash_end, decision_hash, self._session_no))

    # Writing

    def record_fill(self, fill: FillRow) -> None:
        """Take in a fill; raises what `flush` raises when the batch is full."""
        self._fills.append(fill)
        if len(self._fills) >= self._batch:
            self.flush()

    def record_order(self, order: OrderRow) -> None:
        """Take in the state of an order; raises what `flush` raises when the batch is full."""
        self._orders[order.order_id] = order
        if len(self._orders) >= self._batch:
            self.flush()

    def record_equity(self, sample: EquityRow) -> None:
        """Take in a sample of equity; raises what `flush` raises when the batch is full."""
        self._equity.append(sample)
        if len(self._equity) >= self._batch:
            self.flush()

    def record_capital(self, rows: Sequence[CapitalRow]) -> None:
        """Take in rows of capital that belong together; raises what `flush` raises when the batch is full.

        Raises:
            EngineFault: FS086, one of them cannot be kept; none is.
        """
        check_capital(rows)
        self._capital.extend(rows)
        if len(self._capital) >= self._batch:
            self.flush()

    def record_decision(self, decision_id: str, ts_ns: int, line: bytes) -> None:
        """Take in a decision; raises what `flush` raises when the batch is full."""
        if not self.keeps_executions:
            return
        self._decisions.append(decision_row(decision_id, ts_ns, line))
        if len(self._decisions) >= self._batch:
            self.flush()

    def decisions_durable(self) -> None:
        """Do nothing: what can be run again is written in batches, without waiting for the disk."""

    def journal_execution(self, kind: str, record: Mapping[str, object]) -> int:  # noqa: ARG002 - as asked for
        """Do nothing: what can be run again has no journal."""
        return 0

    def journal_durable(self, seq: int) -> None:
        """Do nothing, as `decisions_durable`."""

    def record_intent(
        self, intent: IntentRow, children: Sequence[ChildRow] = (), stages: Sequence[StageRow] = ()
    ) -> None:
        """Take in an execution as it stands; raises what `flush` raises when the batch is full."""
        if not self.keeps_executions:
            return
        self._executions.append(ExecutionRow(intent, tuple(children)))
        self._stages.extend(stages)
        if len(self._executions) >= self._batch:
            self.flush()

    def flush(self) -> FlushResult:
        """Write everything pending in one transaction.

        A fill whose key is in the ledger already changes nothing if its content is the same. If it is not, the first
        row stands, the new one goes to `fill_quarantine`, and everything else of the batch is written before the
        error is raised.

        Raises:
            LedgerConflict: a fill contradicts the ledger or breaks its rules.
            LedgerMismatch: more was sold than was held.
            CapitalNotKept: FS086, a row of capital contradicts one that stands.
            StoreUnavailable: the database cannot be written; everything pending is kept for the next attempt.
        """
        if not (self._fills or self._orders or self._equity or self._capital or self._decisions or self._executions):
            return FlushResult(0, 0, 0, 0)
        session = self._open_session()
        # One code for one cause: the ledger of capital has its own where nothing else is concerned.
        others = self._fills or self._orders or self._equity or self._decisions or self._executions
        with self._transaction("FS120" if others else "FS086"):
            written = booking.Books(self._db, self._account).write_run(
                self._session_no, self._broker, self._fills, self._orders.values(), self._equity
            )
            refused = capital.put_capital(self._db, self._session_no, self._account, self._scale, self._capital)
            capital.put_decisions(self._db, session.session_id, self._decisions)
            executions.put_executions(self._db, session, self._instruments, self._executions)
            executions.put_stages(self._db, self._stages)
        duplicates = len(self._fills) - written.fills - len(written.refused)
        result = FlushResult(written.fills, duplicates, len(self._orders), len(self._equity))
        self.duplicates += result.duplicates
        self._fills.clear()
        self._orders.clear()
        self._equity.clear()
        self._capital.clear()
        self._decisions.clear()
        self._executions.clear()
        self._stages.clear()
        _raise_for(written, refused)
        return result

    def _open_session(self) -> SessionRow:
        if self._session is None:
            raise UsageError(
                found="rows without a session",
                expected="begin_session first",
                hint="open a session before recording",
            )
        return self._session

    @contextmanager
    def _transaction(self, code: str = "FS120") -> Iterator[None]:
        """Commit what happens inside, or take it back; StoreUnavailable if the database does not play along."""
        try:
            with self._db:
                # IMMEDIATE takes the write lock before anything is read: what is decided on stays as it is.
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise StoreUnavailable(
                code,
                found=f"{self._name} refuses a write: {error}",
                expected="a database that takes what the engine books",
                hint="free disk space or check the disk; nothing of this batch was written, nothing of it is lost",
            ) from error

    def condition(self) -> StoreCondition:
        """Return that entries may be made: what this store cannot write it raises."""
        return StoreCondition("", ())

    # Reading

    def iter_fills(self) -> Iterator[FillRow]:
        """Return the fills of the session in the order of booking."""
        self.flush()
        return map(FillRow._make, self._db.execute(schema.FILLS_OF_SESSION, (self._session_no,)))

    def iter_orders(self) -> Iterator[OrderRow]:
        """Return the orders of the session by number."""
        self.flush()
        return map(OrderRow._make, self._db.execute(schema.ORDERS_OF_SESSION, (self._session_no,)))

    def iter_equity(self) -> Iterator[EquityRow]:
        """Return the equity samples of the session in order of time."""
        self.flush()
        return map(EquityRow._make, self._db.execute(schema.EQUITY_OF_SESSION, (self._session_no,)))

    def iter_capital_entries(self) -> Iterator[CapitalEntryRow]:
        """Return the lines of the capital ledger of the session's account in the order of booking."""
        self.flush()
        return iter(capital.entries_of(self._db, self._open_session()))

    def iter_capital_transfers(self) -> Iterator[CapitalTransferRow]:
        """Return the transfers of the session's account in the order in which they were asked for."""
        self.flush()
        return iter(capital.transfers_of(self._db, self._open_session()))

    def iter_capital_holds(self) -> Iterator[CapitalHoldRow]:
        """Return the holds of the session's account by id."""
        self.flush()
        return iter(capital.holds_of(self._db, self._open_session()))

    def iter_capital_pools(self) -> Iterator[CapitalPoolRow]:
        """Return the pools of the session's account by name."""
        self.flush()
        return iter(capital.pools_of(self._db, self._open_session()))

    def iter_decisions(self) -> Iterator[DecisionRow]:
        """Return the decisions of the session in order of time."""
        self.flush()
        return iter(capital.decisions_of(self._db, self._open_session()))

    def positions(self) -> list[PositionRow]:
        """Return every position of the session's account, closed ones included, by track and symbol."""
        self.flush()
        rows = self._db.execute(schema.POSITIONS_OF_ACCOUNT, (self._account,))
        return [PositionRow._make((*row[:-1], bool(row[-1]))) for row in rows]

    def verify(self) -> list[Difference]:
        """Derive positions and order totals from the ledger again; return what differs, empty if the books agree."""
        self.flush()
        return differences(self._db)


def _raise_for(written: booking.Written, funds: Sequence[str]) -> None:
    if written.refused:
        raise LedgerConflict(
            "FS122",
            found=written.refused[0],
            expected="a fill key that always carries the same fill",
            hint="look at the table fill_quarantine; the first row stands",
        )
    if written.oversold:
        raise LedgerMismatch(
            "FS070",
            found=f"more of {', '.join(written.oversold)} was sold than was held",
            expected="sales of what is held",
            hint="reconcile the position with the broker",
        )
    if funds:
        raise CapitalNotKept(
            "FS086",
            found=funds[0],
            expected="a key of the capital ledger that always carries the same row",
            hint="look at the table fill_quarantine; the first row stands",
        )
