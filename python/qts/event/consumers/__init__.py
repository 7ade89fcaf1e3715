"""What becomes of P3 events in a live session: log, notifications, metrics, reports, and a dashboard's state."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from qts.clock import Clock
from qts.event.consumers.dashboard import DashboardConsumer, Panel, read_dashboard
from qts.event.consumers.files import LineFile, Tell
from qts.event.consumers.logs import LogConsumer
from qts.event.consumers.metrics import Distribution, Metric, MetricConsumer
from qts.event.consumers.notifications import Notification, NotificationConsumer, Notifier, TerminalNotifier
from qts.event.consumers.reports import ReportConsumer, ReportMaker, ReportRequest
from qts.event.dispatcher import EventDispatcher
from qts.event.types import EventPriority

__all__ = [
    "DashboardConsumer",
    "Distribution",
    "LineFile",
    "LogConsumer",
    "Metric",
    "MetricConsumer",
    "Notification",
    "NotificationConsumer",
    "Notifier",
    "Panel",
    "ReportConsumer",
    "ReportMaker",
    "ReportRequest",
    "StandardConsumers",
    "TerminalNotifier",
    "read_dashboard",
    "standard_consumers",
]


class StandardConsumers(NamedTuple):
    """One consumer for each type of P3."""

    log: LogConsumer
    notification: NotificationConsumer
    metric: MetricConsumer
    report: ReportConsumer
    dashboard: DashboardConsumer

    def register(self, dispatcher: EventDispatcher) -> None:
        """Let them handle the P3 events of a dispatcher; before its start.

        Raises:
            UsageError: it has been started, or has handlers of their names.
        """
        for consumer in self:
            dispatcher.register_handler(EventPriority.P3_LOW, consumer)

    def close(self) -> None:
        """Write what waits and close the files; after the dispatcher has stopped."""
        self.log.close()
        self.notification.close()
        self.dashboard.close()


def standard_consumers(
    home: Path,
    *,
    notifiers: Sequence[Notifier] | None = None,
    reports: Mapping[str, ReportMaker] = MappingProxyType({}),
    tell: Tell | None = None,
    clock: Clock | None = None,
) -> StandardConsumers:
    """Return the consumers of a live session; nothing is written before the first event.

    Args:
        home: `QTS_HOME`. They write `logs/qts.jsonl` and those of earlier days, `logs/audit.jsonl`,
            `logs/notifications.jsonl`, `reports/`, and `run/dashboard.json`.
        notifiers: channels to the operator beside the file; None = the terminal.
        reports: makers by name; without them a request is refused, and that is counted as an error of the handler.
        tell: takes one line of trouble, such as a full disk; None = standard error.
        clock: measures repetition.
    """
    speak = _to_stderr if tell is None else tell
    logs = home / "logs"
    return StandardConsumers(
        LogConsumer(logs, tell=speak),
        NotificationConsumer(
            logs / "notifications.jsonl",
            (TerminalNotifier(),) if notifiers is None else notifiers,
            tell=speak,
            clock=clock,
        ),
        MetricConsumer(),
        ReportConsumer(home / "reports", reports),
        DashboardConsumer(home / "run" / "dashboard.json", tell=speak),
    )


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
