"""Parameters, sheets and plain tables on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qts.data.checks import check_count
from qts.data.exceptions import RowInvalid
from qts.data.postgres.part import Part
from qts.data.raw import raw_data
from qts.data.records import RawDataContract, RiskLimits
from qts.data.rows import checked_row, checked_where, writable
from qts.data.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.data.postgres.link import Link


class Tables(Part):
    """Parameters, sheets and plain tables; see `DataSourceAdapter`."""

    async def get_risk_limits(self) -> RiskLimits:
        """Return the risk limits; RowInvalid if one is missing."""
        rows = await self._fetch("trading", "SELECT config_key, value FROM risk_configs")
        values = {row["config_key"]: row["value"] for row in rows}
        missing = [name for name in RiskLimits._fields if name not in values]
        if missing:
            raise RowInvalid(
                found=f"no {', '.join(missing)} in risk_configs",
                expected=", ".join(RiskLimits._fields),
                hint="write the four limits into risk_configs",
            )
        return RiskLimits(*(values[name] for name in RiskLimits._fields))

    async def fetch_raw_data(self, sheet_name: str) -> RawDataContract:
        """Return the rows of the table that stands for a sheet, as the raw contract has them."""
        return await raw_data(sheet_name, self.read)

    async def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table of the logical schema whose columns equal `where`, by primary key."""
        conditions = checked_where(table, where)
        most = None if limit is None else check_count(limit, "limit")
        query, values = select_of(table, conditions, most)
        rows = await self._fetch("analytics", query, *values)
        return [dict(row) for row in rows]

    async def write(self, table: str, row: Mapping[str, Any]) -> bool:
        """Insert a row, or replace it by its primary key; say whether anything changed."""
        return await self.batch_write(table, [row]) == 1

    async def batch_write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows in one transaction, all or none; return how many changed anything."""
        target = writable(table)
        now = self._clock.now_utc()
        checked = [(row, checked_row(table, row, now)) for row in rows]

        async def put(link: Link) -> int:
            changed = 0
            for given, row in checked:
                changed += await _put(link, target, given, row)
            return changed

        return await self._in_transaction("trading", put, repeats=bool(target.key))


def select_of(name: str, conditions: Mapping[str, Any], limit: int | None) -> tuple[str, list[Any]]:
    """Return the query for rows of a table, and its values."""
    target = table(name)
    values = [value for value in conditions.values() if value is not None]
    numbers = iter(range(1, len(values) + 1))
    tests = [
        f"{column} IS NULL" if value is None else f"{column} = ${next(numbers)}" for column, value in conditions.items()
    ]
    columns = ", ".join(column.name for column in target.columns)
    condition = f" WHERE {' AND '.join(tests)}" if tests else ""
    query = f"SELECT {columns} FROM {target.name}{condition}{_order(target)}"  # noqa: S608 - names of the schema
    return (query if limit is None else f"{query} LIMIT {limit}"), values


def _order(target: Table) -> str:
    names = target.key or ((target.time,) if target.time else ())
    texts = {column.name for column in target.columns if column.kind == "text"}
    parts = [f'{name} COLLATE "C"' if name in texts else name for name in names]
    return f" ORDER BY {', '.join(parts)}" if parts else ""


async def _put(link: Link, target: Table, given: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Write a row; say whether anything changed. What was not given and stands for "now" makes no difference."""
    names = list(row)
    numbers = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    insert = f"INSERT INTO {target.name} AS t ({', '.join(names)}) VALUES ({numbers})"  # noqa: S608 - of the schema
    values = list(row.values())
    compared = [
        name for name in names if name not in target.key and (name in given or target.column(name).default != "now")
    ]
    if target.append_only or not target.key:
        added = await link.fetchval(f"{insert} ON CONFLICT DO NOTHING RETURNING 1", *values)
        return added is not None or await _differs(link, target, row, compared)
    kept = {"created_at"} - given.keys()
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in target.key and name not in kept)
    old, new = (", ".join(f"{prefix}.{name}" for name in compared) for prefix in ("t", "excluded"))
    changed = await link.fetchval(
        f"{insert} ON CONFLICT ({', '.join(target.key)}) DO UPDATE SET {sets}"
        f" WHERE ROW({old}) IS DISTINCT FROM ROW({new}) RETURNING 1",
        *values,
    )
    return changed is not None


async def _differs(link: Link, target: Table, row: Mapping[str, Any], compared: Sequence[str]) -> bool:
    """Return False if the row that stands under one of the keys is the same.

    Raises:
        RowInvalid: it is another one.
    """
    for unique in (target.key, *target.unique):
        if not unique or not set(unique) <= row.keys():
            continue
        rest = [name for name in compared if name not in unique]
        numbers = iter(range(1, len(unique) + len(rest) + 1))
        place = " AND ".join(f"{name} = ${next(numbers)}" for name in unique)
        same = " AND ".join(f"{name} IS NOT DISTINCT FROM ${next(numbers)}" for name in rest) or "true"
        is_same = await link.fetchval(
            f"SELECT {same} FROM {target.name} WHERE {place}",  # noqa: S608 - names of the schema
            *(row[name] for name in (*unique, *rest)),
        )
        if is_same is False:
            raise RowInvalid(
                found=f"another row with {', '.join(f'{name} {row[name]}' for name in unique)}",
                expected="the row that stands: this table is append-only",
                hint="write a new row under a new key",
                where=target.name,
            )
    return False
