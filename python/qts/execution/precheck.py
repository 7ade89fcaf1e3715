"""Stage 1: whether a decision may become orders, how much of it, and the hold that pays for it.

One call to the gateway asks what the account knows (safety, positions, cash, freezes, link, market, price) and places
the hold in the same step. Around it stands what only this side knows: deadline, operating state, recovery, and the
quantity that the risk engine allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.contracts import Check, OrderDecision, PreCheckResult, Refusal
from qts.execution.ladder import entry_cap

if TYPE_CHECKING:
    from qts.execution.config import ExecutionConfig
    from qts.execution.interfaces import ExecStance, GatewayPort, MarketView

GATES: Final = ("SAFETY", "POSITION", "CAPITAL", "BROKER", "MARKET", "RISK", "PRICE")
"""The checks in the order in which they are asked (spec 15 §4.1); those of freeze and state belong to SAFETY."""

_GATE_OF: Final = {
    Refusal.EXPIRED: 0,
    Refusal.RECOVERING: 0,
    Refusal.JOURNAL_FAILED: 0,
    Refusal.SAFETY_BLOCKED: 0,
    Refusal.STATE_BLOCKED: 0,
    Refusal.SYMBOL_FROZEN: 0,
    Refusal.DUPLICATE_DECISION: 1,
    Refusal.INFLIGHT_LIMIT: 1,
    Refusal.POSITION_INVALID: 1,
    Refusal.SHADOW_FULL: 1,
    Refusal.INSUFFICIENT_CAPITAL: 2,
    Refusal.BROKER_DISCONNECTED: 3,
    Refusal.MARKET_CLOSED: 4,
    Refusal.RISK_LIMIT_EXCEEDED: 5,
    Refusal.PRICE_STALE: 6,
}
"""Which gate says each reason."""

_PASSED: Final = tuple(Check(name, passed=True) for name in GATES)
_REFUSALS: Final = {
    reason.value: (reason, (*_PASSED[:gate], Check(GATES[gate], passed=False))) for reason, gate in _GATE_OF.items()
}
"""By the word of the core: hashing a member of an enumeration takes longer than everything else here."""

_CAPITAL: Final = GATES.index("CAPITAL")
_RISK: Final = GATES.index("RISK")
_ENTERING: Final = frozenset({"NORMAL", "WARNING"})
_QTY: Final = OrderDecision._fields.index("qty")
_NO_CODES: Final[tuple[str, ...]] = ()
_CUT: Final[tuple[str, ...]] = ("GR061",)
_made: Final = PreCheckResult._make
"""Half the time of the call with keywords, and there are five microseconds for everything."""


class PreCheck:
    """Asks every gate of stage 1 and says what may go."""

    __slots__ = ("_config", "_gateway", "_max_age_ns")

    def __init__(self, gateway: GatewayPort, config: ExecutionConfig) -> None:
        self._gateway = gateway
        self._config = config
        self._max_age_ns = config.price_max_age_ns

    def run(
        self,
        decision: OrderDecision,
        now_ns: int,
        stance: ExecStance,
        link: tuple[bool, bool],
        market: MarketView,
        *,
        recovering: bool = False,
        known: Refusal | None = None,
        lot: int = 1,
    ) -> PreCheckResult:
        """Return what may go of a decision; entries that pass come with a hold, refusals never do.

        Args:
            decision: what is wanted; it is not changed, a smaller quantity comes back as a new one.
            now_ns: the engine's time.
            stance: what safety and operating state let entries do.
            link: (connected, stream up).
            market: prices and hours.
            recovering: whether recovery and reconciliation have not finished yet: no entries until then.
            known: what the caller's own book says against it (a decision seen before, an execution that is live,
                too many in flight, a journal that takes nothing). It comes out at its place in the order.
            lot: smallest quantity step of the instrument, in quantity units.
        """
        is_entry = decision.intent == "ENTRY"
        if now_ns > decision.deadline_ns:
            return _refused(decision, Refusal.EXPIRED, now_ns)
        if is_entry and recovering:
            return _refused(decision, Refusal.RECOVERING, now_ns)
        if known is not None and _GATE_OF[known] == 0:
            return _refused(decision, known, now_ns)
        approved, allowed, _ = decision.risk_approval
        wanted = decision.qty
        asked_qty = wanted if allowed >= wanted else allowed // lot * lot
        if known is not None or asked_qty <= 0 or not approved:
            return self._refuse(decision, now_ns, stance, link, market, known)
        reason, qty, hold_id, _ = self._ask(decision, asked_qty, now_ns, stance, link, market, is_entry=is_entry)
        if reason:
            return _refused(decision, _told(reason, stance, is_entry=is_entry), now_ns, stance)
        if qty == wanted:
            return _made((True, decision, _PASSED, None, now_ns, hold_id, ()))
        return _shrunk(decision, qty, asked_qty, now_ns, hold_id)

    def _ask(
        self,
        decision: OrderDecision,
        qty: int,
        now_ns: int,
        stance: ExecStance,
        link: tuple[bool, bool],
        market: MarketView,
        *,
        is_entry: bool,
    ) -> tuple[str, int, int, int]:
        instrument, track = decision.instrument, decision.pool_id
        if is_entry:
            price, quote_ts_ns = hold_price(decision, market, self._config, now_ns), market.quote(instrument).ts_ns
            state_open = stance.may_enter and not stance.eteda_suspended and stance.safety in _ENTERING
        else:
            price, quote_ts_ns, state_open = 0, now_ns, True
        return self._gateway.precheck(
            instrument,
            track,
            decision.side,
            qty,
            price,
            decision.action,
            now_ns,
            quote_ts_ns=quote_ts_ns,
            max_age_ns=self._max_age_ns,
            # Fills of an exit can be polled; an entry wants to hear of its fills by itself.
            link_up=link[0] and (link[1] or not is_entry),
            market_open=market.is_open(instrument, track, decision.intent, now_ns),
            state_open=state_open,
        )

    def _refuse(
        self,
        decision: OrderDecision,
        now_ns: int,
        stance: ExecStance,
        link: tuple[bool, bool],
        market: MarketView,
        known: Refusal | None,
    ) -> PreCheckResult:
        """Refuse for `known` or for the risk limit, unless the gateway has a reason that comes before."""
        mine = Refusal.RISK_LIMIT_EXCEEDED if known is None else known
        is_entry = decision.intent == "ENTRY"
        reason, _, hold_id, _ = self._ask(decision, decision.qty, now_ns, stance, link, market, is_entry=is_entry)
        if hold_id:
            self._gateway.close_hold(hold_id)
        if reason:
            theirs = _told(reason, stance, is_entry=is_entry)
            if _GATE_OF[Refusal(theirs)] < _GATE_OF[mine]:
                return _refused(decision, theirs, now_ns, stance)
        return _refused(decision, mine, now_ns)


def hold_price(order: OrderDecision, market: MarketView, config: ExecutionConfig, now_ns: int) -> int:
    """Return the worst price that an entry may ever be sent at: what its hold has to cover."""
    cap = entry_cap(order, market, config, now_ns)
    if order.price is None:
        return cap
    return max(cap, order.price) if order.side == "BUY" else min(cap, order.price)


def _told(word: str, stance: ExecStance, *, is_entry: bool) -> str:
    """Return the gateway's word, told apart: to the gateway safety and state are one switch for entries."""
    if word == "STATE_BLOCKED" and is_entry and stance.safety not in _ENTERING:
        return "SAFETY_BLOCKED"
    return word


def _refused(decision: OrderDecision, word: str, now_ns: int, stance: ExecStance | None = None) -> PreCheckResult:
    reason, checks = _REFUSALS[word]
    codes = _NO_CODES
    if reason is Refusal.INSUFFICIENT_CAPITAL:
        codes = _CUT
    elif reason is Refusal.STATE_BLOCKED and stance is not None and not stance.may_enter:
        said = stance.entry_refusal
        codes = (said,) if said and said not in _REFUSALS else _NO_CODES
    return _made((False, decision, checks, reason, now_ns, 0, codes))


def _shrunk(decision: OrderDecision, qty: int, asked_qty: int, now_ns: int, hold_id: int) -> PreCheckResult:
    """The answer for less than was wanted: cut by the risk limit, and below it by what can be afforded."""
    checks, codes = _PASSED, _NO_CODES
    if qty < asked_qty:
        checks = (*checks[:_CAPITAL], Check("CAPITAL", True, qty), *checks[_CAPITAL + 1 :])  # noqa: FBT003
        codes = _CUT
    if asked_qty < decision.qty:
        checks = (*checks[:_RISK], Check("RISK", True, asked_qty), *checks[_RISK + 1 :])  # noqa: FBT003
    order = OrderDecision._make((*decision[:_QTY], qty, *decision[_QTY + 1 :]))
    return _made((True, order, checks, None, now_ns, hold_id, codes))
