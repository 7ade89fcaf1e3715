"""Storage: the embedded database with ledger, positions, orders and equity."""

from qts.data.contracts import (
    CurrencyRow,
    Difference,
    EquityRow,
    FillRow,
    FlushResult,
    InstrumentRow,
    OrderRow,
    PositionRow,
    SessionRow,
)
from qts.data.exceptions import LedgerConflict, LedgerMismatch, StoreUnavailable
from qts.data.store import SQLiteStore

__all__ = [
    "CurrencyRow",
    "Difference",
    "EquityRow",
    "FillRow",
    "FlushResult",
    "InstrumentRow",
    "LedgerConflict",
    "LedgerMismatch",
    "OrderRow",
    "PositionRow",
    "SQLiteStore",
    "SessionRow",
    "StoreUnavailable",
]
