"""Watches the pools of a run from outside: after each fill, before each cycle and at each close they have to agree."""

from collections import Counter
from contextlib import contextmanager
from typing import NamedTuple

from qts.capital.contracts import POOLS
from qts.engine.capital import CapitalDesk

ALL = ["volatility_breakout", "daily_momentum", "target_weights"]
PARAMS = {
    "volatility_breakout.part": "0.3",
    "daily_momentum.entry_days": "5",
    "daily_momentum.exit_days": "3",
    "target_weights.weights": "005930=0.30,000660=0.20,035720=0.30",
}
CASH = 100_000_000


class Close(NamedTuple):
    """What was seen when a session had closed."""

    day: object
    scalp: dict
    safety: object


class Watch:
    """Counts fills itself and compares books, table and account whenever it may look."""

    def __init__(self):
        self.desk = None
        self.looks = Counter()
        self.qty = Counter()
        self.closes = []
        self.wrong = []

    def fill(self, event):
        if event.kind in ("FILL_PARTIAL", "FILL_CONFIRMED"):
            self.qty[event.track, event.symbol] += event.qty if event.side == "BUY" else -event.qty
            self.check("fill")

    def check(self, where):
        """Compare everything; what does not agree is kept with its place."""
        desk = self.desk
        if desk._service is None:
            return
        self.looks[where] += 1
        core, books = desk._core, desk.books
        tracks = {key: qty for key, qty in self.qty.items() if qty}
        found = [*books.broken()]
        if {(pool, symbol): held.qty for (pool, symbol), held in books.holdings.items()} != tracks:
            found.append(("holdings", dict(books.holdings), tracks))
        for pool in POOLS:
            buckets = books.buckets(pool)
            if min(buckets) < 0 or sum(buckets) != books.total(pool):
                found.append(("I1 and I2", pool, buckets, books.total(pool)))
        if where != "fill":  # of several fills of one moment the table has them all before the first one is told
            found += self._against_core(core, books, tracks)
        self.wrong += [(where, one) for one in found]

    def _against_core(self, core, books, tracks):
        money = {pool: core.pool_money(pool) for pool in POOLS}
        found = list(books.verify(core.cash, self.desk._quantities()))
        if sum(one[0] for one in money.values()) + core.unallocated() != core.cash:
            found.append(("cash", money, core.unallocated(), core.cash))
        if {(track, self.desk._symbols[i]): qty for i, track, qty, _, _ in core.positions() if qty} != tracks:
            found.append(("tracks", core.positions(), tracks))
        if {pool: books.buckets(pool)[3] for pool in POOLS} != {pool: money[pool][1] for pool in POOLS}:
            found.append(("held", {pool: books.buckets(pool) for pool in POOLS}, money))
        return found


@contextmanager
def watched(monkeypatch):
    """Return a watch over the desk of the next run; it only looks."""
    watch = Watch()
    with monkeypatch.context() as patch:

        def looking(name, before, after):
            original = getattr(CapitalDesk, name)

            def call(desk, *given, **named):
                watch.desk = desk
                before(*given)
                answer = original(desk, *given, **named)
                after(*given)
                return answer

            patch.setattr(CapitalDesk, name, call)

        def closed():
            watch.check("close")
            desk = watch.desk
            scalp = {symbol: qty for (track, symbol), qty in watch.qty.items() if track == "SCALP" and qty}
            watch.closes.append(Close(desk._session, scalp, desk._supervisor().safety.state))

        nothing = lambda *_: None  # noqa: E731
        looking("on_p0", nothing, watch.fill)
        looking("open_day", nothing, lambda *_: watch.check("open"))
        looking("close_day", lambda: watch.check("before close"), closed)
        looking("look", lambda *_: watch.check("cycle"), nothing)
        yield watch
