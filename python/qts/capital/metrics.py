"""Measures of the pools: what promotions and demotions go by (spec 14 §4.4).

Fed once after each close with the unit prices, which know nothing of transfers, and with the round trips that have
closed. Floats serve the statistics only; every value is frozen to six places.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.capital.contracts import POOLS, MetricValue, PerformanceMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qts.capital.contracts import CapitalPoolContract
    from qts.state.rebalance import Pool

SHORT, LONG = 30, 90
"""Sessions of a window of returns, and calendar days of a window of trades."""
_SESSIONS_A_YEAR: Final = 252
_MIN_SHORT, _MIN_LONG = 20, 60
_PLACES: Final = Decimal("0.000001")
_STILL: Final = 1e-12
"""Deviation below which returns count as equal: prices have six places."""


class ClosedTrade(NamedTuple):
    """A round trip: a position from flat to flat."""

    pool: Pool
    opened: date
    """Session in which it was opened."""
    closed: date
    net: int
    """Profit or loss after the fees and taxes of both sides, in money units."""


class Close(NamedTuple):
    """Unit price of a pool after a session."""

    day: date
    price: Decimal


class MetricsTracker:
    """Unit prices and round trips of the last ninety days, and the measures out of them."""

    def __init__(self) -> None:
        self._closes: dict[Pool, deque[Close]] = {pool: deque(maxlen=LONG + 1) for pool in POOLS}
        self._trades: deque[ClosedTrade] = deque()
        self._losses: dict[Pool, int] = dict.fromkeys(POOLS, 0)
        self._mdd: dict[Pool, Decimal] = {}
        self._as_of: date | None = None
        self._known: PerformanceMetrics | None = None
        """The measures, until something changes them."""

    @property
    def as_of(self) -> date | None:
        """Session of the last close; None before the first."""
        return self._as_of

    def closed(self, trades: Iterable[ClosedTrade]) -> None:
        """Take in round trips, in the order in which they closed."""
        self._known = None
        for trade in trades:
            self._trades.append(trade)
            self._losses[trade.pool] = self._losses[trade.pool] + 1 if trade.net < 0 else 0

    def reset_losses(self, pool: Pool) -> None:
        """Count losses in a row from 0 again: after a demotion out of the pool."""
        self._losses[pool] = 0
        self._known = None

    def close(self, session: date, pools: Mapping[Pool, CapitalPoolContract]) -> None:
        """Take in the pools as they are after a session; the same session again replaces it."""
        self._as_of = session
        for pool, one in pools.items():
            closes = self._closes[pool]
            if closes and closes[-1].day == session:
                closes.pop()
            if one.units:
                closes.append(Close(session, one.unit_price))
        oldest = session - timedelta(days=LONG)
        self._trades = deque(trade for trade in self._trades if trade.closed > oldest)
        self.follow(pools)

    def follow(self, pools: Mapping[Pool, CapitalPoolContract]) -> None:
        """Take in new peaks: after a drawdown was re-based."""
        self._known = None
        self._mdd = {
            pool: _frozen_decimal(1 - one.unit_price / one.peak_unit_price)
            for pool, one in pools.items()
            if one.is_funded and one.peak_unit_price > 0
        }

    def metrics(self) -> PerformanceMetrics:
        """Return all measures as of the last close; none before it."""
        if self._known is None:
            self._known = PerformanceMetrics() if self._as_of is None else self._measured()
        return self._known

    def _measured(self) -> PerformanceMetrics:
        scalp = [trade for trade in self._trades if trade.pool == "SCALP" and self._is_within(trade, SHORT)]
        swing = [trade for trade in self._trades if trade.pool == "SWING"]
        fall, recovery, long_count = self._fall("SWING", LONG)
        short_fall, _, short_count = self._fall("SCALP", SHORT)
        return PerformanceMetrics(
            scalp_sharpe=self._sharpe("SCALP", SHORT, _MIN_SHORT),
            scalp_win_rate=self._value(_share(sum(trade.net > 0 for trade in scalp), len(scalp)), len(scalp)),
            scalp_trades_30d=self._value(Decimal(len(scalp)), len(scalp)),
            scalp_mdd_30d=self._value(short_fall, short_count),
            swing_sharpe=self._sharpe("SWING", LONG, _MIN_LONG),
            swing_mdd_90d=self._value(fall, long_count),
            swing_mdd_recovery_days=self._value(recovery, long_count),
            swing_avg_holding_days=self._value(
                _share(sum((trade.closed - trade.opened).days for trade in swing), len(swing)), len(swing)
            ),
            swing_consecutive_losses=self._value(Decimal(self._losses["SWING"]), len(swing)),
            scalp_mdd=self._drawdown("SCALP"),
            swing_mdd=self._drawdown("SWING"),
            portfolio_mdd=self._drawdown("PORTFOLIO"),
        )

    def state(self) -> dict[str, Any]:
        """Return everything as plain data, to be kept over a restart."""
        return {
            "as_of": None if self._as_of is None else self._as_of.isoformat(),
            "closes": {
                pool: [[one.day.isoformat(), str(one.price)] for one in closes] for pool, closes in self._closes.items()
            },
            "trades": [[one.pool, one.opened.isoformat(), one.closed.isoformat(), one.net] for one in self._trades],
            "losses": dict(self._losses),
            "mdd": {pool: str(value) for pool, value in self._mdd.items()},
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take up what `state` returned.

        Raises:
            ValueError, KeyError, TypeError, ArithmeticError: it is something else.
        """
        as_of = kept["as_of"]
        closes = {
            pool: deque(
                (Close(date.fromisoformat(day), Decimal(price)) for day, price in kept["closes"][pool]), LONG + 1
            )
            for pool in POOLS
        }
        trades = deque(
            ClosedTrade(pool, date.fromisoformat(opened), date.fromisoformat(closed), int(net))
            for pool, opened, closed, net in kept["trades"]
        )
        losses = {pool: int(kept["losses"][pool]) for pool in POOLS}
        mdd = {pool: Decimal(kept["mdd"][pool]) for pool in POOLS if pool in kept["mdd"]}
        self._as_of = None if as_of is None else date.fromisoformat(as_of)
        self._closes, self._trades, self._losses, self._mdd = closes, trades, losses, mdd
        self._known = None

    def _is_within(self, trade: ClosedTrade, days: int) -> bool:
        return self._as_of is not None and self._as_of - timedelta(days=days) < trade.closed <= self._as_of

    def _window(self, pool: Pool, sessions: int) -> Sequence[Close]:
        """Return the closes that bound the last so many returns."""
        return list(self._closes[pool])[-(sessions + 1) :]

    def _sharpe(self, pool: Pool, sessions: int, least: int) -> MetricValue:
        """Return mean over sample deviation of the daily returns, times the root of 252; no riskless rate."""
        prices = [float(one.price) for one in self._window(pool, sessions)]
        returns = [after / before - 1 for before, after in pairwise(prices) if before > 0]
        if len(returns) < least:
            return self._value(None, len(returns))
        mean = math.fsum(returns) / len(returns)
        spread = math.sqrt(math.fsum((one - mean) ** 2 for one in returns) / (len(returns) - 1))
        ratio = mean / spread * math.sqrt(_SESSIONS_A_YEAR) if spread > _STILL else math.nan
        return self._value(_frozen(ratio), len(returns))

    def _fall(self, pool: Pool, sessions: int) -> tuple[Decimal | None, Decimal | None, int]:
        """Return the deepest fall in a window, the days from its trough to the old peak, and the returns in it."""
        closes = self._window(pool, sessions)
        if len(closes) < 2:
            return None, None, 0
        peak, deepest, top, trough = closes[0].price, Decimal(0), closes[0].price, closes[0].day
        for day, price in closes:
            peak = max(peak, price)
            if peak > 0 and 1 - price / peak > deepest:
                deepest, top, trough = 1 - price / peak, peak, day
        if not deepest:
            return _frozen_decimal(deepest), Decimal(0), len(closes) - 1
        back = next((one.day for one in closes if one.day > trough and one.price >= top), None)
        recovery = None if back is None else Decimal((back - trough).days)
        return _frozen_decimal(deepest), recovery, len(closes) - 1

    def _drawdown(self, pool: Pool) -> MetricValue | None:
        """Return the drawdown from the peak since the last re-base; an unfunded pool has none."""
        return self._value(self._mdd[pool], len(self._closes[pool])) if pool in self._mdd else None

    def _value(self, value: Decimal | None, samples: int) -> MetricValue:
        assert self._as_of is not None  # noqa: S101 - nothing is measured before the first close
        return MetricValue(value, self._as_of, samples)


def _share(part: int, count: int) -> Decimal | None:
    return _frozen_decimal(Decimal(part) / count) if count else None


def _frozen(value: float) -> Decimal | None:
    return _frozen_decimal(Decimal(value)) if math.isfinite(value) else None


def _frozen_decimal(value: Decimal) -> Decimal:
    return value.quantize(_PLACES)
