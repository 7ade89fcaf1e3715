"""The spreadsheet as a store of rows: sheets read whole, rows put in place, rows appended once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.data.exceptions import RowInvalid, SchemaMismatch, SourceUnavailable
from qts.data.sheets.client import WriteUnknown
from qts.data.sheets.layout import OWN, ROW_START, Layout, column_letters, match_header, spec_of
from qts.data.sheets.rows import Grid, line_of, read_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qts.data.sheets.client import SheetsClient

    Put = tuple[int, Mapping[str, Any]]
    """Number of a row and the values of its columns."""

TAIL_ROWS: Final = 1_000
"""Rows that are looked through for a key before an append is repeated."""
_SPARE_ROWS: Final = 1_000
_APPEND_TRIES: Final = 3


class _Size(NamedTuple):
    sheet_id: int
    rows: int
    columns: int


class Spreadsheet:
    """Sheets by name.

    Args:
        client: the connection.
        utc_offset_s: of the exchange, for times without a zone.
        report: takes a code and a message.
    """

    def __init__(self, client: SheetsClient, utc_offset_s: int, report: Callable[[str, str], None]) -> None:
        self.client = client
        self.utc_offset_s = utc_offset_s
        self._report = report
        self._sizes: dict[str, _Size] = {}
        self._layouts: dict[str, Layout] = {}
        self._protected: dict[str, dict[int, str]] = {}
        """Protected ranges of each sheet, with their descriptions."""

    @property
    def titles(self) -> list[str]:
        """Names of the sheets that there are."""
        return list(self._sizes)

    @property
    def layouts(self) -> dict[str, Layout]:
        """The columns of every sheet read so far, as they were last."""
        return dict(self._layouts)

    async def load(self) -> None:
        """Look which sheets there are and how large they are; raises as a read does."""
        found: dict[str, _Size] = {}
        self._protected = {}
        for sheet in (await self.client.metadata())["sheets"]:
            properties = sheet["properties"]
            grid = properties.get("gridProperties", {})
            title = properties["title"]
            found[title] = _Size(properties["sheetId"], grid.get("rowCount", 0), grid.get("columnCount", 0))
            ranges = sheet.get("protectedRanges", [])
            self._protected[title] = {one["protectedRangeId"]: one.get("description", "") for one in ranges}
        self._sizes = found

    # Reading

    async def grids(self, *names: str) -> list[Grid]:
        """Read sheets in one request.

        Raises:
            SchemaMismatch: FS001, a sheet is missing or has another header.
            RowInvalid: FS010, a row is not what its columns say.
            SourceUnavailable: no answer.
        """
        for name in names:
            if self._sizes and name not in self._sizes:
                raise self._no_sheet(name)
        blocks = await self.client.read([f"'{name}'" for name in names])
        grids = [read_grid(spec_of(name), cells, self.utc_offset_s) for name, cells in zip(names, blocks, strict=True)]
        for grid in grids:
            self.seen(grid.layout)
        return grids

    async def headers(self, *names: str) -> list[Layout]:
        """Read only the header rows; raises as `grids`."""
        for name in names:
            if self._sizes and name not in self._sizes:
                raise self._no_sheet(name)
        blocks = await self.client.read([f"'{name}'!{ROW_START - 1}:{ROW_START - 1}" for name in names])
        layouts = [
            match_header(spec_of(name), cells[0] if cells else ()) for name, cells in zip(names, blocks, strict=True)
        ]
        for layout in layouts:
            self.seen(layout)
        return layouts

    def seen(self, layout: Layout) -> None:
        """Note the columns of a sheet; GR106 if they are not where they were, or go by other names."""
        before = self._layouts.get(layout.sheet)
        self._layouts[layout.sheet] = layout
        if before is not None and (before.columns, before.renamed) == (layout.columns, layout.renamed):
            return
        changes = [f"{name!r} is called {other!r}" for name, other in layout.renamed.items()]
        if before is not None:
            changes = [
                change for name, change in zip(layout.renamed, changes, strict=True) if name not in before.renamed
            ]
            changes += [
                f"{name!r} moved from column {column_letters(before.columns[name])} to {column_letters(place)}"
                for name, place in layout.columns.items()
                if before.columns.get(name, place) != place
            ]
        if changes:
            self._report("GR106", f"sheet {layout.sheet}: {', '.join(changes)}; it is read all the same")

    # Writing

    async def ready(self, name: str) -> Layout:
        """Return the columns of a sheet that rows are written to; what the engine adds to them is put at the right."""
        layout = self._layouts.get(name)
        if layout is None:
            if name in OWN:
                await self.add_sheet(name, [field.name for field in OWN[name].variants[0].fields])
            layout = (await self.headers(name))[0]
        lacking = layout.missing()
        if not lacking:
            return layout
        start = len(layout.header)
        await self.grow(name, rows=ROW_START, columns=start + len(lacking))
        first, last = column_letters(start), column_letters(start + len(lacking) - 1)
        where = f"'{name}'!{first}{ROW_START - 1}:{last}{ROW_START - 1}"
        await self.client.update([(where, [[field.name for field in lacking]])])
        return (await self.headers(name))[0]

    async def grow(self, name: str, *, rows: int, columns: int = 0) -> None:
        """Give a sheet at least so many rows and columns."""
        size = self._sizes[name]
        more = [("ROWS", rows - size.rows, _SPARE_ROWS), ("COLUMNS", columns - size.columns, 0)]
        requests = [
            {"appendDimension": {"sheetId": size.sheet_id, "dimension": dimension, "length": lacking + spare}}
            for dimension, lacking, spare in more
            if lacking > 0
        ]
        if requests:
            await self._change(requests)

    async def put(self, changes: Mapping[str, Sequence[Put]]) -> None:
        """Write rows in their places, sheets by name, in one request, all or none; the same again does no harm."""
        data: list[tuple[str, list[list[str | None]]]] = []
        for name, rows in changes.items():
            layout = await self.ready(name)
            await self.grow(name, rows=max((number for number, _ in rows), default=0))
            for number, values in rows:
                line = line_of(layout, values, f"{name} row {number}")
                data.append((f"'{name}'!A{number}:{column_letters(len(line) - 1)}{number}", [line]))
        if data:
            await self.client.update(data)

    async def append(self, name: str, lines: Sequence[Mapping[str, Any]], *, key: str, end: int) -> None:
        """Append rows that are not there; where an answer is lost, the keys at the end are read before another try.

        Args:
            name: the sheet.
            lines: values of the columns of each row.
            key: column that names a row.
            end: number of the last row as last read.
        """
        layout = await self.ready(name)
        pending = {str(line[key]): line_of(layout, line, f"{name} {line[key]}") for line in lines}
        for attempt in range(_APPEND_TRIES):
            try:
                await self.client.append(self._sizes[name].sheet_id, list(pending.values()))
            except WriteUnknown:
                there = await self.tail_keys(name, key, end)
                pending = {one: line for one, line in pending.items() if one not in there}
                if pending and attempt == _APPEND_TRIES - 1:
                    raise
            except RowInvalid:
                before = self._sizes[name].sheet_id
                await self.load()
                if name not in self._sizes:
                    raise self._no_sheet(name) from None
                if attempt == _APPEND_TRIES - 1 or self._sizes[name].sheet_id == before:
                    raise  # otherwise the sheet is another one of that name: the rows are not at fault
            else:
                return
            if not pending:
                return

    async def tail_keys(self, name: str, key: str, end: int = 0) -> set[str]:
        """Return the keys in the last rows from `end` on backwards and everything after it; `end` 0: all of them."""
        letters = column_letters(self._layouts[name].columns[key])
        first = max(ROW_START, end - TAIL_ROWS + 1) if end else ROW_START
        await self.grow(name, rows=first)
        header, cells = await self.client.read(
            [f"'{name}'!{ROW_START - 1}:{ROW_START - 1}", f"'{name}'!{letters}{first}:{letters}"]
        )
        layout = match_header(spec_of(name), header[0] if header else ())
        if layout.columns.get(key) != self._layouts[name].columns[key]:
            self.seen(layout)
            return await self.tail_keys(name, key, end)
        return {str(row[0]) for row in cells if row and row[0] != ""}

    async def add_sheet(self, name: str, header: Sequence[str]) -> None:
        """Make a sheet with a header, as far as that has not been done."""
        if name not in self._sizes:
            grid = {"rowCount": _SPARE_ROWS, "columnCount": max(len(header), 26)}
            await self._change([{"addSheet": {"properties": {"title": name, "gridProperties": grid}}}])
        if name not in self._sizes:
            raise SourceUnavailable(
                found=f"no sheet {name!r} after it was made", expected="the sheet", hint="try again"
            )
        if header and not (await self.client.read([f"'{name}'!{ROW_START - 1}:{ROW_START - 1}"]))[0]:
            where = f"'{name}'!A{ROW_START - 1}:{column_letters(len(header) - 1)}{ROW_START - 1}"
            await self.client.update([(where, [list(header)])])

    async def _change(self, requests: Sequence[dict[str, Any]]) -> None:
        """Change the structure; where the answer is lost, what there is now tells whether it happened."""
        try:
            await self.client.change(requests)
        except WriteUnknown:
            before = dict(self._sizes), {name: dict(ids) for name, ids in self._protected.items()}
            await self.load()
            if before == (self._sizes, self._protected):
                raise
        else:
            await self.load()

    # Protection

    async def protect(self, names: Sequence[str], note: str) -> None:
        """Let nobody but the service account edit sheets; what protects them already stays as it is.

        Args:
            names: the sheets.
            note: description by which the protection is known again.
        """
        await self.load()
        requests = [
            {
                "addProtectedRange": {
                    "protectedRange": {
                        "range": {"sheetId": self._sizes[name].sheet_id},
                        "description": note,
                        "warningOnly": False,
                        "editors": {"users": [self.client.account]},
                    }
                }
            }
            for name in names
            if name in self._sizes and note not in self._protected[name].values()
        ]
        if requests:
            await self._change(requests)

    async def unprotect(self, names: Sequence[str], note: str) -> None:
        """Take off the protection that `protect` put on sheets with the same note, and no other."""
        await self.load()
        ids = [number for name in names for number, about in self._protected.get(name, {}).items() if about == note]
        if ids:
            await self._change([{"deleteProtectedRange": {"protectedRangeId": number}} for number in ids])

    def protected(self, name: str) -> bool:
        """Whether a sheet was protected when its structure was last loaded."""
        return bool(self._protected.get(name))

    @staticmethod
    def _no_sheet(name: str) -> SchemaMismatch:
        return SchemaMismatch(
            found=f"RC003: no sheet {name!r} in the spreadsheet",
            expected=f"a sheet {name!r}",
            hint="restore the sheet, or let `qts-engine db init` make it",
            code="FS001",
        )
