"""Stops a broker adapter that keeps failing before it does harm (spec 01 §6.2)."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from qts.clock import NS_PER_S, Clock
from qts.codes import Effect
from qts.safety.snapshot import StateChange
from qts.safety.states import SafetyState, TransitionResult

MAX_FAILURES: Final = 3
WINDOW_S: Final = 300
PROBE_AFTER_S: Final = 60
MAX_REJECTS: Final = 5
_TRIPPED: Final = "FS040"
_REJECTS: Final = "FS044"


class FailureKind(StrEnum):
    """Failures of transport or system; what the broker refuses for business reasons is none of them."""

    TIMEOUT = "TIMEOUT"
    SERVER_ERROR = "SERVER_ERROR"
    MALFORMED_REPLY = "MALFORMED_REPLY"
    AUTH_FAILED = "AUTH_FAILED"


class GuardState(StrEnum):
    """Closed: all passes. Tripped: nothing. Half-open: queries. Probed: queries; orders wait for an ACK."""

    CLOSED = "CLOSED"
    TRIPPED = "TRIPPED"
    HALF_OPEN = "HALF_OPEN"
    PROBED = "PROBED"


class GuardRefusal(NamedTuple):
    """What an adapter answers instead of sending an order."""

    accepted: bool = False
    broker: str = "failsafe"
    reason: str = "failure guard tripped"


class FaultReporter(Protocol):
    """The part of the manager that a guard needs."""

    def record_fail_safe(
        self,
        code: str,
        message: str = "",
        stage: str = "",
        *,
        effect: Effect | None = None,
        meta: Mapping[str, object] = MappingProxyType({}),
    ) -> TransitionResult:
        """Report a fail-safe."""
        ...

    def subscribe(self, listener: Callable[[StateChange], None]) -> Callable[[], None]:
        """Have changes of the state told."""
        ...


class FailureGuard:
    """The guard of one broker adapter. May be used from any thread; recording a trip blocks for a sync of the disk.

    Args:
        adapter: its name, for the records.
        clock: measures windows.
        safety: where a trip is reported; an ACK that ends FAIL re-arms a guard whose probe has succeeded.
        max_failures: `broker.max_consecutive_failures`; as many within five minutes trip it as well.
    """

    def __init__(self, adapter: str, clock: Clock, safety: FaultReporter, max_failures: int = MAX_FAILURES) -> None:
        self._adapter = adapter
        self._clock = clock
        self._safety = safety
        self._max_failures = max_failures
        self._lock = threading.Lock()
        self._consecutive = 0
        self._failures: deque[int] = deque()
        self._rejects: dict[str, deque[int]] = {}
        self._state = GuardState.CLOSED
        self._tripped_ns: int | None = None
        safety.subscribe(self._on_change)

    @property
    def state(self) -> GuardState:
        """Whether anything passes; a tripped guard opens for queries after 60 s."""
        with self._lock:
            return self._now()

    def refuse_order(self) -> GuardRefusal | None:
        """Return what to answer instead of sending an order; None if it may be sent."""
        return None if self.state is GuardState.CLOSED else GuardRefusal()

    def may_query(self) -> bool:
        """Whether a query may be sent: the probe of a half-open guard is one, never an order."""
        return self.state is not GuardState.TRIPPED

    def failed(self, kind: FailureKind) -> None:
        """Count a failure. One of a probe starts the wait anew."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            state = self._now()
            self._consecutive += 1
            self._failures.append(now_ns)
            _forget(self._failures, now_ns)
            is_due = max(self._consecutive, len(self._failures)) >= self._max_failures
            if state is not GuardState.CLOSED:
                self._state, self._tripped_ns = GuardState.TRIPPED, now_ns
                return
            if not is_due:
                return
            last_ns, self._tripped_ns = self._tripped_ns, now_ns
            self._state = GuardState.TRIPPED
            self._failures.clear()
            self._consecutive = 0
        is_repeated = last_ns is not None and now_ns - last_ns <= WINDOW_S * NS_PER_S
        self._safety.record_fail_safe(
            _TRIPPED,
            "failure guard tripped again" if is_repeated else "failure guard tripped",
            "Act",
            effect="LOCKDOWN" if is_repeated else None,
            meta={"adapter": self._adapter, "kind": kind.value},
        )

    def succeeded(self) -> None:
        """Count a success: failures in a row are over, and the probe of a half-open guard has passed."""
        with self._lock:
            self._consecutive = 0
            if self._now() is GuardState.HALF_OPEN:
                self._state = GuardState.PROBED

    def rejected(self, strategy: str) -> bool:
        """Count a business reject; True if they have become FS044, and the strategy is to be suspended."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            rejects = self._rejects.setdefault(strategy, deque())
            rejects.append(now_ns)
            _forget(rejects, now_ns)
            count = sum(map(len, self._rejects.values()))
            if count < MAX_REJECTS:
                return False
            self._rejects.clear()
        meta = {"adapter": self._adapter, "strategy": strategy, "rejects": count}
        self._safety.record_fail_safe(_REJECTS, "repeated rejects", "Act", meta=meta)
        return True

    def _now(self) -> GuardState:
        if self._state is GuardState.TRIPPED and self._tripped_ns is not None:
            waited_ns = self._clock.monotonic_ns() - self._tripped_ns
            if waited_ns >= PROBE_AFTER_S * NS_PER_S:
                self._state = GuardState.HALF_OPEN
        return self._state

    def _on_change(self, change: StateChange) -> None:
        """Re-arm when an operator has ended FAIL or LOCKDOWN, if the broker answers again."""
        if change.from_state >= SafetyState.FAIL > change.to_state:
            with self._lock:
                if self._now() is GuardState.PROBED:
                    self._state = GuardState.CLOSED


def _forget(moments: deque[int], now_ns: int) -> None:
    while moments and now_ns - moments[0] > WINDOW_S * NS_PER_S:
        moments.popleft()
