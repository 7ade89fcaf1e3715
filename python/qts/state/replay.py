"""The operating state over recorded history: `python -m qts.state.replay --vix FILE --index FILE --out DIR`.

A real manager is stepped by a simulated clock from hour to hour. What it is told at a moment could be known at that
moment: the index from the Korean close on, the VIX from its publication on.
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, NS_PER_S, SimClock, midnight_ns, to_ns
from qts.codes import QtsError, UsageError
from qts.safety import SafetyState
from qts.state.config import BalancedToAggressiveLimits, StateConfig
from qts.state.contracts import OperatingState
from qts.state.history import KST_S, PublishedVix, Sessions, close_ns, open_ns, read_history, vix_ns
from qts.state.index_account import IndexAccount
from qts.state.messages import say
from qts.state.operating_state import OperatingStateManager
from qts.state.replay_page import tables
from qts.state.replay_picture import picture
from qts.state.vol_index import VolIndex
from qts.state.watch import STUCK_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.state.config import GatePolicy
    from qts.state.contracts import OperatingStateSnapshot, TransitionResult
    from qts.state.history import DailyClose, History

HOUR_NS: Final = 3_600 * NS_PER_S
TARGET_CAGR: Final = 0.03
"""Low on purpose: none is shipped, without one no rule leads to AGGRESSIVE, and the index grew by 4 % a year."""
TABLES: Final = "tables.md"
PICTURE: Final = "operating-states.svg"
_STUCK_NS: Final = STUCK_DAYS * NS_PER_DAY


@dataclass(frozen=True, slots=True)
class Stay:
    """A stretch of one state, UTC nanoseconds."""

    state: OperatingState
    begin_ns: int
    end_ns: int

    @property
    def days(self) -> float:
        """How long it lasted."""
        return (self.end_ns - self.begin_ns) / NS_PER_DAY


@dataclass(frozen=True, slots=True)
class Run:
    """What one manager did."""

    policy: GatePolicy
    has_operator: bool
    stays: tuple[Stay, ...]
    """Oldest first, without a gap."""
    transitions: tuple[TransitionResult, ...]
    """The changes of state between them."""
    rebases_ns: tuple[int, ...]
    """When the operator let the drawdown begin anew."""
    tightened_hours: int
    """Hours in which a move that waited limited the risk already (SAFE only)."""

    def state_at(self, at_ns: int) -> OperatingState:
        """Return the state in force at a moment of the run; at a change, the new one."""
        return next(stay.state for stay in reversed(self.stays) if stay.begin_ns <= at_ns)

    def days(self) -> dict[OperatingState, float]:
        """Return the days spent in each state."""
        return {state: sum(stay.days for stay in self.stays if stay.state is state) for state in OperatingState}


def replay(history: History, policy: GatePolicy, *, has_operator: bool = False, is_hourly: bool = False) -> Run:
    """Return what a manager of this gate policy does over a history. The same arguments give the same run.

    Args:
        history: both indices; the run takes the days of the index from the first day of the VIX to its last.
        policy: gate policy. The other settings are those shipped, but for TARGET_CAGR and a sample an hour in place of
            one a minute: where values change once a day, the samples of an hour are all the same.
        has_operator: an operator answers the alarm of a DEFENSIVE state that does not end (GR087): at the first close
            after STUCK_DAYS days, and every STUCK_DAYS days from then on, the drawdown begins anew.
        is_hourly: step every hour. Else hours are left out in which nothing can happen.
    """
    return _Replay(history, policy, has_operator=has_operator, is_hourly=is_hourly).run()


class _Replay:
    def __init__(self, history: History, policy: GatePolicy, *, has_operator: bool, is_hourly: bool) -> None:
        days = history.shared()
        self._config = StateConfig(
            policy=policy,
            metrics_interval_sec=HOUR_NS // NS_PER_S,
            balanced_to_aggressive=BalancedToAggressiveLimits(target_cagr=TARGET_CAGR),
        )
        self._has_operator = has_operator
        self._is_hourly = is_hourly
        self._clock = SimClock(close_ns(days[0].day))
        self._begin_ns = self._since_ns = self._clock.now_ns()
        self._end_ns = midnight_ns(days[-1].day, KST_S) + NS_PER_DAY
        self._transitions: list[TransitionResult] = []
        self._rebases_ns: list[int] = []
        self._tightened_hours = 0
        self._manager = OperatingStateManager(self._config, clock=self._clock, listener=self, in_session=Sessions(days))
        self._vix = VolIndex(PublishedVix(history.vix, self._clock), self._clock)
        self._account = IndexAccount(self._config, self._clock, days[0], self._manager.properties)
        opens = [(open_ns(one.day), None) for one in days[1:]]
        closes = [(close_ns(one.day), one) for one in days[1:]]
        self._sessions: list[tuple[int, DailyClose | None]] = sorted([*opens, *closes], key=lambda one: one[0])
        self._done = 0
        self._news_ns = self._news(history)

    def run(self) -> Run:
        now_ns = _hour_from(self._begin_ns)
        while now_ns <= self._end_ns:
            self._go_to(now_ns)
            metrics, quality = self._account.metrics(self._vix.read())
            self._manager.evaluate_transition(metrics, SafetyState.NORMAL, quality)
            self._tightened_hours += self._manager.get_snapshot().tightened
            now_ns = self._next(now_ns)
        return Run(
            self._config.policy,
            self._has_operator,
            self._stays(),
            tuple(self._transitions),
            tuple(self._rebases_ns),
            self._tightened_hours,
        )

    def on_transition(self, result: TransitionResult, snapshot: OperatingStateSnapshot) -> None:  # noqa: ARG002
        """Take note of a change."""
        if result.from_state is not result.to_state:
            self._transitions.append(result)
            self._since_ns = to_ns(result.effective_at)

    def on_code(self, code: str, text: str) -> None:
        """Let codes pass: nobody is there whom they would concern."""

    def _go_to(self, now_ns: int) -> None:
        """Live through the sessions that open and close up to a moment."""
        while self._done < len(self._sessions) and self._sessions[self._done][0] <= now_ns:
            at_ns, today = self._sessions[self._done]
            self._done += 1
            self._clock.advance_to(at_ns)
            if today is None:
                self._account.open_session()
            else:
                self._account.close_session(today, self._manager.get_snapshot().effective_properties)
                self._answer_alarm(at_ns)
        self._clock.advance_to(now_ns)

    def _answer_alarm(self, now_ns: int) -> None:
        since_ns = max([self._since_ns, *self._rebases_ns[-1:]])
        is_stuck = self._manager.current_state is OperatingState.DEFENSIVE and now_ns - since_ns > _STUCK_NS
        if self._has_operator and is_stuck:
            self._account.rebase_high_water()
            self._rebases_ns.append(now_ns)

    def _next(self, now_ns: int) -> int:
        """Return the next hour to be evaluated.

        Where time alone can move nothing, evaluations leave no trace until there is news: hours before it are left out.
        """
        if self._is_hourly or self._manager.may_move_unprompted():
            return now_ns + HOUR_NS
        place = bisect_right(self._news_ns, now_ns)
        return _hour_from(min(self._news_ns[place : place + 1], default=self._end_ns + 1))

    def _news(self, history: History) -> list[int]:
        """Return every moment after which a metric, or the trust in it, may be another one; ascending."""
        old_ns = self._config.vol_max_age_sec * NS_PER_S
        published = [vix_ns(one.day) for one in history.vix]
        news = {at_ns for at_ns, _ in self._sessions}
        news.update(at_ns + age_ns for at_ns in published for age_ns in (0, old_ns + 1, NS_PER_DAY + 1))
        # A trade leaves the window of 30 days at the hour of a close, on any day.
        news.update(range(self._begin_ns + 1, self._end_ns, NS_PER_DAY))
        return sorted(news)

    def _stays(self) -> tuple[Stay, ...]:
        states = [self._config.default, *(one.to_state for one in self._transitions)]
        edges = [self._begin_ns, *(to_ns(one.effective_at) for one in self._transitions), self._end_ns]
        return tuple(Stay(state, edges[at], edges[at + 1]) for at, state in enumerate(states))


def _hour_from(at_ns: int) -> int:
    """Return the first full hour that does not lie before a moment."""
    return -(-at_ns // HOUR_NS) * HOUR_NS


def replay_all(history: History) -> list[Run]:
    """Return the four runs of the page: both gate policies, first by the rules alone, then with an operator."""
    policies: tuple[GatePolicy, GatePolicy] = ("LITERAL", "SAFE")
    return [replay(history, policy, has_operator=operator) for operator in (False, True) for policy in policies]


def main(argv: Sequence[str] | None = None) -> int:
    """Replay a history and write its tables and its picture; return the exit code, 2 for what a user got wrong."""
    parser = argparse.ArgumentParser(prog="python -m qts.state.replay", description=__doc__.split(":")[0])
    parser.add_argument("--vix", type=Path, required=True, help="daily VIX: DATE,OPEN,HIGH,LOW,CLOSE")
    parser.add_argument("--index", type=Path, required=True, help="daily index: date,close")
    parser.add_argument("--out", type=Path, required=True, help=f"directory for {TABLES} and {PICTURE}")
    options = parser.parse_args(argv)
    try:
        history = read_history(options.vix, options.index)
        runs = replay_all(history)
        _write(options.out, {TABLES: tables(history, runs), PICTURE: picture(history, runs)})
    except QtsError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.exit_code
    days = history.shared()
    files = f"{TABLES}, {PICTURE}"
    done = say("history_done", days=len(days), first=days[0].day, last=days[-1].day, files=files, out=options.out)
    sys.stdout.write(f"{done}\n")
    return 0


def _write(out: Path, texts: dict[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            found=say("history_out", reason=error.strerror),
            expected=say("history_out_expected"),
            hint=say("history_out_hint"),
            where=str(out),
        ) from None


if __name__ == "__main__":
    sys.exit(main())
