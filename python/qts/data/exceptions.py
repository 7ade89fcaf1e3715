"""What goes wrong between the engine and its books."""

from __future__ import annotations

from qts.codes import EngineFault


class StoreUnavailable(EngineFault):
    """The database does not take what is written: disk full, file gone, locked for too long."""


class LedgerConflict(EngineFault):
    """The same fill key came with different content. The first row stands, the second is in quarantine."""


class LedgerMismatch(EngineFault):
    """Ledger and positions do not agree."""
