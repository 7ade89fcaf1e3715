"""Money is conserved: whatever happens, in whatever order, and wherever the process ends.

The machine plays fills, holds, transfers, deposits, withdrawals, dividends, splits, locks and crashes against the books
and a live table, and keeps its own account of what must be there, by other means than the books do.
"""

from decimal import Decimal

from books_samples import CONFIG, DAY, START, Crash, MemoryLive, MemorySink, proposal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qts.capital.books import CapitalBooks, SplitPart
from qts.capital.contracts import POOLS, Bucket, Cause, PauseCause, PoolState, TransferKind, TransferStatus
from qts.capital.exceptions import NotAvailable, NotKept, PoolClosed
from qts.capital.recovery import FillRecord, SplitRecord, recover
from qts.capital.transfers import Occasion
from qts.safety import SafetyState
from qts.state import OperatingState

POOL = st.sampled_from(POOLS)
SYMBOL = st.sampled_from(["005930", "000660"])
MONEY = st.integers(1, 3_000_000)
PRICE = st.integers(1, 50_000)
FUNDS = st.integers(0, 1_000) | st.integers(1_000_000, 20_000_000)
TROUBLE = st.none() | st.tuples(st.integers(1, 6), st.sampled_from(["fail", "down", "before", "after"]))
"""What befalls the sink, and at which of its next calls."""


class Conservation(RuleBasedStateMachine):
    """Books against a reckoning of their own."""

    make_live = staticmethod(MemoryLive)
    """A fresh live table; one over the real core is put here to run the same machine against it."""

    @initialize(
        amounts=st.fixed_dictionaries({pool: st.integers(0, 5) | st.integers(1_000_000, 20_000_000) for pool in POOLS})
    )
    def fund(self, amounts):
        self.live, self.sink = self.make_live(), MemorySink()
        self.books = CapitalBooks(self.live, self.sink, CONFIG)
        self.books.fund(amounts, START)
        self.open_all()
        self.external = sum(amounts.values())
        self.realized = 0
        self.positions = {}
        self.journal = []
        self.orders = {}
        self.count = 0
        self.kept_keys = set()

    # How an event gets into the books

    def open_all(self):
        for pool in POOLS:
            self.books.resume(pool, PauseCause.START)

    def post(self, trouble, do):
        """Do something with the books; after a failure again, after a crash in the books that come out of the records.

        What is refused has changed nothing. Returns what `do` returned, or the refusal.
        """
        if trouble:
            self.sink.at(*trouble)
        before = self.picture()
        try:
            return do()
        except NotKept:
            after = self.picture()
            if after["transfers"] == before["transfers"]:  # one that was committed has changed what it had to
                assert after == before, "a failure changed something"
            self.sink.fails = {}
            return self.again(do)
        except Crash:
            self.sink.fails = {}
            self.crash()
            return self.again(do)
        except (NotAvailable, PoolClosed) as refusal:
            assert {key: value for key, value in self.picture().items() if key != "transfers"} == {
                key: value for key, value in before.items() if key != "transfers"
            }
            return refusal
        finally:
            self.sink.fails = {}

    def again(self, do):
        try:
            return do()
        except (NotAvailable, PoolClosed) as refusal:
            return refusal

    def picture(self):
        return {
            "buckets": {pool: self.books.buckets(pool) for pool in POOLS},
            "unallocated": self.books.unallocated,
            "holdings": self.books.holdings,
            "live": {pool: (self.live.pool_money(pool).cash, self.live.pool_money(pool).set_aside) for pool in POOLS},
            "transfers": {one.proposal.transfer_key: one.status for one in self.books.transfers},
        }

    @rule()
    def crash(self):
        """The process ends; another one begins with a fresh live table and what the sink has."""
        self.live = self.make_live()
        records = self.sink.records(self.journal)
        locked = {pool for pool in POOLS if self.books.state(pool) is PoolState.LOCKED}
        self.books = recover(self.live, self.sink, CONFIG, records, START)
        assert all(self.books.state(pool) is not PoolState.ACTIVE for pool in POOLS)
        assert locked <= {pool for pool in POOLS if self.books.state(pool) is PoolState.LOCKED} | locked
        assert not [one for one in self.books.transfers if one.status is TransferStatus.PENDING]
        self.open_all()

    # What happens

    @rule(pool=POOL, need=MONEY, trouble=TROUBLE)
    def place(self, pool, need, trouble):
        self.count += 1
        order = str(self.count)
        if not self.live.admit(order, pool, need):
            assert self.books.state(pool) is not PoolState.ACTIVE or need > self.books.available(pool)
            return
        before = self.live

        def do():
            if self.live is not before and not self.books.hold_of(order):
                self.live.restore(order, pool, need)
            self.books.hold(order, pool, need, START)

        self.post(trouble, do)
        self.orders[order] = (pool, need)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), symbol=SYMBOL, qty=st.integers(1, 50), part=st.integers(0, 100), trouble=TROUBLE)
    def bought(self, data, symbol, qty, part, trouble):
        order = data.draw(st.sampled_from(sorted(self.orders)))
        pool, hold = self.orders[order]
        spendable = hold * part // 100
        price = max(1, spendable // qty)
        fee = min(max(0, spendable - price * qty), price * qty // 1000)
        if price * qty + fee > hold:
            return
        left = (hold - price * qty - fee) * data.draw(st.integers(0, 10)) // 10
        self.fill(order, pool, symbol, "BUY", qty, price * qty, (fee, 0, left), trouble)
        qty_before, cost = self.positions.get((pool, symbol), (0, 0))
        self.positions[pool, symbol] = (qty_before + qty, cost + price * qty)
        self.realized -= fee
        if left:
            self.orders[order] = (pool, left)
        else:
            del self.orders[order]

    @precondition(lambda self: self.positions)
    @rule(data=st.data(), price=PRICE, trouble=TROUBLE)
    def sold(self, data, price, trouble):
        pool, symbol = data.draw(st.sampled_from(sorted(self.positions)))
        held, cost = self.positions[pool, symbol]
        qty = data.draw(st.integers(1, held))
        amount = qty * price
        fee, tax = amount // 5_000, amount // 500
        self.count += 1
        self.fill(str(self.count), pool, symbol, "SELL", qty, amount, (fee, tax, 0), trouble)
        removed = cost * qty // held
        self.realized += amount - fee - tax - removed
        self.position(pool, symbol, held - qty, cost - removed)

    def position(self, pool, symbol, qty, cost):
        if qty:
            self.positions[pool, symbol] = (qty, cost)
        else:
            del self.positions[pool, symbol]

    def fill(self, order, pool, symbol, side, qty, amount, money, trouble):
        fee, tax, left = money
        self.count += 1
        record = FillRecord(order, str(self.count), pool, symbol, side, qty, amount)
        self.journal.append(record)
        spent = amount + fee + tax if side == "BUY" else fee + tax - amount

        def play():
            return self.books.on_fill(
                order_id=order, exec_id=record.exec_id, pool=pool, symbol=symbol, side=side, qty=qty, amount=amount,
                fee=fee, tax=tax, hold_left=left, at=START,
            )  # fmt: skip

        before = self.live
        self.live.fill(order, pool, spent, left)

        def do():
            if self.live is not before and record.ref not in self.books.refs:
                self.live.fill(order, pool, spent, left)  # the core replays its journal into the new table
            return play()

        self.post(trouble, do)
        count = self.books.duplicates
        assert play() is False, "a fill was booked twice"
        assert self.books.duplicates == count + 1

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), trouble=TROUBLE)
    def ended(self, data, trouble):
        order = data.draw(st.sampled_from(sorted(self.orders)))
        self.live.finish(order)
        self.post(trouble, lambda: self.books.unhold(order, START))
        del self.orders[order]

    @rule(amount=st.integers(-3_000_000, 5_000_000).filter(bool), trouble=TROUBLE)
    def outside(self, amount, trouble):
        self.count += 1
        ref = str(self.count)
        known = self.books.unallocated
        result = self.post(trouble, lambda: self.books.external(amount, ref, START))
        if isinstance(result, NotAvailable):
            assert known + amount < 0
        else:
            self.external += amount
            assert self.books.external(amount, ref, START) is False

    @rule(trouble=TROUBLE)
    def allocate(self, trouble):
        shares = {"SCALP": Decimal("0.40"), "SWING": Decimal("0.35"), "PORTFOLIO": Decimal("0.25")}
        self.post(trouble, lambda: self.books.allocate(shares, START))

    @rule(pool=POOL, amount=MONEY, trouble=TROUBLE)
    def withdraw(self, pool, amount, trouble):
        self.count += 1
        ref = str(self.count)
        if not isinstance(self.post(trouble, lambda: self.books.withdraw(pool, amount, ref, START)), Exception):
            self.external -= amount

    @rule(pool=POOL, amount=MONEY, trouble=TROUBLE)
    def dividend(self, pool, amount, trouble):
        self.count += 1
        ref = str(self.count)
        self.post(trouble, lambda: self.books.dividend(pool, "005930", amount, ref, START))
        self.realized += amount

    @rule(pool=POOL, amount=st.integers(1, 10_000), cause=st.sampled_from([Cause.FEE, Cause.TAX]), trouble=TROUBLE)
    def charged(self, pool, amount, cause, trouble):
        self.count += 1
        ref = str(self.count)
        if not isinstance(self.post(trouble, lambda: self.books.charge(pool, cause, amount, ref, START)), Exception):
            self.realized -= amount

    @rule(symbol=SYMBOL, ratio=st.sampled_from([(2, 1), (3, 2), (1, 2), (1, 40)]), price=PRICE, trouble=TROUBLE)
    def split(self, symbol, ratio, price, trouble):
        owners = sorted(pool for pool, name in self.positions if name == symbol)
        if not owners:
            return
        self.count += 1
        parts = []
        for pool in owners:
            qty, cost = self.positions[pool, symbol]
            after, rest = divmod(qty * ratio[0], ratio[1])
            cash = rest * price // ratio[1]
            parts.append(SplitPart(pool, after, cash))
            self.realized += cash - (0 if after else cost)
            self.position(pool, symbol, after, cost)
        ref = str(self.count)
        self.journal.append(SplitRecord(symbol, ref, tuple(parts)))
        self.post(trouble, lambda: self.books.split(symbol, parts, ref, START))

    @rule(
        source=POOL,
        into=POOL,
        amount=st.integers(1, 400_000) | MONEY,
        kind=st.sampled_from(TransferKind),
        period=st.integers(0, 3),
        trouble=TROUBLE,
    )
    def transfer(self, source, into, amount, kind, period, trouble):
        if source == into:
            return
        key = f"{source}>{into}:{kind}:{period}"
        used = key in self.books.used_keys()
        whole = sum(self.books.total(pool) for pool in POOLS)
        before = {pool: self.books.total(pool) for pool in POOLS}
        wish = proposal(source, into, amount, key, kind)
        occasion = Occasion(START, DAY, OperatingState.BALANCED, SafetyState.NORMAL)
        done = self.post(trouble, lambda: self.books.commit(wish, occasion))
        assert sum(self.books.total(pool) for pool in POOLS) == whole
        if isinstance(done, Exception):
            assert {pool: self.books.total(pool) for pool in POOLS} == before
            return
        assert done.status is TransferStatus.COMMITTED
        if not used:
            assert self.books.total(source) == before[source] - amount
            assert self.books.total(into) == before[into] + amount
            self.kept_keys.add(key)
        else:
            assert {pool: self.books.total(pool) for pool in POOLS} == before

    @precondition(lambda self: self.books.quarantines)
    @rule(trouble=TROUBLE)
    def end_quarantine(self, trouble):
        name = self.books.quarantines[0].transfer_id
        self.post(trouble, lambda: self.books.release_quarantine(name, START))

    @rule(values=st.fixed_dictionaries({pool: st.integers(0, 30_000_000) for pool in POOLS}))
    def marked(self, values):
        held = {pool for pool, _ in self.positions}
        self.books.mark({pool: value for pool, value in values.items() if pool in held}, START)

    @rule(pool=POOL)
    def lock(self, pool):
        self.books.lock(pool, "FS082", "drawdown", START)
        assert self.live.pool_money(pool).is_blocked

    @precondition(lambda self: any(self.books.state(pool) is PoolState.LOCKED for pool in POOLS))
    @rule()
    def unlock(self):
        pool = next(pool for pool in POOLS if self.books.state(pool) is PoolState.LOCKED)
        self.books.unlock(pool, "kim", "checked by hand", START)
        assert self.books.state(pool) is PoolState.PAUSED
        self.open_all()

    # What must hold after each of these

    @invariant()
    def nothing_is_lost_or_made(self):
        whole = sum(self.books.total(pool) for pool in POOLS) + self.books.unallocated
        assert whole == self.external + self.realized

    @invariant()
    def the_live_table_agrees(self):
        invested = sum(cost for _, cost in self.positions.values())
        cash = sum(self.live.pool_money(pool).cash for pool in POOLS) + self.live.unallocated()
        assert cash + invested == self.external + self.realized
        quantities = {}
        for (_, symbol), (qty, _) in self.positions.items():
            quantities[symbol] = quantities.get(symbol, 0) + qty
        assert self.books.verify(cash, quantities) == ()

    @invariant()
    def every_bucket_is_what_it_should_be(self):
        for pool in POOLS:
            available, invested, reserved, held = self.books.buckets(pool)
            assert min(available, invested, reserved, held) >= 0
            assert available + invested + reserved + held == self.books.total(pool)
            assert invested == sum(cost for (owner, _), (_, cost) in self.positions.items() if owner == pool)
            assert held == sum(hold for owner, hold in self.orders.values() if owner == pool)
            assert reserved == sum(rest.amount for rest in self.books.quarantines if rest.pool == pool)
            money = self.live.pool_money(pool)
            assert money.cash - money.held - money.set_aside == available

    @invariant()
    def the_ledger_says_the_same(self):
        sums, seen = {}, set()
        for line in self.sink.lines:
            key = (line.pool_id, line.bucket)
            sums[key] = sums.get(key, 0) + line.amount
            unique = (line.cause, line.ref_id, *key)
            assert unique not in seen
            seen.add(unique)
        for pool in POOLS:
            for bucket, amount in zip(Bucket, self.books.buckets(pool), strict=False):
                assert sums.get((pool, bucket), 0) == amount
        assert [line.entry_id for line in self.sink.lines] == list(range(1, len(self.sink.lines) + 1))

    @invariant()
    def units_are_never_negative(self):
        for pool, one in self.books.snapshot(START).items():
            assert one.units >= 0, pool
            assert one.revision > 0 or not one.is_funded

    @invariant()
    def a_key_moves_money_once(self):
        assert self.kept_keys <= self.books.used_keys()


Conservation.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestConservation = Conservation.TestCase
