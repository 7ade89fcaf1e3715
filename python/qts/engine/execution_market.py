"""What executions see of the market of a stepped run: prices, ladder, hours, and what a day usually brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.contracts import VolumeBucket
from qts.execution.interfaces import QuoteView
from qts.strategy.contracts import EXIT_PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qts.broker.contracts import Track
    from qts.pipeline.interfaces import MarketPort, RulesPort, SessionPort
    from qts.pipeline.ports import BarRow

DAY_NS: Final = 86_400_000_000_000
_KST_NS: Final = 9 * 3_600_000_000_000
_NO_LIMITS: Final = (0, 0)


class StepMarket:
    """`qts.execution.interfaces.MarketView` over the engine's quotes and rules.

    A recorded or simulated feed is complete and tells of changes alone: what it said last holds until it says
    something else. So a quote counts as current for as long as Decide would enter on it, and by its own time after.

    Args:
        market: quotes, adjusted for splits, and the base of a day's limits.
        rules: tick ladder and price limits.
        sessions: phases.
        now: the engine's time.
        max_age_ns: age up to which a quote counts as current.
        adv: median volume of a day; 0 = unknown.
    """

    def __init__(
        self,
        market: MarketPort,
        rules: RulesPort,
        sessions: SessionPort,
        now: Callable[[], int],
        max_age_ns: int,
        adv: Callable[[int], int],
    ) -> None:
        self._market = market
        self._rules = rules
        self._sessions = sessions
        self._now = now
        self._max_age_ns = max_age_ns
        self.adv = adv
        """Average daily volume in quantity units; 0 = unknown."""
        self._volumes = VolumeProfiles()
        self.tick_size = self._tick_size
        self.floor_to_tick = rules.floor_to_tick
        self.ceil_to_tick = rules.ceil_to_tick

    def quote(self, instrument: int) -> QuoteView:
        """Return the best prices; 0 where nothing is known."""
        last, bid, bid_qty, ask, ask_qty, ts_ns, _ = self._market.quote(instrument)
        now_ns = self._now()
        if ts_ns and now_ns - ts_ns <= self._max_age_ns:
            ts_ns = now_ns
        return QuoteView(last, bid, bid_qty, ask, ask_qty, ts_ns)

    def _tick_size(self, instrument: int, price: int, now_ns: int) -> int:
        return self._rules.tick_size(instrument, price, now_ns)

    def price_limits(self, instrument: int, now_ns: int) -> tuple[int, int]:
        """Return the lowest and highest price of the day; (0, 0) where none is known."""
        base = self._market.quote(instrument).prev_close
        return (self._rules.price_limits(instrument, base, now_ns) or _NO_LIMITS) if base else _NO_LIMITS

    def is_open(self, instrument: int, track: Track, intent: str, now_ns: int) -> bool:
        """Whether the phase lets an order of this kind leave: no entry of SCALP shortly before the close."""
        phase = self._sessions.phase(instrument, now_ns)
        if phase not in EXIT_PHASES:
            return False
        return intent != "ENTRY" or track != "SCALP" or phase != "CLOSE_GUARD"

    def volume_profile(self, instrument: int, now_ns: int) -> Sequence[VolumeBucket]:
        """Return the volumes of the session before, as they would come in this one; empty where none is known."""
        return self._volumes.ahead(instrument, now_ns)

    def take_bars(self, bars: Iterable[BarRow]) -> None:
        """Take in closed bars for the profiles of volume."""
        self._volumes.add(bars)


class VolumeProfiles:
    """Volumes of the last session by the time of its day, from the shortest bars of each instrument."""

    def __init__(self) -> None:
        self._interval_ns: dict[int, int] = {}
        self._day: dict[int, int] = {}
        self._today: dict[int, list[tuple[int, int]]] = {}
        self._before: dict[int, list[tuple[int, int]]] = {}

    def add(self, bars: Iterable[BarRow]) -> None:
        """Take in closed bars in their order; those of a day or more say nothing about its course."""
        for bar in bars:
            instrument, interval_ns, start_ns, volume = bar[0], bar[1], bar[2], bar[7]
            shortest_ns = self._interval_ns.get(instrument, DAY_NS)
            if interval_ns >= DAY_NS or interval_ns > shortest_ns:
                continue
            if interval_ns < shortest_ns:
                self._interval_ns[instrument] = interval_ns
                self._today.pop(instrument, None)
                self._before.pop(instrument, None)
            day, of_day_ns = divmod(start_ns + _KST_NS, DAY_NS)
            if day != self._day.get(instrument):
                self._day[instrument] = day
                self._before[instrument] = self._today.pop(instrument, [])
            self._today.setdefault(instrument, []).append((of_day_ns, volume))

    def ahead(self, instrument: int, now_ns: int) -> list[VolumeBucket]:
        """Return what is still to come of a day like the last one."""
        day = (now_ns + _KST_NS) // DAY_NS
        rows = self._before if day == self._day.get(instrument) else self._today
        midnight_ns = day * DAY_NS - _KST_NS
        return [
            VolumeBucket(midnight_ns + of_day_ns, volume)
            for of_day_ns, volume in rows.get(instrument, ())
            if midnight_ns + of_day_ns >= now_ns
        ]
