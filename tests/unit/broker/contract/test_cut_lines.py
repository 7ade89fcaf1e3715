"""A line that breaks anywhere: an answer is whole or lost, never half, and never taken for another."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from qts.broker import wire
from qts.broker.asynchronous import AnswerLost, NotSent
from qts.broker.sim_book import SimBook
from qts.broker.sim_client import SimSocketBroker
from qts.broker.sim_server import SimServer
from qts.clock import SystemClock

from .benches import SYMBOL, state

LISTS = ("query_orders", "query_open_orders", "query_fills", "query_positions", "query_cash")


async def mended(bench):
    """Take all faults away and wait for an answer: that a connection has just been cut shows only when it is used."""
    bench.proxy.cut_at = None
    bench.proxy.is_stalled = False
    for _ in range(5):
        try:
            await bench.broker.connect()
            return await bench.broker.heartbeat()
        except (AnswerLost, NotSent):
            continue
    raise AssertionError("the line cannot be mended")


def next_id(bench):
    return bench.inner._line._next


class TestCutsAtEveryByte:
    async def test_answer_to_an_order_is_whole_or_lost_and_the_order_is_there_once(self, wired):
        bench = wired
        await bench.broker.heartbeat()
        bench.proxy.forget()
        await bench.place("BUY", 1, 49_500)
        whole, lost, acked = len(bench.proxy.answered), 0, []
        for at in range(whole + 3):  # numbers of questions grow by a digit or two meanwhile
            bench.proxy.forget()
            bench.proxy.cut_at = at
            permit = bench.permit("BUY", 1, 50_000 + 100 * at)
            try:
                acked.append(((await bench.broker.send(permit)).broker_no, 50_000 + 100 * at))
            except AnswerLost:
                lost += 1
                bench.gateway.on_lost(permit.order_id, bench.now_ns())
            await mended(bench)
        rows = await bench.broker.query_orders()
        assert sorted(row.limit for row in rows) == [49_500, *(50_000 + 100 * at for at in range(whole + 3))]
        assert set(acked) <= {(row.broker_no, row.limit) for row in rows}
        assert lost >= whole - 1
        assert acked

    async def test_answer_to_an_amend_is_whole_or_lost_and_the_list_says_which(self, wired):
        bench = wired
        ack = await bench.place("BUY", 1, 50_000)
        order_id, newest = bench.order_id(ack.broker_no), ack.broker_no
        bench.proxy.forget()
        newest = (await bench.amend(newest, 50_100, 1)).broker_no
        whole = len(bench.proxy.answered)
        for at in range(whole + 1):
            limit = 50_200 + 100 * (at % 50)
            bench.proxy.forget()
            bench.proxy.cut_at = at
            permit = bench.gateway.request_amend(order_id, limit, 1, action="ENTRY", now_ns=bench.now_ns())
            try:
                newest = (await bench.broker.modify(permit)).broker_no
            except AnswerLost:
                bench.gateway.on_lost(order_id, bench.now_ns())
                await mended(bench)
                (live,) = await bench.broker.query_open_orders()
                assert live.original_no == newest
                newest = live.broker_no
            bench.gateway.on_amended(order_id, newest, bench.now_ns())
            await mended(bench)
            (live,) = await bench.broker.query_open_orders()
            assert (live.broker_no, live.limit) == (newest, limit)

    async def test_answer_to_a_cancel_is_whole_or_lost_and_the_order_is_cancelled(self, wired):
        bench = wired
        cuts = (0, 1, 5, 20, 40)
        for at in cuts:
            ack = await bench.place("BUY", 1, 50_000 + 100 * at)
            cancel = bench.cancel_permit(ack.broker_no)
            bench.proxy.forget()
            bench.proxy.cut_at = at
            with pytest.raises(AnswerLost):
                await bench.broker.cancel(cancel)
            await mended(bench)
        rows = await bench.broker.query_orders()
        assert [row.is_live for row in rows] == [False] * len(cuts)

    @pytest.mark.parametrize("ask", LISTS)
    async def test_list_is_whole_or_lost(self, wired, ask):
        bench = wired
        await bench.buy_now(3)
        await bench.buy_now(2)
        await bench.place("BUY", 1, 50_000)
        bench.proxy.forget()
        truth = await getattr(bench.broker, ask)()
        whole, lost = len(bench.proxy.answered), 0
        cuts = range(0, whole + 1, 1 if bench.broker is bench.inner else 13)  # the line is the same one underneath
        for at in cuts:
            bench.proxy.forget()
            bench.proxy.cut_at = at
            try:
                assert await getattr(bench.broker, ask)() == truth
            except AnswerLost:
                lost += 1
            await mended(bench)
        assert lost >= len(cuts) - 3


class TestGarbage:
    BODIES = (
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"what?\n",
        b"\xff\xfe\x00\n",
        b'{"id":%d}\n',
        b'{"id":%d,"ok":1}\n',
        b'{"id":%d,"ok":NaN}\n',
        b'{"id":%d,"ok":true,"cash":1}\n',
        b'{"id":%d,"ok":true,"cash":1,"orderable":1.5}\n',
        b'{"id":%d,"ok":true,"cash":9223372036854775808,"orderable":1}\n',
        b'{"id":%d,"ok":true,"cash":"1","orderable":1}\n',
        b'{"id":%d,"ok":true,"cash":1,"orderable":1,"more":1}\n',
        b'{"id":%d,"ok":false}\n',
        b'{"id":%d,"ok":false,"kind":"MOOD","code":"","text":""}\n',
        b'{"id":999999,"ok":true,"cash":1,"orderable":1}\n',
        b'{"id":-1,"ok":true,"cash":1,"orderable":1}\n',
        b'{"id":%d,"ok":true,"cash":' + b"9" * 6_000 + b',"orderable":1}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (wire.MAX_LINE + 10),
    )

    async def test_body_that_cannot_be_read_is_a_lost_answer_and_the_next_one_is_read_again(self, wired):
        bench = wired
        truth = await bench.broker.query_cash()
        for body in self.BODIES:
            bench.proxy.garbage = body.replace(b"%d", str(next_id(bench)).encode())
            with pytest.raises(AnswerLost, match=r"unreadable|connection lost"):
                await bench.broker.query_cash()
            await mended(bench)
            assert await bench.broker.query_cash() == truth

    async def test_list_that_counts_wrong_is_lost(self, wired):
        bench = wired
        ack = await bench.place("BUY", 1, 50_000)
        bench.proxy.forget()
        (truth,) = await bench.broker.query_orders()
        head, row, end = bytes(bench.proxy.answered).splitlines()
        for lines in (
            [head.replace(b'"count":1', b'"count":0'), end.replace(b'"end":1', b'"end":0'), row],
            [head.replace(b'"count":1', b'"count":0'), row, end],
            [head.replace(b'"count":1', b'"count":2'), row, end],
            [head, row, row, end],
            [head, row, end.replace(b'"end":1', b'"end":2')],
            [head, end],
            [head.replace(b'"count":1', b'"count":-1'), row, end],
            [head, row.replace(b'"qty":1', b'"qty":-1'), end],
            [head, row.replace(ack.broker_no.encode(), b""), end],
            [row, end],
        ):
            number = b'"id":%d,' % next_id(bench)
            asked = [number + line.split(b",", 1)[1] for line in lines]
            bench.proxy.garbage = b"".join(b"{" + line + b"\n" for line in asked)
            try:
                answer = await bench.broker.query_orders()
            except AnswerLost:
                answer = None
            assert answer is None or (lines[0].endswith(b'"count":0}') and answer == [])
            await mended(bench)
            assert list(await bench.broker.query_orders()) == [truth]

    async def test_late_answer_is_not_taken_for_the_answer_to_the_next_question(self, wired):
        bench = wired
        late = next_id(bench)
        bench.proxy.garbage = b""  # swallowed
        with pytest.raises(AnswerLost, match="in time"):
            await bench.broker.query_cash()
        truth = await bench.broker.query_cash()
        bench.proxy.garbage = (
            b'{"id":%d,"ok":true,"cash":1,"orderable":1}\n{"id":%d,"ok":true,"cash":2,"orderable":2}\n'
            % (
                late,
                next_id(bench),
            )
        )
        assert await bench.broker.query_cash() == (2, 2)
        assert await bench.broker.query_cash() == truth


class TestSilence:
    async def test_answer_that_does_not_come_is_lost_after_its_time(self, wired):
        bench = wired
        bench.proxy.is_stalled = True
        with pytest.raises(AnswerLost, match="in time"):
            await bench.broker.heartbeat()

    async def test_stream_that_gives_no_sign_of_life_is_down_and_comes_back(self, wired):
        bench = wired
        bench.proxy.is_stalled = True
        await bench.until(lambda: not bench.broker.is_stream_up)
        await mended(bench)
        await bench.until(lambda: bench.broker.is_stream_up)

    async def test_stream_that_says_what_cannot_be_read_is_down(self, wired):
        bench = wired
        (client,) = bench.proxy._streams
        client.write(b'{"notice":"FILL","qty":1}\n')
        await bench.until(lambda: not bench.broker.is_stream_up)
        assert bench.events == []

    async def test_death_of_the_broker_is_a_lost_answer_or_not_sent_and_nothing_else(self, wired):
        bench = wired
        bench.server.send_signal(signal.SIGKILL)
        with pytest.raises((AnswerLost, NotSent)):
            await asyncio.gather(*(bench.place("BUY", 1, 50_000 + 100 * at) for at in range(100)))
        await bench.until(lambda: not bench.broker.is_connected)
        with pytest.raises(NotSent):
            await bench.broker.connect()


ENGINE = """
import asyncio, os, signal, sys
from qts.broker.sim_client import Line

async def main():
    line = Line("127.0.0.1", int(sys.argv[1]))
    await line.open()
    order = {"symbol": "005930", "side": "BUY", "kind": "LIMIT", "tif": "DAY", "limit": 69_000, "qty": 7}
    await line.ask("place", lambda: order)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_book_outlives_whoever_asked(wired):
    bench = wired
    engine = subprocess.run([sys.executable, "-c", ENGINE, str(bench.proxy._upstream)], check=False, timeout=60)  # noqa: ASYNC221 - the proxy is not in its way
    assert engine.returncode == -signal.SIGKILL
    other = SimSocketBroker("127.0.0.1", bench.proxy._upstream)
    await other.connect()
    (row,) = await other.query_orders()
    await other.close()
    assert (row.qty, row.limit, row.is_live) == (7, 69_000, True)


async def test_market_of_a_broker_in_another_process_can_be_played(wired):
    bench = wired
    await bench.market.transfer_in("005930", 10, 700_000)
    assert list(await bench.broker.query_positions()) == [("005930", 10, 10, 700_000)]
    ack = await bench.place("BUY", 5, 70_000)
    await bench.market.trade("005930", 69_900, 50)  # below the limit: whoever bids more has been served before
    await bench.until(lambda: bench.fills(ack.broker_no))
    await bench.market.reject_next_at_exchange()
    refused = await bench.place("BUY", 5, 60_000)
    await bench.until(lambda: "REJECTED" in bench.notices(refused.broker_no))
    last = await bench.place("BUY", 5, 60_100)
    assert not await bench.market.fill_now(last.broker_no, 6, 60_100)
    await bench.market.end_session()
    await bench.until(lambda: "EXPIRED" in bench.notices(last.broker_no))


async def test_server_that_is_not_the_brokers_is_no_connection(wired):
    async def greet(reader, writer):
        await reader.readline()
        writer.write(b"220 smtp ready\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    other = SimSocketBroker("127.0.0.1", server.sockets[0].getsockname()[1], answer_timeout_ms=200)
    with pytest.raises(NotSent):
        await other.connect()
    assert not other.is_connected
    await other.close()
    server.close()


async def test_stream_that_cannot_be_opened_is_not_up_and_requests_go_on(wired):
    bench = wired
    await bench.cut(link=False, reachable=False)
    with pytest.raises(NotSent, match="no stream"):
        await bench.broker.connect()
    assert not bench.broker.is_stream_up
    await bench.broker.heartbeat()


async def test_client_that_speaks_another_language_is_cut_off_and_nobody_else(wired):
    bench = wired
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"id":1,"do":"dance"}\n',
        b'{"id":1,"do":"place"}\n',
        b"\0" * 100 + b"\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.proxy._upstream)
        writer.write(words)
        assert await reader.read() == b""
        writer.close()
    await bench.broker.heartbeat()


def test_listener_that_does_not_read_is_cut_off_before_the_server_drowns():
    fills = 60_000

    async def test():
        book = SimBook.from_state(state())
        book.transfer_in(symbol=SYMBOL, qty=fills, cost=1)
        server, stop, ports = SimServer(book, SystemClock()), asyncio.Event(), asyncio.Queue()
        serving = asyncio.create_task(server.serve("127.0.0.1", 0, ready=ports.put_nowait, stop=stop))
        reader, writer = await asyncio.open_connection("127.0.0.1", await ports.get(), limit=1_024)
        writer.write(wire.dump({"id": 0, "do": "subscribe"}))
        await reader.readline()
        ack = book.place(symbol=SYMBOL, side="SELL", kind="LIMIT", tif="DAY", limit=80_000, qty=fills, now_ns=1)
        for at in range(fills):
            assert book.fill_now(broker_no=ack.broker_no, qty=1, price=80_000, now_ns=at)
            if at % 100 == 0:
                server._tell()
                await asyncio.sleep(0)
            if not server._listeners:
                break
        assert not server._listeners
        with contextlib.suppress(ConnectionResetError):  # and it is told, in the end, that it is alone
            async with asyncio.timeout(30):
                while await reader.read(1 << 20):
                    pass
        writer.close()
        stop.set()
        await serving

    asyncio.run(test())


def test_server_ends_when_it_is_told_to(tmp_path):
    path = tmp_path / "broker.json"
    path.write_text(state(), encoding="utf-8")
    command = [sys.executable, "-m", "qts.broker.sim_server", "--state", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert int(server.stdout.readline()) > 0
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(10) == 0
