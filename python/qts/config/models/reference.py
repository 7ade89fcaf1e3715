"""`reference/*.yaml`: what exchanges and brokers prescribe, by the day from which it holds."""

from itertools import pairwise
from typing import Annotated, Literal, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, model_validator

from qts.config.fields import ClockTime, Day, Number, Whole, Word, refuse
from qts.config.models.base import Section
from qts.config.models.corporate import DividendRow, SplitRow


class Dated(Section):
    """A row that holds from a day on."""

    effective_from: Day = Field(description="First day.")


_Row = TypeVar("_Row", bound=Dated)


def _ascending(rows: tuple[_Row, ...]) -> tuple[_Row, ...]:
    for earlier, later in pairwise(rows):
        if earlier.effective_from >= later.effective_from:
            raise refuse("ordered", order=f"effective_from ascending ({later.effective_from} comes too late)")
    return rows


Rows: TypeAlias = Annotated[tuple[_Row, ...], Field(min_length=1), AfterValidator(_ascending)]
"""Rows by the day from which they hold. Before the first row, the first row holds."""

Positive: TypeAlias = Annotated[Number, Field(gt=0)]
Scale: TypeAlias = Annotated[Whole, Field(ge=0, le=8)]
Minutes: TypeAlias = Annotated[Whole, Field(ge=0, le=720)]


class TickBand(Section):
    """A price band and the step that orders in it must keep."""

    from_price: Annotated[Number, Field(ge=0)] = Field(alias="from", description="Lowest price of the band.")
    tick: Positive = Field(description="Price step inside the band.")


class TickRow(Dated):
    """A tick ladder."""

    bands: Annotated[tuple[TickBand, ...], Field(min_length=1)] = Field(description="Bands, lowest first, from 0 on.")

    @model_validator(mode="after")
    def _bands_are_ascending(self) -> Self:
        if self.bands[0].from_price != 0:
            raise refuse("ordered", order="the first band from 0")
        if any(low.from_price >= high.from_price for low, high in pairwise(self.bands)):
            raise refuse("ordered", order="bands ascending by `from`")
        return self


class LimitRow(Dated):
    """How far a price may move within a day."""

    rate: Annotated[Number, Field(gt=0, le=1)] | None = Field(description="Fraction of the base price; null = none.")


class CostRow(Dated):
    """What a trade costs, in basis points of its amount."""

    fee_buy_bps: Annotated[Number, Field(ge=0, lt=10_000)] = Field(description="Commission of a purchase.")
    fee_sell_bps: Annotated[Number, Field(ge=0, lt=10_000)] = Field(description="Commission of a sale.")
    tax_sell_bps: Annotated[Number, Field(ge=0, lt=10_000)] = Field(description="Transaction tax of a sale.")


class TicksFile(Section):
    """`reference/ticks.yaml`."""

    tick_tables: dict[str, Rows[TickRow]] = Field(description="Tick ladders by name.")
    price_limits: dict[str, Rows[LimitRow]] = Field(description="Daily price limits by name.")


class CostsFile(Section):
    """`reference/costs.yaml`."""

    cost_tables: dict[str, Rows[CostRow]] = Field(description="Commission and tax by name.")


class HoursRow(Dated):
    """Regular hours of a session, local time."""

    open: ClockTime = Field(description="First trade, HH:MM.")
    close: ClockTime = Field(description="Last trade, HH:MM.")

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.open >= self.close:
            raise refuse("ordered", order="open < close")
        return self


class ShiftedDay(Section):
    """A day whose whole session lies later."""

    date: Day = Field(description="The day.")
    shift_min: Minutes = Field(description="Minutes by which opening and close lie later.")


class Phases(Section):
    """Where the phases of a session begin, in minutes from its opening or to its close."""

    prepare_before_open_min: Minutes = Field(default=60, description="PREPARE begins so long before the opening.")
    auction_before_open_min: Minutes = Field(default=30, description="OPENING_AUCTION begins so long before it.")
    open_guard_min: Minutes = Field(default=5, description="OPEN_GUARD lasts so long from the opening on.")
    close_guard_before_close_min: Minutes = Field(default=15, description="CLOSE_GUARD begins so long before close.")
    auction_before_close_min: Minutes = Field(default=10, description="CLOSING_AUCTION begins so long before close.")
    close_set_min: Minutes = Field(default=150, description="CLOSE_SET lasts so long from the close on.")

    @model_validator(mode="after")
    def _phases_are_ordered(self) -> Self:
        if self.prepare_before_open_min < self.auction_before_open_min:
            raise refuse("ordered", order="prepare_before_open_min >= auction_before_open_min")
        if self.close_guard_before_close_min < self.auction_before_close_min:
            raise refuse("ordered", order="close_guard_before_close_min >= auction_before_close_min")
        return self


class ExchangeCalendar(Section):
    """An exchange with sessions: closed days from the calendar library, hours and special days from here."""

    kind: Literal["exchange"] = Field(description="exchange = sessions with opening and close.")
    library: Word = Field(description="Name of the calendar in the library exchange_calendars.")
    utc_offset_min: Annotated[Whole, Field(ge=-720, le=840)] = Field(description="Minutes east of UTC, all year.")
    first_day: Day = Field(description="First day that the calendar knows.")
    last_day: Day = Field(description="Last day that the calendar knows.")
    hours: Rows[HoursRow] = Field(description="Regular hours.")
    saturdays_until: Day | None = Field(default=None, description="Last Saturday with a session; null = none.")
    first_session_open_shift_min: Minutes = Field(
        default=0, description="Minutes by which the first session of a year opens later; its close stays."
    )
    shifted_days: tuple[ShiftedDay, ...] = Field(default=(), description="Days whose session lies later.")
    extra_closed_days: tuple[Day, ...] = Field(default=(), description="Closed days that the library lacks.")
    phases: Phases = Field(default_factory=Phases, description="Phases of a session.")

    @model_validator(mode="after")
    def _first_day_comes_first(self) -> Self:
        if self.first_day > self.last_day:
            raise refuse("ordered", order="first_day <= last_day")
        return self


class AlwaysOpenCalendar(Section):
    """A market that never closes; its sessions are UTC days."""

    kind: Literal["always_open"] = Field(description="always_open = trades around the clock.")
    utc_offset_min: Literal[0] = Field(default=0, description="Days are UTC days.")


Calendar: TypeAlias = Annotated[ExchangeCalendar | AlwaysOpenCalendar, Field(discriminator="kind")]


class CalendarFile(Section):
    """`reference/calendar.yaml`."""

    calendars: dict[str, Calendar] = Field(description="Trading calendars by name.")


class CurrencyRow(Section):
    """A currency."""

    scale: Scale = Field(description="Decimals in which amounts are kept.")


class InstrumentClass(Section):
    """What all instruments of a kind share."""

    market: Word = Field(description="Market segment.")
    currency: Word = Field(description="Currency of price and amount.")
    price_scale: Scale = Field(description="Decimals of a price.")
    qty_scale: Scale = Field(description="Decimals of a quantity.")
    lot: Positive = Field(description="Smallest quantity, and step of quantities.")
    price_increment: Positive = Field(description="Finest price that data may carry; the tick table binds orders.")
    tick_table: Word = Field(description="Tick table of ticks.yaml.")
    price_limit: Word = Field(description="Price limit of ticks.yaml.")
    cost_table: Word = Field(description="Cost table of costs.yaml.")
    calendar: Word = Field(description="Calendar of calendar.yaml.")


class Synth(Section):
    """Parameters of the simulated market for one instrument."""

    base_price: Positive = Field(description="Price from which a simulated session starts.")
    daily_volume: Positive = Field(description="Quantity traded in a simulated session.")
    annual_volatility: Annotated[Number, Field(gt=0, le=2)] = Field(
        description="Yearly volatility of the price, a fraction."
    )
    events_per_day: Annotated[Whole, Field(ge=100, le=10_000_000)] = Field(
        description="Quotes and trades of a simulated session, about."
    )


class InstrumentRow(Section):
    """An instrument."""

    class_name: Word = Field(alias="class", description="Class of instruments that it belongs to.")
    name: Word = Field(description="Name for people.")
    sector: Word = Field(description="Sector, for exposure by sector.")
    synth: Synth | None = Field(default=None, description="Parameters of the simulated market; absent = not simulated.")


class InstrumentsFile(Section):
    """`reference/instruments.yaml`."""

    currencies: dict[str, CurrencyRow] = Field(description="Currencies by code.")
    classes: dict[str, InstrumentClass] = Field(description="Kinds of instruments by name.")
    instruments: dict[str, InstrumentRow] = Field(description="Instruments by symbol.")


class Reference(Section):
    """All reference data."""

    calendars: dict[str, Calendar] = Field(description="Trading calendars by name.")
    tick_tables: dict[str, Rows[TickRow]] = Field(description="Tick ladders by name.")
    price_limits: dict[str, Rows[LimitRow]] = Field(description="Daily price limits by name.")
    cost_tables: dict[str, Rows[CostRow]] = Field(description="Commission and tax by name.")
    currencies: dict[str, CurrencyRow] = Field(description="Currencies by code.")
    classes: dict[str, InstrumentClass] = Field(description="Kinds of instruments by name.")
    instruments: dict[str, InstrumentRow] = Field(description="Instruments by symbol.")
    dividends: dict[str, tuple[DividendRow, ...]] = Field(default_factory=dict, description="Dividends by symbol.")
    splits: dict[str, tuple[SplitRow, ...]] = Field(default_factory=dict, description="Splits by symbol.")
