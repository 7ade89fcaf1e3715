"""From what a model refuses to what a person is told."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from qts.codes import nearest, text
from qts.config.files import LOCAL_FILE, SETTINGS, leaves
from qts.config.findings import Finding
from qts.config.loader import Document
from qts.config.messages import say

_BOUNDS = {
    "greater_than_equal": ("at_least", "ge"),
    "less_than_equal": ("at_most", "le"),
    "greater_than": ("above", "gt"),
    "less_than": ("below", "lt"),
}
_SHAPES = {
    "model_type": "mapping",
    "model_attributes_type": "mapping",
    "dict_type": "mapping",
    "list_type": "sequence",
    "tuple_type": "sequence",
    "string_type": "word",
    "int_type": "whole",
    "union_tag_not_found": "mapping",
}


def findings(error: ValidationError, model: type[BaseModel], name: str, document: Document) -> list[Finding]:
    """Return what `model` refuses in a file, one finding for each key."""
    found: dict[str, Finding] = {}
    details = error.errors(include_url=False)
    # A list that lacks entries because they are wrong is no second mistake.
    wrong = {detail["loc"] for detail in details}
    for detail in details:
        inside = (loc for loc in wrong if len(loc) > len(detail["loc"]))
        if detail["type"] == "too_short" and any(loc[: len(detail["loc"])] == detail["loc"] for loc in inside):
            continue
        path = _file_path(detail["loc"], document.value)
        key = ".".join(map(str, path))
        line = _line(document, path)
        if key not in found:  # a union reports once for each of its members
            found[key] = _finding(detail, model, name, path, line)
    return list(found.values())


def _finding(
    detail: ErrorDetails, model: type[BaseModel], name: str, path: tuple[str | int, ...], line: int | None
) -> Finding:
    key = ".".join(map(str, path))
    if detail["type"] == "extra_forbidden":
        return unknown_key(name, line, key, model)
    info = _walk(model, path)[1]
    meaning = (info.description or "") if info is not None else ""
    if detail["type"] == "missing":
        hint = say("missing_key_hint", meaning=meaning)
        return Finding(name, line, key, say("missing_key", key=key), say("missing_key_expected"), hint)
    context: Mapping[str, Any] = detail.get("ctx", {})
    found = say("value", key=key or name, value=_shown(detail["input"]))
    hint = say("value_hint", meaning=meaning) if meaning else say("correct_value")
    if context.get("kind") == "fraction" and "suggestion" in context:
        hint = say("fraction_hint", suggestion=context["suggestion"])
    if context.get("kind") == "ordered":
        section = f"{key}: " if key else ""
        found = say("value", key=key or name, value=_shown(detail["input"]))
        return Finding(name, line, key, found, f"{section}{context['order']}", say(context.get("hint", "ordered_hint")))
    if context.get("kind") == "needs":
        key, because = context["key"], context["because"]
        return Finding(
            name, line, key, say("needs", key=key), say("needs_expected", because=because), say("needs_hint")
        )
    return Finding(name, line, key, found, _expected(detail, context), hint)


def _expected(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    kind = detail["type"]
    if kind == "qts_value":
        return say(context["kind"])
    if kind in _BOUNDS:
        phrase, bound = _BOUNDS[kind]
        limit = str(context[bound]).removeprefix("Decimal('").removesuffix("')")  # decimals come as their repr
        return say(phrase, limit=limit)
    if kind == "literal_error":
        return say("one_of", known=str(context["expected"]).replace(" or ", ", "))
    if kind == "union_tag_invalid":
        return say("one_of", known=context["expected_tags"])
    if kind == "too_short":
        return say("not_empty", count=context["min_length"])
    return say(_SHAPES[kind]) if kind in _SHAPES else detail["msg"]


def unknown_key(name: str, line: int | None, key: str, model: type[BaseModel]) -> Finding:
    """Return the finding for a key that the file does not have; it names the nearest, or the right file."""
    *parents, last = key.split(".")
    if name == LOCAL_FILE:  # entries carry the whole key
        siblings, last = [key_name for key_name, _ in leaves(model)], key
    else:
        siblings = list(_by_name(_walk(model, parents)[0]))
    elsewhere = [
        spec.name
        for spec in SETTINGS
        if spec.name != name and any(key_name == key for key_name, _ in leaves(spec.model))
    ]
    near = nearest(last, siblings)
    if elsewhere:
        hint = say("key_lives", file=elsewhere[0])
    elif near is not None:
        hint = text("did_you_mean", word=near)
    else:
        hint = say("key_list_hint")
    expected = say("unknown_key_expected", known=", ".join(siblings))
    return Finding(name, line, key, say("unknown_key", key=key), expected, hint)


def _walk(model: type[BaseModel], path: Iterable[str | int]) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the model that a path leads into, and the last field on it; names of rows add nothing."""
    here, field = model, None
    for part in path:
        info = _by_name(here).get(str(part))
        if info is not None:
            field = info
            here = next(_models_in(info.annotation), here)
    return here, field


def _by_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation: itself, or those of the entries of a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _file_path(loc: tuple[int | str, ...], root: object) -> tuple[str | int, ...]:
    """Return the part of a model's location that exists in the file: names of union members are left out."""
    path: list[str | int] = []
    here = root
    for number, part in enumerate(loc):
        if isinstance(here, Mapping):
            if part in here:
                here = here[part]
                path.append(part)
            elif number == len(loc) - 1:
                path.append(part)
        elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
            here = here[part]
            path.append(part)
    return tuple(path)


def _line(document: Document, path: tuple[str | int, ...]) -> int | None:
    for end in range(len(path), 0, -1):
        if path[:end] in document.lines:
            return document.lines[path[:end]]
    return None


def _shown(value: object) -> str:
    shown = str(value) if isinstance(value, str) else repr(value)
    if isinstance(value, str):
        shown = repr(value)
    elif not isinstance(value, bool | int | list | dict | tuple | type(None)):
        shown = str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
