"""Capital: three pools of one account, their books, and the rules by which capital moves between them."""

from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import (
    CONTRACT_VERSION,
    POOLS,
    CapitalEngineInput,
    CapitalEngineOutput,
    CapitalPoolContract,
    Pool,
    PoolState,
)
from qts.capital.engine import CapitalEngine, EvaluationGuard

__all__ = [
    "CONTRACT_VERSION",
    "POOLS",
    "CapitalEngine",
    "CapitalEngineInput",
    "CapitalEngineOutput",
    "CapitalFlowConfig",
    "CapitalPoolContract",
    "EvaluationGuard",
    "Pool",
    "PoolState",
]
