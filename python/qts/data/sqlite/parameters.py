"""Tables of the logical schema by name, and what is read from them: parameters, limits, sheets."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.data.checks import check_count
from qts.data.exceptions import NotSupported, RowInvalid
from qts.data.raw import raw_data
from qts.data.records import RawDataContract, RiskLimits
from qts.data.rows import checked_row, checked_where, writable
from qts.data.sqlite.codec import decode, encode
from qts.data.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.clock import Clock
    from qts.data.sqlite.pool import Pool
    from qts.data.tables import Table

_ELSEWHERE: Final = frozenset({"tick_data", "tick_ack", "tick_quarantine"})
"""Tables of the tick store, which keeps files of its own beside this one."""

_ROWS: Final = 100_000
"""Most rows that one question returns if it names no number."""

_SCALES: Final = ("price_scale", "qty_scale", "money_scale")

_BOOKED: Final = {
    "t_ledger": (
        "(SELECT l.id, l.fill_key, l.entry_type, l.exec_ns / 1000 AS timestamp, l.recv_ns / 1000 AS recorded_at,"
        " l.trade_date, l.account_id, l.pool_id, l.symbol, l.side, l.qty, l.price, l.amount, l.fee, l.tax, i.currency,"
        " l.realized_pnl, l.strategy_tag, l.order_id, ifnull(d.broker, s.broker) AS broker, d.client_order_id,"
        " l.decision_id, d.broker_exec_id, d.slippage_bps, l.cum_filled_qty, d.reverses_id, d.raw, l.exec_ns,"
        " l.recv_ns, l.exec_ref, ifnull(d.run_id, s.session_id) AS run_id, l.reason, i.price_scale,"
        " i.qty_scale, i.money_scale FROM t_ledger l JOIN instruments i ON i.symbol = l.symbol"
        " LEFT JOIN ledger_details d ON d.id = l.id LEFT JOIN sessions s ON s.no = l.session_no)"
    ),
    "positions": (
        "(SELECT p.*, 0 AS avg_price, i.currency, p.opened_ns / 1000 AS opened_at, 8 AS price_scale, i.qty_scale,"
        " i.money_scale FROM positions p JOIN instruments i ON i.symbol = p.symbol)"
    ),
    "daily_pnl": "daily_pnl",
}
"""Tables whose amounts are in the scales of their instruments, which stand beside them."""


class Parameters:
    """What `DataSourceAdapter` has on tables."""

    _pool: Pool
    _clock: Clock

    async def get_risk_limits(self) -> RiskLimits:
        """Return the risk limits; RowInvalid if one is missing."""
        rows = {row["config_key"]: row["value"] for row in await self.read("risk_configs")}
        missing = [name for name in RiskLimits._fields if name not in rows]
        if missing:
            raise RowInvalid(
                found=f"no {', '.join(missing)} in risk_configs",
                expected=f"values for {', '.join(RiskLimits._fields)}",
                hint="write the four limits into risk_configs",
            )
        return RiskLimits(*(rows[name] for name in RiskLimits._fields))

    async def fetch_raw_data(self, sheet_name: str) -> RawDataContract:
        """Return the rows of the table that stands for a sheet.

        Raises:
            SchemaMismatch: FS001, no table stands for it.
        """
        return await raw_data(sheet_name, self.read)

    async def read(
        self, table: str, where: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table of the logical schema whose columns equal `where`, by primary key."""
        target = _table(table)
        asked = checked_where(table, where)
        count = _ROWS if limit is None else check_count(limit, "limit")
        source = _BOOKED.get(table, table)
        sql = [name for name in asked if table not in _BOOKED or target.column(name).kind != "decimal"]
        conditions = " AND ".join(f"{name} IS ?" for name in sql) or "1"
        order = ", ".join(target.key) or f"{target.time}, rowid"
        scales = ", ".join(_SCALES) if table in _BOOKED else "NULL"
        columns = ", ".join(column.name for column in target.columns)
        # Names come from the schema, values are bound.
        query = f"SELECT {columns}, {scales} FROM {source} WHERE {conditions} ORDER BY {order} LIMIT ?"  # noqa: S608
        values = [encode(target.column(name), asked[name]) for name in sql]
        later = {name: value for name, value in asked.items() if name not in sql}

        def job(db: sqlite3.Connection) -> list[dict[str, Any]]:
            cursor = db.execute(query, (*values, -1 if later else count))
            rows = (_row(target, row) for row in cursor)
            return [row for row in rows if all(row[name] == value for name, value in later.items())][:count]

        return await self._pool.read(job)

    async def write(self, table: str, row: Mapping[str, Any]) -> bool:
        """Insert a row, or replace it by its primary key where the table allows; say whether anything changed."""
        return bool(await self.batch_write(table, [row]))

    async def batch_write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows in one transaction, all or none; return how many changed anything."""
        _table(table)
        target = writable(table)
        now = self._clock.now_utc()
        checked = [(checked_row(table, row, now), row) for row in rows]
        if not checked:
            return await self._pool.read(lambda _: 0)

        def job(db: sqlite3.Connection) -> int:
            try:
                return sum(_put(db, target, row, given) for row, given in checked)
            except (sqlite3.IntegrityError, OverflowError) as error:
                raise RowInvalid(
                    found=f"a row that the table refuses: {error}",
                    expected="a row that keeps its rules",
                    hint="mend the row where it comes from",
                    where=table,
                ) from error

        return await self._pool.write(job)


def _table(name: str) -> Table:
    target = table(name)
    if name in _ELSEWHERE:
        raise NotSupported(
            found=f"table {name} in the embedded database",
            expected="the tick store, which keeps ticks in files of their own",
            hint="use fetch_tick_data",
        )
    return target


def _row(target: Table, row: tuple[Any, ...]) -> dict[str, Any]:
    values = row[: len(target.columns)]
    scales = dict(zip(_SCALES, row[len(target.columns) :], strict=True)) if target.name in _BOOKED else None
    found: dict[str, Any] = {
        column.name: decode(column, value, scales) for column, value in zip(target.columns, values, strict=True)
    }
    if target.name == "positions" and found["qty"]:
        found["avg_price"] = (found["cost_total"] / found["qty"]).quantize(Decimal("1e-8"))
    return found


def _put(db: sqlite3.Connection, target: Table, row: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Write a row; say whether anything changed. What was not given and stands for "now" makes no difference."""
    values = {name: encode(target.column(name), value) for name, value in row.items()}
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    insert = f"INSERT INTO {target.name} ({names}) VALUES ({marks})"  # noqa: S608 - names of the schema
    compared = [name for name in values if name in given or target.column(name).default != "now"]
    compared = [name for name in compared if name not in target.key]
    if target.append_only:
        return _append(db, target, insert, values, compared)
    kept = {name for name in ("created_at",) if name not in given}
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name not in kept and name not in target.key)
    differs = " OR ".join(f"{target.name}.{name} IS NOT excluded.{name}" for name in compared) or "0"
    tail = f"ON CONFLICT ({', '.join(target.key)}) DO UPDATE SET {changes} WHERE {differs}"
    return db.execute(f"{insert} {tail}", tuple(values.values())).rowcount > 0


def _append(
    db: sqlite3.Connection, target: Table, insert: str, values: Mapping[str, object], compared: Sequence[str]
) -> bool:
    """Add a row to a table that only grows; one that is there already must be the same."""
    for unique in (target.key, *target.unique):
        if not unique or not all(name in values for name in unique):
            continue
        same = " AND ".join(f"{name} IS ?" for name in unique)
        query = f"SELECT {', '.join(compared) or '1'} FROM {target.name} WHERE {same}"  # noqa: S608 - as above
        known = db.execute(query, [values[name] for name in unique]).fetchone()
        if known is None:
            continue
        if compared and list(known) != [values[name] for name in compared]:
            raise RowInvalid(
                found=f"another row with {', '.join(f'{name} {values[name]}' for name in unique)}",
                expected="the row that stands: this table is append-only",
                hint="write a new row under a new key",
                where=target.name,
            )
        return False
    db.execute(insert, tuple(values.values()))
    return True
