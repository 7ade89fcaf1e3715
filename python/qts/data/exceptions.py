"""What goes wrong between the engine and its books."""

from __future__ import annotations

from qts.codes import EngineFault, QtsError


class StoreUnavailable(EngineFault):
    """The database does not take what is written: disk full, file gone, locked for too long."""


class LedgerConflict(EngineFault):
    """The same fill key came with different content. The first row stands, the second is in quarantine."""


class CapitalNotKept(EngineFault):
    """A row of capital contradicts one that stands under its key (FS086). The first stands, the other is kept apart."""


class LedgerMismatch(EngineFault):
    """Ledger and positions do not agree."""


class AdapterError(QtsError):
    """Base of what an adapter raises. A read that fails raises; it never returns an empty list."""

    exit_code = 1


class SourceUnavailable(AdapterError):
    """The source does not answer, or refuses for now; the same call may go through later."""


class DeadlineExceeded(SourceUnavailable):
    """No answer within the deadline of the call. Whether a write has happened is unknown; repeat it by its key."""


class PoolExhausted(SourceUnavailable):
    """Every connection of the pool is in use."""


class FillConflict(AdapterError):
    """FS122: a fill key that is in the ledger came with other content. The first row stands."""


class CapitalConflict(AdapterError):
    """FS086: a key of the capital ledger came with another row. The first one stands."""


class NotDurable(AdapterError):
    """A record could be made durable nowhere."""


class RowInvalid(AdapterError):
    """A row breaks the rules of its table: missing field (RC001), wrong type (RC002), impossible value."""


class SchemaMismatch(AdapterError):
    """The structure found is not the one expected: FS001 for a sheet, FS123 for a database."""


class NotSupported(AdapterError):
    """The source cannot do this; see its capabilities."""


class DataConsistencyError(AdapterError):
    """Two places that must agree do not: FS070, FS124."""
