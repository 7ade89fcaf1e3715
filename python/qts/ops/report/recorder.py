"""What is collected while a run lasts, in constant memory."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from qts.data import EquityRow
from qts.ops.report.series import Series

if TYPE_CHECKING:
    from qts.data import RunStore

_MAX_SERIES: Final = 32
"""Symbols whose prices are kept; which of them are drawn is known when the fills are."""


class RunRecorder:
    """Takes decision lines, equity samples and marks, and keeps what the report needs of them.

    Decision lines go to a temporary file, equity to the store; charts keep a bounded number of points.
    """

    def __init__(self, store: "RunStore") -> None:
        self._store = store
        self._directory = TemporaryDirectory(prefix="qts-run-")
        self.decisions_path = Path(self._directory.name) / "decisions.jsonl"
        self._decisions = self.decisions_path.open("w", encoding="utf-8", newline="\n")
        self.equity = Series()
        self.prices: dict[str, Series] = {}
        self.actions: Counter[str] = Counter()
        self.decisions = 0
        self.high_water = 0
        self.max_drawdown = (0, 1)
        """Deepest fall below the highest equity so far, as an exact fraction."""

    def append(self, line: str) -> None:
        """Take in a decision line, before its order is sent."""
        self._decisions.write(line)
        self._decisions.write("\n")
        self.decisions += 1

    def on_action(self, action: str, reason: str) -> None:
        """Count what became of a wish, and why."""
        self.actions[f"{action}:{reason}"] += 1

    def on_equity(self, ts_ns: int, cash: int, market_value: int) -> None:
        """Take in what the account is worth."""
        self._store.record_equity(EquityRow(ts_ns, cash, market_value))
        equity = cash + market_value
        self.equity.add(ts_ns, equity)
        if equity >= self.high_water:
            self.high_water = equity
            return
        fall, base = self.max_drawdown
        if (self.high_water - equity) * base > fall * self.high_water:
            self.max_drawdown = (self.high_water - equity, self.high_water)

    def charts(self, symbol: str) -> bool:
        """Whether the price of a symbol is kept: of the first few that have one."""
        return symbol in self.prices or len(self.prices) < _MAX_SERIES

    def on_price(self, symbol: str, ts_ns: int, price: int) -> None:
        """Take in the price of a symbol."""
        series = self.prices.get(symbol)
        if series is None:
            series = self.prices[symbol] = Series()
        series.add(ts_ns, price)

    def finish(self) -> None:
        """Write the decision lines that are pending; the end of the session writes the rows."""
        self._decisions.flush()

    def close(self) -> None:
        """Give up the temporary files."""
        self._decisions.close()
        self._directory.cleanup()
