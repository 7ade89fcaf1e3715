"""The volatility index that the thresholds called `vix` are compared with (spec 00 section 7.7 and A1)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qts.clock import NS_PER_DAY, NS_PER_S
from qts.state.interfaces import VolObservation
from qts.state.quality import VIX_MAX

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.config import VolIndexConfig
    from qts.state.interfaces import VolIndexFeed

VolSource: TypeAlias = Literal["VIX", "VKOSPI", "NONE"]
VolScaling: TypeAlias = Literal["RAW", "PERCENTILE"]

KILL_LEVEL: Final = 40.0
"""Level from which on the index calls for the kill switch; reaching it is enough."""
KILL_REALISED: Final = 0.08
"""Realised volatility that a normalised index needs beside it."""
KILL_MAX_AGE_S: Final = 60

WINDOW_DAYS: Final = 730
CLOSES_MIN: Final = 250
"""Daily closes without which a rank within two years is unknown."""

PERCENTILE_MAP: Final = ((0.0, 5.0), (0.30, 15.0), (0.60, 20.0), (0.75, 25.0), (0.85, 30.0), (0.97, 40.0), (1.0, 50.0))
"""Rank within two years and level on the scale of the VIX; both ends are there to interpolate to."""


class VolIndex:
    """Reads the index and scales it. What is not known is None, never zero.

    Args:
        feed: source of values; None = there is none.
        clock: where time comes from.
        scaling: RAW = as published, PERCENTILE = rank within two years on the scale of the VIX.
    """

    def __init__(self, feed: VolIndexFeed | None, clock: Clock, scaling: VolScaling = "RAW") -> None:
        self._feed = feed
        self._clock = clock
        self._scaling = scaling

    @classmethod
    def from_settings(cls, settings: VolIndexConfig, feed: VolIndexFeed | None, clock: Clock) -> VolIndex:
        """Return the index of a resolved configuration; source NONE needs no feed."""
        return cls(None if settings.source == "NONE" else feed, clock, settings.scaling)

    def read(self) -> VolObservation | None:
        """Return the newest level after scaling, and when it was published; None if it is not known.

        A value that is no level (not finite, zero or below, above 200) is not known either.
        """
        seen = None if self._feed is None else self._feed.latest()
        if seen is None or not _is_level(seen.value):
            return None
        if self._scaling == "RAW":
            return seen
        level = self._normalised(seen)
        return None if level is None else VolObservation(level, seen.asof_ns)

    def calls_for_kill(self, realised_vol: float | None) -> bool:
        """Whether the index calls for the kill switch: at 40 or above, published within the last minute.

        With scaling PERCENTILE the rank alone is not enough: realised volatility has to be at 8 % or above, too.
        """
        seen = self.read()
        if seen is None or seen.value < KILL_LEVEL:
            return False
        age_ns = self._clock.now_ns() - seen.asof_ns
        if not 0 <= age_ns <= KILL_MAX_AGE_S * NS_PER_S:
            return False
        return self._scaling == "RAW" or (realised_vol is not None and realised_vol >= KILL_REALISED)

    def _normalised(self, seen: VolObservation) -> float | None:
        assert self._feed is not None  # noqa: S101 - something was seen
        first = seen.asof_ns - WINDOW_DAYS * NS_PER_DAY
        closes = sorted(
            close.value
            for close in self._feed.daily_closes()
            if first <= close.asof_ns <= seen.asof_ns and _is_level(close.value)
        )
        if len(closes) < CLOSES_MIN:
            return None
        return level_of_rank((bisect_left(closes, seen.value) + bisect_right(closes, seen.value)) / 2 / len(closes))


def level_of_rank(rank: float) -> float:
    """Return the level on the scale of the VIX for a rank from 0 to 1."""
    for (low, low_level), (high, high_level) in pairwise(PERCENTILE_MAP):
        if rank <= high:
            return low_level + (high_level - low_level) * (rank - low) / (high - low)
    return PERCENTILE_MAP[-1][1]


def _is_level(value: float) -> bool:
    return math.isfinite(value) and 0 < value <= VIX_MAX
