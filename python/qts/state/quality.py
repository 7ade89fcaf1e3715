"""Which metrics may be compared at all, and for which direction (spec 18a sections 3.1 and 5.5)."""

from __future__ import annotations

import math
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock import NS_PER_DAY, NS_PER_S, to_ns
from qts.state.contracts import MetricFlag, MetricQuality, TransitionMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.state.config import StateConfig

ACCOUNT_MAX_AGE_S: Final = 60
"""Age of the account's valuation above which nothing gets riskier in a session."""
ACCOUNT_ALARM_AGE_S: Final = 300
VIX_MAX: Final = 200.0

_FIELDS: Final = tuple(field.name for field in fields(TransitionMetrics))
_NUMBERS: Final = (int, float)
_values_of: Final = attrgetter(*_FIELDS)
_ACCOUNT: Final = frozenset(_FIELDS) - {"vix", "market_circuit_breaker", "target_cagr"}
_COUNTS: Final = frozenset({"consecutive_scalp_losses", "consecutive_profitable_days"})
_FRACTIONS: Final = frozenset({"drawdown_pct", "daily_loss_pct", "win_rate_30d"})
_CERTAIN: Final = frozenset({MetricFlag.VALID})
_USABLE: Final = frozenset({MetricFlag.VALID, MetricFlag.STALE})
MAY_BE_UNKNOWN: Final = frozenset({"cagr", "target_cagr", "capital_growth_pct", "win_rate_30d"})
"""Unknown for good reasons: too little history, or no target. No warning is due."""


class Judged(NamedTuple):
    """Metrics after judgement: what is not fit for a direction is None there."""

    flags: dict[str, MetricFlag]
    certain: TransitionMetrics
    """What is valid and fresh: the only ground for more risk, and for what does not wait."""
    usable: TransitionMetrics
    """With what is stale, too: good enough for less risk."""
    quality: MetricQuality
    account_age_s: float
    is_in_session: bool

    @property
    def vix_is_unknown(self) -> bool:
        """Whether not even an old level of the index is known: taken as above 20 and at most 25."""
        return self.usable.vix is None

    @property
    def warnings(self) -> list[str]:
        """Fields that are not valid and should be, by name."""
        return [
            name
            for name, flag in self.flags.items()
            if flag is not MetricFlag.VALID and not (flag is MetricFlag.MISSING and name in MAY_BE_UNKNOWN)
        ]


def judge(
    metrics: TransitionMetrics, quality: MetricQuality, now_ns: int, *, is_in_session: bool, config: StateConfig
) -> Judged:
    """Return what of `metrics` may be used, and for what."""
    account_age_ns = now_ns - to_ns(quality.asof)
    vix_age_ns = None if quality.vix_asof is None else now_ns - to_ns(quality.vix_asof)
    of_account = _of_account_age(account_age_ns, is_in_session=is_in_session)
    told, values = quality.flags, _values_of(metrics)
    flags: dict[str, MetricFlag] = {}
    is_same = True
    for name, value in zip(_FIELDS, values, strict=True):
        if value is None:
            flags[name] = MetricFlag.MISSING
            continue
        flag = told.get(name, MetricFlag.VALID) if _is_right(name, value) else MetricFlag.INVALID
        if flag is MetricFlag.VALID and name in _ACCOUNT:
            flag = of_account
        if name == "vix" and flag in _USABLE:
            flag = _of_vix_age(vix_age_ns, flag, config.vol_max_age_sec * NS_PER_S, is_in_session=is_in_session)
        flags[name] = flag
        is_same = is_same and flag is MetricFlag.VALID
    return Judged(
        flags,
        certain=metrics if is_same else _keeping(values, flags, _CERTAIN),
        usable=metrics if is_same else _keeping(values, flags, _USABLE),
        quality=MetricQuality(quality.asof, quality.vix_asof, dict(flags)),
        account_age_s=account_age_ns / NS_PER_S,
        is_in_session=is_in_session,
    )


def _is_right(name: str, value: object) -> bool:
    if name == "market_circuit_breaker":
        return isinstance(value, bool)
    return isinstance(value, _NUMBERS) and not isinstance(value, bool) and math.isfinite(value) and _fits(name, value)


def _fits(name: str, value: float) -> bool:
    if name in _FRACTIONS:
        return 0 <= value <= 1
    if name in _COUNTS:
        return isinstance(value, int) and value >= 0
    if name == "vix":
        return 0 < value <= VIX_MAX
    return name != "target_cagr" or value >= 0


def _of_account_age(age_ns: int, *, is_in_session: bool) -> MetricFlag:
    if age_ns < 0:
        return MetricFlag.INVALID
    return MetricFlag.STALE if is_in_session and age_ns > ACCOUNT_MAX_AGE_S * NS_PER_S else MetricFlag.VALID


def _of_vix_age(age_ns: int | None, flag: MetricFlag, max_age_ns: int, *, is_in_session: bool) -> MetricFlag:
    if age_ns is None or age_ns > NS_PER_DAY:
        return MetricFlag.MISSING
    if age_ns < 0:
        return MetricFlag.INVALID
    return MetricFlag.STALE if is_in_session and age_ns > max_age_ns else flag


def _keeping(values: Sequence[Any], flags: Mapping[str, MetricFlag], kept: frozenset[MetricFlag]) -> TransitionMetrics:
    named = zip(_FIELDS, values, strict=True)
    return TransitionMetrics(*[value if flags[name] in kept else None for name, value in named])
