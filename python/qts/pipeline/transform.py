"""Transform: what the account is worth and how it stands, by arithmetic alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.broker.contracts import TRACKS
from qts.capital.contracts import PoolLimit
from qts.codes import EngineFault
from qts.engines.faults import one_line
from qts.engines.performance import drawdown_ppm
from qts.pipeline.contracts import CalcDataContract, StageError
from qts.pipeline.exceptions import StageFailure
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.broker.contracts import Track
    from qts.capital.contracts import CapitalEngineOutput, CapitalPoolContract
    from qts.engines.faults import FaultLog
    from qts.engines.health import EngineHealth
    from qts.pipeline.contracts import RawDataContract
    from qts.pipeline.interfaces import CapitalPort
    from qts.strategy.contracts import Quote, Terms

MARK_MAX_AGE_NS: Final = 3_000_000_000
"""Age above which a bid no longer says what a sale would bring."""

POOLS_UNDECIDED: Final = "KE002"
"""The capital engine gave no answer."""
CAPITAL_IMPAIRED: Final = "AN081"
_IMPAIRED_AFTER: Final = 3
"""Cycles in a row without an answer of the capital engine after which it counts as impaired."""


class _Capital(NamedTuple):
    """What the pools add to the account's figures."""

    decision: CapitalEngineOutput | None = None
    limits: Mapping[Track, PoolLimit] | None = None
    equity: Mapping[Track, int] | None = None
    reports: tuple[StageError, ...] = ()


_ONE_POOL: Final = _Capital()


class Transform:
    """Turns `RawDataContract` into `CalcDataContract`. Judges nothing."""

    def __init__(
        self,
        terms: Sequence[Terms],
        capital: CapitalPort | None = None,
        faults: FaultLog | None = None,
        sectors: Mapping[str, str] | None = None,
        health: EngineHealth | None = None,
    ) -> None:
        """Take the terms by instrument id, the pools, and the sector of each symbol; one without is its own.

        `health` counts what the capital engine does.
        """
        self._health = health
        self._terms = terms
        self._sectors = [(sectors or {}).get(entry.symbol, entry.symbol) for entry in terms]
        self._capital = capital
        self._faults = faults
        self._unanswered = 0

    def run(self, raw: RawDataContract) -> CalcDataContract:
        """Return the account's figures.

        Raises:
            StageFailure: FS050 if equity is not positive, or the capital room says that the run cannot go on.
        """
        values: dict[int, int] = {}
        by_track: dict[Track, int] = {}
        by_sector: dict[str, int] = {}
        marks: dict[int, int] = {}
        market_value = 0
        for row in raw.positions:
            price = mark_price(raw.quotes[row.instrument], raw.cycle.ts_ns)
            # A price that nobody knows is not zero: until one is seen the position counts at its cost.
            value = row.cost_total
            if price > 0:
                value = self._terms[row.instrument].value(price, row.qty)
                marks[row.instrument] = price
            values[row.instrument] = values.get(row.instrument, 0) + value
            by_track[row.track] = by_track.get(row.track, 0) + value
            sector = self._sectors[row.instrument]
            by_sector[sector] = by_sector.get(sector, 0) + value
            market_value += value
        for instrument, value in raw.pending_values.items():
            sector = self._sectors[instrument]
            by_sector[sector] = by_sector.get(sector, 0) + value
        equity = raw.cash + market_value
        if equity <= 0:
            message = f"equity is {equity} (cash {raw.cash}, market value {market_value}); expected more than 0"
            raise StageFailure("FS050", "transform", message, critical=True)
        capital = _ONE_POOL if self._capital is None else self._decide(self._capital, raw, equity, by_track)
        return CalcDataContract(
            raw,
            equity,
            market_value,
            raw.cash - raw.reserved,
            market_value * PPM // equity,
            equity - raw.start_equity,
            drawdown_ppm(equity, raw.high_water),
            values,
            *capital,
            by_sector,
            marks,
        )

    def _decide(self, capital: CapitalPort, raw: RawDataContract, equity: int, values: dict[Track, int]) -> _Capital:
        """Return what the capital engine says; without an answer nothing may be entered in this cycle."""
        pools = raw.capital_pools
        if pools is None:
            if not raw.capital_fault:
                self._unanswered = 0
                return _ONE_POOL
            closed = PoolLimit(0, entries_allowed=False, reason=raw.capital_fault)
            return _Capital(limits=dict.fromkeys(TRACKS, closed), reports=self._no_answer(raw, raw.capital_fault))
        worth = _net_asset_values(raw, pools, values)
        try:
            by_track = {track: values.get(track, 0) for track in TRACKS}
            if self._health is None:
                decision = capital.decide(raw, equity, by_track)
            else:
                decision = self._health.run(capital.decide, raw, equity, by_track)
        except EngineFault as fault:
            raise StageFailure(fault.code, "transform", fault.found, critical=True) from fault
        except Exception as error:
            if self._faults is not None:
                self._faults.record(POOLS_UNDECIDED, "transform", one_line(error), raw.cycle.ts_ns)
            limits = {
                track: PoolLimit(pool.available_capital, entries_allowed=False, reason=POOLS_UNDECIDED)
                for track, pool in pools.items()
            }
            return _Capital(None, limits, worth, self._no_answer(raw, one_line(error)))
        self._unanswered = 0
        return _Capital(decision, decision.pool_limits, worth)

    def _no_answer(self, raw: RawDataContract, why: str) -> tuple[StageError, ...]:
        """Count a cycle without an answer; return the report that is due after too many in a row."""
        self._unanswered += 1
        if self._unanswered < _IMPAIRED_AFTER:
            return ()
        message = f"no answer of the capital engine for {self._unanswered} cycles: {why}"
        if self._faults is not None and self._unanswered == _IMPAIRED_AFTER:
            self._faults.record(CAPITAL_IMPAIRED, "transform", message, raw.cycle.ts_ns)
        return (StageError(CAPITAL_IMPAIRED, "transform", message, critical=False),)


def _net_asset_values(
    raw: RawDataContract, pools: Mapping[Track, CapitalPoolContract], values: Mapping[Track, int]
) -> dict[Track, int]:
    """Return book capital plus what open positions have gained or lost, at this cycle's prices."""
    worth = {track: pool.total_capital + values.get(track, 0) for track, pool in pools.items()}
    for row in raw.positions:
        worth[row.track] -= row.cost_total
    return worth


def mark_price(quote: Quote, ts_ns: int) -> int:
    """Return what a sale would bring: the fresh bid, else the last trade, else the previous close."""
    if quote.bid > 0 and (ts_ns - quote.ts_ns <= MARK_MAX_AGE_NS or quote.last <= 0):
        return quote.bid
    return quote.last or quote.prev_close
