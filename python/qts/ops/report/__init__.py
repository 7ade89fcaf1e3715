"""Reports of a run: collected while it lasts, written whole when it is over."""

from qts.ops.report.capital import CapitalFrames
from qts.ops.report.contracts import (
    AlertDay,
    CapitalFigures,
    DataRow,
    FaultFigure,
    PoolDay,
    PositionFigure,
    RunFigures,
    StateChange,
    TransferRow,
)
from qts.ops.report.recorder import RunRecorder
from qts.ops.report.result import BacktestResult
from qts.ops.report.verify import Identity, verify_identity
from qts.ops.report.write import check_target

__all__ = [
    "AlertDay",
    "BacktestResult",
    "CapitalFigures",
    "CapitalFrames",
    "DataRow",
    "FaultFigure",
    "Identity",
    "PoolDay",
    "PositionFigure",
    "RunFigures",
    "RunRecorder",
    "StateChange",
    "TransferRow",
    "check_target",
    "verify_identity",
]
