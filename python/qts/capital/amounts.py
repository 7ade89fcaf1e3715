"""Exact arithmetic of money and shares: whole units, and nothing that depends on the decimal context of a thread."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

MICRO: Final = Decimal("0.000001")
"""Step to which a measure is frozen before it is compared with a threshold."""
BPS: Final = Decimal("0.0001")
"""Step of a share."""
_EXACT: Final = Context(prec=60)


def floor_part(amount: int, ratio: Decimal) -> int:
    """Return `ratio` of an amount, rounded down to a whole unit."""
    numerator, denominator = ratio.as_integer_ratio()
    return amount * numerator // denominator


def ceil_part(amount: int, ratio: Decimal) -> int:
    """Return `ratio` of an amount, rounded up to a whole unit."""
    numerator, denominator = ratio.as_integer_ratio()
    return -(-amount * numerator // denominator)


def share(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """Return `part` of `whole` with four places, rounded down."""
    exact = _EXACT.divide(Decimal(part), Decimal(whole))
    return exact.quantize(BPS, rounding=ROUND_FLOOR, context=_EXACT)


def frozen(measure: Decimal) -> Decimal:
    """Return a measure with six places: what is compared, and what is recorded with the decision."""
    return measure.quantize(MICRO, rounding=ROUND_HALF_EVEN, context=_EXACT)


def drawdown(price: Decimal, peak: Decimal) -> Decimal:
    """Return how far a price lies below its peak, 0 to 1 with six places."""
    if peak <= 0 or price >= peak:
        return Decimal("0.000000")
    return frozen(_EXACT.divide(_EXACT.subtract(peak, price), peak))


def exact_sum(numbers: tuple[Decimal, ...]) -> Decimal:
    """Return the sum without rounding."""
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total


def distance(part: int, whole: int, target: Decimal) -> Decimal:
    """Return how far part / whole lies from `target`, exact to sixty digits."""
    return abs(_EXACT.subtract(_EXACT.divide(Decimal(part), Decimal(whole)), target))
