"""A small market on the real ladders: best prices, prints, halts, limit-down and a feed that can go silent.

Quotes come from the plan, move by move. What the executions see is what the feed brought last; as long as the feed
is up it repeats itself, so a price is a few milliseconds old.
"""

from functools import cache
from typing import NamedTuple

from qts.config import ConfigManager
from qts.execution.contracts import VolumeBucket
from qts.execution.interfaces import QuoteView
from qts.instruments import Catalog

from .moments import MS, S

SYMBOLS = ("005930", "000660", "035720")
BASES = (1_996, 4_985, 12_350, 19_970, 49_900, 70_000, 178_500, 199_800, 503_000)
"""Prices of yesterday that plans choose from; several stand just below a step of the ladder."""
FEED_AGE_NS = 5 * MS


@cache
def catalog() -> Catalog:
    """The shipped instruments; read once a process."""
    return Catalog.load(ConfigManager().load().reference)


class Top(NamedTuple):
    """The best prices of one instrument."""

    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    last: int


class Market:
    """What the exchange and the executions take for the market. Also the `MarketView` of the pipeline."""

    def __init__(self, moments, bases: tuple[int, ...], *, adv: int = 0, profile: bool = False) -> None:
        self._moments = moments
        self._core = catalog().core
        self.instruments = tuple(catalog()[symbol].id for symbol in SYMBOLS[: len(bases)])
        self.symbols = dict(zip(self.instruments, SYMBOLS, strict=False))
        now_ns = moments.now_ns
        self.bases = dict(zip(self.instruments, bases, strict=True))
        self.limits = {one: self._core.price_limits(one, base, now_ns) or (0, 0) for one, base in self.bases.items()}
        self.tops: dict[int, Top] = {}
        self.halted: set[int] = set()
        self.silent_since: dict[int, int] = {}
        self._adv = adv
        self._profile = profile
        self._start_ns = now_ns
        for one, base in self.bases.items():
            bid = self._core.floor_to_tick(one, base, now_ns)
            self.tops[one] = Top(bid, 800, self._core.step(one, bid, 1, now_ns), 800, bid)

    # What moves it

    def move(self, one: int, ticks: int, spread: int, bid_qty: int, ask_qty: int) -> Top:
        """Move the bid by ticks and put the ask `spread` ticks above; both stay inside the day's limits."""
        low, high = self.limits[one]
        now_ns = self._moments.now_ns
        bid = self.tops[one].bid or low
        bid = min(max(self._core.step(one, bid, ticks, now_ns), low), self._core.step(one, high, -spread, now_ns))
        ask = self._core.step(one, bid, max(1, spread), now_ns)
        last = ask if ticks > 0 else bid
        self.tops[one] = top = Top(bid, bid_qty, ask, ask_qty, last)
        return top

    def limit_down(self, one: int) -> Top:
        """Only sellers, at the lower limit."""
        low = self.limits[one][0]
        self.tops[one] = top = Top(0, 0, low, 500_000, low)
        return top

    # MarketView

    def quote(self, instrument: int) -> QuoteView:
        top = self.tops[instrument]
        seen_ns = self.silent_since.get(instrument, self._moments.now_ns - FEED_AGE_NS)
        return QuoteView(top.last, top.bid, top.bid_qty, top.ask, top.ask_qty, seen_ns)

    def tick_size(self, instrument: int, price: int, now_ns: int) -> int:
        return self._core.tick_size(instrument, price, now_ns)

    def floor_to_tick(self, instrument: int, price: int, now_ns: int) -> int:
        return self._core.floor_to_tick(instrument, price, now_ns)

    def ceil_to_tick(self, instrument: int, price: int, now_ns: int) -> int:
        return self._core.ceil_to_tick(instrument, price, now_ns)

    def step(self, instrument: int, price: int, ticks: int) -> int:
        return self._core.step(instrument, price, ticks, self._moments.now_ns)

    def price_limits(self, instrument: int, now_ns: int) -> tuple[int, int]:
        return self.limits[instrument]

    def is_open(self, instrument: int, track: str, intent: str, now_ns: int) -> bool:
        return instrument not in self.halted

    def volume_profile(self, instrument: int, now_ns: int):
        if not self._profile:
            return ()
        return tuple(VolumeBucket(self._start_ns + n * 10 * S, 500 + 100 * n) for n in range(8))

    def adv(self, instrument: int) -> int:
        return self._adv
