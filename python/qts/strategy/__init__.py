"""Strategies: the base class, the views and wishes, the registry, and examples."""

from qts.strategy.base import Strategy
from qts.strategy.contracts import (
    EXIT_PHASES,
    PPM,
    REDUCING,
    Bar,
    Bars,
    ExecutionView,
    Intent,
    MarketView,
    Purpose,
    Quote,
    Requirements,
    Sizing,
    Terms,
    Tick,
)
from qts.strategy.ensemble import Ensemble, EnsembleParams, Member
from qts.strategy.indicators import Ema
from qts.strategy.params import Duration, StrategyParams, Weight, duration_ns, weight_ppm
from qts.strategy.registry import StrategyRegistry, default_registry

__all__ = [
    "EXIT_PHASES",
    "PPM",
    "REDUCING",
    "Bar",
    "Bars",
    "Duration",
    "Ema",
    "Ensemble",
    "EnsembleParams",
    "ExecutionView",
    "Intent",
    "MarketView",
    "Member",
    "Purpose",
    "Quote",
    "Requirements",
    "Sizing",
    "Strategy",
    "StrategyParams",
    "StrategyRegistry",
    "Terms",
    "Tick",
    "Weight",
    "default_registry",
    "duration_ns",
    "weight_ppm",
]
