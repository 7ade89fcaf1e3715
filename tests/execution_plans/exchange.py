"""The broker: the core's simulated exchange in the words of the wire, and its own book for the judge."""

from qts._core import SimExchange
from qts.broker.asynchronous import BrokerOrder, FillEvent, OrderNotice

from .market import catalog


class Exchange:
    """Carries requests out and says what it has to say. What only it knows is asked by our order's number."""

    def __init__(self, moments, market, cash: int, *, delay_ns: int = 0) -> None:
        self._moments = moments
        self._market = market
        self._core = SimExchange(
            catalog().core, cash=cash, base_prices=market.bases,
            config={"requests_per_s": 0, "exchange_delay_ns": delay_ns},
        )  # fmt: skip
        self._numbers: dict[int, list[str]] = {}
        """Numbers of our orders, oldest first."""
        self._owner: dict[str, int] = {}
        self.on_due = None
        """Called when something has reached the exchange after its delay."""
        for one, top in market.tops.items():
            self.show(one, top)

    # Requests

    def carry_out(self, kind: str, order_id: int, message) -> tuple:
        """Do what a message asks for, and answer."""
        now_ns, core = self._moments.now_ns, self._core
        if kind == "ORDERS":
            return ("ACK", self.orders())
        if kind == "FILLS":
            return ("ACK", self.fills())
        if kind == "PLACE":
            taken, number, code, text = core.place(
                message.instrument, message.side, message.kind, message.tif, message.limit, message.qty, now_ns
            )
        elif kind == "AMEND":
            taken, number, code, text = core.amend(message.broker_no, message.limit, message.qty, now_ns)
        else:
            taken, number, code, text = core.cancel(message.broker_no, now_ns)
        if not taken:
            return ("REJECT", number, code, text)
        if kind != "CANCEL":
            self._numbers.setdefault(order_id, []).append(number)
            self._owner[number] = order_id
        self._wait()
        return ("ACK", message.broker_no if kind == "CANCEL" else number)

    def fill_now(self, broker_no: str, salt: int) -> None:
        """Fill a part of an order, whatever the market shows."""
        row = next((row for row in self.orders() if row.broker_no == broker_no), None)
        if row is None or not row.remaining_qty:
            return
        instrument = next(one for one, symbol in self._market.symbols.items() if symbol == row.symbol)
        if instrument in self._market.halted:
            return
        price = row.limit if row.kind == "LIMIT" else self._market.tops[instrument].last
        self._core.advance(self._moments.now_ns)
        self._core.fill_now(broker_no, 1 + salt % row.remaining_qty, price)

    def _wait(self) -> None:
        due_ns = self._core.next_due_ns()
        if due_ns is not None:
            self._moments.at(due_ns, self._due)

    def _due(self) -> None:
        self._core.advance(self._moments.now_ns)
        self.on_due()

    # What it says

    def take_events(self) -> list:
        """Return what the stream has to say since it was asked last."""
        events = []
        for row in self._core.notices():
            if row[0] == "FILL":
                events.append(FillEvent(*row[1:]))
            else:
                _, number, kind, original_no, remaining, ts_ns = row
                events.append(OrderNotice(number, kind, original_no, remaining, ts_ns))
        return events

    def orders(self) -> list[BrokerOrder]:
        return [BrokerOrder(*row) for row in self._core.orders()]

    def fills(self) -> list[FillEvent]:
        return [FillEvent(*row) for row in self._core.fills()]

    # The market

    def show(self, instrument: int, top) -> None:
        self._core.on_quote(instrument, top.bid, top.bid_qty, top.ask, top.ask_qty, self._moments.now_ns)

    def show_again(self, symbol: str, side: str) -> None:
        """Show anew what an order of that side has taken: the exchange keeps it back until the price has changed."""
        instrument = next(one for one, name in self._market.symbols.items() if name == symbol)
        top = self._market.tops[instrument]
        self.show(instrument, top._replace(bid=0, bid_qty=0) if side == "SELL" else top._replace(ask=0, ask_qty=0))
        self.show(instrument, top)

    def trade(self, instrument: int, price: int, qty: int) -> None:
        self._core.on_trade(instrument, price, qty, self._moments.now_ns)

    def halt(self, instrument: int, *, halted: bool) -> None:
        self._core.advance(self._moments.now_ns)
        self._core.halt(instrument, halted)

    # For the judge

    @property
    def cash(self) -> int:
        return self._core.cash()[0]

    def position(self, symbol: str) -> int:
        return next((row[1] for row in self._core.positions() if row[0] == symbol), 0)

    def has(self, order_id: int) -> bool:
        """Whether an order of ours was ever taken."""
        return order_id in self._numbers

    def orders_of_ours(self) -> list[int]:
        return list(self._numbers)

    def filled(self, order_id: int) -> int:
        """Filled of an order of ours, under all its numbers."""
        numbers = self._numbers.get(order_id, ())
        return sum(row.filled_qty for row in self.orders() if row.broker_no in numbers)

    def open_qty(self, order_id: int) -> int:
        """What an order of ours may still fill."""
        numbers = self._numbers.get(order_id)
        if not numbers:
            return 0
        return sum(row.remaining_qty for row in self.orders() if row.broker_no in numbers)
