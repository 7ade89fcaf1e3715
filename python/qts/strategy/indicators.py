"""Running indicators. Floats are fine here: nothing of this is money."""

from __future__ import annotations


class Ema:
    """Exponential moving average with the usual smoothing 2 / (period + 1)."""

    __slots__ = ("_alpha", "count", "value")

    def __init__(self, period: int) -> None:
        self._alpha = 2.0 / (period + 1)
        self.value = 0.0
        self.count = 0
        """Values seen so far; an average of few says little."""

    def update(self, value: float) -> float:
        """Take in `value` and return the average."""
        self.value = self.value + self._alpha * (value - self.value) if self.count else value
        self.count += 1
        return self.value
