"""What the stages hand to each other: one immutable bundle per stage and cycle.

Prices, quantities and money are integers (price units, quantity units, account money units), times UTC
nanoseconds, fractions parts per million. The contracts are named tuples: with a dozen fields they are built
seven times as fast as frozen dataclasses (0.2 against 1.3 microseconds in CPython 3.11), and are as
immutable. What a type cannot say is asserted where the bundle is built (`checked_decision`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from qts.strategy.contracts import OPENING, PPM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.broker.contracts import OrderRequest, OrderResponse, OrderType, Side, TimeInForce, Track
    from qts.capital.contracts import CapitalEngineOutput, CapitalPoolContract, PoolLimit
    from qts.config import SessionPhase as Phase
    from qts.engines.contracts import PortfolioDecision, RiskDecision
    from qts.engines.strategy import StrategySlot
    from qts.pipeline.budgets import Breach
    from qts.pipeline.daily import DayStats
    from qts.strategy.contracts import Bars, ExecutionView, Intent, Purpose, Quote, Terms

SCHEMA_VERSION: Final = "1.1.0"
"""Version of these contracts: removed or changed meaning = major, added = minor, text = patch."""

Cause: TypeAlias = Literal["INTERVAL", "EVENT", "REPLAY", "MANUAL"]
Status: TypeAlias = Literal["executed", "rejected", "skipped", "held", "error"]
Action: TypeAlias = Literal["BUY", "SELL", "NONE"]
Stage: TypeAlias = Literal["extract", "transform", "evaluate", "decide", "act"]

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})

STAGES: Final[tuple[Stage, ...]] = ("extract", "transform", "evaluate", "decide", "act")


class Cycle(NamedTuple):
    """Identity of one pass through the stages, and the only time that a stage knows."""

    no: int
    cause: Cause
    ts_ns: int
    session_date: str


class Switches(NamedTuple):
    """What the operator or the safety layer has switched off."""

    trading_enabled: bool = True
    safe_mode: bool = False
    pipeline_paused: bool = False
    kill_switch: bool = False
    distrusted: bool = False
    """Safety is FAIL or LOCKDOWN: no strategy is asked, only what protects a position runs."""


def is_entry(side: Side, purpose: Purpose, track: Track) -> bool:
    """Whether an order is one that the operating state limits.

    Rebalancing into the portfolio is none. Under any other track the word makes no difference to a purchase.
    """
    return purpose in OPENING or (side == "BUY" and purpose == "REBALANCE" and track != "PORTFOLIO")


class Stance(NamedTuple):
    """What operating state and safety state let orders do now. Limits are for entries; exits never ask them."""

    rank: int = 1
    """Operating state: 2 AGGRESSIVE, 1 BALANCED, 0 DEFENSIVE."""
    threshold: float = 0.7
    """Confidence below which an entry is dropped."""
    new_entries: bool = True
    exit_only: frozenset[Track] = frozenset()
    """Tracks whose engine is not active: their positions are closed, none is opened."""
    max_positions: int = 15
    max_daily_trades: int = 30
    multiplier_ppm: int = PPM
    """Factor on the limits of entries; hard ceilings cap the product."""
    size_ppm: int = PPM
    """Factor on the quantity of an entry: that of WARNING or of probation."""
    may_enter: bool = True
    may_exit: bool = True
    """Whether an exit of a strategy may leave."""
    may_protect: bool = True
    """Whether an exit that protects may leave."""
    trusted_age_ns: int | None = None
    """In LOCKDOWN: how old the quote of such an exit may be; None = its age does not matter."""

    def lets_buy(self, track: Track, purpose: Purpose) -> bool:
        """Whether a purchase of `track` is thinkable at all."""
        lets_in = self.new_entries and track not in self.exit_only
        return self.may_enter and (lets_in or not is_entry("BUY", purpose, track))

    def is_safer_than(self, other: Stance) -> bool:
        """Whether anything that `other` let an entry do is limited further."""
        return (
            self.rank < other.rank
            or self.threshold > other.threshold
            or self.multiplier_ppm < other.multiplier_ppm
            or self.size_ppm < other.size_ppm
            or self.max_positions < other.max_positions
            or self.max_daily_trades < other.max_daily_trades
            or (other.new_entries and not self.new_entries)
            or not self.exit_only <= other.exit_only
        )


class PositionRow(NamedTuple):
    """What one track holds of one instrument."""

    instrument: int
    track: Track
    qty: int
    cost_total: int
    opened_ns: int


class Wish(NamedTuple):
    """One question for Evaluate: a strategy to be asked, or an intent that exists already."""

    strategy_id: str
    track: Track
    slot: StrategySlot | None
    """The strategy; None for wishes of the pipeline itself."""
    terms: Terms
    phase: Phase
    intent: Intent | None
    """The intent of a tick handler or of the pipeline; None = ask the strategy."""
    bars: Bars | None
    attempt: int = 0
    """How often this exit has been sent before."""


class RawDataContract(NamedTuple):
    """Everything that a cycle knows of the world, read once."""

    cycle: Cycle
    wishes: tuple[Wish, ...]
    quotes: Mapping[int, Quote]
    """Quotes of every instrument that is held or wished for."""
    positions: tuple[PositionRow, ...]
    cash: int
    reserved: int
    """Cash held for working purchases."""
    working: Mapping[tuple[int, Track], tuple[int, int]]
    """Unfilled working buys and sells of every wished instrument, by track."""
    buying: frozenset[int]
    """Instruments that some working order buys."""
    start_equity: int
    high_water: int
    switches: Switches
    stance: Stance
    entries_today: int
    """Entry orders that were accepted in this session so far."""
    capital_pools: Mapping[Track, CapitalPoolContract] | None = None
    """The pools of the tracks; None if the account is one pool, or if they could not be read."""
    capital_fault: str = ""
    """Code of why the pools could not be read, empty if they could or if there are none."""
    daily: Mapping[int, DayStats] = _NONE
    """What closed daily bars say of every wished instrument."""
    pending_values: Mapping[int, int] = _NONE
    """What working purchases may still cost without commission, by instrument; only in a cycle with wishes."""


class CalcDataContract(NamedTuple):
    """What follows from the raw data by arithmetic."""

    raw: RawDataContract
    equity: int
    market_value: int
    orderable: int
    gross_exposure_ppm: int
    daily_pnl: int
    drawdown_ppm: int
    symbol_values: Mapping[int, int]
    """Market value by instrument over all tracks."""
    capital_decision: CapitalEngineOutput | None = None
    """Answer of the capital engine; None if the account is one pool, or if it gave none."""
    pool_limits: Mapping[Track, PoolLimit] | None = None
    """What each track may spend now; None if the account is one pool."""
    track_equity: Mapping[Track, int] | None = None
    """Net asset value of each track's pool; None if the account is one pool, or if the pools could not be read."""
    reports: tuple[StageError, ...] = ()
    """Findings that do not end the cycle."""
    sector_values: Mapping[str, int] = _NONE
    """Market value by sector over all tracks, working purchases included."""
    marks: Mapping[int, int] = _NONE
    """Price that each instrument held was valued at; one without a price is left out."""

    def equity_of(self, track: Track) -> int:
        """Return the equity that weights of a track are shares of: that of its pool, else of the account."""
        return self.equity if self.track_equity is None else self.track_equity[track]


class Proposal(NamedTuple):
    """An intent with who it comes from: what arbitration compares."""

    strategy_id: str
    priority: int
    track: Track
    terms: Terms
    phase: Phase
    session: str
    """Code of what closes the session to it, empty if it is open."""
    intent: Intent
    attempt: int
    is_exit: bool

    @property
    def is_protective(self) -> bool:
        """Whether the pipeline itself wants it, to close what must not stay open."""
        return self.priority < 0


class EvaluationResult(NamedTuple):
    """What the engines make of a proposal."""

    proposal: Proposal
    execution: ExecutionView | None
    desired_qty: int
    price: int
    """Limit price that Decide would send, in price units; 0 = none could be found."""
    price_code: str
    """What was done to the price or why there is none, empty if nothing."""
    risk: RiskDecision | None
    """None if arbitration dropped the proposal."""
    portfolio: PortfolioDecision | None
    reason: str
    """Why the proposal was dropped before the engines, empty if it was not."""

    @property
    def approved(self) -> bool:
        """Whether risk lets anything of it pass."""
        return self.risk is not None and self.risk.approved

    @property
    def final_qty(self) -> int:
        """Quantity to trade, in quantity units."""
        return 0 if self.portfolio is None else self.portfolio.final_qty


class OrderDecision(NamedTuple):
    """The final yes or no for one (track, symbol, side); journalled before anything is sent."""

    action: Action
    decision_id: str
    strategy_id: str
    track: Track
    terms: Terms
    side: Side
    purpose: Purpose
    qty: int
    order_type: OrderType
    limit_price: int
    tif: TimeInForce
    ttl_ns: int
    ref_price: int
    """Quote that the decision was taken on: the ask of a purchase, the bid of a sale, else the last trade."""
    ref_ts_ns: int
    reason: str
    """The strategy's reason if the action is BUY or SELL, else what stood against it."""
    codes: tuple[str, ...]
    """Guards that cut, changed or refused the order."""
    attempt: int
    evaluation: EvaluationResult


class SentOrder(NamedTuple):
    """An order from its sending to its end."""

    request: OrderRequest
    response: OrderResponse
    decision_id: str
    strategy_id: str
    purpose: Purpose
    reason: str
    sent_ns: int
    updated_ns: int


class StageError(NamedTuple):
    """A fault that ended a cycle or one order of it."""

    code: str
    stage: Stage
    message: str
    critical: bool


class CycleResult(NamedTuple):
    """Record of one cycle."""

    cycle: Cycle
    status: Status
    reason: str
    equity: int
    """0 if the cycle ended before it was known."""
    market_value: int
    cash: int
    decisions: tuple[OrderDecision, ...]
    errors: tuple[StageError, ...]
    timings_ns: tuple[int, ...]
    """Duration of each stage that ran, in the order of `STAGES`."""
    breaches: tuple[Breach, ...] = ()
    """Budgets that were not kept, in wall time: never a reason to decide anything in a backtest."""
    reports: tuple[StageError, ...] = ()
    """Findings that did not end the cycle."""
    marks: Mapping[int, int] = _NONE
    """Price that each instrument held was valued at; one without a price is left out."""


class ContractError(Exception):
    """A stage built a bundle that breaks its own rules: a defect, never a market condition."""

    code: Final = "CE004"


def checked_decision(decision: OrderDecision) -> OrderDecision:
    """Return `decision` if it keeps the invariants of an order decision.

    Raises:
        ContractError: it does not; the message names the rule.
    """
    if decision.action == "NONE":
        return decision
    evaluation = decision.evaluation
    if decision.action != decision.side:
        raise ContractError(f"action {decision.action} of a {decision.side} decision")
    if decision.qty <= 0 or not decision.terms.symbol:
        raise ContractError(
            f"{decision.action} of {decision.qty} {decision.terms.symbol!r}: symbol and quantity > 0 expected"
        )
    if evaluation.risk is None or decision.qty > evaluation.risk.allowed_qty:
        raise ContractError(f"quantity {decision.qty} exceeds what risk allows")
    if decision.limit_price <= 0:
        raise ContractError(f"limit price {decision.limit_price}: more than 0 expected")
    return decision
