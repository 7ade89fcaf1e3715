"""Files that grow by whole lines, and how trouble with them is told."""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from qts.event.consumers.messages import text

WAITING_MAX: Final = 65_536
"""Lines that wait in memory for a file that cannot be written."""

Tell: TypeAlias = Callable[[str], None]
"""Takes one line for the operator, in the operator's language. It must not raise."""


class Trouble:
    """Tells of trouble with a file once, and again only after it was over.

    Args:
        path: the file.
        effect: key of the text that says what that means and what to do.
        tell: where to.
    """

    def __init__(self, path: Path, effect: str, tell: Tell) -> None:
        self._path = path
        self._effect = effect
        self._tell = tell
        self.is_open = False

    def begins(self, error: OSError) -> None:
        """Tell of it, unless that has been done."""
        if not self.is_open:
            self.is_open = True
            self._tell(text("trouble", path=self._path, error=error.strerror or error, effect=text(self._effect)))

    def ends(self, lost: int = 0) -> None:
        """Say that it is over, if there was any; `lost` lines are missing."""
        if self.is_open:
            self.is_open = False
            self._tell(text("over", path=self._path, lost=lost))


class LineFile:
    """An append-only file. What cannot be written waits, in order, and is tried again before the next line.

    A line is in the file as a whole once `append` has returned and `waiting` is 0; a torn line that a crash has left is
    ended by the first one that follows. From any thread.

    Args:
        path: its directory is made when the first line comes.
        is_synced: each line is on the disk before `append` returns.
        tell: takes trouble, once.
    """

    def __init__(self, path: Path, *, is_synced: bool, tell: Tell) -> None:
        self.path = path
        self.lost = 0
        """Lines given up because too many were waiting."""
        self._is_synced = is_synced
        self._trouble = Trouble(path, "lines_wait", tell)
        self._waiting: deque[bytes] = deque()
        self._offset = 0
        """Bytes of the first waiting line that are in the file already."""
        self._fd = -1
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Lines that could not be written yet."""
        return len(self._waiting)

    def append(self, line: bytes) -> None:
        """Add a line, given without its end. Never raises for the file's sake; blocks for the disk."""
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                del self._waiting[1]  # the first one may be in the file in part
                self.lost += 1
            self._waiting.append(line + b"\n")
            self._write()

    def close(self) -> None:
        """Try once more to write what waits, then close the file; it is opened again when needed."""
        with self._lock:
            if self._waiting:
                self._write()
            self._shut()

    def _write(self) -> None:
        written: list[bytes] = []
        try:
            if self._fd < 0:
                self._fd = self._open()
            while self._waiting:
                line = self._waiting[0]
                self._offset += os.write(self._fd, line[self._offset :])
                if self._offset == len(line):  # else the disk is full: the rest follows
                    written.append(self._waiting.popleft())
                    self._offset = 0
            if self._is_synced:
                os.fdatasync(self._fd)
        except OSError as error:
            if not self._waiting:  # the sync failed, and what was written cannot be trusted: rather twice than never
                self._waiting.extend(written)
            self._trouble.begins(error)
            self._shut()
        else:
            self._trouble.ends(self.lost)

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = not self._offset and ends_torn(self.path)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if is_torn:
            self._waiting.appendleft(b"\n")
        return fd

    def _shut(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def ends_torn(path: Path) -> bool:
    """Whether the last line of a file has no end; False for one that does not exist or is empty."""
    try:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file at once: a reader sees the one before or this one, whole.

    Raises:
        OSError: it cannot be written; the one before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
