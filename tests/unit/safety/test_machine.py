"""The transition table: every pair, and random walks beside a second, plainly written account of the same rules."""

import os
import random
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qts._core import SAFETY_STATES
from qts.safety import TABLE, AnomalyLevel, EventKind, Machine, SafetyConfig, SafetyEvent, SafetyState

S = 1_000_000_000
NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState
CONFIG = SafetyConfig()


def machine_in(state, *, consecutive=0, last_fail_ns=None, probation_left=0, config=CONFIG) -> Machine:
    machine = Machine(config)
    machine.recall(consecutive=consecutive, last_fail_ns=last_fail_ns, probation_left=probation_left)
    if state != NORMAL:
        machine.apply(SafetyEvent(EventKind.RESTORE, restored=state), 0)
    return machine


def fail_safe(effect, cause="") -> SafetyEvent:
    return SafetyEvent(EventKind.FAIL_SAFE, "FS040", effect, cause=cause)


def guardrails_before(machine) -> None:
    for _ in range(4):
        machine._guardrails.append(1_000 * S)


def made_quiet(machine) -> None:
    machine._quiet_since_ns, machine._clean_cycles = 700 * S, 20


NOW = 1_001 * S
ANOMALY = SafetyEvent(EventKind.ANOMALY, "AN001")
GUARDRAIL = SafetyEvent(EventKind.GUARDRAIL, "GR001", counts=True)
OUTAGE = SafetyEvent(EventKind.GUARDRAIL, "GR120")
EVENTS = {
    "anomaly": (ANOMALY, {}, None),
    "guardrail": (GUARDRAIL, {}, None),
    "guardrail not counted": (OUTAGE, {}, None),
    "guardrail at limit": (GUARDRAIL, {}, guardrails_before),
    "guardrail that warns": (SafetyEvent(EventKind.GUARDRAIL, "GR020", warns=True), {}, None),
    "note": (fail_safe("NOTE"), {}, None),
    "warn": (fail_safe("WARN"), {}, None),
    "fail, first": (fail_safe("FAIL"), {}, None),
    "fail, again": (fail_safe("FAIL"), {"consecutive": 1, "last_fail_ns": 401 * S}, None),
    "fail, much later": (fail_safe("FAIL"), {"consecutive": 1, "last_fail_ns": 400 * S}, None),
    "lockdown": (fail_safe("LOCKDOWN"), {}, None),
    "kill": (SafetyEvent(EventKind.KILL, "KS"), {}, None),
    "clear, noisy": (SafetyEvent(EventKind.CLEAR), {}, None),
    "clear, quiet": (SafetyEvent(EventKind.CLEAR), {}, made_quiet),
    "ack": (SafetyEvent(EventKind.ACK, operator="kim"), {}, None),
    "ack, refused": (SafetyEvent(EventKind.ACK, operator="kim", refusal="check_failed"), {}, None),
    "approve": (SafetyEvent(EventKind.APPROVE, operator="kim"), {}, None),
    "approve, refused": (SafetyEvent(EventKind.APPROVE, operator="kim", refusal="wrong_phrase"), {}, None),
    "restore normal": (SafetyEvent(EventKind.RESTORE, restored=NORMAL), {}, None),
    "restore warning": (SafetyEvent(EventKind.RESTORE, restored=WARNING), {}, None),
    "restore fail": (SafetyEvent(EventKind.RESTORE, restored=FAIL), {}, None),
    "restore lockdown": (SafetyEvent(EventKind.RESTORE, restored=LOCKDOWN), {}, None),
}

# State after, and + applied, - not: ignored, because the table does not list it, or refused.
GRID = """
                        NORMAL      WARNING     FAIL        LOCKDOWN
anomaly                 WARNING+    WARNING+    FAIL+       LOCKDOWN+
guardrail               NORMAL+     WARNING+    FAIL+       LOCKDOWN+
guardrail not counted   NORMAL+     WARNING+    FAIL+       LOCKDOWN+
guardrail at limit      WARNING+    WARNING+    FAIL+       LOCKDOWN+
guardrail that warns    WARNING+    WARNING+    FAIL+       LOCKDOWN+
note                    NORMAL+     WARNING-    FAIL-       LOCKDOWN+
warn                    WARNING+    WARNING-    FAIL-       LOCKDOWN+
fail, first             FAIL+       FAIL+       FAIL+       LOCKDOWN+
fail, again             LOCKDOWN+   LOCKDOWN+   LOCKDOWN+   LOCKDOWN+
fail, much later        FAIL+       FAIL+       LOCKDOWN+   LOCKDOWN+
lockdown                LOCKDOWN+   LOCKDOWN+   LOCKDOWN+   LOCKDOWN+
kill                    LOCKDOWN+   LOCKDOWN+   LOCKDOWN+   LOCKDOWN+
clear, noisy            NORMAL-     WARNING-    FAIL-       LOCKDOWN-
clear, quiet            NORMAL-     NORMAL+     FAIL-       LOCKDOWN-
ack                     NORMAL-     NORMAL+     WARNING+    LOCKDOWN-
ack, refused            NORMAL-     WARNING-    FAIL-       LOCKDOWN-
approve                 NORMAL-     WARNING-    FAIL-       WARNING+
approve, refused        NORMAL-     WARNING-    FAIL-       LOCKDOWN-
restore normal          NORMAL-     WARNING-    FAIL-       LOCKDOWN-
restore warning         WARNING+    WARNING+    FAIL-       LOCKDOWN-
restore fail            FAIL+       FAIL+       FAIL+       LOCKDOWN-
restore lockdown        LOCKDOWN+   LOCKDOWN+   LOCKDOWN+   LOCKDOWN+
"""
CELLS = {
    (name, state): cell
    for line in GRID.splitlines()[2:]
    for name, cells in [(line[:24].strip(), line[24:].split())]
    for state, cell in zip(SafetyState, cells, strict=True)
}


def test_the_grid_has_every_pair():
    assert set(CELLS) == set(product(EVENTS, SafetyState))
    assert {event.kind for event, _, _ in EVENTS.values()} == set(EventKind)


@pytest.mark.parametrize(("name", "state"), CELLS, ids=lambda value: str(value))
def test_every_state_and_event(name, state):
    event, memory, prepare = EVENTS[name]
    machine = machine_in(state, **memory)
    if prepare:
        prepare(machine)
    result = machine.apply(event, NOW)
    assert (result.from_state, result.event) == (state, event.kind)
    assert f"{result.to_state}{'+' if result.applied else '-'}" == CELLS[name, state]
    assert machine.state == result.to_state
    assert result.reason
    assert set(result.meta) == {"code", "consecutive", "operator"}


def test_a_pair_that_no_row_lists_says_so():
    listed = {(state, row.kind) for row in TABLE for state in row.states}
    unlisted = set(product(SafetyState, EventKind)) - listed
    assert unlisted == {
        (NORMAL, EventKind.CLEAR), (NORMAL, EventKind.ACK), (NORMAL, EventKind.APPROVE),
        (WARNING, EventKind.APPROVE), (FAIL, EventKind.CLEAR), (FAIL, EventKind.APPROVE),
        (LOCKDOWN, EventKind.CLEAR),
    }  # fmt: skip
    for state, kind in unlisted:
        result = machine_in(state).apply(SafetyEvent(kind), NOW)
        assert (result.applied, result.reason, result.to_state) == (False, "not_listed", state)


def test_states_order_by_severity_and_not_by_the_alphabet():
    assert sorted([LOCKDOWN, WARNING, NORMAL, FAIL]) == [NORMAL, WARNING, FAIL, LOCKDOWN]
    assert FAIL >= FAIL > WARNING
    assert NORMAL <= NORMAL < FAIL
    assert [(state.value, state.severity) for state in SafetyState] == SAFETY_STATES


def test_lockdown_refuses_an_acknowledgement_with_the_stated_reason():
    result = machine_in(LOCKDOWN).apply(SafetyEvent(EventKind.ACK, operator="kim"), NOW)
    assert result.reason == "lockdown_requires_operator_approval"


def test_the_reason_of_a_refusal_comes_back():
    refused = SafetyEvent(EventKind.ACK, operator="kim", refusal="cause_too_short")
    assert machine_in(FAIL).apply(refused, NOW).reason == "cause_too_short"


def test_without_probation_a_release_goes_straight_to_normal():
    config = SafetyConfig(recovery_probation_cycles=0)
    assert machine_in(FAIL, config=config).apply(EVENTS["ack"][0], NOW).to_state == NORMAL
    assert machine_in(LOCKDOWN, config=config).apply(EVENTS["approve"][0], NOW).to_state == NORMAL


def test_probation_ends_after_its_cycles_without_a_quiet_time():
    machine = machine_in(FAIL)
    machine.apply(EVENTS["ack"][0], NOW)
    for _ in range(49):
        machine.finish_cycle(is_clean=True)
    machine.finish_cycle(is_clean=False)
    assert not machine.is_clear_due(NOW)
    machine.finish_cycle(is_clean=True)
    assert machine.is_clear_due(NOW)


def test_a_disturbance_in_probation_asks_for_the_quiet_time_too():
    machine = machine_in(FAIL)
    machine.apply(EVENTS["ack"][0], NOW)
    machine.apply(ANOMALY, NOW)
    for _ in range(60):
        machine.finish_cycle(is_clean=True)
    assert not machine.is_clear_due(NOW + 299 * S)
    assert machine.is_clear_due(NOW + 300 * S)


def test_an_acknowledged_probation_keeps_its_cycles():
    machine = machine_in(FAIL)
    machine.apply(EVENTS["ack"][0], NOW)
    assert machine.apply(EVENTS["ack"][0], NOW).to_state == NORMAL
    assert machine.probation_left == 50


@pytest.mark.parametrize(
    ("levels", "quiet_s"),
    [
        ([AnomalyLevel.LOW], 60),
        ([AnomalyLevel.LOW, AnomalyLevel.LOW], 60),
        ([AnomalyLevel.MEDIUM], 300),
        ([AnomalyLevel.LOW, AnomalyLevel.HIGH], 300),
        ([AnomalyLevel.MEDIUM, AnomalyLevel.LOW], 300),
    ],
)
def test_low_anomalies_alone_shorten_the_quiet_time(levels, quiet_s):
    machine = Machine(CONFIG)
    for level in levels:
        machine.apply(SafetyEvent(EventKind.ANOMALY, "AN040", level=level), NOW)
    for _ in range(19):
        machine.finish_cycle(is_clean=True)
    assert not machine.is_clear_due(NOW + quiet_s * S)
    machine.finish_cycle(is_clean=True)
    assert not machine.is_clear_due(NOW + quiet_s * S - 1)
    assert machine.is_clear_due(NOW + quiet_s * S)


@pytest.mark.parametrize("event", [ANOMALY, GUARDRAIL, fail_safe("WARN")])
def test_what_disturbs_starts_the_quiet_time_anew(event):
    machine = machine_in(WARNING)
    for _ in range(20):
        machine.finish_cycle(is_clean=True)
    machine.apply(event, 200 * S)
    for _ in range(20):
        machine.finish_cycle(is_clean=True)
    assert not machine.is_clear_due(499 * S)
    assert machine.is_clear_due(500 * S)


def test_an_outage_that_does_not_count_does_not_disturb():
    machine = machine_in(WARNING)
    for _ in range(20):
        machine.finish_cycle(is_clean=True)
    machine.apply(OUTAGE, 200 * S)
    assert machine.is_clear_due(300 * S)


def test_guardrails_make_a_warning_only_if_they_come_often():
    machine = Machine(CONFIG)
    for at in (0, 100, 200, 300, 600, 700):
        assert machine.apply(GUARDRAIL, at * S).to_state == NORMAL, "the first has left the window by then"
    assert machine.apply(GUARDRAIL, 701 * S).to_state == WARNING


def test_the_count_is_zero_only_after_clean_cycles_in_normal():
    machine = machine_in(NORMAL, consecutive=1, last_fail_ns=NOW)
    for _ in range(99):
        machine.finish_cycle(is_clean=True)
    machine.finish_cycle(is_clean=False)
    for _ in range(99):
        machine.finish_cycle(is_clean=True)
    assert machine.consecutive == 1
    machine.finish_cycle(is_clean=True)
    assert machine.consecutive == 0
    assert machine.apply(fail_safe("FAIL"), NOW + 1).to_state == FAIL


def test_cycles_in_fail_count_for_nothing():
    machine = machine_in(FAIL, consecutive=1, last_fail_ns=NOW)
    for _ in range(200):
        machine.finish_cycle(is_clean=True)
    assert machine.consecutive == 1


def test_one_root_cause_within_two_seconds_counts_once():
    machine = Machine(CONFIG)
    assert machine.apply(fail_safe("FAIL", "link"), NOW).to_state == FAIL
    assert machine.apply(fail_safe("FAIL", "link"), NOW + 2 * S).to_state == FAIL
    assert machine.consecutive == 1
    assert machine.apply(fail_safe("FAIL", "link"), NOW + 2 * S + 1).to_state == LOCKDOWN


def test_another_root_cause_counts_at_once():
    machine = Machine(CONFIG)
    machine.apply(fail_safe("FAIL", "link"), NOW)
    assert machine.apply(fail_safe("FAIL", "disk"), NOW + 1).to_state == LOCKDOWN


def test_a_fail_safe_in_lockdown_is_remembered_for_the_time_after_it():
    machine = machine_in(LOCKDOWN)
    machine.apply(fail_safe("FAIL"), NOW)
    machine.apply(EVENTS["approve"][0], NOW + 100 * S)
    assert machine.apply(fail_safe("FAIL"), NOW + 600 * S).to_state == LOCKDOWN


class Reference:
    """The rules of spec 01 §1.3, told once more without a table."""

    def __init__(self) -> None:
        self.state = "NORMAL"
        self.count = 0
        self.last_fail = None
        self.causes = {}
        self.hits = []
        self.quiet_since = 0
        self.quiet_needed = 300
        self.noise = False
        self.clean = 0
        self.probation = 0

    def go(self, state, now, *, quiet_needed=300, noise=True) -> None:
        self.state = state
        self.clean = 0
        if state == "WARNING":
            self.quiet_since, self.quiet_needed, self.noise = now, quiet_needed, noise
            self.hits = []
        if state in ("FAIL", "LOCKDOWN"):
            self.probation = 0

    def noisy(self, now, quiet_needed=300) -> None:
        if self.state == "WARNING":
            longest = max(quiet_needed, self.quiet_needed) if self.noise else quiet_needed
            self.quiet_since, self.quiet_needed, self.noise, self.clean = now, longest, True, 0

    def anomaly(self, level, now) -> None:
        needed = 60 if level == "LOW" else 300
        if self.state == "NORMAL":
            self.go("WARNING", now, quiet_needed=needed)
        else:
            self.noisy(now, needed)

    def guardrail(self, counts, warns, now) -> None:
        if self.state in ("FAIL", "LOCKDOWN"):
            return
        if counts:
            self.hits = [*self.hits, now]
        recent = [at for at in self.hits if now - at < 600 * S]
        if self.state == "NORMAL":
            if warns or (counts and len(recent) >= 5):
                self.go("WARNING", now)
        elif counts or warns:
            self.noisy(now)

    def fault(self, effect, cause, now) -> None:
        if self.state == "LOCKDOWN":
            if effect in ("FAIL", "LOCKDOWN"):
                self.count, self.last_fail = max(1, self.count), now
            return
        if effect == "NOTE":
            return
        if effect == "WARN":
            if self.state == "NORMAL":
                self.go("WARNING", now)
            else:
                self.noisy(now)
            return
        known = self.causes.get(cause) if cause else None
        is_same = known is not None and now - known <= 2 * S
        if not is_same:
            in_window = self.last_fail is not None and now - self.last_fail <= 600 * S
            self.count = self.count + 1 if self.state == "FAIL" or in_window else 1
            if cause:
                self.causes[cause] = now
        self.last_fail = now
        if effect == "LOCKDOWN" or self.count >= 2:
            self.go("LOCKDOWN", now)
        elif self.state != "FAIL":
            self.go("FAIL", now)

    def cycle(self, clean) -> None:
        if self.state in ("FAIL", "LOCKDOWN"):
            return
        if not clean:
            self.clean = 0
            return
        self.clean += 1
        self.probation = max(0, self.probation - 1)
        if self.state == "NORMAL" and self.clean >= 100:
            self.count, self.last_fail = 0, None

    def clear(self, now) -> None:
        if self.state != "WARNING" or self.probation:
            return
        if not self.noise or (now - self.quiet_since >= self.quiet_needed * S and self.clean >= 20):
            self.go("NORMAL", now)

    def ack(self, granted, now) -> None:
        if not granted:
            return
        if self.state == "WARNING":
            self.go("NORMAL", now)
        elif self.state == "FAIL":
            self.release(now)

    def approve(self, granted, now) -> None:
        if granted and self.state == "LOCKDOWN":
            self.release(now)

    def release(self, now) -> None:
        self.go("WARNING", now, noise=False)
        self.probation = 50


class Walk(RuleBasedStateMachine):
    """Machine and reference side by side, through the same history."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.machine = Machine(CONFIG)
        self.reference = Reference()

    @rule(seconds=st.sampled_from([0, 1, 2, 3, 59, 60, 61, 299, 300, 301, 599, 600, 601]))
    def wait(self, seconds):
        self.now += seconds * S

    @rule(level=st.sampled_from(AnomalyLevel))
    def anomaly(self, level):
        self.machine.apply(SafetyEvent(EventKind.ANOMALY, "AN001", level=level), self.now)
        self.reference.anomaly(level.value, self.now)

    @rule(counts=st.booleans(), warns=st.booleans())
    def guardrail(self, counts, warns):
        self.machine.apply(SafetyEvent(EventKind.GUARDRAIL, "GR001", counts=counts, warns=warns), self.now)
        self.reference.guardrail(counts, warns, self.now)

    @rule(effect=st.sampled_from(["NOTE", "WARN", "FAIL", "FAIL", "LOCKDOWN"]), cause=st.sampled_from(["", "a", "b"]))
    def fault(self, effect, cause):
        self.machine.apply(fail_safe(effect, cause), self.now)
        self.reference.fault(effect, cause, self.now)

    @rule()
    def kill(self):
        self.machine.apply(SafetyEvent(EventKind.KILL, "KS"), self.now)
        if self.reference.state != "LOCKDOWN":
            self.reference.go("LOCKDOWN", self.now)

    @rule(clean=st.booleans(), count=st.sampled_from([1, 5, 20, 50, 100]))
    def cycles(self, clean, count):
        for _ in range(count):
            self.machine.finish_cycle(is_clean=clean)
            self.reference.cycle(clean)

    @rule()
    def clear(self):
        self.machine.apply(SafetyEvent(EventKind.CLEAR), self.now)
        self.reference.clear(self.now)

    @rule(granted=st.booleans())
    def ack(self, granted):
        self.machine.apply(SafetyEvent(EventKind.ACK, refusal="" if granted else "no"), self.now)
        self.reference.ack(granted, self.now)

    @precondition(lambda self: self.machine.state == LOCKDOWN)
    @rule(granted=st.booleans())
    def approve(self, granted):
        self.machine.apply(SafetyEvent(EventKind.APPROVE, refusal="" if granted else "no"), self.now)
        self.reference.approve(granted, self.now)

    @invariant()
    def both_agree(self):
        found = (self.machine.state.value, self.machine.consecutive, self.machine.probation_left)
        assert found == (self.reference.state, self.reference.count, self.reference.probation)


Walk.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None, derandomize=True)
TestWalk = Walk.TestCase


WEAKENS = {EventKind.ACK, EventKind.APPROVE, EventKind.CLEAR}


def test_no_sequence_of_events_weakens_the_state_without_ack_approve_or_clear():
    """`QTS_SAFETY_STEPS=1000000` is the long run."""
    steps = int(os.environ.get("QTS_SAFETY_STEPS", "50000"))
    chance = random.Random(20260105)  # noqa: S311 - a seeded walk, no secret
    machine, now = Machine(CONFIG), 0
    names = list(EVENTS)
    seen, left = set(), set()
    for _ in range(steps):
        now += chance.choice([0, 0, S, 30 * S, 400 * S])
        if chance.random() < 0.3:
            for _ in range(chance.choice([1, 30, 120])):
                machine.finish_cycle(is_clean=chance.random() < 0.95)
        event = EVENTS[chance.choice(names)][0]
        result = machine.apply(event, now)
        if result.to_state < result.from_state:
            assert event.kind in WEAKENS
            assert result.applied
            left.add((result.from_state, event.kind))
        assert result.from_state != LOCKDOWN or result.to_state == LOCKDOWN or event.kind is EventKind.APPROVE
        seen.add((result.from_state, result.to_state))
    expected = {
        (WARNING, EventKind.ACK),
        (WARNING, EventKind.CLEAR),
        (FAIL, EventKind.ACK),
        (LOCKDOWN, EventKind.APPROVE),
    }
    assert left == expected, "every way out was taken"
    assert {state for state, _ in seen} == set(SafetyState)
