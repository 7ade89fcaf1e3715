"""Counts, latencies and hit rates of the cache, kept in memory and read by whoever exports them."""

import bisect
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from qts.cache.contracts import Family
from qts.clock import Clock
from qts.config import CacheSettings

_NS_PER_MS: Final = 1_000_000
_BUCKET_S: Final = 5
_NS_PER_BUCKET: Final = _BUCKET_S * 1_000_000_000
_BOUNDS_MS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
WINDOW_S: Final = (60, 300)
"""Windows over which hit rates are told."""
_ENOUGH: Final = 20
"""Reads below which a rate says nothing."""


class Alert(NamedTuple):
    """A figure that has left its range."""

    name: str
    value: float
    limit: float


class Histogram:
    """Counts of durations by upper bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_MS) + 1)

    def add(self, value_ms: float) -> None:
        """Count one value."""
        self._counts[bisect.bisect_left(_BOUNDS_MS, value_ms)] += 1

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def quantile(self, share: float) -> float:
        """Return the upper bound, in milliseconds, below which that share of the values lies; 0 without any."""
        wanted, seen = share * self.count, 0
        for bound, count in zip((*_BOUNDS_MS, float("inf")), self._counts, strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return 0.0

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Yield upper bound and count, the last bound being infinite."""
        yield from zip((*_BOUNDS_MS, float("inf")), self._counts, strict=True)


class _Window:
    """Hits and reads of the last five minutes in steps of five seconds."""

    def __init__(self) -> None:
        self._steps: deque[list[int]] = deque(maxlen=max(WINDOW_S) // _BUCKET_S + 1)

    def add(self, step: int, *, hit: bool) -> None:
        if not self._steps or self._steps[-1][0] != step:
            self._steps.append([step, 0, 0])
        last = self._steps[-1]
        last[1] += hit
        last[2] += 1

    def rate(self, step: int, window_s: int) -> tuple[int, int]:
        first = step - window_s // _BUCKET_S
        hits = sum(row[1] for row in self._steps if row[0] > first)
        return hits, sum(row[2] for row in self._steps if row[0] > first)


class CacheMetrics:
    """Counters of one cache. Reads are noted by one event loop; pushes by threads are noted under the near lock."""

    def __init__(self, config: CacheSettings, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.reads: Counter[tuple[str, str, str]] = Counter()
        """By type, tier (l0, l1, db) and outcome (hit, miss, stale, error)."""
        self.writes: Counter[tuple[str, str]] = Counter()
        """By type and outcome (written, superseded, dropped, error)."""
        self.fallbacks: Counter[str] = Counter()
        self.breaker_transitions: Counter[str] = Counter()
        self.immortal_keys = 0
        self.clock_offset_ms = 0.0
        self.gauges: dict[tuple[str, str], float] = {}
        """By name (`pool_in_use_ratio`, `memory_ratio`, `breaker_state`) and node."""
        self.latency: dict[tuple[str, str, str], Histogram] = {}
        """By type, operation and tier."""
        self.quote_age = Histogram()
        self._rates: dict[tuple[str, str], _Window] = {}

    def read(self, family: Family, tier: str, outcome: str, *, counts: bool = True) -> None:
        """Note a read of a tier; `counts` false keeps it out of the rates, as for a symbol that does not trade."""
        self.reads[family, tier, outcome] += 1
        if counts and outcome != "error":
            self._window(family, tier).add(self._step(), hit=outcome == "hit")

    def answered(self, family: Family, *, hit: bool) -> None:
        """Note whether a caller got a record from any tier of the cache, near or server."""
        self._window(family, "any").add(self._step(), hit=hit)

    def wrote(self, family: Family, outcome: str) -> None:
        """Note a write."""
        self.writes[family, outcome] += 1

    def took(self, family: str, operation: str, tier: str, elapsed_ns: int) -> None:
        """Note a duration."""
        key = (family, operation, tier)
        histogram = self.latency.get(key)
        if histogram is None:
            histogram = self.latency[key] = Histogram()
        histogram.add(elapsed_ns / _NS_PER_MS)

    def _window(self, family: Family, tier: str) -> _Window:
        key = (family.value, tier)
        window = self._rates.get(key)
        if window is None:
            window = self._rates[key] = _Window()
        return window

    def _step(self) -> int:
        return self._clock.monotonic_ns() // _NS_PER_BUCKET

    def hit_rate(self, family: Family | None = None, tier: str = "any", window_s: int = 60) -> float | None:
        """Return hits / (hits + misses + stale) of a window, None if there were too few reads to tell.

        Args:
            family: a type, None for all.
            tier: l0, l1, or any for what callers got from either.
            window_s: 60 or 300.
        """
        hits, total = self.hit_counts(family, tier, window_s)
        return hits / total if total else None

    def hit_counts(self, family: Family | None, tier: str, window_s: int) -> tuple[int, int]:
        """Return hits and reads of a window."""
        step, hits, total = self._step(), 0, 0
        for (name, where), window in list(self._rates.items()):
            if where == tier and (family is None or name == family):
                some, all_ = window.rate(step, window_s)
                hits, total = hits + some, total + all_
        return hits, total

    def alerts(self) -> list[Alert]:
        """Return the figures that have left their range."""
        limits, found = self._config.alert, []
        hits, total = self.hit_counts(None, "any", WINDOW_S[1])
        if total >= _ENOUGH and hits / total < float(limits.hit_rate):
            found.append(Alert("hit_rate", hits / total, float(limits.hit_rate)))
        slowest = max((row.quantile(0.99) for (_, op, _), row in self.latency.items() if op == "get"), default=0.0)
        if slowest > float(limits.latency_p99_ms):
            found.append(Alert("latency_p99_ms", slowest, float(limits.latency_p99_ms)))
        for name, limit in (("pool_in_use_ratio", limits.pool_usage), ("memory_ratio", limits.memory_usage)):
            worst = max((value for (what, _), value in self.gauges.items() if what == name), default=0.0)
            if worst > float(limit):
                found.append(Alert(name, worst, float(limit)))
        broken = [node for (what, node), value in self.gauges.items() if what == "breaker_state" and value]
        found += [Alert(f"breaker_open {node}", 1.0, 0.0) for node in broken]
        return found

    def missed_targets(self) -> dict[Family, tuple[float, float]]:
        """Return the types whose rate of five minutes lies below its target, with rate and target."""
        targets = self._config.hit_target
        wanted = {Family.POSITION: targets.position, Family.PRICE: targets.price, Family.RISK: targets.risk}
        missed = {}
        for family, target in wanted.items():
            hits, total = self.hit_counts(family, "any", WINDOW_S[1])
            if total >= _ENOUGH and hits / total < float(target):
                missed[family] = (hits / total, float(target))
        return missed

    def snapshot(self) -> Mapping[str, object]:
        """Return everything as plain values, for an exporter."""
        rates = {
            f"{family}.{tier}.{window_s}": self.hit_rate(Family(family), tier, window_s)
            for family, tier in list(self._rates)
            for window_s in WINDOW_S
        }
        return {
            "cache_reads_total": {".".join(key): count for key, count in self.reads.items()},
            "cache_writes_total": {".".join(key): count for key, count in self.writes.items()},
            "cache_fallback_total": dict(self.fallbacks),
            "cache_breaker_transitions_total": dict(self.breaker_transitions),
            "cache_immortal_keys_total": self.immortal_keys,
            "cache_clock_offset_ms": self.clock_offset_ms,
            "cache_quote_age_ms": dict(self.quote_age.buckets()),
            "cache_latency_ms": {".".join(key): dict(row.buckets()) for key, row in self.latency.items()},
            "cache_hit_rate": rates,
            **{f"cache_{name}.{node}": value for (name, node), value in self.gauges.items()},
        }
