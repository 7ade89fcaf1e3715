"""The cycle runner: one pass through the five stages, in their fixed order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from qts.engines.faults import FaultLog, one_line
from qts.pipeline.budgets import breaches_of
from qts.pipeline.contracts import STAGES, Cycle, CycleResult, StageError
from qts.pipeline.exceptions import StageFailure
from qts.pipeline.loop import parked_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.engines.health import EngineHealth
    from qts.engines.performance import PerformanceTracker
    from qts.engines.strategy import StrategySlot
    from qts.pipeline.act import Act, ActReport
    from qts.pipeline.contracts import CalcDataContract, Cause, OrderDecision, Stage, Status, Switches
    from qts.pipeline.decide import Decide
    from qts.pipeline.evaluate import Evaluate
    from qts.pipeline.extract import Extract
    from qts.pipeline.interfaces import MonotonicClock, SessionPort, StageMetrics
    from qts.pipeline.journal import DecisionJournal
    from qts.pipeline.transform import Transform

_UNEXPECTED: Final[dict[Stage, str]] = {
    "extract": "FS010",
    "transform": "FS020",
    "evaluate": "FS030",
    "decide": "FS031",
    "act": "FS040",
}
"""Code of an error that a stage did not name itself."""


class CycleRunner:
    """Runs Extract, Transform, Evaluate, Decide and Act on one set of inputs.

    No stage can be skipped or swapped; a stage without output ends the cycle with a reason. No exception
    leaves `run`: it becomes a typed error in the result. Cycles never overlap: one that is asked for while another
    runs is skipped.

    Args:
        forget: lets go of signals that nobody may act on any more; called when a cycle is skipped because strategies
            are parked, so that none of them is acted on when they are not any more.
        health: counts what the performance engine does.
    """

    def __init__(
        self,
        extract: Extract,
        transform: Transform,
        evaluate: Evaluate,
        decide: Decide,
        act: Act,
        *,
        journal: DecisionJournal,
        performance: PerformanceTracker,
        sessions: SessionPort,
        clock: MonotonicClock,
        metrics: StageMetrics,
        switches: Callable[[], Switches],
        faults: FaultLog,
        forget: Callable[[], None],
        health: EngineHealth,
    ) -> None:
        self._extract = extract
        self._transform = transform
        self._evaluate = evaluate
        self._decide = decide
        self._act = act
        self._journal = journal
        self._performance = performance
        self._sessions = sessions
        self._now = clock.monotonic_ns
        self._record = metrics.record_metric
        self._switches = switches
        self._faults = faults
        self._forget = forget
        self._health = health
        self._cycle_no = 0
        self._is_running = False
        self.overlaps = 0
        """Cycles that were asked for while another was running."""

    def run(
        self, cause: Cause, ts_ns: int, intents: Sequence[tuple[StrategySlot, object]] = (), *, waits_for: str = ""
    ) -> CycleResult:
        """Run one cycle at engine time `ts_ns` with the intents of tick handlers, and return its record.

        `waits_for` says why strategies have to wait, empty if they do not; what protects a position does not wait.
        """
        self._cycle_no += 1
        cycle = Cycle(self._cycle_no, cause, ts_ns, self._sessions.session_date(ts_ns))
        if self._is_running:
            self.overlaps += 1
            return _skipped(cycle, "overlap")
        self._is_running = True
        try:
            return self._run(cycle, intents, waits_for)
        finally:
            self._is_running = False

    def _run(self, cycle: Cycle, intents: Sequence[tuple[StrategySlot, object]], waits_for: str) -> CycleResult:
        stopped_by = parked_by(self._switches())
        if stopped_by:
            self._act.withdraw(cycle.ts_ns)
        stopped_by = stopped_by or waits_for
        if stopped_by and cycle.cause == "EVENT":
            self._forget()
            return _skipped(cycle, stopped_by)
        self._performance.begin_session(cycle.session_date)
        marks = [self._now()]
        try:
            return self._stages(cycle, intents, marks, stopped_by)
        except StageFailure as failure:
            error = StageError(failure.code, failure.stage, failure.message, failure.critical)
        except Exception as unexpected:
            stage = STAGES[min(len(marks), len(STAGES)) - 1]
            error = StageError(_UNEXPECTED[stage], stage, one_line(unexpected), critical=False)
        self._faults.record(error.code, error.stage, error.message, cycle.ts_ns)
        timings = self._timings(marks)
        return CycleResult(cycle, "error", error.code, 0, 0, 0, (), (error,), timings, breaches_of(timings))

    def _stages(
        self, cycle: Cycle, intents: Sequence[tuple[StrategySlot, object]], marks: list[int], stopped_by: str
    ) -> CycleResult:
        """Run the stages; `marks` takes the monotonic time at the end of each.

        `stopped_by` says why strategies are not asked, empty if they are; what protects a position runs all the same.
        """
        now = self._now
        raw = self._extract.run(cycle, intents, only_protects=bool(stopped_by))
        marks.append(now())
        calc = self._transform.run(raw)
        self._health.run(self._performance.mark, calc.equity)
        marks.append(now())
        results = self._evaluate.run(calc) if raw.wishes else ()
        marks.append(now())
        decisions = self._decide.run(raw, results) if results else ()
        # Durable before Act: what was decided is on record even if the process ends half way.
        if decisions:
            self._journal.write(cycle, decisions, calc.equity)
            self._journal.barrier(decisions)
        marks.append(now())
        report = self._act.run(cycle, decisions, raw.switches, raw.stance)
        marks.append(now())
        return self._result(calc, decisions, report, self._timings(marks), stopped_by)

    def _timings(self, marks: Sequence[int]) -> tuple[int, ...]:
        """Return the duration of each stage that ran, and record it."""
        timings = tuple([end - begin for begin, end in pairwise(marks)])
        record = self._record
        for stage, duration_ns in enumerate(timings, 1):
            record(stage, duration_ns)
        return timings

    def _result(
        self,
        calc: CalcDataContract,
        decisions: tuple[OrderDecision, ...],
        report: ActReport,
        timings_ns: tuple[int, ...],
        stopped_by: str,
    ) -> CycleResult:
        raw = calc.raw
        status, reason = _status(decisions, report, has_wishes=bool(raw.wishes))
        if stopped_by and status == "skipped":
            reason = stopped_by
        for error in report.errors:
            self._faults.record(error.code, error.stage, error.message, raw.cycle.ts_ns)
        return CycleResult(
            raw.cycle,
            status,
            reason,
            calc.equity,
            calc.market_value,
            raw.cash,
            decisions,
            report.errors,
            timings_ns,
            breaches_of(timings_ns),
            calc.reports,
            calc.marks,
        )


def _skipped(cycle: Cycle, reason: str) -> CycleResult:
    return CycleResult(cycle, "skipped", reason, 0, 0, 0, (), (), ())


def _status(decisions: tuple[OrderDecision, ...], report: ActReport, *, has_wishes: bool) -> tuple[Status, str]:
    if report.errors:
        return "error", report.errors[0].code
    if report.sent:
        return "executed", ""
    if decisions:
        return "rejected", report.refused[0] if report.refused else decisions[0].reason
    return ("held", "") if has_wishes else ("skipped", "no_signal")
