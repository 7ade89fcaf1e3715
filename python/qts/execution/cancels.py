"""Cancels: who wants one gets it, again and again, until the broker has said how the order ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts._core import OrderRefused
from qts.execution.execution import NEVER
from qts.execution.states import ChildState

if TYPE_CHECKING:
    from qts.broker.asynchronous import RejectKind
    from qts.execution.context import Context
    from qts.execution.execution import Child, Execution


class Cancels:
    """Cancels children. A cancel that was taken is not an end: the final status is."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def want(self, execution: Execution, now_ns: int) -> None:
        """Cancel every child that lives, at once; those whose answer is out follow as soon as it is there."""
        for child in execution.children:
            if child.is_out and not child.cancel_wanted:
                self.want_one(execution, child, now_ns)

    def want_one(self, execution: Execution, child: Child, now_ns: int) -> None:
        """Cancel one child."""
        child.cancel_wanted = execution.is_cancelling = True
        child.cancel_due_ns = now_ns
        self._ask(execution, child, now_ns)

    def step(self, execution: Execution, now_ns: int) -> None:
        """Ask again where it is time, and ask how an order stands whose cancel brought no end."""
        for child in execution.children:
            if child.cancel_wanted and child.is_out:
                self._ask(execution, child, now_ns)

    def _ask(self, execution: Execution, child: Child, now_ns: int) -> None:
        config = self._context.config
        if child.state <= ChildState.UNKNOWN:
            return  # its answer comes first: without a number there is nothing to cancel
        if child.cancel_asked_ns != NEVER:
            due_ns = child.cancel_asked_ns + config.cancel_confirm_ns
            if now_ns >= due_ns:
                self._context.query("CANCEL_UNCONFIRMED")
                child.cancel_asked_ns = now_ns
                due_ns = now_ns + config.cancel_confirm_ns
            execution.wake(due_ns)
            return
        if now_ns < child.cancel_due_ns:
            execution.wake(child.cancel_due_ns)
            return
        try:
            self._context.cancel(execution, child, now_ns)
        except OrderRefused as refused:
            retry_ns = int(refused.args[1] or 0)
            child.cancel_due_ns = retry_ns if retry_ns > now_ns else now_ns + config.backoff_ns
            execution.wake(child.cancel_due_ns)
        else:
            execution.wake(now_ns + config.cancel_confirm_ns)

    def again(self, execution: Execution, child: Child, at_ns: int) -> None:
        """The cancel that was on its way has come to nothing: the next one may go at `at_ns`."""
        if child.state == ChildState.CANCELLING:
            execution.mark(child, child.live_state)
        child.cancel_asked_ns = NEVER
        child.cancel_taken = False
        child.cancel_due_ns = at_ns
        if child.cancel_wanted:
            execution.wake(at_ns)

    def rejected(self, execution: Execution, child: Child, kind: RejectKind, now_ns: int) -> None:
        """The broker refused to cancel. If there is nothing left to cancel, a list says how it ended."""
        config = self._context.config
        if kind == "TRANSIENT":
            self.again(execution, child, now_ns + config.backoff_ns)
            return
        self._context.query("CANCEL_REFUSED")
        self.again(execution, child, now_ns + config.escape_retry_ns)

    def lost(self, execution: Execution, child: Child, now_ns: int) -> None:
        """Nobody knows whether it was cancelled: a list says so. Cancelling twice does no harm."""
        self._context.query("CANCEL_LOST")
        self.again(execution, child, now_ns + self._context.config.escape_retry_ns)
