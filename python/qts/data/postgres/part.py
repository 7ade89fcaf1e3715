"""What the parts of the adapter share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from qts.data.contracts import InstrumentRow
from qts.data.exceptions import RowInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from qts.clock import Clock
    from qts.data.postgres.pools import Pools, Use
    from qts.data.settings import ServerSettings

T = TypeVar("T")


class Part:
    """Connections, clock and the scales of instruments."""

    settings: ServerSettings
    _pools: Pools
    _clock: Clock
    _report: Callable[[str, str], None]
    _instruments: dict[str, InstrumentRow]

    async def _in_transaction(self, use: Use, work: Callable[[Any], Awaitable[T]], *, repeats: bool = True) -> T:
        """Return `work(connection)`, committed; rolled back if it raises."""

        async def whole(link: Any) -> T:  # noqa: ANN401 - a connection of the driver
            async with link.transaction():
                return await work(link)

        return await self._pools.run(use, whole, repeats=repeats)

    async def _fetch(self, use: Use, query: str, *values: object) -> list[Any]:
        rows: list[Any] = await self._pools.run(use, lambda link: link.fetch(query, *values))
        return rows

    async def _load_instruments(self) -> None:
        rows = await self._fetch(
            "trading", "SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments"
        )
        self._instruments = {row["symbol"]: InstrumentRow(*row) for row in rows}

    async def _scales_of(self, symbols: Iterable[str]) -> dict[str, InstrumentRow]:
        """Return the instruments of symbols.

        Raises:
            RowInvalid: nobody has registered one of them.
        """
        wanted = set(symbols)
        if not wanted <= self._instruments.keys():
            await self._load_instruments()  # another process may have registered it meanwhile
        missing = sorted(wanted - self._instruments.keys())
        if missing:
            raise RowInvalid(
                found=f"symbol {missing[0]!r}",
                expected="an instrument that is registered, so that its numbers can be read",
                hint="add it to reference/instruments.yaml",
            )
        return self._instruments
