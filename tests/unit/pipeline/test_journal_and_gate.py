"""The record of a decision, and the last gate before the broker."""

import json

import pytest

from qts.codes import EngineFault
from qts.pipeline.act import blocked_by
from qts.pipeline.contracts import Stance, Switches
from qts.pipeline.journal import DecisionJournal, plain
from qts.strategy import Intent, Terms


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [
        (70_100, 0, "70100"),
        (0, 8, "0"),
        (268_162_000_000, 8, "2681.62"),
        (1, 8, "0.00000001"),
        (-150_000_000, 8, "-1.5"),
        (500_000_000, 8, "5"),
        (-7, 0, "-7"),
    ],
)
def test_integers_of_a_scale_as_decimal_text(units, scale, text):
    assert plain(units, scale) == text


@pytest.fixture
def decision(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted())
    return world.wish(Intent.entry("A", "in", qty=1)).decisions[0]


def test_numbers_of_a_decision_are_decimals_of_the_instrument(world, scripted):
    world.terms = [Terms.of(0, "ETHUSDT", 10_000, 8, 8, 8)]
    world.cash_ = 10_000 * 10**8
    world.pipeline(scripted())
    world.set_quote(0, bid=268_162_000_000, ask=268_163_000_000)
    world.wish(Intent.entry("ETHUSDT", "in", qty=123_456_789))
    line = json.loads(world.lines[0])
    assert (line["ref_price"], line["equity"], line["wanted_qty"]) == ("2681.63", "10000", "1.2345")
    assert line["qty"] == "0.3729"  # a tenth of equity, in whole lots
    assert (line["binding"], line["codes"]) == ("symbol_weight", ["GR010"])


def test_gate_lets_a_whole_order_pass(decision):
    assert blocked_by(decision, Switches(), Stance(), Stance(), 0) == ""


@pytest.mark.parametrize(
    ("change", "switches", "code"),
    [
        ({"qty": 0}, Switches(trading_enabled=False), "G_EXE_QTY_NONPOSITIVE"),
        ({}, Switches(trading_enabled=False, kill_switch=True), "G_EXE_TRADING_DISABLED"),
        ({}, Switches(trading_enabled="yes"), "G_EXE_TRADING_DISABLED"),
        ({}, Switches(kill_switch=True), "G_EXE_KILLSWITCH_ON"),
    ],
)
def test_gate_refuses_with_its_first_reason(decision, change, switches, code):
    assert blocked_by(decision._replace(**change), switches, Stance(), Stance(may_enter=False), 0) == code


def test_gate_refuses_an_order_without_a_symbol(decision):
    nameless = decision._replace(terms=decision.terms._replace(symbol=""), qty=0)
    assert blocked_by(nameless, Switches(), Stance(), Stance(), 0) == "G_EXE_SYMBOL_EMPTY"


def test_order_that_the_gate_stops_is_counted_as_refused(world, decision):
    act = world.p._runner._act
    cycle = world.wish(Intent.exit("A", "none")).cycle
    report = act.run(cycle, [decision], Switches(kill_switch=True), Stance())
    assert (report.sent, report.refused) == (0, ("G_EXE_KILLSWITCH_ON",))


@pytest.mark.usefixtures("decision")
def test_memory_of_sent_orders_is_pruned(world):
    decide = world.p._runner._decide
    decide._recent = {("old", number): world.now_ns - 10**12 for number in range(4_096)}
    world.wish(Intent.entry("B", "no price", qty=1))
    world.set_quote(1, bid=70_000, ask=70_100)
    assert world.wish(Intent.entry("B", "in", qty=2)).status == "executed"
    assert len(decide._recent) == 1


class Kept:
    """Books that keep decisions; what happens to them is in `told`."""

    def __init__(self, world):
        self.told = []
        self._world = world
        self.refuses = self.stuck = None

    def record_decision(self, decision_id, ts_ns, line):
        if self.refuses is not None:
            raise self.refuses
        self.told.append((decision_id, ts_ns, line, len(self._world.placed)))

    def decisions_durable(self):
        if self.stuck is not None:
            raise self.stuck
        self.told.append(("durable", len(self._world.placed)))


def kept_by(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted())
    books = Kept(world)
    world.p._journal._store = books
    return books


def test_a_decision_is_durable_before_its_order_is_sent(world, scripted):
    books = kept_by(world, scripted)
    [decision] = world.wish(Intent.entry("A", "dip", weight_ppm=100_000)).decisions
    assert books.told == [
        (decision.decision_id, world.now_ns, world.lines[0].encode(), 0),
        ("durable", 0),
    ]
    assert len(world.placed) == 1


def test_a_cycle_that_sends_nothing_waits_for_nothing(world, scripted):
    books = kept_by(world, scripted)
    books.stuck = OSError("never")
    assert world.wish(Intent.entry("A", "dip", confidence=0.1, weight_ppm=100_000)).status == "rejected"
    assert world.cycle().status == "skipped"
    assert len(books.told) == 1, "a refusal is on record all the same"


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(28, "no space left"), "FS063"), (EngineFault("FS122", found="another fill", expected="one"), "FS122")],
)
@pytest.mark.parametrize("at", ["refuses", "stuck"])
def test_what_is_not_durable_is_not_sent(world, scripted, error, code, at):
    books = kept_by(world, scripted)
    setattr(books, at, error)
    result = world.wish(Intent.entry("A", "dip", weight_ppm=100_000))
    assert (result.status, result.errors[0].code, result.errors[0].stage) == ("error", code, "decide")
    assert world.placed == []


def test_a_log_that_keeps_decisions_is_asked_to(world, scripted):
    books = Kept(world)
    journal = DecisionJournal(books)
    assert journal._store is books
    assert DecisionJournal(world)._store is None
    assert DecisionJournal(books, other := Kept(world))._store is other
