"""Books rows of the ledger in one transaction: each once, with the positions that they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock.instants import from_ns
from qts.data import mirror
from qts.data.corrections import Line, book
from qts.data.exceptions import DataConsistencyError, FillConflict, RowInvalid
from qts.data.ledger import Holding
from qts.data.postgres.rows import ENTRY_COLUMNS, entry_values, position_of
from qts.data.records import FillResult, LedgerEntry, Position
from qts.data.rows import checked_row
from qts.data.scales import check_currency, from_units, to_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from qts.data.contracts import InstrumentRow
    from qts.data.postgres.link import Link
    from qts.data.records import JournalAck

Place = tuple[str, str, str]
"""Account, pool, symbol."""

_ACCOUNT_LOCK: Final = 0x515453
"""Class of the advisory locks under which one transaction at a time books for an account."""

_STEP: Final = 500
"""Rows that one statement inserts: each has a deadline of its own."""

_LOCK: Final = "SELECT pg_advisory_xact_lock($1::int, hashtext($2))"

_KNOWN: Final = (
    "SELECT l.id, l.fill_key, l.entry_type, l.account_id, l.pool_id, l.symbol, l.side, l.qty, l.price, l.amount, l.fee,"
    " l.tax, l.currency, l.exec_ns, l.realized_pnl, r.fill_key AS reverses_key,"
    " (SELECT b.fill_key FROM t_ledger b WHERE b.reverses_id = l.id LIMIT 1) AS taken_back_by"
    " FROM t_ledger l LEFT JOIN t_ledger r ON r.id = l.reverses_id WHERE l.fill_key = ANY($1::text[])"
)

_POSITIONS: Final = (
    "SELECT p.account_id, p.pool_id, p.symbol, p.qty, p.cost_total, p.realized_pnl, p.opened_ns, p.last_fill_key,"
    " p.version, p.oversold FROM positions p"
    " JOIN unnest($1::text[], $2::text[], $3::text[]) AS w (account_id, pool_id, symbol)"
    " ON p.account_id = w.account_id AND p.pool_id = w.pool_id AND p.symbol = w.symbol FOR UPDATE OF p"
)

_INSERT: Final = (
    f"INSERT INTO t_ledger ({', '.join(name for name, _ in ENTRY_COLUMNS)}) SELECT "  # noqa: S608 - names from above
    + ", ".join("w.raw::jsonb" if name == "raw" else f"w.{name}" for name, _ in ENTRY_COLUMNS)
    + " FROM unnest("
    + ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(ENTRY_COLUMNS, start=1))
    + f") WITH ORDINALITY AS w ({', '.join(name for name, _ in ENTRY_COLUMNS)}, line)"
    " ORDER BY w.line ON CONFLICT (fill_key) DO NOTHING RETURNING fill_key"
)

POSITION_UPSERT: Final = (
    "INSERT INTO positions (account_id, pool_id, symbol, qty, cost_total, avg_price, opened_at, currency, realized_pnl,"
    " last_fill_key, version, oversold, opened_ns, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)"
    " ON CONFLICT (account_id, pool_id, symbol) DO UPDATE SET qty = excluded.qty, cost_total = excluded.cost_total,"
    " avg_price = excluded.avg_price, opened_at = excluded.opened_at, realized_pnl = excluded.realized_pnl,"
    " last_fill_key = excluded.last_fill_key, version = excluded.version, oversold = excluded.oversold,"
    " opened_ns = excluded.opened_ns, updated_at = excluded.updated_at"
)

_QUARANTINE: Final = "INSERT INTO fill_quarantine (fill_key, cause, content, at) VALUES ($1, $2, $3, $4)"

_OUTBOX: Final = (
    "INSERT INTO sheet_outbox (data_set, key, op, payload, created_at, next_attempt_at) VALUES ($1, $2, $3, $4, $5, $5)"
)

_ACK: Final = (
    "INSERT INTO journal_ack (journal, seq, acked_at) VALUES ($1, $2, $3) ON CONFLICT (journal)"
    " DO UPDATE SET seq = greatest(journal_ack.seq, excluded.seq), acked_at = excluded.acked_at"
)


class Raced(Exception):  # noqa: N818 - not an error: the transaction is done again
    """Somebody who does not keep to the locks has written one of the rows meanwhile."""


class Identity(NamedTuple):
    """What makes a ledger row the one it is. When and by whom it was heard of does not."""

    entry_type: str
    account_id: str
    pool_id: str
    symbol: str
    side: str
    qty: Any
    price: Any
    amount: Any
    fee: Any
    tax: Any
    currency: str
    exec_ns: int
    reverses_key: str | None


class Booked(NamedTuple):
    """What became of a batch."""

    results: list[FillResult | None]
    """One for each row, in their order; None for one that was refused."""
    refused: list[str]
    """What the ledger has against rows, in words."""
    oversold: list[str]
    """Positions of which more was sold than was held, by rows of this batch."""

    def check(self) -> None:
        """Raise for what was refused or oversold; everything else is written.

        Raises:
            FillConflict: a row was refused.
            DataConsistencyError: more was sold than was held.
        """
        if self.refused:
            raise FillConflict(
                found=self.refused[0],
                expected="a fill key that always carries the same fill",
                hint="look at the table fill_quarantine; the first row stands",
                code="FS122",
            )
        if self.oversold:
            raise DataConsistencyError(
                found=f"more of {', '.join(self.oversold)} was sold than was held",
                expected="sales of what is held",
                hint="reconcile the position with the broker",
                code="FS070",
            )


def identity(entry: LedgerEntry) -> Identity:
    """Return what makes an entry the one it is."""
    fill = entry.fill
    return Identity(
        entry.entry_type,
        fill.account_id,
        fill.pool_id,
        fill.symbol,
        fill.side,
        fill.qty,
        fill.price,
        fill.amount,
        fill.fee,
        fill.tax,
        fill.currency,
        fill.ts_exec_ns,
        entry.reverses_key,
    )


def place_of(entry: LedgerEntry) -> Place:
    """Return whose position an entry changes."""
    return (entry.fill.account_id, entry.fill.pool_id, entry.fill.symbol)


class Batch:
    """Rows of the ledger that are booked together.

    Args:
        entries: the rows, in the order of booking.
        instruments: scales of every symbol among them.
        now: dates what is written.
        mirrored: whether changes are put into the outbox.

    Raises:
        RowInvalid: a row does not fit its instrument or its table; nothing of the batch may be written.
    """

    def __init__(
        self,
        entries: Sequence[LedgerEntry],
        instruments: dict[str, InstrumentRow],
        now: datetime,
        *,
        mirrored: bool,
    ) -> None:
        self._entries = entries
        self._instruments = instruments
        self._now = now
        self._mirrored = mirrored
        self._lines = [self._line(entry) for entry in entries]
        self._known: dict[str, Any] = {}
        self._held: dict[Place, Holding] = {}
        self._existing: set[Place] = set()
        self._touched: dict[Place, None] = {}
        self._new: list[tuple[LedgerEntry, int | None]] = []
        self._quarantine: list[tuple[str, str, str]] = []

    def _line(self, entry: LedgerEntry) -> Line:
        fill = entry.fill
        where = f"fill {fill.fill_key}"
        instrument = self._instruments[fill.symbol]
        check_currency(fill.currency, instrument, where)
        if entry.entry_type == "FEE_ADJ" and fill.amount:
            raise RowInvalid(
                found=f"amount {fill.amount} of a fee",
                expected="amount 0: a fee that was charged later moves nothing else",
                hint="book what was traded as a fill",
                where=where,
            )
        to_units(fill.price, instrument.price_scale, "price", where)
        scale = instrument.money_scale
        line = Line(
            entry.entry_type,
            fill.side,
            to_units(fill.qty, instrument.qty_scale, "qty", where),
            to_units(fill.amount, scale, "amount", where),
            to_units(fill.fee, scale, "fee", where),
            to_units(fill.tax, scale, "tax", where),
            fill.ts_recv_ns,
        )
        values = dict(zip((name for name, _ in ENTRY_COLUMNS), entry_values(entry, None, None), strict=True))
        checked_row("t_ledger", {**values, "raw": None}, self._now)
        return line

    async def write(self, link: Link, ack: JournalAck | None) -> Booked:
        """Write the batch in the transaction that is open on `link`.

        Raises:
            RowInvalid: a correction refers to nothing that it could take back.
            Raced: to be done again in a new transaction.
        """
        self._new.clear()
        self._quarantine.clear()
        self._touched.clear()
        if self._entries:
            await self._read(link)
        booked = self._book()
        if self._new:
            await self._write_ledger(link)
        await self._write_positions(link)
        if self._quarantine:
            await link.executemany(_QUARANTINE, [(*row, self._now) for row in self._quarantine])
        if ack is not None:
            await link.execute(_ACK, ack.journal, ack.seq, self._now)
        return booked

    async def _read(self, link: Link) -> None:
        """Take the locks, then see what is there: it stays so until the end of the transaction."""
        for account in sorted({entry.fill.account_id for entry in self._entries}):
            await link.execute(_LOCK, _ACCOUNT_LOCK, account)
        keys = {entry.fill.fill_key for entry in self._entries}
        keys |= {entry.reverses_key for entry in self._entries if entry.reverses_key is not None}
        self._known = {row["fill_key"]: row for row in await link.fetch(_KNOWN, list(keys))}
        places = list({place_of(entry) for entry in self._entries})
        rows = await link.fetch(_POSITIONS, *(list(column) for column in zip(*places, strict=True)))
        self._held = {tuple(row)[:3]: self._holding(row) for row in rows}
        self._existing = set(self._held)

    def _holding(self, row: Any) -> Holding:  # noqa: ANN401 - a row of the driver
        instrument, where = self._instruments[row["symbol"]], f"position {row['symbol']}"
        return Holding(
            to_units(row["qty"], instrument.qty_scale, "qty", where),
            to_units(row["cost_total"], instrument.money_scale, "cost_total", where),
            to_units(row["realized_pnl"], instrument.money_scale, "realized_pnl", where),
            row["opened_ns"],
            row["last_fill_key"] or "",
            row["version"],
            int(row["oversold"]),
        )

    def _book(self) -> Booked:
        results: list[FillResult | None] = []
        refused: list[str] = []
        oversold: dict[str, None] = {}
        seen = {key: self._identity(row) for key, row in self._known.items()}
        for entry, line in zip(self._entries, self._lines, strict=True):
            key, place = entry.fill.fill_key, place_of(entry)
            known = seen.get(key)
            if known is not None:
                if known != identity(entry):
                    cause = f"fill {key}: the ledger has {_shown(known)} under this key"
                    self._quarantine.append((key, cause, repr(entry)))
                    refused.append(cause)
                    results.append(None)
                else:
                    results.append(FillResult("DUPLICATE", self._position(place)))
                continue
            seen[key] = identity(entry)
            holding = self._held.setdefault(place, Holding())
            before = holding.oversold
            realized = book(holding, self._with_taken_back(entry, line), key)
            # An adjustment takes an earlier mark away; one that is there after it is its own.
            if holding.oversold and (not before or entry.entry_type == "RECON_ADJ"):
                oversold[f"{place[2]}/{place[1]}"] = None
            self._touched[place] = None
            self._new.append((entry, realized))
            results.append(FillResult("INSERTED", self._position(place)))
        return Booked(results, refused, list(oversold))

    def _identity(self, row: Any) -> Identity:  # noqa: ANN401 - a row of the driver
        return Identity(*(row[name] for name in Identity._fields))

    def _with_taken_back(self, entry: LedgerEntry, line: Line) -> Line:
        if entry.reverses_key is None:
            return line
        row = self._known.get(entry.reverses_key)
        if row is None or _figures(self._identity(row)) != _figures(identity(entry)):
            raise RowInvalid(
                found=f"a row that takes back {entry.reverses_key}",
                expected="a row of the ledger with the same pool, symbol, side, quantity, price, amount, fee and tax",
                hint="take back what is there, and all of it; book what is right as a row of its own",
                where=f"ledger entry {entry.fill.fill_key}",
            )
        if row["entry_type"] == "REVERSAL" or row["taken_back_by"] is not None:
            raise RowInvalid(
                found=f"a row that takes back {entry.reverses_key}",
                expected=f"one that has not been taken back; {row['taken_back_by'] or 'it takes back another itself'}",
                hint="book what is right as a row of its own",
                where=f"ledger entry {entry.fill.fill_key}",
            )
        if row["realized_pnl"] is None:
            return line
        scale = self._instruments[entry.fill.symbol].money_scale
        return line._replace(taken_back=to_units(row["realized_pnl"], scale, "realized_pnl", entry.reverses_key))

    def _position(self, place: Place) -> Position:
        holding, instrument = self._held.get(place, Holding()), self._instruments[place[2]]
        return position_of(place, holding, instrument)

    async def _write_ledger(self, link: Link) -> None:
        rows = []
        for entry, realized in self._new:
            scale = self._instruments[entry.fill.symbol].money_scale
            taken_back = None if entry.reverses_key is None else self._known[entry.reverses_key]["id"]
            rows.append(entry_values(entry, None if realized is None else from_units(realized, scale), taken_back))
        for start in range(0, len(rows), _STEP):
            part = rows[start : start + _STEP]
            written = await link.fetch(_INSERT, *(list(column) for column in zip(*part, strict=True)))
            if len(written) != len(part):
                raise Raced
        if self._mirrored:
            await link.executemany(_OUTBOX, [self._ledger_mail(entry, realized) for entry, realized in self._new])

    def _ledger_mail(self, entry: LedgerEntry, realized: int | None) -> tuple[Any, ...]:
        scale = self._instruments[entry.fill.symbol].money_scale
        shown = LedgerEntry(
            entry_type=entry.entry_type,
            fill=entry.fill,
            realized_pnl=None if realized is None else from_units(realized, scale),
            reverses_key=entry.reverses_key,
        )
        return (mirror.LEDGER, entry.fill.fill_key, "APPEND", mirror.ledger_payload(shown), self._now)

    async def _write_positions(self, link: Link) -> None:
        positions = [(place, self._position(place), self._held[place].opened_ns) for place in self._touched]
        if not positions:
            return
        await link.executemany(POSITION_UPSERT, [position_values(one, at, self._now) for _, one, at in positions])
        if self._mirrored:
            await link.executemany(_OUTBOX, [position_mail(one, self._now) for _, one, _ in positions])


def position_values(position: Position, opened_ns: int | None, now: datetime) -> tuple[Any, ...]:
    """Return the values of `POSITION_UPSERT`."""
    return (
        position.account_id,
        position.pool_id,
        position.symbol,
        position.qty,
        position.cost_total,
        position.avg_price,
        None if opened_ns is None else from_ns(opened_ns),
        position.currency,
        position.realized_pnl,
        position.last_fill_key or None,
        position.version,
        position.oversold,
        opened_ns,
        now,
    )


def position_mail(position: Position, now: datetime) -> tuple[Any, ...]:
    """Return the values of the outbox row that tells of a position."""
    key = mirror.position_key(position.account_id, position.pool_id, position.symbol)
    return (mirror.POSITION, key, "UPSERT", mirror.position_payload(position), now)


async def mail(link: Link, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put rows into the outbox, in the transaction that changes the books."""
    await link.executemany(_OUTBOX, rows)


async def quarantine(link: Link, rows: Sequence[tuple[str, str, str]], now: datetime) -> None:
    """Keep rows (key, cause, content) that cannot be booked for a person to look at."""
    if rows:
        await link.executemany(_QUARANTINE, [(*row, now) for row in rows])


async def lock_account(link: Link, account_id: str) -> None:
    """Keep others from booking for an account until the transaction ends."""
    await link.execute(_LOCK, _ACCOUNT_LOCK, account_id)


def _figures(known: Identity) -> Identity:
    """What a row that takes another back has in common with it."""
    return known._replace(entry_type="", reverses_key=None, exec_ns=0)


def _shown(known: Identity) -> str:
    return " ".join(str(value) for value in known if value is not None)
