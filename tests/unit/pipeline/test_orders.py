"""Orders after they were sent: fills, ends, cancels, and exits that must get done."""

import json

import pytest

from qts.broker import SubmitAck
from qts.strategy import Intent

pytestmark = pytest.mark.usefixtures("strategy")


@pytest.fixture
def strategy(world, scripted):
    strategy = scripted()
    world.set_quote(0, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(strategy)
    return strategy


def buy(**parts):
    return Intent.entry("A", "in", **{"qty": 10, **parts})


def sell(**parts):
    return Intent.exit("A", "out", **parts)


def tick(world, seconds, **quote):
    world.wait(seconds)
    world.set_quote(0, **{"bid": 70_000, "ask": 70_100, **quote})


def test_partial_fills_add_up_to_one_filled_order(world, strategy):
    world.wish(buy())
    first = world.fill(1, 3, 70_100)
    second = world.fill(1, 4, 70_100, cumulative=7)
    last = world.fill(1, 3, 70_200, cumulative=10)
    statuses = [order.response.status for order in (first, second, last)]
    assert statuses == ["PARTIALLY_FILLED", "PARTIALLY_FILLED", "FILLED"]
    assert (last.response.filled_qty, last.response.amount) == (10, 7 * 70_100 + 3 * 70_200)
    assert (last.strategy_id, last.purpose, last.reason) == ("scripted", "ENTRY", "in")
    assert last.decision_id == json.loads(world.lines[0])["decision_id"]
    assert last.response.is_terminal
    assert not first.response.is_terminal
    assert len(strategy.fills) == 3
    assert world.p.working_orders == 0


def test_late_fill_of_an_order_that_is_gone_changes_nothing_here(world, strategy):
    world.wish(buy())
    world.end(1)
    assert world.fill(1, 10, 70_100) is None
    assert strategy.fills == []


def test_refusal_reaches_the_strategy_and_is_final(world, strategy):
    world.wish(buy())
    order = world.end(1, "ORDER_REJECTED", "INSUFFICIENT_CASH")
    assert (order.response.status, order.response.message) == ("REJECTED", "INSUFFICIENT_CASH")
    assert [end.reason for end in strategy.rejects] == ["INSUFFICIENT_CASH"]
    assert world.end(1) is None


def test_order_that_the_broker_does_not_take_is_a_rejected_cycle(world, monkeypatch):
    monkeypatch.setattr(world, "place", lambda _: SubmitAck("", False, "fake", None, "market closed"))
    world.p._runner._act._broker = world
    result = world.wish(buy())
    assert (result.status, result.reason) == ("rejected", "market closed")
    assert world.p.working_orders == 0


def test_entry_is_cancelled_when_its_time_is_up(world):
    world.wish(buy(ttl_ms=5_000))
    tick(world, 4.9)
    world.cycle()
    assert world.cancelled == []
    tick(world, 0.1)
    world.cycle()
    world.cycle()
    assert world.cancelled == [1]
    assert world.end(1).response.status == "CANCELLED"


def test_unfilled_exit_is_cancelled_and_sent_again_deeper(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell(ttl_ms=2_000))
    for order_id in (1, 2, 3, 4):
        tick(world, 2)
        world.cycle()
        assert world.cancelled[-1] == order_id
        world.end(order_id)
        world.cycle()
    ticks_below_the_bid = [(70_000 - request.limit_price) // 100 for request in world.placed]
    assert ticks_below_the_bid == [2, 4, 8, 16, 16]


def test_part_filled_exit_is_finished_with_what_is_left(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell())
    world.fill(1, 4, 70_000)
    world.hold(0, "SCALP", 6, 420_000)
    tick(world, 2)
    world.cycle()
    world.end(1, remaining=6)
    world.cycle()
    assert world.placed[-1].qty == 6
    assert json.loads(world.lines[-1])["attempt"] == 1


def test_finished_exit_is_forgotten(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell())
    world.end(1)
    world.positions_.clear()
    world.cycle()
    world.hold(0, "SCALP", 10, 700_000)
    world.cycle()
    assert len(world.placed) == 1


def test_refused_exit_is_not_repeated_for_ever(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(sell())
    world.end(1, "ORDER_REJECTED", "INSUFFICIENT_POSITION")
    world.cycle()
    assert len(world.placed) == 1


def test_exit_that_the_session_cut_off_goes_out_at_the_next_open(world, scripted):
    world.pipeline(scripted(track="SWING"))
    world.set_quote(0, bid=70_000, ask=70_100)
    world.hold(0, "SWING", 10, 700_000)
    world.wish(sell(ttl_ms=86_400_000))
    world.phase_ = "CLOSE_SET"
    tick(world, 3 * 3_600)
    world.cycle()
    assert world.cancelled == [1]
    assert world.end(1, reason="SESSION_END").response.status == "EXPIRED"
    world.cycle()
    assert len(world.placed) == 1
    world.phase_ = "OPEN_GUARD"
    tick(world, 18 * 3_600)
    world.cycle()
    assert len(world.placed) == 2
    assert json.loads(world.lines[-1])["reason"] == "out"


def test_sale_calls_back_the_working_purchase(world):
    world.wish(buy())
    world.fill(1, 4, 70_100)
    world.hold(0, "SCALP", 4, 280_400)
    world.wish(sell())
    assert world.cancelled == [1]
    assert world.placed[-1].side == "SELL"


def test_scalp_positions_end_before_the_close(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.hold(1, "SWING", 10, 700_000)
    world.phase_ = "CLOSE_GUARD"
    world.cycle()
    [request] = world.placed
    assert (request.symbol, request.side, request.qty) == ("A", "SELL", 10)
    assert json.loads(world.lines[-1])["strategy"] == "flat_at_close"
    world.cycle()
    assert len(world.placed) == 1


def test_scalp_entries_are_called_back_before_the_close(world):
    world.wish(buy(ttl_ms=3_600_000))
    world.phase_ = "CLOSE_GUARD"
    world.cycle()
    assert world.cancelled == [1]


def test_scalp_may_be_left_open_by_configuration(world, scripted):
    world.pipeline(scripted(), scalp_flat_at_close=False)
    world.hold(0, "SCALP", 10, 700_000)
    world.phase_ = "CLOSE_GUARD"
    world.cycle()
    assert world.placed == []


def test_last_fill_price_is_what_the_strategy_sees(world, scripted):
    strategy = scripted(bar_interval_ns=1_000_000_000)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    world.wish(buy())
    world.fill(1, 10, 70_100)
    world.hold(0, "SCALP", 10, 701_000)
    world.close_bar(0, 70_050)
    world.cycle()
    [(market, execution)] = strategy.seen
    assert (execution.last_fill_price, execution.position_qty, execution.sellable_qty) == (70_100, 10, 10)
    assert execution.is_idle
    assert market.bars[-1].close == 70_050
