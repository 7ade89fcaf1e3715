"""The circuit breaker: a server that fails is left alone for a while, then tried with care."""

import random
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from qts.clock import Clock
from qts.config import CacheSettings

_NS_PER_S: Final = 1_000_000_000


class BreakerState(StrEnum):
    """State of a breaker."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class CircuitBreaker:
    """Breaker of one server, shared by all types. It is told of outcomes and says whether calls may be made.

    Args:
        node: name of the server.
        config: the cache's settings.
        clock: monotonic time measures the waiting time.
        on_change: called with old and new state and why, in the thread of whoever caused the change.
        jitter: number in -1..1 by which the waiting time differs.
    """

    def __init__(
        self,
        node: str,
        config: CacheSettings,
        clock: Clock,
        on_change: Callable[["CircuitBreaker", BreakerState, str], None] = lambda *_: None,
        jitter: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311 - nothing secret
    ) -> None:
        self.node = node
        self.state = BreakerState.CLOSED
        self.transitions = 0
        self._config = config.breaker
        self._clock = clock
        self._on_change = on_change
        self._jitter = jitter
        self._slow_ns = int(config.breaker.slow_call_ms * 1_000_000)
        self._failures = 0
        self._successes = 0
        self._slow: deque[bool] = deque(maxlen=config.breaker.slow_window)
        self._retry_ns = 0
        self._is_forced = False

    @property
    def is_closed(self) -> bool:
        """Whether calls may be made; probes of a half-open breaker go past this."""
        return self.state is BreakerState.CLOSED

    def succeeded(self, elapsed_ns: int = 0, *, is_hot: bool = False) -> None:
        """Note a call that the server answered, a refusal that is the caller's fault included."""
        if self.state is not BreakerState.CLOSED:
            return
        self._failures = 0
        if is_hot:
            self._note_pace(elapsed_ns)

    def failed(self, reason: str, elapsed_ns: int = 0, *, is_hot: bool = False) -> None:
        """Note a call that the server failed."""
        if self.state is not BreakerState.CLOSED:
            return
        self._failures += 1
        if self._failures >= self._config.failure_threshold:
            self._open(reason)
        elif is_hot:
            self._note_pace(elapsed_ns)

    def is_due(self) -> bool:
        """Whether a probe may be made now; an open breaker whose time is over becomes half-open."""
        if self._is_forced or self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            if self._clock.monotonic_ns() < self._retry_ns:
                return False
            self._successes = 0
            self._become(BreakerState.HALF_OPEN, "recovery_timeout")
        return True

    def probed(self, *, success: bool, reason: str = "probe") -> bool:
        """Note a probe; return whether enough have succeeded, upon which `close` is to follow a resync."""
        if self.state is not BreakerState.HALF_OPEN:
            return False
        if not success:
            self._open(reason)
            return False
        self._successes += 1
        return self._successes >= self._config.half_open_successes

    def close(self, reason: str = "recovered") -> None:
        """Close a half-open breaker once records are in step again."""
        self._failures = 0
        self._slow.clear()
        self._is_forced = False
        self._become(BreakerState.CLOSED, reason)

    def force_open(self, reason: str) -> None:
        """Leave the server alone until `force_close`."""
        self._is_forced = True
        self._become(BreakerState.OPEN, reason)

    def force_close(self, reason: str) -> None:
        """Try the server at the next opportunity instead of waiting; it is used once it answers."""
        self._is_forced = False
        if self.state is BreakerState.OPEN:
            self._retry_ns = self._clock.monotonic_ns()
            self._successes = 0
            self._become(BreakerState.HALF_OPEN, reason)

    def _note_pace(self, elapsed_ns: int) -> None:
        self._slow.append(elapsed_ns > self._slow_ns)
        full = len(self._slow) == self._slow.maxlen
        if full and sum(self._slow) >= self._config.slow_ratio * len(self._slow):
            self._open("slow")

    def _open(self, reason: str) -> None:
        wait_ns = self._config.recovery_timeout_s * _NS_PER_S
        spread = int(wait_ns * self._config.jitter_pct / 100 * self._jitter())
        self._retry_ns = self._clock.monotonic_ns() + wait_ns + spread
        self._become(BreakerState.OPEN, reason)

    def _become(self, state: BreakerState, reason: str) -> None:
        if state is self.state:
            return
        self.state = state
        self.transitions += 1
        self._on_change(self, state, reason)
