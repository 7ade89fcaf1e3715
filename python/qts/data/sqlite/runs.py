"""The books of runs, for callers in an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from qts.codes import UsageError
from qts.data.capital import raise_conflicts
from qts.data.contracts import Difference, EquityRow, FillRow, OrderRow, PositionRow
from qts.data.sqlite import booking, capital, schema
from qts.data.sqlite.accounts import Accounts, acknowledged, raise_for
from qts.data.sqlite.entries import ENTRY_SELECT, entry_of, position_from
from qts.data.sqlite.executions import put_executions
from qts.data.sqlite.verify import differences

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from qts.data.contracts import (
        CapitalEntryRow,
        CapitalHoldRow,
        CapitalPoolRow,
        CapitalRow,
        CapitalTransferRow,
        DecisionRow,
        ExecutionRow,
        SessionRow,
        SessionStatus,
    )
    from qts.data.records import JournalAck

_T = TypeVar("_T")

_NEW: Final = f"{ENTRY_SELECT} WHERE l.id > ? AND l.session_no = ? ORDER BY l.id"


class Runs(Accounts):
    """What `RunBooks` asks for."""

    async def begin_run(self, session: SessionRow) -> None:
        """Open the books of a run; UsageError if its id is taken."""
        name = self._pool.name

        def job(db: sqlite3.Connection) -> None:
            booking.begin_session(db, name, session)

        await self._pool.write(job)

    async def write_run(
        self,
        session: SessionRow,
        fills: Sequence[FillRow],
        orders: Sequence[OrderRow],
        equity: Sequence[EquityRow],
        *,
        ack: JournalAck | None = None,
        funds: Sequence[CapitalRow] = (),
        decisions: Sequence[DecisionRow] = (),
        executions: Sequence[ExecutionRow] = (),
    ) -> int:
        """Write rows of a run in one transaction; return how many fills were in the ledger already.

        Raises:
            FillConflict: FS122, a fill contradicts the ledger or breaks its rules; everything else is written.
            DataConsistencyError: FS070, more was sold than was held; everything is written.
            CapitalConflict: FS086, a row of capital contradicts one that stands; everything else is written.
        """

        def job(db: sqlite3.Connection) -> tuple[booking.Written, list[str]]:
            number = _number(db, session)
            last = db.execute("SELECT ifnull(max(id), 0) FROM t_ledger").fetchone()[0]
            books = booking.Books(db, session.account_id)
            latest = {row.order_id: row for row in orders}
            # Samples have no key of their own: the journal says whether they are in.
            samples = equity if ack is None or ack.seq > acknowledged(db, ack.journal) else ()
            written = books.write_run(number, session.broker, fills, latest.values(), samples)
            if self._mirrors:
                self._mirror(db, books, session, last, number)
            refused = _put_funds(db, session, number, funds)
            capital.put_decisions(db, session.session_id, decisions)
            put_executions(db, session, self._instruments, executions)
            self._acknowledge(db, ack)
            return written, refused

        written, refused = await self._pool.write(job)
        raise_for(written.refused, written.oversold)
        raise_conflicts(refused)
        return len(fills) - written.fills

    def _mirror(
        self, db: sqlite3.Connection, books: booking.Books, session: SessionRow, last: int, number: int
    ) -> None:
        """Put what was written into the outbox: every new ledger row, and each position as it stands."""
        entries = [entry_of(row) for row in db.execute(_NEW, (last, number)).fetchall()]
        self._put(db, entries)
        for place in dict.fromkeys((entry.fill.pool_id, entry.fill.symbol) for entry in entries):
            instrument = self._instruments.get(db, place[1], f"position {place[1]}")
            held, doubtful = books.holding(place), books.is_in_question(place)
            self._put(db, [position_from(session.account_id, place[0], held, instrument, oversold=doubtful)])

    async def end_run(
        self, session: SessionRow, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str
    ) -> None:
        """Close the books of a run."""

        def job(db: sqlite3.Connection) -> None:
            db.execute(schema.SESSION_END, (status, ended_ns, cash_end, decision_hash, _number(db, session)))

        await self._pool.write(job)

    async def run_fills(self, session: SessionRow) -> list[FillRow]:
        """Return the fills of a run in the order of booking."""
        return [FillRow._make(row) for row in await self._of_run(schema.FILLS_OF_SESSION, session)]

    async def run_orders(self, session: SessionRow) -> list[OrderRow]:
        """Return the orders of a run by number."""
        return [OrderRow._make(row) for row in await self._of_run(schema.ORDERS_OF_SESSION, session)]

    async def run_equity(self, session: SessionRow) -> list[EquityRow]:
        """Return the equity samples of a run in order of time."""
        return [EquityRow._make(row) for row in await self._of_run(schema.EQUITY_OF_SESSION, session)]

    async def run_positions(self, session: SessionRow) -> list[PositionRow]:
        """Return every position of the run's account, closed ones included, by track and symbol."""
        account = (session.account_id,)
        rows = await self._pool.read(lambda db: db.execute(schema.POSITIONS_OF_ACCOUNT, account).fetchall())
        return [PositionRow._make((*row[:-1], bool(row[-1]))) for row in rows]

    async def run_entries(
        self,
        session: SessionRow,
        *,
        pool_id: str | None = None,
        cause: str | None = None,
        since_ns: int | None = None,
        newest: int | None = None,
    ) -> list[CapitalEntryRow]:
        """Return lines of the capital ledger of the run's account in the order of booking."""
        return await self._funds(
            session,
            lambda db: capital.entries_of(db, session, pool_id=pool_id, cause=cause, since_ns=since_ns, newest=newest),
        )

    async def run_transfers(self, session: SessionRow) -> list[CapitalTransferRow]:
        """Return the transfers of the run's account in the order in which they were asked for."""
        return await self._funds(session, lambda db: capital.transfers_of(db, session))

    async def run_holds(self, session: SessionRow) -> list[CapitalHoldRow]:
        """Return the holds of the run's account by id."""
        return await self._funds(session, lambda db: capital.holds_of(db, session))

    async def run_pools(self, session: SessionRow) -> list[CapitalPoolRow]:
        """Return the pools of the run's account by name."""
        return await self._funds(session, lambda db: capital.pools_of(db, session))

    async def run_decisions(self, session: SessionRow) -> list[DecisionRow]:
        """Return the decisions of a run in order of time."""
        return await self._funds(session, lambda db: capital.decisions_of(db, session))

    async def verify(self, account_id: str | None = None) -> list[Difference]:
        """Derive the books of an account, or of all, from the ledger again; return what differs."""
        return await self._pool.read(lambda db: differences(db, account_id))

    async def _funds(self, session: SessionRow, read: Callable[[sqlite3.Connection], list[_T]]) -> list[_T]:
        def job(db: sqlite3.Connection) -> list[_T]:
            _number(db, session)
            return read(db)

        return await self._pool.read(job)

    async def _of_run(self, query: str, session: SessionRow) -> list[tuple[object, ...]]:
        return await self._pool.read(lambda db: db.execute(query, (_number(db, session),)).fetchall())


def _put_funds(db: sqlite3.Connection, session: SessionRow, number: int, rows: Sequence[CapitalRow]) -> list[str]:
    if not rows:
        return []
    return capital.put_capital(db, number, session.account_id, capital.scale_of(db, session), rows)


def _number(db: sqlite3.Connection, session: SessionRow) -> int:
    """Return the number of a session; UsageError if it was never begun."""
    row = db.execute("SELECT no FROM sessions WHERE session_id = ?", (session.session_id,)).fetchone()
    if row is None:
        raise UsageError(
            found=f"run {session.session_id!r}, which has no books", expected="begin_run first", hint="begin the run"
        )
    number: int = row[0]
    return number
