"""What a run leaves behind: the journal with its slow disk, codes, and the story for whoever has to read it."""

import hashlib
import json
from collections import Counter

from qts.codes import lookup

from .moments import MS


class Journal:
    """Records in their order. A record is durable a while after it was appended, and never before those in front."""

    def __init__(self, moments, story) -> None:
        self._moments = moments
        self._story = story
        self.rows: list[tuple[int, str, dict]] = []
        self._durable_ns: list[int] = []
        self.delay_ns = 1 * MS
        self.heard = None
        """Who is told of each record, as it is appended: (kind, record)."""

    def append(self, kind: str, record) -> int:
        now_ns = self._moments.now_ns
        kept = dict(record)
        self.rows.append((now_ns, kind, kept))
        last_ns = self._durable_ns[-1] if self._durable_ns else 0
        self._durable_ns.append(max(last_ns, now_ns + self.delay_ns))
        if self.heard is not None:
            self.heard(kind, kept)
        if self._story.told:
            self._story("journal", "{}", _told(kind, kept))
        return len(self.rows)

    @property
    def is_behind(self) -> bool:
        """Whether records wait for the disk for longer than usual."""
        late_ns = self._durable_ns[-1] - self._moments.now_ns if self._durable_ns else 0
        return max(late_ns, self.delay_ns) > 100 * MS

    def durable_ns(self, seq: int) -> int:
        """When the record of that number is durable; 0 = it always was."""
        return self._durable_ns[seq - 1] if 0 < seq <= len(self._durable_ns) else 0

    def durable_ns_of_command(self, seq: int) -> int:
        """What the driver waits for before a message leaves."""
        return self.durable_ns(seq)

    def digest(self) -> str:
        """Hash over everything, byte by byte."""
        text = json.dumps(self.rows, ensure_ascii=False, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _told(kind: str, record: dict) -> str:
    """Return a record in the words of a story."""
    if kind == "EXECUTION_STATE":
        what = f"{record['execution_id']} {record['before']} -> {record['after']} {record['why']}"
        more = ("strategy", "qty", "reason", "mode", "disposition", "filled", "unsent", "cancelled", "residual")
    elif kind == "ORDER_INTENT":
        what = f"{record['split_id']} order {record['order_id']} {record['action']}"
        more = ("side", "kind", "limit", "qty")
    elif kind == "ORDER_EVENT":
        what = f"{record['split_id']} order {record['order_id']} {record['event']}"
        more = ("broker_no", "kind", "code", "text")
    else:
        what, more = f"order {record.get('order_id')}", ("event_id", "qty", "price")
    return f"{kind} {what} " + " ".join(f"{name}={record[name]}" for name in more if record.get(name) not in (None, ""))


class Codes:
    """Hears of codes and keeps them; tells `on_code` so that the safety word can follow."""

    def __init__(self, moments, story, on_code) -> None:
        self._moments = moments
        self._story = story
        self._on_code = on_code
        self.rows: list[tuple[int, str, str, str]] = []
        self.counts: Counter = Counter()

    def report(self, code: str, message: str, *, effect: str = "") -> None:
        lookup(code)  # a code that is not in the table is an error
        self.rows.append((self._moments.now_ns, code, message, effect))
        self.counts[code] += 1
        self._story("code", "{} {} {}", code, effect, message)
        self._on_code(code, effect)


class Story:
    """A timeline for people. Costs nothing unless it is told."""

    def __init__(self, moments, start_ns: int, *, told: bool) -> None:
        self._moments = moments
        self._start_ns = start_ns
        self.told = told
        self.lines: list[str] = []

    def __call__(self, who: str, text: str, *parts) -> None:
        if self.told:
            ms = (self._moments.now_ns - self._start_ns) / MS
            self.lines.append(f"{ms:>12,.3f} ms  {who:<9} {text.format(*parts)}")
