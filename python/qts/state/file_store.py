"""State and history in one append-only file below `QTS_HOME/state`.

A file of this room, and not a table: the state has to be readable when the database is not, and one file in which the
last record is the state and the records before it are its history cannot disagree with itself. Each record carries the
hash of the one before, and a second small file says how far writing has come, so that a lost tail is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from qts.state.contracts import TransitionResult
from qts.state.exceptions import SecondWriter, StateCorrupt, StorePersistFailed
from qts.state.messages import say
from qts.state.stored import StoredState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

HOT_RECORDS: Final = 1_000
"""Transitions kept in memory."""

_NAME: Final = "operating_state.jsonl"
_GENESIS: Final = "0" * 64


class _Record(NamedTuple):
    state: StoredState
    result: TransitionResult | None


_STATE: Final = TypeAdapter(StoredState)
_RESULT: Final = TypeAdapter(TransitionResult | None)


class FileStateStore:
    """The state of one account, written by one process at a time.

    Args:
        directory: where the files are; created if absent. One for each account.

    Raises:
        SecondWriter: another process holds it.
        StorePersistFailed: the directory cannot be written to.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / _NAME
        self._head = directory / f"{_NAME}.head"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lease = (directory / f"{_NAME}.lock").open("a")
        except OSError as error:
            raise StorePersistFailed(where=str(directory), reason=str(error)) from None
        try:
            fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lease.close()
            raise SecondWriter(where=str(self.path)) from None
        self._hash = _GENESIS
        self._size = 0
        self._hot: deque[TransitionResult] = deque(maxlen=HOT_RECORDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the next writer in."""
        self._lease.close()

    def load(self) -> StoredState | None:
        """Return the last state, None if there never was one.

        A last line without its end was never durable: it is left out, and overwritten by the next record.

        Raises:
            StateCorrupt: a record was altered, is missing, or cannot be read.
        """
        self._hash, self._size = _GENESIS, 0
        self._hot.clear()
        state = None
        for record, digest, end in _records(self.path):
            state, self._hash, self._size = record.state, digest, end
            if record.result is not None:
                self._hot.append(record.result)
        head, version = _head_version(self._head), 0 if state is None else state.version
        if head > version:
            raise StateCorrupt(where=str(self.path), reason=say("bad_head", found=version, head=head))
        return state

    def save(self, state: StoredState, result: TransitionResult | None) -> None:
        """Append one record and return when it is on the disk.

        Raises:
            StorePersistFailed: it is not; the file is as it was, or will be cut back by the next record.
        """
        body = {"state": _STATE.dump_python(state, mode="json"), "result": _RESULT.dump_python(result, mode="json")}
        digest = _digest(self._hash, body)
        line = f"{_canonical({'body': body, 'prev': self._hash, 'sha256': digest})}\n".encode()
        try:
            is_new = not self.path.exists()
            with self.path.open("ab") as file:
                file.truncate(self._size)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_directory(self.path.parent)
        except OSError as error:
            self._cut()
            raise StorePersistFailed(where=str(self.path), reason=str(error)) from None
        self._hash = digest
        self._size += len(line)
        if result is not None:
            self._hot.append(result)
        self._write_head(state.version)

    def set_aside(self) -> int:
        """Rename what is there, for a person to look at, and return the highest version that can be read in it.

        Raises:
            StorePersistFailed: the file cannot be renamed.
        """
        highest = _head_version(self._head)
        try:
            for record, _, _ in _records(self.path):
                highest = max(highest, record.state.version)
        except StateCorrupt:
            pass  # what lies behind the first bad record is not to be believed either
        number = 1
        while (aside := self.path.with_name(f"{_NAME}.corrupt-{number}")).exists():
            number += 1
        try:
            if self.path.exists():
                self.path.rename(aside)
                _sync_directory(self.path.parent)
        except OSError as error:
            raise StorePersistFailed(where=str(self.path), reason=str(error)) from None
        self._hash, self._size = _GENESIS, 0
        return highest

    def history(self, limit: int) -> list[TransitionResult]:
        """Return the last transitions, oldest first; at most 1000."""
        return list(self._hot)[-limit:]

    def _cut(self) -> None:
        """Take back a record that may have got into the file without being durable; the next one does it otherwise."""
        try:
            os.truncate(self.path, self._size)
        except OSError:
            return

    def _write_head(self, version: int) -> None:
        """Note how far writing has come. A note that lags is harmless, so failing to write it is no failure."""
        part = self._head.with_suffix(".part")
        try:
            with part.open("w", encoding="ascii") as file:
                file.write(str(version))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._head)
        except OSError:
            return


def read_state(directory: Path) -> StoredState | None:
    """Return the last state below `directory` without becoming its writer; StateCorrupt as `load` raises it."""
    state = None
    for record, _, _ in _records(directory / _NAME):
        state = record.state
    return state


def _records(path: Path) -> Iterator[tuple[_Record, str, int]]:
    """Yield each record with its hash and the offset behind it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateCorrupt(where=str(path), reason=str(error)) from None
    previous, version, end = _GENESIS, 0, 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            return
        record, previous = _parse(line, previous, f"{path}:{number}")
        if record.state.version <= version:
            reason = say("bad_version", found=record.state.version, before=version)
            raise StateCorrupt(where=f"{path}:{number}", reason=reason)
        version = record.state.version
        end += len(line)
        yield record, previous, end


def _parse(line: bytes, previous: str, where: str) -> tuple[_Record, str]:
    try:
        tree = json.loads(line)
        body, prev, digest = tree["body"], tree["prev"], tree["sha256"]
    except (ValueError, KeyError, TypeError):
        raise StateCorrupt(where=where, reason=say("bad_line")) from None
    if prev != previous or digest != _digest(previous, body):
        raise StateCorrupt(where=where, reason=say("bad_hash"))
    try:
        state = _STATE.validate_json(json.dumps(body["state"]), strict=True)
        result = _RESULT.validate_json(json.dumps(body["result"]), strict=True)
    except (ValidationError, KeyError, TypeError):
        raise StateCorrupt(where=where, reason=say("bad_line")) from None
    return _Record(state, result), digest


def _digest(previous: str, body: Any) -> str:  # noqa: ANN401 - any JSON
    return hashlib.sha256(f"{previous}{_canonical(body)}".encode()).hexdigest()


def _canonical(tree: object) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _head_version(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
