"""Strict readers of YAML and JSON: no key twice, exact decimals, nothing that could be meant in two ways.

YAML is read by the core schema of YAML 1.2, plus plain dates: `005930` is text and `no` is not a boolean.
"""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from qts.config.findings import Finding, InvalidConfig
from qts.config.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable

_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+\Z")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_WORDS: Final[dict[str, object]] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "~": None,
    "": None,
}


@dataclass(slots=True)
class Document:
    """The content of a file, and the line on which each key or list entry stands."""

    value: object
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def line(self, key: str) -> int | None:
        """Return the line of a dotted key, None if it is not there."""
        return self.lines.get(tuple(key.split(".")))


def read_text(path: Path, name: str) -> str:
    """Return the text of a file, without a byte-order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        finding = Finding(
            name, None, "", say("unreadable", reason=reason), say("readable_expected"), say("readable_hint")
        )
        raise InvalidConfig([finding]) from None


def read_yaml(text: str, name: str) -> Document:
    """Return the content of a YAML file."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise _syntax(name, "YAML", error.problem or str(error), line) from None
    except yaml.YAMLError as error:
        raise _syntax(name, "YAML", str(error).splitlines()[0], None) from None
    except RecursionError as error:
        raise _syntax(name, "YAML", str(error), None) from None
    builder = _Builder(name)
    try:
        value = {} if root is None else builder.build(root, ())
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise _syntax(name, "YAML", str(error), None) from None
    return Document({} if value is None else value, builder.lines)


class _Twice(Exception):  # noqa: N818 - internal signal of the JSON reader
    """A field stands twice in an object."""


def read_json(text: str, name: str) -> Document:
    """Return the content of a JSON file; numbers with a point become exact decimals.

    The lines are those on which the entries of an outermost array begin.
    """

    def closed(pairs: "Iterable[tuple[str, object]]") -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in pairs:
            if key in result:
                raise _Twice(key)
            result[key] = value
        return result

    def constant(word: str) -> object:
        raise _syntax(name, "JSON", f"{word} is not a number", None)

    breaks = [match.start() for match in re.finditer("\n", text)]
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=constant, object_pairs_hook=closed)
    start = 0  # of the entry that is being read
    lines: dict[tuple[str | int, ...], int] = {}
    try:
        json.loads(text, parse_constant=constant)  # well-formed, so that the entries can be read one by one
        start = _skip_blanks(text, 0)
        if text[start] != "[":
            return Document(decoder.decode(text), lines)
        entries: list[object] = []
        start = _skip_blanks(text, start + 1)
        while text[start] != "]":
            lines[(len(entries),)] = bisect_right(breaks, start) + 1
            entry, end = decoder.raw_decode(text, start)
            entries.append(entry)
            end = _skip_blanks(text, end)
            start = _skip_blanks(text, end + 1) if text[end] == "," else end
    except json.JSONDecodeError as error:
        raise _syntax(name, "JSON", error.msg, error.lineno) from None
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise _syntax(name, "JSON", str(error), None) from None
    except _Twice as twice:
        quoted = re.escape(json.dumps(str(twice), ensure_ascii=False))
        places = [start + match.start() for match in re.finditer(rf"{quoted}\s*:", text[start:])] or [start]
        first, second = (bisect_right(breaks, place) + 1 for place in (places * 2)[:2])
        raise duplicate(name, first, second, str(twice)) from None
    return Document(entries, lines)


def _skip_blanks(text: str, start: int) -> int:
    match = _BLANKS.match(text, start)
    return start if match is None else match.end()


class _Builder:
    """Turns YAML nodes into plain values and notes their lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: set[int] = set()
        self.lines: dict[tuple[str | int, ...], int] = {}

    def build(self, node: yaml.Node, path: tuple[str | int, ...]) -> object:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise _syntax(self._name, "YAML", "a value that contains itself", node.start_mark.line + 1)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _sequence(self, node: yaml.Node, path: tuple[str | int, ...]) -> list[object]:
        return [self.build(child, (*path, number)) for number, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _syntax(self._name, "YAML", "a key that is not text", line)
            key = key_node.value
            if key in result:
                first = self.lines[(*path, key)]
                raise duplicate(self._name, first, line, ".".join(map(str, (*path, key))))
            self.lines[(*path, key)] = line
            result[key] = self.build(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text: str = node.value
        if node.style is not None:
            return text  # quoted or block: text, whatever it looks like
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise _syntax(self._name, "YAML", f"tag {node.tag}", node.start_mark.line + 1)
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return int(text)
        if _DECIMAL.match(text):
            return Decimal(text)
        if _DATE.match(text):
            try:
                return date.fromisoformat(text)
            except ValueError:
                return text
        return text


def _syntax(name: str, kind: str, reason: str, line: int | None) -> InvalidConfig:
    found = say("syntax", kind=kind, reason=reason)
    return InvalidConfig([Finding(name, line, "", found, say("syntax_expected", kind=kind), say("syntax_hint"))])


def duplicate(name: str, first: int, line: int, key: str) -> InvalidConfig:
    """Return what is wrong with a key that stands in two lines."""
    found = say("duplicate", key=key, first=first, line=line)
    return InvalidConfig([Finding(name, line, key, found, say("duplicate_expected"), say("duplicate_hint"))])
