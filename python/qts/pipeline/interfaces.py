"""Ports: what the pipeline needs from its surroundings.

One runner serves backtest, paper and live; these differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qts.broker.contracts import Side, Track
    from qts.capital.contracts import CapitalEngineOutput, CapitalPoolContract
    from qts.config import SessionPhase as Phase
    from qts.instruments import Split
    from qts.pipeline.contracts import Cycle, OrderDecision, RawDataContract
    from qts.strategy.contracts import Quote


class MonotonicClock(Protocol):
    """Measures durations; never decides anything."""

    def monotonic_ns(self) -> int:
        """Return monotonic nanoseconds."""
        ...


class MarketPort(Protocol):
    """Market data as known at the time of the cycle."""

    def quote(self, instrument: int) -> Quote:
        """Return the latest prices; 0 where nothing is known."""
        ...

    def take_closed_bars(self) -> Iterable[tuple[int, int, int, int, int, int, int, int]]:
        """Return the bars closed since the last call.

        Each is (instrument, interval_ns, start_ns, open, high, low, close, volume).
        """
        ...

    def rebase(self, split: Split, from_ns: int) -> None:
        """See what lies before `from_ns` as it compares with what comes after a split that takes effect then."""
        ...


class AccountPort(Protocol):
    """Cash, holdings and working orders: the core's book, which sees every fill before the pipeline."""

    def cash(self) -> int:
        """Return cash in money units."""
        ...

    def reserved(self) -> int:
        """Return the cash that working purchases hold."""
        ...

    def positions(self) -> Iterable[tuple[int, Track, int, int, int]]:
        """Return every holding: (instrument, track, qty, cost_total, opened_ns)."""
        ...

    def working(self, instrument: int, track: Track) -> tuple[int, int]:
        """Return the unfilled quantities of a track's working buys and sells."""
        ...


class CapitalPort(Protocol):
    """The pools of the account. An exception of either call closes the cycle to entries, and to nothing else.

    An `EngineFault` ends the cycle with its code.
    """

    def look(self, ts_ns: int) -> Mapping[Track, CapitalPoolContract] | None:
        """Return the pools of all tracks as they are now; None if the account is one pool."""
        ...

    def decide(self, raw: RawDataContract, equity: int, track_values: Mapping[Track, int]) -> CapitalEngineOutput:
        """Return what the capital engine makes of the pools in `raw`.

        Args:
            raw: inputs of the cycle; its `capital_pools` are what `look` returned.
            equity: of the account, in money units.
            track_values: market value of each track's positions, in money units.
        """
        ...


class ExecutionPort(Protocol):
    """Who carries out what SCALP decides: slices, prices and repeats, and comes back when it is over."""

    def submit(self, decision: OrderDecision, cycle: Cycle) -> str:
        """Take a decision on and return at once: empty, or why it was refused."""
        ...

    def on_stance(self, ts_ns: int) -> None:
        """Take in what has become of both states, the session and the time of entries; once a cycle."""
        ...

    def withdraw_entries(self, ts_ns: int, instrument: int | None = None) -> None:
        """Make entries end, of one instrument or of all: what is filled stays, the rest is cancelled."""
        ...


class RulesPort(Protocol):
    """Tick ladder, price limits and costs by date; `_core.Instruments` is one."""

    def tick_size(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return the tick size that binds an order at `price`."""
        ...

    def step(self, instrument: int, price: int, ticks: int, ts_ns: int) -> int:
        """Return `price` moved by `ticks` steps of the ladder."""
        ...

    def floor_to_tick(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return `price` rounded down to the ladder."""
        ...

    def ceil_to_tick(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return `price` rounded up to the ladder."""
        ...

    def price_limits(self, instrument: int, base: int, ts_ns: int) -> tuple[int, int] | None:
        """Return the lowest and highest price of a day with this base price, None where no limit binds."""
        ...

    def fee(self, instrument: int, side: Side, amount: int, ts_ns: int) -> int:
        """Return the commission on `amount`, truncated."""
        ...


class SessionPort(Protocol):
    """Trading sessions by instrument."""

    def phase(self, instrument: int, ts_ns: int) -> Phase:
        """Return the session phase of the instrument's market."""
        ...

    def session_date(self, ts_ns: int) -> str:
        """Return the account's business date, YYYY-MM-DD."""
        ...


class DecisionLog(Protocol):
    """Where decision lines go. A line is written before its order is sent."""

    def append(self, line: str) -> None:
        """Append one line of canonical JSON, without a newline."""
        ...


class StageMetrics(Protocol):
    """Where stage durations go; `_core.StepEngine` is one."""

    def record_metric(self, stage: int, value_ns: int) -> None:
        """Record how long stage number `stage` (1 = extract ... 5 = act) took."""
        ...
