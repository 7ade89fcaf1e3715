"""Unit prices: performance of a pool without what flows in and out (spec 14 §4.8).

A pool is divided into units. Capital that comes or goes creates or cancels units at the price of the moment, so that
the price moves by profit and loss alone. Everything is an integer: units times 10**8, prices times 10**12.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

UNIT_SCALE: Final = 10**8
PRICE_SCALE: Final = 10**12
_BOTH: Final = UNIT_SCALE * PRICE_SCALE
_PUBLISHED: Final = 10**6
"""Scale of a published price: six places."""
_STEP: Final = PRICE_SCALE // _PUBLISHED


class UnitLine:
    """Units of one pool, their price and its peak.

    The peak is kept to the six places that are published, so that a restart finds exactly what was there.
    """

    __slots__ = ("base", "is_funded", "last_price", "peak", "units")

    def __init__(self) -> None:
        self.units = 0
        """Times 10**8."""
        self.last_price = PRICE_SCALE
        """Price of the last valuation with units, times 10**12."""
        self.peak = PRICE_SCALE
        """Highest published price since the last re-base, times 10**12."""
        self.base = PRICE_SCALE
        """Price at the last promotion, times 10**12: where the gain that may be promoted begins."""
        self.is_funded = False

    def price(self, nav: int) -> int:
        """Return the price at a net asset value, times 10**12; the last one if there are no units."""
        return nav * _BOTH // self.units if self.units else self.last_price

    def flow(self, nav: int, amount: int) -> None:
        """Take in (or let go, if negative) `amount` at a net asset value `nav` before it: the price stays."""
        after = nav + amount
        price = self.price(nav)
        if amount > 0 and price <= 0:  # everything was lost: what comes now begins anew
            self.units, price = 0, PRICE_SCALE
            self.peak = self.base = price
        self.last_price = price
        if after <= 0:
            self.units = 0
        elif self.units <= 0:
            self.units = _divided(after * _BOTH, price)
        else:
            self.units += _divided(amount * _BOTH, price)
        if amount > 0 and not self.is_funded:
            self.is_funded = True
            self.peak = self.base = price

    def mark(self, nav: int) -> None:
        """Take note of a valuation: the price may be the highest so far."""
        if not self.units:
            if nav > 0 and self.is_funded:  # capital that came back without a flow: it goes on at the last price
                self.units = _divided(nav * _BOTH, max(self.last_price, 1))
            return
        self.last_price = self.price(nav)
        self.peak = max(self.peak, rounded(self.last_price))

    def rebase(self, nav: int) -> None:
        """Measure drawdowns from here on: after a completed demotion, or an operator's unlock."""
        self.peak = rounded(self.price(nav))

    def begin_promotion_base(self, nav: int) -> None:
        """Measure the gain that may be promoted from here on."""
        self.base = self.price(nav)

    def gain(self, nav: int) -> int:
        """Return the gain of the price since the last promotion, in money: what the units are worth more now."""
        return nav - _divided(self.base * self.units, _BOTH) if self.units else 0


def rounded(price: int) -> int:
    """Return a price (times 10**12) rounded to its published six places, halves to even."""
    whole, rest = divmod(price, _STEP)
    if rest * 2 > _STEP or (rest * 2 == _STEP and whole % 2):
        whole += 1
    return whole * _STEP


def published(price: int) -> Decimal:
    """Return a price (times 10**12) as it is published, six places."""
    return Decimal(rounded(price) // _STEP).scaleb(-6)


def from_published(price: Decimal) -> int:
    """Return a published price times 10**12."""
    return int(price.scaleb(6)) * _STEP


def _divided(numerator: int, denominator: int) -> int:
    """Divide, nearest whole number; halves away from zero."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))
