"""What a seed decides to break: always the same, as often as asked, and nothing beyond."""

import pytest

from qts.broker.asynchronous import FillEvent, OrderNotice
from qts.broker.faults import FaultKind, FaultPlan, FaultRates, mixed

CALLS = ("PLACE", "AMEND", "CANCEL", "ORDERS", "FILLS", "POSITIONS", "CASH", "HEARTBEAT")
FILL = FillEvent("e1", "1", "005930", "BUY", 3, 71_000, 3, 30, None, 0)
NOTICE = OrderNotice("1", "ACCEPTED", "", 3, 0)
MS = 1_000_000


def decisions(plan, calls=400):
    return [plan.on_call(CALLS[at % len(CALLS)], at * MS) for at in range(calls)] + [
        plan.on_notice(FILL, at * MS) for at in range(calls)
    ]


def test_same_seed_decides_the_same_and_another_does_not():
    rates = FaultRates.even(40_000)
    assert decisions(FaultPlan(7, rates)) == decisions(FaultPlan(7, rates))
    assert decisions(FaultPlan(7, rates)) != decisions(FaultPlan(8, rates))


def test_one_question_more_of_a_kind_changes_nothing_for_the_other_kinds():
    rates = FaultRates.even(60_000)
    plain, disturbed = FaultPlan(3, rates), FaultPlan(3, rates)
    disturbed.on_call("CASH", 0)
    disturbed.on_notice(NOTICE, 0)
    assert [plain.on_call("PLACE", at) for at in range(500)] == [disturbed.on_call("PLACE", at) for at in range(500)]


@pytest.mark.parametrize("name", [name for name in FaultRates._fields if not name.endswith("_ms")])
def test_each_rate_brings_its_own_fault_about_as_often_as_asked(name):
    plan = FaultPlan(11, FaultRates(**{name: 200_000}))
    of_notices = name in {"cut_stream", "deaf_stream", "lost_notice", "duplicate_notice", "late_notice"}
    for at in range(1_000):
        now_ns = at * 10_000 * MS  # longer apart than any cut
        if of_notices:
            plan.on_notice(FILL, now_ns)
        else:
            for call in CALLS:
                plan.on_call(call, now_ns)
    kind = FaultKind.REJECT if name.startswith("reject") else FaultKind(name.upper())
    assert set(plan.injected) == {kind}
    asked = {"fill_first": 2_000, "reject_balance": 2_000, "reject_symbol": 1_000, "reject_permanent": 2_000}
    asked |= {"reject_transient": 3_000, "empty_list": 3_000, "doubled_rows": 3_000, "truncated_list": 3_000}
    expected = (1_000 if of_notices else asked.get(name, 8_000)) // 5
    assert abs(plan.injected[kind] - expected) < expected // 4


def test_writes_are_never_spoiled_as_lists_and_questions_are_never_refused():
    plan = FaultPlan(5, FaultRates.even(50_000))
    seen = {call: set() for call in CALLS}
    for at in range(3_000):
        for call in CALLS:
            if fault := plan.on_call(call, at):
                seen[call].add(fault.kind)
    lists = {FaultKind.EMPTY_LIST, FaultKind.DOUBLED_ROWS, FaultKind.TRUNCATED_LIST}
    for call in CALLS:
        assert (lists <= seen[call]) == (call in {"ORDERS", "FILLS", "POSITIONS"})
        assert (FaultKind.REJECT in seen[call]) == (call in {"PLACE", "AMEND", "CANCEL"})
        assert (FaultKind.FILL_FIRST in seen[call]) == (call in {"AMEND", "CANCEL"})


def test_delays_stay_within_their_bound_and_lost_answers_take_the_callers_patience():
    plan = FaultPlan(2, FaultRates(delay=300_000, lost_after=300_000, delay_max_ms=40, answer_timeout_ms=900))
    faults = [fault for at in range(600) if (fault := plan.on_call("PLACE", at))]
    late = {fault.delay_ns for fault in faults if fault.kind is FaultKind.DELAY}
    assert min(late) >= MS
    assert max(late) <= 40 * MS
    assert len(late) > 10
    assert {fault.delay_ns for fault in faults if fault.kind is FaultKind.LOST_AFTER} == {900 * MS}


def test_only_a_fill_comes_twice():
    plan = FaultPlan(1, FaultRates(duplicate_notice=1_000_000))
    assert plan.on_notice(NOTICE, 0) == [(0, NOTICE)]
    (first, again) = plan.on_notice(FILL, 0)
    assert first == (0, FILL)
    assert again[0] > 0
    assert again[1] == FILL


@pytest.mark.parametrize(("name", "looks_up"), [("cut_stream", False), ("deaf_stream", True)])
def test_stream_that_is_cut_says_so_and_one_that_is_deaf_does_not(name, looks_up):
    plan = FaultPlan(4, FaultRates(**{name: 1_000_000}, cut_max_ms=50), max_faults=1)
    assert plan.on_notice(FILL, 1_000) == []
    assert plan.is_stream_up(1_001) is looks_up
    assert plan.on_notice(FILL, 1_001) == []
    over_ns = 1_000 + 50 * MS
    assert plan.is_stream_up(over_ns)
    assert plan.on_notice(FILL, over_ns) == [(0, FILL)]
    assert plan.next_stream_up_ns() <= over_ns


def test_nothing_goes_wrong_outside_its_time_or_beyond_its_number():
    rates = FaultRates.even(50_000)
    timed = FaultPlan(9, rates, from_ns=100 * MS, until_ns=200 * MS)
    hit = [at for at in range(400) if timed.on_call("ORDERS", at * MS)]
    assert hit
    assert all(100 <= at < 200 for at in hit)
    counted = FaultPlan(9, rates, max_faults=3)
    assert sum(1 for decision in decisions(counted)[:400] if decision) == 3
    assert counted.injected.total() == 3


def test_rates_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="add up to 1200000"):
        FaultPlan(1, FaultRates(delay=600_000, lost_after=600_000))
    with pytest.raises(ValueError, match="rate of delay is -1"):
        FaultPlan(1, FaultRates(delay=-1))


def test_mixed_bits_are_even_and_hang_on_every_part():
    ones = sum(mixed(seed, "PLACE", 0).bit_count() for seed in range(2_000))
    assert abs(ones - 2_000 * 32) < 1_000
    assert len({mixed(1, "PLACE", 0), mixed(2, "PLACE", 0), mixed(1, "AMEND", 0), mixed(1, "PLACE", 1)}) == 4
    assert mixed(-1, "PLACE", 1 << 70) == mixed((1 << 64) - 1, "PLACE", 0)
