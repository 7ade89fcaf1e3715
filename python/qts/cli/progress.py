"""Progress of long work: a live line on a terminal, silence elsewhere."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


class Progress:
    """Shows rows as they are handled, on standard error, while standard output stays clean for the result."""

    def __init__(self, *, enabled: bool) -> None:
        console = Console(stderr=True)
        self._bar: RichProgress | None = None
        if enabled and sys.stderr.isatty():
            self._bar = RichProgress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("reading", total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def rows(self, rows: int, fills: int) -> None:
        """Show how far the run has come."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{rows:,} records, {fills:,} fills")
