"""Where notices go. Chat and mail join with the room that talks to the outside."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, TextIO

from qts.safety.notices import Notice, NoticeLevel


class Route(StrEnum):
    """What kind of way a channel is."""

    LOG = "LOG"
    TERMINAL = "TERMINAL"
    CHAT = "CHAT"
    MAIL = "MAIL"
    SECONDARY = "SECONDARY"


ROUTES: Final = MappingProxyType(
    {
        NoticeLevel.INFO: frozenset({Route.LOG}),
        NoticeLevel.WARNING: frozenset({Route.LOG, Route.TERMINAL, Route.CHAT}),
        NoticeLevel.FAIL: frozenset({Route.LOG, Route.TERMINAL, Route.CHAT, Route.MAIL}),
        NoticeLevel.LOCKDOWN: frozenset({Route.LOG, Route.TERMINAL, Route.CHAT, Route.MAIL}),
    }
)
"""The ways that a notice of each level takes at once; SECONDARY (a telephone, another person) is for escalation."""


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str:
        """Names it once."""
        ...

    @property
    def route(self) -> Route:
        """What kind of way it is."""
        ...

    def send(self, notice: Notice) -> None:
        """Deliver. May block; whatever it raises means that it was not delivered, and it is tried again."""
        ...


class MemoryChannel:
    """Keeps what was sent, for programs that look at it themselves.

    Args:
        name: name of the channel.
        route: what kind of way it stands for.
    """

    def __init__(self, name: str = "memory", route: Route = Route.LOG) -> None:
        self.name = name
        self.route = route
        self.sent: list[Notice] = []

    def send(self, notice: Notice) -> None:
        """Keep it."""
        self.sent.append(notice)


class LogChannel:
    """Appends one JSON object a line to a file.

    Args:
        path: the file, usually `QTS_HOME/logs/safety.jsonl`; its directory is made.
    """

    def __init__(self, path: Path) -> None:
        self.name = "log"
        self.route = Route.LOG
        self._path = path

    def send(self, notice: Notice) -> None:
        """Append it; OSError if the disk does not take it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({**notice.as_dict(), "text": notice.text("en")}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


class TerminalChannel:
    """Writes the text of a notice to a stream, in the language of whoever sits there.

    Args:
        stream: default standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.name = "terminal"
        self.route = Route.TERMINAL
        self._stream = stream

    def send(self, notice: Notice) -> None:
        """Write and flush it."""
        stream = self._stream or sys.stderr
        stream.write(f"{notice.text()}\n")
        stream.flush()
