"""Executions: how a decision becomes orders, and how every one of them comes to an end (spec 15)."""

from qts.execution.config import ExecutionConfig
from qts.execution.contracts import (
    BookedFill,
    Disposition,
    EscapeMode,
    EscapeReason,
    ExecutionResult,
    OrderDecision,
    Refusal,
    RiskApproval,
    State,
)
from qts.execution.pipeline import ExecutionPipeline
from qts.execution.records import ChildSnapshot, ExecutionSnapshot
from qts.execution.result import Sizes

__all__ = [
    "BookedFill",
    "ChildSnapshot",
    "Disposition",
    "EscapeMode",
    "EscapeReason",
    "ExecutionConfig",
    "ExecutionPipeline",
    "ExecutionResult",
    "ExecutionSnapshot",
    "OrderDecision",
    "Refusal",
    "RiskApproval",
    "Sizes",
    "State",
]
