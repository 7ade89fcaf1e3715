"""REPORT_GENERATE: reports, whole or not at all."""

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from qts.event.contracts import Event
from qts.event.errors import EventError
from qts.event.handlers import EventHandler
from qts.event.types import EventType


class ReportRequest(NamedTuple):
    """What was asked for.

    Args:
        report: name of the report.
        at: when it was asked for, UTC.
        event_id: of the event that asked.
        params: the rest of its payload.
    """

    report: str
    at: datetime
    event_id: str
    params: Mapping[str, Any]


ReportMaker: TypeAlias = Callable[[ReportRequest, Path], object]
"""Makes a report: a file or a directory at the path given, where nothing is yet. Any exception leaves no trace.

It runs on the thread of P3: past the limit of that level it counts as stuck and another thread goes on."""


class ReportConsumer(EventHandler):
    """Makes the reports that REPORT_GENERATE events ask for.

    A payload has `report`, the name of a maker, and `target`, a path inside `directory` (the name of the report unless
    given). A report is made beside its target and put in its place when it is whole; an earlier one is replaced.

    Args:
        directory: holds the reports.
        makers: by name; whoever composes the engine knows them.
    """

    def __init__(self, directory: Path, makers: Mapping[str, ReportMaker]) -> None:
        self._directory = directory
        self._makers = MappingProxyType(dict(makers))
        self.made = 0
        """Reports made so far."""

    def wants(self, kind: EventType) -> bool:
        """Return whether it is REPORT_GENERATE."""
        return kind is EventType.REPORT_GENERATE

    def handle(self, event: Event) -> None:
        """Make a report.

        Raises:
            EventError: an unknown report, a target outside the directory, or a maker that makes nothing.
            OSError: it cannot be written.
        """
        payload = dict(event.payload)
        name = payload.pop("report", None)
        maker = self._makers.get(name) if isinstance(name, str) else None
        if maker is None:
            known = ", ".join(sorted(self._makers)) or "none, for no report is known here"
            raise EventError(event.event_type, "report", found=f"{name!r:.80}", expected=f"one of {known}")
        target = self._target(payload.pop("target", name))
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            part = place / target.name
            maker(ReportRequest(name, event.timestamp, event.event_id, MappingProxyType(payload)), part)
            if not part.exists():
                raise EventError(event.event_type, "report", found=f"{name} made nothing", expected="a report")
            _put(part, target, place / "earlier")
        finally:
            shutil.rmtree(place)
        self.made += 1

    def _target(self, given: object) -> Path:
        path = PurePosixPath(given) if isinstance(given, str) else PurePosixPath()
        target = self._directory / path
        is_inside = path.name and not path.is_absolute() and ".." not in path.parts
        # A link inside the directory may lead anywhere.
        if not is_inside or not target.parent.resolve().is_relative_to(self._directory.resolve()):
            raise EventError(
                EventType.REPORT_GENERATE,
                "target",
                found=f"{given!r:.80}",
                expected="a path inside the reports",
            )
        return target


def _put(part: Path, target: Path, aside: Path) -> None:
    """Put a report in its place; a directory that is there steps aside first, and comes back if that fails."""
    if not target.is_dir() or target.is_symlink():
        part.replace(target)  # one step for files; a directory that is new needs no more
        return
    earlier = target.rename(aside)
    try:
        part.rename(target)
    except OSError:
        earlier.rename(target)
        raise
