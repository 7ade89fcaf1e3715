"""The sheets that a database stands for: which table each is, and its rows as the raw contract has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.data.exceptions import SchemaMismatch
from qts.data.records import RawDataContract

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_LEDGER: Final = ("timestamp", "symbol", "side", "qty", "price", "amount", "fee", "strategy_tag")
_APPENDED: Final = ("fill_key", "order_id", "broker", "currency")
_POSITION: Final = ("symbol", "qty", "avg_price", "market", "exposure_value", "exposure_pct", "pool_id", "account_id")
_CONFIG: Final = ("category", "sub_category", "key", "value", "description", "tag")

_SHEETS: Final[dict[str, tuple[str, tuple[str, ...], dict[str, str]]]] = {
    "Position": ("positions", _POSITION, {}),
    "T_Ledger": ("t_ledger", (*_LEDGER, *_APPENDED), {}),
    "Strategy": ("strategies", ("param_name", "value", "description"), {}),
    "Dividend": ("dividends", ("record_date", "amount", "symbol"), {}),
    **{
        f"Config_{name}": ("config", _CONFIG, {"scope": name.upper()})
        for name in ("Scalp", "Swing", "Portfolio", "Local")
    },
}
"""Sheet to its table, columns and conditions."""

_VERSION: Final = "1.0"


async def raw_data(
    sheet_name: str, read: Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]
) -> RawDataContract:
    """Return the rows of the table that stands for a sheet; `read` gives those of a table that equal a condition.

    Raises:
        SchemaMismatch: FS001, no table stands for it.
    """
    found = _SHEETS.get(sheet_name)
    if found is None:
        raise SchemaMismatch(
            found=f"sheet {sheet_name!r}", expected=", ".join(_SHEETS), hint="name one of these", code="FS001"
        )
    table, columns, where = found
    rows = [{column: row[column] for column in columns} for row in await read(table, where)]
    return RawDataContract(sheet_name, _VERSION, columns, rows)
