"""Removes what has had its time, once a good backup has it."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.data.sqlite.expiry import expire, expired
from qts.ops.backup.keeping import backup_age

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qts.clock import Clock

_DAY: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


class DayFiles(NamedTuple):
    """Files of which each holds one UTC day, which stands in its name: 2024-01-02 or 20240102."""

    directory: Path
    pattern: str
    """Which files, such as `ticks-*.db`; what belongs to one, such as its `-wal`, goes with it."""
    days: int
    """Whole days that are kept, today not counted."""


class Upkeep(NamedTuple):
    """What was removed, or would be."""

    files: tuple[Path, ...]
    rows: dict[str, int]
    """Rows of each table."""
    skipped: str
    """Why nothing was removed; empty if it was."""


def plan_upkeep(databases: Sequence[Path], day_files: Sequence[DayFiles], backup_root: Path, clock: Clock) -> Upkeep:
    """Return what `run_upkeep` would remove, without touching anything."""
    rows: dict[str, int] = {}
    for path in databases:
        _add(rows, expired(path, clock.now_utc()))
    return Upkeep(_old_files(day_files, clock.now_utc().date()), rows, _held_back(backup_root, clock))


def run_upkeep(databases: Sequence[Path], day_files: Sequence[DayFiles], backup_root: Path, clock: Clock) -> Upkeep:
    """Remove day files and rows that have had their time; nothing at all if the last backup is not good or too old.

    Links are not followed, and a file whose name holds no day is left alone. Others may use the databases meanwhile.

    Raises:
        UsageError: a database is not ours.
        OSError: a file cannot be removed; those before it are gone.
    """
    held_back = _held_back(backup_root, clock)
    if held_back:
        return Upkeep((), {}, held_back)
    files = _old_files(day_files, clock.now_utc().date())
    for path in files:
        path.unlink()
    rows: dict[str, int] = {}
    for database in databases:
        _add(rows, expire(database, clock.now_utc()))
    return Upkeep(files, rows, "")


def _held_back(backup_root: Path, clock: Clock) -> str:
    age = backup_age(backup_root, clock)
    if not age.code:
        return ""
    last = "there is no verified backup" if age.age_h is None else f"{age.name} is {age.age_h:.1f} h old"
    return f"{age.code}: {last}"


def _old_files(day_files: Sequence[DayFiles], today: date) -> tuple[Path, ...]:
    found = []
    for kind in day_files:
        oldest = today - timedelta(days=kind.days)
        for path in sorted(kind.directory.glob(f"{kind.pattern}*")) if kind.directory.is_dir() else ():
            day = _day_of(path.name)
            if day is not None and day < oldest and path.is_file() and not path.is_symlink():
                found.append(path)
    return tuple(found)


def _day_of(name: str) -> date | None:
    for year, month, day in _DAY.findall(name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def _add(rows: dict[str, int], more: dict[str, int]) -> None:
    for table, count in more.items():
        rows[table] = rows.get(table, 0) + count
