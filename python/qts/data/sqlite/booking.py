"""Writes books inside a transaction that somebody else has begun: of runs in batches, of brokers' fills one by one."""

from __future__ import annotations

import sqlite3
from copy import copy
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.codes import UsageError
from qts.data.contracts import CORPORATE_ORDER, InstrumentRow
from qts.data.ledger import SEPARATOR, Holding, facts, key_of
from qts.data.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qts.data.contracts import CurrencyRow, EquityRow, FillRow, OrderRow, SessionRow

Place = tuple[str, str]
"""Pool and symbol."""

NO_SESSION: Final = 0

_REFUSED: Final = (sqlite3.IntegrityError, OverflowError)


def register(
    db: sqlite3.Connection, name: str, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]
) -> None:
    """Make currencies and instruments known.

    Raises:
        UsageError: a currency or symbol is in the database with other scales.
    """
    for currency in currencies:
        known = db.execute("SELECT code, scale FROM currencies WHERE code = ?", (currency.code,)).fetchone()
        if known is None:
            db.execute("INSERT INTO currencies (code, scale) VALUES (?, ?)", currency)
        elif known[1] != currency.scale:
            raise _other_scale(name, currency.code, f"scale {currency.scale}", f"scale {known[1]}")
    for row in instruments:
        known = db.execute(schema.INSTRUMENT_BY_SYMBOL, (row.symbol,)).fetchone()
        if known is None:
            db.execute(
                "INSERT INTO instruments (symbol, name, currency, price_scale, qty_scale, money_scale)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        elif InstrumentRow(*known)[2:] != row[2:]:
            raise _other_scale(name, row.symbol, f"currency and scales {row[2:]}", str(tuple(known[2:])))
        else:
            db.execute("UPDATE instruments SET name = ? WHERE symbol = ?", (row.name, row.symbol))


def _other_scale(name: str, what: str, found: str, expected: str) -> UsageError:
    return UsageError(
        found=f"{what} with {found}",
        expected=f"{expected}, with which {name} counts it",
        hint="put the old scale back into reference/instruments.yaml, or start with another QTS_HOME",
    )


def check_names(session: SessionRow) -> None:
    """Raise UsageError if the broker or account of a session cannot be part of a fill key."""
    for name in (session.broker, session.account_id):
        if SEPARATOR in name or not name:
            raise UsageError(
                found=f"broker or account name {name!r}",
                expected="a name without a colon",
                hint="a fill key joins broker, account, date, order and execution with colons",
            )


def begin_session(db: sqlite3.Connection, name: str, session: SessionRow) -> int:
    """Open a session and return its number.

    Raises:
        UsageError: it exists already, its currency is not registered, or a name contains a colon.
    """
    check_names(session)
    try:
        return db.execute(schema.SESSION_INSERT, session).lastrowid or NO_SESSION
    except sqlite3.IntegrityError as error:
        raise UsageError(
            found=f"session {session.session_id!r} in {session.currency} ({error})",
            expected=f"a session id that is new to {name}, and a registered currency",
            hint="give every run its own id",
        ) from error


class Written(NamedTuple):
    """What became of the rows of a run."""

    fills: int
    refused: list[str]
    """One sentence for each fill that went to quarantine."""
    oversold: list[str]
    """Positions whose quantity is in question."""


class Books:
    """Positions of one account while rows are booked to them, in one transaction."""

    def __init__(self, db: sqlite3.Connection, account_id: str) -> None:
        self._db = db
        self._account = account_id
        self._touched: dict[Place, Holding] = {}
        self._marked: set[Place] = set()
        self._versions: dict[Place, int] = {}
        self.refused: list[str] = []
        """One sentence for each fill that went to quarantine."""

    @property
    def touched(self) -> dict[Place, Holding]:
        """Positions that were read or changed."""
        return self._touched

    def holding(self, place: Place) -> Holding:
        """Return a position, from the database when it is asked for first; its mark tells of this transaction only."""
        found = self._touched.get(place)
        if found is None:
            row = self._db.execute(schema.POSITION_BY_KEY, (self._account, *place)).fetchone()
            found = self._touched[place] = Holding(*(row or ()))
            self._versions[place] = found.version
            if found.oversold:
                found.oversold = 0
                self._marked.add(place)
        return found

    def is_in_question(self, place: Place) -> bool:
        """Whether more was sold than was held, now or before."""
        return place in self._marked or bool(self.holding(place).oversold)

    def settle(self, place: Place) -> None:
        """Take the mark off a position that was reconciled with the broker."""
        self.holding(place).oversold = 0
        self._marked.discard(place)

    def store(self) -> None:
        """Write the positions that have changed."""
        self._db.executemany(
            schema.POSITION_UPSERT,
            [
                (
                    self._account,
                    *place,
                    held.qty,
                    held.cost_total,
                    held.realized_pnl,
                    held.opened_ns,
                    held.last_fill_key,
                    held.version,
                    int(self.is_in_question(place)),
                )
                for place, held in self._touched.items()
                if held.version != self._versions[place]
            ],
        )

    def quarantine(self, key: str, session_no: int, cause: str, content: str) -> None:
        """Put a fill that the ledger refuses where a person finds it."""
        self._db.execute(schema.QUARANTINE, (key, session_no, cause, content))
        self.refused.append(f"fill {key}: {cause}")

    def write_run(
        self,
        session_no: int,
        broker: str,
        fills: Sequence[FillRow],
        orders: Iterable[OrderRow],
        equity: Iterable[EquityRow],
    ) -> Written:
        """Write rows of a run: fills with their positions, orders as they stand, samples of equity."""
        written = self._write_fills(session_no, broker, fills) if fills else 0
        self.store()
        self._db.executemany(schema.ORDER_UPSERT, [(session_no, *row) for row in orders])
        self._db.executemany(schema.EQUITY_INSERT, [(session_no, *row) for row in equity])
        oversold = [f"{symbol}/{pool}" for (pool, symbol), held in self._touched.items() if held.oversold]
        return Written(written, self.refused, oversold)

    def _write_fills(self, session_no: int, broker: str, fills: Sequence[FillRow]) -> int:
        """Write fills and return how many were new."""
        head = f"{broker}{SEPARATOR}{self._account}{SEPARATOR}"
        size = schema.ROWS_AT_ONCE
        whole = len(fills) - len(fills) % size
        if any(fill.order_id == CORPORATE_ORDER for fill in fills):
            return sum(self._write_fill(session_no, head, fill) for fill in fills)
        self._db.execute("SAVEPOINT fills")
        try:
            parts = (fills[start : start + size] for start in range(0, whole, size))
            self._db.executemany(schema.FILLS_INSERT, (self._book_part(session_no, head, part) for part in parts))
            self._db.executemany(schema.FILL_INSERT, [self._book(session_no, head, fill) for fill in fills[whole:]])
        except _REFUSED:
            # Something in the batch is not new or not valid: take it back and go through it row by row.
            self._db.execute("ROLLBACK TO fills")
            self._touched.clear()
            self._marked.clear()
            written = sum(self._write_fill(session_no, head, fill) for fill in fills)
        else:
            written = len(fills)
        self._db.execute("RELEASE fills")
        return written

    def _book(self, session_no: int, head: str, fill: FillRow) -> tuple[object, ...]:
        """Apply a fill to its position and return its ledger row."""
        key = key_of(head, fill)
        held = self._touched.get((fill.track, fill.symbol)) or self.holding((fill.track, fill.symbol))
        result = held.apply(fill, key) if fill.order_id != CORPORATE_ORDER else held.adjust(fill, key)
        return (key, session_no, self._account, result, *fill)

    def _book_part(self, session_no: int, head: str, fills: Sequence[FillRow]) -> list[object]:
        """Apply fills to their positions and return their ledger rows, one behind the other."""
        values: list[object] = []
        for fill in fills:
            values += self._book(session_no, head, fill)
        return values

    def _write_fill(self, session_no: int, head: str, fill: FillRow) -> bool:
        """Write a fill that may not be new or not be valid; say whether it was written."""
        key = key_of(head, fill)
        known = self._db.execute(schema.FILL_BY_KEY, (key,)).fetchone()
        if known is not None and known == facts(fill.entry_type, fill):
            return False
        cause = f"the ledger has {known} under this key"
        if known is None:
            place = (fill.track, fill.symbol)
            before = copy(self._touched.get(place))
            try:
                insert = schema.FILL_INSERT if fill.entry_type == "FILL" else schema.ADJUSTMENT_INSERT
                self._db.execute(insert, self._book(session_no, head, fill))
            except _REFUSED as error:
                cause = str(error)
                if before is None:
                    del self._touched[place]
                else:
                    self._touched[place] = before
            else:
                return True
        self.quarantine(key, session_no, cause, repr(tuple(fill)))
        return False
