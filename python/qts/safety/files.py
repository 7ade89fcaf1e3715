"""Small files that must survive a crash: replaced whole, synced, readable by their owner alone."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from qts.codes import UsageError
from qts.safety.messages import say

PRIVATE = 0o600


def canonical(document: Mapping[str, object]) -> bytes:
    """Return JSON with one spelling only: sorted keys, no blanks, UTF-8; ValueError for NaN and infinities."""
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` into `path` so that after a crash either the old or the new content is there, never a part.

    Blocks for two syncs. OSError if the disk does not take it; the old content stands then.
    """
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_directory(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte; a write may take fewer than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in a directory survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> int:
    """Return a descriptor that holds a directory for this process; the system lets go of it when the process ends.

    Raises:
        UsageError: another process holds it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "safety.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(
            found=say("held", path=directory), expected=say("held_expected"), hint=say("held_hint")
        ) from None
    return descriptor
