"""`qts-engine sample`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from qts.cli import options


def sample(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write to.", show_default=False)],
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same files.", min=0)] = 7,
    days: Annotated[int, typer.Option("--days", help="Daily bars of so many sessions.", min=1, max=2_000)] = 250,
    config: options.ConfigDir = None,
) -> None:
    """Write sample data: the ticks of one simulated session and daily bars, made by the paper market's generator.

    Example: qts-engine sample --out sample && qts-engine backtest --data sample/ticks.csv.gz --strategy ema_cross
    """
    from qts.engine import write_sample

    for path, rows in write_sample(out, seed=seed, days=days, config=config):
        sys.stdout.write(f"{path}: {rows:,} rows\n")
