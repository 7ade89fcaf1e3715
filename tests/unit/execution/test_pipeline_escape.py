"""Stage 6 over a real gateway: from every state, in every mode, until it is flat or somebody takes over."""

import pytest
from pipeline_desk import Desk, S, replace_stance

from qts.execution import Disposition, EscapeMode, EscapeReason, State

CANCEL, EXECUTION, POOL = EscapeMode.CANCEL_ONLY, EscapeMode.FLATTEN_EXECUTION, EscapeMode.FLATTEN_POOL
MANUAL = EscapeReason.MANUAL


def escape(desk, mode, reason=MANUAL, **more):
    count = desk.pipeline.escape(reason, mode, desk.now_ns, **more)
    desk.act()
    return count


def in_state(state):
    """A desk and an execution in a state that is not over."""
    desk = Desk()
    if state == "PRECHECK":
        desk.link = (False, False)
        return desk, desk.submit()
    if state == "SENDING":
        return desk, desk.submit()
    name, _ = desk.working(price=74_900)
    if state == "ADJUSTING":
        desk.pass_time(5)
    assert desk.state(name) == state
    return desk, name


@pytest.mark.parametrize("state", ["PRECHECK", "SENDING", "MONITORING", "ADJUSTING"])
@pytest.mark.parametrize("mode", [CANCEL, EXECUTION])
def test_an_escape_is_reached_from_every_state_and_leaves_nothing_alive(state, mode):
    desk, name = in_state(state)
    assert escape(desk, mode) == 1
    if state == "PRECHECK":
        assert desk.result(name).final_state is State.ESCAPED
        return
    assert desk.state(name) == "ESCAPING"
    (order_id,) = desk.left()
    if state == "SENDING":
        assert not desk.left("CANCEL"), "without a number there is nothing to cancel"
        desk.ack(order_id)
    assert desk.left("CANCEL") == [order_id]
    desk.end(order_id)
    result = desk.result(name)
    assert (result.final_state, result.disposition) == (State.ESCAPED, Disposition.NO_FILL)
    assert result.escape.cancelled_orders == ((order_id, "CANCELLED"),)
    assert desk.gateway.reserved_cash == 0
    assert desk.pipeline.next_due_ns() is None


def test_a_cancel_leaves_in_the_call_that_asks_for_it():
    desk, _ = in_state("MONITORING")
    desk.pipeline.escape(MANUAL, CANCEL, desk.now_ns)
    assert [command.action for command in desk.pipeline.take_commands()] == ["CANCEL"]


def test_a_cancel_that_is_refused_is_asked_again_until_the_order_has_ended():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    escape(desk, CANCEL)
    desk.cancel_rejected(order_id, "TRANSIENT")
    desk.pass_time(0.1)
    assert desk.left("CANCEL") == [order_id] * 2
    desk.gateway.on_lost(order_id, desk.now_ns)
    desk.pipeline.on_cancel_lost(order_id, "reset", desk.now_ns)
    desk.act()
    assert "CANCEL_LOST" in [reason for _, reason in desk.queries]
    desk.pass_time(1)
    assert desk.left("CANCEL") == [order_id] * 3
    desk.pass_time(2)
    assert "CANCEL_UNCONFIRMED" in [reason for _, reason in desk.queries]
    desk.end(order_id)
    assert desk.state(name) == "ESCAPED"


def test_a_list_that_shows_the_order_alive_after_its_cancel_has_it_cancelled_again():
    desk, _ = in_state("MONITORING")
    (order_id,) = desk.left()
    escape(desk, CANCEL)
    desk.pass_time(0.5)
    desk.list_orders(desk.row("B1", 100, 74_900))
    assert desk.left("CANCEL") == [order_id], "the first has no answer yet"
    desk.pipeline.on_cancel_taken(order_id, desk.now_ns)
    desk.list_orders(desk.row("B1", 100, 74_900))
    assert desk.left("CANCEL") == [order_id] * 2


def test_a_cancel_that_finds_everything_filled_ends_as_filled():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    escape(desk, CANCEL)
    desk.cancel_rejected(order_id, "ALREADY_DONE")
    assert "CANCEL_REFUSED" in [reason for _, reason in desk.queries]
    desk.fill(order_id, 100, 74_900)
    assert (desk.result(name).final_state, desk.result(name).disposition) == (State.ESCAPED, Disposition.FILLED)


def test_flattening_waits_for_what_is_confirmed_and_sells_exactly_that():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, EXECUTION)
    assert len(desk.left()) == 1, "not before the cancel is confirmed"
    desk.fill(order_id, 10, 74_900)
    desk.end(order_id)
    assert (desk.message().qty, desk.message().side, desk.message().kind) == (50, "SELL", "MARKET")
    flat = desk.left()[-1]
    desk.ack(flat)
    assert desk.state(name) == "ESCAPING", "an order is not a sale"
    desk.fill(flat, 50, 74_800)
    result = desk.result(name)
    assert (result.final_state, result.disposition) == (State.ESCAPED, Disposition.FLATTENED)
    assert (result.escape.liquidation_qty, result.escape.total_loss, result.escape.residual_qty) == (50, -5_000, 0)
    assert desk.gateway.position(0, "SCALP")[0] == 0
    assert desk.gateway.exit_of(0, "SCALP") is None, "the exit is given back"


def test_after_two_seconds_it_acts_on_what_is_confirmed_and_goes_on_with_what_comes_later():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, EXECUTION)
    desk.pass_time(2)
    first = desk.left()[-1]
    assert first != order_id
    assert desk.message().qty == 40
    desk.ack(first)
    desk.fill(first, 40, 74_800)
    desk.fill(order_id, 60, 74_900)  # the cancel came too late
    assert desk.state(name) == "ESCAPING"
    desk.pass_time(1)
    second = desk.left()[-1]
    assert desk.message().qty == 60
    desk.ack(second)
    desk.fill(second, 60, 74_800)
    assert desk.result(name).disposition is Disposition.FLATTENED
    assert desk.gateway.position(0, "SCALP")[0] == 0


def test_the_shares_of_other_tracks_are_not_touched():
    desk = Desk()
    permit = desk.gateway.request(
        0, "SWING", "BUY", "LIMIT", "DAY", 75_000, 30, action="ENTRY", now_ns=desk.now_ns, holder="STRATEGY"
    )
    permit.redeem(desk.now_ns)
    desk.gateway.on_ack(permit.order_id, "S1", desk.now_ns)
    desk.gateway.on_fill(permit.order_id, "s1", 30, 75_000, 0, 0, desk.now_ns)
    desk.hold_shares(50)
    name, order_id = desk.working(100)
    desk.fill(order_id, 20)
    escape(desk, POOL)
    desk.end(order_id)
    assert desk.message().qty == 70, "what the pool holds, more than this execution bought"
    flat = desk.left()[-1]
    desk.ack(flat)
    desk.fill(flat, 70)
    assert desk.result(name).disposition is Disposition.FLATTENED
    assert desk.gateway.position(0, "SCALP")[0] == 0
    assert desk.gateway.position(0, "SWING")[0] == 30


def test_a_pool_is_sold_when_nothing_of_it_is_being_executed():
    desk = Desk()
    desk.hold_shares(50)
    assert escape(desk, POOL, instrument=0) == 1
    flat = desk.left()[-1]
    assert (desk.message().qty, desk.message().kind) == (50, "MARKET")
    desk.ack(flat)
    desk.fill(flat, 50, 74_000)
    assert desk.closed[0].disposition is Disposition.FLATTENED
    first = desk.journal.of("EXECUTION_STATE")[0]
    assert (first["before"], first["after"], first["decision"]["qty"]) == ("INIT", "ESCAPING", 50)
    assert escape(desk, POOL, instrument=0) == 0


def test_an_exit_that_is_to_flatten_the_pool_sells_its_own_and_the_rest_follows():
    desk = Desk()
    desk.hold_shares(50)
    name, order_id = desk.working(20, side="SELL", price=75_200)
    escape(desk, POOL)
    desk.end(order_id)
    assert desk.message().qty == 20
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 20)
    result = desk.result(name)
    assert (result.filled_qty, result.disposition) == (20, Disposition.FLATTENED)
    assert desk.message().qty == 30
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 30)
    assert desk.closed[-1].disposition is Disposition.FLATTENED
    assert desk.gateway.position(0, "SCALP")[0] == 0
    assert not desk.pipeline.live


def stuck(desk, name):
    """Attempts of a liquidation that fills nothing: their orders."""
    seen = []
    for _ in range(40):
        if desk.state(name) != "ESCAPING":
            break
        newest = desk.left()[-1]
        if newest not in seen and desk.gateway.order_state(newest)[0] == "SUBMITTED":
            desk.ack(newest)
            seen.append(newest)
        for order_id in desk.left("CANCEL"):
            if desk.gateway.order_state(order_id)[0] == "CANCEL_PENDING":
                desk.end(order_id)
        desk.pass_time(0.25)
    return seen


def test_what_does_not_fill_is_sent_three_times_and_then_told_louder_and_louder():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, EXECUTION)
    desk.end(order_id)
    assert len(stuck(desk, name)) == 3
    assert desk.codes.effects("FS092") == ["", ""]
    desk.pass_time(30)
    assert desk.codes.effects("FS092") == ["", "", "FAIL"]
    assert desk.state(name) == "ESCAPING", "never given up"
    desk.pass_time(600)
    assert len(desk.left()) == 4
    assert desk.codes.effects("FS092") == ["", "", "FAIL"]


def test_attempts_that_never_reach_the_market_do_not_count_and_come_again():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, EXECUTION)
    desk.end(order_id)
    for _ in range(5):
        before = len(desk.left())
        desk.not_sent(desk.left()[-1])
        desk.pass_time(1)
        assert len(desk.left()) == before + 1
    assert desk.live(name).escape_attempts == 1
    assert desk.codes.effects("FS092") == ["", ""], "told once, counted once"
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 40)
    assert desk.result(name).disposition is Disposition.FLATTENED


def test_only_an_operator_ends_an_escape_that_does_not_end():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    with pytest.raises(ValueError, match="expected ESCAPING"):
        desk.pipeline.acknowledge(name, "kim", desk.now_ns)
    escape(desk, EXECUTION)
    with pytest.raises(ValueError, match="name of an operator"):
        desk.pipeline.acknowledge(name, "", desk.now_ns)
    desk.pipeline.acknowledge(name, "kim", desk.now_ns)
    desk.act()
    result = desk.result(name)
    assert (result.final_state, result.disposition) == (State.FAILED, Disposition.RESIDUAL)
    assert (result.escape.residual_qty, result.escape.success) == (40, False)
    last = desk.journal.of("EXECUTION_STATE")[-1]
    assert (last["after"], last["operator"], last["residual"]) == ("FAILED", "kim", 40)
    with pytest.raises(LookupError):
        desk.pipeline.acknowledge(name, "kim", desk.now_ns)
    desk.fill(order_id, 5, 74_900)
    assert "GR069" in [code for code, _, _ in desk.codes.told]


def test_three_liquidations_of_a_session_are_a_warning_and_cancels_are_none():
    desk = Desk()
    for _ in range(4):
        name, order_id = desk.working(10)
        escape(desk, CANCEL)
        desk.end(order_id)
    for _ in range(3):
        name, order_id = desk.working(10)
        desk.fill(order_id, 5)
        escape(desk, EXECUTION)
        desk.end(order_id)
        desk.ack(desk.left()[-1])
        desk.fill(desk.left()[-1], 5)
        assert desk.state(name) == "ESCAPED"
    assert desk.codes.effects("FS092") == [""] * 4 + ["", "", "", "", "", "WARNING"]


def test_a_later_trigger_only_widens():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, CANCEL)
    escape(desk, EXECUTION, EscapeReason.LOSS_LIMIT)
    assert (desk.live(name).escape_mode, desk.live(name).escape_reason) == (EXECUTION, MANUAL)
    escape(desk, CANCEL)
    assert desk.live(name).escape_mode is EXECUTION
    desk.end(order_id)
    assert desk.message().qty == 40


def test_an_exit_goes_before_a_running_entry_of_its_symbol():
    desk = Desk()
    entry, order_id = desk.working(100)
    desk.fill(order_id, 30)
    leaving = desk.submit(qty=100, side="SELL")
    assert desk.state(entry) == "ESCAPING"
    assert desk.left("CANCEL") == [order_id]
    assert desk.state(leaving) == "PRECHECK"
    desk.fill(order_id, 10)
    desk.end(order_id)
    assert (desk.result(entry).disposition, desk.result(entry).escape.reason) == (Disposition.PARTIAL, "PREEMPTED")
    assert desk.state(leaving) == "SENDING"
    assert (desk.message().side, desk.message().qty) == ("SELL", 40), "what is confirmed"
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 40)
    assert desk.result(leaving).disposition is Disposition.FILLED
    assert desk.gateway.position(0, "SCALP")[0] == 0


def test_an_exit_does_not_wait_for_ever_for_the_entry_that_it_goes_before():
    desk = Desk()
    _, order_id = desk.working(100)
    desk.fill(order_id, 30)
    leaving = desk.submit(qty=100, side="SELL")
    desk.pass_time(1.9)
    assert desk.state(leaving) == "PRECHECK"
    desk.pass_time(0.1)
    assert desk.state(leaving) == "SENDING"
    assert desk.message().qty == 30


def test_an_entry_does_not_begin_while_an_exit_runs():
    desk = Desk()
    desk.hold_shares(50)
    desk.working(50, side="SELL", price=75_200)
    assert desk.result(desk.submit(qty=10)).reason == "POSITION_INVALID"


def test_the_risk_loop_gets_the_exit_at_once_and_hears_what_is_held():
    desk = Desk()
    name, order_id = desk.working(100)
    desk.fill(order_id, 30)
    assert desk.pipeline.yield_to_loop(0, "SCALP", desk.now_ns) == 30
    assert [command.action for command in desk.pipeline.take_commands()] == ["CANCEL"]
    assert desk.live(name).escape_reason == "MICRO_RISK"
    assert "GR068" in desk.live(name).codes
    lease, qty = desk.gateway.claim_exit(0, "SCALP", "LOOP", 30, desk.now_ns)
    assert (lease > 0, qty) == (True, 30)
    assert desk.pipeline.yield_to_loop(0, "SWING", desk.now_ns) == 0


def test_what_execution_and_loop_both_want_to_sell_is_sold_once():
    desk = Desk()
    name, order_id = desk.working(100)
    desk.fill(order_id, 30)
    desk.gateway.claim_exit(0, "SCALP", "LOOP", 30, desk.now_ns)
    escape(desk, EXECUTION)
    desk.end(order_id)
    assert len(desk.left()) == 1, "the loop sells"
    result = desk.result(name)
    assert (result.disposition, result.escape.residual_qty) == (Disposition.RESIDUAL, 30)


def test_a_running_liquidation_gives_way_to_the_loop():
    desk = Desk()
    name, order_id = desk.working(100)
    desk.fill(order_id, 30)
    escape(desk, EXECUTION)
    desk.end(order_id)
    flat = desk.left()[-1]
    desk.ack(flat)
    desk.fill(flat, 10)
    assert desk.pipeline.yield_to_loop(0, "SCALP", desk.now_ns) == 20
    desk.act()
    assert desk.left("CANCEL")[-1] == flat
    desk.end(flat)
    assert (desk.result(name).disposition, desk.result(name).escape.residual_qty) == (Disposition.RESIDUAL, 20)
    desk.pass_time(10)
    assert desk.left()[-1] == flat


@pytest.mark.parametrize(("state", "reason"), [("FAIL", "SAFETY_FAIL"), ("LOCKDOWN", "LOCKDOWN")])
def test_entries_are_cancelled_and_exits_run_on_when_safety_says_stop(state, reason):
    desk = Desk(symbols=("A", "B"))
    desk.hold_shares(50)
    leaving, sold = desk.working(50, side="SELL", price=75_200)
    entry, bought = desk.working(100, instrument=1, symbol="B")
    desk.fill(bought, 40)
    desk.safety(state)
    assert desk.state(entry) == "ESCAPING"
    assert desk.live(entry).escape_reason == reason
    assert desk.left("CANCEL") == [bought]
    desk.end(bought)
    assert desk.result(entry).disposition is Disposition.PARTIAL, "fills are kept: the loop watches them"
    assert desk.state(leaving) == "MONITORING"
    desk.fill(sold, 50, 75_200)
    assert desk.result(leaving).disposition is Disposition.FILLED
    assert desk.result(desk.submit(qty=10)).reason == "SAFETY_BLOCKED"
    assert bool(desk.suspended) == (state == "FAIL")


def test_a_warning_changes_nothing_that_runs():
    desk, name = in_state("MONITORING")
    desk.safety("WARNING")
    assert desk.state(name) == "MONITORING"


def test_an_exit_is_adjusted_in_fail_and_not_in_lockdown():
    for state, amends in (("FAIL", 1), ("LOCKDOWN", 0)):
        desk = Desk()
        desk.hold_shares(50)
        desk.working(50, side="SELL", price=75_200)
        desk.safety(state)
        desk.pass_time(5)
        assert len(desk.left("AMEND")) == amends


def test_a_liquidation_that_has_begun_is_finished_in_lockdown():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 40, 74_900)
    escape(desk, EXECUTION)
    desk.end(order_id)
    first = desk.left()[-1]
    desk.ack(first)
    desk.safety("LOCKDOWN")
    desk.pass_time(1)
    desk.end(first)
    second = desk.left()[-1]
    assert second != first
    desk.ack(second)
    desk.fill(second, 40, 74_000)
    assert desk.result(name).disposition is Disposition.FLATTENED


def test_a_link_that_is_down_for_three_seconds_cancels_entries_and_suspends():
    desk, name = in_state("MONITORING")
    desk.link = (False, False)
    desk.pipeline.on_link(desk.now_ns)
    desk.pass_time(2.9)
    assert desk.state(name) == "MONITORING"
    desk.pass_time(0.1)
    assert desk.live(name).escape_reason == "BROKER_DISCONNECT"
    assert len(desk.suspended) == 1


def test_a_stream_that_is_down_alone_is_asked_instead():
    desk, name = in_state("MONITORING")
    desk.link = (True, False)
    desk.pipeline.on_link(desk.now_ns)
    desk.act()
    desk.pass_time(4)
    assert desk.state(name) == "MONITORING"
    assert desk.queries[-1][1] == "STREAM_DOWN"


def test_three_failures_in_a_row_make_a_link_unstable():
    desk = Desk(symbols=("A", "B"))
    working, _ = desk.working()
    failing = desk.submit(instrument=1, symbol="B")
    for _ in range(3):
        assert desk.state(working) == "MONITORING"
        desk.not_sent(desk.left()[-1])
        desk.pass_time(0.1)
    assert desk.live(working).escape_reason == "BROKER_DISCONNECT"
    assert desk.state(failing) in ("FAILED", "ESCAPED")


def test_an_internal_error_cancels_what_lives_and_leaves_the_rest_alone():
    desk = Desk(symbols=("A", "B"))
    broken, order_id = desk.working()
    other, _ = desk.working(instrument=1, symbol="B")
    quote = desk.market.quote
    desk.market.quote = lambda instrument: 1 // instrument and quote(instrument)
    desk.fill(order_id, 10)
    desk.market.quote = quote
    assert "FAIL" in desk.codes.effects("FS092")
    assert desk.live(broken).escape_reason == "INTERNAL"
    assert desk.left("CANCEL") == [order_id]
    assert desk.state(other) == "MONITORING"
    desk.end(order_id)
    assert (desk.result(broken).final_state, desk.result(broken).filled_qty) == (State.ESCAPED, 10)


def test_an_error_inside_an_escape_does_not_end_it():
    desk, name = in_state("MONITORING")
    (order_id,) = desk.left()
    desk.fill(order_id, 10, 74_900)
    escape(desk, EXECUTION)
    quote, desk.market.limits = desk.market.quote, (0, 0)
    desk.market.quote = lambda instrument: 1 // instrument
    desk.end(order_id)
    assert desk.state(name) == "ESCAPING"
    desk.market.quote = quote
    desk.pass_time(1)
    assert desk.message().qty == 10
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 10)
    assert desk.result(name).disposition is Disposition.FLATTENED


def test_the_operating_state_does_not_stop_what_runs():
    desk, name = in_state("MONITORING")
    desk.stance = replace_stance(desk.stance, may_enter=False, entry_refusal="GR062")
    desk.pipeline.on_stance(desk.now_ns)
    assert desk.state(name) == "MONITORING"
    second = desk.submit(side="BUY", instrument=0)
    assert desk.result(second).disposition is Disposition.REFUSED


def test_an_escape_takes_the_time_of_its_own_stage():
    desk, name = in_state("MONITORING")
    escape(desk, CANCEL)
    desk.end(desk.left()[0])
    assert "ESCAPING" in [one.stage for one in desk.result(name).latencies]
    assert desk.result(name).end_ns - desk.result(name).start_ns < S
