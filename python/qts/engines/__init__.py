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
from qts.engines.portfolio import PortfolioEngine
from qts.engines.risk import RiskEngine, buying_power
from qts.engines.strategy import StrategyEngine, StrategySlot

__all__ = [
    "ENGINES",
    "GATES",
    "AccountValue",
    "EngineHealth",
    "EngineName",
    "Fault",
    "FaultLog",
    "HealthBoard",
    "HealthKind",
    "HealthView",
    "Holding",
    "PerformanceTracker",
    "PortfolioDecision",
    "PortfolioEngine",
    "RiskDecision",
    "RiskEngine",
    "RiskLimits",
    "RiskQuestion",
    "Sale",
    "StrategyEngine",
    "StrategyPolicy",
    "StrategySlot",
    "account_value",
    "buying_power",
    "drawdown_ppm",
    "one_line",
    "sale_result",
]
