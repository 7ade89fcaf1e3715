"""One instrument: what it is called, how its numbers are scaled, which rules bind it."""

from dataclasses import dataclass
from decimal import Decimal

from qts.codes import DataError
from qts.instruments.messages import say
from qts.money import from_units, to_units


@dataclass(frozen=True, slots=True)
class SynthParams:
    """Parameters of the simulated market, in the instrument's units."""

    base_price: int
    daily_volume: int
    annual_volatility_ppm: int
    events_per_day: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A tradable instrument. `lot` and `price_increment` are integers in its quantity and price scale.

    Tick table, cost table, price limit and calendar are names in the reference data; `Catalog.core` answers
    what they say at a given time.
    """

    id: int
    symbol: str
    name: str
    market: str
    sector: str
    currency: str
    price_scale: int
    qty_scale: int
    money_scale: int
    lot: int
    price_increment: int
    tick_table: str
    cost_table: str
    price_limit: str
    calendar: str
    synth: SynthParams | None

    def price(self, units: int) -> Decimal:
        """Return a price in units as a number."""
        return from_units(units, self.price_scale)

    def qty(self, units: int) -> Decimal:
        """Return a quantity in units as a number."""
        return from_units(units, self.qty_scale)

    def money(self, units: int) -> Decimal:
        """Return an amount in units as a number."""
        return from_units(units, self.money_scale)

    def price_units(self, value: Decimal | int | str) -> int:
        """Return a price as units; DataError if digits would be lost or the text is no plain decimal."""
        return self._units(value, self.price_scale, "price")

    def qty_units(self, value: Decimal | int | str) -> int:
        """Return a quantity as units; DataError if digits would be lost or the text is no plain decimal."""
        return self._units(value, self.qty_scale, "quantity")

    def _units(self, value: Decimal | int | str, scale: int, what: str) -> int:
        try:
            return to_units(value, scale)
        except ValueError:
            raise DataError(
                found=say("bad_number", what=say(what), value=str(value), symbol=self.symbol),
                expected=say("bad_number_expected", scale=scale),
                hint=say("bad_number_hint"),
            ) from None
