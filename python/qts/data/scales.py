"""Turns exact decimals into the integers in which the books are kept, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from qts.data.exceptions import RowInvalid

if TYPE_CHECKING:
    from qts.data.contracts import InstrumentRow


def to_units(value: Decimal, scale: int, name: str, where: str) -> int:
    """Return a decimal in units of `10 ** -scale`, exact.

    Raises:
        RowInvalid: it has more decimals than that.
    """
    scaled = value.scaleb(scale)
    units = int(scaled)
    if units != scaled:
        raise RowInvalid(
            found=f"{name} {value}",
            expected=f"at most {scale} digits behind the point, as the instrument counts it",
            hint="mend the row where it comes from, or the scales in reference/instruments.yaml",
            where=where,
        )
    return units


def from_units(units: int, scale: int) -> Decimal:
    """Return units of `10 ** -scale` as a decimal."""
    return Decimal(units).scaleb(-scale)


def check_currency(currency: str, instrument: InstrumentRow, where: str) -> None:
    """Check that something is in the currency of its instrument.

    Raises:
        RowInvalid: it is not.
    """
    if currency != instrument.currency:
        raise RowInvalid(
            found=f"currency {currency}",
            expected=f"{instrument.currency}, in which {instrument.symbol} is traded",
            hint="mend the row where it comes from",
            where=where,
        )
