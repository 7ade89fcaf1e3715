"""Ticks in a real PostgreSQL: what is written is what is read, once, whatever dies when."""

import asyncio
import io
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import numpy as np
import pytest

from qts.clock import SystemClock, from_ns
from qts.codes import DataError, UsageError
from qts.data.ticks import PostgresTicks, SinkUnavailable, TickStore, check
from qts.data.ticks.pgcopy import COLUMNS, encode

from .conftest import SYMBOLS, T0, batch, make, put, until


def sink(server, source="test", **options):
    return PostgresTicks(lambda: server.connect("ticks"), source, **options)


async def rows_of(server, query="SELECT * FROM tick_data ORDER BY seq"):
    connection = await server.connect("ticks")
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def expected(row, source="test"):
    """A tick as the table has it, made without numpy's help."""
    symbol, price_scale, _ = SYMBOLS[row["instrument"]]

    def price(name):
        return Decimal(int(row[name])).scaleb(-price_scale) if row[name] else None

    is_trade = bool(row["kind"])
    return (
        datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(row["ts_event_ns"]) // 1_000),
        symbol,
        "T" if is_trade else "Q",
        price("price"),
        int(row["qty"]),
        (None, "BUY", "SELL")[row["side"]],
        price("bid"),
        price("ask"),
        int(row["bid_qty"]) or None,
        int(row["ask_qty"]) or None,
        source,
        int(row["seq"]),
        int(row["ts_event_ns"]),
        int(row["ts_recv_ns"]),
    )


def test_the_server_reads_every_kind_of_row_as_it_was_meant(postgres):
    rows = make(3_000)
    rows["price"][rows["kind"] == 1] = np.resize([1, 9_999_999_999, 10**6, 123_456_789], 1_500)
    rows["instrument"][:] = np.where(rows["price"] > 10**9, 0, rows["instrument"])

    async def run():
        ticks = sink(postgres)
        assert await ticks.copy(batch(rows), [], through_seq=3_000) == 3_000
        await ticks.close()
        return await rows_of(postgres)

    found = [tuple(row) for row in asyncio.run(run())]
    assert found == [expected(row) for row in rows]
    assert {row[5] for row in found} == {None, "BUY", "SELL"}


def test_names_of_other_lengths_and_rows_without_gaps(postgres):
    rows = make(10)
    rows["instrument"] = 0
    rows["kind"], rows["price"], rows["side"] = 1, 5, 2
    for name in ("bid", "bid_qty", "ask", "ask_qty"):
        rows[name] = 7

    async def run():
        ticks = sink(postgres, "원천")
        one = batch(rows)._replace(symbols=(("가나", 8, 0),))
        await ticks.copy(one, [], through_seq=10)
        await ticks.close()
        return await rows_of(postgres)

    found = asyncio.run(run())
    assert {(row["symbol"], row["source"], row["price"], row["side"]) for row in found} == {
        ("가나", "원천", Decimal("0.00000005"), "SELL")
    }


def test_the_same_batch_twice_is_there_once_and_a_half_known_one_is_completed(postgres):
    rows = make(200)

    async def run():
        first, second = sink(postgres), sink(postgres)
        assert await second.position() == 0
        assert await first.copy(batch(rows[:100]), [], through_seq=100) == 100
        # The other one still believes that nothing is there.
        assert await second.copy(batch(rows), [], through_seq=200) == 100
        assert await first.copy(batch(rows), [], through_seq=200) == 0
        assert await first.position() == 200
        for one in (first, second):
            await one.close()
        return await rows_of(postgres)

    assert [row["seq"] for row in asyncio.run(run())] == list(range(1, 201))


def test_what_is_rejected_stands_apart_with_its_cause(postgres):
    rows = make(8)
    rows["kind"], rows["price"] = 1, 100
    rows["ts_event_ns"][0] = rows["ts_recv_ns"][0] + 2_000_000_001
    rows["ts_event_ns"][1] = rows["ts_recv_ns"][1] - 86_400_000_000_001
    rows["price"][2] = 0
    rows["qty"][3] = -1
    rows["price"][4] = 10**10
    rows["instrument"][4:6] = 0
    rows["bid"][5] = rows["ask"][5] = 100
    rows["instrument"][6] = 9
    found = check(batch(rows))
    assert [(one.row["seq"], one.cause) for one in found.rejected] == [
        (1, "FUTURE"), (2, "STALE"), (3, "PRICE"), (4, "VOLUME"), (5, "RANGE"), (7, "SYMBOL"),
    ]  # fmt: skip
    assert (found.crossed, list(found.batch.rows["seq"])) == (1, [6, 8])

    async def run():
        ticks = sink(postgres)
        assert await ticks.copy(found.batch, found.rejected, through_seq=8) == 2
        await ticks.close()
        return await rows_of(postgres), await rows_of(postgres, "SELECT * FROM tick_quarantine ORDER BY seq")

    kept, apart = asyncio.run(run())
    assert [row["seq"] for row in kept] == [6, 8]
    assert [(row["seq"], row["cause"], row["symbol"]) for row in apart][-2:] == [
        (5, "RANGE", "005930"),
        (7, "SYMBOL", "#9"),
    ]


def test_a_range_is_closed_at_its_start_and_open_at_its_end(postgres):
    rows = make(900)
    rows["ts_event_ns"] = T0 + np.arange(900) // 3 * 1_000_000

    async def run():
        ticks = sink(postgres)
        await ticks.copy(batch(rows), [], through_seq=900)
        start = from_ns(T0 + 10_000_000)
        found = await ticks.fetch_ticks("005930", start, from_ns(T0 + 20_000_000), 1_000)
        few = await ticks.fetch_ticks("005930", start, from_ns(T0 + 20_000_000), 3)
        none = await ticks.fetch_ticks("005930", start, from_ns(T0 + 20_000_000), 3, source="other")
        blocks = [block async for block in ticks.stream(from_ns(T0), from_ns(T0 + 10**9))]
        for start_, end, limit in (
            (start, start, 1), (start.replace(tzinfo=None), start, 1), (start, start + timedelta(days=400), 1),
            (start, start + timedelta(1), 0),
        ):  # fmt: skip
            with pytest.raises(UsageError):
                await ticks.fetch_ticks("005930", start_, end, limit)
        await ticks.close()
        return found, few, none, blocks

    found, few, none, blocks = asyncio.run(run())
    assert [(row.time, row.seq) for row in found] == sorted((row.time, row.seq) for row in found)
    assert [row.seq for row in found] == [row["seq"] for row in rows[30:60] if row["instrument"] == 0]
    assert found[0] == expected(rows[found[0].seq - 1])
    assert (few, none) == (found[:3], [])
    assert [row.seq for block in blocks for row in block] == list(range(1, 901))


class Carried:
    """A tick store over a spool, with what it reported."""

    def __init__(self, spool, make_sink, **options):
        self.told = []
        self.store = TickStore(
            spool, make_sink, clock=SystemClock(), report=lambda *what: self.told.append(what), **options
        )
        self.store.start()

    def codes(self):
        return [code for code, _ in self.told]


def test_a_server_that_is_killed_and_comes_back_has_every_tick_once_and_in_order(postgres, spool):
    carried = Carried(spool, lambda: sink(postgres, timeout_s=3))
    total, halt = [0], threading.Event()

    def feed():
        while not halt.is_set():
            put(spool, make(2_000, total[0] + 1))
            total[0] += 2_000
            halt.wait(0.02)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for _ in range(2):
            goal = carried.store.figures().stored + 20_000
            until("ticks on their way", lambda goal=goal: carried.store.figures().stored > goal)
            postgres.kill()
            until("a failure", lambda: carried.store.figures().failures > 1)
            postgres.start()
            until("an answer", lambda: carried.store.figures().failures == 0)
    finally:
        halt.set()
        feeder.join()
    assert carried.store.stop(60)
    found = asyncio.run(rows_of(postgres, "SELECT volume, kind, seq, event_ns FROM tick_data ORDER BY seq"))
    assert [row["event_ns"] for row in found] == (T0 + np.arange(1, total[0] + 1) * 1_001).tolist()
    assert carried.store.figures().lost == 0
    assert carried.codes().count("GR100") == 4


def test_a_connection_that_is_cut_inside_the_transaction_leaves_nothing_half(postgres, spool):
    cut = []

    class Cut(PostgresTicks):
        async def _write(self, connection, batch, rejected):
            await super()._write(connection, batch, rejected)
            if len(cut) < 3:
                cut.append(await connection.fetchval("SELECT count(*) FROM tick_data"))
                other = await postgres.connect("ticks")
                await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
                await other.close()

    carried = Carried(spool, lambda: Cut(lambda: postgres.connect("ticks"), "test"))
    put(spool, make(5_000))
    until("everything", lambda: carried.store.figures().stored == 5_000)
    assert carried.store.stop()
    assert len(cut) == 3
    assert min(cut) > 0
    found = asyncio.run(rows_of(postgres))
    assert [row["event_ns"] for row in found] == (T0 + np.arange(1, 5_001) * 1_001).tolist()


def test_an_answer_that_is_lost_after_the_commit_repeats_nothing(postgres, spool):
    lost = []

    class Deaf(PostgresTicks):
        async def copy(self, batch, rejected, *, through_seq):
            done = await super().copy(batch, rejected, through_seq=through_seq)
            if len(lost) < 2:
                lost.append(done)
                await self.close()
                self._position = None
                raise SinkUnavailable("GR100", found="the answer was lost", expected="an answer", hint="")
            return done

    carried = Carried(spool, lambda: Deaf(lambda: postgres.connect("ticks"), "test"))
    put(spool, make(20_000))
    until("everything", lambda: not carried.store.figures().behind)
    assert carried.store.stop()
    assert lost == [8_192, 0] or sum(lost) > 0
    found = asyncio.run(rows_of(postgres))
    assert [row["event_ns"] for row in found] == (T0 + np.arange(1, 20_001) * 1_001).tolist()


def test_a_server_that_is_slow_costs_time_and_no_memory_or_ticks(postgres, spool):
    async def lock():
        connection = await postgres.connect("ticks")
        await connection.execute("BEGIN; LOCK TABLE tick_data IN ACCESS EXCLUSIVE MODE")
        return connection

    loop = asyncio.new_event_loop()
    holder = loop.run_until_complete(lock())
    carried = Carried(spool, lambda: sink(postgres, timeout_s=0.3))
    put(spool, make(10_000))
    until("time-outs", lambda: carried.store.figures().failures >= 2)
    assert carried.store.figures().stored == 0
    loop.run_until_complete(holder.execute("COMMIT"))
    loop.run_until_complete(holder.close())
    loop.close()
    until("everything", lambda: carried.store.figures().stored == 10_000)
    assert carried.store.stop()
    assert len(asyncio.run(rows_of(postgres))) == 10_000


def test_a_spool_that_is_not_the_one_the_ticks_came_from_is_refused(postgres, spool):
    async def ahead():
        ticks = sink(postgres)
        await ticks.copy(batch(make(3, first=1 << 40)), [], through_seq=(1 << 40) + 3)
        await ticks.close()

    asyncio.run(ahead())
    carried = Carried(spool, lambda: sink(postgres))
    with pytest.raises(DataError, match="bring the spool directory back"):
        carried.store.stop()


def test_stopping_while_there_is_no_server_says_that_ticks_are_left(tmp_path, spool):
    async def refused():
        raise ConnectionRefusedError

    put(spool, make(10))
    carried = Carried(spool, lambda: PostgresTicks(refused, "test"))
    until("a failure", lambda: carried.store.figures().failures > 0)
    assert carried.store.stop() is False
    assert carried.codes() == ["GR100"]


def test_the_copy_is_the_one_that_asyncpg_makes(postgres):
    """The same rows through asyncpg's own encoder give the same table."""
    rows = make(500)

    async def run():
        connection = await postgres.connect("ticks")
        records = [expected(row) for row in rows]
        await connection.execute("CREATE TABLE other (LIKE tick_data)")
        await connection.copy_records_to_table("other", records=records, columns=COLUMNS)
        await connection.copy_to_table(
            "tick_data", source=io.BytesIO(encode(batch(rows), "test")), columns=COLUMNS, format="binary"
        )
        differences = await connection.fetchval(
            "SELECT count(*) FROM (SELECT * FROM other EXCEPT ALL SELECT * FROM tick_data) AS missing"
        )
        await connection.close()
        return differences

    assert asyncio.run(run()) == 0


def test_a_source_without_a_place_in_the_table_is_refused():
    for name in ("x" * 21,):
        with pytest.raises(UsageError, match="1 to 20"):
            PostgresTicks(asyncpg.connect, name)
