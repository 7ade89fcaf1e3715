"""`qts-engine backtest`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from qts.cli import lookahead, options
from qts.cli.progress import Progress
from qts.codes import UsageError


def backtest(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="PATH",
            help="Ticks or bars: .csv, .csv.gz or .parquet. May be repeated.",
            show_default=False,
        ),
    ],
    strategy: Annotated[
        list[str],
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="ema_cross, quote_reversion, daily_momentum..., or your own as module:Class. May be repeated: "
            "strategies of several tracks share one account through capital pools.",
            show_default=False,
        ),
    ],
    set_: options.Settings = None,
    cash: options.Cash = None,
    out: options.Out = None,
    config: options.ConfigDir = None,
    *,
    symbols: options.Symbols = None,
    vol_index: Annotated[
        Path | None,
        typer.Option("--vol-index", metavar="CSV", help="Daily closes of the VIX: DATE,OPEN,HIGH,LOW,CLOSE."),
    ] = None,
    bridge: Annotated[
        int,
        typer.Option(
            "--bridge",
            metavar="N",
            help="Play daily bars as N trades a day, made up by chance between their prices (39: every ten minutes).",
            show_default=False,
        ),
    ] = 0,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Count bad rows instead of ending at the first one.")
    ] = False,
    check_lookahead: Annotated[
        bool,
        typer.Option(
            "--check-lookahead",
            help="Prove instead that no decision knew the future: run again with other futures and compare.",
        ),
    ] = False,
    lookahead_cuts: Annotated[
        int, typer.Option("--lookahead-cuts", metavar="N", help="Moments from which on the future is another one.")
    ] = 5,
    as_json: options.Json = False,
) -> None:
    """Run recorded ticks or bars through the engine at full speed and report what came of it.

    The same input and configuration give the same decisions and the same fills, byte for byte.

    Example: qts-engine backtest --data ticks.csv.gz --strategy ema_cross --set fast=8 --out out/ema

    With several strategies a parameter is set as NAME.PARAMETER=VALUE.
    """
    from qts.engine import backtest as run_backtest

    if not data:
        raise UsageError(found="no --data", expected="at least one file", hint="add --data PATH")
    wanted: dict[str, Any] = {
        "params": options.settings(set_),
        "cash": cash,
        "config": config,
        "skip_bad_rows": skip_bad_rows,
        "symbols": options.symbols_of(symbols),
        "vol_index": vol_index,
        "bridge": bridge,
    }
    if check_lookahead:
        lookahead.check(data, strategy, cuts=lookahead_cuts, as_json=as_json, out=out, **wanted)
        return
    with Progress(enabled=not as_json) as progress:
        result = run_backtest(data, strategy=strategy, on_progress=progress.rows, out=out, **wanted)
    sys.stdout.write(f"{json.dumps(result.report, indent=2)}\n" if as_json else f"{result.summary()}\n")
    if out is not None and not as_json:
        sys.stdout.write(f"\nreport: {out / 'report.html'}\n")
