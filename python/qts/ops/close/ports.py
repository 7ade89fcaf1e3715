"""Dividends and splits booked to the pools: what the step of a close asks for, over the capital books and the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qts.capital.books import SplitPart
from qts.codes import EngineFault
from qts.instruments import Held, after_split, apply_split, cash_in_lieu
from qts.ops.close.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from qts._core import StepEngine
    from qts.instruments import Catalog, DividendPayment, Split
    from qts.state.rebalance import Pool


class PoolBooks(Protocol):
    """What is asked of the capital books. Each call books once for its reference; a second time it returns False."""

    def dividend(self, pool: Pool, symbol: str, amount: int, ref: str, at: datetime) -> bool:
        """Book a net dividend."""
        ...

    def split(self, symbol: str, parts: Sequence[SplitPart], ref: str, at: datetime) -> bool:
        """Book a split of every pool's holding, and pay its fractions."""
        ...


class PoolActions:
    """`ActionsPorts` of an account with pools.

    The books decide whether something was done: what they know already is not done again, also after a restart in which
    the core was built from them.

    Args:
        core: where holdings and cash are.
        books: the capital books over the same core.
        catalog: instruments of the run.
        prev_close: returns the close of the session that is being closed, in price units, by instrument id.
        rebase: told of a split once in this process: base prices and bars of strategies are adjusted by it.
        now: labels the entries.
    """

    def __init__(
        self,
        core: StepEngine,
        books: PoolBooks,
        catalog: Catalog,
        *,
        prev_close: Callable[[int], int],
        rebase: Callable[[Split], object],
        now: Callable[[], datetime],
    ) -> None:
        self._core = core
        self._books = books
        self._catalog = catalog
        self._prev_close = prev_close
        self._rebase = rebase
        self._now = now
        self._rebased: set[str] = set()

    def positions(self) -> list[Held]:
        """Return what every track holds."""
        return [Held(self._catalog.by_id(row[0]).symbol, row[1], row[2]) for row in self._core.positions()]

    def pay(self, payment: DividendPayment) -> None:
        """Book a net dividend to the pool that held; nothing if all of it is withheld."""
        if payment.net:
            self._books.dividend(payment.track, payment.symbol, payment.net, payment.ref, self._now())

    def split(self, split: Split) -> None:
        """Book a split and apply it to the core.

        Raises:
            EngineFault: FS071, orders of the symbol work, and nothing was done; those of the books.
        """
        instrument = self._catalog.by_id(split.instrument)
        held = [(row[1], row[2]) for row in self._core.positions() if row[0] == split.instrument]
        for track, _ in held:
            if any(self._core.working(split.instrument, track)):
                raise EngineFault(
                    "FS071",
                    found=say("split_works", symbol=split.symbol, track=track, day=split.effective_date),
                    expected=say("split_works_expected"),
                    hint=say("split_works_hint"),
                )
        close = self._prev_close(split.instrument)
        parts = []
        for track, qty in held:
            after, rest = after_split(qty, split, instrument)
            parts.append(SplitPart(track, after, cash_in_lieu(rest, split, instrument, close)))
        is_new = bool(parts) and self._books.split(split.symbol, parts, split.effective_date.isoformat(), self._now())
        if is_new:
            apply_split(self._core, split, instrument, close)
        if split.key not in self._rebased:
            self._rebased.add(split.key)
            self._rebase(split)
