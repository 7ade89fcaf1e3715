"""Codes that come again: what each count asks for, and when it starts anew."""

import pytest

from qts.execution.tally import CodeTally

S = 1_000_000_000
MIN = 60 * S
START = 1_800_000_000 * S


def effects(count, *minutes):
    return [count(START + int(at * MIN)) for at in minutes]


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ((0, 4.99), ["", "FAIL"]),
        ((0, 5), ["", ""]),
        ((0, 0), ["", "FAIL"]),
        ((0, 5, 9), ["", "", "FAIL"]),
        ((0, 1, 2), ["", "FAIL", "FAIL"]),
    ],
)
def test_two_executions_that_cannot_be_sent_within_five_minutes_are_a_failure(minutes, expected):
    assert effects(CodeTally().send_failed, *minutes) == expected


def test_two_budgets_spent_do_not_matter_and_five_within_ten_minutes_are_a_warning():
    assert effects(CodeTally().budget_spent, 0, 1, 2, 3, 9.99) == ["", "", "", "", "WARNING"]
    assert effects(CodeTally().budget_spent, 0, 1, 2, 3, 10, 10.5) == ["", "", "", "", "", "WARNING"]


def test_the_third_flattening_of_a_session_is_a_warning_and_so_is_each_after_it():
    tally = CodeTally()
    assert [tally.flattened() for _ in range(4)] == ["", "", "WARNING", "WARNING"]
    tally.new_session()
    assert [tally.flattened() for _ in range(3)] == ["", "", "WARNING"]


def test_the_third_slippage_of_a_day_closes_scalp_entries_until_the_next():
    tally = CodeTally()
    assert [(tally.slipped(), tally.entries_blocked) for _ in range(4)] == [
        (False, False),
        (False, False),
        (True, True),
        (False, True),
    ]
    tally.new_session()
    assert not tally.entries_blocked
    assert not tally.slipped()


def test_more_than_ten_stale_refusals_within_a_minute_are_told_once():
    tally = CodeTally()
    assert [tally.stale_refused(START + at * S) for at in range(11)] == [False] * 10 + [True]
    assert [tally.stale_refused(START + (11 + at) * S) for at in range(11)] == [False] * 10 + [True]


def test_eleven_stale_refusals_over_a_minute_are_not_told():
    tally = CodeTally()
    assert not any(tally.stale_refused(START + at * 6 * S) for at in range(100))


def test_a_new_session_does_not_forget_what_is_counted_by_the_minute():
    tally = CodeTally()
    tally.send_failed(START)
    tally.new_session()
    assert tally.send_failed(START + MIN) == "FAIL"
