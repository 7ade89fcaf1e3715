"""Dividends and splits of the instruments of a run, checked against their calendars, and what they do to figures."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self, TypeVar

from qts.codes import ConfigError, DataError, EngineFault
from qts.config import CORPORATE_FILE
from qts.instruments.messages import say
from qts.money import to_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from qts._shapes import SplitRow, TrackName
    from qts.config import DividendRow, Reference
    from qts.instruments.calendar import Calendar
    from qts.instruments.catalog import Catalog
    from qts.instruments.instrument import Instrument

_SCALE: Final = 8
"""Decimals in which amounts per share and tax rates are counted."""


class Dividend(NamedTuple):
    """A dividend in cash. `gross_num / gross_den` is what one unit of quantity is paid, in money units before tax."""

    symbol: str
    ex_date: date
    record_date: date
    pay_date: date
    gross_num: int
    gross_den: int
    tax_e8: int
    """Share that is withheld, times 10**8."""

    @property
    def key(self) -> str:
        """What it is known by once and for all."""
        return f"dividend:{self.symbol}:{self.record_date}"

    def gross(self, qty: int) -> int:
        """Return what a quantity is paid before tax, truncated to whole money units."""
        return qty * self.gross_num // self.gross_den

    def tax(self, gross: int) -> int:
        """Return what is withheld of a gross amount, truncated to whole money units."""
        return gross * self.tax_e8 // 10**_SCALE


class Split(NamedTuple):
    """`numerator` shares for every `denominator`, from the opening of `effective_date` on."""

    symbol: str
    instrument: int
    effective_date: date
    numerator: int
    denominator: int

    @property
    def key(self) -> str:
        """What it is known by once and for all."""
        return f"split:{self.symbol}:{self.effective_date}"


class CorporateActions:
    """Every dividend and split of the instruments of a run."""

    def __init__(self, dividends: Iterable[Dividend] = (), splits: Iterable[Split] = ()) -> None:
        self.dividends = tuple(sorted(dividends, key=lambda row: (row.ex_date, row.symbol, row.record_date)))
        """By ex-date and symbol."""
        self.splits = tuple(sorted(splits, key=lambda row: (row.effective_date, row.symbol)))
        """By effective date and symbol."""
        self._by_key = {row.key: row for row in self.dividends}

    @classmethod
    def load(cls, reference: Reference, catalog: Catalog, calendars: Mapping[str, Calendar]) -> Self:
        """Return the actions of the instruments in `catalog`; calendars are asked only if there are any.

        Raises:
            ConfigError: FS127 for a dividend, FS003 for a split, whose day is no session of its instrument.
        """
        dividends, splits = [], []
        for symbol, rows in reference.dividends.items():
            if symbol not in catalog:
                continue  # of another currency, or not of this run
            instrument = catalog[symbol]
            for number, row in enumerate(rows):
                place = _Place(f"dividends.{symbol}.{number}", "ex_date", "FS127")
                _refuse_closed(place, row.ex_date, instrument.calendar, calendars)
                dividends.append(_dividend(instrument, row))
        for symbol, actions in reference.splits.items():
            if symbol not in catalog:
                continue
            instrument = catalog[symbol]
            for number, action in enumerate(actions):
                place = _Place(f"splits.{symbol}.{number}", "effective_date", "FS003")
                _refuse_closed(place, action.effective_date, instrument.calendar, calendars)
                splits.append(Split(symbol, instrument.id, action.effective_date, action.numerator, action.denominator))
        return cls(dividends, splits)

    def dividend(self, key: str) -> Dividend | None:
        """Return the dividend of a key as the file has it now."""
        return self._by_key.get(key)

    def going_ex(self, after: date, last: date) -> list[Dividend]:
        """Return the dividends whose ex-date lies after `after` and not after `last`."""
        return [row for row in self.dividends if after < row.ex_date <= last]

    def splitting(self, after: date, last: date) -> list[Split]:
        """Return the splits that take effect after `after` and not after `last`."""
        return [row for row in self.splits if after < row.effective_date <= last]

    def splits_of(self, symbol: str) -> list[Split]:
        """Return the splits of a symbol in their order."""
        return [row for row in self.splits if row.symbol == symbol]


class _Place(NamedTuple):
    entry: str
    field: str
    code: str


def _refuse_closed(place: _Place, day: date, name: str, calendars: Mapping[str, Calendar]) -> None:
    calendar = calendars[name]
    try:
        if calendar.is_session(day):
            return
        found = say("action_closed", entry=place.entry, field=place.field, day=day, name=name)
        expected = say("closed_day_expected", next_day=calendar.next_session(day).date)
    except DataError as outside:
        found, expected = f"{place.entry}.{place.field}: {outside.found}", outside.expected
    raise ConfigError(
        found=found, expected=expected, hint=say("action_closed_hint"), where=CORPORATE_FILE, code=place.code
    ) from None


def _dividend(instrument: Instrument, row: DividendRow) -> Dividend:
    per_share = Fraction(to_units(row.amount, _SCALE), 10**_SCALE)
    per_unit = per_share * 10**instrument.money_scale / 10**instrument.qty_scale
    tax_e8 = to_units(row.tax_rate, _SCALE)
    days = (row.ex_date, row.record_date, row.pay_date)
    return Dividend(instrument.symbol, *days, per_unit.numerator, per_unit.denominator, tax_e8)


# What a split does to figures


def adjusted_price(price: int, splits: Iterable[Split]) -> int:
    """Return a price from before `splits` as it compares with those after them, in price units.

    Rounded half up once, at least one unit. The base price of the first session after a split is the close before it,
    adjusted so.
    """
    return max(1, _half_up(price / _ratio(splits))) if price > 0 else price


def adjusted_qty(qty: int, splits: Iterable[Split]) -> int:
    """Return a traded quantity from before `splits` as it compares with those after them, rounded half up."""
    return _half_up(qty * _ratio(splits))


class PriceBar(Protocol):
    """A bar as a named tuple; prices and volume in units, its start in UTC nanoseconds."""

    @property
    def start_ns(self) -> int: ...  # noqa: D102
    @property
    def open(self) -> int: ...  # noqa: D102
    @property
    def high(self) -> int: ...  # noqa: D102
    @property
    def low(self) -> int: ...  # noqa: D102
    @property
    def close(self) -> int: ...  # noqa: D102
    @property
    def volume(self) -> int: ...  # noqa: D102
    def _replace(self, **changes: int) -> Self: ...


_Bar = TypeVar("_Bar", bound=PriceBar)


def adjusted_bars(bars: Iterable[_Bar], splits: Sequence[Split], session_date: Callable[[int], date]) -> list[_Bar]:
    """Return bars of one symbol as strategies are to see them from the day of the last of `splits` on.

    Of each bar from before a split the prices are divided by its ratio and the volume is multiplied by it. Not touched:
    bars since then, ticks and quotes on record, what a strategy has computed from bars already, and prices for
    dividends, which have no effect on signals.

    Args:
        bars: bars in any order.
        splits: those that have taken effect; one that is still to come would be looking ahead.
        session_date: day of a moment in the market's calendar.
    """
    adjusted = []
    for bar in bars:
        later = [row for row in splits if session_date(bar.start_ns) < row.effective_date]
        adjusted.append(_adjusted(bar, later) if later else bar)
    return adjusted


def _adjusted(bar: _Bar, splits: Sequence[Split]) -> _Bar:
    return bar._replace(
        open=adjusted_price(bar.open, splits),
        high=adjusted_price(bar.high, splits),
        low=adjusted_price(bar.low, splits),
        close=adjusted_price(bar.close, splits),
        volume=adjusted_qty(bar.volume, splits),
    )


def _ratio(splits: Iterable[Split]) -> Fraction:
    ratio = Fraction(1)
    for row in splits:
        ratio *= Fraction(row.numerator, row.denominator)
    return ratio


def _half_up(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


# What a split does to holdings


class SplitCore(Protocol):
    """What is asked of the core: `StepEngine` has it."""

    def split(self, instrument: int, numerator: int, denominator: int, /) -> list[SplitRow]:
        """Change every track's holding, in whole lots; ValueError if orders of the instrument work."""
        ...


class SplitHolding(NamedTuple):
    """What a split has done to the holding of one track."""

    symbol: str
    track: TrackName
    qty_before: int
    qty_after: int
    cost: int
    """Cost of what is left."""
    written_off: int
    """Cost of a holding of which nothing is left."""
    cash_in_lieu: int
    """What is owed for what makes no whole lot, in money units, truncated; the track's result, less `written_off`."""


def after_split(qty: int, split: Split, instrument: Instrument) -> tuple[int, int]:
    """Return what a quantity becomes, in whole lots, and what makes no lot, in 1/denominator units."""
    lots, rest = divmod(qty * split.numerator, split.denominator * instrument.lot)
    return lots * instrument.lot, rest


def cash_in_lieu(rest: int, split: Split, instrument: Instrument, prev_close: int) -> int:
    """Return what a rest of `after_split` is worth at the close before the split, in money units, truncated."""
    shift = Fraction(10) ** (instrument.money_scale - instrument.price_scale - instrument.qty_scale)
    return int(Fraction(rest * prev_close, split.numerator) * shift)


def apply_split(core: SplitCore, split: Split, instrument: Instrument, prev_close: int) -> list[SplitHolding]:
    """Apply a split to every track's holding before its session; return what it did and what is owed for fractions.

    No cash moves: the capital books pay `cash_in_lieu`, or `StepEngine.credit` where there are none. `prev_close` is in
    price units, as it was before the split. Calling it again splits again: `SplitBook` says what is due.

    Raises:
        EngineFault: FS071, the core refuses, because orders of the instrument work, and nothing has changed; FS053, it
            did not keep the number of shares.
    """
    try:
        rows = core.split(split.instrument, split.numerator, split.denominator)
    except ValueError as error:
        raise EngineFault(
            "FS071",
            found=say("split_refused", symbol=split.symbol, day=split.effective_date, reason=error),
            expected=say("split_refused_expected"),
            hint=say("split_refused_hint"),
        ) from None
    held = []
    for track, before, after, cost, written_off, rest in rows:
        is_kept = before * split.numerator == after * split.denominator + rest
        if not is_kept or not 0 <= rest < split.denominator * instrument.lot:
            raise EngineFault(
                "FS053",
                found=say("split_lost", symbol=split.symbol, track=track, before=before, after=after, rest=rest),
                expected=say("split_expected", numerator=split.numerator, denominator=split.denominator),
                hint=say("split_hint"),
            )
        cash = cash_in_lieu(rest, split, instrument, prev_close)
        held.append(SplitHolding(split.symbol, track, before, after, cost, written_off, cash))
    return held
