"""Records of closes below `QTS_HOME/state/close/ACCOUNT`: replaced whole, with a checksum, written by one process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from qts.codes import EngineFault, UsageError
from qts.ops.close.contracts import DayRecord, StepRecord, StepResult, StepState
from qts.ops.close.messages import say
from qts.safety.files import PRIVATE, canonical, replace_file, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}\Z")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_FORMAT: Final = 1


class CloseFiles:
    """The records of one account.

    Raises:
        UsageError: the account's name cannot be that of a directory.
    """

    def __init__(self, home: Path, account: str) -> None:
        if not _ACCOUNT.match(account):
            raise UsageError(
                found=say("account_name", account=account),
                expected=say("account_name_expected"),
                hint=say("account_name_hint"),
            )
        self.account = account
        self.directory = home / "state" / "close" / account

    def days(self) -> list[date]:
        """Return the sessions that have a record, ascending."""
        if not self.directory.is_dir():
            return []
        names = (path.stem for path in self.directory.glob("*.json"))
        return sorted(date.fromisoformat(name) for name in names if _DAY.match(name))

    def load(self, day: date) -> DayRecord | None:
        """Return the record of a session, None if there is none.

        Raises:
            EngineFault: FS126, it is not what was written.
        """
        body = read_checked(self._path(day))
        return None if body is None else _record(body, self._path(day))

    def save(self, record: DayRecord) -> None:
        """Write a record; it is durable on return.

        Raises:
            EngineFault: FS063, it is not.
        """
        write_checked(self._path(record.day), _plain(record))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the account for this process; the system lets go of it when the process ends.

        Raises:
            UsageError: another process closes a session of it.
            EngineFault: FS063, the directory cannot be made.
        """
        path = self.directory / "close.lock"
        try:
            make_directory(self.directory)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    found=say("held", account=self.account), expected=say("held_expected"), hint=say("held_hint")
                ) from None
            yield
        finally:
            os.close(descriptor)

    def _path(self, day: date) -> Path:
        return self.directory / f"{day.isoformat()}.json"


def make_directory(path: Path) -> None:
    """Make a directory and those above it, so that their names survive a crash of the machine."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def read_checked(path: Path) -> dict[str, Any] | None:
    """Return what `write_checked` wrote, None if there is no file.

    Raises:
        EngineFault: FS126, it is something else.
    """
    try:
        document = json.loads(path.read_bytes())
        body: dict[str, Any] = document["body"]
        if document["format"] != _FORMAT:
            raise damaged(path, f"format {document['format']!r}")
        if document["sha256"] != hashlib.sha256(canonical(body)).hexdigest():
            raise damaged(path, "sha256")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None
    return body


def write_checked(path: Path, body: Mapping[str, object]) -> None:
    """Put `body` into a file with its checksum: after a crash the old or the new one is there.

    Raises:
        EngineFault: FS063, the disk does not take it; the old one stands.
    """
    document = {"format": _FORMAT, "body": body, "sha256": hashlib.sha256(canonical(body)).hexdigest()}
    try:
        make_directory(path.parent)
        replace_file(path, canonical(document))
    except OSError as error:
        raise _unwritable(path, error) from None


def damaged(path: Path, reason: object) -> EngineFault:
    """Return the fault of a file that is not what was written."""
    return EngineFault(
        "FS126",
        found=say("damaged", path=path, reason=reason),
        expected=say("damaged_expected"),
        hint=say("damaged_hint"),
        where=str(path),
    )


def _unwritable(path: Path, error: OSError) -> EngineFault:
    return EngineFault(
        "FS063",
        found=say("unwritable", path=path, reason=error.strerror or error),
        expected=say("unwritable_expected"),
        hint=say("unwritable_hint"),
    )


def _plain(record: DayRecord) -> dict[str, object]:
    steps = []
    for step in record.steps:
        result = None if step.result is None else step.result._asdict() | {"values": dict(step.result.values)}
        steps.append(step._asdict() | {"state": step.state.value, "result": result})
    return record._asdict() | {"day": record.day.isoformat(), "steps": steps}


def _record(body: Mapping[str, Any], path: Path) -> DayRecord:
    try:
        return DayRecord(
            account=body["account"],
            day=date.fromisoformat(body["day"]),
            steps=tuple(_step(row) for row in body["steps"]),
            finished_at=body["finished_at"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path, error) from None


def _step(row: Mapping[str, Any]) -> StepRecord:
    result = row["result"]
    if result is not None:
        reports = tuple((code, text) for code, text in result["reports"])
        result = StepResult(result["detail"], dict(result["values"]), reports)
    return StepRecord(**{**row, "state": StepState(row["state"]), "result": result})
