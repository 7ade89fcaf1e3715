"""Findings on the books: do they balance, do others agree, has anything changed without a cause (spec 14 §12.1).

One cause raises one code: a difference that reconciliation has found (FS084) is not told again as an unexplained
change (FS083).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.capital.amounts import floor_part
from qts.capital.contracts import POOLS, CapitalAlert
from qts.capital.ledger import BUCKETS, INVESTED
from qts.capital.messages_books import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from decimal import Decimal

    from qts.capital.books import CapitalBooks
    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import Severity
    from qts.capital.interfaces import PoolMoney
    from qts.state.rebalance import Pool


def verified(
    books: CapitalBooks,
    live: Mapping[Pool, PoolMoney],
    kept: Mapping[Pool, int],
    live_unallocated: int,
    broker_cash: int | None,
    quantities: Mapping[str, int] | None,
) -> tuple[CapitalAlert, ...]:
    """Return what is wrong with the books: FS081 for a bucket below zero, FS084 for anything that does not agree.

    Args:
        books: the books.
        live: what the live table says of each pool.
        kept: what it should keep from orders beside its own holds.
        live_unallocated: what it says is unallocated.
        broker_cash: cash at the broker, unsettled cash included; None = not to be compared.
        quantities: quantity at the broker by symbol; None = not to be compared.
    """
    found = [_mismatch(None, "broken", rule="I1-I4", detail=one) for one in books.broken()]
    for pool in POOLS:
        found += _of_pool(books, pool, live[pool], kept[pool])
    if live_unallocated != books.unallocated:
        found.append(_differs(None, books.unallocated, live_unallocated, "UNALLOCATED"))
    if broker_cash is not None:
        tolerance = tolerated(books.equity, books.config)
        if abs(books.cash - broker_cash) > tolerance:
            found.append(_mismatch(None, "cash_differs", books=books.cash, broker=broker_cash, tolerance=tolerance))
    if quantities is not None:
        found += _of_quantities(books, quantities)
    return tuple(found)


def tolerated(equity: int, config: CapitalFlowConfig) -> int:
    """Return the difference that fees and taxes may make while they are estimates, in money units."""
    return max(config.fs083_abs, floor_part(max(0, equity), config.fs083_pct))


def still_there(first: tuple[CapitalAlert, ...], second: tuple[CapitalAlert, ...]) -> tuple[CapitalAlert, ...]:
    """Return the findings of a second reading that the first one had too: only those count (one re-read)."""
    known = {(one.code, one.pool_id, one.values[:1]) for one in first}
    return tuple(one for one in second if (one.code, one.pool_id, one.values[:1]) in known)


class MismatchWatch:
    """How long a mismatch has been open: WARNING at first, FAIL if it is not resolved in time (FS084)."""

    def __init__(self, config: CapitalFlowConfig, deadline: timedelta) -> None:
        self._config = config
        self._deadline = deadline
        self._since: datetime | None = None
        self._attempts = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a mismatch."""
        return self._since is not None

    def seen(self, found: tuple[CapitalAlert, ...], at: datetime) -> tuple[CapitalAlert, ...]:
        """Take in the result of one attempt; return it with the severity that it has by now."""
        if not found:
            self._since, self._attempts = None, 0
            return ()
        self._since = self._since or at
        self._attempts += 1
        is_late = self._attempts >= self._config.fs084_max_attempts or at - self._since >= self._deadline
        severity: Severity = "FAIL" if is_late else "WARNING"
        return tuple(one._replace(severity=severity) if one.code == "FS084" else one for one in found)


class DaySnapshot(NamedTuple):
    """What the next day's close compares with."""

    equity: int
    """Of the account, from outside the books."""
    explained: int
    """The same from the books: net asset values and what is unallocated."""
    prices: Mapping[Pool, Decimal]
    """Unit prices of the funded pools."""


def unexplained(before: DaySnapshot, now: DaySnapshot, config: CapitalFlowConfig) -> tuple[CapitalAlert, ...]:
    """Return FS083 if the account has changed by what the books do not explain."""
    change, told = now.equity - before.equity, now.explained - before.explained
    tolerance = tolerated(now.equity, config)
    if abs(change - told) <= tolerance:
        return ()
    values = (("change", str(change)), ("explained", str(told)), ("tolerance", str(tolerance)))
    text = say("unexplained", change=change, explained=told, tolerance=tolerance)
    return (CapitalAlert("FS083", None, "FAIL", text, values),)


def fallen(before: DaySnapshot, now: DaySnapshot, config: CapitalFlowConfig) -> tuple[CapitalAlert, ...]:
    """Return FS083 for each pool whose unit price has fallen abnormally between two daily snapshots."""
    found = []
    for pool, price in now.prices.items():
        was = before.prices.get(pool)
        if was and (was - price) / was >= config.fs083_pool_drop:
            values = (("before", str(was)), ("after", str(price)))
            text = say("fell", pool=pool, before=was, after=price)
            found.append(CapitalAlert("FS083", pool, "FAIL", text, values))
    return tuple(found)


def abnormal(
    before: DaySnapshot | None, now: DaySnapshot, mismatches: tuple[CapitalAlert, ...], config: CapitalFlowConfig
) -> tuple[CapitalAlert, ...]:
    """Return the FS083 of a day; what a mismatch (FS084) tells already is not told twice."""
    if before is None:
        return ()
    is_told = any(one.code == "FS084" for one in mismatches)
    return (() if is_told else unexplained(before, now, config)) + fallen(before, now, config)


def _of_pool(books: CapitalBooks, pool: Pool, live: PoolMoney, kept: int) -> list[CapitalAlert]:
    buckets = books.buckets(pool)
    found = [
        CapitalAlert(
            "FS081",
            pool,
            "FAIL",
            say("negative", pool=pool, bucket=bucket, amount=amount),
            (("bucket", bucket), ("amount", str(amount))),
        )
        for bucket, amount in zip(BUCKETS, buckets, strict=True)
        if amount < 0
    ]
    cash = books.total(pool) - buckets[INVESTED]
    if live.cash != cash:
        found.append(_differs(pool, cash, live.cash, "cash"))
    if live.set_aside != kept:
        found.append(_differs(pool, kept, live.set_aside, "set aside"))
    return found


def _of_quantities(books: CapitalBooks, quantities: Mapping[str, int]) -> list[CapitalAlert]:
    own: dict[str, int] = {}
    for (_, symbol), held in books.holdings.items():
        own[symbol] = own.get(symbol, 0) + held.qty
    return [
        _mismatch(None, "quantity_differs", symbol=symbol, books=own.get(symbol, 0), broker=quantities.get(symbol, 0))
        for symbol in sorted({*own, *quantities})
        if own.get(symbol, 0) != quantities.get(symbol, 0)
    ]


def _differs(pool: Pool | None, books: int, live: int, what: str) -> CapitalAlert:
    return _mismatch(pool, "live_differs", what=what, pool=pool or "UNALLOCATED", books=books, live=live)


def _mismatch(pool: Pool | None, key: str, /, **values: object) -> CapitalAlert:
    return CapitalAlert(
        "FS084", pool, "WARNING", say(key, **values), tuple((name, str(value)) for name, value in values.items())
    )
