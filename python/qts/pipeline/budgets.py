"""How long a stage and a cycle may take, and which of them took longer.

Durations are wall time: they are counted in every run and judged only where wall time is the market's time.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.pipeline.contracts import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.pipeline.contracts import CycleResult, Stage

Budgeted: TypeAlias = Literal["extract", "transform", "evaluate", "decide", "act", "cycle"]
_MS_NS: Final = 1_000_000

GATE: Final[Mapping[Budgeted, int]] = {
    "extract": 500 * _MS_NS,
    "transform": 100 * _MS_NS,
    "evaluate": 200 * _MS_NS,
    "decide": 100 * _MS_NS,
    "act": 500 * _MS_NS,
    "cycle": 3_000 * _MS_NS,
}
"""Nanoseconds that a stage may take; above it, it is a breach. These are the numbers of the first exit gate."""
TARGET: Final[Mapping[Budgeted, int]] = {
    "extract": 50 * _MS_NS,
    "transform": 20 * _MS_NS,
    "evaluate": 100 * _MS_NS,
    "decide": 10 * _MS_NS,
    "act": 200 * _MS_NS,
    "cycle": 500 * _MS_NS,
}
"""Nanoseconds that it should stay below with a database or a cache behind it: counted, no breach."""
CYCLE_LIMIT_NS: Final = 10_000 * _MS_NS
"""One cycle above it is a fault of its own (FS060)."""
CYCLES_LATE: Final = 3
"""So many in a row above the budget of a cycle are one as well (FS060)."""
SURGE_FACTOR: Final = 3
"""Duration over the median of the last ones from which on a cycle above its target is a surge (AN040)."""
SURGE_SAMPLES: Final = 100

_SMALLEST_NS: Final = min(TARGET.values())


class Breach(NamedTuple):
    """A stage, or the cycle as a whole, that took longer than its budget."""

    what: Budgeted
    took_ns: int
    budget_ns: int

    def __str__(self) -> str:
        return f"{self.what} took {self.took_ns // _MS_NS} ms of {self.budget_ns // _MS_NS} ms"


def breaches_of(timings_ns: Sequence[int], limits: Mapping[Budgeted, int] = GATE) -> tuple[Breach, ...]:
    """Return what took longer than `limits` say; `timings_ns` are the durations of the stages that ran, in order."""
    total_ns = sum(timings_ns)
    if total_ns <= _SMALLEST_NS:  # nothing can be above its budget: the way that nearly every cycle takes
        return ()
    took: list[tuple[Stage | Literal["cycle"], int]] = [*zip(STAGES, timings_ns, strict=False), ("cycle", total_ns)]
    return tuple([Breach(what, took_ns, limits[what]) for what, took_ns in took if took_ns > limits[what]])


class BudgetCounts:
    """How often which budget was not kept in a run."""

    def __init__(self) -> None:
        self.breaches: Counter[Budgeted] = Counter()
        """Above `GATE`, by stage, and "cycle"."""
        self.above_target: Counter[Budgeted] = Counter()
        """Above `TARGET`, by stage, and "cycle"."""

    def take(self, result: CycleResult) -> None:
        """Count a cycle."""
        if sum(result.timings_ns) > _SMALLEST_NS:
            self.breaches.update(breach.what for breach in result.breaches)
            self.above_target.update(breach.what for breach in breaches_of(result.timings_ns, TARGET))


class Lateness(NamedTuple):
    """What the duration of a cycle says: the code to be raised for it, and why."""

    code: Literal["FS060", "AN040"]
    message: str


class CycleWatch:
    """Judges the durations of cycles. Only for runs in which wall time is the market's time.

    A surge is told by the usual duration of a cycle; microseconds have surges that mean nothing, so only cycles above
    their target can be one.
    """

    def __init__(self, factor: float = SURGE_FACTOR, samples: int = SURGE_SAMPLES) -> None:
        self._factor = factor
        self._recent: deque[int] = deque(maxlen=samples)
        self._late_in_a_row = 0
        self.in_time = 0
        """Cycles in a row that kept the budget of a cycle."""

    def look(self, result: CycleResult) -> Lateness | None:
        """Take a cycle in; return what is to be raised for it, None if nothing is."""
        timings_ns = result.timings_ns
        if not timings_ns:
            return None
        total_ns = sum(timings_ns)
        is_late = total_ns > GATE["cycle"]
        self._late_in_a_row = self._late_in_a_row + 1 if is_late else 0
        self.in_time = 0 if is_late else self.in_time + 1
        found = self._judge(total_ns, result.breaches)
        if found is not None and found.code == "FS060":
            self._late_in_a_row = 0  # told; it takes as many again to be told again
        self._recent.append(total_ns)
        return found

    def _judge(self, total_ns: int, breaches: Sequence[Breach]) -> Lateness | None:
        if total_ns > CYCLE_LIMIT_NS:
            return Lateness("FS060", f"a cycle took {total_ns // _MS_NS} ms of {CYCLE_LIMIT_NS // _MS_NS} ms")
        if self._late_in_a_row >= CYCLES_LATE:
            budget_ms = GATE["cycle"] // _MS_NS
            return Lateness("FS060", f"{self._late_in_a_row} cycles in a row took more than {budget_ms} ms")
        if breaches:
            return Lateness("AN040", "; ".join(map(str, breaches)))
        if total_ns > TARGET["cycle"] and len(self._recent) == self._recent.maxlen:
            usual_ns = sorted(self._recent)[len(self._recent) // 2]
            if total_ns > self._factor * usual_ns:
                return Lateness("AN040", f"a cycle took {total_ns // _MS_NS} ms, usually {usual_ns // 1_000} µs")
        return None
