"""Parameters on sheets and in the local configuration file, as rows of the tables that they stand for."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from qts.data.exceptions import NotSupported, RowInvalid, SchemaMismatch, SourceUnavailable
from qts.data.records import RawDataContract, RiskLimits
from qts.data.sheets.layout import CONFIG_LOCAL
from qts.data.sheets.rows import position_values, positions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from qts.data.sheets.rows import Grid, Row
    from qts.data.sheets.spreadsheet import Put

STRATEGY: Final = "default"
"""Strategy of parameters on a sheet that names none."""
_SCOPES: Final = {"Config_Scalp": "SCALP", "Config_Swing": "SWING"}
_LOCAL: Final = ("category", "subcategory", "key", "value", "description", "tag")
_LIMITS: Final = {
    "max_exposure_pct": ("max_exposure_pct",),
    "max_symbol_exposure_pct": ("max_symbol_exposure_pct",),
    "daily_loss_limit": ("daily_loss_limit", "daily_loss_limit_pct"),
    "max_trade_qty": ("max_trade_qty",),
}


def config_rows(grid: Grid) -> list[dict[str, Any]]:
    """Return the rows of a configuration sheet; RowInvalid if a key is missing or stands there twice."""
    found: dict[str, dict[str, Any]] = {}
    for row in grid.rows:
        key = row.values["key"]
        if not key:
            raise _bad(row, "RC001: no KEY", "a key in every row")
        if key.casefold() in found:
            raise _bad(row, f"KEY {key!r} for the second time", "each key once, whatever its capitals")
        names = ("category", "sub_category", "description", "tag")
        found[key.casefold()] = {
            "scope": _SCOPES[grid.layout.sheet],
            **{name: row.values[name] for name in names},
            "key": key,
            "value": row.values["value"] or "",
        }
    return list(found.values())


def strategy_rows(grid: Grid) -> list[dict[str, Any]]:
    """Return the rows of the sheet of strategy parameters; RowInvalid if one stands there twice."""
    if grid.layout.variant.name != "parameters":
        raise SchemaMismatch(
            found=f"RC003: the sheet Strategy with the columns {', '.join(filter(None, grid.layout.header))}",
            expected="param_name, value, description; results of strategies are derived, not kept here",
            hint="put the parameters on a sheet Strategy of their own",
            where="Strategy",
            code="FS001",
        )
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in grid.rows:
        strategy, name = row.values["strategy_id"] or STRATEGY, row.values["param_name"]
        if not name:
            raise _bad(row, "RC001: no param_name", "a name in every row")
        if (strategy, name) in found:
            raise _bad(row, f"parameter {name!r} of {strategy} for the second time", "each parameter once")
        found[strategy, name] = {
            "strategy_id": strategy,
            "param_name": name,
            "value": row.values["value"] or "",
            "value_type": row.values["value_type"] or "string",
            "description": row.values["description"],
        }
    return list(found.values())


def position_rows(grid: Grid) -> list[dict[str, Any]]:
    """Return the rows of the sheet of positions, with the average price that stands there."""
    return [
        {**position_values(position), "avg_price": row.values["avg_price"]}
        for position, row in positions_of(grid).values()
    ]


def quarantine_rows(grid: Grid) -> list[dict[str, Any]]:
    """Return the fills that were refused."""
    return [dict(row.values) for row in grid.rows]


READERS: Final[dict[str, Callable[[Grid], list[dict[str, Any]]]]] = {
    "config": config_rows,
    "strategies": strategy_rows,
    "positions": position_rows,
    "fill_quarantine": quarantine_rows,
}


def _config_sheet(row: Mapping[str, Any]) -> str:
    for sheet, scope in _SCOPES.items():
        if row.get("scope") == scope:
            return sheet
    raise NotSupported(
        found=f"configuration of scope {row.get('scope')!r}",
        expected=", ".join(_SCOPES.values()),
        hint="the local configuration is a file, config/config_local.json",
    )


WRITERS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "config": _config_sheet,
    "strategies": lambda _row: "Strategy",
}
_KEYS: Final = {"config": ("key",), "strategies": ("strategy_id", "param_name")}


def puts(grid: Grid, table: str, lines: Sequence[Mapping[str, Any]]) -> list[Put]:
    """Return where rows of a parameter table go; those that stand there already are left out."""
    known = {
        tuple(str(line[name]).casefold() for name in _KEYS[table]): (row, line)
        for row, line in zip(grid.rows, READERS[table](grid), strict=True)
    }
    end = grid.end
    found: list[Put] = []
    for line in lines:
        missing = [name for name in (*_KEYS[table], "value") if not isinstance(line.get(name), str)]
        if missing:
            raise RowInvalid(
                found=f"RC001: no text for {', '.join(missing)}",
                expected="text",
                hint="complete the row",
                where=table,
            )
        before = known.get(tuple(line[name].casefold() for name in _KEYS[table]))
        columns = {name: value for name, value in line.items() if name in grid.layout.columns}
        if before is None:
            end += 1
            found.append((end, columns))
        elif any(before[1].get(name) != value for name, value in columns.items()):
            found.append((before[0].number, columns))
    return found


# The file


def local_rows(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows of the local configuration.

    Raises:
        SourceUnavailable: FS126, the file cannot be read.
        RowInvalid: FS010, it is not a list of rows, or a row has no key.
    """
    if path is None:
        raise NotSupported(found="no local configuration", expected="a file", hint="set config/config_local.json up")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SourceUnavailable(
            found=f"{path} cannot be read ({error.strerror})",
            expected="the file of the local configuration",
            hint="restore the file",
            code="FS126",
        ) from None
    except ValueError as error:
        raise _bad_file(path, f"RC004: no JSON ({error})") from None
    if not isinstance(rows, list):
        raise _bad_file(path, "RC003: no list")
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        key = row.get("key") if isinstance(row, dict) else None
        if not isinstance(key, str) or not key or "value" not in row:
            raise _bad_file(path, f"RC001: row {number} without key or value")
        if key.casefold() in seen:
            raise _bad_file(path, f"key {key!r} for the second time")
        seen.add(key.casefold())
    return rows


def local_contract(path: Path | None, version: str) -> RawDataContract:
    """Return the local configuration as the raw contract has it."""
    rows = [{name: row.get(name) for name in _LOCAL} for row in local_rows(path)]
    return RawDataContract(CONFIG_LOCAL, version, _LOCAL, rows)


def risk_limits(rows: Sequence[Mapping[str, Any]]) -> RiskLimits:
    """Return the limits among the rows of the local configuration; RowInvalid if one is missing or no number."""
    by_key = {row["key"].casefold(): row["value"] for row in rows}
    found = {}
    for name, keys in _LIMITS.items():
        value = next((by_key[key] for key in keys if key in by_key), None)
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if isinstance(value, bool) or not number.is_finite() or number < 0:
            raise RowInvalid(
                found=f"RC001: {name} {value!r}",
                expected="a number of 0 or more",
                hint="set it in config/config_local.json",
                where=CONFIG_LOCAL,
                code="FS010",
            )
        found[name] = number
    return RiskLimits(**found)


def _bad(row: Row, found: str, expected: str) -> RowInvalid:
    return RowInvalid(found=found, expected=expected, hint="mend the row", where=row.where, code="FS010")


def _bad_file(path: Path, found: str) -> RowInvalid:
    return RowInvalid(
        found=found,
        expected="a list of {category, subcategory, key, value, description, tag}",
        hint="restore the file from a backup",
        where=str(path),
        code="FS010",
    )
