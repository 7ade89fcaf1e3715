"""Whatever goes wrong on the line, what a broker's answers say is true, held against its own book afterwards."""

import asyncio
from collections import Counter
from random import Random

import pytest

from qts._core import OrderRefused
from qts.broker.asynchronous import AnswerLost, NotSent, Rejected
from qts.broker.checked import Checked
from qts.broker.faults import FaultKind, FaultPlan, FaultRates
from qts.broker.faulty import Faulty

from .contract.benches import START, SimBench

S = 1_000_000_000
TROUBLE_NS = 120 * S
RATES = FaultRates.even(25_000)._replace(reject_transient=5_000, delay_max_ms=1_500, answer_timeout_ms=2_000)
SEEDS_PER_TEST = 40


class Run:
    """An engine without much sense: it orders, amends and cancels at random, and remembers what it was told."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)  # noqa: S311 - a plan, no secret
        self.bench = SimBench(exchange_delay_ns=self.dice.choice((0, 0, 600_000_000)))
        self.plan = FaultPlan(seed, RATES, from_ns=START + S, until_ns=START + TROUBLE_NS)
        self.bench.dressed = self._dressed
        self.placed: dict[int, str] = {}
        self.amended: dict[int, str] = {}
        self.lists = 0

    def go(self) -> None:
        self.bench.run(self._go())

    def _dressed(self, inner, clock):
        return Checked(Faulty(inner, self.plan, clock, fill_now=self._fill), clock)

    def _fill(self, broker_no: str, part: int) -> None:
        rows = [row for row in self.bench.book.orders(open_only=True) if row.broker_no == broker_no]
        for row in rows:
            qty = max(1, row.remaining_qty * part // 1_000)
            self.bench.book.fill_now(broker_no=broker_no, qty=qty, price=row.limit, now_ns=self.bench.now_ns())

    async def _go(self) -> None:
        await asyncio.sleep(1)
        tasks = []
        for at in range(60):
            tasks.append(asyncio.create_task(self._deed(at)))
            await asyncio.sleep(self.dice.uniform(0.0, 1.5))
        await asyncio.gather(*tasks)
        await asyncio.sleep(TROUBLE_NS / S)
        await self._hold_against_the_book()

    async def _deed(self, at: int) -> None:
        deed = self.dice.choice(("place", "place", "amend", "amend", "cancel", "list", "fill", "fill", "balk"))
        known = list(self.bench._orders)
        if deed == "place" or not known:
            await self._told(self.placed, 50_000 + 100 * at, self._place)
        elif deed == "amend":
            number = self.dice.choice(known)
            await self._told(self.amended, 60_000 + 100 * at, lambda limit: self._amend(number, limit))
        elif deed == "cancel":
            await self._told({}, 0, lambda _: self.bench.cancel(self.dice.choice(known)))
        elif deed == "list":
            await self._list()
        elif deed == "balk":
            self.bench.book.reject_next(self.dice.choice(("TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE")))
        else:
            self._fill(self.dice.choice(known), self.dice.randrange(1, 1_001))
            self.bench.inner.tell()

    async def _place(self, limit: int) -> None:
        permit = self.bench.permit("BUY", 5, limit)
        try:
            ack = await self.bench.broker.send(permit)
        except AnswerLost:
            self.bench.gateway.on_lost(permit.order_id, self.bench.now_ns())
            raise
        self.bench.gateway.on_ack(permit.order_id, ack.broker_no, self.bench.now_ns())
        self.bench._orders[ack.broker_no] = permit.order_id

    async def _amend(self, number: str, limit: int) -> None:
        order_id = self.bench.order_id(number)
        try:
            await self.bench.amend(number, limit, 5)
        except AnswerLost:
            self.bench.gateway.on_lost(order_id, self.bench.now_ns())
            raise
        except (Rejected, NotSent):
            self.bench.gateway.on_amend_refused(order_id, self.bench.now_ns())
            raise

    async def _told(self, told: dict[int, str], limit: int, deed) -> None:
        try:
            await deed(limit)
            told[limit] = "DONE"
        except (AnswerLost, NotSent, Rejected) as error:
            told[limit] = type(error).__name__
        except (OrderRefused, ValueError):
            pass  # our own gate: nothing was asked of the broker

    async def _list(self) -> None:
        acked = set(self.bench._orders)
        try:
            rows = await self.bench.broker.query_orders()
        except (AnswerLost, NotSent):
            return
        self.lists += 1
        assert acked <= {row.broker_no for row in rows}
        assert len(rows) == len({row.broker_no for row in rows})

    async def _hold_against_the_book(self) -> None:
        book = self.bench.book
        rows = book.orders(open_only=False)
        there = Counter(row.limit for row in rows)
        assert set(there.values()) <= {1}, "an order or amendment went through twice"
        for told in (self.placed, self.amended):
            for limit, what in told.items():
                assert what == "AnswerLost" or there[limit] == (what == "DONE"), (limit, what)
        fills = {fill.event_id: fill for fill in book.fills()}
        assert all(fills[fill.event_id] == fill for fill in self.bench.fills())
        assert list(await self.bench.broker.query_orders()) == rows
        assert list(await self.bench.broker.query_fills()) == list(fills.values())


@pytest.mark.parametrize("block", range(5))
def test_done_is_done_refused_is_not_and_only_lost_is_in_doubt(block):
    injected, told, lists = Counter(), Counter(), 0
    for seed in range(block * SEEDS_PER_TEST, (block + 1) * SEEDS_PER_TEST):
        run = Run(seed)
        run.go()
        injected += run.plan.injected
        told += Counter(run.placed.values()) + Counter(run.amended.values())
        lists += run.lists
    assert injected.keys() == set(FaultKind), "every kind of fault has been met"
    assert min(told[what] for what in ("DONE", "AnswerLost", "NotSent", "Rejected")) >= 10
    assert lists > SEEDS_PER_TEST
