"""Target shares, the split of new capital, drift, and what each pool may spend (spec 14 §5, §6)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.capital.amounts import ceil_part, distance, exact_sum, floor_part, share
from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import POOLS, PoolLimit
from qts.capital.messages import say
from qts.capital.room import pause_causes
from qts.codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.capital.alerts import Findings
    from qts.capital.checks import Locks
    from qts.capital.config import Shares
    from qts.capital.contracts import CapitalEngineInput, Pool
    from qts.capital.room import Room
    from qts.state import OperatingState

_WHOLE: Final = Decimal(1)
_BPS: Final = 10_000
RELEASE_REST_SESSIONS: Final = 1
"""Sessions after a release from LOCKDOWN in which nothing is rebalanced."""


def target_shares(inp: CapitalEngineInput, findings: Findings) -> dict[Pool, Decimal]:
    """Return the targets of the operating state; their sum is exactly 1 (I7, GR050).

    Targets that are off by little are put right in proportion, others make way for the last good ones. Money is never
    rescaled.
    """
    state = inp.operating_state
    wanted = inp.config.targets[state]
    shares = {pool: wanted[pool] for pool in POOLS}
    total = exact_sum(tuple(shares.values()))
    are_shares = all(0 <= share <= 1 for share in shares.values())
    if are_shares and total == _WHOLE:
        return shares
    if are_shares and abs(total - _WHOLE) * _BPS <= inp.config.target_sum_tolerance_bps:
        findings.add("GR050", "WARNING", None, "targets_put_right", state=state, sum=total)
        return _in_proportion(shares, total)
    findings.add("GR050", "WARNING", None, "targets_kept", state=state, sum=total)
    return _last_good(inp)


def _in_proportion(shares: Mapping[Pool, Decimal], total: Decimal) -> dict[Pool, Decimal]:
    swing, portfolio = share(shares["SWING"], total), share(shares["PORTFOLIO"], total)
    return {"SCALP": _WHOLE - swing - portfolio, "SWING": swing, "PORTFOLIO": portfolio}


def _last_good(inp: CapitalEngineInput) -> dict[Pool, Decimal]:
    """Return the last targets that were good: those given, those of the pools, else the shipped ones."""
    candidates = [inp.last_targets, {pool: inp.pool_states[pool].target_allocation_pct for pool in POOLS}]
    for found in candidates:
        if found is None or found.keys() != set(POOLS):
            continue
        shares = {pool: found[pool] for pool in POOLS}
        if all(0 <= one <= 1 for one in shares.values()) and exact_sum(tuple(shares.values())) == _WHOLE:
            return shares
    shipped = CapitalFlowConfig().targets[inp.operating_state]
    return {pool: shipped[pool] for pool in POOLS}


def split(amount: int, shares: Mapping[Pool, Decimal]) -> dict[Pool, int]:
    """Return an amount split by shares that add up to 1: rounded down, SCALP takes the remainder, nothing is lost.

    Raises:
        UsageError: the amount is negative.
    """
    if amount < 0:
        raise UsageError(found=say("amount_negative", amount=amount), expected=say("amount_negative_expected"))
    swing, portfolio = floor_part(amount, shares["SWING"]), floor_part(amount, shares["PORTFOLIO"])
    return {"SCALP": amount - swing - portfolio, "SWING": swing, "PORTFOLIO": portfolio}


def initial_amounts(config: CapitalFlowConfig, state: OperatingState, amount: int) -> dict[Pool, int]:
    """Return how a new account starts: by the targets of its operating state, or all of it in SCALP."""
    if config.initial_mode == "SCALP_FIRST":
        return split(amount, {"SCALP": _WHOLE, "SWING": Decimal(0), "PORTFOLIO": Decimal(0)})
    return split(amount, config.targets[state])


def is_before_first_funding(inp: CapitalEngineInput) -> bool:
    """Whether the account started with SCALP alone and no other pool has had capital yet (A-01)."""
    others = (inp.pool_states["SWING"], inp.pool_states["PORTFOLIO"])
    return inp.config.initial_mode == "SCALP_FIRST" and not any(pool.is_funded for pool in others)


def check_bands(inp: CapitalEngineInput, room: Room, targets: Shares, findings: Findings) -> bool:
    """Tell of pools outside their outer band (GR051, GR052); return whether a rebalance would help a small one."""
    helps = False
    for name in POOLS:
        pool, band = inp.pool_states[name], inp.config.constraints[name]
        is_small = pool.total_capital < ceil_part(room.whole, band.min_pct)
        if pool.is_funded and is_small:
            findings.add(
                "GR051", "WARNING", name, "below_share", share=share(pool.total_capital, room.whole), limit=band.min_pct
            )
        if pool.is_funded and pool.total_capital < band.min_amount:
            total, limit = pool.total_capital, band.min_amount
            findings.add("GR051", "WARNING", name, "below_amount", total=total, limit=limit)
            is_small = True
        if pool.is_funded and is_small:
            lacks = floor_part(room.whole, targets[name]) - pool.total_capital
            helps = helps or lacks >= max(1, inp.config.rebalance_min_amount)
        is_exempt = name == "SCALP" and is_before_first_funding(inp)
        if pool.total_capital > floor_part(room.whole, band.max_pct) and not is_exempt:
            findings.add(
                "GR052", "WARNING", name, "above_share", share=share(pool.total_capital, room.whole), limit=band.max_pct
            )
    return helps


def has_drifted(inp: CapitalEngineInput, room: Room, targets: Shares, findings: Findings) -> bool:
    """Tell of every pool further from its target than the threshold (GR055); return whether there is one."""
    threshold, any_drift = inp.config.drift_threshold, False
    for name in POOLS:
        gap = distance(inp.pool_states[name].total_capital, room.whole, targets[name])
        if gap > threshold:
            any_drift = True
            findings.add("GR055", "WARNING", name, "drift", drift=share_up(gap), target=targets[name])
    return any_drift


def share_up(gap: Decimal) -> Decimal:
    """Return a distance with four places, rounded up: one above a threshold never reads as if it had met it."""
    return -share(-gap, _WHOLE)


def rebalancing_required(inp: CapitalEngineInput, room: Room, *, is_wanted: bool) -> bool:
    """Return whether capital should move towards the targets now; tell if it has to wait (GR056)."""
    gates = inp.gates
    if not is_wanted or not gates.rebalancing_enabled or is_before_first_funding(inp) or room.is_stopped:
        return False
    reason = room.common_obstacle(POOLS)
    if reason:
        room.defer_rebalance(reason)
        return False
    since = gates.sessions_since_release
    return since is None or since >= RELEASE_REST_SESSIONS


def pool_limits(inp: CapitalEngineInput, locks: Locks) -> dict[Pool, PoolLimit]:
    """Return what each pool may spend, and what forbids its entries."""
    codes = {pool: inp.pool_states[pool].lock_code or "LOCKED" for pool in locks.locked}
    codes |= {order.pool_id: order.code for order in reversed(locks.orders)}
    limits: dict[Pool, PoolLimit] = {}
    for pool in POOLS:
        causes = pause_causes(inp, pool)
        reason = codes.get(pool) or (causes[0] if causes else "")
        available = max(0, inp.pool_states[pool].available_capital)
        limits[pool] = PoolLimit(available, not reason, str(reason))
    return limits
