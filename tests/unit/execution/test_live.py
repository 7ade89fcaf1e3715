"""The live driver against a broker that answers when it likes, in simulated time."""

import asyncio

from live_desk import CASH, SYMBOLS, Desk, S, SimDelays, play, virtual_loop

from qts.broker.asynchronous import AnswerLost, FillEvent, NotSent
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import Disposition, EscapeMode, EscapeReason, State
from qts.execution.history import read_history
from qts.execution.live import LiveTimes

A, B, C, D = range(4)


async def lose_after(call):
    """Carried out; nobody hears of it."""
    await call()
    raise AnswerLost("cut")


def test_an_entry_and_its_exit_are_filled_and_the_books_are_the_brokers(tmp_path):
    async def scene(desk):
        desk.decide("in", A, "BUY", 50, 10_010)
        bought = await desk.over("in")
        desk.decide("out", A, "SELL", 50, 10_000)
        sold = await desk.over("out")
        assert (bought.disposition, bought.filled_qty) == (Disposition.FILLED, 50)
        assert (sold.disposition, sold.filled_qty) == (Disposition.FILLED, 50)
        assert [fill.qty for fill in desk.fills] == [50, 50]
        assert desk.same_books()
        assert desk.gateway.cash < CASH

    play(tmp_path, scene)


def test_a_request_is_durable_before_it_is_written(tmp_path):
    async def scene(desk):
        durable = []

        async def look(call):
            durable.append((desk.journal.last_seq, desk.writer.durable_seq))
            return await call()

        desk.line.hooks["send"] = look
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")
        assert len(durable) == 1
        assert durable[0][1] >= durable[0][0]

    play(tmp_path, scene)


def test_cancels_leave_first_and_then_exits(tmp_path):
    async def scene(desk):
        desk.decide("held", A, "BUY", 50, 10_010)
        await desk.over("held")
        desk.decide("waits", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.pipeline.live["x-waits"].children[0].was_live)
        desk.line.calls.clear()
        left = []
        for name in ("send", "cancel"):
            desk.line.hooks[name] = lambda call, name=name: (left.append(name), call())[1]
        commands = []
        take = desk.pipeline.take_commands
        desk.pipeline.take_commands = lambda: commands  # what follows is one batch
        desk.decide("entry", B, "BUY", 10, 20_030)
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY, execution_id="x-waits")
        desk.decide("exit", A, "SELL", 50, 10_000)
        batch, desk.pipeline.take_commands = take(), take
        assert [command.action for command in batch] == ["PLACE", "CANCEL", "PLACE"]
        desk.live._calls.carry(batch)
        await desk.over("exit")
        await desk.over("waits")
        assert left[0] == "cancel"

    play(tmp_path, scene)


def test_an_answer_that_does_not_come_makes_an_order_unknown_and_a_list_finds_it(tmp_path):
    async def scene(desk):
        desk.line.hooks["send"] = lose_after
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live.in_doubt == 1)
        assert "FS042" in desk.codes.codes
        del desk.line.hooks["send"]
        await desk.until(lambda: desk.live.in_doubt == 0)
        assert len(desk.live_orders()) == 1, "never sent again"
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        assert (await desk.over("in")).disposition is Disposition.NO_FILL
        assert desk.same_books()
        assert desk.live_orders() == []

    play(tmp_path, scene)


def test_fills_of_an_order_whose_answer_is_lost_are_booked_when_it_is_found(tmp_path):
    async def scene(desk):
        desk.line.hooks["send"] = lose_after
        desk.decide("in", A, "BUY", 50, 10_010)
        result = await desk.over("in")
        assert result.filled_qty == 50
        assert desk.line.calls.count("send") == 1
        assert desk.same_books()

    play(tmp_path, scene)


def test_an_order_that_never_arrived_is_proven_absent_after_a_minute_and_not_before(tmp_path):
    async def scene(desk):
        async def lose_before(call):
            permit_of(call).redeem(desk.clock.now_ns())
            raise AnswerLost("cut")

        desk.line.hooks["send"] = lose_before
        desk.decide("in", A, "BUY", 50, 10_010)
        began = desk.clock.now_ns()
        result = await desk.over("in")
        assert result.filled_qty == 0
        assert desk.clock.now_ns() - began >= 60 * S
        assert desk.line.calls.count("send") == 1
        assert desk.gateway.reserved_cash == 0
        assert desk.same_books()

    def permit_of(call):
        return call.__closure__[0].cell_contents

    play(tmp_path, scene)


def test_a_broker_that_hangs_is_waited_for_five_seconds(tmp_path):
    async def scene(desk):
        async def hang(call):
            await asyncio.Event().wait()

        desk.line.hooks["send"] = hang
        began = desk.clock.now_ns()
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.until(lambda: "in" in desk.results or desk.pipeline.live["x-in"].children[0].generation > 1)
        assert 5 * S <= desk.clock.now_ns() - began < 6 * S
        assert desk.live.in_doubt == 0, "its permit was not redeemed: it was never written"

    play(tmp_path, scene)


def test_what_provably_has_not_left_is_tried_again_three_times_in_all(tmp_path):
    async def scene(desk):
        async def refuse(call):
            raise NotSent("no connection")

        desk.line.hooks["send"] = refuse
        desk.decide("in", A, "BUY", 50, 10_010)
        result = await desk.over("in")
        assert desk.line.calls.count("send") == 3
        assert (result.filled_qty, result.unsent_qty) == (0, 50)
        assert desk.gateway.reserved_cash == 0
        assert desk.gateway.open_permits == 0

    play(tmp_path, scene)


def test_a_fill_ahead_of_its_acknowledgement_is_parked_and_matched(tmp_path):
    async def scene(desk):
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.until(lambda: desk.live.intake.orphans)
        assert desk.fills == []
        assert (await desk.over("in")).filled_qty == 50
        assert "GR069" not in desk.codes.codes

    play(tmp_path, scene, delays=SimDelays(there_ms=10, back_ms=300, stream_ms=1))


def test_a_fill_of_nobodys_order_is_told_after_a_second_and_asked_about(tmp_path):
    async def scene(desk):
        desk.book.place(
            symbol=SYMBOLS[B], side="BUY", kind="LIMIT", tif="DAY", limit=20_030, qty=3, now_ns=desk.clock.now_ns()
        )
        desk.sim.tell()
        asked = desk.line.calls.count("query_orders")
        await asyncio.sleep(0.9)
        assert "GR069" not in desk.codes.codes
        await asyncio.sleep(0.5)
        assert desk.codes.codes.count("GR069") == 1
        assert desk.line.calls.count("query_orders") > asked
        report = await desk.live.reconcile()
        assert {found.what for found in report.differences} >= {"ORPHAN_FILL", "POSITION"}
        assert "FS071" in desk.codes.codes
        assert desk.gateway.freezes(B) == ["FS071"]
        assert desk.gateway.freezes(A) == []

    play(tmp_path, scene)


def test_a_fill_that_comes_twice_is_booked_and_recorded_once(tmp_path):
    async def scene(desk):
        desk.line.hooks["stream"] = lambda event: [event, event]
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")
        await desk.live.reconcile()
        assert [fill.qty for fill in desk.fills] == [50]
        assert desk.live.intake.duplicates >= 2
        assert desk.same_books()
        await desk.live.close()
        return

    play(tmp_path, scene)
    assert len(read_history(tmp_path).fills) == 1


def test_a_stream_that_says_nothing_is_made_up_for_by_asking(tmp_path):
    async def scene(desk):
        desk.line.hooks["stream"] = lambda event: []
        desk.decide("in", A, "BUY", 50, 10_010)
        began = desk.clock.now_ns()
        assert (await desk.over("in")).filled_qty == 50
        assert desk.clock.now_ns() - began < 2 * S
        assert desk.same_books()

    play(tmp_path, scene)


def test_in_the_mode_of_polling_the_stream_is_not_waited_for(tmp_path):
    async def scene(desk):
        desk.line.hooks["stream"] = lambda event: []
        desk.decide("in", A, "BUY", 50, 10_010)
        began = desk.clock.now_ns()
        await desk.over("in")
        assert desk.clock.now_ns() - began < S // 2

    play(tmp_path, scene, times=LiveTimes.of(ExecutionConfig(fill_mode="POLL")))


def test_one_fill_that_the_stream_left_out_is_seen_by_the_next_ones_count(tmp_path):
    async def scene(desk):
        lost = []

        def lose_first(event):
            if isinstance(event, FillEvent) and not lost:
                lost.append(event)
                return []
            return [event]

        desk.line.hooks["stream"] = lose_first
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        number = desk.live_orders()[0].broker_no
        for qty in (5, 5):
            desk.book.fill_now(broker_no=number, qty=qty, price=40_000, now_ns=desk.clock.now_ns())
        desk.sim.tell()
        asked = len(desk.line.calls)
        await desk.until(lambda: sum(fill.qty for fill in desk.fills) == 10, limit_s=0.5)
        assert "query_fills" in desk.line.calls[asked:]
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        assert (await desk.over("in")).filled_qty == 10

    play(tmp_path, scene)


def test_a_broken_link_is_mended_and_everything_since_is_asked_for(tmp_path):
    async def scene(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        number = desk.live_orders()[0].broker_no
        desk.sim.cut(reachable=False)
        desk.book.fill_now(broker_no=number, qty=20, price=40_000, now_ns=desk.clock.now_ns())
        desk.sim.tell()
        await asyncio.sleep(1)
        assert desk.fills == []
        desk.sim.cut(reachable=True)
        await desk.until(lambda: desk.live.link.is_up)
        assert sum(fill.qty for fill in desk.fills) == 20
        assert (await desk.over("in")).filled_qty == 20
        assert desk.live.reconciler.last.is_clean
        assert desk.same_books()

    play(tmp_path, scene)


def test_a_link_that_stays_down_while_orders_live_is_told(tmp_path):
    async def scene(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        desk.sim.cut(reachable=False)
        await asyncio.sleep(14)
        assert "FS043" not in desk.codes.codes
        await asyncio.sleep(2)
        assert desk.codes.codes.count("FS043") == 1

    play(tmp_path, scene)


def test_three_failures_in_a_row_are_told_once(tmp_path):
    async def scene(desk):
        async def lose(call):
            raise AnswerLost("nothing")

        desk.line.hooks["heartbeat"] = lose
        desk.line.hooks["query_orders"] = lose
        await asyncio.sleep(200)
        assert desk.codes.codes.count("FS040") == 1
        desk.line.hooks.clear()
        await asyncio.sleep(61)
        assert desk.live.guard.failures == 0

    play(tmp_path, scene)


def test_books_are_compared_every_minute(tmp_path):
    async def scene(desk):
        asked = desk.line.calls.count("query_positions")
        await asyncio.sleep(185)
        assert desk.line.calls.count("query_positions") == asked + 3

    play(tmp_path, scene)


def test_an_amendment_whose_answer_is_lost_is_found_by_its_new_number(tmp_path):
    async def scene(desk):
        desk.line.hooks["modify"] = lose_after
        desk.decide("in", B, "BUY", 60, 20_010)
        assert (await desk.over("in")).filled_qty == 60
        assert desk.same_books()
        assert desk.live_orders() == []

    play(tmp_path, scene)


def test_an_amendment_that_never_arrived_is_given_up_when_lists_do_not_show_it(tmp_path):
    async def scene(desk):
        async def lose_before(call):
            call.__closure__[0].cell_contents.redeem(desk.clock.now_ns())
            raise AnswerLost("cut")

        desk.line.hooks["modify"] = lose_before
        desk.decide("in", B, "BUY", 60, 20_010)
        await desk.until(lambda: "modify" in desk.line.calls)
        desk.line.hooks.clear()
        began = desk.clock.now_ns()
        await desk.until(lambda: desk.line.calls.count("modify") == 2, limit_s=30)
        assert desk.clock.now_ns() - began >= 10 * S, "the slowest request could still arrive"
        assert (await desk.over("in")).filled_qty == 60
        assert desk.same_books()

    play(tmp_path, scene)


def test_a_cancel_whose_answer_is_lost_is_asked_again_until_the_order_is_over(tmp_path):
    async def scene(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        desk.line.hooks["cancel"] = lose_after
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        result = await desk.over("in")
        assert (result.final_state, result.cancelled_qty) == (State.ESCAPED, 20)
        assert desk.live_orders() == []

    play(tmp_path, scene)


def test_an_end_that_the_stream_left_out_is_read_from_the_list(tmp_path):
    async def scene(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        desk.line.hooks["stream"] = lambda event: []
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        assert (await desk.over("in")).final_state is State.ESCAPED
        assert desk.live_orders() == []

    play(tmp_path, scene)


def test_with_a_failed_journal_entries_stay_and_protective_exits_go(tmp_path):
    async def scene(desk):
        desk.decide("held", A, "BUY", 50, 10_010)
        await desk.over("held")
        desk.writer.close()
        desk.decide("more", B, "BUY", 10, 20_030)
        await desk.over("more")
        assert "FS063" in desk.codes.codes
        assert desk.line.calls.count("send") == 1, "the entry stayed"
        desk.decide("out", A, "SELL", 50, 10_000, action="PROTECTIVE_EXIT")
        assert (await desk.over("out")).filled_qty == 50
        assert desk.same_books()

    play(tmp_path, scene)


def test_a_late_answer_changes_nothing(tmp_path):
    async def scene(desk):
        async def late(call):
            answer = asyncio.ensure_future(call())
            await asyncio.sleep(6)
            return await answer

        desk.line.hooks["send"] = late
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live.in_doubt == 1)
        await desk.until(lambda: desk.live.in_doubt == 0)
        await asyncio.sleep(2)
        assert [row.original_no for row in desk.book.orders(open_only=False)] == [""]
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        await desk.over("in")
        assert desk.same_books()

    play(tmp_path, scene)


def test_the_end_leaves_no_task_and_no_timer(tmp_path):
    async def whole():
        desk = Desk(tmp_path, asyncio.get_running_loop())
        await desk.start()
        desk.decide("in", D, "BUY", 20, 40_000)
        await desk.until(lambda: desk.live_orders())
        await desk.live.close()
        await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    with virtual_loop() as runner:
        assert runner.run(whole()) == []
