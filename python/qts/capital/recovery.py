"""Books out of what they have written: after a crash at any step, what was committed is there, and nothing else.

The ledger's lines are the one truth of money. Records of pools, transfers and holds only say what lines cannot: unit
prices, states, what a transfer was for. Positions come from the fills that the ledger has posted, so that a fill which
was on record elsewhere but not yet in the books is posted anew, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.capital.books import CapitalBooks, SplitPart
from qts.capital.contracts import (
    POOLS,
    Bucket,
    CapitalHold,
    Cause,
    HoldState,
    PauseCause,
    PoolState,
    TransferKind,
    TransferStatus,
)
from qts.capital.exceptions import BooksBroken
from qts.capital.ledger import BUCKETS, FLAT, INVESTED, REALISING, UNALLOCATED, Holding
from qts.capital.messages_books import say
from qts.capital.transfers import Quarantine
from qts.capital.units import PRICE_SCALE, UNIT_SCALE, from_published

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from qts.capital.books import Side
    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import CapitalLedgerEntry, CapitalPoolContract, CapitalTransfer
    from qts.capital.interfaces import CapitalSink, LiveAccount
    from qts.state.rebalance import Pool


class FillRecord(NamedTuple):
    """A fill as the journal has it: what positions are made of."""

    order_id: int | str
    exec_id: int | str
    pool: Pool
    symbol: str
    side: Side
    qty: int
    amount: int

    @property
    def ref(self) -> str:
        """Its reference in the ledger."""
        return f"fill:{self.order_id}:{self.exec_id}"


class SplitRecord(NamedTuple):
    """A split as it was applied."""

    symbol: str
    ref_id: str
    parts: tuple[SplitPart, ...]

    @property
    def ref(self) -> str:
        """Its reference in the ledger."""
        return f"split:{self.symbol}:{self.ref_id}"


class Records(NamedTuple):
    """Everything that the books have written."""

    entries: Sequence[CapitalLedgerEntry]
    """Ascending by number."""
    transfers: Sequence[CapitalTransfer]
    """The last state of each, by time of the request."""
    holds: Sequence[CapitalHold]
    """The last state of each; lines of the ledger outrank it."""
    pools: Mapping[Pool, CapitalPoolContract]
    """The last record of each."""
    history: Iterable[FillRecord | SplitRecord] = ()
    """Fills and splits in their order; what the ledger has not posted is passed over."""


def recover(
    live: LiveAccount,
    sink: CapitalSink,
    config: CapitalFlowConfig,
    records: Records,
    at: datetime,
    *,
    working: frozenset[str] = frozenset(),
    is_live_funded: bool = False,
) -> CapitalBooks:
    """Return the books that wrote `records`, every pool paused until it is reconciled, and set the live table by them.

    A transfer that was not committed is given up and its reservation is free again; quarantine stays. A fresh live
    table is funded; holds of orders that it does not know (`working` are those that it does) are kept from orders
    there until they end for certain.

    Raises:
        BooksBroken: the records do not balance, or positions do not cost what the ledger has invested.
        EngineFault: FS086, what recovery had to write cannot be kept.
    """
    books = RecoveredBooks(live, sink, config)
    books.read(records)
    books.set_live(working, is_live_funded=is_live_funded)
    books.resolve(at)
    return books


class RecoveredBooks(CapitalBooks):
    """Books that come out of their records."""

    def read(self, records: Records) -> None:
        """Take in what was written, in the order of the ledger."""
        self._transfers = {one.proposal.transfer_key: one for one in records.transfers}
        by_id = {one.transfer_id: one for one in records.transfers}
        profit_bases = dict.fromkeys(POOLS, 0)
        sold = dict.fromkeys(POOLS, 0)
        for line in records.entries:
            self._read_line(line)
            self._follow_sales(line, records.pools, sold)
            transfer = by_id.get(line.ref_id)
            if transfer is not None and line.amount < 0 and transfer.proposal.kind is TransferKind.PROMOTION:
                pool = transfer.proposal.from_pool
                profit_bases[pool] = self._accounts[pool].realized
                self._status[pool].promoted_at = line.time
        for pool, base in profit_bases.items():
            self._status[pool].profit_base = base
        self._read_holds(records)
        self._read_positions(records.history)
        for pool in POOLS:
            self._read_pool(pool, records.pools.get(pool), sold[pool])
        wrong = self.broken()
        if wrong:
            raise BooksBroken("FS084", "I1-I4", "; ".join(wrong))
        self.revision += 1

    def set_live(self, working: frozenset[str], *, is_live_funded: bool) -> None:
        """Set the live table by the books."""
        self._orphans = {
            order: (held.pool_id, held.remaining) for order, held in self._holds.items() if order not in working
        }
        if self.unallocated and not is_live_funded:
            self._live.credit(None, self.unallocated)
        for pool, account in self._accounts.items():
            cash = account.total - account.buckets[INVESTED]
            if cash and not is_live_funded:
                self._live.credit(pool, cash)
            self._live.set_aside(pool, self._aside(pool))
            self._live.block_entries(pool, blocked=True)

    def resolve(self, at: datetime) -> None:
        """Finish what was under way: committed transfers are written so, all others are given up."""
        for key, one in list(self._transfers.items()):
            has_happened = one.transfer_id in self._refs
            if has_happened and one.status is not TransferStatus.COMMITTED:
                done = one._replace(
                    status=TransferStatus.COMMITTED,
                    committed_at=one.requested_at,
                    after=_after(one),
                )
                self._transfers[key] = done
                self._owed.add(key)
                self._pay_debt(done)
            elif not has_happened:
                self._give_back(one, at)
        self.record(at)

    def _give_back(self, one: CapitalTransfer, at: datetime) -> None:
        stem = f"{one.transfer_id}:reserve:"
        for ref in [ref for ref in self._reservations if ref.startswith(stem)]:
            self.unreserve(ref, at)
        if one.status is TransferStatus.PENDING:
            expired = one._replace(status=TransferStatus.EXPIRED)
            self._keep(self._sink.transfer, expired)
            self._transfers[one.proposal.transfer_key] = expired

    def _read_line(self, line: CapitalLedgerEntry) -> None:
        self._refs.add(line.ref_id)
        self._next_id = max(self._next_id, line.entry_id + 1)
        if line.pool_id == UNALLOCATED:
            self.unallocated += line.amount
            self.external_flows += line.amount
            return
        account = self._accounts[line.pool_id]
        account.buckets[BUCKETS.index(line.bucket)] += line.amount
        account.total += line.amount
        if line.cause in REALISING:
            account.realized += line.amount
        elif line.cause is Cause.EXTERNAL:
            self.external_flows += line.amount
        elif line.cause is Cause.TRANSFER and line.bucket is Bucket.RESERVED:
            self._read_reserved(line)

    def _read_reserved(self, line: CapitalLedgerEntry) -> None:
        """Follow a line on what is reserved: for a transfer, or at rest after a demotion."""
        pool, ref, amount = line.pool_id, line.ref_id, line.amount
        assert pool != UNALLOCATED  # noqa: S101 - told to the type checker; `_read_line` has sorted it out
        if ref.startswith("release:"):
            rest = self._quarantines.pop(ref.removeprefix("release:"))
            self._accounts[rest.pool].quarantined -= rest.amount
        elif ref.endswith(":back"):
            self._reservations.pop(ref.removesuffix(":back"))
        elif amount < 0:  # committed: what was reserved for it has gone
            stem = f"{ref}:reserve:"
            self._reservations = {name: one for name, one in self._reservations.items() if not name.startswith(stem)}
        elif ":reserve:" in ref:
            self._reservations[ref] = (pool, amount)
        else:
            self._quarantines[ref] = Quarantine(ref, pool, amount, self._session_of(ref, line.time))
            self._accounts[pool].quarantined += amount

    def _session_of(self, transfer_id: str, time: datetime) -> date:
        for one in self._transfers.values():
            if one.transfer_id == transfer_id and one.session_date is not None:
                return one.session_date
        return time.date()

    def _read_holds(self, records: Records) -> None:
        """Find out what each order holds: from the lines, with the amount from its record."""
        left: dict[str, tuple[Pool, int]] = {}
        for line in records.entries:
            if line.bucket is Bucket.HELD and line.pool_id != UNALLOCATED:
                order = line.ref_id.split(":", 2)[1]
                left[order] = (line.pool_id, left.get(order, (line.pool_id, 0))[1] + line.amount)
        known = {one.order_id: one for one in records.holds}
        for order, (pool, amount) in left.items():
            if amount:
                most = max(amount, known[order].amount) if order in known else amount
                state = HoldState.PLACED if most == amount else HoldState.PARTLY_USED
                self._holds[order] = CapitalHold(f"{order}:{pool}", order, pool, most, amount, state, "ENTRY")

    def _read_positions(self, history: Iterable[FillRecord | SplitRecord]) -> None:
        for one in history:
            if one.ref not in self._refs:
                continue
            if isinstance(one, SplitRecord):
                for part in one.parts:
                    held = self._holdings[part.pool, one.symbol]
                    self._hold_position(part.pool, one.symbol, Holding(part.qty, held.cost if part.qty else 0))
                continue
            held = self._holdings.get((one.pool, one.symbol), FLAT)
            after = Holding(held.qty + one.qty, held.cost + one.amount) if one.side == "BUY" else held.sell(one.qty)[0]
            self._hold_position(one.pool, one.symbol, after)
        for pool, account in self._accounts.items():
            cost = sum(held.cost for (owner, _), held in self._holdings.items() if owner == pool)
            if cost != account.buckets[INVESTED]:
                raise BooksBroken(
                    "FS084",
                    say("no_cost", ledger=account.buckets[INVESTED], pool=pool, cost=cost),
                    say("no_cost_expected"),
                )

    def _follow_sales(
        self, line: CapitalLedgerEntry, kept: Mapping[Pool, CapitalPoolContract], sold: dict[Pool, int]
    ) -> None:
        """Add up what sales have realised of the paper profit since the last record of a pool."""
        if line.pool_id == UNALLOCATED:
            return
        account, one = self._accounts[line.pool_id], kept.get(line.pool_id)
        if line.cause is Cause.FILL:
            sold[line.pool_id] += line.amount  # a purchase adds nothing: its lines cancel out
        if one is not None and line.time <= one.timestamp and account.buckets == _buckets(one):
            sold[line.pool_id] = 0

    def _read_pool(self, pool: Pool, kept: CapitalPoolContract | None, sold: int) -> None:
        """Take unit prices and the state from the last record, and what has flowed since from the lines."""
        account, status = self._accounts[pool], self._status[pool]
        flowed = account.total - account.realized
        if kept is not None:
            self._read_record(pool, kept, sold)
            flowed -= kept.total_capital - kept.realized_pnl
            nav = account.nav - flowed
        else:
            nav = account.realized
        units = account.units
        if flowed:
            units.flow(nav, flowed)
        if kept is None or kept.last_promotion_time != status.promoted_at:
            units.begin_promotion_base(account.nav)
        account.revision += 1

    def _read_record(self, pool: Pool, kept: CapitalPoolContract, sold: int) -> None:
        account, status, units = self._accounts[pool], self._status[pool], self._accounts[pool].units
        account.revision = kept.revision
        # What paper profit there was belongs to positions that are still held, if any are.
        account.unrealized = kept.unrealized_pnl - sold if account.buckets[INVESTED] else 0
        units.units, units.is_funded = kept.units, kept.is_funded
        units.last_price, units.peak = from_published(kept.unit_price), from_published(kept.peak_unit_price)
        units.base = units.last_price
        if kept.units:
            units.base = (kept.nav - kept.nav_gain) * UNIT_SCALE * PRICE_SCALE // kept.units
        status.lock_code, status.lock_reason, status.lock_at = kept.lock_code, kept.lock_reason, kept.lock_timestamp
        status.causes = {*kept.pause_causes, PauseCause.START}
        status.eligible = kept.promotion_eligible and kept.pool_state is not PoolState.LOCKED


def _buckets(one: CapitalPoolContract) -> list[int]:
    return [one.available_capital, one.invested_capital, one.reserved_capital, one.held_for_orders]


def _after(one: CapitalTransfer) -> tuple[tuple[Pool, int], ...]:
    (source, had), (target, got) = one.before
    return (source, had - one.proposal.amount), (target, got + one.proposal.amount)
