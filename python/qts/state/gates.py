"""What a move has to wait for: shortest stay, cooldown, and confirmation (spec 18a section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, NS_PER_S, from_ns

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from qts.clock import Clock
    from qts.state.config import StateConfig
    from qts.state.contracts import OperatingState

_NS_PER_HOUR: Final = 3_600 * NS_PER_S
_CLOCK_JUMP_NS: Final = 300 * NS_PER_S
"""Difference between wall clock and monotonic clock from which on counted evaluations are worth nothing."""


def can_transition(config: StateConfig, current: OperatingState, age_ns: int, since_last_ns: int | None) -> bool:
    """Whether stay (inclusive) and cooldown (strict) let a move out of `current`; None = there was no move yet."""
    if age_ns < config.min_duration_days[current] * NS_PER_DAY:
        return False
    return since_last_ns is None or since_last_ns > config.cooldown_hours * _NS_PER_HOUR


class StateClock:
    """How long the state has lasted and how long ago the last change was, in time that runs only outside LOCKDOWN.

    Durations come from the monotonic clock. What has passed while the process was down can only be told by the wall
    clock; if that ran backwards meanwhile, nothing has passed.
    """

    def __init__(
        self, clock: Clock, *, age_ns: int = 0, since_last_ns: int | None = None, saved_ns: int, is_frozen: bool = False
    ) -> None:
        self._clock = clock
        down_ns = 0 if is_frozen else max(0, clock.now_ns() - saved_ns)
        since = None if since_last_ns is None else since_last_ns + down_ns
        # One tuple, so that a reader on another thread sees all of it or nothing.
        self._mark = (age_ns + down_ns, since, clock.monotonic_ns(), is_frozen)
        self._seen = (clock.now_ns(), clock.monotonic_ns())

    @property
    def age_ns(self) -> int:
        """Nanoseconds in the state."""
        age, _, mark, is_frozen = self._mark
        return age if is_frozen else age + self._clock.monotonic_ns() - mark

    @property
    def since_last_ns(self) -> int | None:
        """Nanoseconds since the last change, None if there was none."""
        _, since, mark, is_frozen = self._mark
        return since if since is None or is_frozen else since + self._clock.monotonic_ns() - mark

    def restart(self, *, age: bool, cooldown: bool) -> None:
        """Count from now: the time in the state, the time since the last change, or both."""
        age_ns, since = self.age_ns, self.since_last_ns
        self._set(0 if age else age_ns, 0 if cooldown else since, is_frozen=self._mark[3])

    def freeze(self) -> None:
        """Stop counting."""
        self._set(self.age_ns, self.since_last_ns, is_frozen=True)

    def thaw(self) -> None:
        """Count on."""
        self._set(self.age_ns, self.since_last_ns, is_frozen=False)

    def _set(self, age_ns: int, since_ns: int | None, *, is_frozen: bool) -> None:
        self._mark = (age_ns, since_ns, self._clock.monotonic_ns(), is_frozen)

    def look(self) -> bool:
        """Whether the wall clock has gone on like the monotonic clock since the last look."""
        now, mono = self._clock.now_ns(), self._clock.monotonic_ns()
        wall_ns, mono_ns = now - self._seen[0], mono - self._seen[1]
        self._seen = (now, mono)
        return wall_ns >= 0 and abs(wall_ns - mono_ns) <= _CLOCK_JUMP_NS


class Confirmations:
    """Counts how many evaluations in a row have asked for a target. Counting ends at `needed`."""

    def __init__(self, needed: int) -> None:
        self._needed = needed
        self._counts: dict[OperatingState, int] = {}
        self._since: dict[OperatingState, datetime] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._counts.clear()
        self._since.clear()

    def step(self, targets: Iterable[OperatingState], now_ns: int) -> None:
        """Count one evaluation that asked for `targets`; every other target starts again at zero."""
        wanted = set(targets)
        for target in [target for target in self._counts if target not in wanted]:
            del self._counts[target], self._since[target]
        for target in wanted:
            self._counts[target] = min(self._counts.get(target, 0) + 1, self._needed)
            self._since.setdefault(target, from_ns(now_ns))

    def confirmed(self) -> OperatingState | None:
        """Return the most defensive target that has been asked for often enough."""
        ready = [target for target, count in self._counts.items() if count >= self._needed]
        return min(ready, key=lambda target: target.rank, default=None)

    def pending(self) -> tuple[OperatingState, int, datetime] | None:
        """Return target, count and begin of what is closest: confirmed first, then most defensive."""
        order = sorted(self._counts, key=lambda target: (self._counts[target] < self._needed, target.rank))
        return (order[0], self._counts[order[0]], self._since[order[0]]) if order else None
