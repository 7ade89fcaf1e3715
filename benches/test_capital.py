"""What an evaluation of capital costs: one of every cycle, and the dearest there is.

Run with: python -m pytest benches/test_capital.py --benchmark-only -s

Printed is the median in microseconds. `quiet` is a cycle between two closes: new snapshots of the pools, the measures
of the last close. `busy` is an evaluation that proposes and tells as much as it can, of an input that has nothing in
common with the last one.
"""

import sys
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "capital"))

from engine_samples import metric, metrics, moved, pool, pools, profit, sample

from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import POOLS, CapitalEngineInput, Episode
from qts.capital.engine import CapitalEngine

LIMITS_US = {"quiet": 200, "busy": 300}
"""An evaluation of a cycle may take 200; the dearest one comes once a day."""


def quiet() -> list[CapitalEngineInput]:
    """Cycles of one session: what is invested changes, measures and settings are those of the last close."""
    base = sample()
    return [
        base._replace(
            pool_states={name: pool(name, invested_capital=1_000 * number, revision=number) for name in POOLS}
        )
        for number in range(1, 51)
    ]


def busy() -> list[CapitalEngineInput]:
    """Evaluations with a demotion, a promotion, drift and limits, none of which shares a part with another."""
    return [
        sample(
            total_equity=60_000_000 + number,
            pool_states=pools(
                scalp=profit("SCALP", 2_000_000 + number, total=26_000_000),
                swing=pool("SWING", 12_000_000),
                portfolio=pool("PORTFOLIO", 11_000_000),
            ),
            performance_metrics=metrics(portfolio_mdd=metric("0.12"), swing_consecutive_losses=metric(3)),
            transfers_today=(moved("SWING", "PORTFOLIO", 1_000 + number, status="PENDING"),),
            used_keys=frozenset(f"S>W:2025-W{week:02}" for week in range(1, 14)),
            episodes={
                name: Episode(number, is_armed=True, fired_on=None) for name in ("P>W:MDD", "W>S:MDD", "W>S:LOSSES")
            },
            config=replace(CapitalFlowConfig(), pair_cooldown_days=5),
        )
        for number in range(1, 51)
    ]


@pytest.mark.parametrize("inputs", [quiet, busy])
def test_evaluate(benchmark, inputs):
    engine, given = CapitalEngine("en"), inputs()
    if inputs is busy:
        assert engine.evaluate(given[0]).pending_demotions
        assert engine.evaluate(given[0]).pending_promotions
    config = given[0].config
    following = cycle([one._replace(config=config) for one in given])  # settings change between sessions, not cycles
    benchmark.pedantic(lambda: engine.evaluate(next(following)), rounds=2_000, warmup_rounds=100)
    if benchmark.disabled:  # once is not to measure
        return
    median_us = benchmark.stats.stats.median * 1e6
    benchmark.extra_info["median_us"] = median_us
    sys.stdout.write(f"\nevaluate, {inputs.__name__}: {median_us:.0f} us\n")
    assert median_us <= LIMITS_US[inputs.__name__]
