"""What this package asks of a connection; asyncpg's has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager


class Link(Protocol):
    """One connection to a server, used by one task at a time."""

    async def execute(self, query: str, *values: object) -> str:
        """Run a statement, or several without values."""
        ...

    async def executemany(self, command: str, args: Sequence[Sequence[object]]) -> None:
        """Run a statement for each row of values, in one round trip."""
        ...

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """Return rows that are read by name or number."""
        ...

    async def fetchrow(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a row of the driver, or None
        """Return the first row."""
        ...

    async def fetchval(self, query: str, *values: object) -> Any:  # noqa: ANN401 - whatever the column holds
        """Return the first column of the first row."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Commit at the end of the block, or roll back if it raises; inside another one, a savepoint."""
        ...
