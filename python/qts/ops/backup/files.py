"""Files of a set: copied with their checksum, synced, listed."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from qts.codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK: Final = 1 << 20
_SMALL: Final = 1 << 16
PRIVATE: Final = 0o600


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_whole(source: Path, target: Path, *, whole_lines: bool = False) -> None:
    """Copy a file that is replaced whole or only grows, as long as it is at the start.

    With `whole_lines` the copy ends with its last line end, since a line may be half written.
    """
    size = source.stat().st_size
    with source.open("rb") as read, _created(target) as write:
        left = size
        while left and (chunk := read.read(min(_CHUNK, left))):
            write.write(chunk)
            left -= len(chunk)
    if whole_lines:
        _cut_last_line(target)


def copy_backwards(source: Path, target: Path) -> None:
    """Copy a file that grows meanwhile, last piece first.

    What is in a late piece was written before it was read, so everything in front of it is there when the earlier
    pieces are read: the copy ends early, perhaps in the middle of a record, but has no hole. Zeros are left out.
    """
    size = source.stat().st_size
    with source.open("rb") as read, _created(target) as write:
        write.truncate(size)
        for start in range((size - 1) // _SMALL * _SMALL if size else 0, -1, -_SMALL):
            chunk = os.pread(read.fileno(), min(_SMALL, size - start), start)
            if chunk.strip(b"\0"):
                os.pwrite(write.fileno(), chunk, start)


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner alone, synced when it is written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(descriptor, "r+b") as file:
        yield file
        file.flush()
        os.fsync(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Create a file with a content, synced."""
    with _created(path) as file:
        file.write(content)


def _cut_last_line(path: Path) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _SMALL)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                file.truncate(start + at + 1)
                return
            end = start
        file.truncate(0)


def sync_tree(root: Path) -> None:
    """Make every name in a tree survive a crash of the machine."""
    for directory, _, _ in os.walk(root):
        sync_directory(directory)


def sync_directory(path: Path | str) -> None:
    """Make what was created, renamed or removed in a directory survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def regular_files(root: Path) -> list[Path]:
    """Return the files below a directory in the order of their names; no links, sockets or pipes."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(path for path in found if not any(parent.is_symlink() for parent in path.parents))


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the place of the sets for this process; the system lets go of it when the process ends.

    Raises:
        UsageError: another process makes or removes sets there, or nothing can be written.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise UsageError(
            found=f"{root} cannot be written to ({error.strerror})",
            expected="a directory for backups",
            hint="name a directory that this user may write to",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise UsageError(
            found=f"another process is at work in {root}",
            expected="one backup at a time",
            hint="wait until it has ended",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
