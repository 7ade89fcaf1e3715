"""Inputs of the capital engine: an account of 48,000,000 won in good order, to be changed by one thing at a time."""

from datetime import UTC, date, datetime
from decimal import Decimal

from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import (
    CONTRACT_VERSION,
    POOLS,
    CapitalEngineInput,
    CapitalPoolContract,
    CapitalTransfer,
    FlowGates,
    MetricValue,
    PerformanceMetrics,
    PoolState,
    SessionInfo,
    TransferKind,
    TransferProposal,
    TransferReason,
    TransferStatus,
)
from qts.capital.engine import CapitalEngine
from qts.safety import SafetyState
from qts.state import OperatingState

MONDAY = date(2026, 2, 2)
FRIDAY = date(2026, 1, 30)
QUARTER_END = date(2026, 3, 31)
NOW = datetime(2026, 2, 1, 23, 30, tzinfo=UTC)
TARGETS = {"SCALP": Decimal("0.40"), "SWING": Decimal("0.35"), "PORTFOLIO": Decimal("0.25")}


def pool(name, total=None, **changes):
    """A funded, active pool whose capital is all available unless told otherwise."""
    total = {"SCALP": 19_200_000, "SWING": 16_800_000, "PORTFOLIO": 12_000_000}[name] if total is None else total
    taken = sum(changes.get(part, 0) for part in ("invested_capital", "reserved_capital", "held_for_orders"))
    values = {
        "pool_id": name,
        "version": CONTRACT_VERSION,
        "timestamp": NOW,
        "total_capital": total,
        "available_capital": total - taken,
        "invested_capital": 0,
        "reserved_capital": 0,
        "held_for_orders": 0,
        "realized_pnl": 0,
        "unrealized_pnl": 0,
        "accumulated_profit": 0,
        "nav_gain": 0,
        "allocation_pct": Decimal("0.4000"),
        "target_allocation_pct": TARGETS[name],
        "last_promotion_time": None,
        "promotion_eligible": False,
        "pool_state": PoolState.ACTIVE,
        "pause_causes": (),
        "lock_reason": None,
        "lock_code": None,
        "lock_timestamp": None,
        "units": max(0, total) * 10**8,
        "unit_price": Decimal("1.000000"),
        "peak_unit_price": Decimal("1.000000"),
        "is_funded": True,
        "revision": 1,
    }
    return CapitalPoolContract(**{**values, **changes})


def pools(**changes):
    """All three pools; `scalp=`, `swing=`, `portfolio=` stand for others."""
    return {name: changes.get(name.lower(), pool(name)) for name in POOLS}


def locked(name, code="FS082", **changes):
    return pool(name, pool_state=PoolState.LOCKED, lock_code=code, lock_reason="r", lock_timestamp=NOW, **changes)


def metric(value, samples=60, as_of=FRIDAY):
    return MetricValue(None if value is None else Decimal(str(value)), as_of, samples)


def metrics(**changes):
    """Measures by which both promotions pass and no demotion fires."""
    values = {
        "scalp_sharpe": metric("1.8"),
        "scalp_win_rate": metric("0.58"),
        "scalp_trades_30d": metric(60),
        "scalp_mdd_30d": metric("0.05"),
        "swing_sharpe": metric("1.4"),
        "swing_mdd_90d": metric("0.08"),
        "swing_mdd_recovery_days": metric(12),
        "swing_avg_holding_days": metric("7.5"),
        "swing_consecutive_losses": metric(0),
        "scalp_mdd": metric(0),
        "swing_mdd": metric(0),
        "portfolio_mdd": metric(0),
    }
    return PerformanceMetrics(**{**values, **changes})


def session(day=MONDAY, **changes):
    values = {
        "date": day,
        "is_first_of_week": day == MONDAY,
        "is_first_of_month": day == MONDAY,
        "is_last_of_quarter": day == QUARTER_END,
        "number": 100,
        "recent": (FRIDAY, date(2026, 1, 29)) if day == MONDAY else (date(2026, 3, 30), date(2026, 3, 27)),
    }
    return SessionInfo(**{**values, **changes})


def sample(**changes):
    """An input in which everything is in order: BALANCED, NORMAL, shares on target, Monday before the open."""
    values = {
        "as_of": NOW,
        "session": session(),
        "total_equity": 48_000_000,
        "operating_state": OperatingState.BALANCED,
        "safety_state": SafetyState.NORMAL,
        "pool_states": pools(),
        "performance_metrics": metrics(),
        "transfers_today": (),
        "used_keys": frozenset(),
        "episodes": {},
        "gates": FlowGates(promotion_allowed=True, rebalancing_enabled=True, is_state_defensive=False),
        "config": CapitalFlowConfig(),
    }
    return CapitalEngineInput(**{**values, **changes})


def evaluate(**changes):
    return CapitalEngine("en").evaluate(sample(**changes))


def codes(output):
    return [alert.code for alert in output.capital_alerts]


def alerts(output, code):
    return [alert for alert in output.capital_alerts if alert.code == code]


def profit(name, amount, **changes):
    return pool(name, accumulated_profit=amount, nav_gain=amount, realized_pnl=amount, **changes)


def fallen(name, part, **changes):
    """A pool whose unit price lies `part` below its peak."""
    price = (1 - Decimal(part)).quantize(Decimal("0.000001"))
    return pool(name, unit_price=price, peak_unit_price=Decimal("1.000000"), **changes)


def moved(source, target, amount, status=TransferStatus.COMMITTED, kind=TransferKind.REBALANCE):
    proposal = TransferProposal(source, target, amount, kind, TransferReason.DRIFT_EXCEEDED, "k")
    return CapitalTransfer(
        "t", proposal, status, NOW, NOW, (), (), OperatingState.BALANCED, SafetyState.NORMAL, session_date=MONDAY
    )
