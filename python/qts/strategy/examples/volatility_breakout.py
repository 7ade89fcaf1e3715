"""Breakout of yesterday's range within the day: in above the open plus a part of it, out before the close."""

from typing import Any, ClassVar

from pydantic import Field

from qts.broker.contracts import Track
from qts.strategy.base import Strategy
from qts.strategy.contracts import Intent, Tick
from qts.strategy.params import StrategyParams, Weight, weight_ppm

_DAY_NS = 86_400_000_000_000
_KST_NS = 32_400_000_000_000


class VolatilityBreakoutParams(StrategyParams):
    """What can be set with `--set name=value`."""

    part: float = Field(
        0.5, gt=0, le=2, description="part of yesterday's range above today's open that has to be passed"
    )
    stop_part: float = Field(0.5, gt=0, le=2, description="part of yesterday's range below the entry that ends it")
    weight: Weight = Field(0.3, description="share of the track's equity per position")
    confidence: float = Field(0.75, ge=0, le=1, description="confidence of an entry")


class _Day:
    """What the strategy remembers of one symbol."""

    __slots__ = ("asked", "day", "high", "low", "open", "range", "stop")

    def __init__(self) -> None:
        self.day = -1
        self.open = self.high = self.low = self.range = self.stop = 0
        self.asked = False


class VolatilityBreakout(Strategy):
    """One entry a day and symbol at most; the engine itself closes scalp positions before the closing auction.

    Today's open, high and low are built from the prints as they come: nothing of a day is known before it happens.
    """

    name: ClassVar[str] = "volatility_breakout"
    track: ClassVar[Track] = "SCALP"
    Params = VolatilityBreakoutParams
    params: VolatilityBreakoutParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - see Strategy
        super().__init__(**params)
        self._part = self.params.part
        self._stop_part = self.params.stop_part
        self._weight_ppm = weight_ppm(self.params.weight)
        self._days: dict[int, _Day] = {}

    def on_tick(self, tick: Tick) -> Intent | None:
        """Follow the day, enter once above the level, leave below the stop."""
        price = tick.price
        if tick.kind not in ("T", "A") or price <= 0:
            return None
        day = self._days.get(tick.instrument)
        if day is None:
            day = self._days[tick.instrument] = _Day()
        number = (tick.ts_ns + _KST_NS) // _DAY_NS
        if number != day.day:
            day.range = day.high - day.low
            day.day, day.open, day.high, day.low, day.asked = number, price, price, price, False
            return None
        day.high = max(day.high, price)
        day.low = min(day.low, price)
        if tick.position_qty:
            if price <= day.stop and not tick.working_sell:
                return Intent.exit(tick.symbol, "below the stop", ref_price=tick.bid)
            return None
        if day.asked or day.range <= 0 or price < day.open + self._part * day.range or tick.working_buy:
            return None
        day.asked = True
        day.stop = price - int(self._stop_part * day.range)
        return Intent.entry(
            tick.symbol,
            "above the open by a part of yesterday's range",
            weight_ppm=self._weight_ppm,
            confidence=self.params.confidence,
            ref_price=tick.ask,
        )
