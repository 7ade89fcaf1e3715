"""How much may still move between two pools while one evaluation goes on, and whether it may at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from qts.capital.amounts import ceil_part, floor_part
from qts.capital.checks import TRANSFERS_STOP
from qts.capital.contracts import POOLS, PauseCause, PoolState, TransferStatus
from qts.safety import SafetyState
from qts.state import OperatingState

if TYPE_CHECKING:
    from qts.capital.alerts import Findings
    from qts.capital.checks import Locks
    from qts.capital.contracts import CapitalEngineInput, Pool, TransferProposal

STOPPING: Final = (SafetyState.FAIL, SafetyState.LOCKDOWN)
"""Safety states in which nothing is entered or moved, and only locks are looked at."""
Cap = Literal["available", "source", "destination", "day"]


class Caps(NamedTuple):
    """What bounds a transfer, each 0 or more."""

    available: int
    source: int
    """What the source may lose and keep its minimum."""
    destination: int
    """What the destination may gain below its maximum share."""
    day: int
    """What is left of the day's limit."""

    def exceeded_by(self, amount: int) -> list[Cap]:
        """Return the bounds that an amount exceeds."""
        names: tuple[Cap, ...] = ("available", "source", "destination", "day")
        return [name for name, cap in zip(names, self, strict=True) if amount > cap]


class Room:
    """Totals and free capital as they will be once what was proposed so far has moved."""

    def __init__(self, inp: CapitalEngineInput, locks: Locks, findings: Findings) -> None:
        self._inp = inp
        self._locked = locks.locked
        self._new_locks = {order.pool_id: order.code for order in reversed(locks.orders)}
        self._findings = findings
        self._totals = {pool: inp.pool_states[pool].total_capital for pool in POOLS}
        self._free = {pool: max(0, inp.pool_states[pool].available_capital) for pool in POOLS}
        done = [transfer for transfer in inp.transfers_today if transfer.status is TransferStatus.COMMITTED]
        self.whole = sum(self._totals.values())
        self.day_limit = floor_part(max(0, inp.total_equity), inp.config.daily_move_limit_pct)
        self._moved = sum(transfer.proposal.amount for transfer in done)
        self._pairs = {frozenset((one.proposal.from_pool, one.proposal.to_pool)) for one in done}
        open_codes = inp.gates.open_codes | {alert.code for alert in findings.alerts}
        self._open_codes = sorted(open_codes & TRANSFERS_STOP)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing moves because this evaluation found a fault: Safety is told of that."""
        return self._findings.is_fault

    def caps(self, source: Pool, destination: Pool) -> Caps:
        """Return what bounds a transfer from one pool to another."""
        rows, whole = self._inp.config.constraints, self.whole
        own, other = rows[source], rows[destination]
        keep = max(own.min_amount, ceil_part(whole, own.min_pct))
        return Caps(
            available=self._free[source],
            source=max(0, self._totals[source] - keep),
            destination=max(0, floor_part(whole, other.max_pct) - self._totals[destination]),
            day=max(0, self.day_limit - self._moved),
        )

    def take(self, proposal: TransferProposal) -> None:
        """Count a proposal as if it had moved; what it brings is not free for another one."""
        source, destination, amount = proposal.from_pool, proposal.to_pool, proposal.amount
        self._free[source] -= amount
        self._totals[source] -= amount
        self._totals[destination] += amount
        self._moved += amount
        self._pairs.add(frozenset((source, destination)))

    def keep_clear(self, source: Pool, destination: Pool) -> None:
        """Let nothing else move between two pools: a demotion comes first, even one that waits."""
        self._pairs.add(frozenset((source, destination)))

    def obstacle(self, source: Pool, destination: Pool) -> str:
        """Return what forbids any promotion or demotion between two pools now; empty if nothing does."""
        say = self._findings.say
        if reason := self.common_obstacle((source, destination)):
            return reason
        causes = pause_causes(self._inp, source)
        if forbidding := [cause for cause in causes if cause is not PauseCause.DEFENSIVE]:
            return say("because_pool", pool=source, state=PoolState.PAUSED, cause=forbidding[0])
        return say("because_pair") if frozenset((source, destination)) in self._pairs else ""

    def common_obstacle(self, pools: tuple[Pool, ...]) -> str:
        """Return what forbids every kind of move between these pools; empty if nothing does."""
        say = self._findings.say
        if self._inp.safety_state is not SafetyState.NORMAL:
            return say("because_safety", state=self._inp.safety_state)
        for pool in pools:
            if pool in self._locked:
                code = self._inp.pool_states[pool].lock_code or self._new_locks.get(pool, "")
                return say("because_pool", pool=pool, state=PoolState.LOCKED, cause=code)
        return say("because_codes", codes=", ".join(self._open_codes)) if self._open_codes else ""

    def because_state(self) -> str:
        """Return the words for an operating state that does not let profit go up."""
        return self._findings.say("because_state")

    def because_defensive(self) -> str:
        """Return the words for a state that capital does not go down in."""
        return self._findings.say("because_defensive")

    def defer(self, source: Pool, destination: Pool, reason: str) -> None:
        """Tell that a transfer waits (GR056)."""
        self._findings.add("GR056", "INFO", source, "deferred", move=f"{source} > {destination}", reason=reason)

    def defer_rebalance(self, reason: str) -> None:
        """Tell that a rebalance waits (GR056)."""
        self._findings.add("GR056", "INFO", None, "deferred", move=self._findings.say("rebalance"), reason=reason)

    def tell_limits(self, source: Pool, destination: Pool, amount: int, caps: Caps, *, is_promotion: bool) -> None:
        """Tell which bounds an amount exceeds: GR053 (promotions only), GR052, GR054."""
        exceeded = caps.exceeded_by(amount)
        add = self._findings.add
        if "available" in exceeded and is_promotion:
            add("GR053", "INFO", source, "reduced", available=caps.available, amount=amount)
        if "destination" in exceeded:
            limit = self._inp.config.constraints[destination].max_pct
            room = caps.destination
            add("GR052", "WARNING", destination, "would_exceed", room=room, amount=amount, limit=limit)
        if "day" in exceeded:
            add("GR054", "WARNING", source, "day_full", left=caps.day, limit=self.day_limit, amount=amount)


def pause_causes(inp: CapitalEngineInput, pool: Pool) -> tuple[PauseCause, ...]:
    """Return why a pool opens no positions: the causes it carries, and those that hold by what is given now."""
    state = inp.pool_states[pool]
    causes = set(state.pause_causes)
    if state.pool_state is PoolState.PAUSED and not causes:
        causes.add(PauseCause.OPERATOR)  # a pause without a cause is one that only a person can end
    if inp.safety_state in STOPPING:
        causes.add(PauseCause.SAFETY)
    if state.is_funded and state.total_capital < inp.config.constraints[pool].min_amount:
        causes.add(PauseCause.BELOW_MIN)
    if pool == "SCALP" and is_defensive(inp):
        causes.add(PauseCause.DEFENSIVE)
    return tuple(sorted(causes)) if causes else ()


def is_defensive(inp: CapitalEngineInput) -> bool:
    """Whether the account is in DEFENSIVE, by its state or by the limits in force."""
    return inp.gates.is_state_defensive or inp.operating_state is OperatingState.DEFENSIVE
