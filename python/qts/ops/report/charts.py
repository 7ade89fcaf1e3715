"""Charts of a run: equity, drawdown, and the price of what was traded with its fills."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.ops.report.messages import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from qts.codes import Lang

_BLUE: Final = "#1f4e8c"
_RED: Final = "#c0392b"
_GREEN: Final = "#1e8449"
_GREY: Final = "#7f8c8d"
_ROW_PX: Final = 260


class Line(NamedTuple):
    """A line: times in UTC nanoseconds, values as they are shown."""

    ts_ns: Sequence[int]
    values: Sequence[float]


class Marks(NamedTuple):
    """Fills of one side on a price chart."""

    ts_ns: Sequence[int]
    prices: Sequence[float]
    texts: Sequence[str]


class ChartData(NamedTuple):
    """Everything that is drawn."""

    equity: Line
    drawdown_pct: Line
    prices: Mapping[str, Line]
    buys: Mapping[str, Marks]
    sells: Mapping[str, Marks]
    currency: str


def figure(data: ChartData, lang: "Lang") -> "Figure":
    """Return the figure: equity, drawdown, then one row for each charted symbol."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    symbols = [symbol for symbol in data.prices if symbol in data.buys or symbol in data.sells]
    titles = [
        say("chart_equity", lang, currency=data.currency),
        say("chart_drawdown", lang),
        *(say("chart_price", lang, symbol=symbol) for symbol in symbols),
    ]
    chart = make_subplots(
        rows=len(titles),
        cols=1,
        shared_xaxes=True,
        subplot_titles=titles,
        vertical_spacing=0.28 / len(titles) ** 1.3,
    )
    chart.add_trace(_line(go, data.equity, say("chart_equity_short", lang), _BLUE), row=1, col=1)
    chart.add_trace(_line(go, data.drawdown_pct, say("chart_drawdown", lang), _RED, fill="tozeroy"), row=2, col=1)
    for row, symbol in enumerate(symbols, start=3):
        chart.add_trace(_line(go, data.prices[symbol], symbol, _GREY), row=row, col=1)
        for marks, name, colour, shape in (
            (data.buys.get(symbol), say("buy", lang), _GREEN, "triangle-up"),
            (data.sells.get(symbol), say("sell", lang), _RED, "triangle-down"),
        ):
            if marks is not None:
                chart.add_trace(_marks(go, marks, f"{symbol} {name}", colour, shape), row=row, col=1)
    chart.update_layout(
        height=_ROW_PX * len(titles) + 80,
        template="plotly_white",
        showlegend=False,
        hovermode="closest",
        margin={"l": 70, "r": 20, "t": 50, "b": 40},
    )
    chart.update_xaxes(type="date")
    chart.update_xaxes(title_text="UTC", row=len(titles), col=1)
    return chart


def _times(ts_ns: Sequence[int]) -> Any:  # noqa: ANN401 - an array of numpy dates
    import numpy as np

    return np.array(ts_ns, dtype="datetime64[ns]")


def _line(go: Any, line: Line, name: str, colour: str, **more: object) -> Any:  # noqa: ANN401 - plotly has no types
    return go.Scattergl(
        x=_times(line.ts_ns),
        y=list(line.values),
        name=name,
        mode="lines",
        line={"color": colour, "width": 1.4},
        **more,
    )


def _marks(go: Any, marks: Marks, name: str, colour: str, shape: str) -> Any:  # noqa: ANN401 - plotly has no types
    return go.Scattergl(
        x=_times(marks.ts_ns),
        y=list(marks.prices),
        name=name,
        mode="markers",
        marker={"color": colour, "symbol": shape, "size": 9, "line": {"color": "white", "width": 0.5}},
        text=list(marks.texts),
        hovertemplate="%{text}<extra></extra>",
    )
