"""Trading days, hours and phases."""

from datetime import UTC, date, datetime, timedelta, timezone

import exchange_calendars
import pytest

from qts.clock import NS_PER_DAY, from_ns, midnight_ns, to_ns, utc_date
from qts.codes import ConfigError, DataError
from qts.instruments import PHASES, AlwaysOpen, TradingCalendar, load_calendars

KST = timezone(timedelta(hours=9))
KST_S = 9 * 3_600


def hours(session):
    return tuple(from_ns(ns).astimezone(KST).strftime("%H:%M") for ns in (session.open_ns, session.close_ns))


def at(day, clock):
    hour, minute, *rest = map(int, clock.split(":"))
    return to_ns(datetime(day.year, day.month, day.day, hour, minute, *rest, tzinfo=KST))


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 11, 20), ("09:00", "15:30")),
        (date(2026, 1, 2), ("10:00", "15:30")),
        (date(2025, 1, 2), ("10:00", "15:30")),
        (date(2023, 11, 16), ("10:00", "16:30")),
        (date(2024, 11, 14), ("10:00", "16:30")),
        (date(2025, 11, 13), ("10:00", "16:30")),
        (date(2026, 11, 19), ("10:00", "16:30")),
        (date(2016, 7, 29), ("09:00", "15:00")),
        (date(2016, 8, 1), ("09:00", "15:30")),
        (date(1998, 12, 7), ("09:00", "15:00")),
        (date(1998, 12, 5), ("09:30", "15:00")),  # a Saturday
        (date(1990, 9, 11), ("09:40", "15:20")),
    ],
)
def test_sessions_have_the_hours_of_their_day(krx, day, expected):
    session = krx.session(day)
    assert session.date == day
    assert hours(session) == expected
    assert session.close_ns - session.continuous_end_ns == 10 * 60 * 10**9


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 11, 21),  # a Saturday
        date(2026, 1, 1),
        date(2026, 5, 1),
        date(2026, 6, 3),
        date(2026, 7, 17),
        date(2026, 9, 25),
        date(2026, 12, 31),
        date(2024, 10, 1),
        date(1998, 12, 12),
    ],
)
def test_closed_days_have_no_session(krx, day):
    assert not krx.is_session(day)
    with pytest.raises(DataError, match=f"{day} is no trading day of XKRX") as caught:
        krx.session(day)
    assert "a trading day; the next one is " in caught.value.expected


def test_hours_equal_the_librarys_wherever_it_knows_them(krx):
    library = exchange_calendars.get_calendar("XKRX", start="1995-01-02", end="2021-06-30")
    different = []
    for stamp in library.sessions[library.sessions < "2021"]:
        ours = krx.session(stamp.date())
        theirs = (library.session_open(stamp).value, library.session_close(stamp).value)
        if (ours.open_ns, ours.close_ns) != theirs:
            different.append(stamp.date())
    # The library takes the first weekday after 1 January for the first session of 2000: a holiday.
    assert different == [date(2000, 1, 4)]


def test_the_next_session_skips_closed_days(krx):
    assert krx.next_session(date(2026, 11, 20)).date == date(2026, 11, 23)
    assert krx.next_session(date(2025, 12, 30)).date == date(2026, 1, 2)
    assert krx.next_session(date(2026, 11, 19)).date == date(2026, 11, 20)


def test_days_outside_the_calendar_are_told(krx, reference):
    rules = reference.calendars["XKRX"]
    for day in (rules.first_day - timedelta(days=1), rules.last_day + timedelta(days=1)):
        with pytest.raises(DataError, match="lies outside the calendar XKRX"):
            krx.is_session(day)
    with pytest.raises(DataError, match="outside"):
        krx.next_session(rules.last_day)
    with pytest.raises(DataError, match="outside"):
        krx.sessions_in_year(rules.last_day.year + 1)


def test_ranges_of_sessions_include_both_ends(krx):
    days = [session.date for session in krx.sessions(date(2026, 9, 23), date(2026, 9, 28))]
    assert days == [date(2026, 9, 23), date(2026, 9, 28)]
    assert krx.sessions(date(2026, 9, 24), date(2026, 9, 27)) == []


def test_years_have_a_plausible_number_of_sessions(krx):
    assert krx.sessions_in_year(2025) == 242
    assert all(240 <= krx.sessions_in_year(year) <= 253 for year in range(1999, 2028))


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("00:00", "MONITOR"),
        ("07:59:59", "MONITOR"),
        ("08:00", "PREPARE"),
        ("08:30", "OPENING_AUCTION"),
        ("08:59:59", "OPENING_AUCTION"),
        ("09:00", "OPEN_GUARD"),
        ("09:05", "FULL"),
        ("15:14:59", "FULL"),
        ("15:15", "CLOSE_GUARD"),
        ("15:20", "CLOSING_AUCTION"),
        ("15:30", "CLOSE_SET"),
        ("17:59:59", "CLOSE_SET"),
        ("18:00", "MONITOR"),
        ("23:59:59", "MONITOR"),
    ],
)
def test_phases_of_a_normal_day(krx, clock, phase):
    assert krx.phase_at(at(date(2026, 11, 20), clock)) == phase


def test_phases_move_with_the_session(krx):
    exam, first = date(2026, 11, 19), date(2026, 1, 2)
    assert krx.phase_at(at(exam, "09:30")) == "OPENING_AUCTION"
    assert krx.phase_at(at(exam, "16:14")) == "FULL"
    assert krx.phase_at(at(exam, "16:20")) == "CLOSING_AUCTION"
    assert krx.phase_at(at(first, "09:59")) == "OPENING_AUCTION"
    assert krx.phase_at(at(first, "10:05")) == "FULL"
    assert krx.phase_at(at(first, "15:20")) == "CLOSING_AUCTION"


def test_a_closed_day_is_monitored(krx):
    assert {krx.phase_at(at(date(2026, 11, 21), f"{hour:02}:00")) for hour in range(24)} == {"MONITOR"}


def test_each_moment_belongs_to_its_local_day(krx):
    evening_utc = to_ns(datetime(2026, 11, 19, 23, 15, tzinfo=UTC))
    assert krx.session_date(evening_utc) == date(2026, 11, 20)
    assert krx.phase_at(evening_utc) == "PREPARE"


def test_the_session_table_gives_the_hours_of_every_session(krx):
    table = krx.session_table()
    assert [row[0] for row in table] == sorted({row[0] for row in table})
    row = -1
    for session in krx.sessions(date(1990, 1, 3), date(2035, 12, 28)):
        start = midnight_ns(session.date, KST_S)
        while row + 1 < len(table) and table[row + 1][0] <= start:
            row += 1
        _, open_s, close_s = table[row]
        assert (start + open_s * 10**9, start + close_s * 10**9) == (session.open_ns, session.close_ns)


def test_a_calendar_that_begins_in_mid_year_knows_no_first_session_of_it(reference):
    rules = reference.calendars["XKRX"].model_copy(
        update={"first_day": date(2024, 6, 3), "last_day": date(2025, 1, 3), "saturdays_until": None}
    )
    calendar = TradingCalendar("XKRX", rules)
    assert hours(calendar.session(date(2024, 6, 3))) == ("09:00", "15:30")
    assert hours(calendar.session(date(2025, 1, 2))) == ("10:00", "15:30")


def test_a_calendar_that_the_library_lacks_is_told(reference):
    rules = reference.calendars["XKRX"].model_copy(update={"library": "XMOON"})
    with pytest.raises(ConfigError, match="there is no calendar 'XMOON'"):
        TradingCalendar("XMOON", rules).is_session(date(2026, 1, 2))


def test_a_market_that_never_closes_has_one_session_a_day(reference):
    always = load_calendars(reference)["ALWAYS"]
    assert isinstance(always, AlwaysOpen)
    day = date(2024, 8, 8)
    session = always.session(day)
    assert (session.open_ns, session.close_ns) == (midnight_ns(day), midnight_ns(day) + NS_PER_DAY)
    assert session.continuous_end_ns == session.close_ns
    assert always.next_session(day).date == date(2024, 8, 9)
    assert always.is_session(date(2024, 8, 10))
    assert always.session_date(session.close_ns - 1) == utc_date(session.open_ns) == day
    assert always.phase_at(0) == "FULL"
    assert always.session_table() == [(0, 0, 86_400)]
    assert (always.sessions_in_year(2024), always.sessions_in_year(2025)) == (366, 365)
    assert (always.closes, always.utc_offset_s) == (False, 0)


def test_a_market_with_sessions_closes(krx):
    assert (krx.closes, krx.utc_offset_s) == (True, KST_S)
    assert len(PHASES) == 8
