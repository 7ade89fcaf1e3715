"""Stages 4 and 5 over a real gateway: fills, time, rounds (spec 15 §4.4, 4.5, T8-T10)."""

import itertools

import pytest
from pipeline_desk import Desk, S, with_config

from qts.execution import BookedFill, Disposition, State

THREE = (("e1", 10, 75_000), ("e2", 30, 74_900), ("e3", 60, 75_000))


def test_partial_fills_add_up():
    desk = Desk()
    name, order_id = desk.working(100)
    seen = []
    for qty in (10, 30, 20, 25, 15):
        desk.fill(order_id, qty)
        seen.append(desk.live(name).filled if name in desk.pipeline.live else desk.result(name).filled_qty)
    assert seen == [10, 40, 60, 85, 100]
    assert [fill.qty for fill in desk.result(name).fills] == [10, 30, 20, 25, 15]


def test_a_fill_that_comes_twice_counts_once():
    desk = Desk()
    name, order_id = desk.working(100)
    assert desk.fill(order_id, 10, event="e1") != "DUPLICATE"
    assert desk.fill(order_id, 10, event="e1") == "DUPLICATE"
    assert desk.live(name).filled == 10


@pytest.mark.parametrize("order", list(itertools.permutations(THREE)))
def test_fills_count_in_any_order(order):
    desk = Desk()
    name, order_id = desk.working(100)
    for event, qty, price in order:
        desk.fill(order_id, qty, price, event=event)
    result = desk.result(name)
    assert (result.filled_qty, result.amount) == (100, 10 * 75_000 + 30 * 74_900 + 60 * 75_000)


@pytest.mark.parametrize("qty", [40, 100])
def test_a_fill_may_come_before_the_answer_to_its_order(qty):
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.fill(order_id, qty)
    if qty < 100:
        assert desk.state(name) == "MONITORING"
        desk.ack(order_id)
        desk.fill(order_id, 60)
    assert desk.result(name).disposition is Disposition.FILLED
    assert desk.left() == [order_id]


def test_an_answer_after_everything_has_filled_is_nothing_to_tell():
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.fill(order_id, 100)
    desk.ack(order_id)
    assert desk.result(name).disposition is Disposition.FILLED
    assert not desk.codes.told


def test_after_five_seconds_a_slow_child_is_told_and_improved():
    desk = Desk()
    name, order_id = desk.working(price=74_900)
    desk.pass_time(4.999)
    assert not desk.left("AMEND")
    desk.pass_time(0.001)
    assert "GR064" in desk.live(name).codes
    assert desk.left("AMEND") == [order_id]
    assert (desk.message("AMEND").limit, desk.message("AMEND").qty) == (75_000, 100)
    assert desk.state(name) == "ADJUSTING"
    desk.amended(order_id)
    assert desk.state(name) == "MONITORING"
    assert desk.live(name).children[0].price == 75_000


def test_there_are_three_rounds_a_second_apart():
    desk = Desk()
    desk.market.bid, desk.market.ask = 74_000, 75_300
    name, order_id = desk.working(price=74_500)
    desk.pass_time(5)
    times = [desk.now_ns]
    for _ in range(2):
        desk.amended(order_id)
        desk.pass_time(0.999)
        assert len(desk.left("AMEND")) == len(times)
        desk.pass_time(0.001)
        times.append(desk.now_ns)
        assert len(desk.left("AMEND")) == len(times)
    desk.amended(order_id)
    desk.pass_time(20)
    assert len(desk.left("AMEND")) == 3
    assert desk.live(name).rounds == 3
    assert [record["limit"] for record in desk.journal.of("ORDER_INTENT")] == [74_500, 74_600, 74_700, 74_800]


def test_only_one_amendment_of_a_child_is_on_its_way():
    desk = Desk()
    name, order_id = desk.working(price=74_500)
    desk.pass_time(20)
    assert desk.left("AMEND") == [order_id]
    assert desk.state(name) == "ADJUSTING"


def test_a_refused_amendment_leaves_the_order_as_it_is():
    desk = Desk()
    name, order_id = desk.working(price=74_900)
    desk.pass_time(5)
    desk.amend_rejected(order_id)
    assert desk.state(name) == "MONITORING"
    assert desk.live(name).children[0].price == 74_900
    desk.fill(order_id, 100, 74_900)
    assert desk.result(name).disposition is Disposition.FILLED


def test_an_amendment_that_comes_too_late_because_all_is_filled_is_a_success():
    desk = Desk()
    name, order_id = desk.working(price=74_900)
    desk.pass_time(5)
    desk.fill(order_id, 100, 74_900)
    assert desk.result(name).disposition is Disposition.FILLED
    desk.amend_rejected(order_id, "ALREADY_DONE")
    assert len(desk.closed) == 1


def test_a_fill_while_an_amendment_is_on_its_way_counts_and_the_rest_goes_on():
    desk = Desk()
    name, order_id = desk.working(price=74_900)
    desk.pass_time(5)
    desk.fill(order_id, 40, 74_900)
    assert desk.state(name) == "ADJUSTING"
    desk.amended(order_id)
    assert (desk.state(name), desk.live(name).children[0].remaining) == ("MONITORING", 60)
    desk.fill(order_id, 60, 75_000)
    assert desk.result(name).disposition is Disposition.FILLED


def test_a_lost_amendment_is_asked_about_and_thirty_seconds_of_it_are_enough():
    desk = Desk()
    name, order_id = desk.working(price=74_900)
    desk.pass_time(5)
    desk.gateway.on_lost(order_id, desk.now_ns)
    desk.pipeline.on_amend_lost(order_id, "reset", desk.now_ns)
    desk.act()
    assert "AMEND_LOST" in [reason for _, reason in desk.queries]
    desk.pass_time(29.9)
    assert desk.state(name) == "ADJUSTING"
    desk.pass_time(0.2)
    assert desk.state(name) == "ESCAPING"
    assert desk.left("CANCEL") == [order_id]


def test_no_price_within_the_cap_ends_an_entry():
    desk = Desk()
    name, order_id = desk.working(price=75_000)
    desk.market.bid, desk.market.ask = 76_000, 76_100
    desk.pass_time(5)
    assert "FS094" in desk.live(name).codes
    assert desk.left("CANCEL") == [order_id]
    assert not desk.left("AMEND")
    desk.end(order_id)
    result = desk.result(name)
    assert (result.final_state, result.disposition, result.cancelled_qty) == (State.COMPLETE, Disposition.NO_FILL, 100)


def test_three_of_them_in_a_day_close_entries():
    desk = Desk()
    for _ in range(3):
        desk.market.bid, desk.market.ask = 75_000, 75_100
        desk.working(price=75_000)
        desk.market.bid, desk.market.ask = 76_000, 76_100
        desk.pass_time(5)
        desk.end(desk.left()[-1])
    desk.market.bid, desk.market.ask = 75_000, 75_100
    assert desk.result(desk.submit()).reason == "STATE_BLOCKED"
    desk.pipeline.new_session()
    assert desk.state(desk.submit()) == "SENDING"


def test_fills_that_cost_more_than_a_third_percent_end_the_improvements():
    desk = Desk()
    name, order_id = desk.working(price=75_300)
    desk.fill(order_id, 10, 75_300)
    assert "GR063" in desk.live(name).codes
    desk.pass_time(20)
    assert not desk.left("AMEND")


def test_an_exit_that_costs_more_than_a_third_percent_is_told_of_and_goes_on():
    desk = Desk()
    desk.hold_shares(100)
    sold = desk.submit(desk.decision(side="SELL", price=74_900))
    order_id = desk.left()[-1]
    desk.ack(order_id)
    desk.market.bid, desk.market.ask = 74_000, 74_100
    prices = []
    for _ in range(3):
        desk.pass_time(5)
        prices.append(desk.message("AMEND").limit)
        desk.amended(order_id)
    assert prices == [74_800, 74_700, 74_600]
    assert "GR063" in desk.live(sold).codes


def test_sixty_seconds_with_a_part_filled_cancel_the_rest_and_wait_for_how_it_ended():
    desk = Desk()
    name, order_id = desk.working(price=75_000, qty=100)
    desk.fill(order_id, 40)
    desk.market.bid, desk.market.ask = 75_000, 75_000  # nothing better to offer
    desk.pass_time(59.9)
    assert not desk.left("CANCEL")
    desk.pass_time(0.1)
    assert desk.left("CANCEL") == [order_id]
    assert desk.state(name) == "MONITORING"
    assert desk.codes.effects("FS093") == [""]
    desk.fill(order_id, 5)  # on its way when the cancel left
    desk.pipeline.on_cancel_taken(order_id, desk.now_ns)
    desk.act()
    assert desk.state(name) == "MONITORING", "a cancel that was taken is not an end"
    desk.end(order_id)
    result = desk.result(name)
    assert (result.final_state, result.disposition) == (State.COMPLETE, Disposition.PARTIAL)
    assert (result.filled_qty, result.unsent_qty, result.cancelled_qty) == (45, 0, 55)
    assert result.success


def test_sixty_seconds_with_nothing_filled_cancel_and_escape():
    desk = Desk()
    name, order_id = desk.working(price=74_000)
    for _ in range(3):
        desk.pass_time(5)
        desk.amended(order_id)
    desk.pass_time(60)
    assert desk.state(name) == "ESCAPING"
    assert desk.left("CANCEL") == [order_id]
    desk.end(order_id)
    result = desk.result(name)
    assert (result.final_state, result.disposition) == (State.ESCAPED, Disposition.NO_FILL)
    assert (result.escape.reason, result.escape.mode) == ("TIME_LIMIT_EXCEEDED", "CANCEL_ONLY")
    assert result.escape.success


def test_the_time_of_monitoring_is_counted_over_all_visits():
    desk = Desk()
    name, order_id = desk.working(price=74_000)
    desk.pass_time(5)
    begun = desk.now_ns
    desk.pass_time(20)  # the answer to the amendment takes long
    assert desk.now_ns == begun + 20 * S
    desk.amended(order_id)
    assert desk.live(name).monitor_used_ns == 5 * S
    assert desk.live(name).adjust_used_ns == 20 * S


def test_five_spent_budgets_in_ten_minutes_are_a_warning():
    desk = Desk()
    for _ in range(5):
        _, order_id = desk.working(price=70_000, deadline_ns=desk.now_ns + 4 * S)
        desk.pass_time(60)
        desk.end(order_id)
    assert desk.codes.effects("FS093") == ["", "", "", "", "WARNING"]


def test_an_exit_that_is_not_finished_in_sixty_seconds_is_finished_at_the_market():
    desk = Desk()
    desk.hold_shares(100)
    desk.market.bid, desk.market.ask = 75_000, 80_000
    name, order_id = desk.working(100, side="SELL", price=80_000)
    desk.fill(order_id, 30, 80_000)
    desk.pass_time(5)
    for _ in range(3):
        if desk.state(name) == "ADJUSTING":
            desk.amended(order_id)
        desk.pass_time(1)
    desk.pass_time(60)
    assert desk.left("CANCEL")[-1] == order_id
    desk.end(order_id)
    flat = desk.left()[-1]
    assert flat != order_id
    assert (desk.message().kind, desk.message().qty, desk.message().side) == ("MARKET", 70, "SELL")
    desk.ack(flat)
    desk.fill(flat, 70, 74_900)
    result = desk.result(name)
    assert (result.final_state, result.disposition, result.filled_qty) == (State.ESCAPED, Disposition.FLATTENED, 100)
    assert result.success
    assert desk.gateway.position(0, "SCALP")[0] == 0


def test_an_order_that_the_session_ends_is_over_without_an_escape():
    desk = Desk()
    name, order_id = desk.working()
    desk.fill(order_id, 30)
    desk.end(order_id, "EXPIRED")
    result = desk.result(name)
    assert (result.final_state, result.disposition, result.reason) == (State.COMPLETE, Disposition.PARTIAL, "EXPIRED")


def test_a_fill_after_the_end_of_an_execution_is_told_and_asked_about():
    desk = Desk()
    name, order_id = desk.working()
    desk.fill(order_id, 30)
    desk.end(order_id)
    assert desk.state(name) == "COMPLETE"
    desk.fill(order_id, 20)
    assert "GR069" in [code for code, _, _ in desk.codes.told]
    assert desk.gateway.position(0, "SCALP")[0] == 50, "the books have it"
    assert desk.result(name).filled_qty == 30, "the result is not rewritten"
    assert "LATE_FILL" in [reason for _, reason in desk.queries]


def test_a_fill_of_an_order_that_nobody_sent_is_an_orphan():
    desk = Desk()
    desk.pipeline.on_fill(BookedFill(4_711, 1, 75_000, 0, 0, 1, 0, desk.now_ns))
    desk.act()
    assert [code for code, _, _ in desk.codes.told] == ["GR069"]
    assert not desk.journal.records


def test_more_filled_than_ordered_freezes_the_symbol_and_is_a_failure():
    desk = Desk()
    name, order_id = desk.working(100)
    desk.fill(order_id, 90)
    assert desk.fill(order_id, 20) == "OVERFILL"
    assert desk.codes.effects("FS099") == ["FAIL"]
    assert "FS099" in desk.gateway.freezes(0)
    assert desk.result(name).filled_qty == 110


def test_two_percent_lost_while_filling_sells_what_was_bought():
    desk = Desk()
    name, order_id = desk.working(100, price=75_000)
    desk.fill(order_id, 50)
    desk.market.bid = 73_600
    desk.pass_time(0.2)
    assert desk.state(name) == "MONITORING"
    desk.market.bid = 73_500
    desk.pass_time(0.2)
    assert desk.state(name) == "ESCAPING"
    assert desk.live(name).escape_reason == "LOSS_LIMIT"
    desk.end(order_id)
    flat = desk.left()[-1]
    assert (desk.message().side, desk.message().qty, desk.message().kind) == ("SELL", 50, "MARKET")
    desk.ack(flat)
    desk.fill(flat, 50, 73_500, fee=7)
    result = desk.result(name)
    assert (result.disposition, result.escape.total_loss) == (Disposition.FLATTENED, -50 * 1_500 - 7)
    assert (result.filled_qty, result.cancelled_qty) == (50, 50)
    assert not result.success


def test_nobody_sells_for_a_loss_on_a_price_that_is_old():
    desk = Desk()
    name, order_id = desk.working(100, price=75_000)
    desk.fill(order_id, 50)
    desk.market.bid, desk.market.age_ns = 60_000, 4 * S
    desk.pass_time(1)
    assert desk.state(name) == "MONITORING"


def test_three_seconds_without_quotes_count_as_the_time_limit():
    desk = Desk()
    name, order_id = desk.working(100, price=74_000)
    desk.market.age_ns = 3 * S + 1
    desk.pass_time(5)
    assert desk.state(name) == "ESCAPING"
    assert desk.left("CANCEL") == [order_id]


def test_after_as_long_as_all_stages_together_an_execution_escapes():
    desk = Desk(config=with_config(escaping_timeout_ns=1, adjusting_timeout_ns=1))
    name, order_id = desk.working(100, deadline_ns=desk.now_ns + 4 * S)
    desk.fill(order_id, 50)
    desk.pass_time(76)
    assert desk.state(name) == "MONITORING", "its cancel was never answered"
    desk.pass_time(0.1)
    assert desk.state(name) == "ESCAPING"
