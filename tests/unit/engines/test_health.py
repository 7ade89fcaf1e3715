"""Counters of the engines, and when one is given up."""

import pytest

from qts.engines import ENGINES, EngineHealth, HealthBoard


class Clock:
    def __init__(self):
        self.now_ns = 0
        self.step_ns = 10

    def __call__(self):
        self.now_ns += self.step_ns
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return EngineHealth("Risk", clock)


def broken():
    raise ValueError("no\nanswer")


def fail(health, times=1):
    for _ in range(times):
        with pytest.raises(ValueError, match="no"):
            health.run(broken)


def test_operations_are_counted_and_timed_with_a_true_mean(health, clock):
    assert health.run(max, 3, 5) == 5
    clock.step_ns = 40
    assert health.run(int, x := "7") == int(x)
    fail(health)
    view = health.view()
    assert (view.operations, view.errors, view.last_ns, view.mean_ns) == (3, 1, 40, 30)
    assert (view.kind, view.last_error) == ("WARNING", "ValueError: no answer")


@pytest.mark.parametrize(("errors", "kind"), [(0, "OK"), (1, "WARNING"), (9, "WARNING"), (10, "FAULT")])
def test_kind_follows_the_errors(health, errors, kind):
    health.run(int)
    fail(health, errors)
    assert health.kind == kind


def test_only_the_last_hundred_operations_count(health):
    fail(health, 10)
    for _ in range(90):
        health.run(int)
    assert health.kind == "FAULT"
    health.run(int)
    assert health.kind == "WARNING"
    for _ in range(9):
        health.run(int)
    assert (health.kind, health.errors) == ("OK", 10)


def test_slowness_is_shown_and_never_a_fault(health):
    health.record(5_000_000_000)
    assert health.kind == "WARNING"
    assert [health.end_cycle() for _ in range(4)] == [False] * 4
    health.record(4_999_999_998)
    assert health.kind == "OK"


def test_third_cycle_in_a_row_in_fault_gives_the_engine_up(clock):
    board = HealthBoard(clock)
    assert [health.engine for health in board] == list(ENGINES)
    risk = board["Risk"]
    fail(risk, 10)
    assert [board.end_cycle() for _ in range(3)] == [(), (), ("Risk",)]
    for _ in range(91):
        risk.run(int)
    assert board.end_cycle() == ()
    fail(risk, 10)
    assert [board.end_cycle() for _ in range(3)] == [(), (), ("Risk",)]
