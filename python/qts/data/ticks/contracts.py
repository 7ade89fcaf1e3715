"""What the tick store asks of the place that ticks go to, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from qts.codes import EngineFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from qts.data.ticks.records import Rejected, TickBatch, TickRow


Reporter: TypeAlias = Callable[[str, str], object]
"""Is told a code and what happened, in words."""


class SinkUnavailable(EngineFault):
    """The place that ticks go to does not answer, or refuses: nothing of the batch is there, or all of it.

    Ask `position` before anything else.
    """


class TickSink(Protocol):
    """Where ticks are kept. One task uses it."""

    async def position(self) -> int:
        """Return the number of the last tick that is kept, 0 if there is none.

        Raises:
            SinkUnavailable: it does not answer.
        """
        ...

    async def copy(self, batch: TickBatch, rejected: Sequence[Rejected], *, through_seq: int) -> int:
        """Keep a batch and the position in one transaction; return how many ticks were kept.

        Ticks up to the position are there already and are passed over.

        Raises:
            SinkUnavailable: nothing was kept, or it is not known. Doing it again is safe.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files; never raises."""
        ...


class TickReader(Protocol):
    """Where ticks are read back from."""

    async def fetch_ticks(
        self, symbol: str, start: datetime, end: datetime, limit: int, *, source: str | None = None
    ) -> list[TickRow]:
        """Return ticks from `start` to before `end` by (time, seq), at most `limit`.

        Raises:
            UsageError: the range is empty, naive or without a bound, or the limit is out of range.
            SinkUnavailable: the store does not answer: that is not the same as no ticks.
        """
        ...

    def stream(
        self, start: datetime, end: datetime, *, source: str | None = None
    ) -> AsyncGenerator[list[TickRow], None]:
        """Return all ticks from `start` to before `end` in the order in which they came, in blocks.

        Close it if it is not read to its end.

        Raises:
            UsageError: as `fetch_ticks`.
            SinkUnavailable: the store does not answer.
        """
        ...


class TickFigures(NamedTuple):
    """What became of the ticks since the start.

    Args:
        stored: kept.
        rejected: kept apart, by cause.
        crossed: stored with a bid that is not below the ask.
        lost: never written to the spool.
        through_seq: number of the last one that is kept.
        behind: whether the spool holds more than is kept.
        failures: attempts that failed in a row; 0 while the store answers.
        is_shut: nothing is taken because the disk is nearly full.
    """

    stored: int
    rejected: dict[str, int]
    crossed: int
    lost: int
    through_seq: int
    behind: bool
    failures: int
    is_shut: bool
