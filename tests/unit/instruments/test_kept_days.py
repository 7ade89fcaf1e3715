"""Trading days that are kept on disk are those of the library, or the library is asked."""

import json
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from qts.config import home_dir
from qts.instruments import TradingCalendar
from qts.instruments.kept_days import kept_days

DAYS = ([date(2026, 1, 2), date(2026, 1, 5)], {date(2026, 1, 1)})


@pytest.fixture
def rules(reference):
    return reference.calendars["XKRX"]


class Library:
    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return DAYS


def kept_file() -> Path:
    (path,) = (home_dir() / "cache" / "calendars").iterdir()
    return path


def test_the_library_is_asked_once(rules):
    library = Library()
    assert kept_days(rules, library) == kept_days(rules, library) == DAYS
    assert library.asked == 1


def test_a_calendar_of_kept_days_is_the_librarys(rules):
    first, again = TradingCalendar("XKRX", rules), TradingCalendar("XKRX", rules)
    table = first.session_table()
    assert kept_file().stat().st_size > 10_000
    assert again.session_table() == table
    assert again.sessions(date(1998, 1, 5), date(2026, 12, 30)) == first.sessions(date(1998, 1, 5), date(2026, 12, 30))


def test_another_range_is_asked_for_anew(rules):
    library = Library()
    kept_days(rules, library)
    kept_days(rules.model_copy(update={"last_day": date(2026, 12, 31)}), library)
    assert library.asked == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "forged"])
def test_a_damaged_file_is_not_believed_and_replaced(rules, damage):
    library = Library()
    kept_days(rules, library)
    path = kept_file()
    content = path.read_bytes()
    body = json.dumps({"subject": "another", "sessions": [1], "closed": []}).encode()
    path.write_bytes(
        {
            "cut": content[:-3],
            "flipped": content.replace(b"[7", b"[8"),
            "empty": b"",
            "forged": sha256(body).hexdigest().encode() + b"\n" + body,
        }[damage]
    )
    assert kept_days(rules, library) == DAYS
    assert library.asked == 2
    assert path.read_bytes() == content


def test_a_home_that_takes_no_file_costs_the_time_only(rules, monkeypatch, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("QTS_HOME", str(blocked))
    library = Library()
    assert kept_days(rules, library) == kept_days(rules, library) == DAYS
    assert library.asked == 2
