"""What the engines are asked and what they answer.

Money, prices and quantities are integers (account money units, price units, quantity units); fractions are
integers in parts per million. Named tuples, because every order builds several of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from qts.broker.contracts import Side
    from qts.strategy.contracts import Terms

RiskStage: TypeAlias = Literal["PASS", "WARN", "REDUCE", "BLOCK"]
PolicyStage: TypeAlias = Literal["WARN", "REDUCE", "BLOCK"]
AdjustmentReason: TypeAlias = Literal["NEW_ENTRY", "REBALANCE", "EXIT", "NONE"]

RATE_ONE: Final = 100_000_000
"""One whole, where a cost rate travels as an integer."""

GATES: Final = (
    "sanity",
    "permission",
    "session",
    "daily_loss",
    "drawdown",
    "position_count",
    "trade_count",
    "symbol_weight",
    "sector_weight",
    "gross_exposure",
    "pool",
    "buying_power",
    "holding",
    "liquidity",
    "strategy_policy",
    "max_trade_qty",
    "max_order_value",
    "concentration",
    "stop_distance",
)
"""The risk gates in their order; `RiskDecision.checks` has one entry for each.

`max_trade_qty` and `max_order_value` are the policy of the account beside that of the strategy.
"""


class StrategyPolicy(NamedTuple):
    """How large an order of one strategy may be, and what happens to a larger one."""

    max_order_qty: int
    """In whole units (shares, coins)."""
    stage: PolicyStage = "WARN"
    """WARN cuts it to the most and says so, REDUCE cuts it to `reduce_to_qty`, BLOCK refuses it."""
    reduce_to_qty: int = 0
    """In whole units."""


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of the risk engine. Defaults are the shipped ones; `None` = no such limit.

    How many positions and trades there may be is for the operating state to say; see `RiskQuestion`.
    """

    max_exposure_ppm: int = 500_000
    max_symbol_exposure_ppm: int = 100_000
    daily_loss_warning_ppm: int = 20_000
    dd_warning_ppm: int = 50_000
    dd_danger_ppm: int = 100_000
    max_risk_score_ppm: int = 700_000
    max_trade_qty: int | None = 1_000
    """Largest order in whole units (shares, coins)."""
    max_order_money: int | None = 1_000_000
    """Largest purchase in money units of the account."""
    sector_limit_ppm: int = 300_000
    max_adv_ppm: int = 10_000
    """Largest entry as a share of the average daily volume."""
    max_depth_ppm: int | None = None
    """Largest entry as a share of the quantity shown at the best price; `None` = the book is not asked."""
    per_trade_ppm: int = 5_000
    """Most of the track's equity that an entry may lose down to its stop."""
    require_stop: bool = False
    """Whether an entry without a stop is refused."""


class RiskQuestion(NamedTuple):
    """One wish, with everything that the gates look at."""

    terms: Terms
    side: Side
    is_exit: bool
    desired_qty: int
    """Quantity that the strategy asks for, in quantity units."""
    price: int
    """Worst price that the order would accept, in price units; 0 = none could be found."""
    permission: str
    """Code of what forbids the wish, empty if nothing does."""
    session: str
    """Code of what closes the session to the wish, empty if it is open."""
    equity: int
    start_equity: int
    """Equity at the start of the session."""
    drawdown_ppm: int
    open_symbols: int
    """Symbols held or being bought."""
    symbol_is_open: bool
    symbol_value: int
    """Market value of the symbol over all tracks, working purchases included."""
    gross_value: int
    """Market value of everything, working purchases included."""
    orderable: int
    """Cash that no working purchase holds."""
    buy_fee_rate: int
    """Commission on a purchase, as a fraction times 10**8."""
    sellable_qty: int
    """Quantity held that no working order sells."""
    max_positions: int = 15
    """Symbols that may be held, by operating state."""
    trades_left: int = 30
    """Entry orders that the operating state leaves for the session."""
    multiplier_ppm: int = PPM
    """Factor of the operating state on the limits of entries."""
    pool_cash: int | None = None
    """What the track's pool may spend; None if the account is one pool."""
    pool_closed: str = ""
    """Code or cause of what closes the pool to entries, empty if nothing does."""
    sector_value: int = 0
    """Market value of the symbol's sector over all tracks, working purchases included."""
    adv_qty: int | None = None
    """Average daily volume, in quantity units; None if it is not known."""
    depth_qty: int | None = None
    """Quantity shown at the price that the order meets; None if it is not known."""
    policy: StrategyPolicy | None = None
    track_equity: int = 0
    """Equity of the track's pool, of the account if there is one pool only."""
    stop_price: int | None = None
    """Where the strategy gives an entry up; None if it says nothing."""
    needs_stop: bool = True
    """Whether the wish is an entry in the sense of the operating state: rebalancing into the portfolio is none."""


class RiskDecision(NamedTuple):
    """How much may be traded at most, and which gate says so."""

    approved: bool
    allowed_qty: int
    reason: str
    """Code of the tightest gate that cut or refused, empty if none did."""
    gate: str
    """Name of that gate."""
    score_ppm: int
    stage: RiskStage
    checks: tuple[int, ...]
    """Quantity that each of `GATES` leaves; one that has nothing to say leaves what was asked for."""
    silent: tuple[str, ...] = ()
    """Gates that would have looked and had nothing to go by."""


class PortfolioDecision(NamedTuple):
    """How much will be traded."""

    final_qty: int
    target_qty: int | None
    """Quantity to be held, for a wish that names a weight."""
    delta: int
    """Signed wish: positive buys, negative sells."""
    adjustment_reason: AdjustmentReason
    binding_constraint: str
    """What decided the quantity: `desired` or the name of a cap."""
