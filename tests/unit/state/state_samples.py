"""What the tests of this room start from: a clock on a full hour, quiet metrics, and a manager that can be driven."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qts.clock import NS_PER_S, SimClock, to_ns
from qts.safety import SafetyState
from qts.state import (
    AggressiveToBalanced,
    ManualOverride,
    OperatingState,
    OperatingStateManager,
    StateConfig,
    TransitionMetrics,
)

A, B, D = OperatingState.AGGRESSIVE, OperatingState.BALANCED, OperatingState.DEFENSIVE
NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState
START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)

CALM = TransitionMetrics(
    drawdown_pct=0.07,
    vix=22.0,
    consecutive_scalp_losses=0,
    daily_loss_pct=0.0,
    market_circuit_breaker=False,
    consecutive_profitable_days=0,
    cagr=None,
    target_cagr=None,
    capital_growth_pct=None,
    win_rate_30d=None,
)
"""Meets no rule out of BALANCED or DEFENSIVE; the drawdown would lower AGGRESSIVE."""
QUIET = replace(CALM, drawdown_pct=0.01)
"""Meets no rule at all."""
RECOVERED = replace(CALM, drawdown_pct=0.01, vix=16.0, consecutive_profitable_days=3)
"""Meets T3, once there long enough."""
STRONG = replace(RECOVERED, vix=12.0, cagr=0.3, target_cagr=0.2, capital_growth_pct=0.2, win_rate_30d=0.7)
"""Meets T3 and T4, once there long enough."""


class Listener:
    def __init__(self):
        self.codes, self.texts, self.results = [], [], []

    def on_code(self, code, text):
        self.codes.append(code)
        self.texts.append(text)

    def on_transition(self, result, snapshot):
        assert snapshot.version == result.version
        self.results.append(result)


class Desk:
    """A manager, its clock and its listener."""

    def __init__(self, state=B, policy="LITERAL", *, store=None, clock=None, start=START, **changes):
        settings = {key: changes.pop(key) for key in ("in_session", "is_live") if key in changes}
        self.config = StateConfig(default=state, policy=policy, **changes)
        self.clock = SimClock(to_ns(start)) if clock is None else clock
        self.heard = Listener()
        self.manager = OperatingStateManager(
            self.config, clock=self.clock, store=store, listener=self.heard, **settings
        )

    @property
    def state(self):
        return self.manager.current_state

    @property
    def snapshot(self):
        return self.manager.get_snapshot()

    @property
    def last(self):
        return self.manager.history(36_500)[-1]

    def wait(self, span):
        """Let time pass without looking."""
        self.clock.advance_to(self.clock.now_ns() + round(span.total_seconds() * NS_PER_S))

    def look(self, metrics=CALM, safety=NORMAL, quality=None):
        return self.manager.evaluate_transition(metrics, safety, quality)

    def hours(self, count, metrics=CALM, safety=NORMAL):
        """Look once at every full hour; return the states."""
        return [self._after(HOUR, metrics, safety) for _ in range(count)]

    def minutes(self, count, metrics=CALM, safety=NORMAL):
        """Look once every minute; return the states."""
        return [self._after(MINUTE, metrics, safety) for _ in range(count)]

    def _after(self, span, metrics, safety):
        self.wait(span)
        self.look(metrics, safety)
        return self.state

    def settle(self, days):
        """Let days pass in which nothing happens."""
        self.hours(24 * days, QUIET)

    def order(self, state, days=1.0, revert=B, reason="checked by hand", operator="kim", **more):
        """Override."""
        now = self.clock.now_utc()
        wish = ManualOverride(state, reason, operator, now, now + timedelta(days=days), revert)
        return self.manager.apply_override(wish, **more)


def hard(name):
    """Whether a condition of T1 is a loss."""
    found = AggressiveToBalanced().conditions(CALM, NORMAL, 0.0)
    return next(one.is_hard for one in found if one.name == name)
