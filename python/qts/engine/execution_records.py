"""What is kept of executions: rows of the books, a line for the report, and records in front of effects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.codes import EngineFault
from qts.data import ChildRow, IntentRow, StageRow
from qts.execution.execution import execution_id_of
from qts.execution.records import execution_side
from qts.pipeline.journal import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts.data import RunStore
    from qts.data.contracts import OrderState
    from qts.execution.contracts import EscapeResult, ExecutionResult, OrderDecision
    from qts.execution.execution import Child, Execution
    from qts.execution.interfaces import ExecStance, QuoteView
    from qts.pipeline.contracts import OrderDecision as Decided
    from qts.pipeline.contracts import Stance

_PRICE_E6: Final = 1_000_000
_STATES: Final = ("DEFENSIVE", "BALANCED", "AGGRESSIVE")
"""Operating states by rank."""


class Basis(NamedTuple):
    """What an execution was begun on, as it stood then."""

    quote: QuoteView
    quote_age_ns: int
    """Of the market's own time of the quote."""
    stance: ExecStance
    limits: Stance
    entries_today: int


class Sent:
    """One order of an execution, from the moment it left."""

    __slots__ = (
        "ack_ns",
        "amount",
        "child",
        "filled",
        "generation",
        "order_id",
        "price",
        "qty",
        "sent_ns",
        "side",
        "split_id",
        "state",
        "updated_ns",
        "version",
    )

    def __init__(self, execution: Execution, child: Child, order_id: int, split_id: str, now_ns: int) -> None:
        self.child = child
        self.order_id = order_id
        self.split_id = split_id
        self.generation = child.generation
        self.side = execution_side(execution, child)
        self.qty = child.sent_qty
        self.price = child.price
        self.sent_ns = now_ns
        self.ack_ns: int | None = None
        self.filled = 0
        self.amount = 0
        """Sum of quantity times price, in units of both."""
        self.state: OrderState = "SUBMITTED"
        self.updated_ns = now_ns
        self.version = 1

    def is_now(self, state: OrderState, now_ns: int) -> None:
        """Take in what has become of it."""
        self.state = state
        self.updated_ns = now_ns
        self.version += 1

    @property
    def average_e6(self) -> int | None:
        """Average price in millionths of a price unit."""
        return self.amount * _PRICE_E6 // self.filled if self.filled else None


class Running:
    """An execution under way, with what it was decided on and what it has sent."""

    __slots__ = (
        "basis",
        "decided",
        "decision",
        "ends_ns",
        "execution",
        "money",
        "orders",
        "plan",
        "refused",
        "version",
    )

    def __init__(self, decided: Decided, decision: OrderDecision, basis: Basis, ends_ns: int) -> None:
        self.decided = decided
        self.decision = decision
        self.execution: Execution | None = None
        """None if PreCheck has refused it."""
        self.basis = basis
        self.ends_ns = ends_ns
        """When it is withdrawn; far away for one that lives as long as its stages let it."""
        self.orders: list[Sent] = []
        self.money = [0, 0, 0]
        """Amount, fees and taxes of its fills, in money units."""
        self.plan: list[tuple[int, int, int]] = []
        """Its parts as they were cut: number, quantity, and when after the start."""
        self.refused = ""
        self.version = 0

    def planned(self) -> None:
        """Take in how it was cut, once: what becomes of the parts changes them."""
        execution = self.execution
        if execution is not None and not self.plan:
            begun_ns = execution.started_ns
            self.plan = [(one.sequence, one.qty, one.scheduled_ns - begun_ns) for one in execution.children]

    def booked(self, amount: int, fee: int, tax: int) -> None:
        """Add a fill, in money units."""
        money = self.money
        money[0] += amount
        money[1] += fee
        money[2] += tax

    @property
    def execution_id(self) -> str:
        """Its id."""
        return execution_id_of(self.decision.decision_id)


class ExecutionRecorder:
    """Writes executions down: into the books as they begin and end, and for the report when they end.

    Args:
        store: the books of the run.
        line: takes a line for each execution that is over.
    """

    def __init__(self, store: RunStore, line: Callable[[str], object]) -> None:
        self._store = store
        self._line = line
        self._keeps = store.keeps_executions
        """Whether there are books to write them into."""

    def began(self, running: Running, now_ns: int) -> None:
        """Take in an execution that has passed stage 1 and waits for the market."""
        if self._keeps:
            self._store.record_intent(_intent(running, None, now_ns), _children(running))

    def over(self, running: Running, result: ExecutionResult) -> None:
        """Take in what came of an execution."""
        self._line(execution_line(running, result))
        if not self._keeps:
            return
        stages = [
            StageRow(one.at_ns, result.execution_id, result.symbol, one.stage, one.ns, one.success, one.error_code)
            for one in result.latencies
        ]
        self._store.record_intent(_intent(running, result, result.end_ns), _children(running), stages)


class AheadJournal:
    """`ExecutionJournal` over the books of a run. The first failure is final: entries are not sent any more.

    Args:
        store: the books.
        failed: told once, with what happened.
    """

    def __init__(self, store: RunStore, failed: Callable[[EngineFault], object]) -> None:
        self._store = store
        self._failed = failed
        self.wants_records = store.is_journaled
        """Whether anything is kept of what is appended."""
        self.failure = ""

    def append(self, kind: str, record: Mapping[str, object]) -> int:
        """Append a record; 0, for which nobody has to wait, once the journal has failed."""
        if self.failure:
            return 0
        try:
            return self._store.journal_execution(kind, record)
        except EngineFault as fault:
            self._fail(fault)
            return 0

    def is_durable(self, seq: int) -> bool:
        """Return when a record is on the disk, or False if it will not be."""
        if not self.failure and seq:
            try:
                self._store.journal_durable(seq)
            except EngineFault as fault:
                self._fail(fault)
        return not self.failure

    def _fail(self, fault: EngineFault) -> None:
        self.failure = fault.found
        self._failed(fault)


def _intent(running: Running, result: ExecutionResult | None, now_ns: int) -> IntentRow:
    decision, execution = running.decision, running.execution
    running.version += 1
    state = "FAILED" if execution is None else execution.state.value
    amount, fee, tax = running.money
    return IntentRow(
        execution_id=running.execution_id,
        decision_id=decision.decision_id,
        symbol=decision.symbol,
        market=decision.market,
        track=decision.pool_id,
        side=decision.side,
        intent=decision.intent,
        qty=decision.qty,
        kind=decision.price_type,
        limit_price=decision.price,
        decision_price=decision.decision_price,
        decided_ns=decision.decision_ts_ns,
        deadline_ns=decision.deadline_ns,
        allowed_qty=decision.risk_approval.allowed_qty,
        approved_ns=decision.risk_approval.at_ns,
        strategy=decision.strategy_tag,
        hold_id=0 if execution is None else execution.hold_id,
        state=state if result is None else result.final_state.value,
        disposition="" if result is None else result.disposition.value,
        reason="" if result is None else result.reason,
        filled_qty=0 if execution is None else execution.filled,
        unsent_qty=0 if result is None else result.unsent_qty,
        cancelled_qty=0 if result is None else result.cancelled_qty,
        amount=amount,
        avg_price_e6=None if result is None else result.avg_fill_price_e6,
        fee=fee,
        tax=tax,
        slippage_e3=None if result is None else result.slippage_bps_e3,
        rounds=0 if result is None else result.rounds_used,
        codes=() if result is None else result.codes,
        start_ns=decision.decision_ts_ns if execution is None else execution.started_ns,
        end_ns=None if result is None else result.end_ns,
        updated_ns=now_ns,
        version=running.version,
        detail=json.dumps(detail(running), separators=(",", ":")),
    )


def _children(running: Running) -> list[ChildRow]:
    decision = running.decision
    return [
        ChildRow(
            client_order_id=sent.split_id,
            execution_id=running.execution_id,
            sequence=sent.child.sequence,
            generation=sent.generation,
            order_id=sent.order_id,
            symbol=decision.symbol,
            track=decision.pool_id,
            side=sent.side,
            intent="ESCAPE" if sent.child.is_escape else decision.intent,
            kind="MARKET" if sent.child.is_market else "LIMIT",
            qty=sent.qty,
            price=sent.price or None,
            scheduled_ns=sent.child.scheduled_ns,
            max_wait_ms=sent.child.max_wait_ns // 1_000_000,
            state=sent.state,
            filled_qty=sent.filled,
            avg_price_e6=sent.average_e6,
            sent_ns=sent.sent_ns,
            ack_ns=sent.ack_ns,
            updated_ns=sent.updated_ns,
            version=sent.version,
        )
        for sent in running.orders
    ]


def detail(running: Running) -> dict[str, Any]:
    """Return what the tables have no column for: what was looked at, and how it was cut. Numbers are decimal text."""
    quote, age_ns, stance, limits, entries = running.basis
    execution, terms = running.execution, running.decided.terms
    price_scale, qty_scale = terms.price_scale, terms.qty_scale
    return {
        "quote": {
            "last": plain(quote.last, price_scale),
            "bid": plain(quote.bid, price_scale),
            "bid_qty": plain(quote.bid_qty, qty_scale),
            "ask": plain(quote.ask, price_scale),
            "ask_qty": plain(quote.ask_qty, qty_scale),
            "age_ns": age_ns,
        },
        "limits": {
            "safety": stance.safety,
            "operating": _STATES[limits.rank],
            "may_enter": stance.may_enter,
            "entry_refusal": stance.entry_refusal,
            "entries_today": entries,
            "max_daily_trades": limits.max_daily_trades,
            "max_positions": limits.max_positions,
            "risk_allowed_qty": plain(running.decision.risk_approval.allowed_qty, qty_scale),
        },
        "precheck": {
            "refused": running.refused,
            "qty": "0" if execution is None else plain(execution.order.qty, qty_scale),
            "hold": 0 if execution is None else execution.hold_id,
        },
        "split": {
            "strategy": "" if execution is None else execution.strategy,
            "children": [[number, plain(qty, qty_scale), after_ns] for number, qty, after_ns in running.plan],
        },
        "action": running.decision.action,
    }


def execution_line(running: Running, result: ExecutionResult) -> str:
    """Return an execution that is over as one line of JSON, the same for the same input."""
    decision, terms = running.decision, running.decided.terms
    price_scale, qty_scale, money_scale = terms.price_scale, terms.qty_scale, terms.money_scale
    amount, fee, tax = running.money
    average, slippage = result.avg_fill_price_e6, result.slippage_bps_e3
    line = {
        "execution_id": result.execution_id,
        "decision_id": result.decision_id,
        "symbol": result.symbol,
        "track": result.pool_id,
        "side": result.side,
        "intent": decision.intent,
        "strategy": result.strategy_tag,
        "qty": plain(result.original_qty, qty_scale),
        "precheck_qty": plain(result.precheck_qty, qty_scale),
        "price_type": decision.price_type,
        "limit_price": None if decision.price is None else plain(decision.price, price_scale),
        "decision_price": plain(decision.decision_price, price_scale),
        "decision_ts_ns": decision.decision_ts_ns,
        "deadline_ns": decision.deadline_ns,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "final_state": result.final_state.value,
        "disposition": result.disposition.value,
        "reason": result.reason,
        "codes": result.codes,
        "filled_qty": plain(result.filled_qty, qty_scale),
        "unsent_qty": plain(result.unsent_qty, qty_scale),
        "cancelled_qty": plain(result.cancelled_qty, qty_scale),
        "avg_price": None if average is None else plain(average, price_scale + 6),
        "amount": plain(amount, money_scale),
        "fee": plain(fee, money_scale),
        "tax": plain(tax, money_scale),
        "slippage_bps": None if slippage is None else plain(slippage, 3),
        "rounds": result.rounds_used,
        "escape": None if result.escape is None else _escape(result.escape, qty_scale, money_scale),
        "orders": [_sent(sent, price_scale, qty_scale) for sent in running.orders],
        **detail(running),
    }
    return json.dumps(line, separators=(",", ":"))


def _sent(sent: Sent, price_scale: int, qty_scale: int) -> dict[str, object]:
    average = sent.average_e6
    return {
        "client_order_id": sent.split_id,
        "order_id": sent.order_id,
        "side": sent.side,
        "kind": "MARKET" if sent.child.is_market else "LIMIT",
        "qty": plain(sent.qty, qty_scale),
        "price": plain(sent.price, price_scale),
        "sent_ns": sent.sent_ns,
        "ack_ns": sent.ack_ns,
        "state": sent.state,
        "updated_ns": sent.updated_ns,
        "filled_qty": plain(sent.filled, qty_scale),
        "avg_price": None if average is None else plain(average, price_scale + 6),
        "is_escape": sent.child.is_escape,
    }


def _escape(escape: EscapeResult, qty_scale: int, money_scale: int) -> dict[str, object]:
    return {
        "reason": escape.reason.value,
        "mode": escape.mode.value,
        "success": escape.success,
        "liquidated_qty": plain(escape.liquidation_qty, qty_scale),
        "loss": plain(escape.total_loss, money_scale),
        "residual_qty": plain(escape.residual_qty, qty_scale),
    }
