"""How long the database has been away, and what that means for new entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from qts.clock import Clock

_NORMAL: Final = 0
_AWAY: Final = 1
_BLOCKED: Final = 2
_FAILED: Final = 3


class OutageLimits(NamedTuple):
    """When entries are blocked, and when the database counts as failed."""

    block_s: float = 30
    fail_s: float = 300
    block_records: int = 10_000
    """Records of the journal that are not in the database yet."""
    fail_records: int = 50_000
    least_free_disk: float = 0.1
    """Part of the journal's disk that must be free."""


class OutageClock:
    """Measures an outage and tells its stages, each once.

    Args:
        clock: the clock.
        report: takes a code and a message: GR100, FS120.
        depth: returns how many records wait for the database.
        free_disk: returns the free part of the journal's disk, 0 to 1.
        limits: the stages.
    """

    def __init__(
        self,
        clock: Clock,
        report: Callable[[str, str], None],
        *,
        depth: Callable[[], int],
        free_disk: Callable[[], float],
        limits: OutageLimits | None = None,
    ) -> None:
        self._clock = clock
        self._report = report
        self._depth = depth
        self._free_disk = free_disk
        self._limits = limits or OutageLimits()
        self._since_ns: int | None = None
        self._cause = ""
        self._told = _NORMAL

    @property
    def away(self) -> bool:
        """Whether the database does not answer."""
        return self._since_ns is not None

    @property
    def entries_allowed(self) -> bool:
        """Whether new positions may be opened as far as the database is concerned."""
        return self._stage() < _BLOCKED

    @property
    def reason(self) -> str:
        """Why entries are blocked; empty while they are not."""
        if self.entries_allowed:
            return ""
        return f"the database is away for {self.age_s():.0f} s, {self._depth()} records wait"

    def age_s(self) -> float:
        """Return for how long the database has been away; 0 while it is not."""
        return 0.0 if self._since_ns is None else (self._clock.monotonic_ns() - self._since_ns) / NS_PER_S

    def down(self, cause: str) -> None:
        """Note that the database did not answer."""
        if self._since_ns is None:
            self._since_ns = self._clock.monotonic_ns()
        self._cause = cause
        self.watch()

    def up(self) -> None:
        """Note that the database answers and that nothing waits for it."""
        self._since_ns = None
        self._cause = ""
        self.watch()

    def watch(self) -> None:
        """Tell a stage that has been reached; called every second while the database is away."""
        stage = self._stage()
        if stage > self._told:
            state = f"{self._depth()} records wait, away for {self.age_s():.0f} s: {self._cause}"
            if stage == _FAILED:
                self._report("FS120", f"the database is away beyond its limit; {state}")
            elif stage == _BLOCKED:
                self._report("GR100", f"the database is away, entries are blocked; {state}")
            else:
                self._report("GR100", f"the database is away, fills are kept in the journal; {state}")
        self._told = stage

    def _stage(self) -> int:
        limits, age_s, depth = self._limits, self.age_s(), self._depth()
        if self._since_ns is None and depth <= limits.block_records:
            return _NORMAL
        if age_s > limits.fail_s or depth > limits.fail_records or self._free_disk() < limits.least_free_disk:
            return _FAILED
        return _BLOCKED if age_s > limits.block_s or depth > limits.block_records else _AWAY
