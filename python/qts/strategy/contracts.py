"""What a strategy sees and what it may wish for.

Prices and quantities are integers in the instrument's scales (a KRX price of 70,100 won is `70100`; a price
with eight decimals is multiplied by 10**8), money is in units of the account currency, times are UTC
nanoseconds, and 0 means "not known": a missing ask is a state, never a price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, overload

if TYPE_CHECKING:
    from collections import deque

    from qts.broker.contracts import OrderType, Side, TimeInForce
    from qts.config import SessionPhase as Phase

Purpose: TypeAlias = Literal["ENTRY", "ADD", "REDUCE", "EXIT", "REBALANCE"]
SizeMode: TypeAlias = Literal["CASH", "RISK", "VOLATILITY", "RATIO"]
Urgency: TypeAlias = Literal["LOW", "NORMAL", "HIGH"]
PPM: Final = 1_000_000
"""One whole, where a fraction travels as parts per million."""

EXIT_PHASES: Final[frozenset[Phase]] = frozenset({"OPEN_GUARD", "FULL", "CLOSE_GUARD"})
"""Phases of continuous trading: a position may be reduced in each of them."""

REDUCING: Final[frozenset[Purpose]] = frozenset({"EXIT", "REDUCE"})
"""Purposes that can only make a position smaller."""

OPENING: Final[frozenset[Purpose]] = frozenset({"ENTRY", "ADD"})
"""Purposes that the operating state limits; rebalancing carries out its targets and is none of them."""


class Terms(NamedTuple):
    """What it takes to count in one instrument. Build it with `Terms.of`."""

    instrument: int
    symbol: str
    lot: int
    """Smallest tradable quantity, in quantity units."""
    price_scale: int
    qty_scale: int
    money_scale: int
    value_mul: int
    """Money is price * quantity * value_mul // value_div."""
    value_div: int

    @classmethod
    def of(cls, instrument: int, symbol: str, lot: int, price_scale: int, qty_scale: int, money_scale: int) -> Terms:
        """Return the terms of an instrument whose prices, quantities and money have so many decimals."""
        shift = price_scale + qty_scale - money_scale
        mul: int = 10 ** max(-shift, 0)
        div: int = 10 ** max(shift, 0)
        return cls(instrument, symbol, lot, price_scale, qty_scale, money_scale, mul, div)

    def value(self, price: int, qty: int) -> int:
        """Return price times quantity in money units, rounded down."""
        return price * qty * self.value_mul // self.value_div

    def quantity(self, money: int, price: int) -> int:
        """Return the whole lots that `money` buys at `price`, in quantity units."""
        if money <= 0:
            return 0
        qty = money * self.value_div // (price * self.value_mul)
        return qty - qty % self.lot


class Quote(NamedTuple):
    """The latest prices of an instrument. 0 = not known."""

    last: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    ts_ns: int
    """Engine time of the last market-data event."""
    prev_close: int
    """Close of the previous session, the base of the day's price limits."""


class Bar(NamedTuple):
    """What traded in one closed interval."""

    instrument: int
    interval_ns: int
    start_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Bars(Sequence[Bar]):
    """The closed bars of one instrument, newest last, bounded; read-only for whoever did not make it."""

    __slots__ = ("_rows",)

    def __init__(self, rows: deque[Bar]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Bar: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Bar, ...]: ...
    def __getitem__(self, index: int | slice) -> Bar | tuple[Bar, ...]:
        if isinstance(index, slice):
            return tuple(self._rows)[index]
        return self._rows[index]

    def __iter__(self) -> Iterator[Bar]:
        return iter(self._rows)

    def __reversed__(self) -> Iterator[Bar]:
        return reversed(self._rows)

    def since(self, start_ns: int | None) -> tuple[Bar, ...]:
        """Return the bars that started after `start_ns`, oldest first; all of them for None.

        A strategy that keeps running indicators feeds them with these, so that it sees each bar exactly once.
        """
        rows = self._rows
        if start_ns is None:
            return tuple(rows)
        newer = 0
        for bar in reversed(rows):
            if bar.start_ns <= start_ns:
                break
            newer += 1
        return tuple(islice(rows, len(rows) - newer, None))


class MarketView(NamedTuple):
    """The market of one symbol at the time of a cycle: nothing in it lies after `cycle_ts_ns`."""

    symbol: str
    terms: Terms
    quote: Quote
    bars: Bars
    phase: Phase
    cycle_ts_ns: int


class ExecutionView(NamedTuple):
    """What the strategy's own track holds of one symbol, and what is on its way."""

    position_qty: int
    cost_total: int
    """What the position cost without fees, in money units; divide by the quantity for the average price."""
    opened_ns: int
    working_buy: int
    """Unfilled quantity of working buys."""
    working_sell: int
    """Unfilled quantity of working sells."""
    cash: int
    """Money that a new purchase may use, in money units."""
    last_fill_price: int
    """Price of the last fill of the track in this symbol, 0 = none yet."""

    @property
    def sellable_qty(self) -> int:
        """Quantity held that no working order sells already."""
        return max(0, self.position_qty - self.working_sell)

    @property
    def is_idle(self) -> bool:
        """Whether no order works, so that a new wish meets none of its own."""
        return self.working_buy == 0 and self.working_sell == 0


class Sizing(NamedTuple):
    """How much, where it is neither a quantity nor a weight. E is the equity of the track, P the limit price.

    CASH: money / P. RISK: E * share / (P - stop price). VOLATILITY: E * share / (daily volatility * P), so that one
    usual day moves the position by that share of E. RATIO, for exits: sellable quantity * share. All in whole lots,
    rounded down.
    """

    mode: SizeMode
    amount: int
    """Money units for CASH, else a share in parts per million."""


class Intent(NamedTuple):
    """A wish to trade. The pipeline decides whether and how it becomes an order.

    An entry says how much by `qty` (quantity units), by `target_weight_ppm` (share of the track's equity in parts per
    million) or by `sizing`; an exit that says none of it means everything. Rebalancing to a weight sells as well as
    buys: the pipeline turns its side to where the weight lies.
    """

    symbol: str
    side: Side
    purpose: Purpose
    reason: str
    qty: int | None = None
    target_weight_ppm: int | None = None
    order_type: OrderType = "LIMIT"
    limit_price: int | None = None
    """Price units. None lets the pipeline shape a marketable limit."""
    time_in_force: TimeInForce = "DAY"
    urgency: Urgency = "NORMAL"
    confidence: float = 1.0
    """How sure the strategy is, 0 to 1; an entry below the threshold of the operating state is dropped."""
    ttl_ms: int = 5_000
    """How long an order of this intent may work before the pipeline cancels it."""
    ref_price: int = 0
    """Price that the strategy saw, for the check against the quote; 0 = none."""
    sizing: Sizing | None = None
    stop_price: int | None = None
    """Price at which the strategy gives an entry up, in price units: bounds the quantity by what may be lost to there.

    The exit itself is for the strategy to send.
    """

    @classmethod
    def entry(
        cls,
        symbol: str,
        reason: str,
        *,
        qty: int | None = None,
        weight_ppm: int | None = None,
        limit_price: int | None = None,
        confidence: float = 1.0,
        ttl_ms: int = 5_000,
        ref_price: int = 0,
        sizing: Sizing | None = None,
        stop_price: int | None = None,
    ) -> Intent:
        """Return a wish to buy."""
        return cls(
            symbol,
            "BUY",
            "ENTRY",
            reason,
            qty=qty,
            target_weight_ppm=weight_ppm,
            limit_price=limit_price,
            confidence=confidence,
            ttl_ms=ttl_ms,
            ref_price=ref_price,
            sizing=sizing,
            stop_price=stop_price,
        )

    @classmethod
    def exit(
        cls,
        symbol: str,
        reason: str,
        *,
        limit_price: int | None = None,
        ttl_ms: int = 2_000,
        ref_price: int = 0,
        ratio_ppm: int | None = None,
    ) -> Intent:
        """Return a wish to sell all that the track holds, or `ratio_ppm` of it."""
        return cls(
            symbol,
            "SELL",
            "EXIT",
            reason,
            limit_price=limit_price,
            urgency="HIGH",
            ttl_ms=ttl_ms,
            ref_price=ref_price,
            sizing=None if ratio_ppm is None else Sizing("RATIO", ratio_ppm),
        )


class Tick(Protocol):
    """One market-data event as `on_tick` sees it.

    The view is reused: copy out what has to outlive the call.
    """

    @property
    def ts_ns(self) -> int:
        """Engine (receive) time."""
        ...

    @property
    def symbol(self) -> str:
        """Symbol."""
        ...

    @property
    def instrument(self) -> int:
        """Instrument id."""
        ...

    @property
    def kind(self) -> Literal["Q", "T", "A", "B"]:
        """Q quote, T trade, A auction print, B bar close."""
        ...

    @property
    def price(self) -> int:
        """Price of the print, in price units."""
        ...

    @property
    def qty(self) -> int:
        """Size of the print, in quantity units."""
        ...

    @property
    def bid(self) -> int:
        """Best bid, 0 = none."""
        ...

    @property
    def bid_qty(self) -> int:
        """Size at the best bid."""
        ...

    @property
    def ask(self) -> int:
        """Best ask, 0 = none."""
        ...

    @property
    def ask_qty(self) -> int:
        """Size at the best ask."""
        ...

    @property
    def position_qty(self) -> int:
        """Quantity that the strategy's track holds."""
        ...

    @property
    def working_buy(self) -> int:
        """Unfilled quantity of the track's working buys."""
        ...

    @property
    def working_sell(self) -> int:
        """Unfilled quantity of the track's working sells."""
        ...


class Requirements(NamedTuple):
    """What a strategy needs to be run."""

    bar_interval_ns: int | None = None
    """Bars that wake `generate_intents`; None for a strategy that lives on ticks alone."""
    lookback: int = 1
    """Closed bars that must exist before the first call."""
    phases: frozenset[Phase] = frozenset()
    """Session phases in which it wants to enter beside those that the configuration gives its track.

    Exits are free in all of continuous trading.
    """
