"""DASHBOARD_UPDATE: the newest state of every panel, for readers on other threads and in other processes."""

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from qts.event.consumers.files import Tell, Trouble, replace_file
from qts.event.consumers.lines import encoded, moment
from qts.event.errors import EventError
from qts.event.handlers import ArrivalHandler
from qts.event.types import EventType
from qts.event.wire import Arrival

WRITE_EVERY_S: Final = 0.1
PANELS_MAX: Final = 256
FILE_VERSION: Final = "1.0.0"


class Panel(NamedTuple):
    """The newest state of a panel.

    Args:
        data: its fields.
        version: number of updates so far.
        at: when the newest update was made, UTC.
        is_complete: nothing that belongs to it is known to be missing: it began with a FULL update, and none was left
            out since (sampling).
    """

    data: Mapping[str, Any]
    version: int
    at: datetime
    is_complete: bool


class DashboardConsumer(ArrivalHandler):
    """Keeps the newest state of every panel.

    A payload has `dashboard_id`, the panel; `update_type`, FULL (the data are all there is) or DELTA (the data replace
    the fields of the same names); and `data`. Readers on other threads call `panels`; readers in other processes read
    the file, which a thread of its own replaces at once, ten times a second at most. Nobody waits for a reader.

    Args:
        path: the file.
        tell: takes trouble with the file, once.
        write_every_s: shortest time between two writes.
    """

    def __init__(self, path: Path, *, tell: Tell, write_every_s: float = WRITE_EVERY_S) -> None:
        self.path = path
        self.written = 0
        """How often the file has been replaced."""
        self._panels: Mapping[str, Panel] = MappingProxyType({})
        self._trouble = Trouble(path, "state_in_memory", tell)
        self._every_s = write_every_s
        self._is_new = threading.Event()
        self._is_over = threading.Event()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()

    def wants(self, kind: EventType) -> bool:
        """Return whether it is DASHBOARD_UPDATE."""
        return kind is EventType.DASHBOARD_UPDATE

    def panels(self) -> Mapping[str, Panel]:
        """Return the newest state of every panel; it does not change any more. From any thread, never waits."""
        return self._panels

    def handle_arrival(self, arrival: Arrival) -> None:
        """Take an update.

        Raises:
            EventError: a field is missing or of a wrong type, or there are too many panels.
        """
        name, is_full, data = _read(arrival.event.payload)
        with self._lock:
            # What is left out while the queue is full may have been of any panel.
            gap = arrival.sampled_weight > 1
            panels = {
                known: panel._replace(is_complete=panel.is_complete and not gap)
                for known, panel in self._panels.items()
            }
            before = panels.get(name)
            if before is None and len(panels) >= PANELS_MAX:
                raise _wrong("dashboard_id", f"panel number {PANELS_MAX + 1}", f"at most {PANELS_MAX} panels")
            panels[name] = Panel(
                MappingProxyType(data if is_full or before is None else {**before.data, **data}),
                1 if before is None else before.version + 1,
                arrival.event.timestamp,
                is_full or (before is not None and before.is_complete),
            )
            self._panels = MappingProxyType(panels)
            if self._writer is None:
                self._is_over.clear()
                self._writer = threading.Thread(target=self._write_on, name="qts-dashboard", daemon=True)
                self._writer.start()
        self._is_new.set()

    def close(self) -> None:
        """Write the newest state and end the thread."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._is_over.set()
            self._is_new.set()
            writer.join()

    def _write_on(self) -> None:
        while True:
            self._is_new.wait()
            self._is_new.clear()
            self._write()
            if self._is_over.wait(self._every_s):
                self._write()
                return

    def _write(self) -> None:
        panels = {
            name: {**panel._asdict(), "data": dict(panel.data), "at": moment(panel.at)}
            for name, panel in self._panels.items()
        }
        try:
            replace_file(self.path, encoded({"version": FILE_VERSION, "panels": panels}).encode())
        except OSError as error:
            self._trouble.begins(error)
        else:
            self.written += 1
            self._trouble.ends()


def read_dashboard(path: Path) -> dict[str, Any] | None:
    """Return what the file of a dashboard holds, in any process; None if there is none yet.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


def _read(payload: Mapping[str, Any]) -> tuple[str, bool, dict[str, Any]]:
    name, update, data = payload.get("dashboard_id"), payload.get("update_type"), payload.get("data")
    if not isinstance(name, str) or not name:
        raise _wrong("dashboard_id", repr(name), "text that is not empty")
    if update not in {"FULL", "DELTA"}:
        raise _wrong("update_type", repr(update), "FULL or DELTA")
    if not isinstance(data, Mapping):
        raise _wrong("data", repr(data), "names and values")
    return name, update == "FULL", dict(data)


def _wrong(field: str, found: str, expected: str) -> EventError:
    return EventError(EventType.DASHBOARD_UPDATE, field, found=f"{found:.80}", expected=expected)
