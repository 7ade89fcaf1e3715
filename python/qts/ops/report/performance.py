"""`report.json` under `performance`: what the performance engine says of a run, money as decimal text."""

from __future__ import annotations

import json
from collections import OrderedDict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.engines import PerformanceEngine, PerformanceInput
from qts.money import format_units, to_units
from qts.ops.report.capital import unit_prices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qts.data import FillRow, RunStore
    from qts.engines import PerformanceFigures, ScopeFigures
    from qts.instruments import Catalog
    from qts.ops.report.contracts import CapitalFigures, RunFigures
    from qts.ops.report.recorder import RunRecorder

_MAX_REFERENCES: Final = 50_000
"""Orders whose reference price is kept while fills are read: more than any that work at the same time."""
_NOT_SENT: Final = '{"action":"NONE"'

_MONEY_OF_TRADES: Final = frozenset({"gross_wins", "gross_losses", "best", "worst"})


class References:
    """Finds the price that each fill is measured against in the decision lines of the run.

    Both come in order of time, so one pass over each is enough, in bounded memory.
    """

    def __init__(self, lines: Iterable[str], catalog: Catalog) -> None:
        self._sent = _sent(lines)
        self._next = next(self._sent, None)
        self._catalog = catalog
        self._known: OrderedDict[str, str] = OrderedDict()

    def __call__(self, fill: FillRow) -> int | None:
        """Return the reference price of a fill in units of a price; None if its decision named none."""
        while self._next is not None and self._next["ts_ns"] <= fill.ts_ns:
            if self._next["ref_price"] is not None:
                self._known[self._next["decision_id"]] = self._next["ref_price"]
                if len(self._known) > _MAX_REFERENCES:
                    self._known.popitem(last=False)
            self._next = next(self._sent, None)
        text = self._known.get(fill.decision_id)
        return None if text is None else to_units(Decimal(text), self._catalog[fill.symbol].price_scale)


def _sent(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if not line.startswith(_NOT_SENT):
            yield json.loads(line)


def performance_of(
    run: RunFigures, recorder: RunRecorder, store: RunStore, catalog: Catalog, capital: CapitalFigures | None
) -> PerformanceFigures:
    """Compute the figures of a run from its books.

    Raises:
        CalculationError: the days of the run are not in order.
    """
    with recorder.decisions_path.open(encoding="utf-8") as decisions:
        return PerformanceEngine(run.performance).calculate_performance_metrics(
            PerformanceInput(
                start_equity=run.cash_start,
                days=recorder.days(),
                fills=store.iter_fills(),
                orders=store.iter_orders(),
                holdings=recorder.holdings(),
                unit_prices=None if capital is None else unit_prices(capital),
                incomes=recorder.incomes,
                splits=recorder.splits,
                reference=References(decisions, catalog),
                peak_exposure=recorder.peak_exposure,
            )
        )


def performance_dict(figures: PerformanceFigures, money_scale: int) -> dict[str, Any]:
    """Return the figures as they are written: sums of money as decimal text, statistics as numbers or null."""
    return {
        "account": _scope(figures.account, money_scale),
        "tracks": {track: _scope(scope, money_scale) for track, scope in figures.tracks.items()},
        "strategies": {name: _scope(scope, money_scale) for name, scope in figures.strategies.items()},
        "risk_free_rate": f"{figures.settings.risk_free_rate:f}",
        "trading_days_per_year": figures.settings.trading_days_per_year,
    }


def _scope(scope: ScopeFigures, scale: int) -> dict[str, Any]:
    returns = None
    if scope.returns is not None:
        returns = {**scope.returns._asdict(), "monthly": [month._asdict() for month in scope.returns.monthly]}
    money = scope.money._asdict()
    return {
        "basis": scope.basis,
        "returns": returns,
        "trades": {
            name: format_units(value, scale) if name in _MONEY_OF_TRADES else value
            for name, value in scope.trades._asdict().items()
        },
        "money": {name: value if name == "fills" else format_units(value, scale) for name, value in money.items()},
        "slippage": scope.slippage._asdict(),
        "orders": scope.orders._asdict(),
        "exposure": scope.exposure._asdict(),
        "error": None if scope.error is None else {"code": scope.error.code, "message": scope.error.found},
    }
