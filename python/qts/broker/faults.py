"""What may go wrong between the engine and a broker, decided by a seed.

A `FaultPlan` is pure: it knows nothing of loops and sockets, only which call or notice it is asked about. The same plan
serves the asynchronous decorator (`qts.broker.faulty`) and drivers that run in simulated time on one thread.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.broker.asynchronous import FillEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.broker.asynchronous import RejectKind, StreamEvent

CallKind: TypeAlias = Literal["PLACE", "AMEND", "CANCEL", "ORDERS", "FILLS", "POSITIONS", "CASH", "HEARTBEAT"]
WRITES: Final[frozenset[CallKind]] = frozenset({"PLACE", "AMEND", "CANCEL"})
LISTS: Final[frozenset[CallKind]] = frozenset({"ORDERS", "FILLS", "POSITIONS"})

_MILLION: Final = 1_000_000
_MASK: Final = (1 << 64) - 1
_MS: Final = 1_000_000


class FaultKind(StrEnum):
    """Everything that is injected."""

    NOT_SENT = "NOT_SENT"
    """The connection is refused before anything is written."""
    LOST_BEFORE = "LOST_BEFORE"
    """Written, but it never arrives; nobody answers."""
    LOST_AFTER = "LOST_AFTER"
    """Carried out; the answer never comes."""
    DELAY = "DELAY"
    """The request arrives late, and its answer comes in time after that."""
    LATE_ANSWER = "LATE_ANSWER"
    """The request arrives at once; what it causes on the stream is known long before its answer."""
    REJECT = "REJECT"
    """The broker refuses; `Fault.reject` says how."""
    FILL_FIRST = "FILL_FIRST"
    """The order is filled while the request for its cancel or amend is on its way."""
    EMPTY_LIST = "EMPTY_LIST"
    DOUBLED_ROWS = "DOUBLED_ROWS"
    """Some rows come twice, as when a page is read again."""
    TRUNCATED_LIST = "TRUNCATED_LIST"
    """Rows are missing although the broker calls the list complete."""
    CUT_STREAM = "CUT_STREAM"
    """The stream is down for a while, and says so."""
    DEAF_STREAM = "DEAF_STREAM"
    """The stream brings nothing for a while and looks as if it were up."""
    LOST_NOTICE = "LOST_NOTICE"
    DUPLICATE_NOTICE = "DUPLICATE_NOTICE"
    LATE_NOTICE = "LATE_NOTICE"
    """The notice comes late: later ones overtake it."""


class Fault(NamedTuple):
    """What happens to one call."""

    kind: FaultKind
    delay_ns: int = 0
    reject: RejectKind | None = None
    code: str = ""
    text: str = ""
    salt: int = 0
    """64 random bits that belong to this fault: which rows to double, how much to fill."""


class FaultRates(NamedTuple):
    """How often: faults per million calls or notices of the kinds that can have them."""

    not_sent: int = 0
    lost_before: int = 0
    lost_after: int = 0
    delay: int = 0
    late_answer: int = 0
    reject_transient: int = 0
    reject_permanent: int = 0
    reject_balance: int = 0
    reject_symbol: int = 0
    fill_first: int = 0
    empty_list: int = 0
    doubled_rows: int = 0
    truncated_list: int = 0
    cut_stream: int = 0
    deaf_stream: int = 0
    lost_notice: int = 0
    duplicate_notice: int = 0
    late_notice: int = 0
    delay_max_ms: int = 3_000
    """Longest delay of a request, an answer or a notice; each is spread evenly from one millisecond."""
    answer_timeout_ms: int = 5_000
    """How long a caller waits before an answer counts as lost."""
    cut_max_ms: int = 5_000
    """Longest time that a stream is down."""

    @classmethod
    def even(cls, ppm: int) -> FaultRates:
        """Every kind of fault equally often: `ppm` times per million."""
        return cls(**{name: ppm for name in cls._fields if not name.endswith("_ms")})


_REJECTS: Final[Mapping[str, tuple[RejectKind, str, str]]] = {
    "reject_transient": ("TRANSIENT", "F001", "초당 거래건수를 초과하였습니다"),
    "reject_permanent": ("PERMANENT", "F002", "호가단위를 확인하십시오"),
    "reject_balance": ("INSUFFICIENT_BALANCE", "F003", "주문가능금액을 초과하였습니다"),
    "reject_symbol": ("SYMBOL_NOT_FOUND", "F004", "종목코드 오류입니다"),
}
_OF_A_LINK: Final = ("not_sent", "lost_before", "lost_after", "delay", "late_answer")
_OF_A_CALL: Final[Mapping[str, tuple[str, ...]]] = {
    "PLACE": (*_OF_A_LINK, *_REJECTS),
    "AMEND": (*_OF_A_LINK, "fill_first", "reject_transient", "reject_permanent", "reject_balance"),
    "CANCEL": (*_OF_A_LINK, "fill_first", "reject_transient"),
    "LIST": (*_OF_A_LINK, "empty_list", "doubled_rows", "truncated_list"),
    "ASK": _OF_A_LINK,
}
_OF_A_NOTICE: Final = ("cut_stream", "deaf_stream", "lost_notice", "duplicate_notice", "late_notice")
_KIND_OF: Final[Mapping[str, FaultKind]] = {
    kind.value.lower(): kind for kind in FaultKind if kind is not FaultKind.REJECT
} | dict.fromkeys(_REJECTS, FaultKind.REJECT)


def mixed(seed: int, stream: str, number: int) -> int:
    """Return 64 bits that depend on all three and look random: the finaliser of splitmix64, run twice.

    Decisions are taken from this and not from a generator, so that one call more of one kind does not change what
    happens to any other.
    """
    value = seed & _MASK
    for part in (int.from_bytes(stream.encode()[:8].ljust(8, b"\0"), "little"), number):
        value = (value ^ (part & _MASK)) + 0x9E37_79B9_7F4A_7C15 & _MASK
        value = (value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9 & _MASK
        value = (value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB & _MASK
        value ^= value >> 31
    return value


class FaultPlan:
    """Decides for each call and each notice whether something goes wrong, always the same for the same seed.

    Args:
        seed: any integer.
        rates: how often, per million.
        from_ns: nothing goes wrong before.
        until_ns: nothing goes wrong from then on, so that a test can see books come together; None = no end.
        max_faults: after so many nothing goes wrong any more; None = no limit.
    """

    def __init__(
        self,
        seed: int,
        rates: FaultRates,
        *,
        from_ns: int = 0,
        until_ns: int | None = None,
        max_faults: int | None = None,
    ) -> None:
        self.seed = seed
        self.rates = rates
        self._from_ns = from_ns
        self._until_ns = until_ns
        self._left = max_faults
        self._asked: Counter[str] = Counter()
        self._down_until_ns = 0
        self._deaf_until_ns = 0
        self._ladders = {kind: _ladder(rates, names) for kind, names in _OF_A_CALL.items()}
        self._notice_ladder = _ladder(rates, _OF_A_NOTICE)
        self.injected: Counter[FaultKind] = Counter()
        """How often each fault has been injected: a test that injected nothing proves nothing."""

    def on_call(self, kind: CallKind, now_ns: int) -> Fault | None:
        """Decide about one call. A driver asks once per call, right before it would be written."""
        if (bits := self._draw(kind, now_ns)) is None:
            return None
        of = kind if kind in WRITES else "LIST" if kind in LISTS else "ASK"
        if (name := _pick(self._ladders[of], bits)) is None:
            return None
        return self._fault(name, mixed(bits, "more", 0))

    def on_notice(self, event: StreamEvent, now_ns: int) -> list[tuple[int, StreamEvent]]:
        """Return when (nanoseconds from now) to deliver what: nothing, once, twice, late.

        A stream that is down or deaf delivers nothing until that is over; see `is_stream_up`.
        """
        if now_ns < max(self._down_until_ns, self._deaf_until_ns):
            return []
        bits = self._draw("NOTICE", now_ns)
        name = None if bits is None else _pick(self._notice_ladder, bits)
        if bits is None or name is None:
            return [(0, event)]
        kind = _KIND_OF[name]
        if kind is FaultKind.DUPLICATE_NOTICE and not isinstance(event, FillEvent):
            return [(0, event)]
        self._count(kind)
        salt = mixed(bits, "more", 0)
        late_ns = (1 + salt % self.rates.delay_max_ms) * _MS
        down_ns = (1 + salt % self.rates.cut_max_ms) * _MS
        match kind:
            case FaultKind.CUT_STREAM:
                self._down_until_ns = now_ns + down_ns
                return []
            case FaultKind.DEAF_STREAM:
                self._deaf_until_ns = now_ns + down_ns
                return []
            case FaultKind.LOST_NOTICE:
                return []
            case FaultKind.DUPLICATE_NOTICE:
                return [(0, event), (late_ns, event)]
            case _:
                return [(late_ns, event)]

    def is_stream_up(self, now_ns: int) -> bool:
        """Whether the stream looks as if it were up; a deaf one does."""
        return now_ns >= self._down_until_ns

    def next_stream_up_ns(self) -> int:
        """When the last cut ends or ended."""
        return self._down_until_ns

    def _draw(self, stream: str, now_ns: int) -> int | None:
        """Count the question; None while nothing may go wrong."""
        number = self._asked[stream]
        self._asked[stream] = number + 1
        if now_ns < self._from_ns or (self._until_ns is not None and now_ns >= self._until_ns) or self._left == 0:
            return None
        return mixed(self.seed, stream, number)

    def _count(self, kind: FaultKind) -> None:
        self.injected[kind] += 1
        if self._left is not None:
            self._left -= 1

    def _fault(self, name: str, salt: int) -> Fault:
        kind = _KIND_OF[name]
        self._count(kind)
        if kind is FaultKind.REJECT:
            reject, code, text = _REJECTS[name]
            return Fault(kind, 0, reject, code, text, salt)
        delay_ns = 0
        if kind in {FaultKind.DELAY, FaultKind.LATE_ANSWER}:
            delay_ns = (1 + salt % self.rates.delay_max_ms) * _MS
        elif kind in {FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER}:
            delay_ns = self.rates.answer_timeout_ms * _MS
        return Fault(kind, delay_ns, salt=salt)


def _ladder(rates: FaultRates, names: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Sums of rates, each with the name of what lies below it."""
    steps, total = [], 0
    for name in names:
        rate: int = getattr(rates, name)
        if rate < 0:
            raise ValueError(f"rate of {name} is {rate}; expected none or more")
        total += rate
        if rate:
            steps.append((total, name))
    if total > _MILLION:
        raise ValueError(f"rates of {', '.join(names)} add up to {total} in a million")
    return tuple(steps)


def _pick(ladder: tuple[tuple[int, str], ...], bits: int) -> str | None:
    height = bits % _MILLION
    for below, name in ladder:
        if height < below:
            return name
    return None
