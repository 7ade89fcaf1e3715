"""The event system of a live session, put together: dispatcher, journal, and the consumers of P3."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.config import home_dir
from qts.engine.holds import EntryHolds
from qts.engines import one_line
from qts.event import EventConfig, EventDispatcher, EventHandler, EventPriority
from qts.event.consumers import Notifier, ReportMaker, StandardConsumers, standard_consumers
from qts.safety import Entry

if TYPE_CHECKING:
    from qts.config import QtsConfig
    from qts.event import DispatcherFigures
    from qts.event.consumers import Metric, ReportRequest
    from qts.ops.report import BacktestResult
    from qts.safety import SafetyStateManager

_DISPATCHER: Final = "event dispatcher"
EVENTS_REPORT: Final = "events"
"""Name of the report on the event system itself: levels, latencies, metrics."""


class LiveEvents(NamedTuple):
    """A running dispatcher and what handles its P3 events."""

    dispatcher: EventDispatcher
    consumers: StandardConsumers


@asynccontextmanager
async def live_events(
    config: "QtsConfig",
    handlers: Sequence[tuple[EventPriority, EventHandler]],
    *,
    home: Path | None = None,
    notifiers: Sequence[Notifier] | None = None,
    reports: Mapping[str, ReportMaker] = MappingProxyType({}),
    journal: bool = True,
    safety: "SafetyStateManager | None" = None,
    holds: EntryHolds | None = None,
) -> AsyncIterator[LiveEvents]:
    """Run the event system of a live session while the block runs.

    Log, notifications, metrics, reports and the state of the dashboard are taken care of; what they write lies in
    `home`. The report "events" is always there.

    Args:
        config: a loaded configuration.
        handlers: level and handler, in their order; at least one on P0.
        home: where state is kept; default `QTS_HOME`, else `~/.qts`.
        notifiers: channels to the operator beside the file; None = the terminal.
        reports: makers of further reports, by name.
        journal: whether P0 events are kept in `journal` of the home until they are handled.
        safety: the safety state. The levels go by it at once. A fault of the dispatcher raises its word before anybody
            hears of it; what else the dispatcher alerts of is reported, and while the dispatcher holds entries back
            the safety word does.
        holds: who else holds entries back; None: nobody.

    Raises:
        UsageError: nobody handles P0, or two handlers of a level have one name.
        ValueError: another process writes the journal.
        OSError: the journal cannot be read or written.
    """
    place = home_dir() if home is None else home
    dispatcher = EventDispatcher(
        EventConfig.from_settings(config.event),
        journal=place / "journal" if journal else None,
        safety=None if safety is None else safety.word,
    )

    def events_report(request: "ReportRequest", part: Path) -> None:
        rows = events_figures(dispatcher.figures(), consumers.metric.snapshot())
        head = {"at": request.at.isoformat(), **request.params}
        part.write_text(
            json.dumps({**head, **rows}, indent=2, default=str, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    consumers = standard_consumers(place, notifiers=notifiers, reports={EVENTS_REPORT: events_report, **reports})
    for priority, handler in handlers:
        dispatcher.register_handler(priority, handler)
    consumers.register(dispatcher)
    async with AsyncExitStack() as open_:
        open_.callback(consumers.close)
        open_.push_async_callback(dispatcher.stop)
        await dispatcher.start()
        if safety is not None:
            every_ms = config.event.monitoring.check_interval_ms
            await open_.enter_async_context(_under(safety, dispatcher, holds or EntryHolds(safety), every_ms))
        yield LiveEvents(dispatcher, consumers)


@asynccontextmanager
async def _under(
    safety: "SafetyStateManager", dispatcher: EventDispatcher, holds: EntryHolds, check_interval_ms: int
) -> AsyncIterator[None]:
    """Let the safety state and the dispatcher follow each other while the block runs."""
    follow = safety.subscribe(lambda change: dispatcher.set_safety_state(change.to_state.name))
    dispatcher.set_safety_state(safety.state.name)  # after the subscription, so that no change falls between
    watch = _Watch(safety, dispatcher, holds)
    over = asyncio.Event()

    async def look() -> None:
        ended = asyncio.ensure_future(over.wait())
        while not ended.done():
            watch.look()
            await asyncio.wait([ended], timeout=check_interval_ms / 1_000)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        over.set()
        await task
        watch.look()
        follow()


class _Watch:
    """Reports the dispatcher's alerts to the safety state, and has the safety word hold entries while it does."""

    def __init__(self, safety: "SafetyStateManager", dispatcher: EventDispatcher, holds: EntryHolds) -> None:
        self._safety = safety
        self._dispatcher = dispatcher
        self._raised = dispatcher.raised_codes
        self._holds = holds

    def look(self) -> None:
        """Look once. If that fails, entries are held back until a look succeeds: nobody watches what is traded on."""
        try:
            self._report()
            holds = self._dispatcher.holds
        except Exception as error:
            holds = (one_line(error),)
        self._holds.hold(_DISPATCHER, ", ".join(holds))

    def _report(self) -> None:
        """Pass alerts on. What has raised the word already counts as that; its alert adds the numbers alone."""
        self._safety.poll()
        for alert in self._dispatcher.alerts():
            details = f"{alert.name}: {', '.join(f'{name} {number}' for name, number in alert.numbers.items())}"
            if alert.code in self._raised:
                entry = Entry("core", "alert", alert.code, payload={"message": details, "stage": "event"})
                self._safety.record_act(entry)
            elif alert.code:
                self._safety.apply_safety_result(alert.code, details, "event", False)  # noqa: FBT003


def run_report(result: "BacktestResult") -> ReportMaker:
    """Return the maker of the report of a run: the six files of `--out`."""
    return lambda _request, part: result.write(part)


def events_figures(figures: "DispatcherFigures", metrics: "Sequence[Metric]") -> dict[str, Any]:
    """Return the figures of a dispatcher and a snapshot of metrics as JSON has them."""
    return {
        "levels": {priority.name: row._asdict() for priority, row in figures.levels.items()},
        "latency_ns": dict(figures.latencies),
        "native_errors": figures.native_errors,
        "native_unhandled": figures.native_unhandled,
        "metrics": [
            {
                **row._asdict(),
                "labels": dict(row.labels),
                "distribution": None if row.distribution is None else row.distribution._asdict(),
            }
            for row in metrics
        ],
    }
