"""What people are told, and in which words (spec 01 §8.2)."""

import uuid
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from qts.clock import from_ns
from qts.codes import Effect, Lang, language, lookup
from qts.safety.states import SafetyState


class NoticeLevel(StrEnum):
    """How loud a notice is."""

    INFO = "INFO"
    WARNING = "WARNING"
    FAIL = "FAIL"
    LOCKDOWN = "LOCKDOWN"

    @property
    def severity(self) -> int:
        """0 for INFO up to 3 for LOCKDOWN."""
        return _LEVELS.index(self)


_LEVELS: Final = tuple(NoticeLevel)
_OF_EFFECT: Final[Mapping[Effect, NoticeLevel]] = MappingProxyType(
    {
        "NOTE": NoticeLevel.INFO,
        "WARN": NoticeLevel.WARNING,
        "FAIL": NoticeLevel.FAIL,
        "LOCKDOWN": NoticeLevel.LOCKDOWN,
    }
)


class Notice(NamedTuple):
    """One message to people.

    Attributes:
        timestamp_ns: UTC nanoseconds.
        safety_code: FS, GR, AN or KS code; empty for news without one.
        level: how loud.
        message: English, then Korean: what the code means, or the news.
        pipeline_state: safety state after the event.
        meta: stage, symbol, order id, values; no secrets.
        event_id: names it once.
        correlation_id: ties it to the cycle or request it belongs to.
        dedupe_key: notices of one key are merged when there are too many.
    """

    timestamp_ns: int
    safety_code: str
    level: NoticeLevel
    message: tuple[str, str]
    pipeline_state: str
    meta: Mapping[str, str]
    event_id: str
    correlation_id: str
    dedupe_key: str

    def text(self, lang: Lang | None = None) -> str:
        """Return `[LEVEL] CODE | description | state | key=value…`, the same for every channel."""
        english, korean = self.message
        words = korean if (lang or language()) == "ko" else english
        values = " ".join(f"{key}={value}" for key, value in sorted(self.meta.items()))
        parts = (f"[{self.level}] {self.safety_code or '-'}", words, self.pipeline_state, values)
        return " | ".join(part for part in parts if part)

    def as_dict(self) -> dict[str, object]:
        """Return what a channel or a file carries, time as ISO 8601."""
        return {
            **self._asdict(),
            "timestamp": from_ns(self.timestamp_ns).isoformat(),
            "level": self.level.value,
            "message": list(self.message),
            "meta": dict(self.meta),
        }


def notice(
    now_ns: int,
    *,
    code: str = "",
    level: NoticeLevel | None = None,
    message: tuple[str, str] | None = None,
    state: SafetyState,
    meta: Mapping[str, object] = MappingProxyType({}),
    correlation_id: str = "",
) -> Notice:
    """Return a notice; level and message are those of the code's row where they are not given."""
    row = lookup(code) if code else None
    if level is None:
        level = _OF_EFFECT[row.effect] if row else NoticeLevel.INFO
    if message is None:
        message = (row.title.en, row.title.ko) if row else ("", "")
    return Notice(
        timestamp_ns=now_ns,
        safety_code=code,
        level=level,
        message=message,
        pipeline_state=state.value,
        meta=MappingProxyType({key: str(value) for key, value in meta.items() if value not in ("", None)}),
        event_id=uuid.uuid4().hex,
        correlation_id=correlation_id,
        dedupe_key=code or message[0],
    )


def parsed(document: Mapping[str, object]) -> Notice:
    """Return the notice that `as_dict` was made from; KeyError, TypeError or ValueError if it is none."""
    english, korean = map(str, document["message"])  # type: ignore[call-overload]
    meta = document["meta"]
    if not isinstance(meta, dict):
        raise TypeError("meta is no mapping")
    return Notice(
        timestamp_ns=int(str(document["timestamp_ns"])),
        safety_code=str(document["safety_code"]),
        level=NoticeLevel(str(document["level"])),
        message=(english, korean),
        pipeline_state=str(document["pipeline_state"]),
        meta=MappingProxyType({str(key): str(value) for key, value in meta.items()}),
        event_id=str(document["event_id"]),
        correlation_id=str(document["correlation_id"]),
        dedupe_key=str(document["dedupe_key"]),
    )
