"""What is counted from sample to sample, between two evaluations (policy SAFE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.clock import Clock
    from qts.state.config import StateConfig
    from qts.state.contracts import OperatingState
    from qts.state.transition import Condition


class HardSamples:
    """Confirms losses and circuit breakers by samples in a row, so that one bad print does nothing."""

    def __init__(self, config: StateConfig, clock: Clock) -> None:
        self._needed = config.hard_confirm_samples
        self._spacing_ns = config.metrics_interval_sec * NS_PER_S // 2
        self._clock = clock
        self._counted: dict[OperatingState, tuple[int, int]] = {}
        self.is_due = False
        """The next sample is enough: nobody has looked for a while."""

    def clear(self) -> None:
        """Forget what was counted."""
        self._counted.clear()

    def confirm(self, target: OperatingState, hard: Sequence[Condition]) -> bool:
        """Count one sample for a target and return whether there are enough.

        A sample that follows too closely counts once with the one before. One that does not know is passed over.
        """
        if not any(found.is_met for found in hard):
            if all(found.value is not None for found in hard):
                self._counted.pop(target, None)
            return False
        now_ns = self._clock.monotonic_ns()
        count, last_ns = self._counted.get(target, (0, now_ns - self._spacing_ns))
        if now_ns - last_ns >= self._spacing_ns:
            count, last_ns = count + 1, now_ns
        self._counted[target] = (count, last_ns)
        return count >= (1 if self.is_due else self._needed)


class RiskOnSamples:
    """Tells whether a rule for more risk held at every sample since the last evaluation, without a gap."""

    def __init__(self, config: StateConfig, clock: Clock) -> None:
        self._gap_ns = 2 * config.metrics_interval_sec * NS_PER_S
        self._clock = clock
        self._last_ns: int | None = None
        self._is_whole = False
        self.is_met = False
        """Whether it held at the last sample."""

    def clear(self) -> None:
        """Start again: the interval that is running will not count."""
        self._is_whole = False

    def sample(self, *, is_met: bool) -> None:
        """Take in one sample."""
        now_ns = self._clock.monotonic_ns()
        if self._last_ns is None or now_ns - self._last_ns > self._gap_ns:
            self._is_whole = False
        self._last_ns = now_ns
        self.is_met = is_met
        self._is_whole = self._is_whole and is_met

    def close_cycle(self) -> bool:
        """Return whether the interval that ends with the last sample held as a whole, and start the next one."""
        was_whole, self._is_whole = self._is_whole, self.is_met
        return was_whole
