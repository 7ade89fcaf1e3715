"""How a fill changes a position: the one place in Python that books it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qts.data.contracts import FillRow

SEPARATOR: Final = ":"


def fill_key(broker: str, account_id: str, fill: FillRow) -> str:
    """Return the key that a fill has once and for all: `broker:account:trade_date:order_id:exec_ref`."""
    return f"{broker}:{account_id}:{fill.trade_date}:{fill.order_id}:{fill.exec_ref}"


def key_of(head: str, fill: FillRow) -> str:
    """Return the key of a fill whose broker and account, each with a colon behind it, are `head`."""
    return f"{head}{fill[0]}:{fill[1]}:{fill[2]}"  # by position: twice as quick, and a run does it for every fill


class Holding:
    """A position while fills are applied to it."""

    __slots__ = ("cost_total", "last_fill_key", "opened_ns", "oversold", "qty", "realized_pnl", "version")

    def __init__(
        self,
        qty: int = 0,
        cost_total: int = 0,
        realized_pnl: int = 0,
        opened_ns: int | None = None,
        last_fill_key: str = "",
        version: int = 0,
        oversold: int = 0,
    ) -> None:
        self.qty = qty
        self.cost_total = cost_total
        self.realized_pnl = realized_pnl
        self.opened_ns = opened_ns
        self.last_fill_key = last_fill_key
        self.version = version
        self.oversold = oversold

    def apply(self, fill: FillRow, key: str) -> int | None:
        """Book a fill and return the realised result of a sale, None for a purchase.

        A sale of f out of q takes floor(cost_total * f / q) out of the cost, so that what is left never costs less
        than it did. A sale of more than is held closes the position and marks it; it does not go negative.
        """
        self.version += 1
        self.last_fill_key = key
        if fill.side == "BUY":
            if self.qty == 0:
                self.opened_ns = fill.ts_ns
            self.qty += fill.qty
            self.cost_total += fill.amount
            return None
        if fill.qty < self.qty:
            removed = self.cost_total * fill.qty // self.qty
            self.qty -= fill.qty
            self.cost_total -= removed
        else:
            removed = self.cost_total
            if fill.qty > self.qty:
                self.oversold = 1
            self.qty = 0
            self.cost_total = 0
            self.opened_ns = None
        realized = fill.amount - removed - fill.fee - fill.tax
        self.realized_pnl += realized
        return realized

    def charge(self, fill: FillRow, key: str) -> int | None:
        """Book a fee that was charged later: only the result of a sale changes, fees of purchases stand apart."""
        self.version += 1
        self.last_fill_key = key
        if fill.side == "BUY":
            return None
        self.realized_pnl -= fill.fee + fill.tax
        return -(fill.fee + fill.tax)

    def reverse(self, fill: FillRow, key: str, booked: int | None) -> int | None:
        """Take a fill back that was booked with the realised result `booked`; return what this realises.

        A sale puts back what it took out of the cost. A purchase takes its amount out of it; where less is left,
        because shares were sold at an average since, the rest is a result, so that cost and result together still say
        what was paid and received. Shares that are not there any more mark the position as a sale of them would.
        """
        self.version += 1
        self.last_fill_key = key
        if fill.side == "SELL":
            if self.qty == 0:
                self.opened_ns = fill.ts_ns
            result = -(booked or 0)
            self.qty += fill.qty
            self.cost_total += fill.amount - fill.fee - fill.tax + result
            self.realized_pnl += result
            return result
        if fill.qty < self.qty:
            removed = min(self.cost_total, fill.amount)
        else:
            removed = self.cost_total
            if fill.qty > self.qty:
                self.oversold = 1
            self.opened_ns = None
        self.qty = max(0, self.qty - fill.qty)
        self.cost_total -= removed
        result = fill.amount - removed
        self.realized_pnl += result
        return result or None

    def adjust(self, fill: FillRow, key: str) -> int | None:
        """Book what a reconciliation with the broker found: as a fill, and the position is no longer in question."""
        self.oversold = 0
        return self.apply(fill, key)

    def book(self, entry_type: str, fill: FillRow, key: str, reversed_result: int | None = None) -> int | None:
        """Book a ledger row of any kind and return its realised result, None where it has none."""
        if entry_type == "FILL":
            return self.apply(fill, key)
        if entry_type == "REVERSAL":
            return self.reverse(fill, key, reversed_result)
        return self.charge(fill, key) if entry_type == "FEE_ADJ" else self.adjust(fill, key)


def facts(entry_type: str, fill: FillRow) -> tuple[object, ...]:
    """Return what makes two rows of one key the same: what the broker said, and the pool that it is for.

    When it was heard of, by which run and why the order was sent may differ.
    """
    return (
        entry_type,
        fill.trade_date,
        str(fill.order_id),
        fill.exec_ref,
        fill.ts_exec_ns,
        fill.symbol,
        fill.track,
        fill.side,
        fill.qty,
        fill.price,
        fill.amount,
        fill.fee,
        fill.tax,
        fill.cum_qty,
    )
