"""What the wire does to a plan: the fault plan of the brokers, with single faults left out while one cuts down."""

from random import Random
from typing import NamedTuple

from qts.broker.faults import FaultPlan, FaultRates

from .moments import MS

Key = tuple[str, int]
"""Which question to the fault plan: the stream it belongs to, and its number there."""


class Weather(NamedTuple):
    """How the wire behaves for one plan."""

    seed: int = 0
    rates: FaultRates = FaultRates()
    for_ms: int = 0
    """Nothing goes wrong after that, so that the books can come together."""
    without: frozenset[Key] = frozenset()
    """Faults that are left out."""


_CALLS = ("not_sent", "lost_before", "lost_after", "delay", "late_answer")
_REJECTS = ("reject_transient", "reject_permanent", "reject_balance", "reject_symbol")
_NOTICES = ("lost_notice", "duplicate_notice", "late_notice", "cut_stream", "deaf_stream")
_LISTS = ("empty_list", "doubled_rows", "truncated_list")
_THEMES = (
    (),
    ("lost_after",),
    ("lost_before",),
    ("lost_before", "lost_after"),
    ("late_answer", "delay"),
    ("fill_first", "lost_after"),
    ("fill_first", "late_notice"),
    _REJECTS,
    _NOTICES,
    (*_NOTICES, "lost_after"),
    (*_LISTS, "lost_before", "lost_after"),
    _CALLS,
    (*_CALLS, *_REJECTS, *_NOTICES, *_LISTS, "fill_first"),
    (*_CALLS, *_REJECTS, *_NOTICES, *_LISTS, "fill_first"),
    (*_CALLS, *_REJECTS, *_NOTICES, *_LISTS, "fill_first"),
)


def weather_of(seed: int) -> Weather:
    """Make the weather of a seed: calm, one kind of trouble and much of it, or a bit of everything."""
    dice = Random(seed ^ 0x5EED)  # noqa: S311 - a plan, no secret
    names = dice.choice(_THEMES)
    ppm = dice.choice((30_000, 80_000, 200_000, 600_000)) if names else 0
    ppm = min(ppm, 900_000 // max(1, len(names)))
    rates = FaultRates(
        **dict.fromkeys(names, ppm),
        delay_max_ms=dice.choice((40, 700, 3_000)),
        answer_timeout_ms=dice.choice((300, 1_000, 5_000)),
        cut_max_ms=dice.choice((300, 2_000, 12_000)),
    )
    return Weather(seed, rates, dice.choice((2_000, 10_000, 40_000, 110_000)))


class Faults(FaultPlan):
    """The fault plan of a weather; remembers which faults it injected."""

    def __init__(self, weather: Weather, start_ns: int) -> None:
        super().__init__(weather.seed, weather.rates, from_ns=start_ns, until_ns=start_ns + weather.for_ms * MS)
        self._without = weather.without
        self._key: Key = ("", 0)
        self.keys: list[tuple[Key, str]] = []
        """What has been injected, in order."""

    def _draw(self, stream: str, now_ns: int) -> int | None:
        key = (stream, self._asked[stream])
        bits = super()._draw(stream, now_ns)
        if key in self._without:
            return None
        self._key = key
        return bits

    def _count(self, kind) -> None:
        super()._count(kind)
        self.keys.append((self._key, str(kind)))
