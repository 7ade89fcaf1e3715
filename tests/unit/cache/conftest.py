"""Lets the tests of this room share `cache_samples`, runs their coroutines, and gives each worker a server."""

import asyncio
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cache_samples import Server


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def limited() -> None:
        async with asyncio.timeout(60):
            await pyfuncitem.obj(**wanted)

    asyncio.run(limited())
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server that tests share; each has a prefix of its own."""
    made = Server(tmp_path_factory.mktemp("valkey"), "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl")
    yield made.start()
    made.stop()


@pytest.fixture
def own_server(tmp_path) -> Iterator[Server]:
    """A server that a test may ill-treat."""
    made = Server(tmp_path / "valkey")
    yield made.start()
    made.stop()
