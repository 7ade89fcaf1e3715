"""What is wrong with an event."""

from qts.codes import QtsError


class EventError(QtsError):
    """An event cannot be sent, or what arrived is none.

    Args:
        event_type: its type, empty if that is not known.
        field: the part that is at fault, empty if it is the whole.
        found: what is there.
        expected: what should be there.
    """

    def __init__(self, event_type: str, field: str, *, found: str, expected: str) -> None:
        where = f"{event_type}.{field}" if field else event_type
        super().__init__(found=found, expected=expected, where=where)
        self.event_type = event_type
        self.field = field
