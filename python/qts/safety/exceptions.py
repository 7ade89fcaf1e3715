"""Refusals of the safety room: nothing has changed, and the message says why."""

from qts.codes import QtsError
from qts.safety.messages import refusal


class Refusal(QtsError):
    """An act of an operator is refused; the state is what it was.

    Args:
        reason: fixed word for it, as it stands in results and in the audit trail.
        fields: what fills the places of its texts.
    """

    def __init__(self, reason: str, **fields: object) -> None:
        found, expected, hint = refusal(reason, **fields)
        super().__init__(found=found, expected=expected, hint=hint)
        self.reason = reason
