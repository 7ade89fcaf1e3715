"""The pipeline as a whole: the five stages wired together, and what the engine calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.codes import EngineFault
from qts.engines.faults import Fault, FaultLog
from qts.engines.health import HealthBoard
from qts.engines.performance import PerformanceTracker
from qts.engines.portfolio import PortfolioEngine
from qts.engines.risk import RiskEngine
from qts.engines.strategy import StrategyEngine
from qts.pipeline.act import Act
from qts.pipeline.arbitration import Arbiter, FlipGuard
from qts.pipeline.bars import BarBook
from qts.pipeline.budgets import BudgetCounts
from qts.pipeline.config import PipelineConfig
from qts.pipeline.contracts import Stance, Switches
from qts.pipeline.decide import Decide
from qts.pipeline.evaluate import Evaluate
from qts.pipeline.extract import Extract
from qts.pipeline.journal import DecisionJournal
from qts.pipeline.loop import BACKING_OFF, ErrorBackoff, LoopLog, LoopSettings, PipelineState, pipeline_state
from qts.pipeline.orders import OrderBook
from qts.pipeline.ports import DAY_NS
from qts.pipeline.protective import ProtectiveExits
from qts.pipeline.runner import CycleRunner
from qts.pipeline.transform import Transform
from qts.strategy.contracts import REDUCING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.broker.contracts import Track
    from qts.broker.interfaces import BrokerPort, FillNotice, OrderEndNotice
    from qts.instruments import Split
    from qts.pipeline.contracts import Cause, CycleResult, SentOrder
    from qts.pipeline.interfaces import (
        AccountPort,
        CapitalPort,
        DecisionLog,
        ExecutionPort,
        MarketPort,
        MonotonicClock,
        RulesPort,
        SessionPort,
        StageMetrics,
    )
    from qts.pipeline.journal import DecisionStore
    from qts.strategy.base import Strategy
    from qts.strategy.contracts import Intent, Terms, Tick

_BESIDE: Final = frozenset({"Capital", "Performance"})
"""Engines without which positions can still be closed: their faults hold entries back, and end no run."""
_FILLS: Final = frozenset({"FILL_PARTIAL", "FILL_CONFIRMED"})


_ALL_ON: Final = Switches()
_BALANCED: Final = Stance()


def _all_on() -> Switches:
    return _ALL_ON


def _balanced() -> Stance:
    return _BALANCED


class Pipeline:
    """Everything between a market event and an order, synchronous and on one thread.

    The engine calls `on_cycle` when a cycle is due and `on_p0` after the core has booked a fill or the end of
    an order. Cash and positions are never touched here: they are read through the account port.
    """

    def __init__(
        self,
        strategies: Sequence[tuple[Strategy, Sequence[int]]],
        terms: Sequence[Terms],
        *,
        market: MarketPort,
        account: AccountPort,
        broker: BrokerPort,
        rules: RulesPort,
        sessions: SessionPort,
        log: DecisionLog,
        clock: MonotonicClock,
        metrics: StageMetrics,
        config: PipelineConfig | None = None,
        switches: Callable[[], Switches] = _all_on,
        stance: Callable[[], Stance] = _balanced,
        capital: CapitalPort | None = None,
        decisions: DecisionStore | None = None,
        executions: Callable[[OrderBook], ExecutionPort] | None = None,
        loop: LoopSettings | None = None,
    ) -> None:
        """Wire the stages.

        Args:
            strategies: each strategy with the ids of the instruments that it trades.
            terms: one entry per instrument; the index is the instrument id.
            market: quotes and closed bars.
            account: cash, positions and working orders.
            broker: the way out.
            rules: tick ladder, price limits and costs.
            sessions: session phases and dates.
            log: where decision lines go.
            clock: measures the stages.
            metrics: where their durations go.
            config: settings; the shipped ones by default.
            switches: what the operator has switched off, asked once per cycle.
            stance: what operating state and safety state let orders do, asked once per cycle and before each order.
            capital: the pools of the account; None: the account is one pool.
            decisions: keeps decisions durable before Act; without it they are in `log` alone.
            executions: makes what carries out decisions of SCALP, given the book of orders; None: each is one order.
            loop: settings of the loop; the shipped ones by default, with the retries of `config`.

        Raises:
            UsageError: two strategies share an id, or one names an unknown track.
        """
        config = config or PipelineConfig()
        self._faults = FaultLog()
        self._switches = switches
        self._backoff = ErrorBackoff(loop or LoopSettings(error_backoff_max_retries=config.max_consecutive_errors))
        self.loop = LoopLog()
        """The last turns of the loop."""
        self.budgets = BudgetCounts()
        """Budgets of stages and cycles that were not kept."""
        self._sessions = sessions
        self.performance = PerformanceTracker(account.cash())
        """Start of the session, highest equity and deepest drawdown so far."""
        self.health = HealthBoard(clock.monotonic_ns)
        """What each engine does, how often it fails and how long it takes."""
        self.strategies = StrategyEngine(
            strategies,
            self._faults,
            config.entry_phases,
            health=self.health["Strategy"],
            timeout_ms=config.strategy_timeout_ms,
        )
        self._orders = OrderBook()
        self._flips = FlipGuard(config.reentry_cooldown)
        self._journal = DecisionJournal(log, decisions)
        bars = BarBook(self.strategies.slots, config.max_bars)

        self._bars = bars
        self._market = market

        def forget() -> None:
            bars.add(market.take_closed_bars())
            bars.forget_due()

        extract = Extract(
            market,
            account,
            sessions,
            terms,
            self.strategies,
            bars=bars,
            orders=self._orders,
            protective=ProtectiveExits(self._orders, sessions, scalp_flat_at_close=config.scalp_flat_at_close),
            performance=self.performance,
            switches=switches,
            stance=stance,
            faults=self._faults,
            capital=capital,
        )
        self._risk = RiskEngine(config.limits)
        self._decide = Decide(config, rules)
        evaluate = Evaluate(
            self.strategies,
            Arbiter(config.max_intents_per_cycle, self._flips),
            self._risk,
            PortfolioEngine(config.rebalance_min_money),
            rules=rules,
            orders=self._orders,
            config=config,
            faults=self._faults,
            health=self.health,
        )
        self._runner = CycleRunner(
            extract,
            Transform(terms, capital, self._faults, config.sectors, self.health["Capital"]),
            evaluate,
            self._decide,
            Act(
                broker,
                self._orders,
                self._flips,
                sessions,
                stance,
                self.health["Trading"],
                None if executions is None else executions(self._orders),
            ),
            journal=self._journal,
            performance=self.performance,
            sessions=sessions,
            clock=clock,
            metrics=metrics,
            switches=switches,
            faults=self._faults,
            forget=forget,
            health=self.health["Performance"],
        )

    def reconfigure(self, config: PipelineConfig) -> None:
        """Go by the limits and quote ages of `config` from the next cycle on; nothing else of it is looked at."""
        self._risk.set_limits(config.limits)
        self._decide.set_quote_ages(config.max_quote_age_ms)

    def adv(self, instrument: int) -> int:
        """Return the median volume of an instrument's last sessions, in quantity units; 0 where none is known."""
        return self._bars.daily.stats(instrument).adv_qty or 0

    def rebase(self, split: Split, from_ns: int) -> None:
        """See prices and bars from before a split as they compare with those from `from_ns` on, when it takes effect.

        What a strategy has computed from bars already stays as it is.
        """
        self._bars.add(self._market.take_closed_bars())
        self._bars.rebase(split)
        self._market.rebase(split, from_ns)

    def tick_handlers(self) -> list[tuple[Callable[[Tick], Intent | None], Track, list[int]]]:
        """Return who wants every tick: (callable, track, instrument ids); the index is the handler number."""
        return [
            (self.strategies.tick_handler(slot), slot.track, sorted(slot.instruments))
            for slot in self.strategies.tick_slots
        ]

    def bar_intervals_ns(self) -> list[int]:
        """Return the bar intervals to build: those of the strategies, and a day for the base of price limits."""
        wanted = {slot.bar_interval_ns for slot in self.strategies.slots if slot.bar_interval_ns is not None}
        return sorted(wanted | {DAY_NS})

    def on_cycle(self, cause: Cause, ts_ns: int, intents: Sequence[tuple[int, object]] = ()) -> CycleResult:
        """Run one cycle; `intents` are (handler number, intent) of tick handlers.

        Raises:
            EngineFault: a critical fault, or more cycles in a row ended in error than are allowed.
        """
        slots = self.strategies.tick_slots
        working = len(self._orders)
        waits_for = BACKING_OFF if self._backoff.is_waiting(ts_ns) else ""
        result = self._runner.run(
            cause, ts_ns, [(slots[number], intent) for number, intent in intents], waits_for=waits_for
        )
        self.loop.take(result, working_before=working, working_after=len(self._orders))
        if result.status != "skipped" or result.timings_ns:  # a cycle that did not run says nothing
            self.budgets.take(result)
            self._judge(result)
            self._judge_engines()
        return result

    def on_p0(self, event: FillNotice | OrderEndNotice) -> SentOrder | None:
        """Take in a booked fill or an order's end; return where the order stands, None if it is not ours."""
        if event.kind in _FILLS:
            return self._on_fill(event)  # type: ignore[arg-type]  # told apart by its kind
        return self._on_end(event)  # type: ignore[arg-type]

    def _on_fill(self, fill: FillNotice) -> SentOrder | None:
        order = self._orders.on_fill(fill)
        if fill.side == "SELL" and (order is None or order.purpose in REDUCING):
            session_date = self._sessions.session_date(fill.ts_recv_ns)
            self._flips.on_exit(fill.instrument, fill.track, fill.ts_recv_ns, session_date)
        if order is not None:
            self.strategies.on_fill(order.strategy_id, fill)
        return order

    def _on_end(self, end: OrderEndNotice) -> SentOrder | None:
        order = self._orders.on_end(end)
        if order is not None and order.response.status == "REJECTED":
            self.strategies.on_reject(order.strategy_id, end)
        return order

    def _judge(self, result: CycleResult) -> None:
        """End the run if the cycle was one error too many, or a grave one."""
        errors = result.errors
        if errors and errors[-1].critical:
            raise EngineFault(
                errors[-1].code,
                found=errors[-1].message,
                expected="an account that can be traded",
                hint="the run ends here; the report holds everything up to this cycle",
            )
        if self._backoff.take(result.cycle.ts_ns, is_error=bool(errors)):
            last, count = errors[-1], self._backoff.errors_in_a_row
            raise EngineFault(
                "FS031",
                found=f"{count} cycles in a row ended in error; {last.code}: {last.message}",
                expected=f"at most {count - 1}",
                hint="look at the faults of the report",
            )

    def _judge_engines(self) -> None:
        """End the run if an engine has been in fault for too long."""
        for engine in self.health.end_cycle():
            if engine in _BESIDE:
                continue
            view = self.health[engine].view()
            raise EngineFault(
                "FS031",
                found=f"the {engine} engine failed in {view.errors} of {view.operations} calls; {view.last_error}",
                expected="an engine that works",
                hint="look at the faults of the report",
            )

    def state(self, safety: str, *, ts_ns: int, is_armed: bool = True) -> PipelineState:
        """Return the state of the pipeline as people see it, at engine time `ts_ns`; see `loop.pipeline_state`."""
        is_waiting = self._backoff.is_waiting(ts_ns)
        return pipeline_state(self._switches(), safety=safety, is_waiting=is_waiting, is_armed=is_armed)

    @property
    def overlaps(self) -> int:
        """Cycles that were skipped because another was running."""
        return self._runner.overlaps

    @property
    def decision_hash(self) -> str:
        """SHA-256 over the decision lines so far."""
        return self._journal.decision_hash

    @property
    def working_orders(self) -> int:
        """Orders that can still fill."""
        return len(self._orders)

    def faults(self) -> list[Fault]:
        """Return the faults that did not end the run."""
        return self._faults.all()
