"""The volatility index: unknown is no level, and a rank needs a history."""

import csv
import math
from datetime import UTC, datetime, timedelta

import pytest
from state_samples import START

from qts.clock import NS_PER_DAY, SimClock, to_ns
from qts.config import VolIndexConfig
from qts.state import VolObservation
from qts.state.vol_index import CLOSES_MIN, KILL_LEVEL, VolIndex, level_of_rank

NOW = to_ns(START)


class Feed:
    def __init__(self, value=None, age_s=0, closes=()):
        self.value, self.age_s, self.closes = value, age_s, closes

    def latest(self):
        return None if self.value is None else VolObservation(self.value, NOW - self.age_s * 1_000_000_000)

    def daily_closes(self):
        return [VolObservation(value, NOW - (len(self.closes) - n) * NS_PER_DAY) for n, value in enumerate(self.closes)]


def index(feed, scaling="RAW", source="VIX"):
    settings = VolIndexConfig(source=source, scaling=scaling)
    return VolIndex.from_settings(settings, feed, SimClock(NOW))


def test_the_shipped_index_is_the_vix_as_published():
    settings = VolIndexConfig()
    assert (settings.source, settings.scaling, settings.max_age_sec) == ("VIX", "RAW", 900)
    assert index(Feed(23.5, 70)).read() == VolObservation(23.5, NOW - 70_000_000_000)


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.nan, math.inf, 200.1])
def test_what_is_no_level_is_unknown(value):
    for scaling in ("RAW", "PERCENTILE"):
        assert index(Feed(value, closes=[20.0] * 300), scaling).read() is None
        assert not index(Feed(value), scaling).calls_for_kill(1.0)


def test_no_feed_is_unknown():
    assert index(None).read() is None
    assert index(Feed(20.0), source="NONE").read() is None


@pytest.mark.parametrize(
    ("rank", "level"),
    [
        (0.0, 5.0),
        (0.30, 15.0),
        (0.45, 17.5),
        (0.60, 20.0),
        (0.75, 25.0),
        (0.85, 30.0),
        (0.97, 40.0),
        (1.0, 50.0),
        (1.1, 50.0),
    ],
)
def test_ranks_map_to_levels(rank, level):
    assert level_of_rank(rank) == pytest.approx(level)


def test_a_rank_is_taken_within_two_years():
    ramp = [float(value) for value in range(1, 101)] * 5
    assert index(Feed(60.5, closes=ramp), "PERCENTILE").read().value == pytest.approx(20.0)
    assert index(Feed(97.5, closes=ramp), "PERCENTILE").read().value == pytest.approx(40.0)
    old = [1.0] * 1_000 + [50.0] * 730  # what lies further back than two years does not count
    assert index(Feed(49.0, closes=old), "PERCENTILE").read().value == pytest.approx(5.0)


def test_too_short_a_history_is_unknown():
    assert index(Feed(20.0, closes=[20.0] * (CLOSES_MIN - 1)), "PERCENTILE").read() is None
    assert index(Feed(20.0, closes=[20.0] * CLOSES_MIN), "PERCENTILE").read() is not None


@pytest.mark.parametrize(
    ("value", "age_s", "kills"),
    [(39.99, 0, False), (40.0, 0, True), (40.01, 0, True), (40.0, 60, True), (40.0, 61, False), (40.0, -1, False)],
)
def test_forty_kills_if_it_is_fresh(value, age_s, kills):
    assert KILL_LEVEL == 40.0
    assert index(Feed(value, age_s)).calls_for_kill(None) is kills


@pytest.mark.parametrize(("realised", "kills"), [(None, False), (0.0799, False), (0.08, True)])
def test_a_rank_kills_only_beside_realised_volatility(realised, kills):
    ramp = [float(value) for value in range(1, 101)] * 5
    assert index(Feed(99.0, closes=ramp), "PERCENTILE").calls_for_kill(realised) is kills


@pytest.mark.recordings
def test_the_recorded_index_normalised_by_itself_keeps_its_extremes(recordings):
    with (recordings / "index/VIX-daily.csv").open(newline="") as file:
        rows = [
            VolObservation(float(row["CLOSE"]), to_ns(datetime.fromisoformat(row["DATE"]).replace(tzinfo=UTC)))
            for row in csv.DictReader(file)
        ]

    class Recorded:
        def __init__(self, at):
            self.at = to_ns(at)

        def latest(self):
            return max((row for row in rows if row.asof_ns <= self.at), key=lambda row: row.asof_ns)

        def daily_closes(self):
            return rows

    def level(*day):
        at = datetime(*day, tzinfo=UTC)
        return VolIndex(Recorded(at), SimClock(to_ns(at + timedelta(hours=1))), "PERCENTILE").read().value

    assert level(2008, 10, 10) > 40
    assert level(2020, 3, 16) > 40
    assert level(2017, 11, 3) < 15  # 9.14, among the lowest ever
