"""The two places where ticks are recorded: the stepped engine and the live dispatcher."""

import asyncio
import gzip

import numpy as np
import pytest

from qts._core import StepEngine, TickSpool
from qts.codes import UsageError
from qts.data.ticks import RECORD, SessionVolume
from qts.engine.build import catalog_in, load_config
from qts.event import EventConfig, EventDispatcher
from qts.event.ticks import TICK_DTYPE
from qts.event.wire import symbol_count, symbol_name, symbol_number

from .conftest import until


def read_all(spool, count):
    rows, after = [], 0

    def more():
        nonlocal after
        data, table, after, _ = spool.read(after, 10_000)
        if data:
            rows.append((np.frombuffer(data, dtype=RECORD), spool.table(table)))
        return sum(len(part) for part, _ in rows) >= count

    until("durable ticks", more)
    return np.concatenate([part for part, _ in rows]), rows[0][1]


def test_the_engine_records_every_row_of_a_file(sample, spool):
    catalog = catalog_in(load_config(None), "KRW")
    engine = StepEngine(catalog.core, cash=0, queues={"p1_capacity": 16})
    engine.add_ticks(str(sample.ticks))
    engine.record_ticks(spool)
    assert engine.run(max_records=20_000) == "pause"
    partly = engine.records
    assert spool.figures()["taken"] == partly, "what was gathered is handed on when the engine pauses"
    assert engine.run() == "end"
    rows, table = read_all(spool, engine.records)
    assert len(rows) == engine.records
    with gzip.open(sample.ticks, "rt") as file:
        lines = file.read().splitlines()[1:]
    names = {row[0] for row in table}
    assert "005930" in names
    for line, row in zip(lines, rows, strict=True):
        cells = line.split(",")
        found = [
            str(row["ts_event_ns"]), str(row["ts_recv_ns"]), table[row["instrument"]][0], "QT"[row["kind"]],
            *(str(row[name] or "") for name in ("price", "qty")), ("", "BUY", "SELL")[row["side"]],
            *(str(row[name] or "") for name in ("bid", "bid_qty", "ask", "ask_qty")),
        ]  # fmt: skip
        assert found == cells


def test_the_dispatcher_records_ticks_that_its_ring_drops(tmp_path):
    spool = TickSpool(tmp_path / "spool", group_ms=1)
    symbol = symbol_number("005930")

    async def run():
        dispatcher = EventDispatcher(EventConfig.from_settings())
        with pytest.raises(UsageError, match="scales"):
            dispatcher.record_ticks(spool, {"X-NEW": (0, 0)})
        dispatcher.record_ticks(spool, {symbol_name(at): (0, 0) for at in range(symbol_count())})
        records = np.zeros(100_000, dtype=list(TICK_DTYPE))
        records["ts_ns"], records["symbol"], records["price"] = np.arange(1, 100_001), symbol, 70_000
        records["bid"], records["ask"], records["volume"] = 69_900, 70_000, 3
        return dispatcher.dispatch_ticks(records)

    result = asyncio.run(run())
    rows, table = read_all(spool, 100_000)
    assert result.admitted + result.closed + result.refused == 100_000
    assert result.displaced + result.closed > 0
    assert rows["ts_event_ns"].tolist() == list(range(1, 100_001))
    assert {table[number][0] for number in set(rows["instrument"])} == {"005930"}
    assert set(rows["price"]) == {70_000}
    assert set(rows["kind"]) == {1}
    assert (rows["ts_recv_ns"] > 1_700_000_000_000_000_000).all()
    spool.close()


def test_a_volume_of_the_session_becomes_that_of_each_tick():
    volume = SessionVolume()
    volume.seed("005930", 100)
    assert [volume.of_tick("005930", total) for total in (130, 130, 200, 40, 41)] == [30, 0, 70, 40, 1]
    assert volume.of_tick("000660", 900) == 0
    assert volume.resets == {"005930": 1}
