"""Conversion between decimal numbers and scaled integers. Nothing rounds: what does not fit is an error."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

SCALE_MAX: Final = 8
"""Most decimals that a price, quantity or currency may have."""

UNITS_MAX: Final = 2**63 - 1
"""Largest number of units, that of a signed 64-bit integer."""

_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?\Z")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and the number of decimals in which its amounts are kept."""

    code: str
    scale: int

    def __post_init__(self) -> None:
        """Check the scale."""
        _check_scale(self.scale)


def parse_decimal(text: str) -> Decimal:
    """Return plain decimal text as a number.

    Raises:
        ValueError: the text holds anything else but a sign, digits and one point.
    """
    if not _DECIMAL.match(text):
        raise ValueError(f"{text!r} is not a plain decimal number such as 1234.5")
    return Decimal(text)


def to_units(value: Decimal | int | str, scale: int) -> int:
    """Return `value` as an integer of `scale` decimals, exact.

    Raises:
        ValueError: digits would be lost, the text is not a plain decimal, or the result exceeds 64 bits.
    """
    _check_scale(scale)
    number = parse_decimal(value) if isinstance(value, str) else Decimal(value)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is not a number")  # noqa: TRY004 - the type is right, the value is not
    units = int("".join(map(str, digits)))
    shift = exponent + scale
    if shift >= 0:
        # A shift beyond 64 bits cannot fit; refuse before building a number with a million digits.
        units = units * 10**shift if shift <= 20 or units == 0 else UNITS_MAX + 1
    else:
        units, lost = divmod(units, 10**-shift)
        if lost:
            raise ValueError(f"{plain(number)} has more than {scale} decimals")
    if units > UNITS_MAX:
        raise ValueError(f"{plain(number)} is too large for {scale} decimals in 64 bits")
    return -units if sign else units


def from_units(units: int, scale: int) -> Decimal:
    """Return an integer of `scale` decimals as a number, exact at any size."""
    _check_scale(scale)
    digits = tuple(map(int, str(abs(units))))
    return Decimal((int(units < 0), digits, -scale))


def plain(number: Decimal) -> str:
    """Return a number as plain decimal text: no exponent, no trailing zeros, never "-0"."""
    body = format(number, "f")
    if "." in body:
        body = body.rstrip("0").rstrip(".")
    return "0" if body in {"-0", ""} else body


def format_units(units: int, scale: int) -> str:
    """Return an integer of `scale` decimals as plain decimal text."""
    return plain(from_units(units, scale))


def _check_scale(scale: int) -> None:
    if not 0 <= scale <= SCALE_MAX:
        raise ValueError(f"scale {scale} lies outside 0..{SCALE_MAX}")
