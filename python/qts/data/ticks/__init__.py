"""Ticks: every one of them, from a spool on disk to the database or files, and back.

Rust writes each quote and trade to a `qts._core.TickSpool` before a queue can drop it. `TickStore` carries them from
there to a `TickSink`, PostgreSQL or SQLite, in order and each once.
"""

from qts.data.ticks.contracts import Reporter, SinkUnavailable, TickFigures, TickReader, TickSink
from qts.data.ticks.postgres import PostgresTicks
from qts.data.ticks.records import RECORD, Checked, Rejected, SessionVolume, TickBatch, TickRow, check
from qts.data.ticks.sqlite import SqliteTicks
from qts.data.ticks.store import TickStore, disk_use_of

__all__ = [
    "RECORD",
    "Checked",
    "PostgresTicks",
    "Rejected",
    "Reporter",
    "SessionVolume",
    "SinkUnavailable",
    "SqliteTicks",
    "TickBatch",
    "TickFigures",
    "TickReader",
    "TickRow",
    "TickSink",
    "TickStore",
    "check",
    "disk_use_of",
]
