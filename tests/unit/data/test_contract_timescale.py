"""The contract of storage on a real TimescaleDB."""

# ruff: noqa: F401 - the classes of the contract are collected here
import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from qts.clock import SystemClock
from qts.data.exceptions import AdapterError
from qts.data.postgres import TimescaleDBAdapter
from qts.data.postgres.connect import connect
from qts.data.postgres.errors import DRIVER, told
from qts.data.postgres.pools import Pools
from qts.data.settings import ServerSettings

from ...timescale import clearing
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

pytestmark = pytest.mark.xdist_group("timescale")


class OneConnection(Pools):
    """Lends the connection that there is, instead of opening sockets; everything else is as it is."""

    def __init__(self, settings, clock, database):
        super().__init__(settings, clock, lambda _code, _message: None)
        self._database = database

    async def open(self):
        self._pools = {"trading": self._database}

    async def close(self):
        self._pools = {}

    @asynccontextmanager
    async def connection(self, use):
        self._check_ready(use)
        yield self._database


@pytest.fixture
def subject(request):
    """The contract on a server where one is named, else on the database that runs in Node."""
    if os.environ.get("QTS_TEST_TIMESCALE_DSN"):
        settings, database = request.getfixturevalue("timescale_server"), None
    else:
        settings = ServerSettings(mirror=True, profile="timescale")
        database = request.getfixturevalue("timescale")
    opened = []

    async def another():
        adapter = TimescaleDBAdapter(settings, SystemClock())
        if database is not None:
            adapter._pools = OneConnection(settings, SystemClock(), database)
        await adapter.open()
        opened.append(adapter)
        return adapter

    async def write_ticks(ticks):
        names = ticks[0]._fields
        numbers = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        insert = f"INSERT INTO tick_data ({', '.join(names)}) VALUES ({numbers})"  # noqa: S608 - names of a tuple
        async with opened[0]._pools.connection("ingest") as link:
            await link.executemany(insert, ticks)

    async def clear():
        link = await connect(settings, "tests")
        for statement in clearing():
            await link.execute(statement)
        await link.close()

    with asyncio.Runner() as runner:
        if database is None:
            runner.run(clear())
        adapter = runner.run(another())
        yield Subject(runner, adapter, another, minute_bars=False, tick_writer=write_ticks, repeats=20, examples=2)
        for one in opened:
            runner.run(one.close())
