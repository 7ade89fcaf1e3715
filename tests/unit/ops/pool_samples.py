"""Pools of a run, without the run: days that go by, transfers, findings."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from qts.capital.contracts import (
    CONTRACT_VERSION,
    POOLS,
    CapitalAlert,
    CapitalPoolContract,
    CapitalTransfer,
    PauseCause,
    PoolState,
    TransferKind,
    TransferProposal,
    TransferReason,
    TransferStatus,
)
from qts.safety import SafetyState
from qts.state import OperatingState

START = date(2015, 1, 5)
NOON = datetime(2015, 1, 5, 7, tzinfo=UTC)
TARGETS = {"SCALP": Decimal("0.4000"), "SWING": Decimal("0.3500"), "PORTFOLIO": Decimal("0.2500")}


def pool(
    name, total, *, price="1.000000", share="0.4000", profit=0, gain=None, state=PoolState.ACTIVE, causes=(), **more
):
    fields = {
        "pool_id": name,
        "version": CONTRACT_VERSION,
        "timestamp": NOON,
        "total_capital": total,
        "available_capital": total - total // 4,
        "invested_capital": total // 4,
        "reserved_capital": 0,
        "held_for_orders": 0,
        "realized_pnl": profit,
        "unrealized_pnl": -3,
        "accumulated_profit": profit,
        "nav_gain": profit if gain is None else gain,
        "allocation_pct": Decimal(share),
        "target_allocation_pct": TARGETS[name],
        "last_promotion_time": None,
        "promotion_eligible": False,
        "pool_state": state,
        "pause_causes": causes,
        "lock_reason": None,
        "lock_code": None,
        "lock_timestamp": None,
        "units": 10**8,
        "unit_price": Decimal(price),
        "peak_unit_price": Decimal(price),
        "is_funded": True,
        "revision": 1,
    }
    return CapitalPoolContract(**{**fields, **more})


def transfer(number, day, *, amount=250_000, kind=TransferKind.PROMOTION, status=TransferStatus.COMMITTED):
    at = datetime(day.year, day.month, day.day, 23, 30, tzinfo=UTC)
    return CapitalTransfer(
        transfer_id=f"t{number}",
        proposal=TransferProposal(
            "SCALP",
            "SWING",
            amount,
            kind,
            TransferReason.PROFIT_THRESHOLD_EXCEEDED,
            f"S>W:{day.isocalendar().year}-W{day.isocalendar().week:02d}",
            (("profit", "1500000"), ("sharpe", "1.800000")),
        ),
        status=status,
        requested_at=at,
        committed_at=at if status is TransferStatus.COMMITTED else None,
        before=(("SCALP", 10_000_000), ("SWING", 5_000_000)),
        after=(("SCALP", 10_000_000 - amount), ("SWING", 5_000_000 + amount)),
        operating_state=OperatingState.BALANCED,
        safety_state=SafetyState.NORMAL,
        session_date=day,
    )


def fill_years(recorder, days, seed=7):
    """Give a recorder the pools of so many days, a transfer every fortnight and a finding now and then."""
    rng = random.Random(seed)  # noqa: S311 - a walk, not a secret
    totals = dict(zip(POOLS, (40_000_000, 35_000_000, 25_000_000), strict=True))
    prices = dict.fromkeys(POOLS, 1.0)
    day = START
    for number in range(days):
        while day.weekday() > 4:
            day += timedelta(days=1)
        for name, spread in zip(POOLS, (0.008, 0.006, 0.003), strict=True):
            move = rng.gauss(0.0004, spread)
            prices[name] *= 1 + move
            totals[name] = int(totals[name] * (1 + move))
        if number % 10 == 9:
            amount = totals["SCALP"] // 50
            totals["SCALP"] -= amount
            totals["SWING"] += amount
            status = TransferStatus.PENDING if number % 70 == 69 else TransferStatus.COMMITTED
            recorder.on_transfer(
                transfer(number, day, amount=amount, status=status), "GR056" if status is TransferStatus.PENDING else ""
            )
        if number % 5 == 0:
            recorder.on_capital_alert(day, CapitalAlert("GR055", "SCALP", "WARNING", "drift 10.40 points"))
        whole = sum(totals.values())
        rows = [
            pool(name, totals[name], price=f"{prices[name]:.6f}", share=f"{totals[name] / whole:.4f}", profit=750_000)
            for name in POOLS
        ]
        recorder.on_pools(day, rows)
        day += timedelta(days=1)


PAUSED = (PauseCause.BELOW_MIN, PauseCause.DEFENSIVE)
