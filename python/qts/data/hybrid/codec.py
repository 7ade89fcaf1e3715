"""A ledger entry as the payload of a journal record, and back: JSON, numbers as text."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from qts.data.exceptions import DataConsistencyError, RowInvalid
from qts.data.records import Fill, LedgerEntry

VERSION: Final = 1
"""Of the payload."""

_DECIMALS: Final = frozenset(
    {"qty", "price", "amount", "fee", "tax", "cum_filled_qty", "slippage_bps"},
)


def encode(entry: LedgerEntry) -> bytes:
    """Return an entry as bytes."""
    fill: dict[str, Any] = {}
    for field in fields(Fill):
        value = getattr(entry.fill, field.name)
        if value is not None:
            fill[field.name] = value if isinstance(value, int) else str(value)
    document: dict[str, Any] = {"entry_type": entry.entry_type, "fill": fill}
    if entry.realized_pnl is not None:
        document["realized_pnl"] = str(entry.realized_pnl)
    if entry.reverses_key is not None:
        document["reverses_key"] = entry.reverses_key
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def decode(payload: bytes, version: int, seq: int) -> LedgerEntry:
    """Return the entry of a journal record.

    Raises:
        DataConsistencyError: FS125, the payload is none that this version of the program can read.
    """
    try:
        if version != VERSION:
            raise _unreadable(seq, f"version {version}")
        document = json.loads(payload)
        fill = {name: _value(name, value) for name, value in document["fill"].items()}
        realized = document.get("realized_pnl")
        return LedgerEntry(
            entry_type=document["entry_type"],
            fill=Fill(**fill),
            realized_pnl=None if realized is None else Decimal(realized),
            reverses_key=document.get("reverses_key"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, RowInvalid) as error:
        raise _unreadable(seq, f"a payload that is no fill ({error})") from None


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON in, the type of the field out
    if name in _DECIMALS:
        return Decimal(value)
    return date.fromisoformat(value) if name == "trade_date" else value


def _unreadable(seq: int, found: str) -> DataConsistencyError:
    return DataConsistencyError(
        found=f"journal record {seq} has {found}",
        expected=f"a fill of version {VERSION}",
        hint="`qts-engine journal verify` looks at the journal; reconcile with the broker before trading",
        code="FS125",
    )
