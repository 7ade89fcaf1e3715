"""Both state machines over a run: what they are told, and what follows from it."""

import gc
import json
from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.capital.metrics import ClosedTrade
from qts.clock import NS_PER_DAY, NS_PER_S, SimClock, SystemClock, from_ns
from qts.codes import ConfigError
from qts.config import ConfigManager, ConfigReloader, shipped_dir
from qts.engine.build import load_config
from qts.engine.supervisor import Supervisor
from qts.pipeline.budgets import breaches_of
from qts.pipeline.contracts import Cycle, CycleResult, StageError, Stance, Switches
from qts.safety import CheckRequest, SafetyState, SafetyStateManager
from qts.state import FileStateStore, OperatingState, SecondWriter

START_NS = 1_767_571_200 * NS_PER_S  # 2026-01-05 09:00 in Korea
HOUR_NS = 3_600 * NS_PER_S
NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState


def supervisor(*, equity=100_000_000, overrides=None):
    config = load_config(None, overrides or {})
    return Supervisor.in_memory(config, START_NS, equity=equity, in_session=lambda ts_ns: True)


def cycle(no=1, *, decisions=(), errors=(), equity=100_000_000, cause="INTERVAL"):
    at = Cycle(no, cause, START_NS, "2026-01-05")
    return CycleResult(at, "executed", "", equity, 0, equity, tuple(decisions), tuple(errors), ())


def refused(*codes, action="NONE"):
    return SimpleNamespace(codes=codes, reason=codes[0], action=action)


def trail(one):
    return [json.loads(line) for line in one.safety._books.audit.lines]


def test_an_account_begins_trusted_and_balanced():
    one = supervisor()
    assert (one.switches(), one.stance()) == (Switches(), Stance())


def test_a_fault_of_a_stage_stops_strategies_and_forces_defensive():
    one = supervisor()
    one.on_cycle(cycle(errors=[StageError("FS020", "transform", "not finite", critical=False)]))
    assert one.switches().distrusted
    stance = one.stance()
    assert (stance.may_enter, stance.may_exit, stance.may_protect) == (False, False, True)
    assert (stance.rank, stance.new_entries, stance.exit_only) == (0, False, {"SCALP"})
    one.on_cycle(cycle(2, errors=[StageError("FS030", "evaluate", "engine", critical=False)]))
    assert one.safety.state is LOCKDOWN
    assert one.stance().may_protect, "exits of ours are trusted: the book is the venue's"
    assert (stance.trusted_age_ns, one.stance().trusted_age_ns) == (None, 500_000_000), "on a fresh price"


def slow(no, ms):
    at = Cycle(no, "INTERVAL", START_NS, "2026-01-05")
    timings = (ms * 1_000_000, 0, 0, 0, 0)
    return CycleResult(at, "executed", "", 1, 0, 1, (), (), timings, breaches_of(timings))


def on_a_machine(tmp_path):
    """One of a session that people operate: its safety state lives by the machine's clock."""
    clock = SimClock(START_NS)
    one = Supervisor.open(
        load_config(None), tmp_path, START_NS, clock, account="paper", equity=1, in_session=lambda ts_ns: True
    )
    return one, clock


def test_a_slow_machine_changes_nothing_in_a_backtest():
    one = supervisor()
    for no in range(1, 5):
        one.on_cycle(slow(no, 60_000))
    assert (one.safety.state, one.stance(), len(trail(one))) == (NORMAL, Stance(), len(trail(supervisor())))


def test_a_slow_stage_is_an_anomaly_once_a_minute(tmp_path):
    one, clock = on_a_machine(tmp_path)
    told = []
    one.safety.record_anomaly = lambda code, *_: told.append(code)
    for no in range(1, 4):
        one.on_cycle(slow(no, 501))
    clock.advance_to(START_NS + 61 * NS_PER_S)
    one.on_cycle(slow(9, 501))
    assert told == ["AN040", "AN040"]
    one.close()


def test_the_collector_leaves_what_a_session_stands_on_alone(tmp_path):
    before = gc.get_freeze_count()
    one, _ = on_a_machine(tmp_path)
    assert gc.get_freeze_count() > before + 10_000
    one.close()
    assert gc.get_freeze_count() == 0


def test_an_anomaly_of_cycle_time_is_a_warning(tmp_path):
    one, _ = on_a_machine(tmp_path)
    one.on_cycle(slow(1, 501))
    assert (one.safety.state, one.safety.snapshot().last_code) == (WARNING, "AN040")
    one.close()


def test_a_finding_that_ends_no_cycle_is_a_warning():
    one = supervisor()
    report = StageError("AN081", "transform", "no answer of the capital engine", critical=False)
    one.on_cycle(cycle()._replace(reports=(report,)))
    assert (one.safety.state, one.safety.snapshot().last_code) == (WARNING, "AN081")


def test_three_cycles_out_of_time_stop_the_strategies_until_ten_are_in_time(tmp_path):
    one, _ = on_a_machine(tmp_path)
    for no in range(1, 4):
        one.on_cycle(slow(no, 3_001))
    assert (one.safety.state, one.safety.snapshot().last_code) == (FAIL, "FS060")
    assert one.switches().distrusted
    check = next(check for check in one.safety._checks if check.name == "dry_cycles")
    for no in range(4, 13):
        one.on_cycle(slow(no, 1))
    assert check.run(CheckRequest(FAIL, ("FS060",), 3)) == (False, "9 of 10 cycles within their budget", None)
    one.on_cycle(slow(13, 1))
    assert check.run(CheckRequest(FAIL, ("FS060",), 3)).is_passed
    assert one.safety.state is FAIL, "people let it go on, not time"
    one.close()


def test_a_fault_that_may_not_act_is_on_record_all_the_same():
    one = supervisor(overrides={"failsafe_enabled": False})
    one.on_cycle(cycle(errors=[StageError("FS020", "transform", "not finite", critical=False)]))
    assert one.safety.state is NORMAL
    assert [(row["kind"], row["code"], row["applied"]) for row in trail(one)][-1] == ("fail_safe_off", "FS020", False)


def test_guardrails_count_until_warning_and_are_told_once_a_minute_after_it():
    one = supervisor()
    for no in range(200):
        one.on_cycle(cycle(no, decisions=[refused("GR037")]))
    assert one.safety.state is WARNING
    assert sum(row["code"] == "GR037" for row in trail(one)) == 5
    one.market.advance_to(START_NS + 61 * NS_PER_S)
    one.on_cycle(cycle(201, decisions=[refused("GR037")]))
    assert sum(row["code"] == "GR037" for row in trail(one)) == 6


def test_what_does_not_count_never_makes_a_warning_and_not_approved_says_nothing_of_its_own():
    one = supervisor()
    for no in range(50):
        one.on_cycle(cycle(no, decisions=[refused("GR080", "GR031")]))
    assert one.safety.state is NORMAL
    assert [row["code"] for row in trail(one) if row["code"].startswith("GR0")].count("GR031") == 0
    one.on_cycle(cycle(51, decisions=[refused("GR031"), refused("size_factor"), refused("GR010", action="BUY")]))
    assert {"GR031", "GR010"} <= {row["code"] for row in trail(one)}


def test_losses_move_the_state_by_its_rules_hour_by_hour_though_nothing_happened_meanwhile():
    one = supervisor()
    one.observe(START_NS, "2026-01-05")
    one.on_cycle(cycle(equity=85_000_000))  # 15 % below its highest
    day_ns = START_NS + 4 * NS_PER_DAY + 23 * HOUR_NS
    one.observe(day_ns, "2026-01-09")
    assert one.state.current_state is OperatingState.BALANCED, "five days are not over"
    one.observe(day_ns + 3 * HOUR_NS, "2026-01-10")
    assert one.state.current_state is OperatingState.DEFENSIVE
    moved = next(row for row in trail(one) if row["kind"] == "operating_state" and row["to"] == "DEFENSIVE")
    assert moved["payload"]["market_time"].startswith("2026-01-10T00:00"), "at the hour it was due, not when we looked"


def test_the_same_minute_is_looked_at_once():
    one = supervisor()
    looks = []
    one.state.evaluate_transition = lambda *_: looks.append(one.market.now_ns())
    for second in range(120):
        one.observe(START_NS + second * NS_PER_S, "2026-01-05")
    assert looks == [START_NS, START_NS + 60 * NS_PER_S]


def test_six_scalp_losses_in_a_row_are_seen_by_the_rules():
    one = supervisor()
    day = date(2026, 1, 5)
    for _ in range(6):
        one.on_trade(ClosedTrade("SCALP", day, day, -120))
    assert one._account.metrics(vix=None, market_circuit_breaker=None).consecutive_scalp_losses == 6


def test_a_halt_in_the_configuration_is_one_of_the_word_and_goes_with_it():
    one = supervisor(overrides={"halt_all": True})
    stance = one.stance()
    assert (stance.may_enter, stance.may_exit, stance.may_protect) == (False, False, False)
    one.reconfigure(load_config(None))
    assert one.stance().may_protect


def test_other_switches_and_factors_hold_from_the_next_cycle_on():
    one = supervisor()
    one.safety.record_anomaly("AN001")
    assert one.stance().size_ppm == 1_000_000
    one.reconfigure(load_config(None, {"trading_enabled": False, "warning.size_factor": "0.5"}))
    assert (one.switches().trading_enabled, one.stance().size_ppm) == (False, 500_000)


def test_suspension_pauses_the_pipeline_and_safe_mode_keeps_orders_back():
    one = supervisor()
    one.safety.set_flag("ETEDA_SUSPENDED")
    assert one.switches().pipeline_paused
    one.safety.clear_flag("ETEDA_SUSPENDED")
    one.safety.set_safe_mode(is_on=True, by="kim")
    assert (one.switches().pipeline_paused, one.switches().safe_mode) == (False, True)


def test_a_change_that_cannot_be_put_on_record_is_not_made(tmp_path, monkeypatch):
    one = supervisor()
    files = tmp_path / "config"
    files.mkdir()
    (files / "config_local.json").write_text((shipped_dir() / "config_local.json").read_text())
    manager, taken = ConfigManager(files), []
    reloader = ConfigReloader(
        manager, manager.load(), clock=one.market, apply=taken.append, audit=one.record_reload,
        open_positions=lambda: 0,
    )  # fmt: skip
    (files / "pipeline.yaml").write_text("strategy:\n  max_intents_per_cycle: 7\n")

    def full(_entry):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(one.safety._books.audit, "append", full)
        with pytest.raises(ConfigError, match="audit"):
            reloader.reload(by="kim", reason="fewer", confirm=True)
    assert (taken, reloader.current.strategy.max_intents_per_cycle, one.safety.state) == ([], 20, FAIL)
    one.safety.poll()
    assert "config_change" in {row["kind"] for row in trail(one)}, "the attempt is on record once the disk is back"


def test_what_is_told_is_not_printed_as_well_unless_it_could_not_be_told(caplog):
    one = supervisor()
    one.state._book.note("GR084", "an override was refused")
    assert [record for record in caplog.records if record.levelname != "INFO"] == []

    class Deaf:
        def on_code(self, code, text):
            raise RuntimeError("the room is shut")

    one.state._book._listener = Deaf()
    one.state._book.note("FS110", "not kept")
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == ["ERROR"]


def test_codes_of_the_operating_state_reach_the_safety_state():
    one = supervisor()
    one.state._book.note("GR084", "an override was refused")
    one.state._book.note("FS110", "not kept")
    assert one.safety.state is FAIL
    assert {"GR084", "FS110"} <= {row["code"] for row in trail(one)}


def test_a_home_whose_operating_state_somebody_writes_is_left_as_it_was(tmp_path):
    def opened():
        return Supervisor.open(
            load_config(None), tmp_path, START_NS, SystemClock(),
            account="paper", equity=1, in_session=lambda ts_ns: True,
        )  # fmt: skip

    with FileStateStore(tmp_path / "state" / "paper"), pytest.raises(SecondWriter):
        opened()
    SafetyStateManager.open(tmp_path, SystemClock()).close()
    again = opened()
    again.close()
    FileStateStore(tmp_path / "state" / "paper").close()


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 400), st.integers(80_000_000, 110_000_000), st.booleans()), min_size=1, max_size=12
    ),
    policy=st.sampled_from(["LITERAL", "SAFE"]),
)
def test_hours_that_are_left_out_change_nothing(steps, policy):
    def run(*, every_hour):
        one = supervisor(overrides={"operating_state.gates.policy": policy})
        if every_hour:
            one.state.may_move_unprompted = lambda: True
        now_ns = START_NS
        for hours, equity, is_warned in steps:
            one.on_cycle(cycle(equity=equity))
            if is_warned:
                one.safety.record_anomaly("AN001")
            now_ns += hours * HOUR_NS + 17 * NS_PER_S
            one.observe(now_ns, from_ns(now_ns).date().isoformat())
        return [
            (row["from"], row["to"], row["reason"], row["payload"]["market_time"])
            for row in trail(one)
            if row["kind"] == "operating_state"
        ]

    assert run(every_hour=False) == run(every_hour=True)


def test_a_gap_of_years_costs_nothing_when_nothing_can_come_of_it():
    one = supervisor()
    looks = []
    evaluate = one.state.evaluate_transition
    one.state.evaluate_transition = lambda *given: looks.append(1) or evaluate(*given)
    one.observe(START_NS + 3_650 * NS_PER_DAY, "2036-01-03")
    assert len(looks) < 5
