"""The pipeline's ports over the stepped core: thin, without a rule of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from qts.instruments import adjusted_price, adjusted_qty
from qts.strategy.contracts import Quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts._core import Quote as CoreQuote
    from qts._core import StepEngine
    from qts.broker.contracts import Track
    from qts.instruments import Split

BarRow: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""Instrument, interval_ns, start_ns, open, high, low, close, volume."""

DAY_NS: Final = 86_400_000_000_000


class _Rebased(NamedTuple):
    split: Split
    from_ns: int
    volume: int
    """Traded so far while the last price is from before the split; -1 = it is not."""


class EngineMarket:
    """Quotes and bars of a `_core.StepEngine`.

    The base of the day's price limits is the close of the last daily bar; add a bar series of one day to the
    engine to have one. Until the first such bar the given base prices count, and where there is none no limit
    binds.
    """

    def __init__(self, engine: StepEngine, base_prices: Mapping[int, int] | None = None) -> None:
        self._engine = engine
        self._prev_close = dict(base_prices or {})
        self._splits: dict[int, list[_Rebased]] = {}
        self.on_bars: Callable[[list[BarRow]], object] | None = None
        """Sees closed bars as they are taken."""

    def quote(self, instrument: int) -> Quote:
        """Return the latest prices; 0 where nothing is known."""
        quote = self._engine.quote(instrument)
        if instrument in self._splits:
            return self._compared(instrument, quote)
        return Quote(
            quote.last,
            quote.bid,
            quote.bid_qty,
            quote.ask,
            quote.ask_qty,
            quote.ts_ns,
            self._prev_close.get(instrument, 0),
        )

    def take_closed_bars(self) -> list[BarRow]:
        """Return the bars closed since the last call, and remember the closes of daily ones."""
        bars = self._engine.take_closed_bars()
        if self._splits:
            bars = [self._bar(bar) for bar in bars]
        for bar in bars:
            if bar[1] == DAY_NS:
                self._prev_close[bar[0]] = bar[6]
        if self.on_bars is not None and bars:
            self.on_bars(bars)
        return bars

    def rebase(self, split: Split, from_ns: int) -> None:
        """See what lies before `from_ns`, the first moment of a split's day, as it compares with what comes after it.

        Take the closed bars first: those handed out before are somebody else's.
        """
        instrument = split.instrument
        quote, close = self._engine.quote(instrument), self._prev_close.get(instrument, 0)
        # The first record of the day may be in already: a trade, or a quote beside the last price of the day before.
        is_old = quote.ts_ns < from_ns or quote.last == close
        self._prev_close[instrument] = adjusted_price(close, [split])
        self._splits.setdefault(instrument, []).append(_Rebased(split, from_ns, quote.volume if is_old else -1))

    def _compared(self, instrument: int, quote: CoreQuote) -> Quote:
        splits = self._splits[instrument]
        quoted = [row.split for row in splits if quote.ts_ns < row.from_ns]
        traded = [row.split for row in splits if quote.ts_ns < row.from_ns or quote.volume == row.volume]
        return Quote(
            adjusted_price(quote.last, traded),
            adjusted_price(quote.bid, quoted),
            adjusted_qty(quote.bid_qty, quoted),
            adjusted_price(quote.ask, quoted),
            adjusted_qty(quote.ask_qty, quoted),
            quote.ts_ns,
            self._prev_close.get(instrument, 0),
        )

    def _bar(self, row: BarRow) -> BarRow:
        splits = [one.split for one in self._splits.get(row[0], ()) if row[2] < one.from_ns]
        if not splits:
            return row
        first, high, low, last = (adjusted_price(price, splits) for price in row[3:7])
        return (*row[:3], first, high, low, last, adjusted_qty(row[7], splits))


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
