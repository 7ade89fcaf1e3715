"""How long a broker took and what it said, for logs and metrics, without what identifies an account."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, TypeVar

from qts.broker.asynchronous import AnswerLost, BrokerError, NotSent, Rejected
from qts.broker.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from qts.broker.asynchronous import (
        AsyncBrokerInterface,
        BrokerCash,
        BrokerOrder,
        BrokerPosition,
        CancelAck,
        FillEvent,
        ModifyAck,
        OrderAck,
        SendPermit,
    )
    from qts.clock import Clock

T = TypeVar("T")
Outcome: TypeAlias = Literal["OK", "NOT_SENT", "REJECTED", "LOST", "ABANDONED", "BROKEN"]

_LONG_NUMBER: Final = re.compile(r"\d(?:[\d-]{3,})\d")
_TEXT_MOST: Final = 200


class CallTrace(NamedTuple):
    """One call and what came of it."""

    call: str
    at_ns: int
    """UTC time of its start."""
    took_ns: int
    outcome: Outcome
    """ABANDONED: the caller stopped waiting. BROKEN: the adapter raised what it may not raise."""
    code: str
    """The broker's own code of a refusal."""
    text: str
    """What it said, masked."""


def masked(text: str) -> str:
    """Return `text` with all but the last three digits of long numbers hidden, and not too much of it."""
    return _LONG_NUMBER.sub(lambda found: f"***{found.group()[-3:]}", text)[:_TEXT_MOST]


class Traced(Wrapped):
    """A broker whose every call is timed, counted and told.

    Args:
        inner: the broker.
        clock: monotonic time for durations, UTC for labels.
        sink: hears of each call when it is over. What it raises is counted and goes no further: an order that was
            taken stays taken, whatever becomes of its trace.
    """

    def __init__(self, inner: AsyncBrokerInterface, clock: Clock, sink: Callable[[CallTrace], None]) -> None:
        super().__init__(inner)
        self._clock = clock
        self._sink = sink
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        """Calls by kind and outcome."""
        self.sink_failures = 0

    async def connect(self) -> None:
        """Connect, timed."""
        await self._timed("connect", self._inner.connect())

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order, timed."""
        return await self._timed("send", self._inner.send(permit))

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order, timed."""
        return await self._timed("modify", self._inner.modify(permit))

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order, timed."""
        return await self._timed("cancel", self._inner.cancel(permit))

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day, timed."""
        return await self._timed("query_orders", self._inner.query_orders())

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work, timed."""
        return await self._timed("query_open_orders", self._inner.query_open_orders())

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions, timed."""
        return await self._timed("query_fills", self._inner.query_fills(since_ns))

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held, timed."""
        return await self._timed("query_positions", self._inner.query_positions())

    async def query_cash(self) -> BrokerCash:
        """Money, timed."""
        return await self._timed("query_cash", self._inner.query_cash())

    async def heartbeat(self) -> None:
        """Ask for a sign of life, timed."""
        await self._timed("heartbeat", self._inner.heartbeat())

    async def _timed(self, call: str, answer: Awaitable[T]) -> T:
        at_ns, start_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        outcome: Outcome = "OK"
        code = text = ""
        try:
            return await answer
        except BrokerError as error:
            outcome, code, text = _said(error)
            raise
        except asyncio.CancelledError:
            outcome = "ABANDONED"
            raise
        except Exception as error:
            outcome, text = "BROKEN", type(error).__name__
            raise
        finally:
            took_ns = self._clock.monotonic_ns() - start_ns
            self.counts[call, outcome] += 1
            self._tell(CallTrace(call, at_ns, took_ns, outcome, code, masked(text)))

    def _tell(self, trace: CallTrace) -> None:
        try:
            self._sink(trace)
        except Exception:
            self.sink_failures += 1


def _said(error: BrokerError) -> tuple[Outcome, str, str]:
    match error:
        case NotSent():
            return "NOT_SENT", "", str(error)
        case Rejected():
            return "REJECTED", error.code, error.text
        case AnswerLost():
            return "LOST", "", str(error)
        case _:
            return "BROKEN", "", str(error)
