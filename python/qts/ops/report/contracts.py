"""What a report is made from. Money, prices and quantities are integers in their scales until they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from qts.capital.config import CapitalFlowConfig
from qts.engines.performance_contracts import PerformanceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from qts.capital.contracts import CapitalPoolContract, CapitalTransfer


class DataRow(NamedTuple):
    """One input of the run."""

    path: str
    rows: int
    bad_rows: int
    first_ts: int | None
    last_ts: int | None


class PositionFigure(NamedTuple):
    """A position at the end of the run."""

    symbol: str
    track: str
    qty: int
    cost_total: int


class StateChange(NamedTuple):
    """A change of the safety or operating state."""

    ts_ns: int
    machine: str
    old: str
    new: str
    cause: str


class FaultFigure(NamedTuple):
    """A fault that did not end the run."""

    code: str
    source: str
    message: str
    times: int
    suspended: bool


class PoolDay(NamedTuple):
    """A pool at the end of a day. Money in units of the account's currency."""

    day: str
    pool: str
    total: int
    available: int
    invested: int
    reserved: int
    held: int
    unrealized: int
    unit_price: Decimal
    share: Decimal
    target: Decimal


class TransferRow(NamedTuple):
    """A transfer as it stood last."""

    transfer: CapitalTransfer
    code: str
    """Why it waits or was refused; empty if nothing is in its way."""


class AlertDay(NamedTuple):
    """A finding of the capital room on a day."""

    day: str
    code: str
    pool: str
    """Empty for a finding that is of no single pool."""
    severity: str
    text: str
    """The first of the day."""
    times: int


@dataclass(frozen=True, slots=True)
class CapitalFigures:
    """The pools of a run: how they ended, how they got there, and what moved between them."""

    pools: Sequence[CapitalPoolContract]
    """At the end."""
    daily: Sequence[PoolDay]
    """In order of day, the pools of a day in their own order."""
    transfers: Sequence[TransferRow]
    """In the order of their request."""
    alerts: Sequence[AlertDay]
    transfers_left_out: int = 0
    """Transfers beyond what is kept."""


class ExecutionFigures(NamedTuple):
    """What came of the executions of a run."""

    states: Mapping[str, int]
    """How many ended in each final state."""
    dispositions: Mapping[str, int]
    refusals: Mapping[str, int]
    """How many PreCheck refused, by reason."""
    filled: int
    """How many had a fill."""
    slippage_e3: int
    """Sum over those, in thousandths of a basis point; positive = cost."""
    adverse_e3: int
    """Sum of what was a cost alone."""
    rounds: int
    """Rounds of price adjustment."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Everything about a finished run that is not a row of the store."""

    run_id: str
    mode: str
    strategy: str
    config_hash: str
    decision_hash: str
    data: Sequence[DataRow]
    wall_s: float
    records: int
    currency: str
    cash_start: int
    cash_end: int
    market_value: int
    fees: int
    taxes: int
    realized: int
    """Profit of sales after their own fee and tax, in money units."""
    unrealized: int
    events: Mapping[str, Mapping[str, int]]
    latency_ns: Mapping[str, Mapping[str, int]]
    """By level (P0..P3) and by stage name."""
    order_counts: Mapping[str, int]
    positions: Sequence[PositionFigure]
    risk_actions: Mapping[str, int]
    """Decisions by action and reason, "ACTION:REASON" -> count."""
    states: Sequence[StateChange] = ()
    faults: Sequence[FaultFigure] = ()
    cycles: Mapping[str, Mapping[Any, int]] = field(default_factory=dict)
    """Counts of cycles: `outcomes` by status (and reason, if skipped), `over_budget` and `over_target` by stage."""
    executions: ExecutionFigures | None = None
    """What came of executions; None where nothing of the run went through them."""
    performance: PerformanceSettings = field(default_factory=PerformanceSettings)
    """Parameters of the statistics."""
    capital: CapitalFlowConfig = field(default_factory=CapitalFlowConfig)
    """Rules of the capital room, where the run has pools."""
