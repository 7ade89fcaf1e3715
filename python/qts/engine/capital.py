"""Capital in a run: the pools between the core's table, the pipeline, the transfer service and the report."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from qts.capital import CapitalBooks, CapitalEngine, PauseCause, initial_amounts
from qts.capital.contracts import POOLS, CapitalEngineInput
from qts.clock import NS_PER_S, from_ns
from qts.engine.pools import LiveTable, PoolBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qts._core import FillEvent, OrderEvent, StepEngine
    from qts.broker.contracts import Track
    from qts.broker.interfaces import BrokerPort
    from qts.capital import CapitalFlowConfig
    from qts.capital.contracts import CapitalAlert, CapitalEngineOutput, CapitalPoolContract
    from qts.capital.interfaces import CapitalSink
    from qts.engine.supervisor import Supervisor
    from qts.ops.report import RunRecorder
    from qts.pipeline.contracts import RawDataContract
    from qts.strategy import Strategy

_EVALUATE_NS: Final = 3_600 * NS_PER_S
"""Longest time between two evaluations while nothing changes."""


def wants_pools(config: CapitalFlowConfig, strategies: Sequence[Strategy], currency: str) -> bool:
    """Whether a run divides its account: always, never, or where strategies of more than one track share it."""
    if config.mode == "AUTO":
        return currency == config.currency and len({strategy.track for strategy in strategies}) > 1
    return config.mode == "ON"
