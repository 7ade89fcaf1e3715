# ruff: noqa: F401 - the classes of the contract are collected here
"""The contract of storage on a spreadsheet."""

import asyncio

import pytest

from ...sheets_samples import make_book, sheets
from ...sheets_server import SheetsServer
from .contract.ledger import TestBatch, TestLedger, TestOnce, TestWrongFills
from .contract.lifecycle import TestLifecycle
from .contract.market import TestBars, TestExecutionLogs, TestTicks
from .contract.positions import TestPositions
from .contract.subject import Subject


@pytest.fixture
def subject(tmp_path):
    opened = []

    async def another():
        adapter = sheets(server, tmp_path)
        opened.append(adapter)
        await adapter.open()
        return adapter

    with SheetsServer() as server, asyncio.Runner() as runner:
        make_book(server)
        yield Subject(
            runner,
            runner.run(another()),
            another,
            repeats=5,
            examples=5,
            outbox=False,
            runs=False,
            corrections=False,
            logs=False,
            tables=False,
            minute_bars=False,
            verifies=False,
        )
        for adapter in opened:
            runner.run(adapter.close())
