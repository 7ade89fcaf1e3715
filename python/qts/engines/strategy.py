"""The strategy engine: runs every strategy on what it may see and keeps one's failure from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.broker.contracts import TRACKS
from qts.codes import UsageError
from qts.engines.faults import Fault, FaultLog, one_line
from qts.strategy.contracts import EXIT_PHASES, Intent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qts.broker.contracts import Track
    from qts.broker.interfaces import FillNotice, OrderEndNotice
    from qts.config import SessionPhase as Phase
    from qts.engines.health import EngineHealth
    from qts.strategy.base import Strategy
    from qts.strategy.contracts import ExecutionView, MarketView, Tick

MAX_ERRORS_IN_A_ROW: Final = 3
STRATEGY_RAISED: Final = "SE010"
_NS_PER_MS: Final = 1_000_000


class StrategySlot:
    """One strategy in a run: who it is, what it trades, and how it behaves."""

    __slots__ = (
        "bar_interval_ns",
        "enter_phases",
        "error_streak",
        "instruments",
        "lookback",
        "number",
        "priority",
        "run_phases",
        "strategy",
        "strategy_id",
        "suspended",
        "track",
        "wants_ticks",
    )

    def __init__(
        self, number: int, strategy: Strategy, instruments: Sequence[int], entry_phases: frozenset[Phase]
    ) -> None:
        needs = strategy.requirements()
        self.number = number
        self.strategy = strategy
        self.strategy_id = strategy.strategy_id
        self.track: Track = strategy.track
        self.instruments = frozenset(instruments)
        self.bar_interval_ns = needs.bar_interval_ns
        self.lookback = max(1, needs.lookback)
        self.enter_phases = entry_phases | needs.phases
        self.run_phases = self.enter_phases | EXIT_PHASES
        self.wants_ticks = type(strategy).wants_ticks()
        self.priority = number
        self.error_streak = 0
        self.suspended = False


class StrategyEngine:
    """Multiplexer of all strategies, in the order of (track, strategy id)."""

    def __init__(
        self,
        strategies: Iterable[tuple[Strategy, Sequence[int]]],
        faults: FaultLog,
        entry_phases: Mapping[Track, frozenset[Phase]],
        *,
        health: EngineHealth | None = None,
        timeout_ms: int | None = None,
    ) -> None:
        """Take each strategy with the ids of its instruments, and the entry phases of each track.

        `health` counts and times what `generate` does. With `timeout_ms` an answer that takes longer by its clock is
        dropped and counts as a failure; without it the machine's time changes nothing.

        Raises:
            UsageError: two strategies have the same id, or one trades an unknown track.
        """
        self._faults = faults
        self._health = health
        self._timeout_ns = None if timeout_ms is None else timeout_ms * _NS_PER_MS
        enabled = [entry for entry in strategies if entry[0].is_enabled()]
        _check_identities([strategy for strategy, _ in enabled])
        enabled.sort(key=lambda entry: (TRACKS.index(entry[0].track), entry[0].strategy_id))
        self.slots = tuple(
            StrategySlot(number, strategy, instruments, entry_phases[strategy.track])
            for number, (strategy, instruments) in enumerate(enabled)
        )
        self.tick_slots = tuple(slot for slot in self.slots if slot.wants_ticks)
        self._by_id = {slot.strategy_id: slot for slot in self.slots}

    def find(self, strategy_id: str) -> StrategySlot | None:
        """Return the slot of a strategy, or None for ids that no strategy has."""
        return self._by_id.get(strategy_id)

    def generate(self, slot: StrategySlot, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:
        """Return the strategy's wishes; none if it is suspended, raises, or takes too long where time counts."""
        if slot.suspended:
            return ()
        health = self._health
        try:
            if health is None:
                intents = _answer(slot.strategy, market, execution)
            else:
                intents = health.run(_answer, slot.strategy, market, execution)
        except Exception as error:
            self._failed(slot, error, market.cycle_ts_ns)
            return ()
        if health is not None and self._timeout_ns is not None and health.last_ns > self._timeout_ns:
            message = f"answered after {health.last_ns // _NS_PER_MS} ms, {self._timeout_ns // _NS_PER_MS} ms are given"
            self._failed(slot, TimeoutError(message), market.cycle_ts_ns)
            return ()
        slot.error_streak = 0
        return intents

    def tick_handler(self, slot: StrategySlot) -> Callable[[Tick], Intent | None]:
        """Return what the native loop calls for every tick: `on_tick` with its failures contained."""
        on_tick = slot.strategy.on_tick

        def guarded(tick: Tick) -> Intent | None:
            if slot.error_streak:
                return self._tick_after_error(slot, tick)
            try:
                return on_tick(tick)
            except Exception as error:
                self._failed(slot, error, tick.ts_ns)
                return None

        return guarded

    def _tick_after_error(self, slot: StrategySlot, tick: Tick) -> Intent | None:
        """Call a strategy whose last call failed, so that the usual path need not count successes."""
        if slot.suspended:
            return None
        try:
            intent = slot.strategy.on_tick(tick)
        except Exception as error:
            self._failed(slot, error, tick.ts_ns)
            return None
        slot.error_streak = 0
        return intent

    def on_fill(self, strategy_id: str, fill: FillNotice) -> None:
        """Tell the strategy of its fill."""
        self._notify(strategy_id, fill.ts_recv_ns, lambda strategy: strategy.on_fill(fill))

    def on_reject(self, strategy_id: str, end: OrderEndNotice) -> None:
        """Tell the strategy that its order was refused."""
        self._notify(strategy_id, end.ts_recv_ns, lambda strategy: strategy.on_reject(end))

    def _notify(self, strategy_id: str, ts_ns: int, call: Callable[[Strategy], None]) -> None:
        slot = self._by_id.get(strategy_id)
        if slot is None or slot.suspended:
            return
        try:
            call(slot.strategy)
        except Exception as error:
            self._failed(slot, error, ts_ns)

    def _failed(self, slot: StrategySlot, error: Exception, ts_ns: int) -> Fault:
        fault = self._faults.record(STRATEGY_RAISED, slot.strategy_id, one_line(error), ts_ns)
        slot.error_streak += 1
        if slot.error_streak >= MAX_ERRORS_IN_A_ROW:
            slot.suspended = True
            fault.suspended = True
        return fault


def _answer(strategy: Strategy, market: MarketView, execution: ExecutionView) -> tuple[Intent, ...]:
    """Return what a strategy wishes, all of it worked out: it may return a generator."""
    return tuple(strategy.generate_intents(market, execution))


def _check_identities(strategies: Sequence[Strategy]) -> None:
    seen: set[str] = set()
    for strategy in strategies:
        name = strategy.strategy_id
        if strategy.track not in TRACKS:
            raise UsageError(
                found=f"track {strategy.track!r} of strategy {name!r}",
                expected=f"one of {', '.join(TRACKS)}",
                hint="set the class attribute `track`",
            )
        if name in seen:
            raise UsageError(
                found=f"two strategies with the id {name!r} in one run",
                expected="ids that differ",
                hint="give one of the classes another `name`",
            )
        seen.add(name)
