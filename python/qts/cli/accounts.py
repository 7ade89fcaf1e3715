"""`qts-engine operator`: who may acknowledge a fault, and who may release LOCKDOWN and the kill switch."""

import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qts.cli.options import Home, JsonOut
from qts.codes import UsageError, aligned
from qts.ops.operator.messages import say

if TYPE_CHECKING:
    from qts.safety import Account, AccountDesk

SECRET_VARIABLE: Final = "QTS_OPERATOR_SECRET"  # noqa: S105 - the name of a variable

app = typer.Typer(help="Add, list and remove operators of the safety room.", no_args_is_help=True)

OperatorId = Annotated[str, typer.Argument(metavar="ID", help="Id of the operator, for example kim.")]


class Role(StrEnum):
    """What an operator may do."""

    OPERATOR = "operator"
    SAFETY_OFFICER = "safety_officer"


@app.command("add")
def add(
    operator: OperatorId,
    role: Annotated[
        Role, typer.Option("--role", help="operator acknowledges; safety_officer also releases LOCKDOWN and kill.")
    ],
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Add an operator. Asks twice for the new secret on a terminal; elsewhere it is taken from QTS_OPERATOR_SECRET.

    A person with both roles gets two ids with a secret each. No engine may run meanwhile.

    Example: qts-engine operator add kim --role operator
    """
    from qts.safety import Role as Known

    with _desk(home) as desk:
        desk.add(operator, Known(role.value), _new_secret())
        _show(desk, {"operator": operator, "role": role.value, "done": "added"}, as_json=as_json)


@app.command("secret")
def secret(operator: OperatorId, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Change the secret of an operator, asked for as by `add`. No engine may run meanwhile."""
    with _desk(home) as desk:
        desk.change_secret(operator, _new_secret())
        _show(desk, {"operator": operator, "done": "secret_changed"}, as_json=as_json)


@app.command("remove")
def remove(operator: OperatorId, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Remove an operator. No engine may run meanwhile."""
    with _desk(home) as desk:
        desk.remove(operator)
        _show(desk, {"operator": operator, "done": "removed"}, as_json=as_json)


@app.command("list")
def list_operators(home: Home = None, *, as_json: JsonOut = False) -> None:
    """List the operators and their roles. An engine may run."""
    from qts.config import home_dir
    from qts.safety import OperatorBook

    accounts = OperatorBook.at(home or home_dir()).accounts()
    if as_json:
        _print_json({"operators": _rows(accounts)})
    elif accounts:
        sys.stdout.writelines(f"{line}\n" for line in aligned([(row.operator_id, row.role.value) for row in accounts]))
    else:
        sys.stdout.write(f"{say('no_operators')}\n")


def _desk(home: Path | None) -> "AccountDesk":
    from qts.clock import SystemClock
    from qts.config import home_dir
    from qts.ops.operator import user_name
    from qts.safety import AccountDesk

    return AccountDesk(home or home_dir(), SystemClock(), f"CLI:{user_name(os.geteuid())}")


def _new_secret() -> str:
    """Return the secret that the variable holds, else what is typed twice alike; it is never shown."""
    if given := os.environ.get(SECRET_VARIABLE, ""):
        return given
    if not sys.stdin.isatty():
        raise UsageError(found=say("no_secret"), expected=say("no_secret_expected"))
    typed, again = (
        typer.prompt(say(key), hide_input=True, err=True, default="", show_default=False)
        for key in ("new_secret", "new_secret_again")
    )
    if typed != again:
        raise UsageError(found=say("typed_differently"), expected=say("typed_alike"), hint=say("again"))
    return str(typed)


def _show(desk: "AccountDesk", done: Mapping[str, str], *, as_json: bool) -> None:
    accounts = desk.accounts()
    if as_json:
        _print_json({**done, "operators": _rows(accounts)})
        return
    sys.stdout.write(f"{say(done['done'], operator=done['operator'])}\n")
    if not any(row.role.value == Role.SAFETY_OFFICER.value for row in accounts):
        sys.stdout.write(f"{say('no_officer')}\n")


def _rows(accounts: "tuple[Account, ...]") -> list[dict[str, str]]:
    return [{"operator": row.operator_id, "role": row.role.value} for row in accounts]


def _print_json(document: Mapping[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
