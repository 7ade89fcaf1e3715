"""Round trips and realised results from a stream of fills, in memory that does not grow with it (spec 02 §5.6).

A round trip is flat -> flat per (track, symbol). Cost leaves a position by moving average, rounded down; so does the
share of the purchases' fees. A round trip with all its fills belongs to the strategy of the fill that opened it, a
dividend to the one that holds the shares, or held them last: so strategies add up to their track, and tracks to the
account, to the last unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from qts.clock import NS_PER_S
from qts.engines.performance_contracts import CalculationError, MoneyFigures, SlippageFigures, TradeFigures
from qts.engines.performance_messages import say
from qts.engines.performance_metrics import rounded, slippage_bps

if TYPE_CHECKING:
    from qts.data import FillRow
    from qts.engines.performance_contracts import Income, Split

Owner: TypeAlias = tuple[str, str]
"""Track and strategy."""

UNASSIGNED: Final = "UNASSIGNED"
"""Stands for the strategy of what no strategy began."""


class Trade(NamedTuple):
    """A closed round trip."""

    owner: Owner
    symbol: str
    opened_ns: int
    closed_ns: int
    net: int
    """After all fees and taxes of its fills."""


@dataclass(slots=True)
class Sums:
    """Running sums of one owner."""

    fills: int = 0
    bought: int = 0
    sold: int = 0
    fees: int = 0
    taxes: int = 0
    realized_gross: int = 0
    realized_net: int = 0
    income: int = 0
    slip_fills: int = 0
    slip_weighted: float = 0.0
    slip_amount: int = 0
    slip_worst: float | None = None

    @property
    def cash(self) -> int:
        """What the owner's fills and dividends brought less what they cost."""
        return self.sold - self.bought - self.fees - self.taxes + self.income

    def money(self) -> MoneyFigures:
        """Return the sums of money."""
        return MoneyFigures(
            self.fills,
            self.bought,
            self.sold,
            self.fees,
            self.taxes,
            self.realized_gross,
            self.realized_net,
            self.income,
        )

    def slippage(self) -> SlippageFigures:
        """Return the slippage, weighted by amount."""
        mean = self.slip_weighted / self.slip_amount if self.slip_amount else None
        return SlippageFigures(self.slip_fills, rounded(mean), rounded(self.slip_worst))

    def slip(self, bps: float, amount: int) -> None:
        """Take in the slippage of a fill."""
        self.slip_fills += 1
        self.slip_weighted += bps * amount
        self.slip_amount += amount
        if self.slip_worst is None or bps > self.slip_worst:
            self.slip_worst = bps

    def add(self, other: Sums) -> None:
        """Take in the sums of another owner."""
        self.fills += other.fills
        self.bought += other.bought
        self.sold += other.sold
        self.fees += other.fees
        self.taxes += other.taxes
        self.realized_gross += other.realized_gross
        self.realized_net += other.realized_net
        self.income += other.income
        self.slip_fills += other.slip_fills
        self.slip_weighted += other.slip_weighted
        self.slip_amount += other.slip_amount
        if other.slip_worst is not None:
            self.slip_worst = other.slip_worst if self.slip_worst is None else max(self.slip_worst, other.slip_worst)


@dataclass(slots=True)
class TradeStats:
    """Statistics of closed round trips, one after the other."""

    trades: int = 0
    wins: int = 0
    losses: int = 0
    gross_wins: int = 0
    gross_losses: int = 0
    streak: int = 0
    longest: int = 0
    best: int = 0
    worst: int = 0
    held_ns: int = 0

    def add(self, trade: Trade) -> None:
        """Take in the next trade to close; one that broke even is neither a win nor a loss, and ends a streak."""
        net = trade.net
        if not self.trades:
            self.best = self.worst = net
        elif net > self.best:
            self.best = net
        elif net < self.worst:
            self.worst = net
        self.trades += 1
        self.held_ns += trade.closed_ns - trade.opened_ns
        if net < 0:
            self.losses += 1
            self.gross_losses -= net
            self.streak += 1
            if self.streak > self.longest:
                self.longest = self.streak
            return
        self.streak = 0
        if net > 0:
            self.wins += 1
            self.gross_wins += net

    def figures(self) -> TradeFigures:
        """Return the statistics so far."""
        return TradeFigures(
            trades=self.trades,
            wins=self.wins,
            losses=self.losses,
            win_rate=rounded(self.wins / self.trades) if self.trades else None,
            gross_wins=self.gross_wins,
            gross_losses=self.gross_losses,
            profit_factor=rounded(self.gross_wins / self.gross_losses) if self.gross_losses else None,
            max_consecutive_losses=self.longest,
            best=self.best,
            worst=self.worst,
            mean_holding_s=rounded(self.held_ns / self.trades / NS_PER_S) if self.trades else None,
        )


@dataclass(slots=True)
class _Open:
    """An open position and the round trip that it belongs to."""

    owner: Owner
    opened_ns: int
    sums: Sums
    """Of the owner."""
    stats: tuple[TradeStats, ...]
    """Of the owner's scopes."""
    qty: int = 0
    cost: int = 0
    fees: int = 0
    """Fees of the purchases that are still in the position."""
    net: int = 0
    """Realised so far, less the purchases' fees that left."""


@dataclass(slots=True)
class TradeBook:
    """Takes fills in the order of booking; keeps open positions, sums by owner, and statistics by scope."""

    sums: dict[Owner, Sums] = field(default_factory=dict)
    stats: dict[Owner, TradeStats] = field(default_factory=dict)
    """Of all ("", ""), of a track (track, "") and of a strategy ("", strategy)."""
    _open: dict[tuple[str, str], _Open] = field(default_factory=dict)
    _stats_of: dict[Owner, tuple[TradeStats, ...]] = field(default_factory=dict)
    _last_owner: dict[tuple[str, str], Owner] = field(default_factory=dict)

    def owner_of(self, track: str, symbol: str) -> Owner:
        """Return whose a position is, or was last."""
        return self._last_owner.get((track, symbol), (track, UNASSIGNED))

    def fill(self, fill: FillRow, reference: int | None = None) -> Trade | None:
        """Take in a fill and return the round trip that it closed.

        Raises:
            CalculationError: more is sold than is held; the sums of money have taken the fill in, results have not.
        """
        key = (fill.track, fill.symbol)
        position = self._open.get(key)
        if position is None:
            position = self._open[key] = self._opened(key, fill)
        sums = position.sums
        sums.fills += 1
        sums.fees += fill.fee
        sums.taxes += fill.tax
        if fill.side == "BUY":
            position.qty += fill.qty
            position.cost += fill.amount
            position.fees += fill.fee
            position.net -= fill.tax
            sums.bought += fill.amount
            sums.realized_net -= fill.tax
        else:
            sums.sold += fill.amount
            self._sell(fill, position, sums)
        if reference:
            sums.slip(slippage_bps(fill.side, fill.price, reference), fill.amount)
        if position.qty:
            return None
        del self._open[key]
        trade = Trade(position.owner, fill.symbol, position.opened_ns, fill.ts_exec_ns, position.net)
        for stats in position.stats:
            stats.add(trade)
        return trade

    def income(self, row: Income) -> None:
        """Take in a dividend: money of whoever holds the shares, or held them last. No part of a round trip."""
        self._sums_of(self.owner_of(row.track, row.symbol)).income += row.amount

    def split(self, row: Split) -> None:
        """Take in a changed number of shares at the same cost; nothing if none are held."""
        position = self._open.get((row.track, row.symbol))
        if position is not None and row.qty_after > 0:
            position.qty = row.qty_after

    def totals(self, scope: Owner) -> Sums:
        """Return the sums of a track's owners (track, ""), a strategy's ("", strategy), or all ("", "")."""
        total = Sums()
        for (track, strategy), sums in self.sums.items():
            if scope[0] in ("", track) and scope[1] in ("", strategy):
                total.add(sums)
        return total

    def _sell(self, fill: FillRow, position: _Open, sums: Sums) -> None:
        """Book a sale by the rules of `Holding.sell` and `sale_result`, written out: every sale pays for it."""
        qty, held = fill.qty, position.qty
        if not 0 < qty <= held:
            del self._open[fill.track, fill.symbol]
            raise CalculationError(
                found=say("oversold", track=fill.track, symbol=fill.symbol, qty=qty, held=held, day=fill.trade_date),
                expected=say("oversold_expected"),
                hint=say("oversold_hint"),
            )
        removed = position.cost * qty // held
        fee_share = position.fees * qty // held
        position.qty = held - qty
        position.cost -= removed
        position.fees -= fee_share
        gross = fill.amount - removed
        net = gross - fill.fee - fill.tax - fee_share
        position.net += net
        sums.realized_gross += gross
        sums.realized_net += net

    def _opened(self, key: tuple[str, str], fill: FillRow) -> _Open:
        owner = (fill.track, fill.strategy or UNASSIGNED)
        self._last_owner[key] = owner
        stats = self._stats_of.get(owner)
        if stats is None:
            scopes = (("", ""), (owner[0], ""), ("", owner[1]))
            stats = self._stats_of[owner] = tuple(self.stats.setdefault(scope, TradeStats()) for scope in scopes)
        return _Open(owner, fill.ts_exec_ns, self._sums_of(owner), stats)

    def _sums_of(self, owner: Owner) -> Sums:
        sums = self.sums.get(owner)
        if sums is None:
            sums = self.sums[owner] = Sums()
        return sums
