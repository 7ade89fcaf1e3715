"""What the performance engine is given and what it answers (spec 02 §5.6).

Money is an integer in units of the account's currency. Ratios and statistics are floats rounded to 1e-9; None = it
cannot be told (too few days, no loss, no variation), never infinity and never NaN. Days are ISO dates of the exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, TypeAlias

from qts.codes import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qts.data import FillRow, OrderRow

CALCULATION: Final = "FE040"

Basis: TypeAlias = Literal["EQUITY", "UNIT_PRICE", "CONTRIBUTION", "NONE"]
"""What a return series is made from.

EQUITY: equity of the account, flows taken out. UNIT_PRICE: unit price of the track's pool, in which no transfer shows.
CONTRIBUTION: the day's marked result of the scope as a fraction of the *account's* equity at the start of the day, so
that the scopes of a run add up to the account. NONE: the run recorded no holdings by day, there is no series.
"""


class CalculationError(DataError):
    """A figure that cannot be computed from what was given (FE040)."""

    engine: ClassVar[str] = "performance"
    error_type: ClassVar[str] = "Calculation"

    def __init__(self, *, found: str, expected: str, hint: str) -> None:
        super().__init__(found=found, expected=expected, hint=hint)
        self.code = CALCULATION


@dataclass(frozen=True, slots=True)
class PerformanceSettings:
    """Parameters of the statistics; the defaults are the shipped ones."""

    risk_free_rate: Decimal = Decimal("0.02")
    """A year, as a fraction."""
    trading_days_per_year: int = 245
    """N. See `trading_days_per_year` for the count of a calendar."""
    min_days_cagr: int = 60
    """Days below which a growth rate a year is not told."""
    recent_days: int = 20
    """Days of the recent volatility."""


class EquityDay(NamedTuple):
    """The account at the end of a day."""

    day: str
    equity: int
    market_value: int
    flow: int = 0
    """External money that came in (out: negative) at the start of the day."""


class Holdings(NamedTuple):
    """What a track held of a symbol at the end of a day."""

    track: str
    symbol: str
    market_value: int


class Income(NamedTuple):
    """A dividend, or money in place of a fraction of a share: cash and realised income on its pay date."""

    day: str
    track: str
    symbol: str
    amount: int


class Split(NamedTuple):
    """A changed number of shares at the same cost, before the session of the day."""

    day: str
    track: str
    symbol: str
    qty_after: int


@dataclass(frozen=True, slots=True)
class PerformanceInput:
    """A run, as the figures need it. Streams are read once."""

    start_equity: int
    days: Sequence[EquityDay]
    """In order, one a day."""
    fills: Iterable[FillRow]
    """In the order of booking."""
    orders: Iterable[OrderRow] = ()
    holdings: Mapping[str, Sequence[Holdings]] | None = None
    """By day; None = the run kept none, and only the account has a return series."""
    unit_prices: Mapping[str, Sequence[tuple[str, Decimal]]] | None = None
    """By track, (day, price) in order, beginning at 1; None = the run has no pools."""
    incomes: Sequence[Income] = ()
    splits: Sequence[Split] = ()
    reference: Callable[[FillRow], int | None] | None = None
    """Price that a fill is measured against, in units of a price; None where it is not known."""
    peak_exposure: tuple[int, int] | None = None
    """Highest market value over equity seen within the days, as a fraction; else that of the days' ends is told."""


class MonthFigure(NamedTuple):
    """A month of a return series."""

    month: str
    """YYYY-MM."""
    total_return: float
    change: float | None
    """Return less that of the month before in the series."""


class ReturnFigures(NamedTuple):
    """Statistics of a series of daily returns."""

    days: int
    total_return: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    calmar: float | None
    daily_win_rate: float | None
    daily_profit_factor: float | None
    volatility_recent: float | None
    """Of the last 20 days."""
    index_end: float
    """Growth of 1."""
    index_high: float
    monthly: tuple[MonthFigure, ...]


class TradeFigures(NamedTuple):
    """Closed round trips, net of all costs."""

    trades: int
    wins: int
    losses: int
    win_rate: float | None
    gross_wins: int
    """Sum of the net results of winning trades."""
    gross_losses: int
    """Sum of the net results of losing trades, as a positive amount."""
    profit_factor: float | None
    max_consecutive_losses: int
    best: int
    worst: int
    mean_holding_s: float | None


class MoneyFigures(NamedTuple):
    """Sums of fills, in money units."""

    fills: int
    bought: int
    sold: int
    fees: int
    taxes: int
    realized_gross: int
    """Amounts of sales less the cost that left with them."""
    realized_net: int
    """Gross less the fees and taxes of sales and the share of the purchases' fees that left with the shares."""
    income: int
    """Dividends."""


class SlippageFigures(NamedTuple):
    """How fills compare with their reference prices; positive = cost."""

    fills: int
    """Fills whose reference is known."""
    mean_bps: float | None
    """Weighted by amount."""
    worst_bps: float | None


class OrderFigures(NamedTuple):
    """What became of orders."""

    orders: int
    filled: int
    rejected: int
    fill_rate: float | None
    """Mean over the orders of filled quantity over ordered quantity."""
    reject_rate: float | None
    mean_fill_ms: float | None
    """From the sending to the last fill, mean over the orders that were filled whole."""


class ExposureFigures(NamedTuple):
    """How much was invested, and how often it was turned over."""

    mean: float | None
    """Market value over equity of the account, mean of the days' ends."""
    max: float | None
    turnover: float | None
    """Half of purchases and sales over mean equity, a year."""


class ScopeFigures(NamedTuple):
    """All figures of the account, a track or a strategy."""

    basis: Basis
    returns: ReturnFigures | None
    trades: TradeFigures
    money: MoneyFigures
    slippage: SlippageFigures
    orders: OrderFigures
    exposure: ExposureFigures
    error: CalculationError | None = None
    """Why there are no returns."""


class PerformanceFigures(NamedTuple):
    """Figures of a run."""

    account: ScopeFigures
    tracks: Mapping[str, ScopeFigures]
    strategies: Mapping[str, ScopeFigures]
    settings: PerformanceSettings
