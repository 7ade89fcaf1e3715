"""The ETEDA pipeline: Extract, Transform, Evaluate, Decide, Act."""

from qts.pipeline.config import PipelineConfig
from qts.pipeline.contracts import (
    STAGES,
    CalcDataContract,
    Cycle,
    CycleResult,
    EvaluationResult,
    OrderDecision,
    RawDataContract,
    SentOrder,
    StageError,
    Switches,
)
from qts.pipeline.interfaces import (
    AccountPort,
    DecisionLog,
    MarketPort,
    MonotonicClock,
    RulesPort,
    SessionPort,
    StageMetrics,
)
from qts.pipeline.pipeline import Pipeline
from qts.pipeline.ports import EngineAccount, EngineMarket
from qts.pipeline.sessions import SessionClock

__all__ = [
    "STAGES",
    "AccountPort",
    "CalcDataContract",
    "Cycle",
    "CycleResult",
    "DecisionLog",
    "EngineAccount",
    "EngineMarket",
    "EvaluationResult",
    "MarketPort",
    "MonotonicClock",
    "OrderDecision",
    "Pipeline",
    "PipelineConfig",
    "RawDataContract",
    "RulesPort",
    "SentOrder",
    "SessionClock",
    "SessionPort",
    "StageError",
    "StageMetrics",
    "Switches",
]
