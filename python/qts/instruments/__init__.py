"""Instruments, their rules by date, and trading calendars; all of it is reference data."""

from qts.config import SessionPhase
from qts.instruments.calendar import AlwaysOpen, Calendar, TradingCalendar, load_calendars
from qts.instruments.catalog import Catalog
from qts.instruments.instrument import Instrument, SynthParams
from qts.instruments.session import PHASES, Session

__all__ = [
    "PHASES",
    "AlwaysOpen",
    "Calendar",
    "Catalog",
    "Instrument",
    "Session",
    "SessionPhase",
    "SynthParams",
    "TradingCalendar",
    "load_calendars",
]
