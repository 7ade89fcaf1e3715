"""Brings notices to people on a way of its own, which no pause of the event levels touches (spec 01 §8.2)."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from qts.clock import NS_PER_S, Clock
from qts.safety.channels import ROUTES, Channel, Route
from qts.safety.messages import both
from qts.safety.notices import Notice, NoticeLevel, notice
from qts.safety.outbox import Delivery, MemoryOutbox, Outbox
from qts.safety.states import SafetyState

_DIGEST_NS: Final = 300 * NS_PER_S
_STORM_NS: Final = 600 * NS_PER_S
_STORM: Final = 10
_RETRY_FIRST_NS: Final = NS_PER_S
_RETRY_LAST_NS: Final = 60 * NS_PER_S
_WAKE_S: Final = 1.0


class _Repeat(NamedTuple):
    every_ns: int
    escalate_after_ns: int


_REPEATS: Final = MappingProxyType(
    {
        NoticeLevel.FAIL: _Repeat(300 * NS_PER_S, 900 * NS_PER_S),
        NoticeLevel.LOCKDOWN: _Repeat(120 * NS_PER_S, 300 * NS_PER_S),
    }
)


@dataclass(slots=True)
class _Alarm:
    """A notice that is repeated until somebody acknowledges it."""

    notice: Notice
    level: NoticeLevel
    since_ns: int
    sent_ns: int
    is_escalated: bool = False


@dataclass(slots=True)
class _Muted:
    """What came of one key since it was last told."""

    told_ns: int
    held: list[Notice] = field(default_factory=list)


@dataclass(slots=True)
class _Failing:
    attempts: int
    next_ns: int


class Notifier:
    """Decides who is told what and when, and delivers it.

    `post` never raises and never waits for a channel. Deliveries happen in `pump`, which a thread of its own calls
    between `start` and `stop`; without one, whoever owns the notifier calls it.

    Args:
        channels: where notices go.
        clock: measures repeats and windows.
        outbox: what is on the way; default: in memory.
    """

    def __init__(self, channels: Sequence[Channel], clock: Clock, outbox: Outbox | None = None) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._outbox: Outbox = MemoryOutbox() if outbox is None else outbox
        self._lock = threading.RLock()
        self._pumping = threading.Lock()
        self._alarm: _Alarm | None = None
        self._muted: dict[str, _Muted] = {}
        self._warnings: deque[int] = deque()
        self._failing: dict[str, _Failing] = {}
        self._is_outbox_failing = False
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def post(self, news: Notice) -> None:
        """Take a notice in: it is durable when this returns, unless the disk fails, which is told as well."""
        with self._lock:
            level = self._level_of(news)
            routes = set(ROUTES[level])
            if level is NoticeLevel.WARNING and not self._may_tell(news):
                routes = {Route.LOG}
            self._put(news, routes)
            if level in _REPEATS:
                self._raise_alarm(news, level)
        self._wake.set()

    def acknowledge(self) -> None:
        """Stop repeating: somebody has seen it."""
        with self._lock:
            self._alarm = None

    @property
    def is_alarm_open(self) -> bool:
        """Whether something waits for an acknowledgement."""
        return self._alarm is not None

    def pump(self) -> None:
        """Send what is due: new notices, digests, repeats, escalations, and what failed before."""
        with self._pumping:
            with self._lock:
                self._tell_digests()
                self._repeat_alarm()
                due = self._outbox.due()
            for delivery in due:
                self._deliver(delivery)

    def start(self) -> None:
        """Start the thread that delivers."""
        self._thread = threading.Thread(target=self._run, name="qts-notifier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Deliver once more and end the thread. Blocks until the channel it is at comes back."""
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.pump()

    def _run(self) -> None:
        while not self._is_stopping:
            self._wake.wait(_WAKE_S)
            self._wake.clear()
            self.pump()

    def _level_of(self, news: Notice) -> NoticeLevel:
        """Ten warnings within ten minutes are as bad as a failure."""
        if news.level is not NoticeLevel.WARNING:
            return news.level
        now_ns = self._clock.monotonic_ns()
        self._warnings.append(now_ns)
        while self._warnings[0] <= now_ns - _STORM_NS:
            self._warnings.popleft()
        if len(self._warnings) < _STORM:
            return NoticeLevel.WARNING
        self._warnings.clear()
        return NoticeLevel.FAIL

    def _may_tell(self, news: Notice) -> bool:
        now_ns = self._clock.monotonic_ns()
        muted = self._muted.get(news.dedupe_key)
        if muted is None or now_ns - muted.told_ns >= _DIGEST_NS:
            held = muted.held if muted else []
            self._muted[news.dedupe_key] = _Muted(now_ns, held)
            return True
        muted.held.append(news)
        return False

    def _tell_digests(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for key, muted in list(self._muted.items()):
            if now_ns - muted.told_ns < _DIGEST_NS:
                continue
            del self._muted[key]
            if muted.held:
                last = muted.held[-1]
                meta = MappingProxyType({**last.meta, "repeated": str(len(muted.held))})
                news = notice(self._clock.now_ns(), state=SafetyState(last.pipeline_state))
                digest = last._replace(timestamp_ns=news.timestamp_ns, meta=meta, event_id=news.event_id)
                self._put(digest, ROUTES[NoticeLevel.WARNING])

    def _raise_alarm(self, news: Notice, level: NoticeLevel) -> None:
        now_ns = self._clock.monotonic_ns()
        alarm = self._alarm
        if alarm is None or level.severity > alarm.level.severity:
            self._alarm = _Alarm(news, level, now_ns, now_ns)
        elif level is alarm.level:  # the newest is told; how long nobody has come runs from the first
            alarm.notice, alarm.sent_ns = news, now_ns

    def _repeat_alarm(self) -> None:
        alarm, now_ns = self._alarm, self._clock.monotonic_ns()
        if alarm is None:
            return
        repeat = _REPEATS[alarm.level]
        routes: set[Route] = set()
        if now_ns - alarm.sent_ns >= repeat.every_ns:
            routes |= ROUTES[alarm.level]
        if not alarm.is_escalated and now_ns - alarm.since_ns >= repeat.escalate_after_ns:
            alarm.is_escalated = True
            routes |= {*ROUTES[alarm.level], Route.SECONDARY}
        if alarm.is_escalated and routes:
            routes.add(Route.SECONDARY)
        if routes:
            alarm.sent_ns = now_ns
            waited = str((now_ns - alarm.since_ns) // NS_PER_S)
            again = notice(self._clock.now_ns(), state=SafetyState(alarm.notice.pipeline_state))
            meta = MappingProxyType({**alarm.notice.meta, "unacknowledged_s": waited})
            self._put(
                alarm.notice._replace(timestamp_ns=again.timestamp_ns, meta=meta, event_id=again.event_id), routes
            )

    def _put(self, news: Notice, routes: set[Route] | frozenset[Route], without: str = "") -> None:
        names = [name for name, channel in self._channels.items() if channel.route in routes and name != without]
        try:
            self._outbox.put(news, names)
        except OSError as error:
            # It is due in memory all the same; only a crash would lose it now. Told once until it works again.
            if not self._is_outbox_failing:
                self._is_outbox_failing = True
                self._tell_of_itself("outbox_failed", news, reason=error.strerror or str(error))
        else:
            self._is_outbox_failing = False

    def _deliver(self, delivery: Delivery) -> None:
        channel = self._channels.get(delivery.channel)
        failing = self._failing.get(delivery.channel)
        now_ns = self._clock.monotonic_ns()
        if failing is not None and now_ns < failing.next_ns:
            return
        try:
            if channel is not None:  # a channel that was there before a restart and is not now
                channel.send(delivery.notice)
        except Exception as error:
            self._failed(delivery, failing, now_ns, error)
            return
        with self._lock:
            self._failing.pop(delivery.channel, None)
            try:
                self._outbox.done(delivery)
            except OSError:
                return  # out of memory's list already; after a restart it is delivered again

    def _failed(self, delivery: Delivery, failing: _Failing | None, now_ns: int, error: Exception) -> None:
        with self._lock:
            attempts = failing.attempts + 1 if failing else 1
            wait_ns = min(_RETRY_LAST_NS, _RETRY_FIRST_NS << min(attempts - 1, 6))
            self._failing[delivery.channel] = _Failing(attempts, now_ns + wait_ns)
            if failing is None:
                reason = f"{type(error).__name__}: {error}"
                self._tell_of_itself("channel_failed", delivery.notice, delivery.channel, reason=reason)

    def _tell_of_itself(self, key: str, about: Notice, channel: str = "", *, reason: str) -> None:
        news = notice(
            self._clock.now_ns(),
            level=NoticeLevel.WARNING,
            message=both(key),
            state=SafetyState(about.pipeline_state),
            meta={"channel": channel, "error": reason},
        )
        self._put(news, ROUTES[NoticeLevel.WARNING], without=channel)
