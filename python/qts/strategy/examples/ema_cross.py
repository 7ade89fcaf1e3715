"""Two moving averages on short bars: in when the fast one crosses above the slow one, out below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import Field, model_validator

from qts.broker.contracts import Track
from qts.strategy.base import Strategy
from qts.strategy.contracts import ExecutionView, Intent, MarketView, Requirements
from qts.strategy.indicators import Ema
from qts.strategy.params import Duration, StrategyParams, Weight, duration_ns, weight_ppm


class EmaCrossParams(StrategyParams):
    """What can be set with `--set name=value`."""

    fast: int = Field(12, ge=1, description="bars of the fast average")
    slow: int = Field(26, ge=2, description="bars of the slow average, more than `fast`")
    bar: Duration = Field("10s", description="length of a bar, for example 1s or 1m")
    weight: Weight = Field(0.1, description="share of equity per position")
    qty: Decimal | None = Field(None, gt=0, description="fixed quantity (shares, coins) instead of `weight`")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> "EmaCrossParams":
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
        return self


@dataclass(slots=True)
class _Averages:
    """What the strategy remembers of one symbol."""

    fast: Ema
    slow: Ema
    last_bar_ns: int | None = None
    is_above: bool = False


class EmaCross(Strategy):
    """Buys on the cross, sells while the fast average is below the slow one.

    The entry is an event (it belongs to the bar of the cross), the exit is a state: should a sale be refused
    or end unfilled, the next bar asks for it again.
    """

    name: ClassVar[str] = "ema_cross"
    track: ClassVar[Track] = "SCALP"
    Params = EmaCrossParams
    params: EmaCrossParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - see Strategy
        super().__init__(**params)
        self._averages: dict[str, _Averages] = {}

    def requirements(self) -> Requirements:
        """Bars of the chosen length; the slow average needs `slow` of them before it says anything."""
        return Requirements(bar_interval_ns=duration_ns(self.params.bar), lookback=self.params.slow)

    def generate_intents(self, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:
        """Compare the averages after the new bars and act on the difference."""
        crossed_up, is_above = self._update(market)
        if execution.position_qty > 0 and not is_above:
            if execution.sellable_qty == 0:
                return ()  # already being sold
            return (Intent.exit(market.symbol, "fast average below slow", ref_price=market.quote.bid),)
        if crossed_up and execution.position_qty == 0 and execution.is_idle:
            return (
                Intent.entry(
                    market.symbol,
                    "fast average crossed above slow",
                    qty=self._fixed_qty(market),
                    weight_ppm=weight_ppm(self.params.weight) if self.params.qty is None else None,
                    ref_price=market.quote.ask,
                ),
            )
        return ()

    def _update(self, market: MarketView) -> tuple[bool, bool]:
        """Feed the averages; return whether the fast one has just crossed above, and whether it is above."""
        averages = self._averages.get(market.symbol)
        if averages is None:
            averages = self._averages[market.symbol] = _Averages(Ema(self.params.fast), Ema(self.params.slow))
        was_above = averages.is_above
        for bar in market.bars.since(averages.last_bar_ns):
            was_above = averages.is_above
            averages.is_above = averages.fast.update(bar.close) > averages.slow.update(bar.close)
            averages.last_bar_ns = bar.start_ns
        return averages.is_above and not was_above, averages.is_above

    def _fixed_qty(self, market: MarketView) -> int | None:
        return None if self.params.qty is None else int(self.params.qty.scaleb(market.terms.qty_scale))
