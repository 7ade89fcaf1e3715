"""`qts-engine codes`: what a code means and what to do about it."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qts.codes import Code


def codes(
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="Code to look up, for example FS040. Default: all.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, texts in both languages.")] = False,
) -> None:
    """Say what a code means, what the engine does, and what to do next.

    Example: qts-engine codes FS040
    """
    from qts.codes import TABLE, aligned, facts

    if code is not None:
        row = _row(code)
        if as_json:
            _print_json(row.as_dict())
            return
        sys.stdout.write(f"{row.code}  {row.title.text()}\n")
        sys.stdout.writelines(f"  {line}\n" for line in aligned(facts(row)))
        return
    if as_json:
        _print_json([row.as_dict() for row in TABLE.values()])
        return
    width = max(map(len, TABLE))
    for row in TABLE.values():
        sys.stdout.write(f"{row.code:<{width}}  {row.effect:<8}  {row.title.text()}\n")


def _row(code: str) -> "Code":
    from qts.codes import TABLE, UsageError, code_words

    row = TABLE.get(code.upper())
    if row is None:
        near = [known for known in TABLE if known.startswith(code.upper()[:4])]
        raise UsageError(
            found=code_words("unknown_code", code=repr(code)),
            expected=", ".join(near) if near else code_words("known_code"),
            hint=code_words("unknown_code_hint"),
        )
    return row


def _print_json(document: object) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
