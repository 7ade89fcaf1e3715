"""Events with payloads that are whole."""

from datetime import UTC, datetime
from decimal import Decimal

from qts.event import EventType, create_event

MOMENT = datetime(2026, 1, 2, 0, 0, 1, 234567, tzinfo=UTC)

FILL = {
    "order_id": "ORD-1",
    "symbol": "005930",
    "exec_id": "X-1",
    "side": "BUY",
    "filled_qty": 10,
    "filled_price": 71_000,
    "cumulative_qty": 10,
    "remaining_qty": 0,
    "fee": 106,
    "filled_time": MOMENT,
}
ORDER_END = {"order_id": "ORD-1", "symbol": "005930", "reason_code": "R1", "remaining_qty": 3}
TICK = {"symbol": "005930", "price": 71_000, "volume": 5, "bid": 70_900, "ask": 71_000}

PAYLOADS = {
    EventType.FILL_CONFIRMED: FILL,
    EventType.FILL_PARTIAL: {**FILL, "remaining_qty": 5},
    EventType.ORDER_REJECTED: ORDER_END,
    EventType.ORDER_CANCELLED: ORDER_END,
    EventType.POSITION_UPDATE: {
        "symbol": "005930",
        "track": "SWING",
        "qty": -3,
        "avg_price": Decimal("71000.5"),
        "kind": "FREEZE",
        "reason": "",
    },
    EventType.EMERGENCY_STOP: {
        "scope": "ALL",
        "reason": "손실 한도",
        "code": "",
        "origin": "operator",
        "duration_ms": None,
    },
    EventType.BROKER_DISCONNECT: {"broker": "KIS", "channel": "FILL", "last_seen_ns": 12},
    EventType.PRICE_TICK: TICK,
    EventType.ORDERBOOK_UPDATE: {"symbol": "005930", "levels": [["BUY", 70_900, 5], ["SELL", 71_000, 7]]},
    EventType.VOLUME_UPDATE: {"id": "005930", "value": 5, "exch_time": MOMENT},
    EventType.INDEX_UPDATE: {"id": "KOSPI", "value": Decimal("2712.30"), "exch_time": MOMENT},
    EventType.VIX_UPDATE: {"id": "VKOSPI", "value": 21.5, "exch_time": MOMENT},
    EventType.STRATEGY_EVALUATE: {
        "strategy_type": "SCALP",
        "strategy_id": "a",
        "symbols": ["005930"],
        "calc_data_version": 1,
    },
    EventType.SIGNAL_GENERATED: {
        "strategy": "a",
        "symbol": "005930",
        "side": "BUY",
        "confidence": Decimal("0.7"),
        "cycle_id": 7,
        "expires_at": MOMENT,
    },
    EventType.DASHBOARD_UPDATE: {"dashboard_id": "main", "update_type": "DELTA", "data": {"a": [1, 2.5, None, True]}},
}


def event(kind, source="SYSTEM", **changes):
    """Return an event of a type with a payload that is whole, but for `changes`."""
    return create_event(kind, source, {**PAYLOADS.get(kind, {}), **changes})


def fill(number=1):
    return event(EventType.FILL_CONFIRMED, "BROKER_KIS", order_id=f"ORD-{number}")
