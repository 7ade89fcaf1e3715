"""Comparing the books with the broker's: what is missing is taken in, what cannot be explained is named (FS071).

The broker is right about quantities and money. A difference is one only if it stands after everything the broker lists
has been booked, and twice in a row: what is on its way looks like a difference for a moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.broker.asynchronous import AnswerLost, BrokerError
from qts.broker.contracts import TRACKS
from qts.clock import NS_PER_S
from qts.codes import Phrasebook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qts.broker.asynchronous import AsyncBrokerInterface, BrokerCash, BrokerOrder, BrokerPosition
    from qts.execution.books import LiveGateway
    from qts.execution.inquiry import Inquiry
    from qts.execution.intake import FillIntake
    from qts.execution.interfaces import CodeSink

What: TypeAlias = Literal["POSITION", "CASH", "ORPHAN_ORDER", "ORPHAN_FILL", "ORDER"]

CASH_TOLERANCE: Final = 1_000
"""Money units (spec 02 §7.7), or a ten-thousandth of the cash if that is more."""
_ROUNDS: Final = 4
"""Looks at most until two say the same."""
_PAUSE_S: Final = 0.2
FREEZE_REASON: Final = "FS071"

_TEXTS: Final = Phrasebook(
    {
        "POSITION": (
            "{subject}: {ours} held by the own books, {brokers} at the broker",
            "{subject}: 장부 보유 {ours}주, 브로커 보유 {brokers}주",
        ),
        "CASH": ("cash: {ours} by the own books, {brokers} at the broker", "현금: 장부 {ours}, 브로커 {brokers}"),
        "ORPHAN_ORDER": (
            "{subject}: an order of {brokers} lives at the broker that is not from here",
            "{subject}: 이 엔진이 내지 않은 주문 {brokers}주가 브로커에 살아 있습니다",
        ),
        "ORPHAN_FILL": (
            "{subject}: a fill of {brokers} at the broker belongs to no order from here",
            "{subject}: 브로커의 체결 {brokers}주에 해당하는 주문이 없습니다",
        ),
        "ORDER": (
            "order {subject}: {ours} filled by the own books, {brokers} at the broker",
            "주문 {subject}: 장부 체결 {ours}주, 브로커 체결 {brokers}주",
        ),
        "found": (
            "the broker's books differ and nothing explains it: {what}; entries stay closed until this is settled",
            "브로커 장부와 설명되지 않는 차이가 있습니다: {what}; 해결될 때까지 신규 진입을 막습니다",
        ),
    }
)


class Difference(NamedTuple):
    """One thing that the broker's books and the own ones do not agree on."""

    what: What
    subject: str
    """Symbol, or symbol and the broker's number."""
    ours: int
    brokers: int
    instrument: int | None = None

    def text(self) -> str:
        """Return it in the user's language."""
        return _TEXTS(self.what, subject=self.subject, ours=self.ours, brokers=self.brokers)


class Report(NamedTuple):
    """What a comparison found."""

    differences: tuple[Difference, ...]
    rounds: int

    @property
    def is_clean(self) -> bool:
        """Whether the books agree."""
        return not self.differences


class Reconciler:
    """Compares, on one event loop.

    Args:
        broker: is asked.
        gateway: the own books.
        inquiry: asks for orders and fills, and has them booked.
        intake: knows fills without an order.
        codes: hears of FS071.
        symbols: the symbol of each instrument.
        answer_timeout_ns: how long an answer may take.
    """

    def __init__(
        self,
        *,
        broker: AsyncBrokerInterface,
        gateway: LiveGateway,
        inquiry: Inquiry,
        intake: FillIntake,
        codes: CodeSink,
        symbols: Mapping[int, str],
        answer_timeout_ns: int,
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._inquiry = inquiry
        self._intake = intake
        self._codes = codes
        self._symbols = symbols
        self._instruments = {symbol: number for number, symbol in symbols.items()}
        self._timeout_s = answer_timeout_ns / NS_PER_S
        self._turn = asyncio.Lock()
        self._told: tuple[Difference, ...] = ()
        self.last: Report | None = None
        """What the last comparison found."""

    async def run(self) -> Report | None:
        """Take in what is missing and compare; None if the broker gave no complete answer, or its books did not rest.

        Differences that nothing explains are reported and their symbols frozen for entries.
        """
        async with self._turn:
            report = await self._compare()
            if report is not None:
                self.last = report
                self._tell(report)
            return report

    async def is_nothing_moved(self) -> bool:
        """Whether money and positions are what the own books say; False if the broker gave no complete answer."""
        async with self._turn:
            report = await self._compare()
        return report is not None and not any(found.what in {"POSITION", "CASH"} for found in report.differences)

    def release(self) -> bool:
        """Take entries of frozen symbols again, if the last comparison was clean: for the operator to ask for."""
        if self.last is None or not self.last.is_clean:
            return False
        for instrument in self._symbols:
            self._gateway.freeze(instrument, reason=FREEZE_REASON, frozen=False)
        return True

    async def _compare(self) -> Report | None:
        before: tuple[Difference, ...] | None = None
        for rounds in range(1, _ROUNDS + 1):
            if not await self._inquiry.look():
                return None
            booked = self._intake.booked
            books = await self._books()
            if books is None:
                return None
            await self._intake.drained()
            if self._intake.booked == booked:  # else money moved between the questions: it says nothing
                found = tuple(self._differences(*books, self._inquiry.rows))
                if not found or found == before:
                    return Report(found, rounds)
                before = found
            await asyncio.sleep(_PAUSE_S)
        return None

    async def _books(self) -> tuple[Sequence[BrokerPosition], BrokerCash] | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._broker.query_positions(), await self._broker.query_cash()
        except (BrokerError, TimeoutError) as error:
            self._inquiry.failed(error if isinstance(error, BrokerError) else AnswerLost("no books in time"))
            return None

    def _differences(
        self, positions: Sequence[BrokerPosition], cash: BrokerCash, orders: Sequence[BrokerOrder]
    ) -> Iterable[Difference]:
        held = {row.symbol: row.qty for row in positions}
        ours = {
            symbol: sum(self._gateway.position(number, track)[0] for track in TRACKS)
            for number, symbol in self._symbols.items()
        }
        for symbol in sorted(held.keys() | ours.keys()):
            if held.get(symbol, 0) != ours.get(symbol, 0):
                yield self._difference("POSITION", symbol, symbol, ours.get(symbol, 0), held.get(symbol, 0))
        if abs(self._gateway.cash - cash.cash) > max(CASH_TOLERANCE, abs(cash.cash) // 10_000):
            yield Difference("CASH", "", self._gateway.cash, cash.cash)
        executed = self._inquiry.filled_by(orders)
        for row in sorted(orders):
            order_id = self._gateway.find(row.broker_no)
            name = f"{row.symbol} {row.broker_no}"
            if order_id is None:
                if row.is_live:
                    yield self._difference("ORPHAN_ORDER", row.symbol, name, 0, row.remaining_qty)
                continue
            _, filled, _, newest = self._gateway.order_state(order_id)
            if newest == row.broker_no and executed[order_id] > filled:
                yield self._difference("ORDER", row.symbol, name, filled, executed[order_id])
        for fill in sorted(self._intake.orphans):
            yield self._difference("ORPHAN_FILL", fill.symbol, f"{fill.symbol} {fill.broker_no}", 0, fill.qty)

    def _difference(self, what: What, symbol: str, subject: str, ours: int, brokers: int) -> Difference:
        return Difference(what, subject, ours, brokers, self._instruments.get(symbol))

    def _tell(self, report: Report) -> None:
        for found in report.differences:
            if found.instrument is not None:
                self._gateway.freeze(found.instrument, reason=FREEZE_REASON, frozen=True)
        if report.differences and report.differences != self._told:
            self._codes.report("FS071", _TEXTS("found", what="; ".join(found.text() for found in report.differences)))
        self._told = report.differences
