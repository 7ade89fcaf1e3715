"""Ledger entries and positions between their exact decimals and the integers of the file."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.clock.instants import from_ns
from qts.data.contracts import FillRow, InstrumentRow
from qts.data.exceptions import RowInvalid
from qts.data.records import Fill, LedgerEntry, Position
from qts.data.sqlite import schema
from qts.money import from_units, to_units

if TYPE_CHECKING:
    import sqlite3

    from qts.data.ledger import Holding

_BPS_SCALE: Final = 3

ENTRY_SELECT: Final = (
    "SELECT l.entry_type, l.realized_pnl, o.fill_key, ifnull(d.broker, s.broker), l.account_id, l.trade_date,"
    " l.order_id, l.exec_ref, l.pool_id, l.symbol, l.side, l.qty, l.price, l.amount, l.fee, l.tax, l.exec_ns,"
    " l.recv_ns, l.cum_filled_qty, d.client_order_id, l.decision_id, l.strategy_tag, l.reason, ifnull(d.run_id,"
    " s.session_id), d.broker_exec_id, d.slippage_bps, d.raw, i.currency, i.price_scale, i.qty_scale, i.money_scale"
    " FROM t_ledger l JOIN instruments i ON i.symbol = l.symbol LEFT JOIN ledger_details d ON d.id = l.id"
    " LEFT JOIN sessions s ON s.no = l.session_no LEFT JOIN t_ledger o ON o.id = d.reverses_id"
)

POSITION_SELECT: Final = (
    "SELECT p.account_id, p.pool_id, p.symbol, p.qty, p.cost_total, p.realized_pnl, p.opened_ns, p.last_fill_key,"
    " p.version, p.oversold, i.currency, i.qty_scale, i.money_scale"
    " FROM positions p JOIN instruments i ON i.symbol = p.symbol"
)


class Instruments:
    """Scales of what is registered; they never change, so each is asked for once."""

    def __init__(self) -> None:
        self._known: dict[str, InstrumentRow] = {}

    def get(self, db: sqlite3.Connection, symbol: str, where: str) -> InstrumentRow:
        """Return an instrument.

        Raises:
            RowInvalid: nobody has registered it.
        """
        found = self._known.get(symbol)
        if found is None:
            row = db.execute(schema.INSTRUMENT_BY_SYMBOL, (symbol,)).fetchone()
            if row is None:
                raise RowInvalid(
                    found=f"symbol {symbol!r}",
                    expected="an instrument of reference/instruments.yaml",
                    hint="register it before anything is booked on it",
                    where=where,
                )
            found = self._known[symbol] = InstrumentRow(*row)
        return found


def units(value: Decimal | None, scale: int, name: str, where: str) -> int:
    """Return a number in units of its scale; RowInvalid if it has more decimals or is too large."""
    try:
        return to_units(Decimal(0) if value is None else value, scale)
    except (ValueError, TypeError) as error:
        raise RowInvalid(
            found=f"{name} {value}: {error}",
            expected=f"a number of at most {scale} decimals",
            hint="mend the row where it comes from, or the scales in reference/instruments.yaml",
            where=where,
        ) from None


def row_of(fill: Fill, instrument: InstrumentRow) -> FillRow:
    """Return a fill in integers; the order number stays the text that it is.

    Raises:
        RowInvalid: its currency is not the instrument's, or a number does not fit its scale.
    """
    where = f"fill {fill.fill_key}"
    if fill.currency != instrument.currency:
        raise RowInvalid(
            found=f"currency {fill.currency} of {fill.symbol}",
            expected=instrument.currency,
            hint="mend the row where it comes from",
            where=where,
        )
    cum = fill.cum_filled_qty
    return FillRow(
        trade_date=fill.trade_date.isoformat(),
        order_id=fill.order_id,  # type: ignore[arg-type]  # a column of text: simulated orders have numbers
        exec_ref=fill.exec_ref,
        ts_ns=fill.ts_recv_ns,
        ts_exec_ns=fill.ts_exec_ns,
        decision_id=fill.decision_id,  # type: ignore[arg-type]  # as all optional texts here: None is stored as NULL
        symbol=fill.symbol,
        track=fill.pool_id,  # type: ignore[arg-type]  # storage also knows UNASSIGNED
        side=fill.side,
        qty=units(fill.qty, instrument.qty_scale, "qty", where),
        price=units(fill.price, instrument.price_scale, "price", where),
        amount=units(fill.amount, instrument.money_scale, "amount", where),
        fee=units(fill.fee, instrument.money_scale, "fee", where),
        tax=units(fill.tax, instrument.money_scale, "tax", where),
        cum_qty=None if cum is None else units(cum, instrument.qty_scale, "cum_filled_qty", where),  # type: ignore[arg-type]
        reason=fill.reason,  # type: ignore[arg-type]
        strategy=fill.strategy_tag,  # type: ignore[arg-type]
    )


def details_of(fill: Fill, reverses_id: int | None) -> tuple[object, ...]:
    """Return what only a broker's fill has, in the order of `DETAILS_INSERT`, without the number of its row."""
    bps = fill.slippage_bps
    scaled = None if bps is None else units(bps, _BPS_SCALE, "slippage_bps", f"fill {fill.fill_key}")
    found_by = (fill.account_id, fill.ts_exec_ns, fill.order_id, fill.broker)
    return (*found_by, fill.run_id, fill.client_order_id, fill.broker_exec_id, scaled, reverses_id, fill.raw)


def entry_of(row: tuple[Any, ...]) -> LedgerEntry:
    """Return a row of `ENTRY_SELECT`."""
    (kind, realized, reverses, broker, account, trade_date, order_id, exec_ref, pool, symbol, side) = row[:11]
    (qty, price, amount, fee, tax, exec_ns, recv_ns, cum, client, decision, tag, reason, run) = row[11:24]
    (exec_id, bps, raw, currency, price_scale, qty_scale, money_scale) = row[24:]
    fill = Fill(
        broker=broker,
        account_id=account,
        trade_date=date.fromisoformat(trade_date),
        order_id=order_id,
        exec_ref=exec_ref,
        pool_id=pool,
        symbol=symbol,
        side=side,
        qty=from_units(qty, qty_scale),
        price=from_units(price, price_scale),
        amount=from_units(amount, money_scale),
        fee=from_units(fee, money_scale),
        tax=from_units(tax, money_scale),
        currency=currency,
        ts_exec_ns=exec_ns,
        ts_recv_ns=recv_ns,
        cum_filled_qty=None if cum is None else from_units(cum, qty_scale),
        client_order_id=client,
        decision_id=decision or None,
        strategy_tag=tag or None,
        reason=reason or None,
        run_id=run,
        broker_exec_id=exec_id,
        slippage_bps=None if bps is None else from_units(bps, _BPS_SCALE),
        raw=raw,
    )
    result = None if realized is None else from_units(realized, money_scale)
    return LedgerEntry(entry_type=kind, fill=fill, realized_pnl=result, reverses_key=reverses)


def position_of(row: tuple[Any, ...]) -> Position:
    """Return a row of `POSITION_SELECT`."""
    account, pool, symbol, qty, cost, realized, opened_ns, last, version, oversold, currency, qty_scale, scale = row
    return Position(
        account_id=account,
        pool_id=pool,
        symbol=symbol,
        qty=from_units(qty, qty_scale),
        cost_total=from_units(cost, scale),
        realized_pnl=from_units(realized, scale),
        currency=currency,
        opened_at=None if opened_ns is None else from_ns(opened_ns),
        last_fill_key=last or "",
        version=version,
        oversold=bool(oversold),
    )


def position_from(
    account_id: str, pool_id: str, held: Holding, instrument: InstrumentRow, *, oversold: bool
) -> Position:
    """Return a position as it stands while it is booked to."""
    row = (account_id, pool_id, instrument.symbol, held.qty, held.cost_total, held.realized_pnl, held.opened_ns)
    end = (held.last_fill_key, held.version, oversold, instrument.currency, instrument.qty_scale)
    return position_of((*row, *end, instrument.money_scale))


def cost_of(qty: Decimal, price: Decimal, instrument: InstrumentRow) -> int:
    """Return what a quantity costs, half up to the smallest unit of the currency."""
    exact = (qty * price).scaleb(instrument.money_scale)
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
