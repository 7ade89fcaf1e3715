"""Statistics of a return series: the vectors of the specification, and what cannot be computed."""

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.engine.build import load_config
from qts.engines import CalculationError, EquityDay, PerformanceEngine, PerformanceSettings, slippage_bps
from qts.engines import performance_metrics as metrics
from qts.engines.performance_messages import say
from qts.instruments import load_calendars

from .performance_samples import returns_of

VECTOR = (0.01, -0.02, 0.015, 0.0, -0.005, 0.02)
OF_THE_VECTORS = PerformanceSettings(trading_days_per_year=252)


def days_of(returns, start=10**12):
    equity, rows = start, []
    for number, r in enumerate(returns):
        equity = round(equity * (1 + r))
        rows.append(EquityDay(f"{2000 + number // 300}-{number % 300 // 25 + 1:02d}-{number % 25 + 1:02d}", equity, 0))
    return rows


def figures_of(returns, settings=OF_THE_VECTORS):
    return metrics.return_figures([row.day for row in days_of(returns)], returns, settings)


def test_the_vector_of_returns():
    figures = figures_of(VECTOR)
    assert figures.total_return == pytest.approx(0.019616, abs=5e-7)
    assert metrics.deviation(VECTOR) == pytest.approx(0.0147196, abs=5e-8)
    assert figures.volatility == pytest.approx(0.23367, abs=5e-6)
    assert figures.sharpe == pytest.approx(3.509, abs=5e-4)
    assert figures.max_drawdown == 0.02
    assert figures.daily_profit_factor == pytest.approx(1.8, abs=1e-9)
    assert figures.daily_win_rate == 0.5
    assert (figures.cagr, figures.calmar, figures.volatility_recent) == (None, None, None)
    assert (figures.index_end, figures.index_high) == (pytest.approx(1.019615911), pytest.approx(1.019615911))


def test_the_engine_answers_for_a_series_with_its_own_parameters():
    engine, figures = PerformanceEngine(OF_THE_VECTORS), figures_of(VECTOR)
    assert engine.calculate_sharpe_ratio(VECTOR) == figures.sharpe
    assert engine.calculate_volatility(VECTOR) == figures.volatility
    assert engine.calculate_max_drawdown(VECTOR) == figures.max_drawdown
    assert PerformanceEngine().calculate_volatility(VECTOR) == pytest.approx(0.0147196 * 245**0.5, abs=1e-6)


def test_the_vector_of_slippage():
    assert slippage_bps("BUY", 70_150, 70_100) == pytest.approx(7.13, abs=5e-3)
    assert slippage_bps("SELL", 70_150, 70_100) == pytest.approx(-7.13, abs=5e-3)
    assert slippage_bps("SELL", 70_050, 70_100) == slippage_bps("BUY", 70_150, 70_100)


@pytest.mark.parametrize(("side", "reference"), [("HOLD", 100), ("BUY", 0), ("SELL", -5)])
def test_slippage_against_nothing_is_refused(side, reference):
    with pytest.raises(CalculationError, match="FE040"):
        slippage_bps(side, 100, reference)


def test_a_flow_at_the_start_of_the_day_is_no_return():
    rows = [
        EquityDay("2024-01-02", 110, 0),
        EquityDay("2024-01-03", 210, 0, flow=100),
        EquityDay("2024-01-04", 55, 0, -100),
    ]
    assert metrics.daily_returns(100, rows) == pytest.approx([0.1, 0.0, -0.5])


@pytest.mark.parametrize(
    "rows",
    [
        [EquityDay("2024-01-02", -1, 0)],
        [EquityDay("2024-01-02", 0, 0), EquityDay("2024-01-03", 5, 0)],
        [EquityDay("2024-01-02", 50, 0, flow=-100)],
    ],
)
def test_a_return_on_no_equity_is_refused_and_says_when(rows):
    with pytest.raises(CalculationError) as caught:
        metrics.daily_returns(100, rows)
    assert caught.value.code == "FE040"
    assert (caught.value.engine, caught.value.error_type) == ("performance", "Calculation")
    assert rows[-1].day in str(caught.value)
    assert caught.value.hint


def test_losing_everything_once_is_a_return():
    figures = figures_of([0.1, -1.0])
    assert (figures.total_return, figures.max_drawdown, figures.index_end) == (-1.0, 1.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.5])
def test_a_return_that_is_none_is_refused(bad):
    with pytest.raises(CalculationError, match="daily return"):
        metrics.equity_index([0.01, bad])


def test_growth_a_year_needs_sixty_days():
    assert figures_of([0.001] * 59).cagr is None
    of_sixty = figures_of([0.001] * 60)
    assert of_sixty.cagr == pytest.approx(1.001**252 - 1, abs=1e-9)
    assert of_sixty.calmar is None  # nothing was ever lost


def test_nothing_is_divided_by_nothing():
    for returns in ([], [0.01]):
        figures = figures_of(returns)
        assert (figures.sharpe, figures.sortino, figures.volatility) == (0.0, 0.0, None)
    level = figures_of([0.01] * 70)
    assert (level.sharpe, level.sortino, level.daily_profit_factor) == (None, None, None)
    assert level.volatility == 0.0
    assert figures_of([]).daily_win_rate is None
    assert figures_of([-0.01, -0.02]).daily_profit_factor == 0.0


def test_recent_volatility_is_that_of_the_last_twenty_days():
    returns = [0.2, -0.2] * 10 + [0.01, -0.01] * 10
    assert figures_of(returns).volatility_recent == metrics.rounded(metrics.calculate_volatility(returns[-20:], 252))
    assert figures_of(returns[:19]).volatility_recent is None


def test_months_are_compounded_and_compared():
    days = ["2024-01-30", "2024-01-31", "2024-02-01", "2024-04-02"]
    months = metrics.monthly_returns(days, [0.1, 0.1, -0.05, 0.0])
    assert [month.month for month in months] == ["2024-01", "2024-02", "2024-04"]
    assert [month.total_return for month in months] == pytest.approx([0.21, -0.05, 0.0])
    assert months[0].change is None
    assert [month.change for month in months[1:]] == pytest.approx([-0.26, 0.05])


@given(returns_of(0, 100))
def test_months_compound_to_the_whole_and_no_figure_is_out_of_range(returns):
    figures = figures_of(returns)
    growth = math.prod(1 + month.total_return for month in figures.monthly)
    assert growth - 1 == pytest.approx(figures.total_return, abs=1e-6, rel=1e-6)
    assert 0 <= figures.max_drawdown <= 1
    assert figures.index_high >= max(figures.index_end, 1)
    for value in figures:
        assert not isinstance(value, float) or math.isfinite(value)


@given(st.lists(st.integers(10**9, 10**12), min_size=1, max_size=60), st.integers(10**9, 10**12))
def test_days_and_months_tell_the_same_story(equities, start):
    rows = [
        EquityDay(f"2024-{number // 25 + 1:02d}-{number % 25 + 1:02d}", equity, 0)
        for number, equity in enumerate(equities)
    ]
    engine = PerformanceEngine()
    days = engine.get_daily_performance(start, rows)
    assert days[-1].growth == pytest.approx(equities[-1] / start, rel=1e-6, abs=1e-9)
    assert max(day.drawdown for day in days) == pytest.approx(
        metrics.calculate_max_drawdown(metrics.equity_index(metrics.daily_returns(start, rows))), abs=1e-9
    )
    assert len(engine.get_monthly_performance(start, rows)) == len({row.day[:7] for row in rows})


@pytest.mark.parametrize("days", [("2024-01-03", "2024-01-02"), ("2024-01-02", "2024-01-02")])
def test_days_out_of_order_are_refused(days):
    rows = [EquityDay(day, 100, 0) for day in days]
    with pytest.raises(CalculationError, match=days[1]):
        PerformanceEngine().get_daily_performance(100, rows)


def test_the_year_of_a_calendar_is_counted():
    calendars = load_calendars(load_config(None).reference)
    krx = metrics.trading_days_per_year(calendars["XKRX"], date(2014, 1, 2), date(2023, 12, 28))
    assert 244 <= krx <= 248
    assert metrics.trading_days_per_year(calendars["ALWAYS"], date(2023, 1, 1), date(2023, 5, 1)) == 365
    assert metrics.trading_days_per_year(calendars["XKRX"], date(1900, 1, 1), date(1900, 12, 31)) is None


def test_the_shipped_parameters():
    settings = PerformanceSettings()
    assert (settings.risk_free_rate, settings.trading_days_per_year) == (Decimal("0.02"), 245)
    assert (settings.min_days_cagr, settings.recent_days) == (60, 20)


def test_texts_are_there_in_both_languages():
    assert say.problems() == []
