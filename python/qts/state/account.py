"""The metrics of the account: a unitised net asset value, so that deposits are no gain and withdrawals no loss."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import chain, pairwise, takewhile
from typing import TYPE_CHECKING, Final

from qts.clock import from_ns
from qts.state.contracts import TransitionMetrics
from qts.state.stored import AccountRecord

if TYPE_CHECKING:
    from datetime import date, datetime

    from qts.clock import Clock
    from qts.state.config import StateConfig

_DAYS_PER_YEAR: Final = 365.25
_WIN_WINDOW: Final = timedelta(days=30)
_DAYS_KEPT: Final = 10_000
_TRADES_KEPT: Final = 100_000


class AccountMetrics:
    """Follows the equity of one account and answers with the metrics that the rules look at.

    Equity is what cash and positions are worth, marked to the market, in units of the account's currency. Tell it of
    every deposit and withdrawal before the equity that contains it.

    Args:
        config: settings of the operating state.
        clock: where time comes from.
        equity: equity at the beginning.
        record: what was saved before; it wins over `equity`.

    Raises:
        ValueError: an equity that is not positive has no unit value.
    """

    def __init__(
        self, config: StateConfig, clock: Clock, *, equity: int = 0, record: AccountRecord | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        if record is None:
            if equity <= 0:
                raise ValueError(f"equity {equity}; expected more than 0")
            record = AccountRecord(1.0, 1.0, 1.0, equity, self._now(), 0, (), ())
        self._record = replace(record, closes=(), trades=())
        self._closes = deque(record.closes, maxlen=_DAYS_KEPT)
        self._trades = deque(record.trades, maxlen=_TRADES_KEPT)
        self._by_closes: tuple[int, float | None, float | None] | None = None
        """What only another close changes: profitable days, yearly growth, growth."""

    @property
    def asof(self) -> datetime:
        """When the account was valued last: `MetricQuality.asof`."""
        return self._record.asof

    def record(self) -> AccountRecord:
        """Return what has to survive a restart."""
        return replace(self._record, closes=tuple(self._closes), trades=tuple(self._trades))

    def value(self, equity: int) -> None:
        """Take a valuation."""
        old = self._record
        nav = old.nav * equity / old.equity if old.equity > 0 else old.nav
        self._record = AccountRecord(
            nav=max(nav, 0.0),
            high_water=max(old.high_water, nav),
            session_open=old.session_open,
            equity=equity,
            asof=self._now(),
            scalp_losses=old.scalp_losses,
            closes=(),  # kept beside the record
            trades=(),
        )

    def flow(self, amount: int) -> None:
        """Take a deposit (positive) or a withdrawal (negative): the equity changes, the value of a unit does not."""
        self._record = replace(self._record, equity=self._record.equity + amount)

    def open_session(self) -> None:
        """Start the losses of the day."""
        self._record = replace(self._record, session_open=self._record.nav)

    def close_session(self, day: date) -> None:
        """End a trading day."""
        self._closes.append((day, self._record.nav))
        self._by_closes = None

    def close_trade(self, net_pnl: int, *, is_scalp: bool) -> None:
        """Take a closed round trip with its result after fees. A result of zero leaves a losing streak as it is."""
        now = self._now()
        self._trades.append((now, net_pnl > 0))
        while self._trades[0][0] < now - _WIN_WINDOW:
            self._trades.popleft()
        if is_scalp and net_pnl != 0:
            losses = self._record.scalp_losses + 1 if net_pnl < 0 else 0
            self._record = replace(self._record, scalp_losses=losses)

    def rebase_high_water(self) -> float:
        """Let the drawdown begin at today's value, as an operator orders it; return the new highest unit value.

        Without new entries a drawdown may never come back below its limit, and DEFENSIVE would not end.
        """
        self._record = replace(self._record, high_water=self._record.nav)
        return self._record.high_water

    def metrics(self, *, vix: float | None, market_circuit_breaker: bool | None) -> TransitionMetrics:
        """Return the ten metrics as of the last valuation; what too little history does not give is None."""
        now = self._record
        if self._by_closes is None:
            self._by_closes = self._profitable_days(), self._cagr(), self._growth()
        profitable_days, cagr, growth = self._by_closes
        return TransitionMetrics(
            drawdown_pct=max(0.0, 1 - now.nav / now.high_water),
            vix=vix,
            consecutive_scalp_losses=now.scalp_losses,
            daily_loss_pct=max(0.0, 1 - now.nav / now.session_open) if now.session_open > 0 else None,
            market_circuit_breaker=market_circuit_breaker,
            consecutive_profitable_days=profitable_days,
            cagr=cagr,
            target_cagr=self._config.balanced_to_aggressive.target_cagr,
            capital_growth_pct=growth,
            win_rate_30d=self._win_rate(),
        )

    def _profitable_days(self) -> int:
        backwards = chain((nav for _, nav in reversed(self._closes)), (1.0,))
        return sum(1 for _ in takewhile(lambda pair: pair[0] > pair[1], pairwise(backwards)))

    def _cagr(self) -> float | None:
        if not self._closes:
            return None
        days = (self._closes[-1][0] - self._closes[0][0]).days
        first, last = self._closes[0][1], self._closes[-1][1]
        if days < self._config.cagr_min_days or first <= 0:
            return None
        return float((last / first) ** (_DAYS_PER_YEAR / days) - 1)

    def _growth(self) -> float | None:
        if not self._closes:
            return None
        last_day, last = self._closes[-1]
        start = last_day - timedelta(days=self._config.growth_lookback_days)
        earlier = next((nav for day, nav in reversed(self._closes) if day <= start), 0.0)  # years of days: from the end
        return last / earlier - 1 if earlier > 0 else None

    def _win_rate(self) -> float | None:
        first = self._now() - _WIN_WINDOW
        won = [is_win for at, is_win in self._trades if at >= first]
        return sum(won) / len(won) if len(won) >= self._config.win_rate_min_trades else None

    def _now(self) -> datetime:
        return from_ns(self._clock.now_ns())
