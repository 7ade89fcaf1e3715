"""What operating state and safety state let orders do: entries are limited, exits never ask."""

import json

import pytest

from qts.engines import RiskLimits
from qts.pipeline.contracts import Stance, Switches
from qts.strategy import Intent

DEFENSIVE = Stance(
    rank=0,
    threshold=0.9,
    new_entries=False,
    exit_only=frozenset({"SCALP"}),
    max_positions=10,
    max_daily_trades=10,
    multiplier_ppm=500_000,
)
AGGRESSIVE = Stance(rank=2, threshold=0.6, max_positions=20, max_daily_trades=50, multiplier_ppm=1_200_000)


def buy(symbol="A", **parts):
    return Intent.entry(symbol, "in", **{"qty": 10, **parts})


def rebalance(side, **parts):
    return Intent("A", side, "REBALANCE", "to target", qty=10, **parts)


def last(world):
    return json.loads(world.lines[-1])


@pytest.fixture(autouse=True)
def quoted(world, scripted):
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(scripted())


def requote(world, seconds):
    world.wait(seconds)
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)


@pytest.mark.parametrize(
    ("track", "reason"), [("SCALP", "STATE_DEFENSIVE"), ("SWING", "NEW_ENTRY_BLOCKED_IN_DEFENSIVE_STATE")]
)
def test_defensive_lets_nothing_in_and_says_so(world, scripted, track, reason):
    world.stance = DEFENSIVE
    world.pipeline(scripted(track=track))
    result = world.wish(buy(confidence=1.0))
    assert (result.status, result.reason, world.placed) == ("rejected", reason, [])
    assert last(world)["codes"] == ["GR082", "GR031"]


def test_an_unsure_exit_leaves_in_defensive(world):
    world.stance = DEFENSIVE
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(Intent.exit("A", "out")._replace(confidence=0.2)).status == "executed"


def test_rebalancing_is_no_entry(world, scripted):
    world.stance = DEFENSIVE._replace(max_daily_trades=0)
    world.pipeline(scripted(track="PORTFOLIO"))
    assert world.wish(rebalance("BUY", confidence=0.1)).status == "executed"


@pytest.mark.parametrize(
    ("track", "stance", "reason"),
    [
        ("SCALP", DEFENSIVE._replace(threshold=0.0), "STATE_DEFENSIVE"),
        ("SWING", DEFENSIVE._replace(threshold=0.0), "NEW_ENTRY_BLOCKED_IN_DEFENSIVE_STATE"),
        ("SCALP", Stance(threshold=0.9), "BELOW_STATE_THRESHOLD"),
        ("SWING", Stance(max_daily_trades=0), "GR080"),
    ],
)
def test_an_entry_that_is_called_rebalancing_is_an_entry(world, scripted, track, stance, reason):
    world.stance = stance
    world.pipeline(scripted(track=track))
    assert (world.wish(rebalance("BUY", confidence=0.8)).reason, world.placed) == (reason, [])


def test_what_is_called_rebalancing_counts_as_an_entry_of_the_day(world, scripted):
    world.stance = Stance(max_daily_trades=1)
    world.pipeline(scripted(track="SWING"))
    assert world.wish(rebalance("BUY")).status == "executed"
    assert world.wish(buy("B")).reason == "GR080"


def test_warning_cuts_every_purchase(world, scripted):
    world.stance = Stance(size_ppm=500_000)
    world.pipeline(scripted(track="PORTFOLIO"))
    world.wish(rebalance("BUY"))
    world.hold(1, "PORTFOLIO", 10, 700_000)
    world.wish(rebalance("SELL")._replace(symbol="B"))
    assert [request.qty for request in world.placed] == [5, 10]


@pytest.mark.parametrize(
    ("stance", "enough", "too_little"),
    [(AGGRESSIVE, 0.6, 0.59), (Stance(), 0.7, 0.69), (Stance(threshold=0.9), 0.9, 0.89)],
)
def test_the_threshold_is_that_of_the_state(world, stance, enough, too_little):
    world.stance = stance
    assert world.wish(buy(confidence=too_little)).reason == "BELOW_STATE_THRESHOLD"
    assert world.wish(buy(confidence=enough)).status == "executed"


def test_as_many_symbols_as_the_state_allows(world):
    world.stance = Stance(max_positions=1)
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(buy("B")).reason == "GR002"
    assert world.wish(buy("A")).status == "executed", "a symbol that is held already is no further one"


def test_entries_of_a_day_are_counted_over_cycles_and_within_one(world):
    world.stance = Stance(max_daily_trades=2)
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(Intent.exit("A", "out"))
    world.fill(1, 10, 70_000)
    world.positions_.clear()
    requote(world, 61)
    world.stance = Stance(max_daily_trades=1)
    first = world.wish(buy("A"), buy("B"))
    assert [(row.action, row.reason) for row in first.decisions] == [("BUY", "in"), ("NONE", "GR080")]
    assert world.wish(buy("B")).reason == "GR080"
    requote(world, 12 * 3_600)
    assert world.wish(buy("B")).status == "executed", "another session, another count"


def test_the_limit_of_trades_never_holds_an_exit_back(world):
    world.stance = Stance(max_daily_trades=0)
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(Intent.exit("A", "out")).status == "executed"


@pytest.mark.parametrize(("multiplier", "share"), [(500_000, 50_000), (1_000_000, 100_000), (1_200_000, 120_000)])
def test_limits_of_entries_follow_the_multiplier(world, multiplier, share):
    world.stance = Stance(multiplier_ppm=multiplier)
    world.wish(buy(qty=1_000))
    assert world.placed[0].qty == 100_000_000 * share // 1_000_000 // 70_200


def test_no_multiplier_lifts_a_limit_above_its_ceiling(world, scripted):
    limits = RiskLimits(
        max_exposure_ppm=950_000, max_symbol_exposure_ppm=150_000, max_trade_qty=None, max_order_money=None
    )
    world.stance = Stance(multiplier_ppm=2_000_000)
    world.pipeline(scripted(), limits=limits)
    world.wish(buy(qty=10_000))
    assert world.placed[0].qty == 15_000_000 // 70_200


@pytest.mark.parametrize(("multiplier", "refused"), [(500_000, True), (1_000_000, False)])
def test_the_loss_of_a_day_that_stops_entries_follows_it_too(world, multiplier, refused):
    world.cycle()
    world.cash_ = 98_500_000
    world.stance = Stance(multiplier_ppm=multiplier)
    assert (world.wish(buy()).reason == "GR020") is refused


def test_warning_cuts_entries_to_whole_lots_and_leaves_exits_alone(world):
    world.stance = Stance(size_ppm=500_000)
    world.wish(buy(qty=9))
    assert world.placed[0].qty == 4
    requote(world, 61)
    world.end(1)
    assert world.wish(buy(qty=1)).reason == "size_factor"
    world.hold(0, "SCALP", 9, 630_000)
    world.wish(Intent.exit("A", "out"))
    assert world.placed[-1].qty == 9


class Turning:
    """Says one thing when the cycle begins and another when the order is about to leave."""

    def __init__(self, *stances):
        self.stances = list(stances)

    def __call__(self):
        return self.stances.pop(0) if len(self.stances) > 1 else self.stances[0]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (DEFENSIVE, "STATE_CHANGED_BEFORE_ACT"),
        (Stance(threshold=0.8), "STATE_CHANGED_BEFORE_ACT"),
        (Stance(may_enter=False), "G_EXE_STATE"),
    ],
)
def test_what_turned_while_it_was_decided_drops_the_entry(world, now, reason):
    world.p._runner._extract._stance = Turning(Stance())
    world.stance = now
    result = world.wish(buy())
    assert (result.status, result.reason, world.placed) == ("rejected", reason, [])


def test_what_turned_while_it_was_decided_leaves_the_exit(world):
    world.p._runner._extract._stance = Turning(Stance())
    world.stance = DEFENSIVE._replace(may_enter=False)
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(Intent.exit("A", "out")).status == "executed"
    world.stance = Stance(may_exit=False)
    world.end(1)
    world.p._orders.unfinished_exits.clear()
    assert world.wish(Intent.exit("A", "out")).reason == "G_EXE_STATE"


def test_more_freedom_meanwhile_is_no_reason_to_drop_anything(world):
    world.p._runner._extract._stance = Turning(Stance())
    world.stance = AGGRESSIVE
    assert world.wish(buy()).status == "executed"


def test_working_entries_end_within_a_cycle_of_the_turn_and_exits_stay(world):
    world.wish(buy("A"))
    world.hold(1, "SCALP", 10, 700_000)
    world.wish(Intent.exit("B", "out"))
    requote(world, 1)
    world.stance = DEFENSIVE
    world.cycle()
    assert world.cancelled == [1]


@pytest.mark.parametrize("track", ["SCALP", "PORTFOLIO"])
def test_a_working_purchase_for_rebalancing_ends_when_nothing_may_enter(world, scripted, track):
    world.pipeline(scripted(track=track))
    world.wish(rebalance("BUY"))
    world.stance = Stance(may_enter=False)
    requote(world, 1)
    world.cycle()
    assert world.cancelled == [1]


def test_blocked_entries_are_refused_before_they_count_for_anything(world):
    world.stance = Stance(may_enter=False)
    for _ in range(3):
        result = world.wish(buy("A"))
        assert (result.reason, result.decisions[0].action) == ("G_EXE_STATE", "NONE"), "no repeated order, no order"
    world.stance = Stance()
    assert world.wish(buy("A")).status == "executed"


def test_no_exit_is_one_too_many(world, scripted):
    world.pipeline(scripted(), max_intents_per_cycle=1)
    for instrument in (0, 1):
        world.hold(instrument, "SCALP", 10, 700_000)
    world.wish(Intent.exit("A", "out"), Intent.exit("B", "out"))
    assert [request.symbol for request in world.placed] == ["A", "B"]


def test_of_two_exits_the_one_of_everything_leaves(world):
    world.hold(0, "SCALP", 10, 700_000)
    world.wish(Intent.exit("A", "some")._replace(qty=3), Intent.exit("A", "all")._replace(confidence=0.5))
    assert [request.qty for request in world.placed] == [10]


FAIL = Switches(distrusted=True)
KILLED = Switches(kill_switch=True)
PAUSED = Switches(pipeline_paused=True)


@pytest.fixture
def stopped(world, scripted):
    """A world whose switches a test can throw."""
    world.switches = Switches()
    world.pipeline(scripted(), switches=lambda: world.switches)
    return world


@pytest.mark.parametrize(
    ("switches", "reason"), [(FAIL, "safety"), (KILLED, "kill_switch"), (PAUSED, "pipeline_paused")]
)
def test_a_stop_withdraws_entries_at_once_asks_no_strategy_and_still_values_the_account(stopped, switches, reason):
    stopped.wish(buy("A"))
    stopped.switches = switches
    assert (stopped.wish(buy("B")).reason, stopped.cancelled) == (reason, [1])
    result = stopped.cycle()
    assert (result.status, result.reason, result.equity) == ("skipped", reason, 100_000_000)
    assert stopped.cancelled == [1], "once is enough"


@pytest.mark.parametrize("switches", [FAIL, KILLED, PAUSED, Switches(distrusted=True, pipeline_paused=True)])
def test_what_protects_a_position_runs_while_everything_else_stands_still(stopped, switches):
    stopped.hold(0, "SCALP", 10, 700_000)
    stopped.switches, stopped.phase_ = switches, "CLOSE_GUARD"
    stopped.stance = Stance(may_enter=False, may_exit=False)
    result = stopped.cycle()
    assert (result.status, [request.side for request in stopped.placed]) == ("executed", ["SELL"])


def test_switched_off_trading_stops_no_exit_that_protects(stopped):
    stopped.hold(0, "SCALP", 10, 700_000)
    stopped.switches, stopped.phase_ = Switches(trading_enabled=False, safe_mode=True), "CLOSE_GUARD"
    assert stopped.cycle().status == "executed"


def test_a_halt_stops_even_that(stopped):
    stopped.hold(0, "SCALP", 10, 700_000)
    stopped.switches, stopped.phase_ = FAIL, "CLOSE_GUARD"
    stopped.stance = Stance(may_enter=False, may_exit=False, may_protect=False)
    assert (stopped.cycle().reason, stopped.placed) == ("G_EXE_STATE", [])


def test_in_lockdown_what_protects_waits_for_a_fresh_price(stopped):
    stopped.hold(0, "SCALP", 10, 700_000)
    stopped.switches, stopped.phase_ = FAIL, "CLOSE_GUARD"
    stopped.stance = Stance(may_enter=False, may_exit=False, trusted_age_ns=500_000_000)
    stopped.set_quote(0, bid=70_000, ask=70_100, age_ns=500_000_001)
    assert (stopped.cycle().reason, stopped.placed) == ("G_EXE_STATE", [])
    stopped.set_quote(0, bid=70_000, ask=70_100, age_ns=500_000_000)
    assert stopped.cycle().status == "executed"


def test_a_signal_from_before_a_stop_is_none_after_it(world, scripted):
    strategy = scripted(bar_interval_ns=1_000_000_000)
    strategy.answers = [[buy("A")]]
    world.switches = FAIL
    world.pipeline(strategy, switches=lambda: world.switches)
    world.close_bar(0, 70_000)
    world.cycle()
    world.switches = Switches()
    assert world.cycle().reason == "no_signal"
    requote(world, 1)
    world.close_bar(0, 70_000)
    assert world.cycle().status == "executed", "the next bar is a new signal"


class Deaf:
    """A broker that takes orders and, for a while, no cancels."""

    def __init__(self, world):
        self.place, self._cancel, self.is_deaf = world.place, world.cancel, True

    def cancel(self, order_id):
        if self.is_deaf:
            raise ConnectionError("no line")
        return self._cancel(order_id)


@pytest.mark.parametrize("switches", [Switches(), FAIL])
def test_a_cancel_that_fails_is_told_and_made_again(stopped, switches):
    stopped.p._runner._act._broker = broker = Deaf(stopped)
    stopped.wish(buy("A"))
    stopped.switches, stopped.stance = switches, Stance(may_enter=False)
    failed = stopped.cycle()
    assert [(error.code, error.message) for error in failed.errors] == [
        ("FS040", "cancel of BUY A: ConnectionError: no line")
    ]
    broker.is_deaf = False
    assert (stopped.cycle().errors, stopped.cancelled) == ((), [1])


def test_an_exit_leaves_though_the_purchase_before_it_cannot_be_cancelled(stopped):
    stopped.p._runner._act._broker = Deaf(stopped)
    stopped.hold(0, "SCALP", 10, 700_000)
    stopped.wish(buy("A"))
    stopped.wish(Intent.exit("A", "out"))
    assert [request.side for request in stopped.placed] == ["BUY", "SELL"]
