"""The contract of storage on a real PostgreSQL server."""

# ruff: noqa: F401 - the classes of the contract are collected here
import asyncio

import pytest

from qts.clock import SystemClock
from qts.data.postgres import TimescaleDBAdapter

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
from .postgres_helpers import settings_of


@pytest.fixture
def subject(postgres):
    settings = settings_of(postgres, host=str(postgres.server.socket_dir), mirror=True)
    opened = []

    async def another():
        adapter = TimescaleDBAdapter(settings, SystemClock())
        await adapter.open()
        opened.append(adapter)
        return adapter

    async def write_ticks(ticks):
        async with opened[0]._pools.connection("ingest") as link:
            await link.copy_records_to_table("tick_data", records=ticks, columns=ticks[0]._fields)

    with asyncio.Runner() as runner:
        adapter = runner.run(another())
        yield Subject(runner, adapter, another, minute_bars=False, tick_writer=write_ticks)
        for one in opened:
            runner.run(one.close())
