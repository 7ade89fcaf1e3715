"""Which sets are kept, and how old the last good one is."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.ops.backup.contracts import MANIFEST, MAX_AGE_H, PREFIX, VERIFIED, BackupAge, BackupSet
from qts.ops.backup.create import KST
from qts.ops.backup.files import only_one, sha256_of, sync_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qts.clock import Clock

DAILY: Final = 30
WEEKLY: Final = 12
MONTHLY: Final = 60
_HOUR: Final = timedelta(hours=1)


class Keeping(NamedTuple):
    """What is kept and what may go."""

    keep: tuple[BackupSet, ...]
    drop: tuple[BackupSet, ...]


def backups(root: Path) -> list[BackupSet]:
    """Return the sets of a place, the oldest first; what was never finished is none."""
    found = []
    for path in sorted(root.glob(f"{PREFIX}*")) if root.is_dir() else ():
        try:
            stamp = datetime.strptime(path.name.removeprefix(PREFIX), "%Y%m%d_%H%M%S").replace(tzinfo=KST)
        except ValueError:
            continue
        if path.is_dir() and not path.is_symlink() and (path / MANIFEST).is_file():
            found.append(BackupSet(path, stamp, is_verified=_is_verified(path)))
    return found


def _is_verified(path: Path) -> bool:
    try:
        note = json.loads((path / VERIFIED).read_bytes())
        return bool(note["verify_result"] == "OK" and note["manifest_sha256"] == sha256_of(path / MANIFEST))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def plan_keeping(sets: Sequence[BackupSet]) -> Keeping:
    """Choose the newest good set of each of the last 30 days, 12 weeks and 60 months that have one, in Korean time.

    Only good sets count. One goes only if a newer good one is there; a set that is not known to be good goes when 30
    newer good ones are there, so that a series of bad backups never pushes out the last good one.
    """
    good = sorted((one for one in sets if one.is_verified), key=lambda one: one.backup_at, reverse=True)
    kept = {good[0].path} if good else set()
    for count, period in ((DAILY, _day), (WEEKLY, _week), (MONTHLY, _month)):
        newest: dict[tuple[int, ...], Path] = {}
        for one in good:
            newest.setdefault(period(one), one.path)
        kept |= {newest[key] for key in sorted(newest, reverse=True)[:count]}
    for one in sets:
        if not one.is_verified and sum(other.backup_at > one.backup_at for other in good) < DAILY:
            kept.add(one.path)
    keep = tuple(one for one in sets if one.path in kept)
    return Keeping(keep, tuple(one for one in sets if one.path not in kept))


def apply_keeping(root: Path) -> Keeping:
    """Remove the sets that need not be kept; return what was done. A set that is being removed is none any more.

    Raises:
        UsageError: another process is at work there.
    """
    with only_one(root):
        plan = plan_keeping(backups(root))
        for one in plan.drop:
            going = root / f".{one.path.name}.going"
            one.path.rename(going)
            sync_directory(root)
            shutil.rmtree(going)
    return plan


def backup_age(root: Path, clock: Clock) -> BackupAge:
    """Return how old the last verified backup is, with GR108 if that is more than 26 hours, or there is none."""
    good = [one for one in backups(root) if one.is_verified]
    if not good:
        return BackupAge("", None, "GR108")
    last = max(good, key=lambda one: one.backup_at)
    age_h = (clock.now_utc() - last.backup_at) / _HOUR
    return BackupAge(last.path.name, age_h, "GR108" if age_h > MAX_AGE_H else "")


def _day(one: BackupSet) -> tuple[int, ...]:
    return one.backup_at.astimezone(KST).timetuple()[:3]


def _week(one: BackupSet) -> tuple[int, ...]:
    return one.backup_at.astimezone(KST).isocalendar()[:2]


def _month(one: BackupSet) -> tuple[int, ...]:
    return one.backup_at.astimezone(KST).timetuple()[:2]
