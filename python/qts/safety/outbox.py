"""What has been posted and not yet delivered, kept in a file so that a crash delays a notice and never loses it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from qts.safety.files import PRIVATE, replace_file, write_all
from qts.safety.notices import Notice, NoticeLevel, parsed

KEPT: Final = 1_000
"""Deliveries that may wait; beyond it the oldest below FAIL gives way."""
_LINES_BEFORE_REWRITE: Final = 4_000


class Delivery(NamedTuple):
    """A notice on its way to one channel."""

    notice: Notice
    channel: str


class Outbox(Protocol):
    """Deliveries that are due."""

    def put(self, notice: Notice, channels: Iterable[str]) -> None:
        """Add deliveries; OSError if they are not durable, they are due all the same."""
        ...

    def done(self, delivery: Delivery) -> None:
        """Take a delivery out."""
        ...

    def due(self) -> list[Delivery]:
        """Return what is to be delivered, oldest first."""
        ...


class MemoryOutbox:
    """Deliveries of a process that keeps nothing."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, str], Delivery] = {}
        self.dropped = 0

    def put(self, notice: Notice, channels: Iterable[str]) -> None:
        """Add deliveries."""
        for channel in channels:
            self._due[notice.event_id, channel] = Delivery(notice, channel)
        while len(self._due) > KEPT and (key := self._first_that_gives_way()) is not None:
            del self._due[key]
            self.dropped += 1

    def done(self, delivery: Delivery) -> None:
        """Take a delivery out."""
        self._due.pop((delivery.notice.event_id, delivery.channel), None)

    def due(self) -> list[Delivery]:
        """Return what is to be delivered, oldest first."""
        return list(self._due.values())

    def _first_that_gives_way(self) -> tuple[str, str] | None:
        limit = NoticeLevel.FAIL.severity
        return next((key for key, row in self._due.items() if row.notice.level.severity < limit), None)


class FileOutbox(MemoryOutbox):
    """Deliveries in a file: a line for what was put, a line for what was done. Delivery is at least once.

    Lines that cannot be read, such as the last one after a crash, are left out and counted in `unread`.

    Args:
        path: the file; what it holds is due again.

    Raises:
        OSError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.unread = 0
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._replay(line)
        self._lines = 0
        self._is_torn = False
        self._rewrite()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, PRIVATE)

    def put(self, notice: Notice, channels: Iterable[str]) -> None:
        """Add deliveries durably. Blocks for one sync; OSError if the disk does not take them."""
        names = tuple(channels)
        super().put(notice, names)
        self._append({"put": notice.as_dict(), "to": names})
        os.fsync(self._descriptor)

    def done(self, delivery: Delivery) -> None:
        """Take a delivery out; a crash before this reaches the disk delivers it twice."""
        super().done(delivery)
        self._append({"done": delivery.notice.event_id, "to": [delivery.channel]})
        if self._lines >= _LINES_BEFORE_REWRITE:
            os.close(self._descriptor)
            self._rewrite()
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, PRIVATE)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, document: dict[str, object]) -> None:
        # A line that the disk took only a part of is ended first, so that it spoils no other.
        line = b"\n" * self._is_torn + _line(document)
        self._is_torn = True
        write_all(self._descriptor, line)
        self._is_torn = False
        self._lines += 1

    def _rewrite(self) -> None:
        puts = [_line({"put": row.notice.as_dict(), "to": [row.channel]}) for row in self.due()]
        replace_file(self._path, b"".join(puts))
        self._lines = len(puts)

    def _replay(self, line: bytes) -> None:
        try:
            document = json.loads(line)
            names = [str(name) for name in document["to"]]
            if "done" in document:
                for name in names:
                    self._due.pop((str(document["done"]), name), None)
            else:
                super().put(parsed(document["put"]), names)
        except (ValueError, KeyError, TypeError):
            self.unread += 1


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"
