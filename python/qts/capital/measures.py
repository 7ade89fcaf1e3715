"""Measures that count: there, of a recent session, and taken from enough samples (spec 14 §4.4, A-13)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.capital.amounts import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from qts.capital.alerts import Findings
    from qts.capital.contracts import CapitalEngineInput, MetricValue, SessionInfo

MIN_SAMPLES: Final[Mapping[str, int]] = {
    "scalp_sharpe": 20,
    "scalp_win_rate": 1,
    "scalp_trades_30d": 0,
    "scalp_mdd_30d": 1,
    "swing_sharpe": 60,
    "swing_mdd_90d": 1,
    "swing_mdd_recovery_days": 1,
    "swing_avg_holding_days": 1,
    "swing_consecutive_losses": 0,
    "swing_mdd": 1,
    "portfolio_mdd": 1,
}
"""Samples without which a measure says nothing; a count of nothing is a count."""
_UNKNOWN_IS_BAD: Final = frozenset({"swing_mdd_recovery_days"})
"""Measures without a value because what they wait for has not happened: known, and not good."""
_SATURDAY: Final = 5


class Lack(NamedTuple):
    """Why a measure does not count."""

    metric: str
    phrase: str
    values: tuple[tuple[str, int], ...] = ()


class Measures:
    """Reads the measures of an input."""

    def __init__(self, inp: CapitalEngineInput) -> None:
        self._inp = inp
        self._max_age = inp.config.metrics_max_age_days

    def read(self, name: str) -> Decimal | Lack | None:
        """Return a measure frozen to six places, why it does not count, or None: known and not to be had."""
        metric: MetricValue | None = getattr(self._inp.performance_metrics, name)
        if metric is None:
            return Lack(name, "metric_missing")
        session = self._inp.session
        if metric.as_of > session.date:
            return Lack(name, "metric_future")
        age = sessions_between(metric.as_of, session)
        if age > self._max_age:
            return Lack(name, "metric_stale", (("age", age),))
        least = MIN_SAMPLES[name]
        if metric.sample_count < least:
            return Lack(name, "metric_samples", (("count", metric.sample_count), ("least", least)))
        if metric.value is None:
            return None if name in _UNKNOWN_IS_BAD else Lack(name, "metric_missing")
        return frozen(metric.value)


def report(lack: Lack, pair: str, findings: Findings) -> None:
    """Tell of a measure that a decision on `pair` needed and did not have (GR057)."""
    reason = findings.say(lack.phrase, **dict(lack.values))
    findings.add("GR057", "WARNING", None, "metric", pair=pair, metric=lack.metric, reason=reason)


def sessions_between(measured: date, session: SessionInfo) -> int:
    """Return how many sessions ago something was measured: 0 after this one, 1 after the one before.

    Days before the sessions that are known by date count if they are weekdays: rather too old than too young.
    """
    age, start = 0, session.date
    for before in (session.date, *session.recent):
        if before <= measured:
            return age
        age, start = age + 1, before
    weeks, days = divmod((start - measured).days - 1, 7)
    return age + 5 * weeks + sum((start - timedelta(days=back)).weekday() < _SATURDAY for back in range(1, days + 1))
