"""Every instrument of a run, as Python objects and as the table that the core computes with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from qts._core import Instruments
from qts.clock import midnight_ns
from qts.codes import DataError, nearest, text
from qts.config import InstrumentClass, InstrumentRow, Reference
from qts.instruments.instrument import Instrument, SynthParams
from qts.instruments.messages import say
from qts.money import Currency, to_units

if TYPE_CHECKING:
    from decimal import Decimal

    from qts._shapes import InstrumentSpec

_RATE_SCALE: Final = 8
_BPS: Final = 10_000
_PPM: Final = 1_000_000
_KNOWN_SHOWN: Final = 12


class Catalog:
    """The instruments of the reference data, by symbol and by id.

    `core` is the same table for the compiled core: ticks, limits, fees and taxes by date. Ids are dense and
    follow the order of the reference file.
    """

    def __init__(self, core: Instruments, instruments: tuple[Instrument, ...], currencies: dict[str, Currency]) -> None:
        self.core = core
        self._by_id = instruments
        self._by_symbol = {instrument.symbol: instrument for instrument in instruments}
        self._currencies = currencies

    @classmethod
    def load(cls, reference: Reference) -> "Catalog":
        """Build the catalog of a resolved configuration.

        Raises:
            DataError: the rules of an instrument do not fit together.
        """
        core = Instruments()
        currencies = {code: Currency(code, row.scale) for code, row in reference.currencies.items()}
        instruments = tuple(
            _add(core, reference, symbol, row, currencies) for symbol, row in reference.instruments.items()
        )
        return cls(core, instruments, currencies)

    def __getitem__(self, symbol: str) -> Instrument:
        """Return an instrument; DataError names the nearest symbol if there is none."""
        instrument = self._by_symbol.get(symbol)
        if instrument is None:
            raise self._unknown(symbol)
        return instrument

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._by_symbol

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def by_id(self, instrument: int) -> Instrument:
        """Return the instrument with an id that the core gave."""
        return self._by_id[instrument]

    def symbols(self) -> tuple[str, ...]:
        """Return every symbol, in order of id."""
        return tuple(self._by_symbol)

    def currency(self, code: str) -> Currency:
        """Return a currency of the reference data by its code."""
        return self._currencies[code]

    def _unknown(self, symbol: str) -> DataError:
        known = self.symbols()
        shown = ", ".join(known[:_KNOWN_SHOWN]) + (", ..." if len(known) > _KNOWN_SHOWN else "")
        near = nearest(symbol, known)
        hint = say("unknown_symbol_hint")
        return DataError(
            found=say("unknown_symbol", symbol=symbol),
            expected=say("unknown_symbol_expected", known=shown),
            hint=hint if near is None else f"{text('did_you_mean', word=near)} {hint}",
        )


def _add(
    core: Instruments, reference: Reference, symbol: str, row: InstrumentRow, currencies: dict[str, Currency]
) -> Instrument:
    kind = reference.classes[row.class_name]
    try:
        spec = _spec(reference, symbol, kind, currencies[kind.currency].scale)
        number = core.add(spec)
        synth = _synth(row, kind)
    except ValueError as error:
        raise DataError(
            found=say("bad_instrument", symbol=symbol, reason=error),
            expected=say("bad_instrument_expected"),
            hint=say("bad_instrument_hint"),
        ) from None
    return Instrument(
        id=number,
        symbol=symbol,
        name=row.name,
        market=kind.market,
        sector=row.sector,
        currency=kind.currency,
        price_scale=kind.price_scale,
        qty_scale=kind.qty_scale,
        money_scale=spec["money_scale"],
        lot=spec["lot"],
        price_increment=spec["price_increment"],
        tick_table=kind.tick_table,
        cost_table=kind.cost_table,
        price_limit=kind.price_limit,
        calendar=kind.calendar,
        synth=synth,
    )


def _spec(reference: Reference, symbol: str, kind: InstrumentClass, money_scale: int) -> "InstrumentSpec":
    """Return an instrument as the core wants it: integers, rows dated by the exchange's local midnight."""
    offset_s = reference.calendars[kind.calendar].utc_offset_min * 60
    return {
        "symbol": symbol,
        "currency": kind.currency,
        "price_scale": kind.price_scale,
        "qty_scale": kind.qty_scale,
        "money_scale": money_scale,
        "lot": to_units(kind.lot, kind.qty_scale),
        "price_increment": to_units(kind.price_increment, kind.price_scale),
        "ladder": [
            (
                midnight_ns(row.effective_from, offset_s),
                [
                    (to_units(band.from_price, kind.price_scale), to_units(band.tick, kind.price_scale))
                    for band in row.bands
                ],
            )
            for row in reference.tick_tables[kind.tick_table]
        ],
        "costs": [
            (
                midnight_ns(row.effective_from, offset_s),
                _rate(row.fee_buy_bps / _BPS),
                _rate(row.fee_sell_bps / _BPS),
                _rate(row.tax_sell_bps / _BPS),
            )
            for row in reference.cost_tables[kind.cost_table]
        ],
        "limit_rate": [
            (midnight_ns(row.effective_from, offset_s), None if row.rate is None else _rate(row.rate))
            for row in reference.price_limits[kind.price_limit]
        ],
    }


def _rate(fraction: "Decimal") -> int:
    return to_units(fraction, _RATE_SCALE)


def _synth(row: InstrumentRow, kind: InstrumentClass) -> SynthParams | None:
    if row.synth is None:
        return None
    return SynthParams(
        base_price=to_units(row.synth.base_price, kind.price_scale),
        daily_volume=to_units(row.synth.daily_volume, kind.qty_scale),
        annual_volatility_ppm=int(row.synth.annual_volatility * _PPM),
        events_per_day=row.synth.events_per_day,
    )
