"""Whole backtests, as a user runs them: a file in, orders, ledger, result. No path of their own.

Run with: python -m pytest benches --benchmark-only

The tick file is generated: one synthetic session of one symbol with about a million records, as dense as a busy market
(some 45 a second). `extra_info` holds records per second of the run itself, without configuration and start-up.
`ReadOnly` is the floor: the same file and the same cycles without a strategy.
"""

from pathlib import Path

import pytest

import qts
from qts._core import synth_ticks_csv
from qts.clock import midnight_ns
from qts.engine.build import catalog_in, load_config
from qts.engine.sample import FIRST_DAY
from qts.engine.synthetic import session_on, synth_config
from qts.feed import write_csv
from qts.instruments import load_calendars


@pytest.fixture(scope="module")
def ticks(tmp_path_factory) -> Path:
    config = load_config(None)
    catalog = catalog_in(config, "KRW", ["005930"])
    session = session_on(load_calendars(config.reference)["XKRX"], FIRST_DAY)
    assert session.open_ns > midnight_ns(FIRST_DAY)
    path = tmp_path_factory.mktemp("ticks") / "ticks.csv"
    market = synth_config(list(catalog), [session], seed=7, events=1_400_000)
    write_csv(path, synth_ticks_csv(catalog.core, market))
    return path


class ReadOnly(qts.Strategy):
    """Wants nothing."""

    name = "read_only"


class EveryTick(qts.Strategy):
    """Looks at every tick and wants nothing: the floor of a tick strategy in Python."""

    name = "every_tick"

    def on_tick(self, tick):
        if tick.bid > tick.ask > 0:
            raise AssertionError("crossed")


@pytest.mark.parametrize("strategy", [ReadOnly, EveryTick, "quote_reversion", "ema_cross"], ids=str)
def test_ticks_through_the_normal_path(benchmark, ticks, strategy):
    def run():
        with qts.backtest(ticks, strategy=strategy) as result:
            return result.report

    report = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    records = report["events"]["P1"]["admitted"]
    benchmark.extra_info["records"] = records
    benchmark.extra_info["records_per_s"] = round(records / benchmark.stats.stats.median) if benchmark.enabled else 0
    benchmark.extra_info["orders"] = sum(report["orders"].values())
    assert records > 800_000
    assert report["events"]["P0"]["dropped"] == 0
