"""The way to the broker and back: delays, lost answers, a link that drops, a stream that is cut.

Requests are asked for by the driver, arrive at the exchange after `out_ns`, and are answered after as much again. What
goes wrong is decided by the fault plan, once for each request and each notice. Every request gets exactly one answer,
and silence is one of them: (ACK, number), (REJECT, kind, code, text), (LOST, why).
"""

from qts.broker.asynchronous import FillEvent
from qts.broker.faulty import spoiled

from .moments import MS

REFILL_NS = 700 * MS
_LISTS = frozenset({"ORDERS", "FILLS"})


class Wire:
    """Carries messages. `answered(call, answer)` and `noticed(event)` are the driver's ears."""

    def __init__(self, moments, exchange, faults, story, *, out_ms: int, answer_timeout_ms: int) -> None:
        self._moments = moments
        self._exchange = exchange
        self._faults = faults
        self._story = story
        self._out_ns = out_ms * MS
        self._timeout_ns = answer_timeout_ms * MS
        self._calls: dict[int, tuple] = {}
        self._count = 0
        self._link_up_ns = 0
        self._stream_up_ns = 0
        self._coming: dict[int, int] = {}
        self.arrivals: dict[int, int] = {}
        """How often each order of ours arrived at the exchange as a new one."""
        self.heard_ns = moments.now_ns
        """When the stream brought something last."""
        self.refused = None
        """Called with what the exchange refuses by itself."""
        self.answered = None
        self.noticed = None

    # What stands and what is cut

    @property
    def is_up(self) -> bool:
        """Whether a request would leave now."""
        return self._moments.now_ns >= self._link_up_ns

    @property
    def is_stream_up(self) -> bool:
        """Whether notices come by themselves, as far as anybody can see."""
        now_ns = self._moments.now_ns
        return self.is_up and now_ns >= self._stream_up_ns and self._faults.is_stream_up(now_ns)

    def drop(self, for_ns: int) -> None:
        """Cut everything: what is on the way arrives, but no answer of it comes back."""
        now_ns = self._moments.now_ns
        self._link_up_ns = max(self._link_up_ns, now_ns + for_ns)
        for call in list(self._calls):
            self._give(call, ("LOST", "the connection dropped"))

    def cut_stream(self, for_ns: int) -> None:
        """Lose what the stream would bring, for a while."""
        self._stream_up_ns = max(self._stream_up_ns, self._moments.now_ns + for_ns)

    def up_again_ns(self) -> int:
        """When link and stream are both back, as far as is known."""
        return max(self._link_up_ns, self._stream_up_ns, self._faults.next_stream_up_ns())

    # Requests

    def refusal(self, kind: str) -> str:
        """Why a request of that kind cannot be written now; empty if it can. Asked once, right before the write."""
        if not self.is_up:
            self._fault = None
            return "no connection"
        self._fault = fault = self._faults.on_call(kind, self._moments.now_ns)
        if fault is not None:
            self._story("fault", "{} of {}", fault.kind, kind)
            if fault.kind == "NOT_SENT":
                return "the connection was refused"
        return ""

    def write(self, kind: str, order_id: int, message) -> None:
        """Write a request for which `refusal` has just been empty."""
        self._count += 1
        call, fault, self._fault = self._count, self._fault, None
        self._calls[call] = (kind, order_id)
        now_ns = self._moments.now_ns
        what = None if fault is None else fault.kind
        if what == "LOST_BEFORE":
            self._moments.at(now_ns + self._timeout_ns, self._give, call, ("LOST", "no answer"))
            return  # it never arrives
        if kind == "PLACE":
            self._coming[order_id] = message.qty
        late_ns = fault.delay_ns if what == "DELAY" else 0
        if fault is not None and 2 * self._out_ns + fault.delay_ns > self._timeout_ns:
            self._moments.at(now_ns + self._timeout_ns, self._give, call, ("LOST", "no answer in time"))
        self._moments.at(now_ns + self._out_ns + late_ns, self._arrive, call, kind, order_id, message, fault)

    def _arrive(self, call: int, kind: str, order_id: int, message, fault) -> None:
        what = None if fault is None else fault.kind
        self._coming.pop(order_id, None)
        if what == "REJECT":
            answer = ("REJECT", fault.reject, fault.code, fault.text)
        else:
            if what == "FILL_FIRST":
                self._exchange.fill_now(message.broker_no, fault.salt)
            if kind == "PLACE":
                self.arrivals[order_id] = self.arrivals.get(order_id, 0) + 1
            answer = self._exchange.carry_out(kind, order_id, message)
            if answer[0] == "REJECT":
                self.refused(kind, order_id, message, answer)
            if kind not in _LISTS:
                self._story("exchange", "{} of order {}: {}", kind, order_id, answer)
        if fault is not None and kind in _LISTS:
            answer = ("ACK", spoiled(answer[1], fault))
        if what == "LOST_AFTER":
            self._moments.after(max(0, self._timeout_ns - self._out_ns), self._give, call, ("LOST", "no answer"))
        else:
            late_ns = fault.delay_ns if what == "LATE_ANSWER" else 0
            self._moments.after(self._out_ns + late_ns, self._give, call, answer)
        self.publish()

    def still_to_come(self, order_id: int) -> int:
        """Quantity of a new order that is on its way to the exchange, and will get there."""
        return self._coming.get(order_id, 0)

    def _give(self, call: int, answer: tuple) -> None:
        """Hand an answer over, once."""
        asked = self._calls.pop(call, None)
        if asked is not None:
            self.answered(*asked, answer)

    # Notices

    def publish(self) -> None:
        """Put what the exchange has to say on the stream."""
        for event in self._exchange.take_events():
            if isinstance(event, FillEvent):
                self._moments.after(REFILL_NS, self._refill, event.symbol, event.side)
            for late_ns, said in self._faults.on_notice(event, self._moments.now_ns):
                self._moments.after(self._out_ns + late_ns, self._notice, said)

    def _refill(self, symbol: str, side: str) -> None:
        """Others quote again where something has been traded away."""
        self._exchange.show_again(symbol, side)
        self.publish()

    def _notice(self, event) -> None:
        if self.is_up and self._moments.now_ns >= self._stream_up_ns:
            self.heard_ns = self._moments.now_ns
            self.noticed(event)
