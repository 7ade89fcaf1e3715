"""A start is a recovery: what a process leaves behind, the next one finds, and entries open only on equal books."""

import asyncio

import pytest
from live_desk import SYMBOLS, Desk, S, play, virtual_loop

from qts._core import Gateway
from qts.broker.asynchronous import AnswerLost
from qts.codes import DataError
from qts.execution.contracts import Disposition, Refusal, State
from qts.execution.history import history_of, read_history

A, B, C, D = range(4)


def relived(home, first, second):
    """Play `first` with one process and `second` with the next."""

    async def whole():
        desk = Desk(home, asyncio.get_running_loop())
        await desk.start()
        await first(desk)
        after = await desk.again()
        try:
            await second(after)
        finally:
            await after.live.close()

    with virtual_loop() as runner:
        runner.run(whole())


def working(desk, name="in"):
    return desk.until(lambda: desk.pipeline.live[name and f"x-{name}"].children[0].was_live)


def test_an_entry_that_worked_is_cancelled_and_keeps_its_fills(tmp_path):
    async def first(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await working(desk)
        number = desk.live_orders()[0].broker_no
        desk.book.fill_now(broker_no=number, qty=5, price=40_000, now_ns=desk.clock.now_ns())
        desk.sim.tell()
        await desk.until(lambda: desk.fills)

    async def second(desk):
        recovery = await desk.start()
        assert recovery.is_open
        result = await desk.over("in")
        assert (result.disposition, result.filled_qty, result.cancelled_qty) == (Disposition.PARTIAL, 5, 15)
        assert desk.live_orders() == []
        assert desk.same_books()

    relived(tmp_path, first, second)


def test_a_fill_that_came_while_nobody_was_there_is_taken_in_and_recorded(tmp_path):
    async def first(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await working(desk)

    async def second(desk):
        number = desk.book.orders(open_only=True)[0].broker_no
        desk.book.fill_now(broker_no=number, qty=7, price=40_000, now_ns=desk.clock.now_ns())
        desk.book.notices()  # nobody listened
        recovery = await desk.start()
        assert (recovery.is_open, recovery.taken) == (True, 1)
        assert (await desk.over("in")).filled_qty == 7
        assert desk.same_books()

    relived(tmp_path, first, second)
    assert [fill.qty for fill in read_history(tmp_path).fills] == [7]


@pytest.mark.parametrize("arrived", [True, False])
def test_an_order_without_an_answer_is_found_or_proven_absent_and_never_sent_again(tmp_path, arrived):
    async def first(desk):
        async def die(call):
            if arrived:
                await call()
            await asyncio.Event().wait()

        desk.line.hooks["send"] = die
        desk.decide("in", D, "BUY", 20, 40_000)
        await asyncio.sleep(1)

    async def second(desk):
        assert [order.standing for order in desk.history.orders.values()] == ["UNKNOWN"]
        began = desk.clock.now_ns()
        recovery = await desk.start()
        assert recovery.is_open
        assert (desk.clock.now_ns() - began >= 60 * S) is not arrived, "an absence takes a minute to prove"
        assert (await desk.over("in")).filled_qty == 0
        assert desk.line.calls.count("send") == 0
        assert len(desk.book.orders(open_only=False)) == arrived
        assert desk.live_orders() == []
        assert desk.gateway.reserved_cash == 0
        assert desk.same_books()

    relived(tmp_path, first, second)


def test_an_exit_goes_on_until_everything_is_sold(tmp_path):
    async def first(desk):
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")
        desk.decide("out", A, "SELL", 50, 10_500)
        await working(desk, "out")

    async def second(desk):
        assert (await desk.start()).is_open
        result = await desk.over("out")
        assert result.filled_qty == 50
        assert desk.gateway.position(A, "SCALP")[0] == 0
        assert desk.live_orders() == []
        assert desk.same_books()

    relived(tmp_path, first, second)


def test_an_amendment_without_an_answer_is_followed_to_its_new_number(tmp_path):
    async def first(desk):
        async def die(call):
            await call()
            await asyncio.Event().wait()

        desk.line.hooks["modify"] = die
        desk.decide("in", B, "BUY", 60, 20_000)
        await desk.until(lambda: "modify" in desk.line.calls)
        await asyncio.sleep(1)

    async def second(desk):
        assert len(desk.history.orders) == 1
        assert desk.history.orders[1].amend is not None
        assert (await desk.start()).is_open
        await desk.over("in")
        rows = desk.book.orders(open_only=False)
        assert [row.is_live for row in rows] == [False] * len(rows)
        assert len(desk.gateway.numbers(1)) == len(rows) == 2
        assert desk.same_books()

    relived(tmp_path, first, second)


def test_entries_wait_for_the_end_of_the_recovery(tmp_path):
    async def scene(desk):
        after = await desk.again()
        reached = []

        async def look(call):
            after.decide("early", A, "BUY", 50, 10_010)
            reached.append(after.results["early"].reason)
            return await call()

        after.line.hooks["query_cash"] = look
        await after.start()
        assert reached[0] == Refusal.RECOVERING
        after.line.hooks.clear()
        after.decide("in", A, "BUY", 50, 10_010)
        assert (await after.over("in")).filled_qty == 50
        await after.live.close()

    play(tmp_path, scene)


def test_a_difference_that_nothing_explains_keeps_entries_closed_and_is_named(tmp_path, monkeypatch):
    async def first(desk):
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")

    async def second(desk):
        desk.book.transfer_in(symbol=SYMBOLS[B], qty=3, cost=60_000)
        recovery = await desk.start()
        assert not recovery.is_open
        assert [(found.what, found.subject, found.ours, found.brokers) for found in recovery.differences] == [
            ("POSITION", SYMBOLS[B], 0, 3)
        ]
        assert "000020: 0 held by the own books, 3 at the broker" in recovery.message
        assert "FS071" in desk.codes.codes
        desk.decide("more", A, "BUY", 50, 10_010)
        assert desk.results["more"].reason == Refusal.RECOVERING
        desk.decide("out", A, "SELL", 50, 10_000)
        assert (await desk.over("out")).filled_qty == 50, "exits go"

    relived(tmp_path, first, second)


def test_the_message_is_told_in_korean_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")

    async def first(desk):
        pass

    async def second(desk):
        desk.book.place(
            symbol=SYMBOLS[A], side="BUY", kind="LIMIT", tif="DAY", limit=9_000, qty=4, now_ns=desk.clock.now_ns()
        )
        recovery = await desk.start()
        assert [found.what for found in recovery.differences] == ["ORPHAN_ORDER"]
        assert "이 엔진이 내지 않은 주문 4주" in recovery.message

    relived(tmp_path, first, second)


def test_a_recovery_waits_for_a_broker_that_cannot_be_reached(tmp_path):
    async def first(desk):
        desk.decide("in", D, "BUY", 20, 40_000)
        await working(desk)

    async def second(desk):
        desk.sim.cut(reachable=False)
        start = asyncio.ensure_future(desk.start())
        await asyncio.sleep(30)
        assert not start.done()
        desk.sim.cut(reachable=True)
        assert (await start).is_open
        await desk.over("in")
        assert desk.live_orders() == []

    relived(tmp_path, first, second)


def test_a_list_that_does_not_come_is_asked_for_again(tmp_path):
    async def first(desk):
        pass

    async def second(desk):
        failures = []

        async def fail(call):
            if len(failures) < 2:
                failures.append(1)
                raise AnswerLost("cut")
            return await call()

        desk.line.hooks["query_positions"] = fail
        assert (await desk.start()).is_open
        assert len(failures) == 2

    relived(tmp_path, first, second)


def test_a_recovery_that_is_begun_again_gives_the_same(tmp_path):
    async def whole():
        desk = Desk(tmp_path, asyncio.get_running_loop())
        await desk.start()
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")
        desk.decide("rest", D, "BUY", 20, 40_000)
        await working(desk, "rest")
        after = await desk.again()
        await after.start()
        await after.over("rest")
        seen = []
        for _ in range(3):
            after = await after.again()
            recovery = await after.start()
            assert recovery.is_open
            assert after.same_books()
            history = after.history
            seen.append((history.records, after.gateway.cash, after.gateway.positions(), sorted(history.executions)))
        await after.live.close()
        return seen

    with virtual_loop() as runner:
        seen = runner.run(whole())
    assert seen[0] == seen[1] == seen[2], "nothing is written, nothing changes"


def test_ids_of_orders_go_on_behind_those_on_record(tmp_path):
    async def first(desk):
        desk.decide("in", A, "BUY", 50, 10_010)
        await desk.over("in")

    async def second(desk):
        await desk.start()
        desk.decide("more", A, "BUY", 10, 10_010)
        await desk.over("more")

    relived(tmp_path, first, second)
    history = read_history(tmp_path)
    assert sorted(history.orders) == [1, 2]
    assert {one.state for one in history.executions.values()} == {State.COMPLETE}


def test_a_record_that_cannot_be_understood_is_told(tmp_path):
    rows = [(4, "FILL", 2, b'{"order_id": 1}')]
    with pytest.raises(DataError, match="record 4 of the order journal, FILL") as caught:
        history_of(rows)
    assert caught.value.code == "FS125"


def test_records_of_others_are_passed_over():
    assert history_of([(1, "FILL", 1, b"{}"), (2, "COMMIT", 1, b"\0")]).records == 0


def test_a_gateway_takes_no_order_in_twice():
    from live_desk import instruments

    gateway = Gateway(instruments(), cash=1_000_000)
    given = (1, A, "SCALP", "BUY", "LIMIT", "DAY", 10_000, 5)
    more = {"action": "ENTRY", "submitted_ns": 1, "now_ns": 2}
    assert gateway.restore_order(*given, broker_nos=["17"], **more) == "ACCEPTED"
    with pytest.raises(ValueError, match="order 1 is known already"):
        gateway.restore_order(*given, broker_nos=[], **more)
    with pytest.raises(ValueError, match="known already"):
        gateway.restore_order(2, *given[1:], broker_nos=["17"], **more)
    assert gateway.restore_order(2, *given[1:], broker_nos=[], **more) == "UNKNOWN"
