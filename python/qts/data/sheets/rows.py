"""Turns rows of the sheets into records and back. A row that cannot be one fails the read; none is left out."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from qts.clock import from_ns, to_ns, utc_date
from qts.data.exceptions import RowInvalid
from qts.data.records import MAIN, Fill, LedgerEntry, Ohlcv, Position, check_decimal
from qts.data.sheets.cells import read_cell, write_cell
from qts.data.sheets.layout import ROW_START, Layout, match_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.data.sheets.layout import SheetSpec

UNASSIGNED: Final = "UNASSIGNED"
"""Pool of a holding whose row names none."""
FOREIGN: Final = "SHEETS"
"""Broker of ledger rows that were not written by the engine."""
_Record = TypeVar("_Record", Position, LedgerEntry, Fill, Ohlcv)
_KRW: Final = "KRW"
_CENT: Final = Decimal("0.01")


class Row(NamedTuple):
    """A row of a sheet."""

    number: int
    """As shown beside the sheet."""
    values: dict[str, Any]
    """Column to value, None for a blank cell."""
    where: str


class Grid(NamedTuple):
    """A sheet as read: its columns and rows, and how far down it goes."""

    layout: Layout
    rows: list[Row]
    end: int
    """Number of the last row that holds anything."""


def read_grid(spec: SheetSpec, cells: Sequence[Sequence[Any]], utc_offset_s: int) -> Grid:
    """Read the cells of a whole sheet.

    Raises:
        SchemaMismatch: FS001, the header is not the one expected.
        RowInvalid: FS010, a cell or a row is not what its column says.
    """
    header = cells[ROW_START - 2] if len(cells) >= ROW_START - 1 else ()
    layout = match_header(spec, header)
    rows = []
    for number, line in enumerate(cells[ROW_START - 1 :], start=ROW_START):
        if any(cell not in ("", None) for cell in line):
            rows.append(_row(layout, number, line, utc_offset_s))
    return Grid(layout, rows, max(len(cells), ROW_START - 1))


def _row(layout: Layout, number: int, line: Sequence[Any], utc_offset_s: int) -> Row:
    where = f"{layout.sheet} row {number}"
    values: dict[str, Any] = {}
    for field in layout.variant.fields:
        place = layout.columns.get(field.name)
        cell = line[place] if place is not None and place < len(line) else None
        values[field.name] = read_cell(field, cell, where, utc_offset_s)
        if field.required and values[field.name] is None and field.kind != "text":
            raise RowInvalid(
                found=f"RC001: no {field.name}",
                expected=f"a value, because {field.name} is required",
                hint="complete the row, or clear all of it",
                where=where,
                code="FS010",
            )
    return Row(number, values, where)


def line_of(layout: Layout, values: Mapping[str, Any], where: str) -> list[str | None]:
    """Return values as the cells of a row; None leaves a cell as it is, so what others keep beside stays.

    Raises:
        RowInvalid: a value does not fit into a cell.
    """
    width = max(layout.columns.values(), default=-1) + 1
    line: list[str | None] = [None] * width
    for name, place in layout.columns.items():
        if name in values:
            line[place] = write_cell(values[name], name, where)
    return line


# Positions


def positions_of(grid: Grid) -> dict[tuple[str, str, str], tuple[Position, Row]]:
    """Return the positions of the sheet by account, pool and symbol; RowInvalid if one stands there twice."""
    found: dict[tuple[str, str, str], tuple[Position, Row]] = {}
    for row in grid.rows:
        position = position_of(row)
        key = (position.account_id, position.pool_id, position.symbol)
        if key in found:
            raise RowInvalid(
                found=f"{position.symbol}/{position.pool_id} for the second time, after row {found[key][1].number}",
                expected="one row for each account, pool and symbol",
                hint="remove the row that is not right",
                where=row.where,
                code="FS010",
            )
        found[key] = (position, row)
    return found


def position_of(row: Row) -> Position:
    """Return a position; a sheet that knows neither pools nor cost has them derived."""
    values = row.values
    qty, price = values["qty"], values["avg_price"]
    cost = values["cost_total"]
    return _made(
        row,
        Position,
        account_id=values["account_id"] or MAIN,
        pool_id=values["pool_id"] or UNASSIGNED,
        symbol=values["symbol"],
        qty=qty,
        cost_total=(qty * price).quantize(_CENT) if cost is None else cost,
        realized_pnl=values["realized_pnl"] or Decimal(0),
        currency=values["currency"] or _KRW,
        opened_at=values["opened_at"],
        last_fill_key=values["last_fill_key"] or "",
        version=values["version"] or 0,
        oversold=bool(values["oversold"]),
    )


def position_values(position: Position) -> dict[str, Any]:
    """Return the columns of a position."""
    return {
        "symbol": position.symbol,
        "qty": position.qty,
        "avg_price": position.avg_price,
        "account_id": position.account_id,
        "pool_id": position.pool_id,
        "cost_total": position.cost_total,
        "realized_pnl": position.realized_pnl,
        "currency": position.currency,
        "opened_at": position.opened_at,
        "last_fill_key": position.last_fill_key,
        "version": position.version,
        "oversold": position.oversold,
    }


# Ledger


class LedgerRow(NamedTuple):
    """A ledger entry and the row in which it stands."""

    entry: LedgerEntry
    row: Row
    ours: bool
    """Written by the engine: its key stands in the row."""


def ledger_of(grid: Grid, utc_offset_s: int) -> dict[str, LedgerRow]:
    """Return the ledger by key, in the order of the rows; RowInvalid if a key stands there twice."""
    found: dict[str, LedgerRow] = {}
    seen: Counter[str] = Counter()
    for row in grid.rows:
        entry = _entry_of(row, seen, utc_offset_s)
        key = entry.fill.fill_key
        if key in found:
            raise RowInvalid(
                found=f"the fill {key} for the second time, after row {found[key].row.number}",
                expected="each fill once",
                hint="remove the second row",
                where=row.where,
                code="FS010",
            )
        found[key] = LedgerRow(entry, row, row.values["fill_key"] is not None)
    return found


def _entry_of(row: Row, seen: Counter[str], utc_offset_s: int) -> LedgerEntry:
    values = dict(row.values)
    if values["fill_key"] is None:
        values.update(_foreign_key(values, seen))
    stamp = to_ns(values["timestamp"])
    exec_ns = stamp if values["exec_ns"] is None else values["exec_ns"]
    amount = values["amount"]
    fill = _made(
        row,
        Fill,
        broker=values["broker"],
        account_id=values["account_id"] or MAIN,
        trade_date=values["trade_date"] or utc_date(exec_ns, utc_offset_s),
        order_id=values["order_id"],
        exec_ref=values["exec_ref"],
        pool_id=values["pool_id"] or UNASSIGNED,
        symbol=values["symbol"],
        side=str(values["side"]).upper(),
        qty=values["qty"],
        price=values["price"],
        amount=values["qty"] * values["price"] if amount is None else amount,
        fee=values["fee"] or Decimal(0),
        tax=values["tax"] or Decimal(0),
        currency=values["currency"] or _KRW,
        ts_exec_ns=exec_ns,
        ts_recv_ns=exec_ns if values["recv_ns"] is None else values["recv_ns"],
        cum_filled_qty=values["cum_filled_qty"],
        client_order_id=values["client_order_id"],
        decision_id=values["decision_id"],
        strategy_tag=values["strategy_tag"],
        reason=values["reason"],
        run_id=values["run_id"],
        broker_exec_id=values["broker_exec_id"],
        slippage_bps=values["slippage_bps"],
        raw=values["raw"],
    )
    if values["fill_key"] not in (None, fill.fill_key):
        raise RowInvalid(
            found=f"fill_key {values['fill_key']!r} on a row of {fill.fill_key!r}",
            expected="the key made of broker, account, trade date, order and execution",
            hint="restore the row from the database or from a backup",
            where=row.where,
            code="FS010",
        )
    return _made(
        row,
        LedgerEntry,
        entry_type=values["entry_type"] or "FILL",
        fill=fill,
        realized_pnl=values["realized_pnl"],
        reverses_key=values["reverses_key"],
    )


def _foreign_key(values: Mapping[str, Any], seen: Counter[str]) -> dict[str, str]:
    """Return the parts of the key of a row that nobody gave one: its content, and which of several alike it is."""
    content = "|".join(str(values[name]) for name in ("timestamp", "symbol", "side", "qty", "price", "amount", "fee"))
    digest = sha256(content.encode()).hexdigest()[:16]
    seen[digest] += 1
    return {
        "broker": values["broker"] or FOREIGN,
        "order_id": values["order_id"] or digest,
        "exec_ref": values["exec_ref"] or f"row={digest}.{seen[digest]}",
    }


def entry_values(entry: LedgerEntry) -> dict[str, Any]:
    """Return the columns of a ledger entry."""
    fill = entry.fill
    return {
        "timestamp": from_ns(fill.ts_exec_ns),
        "symbol": fill.symbol,
        "side": fill.side,
        "qty": fill.qty,
        "price": fill.price,
        "amount": fill.amount,
        "fee": fill.fee,
        "strategy_tag": fill.strategy_tag,
        "fill_key": fill.fill_key,
        "order_id": fill.order_id,
        "broker": fill.broker,
        "currency": fill.currency,
        "entry_type": entry.entry_type,
        "account_id": fill.account_id,
        "pool_id": fill.pool_id,
        "trade_date": fill.trade_date,
        "tax": fill.tax,
        "realized_pnl": entry.realized_pnl,
        "exec_ref": fill.exec_ref,
        "exec_ns": fill.ts_exec_ns,
        "recv_ns": fill.ts_recv_ns,
        "cum_filled_qty": fill.cum_filled_qty,
        "client_order_id": fill.client_order_id,
        "decision_id": fill.decision_id,
        "broker_exec_id": fill.broker_exec_id,
        "slippage_bps": fill.slippage_bps,
        "reason": fill.reason,
        "run_id": fill.run_id,
        "reverses_key": entry.reverses_key,
        "raw": fill.raw,
    }


# Bars


def bars_of(grid: Grid) -> dict[tuple[str, str], tuple[Ohlcv, Row]]:
    """Return the bars of the sheet by date and symbol."""
    found: dict[tuple[str, str], tuple[Ohlcv, Row]] = {}
    for row in grid.rows:
        values = row.values
        day = values["date"]
        bar = _made(
            row,
            Ohlcv,
            time=from_ns((day.toordinal() - 719_163) * 86_400_000_000_000),
            symbol=values["symbol"],
            **{name: values[name] for name in ("open", "high", "low", "close", "volume", "source")},
            trade_date=day,
        )
        found[day.isoformat(), bar.symbol] = (bar, row)
    return found


def bar_values(bar: Ohlcv) -> dict[str, Any]:
    """Return the columns of a bar."""
    values = {name: getattr(bar, name) for name in ("open", "high", "low", "close", "volume", "symbol", "source")}
    return {"date": bar.time.date(), **values}


def _made(row: Row, kind: type[_Record], **values: Any) -> _Record:  # noqa: ANN401 - the record checks them
    """Make a record of a row; what it refuses is told with the row."""
    try:
        if kind is Position:
            check_decimal(row.values["avg_price"], "avg_price", row.where)
        return kind(**values)
    except RowInvalid as error:
        raise RowInvalid(
            found=f"RC002: {error.found}", expected=error.expected, hint="mend the row", where=row.where, code="FS010"
        ) from None
