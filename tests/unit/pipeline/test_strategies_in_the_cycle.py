"""How strategies are asked, and what happens when one misbehaves."""

from types import SimpleNamespace

import pytest

from qts.codes import EngineFault, UsageError
from qts.pipeline.ports import DAY_NS
from qts.strategy import Intent

SECOND_NS = 1_000_000_000


@pytest.fixture
def bars(world, scripted):
    strategy = scripted(bar_interval_ns=SECOND_NS)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.set_quote(1, bid=50_000, ask=50_100)
    world.pipeline(strategy)
    return strategy


def tick(world):
    return SimpleNamespace(ts_ns=world.now_ns)


def test_strategy_is_asked_once_per_closed_bar_and_symbol(world, bars):
    world.close_bar(0, 70_000)
    world.close_bar(1, 50_000)
    world.close_bar(1, 50_000, interval_ns=60 * SECOND_NS)
    assert world.cycle().status == "held"
    assert [market.symbol for market, _ in bars.seen] == ["A", "B"]
    world.cycle()
    assert len(bars.seen) == 2


def test_view_holds_nothing_later_than_the_cycle(world, bars):
    world.close_bar(0, 70_000)
    world.cycle()
    [(market, execution)] = bars.seen
    assert market.cycle_ts_ns == world.now_ns
    assert all(bar.start_ns + bar.interval_ns <= market.cycle_ts_ns for bar in market.bars)
    assert (market.quote.ask, market.phase, market.terms.symbol) == (70_100, "FULL", "A")
    assert (execution.position_qty, execution.cash) == (0, 100_000_000)


def test_bar_that_closes_with_the_market_is_seen_at_the_next_open(world, bars):
    world.phase_ = "CLOSE_SET"
    world.close_bar(0, 70_000)
    world.cycle()
    assert bars.seen == []
    world.phase_ = "OPEN_GUARD"
    world.cycle()
    assert len(bars.seen) == 1


def test_warm_up_comes_before_the_first_call(world, scripted):
    strategy = scripted(bar_interval_ns=SECOND_NS)
    strategy.requirements = lambda: scripted.requirements(strategy)._replace(lookback=3)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    for close in (1, 2, 3):
        world.close_bar(0, close)
        world.cycle()
    assert [len(market.bars) for market, _ in strategy.seen] == [3]


def test_bars_are_bounded(world, scripted):
    strategy = scripted(bar_interval_ns=SECOND_NS)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy, max_bars=4)
    for close in range(1, 11):
        world.close_bar(0, close)
    world.cycle()
    assert [bar.close for bar in strategy.seen[0][0].bars] == [7, 8, 9, 10]


def test_strategy_that_raises_disturbs_nobody(world, scripted):
    bad, good = scripted("bad", bar_interval_ns=SECOND_NS), scripted("good", bar_interval_ns=SECOND_NS)
    bad.answers = [ValueError("broken\nhere")]
    good.answers = [[Intent.entry("A", "in", qty=5)]]
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(bad, good)
    world.close_bar(0, 70_000)
    assert world.cycle().status == "executed"
    [fault] = world.p.faults()
    assert (fault.code, fault.source, fault.message) == ("SE010", "bad", "ValueError: broken here")
    assert (fault.count, fault.suspended) == (1, False)


def test_three_exceptions_in_a_row_suspend_the_strategy(world, bars):
    bars.answers = [ValueError("x"), ValueError("x"), (), ValueError("x"), ValueError("x"), ValueError("x")]
    for _ in range(10):
        world.close_bar(0, 70_000)
        world.cycle()
    assert len(bars.seen) == 6
    [fault] = world.p.faults()
    assert (fault.count, fault.suspended) == (5, True)


def test_on_tick_is_guarded_in_the_same_way(world, scripted):
    strategy = scripted()
    intent = Intent.entry("A", "in", qty=1)
    strategy.answers = [KeyError("k"), None, intent, KeyError("k"), KeyError("k"), KeyError("k"), intent]
    world.pipeline(strategy)
    [(handler, track, instruments)] = world.p.tick_handlers()
    assert (track, instruments) == ("SCALP", [0, 1])
    assert [handler(tick(world)) for _ in range(8)] == [None, None, intent, None, None, None, None, None]
    [fault] = world.p.faults()
    assert (fault.code, fault.count, fault.suspended) == ("SE010", 4, True)
    assert strategy.answers == [intent]  # never called again


def test_interrupt_is_no_fault_of_the_strategy(world, scripted):
    strategy = scripted()

    def interrupted(_):
        raise KeyboardInterrupt

    strategy.on_tick = interrupted
    world.pipeline(strategy)
    with pytest.raises(KeyboardInterrupt):
        world.p.tick_handlers()[0][0](tick(world))
    assert world.p.faults() == []


def test_entry_of_a_suspended_strategy_is_refused_and_its_exit_is_not(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    pipeline = world.pipeline(scripted())
    pipeline.strategies.slots[0].suspended = True
    assert world.wish(Intent.entry("A", "in", qty=1)).reason == "strategy_suspended"
    world.hold(0, "SCALP", 10, 700_000)
    assert world.wish(Intent.exit("A", "out")).status == "executed"


@pytest.mark.parametrize(
    ("answer", "text"),
    [("BUY", "on_tick returned str"), (Intent.entry("NOPE", "in", qty=1), "unknown symbol 'NOPE'")],
)
def test_nonsense_from_a_tick_handler_is_a_fault_of_the_strategy(world, scripted, answer, text):
    world.pipeline(scripted())
    assert world.wish(answer).status == "skipped"
    assert text in world.p.faults()[0].message


@pytest.mark.parametrize("answer", [["BUY"], [Intent.entry("B", "other symbol", qty=1)], 5])
def test_nonsense_from_generate_intents_is_a_fault_of_the_strategy(world, bars, answer):
    bars.answers = [answer]
    world.close_bar(0, 70_000)
    assert world.cycle().status == "held"
    assert world.p.faults()[0].code == "SE010"


def test_callbacks_that_raise_are_contained(world, scripted):
    strategy = scripted()
    strategy.on_fill = lambda _: 1 / 0
    strategy.on_reject = lambda _: 1 / 0
    world.set_quote(0, bid=70_000, ask=70_100)
    world.set_quote(1, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    world.wish(Intent.entry("A", "in", qty=1))
    world.fill(1, 1, 70_100)
    world.wish(Intent.entry("B", "in", qty=1))
    world.end(2, "ORDER_REJECTED", "OFF_TICK")
    assert world.p.faults()[0].count == 2


def test_disabled_strategy_is_left_out(world, scripted):
    strategy = scripted()
    strategy.is_enabled = lambda: False
    assert world.pipeline(strategy).strategies.slots == ()


def test_two_strategies_with_one_id_are_refused(world, scripted):
    with pytest.raises(UsageError, match="two strategies with the id 'same'"):
        world.pipeline(scripted("same"), scripted("same"))


def test_unknown_track_is_refused(world, scripted):
    with pytest.raises(UsageError, match="'DAY'"):
        world.pipeline(scripted(track="DAY"))


@pytest.mark.usefixtures("bars")
def test_bar_series_to_build_include_the_day(world):
    assert world.p.bar_intervals_ns() == [SECOND_NS, DAY_NS]


def test_slow_answer_is_dropped_where_time_counts_and_only_there(world, scripted):
    def run(step, **settings):
        fresh = type(world)()
        fresh.set_quote(0, bid=70_000, ask=70_100)
        strategy = scripted(bar_interval_ns=SECOND_NS)
        strategy.answers = [[Intent.entry("A", "in", qty=5)]]
        fresh.monotonic_ns = iter(range(0, 10**12, step)).__next__
        fresh.pipeline(strategy, **settings)
        fresh.close_bar(0, 70_000)
        fresh.cycle()
        return fresh

    slow = run(51_000_000, strategy_timeout_ms=50)
    assert slow.placed == []
    assert [fault.message for fault in slow.p.faults()] == ["TimeoutError: answered after 51 ms, 50 ms are given"]
    assert len(run(50_000_000, strategy_timeout_ms=50).placed) == 1
    assert len(run(51_000_000).placed) == 1, "a recorded market has all the time it needs"


def test_what_the_engines_do_is_counted(world, scripted):
    strategy = scripted(bar_interval_ns=SECOND_NS)
    strategy.answers = [[Intent.entry("A", "in", qty=5)], ValueError("x")]
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    for _ in range(2):
        world.close_bar(0, 70_000)
        world.cycle()
    counts = {health.engine: (health.total, health.errors, health.kind) for health in world.p.health}
    assert counts["Strategy"] == (2, 1, "WARNING")
    assert (counts["Risk"], counts["Portfolio"], counts["Capital"]) == ((1, 0, "OK"), (1, 0, "OK"), (0, 0, "OK"))
    assert (counts["Trading"], counts["Performance"]) == ((1, 0, "OK"), (2, 0, "OK"))
    world.place_error = OSError("no line")
    world.wish(Intent.entry("B", "in", qty=1))
    world.set_quote(1, bid=70_000, ask=70_100)
    world.wish(Intent.entry("B", "in", qty=1))
    assert (world.p.health["Trading"].view().errors, world.p.health["Trading"].last_error) == (1, "OSError: no line")


def test_engine_that_keeps_failing_ends_the_run(world, scripted):
    strategy = scripted(bar_interval_ns=SECOND_NS)
    strategy.answers = [answer for _ in range(10) for answer in (ValueError("x"), ())]
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    for _ in range(19):
        world.close_bar(0, 70_000)
        world.cycle()
    assert world.p.health["Strategy"].kind == "FAULT"
    world.cycle()
    with pytest.raises(EngineFault) as raised:
        world.cycle()
    assert raised.value.code == "FS031"
    assert "Strategy engine failed in 10 of 19 calls" in raised.value.found
