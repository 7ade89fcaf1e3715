"""The near cache: records inside the process, with the lives and versions of the server's."""

import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from qts.cache.contracts import PutResult, Record
from qts.cache.exceptions import BadTtl
from qts.cache.messages import say
from qts.clock import Clock

_NS_PER_MS: Final = 1_000_000


class Entry(NamedTuple):
    """A record in the near cache."""

    record: Record
    expires_ns: int
    """Monotonic."""
    put_ns: int
    """Monotonic."""
    put_ms: int
    """UTC milliseconds of the same moment."""
    is_held: bool
    """Written by this process, which is where the record comes from."""


def checked_ttl(ttl_ms: object) -> int:
    """Return a life that is a whole number of milliseconds from 1 on.

    Raises:
        BadTtl: it is anything else.
    """
    if isinstance(ttl_ms, bool) or not isinstance(ttl_ms, int) or ttl_ms < 1:
        raise BadTtl(
            found=say("bad_ttl", value=repr(ttl_ms)), expected=say("bad_ttl_expected"), hint=say("bad_ttl_hint")
        )
    return ttl_ms


class NearCache:
    """Records by logical key. Reads take no lock; writes come from any thread, and versions only rise.

    What has expired is not returned but stays until `sweep`: its version still holds back older records, and `last`
    still tells the last price to a protective exit.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic_ns = clock.monotonic_ns
        self._now_ns = clock.now_ns
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Record | None:
        """Return a live record, None for an absent or expired one. Never blocks."""
        entry = self._entries.get(key)
        if entry is None or entry[1] <= self._monotonic_ns():
            return None
        return entry[0]

    def entry(self, key: str) -> Entry | None:
        """Return a live entry."""
        entry = self._entries.get(key)
        return None if entry is None or entry.expires_ns <= self._monotonic_ns() else entry

    def last(self, key: str) -> Entry | None:
        """Return an entry, expired or not."""
        return self._entries.get(key)

    def put(self, key: str, record: Record, ttl_ms: int, *, is_held: bool = False, renews: bool = False) -> PutResult:
        """Store a record unless a live one is as new.

        Args:
            key: logical key.
            record: a newer version than the live one; one that is not older than any seen.
            ttl_ms: life in milliseconds.
            is_held: this process is where the record comes from.
            renews: a record of equal version and writer replaces the live one and lives anew.

        Raises:
            BadTtl: nothing was written.
        """
        life_ns = checked_ttl(ttl_ms) * _NS_PER_MS
        with self._lock:
            now_ns = self._monotonic_ns()
            old = self._entries.get(key)
            if old is not None and not _may_replace(old, record, now_ns, renews=renews):
                return PutResult.SUPERSEDED
            held = is_held or (old is not None and old.is_held and old.record.src == record.src)
            self._entries[key] = Entry(record, now_ns + life_ns, now_ns, self._now_ns() // _NS_PER_MS, held)
            return PutResult.WRITTEN

    def drop(self, key: str, *, older_than: int | None = None) -> bool:
        """Forget a record, with `older_than` only one of a lower version; return whether it was there."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or (older_than is not None and entry.record.ver >= older_than):
                return False
            del self._entries[key]
            return entry.expires_ns > self._monotonic_ns()

    def drop_all(self, which: Callable[[str, Entry], bool]) -> int:
        """Forget every entry that `which` picks; return how many."""
        with self._lock:
            keys = [key for key, entry in self._entries.items() if which(key, entry)]
            for key in keys:
                del self._entries[key]
            return len(keys)

    def sweep(self, expired_for_ms: int) -> int:
        """Forget what expired that long ago; return how many."""
        limit = self._monotonic_ns() - expired_for_ms * _NS_PER_MS
        return self.drop_all(lambda _key, entry: entry.expires_ns <= limit)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Return a copy of all entries, expired ones included."""
        with self._lock:
            return iter(list(self._entries.items()))

    def __len__(self) -> int:
        """Return how many entries there are, expired ones included."""
        return len(self._entries)


def _may_replace(old: Entry, record: Record, now_ns: int, *, renews: bool) -> bool:
    if record.ver != old.record.ver:
        return record.ver > old.record.ver
    return old.expires_ns <= now_ns or (renews and old.record.src == record.src)
