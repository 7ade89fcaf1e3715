"""A broker's published rate, kept: a budget that orders, cancels and questions share without starving each other."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qts.broker.asynchronous import NotSent
from qts.broker.wrapped import Wrapped
from qts.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

Service: TypeAlias = Literal["CANCEL", "EXIT", "ORDER", "QUERY"]

USE_PCT: Final = 80
"""Share of the published rate that is used."""
ORDERS_PCT: Final = 50
"""Share of the budget that questions never get."""
RESERVE_MOST: Final = 2
"""Calls kept back in each window for cancels, and as many for exits and cancels."""


class RateBudget:
    """Counts calls in a sliding window; pure.

    A window and not a bucket that fills up: a full bucket and what flows in meanwhile would together exceed the
    published rate in the first second.

    Args:
        published_per_s: what the broker allows in a second, at least 1.
    """

    def __init__(self, published_per_s: int) -> None:
        if published_per_s < 1:
            raise ValueError(f"a broker that allows {published_per_s} calls per second")
        self.limit = max(1, published_per_s * USE_PCT // 100)
        """Calls per window."""
        spread_ns = -(-self.limit * 100 * NS_PER_S // (published_per_s * USE_PCT))
        self.window_ns = max(NS_PER_S, spread_ns)
        """A second, or longer where 80 % of the rate is less than one call in a second."""
        reserve = min(RESERVE_MOST, (self.limit - 1) // 3)
        self._below: Final[dict[Service, int]] = {
            "CANCEL": self.limit,
            "EXIT": self.limit - reserve,
            "ORDER": max(1, self.limit - 2 * reserve),
            "QUERY": max(1, self.limit - 2 * reserve),
        }
        self._queries_most = max(1, self.limit - -(-self.limit * ORDERS_PCT // 100))
        self._calls: deque[tuple[int, bool]] = deque()
        self._queries = 0

    def wait_ns(self, service: Service, now_ns: int) -> int:
        """Return 0 if a call may go now, else how long until one might."""
        self._forget(now_ns)
        if len(self._calls) >= self._below[service]:
            blocking = len(self._calls) - self._below[service]
            return self._calls[blocking][0] + self.window_ns - now_ns
        if service == "QUERY" and self._queries >= self._queries_most:
            oldest = next(at for at, is_query in self._calls if is_query)
            return oldest + self.window_ns - now_ns
        return 0

    def take(self, service: Service, now_ns: int) -> bool:
        """Count a call that goes now; False if it may not."""
        if self.wait_ns(service, now_ns):
            return False
        self._calls.append((now_ns, service == "QUERY"))
        self._queries += service == "QUERY"
        return True

    def _forget(self, now_ns: int) -> None:
        while self._calls and self._calls[0][0] + self.window_ns <= now_ns:
            _, is_query = self._calls.popleft()
            self._queries -= is_query


class RateLimited(Wrapped):
    """A broker that is asked no more often than it likes.

    Questions wait until there is room. An order does not: its price would be old by then, so it is `NotSent`, and who
    sent it decides anew. A cancel waits if it has to; what others may use ends before the cancels' part begins.

    Args:
        inner: the broker.
        clock: whose monotonic time counts.
        published_per_s: calls of any kind that the broker allows; by default what its capability says of orders.
        is_exit: tells the orders that reduce a position; they may use what is kept back from others. By default none.
    """

    def __init__(
        self,
        inner: AsyncBrokerInterface,
        clock: Clock,
        *,
        published_per_s: int | None = None,
        is_exit: Callable[[SendPermit], bool] = lambda _: False,
    ) -> None:
        super().__init__(inner)
        self._clock = clock
        self._is_exit = is_exit
        self._budget = RateBudget(published_per_s or inner.capability.orders_per_s)
        self._turns: dict[Service, asyncio.Lock] = {"CANCEL": asyncio.Lock(), "QUERY": asyncio.Lock()}

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order, or `NotSent` if the budget is spent."""
        self._take_or_not_sent(permit)
        return await self._inner.send(permit)

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order, or `NotSent` if the budget is spent."""
        self._take_or_not_sent(permit)
        return await self._inner.modify(permit)

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order, as soon as the budget has room."""
        await self._turn("CANCEL")
        return await self._inner.cancel(permit)

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day, when it is this question's turn."""
        await self._turn("QUERY")
        return await self._inner.query_orders()

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work, when it is this question's turn."""
        await self._turn("QUERY")
        return await self._inner.query_open_orders()

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions, when it is this question's turn."""
        await self._turn("QUERY")
        return await self._inner.query_fills(since_ns)

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held, when it is this question's turn."""
        await self._turn("QUERY")
        return await self._inner.query_positions()

    async def query_cash(self) -> BrokerCash:
        """Money, when it is this question's turn."""
        await self._turn("QUERY")
        return await self._inner.query_cash()

    async def heartbeat(self) -> None:
        """Ask for a sign of life, when it is this question's turn."""
        await self._turn("QUERY")
        await self._inner.heartbeat()

    def _take_or_not_sent(self, permit: SendPermit) -> None:
        now_ns = self._clock.monotonic_ns()
        if not self._budget.take("EXIT" if self._is_exit(permit) else "ORDER", now_ns):
            permit.void()
            raise NotSent("the broker's rate budget is spent")

    async def _turn(self, service: Service) -> None:
        """Wait for room in the order of asking."""
        async with self._turns[service]:
            while not self._budget.take(service, now_ns := self._clock.monotonic_ns()):  # noqa: ASYNC110 - time, no event
                await asyncio.sleep(self._budget.wait_ns(service, now_ns) / NS_PER_S)
