"""The tick store against what it stands on.

Run with: python -m pytest -s benches/test_ticks.py

Both sides of a ratio run in turns, medians count. `copy`: a batch through `PostgresTicks`, position and commit in it,
against asyncpg's `copy_records_to_table` of the same rows, as tuples that are ready, into an identical table.
`encode`: the same without the server. `engine`: the stepped engine without a strategy on a generated session, with and
without recording. `sqlite`: a batch through `SqliteTicks`.
"""

import asyncio
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qts._core import StepEngine, TickSpool, synth_ticks_csv
from qts.data.ticks import PostgresTicks, SqliteTicks
from qts.data.ticks.pgcopy import COLUMNS, encode
from qts.engine.build import catalog_in, load_config
from qts.engine.sample import FIRST_DAY
from qts.engine.synthetic import session_on, synth_config
from qts.feed import write_csv
from qts.instruments import load_calendars

_PLACE = Path(__file__).parents[1] / "tests" / "unit" / "data" / "ticks" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("tick_servers", _PLACE)
servers = importlib.util.module_from_spec(_SPEC)
sys.modules["tick_servers"] = servers
_SPEC.loader.exec_module(servers)


def tell(text):
    sys.stdout.write(f"{text}\n")


BATCH = 8_192
ROUNDS = 25


@pytest.fixture(scope="module")
def server():
    home = Path(tempfile.mkdtemp(prefix="qts-pg-", dir="/tmp"))
    home.chmod(0o755)
    server = servers.Server(home)
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def tuples(rows):
    def price(value, scale):
        return Decimal(int(value)).scaleb(-scale) if value else None

    found = []
    for row in rows:
        symbol, scale, _ = servers.SYMBOLS[row["instrument"]]
        found.append(
            (
                datetime.fromtimestamp(int(row["ts_event_ns"]) // 1_000 / 1e6, UTC), symbol, "QT"[row["kind"]],
                price(row["price"], scale), int(row["qty"]), (None, "BUY", "SELL")[row["side"]],
                price(row["bid"], scale), price(row["ask"], scale), int(row["bid_qty"]) or None,
                int(row["ask_qty"]) or None, "bench", int(row["seq"]), int(row["ts_event_ns"]), int(row["ts_recv_ns"]),
            )
        )  # fmt: skip
    return found


def test_copy(server):
    async def run():
        connection = await server.connect()
        await connection.execute(servers.DDL)
        await connection.execute(servers.DDL.replace("tick_", "raw_"))
        sink = PostgresTicks(server.connect, "bench")
        ours, raw = [], []
        await sink.position()
        for number in range(ROUNDS):
            rows = servers.make(BATCH, 1 + number * BATCH)
            records = tuples(rows)
            begin = time.perf_counter()
            await sink.copy(servers.batch(rows), [], through_seq=int(rows["seq"][-1]))
            ours.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            await connection.copy_records_to_table("raw_data", records=records, columns=COLUMNS)
            raw.append(time.perf_counter() - begin)
        await sink.close()
        await connection.close()
        return ours, raw

    ours, raw = (statistics.median(side[3:]) for side in asyncio.run(run()))
    tell(f"\ncopy: ours {BATCH / ours:,.0f} rows/s, raw asyncpg {BATCH / raw:,.0f} rows/s, ratio {raw / ours:.0%}")
    assert raw / ours >= 0.7


def test_encode():
    batch = servers.batch(servers.make(BATCH))
    encode(batch, "bench")
    tell(f"\nencode: {BATCH / statistics.median(timed(lambda: encode(batch, 'bench')) for _ in range(50)):,.0f} rows/s")


def test_sqlite(tmp_path):
    async def run():
        sink = SqliteTicks(tmp_path, "bench")
        times = []
        for number in range(ROUNDS):
            rows = servers.make(BATCH, 1 + number * BATCH)
            begin = time.perf_counter()
            await sink.copy(servers.batch(rows), [], through_seq=int(rows["seq"][-1]))
            times.append(time.perf_counter() - begin)
        await sink.close()
        return statistics.median(times)

    rate = BATCH / asyncio.run(run())
    tell(f"\nsqlite: {rate:,.0f} ticks/s")
    assert rate >= 5_000


def test_engine(tmp_path):
    config = load_config(None)
    catalog = catalog_in(config, "KRW", ["005930"])
    session = session_on(load_calendars(config.reference)["XKRX"], FIRST_DAY)
    path = tmp_path / "ticks.csv"
    write_csv(path, synth_ticks_csv(catalog.core, synth_config(list(catalog), [session], seed=7, events=1_400_000)))

    def once(spool, *, each=False):
        engine = StepEngine(catalog.core, cash=0, cycle_interval_ns=1_000_000_000)
        engine.add_ticks(str(path))
        if each:
            engine.set_tick_handlers([(lambda _view: None, "SCALP", None)])
        if spool is not None:
            engine.record_ticks(spool)
        took = timed(engine.run)
        return engine.records, took

    for name, each in (("without a strategy", False), ("with a tick strategy in Python", True)):
        without, with_ = [], []
        for number in range(9):
            records, took = once(None, each=each)
            without.append(took)
            place = tmp_path / f"spool-{each}-{number}"
            spool = TickSpool(place)
            with_.append(once(spool, each=each)[1])
            figures = spool.figures()
            assert (figures["taken"], figures["lost"]) == (records, 0)
            spool.close()
            shutil.rmtree(place)
        plain, recorded = statistics.median(without), statistics.median(with_)
        tell(
            f"\nengine {name}: {records / plain / 1e6:.2f} M records/s, recorded {records / recorded / 1e6:.2f} M/s, "
            f"{recorded / plain - 1:+.1%} ({(recorded - plain) / records * 1e9:.1f} ns a record)"
        )
    assert np.isfinite(recorded)
