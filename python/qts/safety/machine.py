"""The transition table of spec 01 §1.3 and what it remembers. No clock, no file: time comes with each event."""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from qts.clock import NS_PER_S
from qts.safety.config import CONSECUTIVE_LIMIT, SAME_CAUSE_S, SafetyConfig
from qts.safety.states import (
    AnomalyLevel,
    EventKind,
    SafetyEvent,
    SafetyState,
    TransitionResult,
)

_NORMAL, _WARNING, _FAIL, _LOCKDOWN = SafetyState
_ANY: Final = frozenset(SafetyState)
_TRADING: Final = frozenset({_NORMAL, _WARNING})


class Machine:
    """The safety state and its counters.

    Times are nanoseconds of one monotonic clock. Not thread-safe, never blocks.

    Args:
        config: windows, limits and counts.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self.state = SafetyState.NORMAL
        self.consecutive = 0
        self.last_fail_ns: int | None = None
        self.probation_left = 0
        self._causes: dict[str, int] = {}
        self._guardrails: deque[int] = deque()
        self._quiet_since_ns = 0
        self._only_low = False
        self._must_be_quiet = False
        self._clean_cycles = 0

    def apply(self, event: SafetyEvent, now_ns: int) -> TransitionResult:
        """Move by the table and return what came of it; a pair that the table does not list changes nothing."""
        before = self.state
        for row in _ROWS_OF[before, event.kind]:
            if row.when(Case(self, event, now_ns)):
                break
        else:
            row = _NOT_LISTED
        target = self._target(row, event)
        if row.note is not None:
            row.note(self, event, now_ns)
        elif event.kind is EventKind.FAIL_SAFE and event.effect == "WARN":
            self.disturb(event, now_ns)  # a warning that comes again is not quiet, though it moves nothing
        if target != before:
            self._enter(target, event, now_ns)
        meta = {"code": event.code, "consecutive": self.consecutive, "operator": event.operator}
        return TransitionResult(before, target, event.kind, row.is_applied, event.refusal or row.reason, meta)

    def reconfigure(self, config: SafetyConfig) -> None:
        """Go by other numbers from the next event on."""
        self._config = config

    def finish_cycle(self, *, is_clean: bool) -> None:
        """Count a cycle that has ended: towards CLEAR, the end of probation, and the reset of the fail-safe count."""
        if self.state not in _TRADING:
            return
        if not is_clean:
            self._clean_cycles = 0
            return
        self._clean_cycles += 1
        self.probation_left = max(0, self.probation_left - 1)
        if self.state == _NORMAL and self._clean_cycles >= self._config.lockdown_clean_cycles_to_reset:
            self.consecutive, self.last_fail_ns = 0, None

    @property
    def counts_cycles(self) -> bool:
        """Whether a clean cycle changes anything: not in NORMAL with nothing left to be forgotten."""
        return self.state != _NORMAL or self.consecutive > 0 or self.probation_left > 0

    def is_clear_due(self, now_ns: int) -> bool:
        """Whether WARNING has been quiet for long enough, and probation is over."""
        if self.state != _WARNING or self.probation_left:
            return False
        if not self._must_be_quiet:
            return True
        config = self._config
        quiet_s = config.warning_quiet_low_s if self._only_low else config.warning_quiet_s
        is_quiet = now_ns - self._quiet_since_ns >= quiet_s * NS_PER_S
        return is_quiet and self._clean_cycles >= config.warning_clean_cycles

    def next_count(self, event: SafetyEvent, now_ns: int) -> int:
        """Return what the count of fail-safes in a row becomes with this one."""
        counted_ns = self._causes.get(event.cause) if event.cause else None
        if counted_ns is not None and now_ns - counted_ns <= SAME_CAUSE_S * NS_PER_S:
            return self.consecutive
        if self.state == _FAIL or self._is_in_window(now_ns):
            return self.consecutive + 1
        return 1

    def guardrails_within(self, now_ns: int) -> int:
        """Return how many counted guardrails lie in the window, the one that happens now included."""
        horizon = now_ns - self._config.guardrail_warn_window_s * NS_PER_S
        while self._guardrails and self._guardrails[0] <= horizon:
            self._guardrails.popleft()
        return len(self._guardrails) + 1

    @property
    def warn_count(self) -> int:
        """Return the number of guardrails that makes WARNING."""
        return self._config.guardrail_warn_count

    def count_fail_safe(self, event: SafetyEvent, now_ns: int) -> None:
        """Take a fail-safe into the count."""
        count = self.next_count(event, now_ns)
        if event.cause and (count != self.consecutive or event.cause not in self._causes):
            fresh = now_ns - SAME_CAUSE_S * NS_PER_S
            self._causes = {cause: at for cause, at in self._causes.items() if at >= fresh}
            self._causes[event.cause] = now_ns
        self.consecutive, self.last_fail_ns = count, now_ns

    def remember_fail_safe(self, event: SafetyEvent, now_ns: int) -> None:
        """Note that a fail-safe came in LOCKDOWN: the window after a release runs from here."""
        if event.kind is EventKind.FAIL_SAFE and event.effect in {"FAIL", "LOCKDOWN"}:
            self.consecutive, self.last_fail_ns = max(1, self.consecutive), now_ns

    def count_guardrail(self, event: SafetyEvent, now_ns: int) -> None:
        """Take a guardrail into the window; a disturbance if it counts."""
        if event.counts:
            self._guardrails.append(now_ns)
        if event.counts or event.warns:
            self.disturb(event, now_ns)

    def disturb(self, event: SafetyEvent, now_ns: int) -> None:
        """Start the quiet period of WARNING anew."""
        if self.state == _WARNING:
            is_low = event.kind is EventKind.ANOMALY and event.level is AnomalyLevel.LOW
            self._only_low = is_low and (self._only_low or not self._must_be_quiet)
            self._quiet_since_ns, self._clean_cycles, self._must_be_quiet = now_ns, 0, True

    def recall(self, *, consecutive: int, last_fail_ns: int | None, probation_left: int) -> None:
        """Put the counters back that a record kept; to be followed by RESTORE."""
        self.consecutive, self.last_fail_ns, self.probation_left = consecutive, last_fail_ns, probation_left

    def _is_in_window(self, now_ns: int) -> bool:
        last = self.last_fail_ns
        return last is not None and now_ns - last <= self._config.lockdown_window_s * NS_PER_S

    def _target(self, row: "Row", event: SafetyEvent) -> SafetyState:
        if isinstance(row.to, SafetyState):
            return row.to
        if row.to is _To.RESTORED:
            return event.restored
        if row.to is _To.RELEASED:
            return _WARNING if self._config.recovery_probation_cycles else _NORMAL
        return self.state

    def _enter(self, target: SafetyState, event: SafetyEvent, now_ns: int) -> None:
        self.state = target
        self._clean_cycles = 0
        if target == _WARNING:
            is_released = event.kind in {EventKind.ACK, EventKind.APPROVE}
            self._must_be_quiet = not is_released
            if is_released:
                self.probation_left = self._config.recovery_probation_cycles
            self._only_low = event.kind is EventKind.ANOMALY and event.level is AnomalyLevel.LOW
            self._quiet_since_ns = now_ns
            self._guardrails.clear()
        elif target not in _TRADING:
            self.probation_left = 0


class _To(Enum):
    SAME = "the state stays"
    RESTORED = "the recorded state"
    RELEASED = "WARNING in probation, NORMAL if there is none"


class Case(NamedTuple):
    """What a condition of the table looks at."""

    machine: Machine
    event: SafetyEvent
    now_ns: int


_When: TypeAlias = Callable[[Case], bool]
_Note: TypeAlias = Callable[[Machine, SafetyEvent, int], None]


class Row(NamedTuple):
    """One row of the table: from these states, on this event, if `when` holds, to that state."""

    states: frozenset[SafetyState]
    kind: EventKind
    when: _When
    to: SafetyState | _To
    reason: str
    note: _Note | None = None
    is_applied: bool = True


def _always(_: Case) -> bool:
    return True


def _asks(effect: str) -> _When:
    return lambda case: case.event.effect == effect


def _is_below_limit(case: Case) -> bool:
    """A FAIL that is not the second in a row."""
    return case.event.effect == "FAIL" and case.machine.next_count(case.event, case.now_ns) < CONSECUTIVE_LIMIT


def _makes_warning(case: Case) -> bool:
    machine, event = case.machine, case.event
    return event.warns or (event.counts and machine.guardrails_within(case.now_ns) >= machine.warn_count)


def _is_granted(case: Case) -> bool:
    return not case.event.refusal


def _is_not_weaker(case: Case) -> bool:
    return case.event.restored != _NORMAL and case.event.restored >= case.machine.state


def _is_quiet(case: Case) -> bool:
    return case.machine.is_clear_due(case.now_ns)


def _only(*states: SafetyState) -> frozenset[SafetyState]:
    return frozenset(states)


_K: Final = EventKind
TABLE: Final = (
    Row(_ANY - {_LOCKDOWN}, _K.FAIL_SAFE, _asks("LOCKDOWN"), _LOCKDOWN, "fail_safe", Machine.count_fail_safe),
    Row(_ANY, _K.KILL, _always, _LOCKDOWN, "kill"),
    Row(_ANY, _K.RESTORE, _is_not_weaker, _To.RESTORED, "restored"),
    Row(_only(_NORMAL), _K.ANOMALY, _always, _WARNING, "anomaly"),
    Row(_only(_NORMAL), _K.GUARDRAIL, _makes_warning, _WARNING, "guardrail_limit", Machine.count_guardrail),
    Row(_only(_NORMAL), _K.GUARDRAIL, _always, _To.SAME, "guardrail_counted", Machine.count_guardrail),
    Row(_only(_NORMAL), _K.FAIL_SAFE, _asks("NOTE"), _To.SAME, "noted"),
    Row(_only(_NORMAL), _K.FAIL_SAFE, _asks("WARN"), _WARNING, "fail_safe"),
    Row(_TRADING, _K.FAIL_SAFE, _is_below_limit, _FAIL, "fail_safe", Machine.count_fail_safe),
    Row(_TRADING, _K.FAIL_SAFE, _asks("FAIL"), _LOCKDOWN, "consecutive", Machine.count_fail_safe),
    Row(_only(_WARNING), _K.ANOMALY, _always, _To.SAME, "quiet_timer_restarted", Machine.disturb),
    Row(_only(_WARNING), _K.GUARDRAIL, _always, _To.SAME, "quiet_timer_restarted", Machine.count_guardrail),
    Row(_only(_WARNING), _K.CLEAR, _is_quiet, _NORMAL, "quiet"),
    Row(_only(_WARNING), _K.ACK, _is_granted, _NORMAL, "acknowledged"),
    Row(_only(_WARNING), _K.ACK, _always, _To.SAME, "refused", is_applied=False),
    Row(_only(_FAIL), _K.FAIL_SAFE, _is_below_limit, _To.SAME, "counted", Machine.count_fail_safe),
    Row(_only(_FAIL), _K.FAIL_SAFE, _asks("FAIL"), _LOCKDOWN, "consecutive", Machine.count_fail_safe),
    Row(_only(_FAIL), _K.ANOMALY, _always, _To.SAME, "recorded"),
    Row(_only(_FAIL), _K.GUARDRAIL, _always, _To.SAME, "recorded"),
    Row(_only(_FAIL), _K.ACK, _is_granted, _To.RELEASED, "acknowledged"),
    Row(_only(_FAIL), _K.ACK, _always, _To.SAME, "refused", is_applied=False),
    Row(_only(_LOCKDOWN), _K.FAIL_SAFE, _always, _To.SAME, "recorded", Machine.remember_fail_safe),
    Row(_only(_LOCKDOWN), _K.ANOMALY, _always, _To.SAME, "recorded"),
    Row(_only(_LOCKDOWN), _K.GUARDRAIL, _always, _To.SAME, "recorded"),
    Row(_only(_LOCKDOWN), _K.ACK, _always, _To.SAME, "lockdown_requires_operator_approval", is_applied=False),
    Row(_only(_LOCKDOWN), _K.APPROVE, _is_granted, _To.RELEASED, "approved"),
    Row(_only(_LOCKDOWN), _K.APPROVE, _always, _To.SAME, "refused", is_applied=False),
)
"""The whole table; the first row that holds counts. What is not here is ignored and recorded."""

_NOT_LISTED: Final = Row(_ANY, _K.CLEAR, _always, _To.SAME, "not_listed", is_applied=False)
_ROWS_OF: Final = {
    (state, kind): tuple(row for row in TABLE if state in row.states and row.kind is kind)
    for state in SafetyState
    for kind in EventKind
}
