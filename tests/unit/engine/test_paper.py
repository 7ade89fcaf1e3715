import asyncio
import shutil
import sqlite3
import threading
from datetime import date

import pytest

from qts._core import JournalWriter
from qts.codes import EngineFault, UsageError
from qts.data import SQLiteStore
from qts.engine import Engine
from qts.engine.build import catalog_in, load_config
from qts.engine.synthetic import sessions_from, synth_config
from qts.instruments import load_calendars

SMALL = {"sim.session.symbols": "005930, 000660"}


@pytest.fixture
def small():
    return load_config(None, SMALL)


def engine_for(small, tmp_path, **more) -> Engine:
    return Engine.from_config(small, day=date(2026, 1, 5), seed=3, home=tmp_path, **more)


def test_a_session_ends_flat_with_closed_books(small, tmp_path):
    engine = engine_for(small, tmp_path)
    seen = []
    with asyncio.run(engine.run(on_status=seen.append)) as result:
        assert result.report["positions"] == []
        assert result.report["fills"] > 0
        assert result.report["run"]["mode"] == "SIM"
        assert seen[-1].done == 1.0
        assert seen[-1].equity == int(result.report["account"]["equity_end"])
    with SQLiteStore(tmp_path / "db" / "paper.sqlite") as store:
        assert store.verify() == []
    db = sqlite3.connect(tmp_path / "db" / "paper.sqlite")
    assert db.execute("SELECT status FROM sessions").fetchall() == [("DONE",)]
    db.close()


def test_the_same_seed_gives_the_same_session_in_the_same_store(small, tmp_path):
    hashes = []
    for _ in range(2):
        with asyncio.run(engine_for(small, tmp_path).run()) as result:
            hashes.append(result.report["run"]["decision_hash"])
    assert hashes[0] == hashes[1]


def test_a_stop_ends_working_orders_and_closes_the_books(small, tmp_path):
    engine = engine_for(small, tmp_path)

    def stop_soon(status):
        if status.done > 0.2:
            engine.request_stop()

    with asyncio.run(engine.run(on_status=stop_soon)) as result:
        assert engine.status().working_orders == 0
        assert engine.status().done < 0.5
        assert result.report["run"]["data"][0]["rows"] == engine.status().records
    db = sqlite3.connect(tmp_path / "db" / "paper.sqlite")
    assert db.execute("SELECT status FROM sessions").fetchall() == [("STOPPED",)]
    db.close()


def test_a_fault_ends_the_session_with_its_books_written(small, tmp_path, monkeypatch):
    engine = engine_for(small, tmp_path)

    def break_soon(status):
        if status.fills:
            raise EngineFault("FS031", found="broken", expected="whole")

    with pytest.raises(EngineFault):
        asyncio.run(engine.run(on_status=break_soon))
    db = sqlite3.connect(tmp_path / "db" / "paper.sqlite")
    assert db.execute("SELECT status FROM sessions").fetchall() == [("FAULT",)]
    assert db.execute("SELECT count(*) FROM t_ledger").fetchone()[0] > 0
    db.close()


def test_a_paced_session_follows_the_clock(small, tmp_path):
    engine = engine_for(small, tmp_path, strategy="quote_reversion")
    seen = []

    def watch(status):
        seen.append(status.done)
        if len(seen) > 4:
            engine.request_stop()

    asyncio.run(engine.run(speed=5_000.0, on_status=watch)).close()
    assert seen == sorted(seen)
    assert 0 < seen[2] <= 1


@pytest.mark.parametrize("speed", [0, -1, 1e9])
def test_a_speed_that_makes_no_sense_is_told(small, tmp_path, speed):
    with pytest.raises(UsageError, match="speed"):
        asyncio.run(engine_for(small, tmp_path).run(speed=speed))


def test_another_mode_is_not_built(small, tmp_path):
    with pytest.raises(UsageError, match="live"):
        Engine.from_config(small, mode="live", home=tmp_path)


def test_a_closed_day_gives_the_next_session(small, tmp_path):
    assert Engine.from_config(small, day=date(2026, 1, 1), home=tmp_path).day == date(2026, 1, 2)


def test_a_symbol_without_parameters_cannot_be_simulated():
    config = load_config(None)
    catalog = catalog_in(config, "KRW")
    calendar = load_calendars(config.reference)["XKRX"]
    sessions = sessions_from(calendar, date(2026, 1, 2), 2)
    assert [row.date.day for row in sessions] == [2, 5]
    with pytest.raises(UsageError, match="synth"):
        synth_config([catalog["069500"]], sessions, 1)


def test_a_paced_run_looks_now_and_then_and_leaves_the_rest_of_its_loop_to_others(small, tmp_path):
    looks, beats = [], 0

    async def beside():
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    async def work():
        task = asyncio.create_task(beside())
        try:
            return await engine_for(small, tmp_path).run(speed=10_000.0, on_status=looks.append)
        finally:
            task.cancel()

    with asyncio.run(work()) as result:
        assert result.report["fills"] > 0
    assert len(looks) < 40, "a session of 2.4 s, looked at five times a second"
    assert beats > 2 * len(looks)


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, ValueError])
def test_what_ends_a_run_out_of_turn_leaves_journal_and_database_to_the_next(small, tmp_path, error):
    before = set(threading.enumerate())

    def interrupt(status):
        if status.fills:
            raise error

    with pytest.raises(error):
        asyncio.run(engine_for(small, tmp_path).run(on_status=interrupt))
    assert "qts-books" not in {thread.name for thread in set(threading.enumerate()) - before}
    db = sqlite3.connect(tmp_path / "db" / "paper.sqlite")
    assert db.execute("SELECT status FROM sessions").fetchall() == [("FAULT",)]
    db.close()
    JournalWriter(tmp_path / "journal").close()


def test_a_spool_that_the_ticks_did_not_come_from_does_not_end_the_run(tmp_path):
    """The spool was removed, or brought back from an earlier day: ticks are not kept, the books are."""
    config = load_config(None, SMALL | {"data.store_ticks": True})

    def stop_soon(engine):
        return lambda status: engine.request_stop() if status.done > 0.05 else None

    for expected in ("first", "second"):
        engine = engine_for(config, tmp_path)
        with asyncio.run(engine.run(on_status=stop_soon(engine))):
            pass
        if expected == "first":
            shutil.rmtree(tmp_path / "spool")
    db = sqlite3.connect(tmp_path / "db" / "paper.sqlite")
    assert db.execute("SELECT status FROM sessions").fetchall() == [("STOPPED",), ("STOPPED",)]
    db.close()
