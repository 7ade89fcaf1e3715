"""Charts of the pools: shares against their targets, and the price of a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.ops.report.messages import say
from qts.ops.report.series import Thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotly.graph_objects import Figure

    from qts.codes import Lang
    from qts.ops.report.contracts import PoolDay

_MAX_DAYS: Final = 1_500
"""Days that are drawn; of more a share, spread over the run, and always the last."""
_COLOURS: Final = {"SCALP": "#1f4e8c", "SWING": "#1e8449", "PORTFOLIO": "#b9770e"}
_OTHER: Final = "#7f8c8d"
_HEIGHT_PX: Final = 620


class PoolLines(NamedTuple):
    """What is drawn of one pool."""

    pool: str
    days: Sequence[str]
    shares_pct: Sequence[float]
    targets_pct: Sequence[float]
    unit_prices: Sequence[float]


def pool_lines(rows: Sequence[PoolDay]) -> list[PoolLines]:
    """Return the lines of each pool, thinned to what a chart can show."""
    days = Thinned[str](_MAX_DAYS)
    last = ""
    for row in rows:
        if row.day != last:
            last = row.day
            days.add(last)
    kept = {*days.kept, last}
    pools: dict[str, list[PoolDay]] = {}
    for row in rows:
        if row.day in kept:
            pools.setdefault(row.pool, []).append(row)
    return [
        PoolLines(
            pool,
            [row.day for row in own],
            [float(row.share) * 100 for row in own],
            [float(row.target) * 100 for row in own],
            [float(row.unit_price) for row in own],
        )
        for pool, own in pools.items()
    ]


def capital_figure(lines: Sequence[PoolLines], lang: Lang) -> Figure:
    """Return the figure: stacked shares with the borders of their targets, below it the unit price of each pool."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    chart = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.1,
        subplot_titles=[say("chart_shares", lang), say("chart_unit_price", lang)],
    )
    border: dict[str, float] = {}
    for line in lines:
        colour = _COLOURS.get(line.pool, _OTHER)
        chart.add_trace(_area(go, line, colour), row=1, col=1)
        border = {day: border.get(day, 0.0) + target for day, target in zip(line.days, line.targets_pct, strict=True)}
        chart.add_trace(_border(go, line, list(border.values()), say("target", lang)), row=1, col=1)
        chart.add_trace(_price(go, line, colour), row=2, col=1)
    chart.update_layout(
        height=_HEIGHT_PX,
        template="plotly_white",
        hovermode="x unified",
        margin={"l": 70, "r": 20, "t": 50, "b": 40},
        legend={"orientation": "h", "y": -0.06},
    )
    chart.update_xaxes(type="date")
    chart.update_yaxes(range=[0, 100], ticksuffix=" %", row=1, col=1)
    return chart


def _area(go: Any, line: PoolLines, colour: str) -> Any:  # noqa: ANN401 - plotly has no types
    return go.Scatter(
        x=list(line.days),
        y=list(line.shares_pct),
        name=line.pool,
        legendgroup=line.pool,
        mode="lines",
        stackgroup="share",
        line={"color": colour, "width": 0.5},
        hovertemplate="%{y:.2f} %",
    )


def _border(go: Any, line: PoolLines, border: Sequence[float], target: str) -> Any:  # noqa: ANN401
    return go.Scatter(
        x=list(line.days),
        y=list(border),
        name=f"{line.pool} {target}",
        legendgroup=line.pool,
        showlegend=False,
        mode="lines",
        line={"color": "#111", "width": 1.2, "dash": "dash", "shape": "hv"},
        customdata=list(line.targets_pct),
        hovertemplate="%{customdata:.2f} %",
    )


def _price(go: Any, line: PoolLines, colour: str) -> Any:  # noqa: ANN401 - plotly has no types
    return go.Scatter(
        x=list(line.days),
        y=list(line.unit_prices),
        name=line.pool,
        legendgroup=line.pool,
        showlegend=False,
        mode="lines",
        line={"color": colour, "width": 1.4},
        hovertemplate="%{y:.6f}",
    )
