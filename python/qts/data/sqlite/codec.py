"""Values of the logical schema between Python and the columns of the file."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.clock.instants import from_ns, to_ns
from qts.money import from_units, plain, to_units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.data.tables import Column

_NARROW: Final = 18
"""Digits that 63 bits hold; wider decimals are text."""

_SCALES: Final = {"price": "price_scale", "qty": "qty_scale", "money": "money_scale"}


def encode(column: Column, value: object) -> object:
    """Return a checked value as the file holds it: moments in UTC microseconds, decimals in units of their scale."""
    if value is None:
        return None
    if column.kind == "decimal":
        assert isinstance(value, Decimal)  # noqa: S101 - checked against the schema before
        return plain(value) if column.digits > _NARROW else to_units(value, column.scale)
    if column.kind == "timestamp":
        assert isinstance(value, datetime)  # noqa: S101 - as above
        return micros(value)
    if column.kind == "date":
        assert isinstance(value, date)  # noqa: S101 - as above
        return value.isoformat()
    if column.kind == "json":
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return int(value) if isinstance(value, bool) else value


def decode(column: Column, value: Any, scales: Mapping[str, int] | None = None) -> object:  # noqa: ANN401 - of its column
    """Return a stored value; with `scales` of an instrument, amounts are in those."""
    if value is None:
        return None
    if column.kind == "decimal":
        scale = None if scales is None else scales.get(_SCALES.get(column.meaning, ""))
        if scale is not None:
            return from_units(value, scale)
        return Decimal(value) if column.digits > _NARROW else from_units(value, column.scale)
    if column.kind == "timestamp":
        return from_ns(value * 1_000)
    if column.kind == "date":
        return date.fromisoformat(value)
    if column.kind == "json":
        return json.loads(value)
    return bool(value) if column.kind == "bool" else value


def micros(moment: datetime) -> int:
    """Return a moment as the file holds it."""
    return to_ns(moment) // 1_000
