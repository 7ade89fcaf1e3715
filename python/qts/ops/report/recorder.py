"""What is collected while a run lasts, in constant memory but for a few rows a day."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, NS_PER_S, utc_date
from qts.data import EquityRow
from qts.engines.performance_contracts import EquityDay, Holdings, Income, Split
from qts.ops.report.capital import CapitalRecorder
from qts.ops.report.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from qts.capital.contracts import CapitalAlert, CapitalPoolContract, CapitalTransfer
    from qts.data import RunStore
    from qts.ops.report.contracts import CapitalFigures

_MAX_SERIES: Final = 32
"""Symbols whose prices are kept; which of them are drawn is known when the fills are."""


class RunRecorder:
    """Takes decision lines, equity samples and marks, and keeps what the report needs of them.

    Decision lines go to a temporary file, equity to the store; charts keep a bounded number of points. Of each day it
    keeps the last equity, and what it is told at the close: holdings and pools.

    Args:
        store: where equity is recorded.
        utc_offset_s: seconds east of UTC of the exchange, whose days the figures are by.
    """

    def __init__(self, store: "RunStore", utc_offset_s: int = 0) -> None:
        self._store = store
        self._offset_ns = utc_offset_s * NS_PER_S
        self._days: dict[int, tuple[int, int]] = {}
        self._flows: dict[str, int] = {}
        self._holdings: dict[str, tuple[Holdings, ...]] = {}
        self._capital = CapitalRecorder()
        self.incomes: list[Income] = []
        self.splits: list[Split] = []
        self.peak_exposure = (0, 1)
        """Highest market value over equity so far, as an exact fraction."""
        self._directory = TemporaryDirectory(prefix="qts-run-")
        self.decisions_path = Path(self._directory.name) / "decisions.jsonl"
        self._decisions = self.decisions_path.open("w", encoding="utf-8", newline="\n")
        self.executions_path = Path(self._directory.name) / "executions.jsonl"
        self._executions = self.executions_path.open("w", encoding="utf-8", newline="\n")
        self.equity = Series()
        self.prices: dict[str, Series] = {}
        self.actions: Counter[str] = Counter()
        self.decisions = 0
        self.executions = 0
        self.high_water = 0
        self.max_drawdown = (0, 1)
        """Deepest fall below the highest equity so far, as an exact fraction."""

    def append(self, line: str) -> None:
        """Take in a decision line, before its order is sent."""
        self._decisions.write(line)
        self._decisions.write("\n")
        self.decisions += 1

    def on_execution(self, line: str) -> None:
        """Take in a line about an execution that is over."""
        self._executions.write(line)
        self._executions.write("\n")
        self.executions += 1

    def on_action(self, action: str, reason: str) -> None:
        """Count what became of a wish, and why."""
        self.actions[f"{action}:{reason}"] += 1

    def on_equity(self, ts_ns: int, cash: int, market_value: int) -> None:
        """Take in what the account is worth."""
        self._store.record_equity(EquityRow(ts_ns, cash, market_value))
        equity = cash + market_value
        self.equity.add(ts_ns, equity)
        self._days[(ts_ns + self._offset_ns) // NS_PER_DAY] = (equity, market_value)
        if market_value and equity > 0:
            peak, base = self.peak_exposure
            if market_value * base > peak * equity:
                self.peak_exposure = (market_value, equity)
        if equity >= self.high_water:
            self.high_water = equity
            return
        fall, base = self.max_drawdown
        if (self.high_water - equity) * base > fall * self.high_water:
            self.max_drawdown = (self.high_water - equity, self.high_water)

    def on_holdings(self, day: "date | str", rows: "Iterable[tuple[str, str, int]]") -> None:
        """Take in what is held at the close of a day: (track, symbol, market value). The last call of a day counts."""
        self._holdings[str(day)] = tuple(Holdings(*row) for row in rows)

    def on_flow(self, day: "date | str", amount: int) -> None:
        """Take in external money that came in (out: negative) on a day: it is no result."""
        self._flows[str(day)] = self._flows.get(str(day), 0) + amount

    def on_income(self, day: "date | str", track: str, symbol: str, amount: int) -> None:
        """Take in a dividend, or money in place of a fraction of a share, on its pay date."""
        self.incomes.append(Income(str(day), track, symbol, amount))

    def on_split(self, day: "date | str", track: str, symbol: str, qty_after: int) -> None:
        """Take in that a track's position became one of `qty_after` at the same cost, before the day's session."""
        self.splits.append(Split(str(day), track, symbol, qty_after))

    def on_pools(self, day: "date | str", rows: "Iterable[CapitalPoolContract]") -> None:
        """Take in the pools at the close of a day. The last call of a day counts."""
        self._capital.on_pools(str(day), rows)

    def on_transfer(self, transfer: "CapitalTransfer", code: str = "") -> None:
        """Take in a transfer as it stands now, with the code of what it waits for or was refused by."""
        self._capital.on_transfer(transfer, code)

    def on_capital_alert(self, day: "date | str", alert: "CapitalAlert") -> None:
        """Count a finding of the capital room."""
        self._capital.on_alert(str(day), alert)

    def capital(self) -> "CapitalFigures | None":
        """Return what became of the pools; None if the run had none."""
        return self._capital.figures()

    def days(self) -> list[EquityDay]:
        """Return the account at the end of each day. A flow on a day without equity counts on the next that has one."""
        flows = sorted(self._flows.items())
        rows = []
        for number, (equity, market_value) in sorted(self._days.items()):
            day = utc_date(number * NS_PER_DAY).isoformat()
            flow = 0
            while flows and flows[0][0] <= day:
                flow += flows.pop(0)[1]
            rows.append(EquityDay(day, equity, market_value, flow))
        return rows

    def holdings(self) -> "Mapping[str, tuple[Holdings, ...]] | None":
        """Return what was held at the close of each day; None if nobody ever said."""
        return self._holdings or None

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
        """Write the lines that are pending; the end of the session writes the rows."""
        self._decisions.flush()
        self._executions.flush()

    def close(self) -> None:
        """Give up the temporary files."""
        self._decisions.close()
        self._executions.close()
        self._directory.cleanup()
