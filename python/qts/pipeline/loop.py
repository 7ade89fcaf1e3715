"""Policies of the loop around the cycles: when the next one is due, when to wait, and when to stop.

Pure: time is handed in as nanoseconds, engine time in a backtest, so that a run gives the same at any speed. The
pipeline keeps the error back-off and the records of the iterations itself; whoever drives a loop asks the rest.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qts.pipeline.contracts import Cause, CycleResult, Status, Switches

_MS_NS: Final = 1_000_000
INTERVAL_MS: Final = (100, 60_000)
"""Shortest and longest time between two cycles."""
BACKOFF_MS: Final = (500, 60_000)
"""Shortest and longest first wait after an error; also the longest wait that doubling leads to."""
MAX_RETRIES: Final = 20
KEPT: Final = 256
"""Iterations that are kept."""
BACKING_OFF: Final = "error_backoff"

PipelineState: TypeAlias = Literal["LOCKDOWN", "FAIL", "SAFE", "RUNNING", "IDLE"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the loop may be told. Defaults are the shipped ones."""

    interval_ms: int = 1_000
    error_backoff_ms: int = 5_000
    """Wait after the first error; doubled with each further one up to a minute."""
    error_backoff_max_retries: int = 3
    """Attempts after an error; when the last one fails as well the run ends with FS031."""

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("interval_ms", self.interval_ms, INTERVAL_MS),
            ("error_backoff_ms", self.error_backoff_ms, BACKOFF_MS),
            ("error_backoff_max_retries", self.error_backoff_max_retries, (0, MAX_RETRIES)),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} to {high}")


def interval_ms(base_ms: int, *, volatile: bool = False, after_hours: bool = False, degraded: bool = False) -> int:
    """Return the time to the next cycle: half of it in a volatile market, ten times after hours, twice if degraded."""
    wanted = base_ms
    if volatile:
        wanted //= 2
    if after_hours:
        wanted *= 10
    if degraded:
        wanted *= 2
    low, high = INTERVAL_MS
    return min(high, max(low, wanted))


class FixedRate:
    """A timer at a fixed rate that catches nothing up: what was missed is dropped and counted."""

    def __init__(self, start_ns: int, every_ms: int) -> None:
        self._due_ns = start_ns
        self._every_ns = every_ms * _MS_NS
        self.missed = 0
        """Ticks that were dropped."""

    @property
    def due_ns(self) -> int:
        """When the next cycle is due."""
        return self._due_ns

    def set_interval(self, every_ms: int) -> None:
        """Go by another interval from the next tick on; the one that is due stays due."""
        self._every_ns = every_ms * _MS_NS

    def take(self, now_ns: int) -> bool:
        """Whether a cycle is due; if so the next one is later than `now_ns`, whatever lies between."""
        if now_ns < self._due_ns:
            return False
        late = (now_ns - self._due_ns) // self._every_ns
        self.missed += late
        self._due_ns += (late + 1) * self._every_ns
        return True


class ErrorBackoff:
    """Keeps strategies waiting after a cycle in error: 5 s, then twice as long each time, up to a minute.

    What happens during a wait is no attempt: it neither counts nor prolongs it.
    """

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._until_ns: int | None = None
        self.errors_in_a_row = 0

    def is_waiting(self, ts_ns: int) -> bool:
        """Whether strategies have to wait at `ts_ns`."""
        return self._until_ns is not None and ts_ns < self._until_ns

    def take(self, ts_ns: int, *, is_error: bool) -> bool:
        """Take in how a cycle at `ts_ns` ended; return whether there were too many errors in a row."""
        if self.is_waiting(ts_ns):
            return False
        if not is_error:
            self.errors_in_a_row, self._until_ns = 0, None
            return False
        self.errors_in_a_row += 1
        doubled_ms = self._settings.error_backoff_ms << min(self.errors_in_a_row - 1, MAX_RETRIES)
        self._until_ns = ts_ns + min(doubled_ms, BACKOFF_MS[1]) * _MS_NS
        return self.errors_in_a_row > self._settings.error_backoff_max_retries


class LoopView(NamedTuple):
    """What stop policies look at, before and after each cycle."""

    iteration: int = 0
    now_ns: int = 0
    """Monotonic time for `Deadline`; whatever clock that one was given."""
    errors_in_a_row: int = 0
    is_exhausted: bool = False
    """Whether the source has ended."""
    is_over: bool = False
    """Whether the last permitted phase of the session has passed."""
    signal: str = ""
    """Name of a signal that has arrived, empty if none has."""


class StopPolicy(Protocol):
    """A reason to stop."""

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops, empty if it goes on."""
        ...


@dataclass(frozen=True, slots=True)
class MaxIterations:
    """Stops after so many iterations."""

    count: int

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return "max_iterations" if view.iteration >= self.count else ""


@dataclass(frozen=True, slots=True)
class MaxConsecutiveErrors:
    """Stops when more cycles in a row ended in error than there are retries."""

    retries: int = 3

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return "max_consecutive_errors" if view.errors_in_a_row > self.retries else ""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Stops at a time."""

    at_ns: int

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return "deadline" if view.now_ns >= self.at_ns else ""


class SourceExhausted:
    """Stops when a recording has ended."""

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return "source_exhausted" if view.is_exhausted else ""


class SessionEnd:
    """Stops when the session's last permitted phase has passed."""

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return "session_end" if view.is_over else ""


class Signal:
    """Stops when the process was asked to: the cycle ends, entries are cancelled, everything is written."""

    def reason(self, view: LoopView) -> str:
        """Return why the loop stops."""
        return f"signal {view.signal}" if view.signal else ""


def first_reason(policies: Iterable[StopPolicy], view: LoopView) -> str:
    """Return why the loop stops by the first policy that says so, empty if none does."""
    return next((reason for policy in policies if (reason := policy.reason(view))), "")


def parked_by(switches: Switches) -> str:
    """Return why strategies are parked, empty if they are not. Parked is not stopped: what protects goes on."""
    if switches.kill_switch:
        return "kill_switch"
    if switches.distrusted:
        return "safety"
    return "pipeline_paused" if switches.pipeline_paused else ""


def pipeline_state(
    switches: Switches, *, safety: str, is_waiting: bool = False, is_armed: bool = False
) -> PipelineState:
    """Return the state of the pipeline as people see it; derived each time, never stored.

    Args:
        switches: what is switched off.
        safety: NORMAL, WARNING, FAIL or LOCKDOWN.
        is_waiting: whether strategies wait after an error.
        is_armed: whether a cycle runs, or the loop is armed in a phase of trading.
    """
    if safety == "LOCKDOWN" or switches.kill_switch:
        return "LOCKDOWN"
    if safety == "FAIL":
        return "FAIL"
    if switches.safe_mode or is_waiting or parked_by(switches):
        return "SAFE"
    return "RUNNING" if is_armed else "IDLE"


class Iteration(NamedTuple):
    """One turn of the loop."""

    number: int
    cycle_no: int
    cause: Cause
    ts_ns: int
    status: Status
    reason: str
    decided: int
    """Decisions, refused ones included."""
    working_before: int
    """Orders that could still fill before the cycle."""
    working_after: int
    took_ns: int
    is_blocked: bool
    """Whether strategies were not asked: parked, waiting after an error, or another cycle was running."""


class LoopLog:
    """The last iterations, and how often each outcome came."""

    def __init__(self) -> None:
        self._recent: deque[Iteration] = deque(maxlen=KEPT)
        self.outcomes: Counter[str] = Counter()
        """Iterations by status, and for those that were skipped by status and reason: "skipped:overlap"."""
        self.iterations = 0

    def take(self, result: CycleResult, *, working_before: int, working_after: int) -> None:
        """Record an iteration."""
        self.iterations += 1
        status, reason = result.status, result.reason
        self.outcomes[f"{status}:{reason}" if status == "skipped" else status] += 1
        if status == "skipped" and reason == "no_signal":
            return  # nearly every turn of an interval: counted, not kept
        self._recent.append(
            Iteration(
                self.iterations,
                result.cycle.no,
                result.cycle.cause,
                result.cycle.ts_ns,
                status,
                reason,
                len(result.decisions),
                working_before,
                working_after,
                sum(result.timings_ns),
                status == "skipped",
            )
        )

    def recent(self) -> Sequence[Iteration]:
        """Return the iterations kept, oldest first; those without any signal are counted only."""
        return tuple(self._recent)
