"""`qts-engine backtest --check-lookahead`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from qts.cli.progress import Progress
from qts.codes import UsageError


class _Runs(Progress):
    """Shows which of the runs goes on."""

    def step(self, done: int, runs: int, records: int) -> None:
        """Show how far the check has come."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"run {done + 1} of {runs}: {records:,} records")


def check(
    data: Sequence[Path],
    strategy: Sequence[str],
    *,
    cuts: int,
    as_json: bool,
    out: Path | None,
    **backtest: Any,  # noqa: ANN401 - arguments of `qts.backtest`
) -> None:
    """Run the check and print what it found; exit code 1 if a decision knew the future."""
    from qts.engine import check_lookahead

    if out is not None:
        raise UsageError(
            found="--out together with --check-lookahead",
            expected="one of them: the check writes no report",
            hint="leave --out out",
        )
    with _Runs(enabled=not as_json) as progress:
        report = check_lookahead(data, list(strategy), cuts=cuts, on_progress=progress.step, **backtest)
    sys.stdout.write(f"{json.dumps(report.as_dict(), indent=2) if as_json else report.summary()}\n")
    if not report.is_clean:
        raise typer.Exit(1)
