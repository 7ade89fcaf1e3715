"""How a fill changes a position: the one place in Python that books it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qts.data.contracts import FillRow

SEPARATOR: Final = ":"


def fill_key(broker: str, account_id: str, fill: FillRow) -> str:
    """Return the key that a fill has once and for all: `broker:account:trade_date:order_id:exec_ref`."""
    return f"{broker}:{account_id}:{fill.trade_date}:{fill.order_id}:{fill.exec_ref}"


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
