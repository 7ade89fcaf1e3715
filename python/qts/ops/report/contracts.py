"""What a report is made from. Money, prices and quantities are integers in their scales until they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


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
