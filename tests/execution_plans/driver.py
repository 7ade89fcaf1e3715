"""Carries out what the pipeline wants and tells it what comes back: the gateway first, then the pipeline.

It is the live driver without an event loop. Nothing here decides about orders; what it knows of its own is which fills
it has seen, what it has parked, and that it asks the broker for lists when the stream cannot be trusted.
"""

from collections import Counter

from qts._core import PermitRefused
from qts.broker.asynchronous import FillEvent
from qts.execution.contracts import BookedFill
from qts.execution.interfaces import ListedOrder

from .moments import MS, S

SILENT_NS = 3 * S
"""Silence of the stream, with orders at the broker, after which a list is asked for; at once if it is down."""
AMEND_LOST_NS = 2 * S
"""After that a list that shows an order as it was says that its amendment came to nothing."""
AMENDED_AWAY_NS = 60 * S
"""How long lists have to call an order ended whose amendment is in doubt: it may live on under a number they lack."""


class Driver:
    """Between the pipeline, the gateway, the journal and the wire. `watch` hears what leaves, before it does."""

    def __init__(self, moments, gateway, journal, wire, story, watch) -> None:
        self._moments = moments
        self._gateway = gateway
        self._journal = journal
        self._wire = wire
        self._story = story
        self._watch = watch
        self.pipeline = None
        self.results: list = []
        self.is_watched = False
        self.on_live = None
        """Called when an execution lives and nobody watches."""
        self.seen: set[str] = set()
        self.parked: dict[str, list] = {}
        """Events of broker numbers that nobody knows yet."""
        self._gone: dict[str, int] = {}
        """Numbers that a list called ended, and when first."""
        self._amends_lost: dict[int, int] = {}
        """Orders whose amendment has no answer, and since when."""
        self._busy: Counter = Counter()
        """Requests under way for each order: what a list says of it meanwhile may be old."""
        self._listing: tuple | None = None
        self._again = False
        self._due_ns: int | None = None
        wire.answered = self._answered
        wire.noticed = self.hear

    # Commands

    def pump(self) -> None:
        """Carry out what the pipeline has asked for, until it asks for nothing more; then see when it is due."""
        pipeline = self.pipeline
        while commands := pipeline.take_commands():
            for command in commands:
                self._do(command)
        if pipeline.live and not self.is_watched:
            self.is_watched = True
            self._moments.after(0, self.on_live)
        due_ns = pipeline.next_due_ns()
        if due_ns is not None and (self._due_ns is None or due_ns < self._due_ns):
            self._due_ns = due_ns
            self._moments.at(due_ns, self._timer, due_ns)

    def _timer(self, due_ns: int) -> None:
        if self._due_ns == due_ns:
            self._due_ns = None
            self.pipeline.on_timer(self._moments.now_ns)
            self.pump()

    def _do(self, command) -> None:
        action = command.action
        if action == "CLOSED":
            self._tell_of(command.result)
            self.results.append(command.result)
            self._watch.on_result(command.result)
        elif action == "QUERY":
            self._story("pipeline", "QUERY {}", command.reason)
            self.ask()
        else:
            self._story("pipeline", "{} {} order {}", action, command.split_id, command.order_id)
            durable_ns = self._journal.durable_ns_of_command(command.after_seq)
            if durable_ns <= self._moments.now_ns:
                self.write(command)
            else:
                self._moments.at(durable_ns, self._write_and_pump, command)

    def _tell_of(self, result) -> None:
        if self._story.told:
            what = f"{result.side} {result.filled_qty} of {result.precheck_qty} ({result.original_qty}) {result.reason}"
            who = f"{result.execution_id} {result.final_state} {result.disposition}"
            self._story("closed", "{}: {} {}", who, what, ",".join(result.codes))

    def _write_and_pump(self, command) -> None:
        self.write(command)
        self.pump()

    def write(self, command) -> None:
        """Redeem the permit and write, or say that nothing was written."""
        kind, order_id, now_ns = command.action, command.order_id, self._moments.now_ns
        why = self._wire.refusal(kind)
        if why:
            command.permit.void()
        else:
            try:
                message = command.permit.redeem(now_ns)
            except PermitRefused as error:
                why = f"permit refused: {error.args[0]}"
        if why:
            self._story("driver", "{} of order {} not sent: {}", kind, order_id, why)
            self._not_sent(kind, order_id, why)
            return
        self._watch.on_write(kind, order_id, message, command)
        self._story(
            "driver", "{} of order {} leaves: {} {} @ {}", kind, order_id, message.side, message.qty, message.limit
        )
        self._busy[order_id] += 1
        self._wire.write(kind, order_id, message)

    def _not_sent(self, kind: str, order_id: int, why: str) -> None:
        if not self.is_pipelines(order_id):
            return
        tell = {
            "PLACE": self.pipeline.on_not_sent,
            "AMEND": self.pipeline.on_amend_not_sent,
            "CANCEL": self.pipeline.on_cancel_not_sent,
        }[kind]
        tell(order_id, why, self._moments.now_ns)

    def is_pipelines(self, order_id: int) -> bool:
        """Whether an order belongs to an execution, and not to the loop."""
        return order_id not in self._watch.strangers

    # Answers

    def _answered(self, kind: str, order_id: int, answer: tuple) -> None:
        if kind in {"ORDERS", "FILLS"}:
            self._listed(kind, answer)
        else:
            self._story("answer", "{} of order {}: {}", kind, order_id, answer)
            self._busy[order_id] -= 1
            getattr(self, f"_{kind.lower()}_{answer[0].lower()}")(order_id, *answer[1:])
        self.pump()

    def _place_ack(self, order_id: int, broker_no: str) -> None:
        now_ns = self._moments.now_ns
        self._watch.on_known(order_id)
        self._gateway.on_ack(order_id, broker_no, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_sent(order_id, broker_no, now_ns)
        self.unpark(broker_no)

    def _place_reject(self, order_id: int, kind: str, code: str, text: str) -> None:
        now_ns = self._moments.now_ns
        self._watch.on_known(order_id)
        self._gateway.on_reject(order_id, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_rejected(order_id, kind, code, text, now_ns)

    def _place_lost(self, order_id: int, why: str) -> None:
        now_ns = self._moments.now_ns
        self._watch.on_doubt(order_id)
        self._gateway.on_lost(order_id, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_lost(order_id, why, now_ns)

    def _amend_ack(self, order_id: int, broker_no: str) -> None:
        now_ns = self._moments.now_ns
        self._amends_lost.pop(order_id, None)
        if self._gateway.find(broker_no) != order_id:  # else a list has told already
            self._gateway.on_amended(order_id, broker_no, now_ns)
        self.pipeline.on_amended(order_id, broker_no, now_ns)
        self.unpark(broker_no)

    def _amend_reject(self, order_id: int, kind: str, code: str, text: str) -> None:
        now_ns = self._moments.now_ns
        self._gateway.on_amend_refused(order_id, now_ns)
        self.pipeline.on_amend_rejected(order_id, kind, code, text, now_ns)

    def _amend_lost(self, order_id: int, why: str) -> None:
        now_ns = self._moments.now_ns
        self._amends_lost[order_id] = now_ns
        self._gateway.on_lost(order_id, now_ns)
        self.pipeline.on_amend_lost(order_id, why, now_ns)

    def _cancel_ack(self, order_id: int, broker_no: str) -> None:
        if self.is_pipelines(order_id):
            self.pipeline.on_cancel_taken(order_id, self._moments.now_ns)

    def _cancel_reject(self, order_id: int, kind: str, code: str, text: str) -> None:
        now_ns = self._moments.now_ns
        self._gateway.on_cancel_refused(order_id, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_cancel_rejected(order_id, kind, code, text, now_ns)

    def _cancel_lost(self, order_id: int, why: str) -> None:
        now_ns = self._moments.now_ns
        self._gateway.on_lost(order_id, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_cancel_lost(order_id, why, now_ns)

    def proven_absent(self, order_id: int) -> None:
        """The pipeline has seen enough lists without the order; shares that have moved would say otherwise."""
        if not self._watch.holdings_agree():
            self._story("driver", "order {} is in no list, but holdings differ", order_id)
            return
        self._story("driver", "order {} is proven absent", order_id)
        self._watch.on_absent(order_id)
        self._watch.on_known(order_id)
        now_ns = self._moments.now_ns
        self._gateway.on_reject(order_id, now_ns, not_received=True)
        self.pipeline.on_absent(order_id, now_ns)

    # What the broker says by itself

    def hear(self, event) -> None:
        """Take one notice of the stream."""
        if self._story.told:
            self._story("stream", "{}", _said(event))
        self.take(event)
        self.pump()

    def take(self, event) -> None:
        """Bring one event into the books, or park it."""
        order_id = self._gateway.find(event.broker_no)
        if order_id is None:
            self.parked.setdefault(event.broker_no, []).append(event)
            if not isinstance(event, FillEvent) and event.original_no:
                self.ask()  # an amendment or a cancel that was refused, or one whose answer is still out
        elif isinstance(event, FillEvent):
            self.book(order_id, event)
        elif event.kind in _ENDS:
            self._gone.setdefault(event.broker_no, self._moments.now_ns - 1)
            self.ask()  # a fill in front of it may be lost: the list says how it ended

    def unpark(self, broker_no: str) -> None:
        """Book what came before its order was known."""
        for event in self.parked.pop(broker_no, ()):
            self.take(event)

    def book(self, order_id: int, event) -> None:
        """Record a fill, book it, tell the pipeline; each fill once."""
        if event.event_id in self.seen:
            return
        self.seen.add(event.event_id)
        now_ns = self._moments.now_ns
        self._journal.append("FILL", {"order_id": order_id, "event_id": event.event_id, "qty": event.qty})
        state, cumulative, remaining, _ = self._gateway.on_fill(
            order_id, event.event_id, event.qty, event.price, event.fee, event.tax, now_ns
        )
        if state == "DUPLICATE":
            return
        self._watch.on_booked(order_id, event)
        self._watch.on_known(order_id)
        if self.is_pipelines(order_id):
            self.pipeline.on_fill(
                BookedFill(
                    order_id,
                    event.qty,
                    event.price,
                    event.fee or 0,
                    event.tax or 0,
                    cumulative,
                    remaining,
                    now_ns,
                    overfill=state in {"OVERFILL", "OVERSOLD"},
                )
            )
        if event.cumulative_qty is not None and event.cumulative_qty > cumulative:
            self.ask()

    def _close(self, order_id: int, kind: str) -> None:
        now_ns = self._moments.now_ns
        self._watch.on_known(order_id)
        if kind == "REJECTED":
            self._gateway.on_reject(order_id, now_ns)
        else:
            self._gateway.on_end(order_id, kind, now_ns)
        if self.is_pipelines(order_id):
            self.pipeline.on_order_end(order_id, kind, now_ns)

    # Lists

    def ask(self) -> None:
        """Ask for the day's orders and fills; at most one such question is out."""
        if self._listing is not None:
            self._again = True
            return
        self._query("ORDERS")

    def _query(self, kind: str) -> None:
        why = self._wire.refusal(kind)
        if why:
            self._listing = None
            self._story("driver", "{} not asked: {}", kind, why)
            return
        self._listing = self._listing or ()
        self._wire.write(kind, 0, None)

    def _listed(self, kind: str, answer: tuple) -> None:
        if answer[0] != "ACK":
            self._story("answer", "{}: {}", kind, answer)
            self._listing = None
        elif kind == "ORDERS":
            self._listing = tuple(answer[1])
            self._query("FILLS")
        else:
            rows, self._listing = self._listing, None
            if self._story.told:
                self._story("answer", "list: {}; {} fills", "; ".join(map(_row, rows)), len(answer[1]))
            self.listing(rows, answer[1])
        if self._listing is None and self._again:
            self._again = False
            self.ask()

    def listing(self, rows, fills) -> None:
        """Apply complete lists: numbers of amendments, fills, what the pipeline makes of the orders, then ends."""
        listed = sorted({ListedOrder(*row) for row in rows}, key=lambda row: row.broker_no)
        for row in listed:
            self._adopt(row)
        for event in fills:
            self.take(event)
        self.pipeline.on_listing(listed, self._moments.now_ns)
        self._look_for_the_loops(listed)
        filled: Counter = Counter()
        for row in listed:
            filled[self._gateway.find(row.broker_no)] += row.filled_qty
        for row in listed:
            self._settle(row, filled)

    def _adopt(self, row) -> None:
        """An amendment went through while its answer did not."""
        if not row.original_no or self._gateway.find(row.broker_no) is not None:
            return
        order_id = self._gateway.find(row.original_no)
        if order_id is not None and not self._busy[order_id]:
            self._amend_ack(order_id, row.broker_no)

    def _look_for_the_loops(self, listed) -> None:
        """Orders of the risk loop that are in doubt are nobody else's to look for."""
        for order_id in self._watch.strangers:
            if self._gateway.order_state(order_id)[0] == "UNKNOWN":
                verdict, broker_no = self._gateway.resolve(order_id, listed, self._moments.now_ns)
                if verdict == "FOUND":
                    self._place_ack(order_id, broker_no)

    def found(self, order_id: int, broker_no: str, now_ns: int) -> None:
        """A list has the order that the pipeline looked for."""
        self._story("driver", "order {} found as {}", order_id, broker_no)
        self._place_ack(order_id, broker_no)

    def _settle(self, row, filled: Counter) -> None:
        """Tell how an order ended, once every fill of it is booked and a second list says the same."""
        order_id = self._gateway.find(row.broker_no)
        if order_id is None or self._busy[order_id]:
            return
        if row.is_live:
            self._give_up_amend(order_id, row)
            return
        state, booked, _, newest = self._gateway.order_state(order_id)
        if state in _OVER or newest != row.broker_no:
            return
        now_ns = self._moments.now_ns
        first_ns = self._gone.setdefault(row.broker_no, now_ns)
        doubtful_ns = AMENDED_AWAY_NS if order_id in self._amends_lost else 1
        if booked < filled[order_id] or now_ns < first_ns + doubtful_ns:
            self._moments.after(100 * MS, self._ask_and_pump)
            return
        self._close(order_id, "CANCELLED")

    def _give_up_amend(self, order_id: int, row) -> None:
        """The order is what it was well after an amendment got lost: the amendment has not gone through."""
        since_ns = self._amends_lost.get(order_id)
        if since_ns is None or self._gateway.order_state(order_id)[3] != row.broker_no:
            return
        now_ns = self._moments.now_ns
        if now_ns - since_ns < AMEND_LOST_NS:
            self._moments.at(since_ns + AMEND_LOST_NS, self._ask_and_pump)
            return
        del self._amends_lost[order_id]
        self._amend_reject(order_id, "TRANSIENT", "", "the amendment is in no list")

    def _ask_and_pump(self) -> None:
        self.ask()
        self.pump()

    # What a driver does by itself

    def watch_stream(self) -> None:
        """Ask for lists while orders are out and the stream is down or says nothing."""
        wire, now_ns = self._wire, self._moments.now_ns
        if not wire.is_stream_up or now_ns - wire.heard_ns >= SILENT_NS:
            wire.heard_ns = now_ns
            self._ask_and_pump()


def _said(event) -> str:
    """Return a notice in the words of a story."""
    number = event.broker_no.lstrip("0")
    if isinstance(event, FillEvent):
        return f"FILL {event.event_id.lstrip('0')} of {number}: {event.side} {event.qty} @ {event.price}"
    original = f" for {event.original_no.lstrip('0')}" if event.original_no else ""
    return f"{event.kind} {number}{original}, {event.remaining_qty} left"


def _row(row) -> str:
    """Return a row of a list in the words of a story."""
    original = f" for {row.original_no.lstrip('0')}" if row.original_no else ""
    state = "live" if row.is_live else "over"
    return f"{row.broker_no.lstrip('0')}{original} {row.side} {row.filled_qty}/{row.qty} @ {row.limit} {state}"


_ENDS = frozenset({"CANCELLED", "REJECTED", "EXPIRED"})
_OVER = frozenset({"FILLED", "CANCELLED", "EXPIRED", "REJECTED"})
