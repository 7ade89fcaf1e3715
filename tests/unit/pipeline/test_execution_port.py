"""Decisions of SCALP go to executions: Act does not wait for them, and the next cycle knows that they are under way."""

import json

import pytest

from qts.broker import OrderRequest
from qts.codes import EngineFault
from qts.pipeline.orders import WorkingOrder
from qts.strategy import Intent


class Port:
    """Takes decisions on and sends parts of them when a test says so."""

    def __init__(self, world):
        self.world = world
        self.taken = []
        self.asked = []
        self.refusal = ""
        self.error = None

    def __call__(self, orders):
        self.orders = orders
        return self

    def submit(self, decision, cycle):
        if self.error is not None:
            raise self.error
        if not self.refusal:
            self.taken.append(decision)
            self.orders.begin_execution(self.id_of(decision), decision)
        return self.refusal

    def on_stance(self, ts_ns):
        self.asked.append(("stance", ts_ns))

    def withdraw_entries(self, ts_ns, instrument=None):
        self.asked.append(("withdraw", instrument))

    def id_of(self, decision):
        return f"x-{decision.decision_id}"

    def send(self, decision, qty):
        """One part leaves."""
        world = self.world
        terms = decision.terms
        request = OrderRequest(
            f"{self.id_of(decision)}-1-1", terms.instrument, terms.symbol, decision.track, decision.side, qty,
            "LIMIT", decision.limit_price, "DAY", "KRX", False,
        )  # fmt: skip
        world.placed.append(request)
        order = WorkingOrder(len(world.placed), request, decision, world.now_ns, self.id_of(decision))
        self.orders.add(order)
        return order.order_id


@pytest.fixture
def port(world, scripted):
    port = Port(world)
    world.set_quote(0, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(scripted(), executions=port)
    return port


def buy(**parts):
    return Intent.entry("A", "in", **{"qty": 10, **parts})


def tick(world, seconds):
    world.wait(seconds)
    world.set_quote(0, bid=70_000, ask=70_100)


def last_line(world):
    return json.loads(world.lines[-1])


def test_a_scalp_decision_is_handed_over_and_nothing_is_placed(world, port):
    result = world.wish(buy())
    assert (result.status, world.placed) == ("executed", [])
    assert [(one.action, one.qty) for one in port.taken] == [("BUY", 10)]
    assert port.orders.entries_on("2024-06-03") == 1


def test_a_swing_decision_is_one_order_as_ever(world, scripted):
    port = Port(world)
    world.set_quote(0, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(scripted(track="SWING"), executions=port)
    world.wish(buy())
    assert (len(world.placed), port.taken) == (1, [])


def test_a_refusal_is_a_refused_decision_and_no_entry_of_the_day(world, port):
    port.refusal = "PRICE_STALE"
    result = world.wish(buy())
    assert (result.status, result.reason) == ("rejected", "PRICE_STALE")
    assert port.orders.entries_on("2024-06-03") == 0


def test_a_fault_of_the_journal_keeps_its_code(world, port):
    port.error = EngineFault("FS063", found="the journal takes nothing", expected="a disk")
    result = world.wish(buy())
    assert [(error.code, error.critical) for error in result.errors] == [("FS063", False)]


def test_while_an_entry_is_under_way_no_second_one_is_sent_even_between_two_of_its_parts(world, port):
    world.wish(buy())
    tick(world, 60)
    world.wish(buy(qty=11))
    assert last_line(world)["reason"] == "GR033"
    number = port.send(port.taken[0], 4)
    world.fill(number, 4, 70_100)
    tick(world, 60)
    world.wish(buy(qty=12))
    assert last_line(world)["reason"] == "GR033"
    assert len(port.taken) == 1


def test_when_it_is_over_the_next_one_goes(world, port):
    world.wish(buy())
    port.orders.end_execution(port.id_of(port.taken[0]), is_refused=False)
    tick(world, 60)
    world.wish(buy(qty=11))
    assert len(port.taken) == 2


def test_what_is_under_way_counts_as_bought_in_the_exposure(world, port):
    world.wish(buy())
    tick(world, 1)
    assert port.orders.buying() == {0}
    assert port.orders.in_parts(0, "SCALP") == (10, 0)
    number = port.send(port.taken[0], 4)
    world.fill(number, 4, 70_100)
    assert port.orders.in_parts(0, "SCALP") == (6, 0)


def test_fills_of_its_parts_reach_decision_and_strategy(world, port):
    world.wish(buy())
    order = world.fill(port.send(port.taken[0], 4), 4, 70_100)
    assert (order.decision_id, order.strategy_id) == (port.taken[0].decision_id, "scripted")
    assert order.request.client_order_id == f"{port.id_of(port.taken[0])}-1-1"


def test_act_leaves_the_orders_of_executions_alone(world, port):
    world.wish(buy(ttl_ms=1_000))
    port.send(port.taken[0], 4)
    tick(world, 10)
    world.cycle()
    assert world.cancelled == []
    assert port.asked == [("stance", world.now_ns)]


def test_a_sale_makes_entries_of_the_symbol_end(world, port):
    world.hold(0, "SCALP", 5, 350_000)
    world.wish(buy())
    tick(world, 1)
    world.wish(Intent.exit("A", "out"))
    assert ("withdraw", 0) in port.asked
    assert [one.side for one in port.taken] == ["BUY", "SELL"]


def test_an_exit_that_leaves_something_is_asked_for_again_as_its_next_attempt(world, port):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(Intent.exit("A", "out"))
    number = port.send(port.taken[0], 10)
    world.fill(number, 4, 70_000)
    world.end(number, remaining=6)
    world.hold(0, "SCALP", 6, 420_000)
    tick(world, 1)
    world.cycle()
    assert len(port.taken) == 1, "it is still its execution's to sell"
    port.orders.end_execution(port.id_of(port.taken[0]), is_refused=False)
    tick(world, 1)
    world.cycle()
    assert [(one.side, one.qty, one.attempt) for one in port.taken] == [("SELL", 10, 0), ("SELL", 6, 1)]


@pytest.mark.parametrize("is_refused", [True, False])
def test_an_exit_that_was_refused_or_is_done_is_not_asked_for_again(world, port, is_refused):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(Intent.exit("A", "out"))
    if not is_refused:
        world.fill(port.send(port.taken[0], 10), 10, 70_000)
    port.orders.end_execution(port.id_of(port.taken[0]), is_refused=is_refused)
    tick(world, 1)
    world.cycle()
    assert len(port.taken) == 1


def test_positions_before_the_close_are_not_sold_twice(world, port):
    world.hold(0, "SCALP", 10, 700_000)
    world.phase_ = "CLOSE_GUARD"
    world.cycle()
    tick(world, 1)
    world.cycle()
    assert [(one.side, one.strategy_id) for one in port.taken] == [("SELL", "flat_at_close")]


def test_a_stop_withdraws_entries(world, scripted):
    from qts.pipeline.contracts import Switches

    port, switched = Port(world), [Switches()]
    world.pipeline(scripted(), executions=port, switches=lambda: switched[0])
    switched[0] = Switches(kill_switch=True)
    world.cycle()
    assert ("withdraw", None) in port.asked
