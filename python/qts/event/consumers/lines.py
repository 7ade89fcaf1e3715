"""How an event becomes a line of JSON."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from qts.event.consumers.masking import masked
from qts.event.wire import Arrival


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    raise TypeError(f"{type(value).__name__} {value!r:.80}; expected what an event's payload may hold")


_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode


def moment(value: datetime) -> str:
    """Return a moment as UTC text with microseconds."""
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def encoded(value: object) -> str:
    """Return JSON on one line; decimals and moments as text."""
    return _ENCODE(value)


def line_of(arrival: Arrival, fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` with the event's moment, source and identity, masked; with its weight if it stands for more.

    Names of `fields` go before those of the event.
    """
    event = arrival.event
    row = {"ts": moment(event.timestamp), **fields, "source": event.source, "event_id": event.event_id}
    if arrival.sampled_weight > 1:
        row["sampled_weight"] = arrival.sampled_weight
    return masked(row)
