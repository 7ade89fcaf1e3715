"""After a restart: what journal and gateway know is taken over, and nothing is sent a second time (§10, T14)."""

import pytest
from pipeline_desk import Desk

from qts.execution import (
    BookedFill,
    ChildSnapshot,
    Disposition,
    EscapeMode,
    EscapeReason,
    ExecutionSnapshot,
    State,
)
from qts.execution.execution import execution_id_of


def snapshot(desk, decision, state, *children, fills=(), **more):
    fields = {
        "decision": decision,
        "state": state,
        "seq": 4,
        "qty": decision.qty,
        "hold_id": 0,
        "lease": 0,
        "started_ns": desk.now_ns,
        "strategy": "SINGLE",
        "children": children,
        "fills": fills,
    }
    return ExecutionSnapshot(**{**fields, **more})


def child(order_id, qty=100, *, sent_ns=0, was_live=True, **more):
    fields = {
        "sequence": 1,
        "qty": qty,
        "sent_qty": qty,
        "price": 75_000,
        "generation": 1,
        "order_id": order_id,
        "scheduled_ns": sent_ns,
        "max_wait_ms": 5_000,
        "sent_ns": sent_ns,
        "was_live": was_live,
    }
    return ChildSnapshot(**{**fields, **more})


def restart(desk):
    """The process begins again: a new pipeline over the gateway as it was restored."""
    desk.pipeline = desk.make_pipeline(recovering=True)
    desk.wire.clear()
    desk.closed.clear()
    return desk


@pytest.mark.parametrize("state", [State.INIT, State.PRECHECK, State.SPLITTING])
def test_what_had_sent_nothing_is_refused(state):
    desk = Desk(recovering=True)
    decision = desk.decision()
    name = desk.pipeline.restore(snapshot(desk, decision, state), desk.now_ns)
    desk.act()
    result = desk.result(name)
    assert (result.final_state, result.disposition, result.reason) == (State.FAILED, Disposition.REFUSED, "RECOVERING")
    assert desk.submit(decision) == name, "the decision has had its execution"
    assert not desk.left()


def test_an_entry_that_works_is_cancelled_and_keeps_its_fills():
    desk = Desk()
    decision = desk.decision()
    name = desk.submit(decision)
    (order_id,) = desk.left()
    desk.ack(order_id)
    desk.fill(order_id, 30)
    restart(desk)
    fills = (BookedFill(order_id, 30, 75_000, 0, 0, 30, 70, desk.now_ns),)
    before = snapshot(desk, decision, State.MONITORING, child(order_id, sent_ns=desk.now_ns), fills=fills)
    assert desk.pipeline.restore(before, desk.now_ns) == name
    desk.act()
    assert desk.left("CANCEL") == [order_id]
    assert not desk.left()
    desk.fill(order_id, 5)
    desk.end(order_id)
    result = desk.result(name)
    assert (result.filled_qty, result.cancelled_qty, result.disposition) == (35, 65, Disposition.PARTIAL)
    assert (result.escape.reason, result.escape.mode) == ("RECOVERY", "CANCEL_ONLY")
    assert [record["seq"] for record in desk.journal.of("EXECUTION_STATE")][-2:] == [5, 6]


def test_an_order_without_an_answer_is_looked_for_and_never_sent_again():
    desk = Desk()
    decision = desk.decision()
    name = desk.submit(decision)
    (order_id,) = desk.left()
    desk.gateway.on_lost(order_id, desk.now_ns)
    restart(desk)
    sent_ns = desk.now_ns
    desk.pass_time(100)
    desk.pipeline.restore(
        snapshot(desk, decision, State.SENDING, child(order_id, sent_ns=sent_ns, was_live=False)), desk.now_ns
    )
    desk.act()
    assert desk.pipeline.unknown_orders == 1
    assert "FS099" in desk.live(name).codes, "it is as old as it is"
    for _ in range(59):
        desk.pass_time(1)
        desk.list_orders()
    assert not desk.absent, "lists of after the restart take as long as those before"
    desk.pass_time(1)
    desk.list_orders()
    assert desk.absent == [order_id]
    desk.prove_absent(order_id)
    assert desk.result(name).unsent_qty == 100
    assert not desk.left()


def test_an_exit_that_works_is_finished_at_the_market():
    desk = Desk()
    desk.hold_shares(100)
    decision = desk.decision(side="SELL", price=75_200)
    name = desk.submit(decision)
    (order_id,) = desk.left()
    desk.ack(order_id)
    lease = desk.gateway.exit_of(0, "SCALP")[1]
    restart(desk)
    before = snapshot(desk, decision, State.MONITORING, child(order_id, sent_ns=desk.now_ns, price=75_200), lease=lease)
    desk.pipeline.restore(before, desk.now_ns)
    desk.act()
    assert desk.left("CANCEL") == [order_id]
    desk.end(order_id)
    assert (desk.message().kind, desk.message().qty) == ("MARKET", 100)
    flat = desk.left()[-1]
    desk.ack(flat)
    desk.fill(flat, 100, 74_800)
    assert desk.result(name).disposition is Disposition.FLATTENED
    assert desk.gateway.exit_of(0, "SCALP") is None


def test_an_escape_goes_on_with_what_is_confirmed_and_counts_its_attempts():
    desk = Desk()
    decision = desk.decision()
    name, order_id = desk.submit(decision), desk.left()[-1]
    desk.ack(order_id)
    desk.fill(order_id, 40)
    desk.pipeline.escape(EscapeReason.MANUAL, EscapeMode.FLATTEN_EXECUTION, desk.now_ns)
    desk.act()
    desk.end(order_id)
    flat = desk.left()[-1]
    desk.ack(flat)
    desk.fill(flat, 15)
    lease = desk.gateway.exit_of(0, "SCALP")[1]
    restart(desk)
    now = desk.now_ns
    fills = (
        BookedFill(order_id, 40, 75_000, 0, 0, 40, 60, now),
        BookedFill(flat, 15, 75_000, 0, 0, 15, 25, now),
    )
    liquidation = child(flat, 40, sequence=2, price=None, sent_ns=now, is_escape=True)
    before = snapshot(
        desk,
        decision,
        State.ESCAPING,
        child(order_id, sent_ns=now),
        liquidation,
        fills=fills,
        lease=lease,
        escape_reason=EscapeReason.MANUAL,
        escape_mode=EscapeMode.FLATTEN_EXECUTION,
        escape_attempts=1,
    )
    desk.pipeline.restore(before, now)
    desk.act()
    assert desk.state(name) == "ESCAPING"
    assert desk.left("CANCEL") == [flat]
    desk.end(flat)
    desk.pass_time(1)
    assert desk.message().qty == 25
    assert desk.live(name).escape_attempts == 2
    desk.ack(desk.left()[-1])
    desk.fill(desk.left()[-1], 25)
    result = desk.result(name)
    assert (result.disposition, result.escape.liquidation_qty) == (Disposition.FLATTENED, 40)


def test_of_one_that_is_over_late_fills_are_told_as_such():
    desk = Desk()
    decision = desk.decision()
    name, order_id = desk.submit(decision), desk.left()[-1]
    desk.ack(order_id)
    desk.end(order_id)
    assert desk.state(name) == "COMPLETE"
    restart(desk)
    assert desk.pipeline.restore(snapshot(desk, decision, State.COMPLETE, child(order_id)), desk.now_ns) == name
    assert name not in desk.pipeline.live
    desk.fill(order_id, 10)
    assert [code for code, _, _ in desk.codes.told][-1] == "GR069"
    assert desk.submit(decision) == name
    assert not desk.left()


def test_an_order_that_the_gateway_was_not_told_of_is_an_error_of_the_start():
    desk = Desk(recovering=True)
    with pytest.raises(LookupError):
        desk.pipeline.restore(snapshot(desk, desk.decision(), State.MONITORING, child(4_711)), desk.now_ns)


def test_the_name_of_an_execution_is_the_same_after_a_restart():
    assert execution_id_of("d1") == execution_id_of("d1") != execution_id_of("d2")
