"""The row files of a report: fills, orders and equity, streamed from the store."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qts.money import format_units
from qts.ops.report.capital import POOL_COLUMNS, TRANSFER_COLUMNS, pool_rows, transfer_rows
from qts.ops.report.figures import average_price

if TYPE_CHECKING:
    from qts.data import RunStore
    from qts.engines.performance_contracts import Income
    from qts.instruments import Catalog
    from qts.ops.report.contracts import CapitalFigures

FILL_COLUMNS: Final = (
    "fill_id", "ts_ns", "order_id", "decision_id", "symbol", "track", "side", "qty", "price", "fee", "tax", "reason",
)  # fmt: skip
ORDER_COLUMNS: Final = (
    "order_id", "ts_ns", "decision_id", "symbol", "track", "side", "kind", "tif", "qty", "limit_price", "state",
    "filled_qty", "avg_price", "end_reason", "strategy", "client_order_id",
)  # fmt: skip
INCOME_COLUMNS: Final = ("day", "track", "symbol", "amount")
EQUITY_COLUMNS: Final = ("ts_ns", "cash", "market_value", "equity", "drawdown")

_FRACTION: Final = Decimal("0.00000001")


def write_fills(path: Path, store: "RunStore", catalog: "Catalog") -> int:
    """Write `fills.csv` and return the number of fills. `ts_ns` is when the venue traded, on the engine's clock."""

    def rows() -> Iterator[Sequence[object]]:
        for fill in store.iter_fills():
            instrument = catalog[fill.symbol]
            yield (
                fill.exec_ref,
                fill.ts_exec_ns,
                fill.order_id,
                fill.decision_id,
                fill.symbol,
                fill.track,
                fill.side,
                format_units(fill.qty, instrument.qty_scale),
                format_units(fill.price, instrument.price_scale),
                format_units(fill.fee, instrument.money_scale),
                format_units(fill.tax, instrument.money_scale),
                fill.reason,
            )

    return _write(path, FILL_COLUMNS, rows())


def write_orders(path: Path, store: "RunStore", catalog: "Catalog") -> int:
    """Write `orders.csv` and return the number of orders."""

    def rows() -> Iterator[Sequence[object]]:
        for order in store.iter_orders():
            instrument = catalog[order.symbol]
            average = average_price(
                order.amount,
                order.filled_qty,
                instrument.qty_scale,
                instrument.money_scale,
                instrument.price_scale,
            )
            yield (
                order.order_id,
                order.ts_ns,
                order.decision_id,
                order.symbol,
                order.track,
                order.side,
                order.kind,
                order.tif,
                format_units(order.qty, instrument.qty_scale),
                format_units(order.limit_price, instrument.price_scale),
                order.state,
                format_units(order.filled_qty, instrument.qty_scale),
                average,
                order.end_reason,
                order.strategy,
                order.client_order_id or "",
            )

    return _write(path, ORDER_COLUMNS, rows())


def write_equity(path: Path, store: "RunStore", money_scale: int) -> int:
    """Write `equity.csv` and return the number of samples. `drawdown` is a fraction of the highest equity so far."""

    def rows() -> Iterator[Sequence[object]]:
        peak = 0
        for sample in store.iter_equity():
            equity = sample.equity
            peak = max(peak, equity)
            drawdown = Decimal(peak - equity) / peak if peak > 0 else Decimal(0)
            yield (
                sample.ts_ns,
                format_units(sample.cash, money_scale),
                format_units(sample.market_value, money_scale),
                format_units(equity, money_scale),
                f"{drawdown.quantize(_FRACTION, ROUND_HALF_UP):f}",
            )

    return _write(path, EQUITY_COLUMNS, rows())


def write_income(path: Path, incomes: "Iterable[Income]", money_scale: int) -> int:
    """Write `income.csv`, net dividends and what was paid for fractions of shares; return the number of rows."""
    rows = ((row.day, row.track, row.symbol, format_units(row.amount, money_scale)) for row in incomes)
    return _write(path, INCOME_COLUMNS, rows)


def write_pools(path: Path, figures: "CapitalFigures", money_scale: int) -> int:
    """Write `capital_pools.csv`, a row a day and pool, and return the number of rows."""
    return _write(path, POOL_COLUMNS, pool_rows(figures, money_scale))


def write_transfers(path: Path, figures: "CapitalFigures", money_scale: int) -> int:
    """Write `capital_transfers.csv` and return the number of transfers."""
    return _write(path, TRANSFER_COLUMNS, transfer_rows(figures, money_scale))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(row)
            count += 1
    return count
