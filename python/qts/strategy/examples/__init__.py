"""Strategies to read, run and copy from."""

from typing import Final

from qts.strategy.base import Strategy
from qts.strategy.examples.daily_momentum import DailyMomentum
from qts.strategy.examples.ema_cross import EmaCross
from qts.strategy.examples.quote_reversion import QuoteReversion
from qts.strategy.examples.target_weights import TargetWeights
from qts.strategy.examples.volatility_breakout import VolatilityBreakout

EXAMPLES: Final[tuple[type[Strategy], ...]] = (
    DailyMomentum,
    EmaCross,
    QuoteReversion,
    TargetWeights,
    VolatilityBreakout,
)

__all__ = ["EXAMPLES", "DailyMomentum", "EmaCross", "QuoteReversion", "TargetWeights", "VolatilityBreakout"]
