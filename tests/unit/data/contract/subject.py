"""What a test module of an adapter hands to the contract.

An adapter runs the contract with a module of its own that has a fixture `subject` (a `Subject` on empty data) and takes
the classes over by name, so that they are collected there:

    # ruff: noqa: F401 - the classes of the contract are collected here
    from .contract.executions import TestExecutions
    from .contract.funds import TestFunds
    from .contract.ledger import TestBatch, TestLedger, TestOnce, TestWrongFills
    from .contract.lifecycle import TestLifecycle
    from .contract.market import TestBars, TestExecutionLogs, TestTicks
    from .contract.outbox import TestOutbox
    from .contract.positions import TestCorrections, TestPositions
    from .contract.runs import TestRuns
    from .contract.tables import TestRawData, TestRiskLimits, TestTables

What an adapter cannot do is said in its `Subject`; the tests of it are skipped, never bent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from .samples import HYNIX, KRW, SAMSUNG


@dataclass
class Subject:
    """An opened adapter on empty data, with what the contract has to know about it."""

    runner: asyncio.Runner
    adapter: Any
    """`DataSourceAdapter`, and `Outbox` and `RunBooks` where `outbox` and `runs` say so."""
    another: Callable[[], Awaitable[Any]]
    """Opens a second adapter on the same data; the fixture closes it."""
    money_decimals: int = 8
    """Most decimals that amounts of money keep."""
    repeats: int = 1_000
    """How often one fill is applied; fewer where each costs a request."""
    examples: int = 25
    """Examples of each property."""
    outbox: bool = True
    runs: bool = True
    corrections: bool = True
    logs: bool = True
    tables: bool = True
    daily_bars: bool = True
    minute_bars: bool = True
    """Whether `store_ohlcv` takes bars of one minute."""
    verifies: bool = True
    """Whether positions can be derived from the ledger again (`RunBooks.verify`)."""
    tick_writer: Callable[[list[Any]], Awaitable[None]] | None = None
    """Puts ticks where the adapter reads them."""

    async def quarantined(self) -> list[str]:
        """Fill keys of the fills that were refused, in their order."""
        return [row["fill_key"] for row in await self.adapter.read("fill_quarantine")]

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Return what a call returns."""
        return self.runner.run(call)

    def need(self, *names: str) -> None:
        """Skip the test where the adapter lacks something."""
        for name in names:
            able = (
                getattr(self.adapter.capabilities, name) if name in {"ticks", "transactions"} else getattr(self, name)
            )
            if not able:
                pytest.skip(f"no {name} on {self.adapter.capabilities.profile}")


class Known:
    """Tests for which the two shares of the samples are known to the adapter."""

    @pytest.fixture(autouse=True)
    def _known(self, subject: Subject) -> None:
        subject.run(subject.adapter.register([KRW], [SAMSUNG, HYNIX]))
