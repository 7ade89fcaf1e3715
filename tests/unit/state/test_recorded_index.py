"""The manager over the recorded volatility index. The recordings are no part of the project."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from state_samples import HOUR, NORMAL, QUIET, B, D, Desk

from qts.clock import to_ns
from qts.state import TransitionReason

pytestmark = pytest.mark.recordings

CLOSE_UTC = 21
CYCLES = 3
"""Evaluations on each day: enough to confirm, and one more."""


@pytest.fixture(scope="module")
def closes(recordings):
    with (recordings / "index/VIX-daily.csv").open(newline="") as file:
        return [(date.fromisoformat(row["DATE"]), float(row["CLOSE"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def run(closes):
    """A BALANCED account without losses that knows nothing but the index: days and states."""
    first = datetime(closes[0][0].year, 1, 1, tzinfo=UTC)
    desk = Desk(B, start=first)
    states = {}
    for day, close in closes:
        at = datetime(day.year, day.month, day.day, CLOSE_UTC, tzinfo=UTC)
        for hour in range(CYCLES):
            desk.clock.advance_to(to_ns(at + hour * HOUR))
            desk.look(replace(QUIET, vix=close, consecutive_profitable_days=3), NORMAL)
        states[day] = desk.state
    return desk, states


def by_hand(closes):
    """The same by daily closes: down above 30 after five days, up below 20 after five days."""
    state, since, seen = B, date(1990, 1, 1), []
    for day, close in closes:
        stay = (day - since).days if seen else (day - since).days + 1
        if state is B and close > 30 and stay >= 5:
            state, since = D, day
            seen.append((day, state))
        elif state is D and close < 20 and stay > 5:
            state, since = B, day
            seen.append((day, state))
    return seen


def test_the_history_gives_the_transitions_that_daily_closes_give(closes, run):
    desk, _ = run
    changes = [one for one in desk.manager.history(36_500) if one.from_state is not one.to_state]
    assert [(one.effective_at.date(), one.to_state) for one in changes] == by_hand(closes)
    reasons = {D: TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED, B: TransitionReason.RECOVERY_CONFIRMED}
    assert all(one.reason is reasons[one.to_state] for one in changes)
    for before, after in pairwise(changes):
        assert after.effective_at - before.effective_at > timedelta(days=5)


@pytest.mark.parametrize(
    ("day", "state"),
    [
        (date(1997, 10, 24), B),
        (date(1997, 10, 30), D),  # 38.2: the Asian crisis reaches New York
        (date(1998, 9, 1), D),
        (date(2001, 9, 17), D),  # 41.76
        (date(2006, 12, 29), B),
        (date(2008, 9, 12), B),  # 25.66, the Friday before Lehman
        (date(2008, 9, 15), D),  # 31.70: Lehman
        (date(2008, 10, 10), D),  # 69.95
        (date(2008, 11, 20), D),  # 80.86
        (date(2009, 6, 30), D),  # 26.35: fear is over 20 all year
        (date(2010, 1, 11), B),  # 17.55
        (date(2010, 5, 20), D),  # 45.79
        (date(2017, 12, 29), B),
        (date(2020, 2, 19), B),  # 14.38
        (date(2020, 3, 16), D),  # 82.69
        (date(2020, 12, 31), D),  # 22.75
        (date(2024, 7, 31), B),
        (date(2024, 8, 5), D),  # 38.57
    ],
)
def test_known_days(run, day, state):
    assert run[1][day] is state


def test_2008_falls_with_lehman_and_recovers_at_the_end_of_2009(run):
    desk, _ = run
    changes = [one for one in desk.manager.history(36_500) if one.effective_at.year in (2008, 2009)]
    assert [
        (one.effective_at.date(), one.to_state) for one in changes if one.effective_at.date() > date(2008, 9, 1)
    ] == [
        (date(2008, 9, 15), D),
        (date(2009, 12, 22), B),
    ]
