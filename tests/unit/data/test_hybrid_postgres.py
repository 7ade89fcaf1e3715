"""Journal, a real PostgreSQL and the sheets: the server is killed in the middle, and each holds every fill once."""

import asyncio

import pytest
from pydantic import SecretStr

from qts._core import JournalWriter
from qts.clock import SystemClock
from qts.data.hybrid import FillJournal, HybridAdapter, MirrorPace
from qts.data.migration import MarketState, Migration
from qts.data.postgres import TimescaleDBAdapter
from qts.data.settings import ServerSettings

from ...servers import APP, APP_PASSWORD
from ...sheets_samples import make_book, sheets
from ...sheets_server import SheetsServer
from .contract.samples import FROM, HYNIX, KRW, SAMSUNG, TO, fill


def books_on(database):
    settings = ServerSettings(
        host=str(database.server.socket_dir),
        port=database.server.port,
        database=database.name,
        user=APP,
        password=SecretStr(APP_PASSWORD),
        mirror=True,
    )
    return TimescaleDBAdapter(settings, SystemClock())


def hybrid_on(database, server, path, told):
    writer = JournalWriter(path / "journal")
    adapter = HybridAdapter(
        primary=books_on(database),
        sheets=sheets(server, path, clock=SystemClock()),
        journal=FillJournal(writer, path / "journal"),
        clock=SystemClock(),
        report=lambda code, message: told.append(code),
        pace=MirrorPace(interval_s=0.05, batch=20),
    )
    return adapter, writer


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - servers tell nobody
            await asyncio.sleep(0.02)


def test_a_server_killed_under_way_loses_and_repeats_nothing(postgres_private, tmp_path):
    told = []

    async def scenario(server):
        adapter, writer = hybrid_on(postgres_private, server, tmp_path, told)
        await adapter.open()
        await adapter.register([KRW], [SAMSUNG, HYNIX])
        statuses = [(await adapter.apply_fill(fill(number))).status for number in range(1, 11)]
        assert statuses == ["INSERTED"] * 10
        booking = [asyncio.create_task(adapter.apply_fill(fill(number))) for number in range(11, 31)]
        await asyncio.to_thread(postgres_private.server.kill9)
        assert {(await one).status for one in booking} <= {"INSERTED", "SPOOLED", "DUPLICATE"}
        assert (await adapter.apply_fill(fill(31))).status == "SPOOLED"
        assert told[0] == "GR100"
        await adapter.close()  # the engine goes as well, with the database still away
        writer.close()

        adapter, writer = hybrid_on(postgres_private, server, tmp_path, told)
        await adapter.open()
        await adapter.register([KRW], [SAMSUNG, HYNIX])
        assert (await adapter.apply_fill(fill(32))).status == "SPOOLED"
        await asyncio.to_thread(postgres_private.server.start)

        async def settled():
            return adapter.spool.settled and not (await adapter.primary.outbox_waiting())[0]

        await until(settled)
        assert (await adapter.apply_fill(fill(33))).status == "INSERTED"
        await adapter.mirror.drain()
        ledger = await adapter.fetch_ledger(FROM, TO)
        on_sheet = await adapter.sheets.ledger()
        (held,), (shown,) = await adapter.fetch_positions(), await adapter.sheets.fetch_positions()
        wrong = await adapter.primary.verify()
        await adapter.close()
        writer.close()
        return ledger, on_sheet, held, shown, wrong

    with SheetsServer() as server:
        make_book(server)
        ledger, on_sheet, held, shown, wrong = asyncio.run(scenario(server))
    assert [one.fill for one in ledger] == [fill(number) for number in range(1, 34)]
    assert [one.fill for one in on_sheet.values()] == [one.fill for one in ledger]
    assert (held.qty, held.cost_total, held.version) == (330, 330 * 70_000, 33)
    assert (shown.qty, shown.cost_total, shown.version) == (held.qty, held.cost_total, held.version)
    assert wrong == []


@pytest.mark.parametrize("back", [False, True])
def test_the_phases_on_a_server(postgres, tmp_path, back):
    async def scenario(server):
        db, book = books_on(postgres), sheets(server, tmp_path)
        for part in (db, book):
            await part.open()
            await part.register([KRW], [SAMSUNG, HYNIX])
        await book.apply_fills([fill(1), fill(2, "SELL", 4), fill(3, symbol="000660")])
        migration = Migration(db, book, SystemClock(), session_date=lambda moment: moment.date(), gate_days=0)
        world = MarketState(market_open=False, safety="NORMAL")
        await migration.begin("kim", fresh=False)
        for _ in range(5):
            await migration.advance("kim", world)
        await db.apply_fill(fill(4))
        if back:
            await migration.rollback("kim", world)
        state = await migration.status()
        keys = [one.fill.fill_key for one in await db.fetch_ledger(FROM, TO)]
        on_sheet = list(await book.ledger())
        for part in (db, book):
            await part.close()
        return state, keys, on_sheet

    with SheetsServer() as server:
        make_book(server)
        state, keys, on_sheet = asyncio.run(scenario(server))
    assert len(keys) == 4
    assert (state.phase, state.mode) == ((2, "HYBRID") if back else (5, "DB_ONLY"))
    assert on_sheet == (keys if back else keys[:3])
