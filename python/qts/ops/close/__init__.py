"""The close of a session: steps in their order, each done once, whenever the process dies."""

from qts.ops.close.contracts import (
    ORDER,
    CloseContext,
    CloseOutcome,
    CloseStatus,
    CloseStep,
    DayRecord,
    StepCall,
    StepRecord,
    StepResult,
    StepState,
)
from qts.ops.close.files import CloseFiles
from qts.ops.close.marks import StaleMark, stale_marks
from qts.ops.close.ports import PoolActions, PoolBooks
from qts.ops.close.run import announce, pending, run_close, run_pending, run_simulated
from qts.ops.close.settlement import LAG_SESSIONS, Pending, SettlementLedger, Trade, trades_of
from qts.ops.close.steps import (
    ActionsDesk,
    ActionsPorts,
    BooksNow,
    BrokerBooks,
    SettlementDesk,
    backup_step,
    broker_differences,
    dividends_step,
    internal_differences,
    reconcile_step,
    report_step,
    settle_step,
)

__all__ = [
    "LAG_SESSIONS",
    "ORDER",
    "ActionsDesk",
    "ActionsPorts",
    "BooksNow",
    "BrokerBooks",
    "CloseContext",
    "CloseFiles",
    "CloseOutcome",
    "CloseStatus",
    "CloseStep",
    "DayRecord",
    "Pending",
    "PoolActions",
    "PoolBooks",
    "SettlementDesk",
    "SettlementLedger",
    "StaleMark",
    "StepCall",
    "StepRecord",
    "StepResult",
    "StepState",
    "Trade",
    "announce",
    "backup_step",
    "broker_differences",
    "dividends_step",
    "internal_differences",
    "pending",
    "reconcile_step",
    "report_step",
    "run_close",
    "run_pending",
    "run_simulated",
    "settle_step",
    "stale_marks",
    "trades_of",
]
