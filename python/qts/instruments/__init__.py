"""Instruments, their rules by date, and trading calendars; all of it is reference data."""

from qts.config import SessionPhase
from qts.instruments.calendar import AlwaysOpen, Calendar, TradingCalendar, load_calendars
from qts.instruments.catalog import Catalog
from qts.instruments.corporate import (
    CorporateActions,
    Dividend,
    Split,
    SplitHolding,
    adjusted_bars,
    adjusted_price,
    adjusted_qty,
    after_split,
    apply_split,
    cash_in_lieu,
)
from qts.instruments.entitlements import DividendBook, DividendPayment, Entitlement, Held, SplitBook
from qts.instruments.instrument import Instrument, SynthParams
from qts.instruments.session import PHASES, Session

__all__ = [
    "PHASES",
    "AlwaysOpen",
    "Calendar",
    "Catalog",
    "CorporateActions",
    "Dividend",
    "DividendBook",
    "DividendPayment",
    "Entitlement",
    "Held",
    "Instrument",
    "Session",
    "SessionPhase",
    "Split",
    "SplitBook",
    "SplitHolding",
    "SynthParams",
    "TradingCalendar",
    "adjusted_bars",
    "adjusted_price",
    "adjusted_qty",
    "after_split",
    "apply_split",
    "cash_in_lieu",
    "load_calendars",
]
