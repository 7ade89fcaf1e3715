"""The books of runs on a server: rows of integers over the same ledger."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from qts.codes import UsageError
from qts.data.capital import raise_conflicts
from qts.data.contracts import Difference, EquityRow, FillRow, OrderRow, PositionRow, SessionRow
from qts.data.corrections import Line, book
from qts.data.exceptions import RowInvalid
from qts.data.executions import INTENTS, NEWER, ORDERS, values_of
from qts.data.ledger import SEPARATOR, Holding
from qts.data.postgres.booking import Batch, Booked, quarantine
from qts.data.postgres.capital import CapitalBooks, put_capital, put_decisions, upsert
from qts.data.postgres.errors import DRIVER, told
from qts.data.records import Fill, LedgerEntry
from qts.data.scales import from_units, to_units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from qts.data.contracts import CapitalRow, DecisionRow, ExecutionRow, InstrumentRow, SessionStatus
    from qts.data.records import JournalAck

_BEGIN: Final = (
    "INSERT INTO sessions (session_id, mode, strategy, broker, account_id, currency, cash_start, started_ns,"
    " config_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
)

_END: Final = "UPDATE sessions SET status = $2, ended_ns = $3, cash_end = $4, decision_hash = $5 WHERE session_id = $1"

_ORDER: Final = (
    "INSERT INTO run_orders (session_no, order_id, ts_ns, decision_id, symbol, pool_id, side, kind, tif, qty,"
    " limit_price, state, filled_qty, amount, end_reason, strategy, updated_ns, client_order_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    " ON CONFLICT (session_no, order_id) DO UPDATE SET state = excluded.state, filled_qty = excluded.filled_qty,"
    " amount = excluded.amount, end_reason = excluded.end_reason, updated_ns = excluded.updated_ns,"
    " qty = excluded.qty, limit_price = excluded.limit_price"
)

_ACK_FIRST: Final = "INSERT INTO journal_ack (journal, seq, acked_at) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING"
_ACK_OF: Final = "SELECT seq FROM journal_ack WHERE journal = $1 FOR UPDATE"

_ORDERS: Final = (
    "SELECT order_id, ts_ns, decision_id, symbol, pool_id, side, kind, tif, qty, limit_price, state, filled_qty,"
    " amount, end_reason, strategy, updated_ns, client_order_id FROM run_orders WHERE session_no = $1 ORDER BY order_id"
)

_FILLS: Final = (
    "SELECT trade_date, order_id, exec_ref, recv_ns, exec_ns, decision_id, symbol, pool_id, side, qty, price, amount,"
    " fee, tax, cum_filled_qty, reason, strategy_tag FROM t_ledger WHERE run_id = $1 AND order_id <> '0' ORDER BY id"
)

_POSITIONS: Final = (
    "SELECT account_id, pool_id, symbol, qty, cost_total, realized_pnl, opened_ns, last_fill_key, version, oversold"
    " FROM positions WHERE ($1::text IS NULL OR account_id = $1)"
    ' ORDER BY account_id COLLATE "C", pool_id COLLATE "C", symbol COLLATE "C"'
)

_REPLAY: Final = (
    "SELECT l.fill_key, l.entry_type, l.account_id, l.pool_id, l.symbol, l.side, l.qty, l.amount, l.fee, l.tax,"
    " l.recv_ns, l.realized_pnl, r.realized_pnl AS taken_back FROM t_ledger l"
    " LEFT JOIN t_ledger r ON r.id = l.reverses_id WHERE ($1::text IS NULL OR l.account_id = $1) ORDER BY l.id"
)

_ORDERS_AGAINST_LEDGER: Final = (
    "SELECT s.account_id, o.pool_id, o.symbol, o.order_id, coalesce(l.filled, 0) AS filled, o.filled_qty"
    " FROM run_orders o JOIN sessions s ON s.no = o.session_no"
    " LEFT JOIN (SELECT run_id, order_id, sum(qty) AS filled FROM t_ledger WHERE run_id IS NOT NULL"
    " GROUP BY run_id, order_id) l ON l.run_id = s.session_id AND l.order_id = o.order_id::text"
    " WHERE $1::text IS NULL OR s.account_id = $1 ORDER BY o.session_no, o.order_id"
)

_PREFETCH: Final = 2_000
_KEY_LENGTH: Final = 160
_FIGURES: Final = ("qty", "cost_total", "realized_pnl")


class Runs(CapitalBooks):
    """The books of runs; see `RunBooks`."""

    async def begin_run(self, session: SessionRow) -> None:
        """Open the books of a run; UsageError if its id is taken."""
        for name in (session.broker, session.account_id):
            if SEPARATOR in name or not name:
                raise UsageError(
                    found=f"broker or account name {name!r}",
                    expected="a name without a colon",
                    hint="a fill key joins broker, account, date, order and execution with colons",
                )

        async def insert(link: Any) -> None:  # noqa: ANN401 - a connection of the driver
            try:
                await link.execute(_BEGIN, *session)
            except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
                raise UsageError(
                    found=f"session {session.session_id!r} in {session.currency} ({error})",
                    expected=f"a session id that is new to {self.settings.shown}, and a registered currency",
                    hint="give every run its own id",
                ) from None

        await self._in_transaction("trading", insert, repeats=False)

    async def end_run(
        self, session: SessionRow, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str
    ) -> None:
        """Close the books of a run."""
        await self._number_of(session)
        await self._pools.run(
            "trading",
            lambda link: link.execute(_END, session.session_id, status, ended_ns, cash_end, decision_hash),
        )

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
        """Write rows of a run in one transaction; return how many fills were in the ledger already."""
        number = await self._number_of(session)
        instruments = await self._scales_of(fill.symbol for fill in fills)
        now = self._clock.now_utc()
        scale = await self._scale_of(session) if funds else 0
        known = await self._scales_of(row.intent.symbol for row in executions)
        programmes, children = values_of(executions, session, known)
        contradicting: list[str] = []
        try:
            entries, refused = _entries(session, fills, instruments, lambda _: None)
            batch = Batch(entries, instruments, now, mirrored=self.settings.mirror)
        except RowInvalid:  # one of them does not fit its table: the others are not to wait for it
            entries, refused = _entries(
                session, fills, instruments, lambda one: Batch([one], instruments, now, mirrored=False)
            )
            batch = Batch(entries, instruments, now, mirrored=self.settings.mirror)

        async def put(link: Any) -> Booked:  # noqa: ANN401 - a connection of the driver
            # Samples have no key of their own: the journal says whether they are in.
            is_new = not equity or ack is None or ack.seq > await _acknowledged(link, ack.journal, now)
            booked = await batch.write(link, ack)
            if refused:
                await quarantine(link, refused, now)
            if orders:
                await link.executemany(_ORDER, [(number, *row) for row in orders])
            if equity and is_new:
                await _write_equity(link, number, equity)
            against = await put_capital(link, session.account_id, scale, funds)
            await quarantine(link, against, now)
            contradicting[:] = [f"{key}: {cause}" for key, cause, _ in against]
            await put_decisions(link, session.session_id, decisions)
            await upsert(link, INTENTS, programmes, NEWER)
            await upsert(link, ORDERS, children, NEWER)
            return booked

        booked = await self._unraced(
            lambda: self._in_transaction("trading", put, repeats=not equity or ack is not None)
        )
        self._tell(booked._replace(refused=[*booked.refused, *(cause for _, cause, _ in refused)]))
        raise_conflicts(contradicting)
        return sum(1 for result in booked.results if result is not None and result.status == "DUPLICATE")

    async def run_fills(self, session: SessionRow) -> list[FillRow]:
        """Return the fills of a run in the order of booking."""
        await self._number_of(session)
        rows = await self._fetch("analytics", _FILLS, session.session_id)
        instruments = await self._scales_of(row["symbol"] for row in rows)
        return [_fill_row(row, instruments[row["symbol"]]) for row in rows]

    async def run_orders(self, session: SessionRow) -> list[OrderRow]:
        """Return the orders of a run by number."""
        rows = await self._fetch("analytics", _ORDERS, await self._number_of(session))
        return [OrderRow(*row) for row in rows]

    async def run_equity(self, session: SessionRow) -> list[EquityRow]:
        """Return the equity samples of a run in order of time."""
        query = "SELECT ts_ns, cash, market_value FROM equity WHERE session_no = $1 ORDER BY ts_ns, no"
        rows = await self._fetch("analytics", query, await self._number_of(session))
        return [EquityRow(*row) for row in rows]

    async def run_positions(self, session: SessionRow) -> list[PositionRow]:
        """Return every position of the run's account, closed ones included, by track and symbol."""
        await self._number_of(session)
        rows = await self._fetch("analytics", _POSITIONS, session.account_id)
        instruments = await self._scales_of(row["symbol"] for row in rows)
        return [_position_row(row, instruments[row["symbol"]]) for row in rows]

    async def verify(self, account_id: str | None = None) -> list[Difference]:
        """Derive the books of an account, or of all, from the ledger again; return what differs."""
        await self._load_instruments()
        try:
            async with (
                self._pools.connection("analytics") as link,
                link.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await self._differences(link, account_id)
        except DRIVER as error:
            raise told(error, self.settings) from None

    async def _differences(self, link: Any, account_id: str | None) -> list[Difference]:  # noqa: ANN401
        derived: dict[tuple[str, str, str], Holding] = {}
        found: list[Difference] = []
        async for row in link.cursor(_REPLAY, account_id, prefetch=_PREFETCH):
            found += self._replayed(row, derived)
        rows = [
            _position_row(row, self._instruments[row["symbol"]]) for row in await link.fetch(_POSITIONS, account_id)
        ]
        stored: dict[tuple[str, str, str], PositionRow] = {(row.account_id, row.track, row.symbol): row for row in rows}
        for place in sorted(derived.keys() | stored.keys()):
            holding, kept = derived.get(place, Holding()), stored.get(place)
            for what in _FIGURES:
                one, other = getattr(holding, what), getattr(kept, what, 0)
                if one != other:
                    found.append(Difference(*place, what, one, other))
        for row in await link.fetch(_ORDERS_AGAINST_LEDGER, account_id):
            filled = to_units(row["filled"], self._instruments[row["symbol"]].qty_scale, "qty", "t_ledger")
            if filled != row["filled_qty"]:
                what = f"filled quantity of order {row['order_id']}"
                found.append(
                    Difference(row["account_id"], row["pool_id"], row["symbol"], what, filled, row["filled_qty"])
                )
        return found

    def _replayed(self, row: Any, derived: dict[tuple[str, str, str], Holding]) -> list[Difference]:  # noqa: ANN401
        place, key = (row["account_id"], row["pool_id"], row["symbol"]), row["fill_key"]
        instrument = self._instruments[row["symbol"]]

        def units(name: str) -> int:
            return to_units(row[name], instrument.money_scale, name, key)

        line = Line(
            row["entry_type"],
            row["side"],
            to_units(row["qty"], instrument.qty_scale, "qty", key),
            units("amount"),
            units("fee"),
            units("tax"),
            row["recv_ns"],
            None if row["taken_back"] is None else units("taken_back"),
        )
        result = book(derived.setdefault(place, Holding()), line, key)
        booked = None if row["realized_pnl"] is None else units("realized_pnl")
        return [] if result == booked else [Difference(*place, f"realized_pnl of {key}", result or 0, booked or 0)]


async def _acknowledged(link: Any, journal: str, now: datetime) -> int:  # noqa: ANN401
    """Return how far a journal is in, and hold it there: a commit that we lost sight of may still be under way."""
    await link.execute(_ACK_FIRST, journal, now)
    return int(await link.fetchval(_ACK_OF, journal))


async def _write_equity(link: Any, number: int, equity: Sequence[EquityRow]) -> None:  # noqa: ANN401
    columns = [list(column) for column in zip(*equity, strict=True)]
    await link.execute(
        "INSERT INTO equity (session_no, ts_ns, cash, market_value)"
        " SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])",
        number,
        *columns,
    )


def _key(session: SessionRow, row: FillRow) -> str:
    return f"{session.broker}:{session.account_id}:{row.trade_date}:{row.order_id}:{row.exec_ref}"


def _entries(
    session: SessionRow,
    fills: Sequence[FillRow],
    instruments: dict[str, InstrumentRow],
    check: Callable[[LedgerEntry], object],
) -> tuple[list[LedgerEntry], list[tuple[str, str, str]]]:
    """Return fills as ledger rows, and those that cannot be some as rows (key, cause, content) of the quarantine."""
    entries: list[LedgerEntry] = []
    refused: list[tuple[str, str, str]] = []
    for row in fills:
        try:
            entry = _entry(session, row, instruments[row.symbol])
            check(entry)
        except (RowInvalid, ValueError) as error:
            key = _key(session, row).replace("\0", "?")[:_KEY_LENGTH]
            refused.append((key, f"fill {key}: {error}".replace("\0", "?"), repr(tuple(row))))
        else:
            entries.append(entry)
    return entries, refused


def _entry(session: SessionRow, row: FillRow, instrument: InstrumentRow) -> LedgerEntry:
    money = instrument.money_scale
    fill = Fill(
        broker=session.broker,
        account_id=session.account_id,
        trade_date=date.fromisoformat(row.trade_date),
        order_id=str(row.order_id),
        exec_ref=row.exec_ref,
        pool_id=row.track,
        symbol=row.symbol,
        side=row.side,
        qty=from_units(row.qty, instrument.qty_scale),
        price=from_units(row.price, instrument.price_scale),
        amount=from_units(row.amount, money),
        fee=from_units(row.fee, money),
        tax=from_units(row.tax, money),
        currency=instrument.currency,
        ts_exec_ns=row.ts_exec_ns,
        ts_recv_ns=row.ts_ns,
        cum_filled_qty=from_units(row.cum_qty, instrument.qty_scale),
        decision_id=row.decision_id,
        strategy_tag=row.strategy,
        reason=row.reason,
        run_id=session.session_id,
    )
    return LedgerEntry(entry_type=row.entry_type, fill=fill)


def _fill_row(row: Any, instrument: InstrumentRow) -> FillRow:  # noqa: ANN401 - a row of the driver
    money, where = instrument.money_scale, "t_ledger"
    return FillRow(
        trade_date=row["trade_date"].isoformat(),
        order_id=int(row["order_id"]),
        exec_ref=row["exec_ref"],
        ts_ns=row["recv_ns"],
        ts_exec_ns=row["exec_ns"],
        decision_id=row["decision_id"] or "",
        symbol=row["symbol"],
        track=row["pool_id"],
        side=row["side"],
        qty=to_units(row["qty"], instrument.qty_scale, "qty", where),
        price=to_units(row["price"], instrument.price_scale, "price", where),
        amount=to_units(row["amount"], money, "amount", where),
        fee=to_units(row["fee"], money, "fee", where),
        tax=to_units(row["tax"], money, "tax", where),
        cum_qty=to_units(row["cum_filled_qty"], instrument.qty_scale, "cum_qty", where),
        reason=row["reason"] or "",
        strategy=row["strategy_tag"] or "",
    )


def _position_row(row: Any, instrument: InstrumentRow) -> PositionRow:  # noqa: ANN401 - a row of the driver
    where = f"position {row['symbol']}"
    return PositionRow(
        row["account_id"],
        row["pool_id"],
        row["symbol"],
        to_units(row["qty"], instrument.qty_scale, "qty", where),
        to_units(row["cost_total"], instrument.money_scale, "cost_total", where),
        to_units(row["realized_pnl"], instrument.money_scale, "realized_pnl", where),
        row["opened_ns"],
        row["last_fill_key"] or "",
        row["version"],
        row["oversold"],
    )
