"""What one cycle of the pipeline reads of the sheets, in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qts.data.sheets import parameters
from qts.data.sheets.rows import positions_of

if TYPE_CHECKING:
    from qts.data.records import Position, RawDataContract
    from qts.data.sheets.adapter import GoogleSheetsAdapter

_SHEETS = ("Position", "Strategy", "Config_Scalp", "Config_Swing")


class CycleData(NamedTuple):
    """Positions and parameters as they stood at one moment."""

    positions: list[Position]
    """Open ones of every account and pool."""
    strategies: list[dict[str, Any]]
    config: list[dict[str, Any]]
    raw: dict[str, RawDataContract]
    """Each sheet as the raw contract has it."""


async def read_cycle(adapter: GoogleSheetsAdapter) -> CycleData:
    """Read what a cycle needs with a single request.

    Raises:
        SchemaMismatch: FS001, a sheet is missing or has another header.
        RowInvalid: FS010, a row is bad; none is left out.
        SourceUnavailable: FS126, no answer.
    """
    held, strategies, *config = await adapter.book.grids(*_SHEETS)
    adapter.check_schema()
    raw = {grid.layout.sheet: adapter.contract_of(grid) for grid in (held, strategies, *config)}
    return CycleData(
        [position for position, _ in positions_of(held).values() if position.qty],
        parameters.strategy_rows(strategies),
        [row for grid in config for row in parameters.config_rows(grid)],
        raw,
    )
