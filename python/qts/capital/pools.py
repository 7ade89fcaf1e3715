"""State of the pools: what pauses and locks them, and what everybody is shown of them (spec 14 §4.1, §5, §9)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.capital.amounts import share
from qts.capital.contracts import CONTRACT_VERSION, POOLS, CapitalPoolContract, PauseCause, PoolState
from qts.capital.exceptions import BooksBroken
from qts.capital.ledger import AVAILABLE, HELD, INVESTED, RESERVED, Ledger, moment
from qts.capital.messages_books import say
from qts.capital.units import published
from qts.codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from qts.capital.config import CapitalFlowConfig
    from qts.capital.interfaces import CapitalSink, LiveAccount
    from qts.state.rebalance import Pool

_NONE: Final = Decimal("0.0000")


class PoolStatus:
    """What is known of one pool beside its money."""

    __slots__ = ("causes", "eligible", "lock_at", "lock_code", "lock_reason", "profit_base", "promoted_at", "stops")

    def __init__(self) -> None:
        self.causes: set[PauseCause] = {PauseCause.START}
        self.stops: set[str] = set()
        """What else keeps entries out, without pausing the pool: a shortfall of a rebalance."""
        self.lock_code: str | None = None
        self.lock_reason: str | None = None
        self.lock_at: datetime | None = None
        self.profit_base = 0
        """Realised profit at the last promotion."""
        self.promoted_at: datetime | None = None
        self.eligible = False

    @property
    def state(self) -> PoolState:
        """State of the pool."""
        if self.lock_code is not None:
            return PoolState.LOCKED
        return PoolState.PAUSED if self.causes else PoolState.ACTIVE

    @property
    def is_closed(self) -> bool:
        """Whether entries are refused."""
        return self.state is not PoolState.ACTIVE or bool(self.stops)


class PoolBook(Ledger):
    """Accounts with their states.

    Args:
        live: the live table of available money.
        sink: where every record is kept.
        config: settings of the capital room.
    """

    def __init__(self, live: LiveAccount, sink: CapitalSink, config: CapitalFlowConfig) -> None:
        super().__init__(live, sink)
        self.config = config
        self._status: dict[Pool, PoolStatus] = {pool: PoolStatus() for pool in POOLS}
        self._targets: Mapping[Pool, Decimal] = dict.fromkeys(POOLS, _NONE)
        self._shown: dict[Pool, CapitalPoolContract] = {}
        self._shown_at = -1

    def state(self, pool: Pool) -> PoolState:
        """Return the state of a pool."""
        self._account(pool)
        return self._status[pool].state

    def causes(self, pool: Pool) -> frozenset[PauseCause]:
        """Return what pauses a pool."""
        self._account(pool)
        return frozenset(self._status[pool].causes)

    def stops(self, pool: Pool) -> frozenset[str]:
        """Return what keeps entries of a pool out beside its state."""
        self._account(pool)
        return frozenset(self._status[pool].stops)

    def gives(self, pool: Pool) -> bool:
        """Whether a transfer may leave a pool: active, or paused by DEFENSIVE alone."""
        status = self._status[pool]
        return status.state is not PoolState.LOCKED and status.causes <= {PauseCause.DEFENSIVE}

    def takes(self, pool: Pool) -> bool:
        """Whether a transfer may come to a pool."""
        return self._status[pool].state is not PoolState.LOCKED

    def pause(self, pool: Pool, cause: PauseCause) -> None:
        """Keep entries of a pool out until `resume`; exits go on."""
        self._account(pool)
        if cause not in self._status[pool].causes:
            self._status[pool].causes.add(cause)
            self._changed(pool)

    def resume(self, pool: Pool, cause: PauseCause) -> None:
        """Take a cause of a pause away; a locked pool stays locked."""
        self._account(pool)
        if cause in self._status[pool].causes:
            self._status[pool].causes.discard(cause)
            self._changed(pool)

    def stop(self, pool: Pool, why: str, *, on: bool) -> None:
        """Keep entries of a pool out for a reason that is no pause, or take that away."""
        self._account(pool)
        stops = self._status[pool].stops
        if (why in stops) != on:
            stops.symmetric_difference_update({why})
            self._changed(pool)

    def lock(self, pool: Pool, code: str, reason: str, at: datetime) -> None:
        """Lock a pool at once: no entries, no transfers; exits and accounting go on. A second lock adds its cause."""
        self._account(pool)
        moment(at)
        status, told = self._status[pool], f"{code}: {reason}"
        if status.lock_code is None:
            status.lock_code, status.lock_reason, status.lock_at = code, told, at
        elif told in (status.lock_reason or ""):
            return
        else:
            status.lock_reason = f"{status.lock_reason}; {told}"
        self._changed(pool)
        self.record(at)

    def unlock(self, pool: Pool, operator: str, reason: str, at: datetime) -> None:
        """Take the lock off a pool: it is paused then, until it is reconciled. Its drawdown is measured anew.

        Raises:
            UsageError: no operator, no reason, or no lock.
            BooksBroken: the books do not balance, or a bucket is below zero.
        """
        self._account(pool)
        if not operator.strip() or not reason.strip():
            raise UsageError(
                found=say("unlock_who", operator=operator, reason=reason),
                expected=say("unlock_who_expected"),
                hint=say("unlock_who_hint"),
            )
        status = self._status[pool]
        if status.lock_code is None:
            raise UsageError(
                found=say("not_locked", pool=pool, state=status.state),
                expected=say("not_locked_expected"),
                hint=say("not_locked_hint"),
            )
        wrong = self.broken()
        if wrong:
            raise BooksBroken("FS084", "I1-I4", "; ".join(wrong))
        buckets = self._accounts[pool].buckets
        if min(buckets) < 0:
            raise BooksBroken("FS081", "I2", f"{pool} {buckets}")
        status.lock_code = status.lock_reason = status.lock_at = None
        status.causes.add(PauseCause.START)
        self._changed(pool)
        self.rebase(pool)
        self.record(moment(at))

    def rebase(self, pool: Pool) -> None:
        """Measure the drawdown of a pool from here on."""
        account = self._account(pool)
        account.units.rebase(account.nav)
        self._touch(pool)

    def cash_of(self, pool: Pool) -> int:
        """Return everything of a pool that is not invested."""
        account = self._account(pool)
        return account.total - account.buckets[INVESTED]

    def set_eligible(self, eligible: Mapping[Pool, bool]) -> None:
        """Show which pools meet the criteria of a promotion."""
        for pool, is_eligible in eligible.items():
            if self._status[pool].eligible is not is_eligible:
                self._status[pool].eligible = is_eligible
                self._touch(pool)

    def mark(self, values: Mapping[Pool, int], at: datetime) -> None:
        """Value the positions of the pools, in money; a pool that is left out counts at its cost."""
        moment(at)
        for pool, account in self._accounts.items():
            invested = account.buckets[INVESTED]
            account.unrealized = values.get(pool, invested) - invested
            account.units.mark(account.nav)
            account.revision += 1
        self.revision += 1

    def snapshot(
        self, at: datetime, targets: Mapping[Pool, Decimal] | None = None
    ) -> Mapping[Pool, CapitalPoolContract]:
        """Return the pools as they are; with nothing changed since the last time, that is only the time.

        Args:
            at: instant of the snapshot.
            targets: target shares from now on; None leaves them.
        """
        if targets is not None and targets != self._targets:
            self._targets = dict(targets)
            self.revision += 1
        if self._shown_at != self.revision:
            whole = sum(one.total for one in self._accounts.values())
            self._shown = {pool: self._contract(pool, whole, at) for pool in POOLS}
            self._shown_at = self.revision
        elif self._shown["SCALP"].timestamp != at:
            self._shown = {pool: one._replace(timestamp=at) for pool, one in self._shown.items()}
        return self._shown

    def record(self, at: datetime) -> None:
        """Keep the state of the pools as it is now.

        Raises:
            EngineFault: FS086, it cannot be kept; what has changed has changed.
        """
        self._keep(self._sink.pools, tuple(self.snapshot(at).values()))

    def _contract(self, pool: Pool, whole: int, at: datetime) -> CapitalPoolContract:
        account, status = self._accounts[pool], self._status[pool]
        buckets, units, nav = account.buckets, account.units, account.nav
        return CapitalPoolContract(
            pool_id=pool,
            version=CONTRACT_VERSION,
            timestamp=at,
            total_capital=account.total,
            available_capital=buckets[AVAILABLE],
            invested_capital=buckets[INVESTED],
            reserved_capital=buckets[RESERVED],
            held_for_orders=buckets[HELD],
            realized_pnl=account.realized,
            unrealized_pnl=account.unrealized,
            accumulated_profit=account.realized - status.profit_base,
            nav_gain=units.gain(nav),
            allocation_pct=share(account.total, whole) if whole > 0 else _NONE,
            target_allocation_pct=self._targets[pool],
            last_promotion_time=status.promoted_at,
            promotion_eligible=status.eligible,
            pool_state=status.state,
            pause_causes=tuple(sorted(status.causes)),
            lock_reason=status.lock_reason,
            lock_code=status.lock_code,
            lock_timestamp=status.lock_at,
            units=units.units,
            unit_price=published(units.price(nav)),
            peak_unit_price=published(units.peak),
            is_funded=units.is_funded,
            revision=account.revision,
        )

    def _changed(self, pool: Pool) -> None:
        """Tell the gate of a change of state, and everybody else that there is one."""
        self._touch(pool)
        self._live.block_entries(pool, blocked=self._status[pool].is_closed)

    def _touch(self, pool: Pool) -> None:
        self._accounts[pool].revision += 1
        self.revision += 1
