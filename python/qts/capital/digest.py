"""Canonical text of an input, and the digest that names it: equal inputs give equal bytes in every process.

Every field of every contract is written, in the order of its class; sets and mappings are sorted; a number has one
spelling, a moment one zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qts.money import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from qts.capital.contracts import CapitalEngineInput

_IMMUTABLE: Final = frozenset({"config", "performance_metrics", "session", "transfers_today", "used_keys"})
_KEYS: Final = "used_keys"
"""Words alone, which are equal only if their text is."""
_Writer: TypeAlias = Callable[[Any], str]


class Digester:
    """Digests inputs.

    What cannot change and is the same object as last time keeps its text: the configuration and, between two closes,
    measures and transfers. So do the same keys as last time, which are made anew for each input.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[object, str]] = {}

    def digest(self, inp: CapitalEngineInput) -> str:
        """Return SHA-256 over the canonical text of an input, as hexadecimal digits."""
        parts = [
            self._kept(name, value) if name in _IMMUTABLE else canonical(value)
            for name, value in zip(inp._fields, inp, strict=True)
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _kept(self, name: str, value: object) -> str:
        last = self._last.get(name)
        if last is None or (last[0] is not value and (name != _KEYS or last[0] != value)):
            last = self._last[name] = (value, canonical(value))
        return last[1]


def canonical(value: object) -> str:
    """Return the one text of a value.

    Raises:
        TypeError: the value is of a type that no input is made of, such as a float.
    """
    return _writer_of(type(value))(value)  # type: ignore[arg-type]  # a class is hashable


def _sequence(parts: tuple[object, ...]) -> str:
    texts = []
    for part in parts:
        kind = type(part)
        if kind is int:  # the most frequent ones first
            texts.append(str(part))
        elif part is None:
            texts.append("~")
        else:
            texts.append(_writer_of(kind)(part))  # type: ignore[arg-type]
    return f"({','.join(texts)})"


def _mapping(rows: Mapping[str, object]) -> str:
    return f"{{{','.join(sorted([f'{key!s}:{canonical(part)}' for key, part in rows.items()]))}}}"


def _set(members: AbstractSet[object]) -> str:
    return f"<{','.join(sorted(map(canonical, members)))}>"


def _dataclass(settings: DataclassInstance) -> str:
    names = [field.name for field in fields(settings)]
    return f"[{','.join(f'{name}={canonical(getattr(settings, name))}' for name in names)}]"


def _none(_: object) -> str:
    return "~"


def _flag(value: object) -> str:
    return "T" if value else "F"


def _moment(moment: datetime) -> str:
    return moment.isoformat() if moment.tzinfo is UTC else moment.astimezone(UTC).isoformat()


_WRITERS: tuple[tuple[type, _Writer], ...] = (
    (type(None), _none),
    (bool, _flag),
    (int, str),
    (Decimal, plain),
    (str, str.__repr__),
    (datetime, _moment),
    (date, date.isoformat),
    (time, time.isoformat),
    (tuple, _sequence),
    (Mapping, _mapping),
    (AbstractSet, _set),
)


@lru_cache(maxsize=64)
def _writer_of(kind: type) -> _Writer:
    for known, writer in _WRITERS:
        if issubclass(kind, known):
            return writer
    if is_dataclass(kind):
        return _dataclass
    raise TypeError(f"{kind.__name__} has no canonical text")
