"""The engines: strategy (what and why), risk (may we), portfolio (how many), performance (how did it go)."""

from qts.engines.contracts import (
    GATES,
    PortfolioDecision,
    RiskDecision,
    RiskLimits,
    RiskQuestion,
    StrategyPolicy,
)
from qts.engines.faults import Fault, FaultLog, one_line
from qts.engines.health import ENGINES, EngineHealth, EngineName, HealthBoard, HealthKind, HealthView
from qts.engines.performance import (
    AccountValue,
    Holding,
    PerformanceTracker,
    Sale,
    account_value,
    drawdown_ppm,
    sale_result,
)
from qts.engines.performance_contracts import (
    CalculationError,
    EquityDay,
    Holdings,
    Income,
    PerformanceFigures,
    PerformanceInput,
    PerformanceSettings,
    ReturnFigures,
    ScopeFigures,
    Split,
)
from qts.engines.performance_engine import DayFigure, PerformanceEngine
from qts.engines.performance_metrics import slippage_bps, trading_days_per_year
from qts.engines.performance_trades import Trade, TradeBook
from qts.engines.portfolio import PortfolioEngine
from qts.engines.risk import RiskEngine, buying_power
from qts.engines.strategy import StrategyEngine, StrategySlot

__all__ = [
    "ENGINES",
    "GATES",
    "AccountValue",
    "CalculationError",
    "DayFigure",
    "EngineHealth",
    "EngineName",
    "EquityDay",
    "Fault",
    "FaultLog",
    "HealthBoard",
    "HealthKind",
    "HealthView",
    "Holding",
    "Holdings",
    "Income",
    "PerformanceEngine",
    "PerformanceFigures",
    "PerformanceInput",
    "PerformanceSettings",
    "PerformanceTracker",
    "PortfolioDecision",
    "PortfolioEngine",
    "ReturnFigures",
    "RiskDecision",
    "RiskEngine",
    "RiskLimits",
    "RiskQuestion",
    "Sale",
    "ScopeFigures",
    "Split",
    "StrategyEngine",
    "StrategyPolicy",
    "StrategySlot",
    "Trade",
    "TradeBook",
    "account_value",
    "buying_power",
    "drawdown_ppm",
    "one_line",
    "sale_result",
    "slippage_bps",
    "trading_days_per_year",
]
