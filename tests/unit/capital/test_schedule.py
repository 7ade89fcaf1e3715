"""Sessions as capital counts them, on the calendar of the Korea Exchange (T15)."""

from datetime import UTC, date, datetime

import pytest

from qts.capital.schedule import SessionSchedule, month_of, quarter_of, week_of
from qts.clock import to_ns
from qts.codes import DataError
from qts.engine.build import load_config
from qts.instruments import AlwaysOpen, load_calendars


@pytest.fixture(scope="module")
def krx():
    return load_calendars(load_config(None).reference)["XKRX"]


def test_a_monday_that_is_closed_makes_tuesday_the_first_of_its_week(krx):
    schedule = SessionSchedule(krx, date(2022, 1, 3))
    friday, tuesday = schedule.info(date(2022, 10, 7)), schedule.info(date(2022, 10, 11))  # Hangul Day was moved
    assert not friday.is_first_of_week
    assert tuesday.is_first_of_week
    assert tuesday.recent[0] == friday.date
    assert not schedule.info(date(2022, 10, 12)).is_first_of_week
    with pytest.raises(DataError):
        schedule.info(date(2022, 10, 10))


def test_a_quarter_that_ends_on_a_weekend_ends_on_the_session_before(krx):
    schedule = SessionSchedule(krx, date(2023, 1, 2))
    ends = [day for day in range(1, 32) if krx.is_session(date(2024, 3, day))]
    assert ends[-1] == 29
    assert schedule.info(date(2024, 3, 29)).is_last_of_quarter  # the 31st is a Sunday
    assert not schedule.info(date(2024, 3, 28)).is_last_of_quarter
    assert schedule.info(date(2023, 12, 28)).is_last_of_quarter  # the exchange closes for the last day of a year
    assert not schedule.info(date(2024, 4, 30)).is_last_of_quarter


def test_a_week_over_new_year_is_one_week(krx):
    schedule = SessionSchedule(krx, date(2020, 1, 2))
    assert week_of(date(2020, 12, 30)) == week_of(date(2021, 1, 1)) == "2020-W53"
    first = schedule.info(date(2021, 1, 4))
    assert first.is_first_of_week
    assert first.is_first_of_month
    assert week_of(first.date) == "2021-W01"
    assert (month_of(first.date), quarter_of(first.date)) == ("2021-01", "2021-Q1")


def test_sessions_are_numbered_in_any_order_from_the_first(krx):
    schedule = SessionSchedule(krx, date(2024, 2, 8))  # the Lunar New Year closes 9 to 12 February
    days = [date(2024, 2, 8), date(2024, 2, 13), date(2024, 2, 14), date(2024, 2, 15)]
    for order in (days, days[::-1], [days[2], days[0], days[2], days[3], days[1]]):
        assert [schedule.info(day).number for day in order] == [days.index(day) for day in order]


def test_at_both_ends_of_the_calendar_there_is_an_answer(krx):
    first = next(day for day in (date(1990, 1, number) for number in range(1, 20)) if krx.is_session(day))
    info = SessionSchedule(krx, first).info(first)
    assert (info.number, info.is_first_of_week, info.recent) == (0, True, ())
    last = max(day for day in (date(2035, 12, number) for number in range(20, 32)) if krx.is_session(day))
    with pytest.raises(DataError):
        krx.next_session(last)
    assert SessionSchedule(krx, date(2035, 12, 3)).info(last).is_last_of_quarter


def test_the_day_is_the_exchanges_and_not_utc(krx):
    schedule = SessionSchedule(krx, date(2026, 1, 2))
    evening_utc = to_ns(datetime(2026, 2, 1, 23, 30, tzinfo=UTC))  # 08:30 of Monday in Seoul
    assert schedule.day_of(evening_utc) == date(2026, 2, 2)
    assert not schedule.is_trading(evening_utc)
    assert schedule.is_trading(to_ns(datetime(2026, 2, 2, 0, 0, tzinfo=UTC)))
    assert not schedule.is_trading(to_ns(datetime(2026, 2, 2, 6, 30, tzinfo=UTC)))
    assert not schedule.is_trading(to_ns(datetime(2026, 2, 1, 3, 0, tzinfo=UTC)))


def test_the_clock_of_seoul_does_not_jump_when_others_do(krx):
    schedule = SessionSchedule(krx, date(2026, 1, 2))
    for day in (date(2026, 3, 27), date(2026, 3, 30), date(2026, 10, 23), date(2026, 10, 26)):
        assert schedule.is_trading(to_ns(datetime(day.year, day.month, day.day, 0, 0, tzinfo=UTC)))
        assert not schedule.is_trading(to_ns(datetime(day.year, day.month, day.day, 6, 30, tzinfo=UTC)))


def test_a_market_that_never_closes_has_weeks_too():
    schedule = SessionSchedule(AlwaysOpen(), date(2026, 1, 1))
    assert schedule.info(date(2026, 1, 5)).is_first_of_week
    assert not schedule.info(date(2026, 1, 4)).is_first_of_week
    assert schedule.info(date(2026, 3, 31)).is_last_of_quarter
    assert schedule.info(date(2026, 1, 11)).number == 10
