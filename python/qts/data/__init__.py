"""Storage: the embedded database with ledger, positions, orders and equity."""

from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalRow,
    CapitalTransferRow,
    CurrencyRow,
    DecisionRow,
    Difference,
    EquityRow,
    FillRow,
    FlushResult,
    InstrumentRow,
    OrderRow,
    PositionRow,
    SessionRow,
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
    "CurrencyRow",
    "DataSourceAdapter",
    "DecisionRow",
    "Difference",
    "EquityRow",
    "FillRow",
    "FlushResult",
    "InstrumentRow",
    "JournaledStore",
    "LedgerConflict",
    "LedgerMismatch",
    "OrderRow",
    "PositionRow",
    "RunStore",
    "SQLiteStore",
    "SessionRow",
    "StoreCondition",
    "StoreUnavailable",
]
