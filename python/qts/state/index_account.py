"""An account whose whole history is known from the closes of an index."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.clock import from_ns
from qts.state.account import AccountMetrics
from qts.state.contracts import MetricQuality

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.state.config import StateConfig
    from qts.state.contracts import StateProperties, TransitionMetrics
    from qts.state.history import DailyClose
    from qts.state.interfaces import VolObservation

POINT_KRW: Final = 1_000_000
"""Equity for each point of the index, which is published with two decimals: the equity is exact."""
TRADE_KRW: Final = 10_000_000
FEE: Final = Decimal("0.0003")
"""Of the traded amount, both ways together: the commission on an index fund, which pays no tax when sold."""
HALTS: Final = ((date(2015, 6, 15), Decimal("0.08")), (date(1998, 12, 7), Decimal("0.10")))
"""Since when a fall by so much halts the market, newest first. Before, there was no circuit breaker."""


class IndexAccount:
    """An account that bought the index at the first close and keeps it, whatever the state says.

    Its net asset value is the index. Beside it, round trips of TRADE_KRW are counted, not charged: SCALP from every
    close to the next one, SWING from the first close of a week to the first one of the next week. None is entered while
    the state forbids it. A close that lies so far below the one before that the market must have been halted is a
    circuit breaker until the next session opens.

    Args:
        config: settings of the operating state.
        clock: where time comes from; it stands at the first close.
        first: the first close.
        properties: what the state permits there.
    """

    def __init__(self, config: StateConfig, clock: Clock, first: DailyClose, properties: StateProperties) -> None:
        self._metrics = AccountMetrics(config, clock, equity=_equity_krw(first))
        self._last = first
        self._scalp: Decimal | None = None
        self._swing: Decimal | None = None
        self._is_halted = False
        self._metrics.close_session(first.day)
        self._enter(properties, is_new_week=True)

    def open_session(self) -> None:
        """Start a session, at the last close: there is no price of the opening."""
        self._is_halted = False
        self._metrics.open_session()

    def close_session(self, today: DailyClose, properties: StateProperties) -> None:
        """End a session; `properties` are what holds at its close."""
        before, self._last = self._last, today
        limit = next((fall for since, fall in HALTS if today.day >= since), None)
        self._is_halted = limit is not None and today.close <= before.close * (1 - limit)
        is_new_week = today.day.isocalendar()[:2] != before.day.isocalendar()[:2]
        self._metrics.value(_equity_krw(today))
        if self._scalp is not None:
            self._metrics.close_trade(_net_krw(self._scalp, today.close), is_scalp=True)
        if self._swing is not None and is_new_week:
            self._metrics.close_trade(_net_krw(self._swing, today.close), is_scalp=False)
        self._metrics.close_session(today.day)
        self._enter(properties, is_new_week=is_new_week)

    def rebase_high_water(self) -> None:
        """Let the drawdown begin at today's value."""
        self._metrics.rebase_high_water()

    def metrics(self, vix: VolObservation | None) -> tuple[TransitionMetrics, MetricQuality]:
        """Return the ten metrics and how old they are."""
        level, asof = (None, None) if vix is None else (vix.value, from_ns(vix.asof_ns))
        metrics = self._metrics.metrics(vix=level, market_circuit_breaker=self._is_halted)
        return metrics, MetricQuality(self._metrics.asof, asof)

    def _enter(self, properties: StateProperties, *, is_new_week: bool) -> None:
        close, may_enter = self._last.close, properties.new_entry_enabled
        self._scalp = close if may_enter and properties.scalp_engine_active else None
        if is_new_week:
            self._swing = close if may_enter and properties.swing_engine_active else None


def _equity_krw(one: DailyClose) -> int:
    return int(one.close * POINT_KRW)


def _net_krw(entry: Decimal, leave: Decimal) -> int:
    return int(TRADE_KRW * (leave / entry - 1 - FEE))
