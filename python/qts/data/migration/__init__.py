"""From sheets to a database: comparisons, phases, and the way back."""

from qts.data.migration.consistency import CheckResult, Consistency, ConsistencyMonitor, Gate, gate
from qts.data.migration.load import export, load
from qts.data.migration.phases import MarketState, Migration, PhaseChange, PhaseState

__all__ = [
    "CheckResult",
    "Consistency",
    "ConsistencyMonitor",
    "Gate",
    "MarketState",
    "Migration",
    "PhaseChange",
    "PhaseState",
    "export",
    "gate",
    "load",
]
