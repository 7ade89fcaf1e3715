"""Policies around the cycles: when strategies wait, when a run is given up, and what the turns came to.

Pure: time is handed in as nanoseconds, engine time in a backtest, so that a run gives the same at any speed. When the
next cycle is due, and that a run ends with its source, is the core's.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.pipeline.contracts import Cause, CycleResult, Status, Switches

_MS_NS: Final = 1_000_000
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

    error_backoff_ms: int = 5_000
    """Wait after the first error; doubled with each further one up to a minute."""
    error_backoff_max_retries: int = 3
    """Attempts after an error; when the last one fails as well the run ends with FS031."""

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("error_backoff_ms", self.error_backoff_ms, BACKOFF_MS),
            ("error_backoff_max_retries", self.error_backoff_max_retries, (0, MAX_RETRIES)),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} to {high}")


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
