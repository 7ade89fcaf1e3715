"""The performance engine: how did it go.

Everything here is integer money; fractions are parts per million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qts.strategy.contracts import Terms


class Holding(NamedTuple):
    """A position with its exact cost, fees left out."""

    qty: int
    cost_total: int

    def buy(self, qty: int, amount: int) -> Holding:
        """Return the holding after a purchase of `qty` for `amount`."""
        return Holding(self.qty + qty, self.cost_total + amount)

    def sell(self, qty: int) -> tuple[Holding, int]:
        """Return the holding after a sale and the cost that leaves with it, rounded down.

        Raises:
            ValueError: more is sold than is held.
        """
        if not 0 < qty <= self.qty:
            raise ValueError(f"a sale of {qty} does not fit a holding of {self.qty}")
        removed = self.cost_total * qty // self.qty
        return Holding(self.qty - qty, self.cost_total - removed), removed


class Sale(NamedTuple):
    """What a sale brought, in money units."""

    cost_removed: int
    gross: int
    """Amount less cost."""
    net: int
    """Gross less the sale's own fee and tax; the purchase's fee was paid when it was bought."""


def sale_result(amount: int, fee: int, tax: int, cost_removed: int) -> Sale:
    """Return the result of one sale."""
    gross = amount - cost_removed
    return Sale(cost_removed, gross, gross - fee - tax)


class AccountValue(NamedTuple):
    """What an account is worth, in money units."""

    cash: int
    market_value: int
    equity: int
    cost_total: int
    unrealized: int


def account_value(
    cash: int,
    positions: Iterable[tuple[int, int, int]],
    terms: Callable[[int], Terms],
    mark: Callable[[int], int],
) -> AccountValue:
    """Return the value of `cash` and of positions given as (instrument, quantity, cost).

    A position without a mark counts at its cost: an unknown price is not a price of zero.
    """
    market_value = 0
    cost_total = 0
    for instrument, qty, cost in positions:
        price = mark(instrument)
        market_value += terms(instrument).value(price, qty) if price > 0 else cost
        cost_total += cost
    return AccountValue(cash, market_value, cash + market_value, cost_total, market_value - cost_total)


class PerformanceTracker:
    """Equity of the session so far: where it started, how high it was, how deep it fell.

    No flows in or out.
    """

    def __init__(self, equity: int) -> None:
        self.session_date = ""
        self.start_equity = equity
        """Equity at the end of the session before."""
        self.high_water = equity
        self.last_equity = equity
        self.max_drawdown_ppm = 0

    def begin_session(self, session_date: str) -> None:
        """Start a new session at the last equity; the same date again changes nothing."""
        if session_date != self.session_date:
            self.session_date = session_date
            self.start_equity = self.last_equity

    def mark(self, equity: int) -> None:
        """Take in a new equity."""
        self.last_equity = equity
        if equity > self.high_water:
            self.high_water = equity
            return
        self.max_drawdown_ppm = max(self.max_drawdown_ppm, drawdown_ppm(equity, self.high_water))


def drawdown_ppm(equity: int, high_water: int) -> int:
    """Return how far equity is below its highest, in parts per million of the latter."""
    if high_water <= 0 or equity >= high_water:
        return 0
    return (high_water - equity) * PPM // high_water
