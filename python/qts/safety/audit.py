"""The audit trail: one line per act, each carrying the hash of the one before (spec 01 §8.3).

It is a file of its own and not a part of the order journal, because it has to record that the journal has failed,
because it is kept for years while segments of the journal are retired, and because a line that `sha256sum` and a text
editor can check needs no program of ours to be believed. Decisions and orders stand in the journal, which is synced
before an order leaves; lines here refer to them.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from qts.clock import NS_PER_S, Clock, utc_date
from qts.safety.files import PRIVATE, canonical, sync_directory, write_all

GENESIS: Final = "0" * 64
"""What stands as `prev_hash` in the first line."""
_KST_OFFSET_S: Final = 9 * 3600
_SECRET: Final = re.compile(r"pass|secret|token|phrase|credential|authorization|api_?key|app_?key|salt", re.I)
_ACCOUNT: Final = re.compile(r"account_?no|account_?number", re.I)
_TAIL_BYTES: Final = 1 << 20


class Entry(NamedTuple):
    """What is to be recorded; number, hashes and, where `at_ns` (UTC) is 0, the time are added when it is."""

    actor: str
    kind: str
    code: str = ""
    from_state: str = ""
    to_state: str = ""
    is_applied: bool = True
    reason: str = ""
    refs: Mapping[str, object] = MappingProxyType({})
    payload: Mapping[str, object] = MappingProxyType({})
    at_ns: int = 0


class Head(NamedTuple):
    """The last line of a trail: its number and its hash. `Head(0, GENESIS)` if there is none."""

    seq: int = 0
    hash: str = GENESIS


class AuditTrail(Protocol):
    """Where acts are recorded."""

    def append(self, entry: Entry) -> Head:
        """Record an act and return the new head; OSError if it cannot be made durable."""
        ...

    @property
    def head(self) -> Head:
        """The last line."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a whole trail found.

    Attributes:
        records: lines that are right, counted from the first.
        head: the last of them.
        first_bad_seq: number that the first wrong line should have; None if there is none.
        fault: what is wrong with it: unreadable, gap, prev_hash, hash or missing.
        torn_bytes: bytes of an unfinished last line, which is no fault: the next start cuts it.
    """

    records: int
    head: Head
    first_bad_seq: int | None
    fault: str
    torn_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.first_bad_seq is None


def scrub(payload: Mapping[str, object]) -> dict[str, object]:
    """Return `payload` without secrets: their values are removed by the names of their keys, account numbers cut."""
    return {str(key): _scrubbed(str(key), value) for key, value in payload.items()}


def _scrubbed(key: str, value: object) -> object:
    if _SECRET.search(key):
        return "[removed]"
    if _ACCOUNT.search(key):
        return f"***{str(value)[-3:]}"
    if isinstance(value, Mapping):
        return scrub(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_scrubbed("", item) for item in items]
    return value if isinstance(value, str | int | bool | None) else str(value)


def line_of(entry: Entry, seq: int, now_ns: int, prev_hash: str) -> tuple[bytes, str]:
    """Return the line of an entry, newline included, and its hash: SHA-256 of the line as it would be without one."""
    ts_ns = entry.at_ns or now_ns
    seconds, rest = divmod(ts_ns, NS_PER_S)
    record: dict[str, object] = {
        "seq": seq,
        "ts_utc": f"{_utc_second(seconds)}.{rest:09d}Z",
        "session_date": utc_date(ts_ns, _KST_OFFSET_S).isoformat(),
        "actor": entry.actor,
        "kind": entry.kind,
        "code": entry.code,
        "from": entry.from_state,
        "to": entry.to_state,
        "applied": entry.is_applied,
        "reason": entry.reason,
        "refs": scrub(entry.refs),
        "payload": scrub(entry.payload),
        "prev_hash": prev_hash,
    }
    digest = hashlib.sha256(canonical(record)).hexdigest()
    return canonical({**record, "hash": digest}) + b"\n", digest


def _utc_second(seconds: int) -> str:
    hours, rest = divmod(seconds % 86_400, 3_600)
    return f"{utc_date(seconds * NS_PER_S).isoformat()}T{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"


class AuditFile:
    """An audit trail in a file. One process writes it at a time, which whoever opens it sees to.

    Opening cuts an unfinished last line, which a crash leaves behind; `cut_bytes` tells how much, to be recorded.

    Args:
        path: the file; it is made if there is none.
        clock: labels the lines.

    Raises:
        OSError: the file cannot be opened or repaired.
        ValueError: its last whole line is not a line of a trail.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        is_new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
        try:
            self.cut_bytes, self._head = self._recover()
        except BaseException:
            os.close(self._descriptor)
            raise
        if is_new:
            sync_directory(path.parent)
        self._end = os.fstat(self._descriptor).st_size
        self._is_torn = False

    @property
    def head(self) -> Head:
        """The last line."""
        return self._head

    def append(self, entry: Entry) -> Head:
        """Record an act durably. Blocks for one sync.

        Raises:
            OSError: the disk did not take it; what a failed write left behind is cut off again.
        """
        with self._lock:
            line, digest = line_of(entry, self._head.seq + 1, self._clock.now_ns(), self._head.hash)
            if self._is_torn:
                self._cut()
            try:
                write_all(self._descriptor, line)
                os.fsync(self._descriptor)
            except OSError:
                self._is_torn = True
                self._cut()
                raise
            self._end += len(line)
            self._head = Head(self._head.seq + 1, digest)
            return self._head

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self._end)
        self._is_torn = False

    def _recover(self) -> tuple[int, Head]:
        size = os.fstat(self._descriptor).st_size
        tail = os.pread(self._descriptor, min(size, _TAIL_BYTES), max(0, size - _TAIL_BYTES))
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            os.ftruncate(self._descriptor, size - len(torn))
            os.fsync(self._descriptor)
        if not newline:
            return len(torn), Head()
        return len(torn), _head_of(whole.rpartition(b"\n")[2])


def _head_of(line: bytes) -> Head:
    record = _parsed(line)
    if record is None or _digest(record) != record["hash"]:
        raise ValueError(f"the last line of the audit trail is damaged: {line[:80]!r}")
    return Head(int(str(record["seq"])), str(record["hash"]))


class AuditMemory:
    """An audit trail that is kept in memory, for simulated sessions. Lines are those of a file.

    Args:
        clock: labels the lines.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._head = Head()
        self.lines: list[bytes] = []

    @property
    def head(self) -> Head:
        """The last line."""
        return self._head

    def append(self, entry: Entry) -> Head:
        """Record an act."""
        line, digest = line_of(entry, self._head.seq + 1, self._clock.now_ns(), self._head.hash)
        self.lines.append(line)
        self._head = Head(self._head.seq + 1, digest)
        return self._head


def verify(path: Path, known: Head | None = None) -> Verdict:
    """Check a whole trail, line by line.

    Args:
        path: the file.
        known: a head that was seen before; a trail that no longer holds it has lost lines or was written anew.

    Raises:
        OSError: the file cannot be read.
    """
    head, torn = Head(), 0
    is_known_met = known is None or known.seq == 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                torn = len(line)
                break
            fault = _fault_of(line, head)
            if fault:
                return Verdict(head.seq, head, head.seq + 1, fault, 0)
            head = Head(head.seq + 1, str(json.loads(line)["hash"]))
            if known is not None and head.seq == known.seq:
                if head != known:
                    return Verdict(head.seq - 1, head, head.seq, "hash", 0)
                is_known_met = True
    if not is_known_met:
        return Verdict(head.seq, head, head.seq + 1, "missing", torn)
    return Verdict(head.seq, head, None, "", torn)


def last_lines(path: Path, count: int = 50) -> Iterator[dict[str, object]]:
    """Yield the last records of a trail, oldest first; an unfinished line is left out."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = [line for line in file.read().split(b"\n")[:-1] if line]
    for line in lines[-count:]:
        record = _parsed(line)
        if record is not None:
            yield record


def _fault_of(line: bytes, head: Head) -> str:
    record = _parsed(line)
    if record is None:
        return "unreadable"
    if record.get("seq") != head.seq + 1:
        return "gap"
    if record.get("prev_hash") != head.hash:
        return "prev_hash"
    # The spelling counts too: a line that says the same in other words was not written here.
    return "" if canonical(record) + b"\n" == line and _digest(record) == record["hash"] else "hash"


def _parsed(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"seq", "prev_hash", "hash"} <= record.keys() else None


def _digest(record: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical({key: value for key, value in record.items() if key != "hash"})).hexdigest()
