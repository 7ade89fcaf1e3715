"""The simulated broker's own book: `_core.SimExchange` in the words of the asynchronous port.

Nothing here waits. The book knows symbols and its own numbers, and neither tracks nor executions nor ids of ours.

Its state, as a file for `qts.broker.sim_server`, is JSON:

    {"instruments": [<InstrumentSpec>, ...], "cash": 100000000, "base_prices": {"005930": 71000}, "config": {...}}

`instruments` are what `_core.Instruments.add` takes, `cash` is in money units, `base_prices` are those of the day's
limits, and `config` is what `_core.SimExchange` takes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from qts._core import Instruments, SimExchange
from qts.broker.asynchronous import (
    BrokerCash,
    BrokerOrder,
    BrokerPosition,
    CancelAck,
    Capability,
    FillEvent,
    ModifyAck,
    OrderAck,
    OrderNotice,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts._shapes import InstrumentSpec
    from qts.broker.asynchronous import RejectKind, StreamEvent
    from qts.broker.contracts import OrderType, Side, TimeInForce

_DEFAULT_RATE: Final = 18
"""Of `_core.SimExchange`, requests in a second."""
_UNLIMITED: Final = 1_000
"""What a broker that takes any number says it takes."""


class SimBook:
    """A broker's orders, executions, holdings and cash, with an exchange behind it that a caller moves.

    Args:
        instruments: what can be traded.
        cash: in money units.
        base_prices: bases of the day's limits, by symbol; a symbol without one has no limits.
        config: see `_core.SimExchange`.
    """

    def __init__(
        self,
        instruments: Instruments,
        *,
        cash: int,
        base_prices: Mapping[str, int] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        bases = {_known(instruments, symbol): price for symbol, price in (base_prices or {}).items()}
        self._exchange = SimExchange(instruments, cash=cash, base_prices=bases, config=dict(config or {}))
        rate = int((config or {}).get("requests_per_s", _DEFAULT_RATE)) or _UNLIMITED
        self.capability: Final = Capability("sim", False, True, rate, rate)  # noqa: FBT003 - fields of a contract

    @classmethod
    def from_state(cls, text: str) -> SimBook:
        """Open the book that a state file describes.

        Raises:
            ValueError: it cannot be read; KeyError and TypeError: something is missing in it, or of the wrong kind.
        """
        state = json.loads(text)
        instruments = Instruments()
        for spec in state["instruments"]:
            instruments.add(_spec(spec))
        return cls(instruments, cash=state["cash"], base_prices=state.get("base_prices"), config=state.get("config"))

    def place(
        self, *, symbol: str, side: Side, kind: OrderType, tif: TimeInForce, limit: int, qty: int, now_ns: int
    ) -> OrderAck:
        """Take an order, or `Rejected`."""
        number = _taken(self._exchange.place(symbol, side, kind, tif, limit, qty, now_ns))
        return OrderAck(number, now_ns)

    def amend(self, *, broker_no: str, limit: int, qty: int, now_ns: int) -> ModifyAck:
        """Take an amendment, or `Rejected`. Whether it goes through is told by a notice under the number returned."""
        number = _taken(self._exchange.amend(broker_no, limit, qty, now_ns))
        return ModifyAck(number, broker_no, now_ns)

    def cancel(self, *, broker_no: str, now_ns: int) -> CancelAck:
        """Take a cancel, or `Rejected`."""
        _taken(self._exchange.cancel(broker_no, now_ns))
        return CancelAck(broker_no, now_ns)

    def charge(self, now_ns: int) -> None:
        """Count a question against the broker's rate; `Rejected` if there are too many."""
        _taken(self._exchange.charge(now_ns))

    def orders(self, *, open_only: bool) -> list[BrokerOrder]:
        """Orders of the day by number."""
        return [BrokerOrder._make(row) for row in self._exchange.orders(open_only)]

    def fills(self, since_ns: int = 0) -> list[FillEvent]:
        """Executions of the day, oldest first."""
        return [FillEvent._make(row) for row in self._exchange.fills(since_ns)]

    def positions(self) -> list[BrokerPosition]:
        """What is held."""
        return [BrokerPosition._make(row) for row in self._exchange.positions()]

    def cash(self) -> BrokerCash:
        """Money."""
        return BrokerCash._make(self._exchange.cash())

    def notices(self) -> list[StreamEvent]:
        """What the stream has to say since it was asked last."""
        return [
            FillEvent._make(row[1:]) if row[0] == "FILL" else OrderNotice._make(row[1:])
            for row in self._exchange.notices()
        ]

    def next_due_ns(self) -> int | None:
        """When something next reaches the exchange; None if nothing is on the way."""
        return self._exchange.next_due_ns()

    def pass_time(self, now_ns: int) -> None:
        """Let what is due reach the exchange."""
        self._exchange.advance(now_ns)

    # What the market does

    def quote(self, *, symbol: str, bid: int, bid_qty: int, ask: int, ask_qty: int, now_ns: int) -> None:
        """Move the best prices; 0 is an empty side. ValueError if nobody knows the symbol."""
        self._exchange.on_quote(symbol, bid, bid_qty, ask, ask_qty, now_ns)

    def trade(self, *, symbol: str, price: int, qty: int, now_ns: int) -> None:
        """Let others trade. ValueError if nobody knows the symbol."""
        self._exchange.on_trade(symbol, price, qty, now_ns)

    def halt(self, *, symbol: str, halted: bool, now_ns: int) -> None:
        """Halt a symbol, or let it go on. ValueError if nobody knows it."""
        self._exchange.advance(now_ns)
        self._exchange.halt(symbol, halted)

    def fill_now(self, *, broker_no: str, qty: int, price: int, now_ns: int) -> bool:
        """Fill a part of an order whatever the market shows; False if it cannot be."""
        self._exchange.advance(now_ns)
        return self._exchange.fill_now(broker_no, qty, price)

    def reject_next(self, kind: RejectKind, action: Literal["PLACE", "AMEND", "CANCEL"] | None = None) -> None:
        """Refuse the next request, or the next of one kind."""
        self._exchange.reject_next(kind, action)

    def reject_next_at_exchange(self) -> None:
        """Take the next order and have the exchange refuse it."""
        self._exchange.reject_next_at_exchange()

    def transfer_in(self, *, symbol: str, qty: int, cost: int) -> None:
        """Add to what is held. ValueError if nobody knows the symbol."""
        self._exchange.transfer_in(symbol, qty, cost)

    def end_session(self, now_ns: int) -> None:
        """End the session: what works expires."""
        self._exchange.end_session(now_ns)


def _taken(answer: tuple[bool, str, str, str]) -> str:
    """Return the number; `Rejected` if there is none."""
    is_taken, number_or_kind, code, text = answer
    if not is_taken:
        raise Rejected(cast("RejectKind", number_or_kind), code, text)
    return number_or_kind


def _known(instruments: Instruments, symbol: str) -> int:
    if (number := instruments.find(symbol)) is None:
        raise ValueError(f"base price of {symbol!r}, which is none of the instruments")
    return number


def _spec(row: dict[str, Any]) -> InstrumentSpec:
    """Give a specification the tuples that JSON does not have."""
    ladder = [(since, [tuple(band) for band in bands]) for since, bands in row["ladder"]]
    dated = {key: [tuple(line) for line in row[key]] for key in ("costs", "limit_rate")}
    return cast("InstrumentSpec", row | {"ladder": ladder} | dated)
