"""What several rooms' tests share."""

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from qts.engine import write_sample

from .servers import _killable_server, postgres, postgres_empty, postgres_private, postgres_server  # noqa: F401
from .timescale import timescale, timescale_process, timescale_server  # noqa: F401

settings.register_profile("house", deadline=None)  # how long an example takes says nothing on a machine that is shared
settings.load_profile("house")
RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


class Sample(NamedTuple):
    """Generated data: one session of ticks, sixty of daily bars."""

    ticks: Path
    daily: Path


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Sample:
    out = tmp_path_factory.mktemp("sample")
    write_sample(out, seed=7, days=60)
    return Sample(out / "ticks.csv.gz", out / "daily.csv")


@pytest.fixture(scope="session")
def recordings() -> Path:
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings in ../shared/data are not here")
    return RECORDINGS


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch) -> None:
    """Keep every test away from the state and the language of whoever runs it."""
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "qts-home"))
    monkeypatch.setenv("QTS_LANG", "en")
