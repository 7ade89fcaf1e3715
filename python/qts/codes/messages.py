"""Texts in English and Korean.

A `Phrasebook` maps a key to its two texts. Each room keeps its own beside its code; the one here holds the
words that every message is built from.
"""

import os
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Final, Literal, TypeAlias

Lang: TypeAlias = Literal["en", "ko"]


def language(environ: Mapping[str, str] | None = None) -> Lang:
    """Return the language of messages: `QTS_LANG` (en or ko), else that of the locale, else English."""
    env = os.environ if environ is None else environ
    chosen = env.get("QTS_LANG", "").strip().casefold()
    if chosen == "ko":
        return "ko"
    if chosen == "en":
        return "en"
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        locale = env.get(name, "")
        if locale:  # the first that is set decides, as in the C library
            return "ko" if locale.casefold().startswith("ko") else "en"
    return "en"


class Phrasebook:
    """A table of texts: key -> (English, Korean), with `{field}` places to fill."""

    def __init__(self, phrases: Mapping[str, tuple[str, str]]) -> None:
        self._phrases = dict(phrases)

    def __call__(self, key: str, lang: Lang | None = None, /, **fields: object) -> str:
        """Return the text of `key` in `lang` (default: the user's language) with its places filled."""
        english, korean = self._phrases[key]
        chosen = language() if lang is None else lang
        return (korean if chosen == "ko" else english).format_map(fields)

    def __contains__(self, key: object) -> bool:
        return key in self._phrases

    def __iter__(self) -> Iterator[str]:
        return iter(self._phrases)

    def problems(self) -> list[str]:
        """Return the keys of which a text is missing, or whose two texts do not have the same places."""
        return [
            key
            for key, (english, korean) in self._phrases.items()
            if not english or not korean or _places(english) != _places(korean)
        ]


def _places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


text: Final = Phrasebook(
    {
        "error": ("error", "오류"),
        "expected": ("expected", "필요한 값"),
        "do_next": ("do next", "다음 조치"),
        "line": ("line {line}", "{line}행"),
        "did_you_mean": ("did you mean {word!r}?", "{word!r}를 쓰려던 것입니까?"),
    }
)

code_words: Final = Phrasebook(
    {
        "effect": ("Effect", "영향"),
        "level": ("Level", "등급"),
        "trigger": ("When", "발생 조건"),
        "action": ("The engine", "엔진의 조치"),
        "release": ("Release", "해제 조건"),
        "next": ("Do next", "다음 조치"),
        "raised_by": ("Raised by", "발생 위치"),
        "place": ("{emitter} ({stage}), document {owner}", "{emitter}({stage}), 문서 {owner}"),
        "escalates": ("{effect}: {when}", "{effect}: {when}"),
        "counted_fs": ("counts towards LOCKDOWN", "LOCKDOWN 횟수에 포함"),
        "counted_gr": (
            "counts towards WARNING when it blocks or cuts an order",
            "주문을 막거나 줄이면 WARNING 횟수에 포함",
        ),
        "unknown_code": ("unknown code {code}", "알 수 없는 코드 {code}"),
        "known_code": ("a code of the table, for example FS040", "표에 있는 코드(예: FS040)"),
        "unknown_code_hint": ("see all of them with: qts-engine codes", "전체 목록은 qts-engine codes로 보십시오"),
        "page": ("Codes", "코드 목록"),
        "page_about": (
            "Every code of the engine. The same row on the command line: `qts-engine codes FS040`. Codes of parts that "
            "this version does not have are reserved: their meaning stands, nothing raises them. "
            "This page is generated from the table in the core (`python -m qts.codes docs`).",
            "엔진의 모든 코드입니다. 명령줄에서는 `qts-engine codes FS040`처럼 찾습니다. 이 버전에 아직 없는 기능의 "
            "코드는 예약되어 있습니다. 의미는 정해져 있으나 발생하지 않습니다. "
            "이 페이지는 코어의 표에서 생성됩니다(`python -m qts.codes docs`).",
        ),
        "effects_about": (
            "NOTE leaves the safety state alone, WARN raises it to WARNING, FAIL to FAIL, LOCKDOWN to LOCKDOWN; "
            "it never lowers it. Two FAILs within 600 s are a LOCKDOWN.",
            "NOTE는 안전 상태를 바꾸지 않고, WARN은 WARNING으로, FAIL은 FAIL로, LOCKDOWN은 LOCKDOWN으로 올립니다. "
            "낮추는 일은 없습니다. 600초 안에 FAIL이 두 번이면 LOCKDOWN입니다.",
        ),
        "family_FS": ("Fail-safes", "페일세이프"),
        "family_GR": ("Guardrails", "가드레일"),
        "family_AN": ("Anomalies", "이상 징후"),
        "family_G": ("Execution gate", "집행 게이트"),
        "family_KS": ("Kill switch", "킬 스위치"),
        "family_SE": ("Engines", "엔진"),
        "lockdown": ("What each room does in LOCKDOWN", "LOCKDOWN에서 각 부분이 하는 일"),
        "lockdown_head": ("| Room | Does | Code |", "| 부분 | 하는 일 | 코드 |"),
    }
)
