"""Decide: the final yes or no, the order's shape, and the last guards. Recomputes no signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.pipeline.contracts import OrderDecision, checked_decision
from qts.pipeline.evaluate import NO_ENTRIES
from qts.pipeline.journal import decision_id
from qts.pipeline.pricing import reference_price
from qts.strategy.contracts import REDUCING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qts.broker.contracts import OrderType, Track
    from qts.pipeline.config import PipelineConfig
    from qts.pipeline.contracts import Cycle, EvaluationResult, Proposal, RawDataContract, Stance
    from qts.pipeline.interfaces import RulesPort
    from qts.strategy.contracts import Quote

NOT_APPROVED: Final = "GR031"
DUPLICATE: Final = "GR033"
STALE_QUOTE: Final = "GR037"
PRICE_GAP: Final = "GR041"
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_MAX_REMEMBERED: Final = 4_096
_MARKET_MAX_SPREAD_TICKS: Final = 2


class Decide:
    """Turns evaluation results into order decisions.

    Guards that protect money from an entry (stale quote, price gap, repeated order) do not hold an exit back:
    its price comes from the market's own side and is bounded by the ladder and the day's limits.
    """

    def __init__(self, config: PipelineConfig, rules: RulesPort) -> None:
        self._config = config
        self._rules = rules
        self.set_quote_ages(config.max_quote_age_ms)
        self._window_ns = config.duplicate_window_s * _NS_PER_S
        self._recent: dict[tuple[object, ...], int] = {}

    def set_quote_ages(self, max_quote_age_ms: Mapping[Track, int]) -> None:
        """Refuse entries on older market data than this, in milliseconds by track."""
        self._max_age_ns = {track: age * _NS_PER_MS for track, age in max_quote_age_ms.items()}

    def run(self, raw: RawDataContract, results: Iterable[EvaluationResult]) -> tuple[OrderDecision, ...]:
        """Return one decision per result, in order; refused ones have the action NONE."""
        return tuple([self._decide(raw, result, ordinal) for ordinal, result in enumerate(results)])

    def _decide(self, raw: RawDataContract, result: EvaluationResult, ordinal: int) -> OrderDecision:
        proposal = result.proposal
        intent, terms = proposal.intent, proposal.terms
        cycle = raw.cycle
        quote = raw.quotes[terms.instrument]
        refusal = self._refusal(raw, result, quote)
        codes = [result.price_code] if result.price_code else []
        if result.risk is not None and result.risk.reason:
            codes.append(result.risk.reason)
        if refusal and refusal not in codes:
            codes.append(refusal)
        if refusal == NOT_APPROVED and result.risk is not None:
            refusal = _in_words(result.risk.reason, proposal, raw.stance)  # says more than "not approved"
        return checked_decision(
            OrderDecision(
                "NONE" if refusal else intent.side,
                decision_id(cycle, proposal.track, proposal.strategy_id, terms.symbol, intent.side, ordinal),
                proposal.strategy_id,
                proposal.track,
                terms,
                intent.side,
                intent.purpose,
                result.final_qty,
                self._order_type(result, quote, cycle),
                result.price,
                intent.time_in_force,
                intent.ttl_ms * _NS_PER_MS,
                reference_price(quote, intent.side),
                quote.ts_ns,
                refusal or intent.reason,
                tuple(codes),
                proposal.attempt,
                result,
            )
        )

    def _refusal(self, raw: RawDataContract, result: EvaluationResult, quote: Quote) -> str:
        """Return what stands against the order, empty if nothing does."""
        if result.reason:
            return result.reason
        switches = raw.switches
        if not result.proposal.is_protective:
            if switches.trading_enabled is not True:
                return "trading_disabled"
            if switches.safe_mode:
                return "safe_mode"
        if result.risk is None or not result.risk.approved:
            return NOT_APPROVED
        if result.final_qty <= 0:
            return "final_qty_zero"
        intent, execution = result.proposal.intent, result.execution
        if execution is not None and (execution.working_buy if intent.side == "BUY" else execution.working_sell):
            return DUPLICATE
        return "" if intent.purpose in REDUCING else self._entry_refusal(raw.cycle, result, quote)

    def _entry_refusal(self, cycle: Cycle, result: EvaluationResult, quote: Quote) -> str:
        proposal = result.proposal
        intent = proposal.intent
        if cycle.ts_ns - quote.ts_ns > self._max_age_ns[proposal.track]:
            return STALE_QUOTE
        reference = reference_price(quote, intent.side)
        wished = intent.limit_price or intent.ref_price
        if wished and abs(wished - reference) * 10_000 > self._config.max_price_gap_bps * reference:
            return PRICE_GAP
        return DUPLICATE if self._is_repeated(cycle, result) else ""

    def _is_repeated(self, cycle: Cycle, result: EvaluationResult) -> bool:
        """Whether the same order was decided a moment ago; remembers this one if not."""
        proposal = result.proposal
        key = (
            proposal.terms.instrument,
            proposal.track,
            proposal.intent.side,
            result.final_qty,
            result.price,
        )
        last = self._recent.get(key)
        if last is not None and cycle.ts_ns - last < self._window_ns:
            return True
        if len(self._recent) >= _MAX_REMEMBERED:
            oldest = cycle.ts_ns - self._window_ns
            self._recent = {key: ts_ns for key, ts_ns in self._recent.items() if ts_ns > oldest}
        self._recent[key] = cycle.ts_ns
        return False

    def _order_type(self, result: EvaluationResult, quote: Quote, cycle: Cycle) -> OrderType:
        """Return MARKET for a strategy that may and a market that is tight, else LIMIT."""
        proposal = result.proposal
        if (
            proposal.intent.order_type == "LIMIT"
            or proposal.strategy_id not in self._config.market_order_strategies
            or quote.bid <= 0
            or quote.ask <= 0
        ):
            return "LIMIT"
        widest = self._rules.step(proposal.terms.instrument, quote.bid, _MARKET_MAX_SPREAD_TICKS, cycle.ts_ns)
        return "MARKET" if quote.ask <= widest else "LIMIT"


def _in_words(code: str, proposal: Proposal, stance: Stance) -> str:
    """Return what a refused decision names as its reason: for the operating state its own words, else the code."""
    if code != NO_ENTRIES:
        return code
    return "STATE_DEFENSIVE" if proposal.track in stance.exit_only else "NEW_ENTRY_BLOCKED_IN_DEFENSIVE_STATE"
