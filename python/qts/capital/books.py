"""The double-entry books of the pools and of what is unallocated, posted from what has happened (spec 14 §11).

The live truth of free money is the reservation table in the core; these books follow it and say why. Every method that
books something does so once for each reference: a second time returns False and is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from qts.capital.allocation import split as split_shares
from qts.capital.audit import verified
from qts.capital.contracts import (
    POOLS,
    Bucket,
    CapitalAlert,
    CapitalHold,
    CapitalLedgerEntry,
    Cause,
    HoldState,
)
from qts.capital.exceptions import AmountRefused, BooksBroken, NotAvailable, PoolClosed
from qts.capital.ledger import (
    FLAT,
    INVESTED,
    UNALLOCATED,
    Change,
    Holding,
    free_of,
    moment,
    reference,
    whole,
)
from qts.capital.messages_books import say
from qts.capital.transfers import TransferBook
from qts.codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from qts.capital.ledger import Place
    from qts.state.rebalance import Pool

Side: TypeAlias = Literal["BUY", "SELL"]


class SplitPart(NamedTuple):
    """What a split, or a consolidation, made of one pool's holding."""

    pool: Pool
    qty: int
    """Quantity after it; the cost stays, unless nothing is left."""
    cash_in_lieu: int = 0
    """Paid for what did not make a whole share, in money units."""


class CapitalBooks(TransferBook):
    """Books of three pools.

    Args:
        live: the live table of available money.
        sink: where every record is kept.
        config: settings of the capital room.
    """

    def hold_of(self, order_id: int | str) -> int:
        """Return what the books hold for an order."""
        held = self._holds.get(str(order_id))
        return held.remaining if held else 0

    @property
    def holds(self) -> tuple[CapitalHold, ...]:
        """Holds of working orders."""
        return tuple(self._holds.values())

    # What comes and goes

    def fund(self, amounts: Mapping[Pool, int], at: datetime, *, is_live_funded: bool = False) -> None:
        """Give pools their first capital, from outside.

        Args:
            amounts: by pool; one that is left out stays unfunded.
            at: when.
            is_live_funded: whether the live table has it already.
        """
        for pool, amount in amounts.items():
            self._account(pool)
            if amount == 0:
                continue
            whole("fund", amount)
            ref = self._free_ref(f"fund:{pool}")
            lines = self._lines(moment(at), ref, ((pool, Bucket.AVAILABLE, amount, Cause.EXTERNAL),))
            self._post(
                ref,
                lines,
                (Change(pool, flow=amount),),
                external=amount,
                live=None if is_live_funded else self._crediting(pool, amount),
                undo=None if is_live_funded else self._crediting(pool, -amount),
            )
        self.record(at)

    def external(self, amount: int, ref: str, at: datetime) -> bool:
        """Take in a deposit, unallocated; a negative amount is a withdrawal of what is unallocated."""
        whole("external", amount, is_signed=True)
        ref = f"external:{reference(ref)}"
        if self._is_known(ref):
            return False
        if amount < 0 and self.unallocated + amount < 0:
            raise NotAvailable("withdrawal", -amount, UNALLOCATED, self.unallocated)
        self._unallocated_flow(amount, ref, Cause.EXTERNAL, at)
        return True

    def allocate(self, shares: Mapping[Pool, Decimal], at: datetime) -> dict[Pool, int]:
        """Give what is unallocated to the pools by target share; what a locked pool would get stays where it is.

        SWING and PORTFOLIO get their shares rounded down, SCALP the rest, so that the sum is exact.
        """
        if set(shares) != set(POOLS) or sum(shares.values()) != 1 or min(shares.values()) < 0:
            raise UsageError(
                found=say("shares", shares=", ".join(f"{pool} {share}" for pool, share in shares.items())),
                expected=say("shares_expected"),
                hint=say("shares_hint"),
            )
        amount = self.unallocated
        if amount <= 0:
            return {}
        given = {pool: part for pool, part in split_shares(amount, shares).items() if part > 0 and self.takes(pool)}
        if given:
            self._allocate(given, self._free_ref("allocate"), moment(at))
        return given

    def withdraw(self, pool: Pool, amount: int, ref: str, at: datetime) -> bool:
        """Take free capital of a pool out of the account, by an operator's instruction."""
        whole("withdrawal", amount)
        account = self._account(pool)
        ref = f"withdraw:{reference(ref)}"
        if self._is_known(ref):
            return False
        if not self.takes(pool):
            raise PoolClosed("withdrawal", pool, self.state(pool))
        if amount > account.available:
            raise NotAvailable("withdrawal", amount, pool, account.available)
        lines = self._lines(moment(at), ref, ((pool, Bucket.AVAILABLE, -amount, Cause.EXTERNAL),))
        self._post(
            ref,
            lines,
            (Change(pool, flow=-amount),),
            external=-amount,
            live=free_of(self._crediting(pool, -amount), "withdrawal", amount, pool, account.available),
            undo=self._crediting(pool, amount),
        )
        return True

    def adjust(self, pool: Pool | None, amount: int, ref: str, at: datetime) -> bool:
        """Correct the books by a difference that is explained: rounding to a pool, anything else unallocated (None)."""
        whole("adjust", amount, is_signed=True)
        ref = f"adjust:{reference(ref)}"
        if self._is_known(ref):
            return False
        if pool is None:
            self._unallocated_flow(amount, ref, Cause.ADJUST, at)
        else:
            self._profit(pool, amount, ref, Cause.ADJUST, at)
        return True

    def dividend(self, pool: Pool, symbol: str, amount: int, ref: str, at: datetime) -> bool:
        """Book a dividend, net of what was withheld, to the pool that owns the lot."""
        whole("dividend", amount)
        ref = f"dividend:{reference(symbol)}:{reference(ref)}:{pool}"
        if self._is_known(ref):
            return False
        self._profit(pool, amount, ref, Cause.DIVIDEND, at)
        return True

    def charge(self, pool: Pool, cause: Literal[Cause.FEE, Cause.TAX], amount: int, ref: str, at: datetime) -> bool:
        """Book a fee or a tax that comes after its trade."""
        whole("charge", amount)
        ref = f"charge:{cause}:{reference(ref)}:{pool}"
        if self._is_known(ref):
            return False
        self._profit(pool, -amount, ref, cause, at)
        return True

    def split(self, symbol: str, parts: Sequence[SplitPart], ref: str, at: datetime) -> bool:
        """Book a split or consolidation: quantities change, costs stay, a remainder is paid in cash.

        A holding of which nothing is left is written off against the cash paid for it.
        """
        ref = f"split:{reference(symbol)}:{reference(ref)}"
        if self._is_known(ref):
            return False
        given = {part.pool: part for part in parts}
        owners = {pool for pool, name in self._holdings if name == symbol}
        if not owners or set(given) != owners or any(part.qty < 0 or part.cash_in_lieu < 0 for part in given.values()):
            raise BooksBroken("FS084", say("split_bad", symbol=symbol, pool=sorted(given)), say("split_bad_expected"))
        lines: list[tuple[Pool, Bucket, int, Cause]] = []
        changes: list[Change] = []
        after: dict[Pool, Holding] = {}
        for pool, part in given.items():
            held = self._holdings[pool, symbol]
            lost = 0 if part.qty else held.cost
            lines.append((pool, Bucket.INVESTED, -lost, Cause.FILL))
            lines.append((pool, Bucket.AVAILABLE, part.cash_in_lieu, Cause.FILL))
            changes.append(Change(pool, realized=part.cash_in_lieu - lost))
            after[pool] = Holding(part.qty, held.cost - lost)
        paid = [(pool, part.cash_in_lieu) for pool, part in given.items() if part.cash_in_lieu]
        kept = self._lines(moment(at), ref, lines)
        if not kept:  # nothing moved: a line of nothing says that it was done
            kept = (CapitalLedgerEntry(self._next_id, at, parts[0].pool, Bucket.INVESTED, 0, Cause.FILL, ref),)
        self._post(
            ref,
            kept,
            tuple(changes),
            is_fact=True,
            live=lambda: self._credit_all(paid),
            undo=lambda: self._credit_all([(pool, -amount) for pool, amount in paid]),
        )
        for pool, held in after.items():
            self._hold_position(pool, symbol, held)
        return True

    # Orders and fills

    def hold(self, order_id: int | str, pool: Pool, amount: int, at: datetime) -> None:
        """Follow a hold that the live table has placed for an order, or changed."""
        if amount < 0:
            raise AmountRefused("hold", amount)
        order = reference(order_id, is_order=True)
        account = self._account(pool)
        old = self._holds.get(order)
        more = amount - (old.remaining if old else 0)
        if more > account.available:
            raise NotAvailable("hold", more, pool, account.available)
        ref = self._free_ref(f"hold:{order}")
        kept = CapitalHold(f"{order}:{pool}", order, pool, amount, amount, HoldState.PLACED, "ENTRY")
        self._keep(self._sink.hold, kept)
        parts = ((pool, Bucket.AVAILABLE, -more, Cause.HOLD), (pool, Bucket.HELD, more, Cause.HOLD))
        self._post(ref, self._lines(moment(at), ref, parts), (Change(pool),))
        self._holds[order] = kept

    def unhold(self, order_id: int | str, at: datetime) -> int:
        """Free what is left of the hold of an order that has ended for certain; return how much."""
        order = str(order_id)
        old = self._holds.get(order)
        if old is None:
            return 0
        pool, left = old.pool_id, old.remaining
        self._keep(self._sink.hold, _hold(old, 0))
        ref = self._free_ref(f"unhold:{order}")
        parts = ((pool, Bucket.HELD, -left, Cause.HOLD), (pool, Bucket.AVAILABLE, left, Cause.HOLD))
        self._post(ref, self._lines(moment(at), ref, parts), (Change(pool),), is_fact=True)
        del self._holds[order]
        self._forget_orphan(order, 0)
        return left

    def on_fill(
        self,
        *,
        order_id: int | str,
        exec_id: int | str,
        pool: Pool,
        symbol: str,
        side: Side,
        qty: int,
        amount: int,
        fee: int,
        tax: int,
        hold_left: int,
        at: datetime,
    ) -> bool:
        """Book a fill, whatever the state of its pool; False, and counted, if it has been booked before.

        Args:
            order_id: its order.
            exec_id: its own id within the order.
            pool: who pays or is paid.
            symbol: what was traded.
            side: BUY or SELL.
            qty: quantity units, above 0.
            amount: quantity times price, in money units.
            fee: in money units.
            tax: in money units.
            hold_left: what the live table still holds for the order after the fill, in money units.
            at: when.

        Raises:
            BooksBroken: more is sold than the pool holds.
            EngineFault: FS086; nothing was booked.
        """
        order = str(order_id)
        ref = f"fill:{order}:{exec_id}"
        if ref in self._refs:
            self.duplicates += 1
            return False
        if qty <= 0 or amount < 0 or fee < 0 or tax < 0 or hold_left < 0 or ":" in order:
            raise UsageError(found=say("side", side=side), expected=say("side_expected"), hint=say("side_hint"))
        held = self._holdings.get((pool, symbol), FLAT)
        if side == "BUY":
            self._on_buy(ref, order, pool, (amount, fee, tax, hold_left), at)
            after = Holding(held.qty + qty, held.cost + amount)
        elif side == "SELL":
            if qty > held.qty:
                raise BooksBroken(
                    "FS084",
                    say("oversold", sold=qty, symbol=symbol, pool=pool, held=held.qty),
                    say("oversold_expected"),
                )
            after, removed = held.sell(qty)
            self._on_sell(ref, pool, (amount, fee, tax, removed), at)
        else:
            raise UsageError(found=say("side", side=side), expected=say("side_expected"), hint=say("side_hint"))
        if after.qty:
            self._holdings[pool, symbol] = after
        else:
            del self._holdings[pool, symbol]
        return True

    def _on_buy(self, ref: str, order: str, pool: Pool, money: tuple[int, int, int, int], at: datetime) -> None:
        amount, fee, tax, left = money
        old = self._holds.get(order)
        spent = amount + fee + tax
        unused = (old.remaining if old is not None else 0) - left - spent
        number = self._next_id
        lines = [
            CapitalLedgerEntry(number, at, pool, Bucket.HELD, -amount, Cause.FILL, ref),
            CapitalLedgerEntry(number + 1, at, pool, Bucket.INVESTED, amount, Cause.FILL, ref),
        ]
        if fee:
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.HELD, -fee, Cause.FEE, ref))
        if tax:
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.HELD, -tax, Cause.TAX, ref))
        if unused:
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.HELD, -unused, Cause.HOLD, ref))
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.AVAILABLE, unused, Cause.HOLD, ref))
        if old is not None:
            self._keep(self._sink.hold, _hold(old, left))
        elif left:
            old = CapitalHold(f"{order}:{pool}", order, pool, left, left, HoldState.PLACED, "ENTRY")
            self._keep(self._sink.hold, old)
        self._post(ref, tuple(lines), (Change(pool, -fee - tax),), is_fact=True)
        if left and old is not None:
            self._holds[order] = _hold(old, left)
        else:
            self._holds.pop(order, None)
        if self._orphans:
            self._forget_orphan(order, left)

    def _on_sell(self, ref: str, pool: Pool, money: tuple[int, int, int, int], at: datetime) -> None:
        amount, fee, tax, removed = money
        number = self._next_id
        lines = [
            CapitalLedgerEntry(number, at, pool, Bucket.INVESTED, -removed, Cause.FILL, ref),
            CapitalLedgerEntry(number + 1, at, pool, Bucket.AVAILABLE, amount, Cause.FILL, ref),
        ]
        if fee:
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.AVAILABLE, -fee, Cause.FEE, ref))
        if tax:
            lines.append(CapitalLedgerEntry(number + len(lines), at, pool, Bucket.AVAILABLE, -tax, Cause.TAX, ref))
        gross = amount - removed
        self._post(ref, tuple(lines), (Change(pool, gross - fee - tax),), is_fact=True)
        account = self._accounts[pool]
        # What the sale realised is no paper profit any more: until the next valuation the price moves by costs alone.
        account.unrealized = account.unrealized - gross if account.buckets[INVESTED] else 0

    def buckets(self, pool: Pool) -> tuple[int, ...]:
        """Return what is available, invested, reserved and held."""
        return tuple(self._account(pool).buckets)

    # Checks

    def verify(
        self, broker_cash: int | None = None, quantities: Mapping[str, int] | None = None
    ) -> tuple[CapitalAlert, ...]:
        """Compare the books with themselves, the live table and the broker (I1 to I6); None = not to be compared."""
        live = {pool: self._live.pool_money(pool) for pool in POOLS}
        kept = {pool: self._aside(pool) for pool in POOLS}
        return verified(self, live, kept, self._live.unallocated(), broker_cash, quantities)

    def _is_known(self, ref: str) -> bool:
        if ref in self._refs:
            self.duplicates += 1
            return True
        return False

    def _profit(self, pool: Pool, amount: int, ref: str, cause: Cause, at: datetime) -> None:
        """Book what adds to or takes from the free money of a pool, as realised profit or loss."""
        account = self._account(pool)
        if amount < 0 and -amount > account.available:
            raise NotAvailable(str(cause), -amount, pool, account.available)
        lines = self._lines(moment(at), ref, ((pool, Bucket.AVAILABLE, amount, cause),))
        self._post(
            ref,
            lines,
            (Change(pool, realized=amount),),
            live=free_of(self._crediting(pool, amount), ref, amount, pool, account.available),
            undo=self._crediting(pool, -amount),
        )

    def _allocate(self, given: Mapping[Pool, int], ref: str, at: datetime) -> None:
        amount = sum(given.values())
        parts: list[tuple[Place, Bucket, int, Cause]] = [(UNALLOCATED, Bucket.UNALLOCATED, -amount, Cause.EXTERNAL)]
        parts += [(pool, Bucket.AVAILABLE, part, Cause.EXTERNAL) for pool, part in given.items()]
        if amount > self._live.unallocated():
            raise NotAvailable("allocate", amount, UNALLOCATED, self._live.unallocated())
        self._post(
            ref,
            self._lines(at, ref, parts),
            (Change(UNALLOCATED, flow=-amount), *(Change(pool, flow=part) for pool, part in given.items())),
            live=lambda: self._move_all((None, pool, part) for pool, part in given.items()),
            undo=lambda: self._move_all((pool, None, part) for pool, part in given.items()),
        )

    def _unallocated_flow(self, amount: int, ref: str, cause: Cause, at: datetime) -> None:
        lines = self._lines(moment(at), ref, ((UNALLOCATED, Bucket.UNALLOCATED, amount, cause),))
        self._post(
            ref,
            lines,
            (Change(UNALLOCATED, flow=amount),),
            external=amount,
            live=free_of(self._crediting(None, amount), ref, amount, UNALLOCATED, self.unallocated),
            undo=self._crediting(None, -amount),
        )

    def _hold_position(self, pool: Pool, symbol: str, held: Holding) -> None:
        if held.qty:
            self._holdings[pool, symbol] = held
        else:
            self._holdings.pop((pool, symbol), None)

    def _credit_all(self, paid: Iterable[tuple[Pool, int]]) -> None:
        for pool, amount in paid:
            self._live.credit(pool, amount)

    def _crediting(self, pool: Pool | None, amount: int) -> Callable[[], None]:
        return lambda: self._live.credit(pool, amount)

    def _move_all(self, moves: Iterable[tuple[Pool | None, Pool | None, int]]) -> None:
        for source, target, amount in moves:
            self._live.move(source, target, amount)

    def _forget_orphan(self, order: str, left: int) -> None:
        orphan = self._orphans.get(order)
        if orphan is None:
            return
        pool, _ = orphan
        if left:
            self._orphans[order] = (pool, left)
        else:
            del self._orphans[order]
        self._live.set_aside(pool, self._aside(pool))


def _hold(old: CapitalHold, left: int) -> CapitalHold:
    """Return a hold of which `left` remains."""
    state = HoldState.PARTLY_USED if left else HoldState.CLOSED
    return CapitalHold(old.hold_id, old.order_id, old.pool_id, old.amount, left, state, old.reason)
