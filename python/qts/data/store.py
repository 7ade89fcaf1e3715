"""The embedded store: ledger, positions, orders and equity in one SQLite database."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Final, Self

from qts.codes import UsageError
from qts.data import schema
from qts.data.connection import open_database
from qts.data.contracts import (
    CurrencyRow,
    Difference,
    EquityRow,
    FillRow,
    FlushResult,
    InstrumentRow,
    OrderRow,
    PositionRow,
    SessionRow,
)
from qts.data.exceptions import LedgerConflict, LedgerMismatch, StoreUnavailable
from qts.data.ledger import SEPARATOR, Holding, fill_key
from qts.data.verify import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from qts.data.contracts import SessionStatus

_BATCH: Final = 512
"""Rows that one transaction takes; a commit costs about as much as 50 rows."""

_NO_SESSION: Final = 0


class SQLiteStore:
    """Durable books of one account at a time.

    Rows are collected and written in batches, each in one transaction: a ledger row and the position that it changes
    are seen together or not at all, whenever the process dies. What `flush` has returned from is on the disk. Use it
    from one thread at a time.

    Args:
        path: the database file, created with its directory if absent; None for a temporary database on disk, gone
            when the store is closed.
        batch: rows collected before they are written.

    Raises:
        UsageError: the file cannot be opened or is not one of ours.
    """

    def __init__(self, path: Path | None = None, *, batch: int = _BATCH) -> None:
        self._name = "temporary database" if path is None else str(path)
        self._db = open_database(path)
        self._batch = batch
        self._session_no = _NO_SESSION
        self._broker = ""
        self._account = ""
        self._fills: list[FillRow] = []
        self._orders: dict[int, OrderRow] = {}
        self._equity: list[EquityRow] = []
        self.duplicates = 0
        """Fills of this session that were in the ledger already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            for currency in currencies:
                self._register_currency(currency)
            for instrument in instruments:
                self._register_instrument(instrument)

    def _register_currency(self, row: CurrencyRow) -> None:
        known = self._db.execute("SELECT code, scale FROM currencies WHERE code = ?", (row.code,)).fetchone()
        if known is None:
            self._db.execute("INSERT INTO currencies (code, scale) VALUES (?, ?)", row)
        elif known[1] != row.scale:
            raise self._other_scale(row.code, f"scale {row.scale}", f"scale {known[1]}")

    def _register_instrument(self, row: InstrumentRow) -> None:
        known = self._db.execute(
            "SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments WHERE symbol = ?",
            (row.symbol,),
        ).fetchone()
        if known is None:
            self._db.execute(
                "INSERT INTO instruments (symbol, name, currency, price_scale, qty_scale, money_scale)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            return
        if InstrumentRow(*known)[2:] != row[2:]:
            raise self._other_scale(row.symbol, f"currency and scales {row[2:]}", str(tuple(known[2:])))
        self._db.execute("UPDATE instruments SET name = ? WHERE symbol = ?", (row.name, row.symbol))

    def _other_scale(self, what: str, found: str, expected: str) -> UsageError:
        return UsageError(
            found=f"{what} with {found}",
            expected=f"{expected}, with which {self._name} counts it",
            hint="put the old scale back into reference/instruments.yaml, or start with another QTS_HOME",
        )

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
        for name in (session.broker, session.account_id):
            if SEPARATOR in name or not name:
                raise UsageError(
                    found=f"broker or account name {name!r}",
                    expected="a name without a colon",
                    hint="a fill key joins broker, account, date, order and execution with colons",
                )
        self.flush()
        with self._transaction():
            try:
                cursor = self._db.execute(
                    "INSERT INTO sessions (session_id, mode, strategy, broker, account_id, currency, cash_start,"
                    " started_ns, config_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    session,
                )
            except sqlite3.IntegrityError as error:
                raise UsageError(
                    found=f"session {session.session_id!r} in {session.currency} ({error})",
                    expected=f"a session id that is new to {self._name}, and a registered currency",
                    hint="give every run its own id",
                ) from error
        self._session_no = cursor.lastrowid or _NO_SESSION
        self._broker = session.broker
        self._account = session.account_id
        self.duplicates = 0

    def end_session(self, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str) -> None:
        """Write what is pending and close the session. `ended_ns` is wall-clock time.

        Raises:
            StoreUnavailable: the database cannot be written.
        """
        self.flush()
        with self._transaction():
            self._db.execute(
                "UPDATE sessions SET status = ?, ended_ns = ?, cash_end = ?, decision_hash = ? WHERE no = ?",
                (status, ended_ns, cash_end, decision_hash, self._session_no),
            )

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

    def flush(self) -> FlushResult:
        """Write everything pending in one transaction.

        A fill whose key is in the ledger already changes nothing if its content is the same. If it is not, the first
        row stands, the new one goes to `fill_quarantine`, and everything else of the batch is written before the
        error is raised.

        Raises:
            LedgerConflict: a fill contradicts the ledger or breaks its rules.
            LedgerMismatch: more was sold than was held.
            StoreUnavailable: the database cannot be written; everything pending is kept for the next attempt.
        """
        if not (self._fills or self._orders or self._equity):
            return FlushResult(0, 0, 0, 0)
        if self._session_no == _NO_SESSION:
            raise UsageError(
                found="rows without a session",
                expected="begin_session first",
                hint="open a session before recording",
            )
        refused: list[str] = []
        touched: dict[tuple[str, str], Holding] = {}
        with self._transaction():
            written = self._write_fills(touched, refused)
            self._write_rest(touched)
        result = FlushResult(written, len(self._fills) - written - len(refused), len(self._orders), len(self._equity))
        self.duplicates += result.duplicates
        self._fills.clear()
        self._orders.clear()
        self._equity.clear()
        self._raise_for(refused, touched)
        return result

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what happens inside, or take it back; StoreUnavailable if the database does not play along."""
        try:
            with self._db:
                # IMMEDIATE takes the write lock before anything is read: what is decided on stays as it is.
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise StoreUnavailable(
                "FS120",
                found=f"{self._name} refuses a write: {error}",
                expected="a database that takes what the engine books",
                hint="free disk space or check the disk; nothing of this batch was written, nothing of it is lost",
            ) from error

    def _write_fills(self, touched: dict[tuple[str, str], Holding], refused: list[str]) -> int:
        """Write the pending fills and return how many were new."""
        if not self._fills:
            return 0
        rows = [self._book(fill, touched) for fill in self._fills]
        self._db.execute("SAVEPOINT fills")
        try:
            self._db.executemany(schema.FILL_INSERT, rows)
        except (sqlite3.IntegrityError, OverflowError):
            # Something in the batch is not new or not valid: take it back and go through it row by row.
            self._db.execute("ROLLBACK TO fills")
            touched.clear()
            written = sum(self._write_one_fill(fill, touched, refused) for fill in self._fills)
        else:
            written = len(rows)
        self._db.execute("RELEASE fills")
        return written

    def _book(self, fill: FillRow, touched: dict[tuple[str, str], Holding]) -> tuple[object, ...]:
        """Apply a fill to its position and return its ledger row."""
        key = fill_key(self._broker, self._account, fill)
        place = (fill.track, fill.symbol)
        holding = touched.get(place)
        if holding is None:
            holding = touched[place] = self._load_holding(place)
        return (key, self._session_no, self._account, holding.apply(fill, key), *fill)

    def _load_holding(self, place: tuple[str, str]) -> Holding:
        row = self._db.execute(schema.POSITION_BY_KEY, (self._account, *place)).fetchone()
        return Holding(*(row or ()))

    def _write_one_fill(self, fill: FillRow, touched: dict[tuple[str, str], Holding], refused: list[str]) -> bool:
        """Write a fill that may not be new or not be valid; say whether it was written."""
        key = fill_key(self._broker, self._account, fill)
        known = self._db.execute(schema.FILL_BY_KEY, (key,)).fetchone()
        if known == tuple(fill):
            return False
        cause = f"the ledger has {known} under this key"
        if known is None:
            place = (fill.track, fill.symbol)
            before = copy(touched[place]) if place in touched else None
            try:
                self._db.execute(schema.FILL_INSERT, self._book(fill, touched))
            except (sqlite3.IntegrityError, OverflowError) as error:
                cause = str(error)
                if before is None:
                    del touched[place]
                else:
                    touched[place] = before
            else:
                return True
        self._db.execute(
            "INSERT INTO fill_quarantine (fill_key, session_no, cause, content) VALUES (?, ?, ?, ?)",
            (key, self._session_no, cause, repr(tuple(fill))),
        )
        refused.append(f"fill {key}: {cause}")
        return False

    def _write_rest(self, touched: dict[tuple[str, str], Holding]) -> None:
        self._db.executemany(
            schema.POSITION_UPSERT,
            [
                (
                    self._account,
                    track,
                    symbol,
                    holding.qty,
                    holding.cost_total,
                    holding.realized_pnl,
                    holding.opened_ns,
                    holding.last_fill_key,
                    holding.version,
                    holding.oversold,
                )
                for (track, symbol), holding in touched.items()
            ],
        )
        self._db.executemany(schema.ORDER_UPSERT, [(self._session_no, *row) for row in self._orders.values()])
        self._db.executemany(
            "INSERT INTO equity (session_no, ts_ns, cash, market_value) VALUES (?, ?, ?, ?)",
            [(self._session_no, *row) for row in self._equity],
        )

    def _raise_for(self, refused: list[str], touched: dict[tuple[str, str], Holding]) -> None:
        if refused:
            raise LedgerConflict(
                "FS122",
                found=refused[0],
                expected="a fill key that always carries the same fill",
                hint="look at the table fill_quarantine; the first row stands",
            )
        oversold = [f"{symbol}/{track}" for (track, symbol), holding in touched.items() if holding.oversold]
        if oversold:
            raise LedgerMismatch(
                "FS070",
                found=f"more of {', '.join(oversold)} was sold than was held",
                expected="sales of what is held",
                hint="reconcile the position with the broker",
            )

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
        query = "SELECT ts_ns, cash, market_value FROM equity WHERE session_no = ? ORDER BY no"
        return map(EquityRow._make, self._db.execute(query, (self._session_no,)))

    def positions(self) -> list[PositionRow]:
        """Return every position of the session's account, closed ones included, by track and symbol."""
        self.flush()
        rows = self._db.execute(schema.ALL_POSITIONS)
        return [PositionRow._make((*row[:-1], bool(row[-1]))) for row in rows if row[0] == self._account]

    def verify(self) -> list[Difference]:
        """Derive positions and order totals from the ledger again; return what differs, empty if the books agree."""
        self.flush()
        return differences(self._db)
