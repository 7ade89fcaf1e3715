"""Transfers between pools: reserve, commit once by key, quarantine (spec 14 §7.5, §8).

A transfer goes PENDING on record, its amount is set aside, and then one posting commits it: that posting, one append,
is the moment from which it has happened. Before it, a crash leaves nothing but a reservation, which recovery gives
back; after it, recovery finds it done. The live table is told just before the posting, with the money still kept from
orders at its destination, and takes it back if the posting cannot be kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.capital.contracts import Bucket, CapitalTransfer, Cause, TransferKind, TransferStatus
from qts.capital.exceptions import NotAvailable, PoolClosed
from qts.capital.ledger import RESERVED, Change, free_of, moment, reference, whole
from qts.capital.messages_books import say
from qts.capital.pools import PoolBook
from qts.clock import to_ns
from qts.codes import EngineFault, UsageError
from qts.state.ids import ulid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import CapitalHold, CapitalLedgerEntry, TransferProposal
    from qts.capital.interfaces import CapitalSink, LiveAccount
    from qts.safety import SafetyState
    from qts.state import OperatingState
    from qts.state.rebalance import Pool


class Occasion(NamedTuple):
    """When and in which state of things a transfer is made."""

    at: datetime
    session_date: date
    operating_state: OperatingState
    safety_state: SafetyState
    operator_id: str | None = None


class Quarantine(NamedTuple):
    """What rests in a pool after a demotion."""

    transfer_id: str
    pool: Pool
    amount: int
    since: date
    """Session in which it came."""


class TransferBook(PoolBook):
    """Pools that exchange capital."""

    def __init__(self, live: LiveAccount, sink: CapitalSink, config: CapitalFlowConfig) -> None:
        super().__init__(live, sink, config)
        self._transfers: dict[str, CapitalTransfer] = {}
        self._reservations: dict[str, tuple[Pool, int]] = {}
        self._quarantines: dict[str, Quarantine] = {}
        self._owed: set[str] = set()
        """Keys of committed transfers whose record could not be kept yet."""
        self._holds: dict[str, CapitalHold] = {}
        self._orphans: dict[str, tuple[Pool, int]] = {}
        """Holds that the live table does not know, after a restart: kept from orders there as if reserved."""

    @property
    def transfers(self) -> tuple[CapitalTransfer, ...]:
        """Transfers of these books, by time of their request."""
        return tuple(self._transfers.values())

    @property
    def quarantines(self) -> tuple[Quarantine, ...]:
        """What rests after demotions, oldest first."""
        return tuple(self._quarantines.values())

    def committed_on(self, session: date) -> tuple[CapitalTransfer, ...]:
        """Return what has been committed in a session."""
        return tuple(one for one in self.committed_since(session) if one.session_date == session)

    def committed_since(self, session: date) -> tuple[CapitalTransfer, ...]:
        """Return what has been committed in a session or later, oldest first."""
        found = []
        for one in reversed(self._transfers.values()):
            if one.session_date is not None and one.session_date < session:
                break
            if one.status is TransferStatus.COMMITTED:
                found.append(one)
        return tuple(reversed(found))

    def used_keys(self) -> frozenset[str]:
        """Return the keys of all committed transfers."""
        return frozenset(key for key, one in self._transfers.items() if one.status is TransferStatus.COMMITTED)

    def reserve(self, ref: str, pool: Pool, amount: int, at: datetime) -> None:
        """Set free money of a pool aside for a transfer.

        Raises:
            NotAvailable: that much is not free.
        """
        whole("reserve", amount)
        account = self._account(pool)
        if amount > account.available:
            raise NotAvailable("reserve", amount, pool, account.available)
        before = self._aside(pool)
        lines = self._lines(
            moment(at),
            reference(ref),
            ((pool, Bucket.AVAILABLE, -amount, Cause.TRANSFER), (pool, Bucket.RESERVED, amount, Cause.TRANSFER)),
        )
        self._post(
            ref,
            lines,
            (Change(pool),),
            live=free_of(
                lambda: self._live.set_aside(pool, before + amount), "reserve", amount, pool, account.available
            ),
            undo=lambda: self._live.set_aside(pool, before),
        )
        self._reservations[ref] = (pool, amount)

    def unreserve(self, ref: str, at: datetime) -> None:
        """Give a reservation back; one that is not there is none."""
        if ref not in self._reservations:
            return
        pool, amount = self._reservations[ref]
        back = f"{ref}:back"
        self._post(back, self._freed(pool, amount, back, at), (Change(pool),))
        del self._reservations[ref]
        self._live.set_aside(pool, self._aside(pool))

    def commit(
        self, proposal: TransferProposal, occasion: Occasion, revisions: Mapping[Pool, int] | None = None
    ) -> CapitalTransfer:
        """Move capital between two pools, once for each key: a second time returns the first result.

        Args:
            proposal: what to move.
            occasion: when, and in which states.
            revisions: revisions of the pools that it was decided on; None = not to be compared.

        Raises:
            UsageError: a pool may not give or take, the money is not free, or a pool has changed since.
            EngineFault: FS086; the transfer is as it was.
        """
        known = self._transfers.get(proposal.transfer_key)
        if known is not None and known.status is TransferStatus.COMMITTED:
            self._pay_debt(known)
            return known
        at = moment(occasion.at)
        self.free_leftovers(at)
        self._check_transfer(proposal, revisions)
        name = known.transfer_id if known else ulid(to_ns(at), f"capital:{proposal.transfer_key}")
        pair = (proposal.from_pool, proposal.to_pool)
        before = tuple((pool, self._accounts[pool].total) for pool in pair)
        pending = CapitalTransfer(
            transfer_id=name,
            proposal=proposal,
            status=TransferStatus.PENDING,
            requested_at=at,
            committed_at=None,
            before=before,
            after=(),
            operating_state=occasion.operating_state,
            safety_state=occasion.safety_state,
            operator_id=occasion.operator_id,
            session_date=occasion.session_date,
        )
        self._keep(self._sink.transfer, pending)
        self._transfers.pop(proposal.transfer_key, None)  # a second attempt is as recent as any
        self._transfers[proposal.transfer_key] = pending
        reserved = self._free_ref(f"{name}:reserve")
        try:
            self.reserve(reserved, proposal.from_pool, proposal.amount, at)
            self._move(pending, reserved)
        except (EngineFault, UsageError):
            self._give_up(pending, reserved)
            raise
        return self._settle(pending)

    def free_leftovers(self, at: datetime) -> None:
        """Give back what attempts have left reserved that could not even be given up."""
        for one in self._transfers.values() if self._reservations else ():
            if one.status is TransferStatus.REJECTED:
                for ref in [ref for ref in self._reservations if ref.startswith(f"{one.transfer_id}:reserve:")]:
                    self.unreserve(ref, at)

    def release_quarantine(self, transfer_id: str, at: datetime) -> int:
        """Free what has rested since a demotion; return how much, 0 if nothing rests under that id."""
        resting = self._quarantines.get(transfer_id)
        if resting is None:
            return 0
        pool, amount = resting.pool, resting.amount
        if not self.takes(pool):
            raise PoolClosed("release", pool, self.state(pool))
        ref = f"release:{transfer_id}"
        self._post(ref, self._freed(pool, amount, ref, at), (Change(pool),))
        del self._quarantines[transfer_id]
        self._accounts[pool].quarantined -= amount
        self._live.set_aside(pool, self._aside(pool))
        return amount

    def _freed(self, pool: Pool, amount: int, ref: str, at: datetime) -> tuple[CapitalLedgerEntry, ...]:
        return self._lines(
            moment(at),
            ref,
            ((pool, Bucket.RESERVED, -amount, Cause.TRANSFER), (pool, Bucket.AVAILABLE, amount, Cause.TRANSFER)),
        )

    def _aside(self, pool: Pool) -> int:
        """Return what the live table has to keep from orders beside its own holds."""
        strange = sum(amount for owner, amount in self._orphans.values() if owner == pool)
        return self._accounts[pool].buckets[RESERVED] + strange

    def _free_ref(self, stem: str) -> str:
        number = 1
        while f"{stem}:{number}" in self._refs:
            number += 1
        return f"{stem}:{number}"

    def _check_transfer(self, proposal: TransferProposal, revisions: Mapping[Pool, int] | None) -> None:
        source, target = proposal.from_pool, proposal.to_pool
        what = proposal.transfer_key
        whole("transfer", proposal.amount)
        self._account(source)
        self._account(target)
        if source == target:
            raise UsageError(
                found=say("same_pool", pool=source), expected=say("same_pool_expected"), hint=say("pool_hint")
            )
        if not self.gives(source):
            raise PoolClosed(what, source, self.state(source))
        if not self.takes(target):
            raise PoolClosed(what, target, self.state(target))
        if revisions is not None:
            for pool in (source, target):
                if revisions[pool] != self._accounts[pool].revision:
                    raise PoolClosed(what, pool, f"revision {self._accounts[pool].revision}")
        free = self._accounts[source].available
        if proposal.amount > free:
            raise NotAvailable(what, proposal.amount, source, free)

    def _move(self, pending: CapitalTransfer, reserved: str) -> None:
        """Post the commit: the one append from which the transfer has happened."""
        source, target, amount = pending.proposal.from_pool, pending.proposal.to_pool, pending.proposal.amount
        rests = pending.proposal.kind is TransferKind.DEMOTION
        bucket = Bucket.RESERVED if rests else Bucket.AVAILABLE
        asides = self._aside(source), self._aside(target)

        def back() -> None:
            self._live.set_aside(target, asides[1])
            self._live.move(target, source, amount)
            self._live.set_aside(source, asides[0])

        def there() -> None:
            self._live.set_aside(source, asides[0] - amount)
            try:
                self._live.move(source, target, amount)
            except ValueError:
                self._live.set_aside(source, asides[0])
                raise
            try:
                self._live.set_aside(target, asides[1] + amount)
            except ValueError:
                back()
                raise

        parts = (
            (source, Bucket.RESERVED, -amount, Cause.TRANSFER),
            (target, bucket, amount, Cause.TRANSFER),
        )
        name = pending.transfer_id
        self._post(
            name,
            self._lines(pending.requested_at, name, parts),
            (Change(source, flow=-amount), Change(target, flow=amount)),
            live=free_of(there, name, amount, source, 0),
            undo=back,
        )
        del self._reservations[reserved]
        if rests:
            self._accounts[target].quarantined += amount
            since = pending.session_date or pending.requested_at.date()
            self._quarantines[name] = Quarantine(name, target, amount, since)
        else:
            self._live.set_aside(target, asides[1])

    def _settle(self, pending: CapitalTransfer) -> CapitalTransfer:
        """Write down a transfer that has happened."""
        proposal = pending.proposal
        if proposal.kind is TransferKind.PROMOTION:
            account, status = self._accounts[proposal.from_pool], self._status[proposal.from_pool]
            status.profit_base = account.realized
            status.promoted_at = pending.requested_at
            status.eligible = False
            account.units.begin_promotion_base(account.nav)
            self._touch(proposal.from_pool)
        done = pending._replace(
            status=TransferStatus.COMMITTED,
            committed_at=pending.requested_at,
            after=tuple((pool, self._accounts[pool].total) for pool, _ in pending.before),
        )
        self._transfers[proposal.transfer_key] = done
        self._owed.add(proposal.transfer_key)
        self._pay_debt(done)
        return done

    def _pay_debt(self, done: CapitalTransfer) -> None:
        """Keep the record of a committed transfer, if that is still to be done."""
        if done.proposal.transfer_key in self._owed:
            self._keep(self._sink.transfer, done)
            self.record(done.requested_at)
            self._owed.discard(done.proposal.transfer_key)

    def _give_up(self, pending: CapitalTransfer, reserved: str) -> None:
        """Give the reservation of a failed transfer back, as far as that can be kept; recovery does the rest."""
        failed = pending._replace(status=TransferStatus.REJECTED)
        self._transfers[pending.proposal.transfer_key] = failed
        try:
            self.unreserve(reserved, pending.requested_at)
            self._keep(self._sink.transfer, failed)
        except EngineFault:
            return  # the first failure is the one to tell
