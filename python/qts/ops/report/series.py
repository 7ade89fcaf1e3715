"""Series of any length in constant memory."""

from typing import Final, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")

_MAX_BUCKETS: Final = 2_000


class Point(NamedTuple):
    """One sample."""

    ts_ns: int
    value: int


class Series:
    """Keeps at most 4,000 points of a series: of each stretch the lowest and the highest, so that no fall is lost.

    The stretches grow with the series; a short series is kept whole.
    """

    def __init__(self, max_buckets: int = _MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets & ~1  # they are joined in pairs, and none may be left over
        self._buckets: list[tuple[Point, Point]] = []
        self._stride = 1
        self._in_last = 0

    def add(self, ts_ns: int, value: int) -> None:
        """Take in a sample, later than the ones before it."""
        point = Point(ts_ns, value)
        if self._buckets and self._in_last < self._stride:
            self._buckets[-1] = _joined(self._buckets[-1], (point, point))
            self._in_last += 1
            return
        if len(self._buckets) >= self._max_buckets:
            pairs = zip(self._buckets[::2], self._buckets[1::2], strict=False)
            self._buckets = [_joined(one, other) for one, other in pairs]
            self._stride *= 2
        self._buckets.append((point, point))
        self._in_last = 1

    def points(self) -> list[Point]:
        """Return what was kept, in order of time."""
        points: list[Point] = []
        for low, high in self._buckets:
            points.extend(sorted({low, high}))
        return points

    def __len__(self) -> int:
        return len(self._buckets)


class Thinned(Generic[Item]):
    """Keeps at most `limit` items (2 or more) of a stream, spread evenly over it; a short one is kept whole."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stride = 1
        self._skip = 0
        self.kept: list[Item] = []

    def add(self, item: Item) -> None:
        """Take in the next item."""
        if self._skip:
            self._skip -= 1
            return
        if len(self.kept) == self._limit:
            del self.kept[1::2]
            self._stride *= 2
        self.kept.append(item)
        self._skip = self._stride - 1


def _joined(one: tuple[Point, Point], other: tuple[Point, Point]) -> tuple[Point, Point]:
    low = one[0] if one[0].value <= other[0].value else other[0]
    high = one[1] if one[1].value >= other[1].value else other[1]
    return low, high
