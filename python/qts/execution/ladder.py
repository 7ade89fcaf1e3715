"""Prices that an entry may not go beyond, and slippage, in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.config import PPM

if TYPE_CHECKING:
    from qts.broker.contracts import Side
    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import OrderDecision
    from qts.execution.interfaces import MarketView

_E6: Final = 1_000_000


def entry_cap(order: OrderDecision, market: MarketView, config: ExecutionConfig, now_ns: int) -> int:
    """Return the worst price on the ladder within the slippage limit and the limits of the day.

    A purchase is rounded down and a sale up, so that the limit is never passed by a rounding.
    """
    instrument, decided = order.instrument, order.decision_price
    slip = decided * config.max_slippage_ppm // PPM
    lowest, highest = market.price_limits(instrument, now_ns)
    if order.side == "BUY":
        cap = decided + slip
        return market.floor_to_tick(instrument, min(cap, highest) if highest else cap, now_ns)
    return market.ceil_to_tick(instrument, max(decided - slip, lowest), now_ns)


def adverse_ppm(side: Side, decision_price: int, price_e6: int) -> int:
    """Return how much worse than the decision a price in millionths is, in parts per million, rounded up."""
    worse = price_e6 - decision_price * _E6 if side == "BUY" else decision_price * _E6 - price_e6
    return -(-worse // decision_price)


def slippage_bps_e3(side: Side, decision_price: int, avg_price_e6: int) -> int:
    """Return the slippage in thousandths of a basis point, positive = adverse, rounded half away from zero."""
    worse = avg_price_e6 - decision_price * _E6 if side == "BUY" else decision_price * _E6 - avg_price_e6
    scaled, unit = abs(worse) * 10, decision_price  # 1 bps = 1e-4, times 1000, of millionths: a factor of ten
    rounded = (2 * scaled + unit) // (2 * unit)
    return rounded if worse >= 0 else -rounded
