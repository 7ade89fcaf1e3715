"""The recorded structure of the sheets: its fingerprint, what changed, its version, and the file before the change.

A column that moved or got another name changes the minor version, and the sheet is read on. A column that is gone
changes the major one, and nothing is read until somebody has accepted that.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from qts.data.exceptions import SchemaMismatch
from qts.data.sheets.layout import ROW_START, SHEETS, column_letters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qts.clock import Clock
    from qts.data.sheets.layout import Layout

DiffKind = Literal["FIELD_ADDED", "FIELD_REMOVED", "FIELD_MOVED", "STRUCT_CHANGED"]
_FIRST: Final = "1.0"


class Diff(NamedTuple):
    """One difference between two structures."""

    kind: DiffKind
    sheet: str
    field: str
    """Empty where the sheet as a whole changed."""
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.sheet}{'.' if self.field else ''}{self.field}: {self.detail}"


def structure(layouts: Mapping[str, Layout]) -> dict[str, Any]:
    """Return the structure of sheets, in the order in which they are looked after."""
    found: dict[str, Any] = {}
    for name, spec in SHEETS.items():
        layout = layouts.get(name)
        if layout is None:
            continue
        columns = {
            field: {"header": layout.header[place], "column": column_letters(place)}
            for field, place in sorted(layout.columns.items())
        }
        found[name] = {
            "sheet_name": name,
            "row_start": ROW_START,
            "variant": layout.variant.name,
            "columns": columns,
            "blocks": dict(spec.blocks),
        }
    return found


def fingerprint(sheets: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a structure in its canonical form."""
    return sha256(json.dumps(sheets, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Diff]:
    """Return what changed, sheet by sheet; a sheet that is only in one of them has all its columns added or removed."""
    found: list[Diff] = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name, {}), after.get(name, {})
        found += _column_differences(name, old.get("columns", {}), new.get("columns", {}))
        if old and new:
            found += [
                Diff("STRUCT_CHANGED", name, "", f"{key} {old.get(key)!r} became {new.get(key)!r}")
                for key in ("row_start", "variant", "blocks")
                if old.get(key) != new.get(key)
            ]
    return found


def _column_differences(sheet: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Diff]:
    found: list[Diff] = []
    for field in [*new, *(field for field in old if field not in new)]:
        before, after = old.get(field), new.get(field)
        if before is None and after is not None:
            found.append(Diff("FIELD_ADDED", sheet, field, f"in column {after['column']}"))
        elif after is None and before is not None:
            found.append(Diff("FIELD_REMOVED", sheet, field, f"was in column {before['column']}"))
        elif before is not None and after is not None:
            if before["column"] != after["column"]:
                found.append(Diff("FIELD_MOVED", sheet, field, f"from column {before['column']} to {after['column']}"))
            if before["header"] != after["header"]:
                found.append(Diff("STRUCT_CHANGED", sheet, field, f"{before['header']!r} became {after['header']!r}"))
    return found


def bumped(version: str, changes: list[Diff]) -> str:
    """Return the version after changes."""
    major, minor = map(int, version.split("."))
    if any(change.kind == "FIELD_REMOVED" for change in changes):
        return f"{major + 1}.0"
    return f"{major}.{minor + 1}" if changes else version


class SchemaKeeper:
    """Keeps the structure in a file, with a log of its changes beside it.

    Args:
        path: the file; made with the first structure seen.
        clock: labels backups and lines of the log.

    Raises:
        SchemaMismatch: FS001, the file is damaged.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._bytes = b""
        self._sheets: dict[str, Any] = {}
        self.version = _FIRST
        """Version of the structure, major.minor."""
        if path.exists():
            self._load()

    def _load(self) -> None:
        self._bytes = self._path.read_bytes()
        try:
            document = json.loads(self._bytes)
            sheets, version, recorded = document["sheets"], document["schema_version"], document["fingerprint"]
            bumped(version, [])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(f"no structure of sheets ({error})") from None
        if fingerprint(sheets) != recorded:
            raise self._damaged("a structure whose fingerprint is another")
        self._sheets, self.version = sheets, version

    def check(self, layouts: Mapping[str, Layout]) -> list[Diff]:
        """Compare the sheets seen with those on record, record what changed, and return it.

        Raises:
            SchemaMismatch: FS001, a column is gone; the record stays as it is.
        """
        changes, sheets = self._compare(layouts)
        gone = [change for change in changes if change.kind == "FIELD_REMOVED"]
        if gone:
            raise SchemaMismatch(
                found=f"RC003: {'; '.join(map(str, gone))} (schema {self.version})",
                expected=f"the columns of schema {self.version}",
                hint="restore the columns, or accept the change as a new major version",
                where=str(self._path),
                code="FS001",
            )
        self._record(changes, sheets)
        return changes

    def accept(self, layouts: Mapping[str, Layout]) -> list[Diff]:
        """Record what changed, columns that are gone included, and return it."""
        changes, sheets = self._compare(layouts)
        self._record(changes, sheets)
        return changes

    def _compare(self, layouts: Mapping[str, Layout]) -> tuple[list[Diff], dict[str, Any]]:
        seen = structure(layouts)
        sheets = {name: seen.get(name) or self._sheets[name] for name in SHEETS if name in seen or name in self._sheets}
        if fingerprint(sheets) == fingerprint(self._sheets):
            return [], sheets
        return differences(self._sheets, sheets), sheets

    def _record(self, changes: list[Diff], sheets: dict[str, Any]) -> None:
        if not changes:
            return
        before = self.version
        version = bumped(before, changes) if self._bytes else _FIRST
        document = {"schema_version": version, "fingerprint": fingerprint(sheets), "sheets": sheets}
        content = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
        stamp = self._clock.now_utc().strftime("%Y%m%d_%H%M%S_%f")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._bytes:
            _write(self._path.with_name(f"{self._path.stem}.{before}.{stamp}{self._path.suffix}"), self._bytes)
        _write(self._path, content)
        with self._path.with_suffix(".log").open("a", encoding="utf-8") as log:
            told = "; ".join(map(str, changes))
            log.write(f"{self._clock.now_utc().isoformat()} {before if self._bytes else '-'} -> {version}: {told}\n")
        self._bytes, self._sheets, self.version = content, sheets, version

    def _damaged(self, found: str) -> SchemaMismatch:
        return SchemaMismatch(
            found=f"RC003: {found}",
            expected="the structure of the sheets as the engine recorded it",
            hint="put the newest backup beside it in its place",
            where=str(self._path),
            code="FS001",
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
