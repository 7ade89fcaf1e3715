"""What is kept of the pools of a run, and how it is written as text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.money import format_units
from qts.ops.report.contracts import AlertDay, CapitalFigures, PoolDay, TransferRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

    from qts.capital.config import CapitalFlowConfig
    from qts.capital.contracts import CapitalAlert, CapitalPoolContract, CapitalTransfer

_MAX_TRANSFERS: Final = 20_000
"""Transfers that are kept: more than three a day for twenty years."""

POOL_COLUMNS: Final = (
    "date", "pool", "total", "available", "invested", "reserved", "held", "unrealized", "unit_price", "share", "target",
)  # fmt: skip
TRANSFER_COLUMNS: Final = (
    "transfer_id", "session_date", "kind", "from_pool", "to_pool", "amount", "status", "code", "reason", "criteria",
    "transfer_key", "requested_at", "committed_at", "from_before", "to_before", "from_after", "to_after",
    "operating_state", "safety_state", "operator_id",
)  # fmt: skip
ALERT_COLUMNS: Final = ("date", "code", "pool", "severity", "text", "times")


class CapitalFrames(NamedTuple):
    """The pools of a run as frames; money, prices and shares as Decimal."""

    daily: pd.DataFrame
    """One row a day and pool."""
    transfers: pd.DataFrame
    alerts: pd.DataFrame


class CapitalRecorder:
    """Takes in pools at the close of each day, transfers and findings. Memory grows with days, not with ticks."""

    def __init__(self) -> None:
        self._days: dict[str, tuple[PoolDay, ...]] = {}
        self._last: tuple[CapitalPoolContract, ...] = ()
        self._transfers: dict[str, TransferRow] = {}
        self._left_out = 0
        self._alerts: dict[tuple[str, str, str], AlertDay] = {}

    def on_pools(self, day: str, rows: Iterable[CapitalPoolContract]) -> None:
        """Take in the pools at the close of a day."""
        self._last = tuple(rows)
        self._days[day] = tuple(_pool_day(day, row) for row in self._last)

    def on_transfer(self, transfer: CapitalTransfer, code: str) -> None:
        """Take in a transfer as it stands now."""
        if transfer.transfer_id in self._transfers or len(self._transfers) < _MAX_TRANSFERS:
            self._transfers[transfer.transfer_id] = TransferRow(transfer, code)
        else:
            self._left_out += 1

    def on_alert(self, day: str, alert: CapitalAlert) -> None:
        """Count a finding."""
        key = (day, alert.code, alert.pool_id or "")
        known = self._alerts.get(key)
        self._alerts[key] = (
            known._replace(times=known.times + 1)
            if known is not None
            else AlertDay(day, alert.code, alert.pool_id or "", alert.severity, alert.message, 1)
        )

    def figures(self) -> CapitalFigures | None:
        """Return what was taken in; None if there were no pools."""
        if not self._days:
            return None
        figures = CapitalFigures(
            pools=self._last,
            daily=[row for day in sorted(self._days) for row in self._days[day]],
            transfers=list(self._transfers.values()),
            alerts=sorted(self._alerts.values()),
        )
        return replace(figures, transfers_left_out=self._left_out) if self._left_out else figures


def _pool_day(day: str, pool: CapitalPoolContract) -> PoolDay:
    return PoolDay(
        day,
        pool.pool_id,
        pool.total_capital,
        pool.available_capital,
        pool.invested_capital,
        pool.reserved_capital,
        pool.held_for_orders,
        pool.unrealized_pnl,
        pool.unit_price,
        pool.allocation_pct,
        pool.target_allocation_pct,
    )


def capital_dict(figures: CapitalFigures, rules: CapitalFlowConfig, money_scale: int) -> dict[str, Any]:
    """Return the content of `report.json` under `capital`."""

    def money(units: int) -> str:
        return format_units(units, money_scale)

    thresholds = {"SCALP": rules.s2w.min_accumulated_profit, "SWING": rules.w2p.min_accumulated_profit}
    days = [row.day for row in figures.daily]
    return {
        "first_day": days[0],
        "last_day": days[-1],
        "pools": [
            {
                "pool": row.pool_id,
                "state": row.pool_state.value,
                "causes": [cause.value for cause in row.pause_causes],
                "lock_code": row.lock_code,
                "total": money(row.total_capital),
                "available": money(row.available_capital),
                "invested": money(row.invested_capital),
                "reserved": money(row.reserved_capital),
                "held": money(row.held_for_orders),
                "realized_pnl": money(row.realized_pnl),
                "unrealized_pnl": money(row.unrealized_pnl),
                "unit_price": f"{row.unit_price:f}",
                "share": f"{row.allocation_pct:f}",
                "target": f"{row.target_allocation_pct:f}",
                "promotion": _promotion(row, thresholds.get(row.pool_id), money),
            }
            for row in figures.pools
        ],
        "transfers": [dict(zip(TRANSFER_COLUMNS, row, strict=True)) for row in transfer_rows(figures, money_scale)],
        "transfers_left_out": figures.transfers_left_out,
        "alerts": list(_alerts(figures)),
    }


def _promotion(pool: CapitalPoolContract, threshold: int | None, money: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a text of units
    """Return how far a pool is from its promotion: the smaller of profit and gain of the unit price (spec 14 §7.2)."""
    if threshold is None:
        return None
    promotable = min(pool.accumulated_profit, pool.nav_gain)
    last = pool.last_promotion_time
    return {
        "promotable": money(promotable),
        "threshold": money(threshold),
        "progress": round(max(0, promotable) / threshold, 4) if threshold > 0 else None,
        "eligible": pool.promotion_eligible,
        "last": None if last is None else last.isoformat(),
    }


def _alerts(figures: CapitalFigures) -> Iterator[dict[str, Any]]:
    """Return findings by code and pool: on how many days, from when to when."""
    grouped: dict[tuple[str, str], list[AlertDay]] = {}
    for row in figures.alerts:
        grouped.setdefault((row.code, row.pool), []).append(row)
    for (code, pool), rows in sorted(grouped.items()):
        yield {
            "code": code,
            "pool": pool or None,
            "severity": rows[-1].severity,
            "times": sum(row.times for row in rows),
            "days": len(rows),
            "first_day": rows[0].day,
            "last_day": rows[-1].day,
            "text": rows[-1].text,
        }


def pool_rows(figures: CapitalFigures, money_scale: int) -> Iterator[tuple[str, ...]]:
    """Return the rows of `capital_pools.csv`."""
    for row in figures.daily:
        yield (
            row.day,
            row.pool,
            *(format_units(units, money_scale) for units in row[2:8]),
            *(f"{number:f}" for number in row[8:]),
        )


def transfer_rows(figures: CapitalFigures, money_scale: int) -> Iterator[tuple[str, ...]]:
    """Return the rows of `capital_transfers.csv`."""
    for transfer, code in figures.transfers:
        proposal = transfer.proposal

        def total(of: tuple[tuple[str, int], ...], pool: str) -> str:
            units = dict(of).get(pool)
            return "" if units is None else format_units(units, money_scale)

        yield (
            transfer.transfer_id,
            "" if transfer.session_date is None else transfer.session_date.isoformat(),
            proposal.kind.value,
            proposal.from_pool,
            proposal.to_pool,
            format_units(proposal.amount, money_scale),
            transfer.status.value,
            code,
            proposal.reason.value,
            "; ".join(f"{name}={value}" for name, value in proposal.criteria),
            proposal.transfer_key,
            transfer.requested_at.isoformat(),
            "" if transfer.committed_at is None else transfer.committed_at.isoformat(),
            total(transfer.before, proposal.from_pool),
            total(transfer.before, proposal.to_pool),
            total(transfer.after, proposal.from_pool),
            total(transfer.after, proposal.to_pool),
            transfer.operating_state.value,
            transfer.safety_state.value,
            transfer.operator_id or "",
        )


def capital_frames(figures: CapitalFigures, money_scale: int) -> CapitalFrames:
    """Return the pools of a run as frames."""
    from decimal import Decimal

    import pandas as pd

    def decimals(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
        for column in columns:
            frame[column] = frame[column].map(lambda text: Decimal(text) if text else None)
        return frame

    daily = pd.DataFrame(list(pool_rows(figures, money_scale)), columns=list(POOL_COLUMNS))
    transfers = pd.DataFrame(list(transfer_rows(figures, money_scale)), columns=list(TRANSFER_COLUMNS))
    alerts = pd.DataFrame([tuple(row) for row in figures.alerts], columns=list(ALERT_COLUMNS))
    return CapitalFrames(
        decimals(daily, POOL_COLUMNS[2:]),
        decimals(transfers, ("amount", "from_before", "to_before", "from_after", "to_after")),
        alerts,
    )


def unit_prices(figures: CapitalFigures) -> Mapping[str, list[tuple[str, Any]]]:
    """Return the unit price of each pool by day, from its first capital on."""
    prices: dict[str, list[tuple[str, Any]]] = {}
    for row in figures.daily:
        if row.pool in prices or row.total:
            prices.setdefault(row.pool, []).append((row.day, row.unit_price))
    return prices
