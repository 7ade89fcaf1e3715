"""Reports of a run: collected while it lasts, written whole when it is over."""

from qts.ops.report.contracts import (
    DataRow,
    FaultFigure,
    PositionFigure,
    RunFigures,
    StateChange,
)
from qts.ops.report.recorder import RunRecorder
from qts.ops.report.result import BacktestResult
from qts.ops.report.verify import Identity, verify_identity
from qts.ops.report.write import check_target

__all__ = [
    "BacktestResult",
    "DataRow",
    "FaultFigure",
    "Identity",
    "PositionFigure",
    "RunFigures",
    "RunRecorder",
    "StateChange",
    "check_target",
    "verify_identity",
]
