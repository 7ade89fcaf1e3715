"""A desk at which a test is the broker: a real gateway, a market that stands still, and answers given by hand."""

from dataclasses import dataclass, field, replace

from qts._core import Gateway, Instruments, PermitRefused, SafetyWord
from qts.execution import BookedFill, ExecutionConfig, ExecutionPipeline, OrderDecision, RiskApproval
from qts.execution.interfaces import Cancel, Closed, ExecStance, ListedOrder, Modify, Query, QuoteView, Send

S = 1_000_000_000
MS = 1_000_000
START = 1_767_312_000 * S
"""A moment on a trading day; nothing here looks at a calendar."""
SYMBOL = "005930"
CASH = 100_000_000
TICK = 100
SPEC = {
    "symbol": SYMBOL,
    "currency": "KRW",
    "price_scale": 0,
    "qty_scale": 0,
    "money_scale": 0,
    "lot": 1,
    "price_increment": 1,
    "ladder": [(0, [(0, TICK)])],
    "costs": [(0, 0, 0, 0)],
    "limit_rate": [(0, None)],
}


class Market:
    """A market in which nothing moves unless a test moves it. Quotes are as old as `age_ns` says."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.now_ns = START
        self.last, self.bid, self.ask, self.bid_qty, self.ask_qty = 75_000, 75_000, 75_100, 100_000, 100_000
        self.age_ns = 0
        self.is_trading = True
        self.limits = (52_500, 97_500)
        self.profile = ()
        self.average = 0

    def quote(self, instrument):
        return QuoteView(self.last, self.bid, self.bid_qty, self.ask, self.ask_qty, self.now_ns - self.age_ns)

    def tick_size(self, instrument, price, now_ns):
        return self._instruments.tick_size(instrument, price, now_ns)

    def floor_to_tick(self, instrument, price, now_ns):
        return self._instruments.floor_to_tick(instrument, price, now_ns)

    def ceil_to_tick(self, instrument, price, now_ns):
        return self._instruments.ceil_to_tick(instrument, price, now_ns)

    def price_limits(self, instrument, now_ns):
        return self.limits

    def is_open(self, instrument, track, intent, now_ns):
        return self.is_trading

    def volume_profile(self, instrument, now_ns):
        return self.profile

    def adv(self, instrument):
        return self.average


@dataclass
class Journal:
    """Records in memory."""

    records: list = field(default_factory=list)

    def append(self, kind, record):
        self.records.append((kind, dict(record)))
        return len(self.records)

    def of(self, kind):
        return [record for name, record in self.records if name == kind]


@dataclass
class Codes:
    """What was reported."""

    told: list = field(default_factory=list)

    def report(self, code, message, *, effect=""):
        self.told.append((code, message, effect))

    def effects(self, code):
        return [effect for name, _, effect in self.told if name == code]


class Desk:
    """A pipeline over a gateway, and the test as driver and broker: the gateway hears everything first."""

    def __init__(self, *, config=None, gateway_config=None, recovering=False, cash=CASH, symbols=(SYMBOL,)) -> None:
        self.instruments = Instruments()
        for symbol in symbols:
            self.instruments.add({**SPEC, "symbol": symbol})
        self.word = SafetyWord()
        limits = {"orders_per_s": 0} if gateway_config is None else gateway_config
        self.gateway = Gateway(self.instruments, cash=cash, safety=self.word, config=limits)
        self.market = Market(self.instruments)
        self.stance = ExecStance()
        self.link = (True, True)
        self.journal, self.codes = Journal(), Codes()
        self.config = ExecutionConfig() if config is None else config
        self._own_time = 0
        self.now_ns = START
        self.absent, self.suspended = [], []
        self.pipeline = self.make_pipeline(recovering=recovering)
        self.commands = []
        """Everything that was taken, in order."""
        self.wire = []
        """Messages that left: (what, order id, message)."""
        self.closed = []
        self.queries = []
        self._numbers = 0
        self._events = 0
        self._decisions = 0

    def make_pipeline(self, *, recovering=False):
        """A new pipeline over the same gateway, as after a restart."""
        pipeline = ExecutionPipeline(
            gateway=self.gateway,
            market=self.market,
            stance=lambda: self.stance,
            link=lambda: self.link,
            journal=self.journal,
            codes=self.codes,
            config=self.config,
            timer=self._timer,
            recovering=recovering,
        )
        pipeline.set_hooks(found=self._found, proven_absent=self.absent.append, suspend=self.suspended.append)
        return pipeline

    def _timer(self):
        self._own_time += 1_000
        return self._own_time

    def _found(self, order_id, number, now_ns):
        self.gateway.on_ack(order_id, number, now_ns)
        self.pipeline.on_sent(order_id, number, now_ns)

    # ------------------------------------------------------------------ decisions

    def decision(self, qty=100, side="BUY", *, price=75_000, **more):
        self._decisions += 1
        intent = "ENTRY" if side == "BUY" else "EXIT"
        fields = {
            "decision_id": f"d{self._decisions}",
            "instrument": 0,
            "symbol": SYMBOL,
            "market": "KRX",
            "side": side,
            "intent": intent,
            "qty": qty,
            "price_type": "MARKET" if price is None else "LIMIT",
            "price": price,
            "decision_price": 75_000,
            "decision_ts_ns": self.now_ns,
            "pool_id": "SCALP",
            "strategy_tag": "test",
            "risk_approval": RiskApproval(approved=True, allowed_qty=qty, at_ns=self.now_ns),
            "deadline_ns": self.now_ns + 60 * S,
            "action": "ENTRY" if intent == "ENTRY" else "STRATEGY_EXIT",
        }
        return OrderDecision(**{**fields, **more})

    def submit(self, decision=None, **more):
        """Submit, carry out what follows at once, and return the execution's id."""
        name = self.pipeline.submit(self.decision(**more) if decision is None else decision, self.now_ns)
        self.act()
        return name

    def live(self, name):
        return self.pipeline.live[name]

    def state(self, name):
        """State of an execution, the last one if it is over."""
        if name in self.pipeline.live:
            return self.pipeline.live[name].state.value
        return self.result(name).final_state.value

    def result(self, name):
        found = [result for result in self.closed if result.execution_id == name]
        assert len(found) == 1, f"{name} was closed {len(found)} times"
        return found[0]

    # ------------------------------------------------------------------ the driver

    def act(self):
        """Carry out commands until there are none: requests leave, and nobody answers."""
        while commands := self.pipeline.take_commands():
            self.commands += commands
            for command in commands:
                if isinstance(command, (Send, Modify, Cancel)):
                    self._write(command)
                elif isinstance(command, Query):
                    self.queries.append((self.now_ns, command.reason))
                elif isinstance(command, Closed):
                    self.closed.append(command.result)

    def _write(self, command):
        try:
            message = command.permit.redeem(self.now_ns)
        except PermitRefused as refused:
            self.wire.append(("REFUSED", command.order_id, refused))
            tell = {
                "PLACE": self.pipeline.on_not_sent,
                "AMEND": self.pipeline.on_amend_not_sent,
                "CANCEL": self.pipeline.on_cancel_not_sent,
            }
            tell[command.action](command.order_id, str(refused), self.now_ns)
        else:
            self.wire.append((command.action, command.order_id, message))

    def left(self, what="PLACE"):
        """Ids of the orders that a request of that kind has left for, in order."""
        return [order_id for action, order_id, _ in self.wire if action == what]

    def message(self, what="PLACE"):
        """The newest message of that kind."""
        return [message for action, _, message in self.wire if action == what][-1]

    def pass_time(self, seconds):
        """Let time pass, calling the pipeline whenever it wants to be called."""
        end_ns = self.now_ns + round(seconds * S)
        while (due_ns := self.pipeline.next_due_ns()) is not None and due_ns <= end_ns:
            self.now_ns = self.market.now_ns = max(due_ns, self.now_ns)
            self.pipeline.on_timer(self.now_ns)
            self.act()
        self.now_ns = self.market.now_ns = end_ns

    # ------------------------------------------------------------------ the broker

    def number(self):
        self._numbers += 1
        return f"B{self._numbers}"

    def ack(self, order_id, number=None):
        number = self.number() if number is None else number
        self.gateway.on_ack(order_id, number, self.now_ns)
        self.pipeline.on_sent(order_id, number, self.now_ns)
        self.act()
        return number

    def reject(self, order_id, kind="PERMANENT", code="E1", text="no"):
        self.gateway.on_reject(order_id, self.now_ns)
        self.pipeline.on_rejected(order_id, kind, code, text, self.now_ns)
        self.act()

    def not_sent(self, order_id, why="no link"):
        self.gateway.on_reject(order_id, self.now_ns, not_received=True)
        self.pipeline.on_not_sent(order_id, why, self.now_ns)
        self.act()

    def lose(self, order_id, why="reset"):
        self.gateway.on_lost(order_id, self.now_ns)
        self.pipeline.on_lost(order_id, why, self.now_ns)
        self.act()

    def prove_absent(self, order_id):
        self.gateway.on_reject(order_id, self.now_ns, not_received=True)
        self.pipeline.on_absent(order_id, self.now_ns)
        self.act()

    def fill(self, order_id, qty, price=75_000, *, event=None, fee=0, tax=0):
        """A fill, booked by the gateway and, unless it knew it, told to the pipeline; return what the gateway said."""
        self._events += 1
        event = f"f{self._events}" if event is None else event
        state, total, rest, _ = self.gateway.on_fill(order_id, event, qty, price, fee, tax, self.now_ns)
        if state != "DUPLICATE":
            over = state == "OVERFILL"
            self.pipeline.on_fill(BookedFill(order_id, qty, price, fee, tax, total, rest, self.now_ns, over))
            self.act()
        return state

    def end(self, order_id, kind="CANCELLED"):
        if kind == "REJECTED":
            self.gateway.on_reject(order_id, self.now_ns)
        else:
            self.gateway.on_end(order_id, kind, self.now_ns)
        self.pipeline.on_order_end(order_id, kind, self.now_ns)
        self.act()

    def amended(self, order_id, number=None):
        number = self.number() if number is None else number
        self.gateway.on_amended(order_id, number, self.now_ns)
        self.pipeline.on_amended(order_id, number, self.now_ns)
        self.act()

    def amend_rejected(self, order_id, kind="PERMANENT"):
        self.gateway.on_amend_refused(order_id, self.now_ns)
        self.pipeline.on_amend_rejected(order_id, kind, "E2", "no", self.now_ns)
        self.act()

    def cancel_rejected(self, order_id, kind="ALREADY_DONE"):
        self.gateway.on_cancel_refused(order_id, self.now_ns)
        self.pipeline.on_cancel_rejected(order_id, kind, "E3", "no", self.now_ns)
        self.act()

    def row(self, number, qty, price, *, filled=0, is_live=True, side="BUY", kind="LIMIT", original="", ts_ns=None):
        at_ns = self.now_ns if ts_ns is None else ts_ns
        return ListedOrder(number, original, SYMBOL, side, kind, qty, price, filled, qty - filled, is_live, at_ns)

    def list_orders(self, *rows):
        self.pipeline.on_listing(rows, self.now_ns)
        self.act()

    def safety(self, state):
        """Raise the safety state, in the word and for the pipeline."""
        numbers = {"WARNING": 1, "FAIL": 2, "LOCKDOWN": 3}
        self.word.raise_state(numbers[state], "FS051", self.now_ns)
        self.stance = replace_stance(self.stance, safety=state)
        self.pipeline.on_stance(self.now_ns)
        self.act()

    # ------------------------------------------------------------------ short cuts

    def hold_shares(self, qty, price=75_000):
        """Buy shares by an execution of their own, filled at once; forget what was told and written meanwhile."""
        name = self.submit(qty=qty, price=price)
        for order_id in self.left():
            self.ack(order_id)
            self.fill(order_id, self.message().qty, price)
        assert self.state(name) == "COMPLETE"
        self.wire.clear()
        self.closed.clear()
        self.codes.told.clear()
        self.journal.records.clear()
        self.commands.clear()

    def working(self, qty=100, **more):
        """An execution whose only child works at the broker: (execution's id, order id)."""
        name = self.submit(qty=qty, **more)
        order_id = self.left()[-1]
        self.ack(order_id)
        return name, order_id


def replace_stance(stance, **more):
    return stance._replace(**more)


def with_config(**more):
    return replace(ExecutionConfig(), **more)
