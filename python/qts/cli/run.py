"""`qts-engine run`."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from qts.cli import options
from qts.codes import UsageError

if TYPE_CHECKING:
    from qts.engine import Engine, Status

_KST: Final = timezone(timedelta(hours=9))
_WAY_OUT: Final = {"FAIL": "qts-engine ack --help", "LOCKDOWN": "qts-engine approve --help"}
_PLAIN_LINE_NS: Final = 30 * 60 * 1_000_000_000
"""Session time between two status lines where there is no terminal."""


def run(
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="Strategy to run, by name or as module:Class; ema_cross without one. May be repeated.",
        ),
    ] = None,
    symbols: options.Symbols = None,
    set_: options.Settings = None,
    speed: Annotated[
        str, typer.Option("--speed", metavar="1|N|max", help="Seconds of session per second, or max.")
    ] = "1",
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the market: same seed, same session.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Session to simulate. Default: today, or the next session."),
    ] = None,
    cash: options.Cash = None,
    out: options.Out = None,
    config: options.ConfigDir = None,
    *,
    as_json: options.Json = False,
) -> None:
    """Run a paper session: a simulated KRX day of ten liquid shares, with a live status line.

    Fills, positions and equity are kept in QTS_HOME (default ~/.qts). Ctrl-C ends the session in an orderly way:
    working orders end, the books are closed, the result is shown. A second Ctrl-C ends at once.

    Example: qts-engine run --speed max --seed 7 --out out/paper
    """
    from qts.engine import MAX_SPEED, Engine
    from qts.ops.report import check_target

    factor, session_day = _speed(speed, MAX_SPEED), _date(day)
    if out is not None:
        check_target(out)
    names = strategy or ["ema_cross"]
    engine = Engine.from_config(
        config,
        strategy=names,
        params=options.settings(set_),
        cash=cash,
        seed=seed,
        day=session_day,
        symbols=options.symbols_of(symbols),
    )
    if not as_json:
        sys.stdout.write(f"session {engine.day:%Y-%m-%d}, strategy {','.join(names)}, speed {speed}\n")
    with _stop_on_interrupt(engine), _StatusLine(enabled=not as_json) as line:
        result = asyncio.run(engine.run(speed=factor, on_status=line.show))
    with result:
        sys.stdout.write(f"{json.dumps(result.report, indent=2)}\n" if as_json else f"{result.summary()}\n")
        if not as_json:
            sys.stdout.write("".join(f"{outcome}\n" for outcome in engine.closes))
        if out is not None:
            result.write(out)
            if not as_json:
                sys.stdout.write(f"\nreport: {out / 'report.html'}\n")


def _speed(text: str, most: float) -> float | None:
    if text.strip().casefold() == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= most:
        raise UsageError(
            found=f"--speed {text!r}",
            expected=f"a number above 0 and up to {most:g}, or max",
            hint="1 is real time, 60 a minute per second",
        )
    return factor


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            found=f"--date {text!r}", expected="a date as YYYY-MM-DD", hint="for example --date 2026-01-05"
        ) from None


@contextmanager
def _stop_on_interrupt(engine: "Engine") -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end the session in order, and the second one at once."""

    def first(number: int, _frame: object) -> None:
        sys.stderr.write("\nstopping: working orders end, the books are closed (again to end at once)\n")
        engine.request_stop()
        signal.signal(number, signal.default_int_handler)

    previous = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _StatusLine:
    """One line that stays up to date on a terminal; a line every half hour of session elsewhere."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._is_terminal = sys.stdout.isatty()
        self._next_ns = 0
        self._told = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._enabled and self._is_terminal:
            sys.stdout.write("\n")

    def show(self, status: "Status") -> None:
        """Show where the session stands."""
        self._tell(status)
        if not self._enabled:
            return
        if self._is_terminal:
            sys.stdout.write(f"\r\x1b[K{_line(status)}")
            sys.stdout.flush()
        elif status.ts_ns >= self._next_ns:
            self._next_ns = status.ts_ns - status.ts_ns % _PLAIN_LINE_NS + _PLAIN_LINE_NS
            sys.stdout.write(f"{_line(status)}\n")
            sys.stdout.flush()

    def _tell(self, status: "Status") -> None:
        """Say once that nothing is traded any more, why, and what to do; in every form of output."""
        state = status.safety
        if state is None or state == self._told:
            return
        self._told = state
        if state in _WAY_OUT:
            from qts.ops.operator.messages import say

            code = status.safety_code
            sys.stderr.write(f"\n{say('stopped', state=state, code=code, hint=_WAY_OUT[state])}\n")


def _line(status: "Status") -> str:
    moment = datetime.fromtimestamp(status.ts_ns // 1_000_000_000, tz=UTC).astimezone(_KST)
    equity = status.equity / 10**status.money_scale
    return (
        f"{moment:%H:%M:%S} KST {status.phase:<16} {status.done:4.0%}  equity {equity:,.0f}"
        f"  positions {status.positions}  working {status.working_orders}  fills {status.fills}"
        f"  records {status.records:,}"
        + ("" if status.operating in (None, "BALANCED") else f"  {status.operating}")
        + ("" if status.safety in (None, "NORMAL") else f"  {status.safety}")
    )
