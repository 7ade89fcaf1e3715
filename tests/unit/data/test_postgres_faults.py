"""A real server is killed, cut off, slow, full and crowded: what was acknowledged is in the ledger, each fill once."""

import asyncio
import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from qts.clock import SimClock, SystemClock
from qts.codes import UsageError
from qts.data.exceptions import AdapterError, DeadlineExceeded, FillConflict, PoolExhausted, SourceUnavailable
from qts.data.postgres import TimescaleDBAdapter
from qts.data.postgres.booking import _ACCOUNT_LOCK
from qts.data.records import JournalAck
from qts.data.settings import PoolSizes, Retries

from ...servers import started_server
from .contract.samples import FROM, TO, equity_row, fill, fill_row, order_row, session
from .postgres_helpers import PATIENT, opened, settings_of

START_NS = 1_704_153_600_000_000_000


async def numbers(adapter):
    """Order numbers in the ledger, in the order of booking."""
    return [int(entry.fill.order_id) for entry in await adapter.fetch_ledger(FROM, TO)]


async def is_whole(adapter, wanted):
    """Each wanted fill stands once, and the position is what follows from them."""
    assert await numbers(adapter) == wanted
    position = await adapter.get_position("005930", "SCALP")
    assert (position.qty, position.version) == (10 * len(wanted), len(wanted))
    assert await adapter.verify() == []


class TestKilled:
    @pytest.mark.parametrize("fatal", [7, 30])
    def test_what_was_acknowledged_survives_and_the_rest_comes_once(self, postgres_private, fatal):
        async def run():
            acknowledged = []
            async with opened(postgres_private) as adapter:
                half_way = asyncio.Event()

                async def trade():
                    for number in range(1, 101):
                        await adapter.apply_fills([fill(number)], ack=JournalAck("orders", number))
                        acknowledged.append(number)
                        if number == fatal:
                            half_way.set()

                async def kill():
                    await half_way.wait()
                    await asyncio.to_thread(postgres_private.server.kill9)

                with pytest.raises(SourceUnavailable):
                    await asyncio.gather(trade(), kill())
                await asyncio.to_thread(postgres_private.server.start)
                there = await numbers(adapter)
                assert there[: len(acknowledged)] == acknowledged
                assert len(there) - len(acknowledged) in (0, 1)  # one may be in without our having heard of it
                assert await adapter.journal_ack("orders") == len(there)
                for number in range(1, 101):  # the journal brings everything again
                    await adapter.apply_fill(fill(number))
                await is_whole(adapter, list(range(1, 101)))

        asyncio.run(run())

    def test_an_outage_is_told_once_then_as_a_fault_and_forgotten_when_over(self, postgres_private):
        async def run():
            told, clock = [], SimClock(START_NS)
            retries = Retries(attempts=1, breaker_failures=3)
            async with opened(postgres_private, clock, told, retries=retries) as adapter:
                told.clear()  # the clock of the test is not the server's
                postgres_private.server.stop()
                for _ in range(3):
                    with pytest.raises(SourceUnavailable):
                        await adapter.fetch_positions()
                assert [code for code, _ in told] == ["GR100"]
                with pytest.raises(SourceUnavailable, match="3 times in a row"):
                    await adapter.fetch_positions()
                health = await adapter.health_check()
                assert not health.healthy
                clock.advance_to(clock.now_ns() + 300 * 10**9)
                with pytest.raises(SourceUnavailable, match="cannot be reached"):
                    await adapter.fetch_positions()
                assert [code for code, _ in told] == ["GR100", "FS120"]
                assert adapter.outage_ms == 300_000
                postgres_private.server.start()
                clock.advance_to(clock.now_ns() + 31 * 10**9)
                assert await adapter.fetch_positions() == []
                assert adapter.outage_ms == 0
                assert (await adapter.health_check()).healthy

        asyncio.run(run())


class TestCutOff:
    def test_a_connection_cut_inside_the_transaction_is_done_again_once(self, postgres):
        async def run():
            async with opened(postgres) as adapter:
                execute, cuts = asyncpg.Connection.execute, []

                async def cutting(connection, query, *values, **options):
                    if query.startswith("INSERT INTO journal_ack") and not cuts:  # the last statement before the commit
                        cuts.append(connection.get_server_pid())
                        admin = await asyncpg.connect(postgres.admin_dsn)
                        await admin.execute("SELECT pg_terminate_backend($1)", cuts[0])
                        await admin.close()
                    return await execute(connection, query, *values, **options)

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(asyncpg.Connection, "execute", cutting)
                    results = await adapter.apply_fills([fill(1)], ack=JournalAck("orders", 1))
                assert len(cuts) == 1
                assert [result.status for result in results] == ["INSERTED"]
                await is_whole(adapter, [1])
                assert await adapter.journal_ack("orders") == 1

        asyncio.run(run())

    def test_a_batch_of_a_run_that_comes_again_from_the_journal_writes_nothing_twice(self, postgres):
        async def run():
            async with opened(postgres) as adapter:
                mine = session()
                await adapter.begin_run(mine)
                batch = ([fill_row(1)], [order_row(1)], [equity_row(1), equity_row(2)])
                for known in (0, 1, 1):
                    assert await adapter.write_run(mine, *batch, ack=JournalAck("orders", 4)) == known
                assert len(await adapter.run_equity(mine)) == 2
                assert await adapter.write_run(mine, [], [], [equity_row(3)], ack=JournalAck("orders", 5)) == 0
                assert len(await adapter.run_equity(mine)) == 3
                assert await adapter.verify() == []

        asyncio.run(run())

    def test_every_way_out_of_a_transaction_leaves_the_connection_clean(self, postgres):
        async def run():
            sizes = PoolSizes(trading=1, ingest=1, analytics=1)
            async with opened(postgres, pool=sizes) as adapter:
                await adapter.apply_fill(fill(1))
                for _ in range(3):
                    with pytest.raises(FillConflict):
                        await adapter.apply_fill(fill(1, price=69_000))
                    with pytest.raises(AdapterError):
                        await adapter.write("strategies", {"strategy_id": "x"})
                    task = asyncio.ensure_future(adapter.apply_fill(fill(2)))
                    await asyncio.sleep(0)
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                hanging = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                assert await adapter._pools.run("trading", lambda link: link.fetchval(hanging)) == 0
                await adapter.apply_fill(fill(2))
                await is_whole(adapter, [1, 2])

        asyncio.run(run())


class TestReplica:
    def test_a_replica_that_lags_behind_is_told(self, postgres, monkeypatch):
        async def run():
            told = []
            async with opened(postgres, None, told) as adapter:
                assert (await adapter.health_check()).replication_lag_s is None
                monkeypatch.setattr("qts.data.postgres.adapter._LAG", "SELECT 12.5::float8")
                health = await adapter.health_check()
                assert (health.healthy, health.replication_lag_s) == (True, 12.5)
                assert [code for code, _ in told] == ["GR104"]

        asyncio.run(run())


class TestSlow:
    def test_a_lock_that_is_held_ends_in_a_deadline_and_nothing_is_written(self, postgres):
        async def run():
            async with opened(postgres, timeouts=replace(PATIENT, lock=50), retries=Retries(attempts=2)) as adapter:
                holder = await asyncpg.connect(postgres.admin_dsn)
                await holder.execute("SELECT pg_advisory_lock($1::int, hashtext('main'))", _ACCOUNT_LOCK)
                with pytest.raises(DeadlineExceeded):
                    await adapter.apply_fill(fill(1))
                assert await numbers(adapter) == []
                assert adapter.outage_ms == 0  # the server is there
                await holder.close()
                assert (await adapter.apply_fill(fill(1))).status == "INSERTED"

        asyncio.run(run())

    def test_a_slow_statement_ends_by_its_deadline(self, postgres):
        async def run():
            async with opened(postgres, timeouts=replace(PATIENT, statement=50)) as adapter:
                with pytest.raises(DeadlineExceeded):
                    await adapter._pools.run("trading", lambda link: link.execute("SELECT pg_sleep(60)"))

        asyncio.run(run())

    def test_reports_wait_while_the_books_are_slow(self, postgres):
        async def run():
            told, clock = [], SimClock(START_NS)
            async with opened(postgres, clock, told) as adapter:

                async def slow(link):
                    clock.advance_to(clock.now_ns() + 600_000_000)
                    return await link.fetchval("SELECT 1")

                for _ in range(64):
                    await adapter._pools.run("trading", slow)
                assert "GR102" in [code for code, _ in told]
                with pytest.raises(SourceUnavailable, match="reports wait"):
                    await adapter.fetch_ledger(FROM, TO)
                assert (await adapter.apply_fill(fill(1))).status == "INSERTED"
                clock.advance_to(clock.now_ns() + 31 * 10**9)
                assert len(await adapter.fetch_ledger(FROM, TO)) == 1

        asyncio.run(run())

    def test_a_crowd_waits_a_moment_and_is_told(self, postgres):
        async def run():
            told = []
            sizes, times = PoolSizes(trading=2, ingest=1, analytics=1), replace(PATIENT, acquire=50)
            async with opened(postgres, None, told, pool=sizes, timeouts=times) as adapter:
                told.clear()
                async with adapter._pools.connection("trading"), adapter._pools.connection("trading"):
                    with pytest.raises(PoolExhausted):
                        await adapter.get_position("005930", "SCALP")
                assert [code for code, _ in told] == ["GR101"]
                assert await adapter.get_position("005930", "SCALP") is None

        asyncio.run(run())


class TestCrowd:
    def test_a_thousand_times_the_same_fill_at_once_is_one_row(self, postgres):
        async def run():
            patient = replace(PATIENT, acquire=60_000, lock=60_000, statement=60_000)
            async with (
                opened(postgres, timeouts=patient) as one,
                opened(postgres, timeouts=patient) as other,
            ):
                calls = [(one, other)[number % 2].apply_fill(fill(1)) for number in range(1_000)]
                statuses = [result.status for result in await asyncio.gather(*calls)]
                assert sorted(statuses) == ["DUPLICATE"] * 999 + ["INSERTED"]
                await is_whole(one, [1])

        asyncio.run(run())

    def test_a_writer_who_keeps_to_no_lock_cannot_make_a_second_row(self, postgres):
        """The unique key decides: the row that is there first stands."""

        async def run():
            async with opened(postgres, timeouts=PATIENT) as adapter:
                stranger = await asyncpg.connect(postgres.admin_dsn)
                await adapter.apply_fill(fill(1))
                change = stranger.transaction()
                await change.start()
                await stranger.execute(
                    "INSERT INTO t_ledger (fill_key, timestamp, recorded_at, trade_date, account_id, pool_id, symbol,"
                    " side, qty, price, amount, fee, currency, order_id, broker, exec_ns, recv_ns, exec_ref)"
                    " SELECT $1, $2, recorded_at, trade_date, account_id, pool_id, symbol, side, qty, price, amount,"
                    " fee, currency, '0000000002', broker, $3, recv_ns, 'E2' FROM t_ledger",
                    fill(2).fill_key,
                    fill(2).timestamp,
                    fill(2).ts_exec_ns,
                )
                ours = asyncio.ensure_future(adapter.apply_fill(fill(2)))
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                while not await stranger.fetchval(waiting):
                    assert not ours.done()
                    await stranger.execute("SELECT pg_stat_clear_snapshot()")
                    await asyncio.sleep(0)
                await change.commit()
                assert (await ours).status == "DUPLICATE"
                assert await numbers(adapter) == [1, 2]
                await stranger.close()

        asyncio.run(run())

    def test_one_process_owns_an_account(self, postgres):
        async def run():
            async with opened(postgres) as one, opened(postgres) as other:
                await one.claim_account("main")
                await one.claim_account("main")
                with pytest.raises(UsageError, match="owned by another process"):
                    await other.claim_account("main")
                await other.claim_account("second")
                assert (one.owns_account("main"), other.owns_account("main")) == (True, False)
                await one.release_account("main")
                await other.claim_account("main")

        asyncio.run(run())


@pytest.fixture
def small_disk(tmp_path):
    """A server on a file system of 160 MB, and a file on it that can be removed to make room."""
    mount = Path("/tmp") / f"qpgdisk{os.getpid()}"  # noqa: S108 - the server's user must get there
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(mount)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        mount.rmdir()
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    server = None
    try:
        server = started_server(data=mount, options=("wal_recycle=off", "min_wal_size=32MB"))
        yield server, mount / "ballast"
    finally:
        if server is not None:
            server.destroy()
        subprocess.run(["umount", str(mount)], check=True)  # noqa: S607 - wherever it is
        mount.rmdir()


class TestFullDisk:
    def test_a_full_disk_is_told_and_nothing_of_it_is_half_written(self, small_disk):
        server, ballast = small_disk
        database = server.new_database("migrated")

        async def fill_up():
            told, acknowledged = [], []
            async with opened(database, None, told, retries=Retries(attempts=1)) as adapter:
                with ballast.open("wb") as file, suppress(OSError):
                    while True:
                        file.write(bytes(65_536))

                async def go_on():
                    for number in range(1, 200_000, 500):
                        batch = [fill(one, reason="x" * 500) for one in range(number, number + 500)]
                        await adapter.apply_fills(batch, ack=JournalAck("orders", number + 499))
                        acknowledged.extend(range(number, number + 500))

                with pytest.raises(SourceUnavailable):
                    await go_on()
                assert {code for code, _ in told} & {"GR100", "GR103"}
            return acknowledged

        acknowledged = asyncio.run(fill_up())
        ballast.unlink()
        if server._process.poll() is not None:  # it could not write its log and has stopped itself
            server._process = None
        server.restart()

        async def look():
            async with opened(database) as adapter:
                there = await numbers(adapter)
                assert there[: len(acknowledged)] == acknowledged
                assert len(there) % 500 == 0  # a batch is in or not
                assert await adapter.journal_ack("orders") == len(there)
                await adapter.apply_fills([fill(one) for one in range(len(there) + 1, len(there) + 11)])
                await is_whole(adapter, list(range(1, len(there) + 11)))

        asyncio.run(look())


def test_the_password_is_in_no_message(postgres):
    async def run():
        settings = settings_of(postgres)
        wrong = replace(settings, password=type(settings.password)("not-this-one"))
        adapter = TimescaleDBAdapter(wrong, SystemClock())
        with pytest.raises(SourceUnavailable) as caught:
            await adapter.open()
        assert "DB_PASSWORD" in str(caught.value)
        assert "not-this-one" not in f"{caught.value} {caught.value.render()} {wrong!r}"

    asyncio.run(run())
