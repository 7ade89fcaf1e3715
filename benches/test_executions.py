"""What an order of SCALP costs from the decision to the ledger: through executions, beside one plain order.

Run with: python -m pytest benches/test_executions.py --benchmark-only -s

Two hundred sessions of one symbol; a strategy buys and sells a hundred times in each. The same market once without any
order, once with each decision as one plain order, once with each through its six stages; all three in turns. What an
order costs is what the processor spent more than without orders, through pipeline, executions, gateway, matcher, books
and the report's line. `extra_info` holds microseconds an order and the ratio of both.
"""

import gc
import itertools
import statistics
import sys

import pytest

from qts.clock import NS_PER_S, SystemClock
from qts.clock.clock import process_time_ns
from qts.data import SQLiteStore
from qts.engine.books import finish, open_books
from qts.engine.build import calendars_of, catalog_in, load_config
from qts.engine.sample import FIRST_DAY
from qts.engine.session import Session
from qts.engine.synthetic import sessions_from
from qts.ops.report import RunRecorder
from qts.strategy import Intent, Strategy

ROUNDS = 3
DAYS = 100
TRIPS = 49
TARGET_US = 40.0
SYMBOL = "005930"
CASH = 100_000_000_000


class InAndOut(Strategy):
    """Buys when it holds nothing and sells all when it does, with every second print."""

    name = "in_and_out"

    def __init__(self, *, trades):
        super().__init__()
        self._trades = trades
        self._turn = 0

    def on_tick(self, tick):
        if not self._trades or tick.kind != "T" or tick.working_buy or tick.working_sell:
            return None
        if tick.position_qty:
            return Intent.exit(tick.symbol, "held", ref_price=tick.bid)
        self._turn += 1  # the same order within a minute would count as a repeated one
        return Intent.entry(tick.symbol, "flat", qty=1 + self._turn % 60, ref_price=tick.ask)


@pytest.fixture(scope="module")
def config():
    return load_config(
        None,
        {
            "operating_state.properties.balanced.max_daily_trades": 100,
            "strategy.reentry_cooldown_s.scalp": 0,
            "operating_state.transition_enabled": False,
            "risk.max_order_krw": 10_000_000,
            "sim.latency_out_ms": 0,
            "sim.latency_in_ms": 0,
            "sim.latency_jitter_ms": 0,
        },
    )


@pytest.fixture(scope="module")
def market(config) -> bytes:
    rows = ["ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"]
    calendar = calendars_of(config, catalog_in(config, "KRW", [SYMBOL]))[0]
    for session in sessions_from(calendar, FIRST_DAY, DAYS):
        for number in range(2 * TRIPS):
            at = session.open_ns + (1_200 + number) * NS_PER_S
            price = 70_000 + 100 * (number % 7)  # what was taken at a price is not shown again there
            rows.append(f"{at},{at},{SYMBOL},Q,,,,{price},900,{price + 100},900\n")
            rows.append(f"{at},{at},{SYMBOL},T,{price},50000,SELL,,,,\n")
    return "".join(rows).encode()


def run(config, market, *, trades, with_executions) -> tuple[float, int]:
    """Processor time in microseconds, and orders."""
    catalog, store, clock = catalog_in(config, "KRW", [SYMBOL]), SQLiteStore(keep_decisions=False), SystemClock()
    books = open_books(store, catalog, mode="BACKTEST", strategy="bench", cash=CASH, config_hash="0" * 64, clock=clock)
    session = Session(
        config=config,
        catalog=catalog,
        calendars=calendars_of(config, catalog),
        strategies=[(InAndOut(trades=trades), [0])],
        cash=CASH,
        clock=clock,
        store=store,
        recorder=RunRecorder(store),
        with_executions=with_executions,
    )
    session.core.add_chunks("bench", iter([market]))
    gc.collect()
    begun_ns = process_time_ns()
    while session.advance() != "end":
        pass
    store.flush()
    spent_ns = process_time_ns() - begun_ns
    orders = session.core.order_counts()["SUBMITTED_TOTAL"]
    finish(books, session, catalog, wall_ns=1, clock=clock).close()
    return spent_ns / 1_000, orders


def test_an_order_through_executions(benchmark, config, market):
    found: dict[str, list[float]] = {"plain": [], "executions": []}

    def one_round() -> None:
        idle, none = run(config, market, trades=False, with_executions=True)
        assert none == 0
        for name in found:
            spent, orders = run(config, market, trades=True, with_executions=name == "executions")
            assert orders == 2 * DAYS * TRIPS, orders
            found[name].append((spent - idle) / orders)

    benchmark.pedantic(one_round, rounds=ROUNDS, iterations=1)
    plain, executions = (statistics.median(found[name]) for name in ("plain", "executions"))
    ratio = statistics.median(two / one for one, two in zip(found["plain"], found["executions"], strict=True))
    more = executions - plain
    benchmark.extra_info |= {
        "plain_us": round(plain, 2),
        "executions_us": round(executions, 2),
        "more_us": round(more, 2),
        "ratio": round(ratio, 2),
        "target_us": TARGET_US,
    }
    sys.stdout.write(
        f"\n  an order: plain {plain:.1f} us, through executions {executions:.1f} us, {more:.1f} us more,"
        f" ratio {ratio:.2f}\n"
    )
    assert not list(itertools.filterfalse(lambda one: one > 0, (plain, executions)))
    if more > TARGET_US and not benchmark.disabled:
        pytest.fail(f"executions add {more:.1f} us to an order; at most {TARGET_US} are wanted")
