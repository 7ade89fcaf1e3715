"""What a change of the books puts into the outbox, the same on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.money import plain

if TYPE_CHECKING:
    from decimal import Decimal

    from qts.data.records import LedgerEntry, Position

LEDGER: Final = "T_Ledger"
POSITION: Final = "Position"


def position_key(account_id: str, pool_id: str, symbol: str) -> str:
    """Return the key under which a position is mirrored; changes of one key go out in their order."""
    return f"{account_id}:{pool_id}:{symbol}"


def ledger_payload(entry: LedgerEntry) -> dict[str, Any]:
    """Return a ledger row as column to text, null or whole number."""
    fill = entry.fill
    return {
        "fill_key": fill.fill_key,
        "entry_type": entry.entry_type,
        "timestamp": fill.timestamp.isoformat(),
        "trade_date": fill.trade_date.isoformat(),
        "account_id": fill.account_id,
        "pool_id": fill.pool_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "qty": plain(fill.qty),
        "price": plain(fill.price),
        "amount": plain(fill.amount),
        "fee": plain(fill.fee),
        "tax": plain(fill.tax),
        "currency": fill.currency,
        "realized_pnl": _maybe(entry.realized_pnl),
        "strategy_tag": fill.strategy_tag,
        "order_id": fill.order_id,
        "broker": fill.broker,
        "client_order_id": fill.client_order_id,
        "decision_id": fill.decision_id,
        "reverses_key": entry.reverses_key,
        "exec_ref": fill.exec_ref,
        "exec_ns": str(fill.ts_exec_ns),
        "recv_ns": str(fill.ts_recv_ns),
        "cum_filled_qty": _maybe(fill.cum_filled_qty),
        "broker_exec_id": fill.broker_exec_id,
        "slippage_bps": _maybe(fill.slippage_bps),
        "reason": fill.reason,
        "run_id": fill.run_id,
    }


def position_payload(position: Position) -> dict[str, Any]:
    """Return a position as column to text, null or whole number."""
    return {
        "account_id": position.account_id,
        "pool_id": position.pool_id,
        "symbol": position.symbol,
        "qty": plain(position.qty),
        "cost_total": plain(position.cost_total),
        "avg_price": plain(position.avg_price),
        "realized_pnl": plain(position.realized_pnl),
        "currency": position.currency,
        "opened_at": None if position.opened_at is None else position.opened_at.isoformat(),
        "last_fill_key": position.last_fill_key,
        "version": position.version,
        "oversold": int(position.oversold),
    }


def _maybe(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)
