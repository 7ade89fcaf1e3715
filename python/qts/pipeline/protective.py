"""Exits that no strategy has to ask for: unfinished ones, and scalp positions before the close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.pipeline.contracts import Wish
from qts.strategy.contracts import EXIT_PHASES, Intent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.pipeline.contracts import Cycle, PositionRow
    from qts.pipeline.interfaces import SessionPort
    from qts.pipeline.orders import OrderBook
    from qts.strategy.contracts import Terms

FLAT_AT_CLOSE: Final = "flat_at_close"
"""Id under which the pipeline closes scalp positions before the close."""


class ProtectiveExits:
    """Turns what must be closed into wishes. They take the usual way through risk and guards."""

    def __init__(self, orders: OrderBook, sessions: SessionPort, *, scalp_flat_at_close: bool) -> None:
        self._orders = orders
        self._sessions = sessions
        self._flat_at_close = scalp_flat_at_close

    def wishes(self, cycle: Cycle, positions: Sequence[PositionRow], terms: Callable[[int], Terms]) -> list[Wish]:
        """Return the exits that are due now, for positions that no order is selling."""
        unfinished = self._orders.unfinished_exits
        if not positions:
            unfinished.clear()
            return []
        held = {(row.instrument, row.track) for row in positions}
        for key in [key for key in unfinished if key not in held]:
            del unfinished[key]
        selling = self._orders.selling()
        wishes = []
        for row in positions:
            key = (row.instrument, row.track)
            if key in selling:
                continue
            phase = self._sessions.phase(row.instrument, cycle.ts_ns)
            if phase not in EXIT_PHASES:
                continue
            exit_ = unfinished.get(key)
            if exit_ is not None:
                strategy_id, reason, attempt = exit_
            elif self._flat_at_close and phase == "CLOSE_GUARD" and row.track == "SCALP":
                strategy_id, reason, attempt = FLAT_AT_CLOSE, "scalp positions end before the close", 0
            else:
                continue
            instrument_terms = terms(row.instrument)
            intent = Intent.exit(instrument_terms.symbol, reason)
            wishes.append(Wish(strategy_id, row.track, None, instrument_terms, phase, intent, None, attempt))
        return wishes
