"""The pipeline's ports over the stepped core: thin, without a rule of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.strategy.contracts import Quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts._core import StepEngine
    from qts.broker.contracts import Track

DAY_NS: Final = 86_400_000_000_000


class EngineMarket:
    """Quotes and bars of a `_core.StepEngine`.

    The base of the day's price limits is the close of the last daily bar; add a bar series of one day to the
    engine to have one. Until the first such bar the given base prices count, and where there is none no limit
    binds.
    """

    def __init__(self, engine: StepEngine, base_prices: Mapping[int, int] | None = None) -> None:
        self._engine = engine
        self._prev_close = dict(base_prices or {})

    def quote(self, instrument: int) -> Quote:
        """Return the latest prices; 0 where nothing is known."""
        quote = self._engine.quote(instrument)
        return Quote(
            quote.last,
            quote.bid,
            quote.bid_qty,
            quote.ask,
            quote.ask_qty,
            quote.ts_ns,
            self._prev_close.get(instrument, 0),
        )

    def take_closed_bars(self) -> list[tuple[int, int, int, int, int, int, int, int]]:
        """Return the bars closed since the last call, and remember the closes of daily ones."""
        bars = self._engine.take_closed_bars()
        for bar in bars:
            if bar[1] == DAY_NS:
                self._prev_close[bar[0]] = bar[6]
        return bars


class EngineAccount:
    """Cash, holdings and working orders of a `_core.StepEngine`."""

    def __init__(self, engine: StepEngine) -> None:
        self._engine = engine

    def cash(self) -> int:
        """Return cash in money units."""
        return self._engine.cash

    def reserved(self) -> int:
        """Return the cash that working purchases hold."""
        return self._engine.reserved_cash

    def positions(self) -> list[tuple[int, Track, int, int, int]]:
        """Return every holding: (instrument, track, qty, cost_total, opened_ns)."""
        return self._engine.positions()

    def working(self, instrument: int, track: Track) -> tuple[int, int]:
        """Return the unfilled quantities of a track's working buys and sells."""
        return self._engine.working(instrument, track)
