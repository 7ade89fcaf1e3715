"""What only a server's books have to deal with: strangers who write to them, and rows of a run that cannot be."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest

from qts.codes import UsageError
from qts.data.contracts import EquityRow
from qts.data.exceptions import FillConflict, RowInvalid, SourceUnavailable
from qts.data.postgres.errors import told
from qts.data.postgres.outbox import OutboxRows
from qts.data.postgres.runs import _entry, _write_equity
from qts.data.records import JournalAck
from qts.data.settings import ServerSettings

from .contract.samples import FROM, KRW, TO, fill, fill_row, order_row, session
from .postgres_helpers import opened

STRANGER = (
    "INSERT INTO t_ledger (fill_key, timestamp, recorded_at, trade_date, account_id, pool_id, symbol, side, qty, price,"
    " amount, fee, currency, order_id, broker, exec_ns, recv_ns, exec_ref) VALUES ($1, $2, $2, $3, 'main', 'SCALP',"
    " '005930', 'BUY', $4, $5, $6, $7, 'KRW', $8, 'sim', $9, $10, $11)"
)


async def as_stranger(database, one):
    """Write a fill by hand, without locks and without its position."""
    link = await asyncpg.connect(database.admin_dsn)
    await link.execute(
        STRANGER,
        one.fill_key,
        one.timestamp,
        one.trade_date,
        one.qty,
        one.price,
        one.amount,
        one.fee,
        one.order_id,
        one.ts_exec_ns,
        one.ts_recv_ns,
        one.exec_ref,
    )
    await link.close()


def test_a_row_of_a_run_that_appears_between_looking_and_writing_is_no_second_one(postgres, monkeypatch):
    async def run():
        fetch, times, run_session = asyncpg.Connection.fetch, [], session()

        async def raced(connection, query, *values, **options):
            if query.startswith("INSERT INTO t_ledger"):
                times.append(query)
                if len(times) == 1:
                    entry = _entry(run_session, fill_row(1), adapter._instruments["005930"])
                    await as_stranger(postgres, entry.fill)
            return await fetch(connection, query, *values, **options)

        async with opened(postgres) as adapter:
            await adapter.begin_run(run_session)
            monkeypatch.setattr(asyncpg.Connection, "fetch", raced)
            with suppress(FillConflict):  # it is another account's row by hand
                await adapter.write_run(run_session, [fill_row(1), fill_row(2)], [], [])
            assert len(times) == 2
            assert [row.order_id for row in await adapter.run_fills(run_session)] == [2]

    asyncio.run(run())


def test_samples_whose_commit_was_unknown_are_there_once_although_it_is_still_under_way(postgres):
    """A connection is lost in the middle of a commit; the samples are sent again before the server is done with it."""

    async def run():
        one, ack, sample = session(), JournalAck("home equity", 1), EquityRow(5, 100, 20)
        async with opened(postgres) as adapter:
            await adapter.begin_run(one)
            lost = await asyncpg.connect(postgres.admin_dsn)
            under_way = lost.transaction()
            await under_way.start()
            await lost.execute("INSERT INTO journal_ack (journal, seq, acked_at) VALUES ($1, $2, now())", *ack)
            number = await lost.fetchval("SELECT no FROM sessions")
            await _write_equity(lost, number, [sample])
            again = asyncio.create_task(adapter.write_run(one, [], [], [sample], ack=ack))
            watch = await asyncpg.connect(postgres.admin_dsn)
            for _ in range(1_000):
                if await watch.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    break
                await asyncio.sleep(0.01)
            await under_way.commit()
            await again
            assert await adapter.run_equity(one) == [sample]
            await lost.close()
            await watch.close()

    asyncio.run(run())


@pytest.mark.parametrize("changes", [{"reason": "a\0b"}, {"exec_ref": "a\0"}, {"exec_ref": "e" * 400}])
def test_a_fill_that_its_table_cannot_hold_does_not_keep_the_others_out(postgres, changes):
    async def run():
        mine = session()
        async with opened(postgres) as adapter:
            await adapter.begin_run(mine)
            with pytest.raises(FillConflict):
                await adapter.write_run(mine, [fill_row(1), fill_row(2, **changes), fill_row(3)], [], [])
            assert [row.order_id for row in await adapter.run_fills(mine)] == [1, 3]

    asyncio.run(run())
    assert postgres.fetch("SELECT count(*) FROM fill_quarantine")[0][0] == 1


def test_a_row_that_appears_between_looking_and_writing_is_no_second_one(postgres, monkeypatch):
    async def run():
        fetch, times = asyncpg.Connection.fetch, []

        async def raced(connection, query, *values, **options):
            if query.startswith("INSERT INTO t_ledger"):
                times.append(query)
                if len(times) == 1:
                    await as_stranger(postgres, fill(1))
            return await fetch(connection, query, *values, **options)

        async with opened(postgres) as adapter:
            monkeypatch.setattr(asyncpg.Connection, "fetch", raced)
            results = await adapter.apply_fills([fill(1), fill(2)])
            assert [result.status for result in results] == ["DUPLICATE", "INSERTED"]
            assert len(times) == 2
            assert len(await adapter.fetch_ledger(FROM, TO)) == 2
            (difference,) = [one for one in await adapter.verify() if one.what == "qty"]
            assert (difference.from_ledger, difference.stored) == (20, 10)  # the stranger booked no position

    asyncio.run(run())


def test_a_stranger_who_is_always_quicker_is_told_of(postgres, monkeypatch):
    async def run():
        async with opened(postgres) as adapter:
            fetch = asyncpg.Connection.fetch

            async def nothing_written(connection, query, *values, **options):
                rows = await fetch(connection, query, *values, **options)
                return [] if query.startswith("INSERT INTO t_ledger") else rows

            with monkeypatch.context() as patch:
                patch.setattr(asyncpg.Connection, "fetch", nothing_written)
                with pytest.raises(RowInvalid, match="another writer"):
                    await adapter.apply_fill(fill(1))
            assert await adapter.fetch_ledger(FROM, TO) == []

    asyncio.run(run())


def test_verifying_finds_what_was_changed_by_hand(postgres):
    async def change(statement):
        link = await asyncpg.connect(postgres.admin_dsn)
        await link.execute(f"SET session_replication_role = replica; {statement}")  # past the triggers
        await link.close()

    async def run():
        async with opened(postgres) as adapter:
            mine = session()
            await adapter.begin_run(mine)
            await adapter.write_run(mine, [fill_row(1), fill_row(2, "SELL", 4, 71_000)], [order_row(1)], [])
            assert await adapter.verify() == []
            await change("UPDATE positions SET cost_total = cost_total + 1")
            await change("UPDATE t_ledger SET realized_pnl = realized_pnl - 5 WHERE side = 'SELL'")
            await change("UPDATE run_orders SET filled_qty = 9")
            found = {one.what: one.stored - one.from_ledger for one in await adapter.verify(mine.account_id)}
            assert {what.split(" of ")[0]: gap for what, gap in found.items()} == {
                "cost_total": 1,
                "realized_pnl": -5,
                "filled quantity": -1,
            }
            assert await adapter.verify("somebody else") == []

    asyncio.run(run())


@pytest.mark.parametrize("wrong", [{"qty": -1}, {"price": 0}, {"trade_date": "soon"}, {"side": "HOLD"}], ids=str)
def test_a_row_of_a_run_that_cannot_be_is_kept_apart_and_the_others_are_written(postgres, wrong):
    async def run():
        told_of = []
        async with opened(postgres, None, told_of) as adapter:
            mine = session()
            await adapter.begin_run(mine)
            batch = [fill_row(1), fill_row(2)._replace(**wrong), fill_row(3)]
            with pytest.raises(FillConflict):
                await adapter.write_run(mine, batch, [], [])
            assert [row.order_id for row in await adapter.run_fills(mine)] == [1, 3]
            (row,) = await adapter.read("fill_quarantine")
            assert str(next(iter(wrong.values()))) in row["content"]
            assert [code for code, _ in told_of] == ["FS122"]

    asyncio.run(run())


def test_a_run_in_a_currency_that_nobody_knows_is_refused(postgres):
    async def run():
        async with opened(postgres) as adapter:
            with pytest.raises(UsageError, match="XYZ"):
                await adapter.begin_run(session(currency="XYZ"))

    asyncio.run(run())


def test_another_process_registers_and_this_one_sees_it(postgres):
    async def run():
        async with opened(postgres) as one, opened(postgres) as other:
            kakao = replace_symbol("035720")
            await other.register([KRW], [kakao])
            assert (await one.apply_fill(fill(1, symbol="035720"))).status == "INSERTED"

    asyncio.run(run())


def replace_symbol(symbol):
    from .contract.samples import SAMSUNG

    return SAMSUNG._replace(symbol=symbol)


def test_without_a_mirror_nothing_is_put_into_the_outbox(postgres):
    async def run():
        async with opened(postgres) as adapter:
            await adapter.apply_fill(fill(1))
            assert isinstance(adapter, OutboxRows)
            assert await adapter.outbox_pending() == []

    asyncio.run(run())


def test_what_a_broker_sent_is_kept_as_it_was(postgres):
    async def run():
        async with opened(postgres) as adapter:
            raw = json.dumps({"odno": "0000123", "n": 2.5, "종목": "005930"})
            await adapter.apply_fill(replace(fill(1), raw=raw))
            (entry,) = await adapter.fetch_ledger(FROM, TO)
            assert json.loads(entry.fill.raw) == json.loads(raw)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "kind", "words", "code"),
    [
        (asyncpg.DiskFullError("could not extend file"), SourceUnavailable, "disk space", "GR103"),
        (asyncpg.UndefinedTableError('relation "x" does not exist'), None, "db migrate", "FS123"),
        (asyncpg.InsufficientPrivilegeError("permission denied"), SourceUnavailable, "owner", ""),
        (asyncpg.TooManyConnectionsError("sorry"), SourceUnavailable, "log of the server", "GR100"),
        (asyncpg.CheckViolationError("violates check"), RowInvalid, "rules", ""),
        (ConnectionError("rejected SSL upgrade"), SourceUnavailable, "TLS", "GR100"),
        (SourceUnavailable(found="x"), SourceUnavailable, "x", ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_driver_says_is_told_in_words_with_a_next_step(error, kind, words, code):
    said = told(error, ServerSettings())
    assert words in str(said)
    assert said.code == code
    assert kind is None or isinstance(said, kind)
