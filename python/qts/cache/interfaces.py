"""What the cache asks of others: the store, the broker, the session, the feed, and whom it reports to."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol, TypeAlias

from qts.cache.contracts import OrderStatus, Position, Record, RiskSnapshot, StrategyParams

LoadPosition: TypeAlias = Callable[[str], Awaitable[Position | None]]
LoadRisk: TypeAlias = Callable[[], Awaitable[RiskSnapshot | None]]
LoadOrder: TypeAlias = Callable[[str], Awaitable[OrderStatus | None]]
LoadStrategy: TypeAlias = Callable[[str], Awaitable[StrategyParams | None]]


@dataclass(frozen=True, slots=True)
class Loaders:
    """Where records come from when no cache has them. All but `universe` and `halted` are awaited.

    None as an answer means that the store does not know; a store that cannot be read raises. Neither is ever taken
    for a position of zero or for an order that does not exist.
    """

    position: LoadPosition | None = None
    risk: LoadRisk | None = None
    order: LoadOrder | None = None
    strategy: LoadStrategy | None = None
    broker_position: LoadPosition | None = None
    """Asked when the store failed; never on the way of an order."""
    broker_order: LoadOrder | None = None
    trades_today: Callable[[date], Awaitable[int]] | None = None
    """Entries of an exchange day according to the ledger."""
    positions: Callable[[], Awaitable[Iterable[Position]]] | None = None
    """All positions, at warm-up."""
    open_orders: Callable[[], Awaitable[Iterable[OrderStatus]]] | None = None
    strategies: Callable[[], Awaitable[Iterable[StrategyParams]]] | None = None
    universe: Callable[[], Collection[str]] | None = None
    """Symbols that are to be traded; warm-up waits for their quotes."""
    halted: Callable[[], Collection[str]] | None = None
    """Symbols of the universe that are halted, which warm-up does not wait for."""


class Writer(Protocol):
    """Puts a record on record; what it raises means that nothing was."""

    async def __call__(self, record: Record) -> None:
        """Write one record."""
        ...


class Report(NamedTuple):
    """A code of the cache and what it is about."""

    code: str
    subject: str
    """Key, symbol, node or prefix."""
    message: str
    is_over: bool = False
    """The condition has ended."""


class Reporter(Protocol):
    """Takes the codes that the cache raises: FS115, FS116, GR120 to GR126. Called from any thread, must not block."""

    def __call__(self, report: Report, /) -> None:
        """Take one report."""
        ...


class FeedHealth(NamedTuple):
    """How the feed of a symbol is doing."""

    last_message_age_ms: int
    has_gap: bool = False
    resolution_ms: int = 0
    """Step of the feed's timestamps: 1000 if it stamps whole seconds."""


class Sessions(Protocol):
    """Days of the exchange."""

    def trade_date(self) -> date:
        """Return the exchange's day."""
        ...

    def next_open_ms(self, day: date) -> int:
        """Return when the session after `day` opens, in Unix milliseconds."""
        ...

    def is_open(self) -> bool:
        """Return whether a session is on."""
        ...


Audit: TypeAlias = Callable[[str, Mapping[str, str]], None]
"""Puts what an operator does on record; raising refuses it."""


class Ports(NamedTuple):
    """What surrounds the cache, all of it optional."""

    sessions: Sessions | None = None
    feed: Callable[[str], FeedHealth | None] | None = None
    audit: Audit | None = None
    entries_closed: Callable[[], bool] | None = None
    """Whether the gate for new entries is closed, which a flush requires."""
    write: Writer | None = None
    """The store that `write_*` goes to first."""
