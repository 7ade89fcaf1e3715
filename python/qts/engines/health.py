"""How the engines are doing: what each has done, how often it failed, how long it took.

Whoever calls an engine runs the call through its `EngineHealth`; whoever ends a cycle calls `HealthBoard.end_cycle`
once and raises FS031 for the engines that it names. Durations are shown and never decide anything that a backtest
could notice: slowness alone makes a WARNING, never a FAULT.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar

from qts.engines.faults import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EngineName: TypeAlias = Literal["Strategy", "Risk", "Portfolio", "Trading", "Performance", "Capital"]
HealthKind: TypeAlias = Literal["OK", "WARNING", "FAULT"]

ENGINES: Final[tuple[EngineName, ...]] = ("Strategy", "Risk", "Portfolio", "Trading", "Performance", "Capital")
WINDOW: Final = 100
"""Operations that health is told by."""
FAULT_ERRORS: Final = 10
"""Errors among them from which on an engine is in FAULT."""
FAULT_CYCLES: Final = 3
"""Cycles in a row that end in FAULT before the engine is given up (FS031)."""
SLOW_NS: Final = 5_000_000_000
"""Mean duration of an operation from which on an engine is unhealthy."""

_In = ParamSpec("_In")
_Out = TypeVar("_Out")


class HealthView(NamedTuple):
    """One engine as it stands."""

    engine: EngineName
    kind: HealthKind
    operations: int
    errors: int
    mean_ns: int
    last_ns: int
    last_error: str
    """One line; empty if there was none."""
    fault_cycles: int


class EngineHealth:
    """Counters of one engine."""

    __slots__ = ("_fault_cycles", "_now", "_recent", "_total_ns", "engine", "errors", "last_error", "last_ns", "total")

    def __init__(self, engine: EngineName, now_ns: Callable[[], int]) -> None:
        """Count for `engine`; `now_ns` gives monotonic nanoseconds."""
        self.engine = engine
        self._now = now_ns
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._total_ns = 0
        self._fault_cycles = 0
        self.total = 0
        self.errors = 0
        self.last_ns = 0
        self.last_error = ""

    def run(self, operation: Callable[_In, _Out], *args: _In.args, **named: _In.kwargs) -> _Out:
        """Return what `operation` returns, and count it; an exception is counted and goes on its way."""
        begin = self._now()
        try:
            result = operation(*args, **named)
        except Exception as error:
            self.record(self._now() - begin, one_line(error))
            raise
        self.record(self._now() - begin)
        return result

    def record(self, duration_ns: int, error: str = "") -> None:
        """Count an operation that took so long; `error` says in one line how it failed."""
        self.total += 1
        self.last_ns = duration_ns
        self._total_ns += duration_ns
        self._recent.append(bool(error))
        if error:
            self.errors += 1
            self.last_error = error

    @property
    def mean_ns(self) -> int:
        """Mean duration of all operations."""
        return self._total_ns // self.total if self.total else 0

    @property
    def kind(self) -> HealthKind:
        """Health over the last operations."""
        recent = sum(self._recent) if self.errors else 0
        if recent >= FAULT_ERRORS:
            return "FAULT"
        return "WARNING" if recent or self.mean_ns >= SLOW_NS else "OK"

    def end_cycle(self) -> bool:
        """Count a cycle; return whether so many in a row have ended in FAULT that the engine is given up."""
        self._fault_cycles = self._fault_cycles + 1 if self.errors and self.kind == "FAULT" else 0
        return self._fault_cycles >= FAULT_CYCLES

    def view(self) -> HealthView:
        """Return the engine as it stands."""
        return HealthView(
            self.engine,
            self.kind,
            self.total,
            self.errors,
            self.mean_ns,
            self.last_ns,
            self.last_error,
            self._fault_cycles,
        )


class HealthBoard:
    """The health of all engines of a run."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Take what gives monotonic nanoseconds."""
        self._engines = {engine: EngineHealth(engine, now_ns) for engine in ENGINES}

    def __getitem__(self, engine: EngineName) -> EngineHealth:
        return self._engines[engine]

    def __iter__(self) -> Iterator[EngineHealth]:
        return iter(self._engines.values())

    def end_cycle(self) -> tuple[EngineName, ...]:
        """Count a cycle; return the engines that are given up: each is reason for FS031."""
        return tuple([health.engine for health in self._engines.values() if health.end_cycle()])
