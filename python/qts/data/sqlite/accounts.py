"""Positions and ledger of accounts at brokers: fills one by one or in batches, corrections, reconciliations."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock.instants import to_ns
from qts.data import mirror
from qts.data.checks import check_range
from qts.data.exceptions import DataConsistencyError, FillConflict, RowInvalid
from qts.data.ledger import facts
from qts.data.records import ALL_POOLS, POOLS, FillResult, LedgerEntry, Position, check_decimal, check_symbol
from qts.data.sqlite import schema
from qts.data.sqlite.booking import Books
from qts.data.sqlite.entries import (
    ENTRY_SELECT,
    POSITION_SELECT,
    Instruments,
    cost_of,
    details_of,
    entry_of,
    position_from,
    position_of,
    row_of,
    units,
)
from qts.money import from_units

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime

    from qts.clock import Clock
    from qts.data.contracts import FillRow, InstrumentRow
    from qts.data.records import Fill, JournalAck
    from qts.data.sqlite.pool import Pool

_ZERO: Final = Decimal(0)

_OF_RUNS: Final = (
    "SELECT t.id FROM (SELECT DISTINCT broker || ':' || account_id AS head FROM sessions WHERE account_id = :account) h"
    " JOIN t_ledger t ON t.fill_key >= h.head || ':' AND t.fill_key < h.head || ';' WHERE t.session_no <> 0"
)
"""Rows that runs have booked on an account, by the head of their keys."""

_IN_RANGE: Final = (
    f"{ENTRY_SELECT} WHERE l.id IN (SELECT id FROM ledger_details WHERE account_id = :account"  # noqa: S608 - constants
    " AND exec_ns >= :start AND exec_ns < :end"
    f" UNION ALL {_OF_RUNS} AND t.exec_ns >= :start AND t.exec_ns < :end)"
    " AND (:symbol IS NULL OR l.symbol = :symbol) ORDER BY l.id"
)

_OF_ORDER: Final = (
    f"{ENTRY_SELECT} WHERE l.id IN (SELECT id FROM ledger_details WHERE account_id = :account"  # noqa: S608 - constants
    f" AND order_id = :order UNION ALL {_OF_RUNS} AND t.order_id = :order) ORDER BY l.id"
)

_REVERSED: Final = (
    "SELECT id, entry_type, account_id, realized_pnl, symbol, pool_id, side, qty, price, amount, fee, tax,"
    " EXISTS (SELECT 1 FROM ledger_details r WHERE r.reverses_id = t.id) FROM t_ledger t WHERE fill_key = ?"
)

_OUTBOX: Final = (
    "INSERT INTO sheet_outbox (data_set, key, op, payload, created_at, next_attempt_at) VALUES (?, ?, ?, ?, ?, ?)"
)

_ACKNOWLEDGED: Final = "SELECT ifnull(max(seq), 0) FROM journal_ack WHERE journal = ?"
_ACK: Final = (
    "INSERT INTO journal_ack (journal, seq, acked_at) VALUES (?, ?, ?) ON CONFLICT (journal) DO UPDATE SET"
    " seq = excluded.seq, acked_at = excluded.acked_at WHERE excluded.seq > journal_ack.seq"
)


class _Booked(NamedTuple):
    results: list[FillResult]
    refused: list[str]
    oversold: list[str]


class Accounts:
    """What `DataSourceAdapter` has on positions and ledger."""

    _pool: Pool
    _clock: Clock
    _mirrors: bool
    _instruments: Instruments

    async def fetch_positions(self, account_id: str = "main", *, include_closed: bool = False) -> list[Position]:
        """Return the positions of an account by symbol and pool."""
        query = f"{POSITION_SELECT} WHERE p.account_id = ? AND (p.qty > 0 OR ?) ORDER BY p.symbol, p.pool_id"
        rows = await self._pool.read(lambda db: db.execute(query, (account_id, include_closed)).fetchall())
        return [position_of(row) for row in rows]

    async def get_position(self, symbol: str, pool_id: str | None = None, account_id: str = "main") -> Position | None:
        """Return the position of a pool, or the sum over pools; None if there never was one."""
        query = f"{POSITION_SELECT} WHERE p.account_id = ? AND p.symbol = ? AND (?3 IS NULL OR p.pool_id = ?3)"
        rows = await self._pool.read(lambda db: db.execute(query, (account_id, symbol, pool_id)).fetchall())
        found = [position_of(row) for row in rows]
        return found[0] if pool_id is not None and found else _sum(found)

    async def update_position(
        self, symbol: str, qty: Decimal, avg_price: Decimal, *, pool_id: str, account_id: str = "main"
    ) -> None:
        """Set a position after a reconciliation with the broker; the ledger does not change."""
        where = f"position {symbol}/{pool_id}"
        check_symbol(symbol, where)
        check_decimal(qty, "qty", where)
        check_decimal(avg_price, "avg_price", where)
        if pool_id not in POOLS:
            raise RowInvalid(found=f"pool {pool_id!r}", expected=", ".join(POOLS), hint="name one pool", where=where)

        def job(db: sqlite3.Connection) -> None:
            instrument = self._instruments.get(db, symbol, where)
            books = Books(db, account_id)
            held = books.holding((pool_id, symbol))
            held.qty = units(qty, instrument.qty_scale, "qty", where)
            held.cost_total = cost_of(qty, avg_price, instrument)
            held.opened_ns = (held.opened_ns or self._clock.now_ns()) if held.qty else None
            held.version += 1
            books.settle((pool_id, symbol))
            books.store()
            if self._mirrors:
                self._put(db, [position_from(account_id, pool_id, held, instrument, oversold=False)])

        await self._pool.write(job)

    async def apply_fill(self, fill: Fill) -> FillResult:
        """Book a fill: ledger row and position in one transaction; the same fill again is DUPLICATE.

        Raises:
            FillConflict: FS122, the key is in the ledger with other content; the row went to quarantine.
            DataConsistencyError: FS070, more was sold than was held; the ledger row stands, the position is marked.
        """
        (result,) = await self._book([LedgerEntry(entry_type="FILL", fill=fill)], None)
        return result

    async def apply_fills(self, fills: Sequence[Fill], *, ack: JournalAck | None = None) -> list[FillResult]:
        """Book fills in their order in one transaction, with the position of the journal that they came from."""
        return await self._book([LedgerEntry(entry_type="FILL", fill=fill) for fill in fills], ack)

    async def append_ledger(self, entry: LedgerEntry) -> bool:
        """Write a ledger row of any kind with its position; the realised result is derived, not taken over.

        Raises as `apply_fill`; and RowInvalid for a correction that does not fit what it corrects.
        """
        await self._book([entry], None)
        return True

    async def fetch_ledger(
        self, start: datetime, end: datetime, *, account_id: str = "main", symbol: str | None = None
    ) -> list[LedgerEntry]:
        """Return ledger rows executed in [start, end), in the order of booking."""
        first, last = check_range(start, end)
        asked = {"account": account_id, "start": to_ns(first), "end": to_ns(last), "symbol": symbol}
        rows = await self._pool.read(lambda db: db.execute(_IN_RANGE, asked).fetchall())
        return [entry_of(row) for row in rows]

    async def fetch_fills(self, order_id: str, *, account_id: str = "main") -> list[LedgerEntry]:
        """Return the ledger rows of an order, in the order of booking."""
        asked = {"account": account_id, "order": order_id}
        rows = await self._pool.read(lambda db: db.execute(_OF_ORDER, asked).fetchall())
        return [entry_of(row) for row in rows]

    async def journal_ack(self, journal: str) -> int:
        """Return the number of the last record of a journal that is in the database; 0 for none."""
        return await self._pool.read(lambda db: acknowledged(db, journal))

    # Booking

    async def _book(self, entries: Sequence[LedgerEntry], ack: JournalAck | None) -> list[FillResult]:
        def job(db: sqlite3.Connection) -> _Booked:
            booked = self._book_all(db, entries)
            self._acknowledge(db, ack)
            return booked

        booked = await self._pool.write(job)
        raise_for(booked.refused, booked.oversold)
        return booked.results

    def _book_all(self, db: sqlite3.Connection, entries: Sequence[LedgerEntry]) -> _Booked:
        instruments = [self._instruments.get(db, one.fill.symbol, f"fill {one.fill.fill_key}") for one in entries]
        rows = [row_of(one.fill, instrument) for one, instrument in zip(entries, instruments, strict=True)]
        accounts: dict[str, Books] = {}
        booked = _Booked([], [], [])
        for entry, row, instrument in zip(entries, rows, instruments, strict=True):
            account = entry.fill.account_id
            books = accounts.setdefault(account, Books(db, account))
            booked.results.append(self._book_one(db, books, entry, row, instrument, booked.oversold))
        for books in accounts.values():
            books.store()
            booked.refused.extend(books.refused)
        return booked

    def _book_one(
        self,
        db: sqlite3.Connection,
        books: Books,
        entry: LedgerEntry,
        row: FillRow,
        instrument: InstrumentRow,
        oversold: list[str],
    ) -> FillResult:
        fill, kind, place = entry.fill, entry.entry_type, (row.track, row.symbol)
        known = db.execute(schema.FILL_BY_KEY, (fill.fill_key,)).fetchone()
        if known is not None:
            if known != facts(kind, row):
                content = json.dumps([kind, *row], ensure_ascii=False)
                books.quarantine(fill.fill_key, 0, f"the ledger has {known} under this key", content)
            return FillResult("DUPLICATE", self._as_it_stands(books, fill, instrument))
        reverses_id, reversed_result = _reversed_by(db, entry, row)
        held = books.holding(place)
        marked, held.oversold = held.oversold, 0
        realized = held.book(kind, row, fill.fill_key, reversed_result)
        if held.oversold:
            oversold.append(f"{row.symbol}/{row.track}")
        elif kind == "RECON_ADJ":
            books.settle(place)
        else:
            held.oversold = marked
        self._insert(db, entry, row, realized, reverses_id)
        position = self._as_it_stands(books, fill, instrument)
        if self._mirrors:
            self._put(db, [_with_result(entry, realized, instrument), position])
        return FillResult("INSERTED", position)

    def _insert(
        self, db: sqlite3.Connection, entry: LedgerEntry, row: FillRow, realized: int | None, reverses_id: int | None
    ) -> None:
        fill = entry.fill
        details = details_of(fill, reverses_id)
        head = (fill.fill_key, entry.entry_type, fill.account_id, realized)
        number = db.execute(schema.ENTRY_INSERT, (*head, *row)).lastrowid
        db.execute(schema.DETAILS_INSERT, (number, *details))

    def _as_it_stands(self, books: Books, fill: Fill, instrument: InstrumentRow) -> Position:
        place = (fill.pool_id, fill.symbol)
        held, in_question = books.holding(place), books.is_in_question(place)
        return position_from(fill.account_id, fill.pool_id, held, instrument, oversold=in_question)

    def _put(self, db: sqlite3.Connection, changes: Sequence[LedgerEntry | Position]) -> None:
        """Put changes into the outbox."""
        now = self._clock.now_ns() // 1_000
        for change in changes:
            head: tuple[str, str, str]
            payload: dict[str, Any]
            if isinstance(change, LedgerEntry):
                head, payload = (mirror.LEDGER, change.fill.fill_key, "APPEND"), mirror.ledger_payload(change)
            else:
                key = mirror.position_key(change.account_id, change.pool_id, change.symbol)
                head, payload = (mirror.POSITION, key, "UPSERT"), mirror.position_payload(change)
            db.execute(_OUTBOX, (*head, json.dumps(payload, ensure_ascii=False), now, now))

    def _acknowledge(self, db: sqlite3.Connection, ack: JournalAck | None) -> None:
        """Note how far a journal is in the database; never back."""
        if ack is not None:
            db.execute(_ACK, (ack.journal, ack.seq, self._clock.now_ns() // 1_000))


def acknowledged(db: sqlite3.Connection, journal: str) -> int:
    """Return the number of the last record of a journal that is in the database; 0 for none."""
    found: int = db.execute(_ACKNOWLEDGED, (journal,)).fetchone()[0]
    return found


def raise_for(refused: Sequence[str], oversold: Sequence[str]) -> None:
    """Raise for what the ledger refused, or for positions that are in question.

    Raises:
        FillConflict: FS122.
        DataConsistencyError: FS070.
    """
    if refused:
        raise FillConflict(
            found=refused[0],
            expected="a fill key that always carries the same fill",
            hint="look at the table fill_quarantine; the first row stands",
            code="FS122",
        )
    if oversold:
        raise DataConsistencyError(
            found=f"more of {', '.join(dict.fromkeys(oversold))} was sold than was held",
            expected="sales of what is held",
            hint="reconcile the position with the broker",
            code="FS070",
        )


def _reversed_by(db: sqlite3.Connection, entry: LedgerEntry, row: FillRow) -> tuple[int | None, int | None]:
    """Return number and realised result of the entry that is taken back; RowInvalid if a correction makes no sense."""
    where = f"{entry.entry_type} {entry.fill.fill_key}"
    if entry.entry_type == "FEE_ADJ" and row.amount:
        raise RowInvalid(found=f"amount {row.amount}", expected="0: a fee moves nothing", hint="mend it", where=where)
    if entry.entry_type != "REVERSAL":
        return None, None
    found = db.execute(_REVERSED, (entry.reverses_key,)).fetchone()
    hint = "a reversal repeats the entry that it takes back, under a key of its own"
    if found is None or found[1] not in {"FILL", "RECON_ADJ"}:
        raise RowInvalid(
            found=f"no fill {entry.reverses_key}", expected="the key of a fill in the ledger", hint=hint, where=where
        )
    number, _, account, realized, *figures, is_reversed = found
    given = [row.symbol, row.track, row.side, row.qty, row.price, row.amount, row.fee, row.tax]
    if is_reversed:
        raise RowInvalid(
            found=f"{entry.reverses_key} again", expected="an entry not taken back yet", hint=hint, where=where
        )
    if account != entry.fill.account_id or figures != given:
        raise RowInvalid(found=f"{given}", expected=f"{figures} of {entry.reverses_key}", hint=hint, where=where)
    return number, realized


def _with_result(entry: LedgerEntry, realized: int | None, instrument: InstrumentRow) -> LedgerEntry:
    result = None if realized is None else from_units(realized, instrument.money_scale)
    return LedgerEntry(
        entry_type=entry.entry_type, fill=entry.fill, realized_pnl=result, reverses_key=entry.reverses_key
    )


def _sum(positions: Sequence[Position]) -> Position | None:
    if not positions:
        return None
    opened = [position.opened_at for position in positions if position.opened_at is not None]
    first = positions[0]
    return Position(
        account_id=first.account_id,
        pool_id=ALL_POOLS,
        symbol=first.symbol,
        qty=sum((position.qty for position in positions), _ZERO),
        cost_total=sum((position.cost_total for position in positions), _ZERO),
        realized_pnl=sum((position.realized_pnl for position in positions), _ZERO),
        currency=first.currency,
        opened_at=min(opened, default=None),
        version=sum(position.version for position in positions),
        oversold=any(position.oversold for position in positions),
    )
