"""Derives the books from the ledger again and compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.data.contracts import Difference, FillRow, InstrumentRow
from qts.data.ledger import Holding
from qts.data.sqlite import schema
from qts.data.sqlite.booking import NO_SESSION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_FIGURES: Final = ("qty", "cost_total", "realized_pnl")


def differences(db: sqlite3.Connection, account_id: str | None = None) -> list[Difference]:
    """Return where positions or orders of an account, or of all, contradict the ledger."""
    derived: dict[tuple[str, str, str], Holding] = {}
    found = list(_replay(db, derived, account_id))
    stored = {(row[0], row[1], row[2]): row[3:6] for row in db.execute(schema.ALL_POSITIONS, (account_id,))}
    for place in sorted(derived.keys() | stored.keys()):
        holding = derived.get(place, Holding())
        ledger = (holding.qty, holding.cost_total, holding.realized_pnl)
        for what, one, other in zip(_FIGURES, ledger, stored.get(place, (0, 0, 0)), strict=True):
            if one != other:
                found.append(Difference(place[0], place[1], place[2], what, one, other))
    for account, pool, symbol, order_id, filled, told in db.execute(schema.ORDERS_AGAINST_LEDGER, (account_id,)):
        found.append(Difference(account, pool, symbol, f"filled quantity of order {order_id}", filled, told))
    return found


def _replay(
    db: sqlite3.Connection, derived: dict[tuple[str, str, str], Holding], account_id: str | None
) -> Iterator[Difference]:
    """Apply every ledger row to `derived`; yield the rows whose own figures do not follow from the rows before."""
    shifts = {row.symbol: row.price_scale + row.qty_scale - row.money_scale for row in _instruments(db)}
    query = f"{schema.ALL_ENTRIES} WHERE ?1 IS NULL OR l.account_id = ?1 ORDER BY l.id"
    for key, kind, session_no, account, realized, reversed_result, *columns in db.execute(query, (account_id,)):
        fill = FillRow._make(columns)
        holding = derived.setdefault((account, fill.track, fill.symbol), Holding())
        result = holding.book(kind, fill, key, reversed_result)
        if result != realized:
            yield Difference(account, fill.track, fill.symbol, f"realized_pnl of {key}", result or 0, realized or 0)
        if session_no == NO_SESSION or kind != "FILL":
            continue  # the amount is what the broker states, which wins, or at what cost a holding was taken over
        shift = shifts[fill.symbol]
        product = fill.qty * fill.price
        amount = product // 10**shift if shift >= 0 else product * 10**-shift
        if amount != fill.amount:
            yield Difference(account, fill.track, fill.symbol, f"amount of {key}", amount, fill.amount)


def _instruments(db: sqlite3.Connection) -> Iterator[InstrumentRow]:
    rows = db.execute("SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments")
    return map(InstrumentRow._make, rows)
