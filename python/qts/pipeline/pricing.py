"""The limit price of an order: marketable within bounds, on the tick ladder, within the day's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from qts.broker.contracts import Side
    from qts.pipeline.interfaces import RulesPort
    from qts.strategy.contracts import Quote

NO_PRICE: Final = "no_price"
OFF_TICK_OR_LIMIT: Final = "GR036"
_BPS: Final = 10_000


class Pricing(NamedTuple):
    """A limit price and how it came about."""

    price: int
    """Price units; 0 = no price could be found."""
    code: str
    """GR036 if a wished price had to be moved, `no_price` if there is none, else empty."""


def reference_price(quote: Quote, side: Side) -> int:
    """Return the price that an order meets now: the opposite quote, or the last trade where no quotes exist.

    A market with one side missing has no price for a purchase on the missing side. A sale still gets one, the
    last trade: to wait at a price is better than not to offer at all.
    """
    if side == "BUY":
        return quote.ask or (0 if quote.bid else quote.last)
    return quote.bid or quote.last or quote.ask


def marketable(
    rules: RulesPort, instrument: int, quote: Quote, side: Side, ticks: int, max_slippage_bps: int, ts_ns: int
) -> Pricing:
    """Return a limit `ticks` beyond the opposite quote; a purchase pays at most `max_slippage_bps` above it.

    The cap never falls below the quote itself: with coarse ticks one tick can be more than the cap.
    """
    reference = reference_price(quote, side)
    if reference <= 0:
        return Pricing(0, NO_PRICE)
    if side == "BUY":
        nearest = rules.ceil_to_tick(instrument, reference, ts_ns)
        price = rules.step(instrument, nearest, ticks, ts_ns)
        cap = rules.floor_to_tick(instrument, reference + reference * max_slippage_bps // _BPS, ts_ns)
        price = min(price, max(cap, nearest))
    else:
        nearest = rules.floor_to_tick(instrument, reference, ts_ns)
        price = _step_down(rules, instrument, nearest, ticks, ts_ns)
    return Pricing(_within_limits(rules, instrument, quote, price, ts_ns), "")


def explicit(rules: RulesPort, instrument: int, quote: Quote, side: Side, wished: int, ts_ns: int) -> Pricing:
    """Return a price that a strategy named, moved against us to the ladder and into the day's limits."""
    if wished <= 0:
        return Pricing(0, NO_PRICE)
    round_to_tick = rules.ceil_to_tick if side == "BUY" else rules.floor_to_tick
    price = _within_limits(rules, instrument, quote, round_to_tick(instrument, wished, ts_ns), ts_ns)
    return Pricing(price, OFF_TICK_OR_LIMIT if price != wished else "")


def _step_down(rules: RulesPort, instrument: int, price: int, ticks: int, ts_ns: int) -> int:
    """Return `price` moved down, as far as it stays a price."""
    tick = rules.tick_size(instrument, price, ts_ns)
    return rules.step(instrument, price, -ticks, ts_ns) if price > tick * ticks else min(price, tick)


def _within_limits(rules: RulesPort, instrument: int, quote: Quote, price: int, ts_ns: int) -> int:
    if quote.prev_close <= 0:
        return price
    limits = rules.price_limits(instrument, quote.prev_close, ts_ns)
    return price if limits is None else min(max(price, limits[0]), limits[1])
