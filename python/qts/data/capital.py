"""Rows of capital and decisions: what they may hold, and how they stand in the tables of the logical schema."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock.instants import from_ns, to_ns
from qts.codes import EngineFault
from qts.data.contracts import CapitalEntryRow, CapitalHoldRow, CapitalPoolRow, CapitalTransferRow, DecisionRow
from qts.data.exceptions import CapitalConflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.data.contracts import CapitalRow

UNALLOCATED: Final = "UNALLOCATED"
POOLS: Final = frozenset({"SCALP", "SWING", "PORTFOLIO"})
_BUCKETS: Final = frozenset({"AVAILABLE", "INVESTED", "RESERVED", "HELD"})
_CAUSES: Final = frozenset({"FILL", "FEE", "TAX", "DIVIDEND", "HOLD", "TRANSFER", "EXTERNAL", "ADJUST"})
_KINDS: Final = frozenset({"PROMOTION", "DEMOTION", "REBALANCE"})
_STATUSES: Final = frozenset({"PENDING", "COMMITTED", "REJECTED", "EXPIRED"})
_HOLDS: Final = frozenset({"PLACED", "PARTLY_USED", "CLOSED"})
_STATES: Final = frozenset({"ACTIVE", "PAUSED", "LOCKED"})
_MOST: Final = 10**17
"""No amount is this large; every table has room for what is smaller."""
_MOST_UNITS: Final = 10**27
_MOST_BPS: Final = 99_999
_ID: Final = 64
_REF: Final = 160
_REASON: Final = 40
_NAME: Final = 50
_STATE: Final = 12
_CODE: Final = 8
_SYMBOL: Final = 20
_QTY_DIGITS: Final = 10
_QTY_SCALE: Final = 8
STEP: Final = "DECIDE"
"""Step of the pipeline in which a decision is made."""
_ACTIONS: Final = frozenset({"BUY", "SELL", "HOLD"})

_MONEY: Final = (
    "total_capital",
    "available_capital",
    "invested_capital",
    "reserved_capital",
    "held_for_orders",
    "realized_pnl",
    "unrealized_pnl",
    "accumulated_profit",
    "nav_gain",
)


def check_capital(rows: Sequence[CapitalRow]) -> None:
    """Check rows before they are written anywhere: what the journal holds every database must be able to take.

    Raises:
        EngineFault: FS086, one of them cannot be kept; none was.
    """
    for row in rows:
        problem = _problem(row)
        if problem:
            raise not_kept(f"{problem} in {tuple(row)}")


def not_kept(found: str) -> EngineFault:
    """Return what is raised when a row of capital cannot be made durable."""
    return EngineFault(
        "FS086",
        found=f"the capital ledger cannot be kept: {found}",
        expected="a ledger line that is durable before anything relies on it",
        hint="free disk space or check the disk; what was to be written has not happened",
    )


def raise_conflicts(refused: Sequence[str]) -> None:
    """Raise CapitalConflict if rows were refused; one sentence for each."""
    if refused:
        raise CapitalConflict(
            found=refused[0],
            expected="a key of the capital ledger that always carries the same row",
            hint="look at the table fill_quarantine; the first row stands",
            code="FS086",
        )


def _problem(row: CapitalRow) -> str:
    if isinstance(row, CapitalEntryRow):
        return _entry_problem(row)
    if isinstance(row, CapitalTransferRow):
        return _transfer_problem(row)
    return _hold_problem(row) if isinstance(row, CapitalHoldRow) else _pool_problem(row)


def _entry_problem(row: CapitalEntryRow) -> str:
    _, _, pool, bucket, amount, cause, ref = row
    if (pool not in POOLS or bucket not in _BUCKETS) and not pool == bucket == UNALLOCATED:
        return f"bucket {bucket} of pool {pool}"
    if cause not in _CAUSES:
        return f"cause {cause}"
    return f"amount {amount}" if abs(amount) >= _MOST else _text(ref, _REF)


def _transfer_problem(row: CapitalTransferRow) -> str:
    if row.from_pool not in POOLS or row.to_pool not in POOLS or row.from_pool == row.to_pool:
        return f"a transfer from {row.from_pool} to {row.to_pool}"
    if not 0 < row.amount < _MOST:
        return f"amount {row.amount}"
    if row.kind not in _KINDS or row.status not in _STATUSES:
        return f"kind {row.kind}, status {row.status}"
    texts = (*(part for pair in row.criteria for part in pair), *(name for name, _ in (*row.before, *row.after)))
    return (
        _text(row.transfer_id, _ID)
        or _text(row.transfer_key, _ID)
        or _text(row.reason, _REASON)
        or _text(row.operating_state, _STATE)
        or _text(row.safety_state, _STATE)
        or _text(row.operator_id or "-", _ID)
        or next((f"text {one!r}" for one in texts if "\0" in one), "")
    )


def _hold_problem(row: CapitalHoldRow) -> str:
    if row.pool_id not in POOLS or row.state not in _HOLDS:
        return f"pool {row.pool_id}, state {row.state}"
    if not (0 <= row.amount < _MOST and 0 <= row.remaining < _MOST):
        return f"amount {row.amount}, remaining {row.remaining}"
    return _text(row.hold_id, _ID) or _text(row.order_id, _ID) or _text(row.reason or "-", _REASON)


def _pool_problem(row: CapitalPoolRow) -> str:
    if row.pool_id not in POOLS or row.pool_state not in _STATES:
        return f"pool {row.pool_id}, state {row.pool_state}"
    for name in (*_MONEY, "unit_price", "peak_unit_price"):
        if abs(getattr(row, name)) >= _MOST:
            return f"{name} {getattr(row, name)}"
    if not 0 <= row.units < _MOST_UNITS:
        return f"units {row.units}"
    if not (0 <= row.allocation_bps <= _MOST_BPS and 0 <= row.target_bps <= _MOST_BPS):
        return f"shares {row.allocation_bps} and {row.target_bps}"
    return _text(row.version, _STATE) or _text(row.lock_code or "-", _CODE) or _text(row.lock_reason or "-", 0)


def _text(value: str, length: int) -> str:
    return "" if value and "\0" not in value and (not length or len(value) <= length) else f"text {value!r}"


def transfer_values(row: CapitalTransferRow, account: str, scale: int) -> dict[str, Any]:
    """Return a transfer as its table has it; `scale` is that of the account's currency."""
    return {
        "transfer_id": row.transfer_id,
        "transfer_key": row.transfer_key,
        "from_pool": row.from_pool,
        "to_pool": row.to_pool,
        "amount": _money(row.amount, scale),
        "kind": row.kind,
        "reason": row.reason,
        "status": row.status,
        "requested_at": from_ns(row.requested_ns),
        "committed_at": None if row.committed_ns is None else from_ns(row.committed_ns),
        "before_pools": [[pool, _plain(amount, scale)] for pool, amount in row.before],
        "after_pools": [[pool, _plain(amount, scale)] for pool, amount in row.after],
        "criteria": [list(pair) for pair in row.criteria],
        "operating_state": row.operating_state,
        "safety_state": row.safety_state,
        "operator_id": row.operator_id,
        "account_id": account,
        "session_date": None if row.session_date is None else date.fromisoformat(row.session_date),
    }


def newest_holds(rows: Sequence[CapitalRow]) -> list[tuple[CapitalHoldRow, int]]:
    """Return the last row of each hold, and when the first one of it here was written.

    That is when the hold was made, unless the table has it already: so it stands the same however rows are batched.
    """
    made_ns: dict[str, int] = {}
    newest: dict[str, CapitalHoldRow] = {}
    for row in rows:
        if isinstance(row, CapitalHoldRow):
            made_ns.setdefault(row.hold_id, row.ts_ns)
            newest[row.hold_id] = row
    return [(row, made_ns[row.hold_id]) for row in newest.values()]


def hold_values(row: CapitalHoldRow, made_ns: int, account: str, scale: int) -> dict[str, Any]:
    """Return a hold as its table has it."""
    return {
        "hold_id": row.hold_id,
        "order_id": row.order_id,
        "account_id": account,
        "pool_id": row.pool_id,
        "amount": _money(row.amount, scale),
        "remaining": _money(row.remaining, scale),
        "state": row.state,
        "reason": row.reason,
        "created_at": from_ns(made_ns),
        "updated_at": from_ns(row.ts_ns),
        "version": row.version,
    }


def pool_values(row: CapitalPoolRow, account: str, scale: int) -> dict[str, Any]:
    """Return a pool as its table has it."""
    return {
        "account_id": account,
        "pool_id": row.pool_id,
        "version": row.version,
        "timestamp": from_ns(row.ts_ns),
        **{name: _money(getattr(row, name), scale) for name in _MONEY},
        "allocation_pct": _money(row.allocation_bps, 4),
        "target_allocation_pct": _money(row.target_bps, 4),
        "last_promotion_time": None if row.last_promotion_ns is None else from_ns(row.last_promotion_ns),
        "promotion_eligible": row.promotion_eligible,
        "pool_state": row.pool_state,
        "pause_causes": list(row.pause_causes),
        "lock_reason": row.lock_reason,
        "lock_code": row.lock_code,
        "lock_timestamp": None if row.lock_ns is None else from_ns(row.lock_ns),
        "units": _money(row.units, 8),
        "unit_price": _money(row.unit_price, 6),
        "peak_unit_price": _money(row.peak_unit_price, 6),
        "is_funded": row.is_funded,
        "revision": row.revision,
    }


def transfer_of(values: dict[str, Any], scale: int) -> CapitalTransferRow:
    """Return a row of the table of transfers."""
    day = values["session_date"]
    return CapitalTransferRow(
        transfer_id=values["transfer_id"],
        transfer_key=values["transfer_key"],
        from_pool=values["from_pool"],
        to_pool=values["to_pool"],
        amount=_units(values["amount"], scale),
        kind=values["kind"],
        reason=values["reason"],
        status=values["status"],
        requested_ns=_ns(values["requested_at"]) or 0,
        committed_ns=_ns(values["committed_at"]),
        before=_totals(values["before_pools"], scale),
        after=_totals(values["after_pools"], scale),
        criteria=tuple((name, text) for name, text in values["criteria"] or ()),
        operating_state=values["operating_state"],
        safety_state=values["safety_state"],
        operator_id=values["operator_id"],
        session_date=None if day is None else day.isoformat(),
    )


def hold_of(values: dict[str, Any], scale: int) -> CapitalHoldRow:
    """Return a row of the table of holds."""
    return CapitalHoldRow(
        hold_id=values["hold_id"],
        order_id=values["order_id"],
        pool_id=values["pool_id"],
        amount=_units(values["amount"], scale),
        remaining=_units(values["remaining"], scale),
        state=values["state"],
        reason=values["reason"],
        ts_ns=_ns(values["updated_at"]) or 0,
        version=values["version"],
    )


def pool_of(values: dict[str, Any], scale: int) -> CapitalPoolRow:
    """Return a row of the table of pools."""
    return CapitalPoolRow(
        pool_id=values["pool_id"],
        version=values["version"],
        ts_ns=_ns(values["timestamp"]) or 0,
        **{name: _units(values[name], scale) for name in _MONEY},
        allocation_bps=_units(values["allocation_pct"], 4),
        target_bps=_units(values["target_allocation_pct"], 4),
        last_promotion_ns=_ns(values["last_promotion_time"]),
        promotion_eligible=values["promotion_eligible"],
        pool_state=values["pool_state"],
        pause_causes=tuple(values["pause_causes"] or ()),
        lock_reason=values["lock_reason"],
        lock_code=values["lock_code"],
        lock_ns=_ns(values["lock_timestamp"]),
        units=_units(values["units"], 8),
        unit_price=_units(values["unit_price"], 6),
        peak_unit_price=_units(values["peak_unit_price"], 6),
        is_funded=values["is_funded"],
        revision=values["revision"],
    )


def decision_row(decision_id: str, ts_ns: int, line: bytes) -> DecisionRow:
    """Return a decision as a row that every table takes.

    Raises:
        ValueError: the id is empty or longer than its column.
    """
    if not decision_id or len(decision_id) > _ID or "\0" in decision_id:
        raise ValueError(f"decision id {decision_id!r}; expected 1 to {_ID} characters")
    return DecisionRow(decision_id, ts_ns, line.decode("utf-8", "replace").replace("\0", "?"))


class Said(NamedTuple):
    """What the line of a decision says under known names."""

    action: str
    strategy: str
    symbol: str | None
    qty: Decimal | None
    """Above 0 where there is one."""
    is_approved: bool
    """Whether the risk room allowed a quantity."""
    is_adjusted: bool
    """Whether the quantity is not the one that was wanted."""
    reason: str | None


def said_by(line: str) -> Said:
    """Return what a line says. One that does not read as expected is kept all the same: it is evidence."""
    try:
        said = json.loads(line)
        action, strategy = said.get("action"), said.get("strategy")
        symbol, reason = said.get("symbol"), said.get("reason")
    except (ValueError, AttributeError):
        return Said("NONE", "", None, None, is_approved=False, is_adjusted=False, reason=None)
    qty, wanted = said.get("qty"), said.get("wanted_qty")
    return Said(
        action if action in _ACTIONS else "NONE",
        _cut(strategy, _NAME) or "",
        _cut(symbol, _SYMBOL),
        _qty(qty),
        _qty(said.get("allowed_qty")) is not None,
        wanted is not None and wanted != qty,
        _cut(reason, 0),
    )


def decision_values(row: DecisionRow, run_id: str) -> dict[str, Any]:
    """Return a decision as its table has it: what its line says under known names, and the line as it is."""
    said = said_by(row.line)
    return {
        "run_id": run_id,
        "decision_id": row.decision_id,
        "created_at": from_ns(row.ts_ns),
        "pipeline_step": STEP,
        "action": said.action,
        "strategy_name": said.strategy,
        "symbol": said.symbol,
        "qty": said.qty,
        "risk_approved": said.is_approved,
        "portfolio_adjusted": said.is_adjusted,
        "reason": said.reason,
        "metadata": None,
        "line": row.line,
    }


def _qty(value: object) -> Decimal | None:
    """Return a quantity above 0 that the table takes, None for anything else."""
    if not isinstance(value, str) or value == "0":
        return None
    if value.isdecimal() and value.isascii():
        return Decimal(value) if len(value) <= _QTY_DIGITS else None
    try:
        qty = Decimal(value)
        fits = qty.is_finite() and qty > 0 and qty.adjusted() < _QTY_DIGITS
        return qty if fits and qty == round(qty, _QTY_SCALE) else None
    except InvalidOperation:
        return None


def _cut(value: object, length: int) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.replace("\0", "?") if "\0" in value else value
    return text[:length] if length else text


def _money(units: int, scale: int) -> Decimal:
    return Decimal(units).scaleb(-scale)


def _plain(units: int, scale: int) -> str:
    return format(_money(units, scale), "f")


def _units(value: Decimal, scale: int) -> int:
    return int(value.scaleb(scale))


def _totals(pairs: list[list[str]] | None, scale: int) -> tuple[tuple[str, int], ...]:
    return tuple((pool, _units(Decimal(text), scale)) for pool, text in pairs or ())


def _ns(moment: Any) -> int | None:  # noqa: ANN401 - a datetime or None
    return None if moment is None else to_ns(moment)
