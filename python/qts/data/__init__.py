"""Storage: the embedded database with ledger, positions, orders and equity."""

from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalRow,
    CapitalTransferRow,
    ChildRow,
    CurrencyRow,
    DecisionRow,
    Difference,
    EquityRow,
    ExecutionRow,
    FillRow,
    FlushResult,
    InstrumentRow,
    IntentRow,
    OrderRow,
    PositionRow,
    SessionRow,
    StageRow,
    StoreCondition,
)
from qts.data.exceptions import CapitalNotKept, LedgerConflict, LedgerMismatch, StoreUnavailable
from qts.data.interfaces import DataSourceAdapter, RunStore
from qts.data.journaled import JournaledStore
from qts.data.sqlite.store import SQLiteStore

__all__ = [
    "CapitalEntryRow",
    "CapitalHoldRow",
    "CapitalNotKept",
    "CapitalPoolRow",
    "CapitalRow",
    "CapitalTransferRow",
    "ChildRow",
    "CurrencyRow",
    "DataSourceAdapter",
    "DecisionRow",
    "Difference",
    "EquityRow",
    "ExecutionRow",
    "FillRow",
    "FlushResult",
    "InstrumentRow",
    "IntentRow",
    "JournaledStore",
    "LedgerConflict",
    "LedgerMismatch",
    "OrderRow",
    "PositionRow",
    "RunStore",
    "SQLiteStore",
    "SessionRow",
    "StageRow",
    "StoreCondition",
    "StoreUnavailable",
]
