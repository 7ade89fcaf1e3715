"""Whether cycles are in time again, before a FAIL for their duration is left."""

from typing import TYPE_CHECKING, Final

from qts.safety import CheckOutcome, CheckRequest

if TYPE_CHECKING:
    from qts.pipeline.budgets import CycleWatch

_IN_TIME: Final = 10
"""Cycles in a row that have to keep their budget (FS060)."""


class CycleTimes:
    """Release check: while strategies were parked, cycles kept their budget.

    Args:
        watch: what has looked at every cycle of the run.
    """

    name = "dry_cycles"
    codes = frozenset({"FS060"})

    def __init__(self, watch: "CycleWatch") -> None:
        self._watch = watch

    def run(self, request: CheckRequest) -> CheckOutcome:  # noqa: ARG002 - it is the same for FAIL and LOCKDOWN
        """Look now."""
        in_time = self._watch.in_time
        return CheckOutcome(in_time >= _IN_TIME, f"{min(in_time, _IN_TIME)} of {_IN_TIME} cycles within their budget")
