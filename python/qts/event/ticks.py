"""Market data in batches: records of fixed size in any buffer, without an object for each tick.

With numpy, `numpy.zeros(n, dtype=TICK_DTYPE)` is a batch to fill in, and `numpy.frombuffer(records, dtype=TICK_DTYPE)`
shows what a handler gets.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from qts._core import TICK_FIELDS, LiveBus
from qts.codes import UsageError
from qts.event.errors import EventError
from qts.event.notify import Level
from qts.event.types import EventPriority, EventType
from qts.event.wire import SOURCES, symbol_count, symbol_name, symbol_number

if TYPE_CHECKING:
    from typing_extensions import Buffer

TICK_DTYPE: Final = tuple(TICK_FIELDS)
"""Fields of a record with their numpy types: `ts_ns` (UTC), `symbol` (see `symbol_number`), `reserved` (0), then
`price`, `volume`, `bid` and `ask` as integers in the scales of the symbol. `numpy.dtype(list(TICK_DTYPE))` is 48 bytes.
"""
TICK_BYTES: Final = sum(int(form[2:]) for _, form in TICK_DTYPE)
"""Bytes of a record."""
TICKS_AT_ONCE: Final = 4_096
"""Most ticks that a handler gets in one call."""
_IDENTITY_BITS: Final = 40
"""Identities of a batch count up in so many bits behind a random part."""

TickHandler = Callable[[bytes], None]
"""Takes the records of some ticks, oldest first."""


class TickResult(NamedTuple):
    """What became of the ticks of a batch.

    Args:
        admitted: taken in.
        displaced: older events that made room for them.
        refused: given up because the oldest event was being taken at that moment, 64 times in a row.
        closed: not taken in because the dispatcher does not run.
    """

    admitted: int
    displaced: int
    refused: int
    closed: int


def symbol_rows(scales: Mapping[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Return symbol and scales of every number; names those that have none yet.

    Raises:
        UsageError: a symbol has a number and no scales.
    """
    for symbol in scales:
        symbol_number(symbol)
    names = [symbol_name(number) for number in range(symbol_count())]
    unknown = [name for name in names if name not in scales]
    if unknown:
        raise UsageError(
            found=f"no scales for {', '.join(unknown[:5])}",
            expected="decimals of price and quantity of every symbol that has a number",
            hint="take them from the instrument table",
        )
    return [(name, *scales[name]) for name in names]


def dispatch_ticks(bus: LiveBus, batch: "Buffer", source: str) -> TickResult:
    """Admit the ticks of a batch; see `EventDispatcher.dispatch_ticks`."""
    if source not in SOURCES:
        raise EventError(EventType.PRICE_TICK, "source", found=source, expected=f"one of {', '.join(SOURCES)}")
    _check_shape(batch)
    first_id = (uuid.uuid4().int >> _IDENTITY_BITS << _IDENTITY_BITS).to_bytes(16, "big")
    try:
        return TickResult(*bus.dispatch_ticks(batch, symbol_count(), SOURCES.index(source), first_id))
    except ValueError as error:
        number, field, found, expected = error.args
        where = f"record {number}" + (f", {field}" if field else "")
        raise EventError(EventType.PRICE_TICK, where, found=found, expected=expected) from error


def _check_shape(batch: "Buffer") -> None:
    """Check that the elements of a batch are bytes or records: numbers of another type would be read as nonsense."""
    try:
        view = memoryview(batch)
    except TypeError as error:
        found = type(batch).__name__
        raise EventError(EventType.PRICE_TICK, "batch", found=found, expected="a buffer of records") from error
    dtype = getattr(batch, "dtype", None)
    fields = [] if dtype is None or dtype.names is None else [row[:2] for row in dtype.descr]
    if fields and fields != list(TICK_DTYPE):
        raise EventError(EventType.PRICE_TICK, "dtype", found=str(fields), expected=str(list(TICK_DTYPE)))
    if view.itemsize not in {1, TICK_BYTES}:
        found, expected = f"elements of {view.itemsize} bytes", f"bytes, or records of {TICK_BYTES} bytes"
        raise EventError(EventType.PRICE_TICK, "batch", found=found, expected=expected)


class TickFeed(Level):
    """P1 ticks on their way to handlers that take them as records.

    Args:
        bus: the core.
    """

    def __init__(self, bus: LiveBus) -> None:
        super().__init__(bus, EventPriority.P1_HIGH, TICKS_AT_ONCE)
        self.handlers: list[tuple[str, TickHandler]] = []

    def subscribe(self, loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> int:  # noqa: ARG002 - as its base
        """Listen to ticks; return the descriptor to wait for."""
        return self._bus.subscribe_ticks()

    def drain(self, server: object) -> bool:
        """Take a batch and call the handlers; False if there was nothing to do or another thread serves the feed."""
        if not self.is_served_by(server):
            return False
        records = self._bus.drain_ticks(self._batch)
        count = len(records) // TICK_BYTES
        if self._is_ceasing.is_set():
            self.discarded += count
            return count > 0
        for name, handler in self.handlers if records else ():
            try:
                handler(records)
            except BaseException as error:  # even SystemExit must not take the thread with it
                self.failed(name, "", error, 1)
        self.handled += count
        return count > 0
