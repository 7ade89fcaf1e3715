"""A trading session and its phases."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from qts.config import SessionPhase

PHASES: Final[tuple[SessionPhase, ...]] = (
    "MONITOR",
    "PREPARE",
    "OPENING_AUCTION",
    "OPEN_GUARD",
    "FULL",
    "CLOSE_GUARD",
    "CLOSING_AUCTION",
    "CLOSE_SET",
)
"""Phases in the order of a day; MONITOR is also what follows the last."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Times are UTC nanoseconds; each begins what it names.

    Continuous trading lasts from `open_ns` to `continuous_end_ns`, the closing auction from there on.
    """

    date: date
    open_ns: int
    continuous_end_ns: int
    close_ns: int
