"""A split on the real core, with its fractions paid: nothing of value is made or lost."""

from datetime import date

import pytest

from qts._core import StepEngine
from qts.codes import EngineFault
from qts.engine.build import catalog_in, load_config
from qts.instruments import Split, apply_split

START_NS = 1_767_571_200_000_000_000  # 2026-01-05 09:00 in Seoul
HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"
CLOSE = 70_050


class Host:
    """A core that holds 7 shares for SCALP and 3 for SWING."""

    def __init__(self):
        self.catalog = catalog_in(load_config(None), "KRW")
        self.samsung = self.catalog["005930"]
        self.core = StepEngine(self.catalog.core, cash=10_000_000)
        times = (START_NS + n * 1_000_000_000 for n in range(9))
        rows = "".join(f"{t},{t},005930,Q,,,,70000,100,70100,100\n" for t in times)
        self.core.add_chunks("quotes", iter([(HEADER + rows).encode()]))
        self.core.set_p0_handler(lambda event: None)
        self.core.fund_pools(2_000_000, 4_000_000, 4_000_000)
        self.core.run(START_NS)
        for track, qty in (("SCALP", 7), ("SWING", 3)):
            self.order(track, "BUY", qty, 70_100)
        self.core.run(START_NS + 1_000_000_000)

    def order(self, track, side, qty, limit):
        return self.core.submit(self.samsung.id, track, side, "LIMIT", "DAY", limit, qty)

    def split(self, numerator, denominator):
        row = Split("005930", self.samsung.id, date(2026, 1, 6), numerator, denominator)
        return apply_split(self.core, row, self.samsung, CLOSE)


def test_a_split_keeps_cost_and_cash():
    host = Host()
    cash = host.core.cash
    rows = host.split(50, 1)
    assert [row[1:] for row in rows] == [("SCALP", 7, 350, 490_700, 0, 0), ("SWING", 3, 150, 210_300, 0, 0)]
    assert host.core.position(host.samsung.id, "SCALP")[:2] == (350, 490_700)
    assert host.core.cash == cash


def test_a_consolidation_owes_the_fractions_at_the_close_before_and_they_can_be_paid():
    host = Host()
    cash = host.core.cash
    rows = host.split(1, 5)
    assert [row[1:] for row in rows] == [
        ("SCALP", 7, 1, 490_700, 0, 2 * CLOSE),
        ("SWING", 3, 0, 0, 210_300, 3 * CLOSE),
    ]
    for row in rows:
        host.core.credit(row.track, row.cash_in_lieu)
    assert host.core.cash == cash + 5 * CLOSE
    value_after = 1 * (5 * CLOSE) + 5 * CLOSE  # one share at the base price of five, and the cash
    assert value_after == 10 * CLOSE


def test_a_working_order_refuses_the_split_with_a_code_and_nothing_changes():
    host = Host()
    host.order("SCALP", "SELL", 2, 90_000)
    with pytest.raises(EngineFault) as caught:
        host.split(2, 1)
    assert caught.value.code == "FS071"
    assert caught.value.hint
    assert host.core.position(host.samsung.id, "SCALP")[:2] == (7, 490_700)
