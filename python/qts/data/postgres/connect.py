"""One connection to a server, for work that is not that of the pools: migrations and ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from qts.data.postgres.errors import told

if TYPE_CHECKING:
    from qts.data.settings import ServerSettings


async def connect(settings: ServerSettings, purpose: str) -> Any:  # noqa: ANN401 - a connection of the driver
    """Return an open connection; `purpose` is what the server lists it as.

    Raises:
        AdapterError: the server cannot be reached or does not let us in.
    """
    try:
        return await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            password=settings.password.get_secret_value(),
            ssl=settings.ssl_mode,
            timeout=settings.timeouts.connect / 1_000,
            server_settings={"application_name": f"qts-engine {purpose}", "timezone": "UTC"},
        )
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise told(error, settings) from None
