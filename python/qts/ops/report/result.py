"""A finished run: its figures, its rows, its charts, and the way to keep them."""

import weakref
from collections import Counter
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from qts.codes import aligned, language
from qts.money import from_units
from qts.ops.report.capital import capital_frames
from qts.ops.report.charts import ChartData, Line, Marks, figure
from qts.ops.report.charts_capital import capital_figure, pool_lines
from qts.ops.report.figures import report_dict
from qts.ops.report.html import fault_rows, key_figures
from qts.ops.report.performance import performance_of
from qts.ops.report.series import Thinned
from qts.ops.report.verify import Identity
from qts.ops.report.write import PoolsPart, write_report

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from qts.codes import Lang
    from qts.data import FillRow, RunStore
    from qts.engines import PerformanceFigures
    from qts.instruments import Catalog
    from qts.ops.report.capital import CapitalFrames
    from qts.ops.report.contracts import RunFigures
    from qts.ops.report.recorder import RunRecorder

_MAX_MARKS: Final = 2_000
"""Fills of one side that a price chart shows; of more it shows a share, spread over the run."""
_MAX_CHARTED: Final = 6
"""Symbols whose prices are drawn: those with the most fills."""

# Named so that a run without a fill or an order has its columns too.
_FILL_FRAME: Final = (
    "time", "symbol", "track", "side", "qty", "price", "fee", "tax", "order_id", "decision_id", "reason",
)  # fmt: skip
_ORDER_FRAME: Final = (
    "time", "symbol", "track", "side", "qty", "limit_price", "state", "filled_qty", "end_reason", "strategy",
    "order_id", "decision_id", "client_order_id",
)  # fmt: skip


def _close_both(recorder: "RunRecorder", store: "RunStore") -> None:
    recorder.close()
    store.close()


class BacktestResult:
    """What a run left behind. Rows are read from its store when they are asked for.

    Use it as a context manager, or call `close`, to give up the temporary files early.
    """

    def __init__(self, run: "RunFigures", recorder: "RunRecorder", store: "RunStore", catalog: "Catalog") -> None:
        self._run = run
        self._recorder = recorder
        self._store = store
        self._catalog = catalog
        self._release = weakref.finalize(self, _close_both, recorder, store)
        self._pools = recorder.capital()
        figures = performance_of(run, recorder, store, catalog, self._pools)
        self.figures: PerformanceFigures = figures
        """Performance of the account, each track and each strategy, exact."""
        self.report: dict[str, Any] = report_dict(run, recorder, catalog, figures, self._pools)
        """The content of `report.json`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the temporary files; rows can no longer be read."""
        self._release()

    def summary(self, lang: "Lang | None" = None) -> str:
        """Return the key figures as text, with open positions and faults if there are any."""
        lang = lang or language()
        rows = key_figures(self.report, lang)
        rows += [
            (f"{row['symbol']} {row['track']}", f"{row['qty']} @ {row['avg_price']}")
            for row in self.report["positions"]
        ]
        rows += fault_rows(self.report, lang)
        return "\n".join(aligned(rows))

    def __repr__(self) -> str:
        equity = self.report["account"]["equity_end"]
        return f"<BacktestResult {self._run.strategy}: {self.report['fills']} fills, equity {equity}>"

    def _repr_html_(self) -> str:
        """Return the key figures as a table, for notebooks."""
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
            for name, value in key_figures(self.report, language())
        )
        return f"<table>{rows}</table>"

    @property
    def fills(self) -> "pd.DataFrame":
        """Fills as a frame; prices, quantities, fees and taxes as Decimal, `time` in UTC."""
        import pandas as pd

        rows = [
            {
                "time": pd.Timestamp(fill.ts_exec_ns, tz="UTC"),
                "symbol": fill.symbol,
                "track": fill.track,
                "side": fill.side,
                "qty": self._catalog[fill.symbol].qty(fill.qty),
                "price": self._catalog[fill.symbol].price(fill.price),
                "fee": self._catalog[fill.symbol].money(fill.fee),
                "tax": self._catalog[fill.symbol].money(fill.tax),
                "order_id": fill.order_id,
                "decision_id": fill.decision_id,
                "reason": fill.reason,
            }
            for fill in self._store.iter_fills()
        ]
        return pd.DataFrame(rows, columns=list(_FILL_FRAME))

    @property
    def orders(self) -> "pd.DataFrame":
        """Orders as a frame."""
        import pandas as pd

        rows = [
            {
                "time": pd.Timestamp(order.ts_ns, tz="UTC"),
                "symbol": order.symbol,
                "track": order.track,
                "side": order.side,
                "qty": self._catalog[order.symbol].qty(order.qty),
                "limit_price": self._catalog[order.symbol].price(order.limit_price),
                "state": order.state,
                "filled_qty": self._catalog[order.symbol].qty(order.filled_qty),
                "end_reason": order.end_reason,
                "strategy": order.strategy,
                "order_id": order.order_id,
                "decision_id": order.decision_id,
                "client_order_id": order.client_order_id,
            }
            for order in self._store.iter_orders()
        ]
        return pd.DataFrame(rows, columns=list(_ORDER_FRAME))

    @property
    def equity(self) -> "pd.DataFrame":
        """Equity samples as a frame indexed by UTC time; money as Decimal."""
        import pandas as pd

        scale = self._money_scale
        samples = list(self._store.iter_equity())
        return pd.DataFrame(
            {
                "cash": [Decimal(row.cash).scaleb(-scale) for row in samples],
                "market_value": [Decimal(row.market_value).scaleb(-scale) for row in samples],
                "equity": [Decimal(row.equity).scaleb(-scale) for row in samples],
            },
            index=pd.DatetimeIndex([row.ts_ns for row in samples], tz="UTC", name="time"),
        )

    @property
    def performance(self) -> dict[str, Any]:
        """Figures of the account, each track and each strategy as they are in `report.json`."""
        performance: dict[str, Any] = self.report["performance"]
        return performance

    @property
    def capital(self) -> "CapitalFrames | None":
        """Pools by day, transfers and findings as frames; None if the run has no pools."""
        return None if self._pools is None else capital_frames(self._pools, self._money_scale)

    def identity(self) -> Identity:
        """Recompute the cash at the end from fills and income; `holds` says whether it is exactly the account's."""
        account = self.report["account"]
        cash = Decimal(account["cash_start"])
        for fill in self._store.iter_fills():
            terms = self._catalog[fill.symbol]
            amount = terms.qty(fill.qty) * terms.price(fill.price)
            cash += (-amount if fill.side == "BUY" else amount) - terms.money(fill.fee) - terms.money(fill.tax)
        income = sum(row.amount for row in self._recorder.incomes)
        cash += from_units(income, self._money_scale)
        return Identity(Decimal(account["cash_end"]), cash)

    def plot(self, lang: "Lang | None" = None) -> "Figure":
        """Return an interactive chart: equity, drawdown, and each traded symbol with its fills."""
        return figure(self._chart_data(), lang or language())

    def plot_capital(self, lang: "Lang | None" = None) -> "Figure | None":
        """Return an interactive chart of the pools: shares against targets, unit prices; None without pools."""
        return None if self._pools is None else capital_figure(pool_lines(self._pools.daily), lang or language())

    def write(self, out: Path | str) -> Path:
        """Write the report to the directory `out` and return it. It appears whole or not at all.

        Raises:
            UsageError: `out` cannot be written to, or holds something that is not a report; nothing was changed.
        """
        chart = self.plot_capital()
        return write_report(
            Path(out),
            report=self.report,
            decisions=self._recorder.decisions_path,
            executions=self._recorder.executions_path if self._recorder.executions else None,
            store=self._store,
            catalog=self._catalog,
            money_scale=self._money_scale,
            chart=self.plot(),
            pools=None if self._pools is None or chart is None else PoolsPart(self._pools, chart),
            incomes=self._recorder.incomes,
            lang=language(),
        )

    @property
    def _money_scale(self) -> int:
        return self._catalog.currency(self._run.currency).scale

    def _chart_data(self) -> ChartData:
        points = self._recorder.equity.points()
        unit = 10**self._money_scale
        peak = 0
        falls = []
        for point in points:
            peak = max(peak, point.value)
            falls.append(-100 * (peak - point.value) / peak if peak else 0.0)
        times = [point.ts_ns for point in points]
        marks = self._marks()
        prices = {}
        for symbol in self._most_traded():
            price_unit = 10 ** self._catalog[symbol].price_scale
            kept = self._recorder.prices[symbol].points()
            prices[symbol] = Line([point.ts_ns for point in kept], [point.value / price_unit for point in kept])
        return ChartData(
            Line(times, [point.value / unit for point in points]),
            Line(times, falls),
            prices,
            marks["BUY"],
            marks["SELL"],
            self._run.currency,
        )

    def _most_traded(self) -> list[str]:
        """Return the symbols with the most fills, those first that have more, of those whose price is known."""
        counts = Counter(fill.symbol for fill in self._store.iter_fills() if fill.symbol in self._recorder.prices)
        return [symbol for symbol, _ in counts.most_common(_MAX_CHARTED)]

    def _marks(self) -> dict[str, dict[str, Marks]]:
        """Return the fills to be drawn, by side and symbol."""
        thinned: dict[tuple[str, str], Thinned[FillRow]] = {}
        for fill in self._store.iter_fills():
            if fill.symbol in self._recorder.prices:
                thinned.setdefault((fill.side, fill.symbol), Thinned(_MAX_MARKS)).add(fill)
        marks: dict[str, dict[str, Marks]] = {"BUY": {}, "SELL": {}}
        for (side, symbol), rows in thinned.items():
            terms = self._catalog[symbol]
            marks[side][symbol] = Marks(
                [row.ts_exec_ns for row in rows.kept],
                [float(terms.price(row.price)) for row in rows.kept],
                [f"{side} {terms.qty(row.qty):f} @ {terms.price(row.price):f}<br>{row.reason}" for row in rows.kept],
            )
        return marks
