"""What decorators change about a broker, and what they leave alone."""

import asyncio

import pytest

from qts._core import PermitRefused
from qts.broker.asynchronous import AnswerLost, FillEvent, NotSent, OrderNotice, Rejected
from qts.broker.checked import Checked
from qts.broker.faults import FaultKind, FaultPlan, FaultRates
from qts.broker.faulty import Faulty
from qts.broker.rate_limited import RateLimited
from qts.broker.sim_async import SimAsyncBroker
from qts.broker.sim_book import SimBook
from qts.broker.traced import Traced, masked
from qts.broker.wrapped import Amendments

from .contract.benches import SYMBOL, SimBench, state

ALWAYS = 1_000_000
S = 1_000_000_000


def run(test, dress, *, start_ns=None):
    """Run a test on a simulated broker that `dress` has put something around."""
    bench = SimBench()
    if start_ns is not None:
        bench.start_ns = start_ns
    bench.dressed = lambda inner, clock: dress(inner, clock, bench)
    bench.run(test(bench))


def faulty(**rates):
    """Around the broker: one fault, and none after it."""
    fault = FaultRates(**rates)

    def dress(inner, clock, bench):
        bench.plan = FaultPlan(1, fault, max_faults=0)
        return Faulty(inner, bench.plan, clock, fill_now=lambda number, part: bench.filled.append((number, part)))

    return dress


def arm(bench, faults=1):
    """Let faults happen from here on."""
    bench.plan._left = faults


class TestFaulty:
    def test_order_that_never_arrives_has_used_its_permit_and_the_callers_patience(self):
        async def test(bench):
            arm(bench)
            permit, begun_ns = bench.permit(), bench.now_ns()
            with pytest.raises(AnswerLost):
                await bench.broker.send(permit)
            assert bench.now_ns() - begun_ns == 5 * S
            with pytest.raises(PermitRefused):
                permit.redeem(bench.now_ns())
            assert bench.gateway.order_state(permit.order_id)[0] == "SUBMITTED"
            assert await bench.broker.query_orders() == []

        run(test, faulty(lost_before=ALWAYS))

    def test_order_whose_answer_is_lost_is_in_the_list_once(self):
        async def test(bench):
            arm(bench)
            with pytest.raises(AnswerLost):
                await bench.broker.send(bench.permit())
            (row,) = await bench.broker.query_orders()
            assert row.is_live

        run(test, faulty(lost_after=ALWAYS))

    def test_connection_refused_before_the_write_gives_the_permit_back(self):
        async def test(bench):
            arm(bench)
            permit = bench.permit()
            with pytest.raises(NotSent):
                await bench.broker.send(permit)
            assert bench.gateway.reserved_cash == 0
            assert bench.plan.injected == {FaultKind.NOT_SENT: 1}
            assert await bench.broker.query_orders() == []

        run(test, faulty(not_sent=ALWAYS))

    def test_refusal_leaves_nothing_at_the_broker(self):
        async def test(bench):
            arm(bench)
            with pytest.raises(Rejected) as refused:
                await bench.broker.send(bench.permit())
            assert refused.value.kind == "INSUFFICIENT_BALANCE"
            assert await bench.broker.query_orders() == []

        run(test, faulty(reject_balance=ALWAYS))

    def test_fill_may_be_heard_of_long_before_the_answer(self):
        async def test(bench):
            arm(bench)
            permit = bench.permit("BUY", 10, 70_100)
            send = asyncio.ensure_future(bench.broker.send(permit))
            await bench.until(lambda: bench.fills())
            assert not send.done()
            assert (await send).broker_no == bench.fills()[0].broker_no

        run(test, faulty(late_answer=ALWAYS))

    def test_late_request_arrives_late_and_its_permit_has_been_used_in_time(self):
        async def test(bench):
            arm(bench)
            begun_ns = bench.now_ns()
            ack = await bench.broker.send(bench.permit())
            (row,) = await bench.broker.query_orders()
            assert row.broker_no == ack.broker_no
            assert row.ts_ns - begun_ns > 10_000_000

        run(test, faulty(delay=ALWAYS))

    def test_fill_that_races_a_cancel_is_the_plans_to_ask_for(self):
        async def test(bench):
            bench.filled = []
            ack = await bench.place("BUY", 10, 69_000)
            arm(bench)
            await bench.cancel(ack.broker_no)
            ((number, part),) = bench.filled
            assert number == ack.broker_no
            assert 1 <= part <= 1_000

        run(test, faulty(fill_first=ALWAYS))

    @pytest.mark.parametrize(
        ("fault", "sizes"), [("empty_list", {0}), ("doubled_rows", {5, 6, 7, 8}), ("truncated_list", {0, 1, 2, 3})]
    )
    def test_lists_can_be_spoiled(self, fault, sizes):
        async def test(bench):
            for at in range(4):
                await bench.place("BUY", 1, 69_000 + 100 * at)
            arm(bench)
            assert len(await bench.broker.query_orders()) in sizes
            assert len(await bench.broker.query_orders()) == 4

        run(test, faulty(**{fault: ALWAYS}))

    def test_notices_come_twice_late_or_never(self):
        async def test(bench):
            ack = await bench.place("BUY", 10, 69_000)
            await bench.until(lambda: bench.notices(ack.broker_no))
            arm(bench, 20)
            bench.plan._left = None
            for _ in range(10):
                await bench.fill(ack.broker_no, 1, 69_000)
            await asyncio.sleep(10)
            heard = [fill.event_id for fill in bench.fills()]
            listed = [fill.event_id for fill in await bench.broker.query_fills()]
            assert len(listed) == 10
            assert set(heard) <= set(listed)
            injected = bench.plan.injected
            assert len(heard) == 10 + injected[FaultKind.DUPLICATE_NOTICE] - injected[FaultKind.LOST_NOTICE]
            assert heard != listed
            assert injected.keys() == {FaultKind.DUPLICATE_NOTICE, FaultKind.LOST_NOTICE, FaultKind.LATE_NOTICE}

        run(test, faulty(lost_notice=ALWAYS // 5, duplicate_notice=ALWAYS // 4, late_notice=ALWAYS // 4))

    @pytest.mark.parametrize(("fault", "looks_up"), [("cut_stream", False), ("deaf_stream", True)])
    def test_stream_is_silent_for_a_while(self, fault, looks_up):
        async def test(bench):
            ack = await bench.place("BUY", 10, 69_000)
            await bench.until(lambda: bench.notices(ack.broker_no))
            arm(bench)
            await bench.fill(ack.broker_no, 1, 69_000)
            await asyncio.sleep(0.01)
            assert bench.broker.is_stream_up is looks_up
            await bench.fill(ack.broker_no, 1, 69_000)
            await asyncio.sleep(6)
            assert bench.broker.is_stream_up
            assert bench.fills() == []
            await bench.fill(ack.broker_no, 1, 69_000)
            await bench.until(lambda: len(bench.fills()) == 1)
            assert len(await bench.broker.query_fills()) == 3

        run(test, faulty(**{fault: ALWAYS}))

    def test_question_may_find_no_connection_or_get_no_answer(self):
        async def test(bench):
            arm(bench)
            with pytest.raises(NotSent):
                await bench.broker.query_cash()
            await bench.broker.heartbeat()

        run(test, faulty(not_sent=ALWAYS))

    def test_without_a_connection_nothing_is_injected(self):
        async def test(bench):
            bench.inner.cut()
            arm(bench)
            with pytest.raises(NotSent):
                await bench.broker.send(bench.permit())
            assert not bench.plan.injected

        run(test, faulty(lost_after=ALWAYS))

    def test_line_that_is_cut_under_a_late_request_loses_its_answer(self):
        async def test(bench):
            arm(bench)
            send = asyncio.ensure_future(bench.broker.send(bench.permit()))
            await asyncio.sleep(0.0001)
            bench.inner.cut()
            with pytest.raises(AnswerLost):
                await send

        run(test, faulty(delay=ALWAYS))


def checked_faulty(**rates):
    inside = faulty(**rates)
    return lambda inner, clock, bench: Checked(inside(inner, clock, bench), clock)


class TestChecked:
    @pytest.mark.parametrize("fault", ["empty_list", "truncated_list"])
    def test_list_without_an_order_that_is_known_is_no_answer(self, fault):
        async def test(bench):
            await bench.place("BUY", 1, 69_000)
            arm(bench)
            with pytest.raises(AnswerLost, match="lacks 1"):
                await bench.broker.query_orders()
            assert len(await bench.broker.query_orders()) == 1

        run(test, checked_faulty(**{fault: ALWAYS}))

    def test_list_without_an_execution_that_is_known_is_no_answer(self):
        async def test(bench):
            await bench.buy_now(5)
            arm(bench)
            with pytest.raises(AnswerLost, match="lacks 1"):
                await bench.broker.query_fills()
            assert len(await bench.broker.query_fills()) == 1

        run(test, checked_faulty(empty_list=ALWAYS))

    def test_what_an_earlier_list_has_shown_is_known(self):
        async def test(bench):
            bench.book.place(
                symbol=SYMBOL, side="BUY", kind="LIMIT", tif="DAY", limit=69_000, qty=1, now_ns=bench.now_ns()
            )
            assert len(await bench.broker.query_orders()) == 1
            arm(bench)
            with pytest.raises(AnswerLost, match="lacks 1"):
                await bench.broker.query_orders()

        run(test, checked_faulty(empty_list=ALWAYS))

    def test_order_that_nobody_here_has_heard_of_may_be_missing_and_that_proves_nothing(self):
        async def test(bench):
            bench.inner.cut(link=False)  # its notice is lost
            await bench.inner.send(bench.permit())  # and its answer does not come by here
            arm(bench)
            assert await bench.broker.query_orders() == []
            assert len(await bench.broker.query_orders()) == 1

        run(test, checked_faulty(empty_list=ALWAYS))

    def test_rows_that_come_twice_are_one(self):
        async def test(bench):
            for at in range(4):
                await bench.place("BUY", 1, 70_100 + 100 * at)
            truth = [await bench.broker.query_orders(), await bench.broker.query_fills()]
            arm(bench, 3)
            assert [await bench.broker.query_orders(), await bench.broker.query_fills()] == truth
            assert len(await bench.broker.query_positions()) == 1
            assert bench.plan.injected == {FaultKind.DOUBLED_ROWS: 3}

        run(test, checked_faulty(doubled_rows=ALWAYS))

    @pytest.mark.parametrize(
        "change",
        [{"filled_qty": 2}, {"remaining_qty": 0}, {"qty": 0}, {"filled_qty": -1}, {"remaining_qty": 2}],
        ids=str,
    )
    def test_row_that_contradicts_itself_is_no_answer(self, change):
        class Liar(SimAsyncBroker):
            async def query_orders(self):
                return [row._replace(**change) for row in await super().query_orders()]

        async def test(bench):
            await bench.place("BUY", 1, 69_000)
            with pytest.raises(AnswerLost, match="row of"):
                await bench.broker.query_orders()

        run(test, lambda inner, clock, bench: Checked(as_kind(Liar, inner), clock))

    def test_rows_that_contradict_each_other_are_no_answer(self):
        class Liar(SimAsyncBroker):
            async def query_orders(self):
                (row,) = await super().query_orders()
                return [row, row._replace(limit=1)]

        async def test(bench):
            await bench.place("BUY", 1, 69_000)
            with pytest.raises(AnswerLost, match="two things"):
                await bench.broker.query_orders()

        run(test, lambda inner, clock, bench: Checked(as_kind(Liar, inner), clock))

    def test_adapter_that_fails_in_its_own_way_leaves_us_in_doubt(self):
        class Broken(SimAsyncBroker):
            async def send(self, permit):
                await super().send(permit)
                raise KeyError("ODNO")

        async def test(bench):
            with pytest.raises(AnswerLost, match="KeyError"):
                await bench.broker.send(bench.permit())
            assert len(await bench.broker.query_orders()) == 1

        run(test, lambda inner, clock, bench: Checked(as_kind(Broken, inner), clock))

    def test_yesterdays_numbers_need_not_be_in_todays_list(self):
        midnight = 1_764_082_800 * S  # 2025-11-26 00:00 in Korea

        async def test(bench):
            await bench.buy_now(5)
            assert len(await bench.broker.query_orders()) == 1
            bench.book.end_session(bench.now_ns())
            await asyncio.sleep(60)
            assert bench.book._exchange.start_day()
            assert await bench.broker.query_orders() == []
            assert await bench.broker.query_fills() == []

        run(test, lambda inner, clock, bench: Checked(inner, clock), start_ns=midnight - 30 * S)

    def test_fill_of_yesterday_that_is_heard_of_today_need_not_be_in_todays_list(self):
        midnight = 1_764_082_800 * S

        async def test(bench):
            await bench.buy_now(5)
            (late,) = bench.fills()
            await asyncio.sleep(60)
            bench.book.end_session(bench.now_ns())
            assert bench.book._exchange.start_day()
            bench.broker._hear(late)
            assert await bench.broker.query_fills() == []

        run(test, lambda inner, clock, bench: Checked(inner, clock), start_ns=midnight - 30 * S)

    def test_number_of_a_refused_cancel_is_no_order_that_a_list_could_lack(self):
        async def test(bench):
            ack = await bench.place("BUY", 1, 69_000)
            await bench.until(lambda: bench.notices(ack.broker_no))
            await bench.cancel(ack.broker_no)
            await bench.fill(ack.broker_no, 1, 69_000)
            await bench.until(lambda: "REJECTED" in [event[1] for event in bench.events if event[1] == "REJECTED"])
            assert len(await bench.broker.query_orders()) == 1

        bench = SimBench(exchange_delay_ns=50_000_000)
        bench.dressed = Checked
        bench.run(test(bench))


def as_kind(kind, inner):
    """The same broker as an instance of a subclass."""
    inner.__class__ = kind
    return inner


class TestTraced:
    def test_each_call_is_told_with_its_time_and_outcome(self):
        async def test(bench):
            ack = await bench.place("BUY", 1, 69_000)
            await bench.refuse_next("PERMANENT")
            with pytest.raises(Rejected):
                await bench.cancel(ack.broker_no)
            bench.inner.cut()
            with pytest.raises(NotSent):
                await bench.broker.heartbeat()
            told = [(trace.call, trace.outcome, trace.took_ns, trace.code) for trace in bench.traces]
            assert told == [
                ("connect", "OK", 20_000_000, ""),
                ("send", "OK", 20_000_000, ""),
                ("cancel", "REJECTED", 20_000_000, "SIM00009"),
                ("heartbeat", "NOT_SENT", 0, ""),
            ]
            assert bench.broker.counts["send", "OK"] == 1

        run(test, lambda inner, clock, bench: Traced(inner, clock, bench.traces.append))

    def test_lost_and_abandoned_calls_are_told_too(self):
        async def test(bench):
            send = asyncio.ensure_future(bench.broker.send(bench.permit()))
            await asyncio.sleep(0.001)
            bench.inner.cut()
            with pytest.raises(AnswerLost):
                await send
            await bench.broker.connect()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(bench.broker.query_cash(), 0.001)
            assert [trace.outcome for trace in bench.traces] == ["OK", "LOST", "OK", "ABANDONED"]

        run(test, lambda inner, clock, bench: Traced(inner, clock, bench.traces.append))

    def test_adapter_that_breaks_the_contract_is_told_as_broken(self):
        class Broken(SimAsyncBroker):
            async def query_cash(self):
                raise KeyError("dnca_tot_amt")

        async def test(bench):
            with pytest.raises(KeyError):
                await bench.broker.query_cash()
            assert bench.traces[-1][3:] == ("BROKEN", "", "KeyError")

        run(test, lambda inner, clock, bench: Traced(as_kind(Broken, inner), clock, bench.traces.append))

    def test_sink_that_fails_does_not_undo_an_order(self):
        def sink(trace):
            raise RuntimeError("disk full")

        async def test(bench):
            assert (await bench.place()).broker_no
            assert bench.broker.sink_failures == 2

        run(test, lambda inner, clock, bench: Traced(inner, clock, sink))

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("계좌 12345678-01 잔고 부족", "계좌 ***-01 잔고 부족"),
            ("계좌 1234567890 없음", "계좌 ***890 없음"),
            ("code 1234", "code 1234"),
            ("x" * 500, "x" * 200),
        ],
    )
    def test_long_numbers_are_masked(self, text, shown):
        assert masked(text) == shown


class TestRateLimited:
    def test_orders_beyond_the_budget_are_not_sent_and_their_permits_given_back(self):
        async def test(bench):
            permits = [bench.permit("BUY", 1, 60_000 + 100 * at) for at in range(6)]
            answers = await asyncio.gather(*map(bench.broker.send, permits), return_exceptions=True)
            assert [type(answer).__name__ for answer in answers] == ["OrderAck"] * 4 + ["NotSent"] * 2
            assert len(bench.book.orders(open_only=True)) == 4
            for permit in permits[4:]:
                with pytest.raises(PermitRefused):
                    permit.redeem(bench.now_ns())

        run(test, lambda inner, clock, bench: RateLimited(inner, clock, published_per_s=8))

    def test_exits_have_what_orders_may_not_use(self):
        async def test(bench):
            await bench.buy_now(5)
            await asyncio.sleep(1)
            for at in range(4):
                await bench.place("BUY", 1, 60_000 + 100 * at)
            with pytest.raises(NotSent):
                await bench.place("BUY", 1, 61_000)
            await bench.place("SELL", 5, 75_000)

        def dress(inner, clock, bench):
            return RateLimited(inner, clock, published_per_s=8, is_exit=lambda permit: permit.order_id in bench.exits)

        async def with_exits(bench):
            bench.exits = range(7, 1_000)
            await test(bench)

        run(with_exits, dress)

    def test_questions_wait_for_their_turn_and_all_are_answered(self):
        async def test(bench):
            begun_ns = bench.now_ns()
            await asyncio.gather(*(bench.broker.query_cash() for _ in range(9)))
            assert bench.now_ns() - begun_ns == 2 * S + 20_000_000

        run(test, lambda inner, clock, bench: RateLimited(inner, clock, published_per_s=8))

    def test_cancel_goes_out_while_questions_wait_and_orders_are_refused(self):
        async def test(bench):
            acks = [await bench.place("BUY", 1, 60_000 + 100 * at) for at in range(2)]
            await asyncio.sleep(1)
            begun_ns = bench.now_ns()
            asks = [asyncio.ensure_future(bench.broker.query_cash()) for _ in range(20)]
            await asyncio.sleep(0)
            orders = [bench.broker.send(bench.permit("BUY", 1, 62_000 + 100 * at)) for at in range(10)]
            sent = await asyncio.gather(*orders, return_exceptions=True)
            assert any(isinstance(answer, NotSent) for answer in sent)
            for ack in acks:
                await bench.cancel(ack.broker_no)
            assert bench.now_ns() - begun_ns < S
            await asyncio.gather(*asks)

        run(test, lambda inner, clock, bench: RateLimited(inner, clock, published_per_s=8))

    def test_capability_says_the_rate_if_nobody_else_does(self):
        async def test(bench):
            assert bench.broker._budget.limit == 800

        run(test, lambda inner, clock, bench: RateLimited(inner, clock))


class TestAmendments:
    def test_amend_that_the_exchange_never_answers_is_lost(self):
        async def test(bench):
            ack = await bench.place("BUY", 1, 69_000)
            await bench.until(lambda: bench.notices(ack.broker_no))
            begun_ns = bench.now_ns()
            with pytest.raises(AnswerLost, match="in time"):
                await bench.broker.modify(bench.amend_permit(ack.broker_no, 69_100, 1))
            assert bench.now_ns() - begun_ns == 2 * S + 20_000_000

        bench = SimBench(exchange_delay_ns=4_000_000_000)

        def dress(inner, clock):
            inner._delays = inner._delays._replace(answer_timeout_ms=2_000)
            return inner

        bench.dressed = dress
        bench.run(test(bench))

    def test_what_nobody_asks_for_is_forgotten_in_the_end(self):
        amendments = Amendments()
        for at in range(1_000):
            amendments.hear(OrderNotice(f"{at}", "AMENDED", "x", 1, 0))
        assert len(amendments._said) == 256
        assert "999" in amendments._said


class TestSimBroker:
    def test_state_file_with_a_price_of_nobody_is_refused(self):
        with pytest.raises(ValueError, match="'X', which is none"):
            SimBook.from_state(state().replace(f'"base_prices": {{"{SYMBOL}"', '"base_prices": {"X"'))

    def test_answer_that_takes_too_long_is_lost_and_the_order_is_there(self):
        async def test(bench):
            bench.inner._delays = bench.inner._delays._replace(back_ms=6_000)
            with pytest.raises(AnswerLost, match="in time"):
                await bench.broker.send(bench.permit())
            assert len(bench.book.orders(open_only=True)) == 1

        run(test, lambda inner, clock, bench: inner)

    def test_request_under_way_arrives_whether_or_not_anybody_waits(self):
        async def test(bench):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(bench.broker.send(bench.permit()), 0.001)
            await asyncio.sleep(0.05)
            assert len(bench.book.orders(open_only=True)) == 1

        run(test, lambda inner, clock, bench: inner)

    def test_order_refused_by_the_exchange_after_its_number_was_given_says_so(self):
        async def test(bench):
            bench.book.reject_next_at_exchange()
            ack = await bench.place()
            await bench.until(lambda: bench.notices(ack.broker_no) == ["REJECTED"])
            assert not any(isinstance(event, FillEvent) or event.original_no for event in bench.events)

        run(test, lambda inner, clock, bench: inner)

    def test_orders_expire_with_the_session(self):
        async def test(bench):
            ack = await bench.place("BUY", 1, 69_000)
            bench.book.end_session(bench.now_ns())
            bench.inner.tell()
            await bench.until(lambda: "EXPIRED" in bench.notices(ack.broker_no))

        run(test, lambda inner, clock, bench: inner)

    def test_broker_that_is_asked_too_often_says_so(self):
        async def test(bench):
            answers = await asyncio.gather(*(bench.broker.query_cash() for _ in range(20)), return_exceptions=True)
            refused = [answer for answer in answers if isinstance(answer, Rejected)]
            assert [error.kind for error in refused] == ["TRANSIENT"] * 2

        bench = SimBench(requests_per_s=18)
        bench.run(test(bench))
