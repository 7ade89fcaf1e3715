"""Books fills against what a spreadsheet holds, in memory, before anything of them is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.data.exceptions import DataConsistencyError, FillConflict
from qts.data.records import FillResult, LedgerEntry
from qts.data.sheets.layout import QUARANTINE_SHEET

if TYPE_CHECKING:
    from decimal import Decimal

    from qts.data.records import Fill, Position
    from qts.data.sheets.books import Scales
    from qts.data.sheets.rows import LedgerRow, Row

    _Place = tuple[str, str, str]
    _Positions = dict[_Place, tuple[Position, Row]]

_SAME: Final = (
    "qty", "price", "amount", "fee", "tax", "side", "pool_id", "symbol", "currency", "ts_exec_ns",
)  # fmt: skip
"""What makes two fills of one key the same."""


class Booking:
    """Fills on their way into the books."""

    def __init__(self, scales: Scales, positions: _Positions, ledger: dict[str, LedgerRow]) -> None:
        self._scales = scales
        self._held = {place: position for place, (position, _) in positions.items()}
        self._ledger = {key: row.entry for key, row in ledger.items()}
        self._rows = ledger
        self.new: list[LedgerEntry] = []
        self.changed: dict[_Place, Position] = {}
        self.refused: list[dict[str, str]] = []
        self._oversold: list[str] = []
        self._caught_up: set[_Place] = set()

    def take(self, fill: Fill) -> FillResult:
        """Book a fill in memory."""
        place = (fill.account_id, fill.pool_id, fill.symbol)
        self._catch_up(place)
        known = self._ledger.get(fill.fill_key)
        if known is not None:
            wrong = [name for name in _SAME if getattr(known.fill, name) != getattr(fill, name)]
            if known.entry_type != "FILL" or wrong:
                differs = ", ".join(
                    f"{name} {getattr(fill, name)} (booked {getattr(known.fill, name)})" for name in wrong
                )
                self.refused.append(
                    {"fill_key": fill.fill_key, "cause": differs or "another kind", "content": repr(fill)}
                )
            return FillResult("DUPLICATE", self._held.get(place))
        position, realized = self._apply(place, fill)
        entry = LedgerEntry(entry_type="FILL", fill=fill, realized_pnl=realized)
        self._ledger[fill.fill_key] = entry
        self.new.append(entry)
        return FillResult("INSERTED", position)

    def _catch_up(self, place: _Place) -> None:
        """Apply what is on the ledger and not yet in the position."""
        if place in self._caught_up:
            return
        self._caught_up.add(place)
        keys = _keys_of(self._rows, place)
        held = self._held.get(place)
        last = held.last_fill_key if held else ""
        if (last and last not in keys) or (held and held.version and not last):
            return  # what it holds is not all on this sheet: the position stands
        for key in keys[keys.index(last) + 1 if last else 0 :]:
            self._apply(place, self._ledger[key].fill)

    def _apply(self, place: _Place, fill: Fill) -> tuple[Position, Decimal | None]:
        before = self._held.get(place)
        position, realized = self._scales.apply(fill, before)
        self._held[place] = self.changed[place] = position
        if position.oversold and not (before and before.oversold):
            self._oversold.append(f"{fill.symbol}/{fill.pool_id}")
        return position, realized

    def raise_for_errors(self) -> None:
        """Raise for what went into quarantine or was sold without being held."""
        if self.refused:
            raise FillConflict(
                found=f"fill {self.refused[0]['fill_key']}: {self.refused[0]['cause']}",
                expected="a fill key that always carries the same fill",
                hint=f"look at the sheet {QUARANTINE_SHEET.name}; the first row stands",
                code="FS122",
            )
        if self._oversold:
            raise DataConsistencyError(
                found=f"more of {', '.join(self._oversold)} was sold than was held",
                expected="sales of what is held",
                hint="reconcile the position with the broker",
                code="FS070",
            )


def _keys_of(ledger: dict[str, LedgerRow], place: _Place) -> list[str]:
    """Return the keys of the engine's own fills of a position, in their order."""
    return [
        key
        for key, row in ledger.items()
        if row.ours and (row.entry.fill.account_id, row.entry.fill.pool_id, row.entry.fill.symbol) == place
    ]


def last_key(ledger: dict[str, LedgerRow], place: _Place) -> str:
    """Return the key of the engine's last fill of a position; empty without any."""
    keys = _keys_of(ledger, place)
    return keys[-1] if keys else ""
