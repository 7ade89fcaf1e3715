"""Runs over recorded history as one picture: index, drawdown, VIX, and a coloured band for each run.

The SVG is written line by line: plotly, which draws the reports, exports still pictures only through a browser. Text of
our own needs none, is the same to the byte on every run, and is small.
"""

from __future__ import annotations

import math
from datetime import date
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.clock import midnight_ns
from qts.state.contracts import OperatingState
from qts.state.history import KST_S, close_ns, vix_ns
from qts.state.replay_page import day_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from qts.state.history import History
    from qts.state.replay import Run

_COLOURS: Final = {
    OperatingState.AGGRESSIVE: "#d1495b",
    OperatingState.BALANCED: "#edc95f",
    OperatingState.DEFENSIVE: "#2f6690",
}
"""Hot to cold, and different in brightness too."""
_WIDTH: Final = 1280
_LEFT: Final = 190
_RIGHT: Final = 24
_BANDS_TOP: Final = 634
_BAND: Final = 26
_STYLE: Final = """
text{font:13px 'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#333}
.title{font-size:20px;font-weight:bold}
.head{font-weight:bold}
.small{font-size:11px;fill:#666}
.end{text-anchor:end}
.mid{text-anchor:middle}
.grid{stroke:#e3e3e3}
.tick{stroke:#888}
.limit{stroke:#b3541e;stroke-dasharray:5 4}
.limits{font-size:11px;fill:#b3541e}
.index{fill:none;stroke:#222;stroke-width:1.3}
.loss{fill:#9aa5b1}
.vix{fill:none;stroke:#7a4fa3}
.fall{fill:#f3e3df}
"""


class Point(NamedTuple):
    """A value at a moment, UTC nanoseconds."""

    at_ns: int
    value: float


class _Panel(NamedTuple):
    """A part of the picture with an axis of its own: top and height in pixels, values at its two ends."""

    top: int
    height: int
    low: float
    high: float
    is_log: bool = False

    def y(self, value: float) -> float:
        scale: Callable[[float], float] = math.log if self.is_log else float
        part = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.top + self.height * (1 - part)


def picture(history: History, runs: Sequence[Run]) -> str:
    """Return the picture as SVG."""
    return "\n".join(_Picture(history, runs).lines()) + "\n"


class _Picture:
    def __init__(self, history: History, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._falls = history.falls()
        days = history.shared()
        self._first, self._last = days[0].day, days[-1].day
        self._begin_ns, self._end_ns = runs[0].stays[0].begin_ns, runs[0].stays[-1].end_ns
        self._index = [Point(close_ns(one.day), float(one.close)) for one in days]
        published = [Point(vix_ns(one.day), float(one.close)) for one in history.vix]
        self._vix = [one for one in published if self._begin_ns <= one.at_ns <= self._end_ns]
        # A gap before the runs with an operator keeps the two kinds apart.
        self._tops = [_BANDS_TOP + at * (_BAND + 4) + 10 * run.has_operator for at, run in enumerate(runs)]
        self._bottom = self._tops[-1] + _BAND + 8

    def lines(self) -> Iterator[str]:
        """Yield the lines of the file."""
        height = self._bottom + 44
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
        yield f"<style>{_STYLE}</style>"
        yield f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        yield _text(20, 34, f"Operating states over the index and the VIX, {self._first} to {self._last}", "title")
        yield from self._legend()
        yield from self._marked_falls()
        yield from self._years()
        yield from self._index_panel()
        yield from self._drawdown_panel()
        yield from self._vix_panel()
        yield from self._bands()
        yield "</svg>"

    def _x(self, at_ns: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at_ns - self._begin_ns) / (self._end_ns - self._begin_ns)

    def _legend(self) -> Iterator[str]:
        x = _WIDTH - _RIGHT - 390
        for state, colour in _COLOURS.items():
            yield f'<rect x="{x}" y="22" width="16" height="16" fill="{colour}"/>'
            yield _text(x + 22, 35, state)
            x += 135

    def _marked_falls(self) -> Iterator[str]:
        for fall in self._falls:
            left, right = self._x(close_ns(fall.peak.day)), self._x(close_ns(fall.trough.day))
            yield f'<rect class="fall" x="{left:.1f}" y="76" width="{right - left:.1f}" height="{self._bottom - 76}"/>'
            yield _text((left + right) / 2, 70, f"{fall.trough.day.year}: -{100 * fall.depth:.0f} %", "small mid")

    def _years(self) -> Iterator[str]:
        for year in range(self._first.year + 1, self._last.year + 1):
            x = self._x(midnight_ns(date(year, 1, 1), KST_S))
            is_fifth = year % 5 == 0
            if is_fifth:
                yield f'<line class="grid" x1="{x:.1f}" y1="80" x2="{x:.1f}" y2="{self._bottom}"/>'
            low = self._bottom + (9 if is_fifth else 5)
            yield f'<line class="tick" x1="{x:.1f}" y1="{self._bottom}" x2="{x:.1f}" y2="{low}"/>'
            if is_fifth:
                yield _text(x, self._bottom + 26, str(year), "mid")

    def _axis(self, panel: _Panel, title: str, ticks: Sequence[tuple[float, str]], unit: str) -> Iterator[str]:
        yield _text(20, panel.top + 14, title, "head")
        yield _text(20, panel.top + 32, unit, "small")
        for value, text in ticks:
            y = panel.y(value)
            yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            yield _text(_LEFT - 8, y + 4, text, "small end")

    def _limits(self, panel: _Panel, limits: Sequence[tuple[float, str]], *notes: str) -> Iterator[str]:
        for at, note in enumerate(notes):
            yield _text(20, panel.top + 54 + 16 * at, note, "limits")
        for value, text in limits:
            y = panel.y(value)
            yield f'<line class="limit" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            yield _text(_LEFT - 8, y + 4, text, "limits end")

    def _line(self, points: Iterable[Point], panel: _Panel) -> str:
        return " ".join(f"{self._x(one.at_ns):.1f},{panel.y(one.value):.1f}" for one in points)

    def _index_panel(self) -> Iterator[str]:
        values = [one.value for one in self._index]
        panel = _Panel(86, 230, min(values) * 0.94, max(values) * 1.06, is_log=True)
        ticks = [(value, f"{value:g}") for value in (25, 50, 100, 200, 400, 800) if panel.low < value < panel.high]
        yield from self._axis(panel, "Index", ticks, "close, log scale")
        yield f'<polyline class="index" points="{self._line(thinned(self._index), panel)}"/>'

    def _drawdown_panel(self) -> Iterator[str]:
        points, high = [], 0.0
        for one in self._index:
            high = max(high, one.value)
            points.append(Point(one.at_ns, one.value / high - 1))
        panel = _Panel(336, 130, -0.8, 0)
        yield from self._axis(panel, "Drawdown", [(-0.25, "25 %"), (-0.5, "50 %"), (-0.75, "75 %")], "below the high")
        left, right, top = self._x(points[0].at_ns), self._x(points[-1].at_ns), panel.top
        line = self._line(thinned(points), panel)
        yield f'<polygon class="loss" points="{left:.1f},{top} {line} {right:.1f},{top}"/>'
        yield from self._limits(panel, [(-0.10, "10 %"), (-0.05, "")], "DEFENSIVE above 10 %", "back only below 5 %")

    def _vix_panel(self) -> Iterator[str]:
        panel = _Panel(484, 130, 5, 85)
        yield from self._axis(panel, "VIX", [(50, "50"), (75, "75")], "as published")
        yield f'<polyline class="vix" points="{self._line(thinned(self._vix), panel)}"/>'
        yield from self._limits(panel, [(30, "30"), (20, "20")], "DEFENSIVE above 30", "back only below 20")

    def _bands(self) -> Iterator[str]:
        for run, y in zip(self._runs, self._tops, strict=True):
            yield _text(_LEFT - 8, y + 18, name_of(run), "end")
            for stay in run.stays:
                left, right = self._x(stay.begin_ns), self._x(stay.end_ns)
                about = escape(f"{stay.state} {day_of(stay.begin_ns)} to {day_of(stay.end_ns)}")
                yield (
                    f'<rect x="{left:.2f}" y="{y}" width="{right - left:.2f}" height="{_BAND}"'
                    f' fill="{_COLOURS[stay.state]}"><title>{about}</title></rect>'
                )


def thinned(points: Sequence[Point]) -> Iterator[Point]:
    """Yield the lowest and the highest value of each week, as they came: few points, and no extreme is lost."""
    for _, week in groupby(points, key=lambda one: day_of(one.at_ns).isocalendar()[:2]):
        found = list(week)
        low, high = min(found, key=lambda one: one.value), max(found, key=lambda one: one.value)
        yield from sorted({low, high})


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'
