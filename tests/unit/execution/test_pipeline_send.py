"""Stages 1 to 3 over a real gateway: what leaves, how often, and what the answers make of it (spec 15 §4.3, T1-T4)."""

import pytest
from pipeline_desk import MS, START, Desk, S, with_config

from qts.execution import Disposition, State
from qts.execution.contracts import VolumeBucket
from qts.execution.interfaces import Closed, Send


def test_an_order_that_is_taken_and_filled_goes_through_every_stage():
    desk = Desk()
    name = desk.submit(qty=100)
    (order_id,) = desk.left()
    assert desk.state(name) == "SENDING"
    assert (desk.message().qty, desk.message().limit, desk.message().side) == (100, 75_000, "BUY")
    desk.ack(order_id)
    assert desk.state(name) == "MONITORING"
    desk.fill(order_id, 100, fee=10, tax=0)
    result = desk.result(name)
    assert (result.final_state, result.disposition, result.success) == (State.COMPLETE, Disposition.FILLED, True)
    assert (result.filled_qty, result.unsent_qty, result.cancelled_qty) == (100, 0, 0)
    assert (result.amount, result.avg_fill_price_e6, result.fee) == (7_500_000, 75_000_000_000, 10)
    assert result.slippage_bps_e3 == 0
    assert [one.stage for one in result.latencies] == ["PRECHECK", "SPLITTING", "SENDING"]
    assert desk.pipeline.next_due_ns() is None
    assert list(desk.pipeline.results) == [result]


def test_a_refusal_is_told_in_the_same_batch_and_holds_nothing():
    desk = Desk(cash=1_000)
    name = desk.submit(qty=10)
    result = desk.result(name)
    assert (result.disposition, result.reason) == (Disposition.REFUSED, "INSUFFICIENT_CAPITAL")
    assert not desk.left()
    assert desk.gateway.reserved_cash == 0
    assert "GR061" in result.codes


def test_what_can_be_paid_for_is_bought_and_the_result_counts_from_there():
    desk = Desk(cash=3_800_000)
    name = desk.submit(qty=100)
    (order_id,) = desk.left()
    bought = desk.message().qty
    assert 0 < bought < 100
    desk.ack(order_id)
    desk.fill(order_id, bought)
    result = desk.result(name)
    assert (result.original_qty, result.precheck_qty, result.filled_qty) == (100, bought, bought)
    assert desk.gateway.reserved_cash == 0


def test_one_decision_has_one_execution_however_often_it_comes():
    desk = Desk()
    decision = desk.decision()
    first = desk.submit(decision)
    assert desk.submit(decision) == first
    desk.ack(desk.left()[0])
    desk.fill(desk.left()[0], 100)
    assert desk.submit(decision) == first
    assert len(desk.left()) == 1
    assert len(desk.closed) == 1
    assert desk.pipeline.duplicates == 2


def test_of_a_symbol_and_side_one_execution_lives_at_a_time():
    desk = Desk()
    desk.working()
    second = desk.submit(qty=10)
    assert desk.result(second).reason == "POSITION_INVALID"


def test_more_executions_than_may_be_in_flight_are_refused():
    desk = Desk(config=with_config(max_inflight_executions=1), symbols=("A", "B"))
    desk.working()
    second = desk.submit(instrument=1, symbol="B")
    assert desk.result(second).reason == "INFLIGHT_LIMIT"


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_never_left_is_sent_again_after_a_pause_and_the_third_attempt_counts(attempts):
    desk = Desk()
    name = desk.submit()
    for attempt in range(attempts):
        desk.not_sent(desk.left()[-1])
        assert len(desk.left()) == attempt + 1, "not before the pause is over"
        desk.pass_time(0.099)
        assert len(desk.left()) == attempt + 1
        desk.pass_time(0.001)
        assert len(desk.left()) == attempt + 2
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 100)
    assert desk.result(name).disposition is Disposition.FILLED
    generations = [record["generation"] for record in desk.journal.of("ORDER_INTENT")]
    assert generations == list(range(1, attempts + 2))
    assert len({record["split_id"] for record in desk.journal.of("ORDER_INTENT")}) == attempts + 1


def test_three_attempts_are_all_and_the_second_such_execution_is_a_failure_of_the_system():
    desk = Desk()
    for expected in ("", "FAIL"):
        name = desk.submit()
        for _ in range(3):
            desk.reject(desk.left()[-1], "TRANSIENT")
            desk.pass_time(0.1)
        result = desk.result(name)
        assert (result.final_state, result.disposition) == (State.FAILED, Disposition.NO_FILL)
        assert (result.unsent_qty, result.cancelled_qty) == (100, 0)
        assert desk.codes.effects("FS090")[-1] == expected
    assert len(desk.left()) == 6
    assert desk.gateway.reserved_cash == 0


def test_a_permanent_reject_is_never_tried_again():
    desk = Desk()
    name = desk.submit()
    desk.reject(desk.left()[0], "PERMANENT", "BAND")
    assert len(desk.left()) == 1
    result = desk.result(name)
    assert (result.final_state, result.reason) == (State.FAILED, "BAND")


def test_a_lost_answer_means_one_order_whatever_comes():
    desk = Desk()
    name = desk.submit()
    (order_id,) = desk.left()
    desk.lose(order_id)
    desk.pass_time(9)
    assert desk.left() == [order_id], "never sent again"
    desk.list_orders(desk.row("B77", 100, 75_000, ts_ns=START))
    assert desk.state(name) == "MONITORING"
    desk.fill(order_id, 100)
    assert desk.result(name).disposition is Disposition.FILLED
    assert desk.left() == [order_id]


def test_no_answer_within_five_seconds_is_no_answer():
    desk = Desk()
    name = desk.submit()
    desk.pass_time(4.999)
    assert desk.pipeline.unknown_orders == 0
    desk.pass_time(0.001)
    assert desk.pipeline.unknown_orders == 1
    assert desk.state(name) == "SENDING"
    desk.pass_time(5)
    assert desk.state(name) == "ESCAPING"
    assert desk.live(name).escape_reason == "SEND_UNKNOWN"


def test_ten_seconds_without_any_order_at_the_broker_end_an_execution_that_cannot_send():
    desk = Desk(gateway_config={"orders_per_s": 1, "exit_reserve": 0, "cancel_reserve": 0}, symbols=("A", "B"))
    desk.submit()
    blocked = desk.submit(instrument=1, symbol="B")
    assert desk.state(blocked) == "SENDING"
    assert len(desk.left()) == 1
    desk.pass_time(1)
    assert len(desk.left()) == 2, "a full rate budget is waited for, and costs no attempt"
    assert desk.live(blocked).children[0].generation == 1


def test_a_stale_price_lets_no_entry_leave_after_the_wait():
    desk = Desk(gateway_config={"orders_per_s": 1, "exit_reserve": 0, "cancel_reserve": 0}, symbols=("A", "B"))
    desk.submit()
    blocked = desk.submit(instrument=1, symbol="B")
    desk.market.age_ns = 200 * MS
    desk.pass_time(12)
    assert len(desk.left()) == 1
    result = desk.result(blocked)
    assert (result.final_state, result.unsent_qty) == (State.FAILED, 100)


def test_a_symbol_that_the_broker_does_not_know_ends_everything_and_freezes_it():
    desk = Desk()
    name = desk.submit()
    desk.reject(desk.left()[0], "SYMBOL_NOT_FOUND")
    assert desk.state(name) == "FAILED"
    assert "FS091" in desk.result(name).codes
    assert desk.result(desk.submit()).reason == "SYMBOL_FROZEN"


def twap(desk, qty=300, horizon_ms=10_000):
    return desk.submit(qty=qty, horizon_ms=horizon_ms)


def test_children_leave_when_they_are_due_and_add_up():
    desk = Desk()
    name = twap(desk)
    assert [child.qty for child in desk.live(name).children] == [100, 100, 100]
    assert len(desk.left()) == 1
    desk.ack(desk.left()[0])
    assert desk.state(name) == "MONITORING"
    desk.fill(desk.left()[0], 100)
    desk.pass_time(3.4)
    assert len(desk.left()) == 2
    desk.ack(desk.left()[1])
    desk.fill(desk.left()[1], 100)
    desk.pass_time(3.4)
    desk.ack(desk.left()[2])
    desk.fill(desk.left()[2], 100)
    assert (desk.result(name).filled_qty, desk.result(name).disposition) == (300, Disposition.FILLED)


def test_a_refusal_for_money_stops_what_has_not_left_and_keeps_what_works():
    desk = Desk()
    name = twap(desk)
    desk.ack(desk.left()[0])
    desk.pass_time(3.4)
    desk.reject(desk.left()[1], "INSUFFICIENT_BALANCE")
    assert "GR061" in desk.live(name).codes
    assert desk.state(name) == "MONITORING"
    assert not desk.left("CANCEL")
    desk.fill(desk.left()[0], 100)
    result = desk.result(name)
    assert (result.filled_qty, result.unsent_qty, result.cancelled_qty) == (100, 200, 0)
    assert result.disposition is Disposition.PARTIAL
    assert desk.gateway.reserved_cash == 0
    assert ("INSUFFICIENT_BALANCE") in [reason for _, reason in desk.queries]


def test_a_symbol_refused_late_cancels_what_was_sent():
    desk = Desk()
    name = twap(desk)
    first = desk.left()[0]
    desk.ack(first)
    desk.pass_time(3.4)
    desk.reject(desk.left()[1], "SYMBOL_NOT_FOUND")
    assert desk.left("CANCEL") == [first]
    assert desk.state(name) == "ESCAPING"
    desk.end(first)
    assert (desk.result(name).final_state, desk.result(name).unsent_qty) == (State.ESCAPED, 200)


def test_equal_children_are_never_without_an_answer_together():
    desk = Desk()
    desk.market.profile = tuple(VolumeBucket(START, 10_000) for _ in range(3))
    desk.market.average = 100_000
    name = desk.submit(qty=300)
    assert [child.qty for child in desk.live(name).children] == [100, 100, 100]
    first = desk.left()
    assert len(first) == 1, "the second looks the same to a list of the broker"
    desk.ack(first[0])
    assert len(desk.left()) == 2
    desk.ack(desk.left()[1])
    desk.ack(desk.left()[2])
    assert desk.state(name) == "MONITORING"
    assert len(desk.left()) == 3


def test_of_an_iceberg_one_slice_shows_at_a_time():
    desk = Desk()
    desk.market.ask_qty = 300
    name = desk.submit(qty=250)
    assert desk.live(name).strategy == "ICEBERG"
    assert [child.qty for child in desk.live(name).children] == [100, 100, 50]
    for number, qty in enumerate((100, 100, 50), 1):
        assert len(desk.left()) == number
        order_id = desk.left()[-1]
        desk.ack(order_id)
        assert len(desk.left()) == number, "not while this one shows"
        desk.fill(order_id, qty)
    assert desk.result(name).disposition is Disposition.FILLED


def test_after_the_deadline_nothing_leaves_and_what_works_is_watched():
    desk = Desk()
    name = desk.submit(qty=200, horizon_ms=10_000, deadline_ns=START + 49 * S // 10)
    first = desk.left()[0]
    desk.ack(first)
    desk.pass_time(4.85)
    desk.reject(desk.left()[1], "TRANSIENT")
    desk.pass_time(1)
    assert len(desk.left()) == 2
    assert desk.state(name) == "MONITORING"
    assert not desk.left("CANCEL")
    desk.fill(first, 100)
    result = desk.result(name)
    assert (result.filled_qty, result.unsent_qty, result.cancelled_qty) == (100, 100, 0)


def test_a_decision_waits_a_second_for_a_link_that_has_gone_and_then_goes():
    desk = Desk()
    desk.link = (False, False)
    name = desk.submit()
    assert desk.state(name) == "PRECHECK"
    desk.pass_time(0.5)
    desk.link = (True, True)
    desk.pipeline.on_link(desk.now_ns)
    desk.act()
    assert desk.state(name) == "SENDING"


def test_a_link_that_does_not_come_back_refuses():
    desk = Desk()
    desk.link = (False, False)
    name = desk.submit()
    desk.pass_time(1)
    assert desk.result(name).reason == "BROKER_DISCONNECTED"


def test_no_entry_before_recovery_is_done():
    desk = Desk(recovering=True)
    assert desk.result(desk.submit()).reason == "RECOVERING"
    desk.pipeline.open_for_entries()
    assert desk.state(desk.submit()) == "SENDING"


def test_eleven_stale_prices_in_a_minute_are_told_once():
    desk = Desk()
    desk.market.age_ns = 150 * MS
    for _ in range(11):
        assert desk.result(desk.submit()).reason == "PRICE_STALE"
        desk.closed.clear()
    assert len(desk.codes.effects("GR066")) == 1


def test_a_request_leaves_only_behind_its_record():
    desk = Desk()
    desk.pipeline.submit(desk.decision(), desk.now_ns)
    (command,) = [one for one in desk.pipeline.take_commands() if isinstance(one, Send)]
    kind, record = desk.journal.records[command.after_seq - 1]
    assert kind == "ORDER_INTENT"
    assert (record["order_id"], record["split_id"]) == (command.order_id, command.split_id)


def test_a_journal_that_wants_nothing_gets_nothing():
    desk = Desk()
    desk.journal.wants_records = False
    desk.pipeline = desk.make_pipeline()
    name, order_id = desk.working()
    desk.fill(order_id, 100)
    assert desk.result(name).disposition is Disposition.FILLED
    assert not desk.journal.records


def test_results_are_commands_of_their_own():
    desk = Desk()
    desk.working()
    desk.fill(desk.left()[0], 100)
    assert isinstance(desk.commands[-1], Closed)
