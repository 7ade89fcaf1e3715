"""One cycle of the pipeline over a hundred symbols, as the engine runs it, without a market in between.

Run with: python -m pytest benches/test_cycle.py --benchmark-only

A session of 300 minutes in a hundred symbols. With each minute a bar closes in every symbol, so that a wish for each of
them is due in one cycle: the widest cycle there is. Once one strategy trades all symbols, once each symbol has its own.
`extra_info` holds the duration of those cycles in milliseconds, stages and records included; the target of the embedded
profile is a 99th percentile of 20 ms. The last variant keeps decisions durable in a journal before anything is sent.
"""

import time
from pathlib import Path

import pytest

from qts.clock import NS_PER_S, SystemClock, midnight_ns
from qts.data import JournaledStore, SQLiteStore
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.engine.books import finish, open_books
from qts.engine.build import calendars_of, load_config
from qts.engine.sample import FIRST_DAY
from qts.engine.session import Session
from qts.instruments import Catalog
from qts.ops.report import RunRecorder
from qts.strategy import Intent, Requirements, Strategy

SYMBOLS = 100
MINUTES = 300
TARGET_MS = 20.0


class WantsEach(Strategy):
    """Buys a little when it holds nothing and sells all when it does, with every bar."""

    track = "PORTFOLIO"

    def __init__(self, number=0):
        super().__init__()
        self._id = f"wants_{number:03d}"

    @property
    def strategy_id(self):
        return self._id

    def requirements(self):
        return Requirements(bar_interval_ns=60 * NS_PER_S)

    def generate_intents(self, market, execution):
        if execution.position_qty:
            return (Intent.exit(market.symbol, "held"),)
        return (Intent.entry(market.symbol, "flat", weight_ppm=500, confidence=0.95),)


@pytest.fixture(scope="module")
def config():
    return load_config(None)


@pytest.fixture(scope="module")
def catalog(config):
    """A hundred shares under the rules of one."""
    reference = config.reference
    model = reference.instruments["005930"]
    rows = {f"{number:06d}": model for number in range(100_000, 100_000 + SYMBOLS)}
    return Catalog.load(reference.model_copy(update={"instruments": rows}))


@pytest.fixture(scope="module")
def market(catalog) -> bytes:
    rows = ["ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"]
    open_ns = midnight_ns(FIRST_DAY, 9 * 3_600) + (10 * 3_600 + 1) * NS_PER_S  # a special session opens at ten
    for minute in range(MINUTES):
        price = 70_000 + 100 * (minute % 7)
        for seconds in (0, 58):
            at = open_ns + (minute * 60 + seconds) * NS_PER_S
            for one in catalog:
                rows.append(f"{at},{at},{one.symbol},Q,,,,{price},900,{price + 100},900\n")
                rows.append(f"{at},{at},{one.symbol},T,{price},900,SELL,,,,\n")
    return "".join(rows).encode()


def session_of(config, catalog, market, store, strategies) -> Session:
    session = Session(
        config=config,
        catalog=catalog,
        calendars=calendars_of(config, catalog),
        strategies=strategies,
        cash=10_000_000_000,
        clock=SystemClock(),
        store=store,
        recorder=RunRecorder(store),
    )
    session.core.add_chunks("bench", iter([market]))
    return session


def timed(session) -> tuple[list[int], list[int]]:
    """Have the pipeline's cycles timed; the lists fill with nanoseconds of those that decided about each symbol.

    The first is what the wall clock says, the second what the processor says: on a busy machine they are far apart.
    """
    wall, cpu, on_cycle = [], [], session.pipeline.on_cycle

    def measured(*args):
        begin, worked = time.perf_counter_ns(), time.thread_time_ns()
        result = on_cycle(*args)
        if len(result.decisions) >= SYMBOLS:
            wall.append(time.perf_counter_ns() - begin)
            cpu.append(time.thread_time_ns() - worked)
        return result

    session.pipeline.on_cycle = measured
    return wall, cpu


@pytest.mark.parametrize("variant", ["one strategy", "a strategy per symbol", "a strategy per symbol, durable"])
def test_a_cycle_over_a_hundred_symbols(benchmark, config, catalog, market, tmp_path, variant):
    if variant == "one strategy":
        strategies = [(WantsEach(), range(SYMBOLS))]
    else:
        strategies = [(WantsEach(number), [number]) for number in range(SYMBOLS)]
    is_durable = variant.endswith("durable")
    store = _durable(tmp_path) if is_durable else SQLiteStore()
    books = open_books(
        store,
        catalog,
        mode="BACKTEST",
        strategy="bench",
        cash=10_000_000_000,
        config_hash="0" * 64,
        clock=SystemClock(),
    )
    session = session_of(config, catalog, market, store, strategies)
    if is_durable:
        session.pipeline._journal._store = store  # noqa: SLF001 - what a paper session does
    wall, cpu = timed(session)

    def run():
        while session.advance() != "end":
            pass

    benchmark.pedantic(run, rounds=1)
    finish(books, session, catalog, wall_ns=1, clock=SystemClock()).close()
    assert len(wall) > MINUTES // 2, "a wide cycle with nearly every minute"
    assert session.fills > 20, "what the shipped limits of a day let through"
    benchmark.extra_info |= {"cycles": len(wall), "fills": session.fills, "target_ms": TARGET_MS}
    benchmark.extra_info["above_stage_target"] = dict(session.pipeline.budgets.above_target)
    for name, took in (("wall", sorted(wall)), ("cpu", sorted(cpu))):
        for share in (50, 99):
            benchmark.extra_info[f"{name}_p{share}_ms"] = round(took[len(took) * share // 100] / 1e6, 3)
        benchmark.extra_info[f"{name}_max_ms"] = round(took[-1] / 1e6, 3)


def _durable(home: Path) -> JournaledStore:
    store = JournaledStore(SystemClock(), home / "journal", name=lambda: "bench")
    store.behind(SQLiteAdapter(home / "books.sqlite", SystemClock())).open()
    return store
