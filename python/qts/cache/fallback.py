"""Asking the store while the cache is of no help: one query for a key at a time, and not too many at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

from qts.cache.contracts import Family
from qts.cache.exceptions import AuthorityUnavailable, FallbackOverload
from qts.cache.messages import say
from qts.cache.metrics import CacheMetrics
from qts.cache.reports import Reports
from qts.clock import Clock
from qts.config import CacheSettings

T = TypeVar("T")
_OVERLOAD_NS: Final = 5 * 1_000_000_000
_SUBJECT: Final = "fallback"


class FallbackHandler:
    """Queries to the store.

    All who miss the same key wait for one query; beyond `fallback_concurrency` queries a new one is refused at once.
    """

    def __init__(self, config: CacheSettings, clock: Clock, metrics: CacheMetrics, reports: Reports) -> None:
        self._most = config.fallback_concurrency
        self._clock = clock
        self._metrics = metrics
        self._reports = reports
        self._flights: dict[str, asyncio.Task[object]] = {}
        self._full_since_ns: int | None = None

    @property
    def is_overloaded(self) -> bool:
        """Whether the limit has been reached for more than 5 s: no new scalp entries until this is over."""
        return self._reports.holds("GR125")

    async def load(
        self, family: Family, key: str, query: Callable[[], Awaitable[T | None]], budget_ms: float | None = None
    ) -> T | None:
        """Return what the store answers.

        Args:
            family: for the counts.
            key: queries of one key are one query.
            query: asks the store; joined instead if it is already running.
            budget_ms: longest wait in milliseconds; None waits for the store's own limits. A query that is given up
                goes on for others who wait for it.

        Raises:
            FallbackOverload: too many queries run; none was begun.
            AuthorityUnavailable: the store failed, or did not answer within the budget.
        """
        if budget_ms is not None and budget_ms <= 0:
            raise self._late(key)
        task = self._flights.get(key)
        if task is None:
            self._admit()
            self._metrics.fallbacks[family] += 1
            task = asyncio.ensure_future(self._fly(query))
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        try:
            async with asyncio.timeout(None if budget_ms is None else budget_ms / 1000):
                found = await asyncio.shield(task)
        except TimeoutError:
            raise self._late(key) from None
        except AuthorityUnavailable:
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise AuthorityUnavailable(
                found=say("loader_failed", key=key, reason=reason), expected=say("known_state"), hint=say("store_hint")
            ) from error
        return cast("T | None", found)  # one type for one key

    async def _fly(self, query: Callable[[], Awaitable[object]]) -> object:
        return await query()

    def _admit(self) -> None:
        if len(self._flights) < self._most:
            return
        now_ns = self._clock.monotonic_ns()
        if self._full_since_ns is None:
            self._full_since_ns = now_ns
        elif now_ns - self._full_since_ns > _OVERLOAD_NS:
            self._reports.begin("GR125", _SUBJECT, say("overload", count=len(self._flights)))
        raise FallbackOverload(
            found=say("overload", count=len(self._flights)),
            expected=say("overload_expected", count=self._most),
            hint=say("store_hint"),
        )

    def _landed(self, key: str, task: "asyncio.Task[object]") -> None:
        self._flights.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, though everybody who waited may have gone
        if len(self._flights) < self._most:
            self._full_since_ns = None
            self._reports.end("GR125", _SUBJECT)

    def _late(self, key: str) -> AuthorityUnavailable:
        return AuthorityUnavailable(found=say("no_time", key=key), expected=say("known_state"), hint=say("store_hint"))

    async def aclose(self) -> None:
        """Give up every query."""
        tasks = list(self._flights.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
