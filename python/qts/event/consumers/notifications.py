"""NOTIFICATION_SEND: messages to the operator."""

import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TextIO

from qts.clock import Clock, SystemClock
from qts.codes import Lang, language
from qts.event.consumers.files import LineFile, Tell
from qts.event.consumers.lines import encoded, moment
from qts.event.consumers.masking import masked
from qts.event.consumers.messages import text
from qts.event.errors import EventError
from qts.event.handlers import ArrivalHandler
from qts.event.types import EventType
from qts.event.wire import Arrival

REPEAT_S: Final[Mapping[str, int]] = MappingProxyType({"INFO": 300, "WARNING": 300, "CRITICAL": 120})
"""Severities, and how long the same message is not sent again."""
_KNOWN_MAX: Final = 4_096
_NAMED: Final = frozenset({"severity", "code", "text", "text_ko", "dedupe_key"})


class Notification(NamedTuple):
    """A message to the operator.

    Args:
        at: when it was made, UTC.
        severity: INFO, WARNING or CRITICAL.
        code: FS, GR or other code, empty if there is none.
        english: the message.
        korean: the same in Korean; the English one where there is none.
        details: names and values, secrets masked.
        event_id: of the event it came with.
        stands_for: how many messages it stands for (sampling).
        repeats: how often the same was held back since it was sent last.
    """

    at: datetime
    severity: str
    code: str
    english: str
    korean: str
    details: Mapping[str, Any]
    event_id: str
    stands_for: int = 1
    repeats: int = 0

    def line(self, lang: Lang | None = None) -> str:
        """Return it as one line: `[LEVEL] CODE | message | name=value`, the same on every channel."""
        chosen = language() if lang is None else lang
        parts = [
            f"[{text(self.severity, chosen)}] {self.code}".rstrip(),
            self.korean if chosen == "ko" else self.english,
        ]
        if self.details:
            parts.append(" ".join(f"{name}={self.details[name]}" for name in sorted(self.details)))
        if self.stands_for > 1:
            parts.append(text("stands_for", chosen, weight=self.stands_for))
        if self.repeats:
            parts.append(text("repeated", chosen, times=self.repeats))
        return " | ".join(" ".join(part.split()) for part in parts)


class Notifier(Protocol):
    """Where messages go. A channel that is slow has to queue by itself: it is called on the thread of P3."""

    @property
    def name(self) -> str:
        """Name in messages about it."""
        ...

    def send(self, notification: Notification) -> None:
        """Send a message; any exception is told to the operator by other means, once, and stops no other channel."""
        ...


class TerminalNotifier:
    """Writes messages to a terminal or a log of the service.

    Args:
        stream: None = what is standard error when a message comes.
    """

    name = "terminal"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, notification: Notification) -> None:
        """Write a line with the time in UTC."""
        stream = sys.stderr if self._stream is None else self._stream
        stream.write(f"{notification.at:%H:%M:%S}Z {notification.line()}\n")
        stream.flush()


class NotificationConsumer(ArrivalHandler):
    """Sends the messages of NOTIFICATION_SEND events.

    A payload has `severity` (INFO unless given), `text`, `text_ko`, `code`, `dedupe_key`, and details. Every message is
    added to the file, on the disk when the handler returns. The notifiers get it unless the same (`dedupe_key`, else
    severity, code and text) was sent within the last minutes: 5, or 2 if it is CRITICAL; the next one says how many
    were held back.

    Args:
        path: file of all messages, lines of JSON; only ever added to.
        notifiers: further channels.
        tell: takes trouble with the file or a channel, once.
        clock: measures repetition.
    """

    def __init__(self, path: Path, notifiers: Sequence[Notifier], *, tell: Tell, clock: Clock | None = None) -> None:
        self.file = LineFile(path, is_synced=True, tell=tell)
        self._notifiers = tuple(notifiers)
        self._tell = tell
        self._failing: set[int] = set()
        self._now_ns = (SystemClock() if clock is None else clock).monotonic_ns
        self._sent: dict[str, tuple[int, int]] = {}
        """By what makes messages the same: when the last one was sent, and how many were held back since."""
        self._lock = threading.Lock()

    def wants(self, kind: EventType) -> bool:
        """Return whether it is NOTIFICATION_SEND."""
        return kind is EventType.NOTIFICATION_SEND

    def handle_arrival(self, arrival: Arrival) -> None:
        """Keep a message and send it.

        Raises:
            EventError: an unknown severity; the message has been kept and sent as CRITICAL.
        """
        payload = arrival.event.payload
        given = str(payload.get("severity", "INFO"))
        notification = Notification(
            at=arrival.event.timestamp,
            severity=given if given in REPEAT_S else "CRITICAL",
            code=str(payload.get("code", "")),
            english=str(payload.get("text", "")),
            korean=str(payload.get("text_ko") or payload.get("text", "")),
            details=masked({name: value for name, value in payload.items() if name not in _NAMED}),
            event_id=arrival.event.event_id,
            stands_for=arrival.sampled_weight,
        )
        repeats = self._held_back(str(payload.get("dedupe_key", "")), notification)
        self._keep(notification, is_sent=repeats is not None)
        if repeats is not None:
            for place in range(len(self._notifiers)):
                self._send(place, notification._replace(repeats=repeats))
        if given not in REPEAT_S:
            raise EventError(
                EventType.NOTIFICATION_SEND,
                "severity",
                found=f"{given!r:.80}",
                expected=f"one of {', '.join(REPEAT_S)}",
            )

    def close(self) -> None:
        """Write what waits and close the file."""
        self.file.close()

    def _held_back(self, dedupe_key: str, notification: Notification) -> int | None:
        """Return how many of the same were held back since the last one; None if this one is held back too."""
        key = dedupe_key or "\x1f".join((notification.severity, notification.code, notification.english))
        now_ns = self._now_ns()
        with self._lock:
            sent_ns, held = self._sent.get(key, (None, 0))
            if sent_ns is not None and now_ns - sent_ns < REPEAT_S[notification.severity] * 1_000_000_000:
                self._sent[key] = (sent_ns, held + 1)
                return None
            self._sent.pop(key, None)  # so that the order is that of sending
            if len(self._sent) >= _KNOWN_MAX:
                del self._sent[next(iter(self._sent))]
            self._sent[key] = (now_ns, 0)
        return held

    def _keep(self, notification: Notification, *, is_sent: bool) -> None:
        row = {
            "ts": moment(notification.at),
            "severity": notification.severity,
            "code": notification.code,
            "text": notification.english,
            "text_ko": notification.korean,
            "details": notification.details,
            "event_id": notification.event_id,
            "sampled_weight": notification.stands_for,
            "is_sent": is_sent,
        }
        self.file.append(encoded(row).encode("utf-8", "backslashreplace"))

    def _send(self, place: int, notification: Notification) -> None:
        notifier = self._notifiers[place]
        try:
            notifier.send(notification)
        except Exception as error:
            if place not in self._failing:
                self._failing.add(place)
                said = f"{type(error).__name__}: {error}"
                self._tell(text("notifier", name=notifier.name, error=said, path=self.file.path))
        else:
            self._failing.discard(place)
