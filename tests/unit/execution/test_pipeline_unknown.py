"""Orders of which nobody knows: asked about, told of, and closed only on proof (spec 15 §4.3, design §9.11)."""

import pytest
from pipeline_desk import START, Desk, S

from qts.execution import Disposition, State


def test_lists_are_asked_for_at_one_three_ten_thirty_and_sixty_seconds():
    desk = Desk()
    desk.submit()
    desk.lose(desk.left()[0])
    asked = []
    for _ in range(90):
        before = len(desk.queries)
        desk.pass_time(1)
        if len(desk.queries) > before:
            asked.append((desk.now_ns - START) // S)
            desk.list_orders()
    assert asked[:5] == [1, 3, 10, 30, 60]


def test_an_order_is_absent_after_five_lists_and_not_before():
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.lose(order_id)
    for second in (1, 3, 10, 30):
        desk.pass_time(second - (desk.now_ns - START) / S)
        desk.list_orders()
        desk.list_orders()  # one that nobody asked for proves nothing
        assert not desk.absent
    desk.pass_time(29)
    desk.list_orders()
    assert not desk.absent
    desk.pass_time(1)
    desk.list_orders()
    assert desk.absent == [order_id]
    assert desk.state(name) == "ESCAPING"
    desk.prove_absent(order_id)
    result = desk.result(name)
    assert (result.final_state, result.unsent_qty, result.filled_qty) == (State.ESCAPED, 100, 0)
    assert desk.left() == [order_id]
    assert desk.gateway.reserved_cash == 0


def test_a_driver_who_saw_money_move_is_asked_again_later():
    desk = Desk()
    desk.submit()
    desk.lose(desk.left()[0])
    for _ in range(100):
        desk.pass_time(1)
        desk.list_orders()
    assert len(desk.absent) > 1


def test_the_longer_it_lasts_the_louder_it_is_told():
    desk = Desk()
    name = desk.submit()
    desk.lose(desk.left()[0])
    desk.pass_time(2.9)
    assert "GR067" not in desk.live(name).codes
    desk.pass_time(0.1)
    assert "GR067" in desk.live(name).codes
    desk.pass_time(26.9)
    assert desk.codes.effects("FS099") == []
    desk.pass_time(0.1)
    assert desk.codes.effects("FS099") == [""]
    desk.pass_time(59.9)
    assert desk.codes.effects("FS099") == [""]
    desk.pass_time(0.1)
    assert desk.codes.effects("FS099") == ["", "FAIL"]


def test_the_symbol_is_closed_while_an_order_is_in_doubt_and_open_after():
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.lose(order_id)
    desk.pass_time(3)
    assert desk.gateway.freezes(0) == ["GR067"]
    desk.list_orders(desk.row("B1", 100, 75_000, ts_ns=START))
    assert desk.gateway.freezes(0) == []
    assert desk.state(name) == "MONITORING"


def test_two_orders_that_one_row_could_be_are_ambiguous_and_close_the_symbol_at_once():
    desk = Desk()
    name = desk.submit()
    desk.lose(desk.left()[0])
    desk.pass_time(1)
    rows = [desk.row(number, 100, 75_000, ts_ns=START) for number in ("B1", "B2")]
    desk.list_orders(*rows)
    assert desk.state(name) == "SENDING"
    assert desk.gateway.freezes(0) == ["GR067"]


@pytest.mark.parametrize("answer", ["ack", "fill", "end"])
def test_any_late_answer_ends_the_doubt(answer):
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.lose(order_id)
    desk.pass_time(4)
    if answer == "ack":
        desk.ack(order_id)
    elif answer == "fill":
        desk.fill(order_id, 40)
    else:
        desk.end(order_id)
    assert desk.pipeline.unknown_orders == 0
    assert desk.gateway.freezes(0) == []
    assert desk.left() == [order_id]
    assert desk.state(name) == ("COMPLETE" if answer == "end" else "MONITORING")


def test_an_exit_in_doubt_sells_nothing_twice():
    desk = Desk()
    desk.hold_shares(100)
    name = desk.submit(qty=100, side="SELL")
    (order_id,) = desk.left()
    desk.lose(order_id)
    desk.pass_time(40)
    assert desk.state(name) == "ESCAPING"
    assert desk.left() == [order_id]
    desk.ack(order_id)
    desk.fill(order_id, 100)
    assert (desk.result(name).filled_qty, desk.gateway.position(0, "SCALP")[0]) == (100, 0)
    assert desk.result(name).disposition in (Disposition.FILLED, Disposition.FLATTENED)
