"""Closed bars per symbol and interval, and which strategies have not seen the newest one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qts.instruments import adjusted_price, adjusted_qty
from qts.pipeline.daily import DailyBook
from qts.pipeline.ports import DAY_NS
from qts.strategy.contracts import Bar, Bars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qts.engines.strategy import StrategySlot
    from qts.instruments import Split


class BarBook:
    """Keeps the bars that somebody asked for; the others pass by.

    A strategy stays due until it is taken: a bar that closes with the market is seen at the next open.
    """

    def __init__(self, slots: Sequence[StrategySlot], max_bars: int) -> None:
        self._bars: dict[tuple[int, int], deque[Bar]] = {}
        self._views: dict[tuple[int, int], Bars] = {}
        self._subscribers: dict[tuple[int, int], list[StrategySlot]] = {}
        self._due: dict[tuple[int, int], StrategySlot] = {}
        self.daily = DailyBook()
        """What the daily bars say; those of every instrument are looked at."""
        for slot in slots:
            if slot.bar_interval_ns is None:
                continue
            for instrument in slot.instruments:
                self._subscribers.setdefault((instrument, slot.bar_interval_ns), []).append(slot)
        for key, subscribers in self._subscribers.items():
            rows: deque[Bar] = deque(maxlen=max(max_bars, *(slot.lookback for slot in subscribers)))
            self._bars[key] = rows
            self._views[key] = Bars(rows)

    def add(self, rows: Iterable[tuple[int, int, int, int, int, int, int, int]]) -> None:
        """Take in closed bars and mark who has to look at them."""
        for row in rows:
            key = (row[0], row[1])
            if row[1] == DAY_NS:
                self.daily.add(row[0], row[6], row[7])
            bars = self._bars.get(key)
            if bars is None:
                continue
            bars.append(Bar(*row))
            for slot in self._subscribers[key]:
                if len(bars) >= slot.lookback:
                    self._due[slot.number, row[0]] = slot

    def rebase(self, split: Split) -> None:
        """Adjust the bars of an instrument that are kept, all of them from before a split that takes effect now."""
        for (instrument, _), rows in self._bars.items():
            if instrument == split.instrument:
                adjusted = [
                    bar._replace(
                        open=adjusted_price(bar.open, [split]),
                        high=adjusted_price(bar.high, [split]),
                        low=adjusted_price(bar.low, [split]),
                        close=adjusted_price(bar.close, [split]),
                        volume=adjusted_qty(bar.volume, [split]),
                    )
                    for bar in rows
                ]
                rows.clear()
                rows.extend(adjusted)
        self.daily.rebase(split)

    @property
    def has_due(self) -> bool:
        """Whether any strategy has a bar to look at."""
        return bool(self._due)

    def due(self) -> list[tuple[StrategySlot, int]]:
        """Return who is due for which instrument, in the order of strategies and instruments."""
        return [(self._due[key], key[1]) for key in sorted(self._due)]

    def forget_due(self) -> None:
        """Let nobody look at what has closed so far; the bars stay."""
        self._due.clear()

    def take(self, slot: StrategySlot, instrument: int) -> Bars:
        """Return the bars of a due strategy; it is due again after the next one."""
        del self._due[slot.number, instrument]
        return self._views[instrument, slot.bar_interval_ns or 0]
