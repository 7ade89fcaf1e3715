"""The loop around the cycles: no overlap, back-off after errors, parking, and the record of its turns."""

import pytest

from qts.codes import EngineFault
from qts.pipeline import Switches
from qts.pipeline.loop import ErrorBackoff, LoopSettings, parked_by, pipeline_state
from qts.strategy import Intent

S = 1_000_000_000


def entry(symbol="A"):
    return Intent.entry(symbol, "dip", weight_ppm=100_000)


# One cycle at a time


def test_a_cycle_that_is_asked_for_while_one_runs_is_skipped_and_counted(world, scripted):
    strategy = scripted(bar_interval_ns=S)
    world.set_quote(0, bid=70_000, ask=70_100)
    pipeline = world.pipeline(strategy)
    inner = []

    def asks_again(market, execution):
        inner.append(pipeline.on_cycle("MANUAL", world.now_ns))
        return (entry(),)

    strategy.generate_intents = asks_again
    world.close_bar(0, 70_000)
    outer = world.cycle()
    [nested] = inner
    assert (nested.status, nested.reason, nested.decisions) == ("skipped", "overlap", ())
    assert outer.status == "executed", "the one that ran is not disturbed"
    assert (pipeline.overlaps, len(world.placed), len(world.lines)) == (1, 1, 1)
    assert pipeline.loop.outcomes == {"skipped:overlap": 1, "executed": 1}
    strategy.generate_intents = lambda market, execution: ()
    world.wait(1)
    assert world.cycle().status == "skipped"
    assert pipeline.overlaps == 1, "the next one is none"


def test_a_venue_that_answers_with_another_cycle_does_not_send_twice(world, scripted):
    pipeline = world.pipeline(scripted())
    world.set_quote(0, bid=70_000, ask=70_100)
    place, reasons = world.place, []

    def answers(request):
        reasons.append(pipeline.on_cycle("EVENT", world.now_ns, [(0, entry())]).reason)
        return place(request)

    world.place = answers
    world.wish(entry())
    assert (reasons, len(world.placed)) == (["overlap"], 1)


def test_a_cycle_that_ends_in_error_leaves_the_way_free(world, scripted, monkeypatch):
    world.pipeline(scripted())
    monkeypatch.setattr(world, "cash", lambda: 1 // 0)
    assert world.cycle().status == "error"
    monkeypatch.undo()
    world.wait(60)
    assert world.cycle().reason == "no_signal"


# Back-off


def test_waits_double_up_to_a_minute():
    backoff = ErrorBackoff(LoopSettings(error_backoff_max_retries=20))
    now, waits = 0, []
    for _ in range(7):
        assert not backoff.take(now, is_error=True)
        end = next(second for second in range(1, 100) if not backoff.is_waiting(now + second * S))
        waits.append(end)
        now += end * S
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_after_three_attempts_it_is_over():
    backoff = ErrorBackoff(LoopSettings())
    ended = [backoff.take(ts_ns, is_error=True) for ts_ns in (0, 5 * S, 15 * S, 35 * S)]
    assert ended == [False, False, False, True]
    assert backoff.errors_in_a_row == 4


def test_what_happens_during_a_wait_is_no_attempt_and_no_success():
    backoff = ErrorBackoff(LoopSettings())
    backoff.take(0, is_error=True)
    for second in (1, 2, 3, 4):
        assert not backoff.take(second * S, is_error=True)
    assert not backoff.take(4 * S, is_error=False)
    assert (backoff.errors_in_a_row, backoff.is_waiting(4 * S), backoff.is_waiting(5 * S)) == (1, True, False)
    backoff.take(6 * S, is_error=False)
    assert backoff.errors_in_a_row == 0


def test_no_retry_ends_at_the_first_error():
    assert ErrorBackoff(LoopSettings(error_backoff_max_retries=0)).take(0, is_error=True)


def test_strategies_wait_after_an_error_and_what_protects_does_not(world, scripted):
    strategy = scripted(bar_interval_ns=S)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    world.place_error = ConnectionError("line down")
    assert world.wish(entry()).status == "error"
    world.place_error = None
    world.wait(1)
    strategy.answers = [(entry(),)] * 9
    skipped = world.wish(entry())
    assert (skipped.status, skipped.reason) == ("skipped", "error_backoff")
    world.close_bar(0, 70_000)
    assert world.cycle().reason == "error_backoff"
    assert strategy.seen == [], "nobody was asked"

    world.hold(0, "SCALP", 10, 700_000)
    world.phase_ = "CLOSE_GUARD"
    assert world.cycle().status == "executed"
    [sale] = world.placed
    assert (sale.side, sale.qty) == ("SELL", 10)


def test_after_the_wait_only_what_is_new_is_acted_on(world, scripted):
    strategy = scripted(bar_interval_ns=S)
    world.pipeline(strategy)
    world.place_error = ConnectionError("line down")
    world.set_quote(0, bid=70_000, ask=70_100)
    world.wish(entry())
    world.place_error = None
    world.close_bar(0, 70_000)
    world.wish(entry())  # an event in the wait: the bar that has closed is of the past from now on
    world.wait(61)
    strategy.answers = [(entry(),)]
    world.cycle()
    assert (strategy.seen, world.placed) == ([], [])
    world.set_quote(0, bid=70_000, ask=70_100)
    world.close_bar(0, 70_000)
    world.cycle()
    assert len(world.placed) == 1


def test_the_end_names_the_last_error(world, scripted):
    world.pipeline(scripted())
    world.hold(7, "SCALP", 1, 1)
    for wait in (5, 10, 20):
        assert world.cycle().status == "error"
        world.wait(wait)
    with pytest.raises(EngineFault, match="4 cycles in a row ended in error; FS010") as raised:
        world.cycle()
    assert raised.value.code == "FS031"


# Suspend and resume


@pytest.mark.parametrize("switch", ["pipeline_paused", "kill_switch", "distrusted"])
def test_a_parked_pipeline_goes_on_marking_and_resumes_with_fresh_data(world, scripted, switch):
    strategy = scripted(bar_interval_ns=S)
    switches = {"now": Switches()}
    world.set_quote(0, bid=70_000, ask=70_100)
    pipeline = world.pipeline(strategy, switches=lambda: switches["now"])
    strategy.answers = [(entry(),)] * 9
    world.close_bar(0, 70_000)
    world.cycle()
    assert len(world.placed) == 1

    switches["now"] = Switches()._replace(**{switch: True})
    world.wait(61)
    world.close_bar(0, 70_000)
    parked = world.cycle()
    assert (parked.status, parked.reason) == ("skipped", "safety" if switch == "distrusted" else switch)
    assert parked.equity == 100_000_000, "monitoring goes on"
    assert world.cancelled == [1], "entries are withdrawn"
    world.end(1)
    world.close_bar(0, 70_000)
    world.wish(entry())
    assert len(strategy.seen) == 1

    switches["now"] = Switches()
    world.wait(61)
    world.set_quote(0, bid=71_000, ask=71_100)
    world.cycle()
    assert len(strategy.seen) == 1, "bars from before the end of the pause are of the past"
    world.close_bar(0, 71_000)
    world.cycle()
    assert [request.limit_price for request in world.placed] == [70_200, 71_200]
    assert pipeline.loop.recent()[-1].working_after == 1


def test_safe_mode_decides_and_sends_nothing(world, scripted):
    switches = {"now": Switches(safe_mode=True)}
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(scripted(), switches=lambda: switches["now"])
    assert world.wish(entry()).reason == "safe_mode"
    switches["now"] = Switches()
    assert world.wish(entry()).status == "executed"


@pytest.mark.parametrize(
    ("switches", "safety", "armed", "state"),
    [
        (Switches(), "LOCKDOWN", True, "LOCKDOWN"),
        (Switches(kill_switch=True), "FAIL", True, "LOCKDOWN"),
        (Switches(safe_mode=True), "FAIL", True, "FAIL"),
        (Switches(safe_mode=True), "NORMAL", True, "SAFE"),
        (Switches(pipeline_paused=True), "WARNING", True, "SAFE"),
        (Switches(), "WARNING", True, "RUNNING"),
        (Switches(), "NORMAL", False, "IDLE"),
    ],
)
def test_the_state_of_the_pipeline_follows_from_the_rest(switches, safety, armed, state):
    assert pipeline_state(switches, safety=safety, is_armed=armed) == state


def test_the_state_of_a_pipeline_that_waits_is_safe(world, scripted):
    pipeline = world.pipeline(scripted())
    assert pipeline.state("NORMAL", ts_ns=world.now_ns) == "RUNNING"
    world.hold(7, "SCALP", 1, 1)
    world.cycle()
    assert pipeline.state("NORMAL", ts_ns=world.now_ns + 4 * S) == "SAFE"
    assert pipeline.state("NORMAL", ts_ns=world.now_ns + 5 * S) == "RUNNING"


def test_parked_names_the_gravest_reason():
    assert parked_by(Switches(kill_switch=True, distrusted=True, pipeline_paused=True)) == "kill_switch"
    assert parked_by(Switches(distrusted=True, pipeline_paused=True)) == "safety"
    assert parked_by(Switches(safe_mode=True, trading_enabled=False)) == "", "these decide; they do not park"


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_backoff_ms": 499},
        {"error_backoff_ms": 60_001},
        {"error_backoff_max_retries": -1},
        {"error_backoff_max_retries": 21},
    ],
)
def test_settings_have_bounds(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoopSettings(**wrong)


# The record


def test_iterations_are_on_record_but_those_without_any_signal(world, scripted):
    world.set_quote(0, bid=70_000, ask=70_100)
    pipeline = world.pipeline(scripted())
    world.cycle()
    world.wish(entry())
    [turn] = pipeline.loop.recent()
    assert (turn.number, turn.cycle_no, turn.cause, turn.status, turn.decided) == (2, 2, "EVENT", "executed", 1)
    assert (turn.working_before, turn.working_after, turn.is_blocked) == (0, 1, False)
    for _ in range(1_000):
        world.wish(entry())
    assert len(pipeline.loop.recent()) == 256
    assert pipeline.loop.iterations == 1_002
