"""The table of codes as people read it: the rows of one code, and the page of all of them."""

from itertools import groupby

from qts.codes.messages import Lang, code_words
from qts.codes.table import LOCKDOWN, TABLE, Code


def facts(row: Code, lang: Lang | None = None) -> list[tuple[str, str]]:
    """Return what there is to know of a code, as labels and texts in `lang` (default: the user's language)."""
    effect: list[str] = [row.effect]
    effect += [code_words("escalates", lang, effect=step.effect, when=step.when.text(lang)) for step in row.escalations]
    if row.counted:
        effect.append(code_words("counted_fs" if row.code.startswith("FS") else "counted_gr", lang))
    rows = [("effect", "; ".join(effect))]
    if row.level:
        rows.append(("level", row.level))
    rows += [
        ("trigger", row.trigger.text(lang)),
        ("action", row.action.text(lang)),
        ("release", row.release.text(lang)),
        ("next", row.next.text(lang)),
        ("raised_by", code_words("place", lang, emitter=row.emitter, stage=row.stage, owner=row.owner)),
    ]
    return [(code_words(key, lang), text) for key, text in rows]


def page(lang: Lang) -> str:
    """Return the page of all codes in Markdown."""
    lines = [f"# {code_words('page', lang)}", "", code_words("page_about", lang), "", code_words("effects_about", lang)]
    ordered = sorted(TABLE.values(), key=lambda row: (_FAMILIES.index(_family(row)), row.code))
    for family, rows in groupby(ordered, key=_family):
        lines += ["", f"## {code_words(f'family_{family}', lang)}"]
        for row in rows:
            lines += ["", f"### {row.code} · {row.title.text(lang)}", "", "| | |", "|---|---|"]
            lines += [f"| {label} | {_cell(text)} |" for label, text in facts(row, lang)]
    lines += ["", f"## {code_words('lockdown', lang)}", "", code_words("lockdown_head", lang), "|---|---|---|"]
    lines += [f"| {row.room.text(lang)} | {_cell(row.does.text(lang))} | {row.code or ''} |" for row in LOCKDOWN]
    return "\n".join(lines) + "\n"


_FAMILIES = ("FS", "GR", "AN", "G", "KS", "SE")


def _family(row: Code) -> str:
    return row.code[:2] if row.code[:2] in _FAMILIES else "G"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
