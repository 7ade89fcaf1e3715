"""Removes from an embedded database what need not be kept, a little at a time."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.data.sqlite.codec import micros
from qts.data.sqlite.connection import open_database

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_CHUNK: Final = 5_000
"""Rows that one transaction removes: a writer never waits long for it."""


class Expiry(NamedTuple):
    """One kind of rows that have their time."""

    table: str
    column: str
    days: int
    """Days that a row is kept."""
    condition: str = "1"


EXPIRIES: Final = (
    Expiry("sheet_outbox", "created_at", 30, "status = 'DONE'"),
    Expiry("consistency_reports", "started_at", 365),
    Expiry("execution_logs", "time", 90),
    Expiry("ohlcv_1m", "bucket", 30),
    Expiry("feedback_data", "time", 180),
    Expiry("feedback_summary", "as_of", 400),
    Expiry("hourly_feedback_stats", "bucket", 180),
    Expiry("daily_feedback_stats", "bucket", 5 * 365),
    Expiry("hourly_execution_metrics", "hour", 180),
)
"""Everything else is kept for ever: ledger, positions, orders, decisions, audit, states, capital, daily bars."""


def expired(path: Path, now: datetime) -> dict[str, int]:
    """Return how many rows of each kind have had their time, without touching them."""
    with closing(open_database(path)) as db:
        return {kind.table: _count(db, kind, now) for kind in EXPIRIES}


def expire(path: Path, now: datetime) -> dict[str, int]:
    """Remove rows that have had their time and return how many of each kind. Others may write meanwhile.

    Raises:
        UsageError: the file is not ours.
        sqlite3.Error: it does not play along; what was removed until then stays removed.
    """
    removed = {}
    with closing(open_database(path)) as db:
        for kind in EXPIRIES:
            before = micros(now - timedelta(days=kind.days))
            key = _identity(db, kind.table)
            # Names of the list above; values are bound.
            query = (
                f"DELETE FROM {kind.table} WHERE ({key}) IN (SELECT {key} FROM {kind.table}"  # noqa: S608
                f" WHERE {kind.column} < ? AND {kind.condition} LIMIT {_CHUNK})"
            )
            count = 0
            while gone := db.execute(query, (before,)).rowcount:
                count += gone
            removed[kind.table] = count
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return removed


def _count(db: sqlite3.Connection, kind: Expiry, now: datetime) -> int:
    query = f"SELECT count(*) FROM {kind.table} WHERE {kind.column} < ? AND {kind.condition}"  # noqa: S608 - as above
    found: int = db.execute(query, (micros(now - timedelta(days=kind.days)),)).fetchone()[0]
    return found


def _identity(db: sqlite3.Connection, table: str) -> str:
    """Return the columns of the primary key, or the row number of a table without one."""
    rows = db.execute(f"PRAGMA table_info({table})").fetchall()
    return ", ".join(row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]) or "rowid"
