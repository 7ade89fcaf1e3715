"""Between the capital room and the books: its records as rows of a run, and rows as its records again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.capital.contracts import (
    Bucket,
    CapitalHold,
    CapitalLedgerEntry,
    CapitalPoolContract,
    CapitalTransfer,
    Cause,
    HoldState,
    PauseCause,
    PoolState,
    TransferKind,
    TransferProposal,
    TransferReason,
    TransferStatus,
)
from qts.clock.instants import from_ns, to_ns
from qts.data import CapitalEntryRow, CapitalHoldRow, CapitalPoolRow, CapitalTransferRow
from qts.money import from_units, to_units
from qts.safety import SafetyState
from qts.state import OperatingState

if TYPE_CHECKING:
    from datetime import datetime

    from qts.data import CapitalRow, RunStore

SHARE_SCALE: Final = 4
"""Decimals of a share."""
PRICE_SCALE: Final = 6
"""Decimals of a unit price."""


class RunCapitalSink:
    """`CapitalSink` over the books of a run. A call returns when the journal has it, in order.

    Calls inside a block `with sink.together():` are one record: a crash leaves all of it or nothing.

    Args:
        store: the books; a session is begun before the first call.
        now_ns: engine time, for holds, which carry none.
    """

    def __init__(self, store: "RunStore", now_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._version = 0
        self._collected: list[CapitalRow] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep everything that is written inside the block at its end, all or none; nothing if it raises.

        Raises:
            EngineFault: FS086, it cannot be kept.
        """
        if self._collected is not None:
            yield  # the outer block writes
            return
        self._collected = []
        try:
            yield
            rows = self._collected
        finally:
            self._collected = None
        self._store.record_capital(rows)

    def entries(self, lines: tuple[CapitalLedgerEntry, ...]) -> None:
        """Keep the lines of one posting, all or none."""
        self._write([entry_row(line) for line in lines])

    def transfer(self, transfer: CapitalTransfer) -> None:
        """Keep a transfer as it is now."""
        self._write([transfer_row(transfer)])

    def hold(self, hold: CapitalHold) -> None:
        """Keep a hold as it is now."""
        now_ns = self._now_ns()
        self._version = max(now_ns, self._version + 1)  # goes on rising over restarts, without asking the database
        self._write([hold_row(hold, now_ns, self._version)])

    def pools(self, pools: tuple[CapitalPoolContract, ...]) -> None:
        """Keep the state of the pools."""
        self._write([pool_row(pool) for pool in pools])

    def _write(self, rows: "Sequence[CapitalRow]") -> None:
        if self._collected is None:
            self._store.record_capital(rows)
        else:
            self._collected.extend(rows)


class CapitalRecords:
    """What the books of a run's account hold of its capital, as the capital room wrote it. Waits for the database."""

    def __init__(self, store: "RunStore") -> None:
        self._store = store

    def entries(self) -> list[CapitalLedgerEntry]:
        """Return the ledger in the order of booking."""
        return [entry_of(row) for row in self._store.iter_capital_entries()]

    def transfers(self) -> list[CapitalTransfer]:
        """Return the transfers in the order in which they were asked for."""
        return [transfer_of(row) for row in self._store.iter_capital_transfers()]

    def holds(self) -> list[CapitalHold]:
        """Return the holds by id."""
        return [hold_of(row) for row in self._store.iter_capital_holds()]

    def pools(self) -> list[CapitalPoolContract]:
        """Return the pools by name."""
        return [pool_of(row) for row in self._store.iter_capital_pools()]


def entry_row(entry: CapitalLedgerEntry) -> CapitalEntryRow:
    """Return a ledger line as a row."""
    entry_id, time, pool, bucket, amount, cause, ref = entry
    return CapitalEntryRow(entry_id, to_ns(time), pool, bucket.value, amount, cause.value, ref)


def transfer_row(transfer: CapitalTransfer) -> CapitalTransferRow:
    """Return a transfer as a row."""
    wanted = transfer.proposal
    return CapitalTransferRow(
        transfer_id=transfer.transfer_id,
        transfer_key=wanted.transfer_key,
        from_pool=wanted.from_pool,
        to_pool=wanted.to_pool,
        amount=wanted.amount,
        kind=wanted.kind.value,
        reason=wanted.reason.value,
        status=transfer.status.value,
        requested_ns=to_ns(transfer.requested_at),
        committed_ns=_ns(transfer.committed_at),
        before=tuple(transfer.before),
        after=tuple(transfer.after),
        criteria=wanted.criteria,
        operating_state=transfer.operating_state.value,
        safety_state=transfer.safety_state.value,
        operator_id=transfer.operator_id,
        session_date=None if transfer.session_date is None else transfer.session_date.isoformat(),
    )


def hold_row(hold: CapitalHold, ts_ns: int, version: int) -> CapitalHoldRow:
    """Return a hold as a row."""
    return CapitalHoldRow(
        hold.hold_id,
        hold.order_id,
        hold.pool_id,
        hold.amount,
        hold.remaining,
        hold.state.value,
        hold.reason,
        ts_ns,
        version,
    )


def pool_row(pool: CapitalPoolContract) -> CapitalPoolRow:
    """Return a pool as a row."""
    return CapitalPoolRow(
        pool_id=pool.pool_id,
        version=pool.version,
        ts_ns=to_ns(pool.timestamp),
        total_capital=pool.total_capital,
        available_capital=pool.available_capital,
        invested_capital=pool.invested_capital,
        reserved_capital=pool.reserved_capital,
        held_for_orders=pool.held_for_orders,
        realized_pnl=pool.realized_pnl,
        unrealized_pnl=pool.unrealized_pnl,
        accumulated_profit=pool.accumulated_profit,
        nav_gain=pool.nav_gain,
        allocation_bps=to_units(pool.allocation_pct, SHARE_SCALE),
        target_bps=to_units(pool.target_allocation_pct, SHARE_SCALE),
        last_promotion_ns=_ns(pool.last_promotion_time),
        promotion_eligible=pool.promotion_eligible,
        pool_state=pool.pool_state.value,
        pause_causes=tuple(cause.value for cause in pool.pause_causes),
        lock_reason=pool.lock_reason,
        lock_code=pool.lock_code,
        lock_ns=_ns(pool.lock_timestamp),
        units=pool.units,
        unit_price=to_units(pool.unit_price, PRICE_SCALE),
        peak_unit_price=to_units(pool.peak_unit_price, PRICE_SCALE),
        is_funded=pool.is_funded,
        revision=pool.revision,
    )


def entry_of(row: CapitalEntryRow) -> CapitalLedgerEntry:
    """Return a row as the ledger line that it was."""
    return CapitalLedgerEntry(
        row.entry_id,
        from_ns(row.ts_ns),
        row.pool_id,  # type: ignore[arg-type]  # checked when it was written
        Bucket(row.bucket),
        row.amount,
        Cause(row.cause),
        row.ref_id,
    )


def transfer_of(row: CapitalTransferRow) -> CapitalTransfer:
    """Return a row as the transfer that it was."""
    return CapitalTransfer(
        transfer_id=row.transfer_id,
        proposal=TransferProposal(
            row.from_pool,
            row.to_pool,
            row.amount,
            TransferKind(row.kind),
            TransferReason(row.reason),
            row.transfer_key,
            row.criteria,
        ),
        status=TransferStatus(row.status),
        requested_at=from_ns(row.requested_ns),
        committed_at=_moment(row.committed_ns),
        before=row.before,  # type: ignore[arg-type]  # names of pools, checked when it was written
        after=row.after,  # type: ignore[arg-type]  # as above
        operating_state=OperatingState(row.operating_state),
        safety_state=SafetyState(row.safety_state),
        operator_id=row.operator_id,
        session_date=None if row.session_date is None else date.fromisoformat(row.session_date),
    )


def hold_of(row: CapitalHoldRow) -> CapitalHold:
    """Return a row as the hold that it was."""
    return CapitalHold(
        row.hold_id, row.order_id, row.pool_id, row.amount, row.remaining, HoldState(row.state), row.reason
    )


def pool_of(row: CapitalPoolRow) -> CapitalPoolContract:
    """Return a row as the pool that it was."""
    return CapitalPoolContract(
        pool_id=row.pool_id,
        version=row.version,
        timestamp=from_ns(row.ts_ns),
        total_capital=row.total_capital,
        available_capital=row.available_capital,
        invested_capital=row.invested_capital,
        reserved_capital=row.reserved_capital,
        held_for_orders=row.held_for_orders,
        realized_pnl=row.realized_pnl,
        unrealized_pnl=row.unrealized_pnl,
        accumulated_profit=row.accumulated_profit,
        nav_gain=row.nav_gain,
        allocation_pct=_share(row.allocation_bps),
        target_allocation_pct=_share(row.target_bps),
        last_promotion_time=_moment(row.last_promotion_ns),
        promotion_eligible=row.promotion_eligible,
        pool_state=PoolState(row.pool_state),
        pause_causes=tuple(map(PauseCause, row.pause_causes)),
        lock_reason=row.lock_reason,
        lock_code=row.lock_code,
        lock_timestamp=_moment(row.lock_ns),
        units=row.units,
        unit_price=from_units(row.unit_price, PRICE_SCALE),
        peak_unit_price=from_units(row.peak_unit_price, PRICE_SCALE),
        is_funded=row.is_funded,
        revision=row.revision,
    )


def _share(bps: int) -> Decimal:
    return from_units(bps, SHARE_SCALE)


def _ns(moment: "datetime | None") -> int | None:
    return None if moment is None else to_ns(moment)


def _moment(ns: int | None) -> "datetime | None":
    return None if ns is None else from_ns(ns)
