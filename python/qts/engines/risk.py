"""The risk engine: may we, and how much at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.config import HARD_MAX_DAILY_LOSS, HARD_MAX_EXPOSURE, HARD_MAX_PER_TRADE, HARD_MAX_SYMBOL_EXPOSURE
from qts.engines.contracts import GATES, RATE_ONE, RiskDecision, RiskLimits, RiskQuestion
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from qts.engines.contracts import RiskStage
    from qts.strategy.contracts import Terms

_MAX_EXPOSURE_PPM: Final = int(HARD_MAX_EXPOSURE * PPM)
_MAX_SYMBOL_EXPOSURE_PPM: Final = int(HARD_MAX_SYMBOL_EXPOSURE * PPM)
_MAX_DAILY_LOSS_PPM: Final = int(HARD_MAX_DAILY_LOSS * PPM)
_MAX_PER_TRADE_PPM: Final = int(HARD_MAX_PER_TRADE * PPM)
_CODES: Final = {
    "sanity": "",  # says itself which part is insane
    "permission": "",  # carries the code of what forbids
    "session": "",
    "daily_loss": "GR020",
    "drawdown": "GR021",
    "position_count": "GR002",
    "trade_count": "GR080",
    "symbol_weight": "GR010",
    "sector_weight": "GR011",
    "gross_exposure": "GR001",
    "pool": "pool_available",
    "buying_power": "GR042",
    "holding": "GR032",
    "liquidity": "GR043",
    "strategy_policy": "strategy_policy",
    "max_trade_qty": "max_trade_qty",
    "max_order_value": "max_order_value",
    "concentration": "risk_score_exceeded",
    "stop_distance": "risk_per_trade",
}
_CONCENTRATION: Final = GATES.index("concentration")
_HOLDING: Final = GATES.index("holding")


class RiskEngine:
    """Evaluates every gate for every wish; the tightest answer wins and all answers are kept.

    Exits pass sanity, permission, session and holding only: a limit that could keep a position from being
    closed would be no protection.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits

    def set_limits(self, limits: RiskLimits) -> None:
        """Go by other limits from the next question on."""
        self._limits = limits

    def evaluate(self, question: RiskQuestion) -> RiskDecision:
        """Return the most that may be traded of what `question` asks for."""
        checks = _exit_checks(question) if question.is_exit else self._entry_checks(question)
        allowed = min(checks)
        score = 0
        silent: tuple[str, ...] = ()
        if not question.is_exit:
            silent = self._silent(question)
            score = _score_ppm(question, allowed)
            if score > self._limits.max_risk_score_ppm:
                allowed = 0
                checks = (*checks[:_CONCENTRATION], 0, *checks[_CONCENTRATION + 1 :])
        if allowed == question.desired_qty and allowed > 0:
            return RiskDecision(True, allowed, "", "", score, "PASS", checks, silent)  # noqa: FBT003 - field of a contract
        gate = GATES[checks.index(allowed)]
        stage: RiskStage = "REDUCE" if allowed > 0 else "BLOCK"
        if gate == "strategy_policy" and allowed > 0 and question.policy is not None:
            stage = question.policy.stage
        return RiskDecision(allowed > 0, allowed, _reason(gate, question), gate, score, stage, checks, silent)

    def _entry_checks(self, question: RiskQuestion) -> tuple[int, ...]:
        desired = question.desired_qty
        if not _is_sane(question):
            return (0, *(desired,) * (len(GATES) - 1))
        limits = self._limits
        terms, price = question.terms, question.price
        is_crowded = question.open_symbols >= question.max_positions and not question.symbol_is_open
        return (
            desired,
            0 if question.permission else desired,
            0 if question.session else desired,
            0 if self._is_losing_day(question) else desired,
            self._drawdown_cap(question),
            0 if is_crowded else desired,
            desired if question.trades_left > 0 else 0,
            *self._weight_caps(question),
            _pool_cap(question),
            buying_power(terms, price, question.orderable, question.buy_fee_rate),
            desired,
            self._liquidity_cap(question),
            _policy_cap(question),
            desired if limits.max_trade_qty is None else limits.max_trade_qty * 10**terms.qty_scale,
            desired if limits.max_order_money is None else terms.quantity(limits.max_order_money, price),
            desired,
            self._stop_cap(question),
        )

    def _weight_caps(self, question: RiskQuestion) -> tuple[int, int, int]:
        """Return what the shares of equity leave: that of the symbol, of its sector, and of everything."""
        limits, terms, price, equity = self._limits, question.terms, question.price, question.equity
        symbol_ppm = _scaled(limits.max_symbol_exposure_ppm, question, _MAX_SYMBOL_EXPOSURE_PPM)
        sector_ppm = _scaled(limits.sector_limit_ppm, question, PPM)
        gross_ppm = _scaled(limits.max_exposure_ppm, question, _MAX_EXPOSURE_PPM)
        return (
            terms.quantity(equity * symbol_ppm // PPM - question.symbol_value, price),
            terms.quantity(equity * sector_ppm // PPM - question.sector_value, price),
            terms.quantity(equity * gross_ppm // PPM - question.gross_value, price),
        )

    def _liquidity_cap(self, question: RiskQuestion) -> int:
        """Return the share of the volume of a day, and of what is shown, that an entry may be."""
        limits, lot, cap = self._limits, question.terms.lot, question.desired_qty
        if question.adv_qty is not None:
            cap = min(cap, question.adv_qty * limits.max_adv_ppm // PPM)
        if question.depth_qty is not None and limits.max_depth_ppm is not None:
            cap = min(cap, question.depth_qty * limits.max_depth_ppm // PPM)
        return cap - cap % lot

    def _stop_cap(self, question: RiskQuestion) -> int:
        """Return how much may be lost down to the stop, as a quantity."""
        if question.stop_price is None:
            return 0 if self._limits.require_stop and question.needs_stop else question.desired_qty
        per_trade_ppm = _scaled(self._limits.per_trade_ppm, question, _MAX_PER_TRADE_PPM)
        distance = question.price - question.stop_price
        if question.stop_price <= 0 or distance <= 0:
            return 0
        return question.terms.quantity(question.track_equity * per_trade_ppm // PPM, distance)

    def _silent(self, question: RiskQuestion) -> tuple[str, ...]:
        silent = []
        if question.adv_qty is None or (self._limits.max_depth_ppm is not None and question.depth_qty is None):
            silent.append("liquidity")
        if question.stop_price is None and not (self._limits.require_stop and question.needs_stop):
            silent.append("stop_distance")
        return tuple(silent)

    def _is_losing_day(self, question: RiskQuestion) -> bool:
        loss = question.start_equity - question.equity
        limit_ppm = _scaled(self._limits.daily_loss_warning_ppm, question, _MAX_DAILY_LOSS_PPM)
        return loss * PPM >= limit_ppm * question.start_equity > 0

    def _drawdown_cap(self, question: RiskQuestion) -> int:
        if question.drawdown_ppm >= self._limits.dd_danger_ppm:
            return 0
        if question.drawdown_ppm >= self._limits.dd_warning_ppm:
            half = question.desired_qty // 2
            return half - half % question.terms.lot
        return question.desired_qty


def _exit_checks(question: RiskQuestion) -> tuple[int, ...]:
    desired = question.desired_qty
    return (
        desired if _is_sane(question) else 0,
        desired,
        0 if question.session else desired,
        *(desired,) * (_HOLDING - 3),
        question.sellable_qty,
        *(desired,) * (len(GATES) - _HOLDING - 1),
    )


def _scaled(limit_ppm: int, question: RiskQuestion, ceiling_ppm: int) -> int:
    """Return a limit times the operating state's factor, which lifts it up to its ceiling at most.

    A limit above its ceiling does not come from a configuration; it is lowered by a factor, and lifted by none.
    """
    if question.multiplier_ppm == PPM:
        return limit_ppm
    return min(limit_ppm * question.multiplier_ppm // PPM, max(ceiling_ppm, limit_ppm))


def buying_power(terms: Terms, price: int, orderable: int, buy_fee_rate: int) -> int:
    """Return the whole lots that `orderable` pays for at `price`, commission included."""
    return terms.quantity(orderable * RATE_ONE // (RATE_ONE + buy_fee_rate), price)


def _pool_cap(question: RiskQuestion) -> int:
    if question.pool_closed:
        return 0
    if question.pool_cash is None:
        return question.desired_qty
    return buying_power(question.terms, question.price, question.pool_cash, question.buy_fee_rate)


def _policy_cap(question: RiskQuestion) -> int:
    """Return what the strategy's own policy leaves of an order that is larger than it allows."""
    policy = question.policy
    one: int = 10**question.terms.qty_scale
    if policy is None or question.desired_qty <= policy.max_order_qty * one:
        return question.desired_qty
    if policy.stage == "BLOCK":
        return 0
    return one * (policy.max_order_qty if policy.stage == "WARN" else policy.reduce_to_qty)


def _is_sane(question: RiskQuestion) -> bool:
    return question.price > 0 and question.desired_qty > 0 and question.side in ("BUY", "SELL")


def _score_ppm(question: RiskQuestion, qty: int) -> int:
    """Return the share of the track's free cash that the order would use, capped at one whole."""
    cash = question.orderable if question.pool_cash is None else question.pool_cash
    return min(PPM, question.terms.value(question.price, qty) * PPM // max(cash, 1))


def _reason(gate: str, question: RiskQuestion) -> str:
    if gate == "permission":
        return question.permission
    if gate == "session":
        return question.session
    if gate == "pool" and question.pool_closed:
        return question.pool_closed
    if gate == "stop_distance":
        return _stop_reason(question)
    if gate == "sanity":
        if question.side not in ("BUY", "SELL"):
            return "unknown_side"
        return "invalid_price" if question.price <= 0 else "qty_non_positive"
    return _CODES[gate]


def _stop_reason(question: RiskQuestion) -> str:
    if question.stop_price is None:
        return "stop_missing"
    return _CODES["stop_distance"] if 0 < question.stop_price < question.price else "invalid_stop"
