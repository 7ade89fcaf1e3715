"""How a stage says that it cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qts.pipeline.contracts import Stage


class StageFailure(Exception):
    """Ends the cycle. The runner turns it into a `StageError`; it never leaves the runner."""

    def __init__(self, code: str, stage: Stage, message: str, *, critical: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.stage = stage
        self.message = message
        self.critical = critical
