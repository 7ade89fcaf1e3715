"""Verbs that talk to a running engine: status, stop, pause, resume, kill, ack, approve, release, override, reload."""

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from qts.cli.accounts import SECRET_VARIABLE
from qts.cli.options import Home, JsonOut
from qts.cli.status_page import known, page
from qts.codes import UsageError, aligned
from qts.ops.operator.messages import say

Cause = Annotated[str, typer.Option("--cause", metavar="TEXT", help="What happened and why this is right; recorded.")]
OperatorId = Annotated[
    str,
    typer.Option(
        "--operator", metavar="ID", help="Operator of the safety room. Default: the user's name.", show_default=False
    ),
]
ReleasedCode = Annotated[
    str | None, typer.Argument(metavar="[CODE]", help="Code that led to LOCKDOWN.", show_default=False)
]
OptionalCause = Annotated[str | None, typer.Option("--cause", metavar="TEXT", help="What happened; recorded.")]
Phrase = Annotated[str | None, typer.Option("--phrase", metavar="TEXT", help="Account alias and code, typed by hand.")]
Nonce = Annotated[str | None, typer.Option("--nonce", metavar="N", help="What the first step has shown.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded.")]

_STOP_S: Final = 30.0
_WATCH_S: Final = 2
_CHECKS_S: Final = 120.0
"""Release checks ask the broker."""
_DURATION: Final = re.compile(r"([1-9][0-9]*)\s*(m|h|d)", re.IGNORECASE)
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}


class Level(StrEnum):
    """Levels of the kill switch."""

    K1 = "K1"
    K2 = "K2"
    K3 = "K3"


class State(StrEnum):
    """Operating states."""

    AGGRESSIVE = "AGGRESSIVE"
    BALANCED = "BALANCED"
    DEFENSIVE = "DEFENSIVE"


override = typer.Typer(help="Hold an operating state by hand, for a limited time.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for command in (status, stop, pause, resume, kill, ack, approve, release, reload):
        app.command(command.__name__)(command)
    app.add_typer(override, name="override")


def status(
    home: Home = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 s, until Ctrl-C.")] = False,
    as_json: JsonOut = False,
) -> None:
    """Show what the running engine is doing. What is unknown is shown as unknown.

    Exit code 2 if no engine runs, or runs no more.
    """

    def shown() -> str:
        result = _ask("status", {}, home)
        if not as_json:
            return page(result)
        return f"{json.dumps(result, ensure_ascii=False)}\n" if watch else _json(result)

    if not watch:
        sys.stdout.write(shown())
        return
    from qts.clock import NS_PER_S, SystemClock

    clock, clear = SystemClock(), "\x1b[H\x1b[2J" if sys.stdout.isatty() and not as_json else ""
    with suppress(KeyboardInterrupt):
        while True:
            sys.stdout.write(f"{clear}{shown()}")
            sys.stdout.flush()
            clock.sleep_until(clock.monotonic_ns() + _WATCH_S * NS_PER_S)


def stop(
    home: Home = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="S", min=0, help="Seconds to wait for the end; 0 = do not wait.")
    ] = _STOP_S,
    *,
    as_json: JsonOut = False,
) -> None:
    """End the running engine in order: working orders end, the books are closed, everything is written.

    Waits for the end. Exit code 1 if it has not come within the time.
    """
    from qts.ops.operator import NoAnswer

    wait = timeout_s > 0
    try:
        result = _ask("stop", {"wait": wait}, home, wait_s=timeout_s or None)
    except NoAnswer:
        raise NoAnswer(
            found=say("still_stopping", seconds=f"{timeout_s:g}"),
            expected=say("answer_expected"),
            hint=say("still_stopping_hint"),
        ) from None
    ended = result.get("ended")
    if as_json:
        sys.stdout.write(_json(result))
    elif not wait:
        sys.stdout.write(f"{say('stopping')}: {result['reason']}\n")
    else:
        sys.stdout.write(f"{say('ended')}: {ended or say('ended_unknown')}\n")
    if wait and ended not in {"STOPPED", "DONE"}:
        raise typer.Exit(1)


def pause(reason: Reason, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Turn safe mode on: the engine watches and decides, and sends nothing. `resume` ends it; a restart does not.

    Example: qts-engine pause --reason "quotes look odd"
    """
    tell("pause", {"reason": reason}, home, as_json=as_json)


def resume(reason: Reason, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Turn safe mode off. It releases nothing else: FAIL, LOCKDOWN and the kill switch stay as they are."""
    tell("resume", {"reason": reason}, home, as_json=as_json)


def kill(
    level: Annotated[
        Level, typer.Argument(help="K1 no new entries, K2 and cancel all orders, K3 and close all positions.")
    ] = Level.K1,
    cause: Cause = "operator",
    home: Home = None,
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Needed for K3.")] = False,
    as_json: JsonOut = False,
) -> None:
    """Engage the kill switch.

    Example: qts-engine kill K2 --cause "quotes look wrong"
    """
    if level is Level.K3 and not confirm:
        raise UsageError(found=say("k3"), expected=say("k3_expected"), hint=say("k3_hint"))
    tell("kill", {"level": int(level.value[1]), "cause": cause}, home, as_json=as_json)


def ack(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code that is acknowledged, for example FS040.")],
    cause: Cause,
    operator: OperatorId = "",
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Acknowledge a code, so that the engine leaves WARNING or FAIL if its checks pass. Exit code 1 if they do not.

    Asks for the operator's secret on a terminal; elsewhere it is taken from QTS_OPERATOR_SECRET.
    """
    args = {"code": code, "cause": cause, **_login(operator)}
    tell("ack", args, home, as_json=as_json, wait_s=_CHECKS_S)


def approve(
    code: ReleasedCode = None,
    cause: OptionalCause = None,
    phrase: Phrase = None,
    nonce: Nonce = None,
    operator: OperatorId = "",
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Leave LOCKDOWN: first with CODE, --cause and --phrase, and after the cool-down with --nonce.

    The secret is that of a safety officer. Exit code 1 if it is refused.
    """
    _release("approve", (code, cause, phrase, nonce), operator, home, as_json=as_json)


def release(
    code: ReleasedCode = None,
    cause: OptionalCause = None,
    phrase: Phrase = None,
    nonce: Nonce = None,
    operator: OperatorId = "",
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Release the kill switch, in the same two steps; `approve` then leaves LOCKDOWN. Exit code 1 if it is refused."""
    _release("release", (code, cause, phrase, nonce), operator, home, as_json=as_json)


def _release(
    verb: str,
    said: tuple[str | None, str | None, str | None, str | None],
    operator: str,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    *evidence, nonce = said
    if (nonce is None) != all(evidence) or (nonce is not None and any(evidence)):
        raise UsageError(found=say("two_steps"), expected=say("two_steps_expected"), hint=f"qts-engine {verb} --help")
    if nonce is not None:
        args: dict[str, object] = {"nonce": nonce}
    else:
        verb, args = f"{verb}.request", dict(zip(("code", "cause", "phrase"), evidence, strict=True))
    tell(verb, {**args, **_login(operator)}, home, as_json=as_json, wait_s=_CHECKS_S)


def _login(operator: str) -> dict[str, object]:
    from qts.ops.operator import user_name

    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and sys.stdin.isatty():
        secret = typer.prompt(say("secret"), hide_input=True, err=True)
    if not secret:
        raise UsageError(found=say("no_secret"), expected=say("no_secret_expected"))
    return {"operator": operator or user_name(os.geteuid()), "secret": secret}


def reload(
    reason: Reason,
    home: Home = None,
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Needed if a DANGER key changes.")] = False,
    as_json: JsonOut = False,
) -> None:
    """Read the configuration files again and take in what a running engine can take, all of it or nothing.

    Exit code 2 if the files are wrong or a change has to wait for a restart; the engine then runs on as before.
    """
    tell("reload", {"reason": reason, "confirm": confirm}, home, as_json=as_json, wait_s=_CHECKS_S)


@override.command("set")
def override_set(
    state: Annotated[State, typer.Argument(help="State to hold.", case_sensitive=False)],
    reason: Reason,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 12h or 3d; at most 7d.")],
    revert_to: Annotated[
        State, typer.Option("--revert", help="State to go to when it expires.", case_sensitive=False)
    ] = State.BALANCED,
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Hold an operating state.

    Example: qts-engine override set DEFENSIVE --for 2d --reason "election"
    """
    args = {
        "state": state.value,
        "reason": reason,
        "duration_s": _seconds(duration),
        "revert_to": revert_to.value,
    }
    tell("override.set", args, home, as_json=as_json)


@override.command("clear")
def override_clear(reason: Reason, home: Home = None, *, as_json: JsonOut = False) -> None:
    """End the override."""
    tell("override.clear", {"reason": reason}, home, as_json=as_json)


@override.command("show")
def override_show(home: Home = None, *, as_json: JsonOut = False) -> None:
    """Show the override that holds."""
    result = _ask("override.show", {}, home)
    if as_json:
        sys.stdout.write(_json(result))
    elif result["override"] is None:
        sys.stdout.write(f"{say('no_override')}\n")
    else:
        rows = [(say(f"override_{name}"), known(value)) for name, value in result["override"].items()]
        sys.stdout.writelines(f"{line}\n" for line in aligned(rows))


def _ask(verb: str, args: Mapping[str, object], home: Path | None, *, wait_s: float | None = None) -> dict[str, Any]:
    from qts.config import home_dir
    from qts.ops.operator import OperatorClient

    with OperatorClient(home or home_dir()) as client:
        return dict(client.call(verb, args, wait_s=wait_s))


def tell(
    verb: str, args: Mapping[str, object], home: Path | None, *, as_json: bool, wait_s: float | None = None
) -> None:
    """Give a command and show what became of it; exit code 1 if it was not applied."""
    result = _ask(verb, args, home, wait_s=wait_s)
    if as_json:
        sys.stdout.write(_json(result))
    else:
        word = say("applied") if result["applied"] else say("not_applied")
        lines = [f"{word}: {result['reason']}" if result["reason"] else word]
        lines += [f"  {name}: {known(value)}" for name, value in result["detail"].items()]
        (sys.stdout if result["applied"] else sys.stderr).write("\n".join(lines) + "\n")
    if not result["applied"]:
        raise typer.Exit(1)


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(found=f"--for {text!r}", expected=say("duration"), hint="--for 12h")
    return int(match[1]) * _SECONDS[match[2].lower()]


def _json(result: Mapping[str, object]) -> str:
    return f"{json.dumps(result, ensure_ascii=False, indent=2)}\n"
