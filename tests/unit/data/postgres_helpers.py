"""What the tests of the server side share."""

from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from qts.clock import SystemClock
from qts.data.postgres import TimescaleDBAdapter
from qts.data.settings import ServerSettings, Timeouts

from ...servers import APP, APP_PASSWORD
from .contract.samples import HYNIX, KRW, SAMSUNG

PATIENT = Timeouts(acquire=10_000, connect=20_000, statement=20_000, analytics=60_000, lock=10_000)
"""For tests that are not about time: the machine may be busy."""


def settings_of(database, **changes):
    """Settings for the application's role over TCP, with its password."""
    settings = ServerSettings(
        host=database.server.host,
        port=database.server.port,
        database=database.name,
        user=APP,
        password=SecretStr(APP_PASSWORD),
        timeouts=PATIENT,
    )
    return replace(settings, **changes)


@asynccontextmanager
async def opened(database, clock=None, told=None, **changes):
    """An open adapter that knows the sample instruments; `told` collects what it reports."""
    report = None if told is None else lambda code, message: told.append((code, message))
    adapter = TimescaleDBAdapter(settings_of(database, **changes), clock or SystemClock(), report)
    await adapter.open()
    try:
        await adapter.register([KRW], [SAMSUNG, HYNIX])
        yield adapter
    finally:
        await adapter.close()
