"""Executions between rows of a run and the tables `intents`, `orders` and `execution_logs` of the logical schema."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.clock.instants import from_ns
from qts.data.records import ExecutionLog
from qts.data.scales import from_units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qts.data.contracts import ChildRow, ExecutionRow, InstrumentRow, IntentRow, SessionRow, StageRow

INTENTS: Final = "intents"
ORDERS: Final = "orders"
NEWER: Final = "version"
"""Column by which a row replaces another."""
_REASON: Final = 40
_MARKET: Final = 10
_ERROR: Final = 50
_E8: Final = Decimal("1e-8")
_E3: Final = Decimal("1e-3")
_MOST_BPS: Final = 9_999_999_999
"""Of slippage in thousandths of a basis point; more says no more."""


def newest(rows: Iterable[ExecutionRow]) -> tuple[list[IntentRow], list[ChildRow]]:
    """Return the last row of each execution and of each of its orders."""
    intents: dict[str, IntentRow] = {}
    children: dict[str, ChildRow] = {}
    for row in rows:
        intents[row.intent.execution_id] = row.intent
        for child in row.children:
            children[child.client_order_id] = child
    return list(intents.values()), list(children.values())


def intent_values(row: IntentRow, session: SessionRow, instrument: InstrumentRow) -> dict[str, Any]:
    """Return an execution as its table has it."""
    qty_scale, price_scale, money_scale = instrument.qty_scale, instrument.price_scale, instrument.money_scale
    slippage = row.slippage_e3
    return {
        "execution_id": row.execution_id,
        "decision_id": row.decision_id,
        "parent_order_id": row.decision_id,
        "account_id": session.account_id,
        "pool_id": row.track,
        "symbol": row.symbol,
        "market": row.market[:_MARKET] or None,
        "side": row.side,
        "intent": row.intent,
        "qty": from_units(row.qty, qty_scale),
        "price_type": row.kind,
        "price": from_units(row.limit_price, price_scale) if row.limit_price else None,
        "decision_price": from_units(row.decision_price, price_scale) if row.decision_price else None,
        "decision_ts": from_ns(row.decided_ns),
        "deadline": from_ns(row.deadline_ns),
        "risk_allowed_qty": from_units(row.allowed_qty, qty_scale),
        "risk_approved_at": from_ns(row.approved_ns),
        "strategy_tag": row.strategy,
        "hold_id": str(row.hold_id) if row.hold_id else None,
        "state": row.state,
        "disposition": row.disposition or None,
        "reason": row.reason[:_REASON] or None,
        "filled_qty": from_units(row.filled_qty, qty_scale),
        "unsent_qty": from_units(row.unsent_qty, qty_scale),
        "cancelled_qty": from_units(row.cancelled_qty, qty_scale),
        "avg_fill_price": _average(row.avg_price_e6, price_scale),
        "amount": from_units(row.amount, money_scale),
        "fee": from_units(row.fee, money_scale),
        "tax": from_units(row.tax, money_scale),
        "slippage_bps": None if slippage is None else from_units(max(-_MOST_BPS, min(_MOST_BPS, slippage)), 3),
        "rounds_used": row.rounds,
        "codes": list(row.codes),
        "execution_start": from_ns(row.start_ns),
        "execution_end": None if row.end_ns is None else from_ns(row.end_ns),
        "created_at": from_ns(row.start_ns),
        "updated_at": from_ns(row.updated_ns),
        "version": row.version,
        "detail": json.loads(row.detail),
    }


def child_values(row: ChildRow, session: SessionRow, instrument: InstrumentRow) -> dict[str, Any]:
    """Return an order of an execution as its table has it."""
    qty_scale, price_scale = instrument.qty_scale, instrument.price_scale
    sent_ns = row.sent_ns
    return {
        "client_order_id": row.client_order_id,
        "execution_id": row.execution_id,
        "sequence": row.sequence,
        "generation": row.generation,
        "parent_order_id": row.execution_id,
        "account_id": session.account_id,
        "pool_id": row.track,
        "broker": session.broker,
        "broker_order_id": str(row.order_id) if row.order_id else None,
        "symbol": row.symbol,
        "side": row.side,
        "intent": row.intent,
        "qty": from_units(row.qty, qty_scale),
        "price": from_units(row.price, price_scale) if row.price else None,
        "price_type": row.kind,
        "scheduled_time": from_ns(row.scheduled_ns),
        "max_wait_ms": row.max_wait_ms,
        "status": row.state,
        "filled_qty": from_units(row.filled_qty, qty_scale),
        "avg_fill_price": _average(row.avg_price_e6, price_scale),
        "sent_at": None if sent_ns is None else from_ns(sent_ns),
        "ack_at": None if row.ack_ns is None else from_ns(row.ack_ns),
        "created_at": from_ns(row.scheduled_ns if sent_ns is None else sent_ns),
        "updated_at": from_ns(row.updated_ns),
        "version": row.version,
    }


def values_of(
    rows: Sequence[ExecutionRow], session: SessionRow, instruments: Mapping[str, InstrumentRow]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return executions and their orders as the tables have them, each once."""
    intents, children = newest(rows)
    return (
        [intent_values(row, session, instruments[row.symbol]) for row in intents],
        [child_values(row, session, instruments[row.symbol]) for row in children],
    )


def log_of(row: StageRow) -> ExecutionLog:
    """Return a line about a stage as adapters take it."""
    return ExecutionLog(
        from_ns(row.ts_ns),
        row.execution_id,
        row.symbol,
        row.stage.upper(),
        (Decimal(row.latency_ns) / 1_000_000).quantize(_E3, ROUND_HALF_UP),
        row.success,
        row.error_code[:_ERROR] or None,
        row.execution_id,
    )


def _average(price_e6: int | None, scale: int) -> Decimal | None:
    return None if price_e6 is None else Decimal(price_e6).scaleb(-6 - scale).quantize(_E8, ROUND_HALF_UP)
