# ruff: noqa: F401 - the classes of the contract are collected here
"""The contract of storage on journal, embedded database and spreadsheet together."""

import asyncio
from itertools import count

import pytest

from qts._core import JournalWriter
from qts.clock import SystemClock
from qts.data.hybrid import FillJournal, HybridAdapter
from qts.data.sqlite.adapter import SQLiteAdapter

from ...sheets_samples import make_book, sheets
from ...sheets_server import SheetsServer
from .contract.ledger import TestBatch, TestLedger, TestOnce, TestWrongFills
from .contract.lifecycle import TestLifecycle
from .contract.market import TestBars, TestExecutionLogs, TestTicks
from .contract.positions import TestCorrections, TestPositions
from .contract.subject import Subject
from .contract.tables import TestRawData, TestRiskLimits, TestTables


@pytest.fixture
def subject(tmp_path):
    opened, writers, numbers = [], [], count()

    async def another():
        directory = tmp_path / f"journal-{next(numbers)}"
        writers.append(JournalWriter(directory, sync=False))
        adapter = HybridAdapter(
            primary=SQLiteAdapter(tmp_path / "db" / "qts.sqlite", SystemClock(), mirror=True),
            sheets=sheets(server, tmp_path),
            journal=FillJournal(writers[-1], directory, directory.name),
            clock=SystemClock(),
            report=lambda code, message: None,
        )
        opened.append(adapter)
        await adapter.open()
        return adapter

    with SheetsServer() as server, asyncio.Runner() as runner:
        make_book(server)
        yield Subject(
            runner, runner.run(another()), another, repeats=50, examples=5, outbox=False, runs=False, verifies=False
        )
        for adapter in opened:
            runner.run(adapter.close())
        for writer in writers:
            writer.close()
