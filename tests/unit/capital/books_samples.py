"""What the tests of the books start from: a live table and a sink that keep strictly to their protocols."""

from datetime import UTC, date, datetime, timedelta

from qts.capital.books import CapitalBooks
from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import POOLS, PauseCause, TransferKind, TransferProposal, TransferReason
from qts.capital.exceptions import NotKept
from qts.capital.interfaces import PoolMoney
from qts.capital.recovery import Records
from qts.capital.transfers import Occasion
from qts.safety import SafetyState
from qts.state import OperatingState

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = date(2026, 1, 5)
CONFIG = CapitalFlowConfig()
SAMPLE = {"SCALP": 10_000_000, "SWING": 5_000_000, "PORTFOLIO": 15_000_000}


class MemoryLive:
    """The reservation table in plain Python: every method refuses as a whole or does as a whole."""

    def __init__(self):
        self.cash = dict.fromkeys(POOLS, 0)
        self.aside = dict.fromkeys(POOLS, 0)
        self.blocked = dict.fromkeys(POOLS, False)
        self.orders = {}
        self.loose = 0

    def pool_money(self, pool):
        return PoolMoney(self.cash[pool], self.held(pool), self.aside[pool], self.blocked[pool])

    def held(self, pool):
        return sum(hold for owner, hold in self.orders.values() if owner == pool)

    def free(self, pool):
        return self.loose if pool is None else self.pool_money(pool).available

    def unallocated(self):
        return self.loose

    def move(self, from_pool, to_pool, amount):
        if amount <= 0 or from_pool == to_pool or self.free(from_pool) < amount:
            raise ValueError("not there")
        self._add(from_pool, -amount)
        self._add(to_pool, amount)

    def set_aside(self, pool, amount):
        if amount < 0 or (amount and self.cash[pool] - self.held(pool) < amount):
            raise ValueError("not free")
        self.aside[pool] = amount

    def block_entries(self, pool, *, blocked):
        self.blocked[pool] = blocked

    def credit(self, pool, amount):
        if amount < 0 and self.free(pool) < -amount:
            raise ValueError("not there")
        self._add(pool, amount)

    def _add(self, pool, amount):
        if pool is None:
            self.loose += amount
        else:
            self.cash[pool] += amount

    # What the core does by itself: it is not part of the protocol.

    def admit(self, order, pool, need):
        """Pass an entry through the gate."""
        if self.blocked[pool] or need > self.free(pool):
            return False
        self.orders[order] = (pool, need)
        return True

    def restore(self, order, pool, need):
        """Replay a hold from the journal after a restart."""
        self.orders[order] = (pool, need)

    def fill(self, order, pool, spent, left):
        """Book a fill; an order that this table does not know has no hold here."""
        self.cash[pool] -= spent
        if order in self.orders:
            self.orders[order] = (pool, left)
            if not left:
                del self.orders[order]

    def finish(self, order):
        self.orders.pop(order, None)


class Crash(Exception):  # noqa: N818 - it is the process that ends, not an error of the books
    """The process ends here."""


class MemorySink:
    """Keeps what it is given; fails or crashes at a chosen call."""

    def __init__(self):
        self.lines, self.moves, self.held, self.shown = [], {}, {}, {}
        self.calls = 0
        self.fails = {}
        """What happens at the call of that number: it fails, all fail from there on, or a crash before or after it."""

    def at(self, number, what):
        self.fails = {self.calls + number: what}

    def _keep(self, do):
        self.calls += 1
        what = self.fails.pop(self.calls, None)
        if what == "down":
            self.fails[self.calls + 1] = "down"  # and so on until it is mended
        if what in ("fail", "down"):
            raise NotKept("disk full")
        if what == "before":
            raise Crash
        do()
        if what == "after":
            raise Crash

    def entries(self, lines):
        self._keep(lambda: self.lines.extend(lines))

    def transfer(self, transfer):
        self._keep(lambda: self.moves.update({transfer.transfer_id: transfer}))

    def hold(self, hold):
        self._keep(lambda: self.held.update({hold.hold_id: hold}))

    def pools(self, pools):
        self._keep(lambda: self.shown.update({one.pool_id: one for one in pools}))

    def records(self, history=()):
        return Records(
            tuple(self.lines), tuple(self.moves.values()), tuple(self.held.values()), dict(self.shown), tuple(history)
        )


class Room:
    """Books, their live table and their sink."""

    def __init__(self, amounts=None, config=CONFIG, live=None):
        self.live, self.sink = live or MemoryLive(), MemorySink()
        self.books = CapitalBooks(self.live, self.sink, config)
        self.now = START
        self.books.fund(SAMPLE if amounts is None else amounts, self.now)
        for pool in POOLS:
            self.books.resume(pool, PauseCause.START)

    def later(self, **span):
        self.now += timedelta(**span)
        return self.now

    def pool(self, pool):
        return self.books.snapshot(self.now)[pool]

    def order(self, order, pool, need):
        """An entry through the gate, and the books after it."""
        if not self.live.admit(order, pool, need):
            return False
        self.books.hold(order, pool, need, self.now)
        return True

    def buy(self, order, pool, qty, price, *, fee=0, left=0, exec_id=1, symbol="005930"):
        spent = qty * price + fee
        self.live.fill(order, pool, spent, left)
        return self.books.on_fill(
            order_id=order, exec_id=exec_id, pool=pool, symbol=symbol, side="BUY", qty=qty, amount=qty * price,
            fee=fee, tax=0, hold_left=left, at=self.now,
        )  # fmt: skip

    def sell(self, order, pool, qty, price, *, fee=0, tax=0, exec_id=1, symbol="005930"):
        self.live.fill(order, pool, fee + tax - qty * price, 0)
        return self.books.on_fill(
            order_id=order, exec_id=exec_id, pool=pool, symbol=symbol, side="SELL", qty=qty, amount=qty * price,
            fee=fee, tax=tax, hold_left=0, at=self.now,
        )  # fmt: skip

    def invest(self, pool, amount, order="x"):
        """Hold one share of that price."""
        assert self.order(order, pool, amount)
        assert self.buy(order, pool, 1, amount)

    def commit(self, source, target, amount, key="S>W:2026-W02", kind=TransferKind.PROMOTION):
        return self.books.commit(proposal(source, target, amount, key, kind), self.occasion())

    def occasion(self, day=DAY):
        return Occasion(self.now, day, OperatingState.BALANCED, SafetyState.NORMAL)

    def check(self):
        """Nothing is wrong, and the live table agrees."""
        assert self.books.verify(sum(self.live.cash.values()) + self.live.loose) == ()


def proposal(source, target, amount, key="S>W:2026-W02", kind=TransferKind.PROMOTION):
    reason = {
        TransferKind.PROMOTION: TransferReason.PROFIT_THRESHOLD_EXCEEDED,
        TransferKind.DEMOTION: TransferReason.MDD_THRESHOLD_EXCEEDED,
        TransferKind.REBALANCE: TransferReason.DRIFT_EXCEEDED,
    }[kind]
    return TransferProposal(source, target, amount, kind, reason, key)
