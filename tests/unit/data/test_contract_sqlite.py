"""The contract of storage on the embedded database."""

# ruff: noqa: F401 - the classes of the contract are collected here
import asyncio
import shutil

import pytest

from qts.clock import SystemClock
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.data.sqlite.connection import open_database

from .contract.executions import TestExecutions
from .contract.funds import TestFunds
from .contract.ledger import TestBatch, TestLedger, TestOnce, TestWrongFills
from .contract.lifecycle import TestLifecycle
from .contract.market import TestBars, TestExecutionLogs, TestTicks
from .contract.outbox import TestOutbox
from .contract.positions import TestCorrections, TestPositions
from .contract.runs import TestRuns
from .contract.subject import Subject
from .contract.tables import TestRawData, TestRiskLimits, TestTables


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An empty file with the schema in it: to copy it is quicker than to make it for every test."""
    file = tmp_path_factory.mktemp("template") / "qts.sqlite"
    open_database(file).close()
    return file


@pytest.fixture
def subject(path, template):
    path.parent.mkdir()
    shutil.copyfile(template, path)
    opened = []

    async def another():
        adapter = SQLiteAdapter(path, SystemClock(), mirror=True)
        opened.append(adapter)
        await adapter.open()
        return adapter

    with asyncio.Runner() as runner:
        yield Subject(runner, runner.run(another()), another)
        for adapter in opened:
            runner.run(adapter.close())
