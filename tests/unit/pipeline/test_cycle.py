"""One pass through the five stages, from a wish to an order and back."""

import json

import pytest

from qts.codes import EngineFault
from qts.pipeline import STAGES, Switches
from qts.pipeline.contracts import ContractError, Stance, checked_decision
from qts.strategy import Intent

pytestmark = pytest.mark.usefixtures("scalper")


@pytest.fixture
def scalper(world, scripted):
    strategy = scripted()
    world.set_quote(0, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(strategy)
    return strategy


def entry(**parts):
    return Intent.entry("A", "dip", **{"weight_ppm": 100_000, **parts})


def test_wish_becomes_an_order_at_the_ask_plus_one_tick(world):
    result = world.wish(entry())
    assert (result.status, result.reason) == ("executed", "")
    [request] = world.placed
    assert (request.symbol, request.side, request.limit_price, request.dry_run) == ("A", "BUY", 70_200, False)
    assert request.qty == 10_000_000 // 70_200
    assert request.client_order_id == f"{result.decisions[0].decision_id}-0"


def test_decision_is_on_record_before_the_order_leaves(world):
    world.place_error = RuntimeError("line down")
    result = world.wish(entry())
    assert (result.status, result.errors[0].code) == ("error", "FS040")
    assert json.loads(world.lines[0])["action"] == "BUY"
    [fault] = world.p.faults()
    assert (fault.code, fault.source) == ("FS040", "act")
    assert "line down" in fault.message


def test_stages_are_timed_in_their_order(world):
    result = world.wish(entry())
    assert len(result.timings_ns) == len(STAGES)
    assert [stage for stage, _ in world.metrics] == [1, 2, 3, 4, 5]


def test_cycle_without_wishes_marks_the_account_and_says_no_signal(world):
    world.hold(0, "SCALP", 10, 690_000)
    result = world.cycle()
    assert (result.status, result.reason) == ("skipped", "no_signal")
    assert (result.equity, result.market_value, result.cash) == (100_700_000, 700_000, 100_000_000)
    assert world.lines == []


def test_position_of_unknown_price_counts_at_cost(world):
    world.hold(1, "SCALP", 10, 690_000)
    assert world.cycle().market_value == 690_000


@pytest.mark.parametrize(
    ("switches", "reason"),
    [(Switches(pipeline_paused=True), "pipeline_paused"), (Switches(kill_switch=True), "kill_switch")],
)
def test_switched_off_pipeline_skips_the_cycle(world, scripted, switches, reason):
    world.pipeline(scripted(), switches=lambda: switches)
    result = world.wish(entry())
    assert (result.status, result.reason, world.placed) == ("skipped", reason, [])


@pytest.mark.parametrize(
    ("switches", "reason"),
    [(Switches(trading_enabled=False), "trading_disabled"), (Switches(safe_mode=True), "safe_mode")],
)
def test_everything_but_act_runs_when_trading_is_off(world, scripted, switches, reason):
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted(), switches=lambda: switches)
    result = world.wish(entry())
    assert (result.status, result.reason, world.placed) == ("rejected", reason, [])
    assert json.loads(world.lines[0])["action"] == "NONE"


def test_same_inputs_give_the_same_ids_lines_and_hash(scripted, world):
    def run():
        fresh = type(world)()
        fresh.set_quote(0, bid=70_000, ask=70_100)
        fresh.pipeline(scripted())
        fresh.wish(entry())
        fresh.wait(1)
        fresh.cycle()
        fresh.wish(entry(confidence=0.1))
        return fresh

    first, second = run(), run()
    assert first.lines == second.lines
    assert len(first.lines) == 2
    assert first.p.decision_hash == second.p.decision_hash == first.hash_of_lines()
    assert len({json.loads(line)["decision_id"] for line in first.lines}) == 2


def test_decision_line_is_canonical_json(world):
    world.wish(entry(confidence=0.9), Intent("A", "SELL", "EXIT", 'quo"te\n'), Intent.entry("B", "무", qty=5))
    assert len(world.lines) == 3
    for line in world.lines:
        assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))
    by_symbol = {json.loads(line)["symbol"]: json.loads(line) for line in world.lines}
    assert by_symbol["B"]["codes"] == ["no_price"]
    assert by_symbol["B"]["limit_price"] is None


def test_confidence_that_is_no_number_stays_out_of_the_json(world):
    world.wish(entry(confidence=float("nan")))
    line = json.loads(world.lines[0])
    assert (line["reason"], line["confidence"]) == ("malformed_intent", None)


def test_equity_used_up_ends_the_run(world):
    world.cash_ = -1
    with pytest.raises(EngineFault) as raised:
        world.cycle()
    assert raised.value.code == "FS050"


def test_impossible_position_ends_the_run(world):
    world.hold(0, "SCALP", -1, 0)
    with pytest.raises(EngineFault) as raised:
        world.cycle()
    assert raised.value.code == "FS053"


def test_position_in_an_unknown_instrument_is_a_missing_field(world):
    world.hold(7, "SCALP", 1, 1)
    result = world.cycle()
    assert (result.status, result.errors[0].code, result.errors[0].stage) == ("error", "FS010", "extract")


def test_errors_in_a_row_end_the_run_but_a_good_cycle_forgives(world):
    world.hold(7, "SCALP", 1, 1)
    for _ in range(3):
        world.cycle()
        world.wait(20)
    del world.positions_[7, "SCALP"]
    world.cycle()
    world.hold(7, "SCALP", 1, 1)
    for _ in range(3):
        world.cycle()
        world.wait(20)
    with pytest.raises(EngineFault) as raised:
        world.cycle()
    assert raised.value.code == "FS031"
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("broken", "code", "stage"),
    [("quote", "FS010", "extract"), ("fee", "FS030", "evaluate"), ("append", "FS031", "decide")],
)
def test_unexpected_exception_becomes_a_typed_error(world, monkeypatch, broken, code, stage):
    def fails(*_):
        raise ZeroDivisionError("two\nlines")

    target = world.p._runner._evaluate._rules if broken == "fee" else world
    monkeypatch.setattr(target, broken, fails)
    result = world.wish(entry())
    assert (result.status, result.errors[0].code, result.errors[0].stage) == ("error", code, stage)
    assert result.errors[0].message.endswith("ZeroDivisionError: two lines")


def test_failing_risk_engine_lets_nothing_pass(world, monkeypatch):
    monkeypatch.setattr(world.p._runner._evaluate, "_risk", None)
    result = world.wish(entry())
    assert (result.errors[0].code, world.placed) == ("FS030", [])


def test_dropped_order_breaks_no_invariant_but_an_oversized_one_does(world):
    [decision] = world.wish(entry()).decisions
    assert checked_decision(decision) is decision
    for wrong in (
        {"qty": decision.qty + 1},
        {"qty": 0},
        {"limit_price": 0},
        {"side": "SELL"},
    ):
        with pytest.raises(ContractError):
            checked_decision(decision._replace(**wrong))
    assert checked_decision(decision._replace(action="NONE", qty=0)).action == "NONE"


def test_contracts_cannot_be_changed(world):
    result = world.wish(entry())
    with pytest.raises(AttributeError):
        result.decisions[0].qty = 1
    with pytest.raises(AttributeError):
        result.cycle.no = 1


def test_a_thousand_cycles_leave_nothing_behind(world):
    world.stance = Stance(max_daily_trades=1_000)
    for _ in range(1_000):
        world.wait(61)
        world.set_quote(0, bid=70_000, ask=70_100)
        world.wish(entry())
        world.fill(len(world.placed), world.placed[-1].qty, 70_100)
        world.hold(0, "SCALP", world.placed[-1].qty, 9_000_000)
        world.cash_ = 91_000_000
        world.wish(Intent.exit("A", "out"))
        world.fill(len(world.placed), world.placed[-1].qty, 70_000)
        world.positions_.clear()
        world.cash_ = 100_000_000
    assert world.p.working_orders == 0
    assert len({request.client_order_id for request in world.placed}) == 2_000
    assert len(world.p._runner._decide._recent) <= 4_096
