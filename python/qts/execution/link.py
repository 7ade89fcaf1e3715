"""The link to a broker: seen to, brought back when it is gone, and asked for a sign of life.

The broker does not say when its link goes: it is looked at ten times a second. While it is down it is reconnected with
growing pauses; when it is back, everything since is asked for before anything else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.broker.asynchronous import BrokerError
from qts.clock import NS_PER_S
from qts.codes import Phrasebook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from qts.broker.asynchronous import AsyncBrokerInterface
    from qts.execution.guard import BrokerGuard
    from qts.execution.interfaces import CodeSink

_PAUSES_S: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before each attempt to reconnect; the last one from then on."""

_TEXTS: Final = Phrasebook(
    {
        "down": (
            "the broker's {what} has been down for {seconds} s while orders may live",
            "주문이 살아 있는 동안 브로커 {what} 연결이 {seconds}초 동안 끊겼습니다",
        ),
        "heartbeat": ("no answer to a heartbeat: {why}", "하트비트 응답 없음: {why}"),
    }
)


class LinkTimes(NamedTuple):
    """When what is due, nanoseconds."""

    look_ns: int = 100_000_000
    heartbeat_ns: int = 60 * NS_PER_S
    down_ns: int = 15 * NS_PER_S
    """How long the link may be down while orders may live before that is told (FS043)."""
    answer_ns: int = 5 * NS_PER_S
    """How long a heartbeat or a login may take."""


class Link:
    """Watches the link, on one event loop.

    Args:
        broker: whose link it is.
        guard: counts heartbeats without an answer.
        codes: hears of FS043.
        now: UTC nanoseconds.
        has_orders: whether an order may live at the broker.
        on_change: is called when the link or the stream has gone or come.
        on_back: is awaited when both are back: what was missed is to be asked for.
        spawn: starts a task.
        times: when what is due.
    """

    def __init__(
        self,
        *,
        broker: AsyncBrokerInterface,
        guard: BrokerGuard,
        codes: CodeSink,
        now: Callable[[], int],
        has_orders: Callable[[], bool],
        on_change: Callable[[], None],
        on_back: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        times: LinkTimes = LinkTimes(),  # noqa: B008 - a value
    ) -> None:
        self._broker = broker
        self._guard = guard
        self._codes = codes
        self._now = now
        self._has_orders = has_orders
        self._on_change = on_change
        self._on_back = on_back
        self._spawn = spawn
        self._times = times
        self._seen = (False, False)
        self._down_since: int | None = None
        self._is_told = False
        self._is_reconnecting = False
        self._is_asking = False
        self._look_due = now()
        self._beat_due = now() + times.heartbeat_ns
        self.is_closing = False

    @property
    def is_up(self) -> bool:
        """Whether requests leave and fills arrive, and what was missed has been asked for."""
        return all(self._state()) and not self._is_reconnecting

    def next_due_ns(self) -> int:
        """When `on_timer` wants to be called."""
        return min(self._look_due, self._beat_due)

    def on_timer(self, now_ns: int) -> None:
        """Look at the link, and ask for a sign of life when that is due."""
        if now_ns >= self._look_due:
            self._look_due = now_ns + self._times.look_ns
            self.look(now_ns)
        if now_ns >= self._beat_due:
            self._beat_due = now_ns + self._times.heartbeat_ns
            if self._broker.is_connected and not self._is_asking:
                self._is_asking = True
                self._spawn(self._beat(), "heartbeat")

    def look(self, now_ns: int) -> None:
        """Look at the link now, and begin to bring it back if it is gone."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._on_change()
        if all(state):
            self._down_since, self._is_told = None, False
            return
        self._down_since = now_ns if self._down_since is None else self._down_since
        if not self._is_told and now_ns - self._down_since >= self._times.down_ns and self._has_orders():
            self._is_told = True
            what = "stream" if state[0] else "link"
            self._codes.report("FS043", _TEXTS("down", what=what, seconds=self._times.down_ns // NS_PER_S))
        if not self._is_reconnecting and not self.is_closing:
            self._is_reconnecting = True
            self._spawn(self._reconnect(), "reconnect")

    async def connect(self) -> None:
        """Connect for as long as that takes; nothing is asked for afterwards."""
        self._is_reconnecting = True
        try:
            await self._come_back()
        finally:
            self._is_reconnecting = False
        self._seen = self._state()
        self._on_change()

    async def _come_back(self) -> None:
        attempt = 0
        while not self.is_closing and not all(self._state()):
            pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
            attempt += 1
            await asyncio.sleep(pause_s)
            await self._connect()

    async def _reconnect(self) -> None:
        try:
            await self._come_back()
            if not self.is_closing:
                await self._on_back()
        finally:
            self._is_reconnecting = False
        self._seen = self._state()
        self._on_change()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._times.answer_ns / NS_PER_S):
                await self._broker.connect()
        except (BrokerError, TimeoutError) as error:
            self._guard.failed(str(error) or "no connection")

    async def _beat(self) -> None:
        try:
            async with asyncio.timeout(self._times.answer_ns / NS_PER_S):
                await self._broker.heartbeat()
        except (BrokerError, TimeoutError) as error:
            self._guard.failed(_TEXTS("heartbeat", why=str(error) or type(error).__name__))
        else:
            self._guard.heard(None)
        finally:
            self._is_asking = False

    def _state(self) -> tuple[bool, bool]:
        return self._broker.is_connected, self._broker.is_stream_up
