"""Evaluate: ask the strategies, settle their conflicts, then risk and sizing, in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.engines.contracts import RATE_ONE, RiskQuestion
from qts.engines.faults import one_line
from qts.engines.strategy import STRATEGY_RAISED
from qts.pipeline.contracts import EvaluationResult, Proposal, is_entry
from qts.pipeline.exceptions import StageFailure
from qts.pipeline.pricing import explicit, marketable
from qts.strategy.contracts import EXIT_PHASES, PPM, REDUCING, ExecutionView, Intent, MarketView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qts.broker.contracts import Track
    from qts.engines.faults import FaultLog
    from qts.engines.health import HealthBoard
    from qts.engines.portfolio import PortfolioEngine
    from qts.engines.risk import RiskEngine
    from qts.engines.strategy import StrategyEngine
    from qts.pipeline.arbitration import Arbiter
    from qts.pipeline.config import PipelineConfig
    from qts.pipeline.contracts import CalcDataContract, PositionRow, RawDataContract, Stance, Wish
    from qts.pipeline.interfaces import RulesPort
    from qts.pipeline.orders import OrderBook
    from qts.pipeline.pricing import Pricing
    from qts.strategy.contracts import Bars, Sizing, Terms

SESSION_CLOSED: Final = "GR034"
NO_ENTRIES: Final = "GR082"
NOT_PERMITTED: Final = "G_EXE_STATE"
STRATEGY_SUSPENDED: Final = "strategy_suspended"
POOL_CLOSED: Final = "pool_closed"
_MAX_EXIT_TICKS: Final = 16
_NO_POSITION: Final = (0, 0, 0)


class _Headroom:
    """What the cycle's earlier purchases leave for its later ones."""

    __slots__ = ("entries", "gross", "open_symbols", "orderable", "pools", "sector_values", "symbol_values")

    def __init__(self, calc: CalcDataContract) -> None:
        self.sector_values = dict(calc.sector_values)
        self.entries = calc.raw.entries_today
        self.orderable = calc.orderable
        self.gross = calc.market_value + calc.raw.reserved
        self.symbol_values = dict(calc.symbol_values)
        self.open_symbols = set(calc.raw.buying)
        self.open_symbols.update(calc.symbol_values)
        self.pools = {} if calc.pool_limits is None else {t: limit.available for t, limit in calc.pool_limits.items()}

    def spend(self, instrument: int, sector: str, track: Track, amount: int, fee_rate: int) -> None:
        self.sector_values[sector] = self.sector_values.get(sector, 0) + amount
        if self.pools:
            self.pools[track] -= amount - -amount * fee_rate // RATE_ONE  # the commission rounded up
        self.orderable -= amount
        self.gross += amount
        self.symbol_values[instrument] = self.symbol_values.get(instrument, 0) + amount
        self.open_symbols.add(instrument)


class Evaluate:
    """Turns `CalcDataContract` into one `EvaluationResult` per wish, dropped ones included.

    Knows no broker.
    """

    def __init__(
        self,
        strategies: StrategyEngine,
        arbiter: Arbiter,
        risk: RiskEngine,
        portfolio: PortfolioEngine,
        *,
        rules: RulesPort,
        orders: OrderBook,
        config: PipelineConfig,
        faults: FaultLog,
        health: HealthBoard,
    ) -> None:
        self._strategies = strategies
        self._arbiter = arbiter
        self._risk = risk
        self._portfolio = portfolio
        self._rules = rules
        self._orders = orders
        self._config = config
        self._faults = faults
        self._risk_health = health["Risk"]
        self._portfolio_health = health["Portfolio"]

    def run(self, calc: CalcDataContract) -> tuple[EvaluationResult, ...]:
        """Return what the engines make of the cycle's wishes.

        Raises:
            StageFailure: FS030 if the risk engine fails; nothing may be traded on half an answer.
        """
        positions = {(row.instrument, row.track): row for row in calc.raw.positions}
        proposals = self._proposals(calc, positions)
        if not proposals:
            return ()
        kept, dropped = self._arbiter.resolve(proposals, calc)
        headroom = _Headroom(calc)
        results = [self._evaluate(calc, proposal, positions, headroom) for proposal in kept]
        for proposal, why in dropped:
            results.append(EvaluationResult(proposal, None, 0, 0, "", None, None, why))
        return tuple(results)

    def _proposals(self, calc: CalcDataContract, positions: dict[tuple[int, Track], PositionRow]) -> list[Proposal]:
        proposals = []
        for wish in calc.raw.wishes:
            for wished in self._intents(calc, wish, positions):
                intent = self._turned(calc, wish, wished, positions)
                is_exit = intent.purpose in REDUCING
                slot = wish.slot
                enter_phases = EXIT_PHASES if is_exit or slot is None else slot.enter_phases
                session = "" if wish.phase in enter_phases else SESSION_CLOSED
                if not is_exit and wish.track == "SCALP" and wish.phase == "CLOSE_GUARD":
                    session = SESSION_CLOSED
                proposals.append(
                    Proposal(
                        wish.strategy_id,
                        -1 if slot is None else slot.priority,
                        wish.track,
                        wish.terms,
                        wish.phase,
                        session,
                        intent,
                        wish.attempt,
                        is_exit,
                    )
                )
        return proposals

    def _intents(
        self, calc: CalcDataContract, wish: Wish, positions: dict[tuple[int, Track], PositionRow]
    ) -> Iterable[Intent]:
        if wish.intent is not None:
            return (wish.intent,)
        if wish.slot is None or wish.bars is None:
            return ()
        terms = wish.terms
        market = self._market_view(calc, wish, wish.bars)
        execution = self._execution_view(calc, terms, wish.track, positions)
        intents = self._strategies.generate(wish.slot, market, execution)
        for intent in intents:
            if not isinstance(intent, Intent) or intent.symbol != terms.symbol:
                message = f"generate_intents returned {intent!r}, expected intents for {terms.symbol}"
                self._faults.record(STRATEGY_RAISED, wish.strategy_id, message[:200], calc.raw.cycle.ts_ns)
                return ()
        return intents

    def _market_view(self, calc: CalcDataContract, wish: Wish, bars: Bars) -> MarketView:
        terms = wish.terms
        quote = calc.raw.quotes[terms.instrument]
        return MarketView(terms.symbol, terms, quote, bars, wish.phase, calc.raw.cycle.ts_ns)

    def _execution_view(
        self,
        calc: CalcDataContract,
        terms: Terms,
        track: Track,
        positions: dict[tuple[int, Track], PositionRow],
    ) -> ExecutionView:
        key = (terms.instrument, track)
        row = positions.get(key)
        qty, cost_total, opened_ns = _NO_POSITION if row is None else (row.qty, row.cost_total, row.opened_ns)
        buying, selling = calc.raw.working[key]
        last_fill = self._orders.last_fill_price.get(key, 0)
        cash = calc.orderable if calc.pool_limits is None else calc.pool_limits[track].available
        return ExecutionView(qty, cost_total, opened_ns, buying, selling, max(0, cash), last_fill)

    def _evaluate(
        self,
        calc: CalcDataContract,
        proposal: Proposal,
        positions: dict[tuple[int, Track], PositionRow],
        headroom: _Headroom,
    ) -> EvaluationResult:
        terms, intent = proposal.terms, proposal.intent
        execution = self._execution_view(calc, terms, proposal.track, positions)
        pricing = self._price(calc, terms, intent, proposal.attempt)
        desired, target, reason = self._desired(calc, proposal, execution, pricing.price)
        if pricing.price <= 0:
            reason = pricing.code
        if not reason and intent.side == "BUY":
            desired, reason = _cut(desired, calc.raw.stance, terms)
        if reason:
            return EvaluationResult(proposal, execution, 0, pricing.price, pricing.code, None, None, reason)
        try:
            question = self._question(calc, proposal, execution, pricing.price, desired, headroom)
            risk = self._risk_health.run(self._risk.evaluate, question)
        except Exception as error:
            raise StageFailure("FS030", "evaluate", f"risk engine failed: {one_line(error)}") from error
        delta = desired if intent.side == "BUY" else -desired
        size = self._portfolio.size
        sized = self._portfolio_health.run(size, delta, target, intent.purpose, risk, terms.lot, side=intent.side)
        if intent.side == "BUY" and sized.final_qty > 0:
            amount = terms.value(pricing.price, sized.final_qty)
            sector = self._sector(terms.symbol)
            headroom.spend(terms.instrument, sector, proposal.track, amount, question.buy_fee_rate)
            headroom.entries += is_entry(intent.side, intent.purpose, proposal.track)
        return EvaluationResult(proposal, execution, desired, pricing.price, pricing.code, risk, sized, "")

    def _turned(
        self,
        calc: CalcDataContract,
        wish: Wish,
        intent: Intent,
        positions: dict[tuple[int, Track], PositionRow],
    ) -> Intent:
        """Return a rebalancing wish on the side where its weight lies, any other as it is."""
        weight = intent.target_weight_ppm
        if intent.purpose != "REBALANCE" or weight is None or calc.raw.capital_fault or not 0 <= weight <= PPM:
            return intent
        execution = self._execution_view(calc, wish.terms, wish.track, positions)
        price = self._price(calc, wish.terms, intent, wish.attempt).price
        target = self._portfolio.target_qty(wish.terms, calc.equity_of(wish.track), weight, price)
        delta = _delta(target, execution)
        if price <= 0 or delta == 0 or (delta > 0) == (intent.side == "BUY"):
            return intent
        return intent._replace(side="BUY" if delta > 0 else "SELL", limit_price=None)

    def _price(self, calc: CalcDataContract, terms: Terms, intent: Intent, attempt: int) -> Pricing:
        instrument, ts_ns = terms.instrument, calc.raw.cycle.ts_ns
        quote = calc.raw.quotes[instrument]
        if intent.limit_price is not None and attempt == 0:
            return explicit(self._rules, instrument, quote, intent.side, intent.limit_price, ts_ns)
        config = self._config
        if intent.purpose in REDUCING:
            ticks = min(config.exit_ticks << min(attempt, 4), _MAX_EXIT_TICKS)
        else:
            ticks = config.entry_ticks
        return marketable(self._rules, instrument, quote, intent.side, ticks, config.max_slippage_bps, ts_ns)

    def _desired(
        self, calc: CalcDataContract, proposal: Proposal, execution: ExecutionView, price: int
    ) -> tuple[int, int | None, str]:
        """Return the quantity to trade, the target quantity of a weight, and why nothing is traded."""
        intent, terms = proposal.intent, proposal.terms
        if intent.sizing is not None:
            qty, reason = self._sized(calc, proposal, intent.sizing, execution, price)
            return qty, None, reason
        if intent.target_weight_ppm is None:
            qty = intent.qty if intent.qty is not None else execution.sellable_qty
            if intent.purpose in REDUCING:
                qty = min(qty, execution.sellable_qty)
                return qty, None, "" if qty > 0 else "GR032"
            return qty - qty % terms.lot, None, ""
        if calc.raw.capital_fault:
            return 0, None, calc.raw.capital_fault  # a share of what, nobody knows now
        equity = calc.equity_of(proposal.track)
        target = self._portfolio.target_qty(terms, equity, intent.target_weight_ppm, price)
        delta = _delta(target, execution)
        wanted = delta if intent.side == "BUY" else -delta
        if wanted <= 0:
            return 0, target, "at_target_weight"
        if intent.purpose == "REBALANCE" and not self._portfolio.is_worth_rebalancing(terms, equity, delta, price):
            return 0, target, "rebalance_too_small"
        return wanted, target, ""

    def _sized(
        self, calc: CalcDataContract, proposal: Proposal, sizing: Sizing, execution: ExecutionView, price: int
    ) -> tuple[int, str]:
        """Return the quantity that a way of sizing gives, and why it gives none."""
        terms, engine, amount = proposal.terms, self._portfolio, sizing.amount
        if sizing.mode == "RATIO":
            qty = engine.ratio_qty(terms, execution.sellable_qty, amount)
            return qty, "" if qty > 0 else "GR032"
        if sizing.mode == "CASH":
            qty = engine.cash_qty(terms, amount, price)
            return qty, "" if qty > 0 else "size_too_small"
        if calc.raw.capital_fault:
            return 0, calc.raw.capital_fault
        equity = calc.equity_of(proposal.track)
        if sizing.mode == "RISK":
            stop_price = proposal.intent.stop_price
            qty = engine.risk_qty(terms, equity, amount, price, stop_price)
            fault = "stop_missing" if stop_price is None else "" if 0 < stop_price < price else "invalid_stop"
        else:
            sigma_ppm = calc.raw.daily[terms.instrument].sigma_ppm
            qty = engine.volatility_qty(terms, equity, amount, sigma_ppm, price)
            fault = "volatility_unknown" if sigma_ppm is None else ""
        return qty, fault or ("" if qty > 0 else "size_too_small")

    def _sector(self, symbol: str) -> str:
        return self._config.sectors.get(symbol, symbol)

    def _question(
        self,
        calc: CalcDataContract,
        proposal: Proposal,
        execution: ExecutionView,
        price: int,
        desired: int,
        headroom: _Headroom,
    ) -> RiskQuestion:
        raw, terms, intent = calc.raw, proposal.terms, proposal.intent
        instrument = terms.instrument
        quote = raw.quotes[instrument]
        stance = raw.stance
        is_sale = intent.side == "SELL"
        is_limited = is_entry(intent.side, intent.purpose, proposal.track)
        fee_rate = 0 if is_sale else self._rules.fee(instrument, "BUY", RATE_ONE, raw.cycle.ts_ns)
        limit = None if calc.pool_limits is None else calc.pool_limits[proposal.track]
        return RiskQuestion(
            terms,
            intent.side,
            is_sale,
            desired,
            price,
            self._permission(proposal, stance),
            proposal.session,
            calc.equity,
            raw.start_equity,
            calc.drawdown_ppm,
            len(headroom.open_symbols),
            instrument in headroom.open_symbols,
            headroom.symbol_values.get(instrument, 0) + _pending_value(raw, terms, price),
            headroom.gross,
            headroom.orderable,
            fee_rate,
            execution.sellable_qty,
            stance.max_positions,
            stance.max_daily_trades - headroom.entries if is_limited else 1,
            stance.multiplier_ppm,
            headroom.pools.get(proposal.track),
            "" if limit is None or limit.entries_allowed else limit.reason or POOL_CLOSED,
            headroom.sector_values.get(self._sector(terms.symbol), 0),
            raw.daily[instrument].adv_qty,
            (quote.ask_qty or None) if quote.ask else None,
            self._config.policies.get(proposal.strategy_id),
            calc.equity_of(proposal.track),
            intent.stop_price,
            is_limited,
        )

    def _permission(self, proposal: Proposal, stance: Stance) -> str:
        """Return the code of what forbids the wish, empty if nothing does."""
        slot = self._strategies.find(proposal.strategy_id)
        if slot is not None and slot.suspended:
            return STRATEGY_SUSPENDED
        intent, track = proposal.intent, proposal.track
        if intent.side == "BUY" and not stance.may_enter:
            return NOT_PERMITTED
        if intent.side == "BUY" and not stance.lets_buy(track, intent.purpose):
            return NO_ENTRIES
        return ""


def _pending_value(raw: RawDataContract, terms: Terms, price: int) -> int:
    """Return what the working purchases of an instrument are worth at `price`."""
    pending = 0
    for (instrument, _), (buying, _) in raw.working.items():
        if buying and instrument == terms.instrument:
            pending += buying
    return terms.value(price, pending) if pending else 0


def _delta(target: int, execution: ExecutionView) -> int:
    """Return what is missing from a target, counting what is on its way."""
    return target - (execution.position_qty + execution.working_buy - execution.working_sell)


def _cut(desired: int, stance: Stance, terms: Terms) -> tuple[int, str]:
    """Return a purchase's quantity times the factor of the safety state, in whole lots, and why nothing is left."""
    if stance.size_ppm == PPM:
        return desired, ""
    left = desired * stance.size_ppm // PPM
    left -= left % terms.lot
    return left, "" if left > 0 else "size_factor"
