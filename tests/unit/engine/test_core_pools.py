"""Pools as Python drives them: the stepped core's table of money by track."""

import pytest

from qts._core import StepEngine
from qts.engine.build import catalog_in, load_config

START_NS = 1_767_571_200_000_000_000  # 2026-01-05 09:00 in Seoul
HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"


def quotes(count):
    times = (START_NS + n * 1_000_000_000 for n in range(count))
    return (HEADER + "".join(f"{t},{t},005930,Q,,,,70000,100,70100,100\n" for t in times)).encode()


class Host:
    """An engine on a few quotes a second apart, with what it tells."""

    def __init__(self, *pools, cash=10_000_000):
        catalog = catalog_in(load_config(None), "KRW")
        self.core = StepEngine(catalog.core, cash=cash)
        self.samsung = catalog.core.find("005930")
        self.core.add_chunks("quotes", iter([quotes(20)]))
        self.events = []
        self.core.set_p0_handler(self.events.append)
        if pools:
            self.core.fund_pools(*pools)

    def order(self, track, side, qty, limit):
        return self.core.submit(self.samsung, track, side, "LIMIT", "DAY", limit, qty)

    def to_second(self, second):
        self.core.run(START_NS + second * 1_000_000_000)
        taken, self.events[:] = [(e.kind, getattr(e, "reason", None)) for e in self.events], []
        return taken


def test_a_pool_pays_for_its_track_and_is_paid_by_it():
    host = Host(1_000_000, 800_000, 8_200_000)
    core = host.core
    host.to_second(0)
    order = host.order("SCALP", "BUY", 10, 70_100)
    held = core.hold_of(order)
    assert held >= 701_000
    assert core.pool_money("SCALP") == (1_000_000, held, 0, False)
    host.order("SWING", "BUY", 12, 70_100)
    assert host.to_second(1) == [("ORDER_REJECTED", "INSUFFICIENT_CASH"), ("FILL_CONFIRMED", None)]
    assert core.hold_of(order) == 0
    fees, taxes, _ = core.flows()
    assert core.pool_money("SCALP") == (299_000 - fees, 0, 0, False)
    host.order("SCALP", "SELL", 10, 70_000)
    assert host.to_second(2) == [("FILL_CONFIRMED", None)]
    fees, taxes, _ = core.flows()
    assert taxes > 0
    assert core.pool_money("SCALP") == (999_000 - fees - taxes, 0, 0, False)
    assert core.cash == 9_999_000 - fees - taxes
    assert core.unallocated() == 0


def test_a_blocked_pool_refuses_purchases_and_nothing_else():
    host = Host(2_000_000, 4_000_000, 4_000_000)
    host.to_second(0)
    host.order("SCALP", "BUY", 5, 70_100)
    host.to_second(1)
    host.core.block_entries("SCALP", blocked=True)
    assert host.core.pool_money("SCALP")[3] is True
    host.order("SCALP", "BUY", 1, 70_100)
    host.order("SCALP", "SELL", 5, 70_000)
    assert host.to_second(2) == [("ORDER_REJECTED", "POOL_BLOCKED"), ("FILL_CONFIRMED", None)]
    host.core.block_entries("SCALP", blocked=False)
    host.order("SCALP", "BUY", 1, 70_100)
    assert host.to_second(3) == [("FILL_CONFIRMED", None)]


def test_money_moves_if_it_is_free_and_a_refusal_says_what_is():
    core = Host(2_000_000, 4_000_000, 4_000_000).core
    core.set_aside("SCALP", 500_000)
    with pytest.raises(ValueError, match=r"SCALP has 1500000 free, expected at least 1500001"):
        core.move_pool_cash("SCALP", "SWING", 1_500_001)
    core.move_pool_cash("SCALP", "SWING", 1_500_000)
    core.move_pool_cash("PORTFOLIO", None, 1_000_000)
    core.credit(None, 50)
    core.credit("SWING", -100_000)
    assert [core.pool_money(track)[0] for track in ("SCALP", "SWING", "PORTFOLIO")] == [500_000, 5_400_000, 3_000_000]
    assert (core.unallocated(), core.cash) == (1_000_050, 9_900_050)
    for refused in (
        lambda: core.move_pool_cash(None, "SCALP", 1_000_051),
        lambda: core.move_pool_cash("SWING", "SWING", 1),
        lambda: core.move_pool_cash("SWING", None, 0),
        lambda: core.move_pool_cash("GROWTH", None, 1),
        lambda: core.set_aside("SCALP", 500_001),
        lambda: core.set_aside("SCALP", -1),
        lambda: core.credit("SCALP", -1),
        lambda: core.fund_pools(0, 0, 9_900_050),
    ):
        with pytest.raises(ValueError, match="expected"):
            refused()
    assert (core.unallocated(), core.cash) == (1_000_050, 9_900_050)


def test_pools_bind_nothing_until_they_are_funded():
    host = Host()
    assert host.core.pools_funded is False
    assert host.core.unallocated() == 10_000_000
    with pytest.raises(ValueError, match="not funded"):
        host.core.pool_money("SCALP")
    with pytest.raises(ValueError, match=r"hold 9999999 together, expected the account's cash of 10000000"):
        host.core.fund_pools(9_999_999, 0, 0)
    host.to_second(0)
    host.order("PORTFOLIO", "BUY", 100, 70_100)
    with pytest.raises(ValueError, match="1 orders have been sent"):
        host.core.fund_pools(10_000_000, 0, 0)
    assert host.to_second(1) == [("FILL_CONFIRMED", None)]


def test_a_split_leaves_cost_and_cash_and_tells_the_rest():
    host = Host(2_000_000, 4_000_000, 4_000_000)
    host.to_second(0)
    host.order("SCALP", "BUY", 5, 70_100)
    host.order("SWING", "BUY", 1, 70_100)
    host.to_second(1)
    cash = host.core.cash
    with pytest.raises(ValueError, match="ratio is 0 for 2"):
        host.core.split(host.samsung, 0, 2)
    assert host.core.split(host.samsung, 1, 2) == [("SCALP", 5, 2, 350_500, 0, 1), ("SWING", 1, 0, 0, 70_100, 1)]
    assert host.core.position(host.samsung, "SCALP")[:2] == (2, 350_500)
    assert host.core.cash == cash
    host.order("SCALP", "SELL", 2, 90_000)
    with pytest.raises(ValueError, match="1 orders of instrument"):
        host.core.split(host.samsung, 2, 1)
