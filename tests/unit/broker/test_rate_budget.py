"""A rate budget: never more than published, never all of it for one kind of call."""

import random

import pytest

from qts.broker.rate_limited import RateBudget

S = 1_000_000_000


def spend(budget, service, now_ns=0):
    taken = 0
    while budget.take(service, now_ns):
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("published", "limit", "queries", "orders", "exits"),
    [(18, 14, 7, 10, 12), (20, 16, 8, 12, 14), (8, 6, 3, 4, 5), (5, 4, 2, 2, 3), (2, 1, 1, 1, 1), (1, 1, 1, 1, 1)],
)
def test_shares_of_a_published_rate(published, limit, queries, orders, exits):
    assert spend(RateBudget(published), "CANCEL") == limit
    assert spend(RateBudget(published), "QUERY") == queries
    assert spend(RateBudget(published), "ORDER") == orders
    assert spend(RateBudget(published), "EXIT") == exits


def test_cancels_have_room_when_everything_else_is_spent():
    budget = RateBudget(18)
    assert spend(budget, "QUERY") + spend(budget, "ORDER") + spend(budget, "EXIT") == 12
    assert spend(budget, "CANCEL") == 2


def test_questions_leave_orders_their_half():
    budget = RateBudget(20)
    assert spend(budget, "QUERY") == 8
    assert spend(budget, "ORDER") == 4
    assert spend(budget, "EXIT") == 2
    assert spend(budget, "CANCEL") == 2


def test_wait_is_exactly_until_there_is_room():
    budget = RateBudget(8)
    for at in range(4):
        assert budget.take("ORDER", at * 1_000)
    assert budget.wait_ns("ORDER", 4_000) == S - 4_000
    assert not budget.take("ORDER", S - 1)
    assert budget.take("ORDER", S)
    assert budget.wait_ns("ORDER", S) == 1_000


def test_wait_of_a_question_is_until_the_oldest_question_is_forgotten():
    budget = RateBudget(20)
    assert budget.take("ORDER", 0)
    for at in range(1, 9):
        assert budget.take("QUERY", at)
    assert budget.wait_ns("QUERY", 10) == S + 1 - 10


def test_broker_that_allows_one_call_a_second_gets_one_in_a_second_and_a_quarter():
    budget = RateBudget(1)
    assert budget.take("ORDER", 0)
    assert budget.wait_ns("CANCEL", 0) == S * 5 // 4
    assert not budget.take("CANCEL", S)
    assert budget.take("CANCEL", S * 5 // 4)


@pytest.mark.parametrize("published", [1, 2, 3, 7, 8, 18, 100])
@pytest.mark.parametrize("seed", range(5))
def test_no_second_ever_sees_more_than_the_published_rate(published, seed):
    budget, draw = RateBudget(published), random.Random(seed)  # noqa: S311 - calls, no secret
    now_ns, calls = 0, []
    for _ in range(3_000):
        now_ns += draw.randrange(1, 2 * S // (published * 3))
        if budget.take(draw.choice(["CANCEL", "EXIT", "ORDER", "QUERY"]), now_ns):
            calls.append(now_ns)
    assert len(calls) > 100
    most = max(sum(1 for other in calls[at : at + published + 2] if other < call + S) for at, call in enumerate(calls))
    assert most <= published


def test_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 calls"):
        RateBudget(0)
