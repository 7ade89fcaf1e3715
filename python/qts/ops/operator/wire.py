"""One JSON object a line, in UTF-8, with a version: `{"v": 1, "verb": "status", "args": {}}`.

An answer is `{"v": 1, "ok": true, "result": {...}}` or `{"v": 1, "ok": false, "error": {...}}` with `kind`, `found`,
`expected`, `hint`, `code` and `exit_code`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypedDict, cast

from qts.codes import Lang, QtsError, nearest, text
from qts.ops.operator.messages import say

VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 65_536
"""Longest request, its end of line included."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_MAX_TEXT: Final = 500
_MAX_DURATION_S: Final = 366 * 86_400


class ErrorBody(TypedDict):
    """An error on the wire."""

    kind: str
    found: str
    expected: str
    hint: str
    code: str
    exit_code: int


class Refusal(Exception):  # noqa: N818 - becomes an answer
    """A request that is answered with an error."""

    def __init__(self, kind: str, found: str, expected: str = "", hint: str = "", *, exit_code: int = 2) -> None:
        super().__init__(found)
        self.body = ErrorBody(kind=kind, found=found, expected=expected, hint=hint, code="", exit_code=exit_code)


class Request(NamedTuple):
    """A request that makes sense."""

    verb: str
    args: Mapping[str, Any]
    lang: Lang


class Arg(NamedTuple):
    """What an argument may be."""

    kind: type
    required: bool = True
    choices: tuple[object, ...] = ()


_TEXT: Final = Arg(str)
_FLAG: Final = Arg(bool, required=False)
_LOGIN: Final = {"operator": _TEXT, "secret": _TEXT}
STATES: Final = ("AGGRESSIVE", "BALANCED", "DEFENSIVE")
POOLS: Final = ("SCALP", "SWING", "PORTFOLIO")
VERBS: Final[Mapping[str, Mapping[str, Arg]]] = {
    "status": {},
    "stop": {"wait": _FLAG},
    "kill": {"level": Arg(int, choices=(1, 2, 3)), "cause": _TEXT},
    "pause": {"reason": _TEXT},
    "resume": {"reason": _TEXT},
    "ack": {"code": _TEXT, "cause": _TEXT, **_LOGIN},
    "approve.request": {"code": _TEXT, "cause": _TEXT, "phrase": _TEXT, **_LOGIN},
    "approve": {"nonce": _TEXT, **_LOGIN},
    "release.request": {"code": _TEXT, "cause": _TEXT, "phrase": _TEXT, **_LOGIN},
    "release": {"nonce": _TEXT, **_LOGIN},
    "override.set": {
        "state": Arg(str, choices=STATES),
        "reason": _TEXT,
        "duration_s": Arg(int),
        "revert_to": Arg(str, choices=STATES),
    },
    "override.clear": {"reason": _TEXT},
    "override.show": {},
    "capital.unlock": {"pool": Arg(str, choices=POOLS), "reason": _TEXT},
    "reload": {"reason": _TEXT, "confirm": _FLAG},
}
"""Every verb with its arguments."""


def encode(document: Mapping[str, object]) -> bytes:
    """Return a document as a line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def request(verb: str, args: Mapping[str, object], lang: Lang) -> bytes:
    """Return a request as a line."""
    return encode({"v": VERSION, "verb": verb, "args": args, "lang": lang})


def success(result: Mapping[str, object]) -> bytes:
    """Return an answer as a line."""
    return encode({"v": VERSION, "ok": True, "result": result})


def failure(body: ErrorBody) -> bytes:
    """Return an error as a line."""
    return encode({"v": VERSION, "ok": False, "error": body})


def body_of(error: QtsError) -> ErrorBody:
    """Return an error of a room as the wire carries it."""
    where = f"{error.where}: " if error.where else ""
    return ErrorBody(
        kind="refused",
        found=f"{where}{error.found}",
        expected=error.expected,
        hint=error.hint,
        code=error.code,
        exit_code=error.exit_code,
    )


def parse(line: bytes) -> Request:
    """Return what a line asks for.

    Raises:
        Refusal: it is no request that makes sense.
    """
    document = _object(line)
    lang: Lang = "ko" if document.get("lang") == "ko" else "en"
    version = document.get("v")
    if version != VERSION or isinstance(version, bool):
        raise Refusal("version", say("version", lang, found=_shown(version)), str(VERSION), say("same_release", lang))
    verb = document.get("verb")
    if not isinstance(verb, str) or verb not in VERBS:
        known = ", ".join(VERBS)
        near = nearest(verb, VERBS) if isinstance(verb, str) else None
        hint = "" if near is None else text("did_you_mean", lang, word=near)
        raise Refusal("verb", say("verb", lang, found=_shown(verb)), say("one_of", lang, known=known), hint)
    args = document.get("args", {})
    if not isinstance(args, dict):
        raise Refusal("args", say("args", lang, found=_shown(args)), say("args_expected", lang))
    _no_others(document, ("v", "verb", "args", "lang"), lang)
    _no_others(args, VERBS[verb], lang)
    return Request(verb, {name: _checked(name, args.get(name), arg, lang) for name, arg in VERBS[verb].items()}, lang)


def answer(line: bytes) -> Mapping[str, Any]:
    """Return an answer of the engine; ValueError if it is none."""
    try:
        document = json.loads(line)
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise ValueError(_shown(line)) from None
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise ValueError(_shown(line))
    part = document.get("result" if document.get("ok") is True else "error")
    if not isinstance(part, dict):
        raise ValueError(_shown(line))  # noqa: TRY004 - wrong data, not a wrong call
    return cast("Mapping[str, Any]", document)


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line, object_pairs_hook=_closed)
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Refusal("syntax", say("syntax", reason=error), say("syntax_expected")) from None
    if not isinstance(document, dict):
        raise Refusal("syntax", say("no_object", found=_shown(document)), say("syntax_expected"))
    return document


def _closed(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"{key} twice")
        result[key] = value
    return result


def _no_others(given: Iterable[str], known: Iterable[str], lang: Lang) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            expected = say("one_of", lang, known=", ".join(names)) if names else say("no_args", lang)
            raise Refusal("args", say("unknown_arg", lang, name=_shown(name)), expected)


def _checked(name: str, value: object, arg: Arg, lang: Lang) -> object:
    if value is None and not arg.required:
        return False if arg.kind is bool else None
    if value is None:
        raise Refusal("args", say("missing_arg", lang, name=name), say("arg_expected", lang, name=name))
    is_right = isinstance(value, arg.kind) and (arg.kind is bool or not isinstance(value, bool))
    if isinstance(value, str):
        value = value.strip()
        is_right = is_right and 0 < len(value) <= _MAX_TEXT and value.isprintable()
    elif isinstance(value, int):
        is_right = is_right and 0 <= value <= _MAX_DURATION_S
    if not is_right or (arg.choices and value not in arg.choices):
        found = say("wrong_arg", lang, name=name, found="***" if name == "secret" else _shown(value))
        if arg.choices:
            expected = say("one_of", lang, known=", ".join(map(str, arg.choices)))
        else:
            most = _MAX_TEXT if arg.kind is str else _MAX_DURATION_S
            expected = say(f"a_{arg.kind.__name__}", lang, most=most)
        raise Refusal("args", found, expected)
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
