"""What has to hold, whatever happens. Asked at every write, answer and transition, and once everything is over.

The judge knows more than the executions: it looks into the exchange's own book. `Broken` names the law.
"""

from collections import defaultdict

from qts._core import PermitRefused
from qts.execution.contracts import TERMINAL, Disposition, State

from .moments import MS, S

DOUBT_ENTRY_NS = 3 * S
"""From then on an order in doubt closes its symbol to entries."""
EXIT_FREE_NS = 5 * S
"""Time in which nothing hinders an exit, after which it has to have left."""
ABSENT_NS = 58 * S
"""Shortest time that an absence takes: a minute from when the order was handed out, and it may wait for its record."""
PERMIT_NS = 1 * S
"""How long a permit lasts: what is handed out in time may leave so much later, when its record is durable."""
LOOK_NS = 500 * MS
_UNKNOWABLE = frozenset({"509193", "SIM00001"})
"""Codes of refusals that may meet a sound request: halted since, an amendment still on its way."""
_EDGES = {
    "INIT": {"PRECHECK", "ESCAPING"},
    "PRECHECK": {"SPLITTING", "FAILED", "ESCAPING"},
    "SPLITTING": {"SENDING", "FAILED", "ESCAPING"},
    "SENDING": {"MONITORING", "FAILED", "ESCAPING"},
    "MONITORING": {"COMPLETE", "ADJUSTING", "ESCAPING"},
    "ADJUSTING": {"MONITORING", "ESCAPING"},
    "ESCAPING": {"ESCAPED", "FAILED", "ESCAPING"},
}
"""Spec 15 §5.1, written down once more; ESCAPING to itself is a wider mode or a further attempt."""


class Broken(BaseException):
    """A law does not hold. Not an `Exception`: those the pipeline survives."""

    def __init__(self, law: str, text: str) -> None:
        super().__init__(f"{law}: {text}")
        self.law = law


class Order:
    """What the judge knows of an order that was written."""

    __slots__ = (
        "doubt_ns", "execution_id", "instrument", "limit", "qty", "side", "split_id", "symbol", "was_doubted",
        "written_ns",
    )  # fmt: skip

    def __init__(self, message, execution_id: str, split_id: str, now_ns: int) -> None:
        self.instrument = message.instrument
        self.symbol = message.symbol
        self.side = message.side
        self.qty = message.qty
        self.limit = message.limit
        self.execution_id = execution_id
        self.split_id = split_id
        self.written_ns = now_ns
        self.doubt_ns = 0
        """Since when its answer is lost; 0 = it is not."""
        self.was_doubted = False


class Judge:
    """Watches a run. `world` gives it gateway, exchange, wire, journal, codes, market and moments."""

    def __init__(self, world) -> None:
        self._world = world
        self.strangers: set[int] = set()
        """Orders of the risk loop: of no execution."""
        self.orders: dict[int, Order] = {}
        self._split_ids: set[str] = set()
        self._intents: dict[tuple[int, str], tuple[int, dict]] = {}
        self._states: dict[str, str] = {}
        self._seqs: dict[str, int] = {}
        self._escaping_since: dict[str, int] = {}
        self.closed: dict[str, object] = {}
        self._fills: dict[int, int] = defaultdict(int)
        self._exits: dict[str, list] = {}
        self._selling: set[str] = set()
        """Executions that have sold or tried to."""
        self.absent: set[int] = set()
        self.doubts: list[tuple[int, int, int]] = []
        """(order, since, until) of every doubt that is over."""
        world.journal.heard = self._on_record

    # The journal

    def _on_record(self, kind: str, record: dict) -> None:
        if kind == "ORDER_INTENT":
            self._intents[record["order_id"], record["action"]] = (len(self._world.journal.rows), record)
        elif kind == "EXECUTION_STATE":
            self._on_state(record)

    def _on_state(self, record: dict) -> None:
        name, before, after = record["execution_id"], record["before"], record["after"]
        if self._states.get(name, "INIT") != before or after not in _EDGES.get(before, ()):
            raise Broken("transitions", f"{name}: {self._states.get(name)} on record, then {before} to {after}")
        if record["seq"] != self._seqs.get(name, 0) + 1:
            raise Broken("transitions", f"{name}: number {record['seq']} after {self._seqs.get(name, 0)}")
        live = self._world.pipeline.live.get(name)
        if live is not None and live.state != before:
            raise Broken("record_first", f"{name} is {live.state} already when {after} goes on record")
        self._states[name], self._seqs[name] = after, record["seq"]
        if after == "ESCAPING":
            self._escaping_since.setdefault(name, self._world.moments.now_ns)

    def states_agree(self) -> None:
        """No execution is where its records do not say."""
        sides = set()
        for name, execution in self._world.pipeline.live.items():
            if self._states.get(name, "INIT") != execution.state:
                raise Broken("record_first", f"{name} is {execution.state}, on record {self._states.get(name)}")
            side = (execution.decision.instrument, execution.decision.side)
            if side in sides and execution.state is not State.PRECHECK:
                raise Broken("one_live", f"{name} lives beside another execution of the same symbol and side")
            sides.add(side)

    # What leaves

    def on_write(self, kind: str, order_id: int, message, command) -> None:
        """A message leaves now."""
        now_ns = self._world.moments.now_ns
        try:
            command.permit.redeem(now_ns)
        except PermitRefused:
            pass
        else:
            raise Broken("permit_once", f"the permit of {kind} of order {order_id} can be redeemed again")
        if kind == "PLACE":
            self._on_place(order_id, message, command, now_ns)
        elif kind == "AMEND":
            self._on_amend(order_id, message, command, now_ns)

    def _on_place(self, order_id: int, message, command, now_ns: int) -> None:
        if order_id in self.orders:
            raise Broken("one_order", f"order {order_id} is written twice")
        order = Order(message, command.execution_id, command.split_id, now_ns)
        if order_id not in self.strangers:
            if command.split_id in self._split_ids:
                raise Broken("one_order", f"{command.split_id} leaves twice")
            self._split_ids.add(command.split_id)
            self._recorded("PLACE", order_id, message, command, now_ns)
        self._distinct(order_id, order, now_ns)
        if message.side == "BUY":
            self._entry(order, now_ns)
        else:
            self._sale(order_id, order, message.qty)
            self._selling.add(command.execution_id)
        self.orders[order_id] = order

    def _on_amend(self, order_id: int, message, command, now_ns: int) -> None:
        order = self.orders[order_id]
        if order_id not in self.strangers:
            self._recorded("AMEND", order_id, message, command, now_ns)
        if message.side == "SELL" and message.qty > order.qty:
            self._sale(order_id, order, message.qty - order.qty)
        if message.side == "BUY" and message.qty > order.qty:
            raise Broken("never_more", f"an amendment of order {order_id} raises {order.qty} to {message.qty}")
        order.qty, order.limit = max(order.qty, message.qty), message.limit

    def _recorded(self, kind: str, order_id: int, message, command, now_ns: int) -> None:
        """The intent is on record, durable, and says what is written."""
        seq, record = self._intents.get((order_id, kind), (0, {}))
        if not seq or seq > command.after_seq:
            raise Broken("intent_first", f"{kind} of order {order_id} leaves without a record in front of it")
        if self._world.journal.durable_ns(seq) > now_ns:
            raise Broken("intent_first", f"{kind} of order {order_id} leaves before its record is durable")
        said = (record["side"], record["qty"], record["kind"])
        if said != (message.side, message.qty, message.kind) or (
            message.kind == "LIMIT" and record["limit"] != message.limit
        ):
            raise Broken("intent_first", f"{kind} of order {order_id}: on record {said}, written {message}")

    def _distinct(self, order_id: int, order: Order, now_ns: int) -> None:
        for number, other in self.orders.items():
            same = (other.symbol, other.side, other.qty, other.limit) == (
                order.symbol, order.side, order.qty, order.limit,
            )  # fmt: skip
            if same and other.doubt_ns:
                raise Broken("distinct", f"order {order_id} equals order {number}, whose answer is lost")

    def _entry(self, order: Order, now_ns: int) -> None:
        world = self._world
        for number, other in self.orders.items():
            if other.instrument != order.instrument or number in self.strangers:
                continue  # what the risk loop has in doubt is for it to tell
            if other.doubt_ns and now_ns - other.doubt_ns > DOUBT_ENTRY_NS:
                ms = (now_ns - other.doubt_ns) // MS
                raise Broken(
                    "doubt_closes", f"an entry of {order.symbol} leaves, order {number} is in doubt for {ms} ms"
                )
        if order.instrument in world.frozen:
            raise Broken("frozen", f"an entry of {order.symbol} leaves while the symbol is frozen")
        if world.word.state >= 2:
            raise Broken("safety", f"an entry of {order.symbol} leaves in safety state {world.word.state}")
        for name, execution in world.pipeline.live.items():
            if execution.decision.instrument == order.instrument and name in self._selling:
                raise Broken("overlap", f"an entry of {order.symbol} leaves while the exit {name} lives")
        decision = world.decisions.get(order.execution_id)
        if decision is not None and now_ns > decision.deadline_ns + PERMIT_NS:
            raise Broken("deadline", f"an entry of {order.symbol} leaves {now_ns - decision.deadline_ns} ns late")

    def _sale(self, order_id: int, order: Order, more: int) -> None:
        """Everything that is being sold, this among it, is held: by the broker's own count."""
        exchange = self._world.exchange
        held = exchange.position(order.symbol)
        selling = sum(
            self._world.wire.still_to_come(number) + exchange.open_qty(number)
            for number, other in self.orders.items()
            if other.side == "SELL" and other.symbol == order.symbol
        )
        if selling + more > held:
            raise Broken(
                "never_short",
                f"order {order_id} sells {more} more of {order.symbol}: {held} held, {selling} being sold already",
            )

    def on_refused(self, kind: str, order_id: int, message, answer: tuple) -> None:
        """The exchange refuses something by itself: only what nobody could know may be wrong with it."""
        if answer[1] != "ALREADY_DONE" and answer[2] not in _UNKNOWABLE:
            raise Broken("sane_orders", f"{kind} of order {order_id} ({message}) is refused: {answer[1:]}")

    # What comes back

    def on_doubt(self, order_id: int) -> None:
        """The answer to a new order is lost; a list or a fill may have told before what became of it."""
        if self._world.gateway.order_state(order_id)[0] != "SUBMITTED":
            return
        order = self.orders[order_id]
        order.doubt_ns = self._world.moments.now_ns
        order.was_doubted = True

    def on_known(self, order_id: int) -> None:
        """It is known again what became of an order: found, filled, ended, refused or never there."""
        order = self.orders.get(order_id)
        if order is not None and order.doubt_ns:
            self.doubts.append((order_id, order.doubt_ns, self._world.moments.now_ns))
            order.doubt_ns = 0

    def holdings_agree(self) -> bool:
        """Whether the broker holds what the gateway thinks, and has the cash."""
        world = self._world
        return world.gateway.cash == world.exchange.cash and all(
            world.gateway.position(instrument, "SCALP")[0] == world.exchange.position(symbol)
            for instrument, symbol in world.market.symbols.items()
        )

    def on_absent(self, order_id: int) -> None:
        """Somebody holds it for proven that the broker never had an order."""
        self.absent.add(order_id)
        if self._world.exchange.has(order_id):
            raise Broken("absence", f"order {order_id} is called absent, and is in the exchange's book")
        order = self.orders.get(order_id)
        if order is None:
            raise Broken("absence", f"order {order_id} is in doubt and was never written")
        waited_ns = self._world.moments.now_ns - order.written_ns
        if waited_ns < ABSENT_NS:
            raise Broken("absence", f"order {order_id} is called absent after {waited_ns // MS} ms")

    def bought(self, order_id: int, message) -> None:
        """What is held at the start."""
        self.orders[order_id] = Order(message, "start", "start", self._world.moments.now_ns)

    def selling(self, instrument: int) -> int:
        """What the gateway may still have in flight to sell, as far as anybody but the exchange knows."""
        gateway = self._world.gateway
        states = (
            gateway.order_state(number)
            for number, order in self.orders.items()
            if order.side == "SELL" and order.instrument == instrument
        )
        return sum(state[2] for state in states)

    def on_booked(self, order_id: int, event) -> None:
        """A fill has been booked."""
        self._fills[order_id] += event.qty
        real = self._world.exchange.filled(order_id)
        if self._fills[order_id] > real:
            raise Broken("fills", f"{self._fills[order_id]} of order {order_id} booked, {real} filled")

    # Results

    def on_result(self, result) -> None:
        """An execution is over."""
        if result.execution_id in self.closed:
            raise Broken("one_result", f"{result.execution_id} closes twice")
        self.closed[result.execution_id] = result
        self._figures(result)
        self._is_over(result)
        if result.final_state not in TERMINAL:
            raise Broken("result", f"{result.execution_id} closes in {result.final_state}")
        recorded = self._states.get(result.execution_id, "INIT")
        if recorded != result.final_state and not (
            result.disposition is Disposition.REFUSED and result.final_state is State.FAILED
        ):
            raise Broken("record_first", f"{result.execution_id} closes {result.final_state}, on record {recorded}")

    def _figures(self, result) -> None:
        name = result.execution_id
        if min(result.filled_qty, result.unsent_qty, result.cancelled_qty) < 0:
            raise Broken("arithmetic", f"{name}: {result}")
        total = result.filled_qty + result.unsent_qty + result.cancelled_qty
        if total != result.precheck_qty or result.precheck_qty > result.original_qty:
            raise Broken("arithmetic", f"{name}: {total} for {result.precheck_qty} of {result.original_qty}")
        qty = amount = fee = tax = 0
        for fill in result.fills:
            own = fill.qty
            if fill.is_escape:  # of an entry none of it, of an exit what it still had to sell
                own = 0 if result.side == "BUY" else min(own, result.precheck_qty - qty)
            if own:
                qty, amount = qty + own, amount + own * fill.price
                fee, tax = fee + fill.fee * own // fill.qty, tax + fill.tax * own // fill.qty
        told = (result.filled_qty, result.amount, result.fee, result.tax)
        if told != (qty, amount, fee, tax):
            raise Broken("arithmetic", f"{name}: fills come to {(qty, amount, fee, tax)}, told {told}")
        if qty and not (amount * 1_000_000 // qty <= (result.avg_fill_price_e6 or 0) <= -(-amount * 1_000_000 // qty)):
            raise Broken("arithmetic", f"{name}: average {result.avg_fill_price_e6} for {amount} / {qty}")
        if (result.disposition is Disposition.FILLED) and qty != result.precheck_qty:
            raise Broken("result", f"{name} is FILLED with {qty} of {result.precheck_qty}")
        if result.disposition in {Disposition.NO_FILL, Disposition.REFUSED} and qty:
            raise Broken("result", f"{name} is {result.disposition} with {qty} filled")

    def _is_over(self, result) -> None:
        """Nothing of a closed execution lives, and everything that was filled is told."""
        if result.execution_id in self._world.acknowledged:
            return
        exchange, wire = self._world.exchange, self._world.wire
        filled = 0
        for number, order in self.orders.items():
            if order.execution_id == result.execution_id:
                live = exchange.open_qty(number) + wire.still_to_come(number)
                if live:
                    raise Broken("nothing_lives", f"{result.execution_id} closes, {live} of order {number} live")
                filled += exchange.filled(number)
        told = sum(fill.qty for fill in result.fills)
        if filled != told:
            raise Broken("nothing_lives", f"{result.execution_id} tells {told} filled, the exchange {filled}")

    # Time

    def expects_exit(self, execution_id: str, instrument: int) -> None:
        """An exit has been taken: it has to leave."""
        self._exits[execution_id] = [instrument, 0]

    def look(self) -> None:
        """Once in a while: exits that could leave do, doubts are told."""
        world = self._world
        self.states_agree()
        left = {order.execution_id for order in self.orders.values()}
        for name, entry in list(self._exits.items()):
            if name in left or name in self.closed:
                del self._exits[name]
            elif self._is_free(entry[0]):
                entry[1] += LOOK_NS
                if entry[1] > EXIT_FREE_NS:
                    state = world.pipeline.live[name].state
                    raise Broken("exit_leaves", f"{name} is {state} and has not left in {entry[1] // S} s")
            else:
                entry[1] = 0

    def _is_free(self, instrument: int) -> bool:
        """Whether nothing outside hinders an exit."""
        world = self._world
        symbol = world.market.symbols[instrument]
        if not world.wire.is_up or instrument in world.market.halted or world.word.state >= 2:
            return False
        if world.claims.get(instrument) or world.journal.is_behind:
            return False
        selling = any(
            order.side == "SELL" and order.symbol == symbol and not self._is_done(number)
            for number, order in self.orders.items()
        )
        return not selling and world.gateway.position(instrument, "SCALP")[0] > 0

    def _is_done(self, number: int) -> bool:
        return self._world.gateway.order_state(number)[0] in {"FILLED", "CANCELLED", "EXPIRED", "REJECTED"}

    # The end

    def at_end(self) -> None:
        """Everything has settled: the books are one."""
        world = self._world
        if world.pipeline.live:
            raise Broken("ends", f"{list(world.pipeline.live)} live on after the operator has closed them")
        for number in world.exchange.orders_of_ours():
            if world.wire.arrivals.get(number, 0) != 1:
                raise Broken("one_order", f"order {number} arrived {world.wire.arrivals.get(number, 0)} times")
        for number in self.orders:
            real = world.exchange.filled(number)
            if self._fills[number] != real:
                raise Broken("fills", f"{self._fills[number]} of order {number} booked, {real} filled")
        for instrument, symbol in world.market.symbols.items():
            here, there = world.gateway.position(instrument, "SCALP")[0], world.exchange.position(symbol)
            if here != there:
                raise Broken("positions", f"{symbol}: {here} here, {there} at the broker")
        if world.gateway.cash != world.exchange.cash:
            raise Broken("cash", f"{world.gateway.cash} here, {world.exchange.cash} at the broker")
        if world.gateway.reserved_cash:
            raise Broken("holds", f"{world.gateway.reserved_cash} is still held")
        self._doubts_told()
        self._escapes_told()

    def may_stay(self, name: str, execution) -> None:
        """An execution that is not over has stopped with a code."""
        codes = self._world.codes
        failed = any(code == "FS092" and effect == "FAIL" for _, code, _, effect in codes.rows)
        if execution.state is not State.ESCAPING or not (failed or codes.counts["FS099"]):
            raise Broken("ends", f"{name} is {execution.state} at the end, codes {dict(codes.counts)}")

    def _doubts_told(self) -> None:
        now_ns = self._world.moments.now_ns
        rows = self._world.codes.rows
        open_doubts = [(n, order.doubt_ns, now_ns) for n, order in self.orders.items() if order.doubt_ns]
        for number, since_ns, until_ns in self.doubts + open_doubts:
            if number in self.strangers:
                continue
            for code, after_s in (("GR067", 5), ("FS099", 95)):
                told = any(code == row[1] and row[0] <= since_ns + after_s * S for row in rows)
                if until_ns - since_ns > after_s * S and not told:
                    raise Broken(
                        "told", f"order {number} was in doubt for {(until_ns - since_ns) // S} s without {code}"
                    )

    def _escapes_told(self) -> None:
        rows = self._world.codes.rows
        for name, since_ns in self._escaping_since.items():
            result = self.closed.get(name)
            until_ns = self._world.moments.now_ns if result is None else result.end_ns
            if until_ns - since_ns > 33 * S and not any(
                code == "FS092" and effect and since_ns + 20 * S < at_ns < since_ns + 33 * S
                for at_ns, code, _, effect in rows
            ):
                raise Broken("told", f"{name} was ESCAPING for {(until_ns - since_ns) // S} s without FS092 FAIL")
