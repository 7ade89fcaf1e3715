"""Orders of which nobody knows whether the broker has them. They are asked about, never sent again.

A broker without ids of ours proves an absence slowly: complete lists at about 1, 3, 10, 30 and 60 s after the send, all
without a match, and neither money nor shares moved. The driver is asked about the last of it (`proven_absent`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.execution import NEVER
from qts.execution.states import ChildState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.execution.context import Context
    from qts.execution.execution import Child, Execution
    from qts.execution.interfaces import ListedOrder

S_NS: Final = 1_000_000_000
ASK_AT_NS: Final = (1 * S_NS, 3 * S_NS, 10 * S_NS, 30 * S_NS, 60 * S_NS)
"""When a list is asked for, after the send. An absence takes a list at each of them."""
ASK_AGAIN_NS: Final = 10 * S_NS
"""How often it is asked after the last of them."""
LOST_QUERY_NS: Final = 2 * S_NS
"""A list that has not come by then was lost, and is asked for again."""
WARNING_NS: Final = 30 * S_NS
FAIL_NS: Final = 90 * S_NS
FREEZE_REASON: Final = "GR067"


class _Doubt:
    """What has been asked about one order."""

    __slots__ = (
        "absent",
        "asked_ns",
        "asks",
        "child",
        "execution",
        "from_ns",
        "is_failed",
        "is_frozen",
        "is_open",
        "is_warned",
        "order_id",
        "since_ns",
    )

    def __init__(self, execution: Execution, child: Child, from_ns: int) -> None:
        self.execution = execution
        self.child = child
        self.order_id = child.order_id
        self.since_ns = child.sent_ns
        self.from_ns = from_ns
        """From when the times of the lists count: the send, or a restart long after it."""
        self.asks = 0
        """Lists that have come."""
        self.absent = 0
        """Those without the order."""
        self.is_open = False
        """Whether a list has been asked for and has not come yet."""
        self.asked_ns = -NEVER
        self.is_frozen = False
        self.is_warned = False
        self.is_failed = False

    def next_ask_ns(self) -> int:
        """When the next list is to be asked for."""
        if self.is_open:
            return self.asked_ns + LOST_QUERY_NS
        times = len(ASK_AT_NS)
        at_ns = ASK_AT_NS[self.asks] if self.asks < times else ASK_AT_NS[-1] + (self.asks - times + 1) * ASK_AGAIN_NS
        return max(self.from_ns + at_ns, self.asked_ns + S_NS)

    def is_proven_absent(self, now_ns: int) -> bool:
        """Whether every list that an absence takes has come without it."""
        return self.absent >= len(ASK_AT_NS) and now_ns - self.from_ns >= ASK_AT_NS[-1]


class UnknownOrders:
    """Follows every order in doubt until it is found or proven absent."""

    __slots__ = ("_context", "_doubts", "_frozen", "found", "proven_absent")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._doubts: dict[int, _Doubt] = {}
        self._frozen: dict[int, int] = {}
        """Instruments closed to entries, and for how many orders."""
        self.found: Callable[[int, str, int], None] | None = None
        self.proven_absent: Callable[[int], None] | None = None

    @property
    def count(self) -> int:
        """Orders in doubt."""
        return len(self._doubts)

    def begin(self, execution: Execution, child: Child, now_ns: int, *, restored: bool = False) -> None:
        """An answer is lost: the child is UNKNOWN from now on."""
        execution.mark(child, ChildState.UNKNOWN)
        if child.order_id not in self._doubts:
            self._doubts[child.order_id] = _Doubt(execution, child, now_ns if restored else child.sent_ns)
        self.step(now_ns)

    def end(self, order_id: int) -> None:
        """It is known again what the order is: found, ended, or never there."""
        doubt = self._doubts.pop(order_id, None)
        if doubt is not None and doubt.is_frozen:
            self._thaw(doubt.execution.decision.instrument)

    def next_due_ns(self) -> int:
        """When `step` wants to be called."""
        due_ns = NEVER
        for doubt in self._doubts.values():
            due_ns = min(due_ns, doubt.next_ask_ns())
            if not doubt.is_frozen:
                due_ns = min(due_ns, doubt.since_ns + self._context.config.unknown_resolve_ns)
            elif not doubt.is_warned:
                due_ns = min(due_ns, doubt.since_ns + WARNING_NS)
            elif not doubt.is_failed:
                due_ns = min(due_ns, doubt.since_ns + FAIL_NS)
        return due_ns

    def step(self, now_ns: int) -> None:
        """Ask for lists that are due, and tell of doubts that grow old."""
        for doubt in self._doubts.values():
            self._escalate(doubt, now_ns)
            if now_ns >= doubt.next_ask_ns():
                doubt.asked_ns = now_ns
                doubt.is_open = True
                self._context.query("UNKNOWN_ORDER")

    def on_listing(self, rows: Sequence[ListedOrder], now_ns: int) -> None:
        """Look for every order in doubt in a complete list of the day. A list that nobody asked for proves nothing."""
        for doubt in tuple(self._doubts.values()):
            verdict, number = self._context.gateway.resolve(doubt.order_id, rows, now_ns)
            if verdict == "FOUND":
                self._adopt(doubt, number, now_ns)
                continue
            if verdict == "AMBIGUOUS":
                self._close(doubt, now_ns)
            if doubt.is_open:
                doubt.is_open = False
                doubt.asks += 1
                doubt.absent += verdict == "ABSENT"
                if doubt.is_proven_absent(now_ns):
                    self._ask_driver(doubt)

    def _adopt(self, doubt: _Doubt, number: str, now_ns: int) -> None:
        """The broker has it. The driver tells the gateway and then the pipeline, as for an answer."""
        if self.found is not None:
            self.found(doubt.order_id, number, now_ns)

    def _ask_driver(self, doubt: _Doubt) -> None:
        """All lists say no. If nothing else has moved either, the driver tells the gateway, and the child is closed."""
        if self.proven_absent is not None:
            self.proven_absent(doubt.order_id)

    def _escalate(self, doubt: _Doubt, now_ns: int) -> None:
        age_ns = now_ns - doubt.since_ns
        symbol = doubt.execution.decision.symbol
        what = f"{symbol}: order {doubt.order_id} ({doubt.child.split_id}) unknown for {age_ns // S_NS} s"
        if age_ns >= self._context.config.unknown_resolve_ns:
            self._close(doubt, now_ns)
        if not doubt.is_warned and age_ns >= WARNING_NS:
            doubt.is_warned = True
            self._context.tell(doubt.execution, "FS099", what)
        if not doubt.is_failed and age_ns >= FAIL_NS:
            doubt.is_failed = True
            self._context.tell(doubt.execution, "FS099", what, effect="FAIL")

    def _close(self, doubt: _Doubt, now_ns: int) -> None:
        """Close the symbol to entries until this order is known."""
        if doubt.is_frozen:
            return
        doubt.is_frozen = True
        self._freeze(doubt.execution.decision.instrument)
        age_ms = (now_ns - doubt.since_ns) // 1_000_000
        self._context.tell(
            doubt.execution,
            "GR067",
            f"{doubt.execution.decision.symbol}: order {doubt.order_id} unknown for {age_ms} ms",
        )

    def _freeze(self, instrument: int) -> None:
        self._frozen[instrument] = self._frozen.get(instrument, 0) + 1
        if self._frozen[instrument] == 1:
            self._context.gateway.freeze(instrument, reason=FREEZE_REASON, frozen=True)

    def _thaw(self, instrument: int) -> None:
        self._frozen[instrument] -= 1
        if not self._frozen[instrument]:
            del self._frozen[instrument]
            self._context.gateway.freeze(instrument, reason=FREEZE_REASON, frozen=False)
