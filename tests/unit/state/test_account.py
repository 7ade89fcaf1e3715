"""The metrics of the account, against values worked out by hand."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from state_samples import DAY, NORMAL, START, B, Desk

from qts.clock import SimClock, to_ns
from qts.state import MetricQuality, StateConfig
from qts.state.account import AccountMetrics
from qts.state.config import BalancedToAggressiveLimits
from qts.state.stored import AccountRecord

EQUITY = 10_000_000


class Account(AccountMetrics):
    def __init__(self, equity=EQUITY, config=None, record=None):
        self.clock = SimClock(to_ns(START))
        super().__init__(config or StateConfig(), self.clock, equity=equity, record=record)

    def day(self, equity):
        """One session that ends at this equity."""
        self.open_session()
        self.value(equity)
        self.close_session(self.clock.now_utc().date())
        self.clock.advance_to(to_ns(self.clock.now_utc() + DAY))

    def now(self):
        return self.metrics(vix=20.0, market_circuit_breaker=False)


def test_a_new_account_has_lost_nothing_and_knows_no_growth():
    metrics = Account().now()
    assert (metrics.drawdown_pct, metrics.daily_loss_pct, metrics.consecutive_scalp_losses) == (0.0, 0.0, 0)
    assert (metrics.cagr, metrics.capital_growth_pct, metrics.win_rate_30d) == (None, None, None)
    assert metrics.consecutive_profitable_days == 0
    assert (metrics.vix, metrics.market_circuit_breaker) == (20.0, False)
    with pytest.raises(ValueError, match="more than 0"):
        Account(equity=0)


def test_drawdown_is_from_the_highest_value_and_the_loss_of_the_day_from_the_open():
    account = Account()
    account.value(12_000_000)
    account.open_session()
    account.value(11_400_000)
    assert account.now().drawdown_pct == pytest.approx(0.05)
    assert account.now().daily_loss_pct == pytest.approx(0.05)
    account.open_session()
    account.value(10_800_000)
    assert account.now().drawdown_pct == pytest.approx(0.10)
    assert account.now().daily_loss_pct == pytest.approx(600 / 11_400)
    account.value(13_000_000)
    assert (account.now().drawdown_pct, account.now().daily_loss_pct) == (0.0, 0.0)


@given(st.lists(st.tuples(st.integers(-9_000_000, 50_000_000), st.integers(900, 1_100)), max_size=20))
def test_deposits_and_withdrawals_change_neither_drawdown_nor_growth(steps):
    """An account with flows has the metrics of one without that had the same returns."""
    plain, flowing = Account(10**15), Account(10**15)
    value, equity = 10**15, 10**15
    for amount, permille in steps:
        equity += amount * 10**6
        flowing.flow(amount * 10**6)
        value, equity = value * permille // 1_000, equity * permille // 1_000
        plain.day(value)
        flowing.day(equity)
    for name in ("drawdown_pct", "daily_loss_pct"):
        assert getattr(flowing.now(), name) == pytest.approx(getattr(plain.now(), name), abs=1e-9)
    assert flowing.record().nav == pytest.approx(plain.record().nav)


def test_a_losing_streak_ends_with_a_win_and_not_with_a_zero():
    account = Account()
    for pnl in (-1, -1, 0, -1):
        account.close_trade(pnl, is_scalp=True)
    account.close_trade(5, is_scalp=False)
    assert account.now().consecutive_scalp_losses == 3
    account.close_trade(1, is_scalp=True)
    assert account.now().consecutive_scalp_losses == 0


def test_the_win_rate_needs_twenty_trades_of_thirty_days():
    account = Account()
    for number in range(19):
        account.close_trade(1 if number < 12 else -1, is_scalp=True)
    assert account.now().win_rate_30d is None
    account.close_trade(0, is_scalp=True)
    assert account.now().win_rate_30d == 12 / 20
    account.clock.advance_to(to_ns(START + 30 * DAY))
    assert account.now().win_rate_30d == 12 / 20
    account.clock.advance_to(to_ns(START + 30 * DAY + timedelta(seconds=1)))
    assert account.now().win_rate_30d is None
    account.close_trade(1, is_scalp=True)
    assert len(account.record().trades) == 1


@pytest.mark.parametrize(
    ("equities", "days"),
    [((), 0), ((11,), 1), ((10,), 0), ((11, 12, 13), 3), ((9, 10, 11), 2), ((11, 12, 12), 0), ((11, 12, 11, 12), 1)],
)
def test_profitable_days_in_a_row(equities, days):
    account = Account()
    for equity in equities:
        account.day(equity * 1_000_000)
    assert account.now().consecutive_profitable_days == days


def test_today_is_no_profitable_day():
    account = Account()
    account.day(11_000_000)
    account.open_session()
    account.value(12_000_000)
    assert account.now().consecutive_profitable_days == 1


def test_growth_and_yearly_growth_need_ninety_days():
    account = Account(config=StateConfig(balanced_to_aggressive=BalancedToAggressiveLimits(target_cagr=0.2)))
    for number in range(90):
        account.day(EQUITY + number * 10_000)
    assert (account.now().cagr, account.now().capital_growth_pct) == (None, None)
    account.day(11_000_000)
    assert account.now().capital_growth_pct == pytest.approx(0.10)
    assert account.now().cagr == pytest.approx(1.1 ** (365.25 / 90) - 1)
    assert account.now().target_cagr == 0.2
    for _ in range(30):
        account.day(11_000_000)
    assert account.now().capital_growth_pct == pytest.approx(11_000_000 / (EQUITY + 300_000) - 1)


def test_an_operator_may_let_the_drawdown_begin_again():
    account = Account()
    account.value(9_000_000)
    assert account.now().drawdown_pct == pytest.approx(0.10)
    assert account.rebase_high_water() == pytest.approx(0.9)
    assert account.now().drawdown_pct == 0.0


def test_what_survives_is_enough_and_can_be_written_as_json():
    account = Account()
    for equity in (11_000_000, 12_000_000, 10_000_000):
        account.day(equity)
    account.close_trade(-5, is_scalp=True)
    shape = TypeAdapter(AccountRecord)
    again = Account(record=shape.validate_json(shape.dump_json(account.record())))
    again.clock.advance_to(account.clock.now_ns())
    assert again.now() == account.now()
    assert again.now().drawdown_pct == pytest.approx(1 / 6)


def test_an_equity_that_is_gone_is_a_whole_drawdown():
    account = Account()
    account.value(0)
    assert (account.now().drawdown_pct, account.now().daily_loss_pct) == (1.0, 1.0)
    account.day(0)
    assert account.now().daily_loss_pct is None
    account.value(5_000_000)  # what came back without a deposit has no unit to belong to
    assert account.now().drawdown_pct == 1.0
    for _ in range(2):
        account.clock.advance_to(to_ns(account.clock.now_utc() + 100 * DAY))
        account.day(0)
    assert (account.now().cagr, account.now().capital_growth_pct) == (None, None)


def test_it_feeds_the_manager():
    desk = Desk(B)
    account = AccountMetrics(desk.config, desk.clock, equity=EQUITY)
    account.value(8_900_000)
    metrics = account.metrics(vix=20.0, market_circuit_breaker=False)
    desk.look(metrics, NORMAL, MetricQuality(account.asof, desk.clock.now_utc()))
    assert desk.heard.codes == []
    assert any(
        one.is_met for _, found in desk.manager.next_transitions() for one in found if one.name == "drawdown_pct"
    )
    assert account.record().closes == ()
    account.close_session(date(2026, 1, 5))
    assert account.record().closes == ((date(2026, 1, 5), pytest.approx(0.89)),)
