"""What is suspended below the state machine: a symbol, a strategy, a track, the pipeline (spec 01 §8.4)."""

from collections.abc import Iterable
from typing import Final

from qts.safety.record import Suspension, Unit

PIPELINE_KEY: Final = "eteda"


class Suspensions:
    """Suspensions by unit and key; each code holds its own, and all must be lifted.

    Args:
        held: what a record kept.
    """

    def __init__(self, held: Iterable[Suspension] = ()) -> None:
        self._held = {(row.unit, row.key, row.code): row for row in held}

    def add(self, suspension: Suspension) -> bool:
        """Suspend; whether that is new."""
        place = (suspension.unit, suspension.key, suspension.code)
        if place in self._held:
            return False
        self._held[place] = suspension
        return True

    def lift(self, unit: Unit, key: str, code: str | None = None, *, only_own: bool = False) -> tuple[Suspension, ...]:
        """Lift what one code (default: every code) holds and return it; `only_own`: what may lift itself."""
        lifted = tuple(
            row
            for row in self.of(unit, key)
            if (code is None or row.code == code) and (row.lifts_itself or not only_own)
        )
        for row in lifted:
            del self._held[row.unit, row.key, row.code]
        return lifted

    def of(self, unit: Unit, key: str) -> tuple[Suspension, ...]:
        """Return what holds one unit."""
        return tuple(row for row in self._held.values() if row.unit is unit and row.key == key)

    def all(self) -> tuple[Suspension, ...]:
        """Return everything that is suspended."""
        return tuple(self._held.values())
