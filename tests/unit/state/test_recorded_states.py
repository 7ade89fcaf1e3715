"""The page of the operating states is what the recorded history gives. The recordings are no part of the project."""

from pathlib import Path

import pytest

from qts.state.history import History, read_history
from qts.state.replay import PICTURE, replay, replay_all
from qts.state.replay_page import tables
from qts.state.replay_picture import picture

DOCS = Path(__file__).parents[3] / "docs"
pytestmark = [pytest.mark.recordings, pytest.mark.slow]


@pytest.fixture(scope="module")
def whole(recordings):
    history = read_history(recordings / "index/VIX-daily.csv", recordings / "index/KOSPI200-daily.csv")
    return history, replay_all(history)


def test_the_tables_of_the_page_are_those_of_the_run(whole):
    page = (DOCS / "operating-states.md").read_text(encoding="utf-8")
    for table in tables(*whole).rstrip("\n").split("\n\n"):
        assert f"\n\n{table}\n" in page, "run `python -m qts.state.replay` and put its tables into the page"


def test_the_picture_of_the_page_is_that_of_the_run(whole):
    committed = DOCS / PICTURE
    assert committed.read_text(encoding="utf-8") == picture(*whole), "write the picture anew"
    assert committed.stat().st_size < 400_000


@pytest.mark.parametrize("policy", ["LITERAL", "SAFE"])
def test_hours_left_out_of_real_years_change_no_record(whole, policy):
    history = whole[0]
    part = History(tuple(one for one in history.index if 2005 <= one.day.year <= 2007), history.vix)
    quick = replay(part, policy)
    assert len(quick.transitions) > 10
    assert quick == replay(part, policy, is_hourly=True)
