"""What every asynchronous broker has to do, whatever is behind it."""

import asyncio

import pytest

from qts._core import PermitRefused
from qts.broker.asynchronous import AnswerLost, FillEvent, NotSent, Rejected

from .benches import BASE, CASH, SLOW_NS, SYMBOL


async def numbers(bench):
    return {row.broker_no for row in await bench.broker.query_orders()}


async def row_of(bench, broker_no):
    return next(row for row in await bench.broker.query_orders() if row.broker_no == broker_no)


class TestPermits:
    async def test_permit_sends_one_order_and_never_a_second(self, bench):
        permit = bench.permit()
        ack = await bench.broker.send(permit)
        with pytest.raises(NotSent):
            await bench.broker.send(permit)
        with pytest.raises(PermitRefused):
            permit.redeem(bench.now_ns())
        assert await numbers(bench) == {ack.broker_no}

    async def test_two_tasks_that_race_for_one_permit_send_one_order(self, bench):
        permit = bench.permit()
        answers = await asyncio.gather(*(bench.broker.send(permit) for _ in range(5)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["NotSent"] * 4 + ["OrderAck"]
        assert len(await numbers(bench)) == 1

    async def test_nothing_is_written_once_the_safety_word_is_raised(self, bench):
        permit = bench.permit()
        bench.raise_safety()
        with pytest.raises(NotSent):
            await bench.broker.send(permit)
        assert await numbers(bench) == set()
        assert await bench.broker.query_cash() == (CASH, CASH)

    async def test_amend_that_the_safety_word_forbids_is_not_written_and_a_cancel_is(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        amend, cancel = bench.amend_permit(ack.broker_no, 69_100, 10), bench.cancel_permit(ack.broker_no)
        bench.raise_safety()
        with pytest.raises(NotSent):
            await bench.broker.modify(amend)
        assert await numbers(bench) == {ack.broker_no}
        await bench.broker.cancel(cancel)
        assert not (await row_of(bench, ack.broker_no)).is_live

    async def test_permit_that_is_too_old_is_not_sent(self, bench):
        permit = bench.permit(now_ns=bench.now_ns() - 10_000_000_000)
        with pytest.raises(NotSent):
            await bench.broker.send(permit)
        assert await numbers(bench) == set()

    async def test_permit_that_was_given_back_is_not_sent(self, bench):
        permit = bench.permit()
        permit.void()
        with pytest.raises(NotSent):
            await bench.broker.send(permit)
        assert await numbers(bench) == set()

    async def test_permit_for_one_thing_does_not_do_another(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        with pytest.raises(NotSent):
            await bench.broker.cancel(bench.permit(limit=69_100))
        with pytest.raises(NotSent):
            await bench.broker.modify(bench.cancel_permit(ack.broker_no))
        with pytest.raises(NotSent):
            await bench.broker.send(bench.amend_permit(ack.broker_no, 69_200, 10))
        (row,) = await bench.broker.query_orders()
        assert (row.broker_no, row.limit, row.is_live) == (ack.broker_no, 69_000, True)

    async def test_without_a_connection_the_permit_is_given_back(self, bench):
        permit = bench.permit()
        await bench.cut()
        with pytest.raises(NotSent):
            await bench.broker.send(permit)
        with pytest.raises(PermitRefused):
            permit.redeem(bench.now_ns())
        assert bench.gateway.reserved_cash == 0
        await bench.broker.connect()
        assert await numbers(bench) == set()


class TestOrders:
    async def test_order_is_listed_under_the_number_of_its_answer_and_as_it_was_sent(self, bench):
        permit = bench.permit("BUY", 10, 69_000)
        assert bench.gateway.order_state(permit.order_id)[3] == ""
        ack = await bench.broker.send(permit)
        (row,) = await bench.broker.query_orders()
        assert ack.broker_no
        assert row[:10] == (ack.broker_no, "", SYMBOL, "BUY", "LIMIT", 10, 69_000, 0, 10, True)
        assert abs(row.ts_ns - ack.ts_ns) < 1_000_000_000
        await bench.until(lambda: bench.notices(ack.broker_no) == ["ACCEPTED"])

    async def test_equal_requests_are_two_orders(self, bench):
        first, second = await bench.place("BUY", 10, 69_000), await bench.place("BUY", 10, 69_000)
        assert await numbers(bench) == {first.broker_no, second.broker_no}
        assert len({first.broker_no, second.broker_no}) == 2

    async def test_orders_of_many_tasks_at_once_all_get_numbers_of_their_own(self, bench):
        acks = await asyncio.gather(*(bench.place("BUY", 1, 68_000 + 100 * at) for at in range(20)))
        rows = {row.broker_no: row.limit for row in await bench.broker.query_orders()}
        assert {ack.broker_no: 68_000 + 100 * at for at, ack in enumerate(acks)} == rows

    async def test_market_order_fills_at_what_is_offered(self, bench):
        ack = await bench.place("BUY", 10, 71_000, "MARKET", "IOC")
        await bench.until(lambda: bench.fills())
        (fill,) = await bench.broker.query_fills()
        assert (fill.broker_no, fill.qty, fill.price) == (ack.broker_no, 10, 70_100)

    async def test_immediate_order_that_meets_nothing_is_cancelled_by_the_exchange(self, bench):
        ack = await bench.place("BUY", 10, 69_000, tif="IOC")
        await bench.until(lambda: "CANCELLED" in bench.notices(ack.broker_no))
        row = await row_of(bench, ack.broker_no)
        assert (row.filled_qty, row.remaining_qty, row.is_live) == (0, 0, False)

    @pytest.mark.parametrize("kind", ["TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE", "SYMBOL_NOT_FOUND"])
    async def test_refusal_says_its_kind_and_the_brokers_own_words_and_leaves_nothing(self, bench, kind):
        await bench.refuse_next(kind)
        permit = bench.permit()
        with pytest.raises(Rejected) as refused:
            await bench.broker.send(permit)
        assert refused.value.kind == kind
        assert refused.value.code
        assert any("가" <= letter <= "힣" for letter in refused.value.text)
        bench.gateway.on_reject(permit.order_id, bench.now_ns())
        assert await numbers(bench) == set()
        assert (await bench.place()).broker_no in await numbers(bench)

    async def test_broker_that_holds_less_cash_than_we_believe_refuses(self, bench):
        with pytest.raises(Rejected) as refused:
            await bench.broker.send(bench.permit("BUY", 10 * CASH // BASE, 70_000))
        assert refused.value.kind == "INSUFFICIENT_BALANCE"

    async def test_halted_symbol_is_refused_for_good(self, bench):
        await bench.halt(halted=True)
        with pytest.raises(Rejected) as refused:
            await bench.broker.send(bench.permit())
        assert refused.value.kind == "PERMANENT"

    async def test_symbol_may_have_any_letters(self, bench):
        ack = await bench.place("BUY", 1, 69_000, instrument=1)
        assert (await row_of(bench, ack.broker_no)).symbol == "삼성-1"


class TestAmends:
    async def test_amended_order_goes_on_under_a_new_number(self, bench):
        first = await bench.place("BUY", 10, 69_000)
        second = await bench.amend(first.broker_no, 69_500, 10)
        assert second.broker_no != first.broker_no
        assert second.original_no == first.broker_no
        old, new = await row_of(bench, first.broker_no), await row_of(bench, second.broker_no)
        assert (old.is_live, old.remaining_qty) == (False, 0)
        assert (new.is_live, new.limit, new.remaining_qty) == (True, 69_500, 10)
        assert new.original_no == first.broker_no
        await bench.until(lambda: "AMENDED" in bench.notices(second.broker_no))

    async def test_fills_after_an_amend_come_under_a_number_of_the_chain_and_count_together(self, bench):
        first = await bench.place("BUY", 10, 69_000)
        await bench.fill(first.broker_no, 3, 69_000)
        await bench.until(lambda: len(bench.fills()) == 1)
        second = await bench.amend(first.broker_no, 69_500, 8)
        await bench.fill(second.broker_no, 5, 69_500)
        await bench.until(lambda: len(bench.fills()) == 2)
        assert [fill.broker_no for fill in bench.fills()] == [first.broker_no, second.broker_no]
        assert [fill.cumulative_qty for fill in bench.fills()] == [3, 8]
        rows = await bench.broker.query_orders()
        assert sum(row.filled_qty for row in rows) == 8
        assert not any(row.is_live for row in rows)
        state, filled, remaining, _ = bench.gateway.order_state(bench.order_id(first.broker_no))
        assert (state, filled, remaining) == ("FILLED", 8, 0)

    async def test_marketable_amend_fills_at_once(self, bench):
        first = await bench.place("BUY", 10, 69_000)
        second = await bench.amend(first.broker_no, 70_100, 10)
        await bench.until(lambda: bench.fills(second.broker_no))
        assert bench.fills()[0][2:6] == (SYMBOL, "BUY", 10, 70_100)

    async def test_number_that_has_been_replaced_cannot_be_amended_or_cancelled(self, bench):
        first = await bench.place("BUY", 10, 69_000)
        amend = bench.amend_permit(first.broker_no, 69_500, 10)
        second = await bench.broker.modify(amend)  # and nobody tells the gateway
        with pytest.raises(Rejected) as refused:
            await bench.cancel(first.broker_no)
        assert refused.value.kind == "ALREADY_DONE"
        assert (await row_of(bench, second.broker_no)).is_live

    async def test_filled_order_cannot_be_amended(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        amend = bench.amend_permit(ack.broker_no, 69_500, 10)
        await bench.fill(ack.broker_no, 10, 69_000)
        with pytest.raises((Rejected, NotSent)) as refused:
            await bench.broker.modify(amend)
        if isinstance(refused.value, Rejected):  # else our own books had the fill first
            assert refused.value.kind == "ALREADY_DONE"
        assert await numbers(bench) == {ack.broker_no}

    async def test_refused_amend_leaves_the_order_as_it_was(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.refuse_next("PERMANENT")
        with pytest.raises(Rejected):
            await bench.broker.modify(bench.amend_permit(ack.broker_no, 69_500, 10))
        (row,) = await bench.broker.query_orders()
        assert (row.broker_no, row.limit, row.is_live) == (ack.broker_no, 69_000, True)


class TestCancels:
    async def test_cancelled_order_ends_and_says_so(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        taken = await bench.cancel(ack.broker_no)
        assert taken.broker_no == ack.broker_no
        await bench.until(lambda: "CANCELLED" in bench.notices(ack.broker_no))
        row = await row_of(bench, ack.broker_no)
        assert (row.is_live, row.remaining_qty, row.filled_qty) == (False, 0, 0)
        assert await bench.broker.query_open_orders() == []

    async def test_partly_filled_order_keeps_its_fills_when_cancelled(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.fill(ack.broker_no, 4, 69_000)
        await bench.cancel(ack.broker_no)
        row = await row_of(bench, ack.broker_no)
        assert (row.is_live, row.filled_qty, row.remaining_qty) == (False, 4, 0)

    async def test_order_that_has_ended_is_already_done(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        again = bench.cancel_permit(ack.broker_no)
        await bench.cancel(ack.broker_no)
        with pytest.raises((Rejected, NotSent)) as refused:
            await bench.broker.cancel(again)
        if isinstance(refused.value, Rejected):
            assert refused.value.kind == "ALREADY_DONE"

    async def test_fill_that_comes_first_wins_over_the_cancel(self, bench):
        permit = bench.permit("BUY", 10, 69_000)
        ack = await bench.broker.send(permit)
        bench.gateway.on_ack(permit.order_id, ack.broker_no, bench.now_ns())
        cancel = bench.gateway.request_cancel(permit.order_id, now_ns=bench.now_ns())
        await bench.fill(ack.broker_no, 10, 69_000)
        with pytest.raises((Rejected, NotSent)) as refused:
            await bench.broker.cancel(cancel)
        if isinstance(refused.value, Rejected):
            assert refused.value.kind == "ALREADY_DONE"
        await bench.until(lambda: len(bench.fills()) == 1)

    async def test_refused_cancel_leaves_the_order_working(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.refuse_next("TRANSIENT")
        with pytest.raises(Rejected) as refused:
            await bench.cancel(ack.broker_no)
        assert refused.value.kind == "TRANSIENT"
        assert (await row_of(bench, ack.broker_no)).is_live


class TestStreamAndLists:
    async def test_stream_and_list_say_the_same_of_every_fill(self, bench):
        acks = [await bench.place("BUY", 10, 69_000 + 100 * at) for at in range(3)]
        for qty in (1, 2, 3):
            for ack in acks:
                await bench.fill(ack.broker_no, qty, 69_000)
        await bench.until(lambda: len(bench.fills()) == 9)
        listed = await bench.broker.query_fills()
        assert sorted(listed) == sorted(bench.fills())
        assert len({fill.event_id for fill in listed}) == 9
        for ack in acks:
            mine = bench.fills(ack.broker_no)
            assert [fill.qty for fill in mine] == [1, 2, 3]
            assert [fill.cumulative_qty for fill in mine] == [1, 3, 6]
        for row in await bench.broker.query_orders():
            assert row.filled_qty == 6
            assert row.remaining_qty == 4

    async def test_list_of_fills_begins_where_it_is_asked_to(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        for _ in range(4):
            await bench.fill(ack.broker_no, 1, 69_000)
            await asyncio.sleep(0.01)
        fills = await bench.broker.query_fills()
        for at, fill in enumerate(fills):
            assert list(await bench.broker.query_fills(fill.ts_ns)) == list(fills[at:])
        assert await bench.broker.query_fills(fills[-1].ts_ns + 1) == []

    async def test_long_lists_are_complete(self, bench):
        acks = await asyncio.gather(*(bench.place("BUY", 1, 52_000 + 100 * at) for at in range(150)))
        expected = {ack.broker_no for ack in acks}
        assert await numbers(bench) == expected
        assert {row.broker_no for row in await bench.broker.query_open_orders()} == expected

    async def test_open_orders_are_those_that_work(self, bench):
        first, second = await bench.place("BUY", 10, 69_000), await bench.place("BUY", 10, 69_100)
        await bench.cancel(first.broker_no)
        assert [row.broker_no for row in await bench.broker.query_open_orders()] == [second.broker_no]
        assert len(await numbers(bench)) == 2

    async def test_every_listener_hears_and_none_keeps_it_from_another(self, bench):
        heard, failures = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

        def deaf(event):
            raise RuntimeError("deaf")

        bench.broker.subscribe_fills(deaf)
        bench.broker.subscribe_fills(heard.append)
        ack = await bench.place("BUY", 10, 69_000)
        await bench.fill(ack.broker_no, 10, 69_000)
        await bench.until(lambda: len(bench.fills()) == 1)
        assert heard == bench.events
        assert len(failures) == len(heard)

    async def test_listener_that_has_ended_hears_nothing(self, bench):
        heard = []
        end = bench.broker.subscribe_fills(heard.append)
        end()
        end()
        ack = await bench.place("BUY", 10, 69_000)
        await bench.fill(ack.broker_no, 10, 69_000)
        await bench.until(lambda: bench.fills())
        assert heard == []


class TestMoney:
    async def test_cash_and_position_follow_the_fills_to_the_unit(self, bench):
        await bench.buy_now(10)
        (bought,) = await bench.broker.query_fills()
        spent = 10 * 70_100 + bought.fee + bought.tax
        assert bought.fee > 0
        assert await bench.broker.query_cash() == (CASH - spent, CASH - spent)
        assert list(await bench.broker.query_positions()) == [(SYMBOL, 10, 10, 701_000)]
        ack = await bench.place("SELL", 4, 69_900)
        await bench.until(lambda: bench.fills(ack.broker_no))
        sold = (await bench.broker.query_fills())[-1]
        assert (sold.side, sold.qty, sold.price) == ("SELL", 4, 69_900)
        assert sold.tax > 0
        cash = CASH - spent + 4 * 69_900 - sold.fee - sold.tax
        assert (await bench.broker.query_cash()).cash == cash
        assert list(await bench.broker.query_positions()) == [(SYMBOL, 6, 6, 420_600)]

    async def test_own_books_agree_with_the_brokers(self, bench):
        await bench.buy_now(10)
        await bench.buy_now(7)
        sold = await bench.place("SELL", 5, 69_900)
        await bench.until(lambda: bench.fills(sold.broker_no))
        spent = CASH - (await bench.broker.query_cash()).cash
        assert 100 * CASH - bench.gateway.cash == spent
        assert bench.gateway.position(0, "SCALP")[0] == (await bench.broker.query_positions())[0].qty == 12

    async def test_live_orders_bind_cash_and_shares(self, bench):
        await bench.buy_now(10)
        before = await bench.broker.query_cash()
        await bench.place("BUY", 10, 69_000)
        after = await bench.broker.query_cash()
        assert after.cash == before.cash
        assert before.orderable - after.orderable >= 690_000
        await bench.place("SELL", 4, 75_000)
        assert (await bench.broker.query_positions())[0][1:3] == (10, 6)


class TestConnections:
    async def test_heartbeat_returns_while_the_broker_answers_and_tells_when_it_does_not(self, bench):
        await bench.broker.heartbeat()
        assert bench.broker.is_connected
        assert bench.broker.is_stream_up
        await bench.cut()
        assert not bench.broker.is_connected
        assert not bench.broker.is_stream_up
        with pytest.raises(NotSent):
            await bench.broker.heartbeat()

    async def test_nothing_can_be_asked_without_a_connection(self, bench):
        await bench.cut()
        for ask in ("query_orders", "query_open_orders", "query_fills", "query_positions", "query_cash"):
            with pytest.raises(NotSent):
                await getattr(bench.broker, ask)()

    async def test_broker_that_cannot_be_reached_is_not_connected_until_it_can(self, bench):
        await bench.cut(reachable=False)
        with pytest.raises(NotSent):
            await bench.broker.connect()
        assert not bench.broker.is_connected
        await bench.cut(reachable=True)
        await bench.broker.connect()
        await bench.broker.heartbeat()

    async def test_after_a_reconnect_everything_is_as_the_broker_left_it(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.until(lambda: bench.notices(ack.broker_no))
        await bench.cut()
        await bench.broker.connect()
        assert (await row_of(bench, ack.broker_no)).is_live
        await bench.fill(ack.broker_no, 10, 69_000)
        await bench.until(lambda: len(bench.fills()) == 1)

    async def test_connecting_twice_changes_nothing(self, bench):
        await asyncio.gather(bench.broker.connect(), bench.broker.connect())
        ack = await bench.place("BUY", 10, 69_000)
        await bench.fill(ack.broker_no, 10, 69_000)
        await bench.until(lambda: bench.fills())
        await asyncio.sleep(0.05)
        assert len(bench.fills()) == 1

    async def test_what_happens_while_the_stream_is_down_is_in_the_list_and_not_repeated(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.until(lambda: bench.notices(ack.broker_no))
        await bench.cut(link=False)
        assert bench.broker.is_connected
        await bench.fill(ack.broker_no, 3, 69_000)
        await asyncio.sleep(0.05)
        await bench.broker.connect()
        assert bench.broker.is_stream_up
        await bench.fill(ack.broker_no, 2, 69_000)
        await bench.until(lambda: bench.fills())
        assert [fill.qty for fill in bench.fills()] == [2]
        assert [fill.qty for fill in await bench.broker.query_fills()] == [3, 2]

    async def test_requests_go_out_while_only_the_stream_is_down(self, bench):
        await bench.cut(link=False)
        ack = await bench.place("BUY", 10, 69_000)
        assert (await row_of(bench, ack.broker_no)).is_live

    async def test_amend_that_nobody_can_confirm_is_a_lost_answer_and_not_a_success(self, bench):
        ack = await bench.place("BUY", 10, 69_000)
        await bench.cut(link=False)
        with pytest.raises(AnswerLost, match="stream"):
            await bench.broker.modify(bench.amend_permit(ack.broker_no, 69_500, 10))

    async def test_cut_while_an_answer_is_awaited_is_a_lost_answer(self, bench):
        send = asyncio.ensure_future(bench.broker.send(bench.permit("BUY", 10, 69_000)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await bench.cut()
        (answer,) = await asyncio.gather(send, return_exceptions=True)
        await bench.broker.connect()
        rows = await bench.broker.query_orders()
        assert len(rows) <= 1
        if not isinstance(answer, AnswerLost):  # the answer may have been quicker than the cut
            assert rows[0].broker_no == answer.broker_no

    async def test_closed_broker_sends_nothing_and_can_be_opened_again(self, bench):
        await bench.broker.close()
        with pytest.raises(NotSent):
            await bench.broker.send(bench.permit())
        await bench.broker.connect()
        assert (await bench.place()).broker_no


class TestSlowExchange:
    """A broker answers when it has taken a request; what the exchange says to it comes later."""

    async def test_amend_is_answered_when_it_has_gone_through(self, slow_exchange):
        bench = slow_exchange
        ack = await bench.place("BUY", 10, 69_000)
        begun_ns = bench.now_ns()
        second = await bench.amend(ack.broker_no, 69_500, 10)
        assert bench.now_ns() - begun_ns >= SLOW_NS
        assert (await row_of(bench, second.broker_no)).is_live

    async def test_amend_that_a_fill_overtakes_is_already_done(self, slow_exchange):
        bench = slow_exchange
        ack = await bench.place("BUY", 10, 69_000)
        await bench.until(lambda: bench.notices(ack.broker_no))
        amend = asyncio.ensure_future(bench.broker.modify(bench.amend_permit(ack.broker_no, 69_500, 10)))
        await asyncio.sleep(0.03)
        await bench.fill(ack.broker_no, 10, 69_000)
        with pytest.raises(Rejected) as refused:
            await amend
        assert refused.value.kind == "ALREADY_DONE"
        assert await numbers(bench) == {ack.broker_no}

    async def test_amend_is_lost_when_the_stream_breaks_before_the_exchange_has_answered(self, slow_exchange):
        bench = slow_exchange
        ack = await bench.place("BUY", 10, 69_000)
        await bench.until(lambda: bench.notices(ack.broker_no))
        amend = asyncio.ensure_future(bench.broker.modify(bench.amend_permit(ack.broker_no, 69_500, 10)))
        await asyncio.sleep(0.03)
        await bench.cut(link=False)
        with pytest.raises(AnswerLost, match="stream"):
            await amend
        await asyncio.sleep(SLOW_NS / 1e9)
        (live,) = await bench.broker.query_open_orders()
        assert (live.original_no, live.limit) == (ack.broker_no, 69_500)

    async def test_order_may_fill_after_its_cancel_has_been_taken(self, slow_exchange):
        bench = slow_exchange
        ack = await bench.place("BUY", 10, 69_000)
        await bench.until(lambda: bench.notices(ack.broker_no))
        await bench.cancel(ack.broker_no)
        await bench.fill(ack.broker_no, 10, 69_000)
        await bench.until(lambda: len(bench.fills()) == 1)
        await bench.until(lambda: any(event.original_no for event in bench.events if not isinstance(event, FillEvent)))
        row = await row_of(bench, ack.broker_no)
        assert (row.filled_qty, row.is_live) == (10, False)
