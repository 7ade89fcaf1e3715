"""What runs over recorded history did, as tables in Markdown."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from qts.clock import to_ns, utc_date
from qts.state.contracts import OperatingState, TransitionReason
from qts.state.history import KST_S, close_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from qts.state.contracts import TransitionMetrics, TransitionResult
    from qts.state.history import Fall, History
    from qts.state.replay import Run, Stay

_DAYS_PER_YEAR: Final = 365.25


def tables(history: History, runs: Sequence[Run]) -> str:
    """Return three tables: time in each state, the falls of the index, the transitions by the rules alone."""
    alone = [run for run in runs if not run.has_operator]
    return "\n\n".join((_shares(runs), _falls(history, runs), _transitions(alone))) + "\n"


def name_of(run: Run) -> str:
    """Return what a run is called."""
    return f"{run.policy}, {'with operator' if run.has_operator else 'rules alone'}"


def day_of(at_ns: int) -> date:
    """Return the day in Korea."""
    return utc_date(at_ns, KST_S)


def percent(part: float) -> str:
    """Return a fraction as a text."""
    return f"{100 * part:.2f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _shares(runs: Sequence[Run]) -> str:
    states = tuple(OperatingState)
    rows = []
    for run in runs:
        days = run.days()
        whole = sum(days.values())
        longest = max(_defensive(run), key=lambda stay: stay.days, default=None)
        shares = [percent(days[state] / whole) for state in states]
        rows.append((name_of(run), len(run.transitions), *shares, "none" if longest is None else _years(longest)))
    return _table(("Run", "Transitions", *states, "Longest DEFENSIVE"), rows)


def _years(stay: Stay) -> str:
    return f"{stay.days / _DAYS_PER_YEAR:.1f} years from {day_of(stay.begin_ns)}"


def _defensive(run: Run) -> list[Stay]:
    return [stay for stay in run.stays if stay.state is OperatingState.DEFENSIVE]


def _falls(history: History, runs: Sequence[Run]) -> str:
    head = ("Fall", "Run", "At the peak", "DEFENSIVE from", "Index then", "Fall while DEFENSIVE", "Left after the low")
    rows = [
        (
            f"{fall.peak.day} to {fall.trough.day}: -{percent(fall.depth)}",
            name_of(run),
            run.state_at(close_ns(fall.peak.day)),
            *_answer(history, fall, run),
        )
        for fall in history.falls()
        for run in runs
    ]
    return _table(head, rows)


def _answer(history: History, fall: Fall, run: Run) -> tuple[str, str, str, str]:
    """Return since when a run was DEFENSIVE, how far the index was down then, the part of the fall it saw, the end."""
    peak_ns, trough_ns = close_ns(fall.peak.day), close_ns(fall.trough.day)
    stays = [stay for stay in _defensive(run) if stay.end_ns > peak_ns and stay.begin_ns < trough_ns]
    if not stays:
        return "never", "", percent(0), ""
    first, last = stays[0], stays[-1]
    known = [one for one in history.index if close_ns(one.day) <= first.begin_ns]
    down = (
        f"-{percent(float(1 - known[-1].close / fall.peak.close))}" if first.begin_ns > peak_ns else "before the peak"
    )
    days = [one for one in history.index if fall.peak.day <= one.day <= fall.trough.day]
    covered = sum(
        after.close - before.close
        for before, after in pairwise(days)
        if run.state_at(close_ns(after.day)) is OperatingState.DEFENSIVE
    )
    part = float(covered / (fall.trough.close - fall.peak.close))
    left = "already out" if last.end_ns <= trough_ns else str(day_of(last.end_ns))
    return str(day_of(first.begin_ns)), down, percent(part), left


def _transitions(runs: Sequence[Run]) -> str:
    """Return the transitions of all runs by day; what several did alike is one row."""
    who: dict[tuple[object, ...], list[str]] = {}
    for run in runs:
        for one in run.transitions:
            row = (day_of(to_ns(one.effective_at)), one.from_state, one.to_state, one.reason, _value(one))
            who.setdefault(row, []).append(run.policy)
    ordered = sorted(who.items(), key=lambda item: (str(item[0][0]), item[1]))
    rows = ((*row, "both" if len(names) == len(runs) else ", ".join(names)) for row, names in ordered)
    return _table(("Date (Seoul)", "From", "To", "Reason", "Value", "Policy"), rows)


def _value(one: TransitionResult) -> str:
    """Return what the reason was about, as it stood."""
    seen = one.metrics
    assert seen is not None  # noqa: S101 - rules act on metrics
    return _VALUES[one.reason](seen)


def _known(value: float | None) -> float:
    assert value is not None  # noqa: S101 - an unknown value gives no reason
    return value


def _recovery(seen: TransitionMetrics) -> str:
    days = seen.consecutive_profitable_days
    return f"drawdown {percent(_known(seen.drawdown_pct))}, VIX {seen.vix:.2f}, {days} days up"


def _performance(seen: TransitionMetrics) -> str:
    growth, won = percent(_known(seen.capital_growth_pct)), percent(_known(seen.win_rate_30d))
    return f"CAGR {percent(_known(seen.cagr))}, 90 days +{growth}, {won} won, VIX {seen.vix:.2f}"


_VALUES: Final = {
    TransitionReason.DRAWDOWN_THRESHOLD_EXCEEDED: lambda seen: f"drawdown {percent(_known(seen.drawdown_pct))}",
    TransitionReason.DAILY_LOSS_EXCEEDED: lambda seen: f"day -{percent(_known(seen.daily_loss_pct))}",
    TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED: lambda seen: f"VIX {seen.vix:.2f}",
    TransitionReason.CONSECUTIVE_SCALP_LOSSES: lambda seen: f"{seen.consecutive_scalp_losses} losses in a row",
    TransitionReason.MARKET_CIRCUIT_BREAKER: lambda seen: "market halted",  # noqa: ARG005 - one face for all
    TransitionReason.RECOVERY_CONFIRMED: _recovery,
    TransitionReason.PERFORMANCE_CONFIRMED: _performance,
}
