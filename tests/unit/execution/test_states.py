"""The ten states: what may follow what, what may not, and what happens then."""

import pytest
from pipeline_desk import Desk

from qts.execution import State
from qts.execution.contracts import TERMINAL
from qts.execution.execution import Child
from qts.execution.states import ALLOWED, ChildState, may_go

TABLE = {
    State.INIT: {State.PRECHECK, State.ESCAPING},
    State.PRECHECK: {State.SPLITTING, State.FAILED, State.ESCAPING},
    State.SPLITTING: {State.SENDING, State.FAILED, State.ESCAPING},
    State.SENDING: {State.MONITORING, State.FAILED, State.ESCAPING},
    State.MONITORING: {State.COMPLETE, State.ADJUSTING, State.ESCAPING},
    State.ADJUSTING: {State.MONITORING, State.ESCAPING},
    State.ESCAPING: {State.ESCAPED, State.FAILED},
    State.COMPLETE: set(),
    State.ESCAPED: set(),
    State.FAILED: set(),
}
"""Spec 15 §5.1, by hand."""
PAIRS = [(before, after) for before in State for after in State]
FORBIDDEN = [(before, after) for before, after in PAIRS if after not in TABLE[before]]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_exactly_the_rows_of_the_table_are_allowed(before, after):
    assert may_go(before, after) == (after in TABLE[before])
    assert ((before, after) in ALLOWED) == (after in TABLE[before])


def test_what_is_over_is_never_left_and_everything_else_can_escape():
    for state in State:
        assert any(may_go(state, after) for after in State) == (state not in TERMINAL)
        assert may_go(state, State.ESCAPING) == (state not in TERMINAL and state is not State.ESCAPING)


@pytest.mark.parametrize(("before", "after"), FORBIDDEN)
def test_a_forbidden_transition_changes_nothing_but_makes_what_lives_escape_and_is_told(before, after):
    desk = Desk()
    name, _ = desk.working()
    execution = desk.live(name)
    execution.state, seq = before, execution.seq
    if before is State.ESCAPING:
        execution.escape_from_ns = desk.now_ns
    assert not desk.pipeline._context.go(execution, after, desk.now_ns)
    assert "FAIL" in desk.codes.effects("FS092")
    if before in TERMINAL or before is State.ESCAPING:
        assert (execution.state, execution.seq) == (before, seq)
    else:
        assert execution.state is State.ESCAPING


def test_every_transition_is_journaled_with_its_number_before_the_order_that_follows_from_it():
    desk = Desk()
    name, order_id = desk.working()
    desk.fill(order_id, 100)
    steps = [(record["seq"], record["before"], record["after"]) for record in desk.journal.of("EXECUTION_STATE")]
    assert steps == [
        (1, "INIT", "PRECHECK"),
        (2, "PRECHECK", "SPLITTING"),
        (3, "SPLITTING", "SENDING"),
        (4, "SENDING", "MONITORING"),
        (5, "MONITORING", "COMPLETE"),
    ]
    kinds = [kind for kind, _ in desk.journal.records]
    assert kinds.index("ORDER_INTENT") > 2
    assert all(record["execution_id"] == name for record in desk.journal.of("EXECUTION_STATE"))


@pytest.mark.parametrize("state", range(len(ChildState.NAMES)))
def test_a_child_is_waiting_out_or_over_and_nothing_else(state):
    child = Child(1, 10, None, 0, 0)
    child.state = state
    assert (state == ChildState.PENDING) + child.is_out + child.is_over == 1
    assert getattr(ChildState, child.state_name) == state


def test_the_records_of_an_execution_can_be_read_back():
    from qts.execution.records import read_decision

    desk = Desk()
    decision = desk.decision()
    desk.submit(decision)
    first, *_ = desk.journal.of("EXECUTION_STATE")
    assert read_decision(first["decision"]) == decision
