"""Takes what the database changed to the sheets: each ledger row once, each position as it is last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.data.exceptions import RowInvalid
from qts.data.sheets.cells import write_cell
from qts.data.sheets.layout import MIRRORED, spec_of
from qts.data.sheets.rows import positions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.data.records import OutboxRow
    from qts.data.sheets.adapter import GoogleSheetsAdapter
    from qts.data.sheets.spreadsheet import Put

_KEY: Final = "fill_key"


class SheetsMirror:
    """Writes rows of the outbox to the sheets `Position` and `T_Ledger`.

    Args:
        adapter: the spreadsheet, opened.
    """

    def __init__(self, adapter: GoogleSheetsAdapter) -> None:
        self._adapter = adapter
        self._book = adapter.book
        self._known: set[str] | None = None
        self._end = 0

    async def apply(self, rows: Sequence[OutboxRow]) -> dict[int, str]:
        """Write rows in their order; return those that the sheets will never take, with the reason.

        The same rows again change nothing, and a position is never replaced by an older one of it.

        Raises:
            SourceUnavailable: no answer; what was written before that does no harm when it is repeated.
            SchemaMismatch: FS001, a sheet has another header.
        """
        if not self._adapter.opened:
            await self._adapter.open()
        refused: dict[int, str] = {}
        good = [row for row in rows if not self._refuses(row, refused)]
        await self._ledger([row for row in good if row.data_set == "T_Ledger"], refused)
        await self._positions([row for row in good if row.data_set == "Position"], refused)
        return refused

    @staticmethod
    def _refuses(row: OutboxRow, refused: dict[int, str]) -> bool:
        lacking = (
            []
            if row.data_set not in MIRRORED
            else [name for name in _needed(row.data_set) if row.payload.get(name) in (None, "")]
        )
        if row.data_set not in MIRRORED:
            refused[row.seq] = f"data set {row.data_set!r} stands on no sheet"
        elif lacking:
            refused[row.seq] = f"no {', '.join(lacking)} in the row"
        else:
            try:
                for name, value in row.payload.items():
                    write_cell(value, name, row.key)
            except RowInvalid as error:
                refused[row.seq] = str(error)
        return row.seq in refused

    async def _ledger(self, rows: Sequence[OutboxRow], refused: dict[int, str]) -> None:
        if not rows:
            return
        await self._book.ready("T_Ledger")
        known = await self._keys()
        new = [row for row in rows if row.payload[_KEY] not in known]
        try:
            await self._append(new)
        except RowInvalid:
            for row in new:  # one of them is at fault: the others go in without it
                try:
                    await self._append([row])
                except RowInvalid as error:
                    refused[row.seq] = str(error)

    async def _append(self, rows: Sequence[OutboxRow]) -> None:
        lines = {row.payload[_KEY]: row.payload for row in rows}
        if not lines:
            return
        await self._book.append("T_Ledger", list(lines.values()), key=_KEY, end=self._end)
        self._end += len(lines)
        if self._known is not None:
            self._known |= lines.keys()

    async def _keys(self) -> set[str]:
        """Return the keys on the ledger sheet: all of them once, afterwards those at its end as well."""
        if self._known is None:
            (grid,) = await self._book.grids("T_Ledger")
            self._end = grid.end
            self._known = {row.values[_KEY] for row in grid.rows if row.values[_KEY]}
        else:
            self._known |= await self._book.tail_keys("T_Ledger", _KEY, self._end)
        return self._known

    async def _positions(self, rows: Sequence[OutboxRow], refused: dict[int, str]) -> None:
        if not rows:
            return
        await self._book.ready("Position")
        (grid,) = await self._book.grids("Position")
        known = positions_of(grid)
        newest: dict[tuple[str, str, str], OutboxRow] = {}
        for row in rows:
            place = _place(row.payload)
            if place not in newest or _version(row.payload) >= _version(newest[place].payload):
                newest[place] = row
        puts: dict[int, Put] = {}
        end = grid.end
        for place, row in newest.items():
            before = known.get(place)
            if before is None:
                end += 1
            elif before[0].version > _version(row.payload):
                continue
            puts[row.seq] = (end if before is None else before[1].number, row.payload)
        try:
            await self._book.put({"Position": list(puts.values())} if puts else {})
        except RowInvalid:
            for seq, put in puts.items():
                try:
                    await self._book.put({"Position": [put]})
                except RowInvalid as error:
                    refused[seq] = str(error)


def _needed(data_set: str) -> list[str]:
    if data_set == "Position":
        return ["account_id", "pool_id", "symbol", "qty", "version"]
    return [_KEY, *(field.name for field in spec_of(data_set).variants[0].fields if field.required)]


def _place(payload: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(payload["account_id"]), str(payload["pool_id"]), str(payload["symbol"])


def _version(payload: Mapping[str, Any]) -> int:
    return int(payload["version"])
