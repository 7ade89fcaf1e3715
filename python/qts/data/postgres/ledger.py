"""Positions and ledger on a server."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.data.checks import check_range
from qts.data.exceptions import AdapterError, RowInvalid
from qts.data.ledger import Holding
from qts.data.postgres.booking import (
    POSITION_UPSERT,
    Batch,
    Booked,
    Raced,
    lock_account,
    mail,
    position_mail,
    position_values,
)
from qts.data.postgres.part import Part
from qts.data.postgres.rows import ENTRY_SELECT, POSITION_SELECT, entry_of, position_of, position_row
from qts.data.records import ALL_POOLS, MAIN, POOLS, FillResult, LedgerEntry, Position, check_decimal
from qts.data.scales import to_units

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from qts.data.records import Fill, JournalAck

_RACES: Final = 3
_ONE: Final = Decimal(1)


class Ledger(Part):
    """Positions and ledger; see `DataSourceAdapter`."""

    async def fetch_positions(self, account_id: str = MAIN, *, include_closed: bool = False) -> list[Position]:
        """Return the positions of an account by symbol and pool."""
        rows = await self._fetch(
            "trading",
            f"{POSITION_SELECT} WHERE account_id = $1 AND (qty > 0 OR $2)"
            ' ORDER BY symbol COLLATE "C", pool_id COLLATE "C"',
            account_id,
            include_closed,
        )
        return [position_row(row) for row in rows]

    async def get_position(self, symbol: str, pool_id: str | None = None, account_id: str = MAIN) -> Position | None:
        """Return the position of a pool, or the sum over pools; None if there never was one."""
        rows = await self._fetch(
            "trading",
            f"{POSITION_SELECT} WHERE account_id = $1 AND symbol = $2 AND ($3::text IS NULL OR pool_id = $3)"
            " ORDER BY updated_at, pool_id",
            account_id,
            symbol,
            pool_id,
        )
        found = [position_row(row) for row in rows]
        if not found or pool_id is not None:
            return found[0] if found else None
        return Position(
            account_id=account_id,
            pool_id=ALL_POOLS,
            symbol=symbol,
            qty=sum((one.qty for one in found), Decimal(0)),
            cost_total=sum((one.cost_total for one in found), Decimal(0)),
            realized_pnl=sum((one.realized_pnl for one in found), Decimal(0)),
            currency=found[0].currency,
            opened_at=min((one.opened_at for one in found if one.opened_at is not None), default=None),
            last_fill_key=found[-1].last_fill_key,
            version=sum(one.version for one in found),
            oversold=any(one.oversold for one in found),
        )

    async def update_position(
        self, symbol: str, qty: Decimal, avg_price: Decimal, *, pool_id: str, account_id: str = MAIN
    ) -> None:
        """Set a position after a reconciliation with the broker."""
        where = f"position {symbol}/{pool_id}"
        check_decimal(qty, "qty", where)
        check_decimal(avg_price, "avg_price", where)
        if pool_id not in POOLS:
            raise RowInvalid(
                found=f"pool {pool_id!r}", expected=", ".join(POOLS), hint="name the pool that holds it", where=where
            )
        instrument = (await self._scales_of([symbol]))[symbol]
        units = to_units(qty, instrument.qty_scale, "qty", where)
        cost = (qty * avg_price).quantize(_ONE.scaleb(-instrument.money_scale), ROUND_HALF_UP)
        now, now_ns = self._clock.now_utc(), self._clock.now_ns()

        async def set_it(link: Any) -> None:  # noqa: ANN401 - a connection of the driver
            await lock_account(link, account_id)
            row = await link.fetchrow(
                "SELECT realized_pnl, opened_ns, last_fill_key, version FROM positions"
                " WHERE account_id = $1 AND pool_id = $2 AND symbol = $3 FOR UPDATE",
                account_id,
                pool_id,
                symbol,
            )
            holding = Holding(units, to_units(cost, instrument.money_scale, "cost_total", where))
            if row is not None:
                holding.realized_pnl = to_units(row["realized_pnl"], instrument.money_scale, "realized_pnl", where)
                holding.last_fill_key = row["last_fill_key"] or ""
                holding.version = row["version"]
                holding.opened_ns = row["opened_ns"]
            holding.version += 1
            holding.opened_ns = (holding.opened_ns or now_ns) if units else None
            position = position_of((account_id, pool_id, symbol), holding, instrument)
            await link.execute(POSITION_UPSERT, *position_values(position, holding.opened_ns, now))
            if self.settings.mirror:
                await mail(link, [position_mail(position, now)])

        await self._in_transaction("trading", set_it, repeats=False)

    async def apply_fill(self, fill: Fill) -> FillResult:
        """Book a fill: ledger row and position in one transaction; the same again is DUPLICATE."""
        (result,) = await self.apply_fills([fill])
        return result

    async def apply_fills(self, fills: Sequence[Fill], *, ack: JournalAck | None = None) -> list[FillResult]:
        """Book fills in their order in one transaction, with the position of the journal that they came from."""
        booked = await self._book([LedgerEntry(entry_type="FILL", fill=fill) for fill in fills], ack)
        self._tell(booked)
        return [result for result in booked.results if result is not None]

    async def append_ledger(self, entry: LedgerEntry) -> bool:
        """Write a ledger row; a correction changes its position as well. True: it is durable."""
        self._tell(await self._book([entry], None))
        return True

    def _tell(self, booked: Booked) -> None:
        """Report and raise for what was refused or oversold.

        Raises:
            FillConflict: FS122, as `Booked.check`.
            DataConsistencyError: FS070, as `Booked.check`.
        """
        try:
            booked.check()
        except AdapterError as error:
            self._report(error.code, str(error))
            raise

    async def _book(self, entries: Sequence[LedgerEntry], ack: JournalAck | None) -> Booked:
        self._pools.check_open()
        instruments = await self._scales_of(entry.fill.symbol for entry in entries)
        batch = Batch(entries, instruments, self._clock.now_utc(), mirrored=self.settings.mirror)
        return await self._unraced(lambda: self._in_transaction("trading", lambda link: batch.write(link, ack)))

    async def _unraced(self, write: Callable[[], Awaitable[Booked]]) -> Booked:
        """Return what `write` has booked, done again if somebody else was quicker with one of its rows."""
        for race in range(1, _RACES + 1):
            try:
                return await write()
            except Raced:
                if race == _RACES:
                    raise RowInvalid(
                        found="rows that another writer puts into the ledger at the same time, again and again",
                        expected="one writer for an account",
                        hint="stop the other writer",
                    ) from None
        raise AssertionError("unreachable")

    async def fetch_ledger(
        self, start: datetime, end: datetime, *, account_id: str = MAIN, symbol: str | None = None
    ) -> list[LedgerEntry]:
        """Return ledger rows executed in [start, end), in the order of booking."""
        first, last = check_range(start, end)
        rows = await self._fetch(
            "analytics",
            f"{ENTRY_SELECT} WHERE l.account_id = $1 AND l.timestamp >= $2 AND l.timestamp < $3"
            " AND ($4::text IS NULL OR l.symbol = $4) ORDER BY l.id",
            account_id,
            first,
            last,
            symbol,
        )
        return [entry_of(row) for row in rows]

    async def fetch_fills(self, order_id: str, *, account_id: str = MAIN) -> list[LedgerEntry]:
        """Return the ledger rows of an order, in the order of booking."""
        rows = await self._fetch(
            "trading", f"{ENTRY_SELECT} WHERE l.order_id = $1 AND l.account_id = $2 ORDER BY l.id", order_id, account_id
        )
        return [entry_of(row) for row in rows]

    async def journal_ack(self, journal: str) -> int:
        """Return the number of the last record of a journal that is in the database; 0 for none."""
        rows = await self._fetch("trading", "SELECT seq FROM journal_ack WHERE journal = $1", journal)
        return int(rows[0]["seq"]) if rows else 0
