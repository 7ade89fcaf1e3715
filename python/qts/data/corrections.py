"""What of a ledger row changes a position; how it does stands in `Holding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from qts.data.contracts import FillRow
    from qts.data.ledger import Holding


class Line(NamedTuple):
    """What of a ledger row changes a position, as integers in the scales of its instrument."""

    kind: str
    """FILL, REVERSAL, FEE_ADJ or RECON_ADJ."""
    side: str
    qty: int
    amount: int
    fee: int
    tax: int
    ts_ns: int
    """Engine time at which it was heard of."""
    taken_back: int | None = None
    """Of a REVERSAL: what the row taken back had realised."""


def book(holding: Holding, line: Line, key: str) -> int | None:
    """Book a row of the ledger and return its realised result, None where it has none."""
    return holding.book(line.kind, cast("FillRow", line), key, line.taken_back)
