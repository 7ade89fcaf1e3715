"""Capital and decisions in the embedded database: writes inside a transaction that somebody else has begun."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.data.capital import (
    STEP,
    hold_of,
    newest_holds,
    pool_of,
    pool_values,
    said_by,
    transfer_of,
    transfer_values,
)
from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalTransferRow,
    DecisionRow,
)
from qts.data.sqlite import schema
from qts.data.sqlite.codec import decode, encode
from qts.data.tables import table
from qts.money import from_units, plain

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from qts.data.contracts import CapitalRow, SessionRow

_ENTRY: Final = (
    "INSERT INTO capital_ledger (time, account_id, pool_id, bucket, amount, cause, ref_id, entry_no)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, cause, ref_id, pool_id, bucket) DO NOTHING"
)
_AMOUNT_OF: Final = (
    "SELECT amount FROM capital_ledger WHERE account_id = ? AND cause = ? AND ref_id = ? AND pool_id = ? AND bucket = ?"
)
_ENTRIES: Final = (
    "SELECT ifnull(entry_no, entry_id), time, pool_id, bucket, amount, cause, ref_id FROM capital_ledger"
    " WHERE account_id = :account AND (:pool IS NULL OR pool_id = :pool)"
    " AND (:cause IS NULL OR cause = :cause) AND (:start IS NULL OR time >= :start)"
    " ORDER BY entry_id DESC LIMIT :newest"
)
_HOLD: Final = (
    "INSERT INTO capital_holds (hold_id, order_id, account_id, pool_id, amount, remaining, state, reason, created_at,"
    " updated_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, hold_id) DO UPDATE SET"
    " amount = excluded.amount, remaining = excluded.remaining, state = excluded.state, reason = excluded.reason,"
    " updated_at = excluded.updated_at, version = excluded.version WHERE excluded.version >= capital_holds.version"
)
_DECISION: Final = (
    "INSERT INTO decisions (run_id, decision_id, created_at, pipeline_step, action, strategy_name, symbol, qty,"
    " risk_approved, portfolio_adjusted, reason, metadata, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)"
    " ON CONFLICT DO NOTHING"
)
_SAME_KEY: Final = (
    "SELECT transfer_id, transfer_key FROM capital_transfers WHERE account_id = ?1 AND (transfer_id = ?2 OR"
    " transfer_key = ?3)"
)
_SCALE: Final = "SELECT c.scale FROM sessions s JOIN currencies c ON c.code = s.currency WHERE s.session_id = ?"
_US: Final = 1_000
_QTY_SCALE: Final = 8


def scale_of(db: sqlite3.Connection, session: SessionRow) -> int:
    """Return the scale of the currency of a run that was begun."""
    scale: int = db.execute(_SCALE, (session.session_id,)).fetchone()[0]
    return scale


def put_capital(
    db: sqlite3.Connection, session_no: int, account: str, scale: int, rows: Sequence[CapitalRow]
) -> list[str]:
    """Write rows of capital; return one sentence for each that contradicts one which stands."""
    entries = [row for row in rows if isinstance(row, CapitalEntryRow)]
    refused = _put_entries(db, account, scale, entries)
    for row in rows:
        if isinstance(row, CapitalTransferRow):
            refused += _put_transfer(db, account, scale, row)
    db.executemany(_HOLD, [_hold(account, scale, row, made_ns) for row, made_ns in newest_holds(rows)])
    pools = {row.pool_id: row for row in rows if isinstance(row, CapitalPoolRow)}
    upsert(db, "capital_pools", [pool_values(row, account, scale) for row in pools.values()], newer="revision")
    for key, cause, content in refused:
        db.execute(schema.QUARANTINE, (key, session_no, cause, content))
    return [f"{key}: {cause}" for key, cause, _ in refused]


def put_decisions(db: sqlite3.Connection, run_id: str, rows: Iterable[DecisionRow]) -> None:
    """Write decisions of a run; one that is there already stays as it is."""
    db.executemany(_DECISION, (_decision(run_id, row) for row in rows))


def entries_of(
    db: sqlite3.Connection,
    session: SessionRow,
    *,
    pool_id: str | None = None,
    cause: str | None = None,
    since_ns: int | None = None,
    newest: int | None = None,
) -> list[CapitalEntryRow]:
    """Return lines of the capital ledger of a run's account in the order of booking."""
    scale = scale_of(db, session)
    asked = {
        "account": session.account_id,
        "pool": pool_id,
        "cause": cause,
        "start": None if since_ns is None else since_ns // _US,
        "newest": -1 if newest is None else newest,
    }
    rows = db.execute(_ENTRIES, asked).fetchall()
    rows.reverse()
    return [
        CapitalEntryRow(no, time * _US, pool, bucket, _units(amount, scale), cause, ref)
        for no, time, pool, bucket, amount, cause, ref in rows
    ]


def transfers_of(db: sqlite3.Connection, session: SessionRow) -> list[CapitalTransferRow]:
    """Return the transfers of a run's account in the order in which they were asked for."""
    return _read(db, session, "capital_transfers", "requested_at, transfer_id", transfer_of)


def holds_of(db: sqlite3.Connection, session: SessionRow) -> list[CapitalHoldRow]:
    """Return the holds of a run's account by id."""
    return _read(db, session, "capital_holds", "hold_id", hold_of)


def pools_of(db: sqlite3.Connection, session: SessionRow) -> list[CapitalPoolRow]:
    """Return the pools of a run's account by name."""
    return _read(db, session, "capital_pools", "pool_id", pool_of)


def decisions_of(db: sqlite3.Connection, session: SessionRow) -> list[DecisionRow]:
    """Return the decisions of a run in order of time."""
    query = "SELECT decision_id, created_at, ifnull(line, '') FROM decisions WHERE run_id = ? ORDER BY 2, 1"
    rows = db.execute(query, (session.session_id,))
    return [DecisionRow(decision_id, time * _US, line) for decision_id, time, line in rows]


def _put_entries(
    db: sqlite3.Connection, account: str, scale: int, rows: Sequence[CapitalEntryRow]
) -> list[tuple[str, str, str]]:
    """Write ledger lines; return those whose key stands with another amount."""
    before = db.total_changes
    db.executemany(
        _ENTRY,
        [
            (ts_ns // _US, account, pool, bucket, _amount(amount, scale), cause, ref, entry_id)
            for entry_id, ts_ns, pool, bucket, amount, cause, ref in rows
        ],
    )
    if db.total_changes - before == len(rows):
        return []
    refused = []
    for row in rows:
        key = (account, row.cause, row.ref_id, row.pool_id, row.bucket)
        (stands,) = db.execute(_AMOUNT_OF, key).fetchone()
        if stands != _amount(row.amount, scale):
            refused.append((":".join(key), f"the capital ledger has {stands} under this key", repr(tuple(row))))
    return refused


def _hold(account: str, scale: int, row: CapitalHoldRow, made_ns: int) -> tuple[object, ...]:
    """Return a hold as the file has it. Written out, as is a decision: a run does it for every order."""
    hold_id, order_id, pool, amount, remaining, state, reason, ts_ns, version = row
    held, left = _amount(amount, scale), _amount(remaining, scale)
    return (hold_id, order_id, account, pool, held, left, state, reason, made_ns // _US, ts_ns // _US, version)


def _decision(run_id: str, row: DecisionRow) -> tuple[object, ...]:
    decision_id, ts_ns, line = row
    said = said_by(line)
    qty = None if said.qty is None else int(said.qty.scaleb(_QTY_SCALE))
    return (
        run_id,
        decision_id,
        ts_ns // _US,
        STEP,
        *said[:3],
        qty,
        said.is_approved,
        said.is_adjusted,
        said.reason,
        line,
    )


def _put_transfer(
    db: sqlite3.Connection, account: str, scale: int, row: CapitalTransferRow
) -> list[tuple[str, str, str]]:
    """Write a transfer as it stands; one that is committed stays as it is."""
    known = db.execute(_SAME_KEY, (account, row.transfer_id, row.transfer_key)).fetchall()
    values = transfer_values(row, account, scale)
    key = f"{account}:{row.transfer_key}:{row.transfer_id}"
    if len(known) > 1 or (known and known[0][1] != row.transfer_key):
        return [(key, f"the transfer {known[0]} has one of these names", repr(tuple(row)))]
    if known:
        (stands,) = _select(db, "capital_transfers", {"account_id": account, "transfer_id": known[0][0]})
        if stands["status"] == "COMMITTED":
            if row.status != "COMMITTED" or stands == values:
                return []
            return [(key, "it was committed before, in other words", repr(tuple(row)))]
        db.execute(
            "DELETE FROM capital_transfers WHERE account_id = ? AND transfer_id = ?",
            (account, known[0][0]),
        )
    upsert(db, "capital_transfers", [values], newer="")
    return []


def upsert(db: sqlite3.Connection, name: str, rows: Sequence[dict[str, Any]], *, newer: str) -> None:
    """Write rows of a table; one that stands is replaced by a row that is not older by the column `newer`."""
    if not rows:
        return
    target = table(name)
    names = list(rows[0])
    columns = [target.column(one) for one in names]
    changes = ", ".join(f"{one} = excluded.{one}" for one in names if one not in (*target.key, "created_at"))
    statement = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - of the schema
    if newer:
        statement += (
            f" ON CONFLICT ({', '.join(target.key)}) DO UPDATE SET {changes} WHERE excluded.{newer} >= {name}.{newer}"
        )
    db.executemany(statement, [[encode(column, row[column.name]) for column in columns] for row in rows])


def _read(
    db: sqlite3.Connection,
    session: SessionRow,
    name: str,
    order: str,
    make: Callable[[dict[str, Any], int], Any],
) -> list[Any]:
    scale = scale_of(db, session)
    return [make(row, scale) for row in _select(db, name, {"account_id": session.account_id}, order)]


def _select(db: sqlite3.Connection, name: str, where: dict[str, str], order: str = "1") -> list[dict[str, Any]]:
    columns = table(name).columns
    names = ", ".join(column.name for column in columns)
    tests = " AND ".join(f"{one} = ?" for one in where)
    query = f"SELECT {names} FROM {name} WHERE {tests} ORDER BY {order}"  # noqa: S608 - names of the schema
    return [
        {column.name: decode(column, value) for column, value in zip(columns, row, strict=True)}
        for row in db.execute(query, tuple(where.values()))
    ]


def _amount(units: int, scale: int) -> str:
    return str(units) if scale == 0 else plain(from_units(units, scale))


def _units(text: str, scale: int) -> int:
    return int(text) if scale == 0 else int(Decimal(text).scaleb(scale))
