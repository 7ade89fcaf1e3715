"""What the engine and its tools ask of storage.

Every call is asynchronous and cancellable and ends by its deadline. A read that fails raises; an empty list means that
there is nothing. Every write can be repeated: it is found by its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

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
        SessionStatus,
        StageRow,
        StoreCondition,
    )
    from qts.data.records import (
        Capabilities,
        ExecutionLog,
        Fill,
        FillResult,
        Health,
        Interval,
        JournalAck,
        LedgerEntry,
        Ohlcv,
        OutboxRow,
        Position,
        RawDataContract,
        RiskLimits,
        Tick,
    )


class DataSourceAdapter(Protocol):
    """A source of positions, ledger, bars and parameters: an embedded file, a server, or sheets.

    Raises, everywhere:
        SourceUnavailable: no answer; DeadlineExceeded and PoolExhausted are kinds of it.
        RowInvalid: what was given, or what was read, breaks the rules of its table.
        NotSupported: the source cannot do this; see `capabilities`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the source can do; known once it is open."""
        ...

    async def open(self) -> None:
        """Connect and check the structure.

        Raises:
            SchemaMismatch: it is not the one expected (FS123 for a database, FS001 for sheets).
        """
        ...

    async def close(self) -> None:
        """Let go of every connection. Calling it again does nothing."""
        ...

    async def health_check(self) -> Health:
        """Return how the source is; never raises."""
        ...

    async def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; a scale that is known already must agree."""
        ...

    # Positions and ledger

    async def fetch_positions(self, account_id: str = "main", *, include_closed: bool = False) -> list[Position]:
        """Return the positions of an account by symbol and pool."""
        ...

    async def get_position(self, symbol: str, pool_id: str | None = None, account_id: str = "main") -> Position | None:
        """Return the position of a pool, or the sum over pools (pool `ALL`); None if there never was one."""
        ...

    async def update_position(
        self, symbol: str, qty: Decimal, avg_price: Decimal, *, pool_id: str, account_id: str = "main"
    ) -> None:
        """Set a position after a reconciliation with the broker; trading goes through `apply_fill`."""
        ...

    async def apply_fill(self, fill: Fill) -> FillResult:
        """Book a fill: ledger row and position in one transaction.

        The same fill again changes nothing and is DUPLICATE.

        Raises:
            FillConflict: FS122, the key is in the ledger with other content; the row went to quarantine.
            DataConsistencyError: FS070, more was sold than was held; the ledger row stands, the position is marked.
        """
        ...

    async def apply_fills(self, fills: Sequence[Fill], *, ack: JournalAck | None = None) -> list[FillResult]:
        """Book fills in their order in one transaction, with the position of the journal that they came from.

        Raises as `apply_fill`, after everything else of the batch has been written.
        """
        ...

    async def append_ledger(self, entry: LedgerEntry) -> bool:
        """Write a ledger row; a FILL as `apply_fill` does. True only if it is durable, an identical one included."""
        ...

    async def fetch_ledger(
        self, start: datetime, end: datetime, *, account_id: str = "main", symbol: str | None = None
    ) -> list[LedgerEntry]:
        """Return ledger rows executed in [start, end), in the order of booking."""
        ...

    async def fetch_fills(self, order_id: str, *, account_id: str = "main") -> list[LedgerEntry]:
        """Return the ledger rows of an order, in the order of booking."""
        ...

    async def journal_ack(self, journal: str) -> int:
        """Return the number of the last record of a journal that is in the database; 0 for none."""
        ...

    # Market data

    async def fetch_ohlcv(self, symbol: str, start: datetime, end: datetime, interval: Interval = "1d") -> list[Ohlcv]:
        """Return bars in [start, end), ascending; NotSupported for another interval."""
        ...

    async def store_ohlcv(self, bars: Sequence[Ohlcv], interval: Interval = "1d") -> int:
        """Write daily bars, return how many were new or different; a changed bar gets the next revision."""
        ...

    def fetch_tick_data(
        self, symbol: str, start: datetime, end: datetime, limit: int | None = None
    ) -> AsyncIterator[Tick]:
        """Stream ticks in [start, end), ascending by time and sequence."""
        ...

    async def get_avg_daily_volume(self, symbol: str, days: int = 20) -> Decimal | None:
        """Return the mean volume of the last `days` daily bars; None if there are fewer."""
        ...

    # Executions

    async def store_execution_log(self, logs: Sequence[ExecutionLog]) -> None:
        """Write lines about executions as well as can be; never raises."""
        ...

    async def fetch_execution_logs(self, order_id: str, start: datetime, end: datetime) -> list[ExecutionLog]:
        """Return the lines about an order in [start, end), ascending."""
        ...

    # Parameters and tables

    async def get_risk_limits(self) -> RiskLimits:
        """Return the risk limits; RowInvalid if one is missing."""
        ...

    async def fetch_raw_data(self, sheet_name: str) -> RawDataContract:
        """Return the rows of a sheet, or of the table that stands for it, as the raw contract has them.

        Raises:
            SchemaMismatch: FS001, the structure is not the one expected.
            RowInvalid: FS010, a required field is missing in a row; no row is ever left out.
        """
        ...

    async def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table of the logical schema whose columns equal `where`, by primary key."""
        ...

    async def write(self, table: str, row: Mapping[str, Any]) -> bool:
        """Insert a row, or replace it by its primary key where the table allows; say whether anything changed."""
        ...

    async def batch_write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows in one transaction, all or none; return how many changed anything."""
        ...


class Outbox(Protocol):
    """What waits to be mirrored; rows are put there by the transaction that changes the books."""

    async def outbox_pending(self, limit: int = 1_000) -> list[OutboxRow]:
        """Return rows that are due, in the order of `seq`; nothing behind a row of the same key that is not due."""
        ...

    async def outbox_done(self, seqs: Sequence[int]) -> None:
        """Mark rows as mirrored."""
        ...

    async def outbox_failed(self, seqs: Sequence[int], error: str, *, retry_at: datetime | None) -> None:
        """Note a failed attempt; without `retry_at` the rows are DEAD, and others of their keys proceed."""
        ...

    async def outbox_waiting(self) -> tuple[int, datetime | None]:
        """Return how many rows wait, and since when the oldest does."""
        ...


class RunStore(Protocol):
    """The books of one run at a time, as the engine writes them. From one thread; raises `EngineFault`s."""

    duplicates: int
    """Fills of this session that were in the ledger already."""

    @property
    def is_journaled(self) -> bool:
        """Whether what an execution does is on record before it does it."""
        ...

    @property
    def keeps_executions(self) -> bool:
        """Whether `record_intent` keeps anything."""
        ...

    def open(self) -> None:
        """Get ready to write; raises `AdapterError` or `EngineFault` if that cannot be."""
        ...

    def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; what is known already must agree."""
        ...

    def begin_session(self, session: SessionRow) -> None:
        """Open a session; everything recorded from now on belongs to it."""
        ...

    def end_session(self, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str) -> None:
        """Write what is pending and close the session."""
        ...

    def record_fill(self, fill: FillRow) -> None:
        """Take in a fill."""
        ...

    def record_order(self, order: OrderRow) -> None:
        """Take in the state of an order."""
        ...

    def record_equity(self, sample: EquityRow) -> None:
        """Take in a sample of equity."""
        ...

    def record_capital(self, rows: Sequence[CapitalRow]) -> None:
        """Take in rows of capital that belong together: all of them are kept, or none.

        Raises:
            EngineFault: FS086, they cannot be kept; nothing has happened then.
        """
        ...

    def record_decision(self, decision_id: str, ts_ns: int, line: bytes) -> None:
        """Take in a decision of this session: its id, when it was made, its canonical JSON without a newline."""
        ...

    def decisions_durable(self) -> None:
        """Return when every decision that was recorded is on the disk; at once where a run does not sync.

        Raises:
            EngineFault: FS063, they are not; nothing may be sent that relies on them.
        """
        ...

    def journal_execution(self, kind: str, record: Mapping[str, object]) -> int:
        """Append evidence of an execution to the journal of the run and return its number; 0 where there is none.

        Raises:
            EngineFault: FS063, the journal cannot be written.
        """
        ...

    def journal_durable(self, seq: int) -> None:
        """Return when the record of that number is on the disk; at once where a run does not sync.

        Raises:
            EngineFault: FS063, it is not; nothing may be sent that relies on it.
        """
        ...

    def record_intent(
        self, intent: IntentRow, children: Sequence[ChildRow] = (), stages: Sequence[StageRow] = ()
    ) -> None:
        """Take in an execution as it stands with its orders; what its stages took is kept as well as can be."""
        ...

    def flush(self) -> FlushResult:
        """Write everything pending, or wait until it is written."""
        ...

    def condition(self) -> StoreCondition:
        """Return whether entries may be made, and what was reported since the last look. Does not block."""
        ...

    def iter_fills(self) -> Iterator[FillRow]:
        """Return the fills of the session in the order of booking."""
        ...

    def iter_orders(self) -> Iterator[OrderRow]:
        """Return the orders of the session by number."""
        ...

    def iter_equity(self) -> Iterator[EquityRow]:
        """Return the equity samples of the session in order of time."""
        ...

    def iter_capital_entries(self) -> Iterator[CapitalEntryRow]:
        """Return the lines of the capital ledger of the session's account in the order of booking."""
        ...

    def iter_capital_transfers(self) -> Iterator[CapitalTransferRow]:
        """Return the transfers of the session's account in the order in which they were asked for."""
        ...

    def iter_capital_holds(self) -> Iterator[CapitalHoldRow]:
        """Return the holds of the session's account by id."""
        ...

    def iter_capital_pools(self) -> Iterator[CapitalPoolRow]:
        """Return the pools of the session's account by name."""
        ...

    def iter_decisions(self) -> Iterator[DecisionRow]:
        """Return the decisions of the session in order of time."""
        ...

    def positions(self) -> list[PositionRow]:
        """Return every position of the session's account, closed ones included, by track and symbol."""
        ...

    def verify(self) -> list[Difference]:
        """Derive the books from the ledger again; return what differs."""
        ...

    def close(self) -> None:
        """Write what is pending and let go of the database."""
        ...


class RunBooks(Protocol):
    """The books of runs, as rows of integers: what `RunStore` needs behind it."""

    async def begin_run(self, session: SessionRow) -> None:
        """Open the books of a run; UsageError if its id is taken."""
        ...

    async def write_run(
        self,
        session: SessionRow,
        fills: Sequence[FillRow],
        orders: Sequence[OrderRow],
        equity: Sequence[EquityRow],
        *,
        ack: JournalAck | None = None,
        funds: Sequence[CapitalRow] = (),
        decisions: Sequence[DecisionRow] = (),
        executions: Sequence[ExecutionRow] = (),
    ) -> int:
        """Write rows of a run in one transaction; return how many fills were in the ledger already.

        Rows of capital and decisions that are there already change nothing: a ledger line and a decision stand, so does
        a committed transfer; a hold, a pool, an execution and its orders are replaced by what is not older.

        Raises:
            FillConflict: as `DataSourceAdapter.apply_fills`.
            DataConsistencyError: as `DataSourceAdapter.apply_fills`.
            CapitalConflict: FS086, a row of capital contradicts one that stands; it is in quarantine, and everything
                else has been written.
        """
        ...

    async def end_run(
        self, session: SessionRow, status: SessionStatus, *, ended_ns: int, cash_end: int, decision_hash: str
    ) -> None:
        """Close the books of a run."""
        ...

    async def run_fills(self, session: SessionRow) -> list[FillRow]:
        """Return the fills of a run in the order of booking."""
        ...

    async def run_orders(self, session: SessionRow) -> list[OrderRow]:
        """Return the orders of a run by number."""
        ...

    async def run_equity(self, session: SessionRow) -> list[EquityRow]:
        """Return the equity samples of a run in order of time."""
        ...

    async def run_positions(self, session: SessionRow) -> list[PositionRow]:
        """Return every position of the run's account, closed ones included, by track and symbol."""
        ...

    async def run_entries(
        self,
        session: SessionRow,
        *,
        pool_id: str | None = None,
        cause: str | None = None,
        since_ns: int | None = None,
        newest: int | None = None,
    ) -> list[CapitalEntryRow]:
        """Return lines of the capital ledger of the run's account in the order of booking.

        Of `pool_id`, of `cause`, from `since_ns` on, the `newest` of them: as far as given.
        """
        ...

    async def run_transfers(self, session: SessionRow) -> list[CapitalTransferRow]:
        """Return the transfers of the run's account in the order in which they were asked for."""
        ...

    async def run_holds(self, session: SessionRow) -> list[CapitalHoldRow]:
        """Return the holds of the run's account by id."""
        ...

    async def run_pools(self, session: SessionRow) -> list[CapitalPoolRow]:
        """Return the pools of the run's account by name."""
        ...

    async def run_decisions(self, session: SessionRow) -> list[DecisionRow]:
        """Return the decisions of a run in order of time."""
        ...

    async def verify(self, account_id: str | None = None) -> list[Difference]:
        """Derive the books of an account, or of all, from the ledger again; return what differs."""
        ...
