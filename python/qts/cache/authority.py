"""Whether the state of the account can still be told, and whether the server's copy agrees with it."""

from collections.abc import Callable
from typing import Final

from qts.cache.client import CacheClient, Query
from qts.cache.contracts import Family, Position
from qts.cache.exceptions import CacheConnection
from qts.cache.keys import logical
from qts.cache.messages import say
from qts.cache.reports import Reports
from qts.clock import Clock

_LIMIT_NS: Final = 1_000_000_000
_SECOND_LOOK_NS: Final = 200_000_000


class AuthorityWatch:
    """Raises FS115 when positions or the risk state have been unobtainable for more than a second of a session."""

    def __init__(self, clock: Clock, reports: Reports, in_session: Callable[[], bool]) -> None:
        self._clock = clock
        self._reports = reports
        self._in_session = in_session
        self._since_ns: dict[Family, int] = {}

    def failed(self, family: Family, key: str) -> None:
        """Note that every tier failed; one that succeeds for another symbol makes it a matter of that symbol."""
        now_ns = self._clock.monotonic_ns()
        since_ns = self._since_ns.setdefault(family, now_ns)
        if now_ns - since_ns > _LIMIT_NS and self._in_session():
            self._reports.begin("FS115", family, say("unknown_state", key=key))

    def succeeded(self, family: Family) -> None:
        """Note that some tier answered."""
        if family in self._since_ns:
            del self._since_ns[family]
            self._reports.end("FS115", family)


class PositionAudit:
    """Compares positions of this process with the server's copies: FS116 when two looks 200 ms apart differ."""

    def __init__(self, client: CacheClient, clock: Clock, reports: Reports) -> None:
        self._client = client
        self._clock = clock
        self._reports = reports
        self._suspects: dict[str, int] = {}

    async def check(self, held: list[Position]) -> list[str]:
        """Look at the server's copies of positions that this process is the source of.

        Returns:
            Symbols for which FS116 was raised.
        """
        if not held:
            return []
        queries = [Query(Family.POSITION, position.symbol) for position in held]
        try:
            copies = await self._client.get(queries, self._client.warm)
        except CacheConnection:
            return []
        raised = []
        for position, copy in zip(held, copies, strict=True):
            other = None if copy is None else copy.record
            if not isinstance(other, Position):
                continue
            key = logical(Family.POSITION, position.symbol)
            if other.src != position.src:
                found = say("unreadable", key=key, name="src", value=repr(other.src))
                self._reports.begin("GR126", key, found)
            if other.ver != position.ver or other.qty == position.qty:
                self._suspects.pop(key, None)
                self._reports.end("FS116", key)
            elif self._is_second(key):
                found = say("unreadable", key=key, name="qty", value=f"{other.qty} != {position.qty}")
                self._reports.begin("FS116", key, found)
                raised.append(position.symbol)
        return raised

    def _is_second(self, key: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        return now_ns - self._suspects.setdefault(key, now_ns) >= _SECOND_LOOK_NS

    @property
    def has_suspects(self) -> bool:
        """Whether a second look is due."""
        return bool(self._suspects)
