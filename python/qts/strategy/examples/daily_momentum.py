"""Breakout on daily bars: in at a new high, out at a low that trails behind."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from qts.broker.contracts import Track
from qts.strategy.base import Strategy
from qts.strategy.contracts import ExecutionView, Intent, MarketView, Requirements
from qts.strategy.params import StrategyParams, Weight, duration_ns, weight_ppm

_DAY_MS = 86_400_000


class DailyMomentumParams(StrategyParams):
    """What can be set with `--set name=value`."""

    entry_days: int = Field(20, ge=1, description="a close above the highest high of so many days before it buys")
    exit_days: int = Field(10, ge=1, description="a close below the lowest low of so many days before it sells")
    weight: Weight = Field(0.1, description="share of equity per position")


class DailyMomentum(Strategy):
    """Decides on yesterday's closed bar and trades in the session after it.

    Nothing is remembered: both levels come from the bars, so a restart changes nothing. The exit level
    follows the market upwards, and as long as the last close is below it every new bar asks for the exit
    again.
    """

    name: ClassVar[str] = "daily_momentum"
    track: ClassVar[Track] = "SWING"
    Params = DailyMomentumParams
    params: DailyMomentumParams

    def requirements(self) -> Requirements:
        """Daily bars.

        The open is where a daily signal trades, so entries are wanted from the first minute on.
        """
        return Requirements(
            bar_interval_ns=duration_ns("1d"),
            lookback=max(self.params.entry_days, self.params.exit_days) + 1,
            phases=frozenset({"OPEN_GUARD"}),
        )

    def generate_intents(self, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:
        """Compare the last close with the highs and lows of the days before it."""
        *before, last = market.bars[-(max(self.params.entry_days, self.params.exit_days) + 1) :]
        if execution.position_qty > 0:
            if execution.sellable_qty > 0 and last.close < min(bar.low for bar in before[-self.params.exit_days :]):
                return (Intent.exit(market.symbol, f"close below {self.params.exit_days}-day low", ttl_ms=_DAY_MS),)
            return ()
        if execution.is_idle and last.close > max(bar.high for bar in before[-self.params.entry_days :]):
            return (
                Intent.entry(
                    market.symbol,
                    f"close above {self.params.entry_days}-day high",
                    weight_ppm=weight_ppm(self.params.weight),
                    ttl_ms=_DAY_MS,
                ),
            )
        return ()
