"""Trading days on disk: the library works them out from its rules for seconds, and the answer is always the same.

A file below `QTS_HOME/cache/calendars` holds what one version of the library said for one range of days. It is used
only if it is whole and for exactly that; anything else, and a disk that takes none, means to ask the library again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Final, TypeAlias

from qts.config import ExchangeCalendar, home_dir

LibraryDays: TypeAlias = tuple[list[date], set[date]]
"""Trading days, and days on which the exchange was closed out of turn."""

_FORM: Final = 1
_SOURCES: Final = ("exchange_calendars", "korean_lunar_calendar", "pandas")
"""What the days are worked out by: another version of any may know other days."""
_DIGEST_LEN: Final = 64


def kept_days(rules: ExchangeCalendar, ask: Callable[[], LibraryDays]) -> LibraryDays:
    """Return the days that the library gives for `rules`: as they were kept, else from `ask`, and keep them."""
    subject = _subject(rules)
    if subject is None:
        return ask()
    path = home_dir() / "cache" / "calendars" / f"{hashlib.sha256(subject.encode()).hexdigest()[:32]}.json"
    found = _read(path, subject)
    if found is None:
        found = ask()
        with contextlib.suppress(OSError):
            _write(path, subject, found)
    return found


def _subject(rules: ExchangeCalendar) -> str | None:
    """Return what the days are the days of; None if the version of the library cannot be told."""
    try:
        versions = [f"{name} {metadata.version(name)}" for name in _SOURCES]
    except metadata.PackageNotFoundError:
        return None
    return "; ".join([f"form {_FORM}", rules.library, f"{rules.first_day} to {rules.last_day}", *versions])


def _read(path: Path, subject: str) -> LibraryDays | None:
    try:
        content = path.read_bytes()
        digest, body = content[:_DIGEST_LEN], content[_DIGEST_LEN + 1 :]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        kept = json.loads(body)
        if kept["subject"] != subject:
            return None
        return _dates(kept["sessions"]), set(_dates(kept["closed"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _write(path: Path, subject: str, days: LibraryDays) -> None:
    sessions, closed = days
    kept = {
        "subject": subject,
        "sessions": [day.toordinal() for day in sessions],
        "closed": sorted(day.toordinal() for day in closed),
    }
    body = json.dumps(kept, separators=(",", ":")).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")  # two processes may start at the same time
    try:
        fresh.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _dates(numbers: Sequence[int]) -> list[date]:
    return [date.fromordinal(number) for number in numbers]
