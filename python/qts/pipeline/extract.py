"""Extract: read everything that the cycle needs, once, and refuse what cannot be true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.broker.contracts import TRACKS
from qts.codes import EngineFault
from qts.engines.faults import one_line
from qts.engines.strategy import STRATEGY_RAISED
from qts.pipeline.contracts import PositionRow, RawDataContract, Wish
from qts.pipeline.exceptions import StageFailure
from qts.strategy.contracts import Intent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qts.broker.contracts import Track
    from qts.capital.contracts import CapitalPoolContract
    from qts.engines.faults import FaultLog
    from qts.engines.performance import PerformanceTracker
    from qts.engines.strategy import StrategyEngine, StrategySlot
    from qts.pipeline.bars import BarBook
    from qts.pipeline.contracts import Cycle, Stance, Switches
    from qts.pipeline.interfaces import AccountPort, CapitalPort, MarketPort, SessionPort
    from qts.pipeline.orders import OrderBook
    from qts.pipeline.protective import ProtectiveExits
    from qts.strategy.contracts import Quote, Terms

POOLS_UNREAD: Final = "KE001"
"""The pools could not be read."""


class Extract:
    """Reads market, account and bars into `RawDataContract`. Computes and judges nothing."""

    def __init__(
        self,
        market: MarketPort,
        account: AccountPort,
        sessions: SessionPort,
        terms: Sequence[Terms],
        strategies: StrategyEngine,
        *,
        bars: BarBook,
        orders: OrderBook,
        protective: ProtectiveExits,
        performance: PerformanceTracker,
        switches: Callable[[], Switches],
        stance: Callable[[], Stance],
        faults: FaultLog,
        capital: CapitalPort | None = None,
    ) -> None:
        self._market = market
        self._account = account
        self._sessions = sessions
        self._terms = terms
        self._by_symbol = {entry.symbol: entry for entry in terms}
        self._strategies = strategies
        self._tracks: tuple[Track, ...] = tuple(dict.fromkeys(slot.track for slot in strategies.slots))
        self._bars = bars
        self._orders = orders
        self._protective = protective
        self._performance = performance
        self._switches = switches
        self._stance = stance
        self._faults = faults
        self._capital = capital

    def run(
        self, cycle: Cycle, intents: Sequence[tuple[StrategySlot, object]], *, only_protects: bool = False
    ) -> RawDataContract:
        """Return the inputs of one cycle; `intents` come from tick handlers.

        With `only_protects` no strategy is asked, and what it would have been asked about is forgotten: a signal from
        before a stop is no reason to trade after it.

        Raises:
            StageFailure: FS010 if a position is in an unknown instrument, FS053 if one is impossible.
        """
        self._bars.add(self._market.take_closed_bars())
        wishes: list[Wish] = []
        if only_protects:
            self._bars.forget_due()
        else:
            wishes += [wish for slot, intent in intents if (wish := self._tick_wish(cycle, slot, intent)) is not None]
            if self._bars.has_due:
                wishes.extend(self._bar_wishes(cycle))
        positions = tuple([PositionRow(*row) for row in self._account.positions()])
        self._check(positions)
        if cycle.cause != "EVENT":
            wishes.extend(self._protective.wishes(cycle, positions, self._terms.__getitem__))
        quotes: dict[int, Quote] = {}
        for row in positions:
            quotes[row.instrument] = self._market.quote(row.instrument)
        working: dict[tuple[int, Track], tuple[int, int]] = {}
        for wish in wishes:
            instrument = wish.terms.instrument
            if instrument not in quotes:
                quotes[instrument] = self._market.quote(instrument)
            for track in self._tracks if wish.track in self._tracks else TRACKS:
                working[instrument, track] = self._working(instrument, track)
        performance = self._performance
        pools, fault = (None, "") if self._capital is None else self._look(self._capital, cycle.ts_ns)
        return RawDataContract(
            cycle,
            tuple(wishes),
            quotes,
            positions,
            self._account.cash(),
            self._account.reserved(),
            working,
            self._orders.buying(),
            performance.start_equity,
            performance.high_water,
            self._switches(),
            self._stance(),
            self._orders.entries_on(cycle.session_date),
            pools,
            fault,
            {wish.terms.instrument: self._bars.daily.stats(wish.terms.instrument) for wish in wishes},
            self._pending() if wishes else {},
        )

    def _working(self, instrument: int, track: Track) -> tuple[int, int]:
        """Return unfilled buys and sells of a track, with what an execution has still to send."""
        buy, sell = self._account.working(instrument, track)
        parts = self._orders.in_parts(instrument, track)
        return max(buy, parts[0]), max(sell, parts[1])

    def _pending(self) -> dict[int, int]:
        """Return what purchases under way may still cost at their limits, by instrument."""
        values: dict[int, int] = {}
        for live in self._orders.executions():
            decision = live.decision
            if decision.side == "BUY":
                instrument = decision.terms.instrument
                value = self._terms[instrument].value(decision.limit_price, max(0, live.remaining))
                values[instrument] = values.get(instrument, 0) + value
        for order in self._orders:
            request = order.request
            if request.side == "BUY" and not order.execution_id:
                value = self._terms[request.instrument].value(request.limit_price, request.qty - order.filled_qty)
                values[request.instrument] = values.get(request.instrument, 0) + value
        return values

    def _look(self, capital: CapitalPort, ts_ns: int) -> tuple[Mapping[Track, CapitalPoolContract] | None, str]:
        """Return the pools and an empty code, or None and why there are none.

        Raises:
            StageFailure: the capital room says itself that the run cannot go on.
        """
        try:
            return capital.look(ts_ns), ""
        except EngineFault as fault:
            raise StageFailure(fault.code, "extract", fault.found, critical=True) from fault
        except Exception as error:
            self._faults.record(POOLS_UNREAD, "extract", one_line(error), ts_ns)
            return None, POOLS_UNREAD

    def _tick_wish(self, cycle: Cycle, slot: StrategySlot, intent: object) -> Wish | None:
        if not isinstance(intent, Intent):
            message = f"on_tick returned {type(intent).__name__}, expected Intent or None"
            self._faults.record(STRATEGY_RAISED, slot.strategy_id, message, cycle.ts_ns)
            return None
        terms = self._by_symbol.get(intent.symbol)
        if terms is None:
            message = f"intent for unknown symbol {intent.symbol!r}"
            self._faults.record(STRATEGY_RAISED, slot.strategy_id, message, cycle.ts_ns)
            return None
        phase = self._sessions.phase(terms.instrument, cycle.ts_ns)
        return Wish(slot.strategy_id, slot.track, slot, terms, phase, intent, None)

    def _bar_wishes(self, cycle: Cycle) -> list[Wish]:
        wishes = []
        for slot, instrument in self._bars.due():
            phase = self._sessions.phase(instrument, cycle.ts_ns)
            if phase in slot.run_phases:
                bars = self._bars.take(slot, instrument)
                wishes.append(Wish(slot.strategy_id, slot.track, slot, self._terms[instrument], phase, None, bars))
        return wishes

    def _check(self, positions: tuple[PositionRow, ...]) -> None:
        for row in positions:
            if not 0 <= row.instrument < len(self._terms):
                raise StageFailure(
                    "FS010", "extract", f"a position is in instrument {row.instrument}, which nobody knows"
                )
            if row.qty < 0 or row.cost_total < 0:
                symbol = self._terms[row.instrument].symbol
                message = f"impossible position in {symbol}/{row.track}: quantity {row.qty}, cost {row.cost_total}"
                raise StageFailure("FS053", "extract", message, critical=True)
