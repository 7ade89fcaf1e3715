"""Whatever a broker does with answers, fills and cancels: nothing is sent or sold twice, and everything ends.

The broker here keeps its own books. At the end they are compared with the gateway's, and with what was told.
"""

import random
from dataclasses import dataclass

import pytest
from pipeline_desk import SYMBOL, Desk, S

from qts._core import PermitRefused
from qts.execution import BookedFill, EscapeMode, EscapeReason
from qts.execution.interfaces import Closed, ListedOrder, Query

ENDED = {"FILLED", "CANCELLED", "EXPIRED", "REJECTED"}


@dataclass
class Order:
    """An order in the broker's books."""

    number: str
    side: str
    kind: str
    qty: int
    price: int
    ts_ns: int
    original: str = ""
    filled: int = 0
    is_live: bool = True


class Chaos(Desk):
    """A desk whose broker loses, delays, repeats and refuses."""

    def __init__(self, seed):
        super().__init__()
        self.random = random.Random(seed)  # noqa: S311 - a broker's luck
        self.book = []
        self.fills = []
        """Every fill there was: (event id, number, qty, price)."""
        self.told = set()
        self.sends = {}
        self.later = []
        """(time, order in time, what then)."""
        self.ticket = 0

    def at(self, seconds, then):
        self.ticket += 1
        self.later.append((self.now_ns + round(seconds * S), self.ticket, then))

    def act(self):
        while commands := self.pipeline.take_commands():
            self.commands += commands
            for command in commands:
                if isinstance(command, Query):
                    self.at(self.random.uniform(0.01, 1.5), self.listing)
                elif isinstance(command, Closed):
                    self.closed.append(command.result)
                else:
                    self.carry(command)

    def carry(self, command):
        order_id = command.order_id
        if self.random.random() < 0.05:
            command.permit.void()
            self.answer_not_sent(command)
            return
        try:
            message = command.permit.redeem(self.now_ns)
        except PermitRefused:
            self.answer_not_sent(command)
            return
        if command.action == "PLACE":
            self.sends[order_id] = self.sends.get(order_id, 0) + 1
            self.at(self.random.uniform(0.001, 0.3), lambda: self.placed(order_id, message))
        elif command.action == "AMEND":
            self.at(self.random.uniform(0.001, 0.3), lambda: self.amend(order_id, message))
        else:
            self.at(self.random.uniform(0.001, 0.3), lambda: self.cancel(order_id, message))

    def answer_not_sent(self, command):
        tell = {
            "PLACE": self.pipeline.on_not_sent,
            "AMEND": self.pipeline.on_amend_not_sent,
            "CANCEL": self.pipeline.on_cancel_not_sent,
        }
        tell[command.action](command.order_id, "no", self.now_ns)

    # ------------------------------------------------------------------ what the broker does

    def of(self, number):
        return next((one for one in self.book if one.number == number), None)

    def filled_of(self, order):
        """Filled under this number and those that it replaced."""
        before = self.of(order.original)
        return order.filled + (self.filled_of(before) if before else 0)

    def placed(self, order_id, message):
        luck = self.random.random()
        if luck < 0.08:
            self.reject(order_id, self.random.choice(["TRANSIENT", "TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE"]))
            return
        if luck < 0.13:
            self.lose(order_id)  # and it never arrived
            return
        number = self.number()
        order = Order(number, message.side, message.kind, message.qty, message.limit, self.now_ns)
        self.book.append(order)
        self.plan_fills(order)
        if luck < 0.25:
            self.lose(order_id)
        elif luck < 0.35:
            self.at(self.random.uniform(0.1, 8), lambda: self.late_ack(order_id, number))
        else:
            self.ack(order_id, number)

    def late_ack(self, order_id, number):
        if self.gateway.find(number) is None:
            self.ack(order_id, number)

    def plan_fills(self, order):
        for _ in range(self.random.randrange(4)):
            share = max(1, order.qty // self.random.randrange(1, 5))
            delay = self.random.choice([0.0, 0.1, 1, 4, 10, 59.95, 62])
            self.at(delay * self.random.uniform(0.5, 1.1), lambda share=share: self.execute(order, share))

    def execute(self, order, qty):
        qty = min(qty, order.qty - order.filled)
        if not order.is_live or qty <= 0:
            return
        order.filled += qty
        order.is_live = order.filled < order.qty
        fill = (f"x{len(self.fills)}", order.number, qty, order.price)
        self.fills.append(fill)
        if self.random.random() < 0.8:  # else only a list tells
            self.hear(fill)
        if self.random.random() < 0.1:
            self.hear(fill)

    def hear(self, fill):
        event, number, qty, price = fill
        order_id = self.gateway.find(number)
        if order_id is None:
            return
        state, total, rest, _ = self.gateway.on_fill(order_id, event, qty, price, 3, 0, self.now_ns)
        if state == "DUPLICATE":
            return
        assert event not in self.told
        self.told.add(event)
        self.pipeline.on_fill(BookedFill(order_id, qty, price, 3, 0, total, rest, self.now_ns, state == "OVERFILL"))
        self.act()

    def amend(self, order_id, message):
        order = self.of(message.broker_no)
        luck = self.random.random()
        filled = self.filled_of(order)
        if luck < 0.2 or not order.is_live or message.qty <= filled:
            self.amend_rejected(order_id, "PERMANENT" if order.is_live else "ALREADY_DONE")
            return
        number = self.number()
        order.is_live = False
        renewed = Order(number, order.side, order.kind, message.qty - filled, message.limit, self.now_ns, order.number)
        self.book.append(renewed)
        self.plan_fills(renewed)
        if luck < 0.85:
            self.amended(order_id, number)
        else:
            self.gateway.on_lost(order_id, self.now_ns)
            self.pipeline.on_amend_lost(order_id, "reset", self.now_ns)
            self.act()

    def cancel(self, order_id, message):
        order = self.of(message.broker_no)
        luck = self.random.random()
        if luck < 0.15:
            self.cancel_rejected(order_id, "TRANSIENT")
        elif not order.is_live:
            self.cancel_rejected(order_id, "ALREADY_DONE")
        elif luck < 0.3:
            order.is_live = self.random.random() < 0.5
            self.gateway.on_lost(order_id, self.now_ns)
            self.pipeline.on_cancel_lost(order_id, "reset", self.now_ns)
            self.act()
        else:
            order.is_live = False
            self.pipeline.on_cancel_taken(order_id, self.now_ns)
            self.act()
            if self.random.random() < 0.7:
                self.finished(order)

    def finished(self, order):
        """The stream or a list says that an order has ended, once every fill of it is booked."""
        order_id = self.gateway.find(order.number)
        if order_id is None:
            return
        state, filled, _, newest = self.gateway.order_state(order_id)
        ours = sum(qty for event, number, qty, _ in self.fills if self.gateway.find(number) == order_id)
        if state not in ENDED and newest == order.number and filled == ours:
            self.end(order_id)

    def listing(self):
        if self.random.random() < 0.1:
            return  # lost
        rows = [
            ListedOrder(
                one.number,
                one.original,
                SYMBOL,
                one.side,
                one.kind,
                one.qty,
                one.price,
                one.filled,
                one.qty - one.filled,
                one.is_live,
                one.ts_ns,
            )
            for one in self.book
        ]
        self.adopt(rows)
        self.catch_up()
        self.pipeline.on_listing(rows, self.now_ns)
        self.act()
        self.catch_up()
        for order in self.book:
            if not order.is_live:
                self.finished(order)
        for order_id in self.absent:
            if self.gateway.order_state(order_id)[0] == "UNKNOWN":
                self.prove_absent(order_id)

    def adopt(self, rows):
        for row in rows:
            if row.original_no and self.gateway.find(row.broker_no) is None:
                order_id = self.gateway.find(row.original_no)
                if order_id is not None:
                    self.amended(order_id, row.broker_no)

    def catch_up(self):
        for fill in self.fills:
            if fill[0] not in self.told:
                self.hear(fill)

    # ------------------------------------------------------------------ time

    def run(self, seconds):
        end_ns = self.now_ns + round(seconds * S)
        while True:
            due = [one[0] for one in self.later]
            if (at_ns := self.pipeline.next_due_ns()) is not None:
                due.append(at_ns)
            if not due or min(due) > end_ns:
                break
            self.now_ns = self.market.now_ns = max(self.now_ns, min(due))
            ready = sorted(one for one in self.later if one[0] <= self.now_ns)
            self.later = [one for one in self.later if one[0] > self.now_ns]
            for _, _, then in ready:
                then()
            if (at_ns := self.pipeline.next_due_ns()) is not None and at_ns <= self.now_ns:
                self.pipeline.on_timer(self.now_ns)
                self.act()
        self.now_ns = self.market.now_ns = end_ns


def disturb(desk):
    """Something from outside, now and then."""
    luck = desk.random.random()
    mode = desk.random.choice(list(EscapeMode))
    if luck < 0.08:
        desk.pipeline.escape(EscapeReason.MANUAL, mode, desk.now_ns)
    elif luck < 0.12:
        desk.pipeline.yield_to_loop(0, "SCALP", desk.now_ns)
    elif luck < 0.5:
        desk.market.bid = 75_000 + 100 * desk.random.randrange(-12, 12)
        desk.market.ask = desk.market.bid + 100 * desk.random.randrange(1, 4)
        desk.market.age_ns = desk.random.choice([0, 0, 0, 60_000_000])
    desk.act()


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_broker_does_the_books_agree_and_everything_ends(seed):
    desk = Chaos(seed)
    for _ in range(12):
        held = desk.gateway.position(0, "SCALP")[0]
        selling = held > 0 and desk.random.random() < 0.5
        qty = held if selling else desk.random.choice([10, 100, 300])
        price = desk.random.choice([75_000, 74_900, 75_200])
        desk.submit(qty=qty, side="SELL" if selling else "BUY", price=price, horizon_ms=desk.random.choice([0, 9_000]))
        for _ in range(6):
            desk.run(desk.random.choice([0.2, 1, 7, 20]))
            disturb(desk)
    for _ in range(80):
        desk.run(10)
        if not desk.pipeline.live:
            break
        desk.at(0, desk.listing)
        resolve_what_takes_long(desk)
    for _ in range(3):
        desk.at(0, desk.listing)
        desk.run(5)
    check(desk)


def resolve_what_takes_long(desk):
    """The market fills what rests from the last attempt to sell; if nothing does, an operator takes over."""
    for name, execution in list(desk.pipeline.live.items()):
        if execution.is_overdue and not execution.unanswered:
            resting = [one for one in desk.book if one.is_live]
            for order in resting:
                desk.execute(order, order.qty)
            if not resting and not execution.out:
                desk.pipeline.acknowledge(name, "kim", desk.now_ns)
                desk.act()


def check(desk):
    assert not desk.pipeline.live, [str(one.state) for one in desk.pipeline.live.values()]
    assert not [one for one in desk.book if one.is_live]
    assert desk.pipeline.next_due_ns() is None
    assert set(desk.sends.values()) <= {1}, "one permit, one message"
    sides = {one.number: one.side for one in desk.book}
    bought = sum(qty for _, number, qty, _ in desk.fills if sides[number] == "BUY")
    sold = sum(qty for _, number, qty, _ in desk.fills if sides[number] == "SELL")
    assert sold <= bought
    assert desk.gateway.position(0, "SCALP")[0] == bought - sold
    assert desk.gateway.reserved_cash == 0
    assert desk.gateway.exit_of(0, "SCALP") is None
    assert not [message for code, message, _ in desk.codes.told if "internal error" in message]
    assert desk.gateway.freezes(0) == []
    for result in desk.closed:
        assert result.filled_qty + result.unsent_qty + result.cancelled_qty == result.precheck_qty
        assert min(result.filled_qty, result.unsent_qty, result.cancelled_qty) >= 0
    names = [result.execution_id for result in desk.closed]
    assert len(names) == len(set(names))
    split_ids = [record["split_id"] for record in desk.journal.of("ORDER_INTENT") if record["action"] == "PLACE"]
    assert len(split_ids) == len(set(split_ids)), "an attempt is sent once"
