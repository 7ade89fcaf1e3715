"""METRIC_RECORD: counters, gauges and histograms, read as a snapshot."""

import math
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from qts.event.errors import EventError
from qts.event.handlers import ArrivalHandler
from qts.event.types import EventType
from qts.event.wire import Arrival

SERIES_MAX: Final = 4_096
"""Combinations of name and labels; a label with an open set of values must not fill the memory."""
_PER_DOUBLING: Final = 8
"""Buckets for each doubling of a value: a percentile is off by 4.5 % at most."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = tuple[tuple[str, str], ...]
_KINDS: Final = ("counter", "gauge", "histogram")


class Distribution(NamedTuple):
    """A histogram at one moment; percentiles are off by 4.5 % at most, the rest is exact but for rounding."""

    n: int
    sum: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float


class Metric(NamedTuple):
    """One series at one moment.

    Args:
        name: of the metric.
        labels: name and value, sorted.
        kind: counter, gauge or histogram.
        value: the sum of a counter, or the newest value of a gauge or histogram.
        distribution: of a histogram; None for the others.
    """

    name: str
    labels: Labels
    kind: Kind
    value: float
    distribution: Distribution | None = None


class _Histogram:
    """Counts values in buckets that grow with them, zero and negative ones by sign."""

    def __init__(self) -> None:
        self.n, self.sum = 0, 0.0
        self.min, self.max = math.inf, -math.inf
        self._buckets: dict[tuple[int, int], int] = {}

    def add(self, value: float, weight: int) -> None:
        self.n += weight
        self.sum += value * weight
        self.min, self.max = min(self.min, value), max(self.max, value)
        sign = (value > 0) - (value < 0)
        size = math.floor(math.log2(abs(value)) * _PER_DOUBLING) if sign else 0
        place = (sign, sign * size)  # sorts like the values
        self._buckets[place] = self._buckets.get(place, 0) + weight

    def summary(self) -> Distribution:
        rows = sorted(self._buckets.items())
        return Distribution(
            self.n, self.sum, self.min, self.max, *(self._percentile(rows, share) for share in (0.5, 0.95, 0.99))
        )

    def _percentile(self, rows: list[tuple[tuple[int, int], int]], share: float) -> float:
        rank = math.ceil(self.n * share)
        for (sign, place), count in rows:
            rank -= count
            if rank <= 0:
                middle = float(sign) * math.exp2((sign * place + 0.5) / _PER_DOUBLING)
                break
        return min(max(middle, self.min), self.max)


class _Series:
    """One name with one set of labels."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.value = 0.0
        self.histogram = _Histogram() if kind == "histogram" else None

    def add(self, value: float, weight: int) -> None:
        self.value = self.value + value * weight if self.kind == "counter" else value
        if self.histogram is not None:
            self.histogram.add(value, weight)


class MetricConsumer(ArrivalHandler):
    """Adds up METRIC_RECORD events.

    A payload has `name`, `value`, `kind` (counter, gauge or histogram; gauge unless given) and `labels`. An event that
    stands for others (sampling) counts as many times in counters and histograms.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, Labels], _Series] = {}
        self._lock = threading.Lock()

    def wants(self, kind: EventType) -> bool:
        """Return whether it is METRIC_RECORD."""
        return kind is EventType.METRIC_RECORD

    def handle_arrival(self, arrival: Arrival) -> None:
        """Add a value.

        Raises:
            EventError: a field is missing or of a wrong type, a counter goes down, a name changes its kind, or
                there are too many series.
        """
        name, labels, kind, value = _read(arrival.event.payload)
        with self._lock:
            series = self._series.get((name, labels))
            if series is None:
                if len(self._series) >= SERIES_MAX:
                    raise _wrong("labels", f"series number {SERIES_MAX + 1}", f"at most {SERIES_MAX} series")
                series = self._series[name, labels] = _Series(kind)
            if series.kind != kind:
                raise _wrong("kind", f"{kind} for {name}", f"{series.kind}, as before")
            series.add(value, max(1, arrival.sampled_weight))

    def snapshot(self) -> tuple[Metric, ...]:
        """Return every series as it is now, sorted by name and labels. From any thread."""
        with self._lock:
            return tuple(
                Metric(
                    name,
                    labels,
                    series.kind,
                    series.value,
                    None if series.histogram is None else series.histogram.summary(),
                )
                for (name, labels), series in sorted(self._series.items(), key=lambda item: item[0])
            )


def _read(payload: Mapping[str, Any]) -> tuple[str, Labels, Kind, float]:
    name, value = payload.get("name"), payload.get("value")
    kind, labels = payload.get("kind", "gauge"), payload.get("labels", {})
    if not isinstance(name, str) or not name:
        raise _wrong("name", repr(name), "text that is not empty")
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or not math.isfinite(value):
        raise _wrong("value", repr(value), "a finite number")
    if kind not in _KINDS:
        raise _wrong("kind", repr(kind), f"one of {', '.join(_KINDS)}")
    if kind == "counter" and value < 0:
        raise _wrong("value", repr(value), "a counter never goes down: at least 0")
    if not isinstance(labels, Mapping):
        raise _wrong("labels", repr(labels), "names and values")
    return name, tuple(sorted((str(key), str(item)) for key, item in labels.items())), kind, float(value)


def _wrong(field: str, found: str, expected: str) -> EventError:
    return EventError(EventType.METRIC_RECORD, field, found=f"{found:.80}", expected=expected)
