"""The handlers of one level: calling them, trying again on P0, and what they take and leave behind."""

import inspect
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from qts._shapes import EventRowOut
from qts.clock import Clock, SystemClock
from qts.event.contracts import Event
from qts.event.errors import EventError
from qts.event.handlers import EventHandler
from qts.event.records import DeadLetter, EventAlert, HandlerError
from qts.event.types import EventPriority, EventType
from qts.event.wire import Arrival, from_row, row_id

P0_ATTEMPTS: Final = 3
RECORDS_MAX: Final = 1_024
SILENT_NS: Final = 1_000_000_000
"""A handler of P0 or P1 that is at it for longer than this is reported while it runs, as silent native threads are."""
_NS_PER_MS: Final = 1_000_000


class Plan(NamedTuple):
    """Who wants events of a type: the synchronous handlers, and the coroutine functions."""

    now: tuple[EventHandler, ...]
    later: tuple[EventHandler, ...]


class Call:
    """A handler at work on one event, attempts included.

    Args:
        handler: its name.
        budget_ms: what the event allows (`max_process_time_ms`); 0 = no limit.
        begun_ns: monotonic nanoseconds.
    """

    __slots__ = ("begun_ns", "budget_ms", "handler", "is_noted", "is_silent", "is_stuck")

    def __init__(self, handler: str, budget_ms: int, begun_ns: int) -> None:
        self.handler = handler
        self.budget_ms = budget_ms
        self.begun_ns = begun_ns
        self.is_noted = False
        self.is_silent = False
        self.is_stuck = False

    def is_over(self, now_ns: int) -> bool:
        """Whether it has taken longer than the event allows."""
        return 0 < self.budget_ms * _NS_PER_MS < now_ns - self.begun_ns


class _Slow(NamedTuple):
    times: int
    worst_ns: int
    budget_ms: int


class Handlers:
    """The handlers of one level, what became of its events, what failed and what took too long.

    A handler that exceeds the budget of an event is reported, while it runs or when it comes back; the event never
    comes again for that.

    Args:
        priority: the level.
        clock: measures the calls.
    """

    def __init__(self, priority: EventPriority, clock: Clock | None = None) -> None:
        self.priority = priority
        self.all: list[EventHandler] = []
        self.handled = 0
        self.errors = 0
        self.unhandled = 0
        self.failures: deque[HandlerError] = deque(maxlen=RECORDS_MAX)
        self.dead_letters: deque[DeadLetter] = deque(maxlen=RECORDS_MAX)
        self.dead = 0
        self.slow = 0
        self.calls: set[Call] = set()
        """Those that have not come back; changed and copied in one step of the interpreter, so without a lock."""
        self.now_ns = (SystemClock() if clock is None else clock).monotonic_ns
        self._plans: dict[EventType, Plan] = {}
        self._report = threading.Lock()
        self._slow: dict[str, _Slow] = {}
        self._alerts: list[EventAlert] = []

    @property
    def attempts(self) -> int:
        """How often a handler gets an event that it fails on."""
        return P0_ATTEMPTS if self.priority is EventPriority.P0_CRITICAL else 1

    def read(self, rows: Sequence[EventRowOut]) -> list[Arrival]:
        """Return the events of a batch with their envelopes; what cannot be read is recorded."""
        arrivals = []
        for row in rows:
            try:
                arrivals.append(from_row(row))
            except EventError as error:
                self.failed("wire", row_id(row), error, 1)
                self.bury(None, row_id(row), "wire", error, 1)
        return arrivals

    def plan(self, event: Event) -> Plan:
        """Return who wants an event, in the order of registration; each handler is asked once for each type."""
        kind = event.event_type
        plan = self._plans.get(kind)
        if plan is None:
            wanting = [handler for handler in self.all if self._wants(handler, event)]
            plan = self._plans[kind] = Plan(
                tuple(handler for handler in wanting if not handler.is_async),
                tuple(handler for handler in wanting if handler.is_async),
            )
        return plan

    def _wants(self, handler: EventHandler, event: Event) -> bool:
        try:
            return handler.wants(event.event_type)
        except Exception as error:
            self.failed(handler.name, event.event_id, error, 1)
            return True  # better one too many than a fill unheard

    def begin(self, handler: EventHandler, event: Event) -> Call:
        """Note that a handler gets an event."""
        call = Call(handler.name, event.max_process_time_ms, self.now_ns())
        self.calls.add(call)
        return call

    def end(self, call: Call) -> None:
        """Note that it has come back."""
        self.calls.discard(call)
        if call.budget_ms and call.is_over(now_ns := self.now_ns()):
            self._note_slow(call, now_ns)

    def attempt(self, handler: EventHandler, arrival: Arrival) -> None:
        """Call a synchronous handler, again if it fails on P0."""
        # In place: were the event put back, later ones would overtake it.
        for attempt in range(1, self.attempts + 1):
            try:
                result = handler.handle_arrival(arrival)
                if inspect.iscoroutine(result):
                    result.close()
                    raise TypeError("it returned a coroutine but is no coroutine function")  # noqa: TRY301
            except BaseException as error:  # even SystemExit must not take the thread of the level with it
                self.failed(handler.name, arrival.event.event_id, error, attempt)
                last = error
            else:
                return
        self.bury(arrival.event, arrival.event.event_id, handler.name, last, self.attempts)

    async def attempt_async(self, handler: EventHandler, arrival: Arrival) -> None:
        """Await a coroutine handler, again if it fails on P0."""
        for attempt in range(1, self.attempts + 1):
            try:
                result = handler.handle_arrival(arrival)
                if result is not None:
                    await result
            except Exception as error:
                self.failed(handler.name, arrival.event.event_id, error, attempt)
                last = error
            else:
                return
        self.bury(arrival.event, arrival.event.event_id, handler.name, last, self.attempts)

    def failed(self, handler: str, event_id: str, error: BaseException, attempt: int) -> None:
        """Record a failed attempt."""
        with self._report:  # a handler that was left behind may fail while another one does
            self.errors += 1
        said = f"{type(error).__name__}: {error}"
        self.failures.append(HandlerError(self.priority, handler, event_id, said, attempt))

    def bury(self, event: Event | None, event_id: str, handler: str, error: BaseException, attempts: int) -> None:
        """Record a P0 event that a handler has given up; other levels go on without."""
        if self.priority is EventPriority.P0_CRITICAL:
            self.dead += 1
            said = f"{type(error).__name__}: {error}"
            self.dead_letters.append(DeadLetter(event, event_id, handler, said, attempts))

    def look(self, now_ns: int) -> None:
        """Report the calls that have not come back in time; called by the thread that watches."""
        for call in tuple(self.calls):
            if call.is_over(now_ns):
                self._note_slow(call, now_ns)
            if self.priority <= EventPriority.P1_HIGH and now_ns - call.begun_ns > SILENT_NS and not call.is_silent:
                call.is_silent = True
                self.alert("python_silent", call.handler, age_ns=now_ns - call.begun_ns)

    def alert(self, name: str, handler: str, **numbers: int) -> None:
        """Keep an alert until it is taken; the oldest give way."""
        with self._report:
            self._alerts.append(EventAlert(name, "", {"level": int(self.priority), **numbers}, handler))
            del self._alerts[:-RECORDS_MAX]

    def take_alerts(self) -> list[EventAlert]:
        """Take what there is to report since the last call: one row for each handler that was slow, then the rest."""
        with self._report:
            slow, self._slow = self._slow, {}
            rest, self._alerts = self._alerts, []
        level = int(self.priority)
        rows = [
            EventAlert(
                "handler_slow",
                "",
                {"level": level, "times": row.times, "latency_ns": row.worst_ns, "budget_ms": row.budget_ms},
                handler,
            )
            for handler, row in slow.items()
        ]
        return rows + rest

    def _note_slow(self, call: Call, now_ns: int) -> None:
        """Count a call once, and keep the longest time of those not reported yet."""
        took_ns = now_ns - call.begun_ns
        with self._report:
            known = self._slow.get(call.handler, _Slow(0, 0, call.budget_ms))
            if call.is_noted and not known.times:
                return  # it has been reported while it ran
            times = known.times + (not call.is_noted)
            self.slow += not call.is_noted
            call.is_noted = True
            self._slow[call.handler] = _Slow(times, max(known.worst_ns, took_ns), call.budget_ms)
