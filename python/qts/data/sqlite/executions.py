"""Executions in the embedded database: writes inside a transaction that somebody else has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts.data.executions import INTENTS, NEWER, ORDERS, log_of, values_of
from qts.data.sqlite.capital import upsert
from qts.data.sqlite.codec import encode
from qts.data.tables import table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from qts.data.contracts import ExecutionRow, SessionRow, StageRow
    from qts.data.sqlite.entries import Instruments


def put_executions(
    db: sqlite3.Connection, session: SessionRow, instruments: Instruments, rows: Sequence[ExecutionRow]
) -> None:
    """Write executions of a run and their orders; one that stands is replaced by what is not older."""
    symbols = {row.intent.symbol for row in rows}
    known = {symbol: instruments.get(db, symbol, f"execution in {symbol}") for symbol in symbols}
    intents, orders = values_of(rows, session, known)
    upsert(db, INTENTS, intents, newer=NEWER)
    upsert(db, ORDERS, orders, newer=NEWER)


def put_stages(db: sqlite3.Connection, rows: Sequence[StageRow]) -> None:
    """Write lines about stages."""
    if not rows:
        return
    columns = table("execution_logs").columns
    names, marks = ", ".join(column.name for column in columns), ", ".join("?" * len(columns))
    db.executemany(
        f"INSERT INTO execution_logs ({names}) VALUES ({marks})",  # noqa: S608 - names of the schema
        [[encode(column, value) for column, value in zip(columns, log_of(row), strict=True)] for row in rows],
    )
