"""The statistics against an independent library: empyrical-reloaded.

It fits because it is what the field compares with (Quantopian's statistics, kept alive, last release 2026-10), takes a
bare series of returns, and lets every convention be named. It is a dependency of the tests alone.

Both sides must agree within 1e-9 of the figure, or 1e-9 where it is small: ours is rounded to nine places. What differs
by convention, and how the library is asked so that both mean the same:

- risk-free rate: ours is one a year, rf, taken off the yearly arithmetic mean; the library's is one a day, so it is
  given rf / N (not (1 + rf)^(1/N) - 1), for the Sortino ratio as the required return;
- annualisation: N is named on both sides; the library's default is 252, ours the calendar's count;
- deviation: of a sample (n - 1) on both sides; numpy's default, a population's (n), is neither; the downside deviation
  divides by all n days on both sides;
- drawdown: ours is positive, the library's negative; both count the start as the first peak;
- too little to tell: below two returns the library says NaN and ours 0 (Sharpe, Sortino) or None; below 60 days ours
  tells no yearly growth, and so no Calmar ratio; ratios with nothing to divide by are None here, infinite or NaN there;
- nothing varies: ours takes a deviation below 1e-12 for none, the library one of exactly equal values; the series here
  vary by more;
- profit factor: the library has none by that name; its omega ratio at a threshold of 0 is the same quotient, win rate
  its batting average against a benchmark of 0.
"""

import empyrical
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qts.engines import PerformanceSettings, TradeBook
from qts.engines.performance_metrics import return_figures

from .performance_samples import fill, returns_of

RF = 0.02
years = st.sampled_from([244, 245, 252, 365])


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1.1e-9)


def ours(returns, trading_days):
    return return_figures(
        ["2024-01-02"] * len(returns), returns, PerformanceSettings(trading_days_per_year=trading_days)
    )


@given(returns_of(2), years)
def test_volatility_and_ratios(returns, trading_days):
    theirs = np.array(returns)
    assume(theirs.std() > 1e-9)
    figures = ours(returns, trading_days)
    assert figures.volatility == close(empyrical.annual_volatility(theirs, annualization=trading_days))
    assert figures.sharpe == close(empyrical.sharpe_ratio(theirs, RF / trading_days, annualization=trading_days))
    if figures.sortino is None:
        assert theirs.min() >= RF / trading_days
    else:
        assert figures.sortino == close(empyrical.sortino_ratio(theirs, RF / trading_days, annualization=trading_days))


@given(returns_of(1), years)
def test_drawdown_and_total_return(returns, trading_days):
    theirs = np.array(returns)
    figures = ours(returns, trading_days)
    assert figures.max_drawdown == close(-empyrical.max_drawdown(theirs))
    assert figures.total_return == close(empyrical.cum_returns_final(theirs))


@given(returns_of(60), years)
def test_growth_a_year_and_its_ratio_to_the_drawdown(returns, trading_days):
    theirs = np.array(returns)
    figures = ours(returns, trading_days)
    cagr = empyrical.annual_return(theirs, annualization=trading_days)
    assert figures.cagr == pytest.approx(cagr, rel=1e-9, abs=1.1e-9)
    if figures.max_drawdown > 1e-6:
        assert figures.calmar == close(empyrical.calmar_ratio(theirs, annualization=trading_days))


@given(returns_of(2))
def test_profit_factor_and_win_rate_by_day(returns):
    theirs = np.array(returns)
    figures = ours(returns, 252)
    if figures.daily_profit_factor is None:
        assert theirs.min() >= 0
    else:
        assert figures.daily_profit_factor == close(empyrical.omega_ratio(theirs, annualization=1))
    assert figures.daily_win_rate == close(empyrical.batting_average(theirs, np.zeros(len(theirs)))["batting average"])


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 500)), min_size=2, max_size=60))
def test_profit_factor_and_win_rate_by_trade(prices):
    book = TradeBook()
    nets = []
    for number, (bought, sold, fee) in enumerate(prices):
        book.fill(fill("BUY", 1, bought, fee=fee, ts_ns=2 * number))
        book.fill(fill("SELL", 1, sold, fee=fee, ts_ns=2 * number + 1))
        nets.append(sold - bought - 2 * fee)
    figures = book.stats["", ""].figures()
    theirs = np.array(nets, dtype=float)
    assert figures.win_rate == close(empyrical.batting_average(theirs, np.zeros(len(theirs)))["batting average"])
    if figures.profit_factor is None:
        assert theirs.min() >= 0
    else:
        assert figures.profit_factor == close(empyrical.omega_ratio(theirs, annualization=1))
