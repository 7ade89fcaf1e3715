"""The double-entry machinery under the books: what a posting must be, and that it is done whole or not at all.

A posting is a few lines with one reference. Lines move money between the buckets of pools; what a line adds to or takes
from the whole has to be declared beside it, as realised profit or as a flow, so that every posting is checked twice.
The order is: check, live table, durable record, books. A failure at any of these leaves all of them as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.capital.contracts import POOLS, Bucket, CapitalLedgerEntry, Cause
from qts.capital.exceptions import AmountRefused, BooksBroken, NotAvailable, NotKept, UnknownPool
from qts.capital.messages_books import say
from qts.capital.units import UnitLine
from qts.codes import EngineFault, QtsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from qts.capital.interfaces import CapitalSink, LiveAccount
    from qts.state.rebalance import Pool

Place: TypeAlias = "Pool | Literal['UNALLOCATED']"

UNALLOCATED: Final = "UNALLOCATED"
AVAILABLE, INVESTED, RESERVED, HELD = range(4)
"""Places of a pool's buckets in `Account.buckets`."""
BUCKETS: Final = (Bucket.AVAILABLE, Bucket.INVESTED, Bucket.RESERVED, Bucket.HELD)
_SLOT: Final[Mapping[Bucket, int]] = {bucket: slot for slot, bucket in enumerate(BUCKETS)}
REALISING: Final = frozenset({Cause.FILL, Cause.FEE, Cause.TAX, Cause.DIVIDEND, Cause.ADJUST})
"""Causes whose lines on a pool are realised profit or loss, once they are added up."""
REF_CHARS_MAX: Final = 160


class Holding(NamedTuple):
    """A position with its exact cost, fees left out."""

    qty: int
    cost: int

    def sell(self, qty: int) -> tuple[Holding, int]:
        """Return the holding after a sale, and the cost that leaves with it, rounded down as in the core."""
        removed = self.cost * qty // self.qty
        return Holding(self.qty - qty, self.cost - removed), removed


FLAT: Final = Holding(0, 0)


class Change(NamedTuple):
    """What a posting does to the whole of a pool, or of what is unallocated."""

    place: Place
    realized: int = 0
    flow: int = 0
    """What comes in, or goes out if negative: from another place, or from outside."""


class Account:
    """Books of one pool."""

    __slots__ = ("buckets", "quarantined", "realized", "revision", "total", "units", "unrealized")

    def __init__(self) -> None:
        self.buckets = [0, 0, 0, 0]
        self.total = 0
        """Kept beside the buckets, from flows and realised profit: each proves the other."""
        self.realized = 0
        self.unrealized = 0
        self.quarantined = 0
        """Part of what is reserved that rests after a demotion."""
        self.revision = 0
        self.units = UnitLine()

    @property
    def nav(self) -> int:
        """Net asset value."""
        return self.total + self.unrealized

    @property
    def available(self) -> int:
        """Free for orders and transfers."""
        return self.buckets[AVAILABLE]


class Ledger:
    """Accounts of all pools, and the one way to change them.

    Args:
        live: the live table of available money.
        sink: where every line is kept.
    """

    def __init__(self, live: LiveAccount, sink: CapitalSink) -> None:
        self._live = live
        self._sink = sink
        self._accounts: dict[Pool, Account] = {pool: Account() for pool in POOLS}
        self._holdings: dict[tuple[Pool, str], Holding] = {}
        self._refs: set[str] = set()
        self._next_id = 1
        self.unallocated = 0
        """Cash that belongs to no pool; may be negative."""
        self.external_flows = 0
        """What has come from outside so far, less what went there."""
        self.duplicates = 0
        """Records that came again and were ignored."""
        self.revision = 0
        """Grows with every change of anything that a snapshot shows."""

    @property
    def refs(self) -> frozenset[str]:
        """References of everything posted so far."""
        return frozenset(self._refs)

    @property
    def holdings(self) -> Mapping[tuple[Pool, str], Holding]:
        """Positions by pool and symbol."""
        return dict(self._holdings)

    def invested(self, pool: Pool) -> int:
        """Return the cost of a pool's positions."""
        return self._account(pool).buckets[INVESTED]

    def available(self, pool: Pool) -> int:
        """Return what a pool has free, as the books see it."""
        return self._account(pool).available

    def total(self, pool: Pool) -> int:
        """Return the book capital of a pool."""
        return self._account(pool).total

    @property
    def cash(self) -> int:
        """Everything that is not invested, what is unallocated included."""
        return self.unallocated + sum(one.total - one.buckets[INVESTED] for one in self._accounts.values())

    @property
    def equity(self) -> int:
        """Net asset values of all pools, and what is unallocated."""
        return self.unallocated + sum(one.nav for one in self._accounts.values())

    def broken(self) -> list[str]:
        """Return the invariants I1 and I4 that do not hold now; empty in sound books."""
        wrong = [
            f"I1 {pool}: {one.total} != {sum(one.buckets)}"
            for pool, one in self._accounts.items()
            if one.total != sum(one.buckets)
        ]
        whole = self.unallocated + sum(one.total for one in self._accounts.values())
        explained = self.external_flows + sum(one.realized for one in self._accounts.values())
        if whole != explained:
            wrong.append(f"I4: {whole} != {explained}")
        return wrong

    def _account(self, pool: Pool) -> Account:
        try:
            return self._accounts[pool]
        except KeyError:
            raise UnknownPool(pool) from None

    def _lines(
        self, at: datetime, ref: str, parts: Iterable[tuple[Place, Bucket, int, Cause]]
    ) -> tuple[CapitalLedgerEntry, ...]:
        """Return the lines of a posting; parts of nothing are left out."""
        kept = [part for part in parts if part[2]]
        return tuple(
            CapitalLedgerEntry(number, at, place, bucket, amount, cause, ref)
            for number, (place, bucket, amount, cause) in enumerate(kept, self._next_id)
        )

    def _post(
        self,
        ref: str,
        lines: tuple[CapitalLedgerEntry, ...],
        changes: tuple[Change, ...],
        *,
        external: int = 0,
        is_fact: bool = False,
        live: Callable[[], None] | None = None,
        undo: Callable[[], None] | None = None,
    ) -> None:
        """Check a posting, do it in the live table, keep it, and book it; or none of these.

        Args:
            ref: what it belongs to; taken note of, so that it is not posted again.
            lines: its lines.
            changes: what it does to the whole of each place.
            external: what comes from outside, less what goes there.
            is_fact: it has happened already (a fill): it is booked even if it leaves a bucket below zero, which is
                found and reported afterwards. What has not happened yet is refused then.
            live: does it in the live table; raises if it cannot be done there.
            undo: takes that back.

        Raises:
            BooksBroken: it does not balance, or a bucket would fall below zero.
            EngineFault: FS086, it cannot be kept.
        """
        after = self._checked(lines, changes, external, is_fact=is_fact)
        if live is not None:
            live()
        if lines:
            try:
                self._keep(self._sink.entries, lines)
            except EngineFault:
                if undo is not None:
                    undo()
                raise
        self._next_id += len(lines)
        self._refs.add(ref)
        self.external_flows += external
        self._apply(after, changes)

    def _checked(
        self, lines: tuple[CapitalLedgerEntry, ...], changes: tuple[Change, ...], external: int, *, is_fact: bool
    ) -> dict[Pool, list[int]]:
        after, loose = self._buckets_after(lines)
        flows = declared = 0
        for place, realized, flow in changes:
            flows += flow
            if place == UNALLOCATED:
                loose -= flow
                continue
            declared += place in after
            account = self._accounts[place]
            if sum(after.get(place, account.buckets)) != account.total + realized + flow:
                raise BooksBroken("FS084", "I1", f"{place} {lines}")
        if loose or flows != external:
            raise BooksBroken("FS084", "I3", f"{flows} {external} {lines}")
        if declared != len(after):
            raise BooksBroken("FS084", "I4", f"{sorted(after)} {changes}")
        if not is_fact:
            self._check_sign(after)
        return after

    def _check_sign(self, after: dict[Pool, list[int]]) -> None:
        """Refuse to take a bucket below zero, or further below; whatever brings it back up is welcome."""
        for pool, buckets in after.items():
            if min(buckets) < 0 and any(
                new < 0 and new < old for new, old in zip(buckets, self._accounts[pool].buckets, strict=True)
            ):
                raise BooksBroken("FS081", "I2", f"{pool} {buckets}")

    def _buckets_after(self, lines: tuple[CapitalLedgerEntry, ...]) -> tuple[dict[Pool, list[int]], int]:
        """Return the buckets of each pool that lines touch, as they would be, and what they do to the unallocated."""
        after: dict[Pool, list[int]] = {}
        loose = 0
        for _, _, place, bucket, amount, _, _ in lines:
            if place == UNALLOCATED:
                loose += amount
                continue
            buckets = after.get(place)
            if buckets is None:
                buckets = after[place] = self._accounts[place].buckets.copy()
            buckets[_SLOT[bucket]] += amount
        return after, loose

    def _apply(self, after: dict[Pool, list[int]], changes: tuple[Change, ...]) -> None:
        for place, realized, flow in changes:
            if place == UNALLOCATED:
                self.unallocated += flow
                continue
            account = self._accounts[place]
            if flow:
                account.units.flow(account.nav, flow)
            account.total += realized + flow
            account.realized += realized
            account.buckets = after.get(place, account.buckets)
            account.revision += 1
        self.revision += 1

    def _keep(self, keep: Callable[..., None], *what: object) -> None:
        """Hand a record to the sink; whatever goes wrong there is FS086."""
        try:
            keep(*what)
        except EngineFault:
            raise
        except (QtsError, OSError, RuntimeError, ValueError) as error:
            raise NotKept(str(error)) from error


def whole(what: str, amount: object, *, is_signed: bool = False) -> int:
    """Return an amount that may be booked: a whole number above 0, or other than 0 if it is signed."""
    if not isinstance(amount, int) or isinstance(amount, bool) or (amount == 0 if is_signed else amount <= 0):
        raise AmountRefused(what, amount, is_signed=is_signed)
    return amount


def reference(ref: object, *, is_order: bool = False) -> str:
    """Return a reference that can be kept."""
    text = str(ref)
    if not text or len(text) > REF_CHARS_MAX or (is_order and ":" in text):
        raise UsageError(found=say("ref", ref=text), expected=say("ref_expected"), hint=say("ref_hint"))
    return text


def moment(at: datetime) -> datetime:
    """Return a time that has a zone."""
    if at.tzinfo is None:
        raise UsageError(found=say("moment", at=at), expected=say("moment_expected"), hint=say("moment_hint"))
    return at


def free_of(live: Callable[[], None], what: str, amount: int, pool: str, available: int) -> Callable[[], None]:
    """Wrap a call to the live table: money that is not there is refused in the words of the books."""

    def asked() -> None:
        try:
            live()
        except ValueError as error:
            raise NotAvailable(what, amount, pool, available) from error

    return asked
