"""Statistics of a return series (spec 02 §5.6). Pure functions; every sum is exact before it is rounded once.

Conventions, where libraries differ: simple daily returns; N trading days a year; the deviation of volatility and Sharpe
is that of a sample (n - 1), the downside deviation divides by n and counts what falls short of the risk-free rate a
day, rf / N; the risk-free rate is subtracted from the arithmetic mean a year and not compounded; a drawdown is measured
from the highest index so far, the start (1) included, and is positive; ratios with nothing to divide by are None.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qts.codes import DataError
from qts.engines.performance_contracts import CalculationError, MonthFigure, ReturnFigures
from qts.engines.performance_messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from qts.engines.performance_contracts import EquityDay, PerformanceSettings
    from qts.instruments import Calendar

_DIGITS: Final = 9
_NO_VARIATION: Final = 1e-12
"""Deviations below it are the noise of floats: nothing is divided by them."""
_BPS: Final = 10_000


def rounded(value: float | None) -> float | None:
    """Return a statistic as it is compared and written: to 1e-9, and zero without a sign."""
    return None if value is None else round(value, _DIGITS) + 0.0


def daily_returns(start_equity: int, days: Iterable[EquityDay]) -> list[float]:
    """Return r_t = equity_t / (equity_{t-1} + flow_t) - 1, flows at the start of the day.

    Raises:
        CalculationError: there was no equity to earn a return on, or it became negative.
    """
    returns = []
    before = start_equity
    for row in days:
        base = before + row.flow
        if base <= 0 or row.equity < 0:
            raise CalculationError(
                found=say("no_equity", day=row.day, base=base, equity=row.equity),
                expected=say("no_equity_expected"),
                hint=say("no_equity_hint"),
            )
        returns.append(row.equity / base - 1)
        before = row.equity
    return returns


def equity_index(returns: Iterable[float]) -> list[float]:
    """Return the growth of 1: the products of (1 + r), one for each return.

    Raises:
        CalculationError: a return is not a number, or more than everything was lost.
    """
    index = []
    value = 1.0
    for r in returns:
        if not math.isfinite(r) or r < -1:
            raise CalculationError(
                found=say("bad_return", value=r), expected=say("bad_return_expected"), hint=say("no_equity_hint")
            )
        value *= 1 + r
        index.append(value)
    return index


def calculate_max_drawdown(index: Iterable[float]) -> float:
    """Return max over t of (peak - index) / peak, the start at 1 included: 0 to 1."""
    peak = 1.0
    deepest = 0.0
    for value in index:
        if value > peak:
            peak = value
        elif (fall := (peak - value) / peak) > deepest:
            deepest = fall
    return deepest


def calculate_cagr(index_end: float, days: int, trading_days: int, min_days: int) -> float | None:
    """Return index^(N / n) - 1; None below `min_days`."""
    if days < min_days or days <= 0:
        return None
    try:
        return float(math.pow(index_end, trading_days / days)) - 1
    except OverflowError:
        return None


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample (n - 1); None below two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def calculate_volatility(returns: Sequence[float], trading_days: int) -> float | None:
    """Return the sample deviation times the square root of N; None below two returns."""
    spread = deviation(returns)
    return None if spread is None else spread * math.sqrt(trading_days)


def calculate_sharpe_ratio(returns: Sequence[float], risk_free_rate: float, trading_days: int) -> float | None:
    """Return (mean(r) x N - rf) / volatility; 0 below two returns, None if they do not vary."""
    spread = deviation(returns)
    if spread is None:
        return 0.0
    if spread < _NO_VARIATION:
        return None
    mean = math.fsum(returns) / len(returns)
    return (mean * trading_days - risk_free_rate) / (spread * math.sqrt(trading_days))


def calculate_sortino_ratio(returns: Sequence[float], risk_free_rate: float, trading_days: int) -> float | None:
    """Return (mean(r) x N - rf) / (downside deviation x sqrt(N)); None if nothing fell short.

    The downside deviation is sqrt(sum(min(r - rf / N, 0)^2) / n), over all n returns. 0 below two returns.
    """
    if len(returns) < 2:
        return 0.0
    hurdle = risk_free_rate / trading_days
    short = math.sqrt(math.fsum((r - hurdle) ** 2 for r in returns if r < hurdle) / len(returns))
    if short < _NO_VARIATION:
        return None
    mean = math.fsum(returns) / len(returns)
    return (mean * trading_days - risk_free_rate) / (short * math.sqrt(trading_days))


def calculate_profit_factor(results: Iterable[float]) -> float | None:
    """Return the sum of gains over the sum of losses; None if there was no loss."""
    values = list(results)
    lost = -math.fsum(value for value in values if value < 0)
    return math.fsum(value for value in values if value > 0) / lost if lost > 0 else None


def slippage_bps(side: str, price: int, reference: int) -> float:
    """Return the slippage of a fill in basis points of its reference: BUY (fill - ref), SELL (ref - fill).

    Positive = cost.

    Raises:
        CalculationError: the reference is not a price, or the side is not known.
    """
    if reference <= 0 or side not in {"BUY", "SELL"}:
        raise CalculationError(
            found=say("bad_slippage", side=side, reference=reference),
            expected=say("bad_slippage_expected"),
            hint=say("bad_slippage_hint"),
        )
    worse = price - reference if side == "BUY" else reference - price
    return worse * _BPS / reference


def monthly_returns(days: Sequence[str], returns: Sequence[float]) -> tuple[MonthFigure, ...]:
    """Return each month's compounded return and its difference to that of the month before."""
    totals: dict[str, float] = {}
    for day, r in zip(days, returns, strict=True):
        totals[day[:7]] = totals.get(day[:7], 1.0) * (1 + r)
    months: list[MonthFigure] = []
    before: float | None = None
    for month, growth in totals.items():
        change = None if before is None else growth - 1 - before
        before = growth - 1
        months.append(MonthFigure(month, round(before, _DIGITS) + 0.0, rounded(change)))
    return tuple(months)


def return_figures(days: Sequence[str], returns: Sequence[float], settings: PerformanceSettings) -> ReturnFigures:
    """Return every statistic of a return series.

    Raises:
        CalculationError: see `equity_index`.
    """
    count = len(returns)
    index = equity_index(returns)
    end = index[-1] if index else 1.0
    per_year = settings.trading_days_per_year
    rate = float(settings.risk_free_rate)
    fall = calculate_max_drawdown(index)
    cagr = calculate_cagr(end, count, per_year, settings.min_days_cagr)
    recent = returns[-settings.recent_days :] if count >= settings.recent_days else []
    return ReturnFigures(
        days=count,
        total_return=round(end - 1, _DIGITS) + 0.0,
        cagr=rounded(cagr),
        volatility=rounded(calculate_volatility(returns, per_year)),
        sharpe=rounded(calculate_sharpe_ratio(returns, rate, per_year)),
        sortino=rounded(calculate_sortino_ratio(returns, rate, per_year)),
        max_drawdown=round(fall, _DIGITS),
        calmar=None if cagr is None or fall < _NO_VARIATION else rounded(cagr / fall),
        daily_win_rate=rounded(sum(r > 0 for r in returns) / count) if count else None,
        daily_profit_factor=rounded(calculate_profit_factor(returns)),
        volatility_recent=rounded(calculate_volatility(recent, per_year)),
        index_end=round(end, _DIGITS),
        index_high=round(max(1.0, max(index, default=1.0)), _DIGITS),
        monthly=monthly_returns(days, returns),
    )


def trading_days_per_year(calendar: Calendar, first: date, last: date) -> int | None:
    """Return N of a calendar: the mean number of sessions of the years from `first` to `last`, rounded.

    Years that the calendar does not reach to are left out; None if it knows none of them.
    """
    counts = []
    for year in range(first.year, last.year + 1):
        with suppress(DataError):
            counts.append(calendar.sessions_in_year(year))
    return round(sum(counts) / len(counts)) if counts else None
