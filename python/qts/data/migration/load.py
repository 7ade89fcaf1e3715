"""Brings what stands on the sheets into the database, and the other way round; both may be repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.clock import to_ns
from qts.data.contracts import CurrencyRow, InstrumentRow
from qts.data.exceptions import DataConsistencyError
from qts.data.mirror import ledger_payload, position_key, position_payload
from qts.data.records import Fill, OutboxRow
from qts.data.sheets.books import Scales
from qts.data.sheets.mirror import SheetsMirror
from qts.data.sheets.rows import FOREIGN, entry_values, ledger_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.data.records import LedgerEntry, Position
    from qts.data.sheets.adapter import GoogleSheetsAdapter

    _Place = tuple[str, str, str]

_BATCH: Final = 500
_FROM: Final = datetime(1971, 1, 1, tzinfo=UTC)
_TO: Final = datetime(2_200, 1, 1, tzinfo=UTC)
_FOUR_DECIMALS: Final = Decimal("0.0001")
_FIGURES: Final = ("qty", "price", "amount", "fee", "tax", "side", "pool_id", "symbol", "ts_exec_ns")
_PRIVATE: Final = frozenset({"updated_at"})


async def load(db: Any, sheets: GoogleSheetsAdapter) -> list[str]:  # noqa: ANN401 - DataSourceAdapter
    """Bring ledger, positions, bars and parameters of the sheets into the database; return what was done.

    First everything is read and checked. Then rows of the ledger that nobody gave a key get theirs on the sheet, and
    all fills go into the database in one transaction. Doing it again changes nothing.

    Raises:
        DataConsistencyError: positions and ledger of the sheets, or sheets and database, contradict each other;
            nothing was written.
        RowInvalid: FS010, a row on a sheet is bad; nothing was written.
        SourceUnavailable: a side does not answer; repeat it.
    """
    scales = await _scales(db)
    await sheets.register(*scales[1:])
    entries = await sheets.ledger()
    positions = {_place(row): row for row in await _all_positions(sheets)}
    booked = {one.fill.fill_key: one for one in await all_entries(db)}
    fills = [one.fill for key, one in entries.items() if key not in booked]
    _check_ledger(entries, booked)
    opening = _opening(scales[0], positions, entries, booked)
    steps = [f"{len(entries)} ledger rows and {len(positions)} positions read and checked"]
    steps += await _load_parameters(db, sheets)
    named = await name_rows(sheets)
    steps.append(f"{named} ledger rows given their key on the sheet")
    await db.apply_fills([*opening, *fills])
    steps.append(f"{len(fills)} fills and {len(opening)} opening positions booked in one transaction")
    steps += await export(db, sheets)
    return steps


async def name_rows(sheets: GoogleSheetsAdapter) -> int:
    """Write keys into the ledger rows that have none; return how many there were."""
    layout = await sheets.book.ready("T_Ledger")
    (grid,) = await sheets.book.grids(layout.sheet)
    rows = [row for row in ledger_of(grid, sheets.book.utc_offset_s).values() if not row.ours]
    for start in range(0, len(rows), _BATCH):
        puts = [
            (
                row.row.number,
                {name: value for name, value in entry_values(row.entry).items() if row.row.values[name] is None},
            )
            for row in rows[start : start + _BATCH]
        ]
        await sheets.book.put({"T_Ledger": puts})
    return len(rows)


async def export(db: Any, sheets: GoogleSheetsAdapter) -> list[str]:  # noqa: ANN401 - DataSourceAdapter
    """Bring ledger, positions and parameters of the database to the sheets, as far as they lack them."""
    mirror = SheetsMirror(sheets)
    entries = await all_entries(db)
    positions = await _all_positions(db)
    now = datetime(1970, 1, 1, tzinfo=UTC)
    rows = [
        OutboxRow(seq, "T_Ledger", one.fill.fill_key, "APPEND", ledger_payload(one), now, 0)
        for seq, one in enumerate(entries, start=1)
    ]
    rows += [
        OutboxRow(seq, "Position", position_key(*_place(one)), "UPSERT", position_payload(one), now, 0)
        for seq, one in enumerate(positions, start=len(rows) + 1)
    ]
    for start in range(0, len(rows), _BATCH):
        refused = await mirror.apply(rows[start : start + _BATCH])
        if refused:
            seq, error = next(iter(refused.items()))
            raise DataConsistencyError(
                found=f"{len(refused)} rows that the sheets do not take, first {rows[seq - 1].key}: {error}",
                expected="rows that a sheet can hold",
                hint="see `qts-engine db verify`",
                code="FS124",
            )
    changed = 0
    for table in ("strategies", "config"):
        changed += await sheets.batch_write(table, _public(await db.read(table), table))
    return [f"{len(entries)} ledger rows, {len(positions)} positions and {changed} parameters brought to the sheets"]


async def all_entries(db: Any) -> list[LedgerEntry]:  # noqa: ANN401 - DataSourceAdapter
    """Return all of the ledger of a database, every account, in the order of booking within each."""
    accounts = dict.fromkeys(row["account_id"] for row in await db.read("positions"))
    return [one for account in accounts for one in await db.fetch_ledger(_FROM, _TO, account_id=account)]


async def _all_positions(source: Any) -> list[Position]:  # noqa: ANN401 - DataSourceAdapter
    accounts = dict.fromkeys(row["account_id"] for row in await source.read("positions"))
    return [one for account in accounts for one in await source.fetch_positions(account, include_closed=True)]


async def _scales(db: Any) -> tuple[Scales, list[CurrencyRow], list[InstrumentRow]]:  # noqa: ANN401 - DataSourceAdapter
    currencies = [CurrencyRow(row["code"], row["scale"]) for row in await db.read("currencies")]
    names = InstrumentRow._fields
    instruments = [InstrumentRow(*(row[name] for name in names)) for row in await db.read("instruments")]
    scales = Scales()
    scales.register(currencies, instruments)
    return scales, currencies, instruments


def _check_ledger(entries: Mapping[str, LedgerEntry], booked: Mapping[str, LedgerEntry]) -> None:
    for key, one in entries.items():
        known = booked.get(key)
        if known is None and one.entry_type != "FILL":
            raise _contradiction(f"the {one.entry_type} {key} stands on the sheet and is not in the database")
        if known is not None:
            wrong = [name for name in _FIGURES if getattr(known.fill, name) != getattr(one.fill, name)]
            if wrong:
                raise _contradiction(f"{', '.join(wrong)} of {key} on the sheet and in the database differ")


def _opening(
    scales: Scales,
    positions: Mapping[_Place, Position],
    entries: Mapping[str, LedgerEntry],
    booked: Mapping[str, LedgerEntry],
) -> list[Fill]:
    """Return a fill for each position that was there before the ledger began; check the others against the ledger."""
    if booked:
        return []  # the database has its own: the comparison afterwards tells whether they agree
    derived: dict[_Place, Position] = {}
    for one in entries.values():
        scales.check(one.fill)
        place: _Place = (one.fill.account_id, one.fill.pool_id, one.fill.symbol)
        derived[place] = scales.apply(one.fill, derived.get(place))[0]
        if derived[place].oversold:
            raise _contradiction(f"the ledger sells more of {one.fill.symbol} than was held")
    first = min((one.fill.ts_exec_ns for one in entries.values()), default=None)
    opening = []
    for place, held in positions.items():
        from_ledger = derived.pop(place, None)
        if from_ledger is None and held.qty:
            opening.append(_opening_fill(scales, held, first))
        elif from_ledger is not None and not _agree(from_ledger, held):
            raise _contradiction(
                f"{held.symbol}/{held.pool_id}: the sheet holds {held.qty} at {held.avg_price}, "
                f"its ledger adds up to {from_ledger.qty} at {from_ledger.avg_price}"
            )
    lost = [place for place, one in derived.items() if one.qty]
    if lost:
        raise _contradiction(f"the ledger adds up to positions that the sheet lacks: {lost}")
    return opening


def _opening_fill(scales: Scales, held: Position, first_ns: int | None) -> Fill:
    instrument = scales.instrument(held.symbol, f"position {held.symbol}/{held.pool_id}")
    unit = Decimal(1).scaleb(-instrument.price_scale)
    moment = (held.opened_at or _FROM) if first_ns is None else datetime.fromtimestamp(first_ns // 10**9, UTC)
    moment -= timedelta(days=1)
    return Fill(
        broker=FOREIGN,
        account_id=held.account_id,
        trade_date=moment.date(),
        order_id="OPENING",
        exec_ref=f"{held.pool_id}.{held.symbol}",
        pool_id=held.pool_id,  # type: ignore[arg-type]
        symbol=held.symbol,
        side="BUY",
        qty=held.qty,
        price=max(held.avg_price.quantize(unit), unit),
        amount=held.cost_total.quantize(Decimal(1).scaleb(-instrument.money_scale)),
        currency=held.currency,
        ts_exec_ns=to_ns(moment),
        ts_recv_ns=to_ns(moment),
        reason="held before the ledger began",
    )


def _agree(one: Position, other: Position) -> bool:
    prices = [row.avg_price.quantize(_FOUR_DECIMALS) for row in (one, other)]
    return one.qty == other.qty and prices[0] == prices[1]


async def _load_parameters(db: Any, sheets: GoogleSheetsAdapter) -> list[str]:  # noqa: ANN401 - DataSourceAdapter
    steps = []
    for table in ("strategies", "config"):
        changed = await db.batch_write(table, await sheets.read(table))
        steps.append(f"{changed} rows of {table} loaded")
    symbols = [row["symbol"] for row in await db.read("instruments")]
    bars = [bar for symbol in symbols for bar in await sheets.fetch_ohlcv(symbol, _FROM, _TO)]
    steps.append(f"{await db.store_ohlcv(bars)} bars loaded")
    return steps


def _public(rows: Sequence[Mapping[str, Any]], table: str) -> list[dict[str, Any]]:
    """Return the rows that stand on sheets."""
    kept = [row for row in rows if table != "config" or row["scope"] in {"SCALP", "SWING"}]
    return [{name: value for name, value in row.items() if name not in _PRIVATE} for row in kept]


def _place(row: Position) -> _Place:
    return row.account_id, row.pool_id, row.symbol


def _contradiction(found: str) -> DataConsistencyError:
    return DataConsistencyError(
        found=found,
        expected="sheets that agree with themselves and with the database",
        hint="mend the sheet, or reconcile the position with the broker, then load again",
        code="FS124",
    )
