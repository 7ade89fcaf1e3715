"""What must hold before anything else is asked: fail-safe checks, and who is locked by them (spec 14 §9, §12.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.capital.amounts import drawdown
from qts.capital.contracts import POOLS, LockOrder, PoolState
from qts.capital.messages import say
from qts.codes import UsageError
from qts.safety import SafetyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.capital.alerts import Findings
    from qts.capital.contracts import CapitalEngineInput, CapitalPoolContract, Pool, Severity

TRANSFERS_STOP: Final = frozenset({"FS083", "FS084"})
"""While one of them is open, nothing moves between pools."""
_COMPONENTS: Final = (
    "total_capital",
    "available_capital",
    "invested_capital",
    "reserved_capital",
    "held_for_orders",
)


class Locks(NamedTuple):
    """What the checks found."""

    orders: tuple[LockOrder, ...]
    """Pools that are not locked for that reason yet."""
    locked: frozenset[Pool]
    """Pools that are locked, or have to be."""
    is_exhausted: bool
    """There is no capital (FS080): no share can be told."""


def check_shape(pools: Mapping[Pool, CapitalPoolContract]) -> None:
    """Refuse anything but one snapshot of each pool.

    Raises:
        UsageError: a pool is missing, unknown, or stands in the place of another.
    """
    if pools.keys() != set(POOLS):
        raise UsageError(
            found=say("pools_given", pools=", ".join(sorted(map(str, pools))) or "-"),
            expected=say("pools_expected"),
            hint=say("pools_hint"),
        )
    for key in POOLS:
        if pools[key].pool_id != key:
            raise UsageError(
                found=say("pool_crossed", key=key, pool=pools[key].pool_id),
                expected=say("pools_expected"),
                hint=say("pools_hint"),
            )


def negative_components(pool: CapitalPoolContract) -> list[tuple[str, int]]:
    """Return the amounts of a pool that may not be below zero and are (I2)."""
    found = []
    for name in _COMPONENTS:
        amount: int = getattr(pool, name)
        if amount < 0:
            found.append((name, amount))
    return found


def safety_checks(inp: CapitalEngineInput, findings: Findings) -> Locks:
    """Return who is locked; FS081 and FS080 come first, since a broken amount would hide everything else."""
    orders: list[LockOrder] = []

    def lock(pool: Pool, code: str, reason: str) -> None:
        held = inp.pool_states[pool]
        if held.pool_state is not PoolState.LOCKED or code not in (held.lock_code or ""):
            orders.append(LockOrder(pool, code, reason))

    for pool in POOLS:
        for code, reason in _broken_amounts(inp.pool_states[pool], findings):
            lock(pool, code, reason)
    is_exhausted = _is_exhausted(inp)
    if is_exhausted:
        capital = _capital(inp)
        reason = findings.add("FS080", "LOCKDOWN", None, "total_gone", capital=capital, equity=inp.total_equity)
        for pool in POOLS:
            lock(pool, "FS080", reason)
    if inp.safety_state is SafetyState.LOCKDOWN:
        reason = findings.add("FS085", "INFO", None, "lockdown")
        for pool in POOLS:
            lock(pool, "FS085", reason)
    fallen = [pool for pool in POOLS if _has_fallen(inp, pool)]
    held = {pool for pool in POOLS if inp.pool_states[pool].pool_state is PoolState.LOCKED}
    locked = frozenset(held | {order.pool_id for order in orders} | set(fallen))
    severity = _severity(inp, locked)
    for pool in fallen:
        state = inp.pool_states[pool]
        fall = drawdown(state.unit_price, state.peak_unit_price)
        limit = inp.config.lock_mdd
        lock(pool, "FS082", findings.add("FS082", severity, pool, "drawdown", drawdown=fall, limit=limit))
    return Locks(tuple(orders), locked, is_exhausted)


def _capital(inp: CapitalEngineInput) -> int:
    return sum(inp.pool_states[pool].total_capital for pool in POOLS)


def _is_exhausted(inp: CapitalEngineInput) -> bool:
    return _capital(inp) <= 0 or inp.total_equity <= 0


def _broken_amounts(pool: CapitalPoolContract, findings: Findings) -> list[tuple[str, str]]:
    """Return code and reason for each amount that cannot be: below zero or invested beyond the total, else unequal."""
    name = pool.pool_id
    broken = [
        ("FS081", findings.add("FS081", "FAIL", name, "negative", component=component, amount=amount))
        for component, amount in negative_components(pool)
    ]
    if pool.invested_capital > pool.total_capital:
        invested, total = pool.invested_capital, pool.total_capital
        broken.append(("FS081", findings.add("FS081", "FAIL", name, "invested_over", invested=invested, total=total)))
    parts = pool.available_capital + pool.invested_capital + pool.reserved_capital + pool.held_for_orders
    if not broken and parts != pool.total_capital:
        total = pool.total_capital
        broken.append(("FS084", findings.add("FS084", "WARNING", name, "parts_differ", parts=parts, total=total)))
    return broken[:1]


def _has_fallen(inp: CapitalEngineInput, name: Pool) -> bool:
    pool = inp.pool_states[name]
    return pool.is_funded and drawdown(pool.unit_price, pool.peak_unit_price) > inp.config.lock_mdd


def _severity(inp: CapitalEngineInput, locked: frozenset[Pool]) -> Severity:
    """Return FAIL if a second pool is locked or those locked hold half of the capital or more, else WARNING."""
    share = sum(inp.pool_states[pool].total_capital for pool in locked)
    return "FAIL" if len(locked) > 1 or 2 * share >= _capital(inp) else "WARNING"
