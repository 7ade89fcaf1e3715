"""The books over the real reservation table: a stepped core trades, the books follow, and both agree to the won."""

from datetime import timedelta

from books_samples import CONFIG, DAY, START, MemorySink, proposal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qts._core import StepEngine
from qts.capital.books import CapitalBooks, SplitPart
from qts.capital.contracts import POOLS, PauseCause, PoolState, TransferKind, TransferStatus
from qts.capital.exceptions import NotAvailable, PoolClosed
from qts.capital.transfers import Occasion
from qts.codes import UsageError
from qts.engine.build import catalog_in, load_config
from qts.engine.pools import LiveTable
from qts.safety import SafetyState
from qts.state import OperatingState

START_NS = 1_767_571_200_000_000_000  # 2026-01-05 09:00 in Seoul
HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"
CATALOG = catalog_in(load_config(None), "KRW")
POOL = st.sampled_from(POOLS)


def market(seconds=300):
    """Quotes that wander, with little on either side: orders fill in parts."""
    rows = []
    for second in range(seconds):
        at = START_NS + second * 1_000_000_000
        bid = 70_000 + 100 * ((second * 7) % 11 - 5)
        rows.append(f"{at},{at},005930,Q,,,,{bid},{1 + second % 4},{bid + 100},{1 + second % 3}\n")
    return (HEADER + "".join(rows)).encode()


class BooksOverCore(RuleBasedStateMachine):
    @initialize(amounts=st.tuples(*[st.integers(500_000, 12_000_000)] * 3))
    def fund(self, amounts):
        self.core = StepEngine(CATALOG.core, cash=sum(amounts))
        self.samsung = CATALOG.core.find("005930")
        self.core.add_chunks("quotes", iter([market()]))
        self.core.set_p0_handler(self.on_event)
        self.core.fund_pools(*amounts)
        self.live, self.sink = LiveTable(self.core), MemorySink()
        self.books = CapitalBooks(self.live, self.sink, CONFIG)
        self.books.fund(dict(zip(POOLS, amounts, strict=True)), START, is_live_funded=True)
        for pool in POOLS:
            self.books.resume(pool, PauseCause.START)
        self.second, self.count, self.external, self.other = 0, 0, sum(amounts), 0
        self.core.run(START_NS)

    def on_event(self, event):
        at = START + timedelta(seconds=self.second)
        if not event.kind.startswith("FILL"):
            self.books.unhold(event.order_id, at)
            return
        for is_first in (True, False):
            booked = self.books.on_fill(
                order_id=event.order_id,
                exec_id=event.exec_seq,
                pool=event.track,
                symbol=event.symbol,
                side=event.side,
                qty=event.qty,
                amount=event.amount,
                fee=event.fee,
                tax=event.tax,
                hold_left=self.core.hold_of(event.order_id),
                at=at,
            )
            assert booked is is_first

    @rule(seconds=st.integers(1, 6))
    def later(self, seconds):
        self.second = min(290, self.second + seconds)
        self.core.run(START_NS + self.second * 1_000_000_000)

    @rule(pool=POOL, side=st.sampled_from(["BUY", "SELL"]), qty=st.integers(1, 12), off=st.integers(-6, 12))
    def order(self, pool, side, qty, off):
        number = self.core.submit(self.samsung, pool, side, "LIMIT", "DAY", 70_000 + 100 * off, qty)
        held = self.core.hold_of(number)
        if held:
            self.books.hold(number, pool, held, START)

    @rule(pool=POOL, qty=st.integers(1, 12), seconds=st.integers(1, 5))
    def buy_at_the_market(self, pool, qty, seconds):
        self.order(pool, "BUY", qty, 12)
        self.later(seconds)

    @rule(pool=POOL, part=st.integers(1, 4), seconds=st.integers(1, 5))
    def sell_at_the_market(self, pool, part, seconds):
        held = self.core.position(self.samsung, pool)[0]
        if held:
            self.order(pool, "SELL", max(1, held // part), -6)
            self.later(seconds)

    @rule(number=st.integers(1, 30))
    def cancel(self, number):
        self.core.cancel(number)

    @rule(source=POOL, into=POOL, amount=st.integers(1, 1_500_000), kind=st.sampled_from(TransferKind))
    def transfer(self, source, into, amount, kind):
        self.count += 1
        wish = proposal(source, into, amount, f"{source}>{into}:{self.count}", kind)
        before = {pool: self.books.total(pool) for pool in POOLS}
        free = self.books.available(source)
        try:
            done = self.books.commit(wish, Occasion(START, DAY, OperatingState.BALANCED, SafetyState.NORMAL))
        except (NotAvailable, PoolClosed, UsageError):
            assert {pool: self.books.total(pool) for pool in POOLS} == before
            assert source == into or amount > free or PoolState.LOCKED in map(self.books.state, (source, into))
        else:
            assert done.status is TransferStatus.COMMITTED
            assert self.books.total(into) == before[into] + amount

    @rule(amount=st.integers(1, 1_000_000), pool=POOL)
    def deposit(self, amount, pool):
        self.count += 1
        self.books.external(amount, str(self.count), START)
        self.books.allocate(CONFIG.targets[OperatingState.BALANCED], START)
        self.external += amount

    @rule(amount=st.integers(1, 1_000_000), pool=POOL)
    def withdraw(self, amount, pool):
        self.count += 1
        try:
            self.books.withdraw(pool, amount, str(self.count), START)
        except (NotAvailable, PoolClosed):
            return
        self.external -= amount

    @rule(amount=st.integers(1, 10_000), pool=POOL)
    def dividend(self, amount, pool):
        self.count += 1
        self.books.dividend(pool, "005930", amount, str(self.count), START)
        self.other += amount

    @rule(ratio=st.sampled_from([(2, 1), (1, 3)]), price=st.integers(0, 70_000))
    def split(self, ratio, price):
        costs = {track: cost for _, track, _, cost, _ in self.core.positions()}
        try:
            rows = self.core.split(self.samsung, *ratio)
        except ValueError:
            return  # orders of it work
        if not rows:
            return
        self.count += 1
        parts = [SplitPart(row[0], row[2], row[-1] * price // ratio[1]) for row in rows]
        self.books.split("005930", parts, str(self.count), START)
        self.other += sum(part.cash_in_lieu - (0 if part.qty else costs[part.pool]) for part in parts)

    @rule(pool=POOL)
    def lock_and_unlock(self, pool):
        self.books.lock(pool, "FS082", "x", START)
        number = self.core.submit(self.samsung, pool, "BUY", "LIMIT", "DAY", 70_000, 1)
        assert self.core.hold_of(number) == 0
        self.books.unlock(pool, "kim", "checked", START)
        self.books.resume(pool, PauseCause.START)

    @rule()
    def end_quarantine(self):
        for rest in self.books.quarantines:
            self.books.release_quarantine(rest.transfer_id, START)

    @invariant()
    def core_and_books_agree(self):
        quantities = {}
        for _, _, qty, _, _ in self.core.positions():
            quantities["005930"] = quantities.get("005930", 0) + qty
        assert self.books.verify(self.core.cash, quantities) == ()
        for pool in POOLS:
            cash, held, aside, _ = self.core.pool_money(pool)
            available, invested, reserved, on_hold = self.books.buckets(pool)
            assert (held, aside, cash - held - aside) == (on_hold, reserved, available)
            assert invested == self.core.position(self.samsung, pool)[1]
        assert self.books.unallocated == self.core.unallocated()

    @invariant()
    def nothing_is_lost_or_made(self):
        fees, taxes, _ = self.core.flows()
        bought = sum(line.amount for line in self.sink.lines if line.cause in ("FEE", "TAX"))
        assert bought == -fees - taxes
        whole = sum(self.books.total(pool) for pool in POOLS) + self.books.unallocated
        assert whole == self.books.external_flows + sum(one.realized_pnl for one in self.books.snapshot(START).values())
        assert self.books.external_flows == self.external
        invested = sum(cost for _, _, _, cost, _ in self.core.positions())
        assert whole == self.core.cash + invested


BooksOverCore.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBooksOverCore = BooksOverCore.TestCase
