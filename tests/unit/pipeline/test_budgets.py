"""How long stages and cycles take: what is counted, and what is raised for it."""

import pytest

from qts.pipeline import STAGES
from qts.pipeline.budgets import GATE, TARGET, BudgetCounts, CycleWatch, breaches_of
from qts.pipeline.contracts import Cycle, CycleResult
from qts.strategy import Intent

MS = 1_000_000
QUICK = (20_000, 10_000, 30_000, 10_000, 30_000)


def result(*timings_ns):
    at = Cycle(1, "INTERVAL", 0, "2026-01-05")
    return CycleResult(at, "executed", "", 1, 0, 1, (), (), timings_ns, breaches_of(timings_ns))


def late(ms):
    return result(ms * MS, 0, 0, 0, 0)


def test_the_numbers_are_those_of_the_first_gate():
    assert {what: ns // MS for what, ns in GATE.items()} == {
        "extract": 500, "transform": 100, "evaluate": 200, "decide": 100, "act": 500, "cycle": 3_000,
    }  # fmt: skip
    assert {what: ns // MS for what, ns in TARGET.items()} == {
        "extract": 50, "transform": 20, "evaluate": 100, "decide": 10, "act": 200, "cycle": 500,
    }  # fmt: skip


@pytest.mark.parametrize(("number", "stage"), list(enumerate(STAGES)))
def test_a_stage_above_its_budget_is_named_and_one_at_it_is_not(number, stage):
    timings = [0] * len(STAGES)
    timings[number] = GATE[stage]
    assert breaches_of(timings) == ()
    timings[number] += 1
    assert breaches_of(timings) == ((stage, GATE[stage] + 1, GATE[stage]),)


def test_a_cycle_that_broke_off_is_judged_by_the_stages_that_ran():
    [stage, cycle] = breaches_of((4_000 * MS,))
    assert (stage.what, cycle.what) == ("extract", "cycle")
    assert str(stage) == "extract took 4000 ms of 500 ms"


def test_every_cycle_is_counted_against_both_columns():
    counts = BudgetCounts()
    for one in (result(*QUICK), result(60 * MS, 0, 0, 0, 0), result(0, 120 * MS, 0, 0, 0)):
        counts.take(one)
    assert counts.breaches == {"transform": 1}
    assert counts.above_target == {"extract": 1, "transform": 1}


def test_a_breach_is_an_anomaly():
    said = CycleWatch().look(result(0, 0, 250 * MS, 0, 0))
    assert (said.code, said.message) == ("AN040", "evaluate took 250 ms of 200 ms")


@pytest.mark.parametrize(("ms", "code"), [(10_001, "FS060"), (10_000, "AN040")])
def test_one_cycle_above_ten_seconds_is_a_fault(ms, code):
    assert CycleWatch().look(late(ms)).code == code


def test_three_cycles_in_a_row_above_three_seconds_are_a_fault_once():
    watch = CycleWatch()
    codes = [watch.look(late(ms)).code for ms in (3_001, 3_001)]
    watch.look(result(*QUICK))
    codes += [watch.look(late(3_001)).code for _ in range(4)]
    assert codes == ["AN040", "AN040", "AN040", "AN040", "FS060", "AN040"]


def test_a_surge_is_told_by_the_usual_duration_but_not_among_microseconds():
    watch = CycleWatch(factor=3, samples=100)
    for _ in range(100):
        assert watch.look(result(*QUICK)) is None
    assert watch.look(result(2 * MS, 0, 0, 0, 0)) is None, "twenty times as long as usual, and nothing"
    slow = (200 * MS, 50 * MS, 100 * MS, 50 * MS, 150 * MS)
    assert breaches_of(slow) == ()
    assert watch.look(result(*slow)).message == "a cycle took 550 ms, usually 100 µs"


def test_a_slow_machine_has_slow_cycles_and_no_surges():
    watch = CycleWatch(factor=3, samples=10)
    slow = (200 * MS, 50 * MS, 100 * MS, 50 * MS, 150 * MS)
    assert [watch.look(result(*slow)) for _ in range(30)] == [None] * 30


def test_what_was_skipped_has_no_duration():
    watch = CycleWatch()
    assert watch.look(result()) is None
    assert watch.in_time == 0


def test_the_pipeline_measures_and_counts(world, scripted, monkeypatch):
    strategy = scripted()
    world.set_quote(0, bid=70_000, ask=70_100)
    pipeline = world.pipeline(strategy)

    def slow_fee(*_):
        world.ticks += 201 * MS
        return 0

    monkeypatch.setattr(pipeline._runner._evaluate._rules, "fee", slow_fee)
    ended = world.wish(Intent.entry("A", "dip", weight_ppm=100_000))
    assert ended.status == "executed", "late is late, and no reason to decide otherwise"
    assert [breach.what for breach in ended.breaches] == ["evaluate"]
    assert pipeline.budgets.breaches == {"evaluate": 1}
