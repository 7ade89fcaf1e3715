"""What came of an execution, reckoned up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.execution.contracts import Disposition, EscapeMode, EscapeResult, ExecutionResult, State
from qts.execution.ladder import slippage_bps_e3
from qts.execution.states import COMPLETE, ESCAPED, ESCAPING, FAILED, SENDING

if TYPE_CHECKING:
    from qts.execution.execution import Execution

_E6: Final = 1_000_000


class Sizes(NamedTuple):
    """How an instrument counts. The defaults are those of whole shares in whole won."""

    lot: int = 1
    """Smallest step of a quantity, in quantity units."""
    unit: int = 1
    """Quantity units of one whole share or coin."""
    money_divisor: int = 1
    """What price units times quantity units are divided by to give money units."""


def unsent_qty(execution: Execution) -> int:
    """Return what never reached a broker, of what passed PreCheck."""
    if not execution.children:
        return execution.order.qty
    sent = sum(one.sent_qty for one in execution.children if one.was_live and not one.is_escape)
    unsent = execution.order.qty - sent
    return max(0, min(unsent, execution.order.qty - execution.filled))


def disposition_of(execution: Execution, after: State, residual: int) -> Disposition:
    """Return what an execution that goes to `after` has come to."""
    filled, qty = execution.filled, execution.order.qty
    if after is FAILED:
        if execution.state is ESCAPING:
            return Disposition.RESIDUAL
        return Disposition.REFUSED if execution.state is not SENDING else Disposition.NO_FILL
    if after is ESCAPED:
        if residual:
            return Disposition.RESIDUAL
        if execution.escape_filled and execution.escape_mode is not EscapeMode.CANCEL_ONLY:
            return Disposition.FLATTENED
    if filled >= qty:
        return Disposition.FILLED
    return Disposition.PARTIAL if filled else Disposition.NO_FILL


def total_loss(execution: Execution, sizes: Sizes) -> int:
    """Return what an execution that liquidated has brought, after fees and taxes; negative = loss.

    An entry is measured against what it paid, an exit against the price that it was decided at. What was not
    liquidated has neither won nor lost.
    """
    sold = execution.escape_filled
    if not sold:
        return 0
    if execution.is_entry:
        sign = 1 if execution.decision.side == "BUY" else -1
        paid = execution.amount * sold // execution.filled if execution.filled else 0
        gross = sign * (execution.escape_amount - paid)
        costs = execution.costs * sold // max(sold, execution.filled) + execution.escape_cost
    else:
        sign = 1 if execution.decision.side == "SELL" else -1
        gross = sign * (execution.escape_amount - sold * execution.decision.decision_price)
        costs = execution.escape_cost
    return gross // sizes.money_divisor - costs


def escape_result(execution: Execution, residual: int, now_ns: int, sizes: Sizes) -> EscapeResult | None:
    """Return what stage 6 did, None if it did not run."""
    if execution.escape_reason is None:
        return None
    liquidation = execution.liquidation
    return EscapeResult(
        success=residual == 0 and not execution.out,
        reason=execution.escape_reason,
        mode=execution.escape_mode,
        cancelled_orders=tuple(
            (one.order_id, one.state_name) for one in execution.children if one.cancel_wanted and not one.is_escape
        ),
        liquidation_order=liquidation.order_id if liquidation is not None and liquidation.order_id else None,
        liquidation_qty=execution.escape_filled,
        total_loss=total_loss(execution, sizes),
        residual_qty=residual,
        ts_ns=now_ns,
    )


def build(execution: Execution, after: State, residual: int, now_ns: int, sizes: Sizes) -> ExecutionResult:
    """Return the result of an execution that is about to go to `after`."""
    decision, order = execution.decision, execution.order
    filled = execution.filled
    average_e6 = execution.amount * _E6 // filled if filled else None
    disposition = disposition_of(execution, after, residual)
    unsent = 0 if filled >= order.qty else unsent_qty(execution)
    return ExecutionResult(
        execution.execution_id,
        decision.decision_id,
        decision.instrument,
        decision.symbol,
        decision.side,
        decision.strategy_tag,
        decision.pool_id,
        decision.price_type,
        decision.qty,
        order.qty,
        _is_success(execution, after, disposition),
        after,
        disposition,
        execution.reason,
        tuple(execution.codes),
        filled,
        unsent,
        max(0, order.qty - filled - unsent),
        execution.amount // sizes.money_divisor,
        average_e6,
        execution.fee,
        execution.tax,
        decision.decision_price,
        None if average_e6 is None else slippage_bps_e3(decision.side, decision.decision_price, average_e6),
        execution.rounds,
        execution.started_ns,
        now_ns,
        tuple(execution.fills),
        tuple(execution.latencies),
        escape_result(execution, residual, now_ns, sizes),
    )


def _is_success(execution: Execution, after: State, disposition: Disposition) -> bool:
    """Whether what was decided has been done: bought or sold at least in part, without having to be undone."""
    if after is COMPLETE:
        return disposition is not Disposition.NO_FILL
    if after is ESCAPED and not execution.is_entry:
        return disposition in (Disposition.FLATTENED, Disposition.FILLED)
    return False
