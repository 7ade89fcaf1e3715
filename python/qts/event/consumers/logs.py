"""LOG_WRITE: the application log and the audit file, lines of JSON."""

import logging
from contextlib import suppress
from datetime import date, time, timedelta
from io import TextIOWrapper
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any, Final

from qts.event.consumers.files import LineFile, Tell, Trouble, ends_torn
from qts.event.consumers.lines import encoded, line_of
from qts.event.handlers import ArrivalHandler
from qts.event.types import EventType
from qts.event.wire import Arrival

KEEP_DAYS: Final = 7
_KST_MIDNIGHT_UTC: Final = time(15, 0)
_FIRST: Final = ("level", "logger", "msg", "correlation_id", "cycle", "symbol", "code")
"""Fields in the order in which a line has them; whatever else there is follows."""


class _DailyFile(TimedRotatingFileHandler):
    """A log file that begins anew at midnight in Seoul; earlier ones carry their day."""

    def __init__(self, path: Path, keep_days: int) -> None:
        super().__init__(
            path,
            when="midnight",
            utc=True,
            atTime=_KST_MIDNIGHT_UTC,
            backupCount=keep_days,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        self.namer = _by_day_in_seoul

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the name and shape of `logging`
        """Give up what the stream holds, so that the next line opens the file again; raise."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
        raise

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = ends_torn(path)
        stream = super()._open()
        if is_torn:
            stream.write("\n")
        return stream


def _by_day_in_seoul(name: str) -> str:
    # The library names a file after the day on which it was begun, and a day in Seoul begins at 15:00 UTC before.
    stem, _, day = name.rpartition(".")
    return f"{stem}.{date.fromisoformat(day) + timedelta(days=1)}"


class LogConsumer(ArrivalHandler):
    """Writes the lines of LOG_WRITE events.

    A payload has `level` (INFO unless given), `logger`, `msg`, and whatever else belongs to the line. With `audit` set
    to true it goes to the audit file, which is only ever added to, and is on the disk when the handler returns; nothing
    of it is dropped. Anything else goes to the application log: a file a day in Seoul's time, kept for so many days. A
    line that stands for others (sampling) says for how many: `sampled_weight`.

    The rotation is that of the standard library: it renames, keeps and deletes what an operator expects, and the lines
    are made of events already, so a library that builds log records would have nothing to do.

    Args:
        directory: holds `qts.jsonl` and `audit.jsonl`.
        tell: takes trouble with a file, once.
        keep_days: earlier application logs that are kept.
    """

    def __init__(self, directory: Path, *, tell: Tell, keep_days: int = KEEP_DAYS) -> None:
        self.path = directory / "qts.jsonl"
        self._file = _DailyFile(self.path, keep_days)
        self._audit = LineFile(directory / "audit.jsonl", is_synced=True, tell=tell)
        self._trouble = Trouble(self.path, "lines_lost", tell)
        self.lines = 0
        """Lines of the application log that were written."""
        self.lost = 0
        """Lines of the application log that could not be."""

    @property
    def audit(self) -> LineFile:
        """The audit file."""
        return self._audit

    def wants(self, kind: EventType) -> bool:
        """Return whether it is LOG_WRITE."""
        return kind is EventType.LOG_WRITE

    def handle_arrival(self, arrival: Arrival) -> None:
        """Write a line; trouble with a file is told once and raises nothing."""
        payload: dict[str, Any] = {"level": "INFO", **arrival.event.payload}
        first: dict[str, Any] = {name: payload.pop(name) for name in _FIRST if name in payload}
        is_audit = payload.pop("audit", False) is True
        line = encoded(line_of(arrival, {**first, **payload}))
        if is_audit:
            self._audit.append(line.encode("utf-8", "backslashreplace"))
            return
        try:
            self._file.handle(logging.makeLogRecord({"msg": line}))
        except OSError as error:
            self.lost += 1
            self._trouble.begins(error)
        else:
            self.lines += 1
            self._trouble.ends(self.lost)

    def close(self) -> None:
        """Write what waits and close the files; the next event opens them again."""
        self._audit.close()
        with suppress(OSError):
            self._file.close()
