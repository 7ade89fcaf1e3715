"""The performance engine: every figure of a run, for the account, each track and each strategy (spec 02 §5.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.engines.performance_contracts import (
    CalculationError,
    ExposureFigures,
    OrderFigures,
    PerformanceFigures,
    PerformanceSettings,
    ReturnFigures,
    ScopeFigures,
)
from qts.engines.performance_messages import say
from qts.engines.performance_metrics import (
    calculate_max_drawdown,
    calculate_sharpe_ratio,
    calculate_volatility,
    daily_returns,
    equity_index,
    monthly_returns,
    return_figures,
    rounded,
)
from qts.engines.performance_trades import UNASSIGNED, Sums, TradeBook, TradeStats
from qts.state.rebalance import POOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from qts.data import FillRow, OrderRow
    from qts.engines.performance_contracts import (
        Basis,
        EquityDay,
        Holdings,
        MonthFigure,
        PerformanceInput,
    )
    from qts.engines.performance_trades import Owner


_NS_PER_MS: Final = 1_000_000

ACCOUNT: Final[Owner] = ("", "")
"""The scope of everything. A track is (track, ""), a strategy ("", strategy)."""


class DayFigure(NamedTuple):
    """A day of a return series."""

    day: str
    daily_return: float
    growth: float
    """Of 1 since the beginning."""
    drawdown: float


class PerformanceEngine:
    """Computes figures from fills, orders and an equity series. Pure: equal input, equal output.

    The figures of the session that is running (`update_performance_kpi` of spec 02 §5.1) are `PerformanceTracker`'s.
    """

    def __init__(self, settings: PerformanceSettings | None = None) -> None:
        self._settings = settings or PerformanceSettings()

    def calculate_performance_metrics(self, data: PerformanceInput) -> PerformanceFigures:
        """Return the figures of a run.

        What cannot be computed for a scope is None there, with the FE040 that says why in `error`.

        Raises:
            CalculationError: the days are not in order.
        """
        _check_days(data.days)
        walk = _Walk(data)
        walk.run()
        orders = _count_orders(data.orders)
        scopes = _Scopes(data, self._settings, walk, orders)
        known = {*walk.book.sums, *orders}
        named = {*(track for track, _ in known), *(data.unit_prices or ())} - {""}
        tracks = [*(track for track in POOLS if track in named), *sorted(named.difference(POOLS))]
        strategies = sorted({name for _, name in known} - {""})
        return PerformanceFigures(
            account=scopes.figures(ACCOUNT),
            tracks={track: scopes.figures((track, "")) for track in tracks},
            strategies={name: scopes.figures(("", name)) for name in strategies},
            settings=self._settings,
        )

    def get_daily_performance(self, start_equity: int, days: Sequence[EquityDay]) -> list[DayFigure]:
        """Return return, index and drawdown of each day.

        Raises:
            CalculationError: see `daily_returns`.
        """
        _check_days(days)
        returns = daily_returns(start_equity, days)
        figures = []
        peak = 1.0
        for row, r, index in zip(days, returns, equity_index(returns), strict=True):
            peak = max(peak, index)
            figures.append(DayFigure(row.day, _round(r), _round(index), _round((peak - index) / peak)))
        return figures

    def get_monthly_performance(self, start_equity: int, days: Sequence[EquityDay]) -> tuple[MonthFigure, ...]:
        """Return the return of each month and its change.

        Raises:
            CalculationError: see `daily_returns`.
        """
        _check_days(days)
        return monthly_returns([row.day for row in days], daily_returns(start_equity, days))

    def calculate_sharpe_ratio(self, returns: Sequence[float]) -> float | None:
        """Return the Sharpe ratio of daily returns with the engine's parameters."""
        rate = float(self._settings.risk_free_rate)
        return rounded(calculate_sharpe_ratio(returns, rate, self._settings.trading_days_per_year))

    def calculate_volatility(self, returns: Sequence[float]) -> float | None:
        """Return the volatility a year of daily returns."""
        return rounded(calculate_volatility(returns, self._settings.trading_days_per_year))

    def calculate_max_drawdown(self, returns: Sequence[float]) -> float:
        """Return the deepest drawdown of daily returns.

        Raises:
            CalculationError: see `equity_index`.
        """
        return _round(calculate_max_drawdown(equity_index(returns)))


class _Walk:
    """One pass over the run, day by day: trades booked, results by owner marked at the end of each day."""

    def __init__(self, data: PerformanceInput) -> None:
        self._data = data
        self._incomes = sorted(data.incomes)
        self._splits = sorted(data.splits)
        self._held: Sequence[Holdings] = ()
        self.book = TradeBook()
        self.results: dict[Owner, list[int]] = {}
        """By owner, result since the beginning at the end of each day, marked; shorter if it began later."""
        self.invested: dict[Owner, list[int]] = {}
        """By scope, market value at the end of each day; shorter if there was none towards the end."""
        self.errors: dict[Owner, CalculationError] = {}
        """By scope, the first error of its trades."""

    def run(self) -> None:
        """Read the fills and close each day."""
        fills = iter(self._data.fills)
        pending = next(fills, None)
        for number, row in enumerate(self._data.days):
            self._adjust(row.day)
            while pending is not None and pending.trade_date <= row.day:
                self._fill(pending)
                pending = next(fills, None)
            if self._data.holdings is not None:
                self._close(number, self._data.holdings.get(row.day))
        self._adjust(None)
        while pending is not None:
            self._fill(pending)
            pending = next(fills, None)

    def _adjust(self, day: str | None) -> None:
        while self._splits and (day is None or self._splits[0].day <= day):
            self.book.split(self._splits.pop(0))
        while self._incomes and (day is None or self._incomes[0].day <= day):
            self.book.income(self._incomes.pop(0))

    def _fill(self, fill: FillRow) -> None:
        reference = self._data.reference
        try:
            self.book.fill(fill, None if reference is None else reference(fill))
        except CalculationError as error:
            for scope in _scopes_of((fill.track, fill.strategy)):
                self.errors.setdefault(scope, error)

    def _close(self, number: int, held: Sequence[Holdings] | None) -> None:
        if held is not None:  # a day of which nothing is known is taken to hold what the day before held
            self._held = held
        values: dict[Owner, int] = {}
        owner_of = self.book.owner_of
        for track, symbol, market_value in self._held:
            owner = owner_of(track, symbol)
            values[owner] = values.get(owner, 0) + market_value
        for owner in {*self.book.sums, *values, *self.results}:
            sums = self.book.sums.get(owner)
            value = values.get(owner, 0)
            series = self.results.get(owner)
            if series is None:
                series = self.results[owner] = [0] * number
            series.append(value if sums is None else sums.cash + value)
            for scope in _scopes_of(owner) if value else ():
                amounts = self.invested.setdefault(scope, [])
                if len(amounts) <= number:
                    amounts.extend([0] * (number + 1 - len(amounts)))
                amounts[number] += value


class _Scopes:
    """Puts the figures of one scope together."""

    def __init__(
        self, data: PerformanceInput, settings: PerformanceSettings, walk: _Walk, orders: dict[Owner, _OrderCount]
    ) -> None:
        self._data = data
        self._settings = settings
        self._walk = walk
        self._orders = orders
        self._days = [row.day for row in data.days]
        self._equities = [row.equity for row in data.days]

    def figures(self, scope: Owner) -> ScopeFigures:
        """Return the figures of a scope."""
        sums = self._walk.book.totals(scope)
        basis, returns, error = self._returns(scope)
        return ScopeFigures(
            basis=basis,
            returns=returns,
            trades=self._walk.book.stats.get(scope, TradeStats()).figures(),
            money=sums.money(),
            slippage=sums.slippage(),
            orders=self._orders.get(scope, _OrderCount()).figures(),
            exposure=self._exposure(scope, sums),
            error=error or self._walk.errors.get(scope),
        )

    def _returns(self, scope: Owner) -> tuple[Basis, ReturnFigures | None, CalculationError | None]:
        prices = (self._data.unit_prices or {}).get(scope[0])
        basis: Basis
        series: Callable[[], tuple[Sequence[str], list[float]]]
        if scope == ACCOUNT:
            basis, series = "EQUITY", lambda: (self._days, daily_returns(self._data.start_equity, self._data.days))
        elif prices is not None:
            basis, series = "UNIT_PRICE", lambda: _price_returns(prices)
        elif self._data.holdings is not None:
            basis, series = "CONTRIBUTION", lambda: (self._days, self._contributions(scope))
        else:
            return "NONE", None, None
        try:
            days, returns = series()
            return basis, return_figures(days, returns, self._settings), None
        except CalculationError as error:
            return basis, None, error

    def _contributions(self, scope: Owner) -> list[float]:
        """Return the scope's marked result of each day over the account's equity at its start."""
        daily_returns(self._data.start_equity, self._data.days)  # refuses what nothing can be divided by
        owned = [series for owner, series in self._walk.results.items() if scope in _scopes_of(owner)]
        totals = [sum(column) for column in zip(*owned, strict=True)] if owned else [0] * len(self._days)
        before, equity = 0, self._data.start_equity
        returns = []
        for row, total in zip(self._data.days, totals, strict=True):
            returns.append((total - before) / (equity + row.flow))
            before, equity = total, row.equity
        return returns

    def _exposure(self, scope: Owner, sums: Sums) -> ExposureFigures:
        values: Iterable[int] = ()
        if scope == ACCOUNT:
            values = [row.market_value for row in self._data.days]
        elif self._data.holdings is not None:
            values = chain(self._walk.invested.get(scope, ()), repeat(0))
        shares = [value / equity for value, equity in zip(values, self._equities, strict=False) if equity > 0]
        highest = max(shares, default=None)
        peak = self._data.peak_exposure
        if scope == ACCOUNT and peak is not None and peak[1] > 0:
            highest = max(highest or 0.0, peak[0] / peak[1])
        mean = math.fsum(shares) / len(shares) if shares else None
        return ExposureFigures(rounded(mean), rounded(highest), self._turnover(sums))

    def _turnover(self, sums: Sums) -> float | None:
        """Return half of purchases and sales over the account's mean equity, a year."""
        total = sum(self._equities)
        if total <= 0:
            return None
        # mean equity is total / days, years are days / N: the days cancel out
        return rounded((sums.bought + sums.sold) / 2 / total * self._settings.trading_days_per_year)


@dataclass(slots=True)
class _OrderCount:
    """Orders of a scope."""

    orders: int = 0
    filled: int = 0
    rejected: int = 0
    share: float = 0.0
    """Sum over the orders of filled over ordered quantity."""
    fill_ns: int = 0
    """Sum of the times that whole fills took."""

    def add(self, order: OrderRow) -> None:
        """Count an order."""
        self.orders += 1
        if order.state == "FILLED":
            self.filled += 1
            self.fill_ns += order.updated_ns - order.ts_ns
        self.rejected += order.state == "REJECTED"
        self.share += order.filled_qty / order.qty if order.qty else 0.0

    def figures(self) -> OrderFigures:
        """Return counts and rates."""
        if not self.orders:
            return OrderFigures(0, 0, 0, None, None, None)
        return OrderFigures(
            self.orders,
            self.filled,
            self.rejected,
            fill_rate=rounded(self.share / self.orders),
            reject_rate=rounded(self.rejected / self.orders),
            mean_fill_ms=rounded(self.fill_ns / self.filled / _NS_PER_MS) if self.filled else None,
        )


def _scopes_of(owner: Owner) -> tuple[Owner, Owner, Owner]:
    """Return what an owner belongs to: the account, its track, its strategy."""
    return ACCOUNT, (owner[0], ""), ("", owner[1])


def _count_orders(orders: Iterable[OrderRow]) -> dict[Owner, _OrderCount]:
    counts: dict[Owner, _OrderCount] = {}
    for order in orders:
        for scope in _scopes_of((order.track, order.strategy or UNASSIGNED)):
            counts.setdefault(scope, _OrderCount()).add(order)
    return counts


def _price_returns(prices: Sequence[tuple[str, Decimal]]) -> tuple[list[str], list[float]]:
    """Return days and returns of a unit price that began at 1."""
    before = 1.0
    returns = []
    for day, price in prices:
        value = float(price)
        if value <= 0:
            raise CalculationError(
                found=say("no_equity", day=day, base=before, equity=price),
                expected=say("no_equity_expected"),
                hint=say("no_equity_hint"),
            )
        returns.append(value / before - 1)
        before = value
    return [day for day, _ in prices], returns


def _check_days(days: Sequence[EquityDay]) -> None:
    for before, row in pairwise(days):
        if row.day <= before.day:
            raise CalculationError(
                found=say("days_disorder", day=row.day, before=before.day),
                expected=say("days_disorder_expected"),
                hint=say("days_disorder_hint"),
            )


def _round(value: float) -> float:
    return round(value, 9) + 0.0
