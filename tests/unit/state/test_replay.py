"""The operating state over made-up history: what moves it and when, and that nothing is known too early."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_samples import A, B, D

from qts.clock import NS_PER_DAY, NS_PER_S, SimClock, from_ns, to_ns
from qts.state import STATE_PROPERTIES, StateConfig, TransitionKind, TransitionReason
from qts.state.history import DailyClose, History, PublishedVix, Sessions, close_ns, open_ns, vix_ns
from qts.state.index_account import IndexAccount
from qts.state.interfaces import VolObservation
from qts.state.replay import replay, replay_all
from qts.state.replay_page import tables
from qts.state.replay_picture import Point, picture, thinned

SVG = "{http://www.w3.org/2000/svg}"
POLICIES = pytest.mark.parametrize("policy", ["LITERAL", "SAFE"])
MONDAY = date(2015, 9, 7)
RISE = Decimal("1.002")


def weekdays(first):
    day = first
    while True:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def made(index, vix=18, first=MONDAY):
    """A history of weekdays with these closes; `vix` is a level, or levels by the number of the day."""
    days = [day for day, _ in zip(weekdays(first), index, strict=False)]
    levels = vix if isinstance(vix, dict) else {0: vix}
    known = [Decimal(levels[max(at for at in levels if at <= number)]) for number in range(len(days))]
    return History(
        tuple(DailyClose(day, Decimal(close)) for day, close in zip(days, index, strict=True)),
        tuple(DailyClose(day, level) for day, level in zip(days, known, strict=True)),
    )


def flat(days, close=100):
    return [close] * days


def rising(days):
    return [
        close.quantize(Decimal("0.01")) for close in accumulate([RISE] * days, Decimal.__mul__, initial=Decimal(100))
    ]


def kst(day, hour, minute=0):
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=9)


def moves(run):
    return [(one.from_state, one.to_state, one.reason) for one in run.transitions]


def wild(seed, days=130):
    """A history of good and bad weeks, half the time after a long rise, so that every rule has its chance."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    index, vix, level = [], {}, 100.0
    for number in range(days):
        if number < 75 and seed % 2:
            drift, noise, fear = 0.004, 0.003, 12
        elif number % 8 == 0 or number == 75:
            drift, noise = dice.choice([(0.006, 0.003), (0.004, 0.004), (0.0, 0.01), (-0.02, 0.02), (0.01, 0.01)])
            fear = dice.choice([11, 13, 14.5, 18, 22, 26, 31, 38])
        level *= 1 + dice.gauss(drift, noise)
        index.append(f"{level:.2f}")
        vix[number] = f"{fear + dice.random():.2f}"
    return made(index, vix)


# A crash


@POLICIES
def test_a_fall_of_more_than_a_tenth_is_defensive_two_hours_after_the_close(policy):
    history = made([*flat(20), "89.90", *flat(5, 90)])
    run = replay(history, policy)
    assert moves(run) == [(B, D, TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED)]
    assert run.transitions[0].effective_at == kst(history.index[20].day, 17)
    kind = TransitionKind.RULE_HARD if policy == "SAFE" else TransitionKind.RULE_SOFT
    assert run.transitions[0].kind is kind


@POLICIES
def test_a_fall_of_a_tenth_or_a_vix_of_thirty_is_not_enough(policy):
    slide = ["98", "96", "94", "92", "90", "90", "91"]
    assert moves(replay(made([*flat(20), *slide], {0: 18, 10: 30}), policy)) == []


@POLICIES
def test_a_vix_above_thirty_is_defensive_two_hours_after_new_york_has_published_it(policy):
    history = made(flat(30), {0: 18, 20: "30.01", 21: 18})
    run = replay(history, policy)
    assert moves(run) == [(B, D, TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED)]
    # 16:15 in New York in October is 20:15 UTC: evaluated at 21 and at 22.
    day = history.vix[20].day
    assert run.transitions[0].effective_at == datetime(day.year, day.month, day.day, 22, tzinfo=UTC)


def test_in_a_young_state_literal_waits_for_the_stay_and_safe_does_not():
    history = made(["100", "100", "89", *flat(20, 89)])
    literal, safe = replay(history, "LITERAL"), replay(history, "SAFE")
    assert moves(literal) == moves(safe) == [(B, D, TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED)]
    assert safe.transitions[0].effective_at == kst(history.index[2].day, 17)
    assert literal.transitions[0].effective_at == from_ns(close_ns(MONDAY)) + timedelta(days=5, minutes=30)
    assert (literal.tightened_hours, safe.tightened_hours) == (0, 0)


def test_a_vix_that_has_to_wait_tightens_the_limits_under_safe_only():
    history = made(flat(20), {0: 18, 1: 35})
    literal, safe = replay(history, "LITERAL"), replay(history, "SAFE")
    assert moves(literal) == moves(safe) == [(B, D, TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED)]
    assert literal.tightened_hours == 0 < safe.tightened_hours


@pytest.mark.parametrize(
    ("first", "close", "halted"),
    [
        (date(1997, 9, 8), "90", False),
        (date(1998, 11, 9), "90", True),
        (date(2014, 9, 8), "92", False),
        (date(2015, 9, 7), "92", True),
        (date(2015, 9, 7), "92.01", False),
    ],
)
@POLICIES
def test_a_fall_that_must_have_halted_the_market_is_a_circuit_breaker(policy, first, close, halted):
    run = replay(made([*flat(25), close, *flat(3, 93)], first=first), policy)
    assert moves(run) == ([(B, D, TransitionReason.MARKET_CIRCUIT_BREAKER)] if halted else [])


# The way back, and up


CRASH = [*flat(20), "89", *flat(10, 89)]


@POLICIES
@pytest.mark.parametrize(
    ("closes", "vix", "recovers"),
    [
        (["96", "97", "98", "98"], 18, True),
        (["96", "97", "97", "97"], 18, False),  # two days up
        (["93", "94", "95", "95"], 18, False),  # drawdown of 5 %
        (["96", "97", "98", "98"], 20, False),
    ],
)
def test_recovery_needs_the_drawdown_the_vix_and_three_days_up(policy, closes, vix, recovers):
    run = replay(made([*CRASH, *closes], vix), policy)
    assert moves(run)[1:] == ([(D, B, TransitionReason.RECOVERY_CONFIRMED)] if recovers else [])
    assert run.stays[-1].state is (B if recovers else D)
    assert sum(run.days().values()) == pytest.approx((run.stays[-1].end_ns - run.stays[0].begin_ns) / NS_PER_DAY)


def climbing_then(fall, *, after):
    """A rise to AGGRESSIVE, so many sessions more, a bad day, and a slower rise."""
    up = rising(100)
    begun = replay(made(up, 12), "LITERAL").transitions[0].effective_at
    count = sum(kst(day, 16) <= begun for day, _ in zip(weekdays(MONDAY), up, strict=False)) + after
    slow = accumulate([Decimal("1.001")] * 9, Decimal.__mul__, initial=up[count - 1] * (1 - Decimal(fall)))
    return made([*up[:count], *(close.quantize(Decimal("0.01")) for close in slow)], 12)


def test_a_long_rise_is_aggressive_and_a_bad_day_ends_it_within_two_samples_under_safe():
    young, settled = climbing_then("0.03", after=1), climbing_then("0.03", after=8)
    up, down = (B, A, TransitionReason.PERFORMANCE_CONFIRMED), (A, B, TransitionReason.DAILY_LOSS_EXCEEDED)
    assert (
        moves(replay(young, "SAFE"))
        == moves(replay(settled, "SAFE"))
        == moves(replay(settled, "LITERAL"))
        == [up, down]
    )
    assert moves(replay(young, "LITERAL")) == [up]  # when it has stayed long enough, the day is over


def test_a_crash_out_of_aggressive_is_defensive_at_once_under_safe_only():
    history = climbing_then("0.12", after=8)
    assert [state for _, state, _ in moves(replay(history, "SAFE"))] == [A, D]
    literal = replay(history, "LITERAL")
    assert [state for _, state, _ in moves(literal)] == [A, B, D]
    assert literal.transitions[2].effective_at - literal.transitions[1].effective_at >= timedelta(days=5)


def test_an_operator_lets_the_drawdown_begin_anew_every_thirty_days_of_defensive():
    closes = [*CRASH, *flat(60, 80), "80.5", "81", "81.5", "81.5", "81.5"]
    alone, helped = replay(made(closes), "LITERAL"), replay(made(closes), "LITERAL", has_operator=True)
    assert alone.stays[-1].state is D
    assert alone.rebases_ns == ()
    assert moves(helped)[1:] == [(D, B, TransitionReason.RECOVERY_CONFIRMED)]
    first, second, *more = [from_ns(at_ns) for at_ns in helped.rebases_ns]
    assert timedelta(days=30) < first - helped.transitions[0].effective_at < timedelta(days=33)
    assert timedelta(days=30) < second - first < timedelta(days=33)
    assert len(more) <= 1


# Nothing early, nothing left out


@POLICIES
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 9_999), cut=st.integers(20, 125))
def test_what_comes_tomorrow_changes_nothing_today(policy, seed, cut):
    history, other = wild(seed), wild(seed + 1)
    day = history.index[cut].day
    changed = History(
        (*history.index[:cut], *(DailyClose(one.day, one.close * 3) for one in other.index[cut:])),
        (*history.vix[:cut], *(DailyClose(one.day, 97 - one.close) for one in other.vix[cut:])),
    )
    known_until = from_ns(min(close_ns(day), vix_ns(day)))

    def known(run):
        return [one for one in run.transitions if one.effective_at <= known_until]

    one, two = replay(history, policy, has_operator=True), replay(changed, policy, has_operator=True)
    assert known(one) == known(two)
    assert [at for at in one.rebases_ns if at < close_ns(day)] == [at for at in two.rebases_ns if at < close_ns(day)]


def test_what_happens_today_does_change_today():
    history = made([*flat(20), "89", *flat(5, 89)])
    quiet = made([*flat(20), "99", *flat(5, 99)])
    assert moves(replay(history, "LITERAL")) != moves(replay(quiet, "LITERAL"))


@POLICIES
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 9_999), has_operator=st.booleans())
def test_hours_left_out_change_no_record(policy, seed, has_operator):
    history = wild(seed)
    quick = replay(history, policy, has_operator=has_operator)
    assert quick == replay(history, policy, has_operator=has_operator, is_hourly=True)
    assert quick == replay(history, policy, has_operator=has_operator)


def test_the_made_up_histories_try_every_rule():
    runs = [replay(wild(seed), policy) for seed in range(6) for policy in ("LITERAL", "SAFE")]
    seen = {(one.from_state, one.to_state) for run in runs for one in run.transitions}
    assert seen == {(A, B), (A, D), (B, A), (B, D), (D, B)}
    assert any(run.tightened_hours for run in runs)


@pytest.mark.parametrize(("day", "utc_hour"), [(date(2020, 1, 15), 21), (date(2020, 7, 15), 20)])
def test_the_vix_is_unknown_until_new_york_has_closed(day, utc_hour):
    clock = SimClock(to_ns(datetime(day.year, day.month, day.day, utc_hour, 14, 59, tzinfo=UTC)))
    before = DailyClose(day - timedelta(days=1), Decimal(14))
    feed = PublishedVix([before, DailyClose(day, Decimal(80))], clock)
    assert feed.latest().value == 14.0
    assert len(feed.daily_closes()) == 1
    clock.advance_to(clock.now_ns() + NS_PER_S)
    assert feed.latest() == VolObservation(80.0, clock.now_ns())
    assert [one.value for one in feed.daily_closes()] == [14.0, 80.0]
    assert PublishedVix([DailyClose(day, Decimal(80))], SimClock(0)).latest() is None


def test_the_session_is_open_on_days_of_the_index_only():
    is_open = Sessions([DailyClose(MONDAY, Decimal(100))])
    first, last = open_ns(MONDAY), close_ns(MONDAY)
    assert (from_ns(first), from_ns(last)) == (kst(MONDAY, 9), kst(MONDAY, 15, 30))
    assert [is_open(at) for at in (first - 1, first, last - 1, last)] == [False, True, True, False]
    assert not is_open(first + NS_PER_DAY)


def test_only_days_within_the_vix_are_used():
    history = made(flat(30))
    short = History(history.index, history.vix[5:20])
    assert short.shared() == history.index[5:20]
    run = replay(short, "LITERAL")
    assert run.stays[0].begin_ns == close_ns(history.index[5].day)
    assert from_ns(run.stays[-1].end_ns) == kst(history.index[19].day, 0) + timedelta(days=1)


# The account


class Books:
    """An account on weekdays, and its metrics."""

    def __init__(self, close=100, state=B):
        self.days = weekdays(MONDAY)
        self.properties = STATE_PROPERTIES[state]
        first = DailyClose(next(self.days), Decimal(close))
        self.clock = SimClock(close_ns(first.day))
        self.account = IndexAccount(StateConfig(), self.clock, first, self.properties)

    def close(self, *closes, state=B):
        for close in closes:
            day = next(self.days)
            self.clock.advance_to(open_ns(day))
            self.account.open_session()
            self.clock.advance_to(close_ns(day))
            self.account.close_session(DailyClose(day, Decimal(close)), STATE_PROPERTIES[state])
        return self.account.metrics(None)[0]


def test_the_account_is_the_index():
    books = Books()
    metrics = books.close("110", "99")
    assert metrics.drawdown_pct == pytest.approx(0.1)
    assert metrics.daily_loss_pct == pytest.approx(0.1)
    assert metrics.consecutive_profitable_days == 0
    assert metrics.vix is None
    books.account.open_session()
    assert books.account.metrics(None)[0].daily_loss_pct == 0.0
    assert books.close("99.5", "100").consecutive_profitable_days == 2


def test_a_round_trip_wins_after_the_fee_only():
    assert Books().close("100.02", "100.04").consecutive_scalp_losses == 2
    assert Books().close("99", "98", "98.04").consecutive_scalp_losses == 0
    assert Books().close("100.03").consecutive_scalp_losses == 0  # exactly the fee: neither


def test_no_round_trip_begins_while_the_state_forbids_it():
    books = Books()
    assert books.close("99", state=D).consecutive_scalp_losses == 1  # entered before
    assert books.close("98", "97", "96", state=D).consecutive_scalp_losses == 1
    assert books.close("95").consecutive_scalp_losses == 1
    assert books.close("94").consecutive_scalp_losses == 2


def test_the_win_rate_counts_every_day_and_every_week():
    # Days 2 to 19: 18 SCALP trades; the weeks that end on days 6, 11 and 16: 3 SWING trades.
    closes = [f"{100 + number * 0.1:.1f}" for number in range(1, 19)]
    books = Books()
    assert books.close(*closes[:16]).win_rate_30d is None  # 16 and 3
    assert books.close(closes[16]).win_rate_30d == 1.0
    assert books.close("90").win_rate_30d == pytest.approx(20 / 21)


# Page and picture


def texts_of(drawn):
    return {text.text for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")}  # noqa: S314 - our own


@pytest.fixture(scope="module")
def fallen():
    """2008 made up: two falls in it, the second one after a recovery, and no DEFENSIVE at its end."""
    history = made(
        [*flat(30), "88", *flat(10, 88), "96", "97", "98", "98", *flat(10, 98), "80", *flat(20, 81)],
        18,
        date(2008, 1, 7),
    )
    return history, replay_all(history)


def test_the_tables_say_what_the_runs_did(fallen):
    history, runs = fallen
    shares, falls, changes = tables(history, runs).split("\n\n")
    assert [line.split(" | ")[0] for line in shares.splitlines()[2:]] == [
        "| LITERAL, rules alone",
        "| SAFE, rules alone",
        "| LITERAL, with operator",
        "| SAFE, with operator",
    ]
    assert falls.splitlines()[2].startswith(
        "| 2008-01-07 to 2008-03-24: -20.00 % | LITERAL, rules alone | BALANCED | 2008-02-18 | -12.00 % |"
    )
    assert changes.splitlines()[2] == (
        "| 2008-02-18 | BALANCED | DEFENSIVE | DRAWDOWN_THRESHOLD_EXCEEDED | drawdown 12.00 % | both |"
    )
    assert len(changes.splitlines()) == 2 + len(runs[0].transitions)


def test_a_fall_without_defensive_says_never_and_one_that_was_left_says_so():
    calm = made([*flat(10), "95", *flat(5, 95)], 18, date(2008, 1, 7))
    assert tables(calm, [replay(calm, "LITERAL")]).split("\n\n")[1].endswith("| BALANCED | never |  | 0.00 % |  |")
    closes = [*flat(20), "89", *flat(10, 89), "96", "97", "98", "98", "94", "92", "88.9"]
    left = made(closes, 18, date(2008, 1, 7))
    assert tables(left, [replay(left, "LITERAL")]).split("\n\n")[1].endswith("| already out |")
    other = made(flat(10), first=date(2011, 1, 3))
    shares, falls, changes = tables(other, [replay(other, "SAFE")]).split("\n\n")
    assert shares.endswith("| 100.00 % | 0.00 % | none |")
    assert len(falls.splitlines()) == 2 == len(changes.splitlines()), "only heads"


@pytest.mark.parametrize(
    ("history", "value"),
    [
        (made([*flat(20), "89"]), "drawdown 11.00 %"),
        (made([*flat(20), "92"]), "market halted"),
        (made(flat(20), {0: 18, 15: "31.5"}), "VIX 31.50"),
        (made([*CRASH, "96", "97", "98", "98"]), "drawdown 2.00 %, VIX 18.00, 3 days up"),
        (climbing_then("0.03", after=8), "day -3.00 %"),
        (climbing_then("0.03", after=8), "CAGR 68.43 %, 90 days +13.64 %, 100.00 % won, VIX 12.00"),
        (made([*rising(75), *flat(9, "116.1")], 12), "6 losses in a row"),
    ],
)
def test_every_reason_is_told_with_its_value(history, value):
    rows = tables(history, [replay(history, "LITERAL")]).split("\n\n")[2].splitlines()[2:]
    assert value in [row.split(" | ")[4] for row in rows]


def test_the_picture_has_a_coloured_stretch_for_every_stay(fallen):
    history, runs = fallen
    drawn = picture(history, runs)
    assert drawn == picture(history, runs)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    bands = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert [rect.find(f"{SVG}title").text.split()[0] for rect in bands] == [
        stay.state for run in runs for stay in run.stays
    ]
    width = sum(float(rect.get("width")) for rect in bands) / len(runs)
    left = float(bands[0].get("x"))
    assert float(bands[-1].get("x")) + float(bands[-1].get("width")) == pytest.approx(left + width, abs=0.1)
    assert texts_of(drawn) >= {"DEFENSIVE", "LITERAL, rules alone", "2008: -20 %"}


def test_years_are_marked_every_fifth_with_a_number():
    history = made(flat(700), first=date(2009, 6, 1))
    texts = texts_of(picture(history, [replay(history, "LITERAL")]))
    assert "2010" in texts
    assert not texts & {"2009", "2011", "2012"}


def test_thinning_keeps_extremes_in_their_order():
    noon = to_ns(kst(MONDAY, 12))
    week = [Point(noon + number * NS_PER_DAY, value) for number, value in enumerate([3.0, 9.0, 5.0, 1.0, 4.0])]
    assert list(thinned(week)) == [week[1], week[3]]
    assert list(thinned(week[:1])) == week[:1]
