"""A broker whose answers are held against each other before anybody relies on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from qts.broker.asynchronous import AnswerLost, BrokerError, FillEvent
from qts.broker.wrapped import Wrapped
from qts.clock import utc_date

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import date

    from qts.broker.asynchronous import (
        AsyncBrokerInterface,
        BrokerCash,
        BrokerOrder,
        BrokerPosition,
        CancelAck,
        ModifyAck,
        OrderAck,
        SendPermit,
        StreamEvent,
    )
    from qts.clock import Clock

T = TypeVar("T")

_KST_S: Final = 9 * 3_600


class Checked(Wrapped):
    """A broker that may answer wrongly, but is not believed then.

    What can be recognised is dealt with here:

    - rows that come twice are one row; rows with the same number that contradict each other are `AnswerLost`;
    - a row that contradicts itself (more filled than ordered, live and nothing left) is `AnswerLost`;
    - a list of the day's orders in which a number is missing that the broker has given today, in an answer, on the
      stream or in an earlier list, is `AnswerLost`, and so is a list of executions that lacks one known already: an
      empty list is no proof that an order is absent while others are known;
    - an adapter that raises anything but the three kinds of `BrokerError` is `AnswerLost`: it may have gone through.

    What cannot be recognised is an order missing that nobody here ever heard of. That is why one list proves no
    absence: it takes several over a minute, and positions and cash that did not move.

    Args:
        inner: the broker.
        clock: tells the broker's day, which ends at midnight in Korea; what is known of a day is forgotten after it.
    """

    def __init__(self, inner: AsyncBrokerInterface, clock: Clock) -> None:
        super().__init__(inner)
        self._clock = clock
        self._day: date | None = None
        self._orders: set[str] = set()
        self._fills: dict[str, FillEvent] = {}
        inner.subscribe_fills(self._hear)

    async def connect(self) -> None:
        """Connect the broker inside."""
        await _only_known_errors(self._inner.connect())

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order, and remember its number."""
        ack = await _only_known_errors(self._inner.send(permit))
        self._today().add(ack.broker_no)
        return ack

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order, and remember its number."""
        ack = await _only_known_errors(self._inner.modify(permit))
        self._today().add(ack.broker_no)
        return ack

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order."""
        return await _only_known_errors(self._inner.cancel(permit))

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day, none missing that is known."""
        known = set(self._today())  # what becomes known while the broker answers need not be in its answer
        rows = _unique(await _only_known_errors(self._inner.query_orders()), _number_of_order, "orders")
        listed = _all_sound(rows)
        if missing := (known & self._today()) - listed:
            raise AnswerLost(f"a list of {len(rows)} orders lacks {len(missing)} that the broker has given numbers to")
        self._orders |= listed
        return rows

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work. One that is missing may have ended, so nothing is proven by it."""
        rows = _unique(await _only_known_errors(self._inner.query_open_orders()), _number_of_order, "orders")
        self._today().update(_all_sound(rows))
        return rows

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions of the day at or after `since_ns`, none missing that is known."""
        self._today()
        known = {number for number, fill in self._fills.items() if fill.ts_ns >= since_ns}
        rows = _unique(await _only_known_errors(self._inner.query_fills(since_ns)), _number_of_fill, "executions")
        self._today()
        listed = {row.event_id for row in rows}
        if missing := (known & self._fills.keys()) - listed:
            raise AnswerLost(f"a list of {len(rows)} executions lacks {len(missing)} that are known")
        self._fills.update((row.event_id, row) for row in rows)
        return rows

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held, a row for each symbol."""
        return _unique(await _only_known_errors(self._inner.query_positions()), _symbol, "positions")

    async def query_cash(self) -> BrokerCash:
        """Money at the broker."""
        return await _only_known_errors(self._inner.query_cash())

    async def heartbeat(self) -> None:
        """Return if the broker answers."""
        await _only_known_errors(self._inner.heartbeat())

    def _hear(self, event: StreamEvent) -> None:
        orders = self._today()
        if utc_date(event.ts_ns, _KST_S) != self._day:
            return  # of yesterday: today's lists need not have it
        if isinstance(event, FillEvent):
            self._fills[event.event_id] = event
            orders.add(event.broker_no)
        elif event.kind != "REJECTED" or not event.original_no:  # the number of a refused request is no order's
            orders.add(event.broker_no)

    def _today(self) -> set[str]:
        """Numbers of the day that it is now."""
        if (day := utc_date(self._clock.now_ns(), _KST_S)) != self._day:
            self._day = day
            self._orders.clear()
            self._fills.clear()
        return self._orders


async def _only_known_errors(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except BrokerError:
        raise
    except Exception as error:
        raise AnswerLost(f"the adapter failed: {type(error).__name__}") from error


def _unique(rows: Iterable[T], number: Callable[[T], str], of: str) -> list[T]:
    """Rows without those that come again; `AnswerLost` if they say something else then."""
    found: dict[str, T] = {}
    for row in rows:
        if found.setdefault(number(row), row) != row:
            raise AnswerLost(f"a list of {of} says two things about one number")
    return list(found.values())


def _all_sound(rows: Iterable[BrokerOrder]) -> set[str]:
    """Their numbers; `AnswerLost` if a row cannot be true."""
    numbers = set()
    for row in rows:
        if row.qty <= 0 or row.filled_qty < 0 or row.remaining_qty < 0 or row.filled_qty + row.remaining_qty > row.qty:
            raise AnswerLost(f"a row of {row.filled_qty} filled and {row.remaining_qty} left of {row.qty}")
        if row.is_live and not row.remaining_qty:
            raise AnswerLost("a row of a live order with nothing left")
        numbers.add(row.broker_no)
    return numbers


def _number_of_order(row: BrokerOrder) -> str:
    return row.broker_no


def _number_of_fill(row: FillEvent) -> str:
    return row.event_id


def _symbol(row: BrokerPosition) -> str:
    return row.symbol
