import pytest

from qts.config import ConfigManager
from qts.instruments import Catalog, load_calendars


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


@pytest.fixture(scope="session")
def reference():
    return ConfigManager().load().reference


@pytest.fixture(scope="session")
def catalog(reference):
    return Catalog.load(reference)


@pytest.fixture(scope="session")
def krx(reference):
    return load_calendars(reference)["XKRX"]
