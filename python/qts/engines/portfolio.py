"""The portfolio engine: how many. It decides no timing and knows no broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts.engines.contracts import AdjustmentReason, PortfolioDecision
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from qts.broker.contracts import Side
    from qts.engines.contracts import RiskDecision
    from qts.strategy.contracts import Purpose, Terms

REBALANCE_MIN_PPM = 5_000
"""A rebalancing trade below this share of equity is not worth its costs."""


class PortfolioEngine:
    """Turns weights into quantities and cuts them to what is allowed; it never raises a quantity."""

    def __init__(self, rebalance_min_money: int = 100_000) -> None:
        self._rebalance_min_money = rebalance_min_money

    def target_qty(self, terms: Terms, equity: int, weight_ppm: int, price: int) -> int:
        """Return the quantity that a share of equity is worth at `price`, in whole lots, rounded down."""
        if equity <= 0 or price <= 0:
            return 0
        return terms.quantity(equity * weight_ppm // PPM, price)

    def cash_qty(self, terms: Terms, money: int, price: int) -> int:
        """Return the whole lots that a fixed amount buys at `price`."""
        return terms.quantity(money, price) if price > 0 else 0

    def risk_qty(self, terms: Terms, equity: int, risk_ppm: int, price: int, stop_price: int | None) -> int:
        """Return the whole lots that lose a share of equity between `price` and the stop; 0 without a stop below."""
        if stop_price is None or not 0 < stop_price < price or equity <= 0:
            return 0
        return terms.quantity(equity * risk_ppm // PPM, price - stop_price)

    def volatility_qty(self, terms: Terms, equity: int, share_ppm: int, sigma_ppm: int | None, price: int) -> int:
        """Return the whole lots whose usual daily move is a share of equity: E * share / (sigma * P).

        0 if the volatility is not known: no size can be right then.
        """
        if not sigma_ppm or price <= 0 or equity <= 0:
            return 0
        return terms.quantity(equity * share_ppm // sigma_ppm, price)

    def ratio_qty(self, terms: Terms, sellable_qty: int, ratio_ppm: int) -> int:
        """Return the whole lots that are a share of what can be sold."""
        qty = sellable_qty * ratio_ppm // PPM
        return qty - qty % terms.lot

    def is_worth_rebalancing(self, terms: Terms, equity: int, delta: int, price: int) -> bool:
        """Whether a change of `delta` is large enough to be traded."""
        minimum = max(self._rebalance_min_money, equity * REBALANCE_MIN_PPM // PPM)
        return terms.value(price, abs(delta)) >= minimum

    def size(
        self, delta: int, target_qty: int | None, purpose: Purpose, risk: RiskDecision, lot: int, *, side: Side
    ) -> PortfolioDecision:
        """Return the final quantity for a signed wish: what risk allows of it, in whole lots.

        A wish that points away from its own side is none; turning is for rebalancing, before it comes here.
        """
        if (delta > 0) != (side == "BUY"):
            return PortfolioDecision(0, target_qty, delta, "NONE", "side")
        wanted = abs(delta)
        binding = "desired" if wanted <= risk.allowed_qty else risk.gate
        final = max(0, min(wanted, risk.allowed_qty))
        final -= final % lot
        return PortfolioDecision(final, target_qty, delta, _adjustment(purpose, final), binding)


def _adjustment(purpose: Purpose, final_qty: int) -> AdjustmentReason:
    if final_qty <= 0:
        return "NONE"
    if purpose in ("EXIT", "REDUCE"):
        return "EXIT"
    return "REBALANCE" if purpose == "REBALANCE" else "NEW_ENTRY"
