"""Ticks as arrays: what a spool gives, what of it may be kept, and why the rest may not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from qts._core import TICK_SPOOL_FIELDS
from qts.clock import NS_PER_DAY, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

Records: TypeAlias = "np.ndarray[Any, np.dtype[np.void]]"
Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
SymbolRow: TypeAlias = tuple[str, int, int]
"""Symbol, decimals of prices, decimals of quantities."""

RECORD: Final = np.dtype(list(TICK_SPOOL_FIELDS))
"""One tick: see `qts._core.TICK_SPOOL_FIELDS`."""
TRADE: Final = 1
STORED_DECIMALS: Final = 8
"""Decimals of a stored price: NUMERIC(18,8), or an integer of so many decimals."""
SOURCE_LENGTH: Final = 20
"""Longest name of a source."""

_LIMIT: Final = 10**18
"""What a stored price has to stay below, in units of its last decimal."""
_FUTURE_NS: Final = 2 * NS_PER_S
_STALE_NS: Final = NS_PER_DAY


class TickBatch(NamedTuple):
    """Ticks of one source in the order of their numbers.

    Args:
        rows: array of `RECORD`, in the scales of the instruments.
        symbols: the instruments that they are numbered in.
    """

    rows: Records
    symbols: tuple[SymbolRow, ...]


class Rejected(NamedTuple):
    """A tick that is not stored as one, and why: FUTURE, STALE, PRICE, VOLUME, RANGE or SYMBOL."""

    row: np.void
    cause: str


class Checked(NamedTuple):
    """What a batch came to.

    Args:
        batch: what may be stored.
        rejected: what may not.
        crossed: ticks whose bid is not below their ask. They are stored: that is what the market showed.
    """

    batch: TickBatch
    rejected: list[Rejected]
    crossed: int

    @property
    def causes(self) -> dict[str, int]:
        """How many were rejected, by cause."""
        return dict(Counter(one.cause for one in self.rejected))


class TickRow(NamedTuple):
    """A tick as it is read back. Sizes are in units of the instrument's quantity scale, as they are stored."""

    time: datetime
    symbol: str
    kind: str
    price: Decimal | None
    volume: int
    side: str | None
    bid: Decimal | None
    ask: Decimal | None
    bid_qty: int | None
    ask_qty: int | None
    source: str
    seq: int
    event_ns: int
    recv_ns: int


def decimals(batch: TickBatch) -> Numbers:
    """Return what a price of each row is multiplied with to be in units of the eighth decimal."""
    table = np.array([10 ** (STORED_DECIMALS - price) for _, price, _ in batch.symbols], dtype=np.int64)
    factors: Numbers = table[batch.rows["instrument"]]
    return factors


def check(batch: TickBatch) -> Checked:
    """Tell what of a batch may be stored.

    A trade has a price above zero, sizes are never negative, prices fit into NUMERIC(18,8), and the market's time is at
    most two seconds ahead of the time of receipt and at most a day behind it.
    """
    rows = batch.rows
    cause = np.zeros(len(rows), dtype=np.uint8)
    known = rows["instrument"] < len(batch.symbols)
    limits = np.array([_LIMIT // 10 ** (STORED_DECIMALS - price) for _, price, _ in batch.symbols] or [0])
    limit = limits[np.where(known, rows["instrument"], 0)]
    ahead = rows["ts_event_ns"] - rows["ts_recv_ns"]
    is_trade = rows["kind"] == TRADE
    prices = (rows["price"], rows["bid"], rows["ask"])
    # The last cause that holds is the one that is told.
    for number, wrong in enumerate(
        (
            ahead > _FUTURE_NS,
            ahead < -_STALE_NS,
            np.logical_or.reduce([price >= limit for price in prices]),
            (rows["qty"] < 0) | (rows["bid_qty"] < 0) | (rows["ask_qty"] < 0),
            (is_trade & (rows["price"] <= 0)) | np.logical_or.reduce([price < 0 for price in prices]),
            ~known,
        ),
        start=1,
    ):
        cause[wrong] = number
    bad = np.flatnonzero(cause)
    good = rows if not len(bad) else rows[cause == 0]
    crossed = (good["bid"] >= good["ask"]) & (good["bid"] > 0) & (good["ask"] > 0)
    rejected = [Rejected(rows[at], _CAUSES[cause[at]]) for at in bad]
    return Checked(TickBatch(good, batch.symbols), rejected, int(np.count_nonzero(crossed)))


_CAUSES: Final = ("", "FUTURE", "STALE", "RANGE", "VOLUME", "PRICE", "SYMBOL")


class SessionVolume:
    """Turns the volume of a session so far, as some feeds tell it, into that of each tick.

    For the feed's side, in front of the spool. A smaller figure than before is a new session.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self.resets: Counter[str] = Counter()

    def seed(self, symbol: str, total: int) -> None:
        """Say how much had been traded before the first tick; without that the first tick counts as nothing."""
        self._seen[symbol] = total

    def of_tick(self, symbol: str, total: int) -> int:
        """Return what was traded with this tick, in the units of `total`."""
        before = self._seen.get(symbol)
        self._seen[symbol] = total
        if before is None:
            return 0
        if total < before:
            self.resets[symbol] += 1
            return total
        return total - before


def batch_of(data: bytes, symbols: Sequence[SymbolRow]) -> TickBatch:
    """Return the bytes that a spool gives as a batch."""
    return TickBatch(np.frombuffer(data, dtype=RECORD), tuple(symbols))
