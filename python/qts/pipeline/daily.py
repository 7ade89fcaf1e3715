"""What the closed daily bars say of each instrument: how much trades in a day, and how far the price moves.

Both go by the last 20 sessions (spec 20 §4); before so many have closed neither is known, which is a state of its own
and no number. All of it is integer arithmetic, so that two machines come to the same.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import isqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.instruments import adjusted_price, adjusted_qty
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.instruments import Split

SESSIONS: Final = 20
"""Sessions that volume and volatility are measured over."""
_PPB: Final = 1_000_000_000


class DayStats(NamedTuple):
    """What is known of an instrument's days."""

    adv_qty: int | None = None
    """Median volume of the last sessions, in quantity units; None if too few have closed or nothing traded."""
    sigma_ppm: int | None = None
    """Standard deviation of the daily returns between their closes, in parts per million; None as above."""


UNKNOWN: Final = DayStats()


class DailyBook:
    """Keeps volumes and closes of the last sessions, by instrument."""

    def __init__(self) -> None:
        self._volumes: dict[int, deque[int]] = {}
        self._closes: dict[int, deque[int]] = {}
        self._stats: dict[int, DayStats] = {}

    def add(self, instrument: int, close: int, volume: int) -> None:
        """Take in a closed daily bar."""
        self._volumes.setdefault(instrument, deque(maxlen=SESSIONS)).append(volume)
        self._closes.setdefault(instrument, deque(maxlen=SESSIONS + 1)).append(close)
        self._stats.pop(instrument, None)

    def rebase(self, split: Split) -> None:
        """Adjust volumes and closes of an instrument, all of them from before a split that takes effect now."""
        instrument = split.instrument
        _replace(self._volumes.get(instrument), lambda volume: adjusted_qty(volume, [split]))
        _replace(self._closes.get(instrument), lambda close: adjusted_price(close, [split]))
        self._stats.pop(instrument, None)

    def stats(self, instrument: int) -> DayStats:
        """Return what the bars closed so far say."""
        stats = self._stats.get(instrument)
        if stats is None:
            if instrument not in self._volumes:
                return UNKNOWN
            stats = DayStats(_median(self._volumes[instrument]), _sigma_ppm(self._closes[instrument]))
            self._stats[instrument] = stats
        return stats


def _replace(rows: deque[int] | None, change: Callable[[int], int]) -> None:
    if rows is not None:
        values = [change(row) for row in rows]
        rows.clear()
        rows.extend(values)


def _median(volumes: Sequence[int]) -> int | None:
    if len(volumes) < SESSIONS:
        return None
    ordered = sorted(volumes)
    return (ordered[SESSIONS // 2 - 1] + ordered[SESSIONS // 2]) // 2 or None


def _sigma_ppm(closes: Sequence[int]) -> int | None:
    """Return the sample standard deviation of close / previous close - 1, rounded down."""
    rows = list(closes)
    if len(rows) <= SESSIONS or min(rows) <= 0:
        return None
    returns = [(close - before) * _PPB // before for before, close in pairwise(rows)]
    count = len(returns)
    variance = (count * sum(value * value for value in returns) - sum(returns) ** 2) // (count * (count - 1))
    return isqrt(variance) * PPM // _PPB or None
