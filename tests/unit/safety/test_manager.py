"""The manager: what others report, what it permits, what it writes down and whom it tells."""

import errno
import json
import threading
from decimal import Decimal

import pytest
from safety_samples import KIM, S, made_desk

from qts._core import ACTION_CLASSES, SAFETY_FLAGS, SafetyWord
from qts.safety import (
    ActionClass,
    AnomalyLevel,
    AuditMemory,
    Entry,
    EventKind,
    KillLevel,
    MemoryVault,
    NoticeLevel,
    SafetyConfig,
    SafetyState,
    Unit,
)

NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState


def test_actions_and_flags_are_those_of_the_core():
    assert [(action.name, action.value) for action in ActionClass] == ACTION_CLASSES
    assert {f"KILL_{level.name}" for level in KillLevel} <= {name for name, _ in SAFETY_FLAGS}


def test_a_clean_first_start_is_normal(desk):
    shown = desk.manager.snapshot()
    assert (shown.state, shown.consecutive, shown.codes, shown.last_code) == (NORMAL, 0, (), "")
    assert shown.is_trading_allowed
    assert not shown.is_lockdown
    assert (shown.kill_switch.is_armed, shown.kill_switch.is_engaged) == (True, False)
    assert desk.manager.should_run() == (True, True, "")
    assert desk.manager.pipeline_state() == "IDLE"
    assert desk.manager.pipeline_state(is_running=True) == "RUNNING"


# Acceptance tests of spec 01 §9, by number.


def test_01_an_anomaly_warns_and_trading_goes_on(desk):
    result = desk.manager.record_anomaly("AN001", "moved 6 %", "Extract")
    assert (result.to_state, result.applied) == (WARNING, True)
    assert desk.manager.permits(ActionClass.ENTRY)


def test_02_a_broker_error_fails_and_no_order_leaves(desk):
    result = desk.manager.record_fail_safe("FS040", "timeout", "Act")
    assert (result.to_state, result.meta["consecutive"]) == (FAIL, 1)
    permitted = {action for action in ActionClass if desk.manager.permits(action)}
    assert permitted.isdisjoint({ActionClass.ENTRY, ActionClass.STRATEGY_EXIT, ActionClass.NEW_CYCLE})
    assert {ActionClass.PROTECTIVE_EXIT, ActionClass.CANCEL, ActionClass.ACCOUNTING} <= permitted
    assert desk.manager.should_run() == (False, False, "safety")
    assert desk.manager.pipeline_state() == "FAIL"


def test_03_a_second_fail_safe_locks_down(desk):
    desk.manager.record_fail_safe("FS040")
    result = desk.manager.record_fail_safe("FS043")
    assert (result.to_state, result.reason, result.meta["consecutive"]) == (LOCKDOWN, "consecutive", 2)
    assert desk.manager.snapshot().codes == ("FS040", "FS043")


@pytest.mark.parametrize("code", ["FS040", "FS050", "FS042", "FS102"])
def test_04_lockdown_absorbs_every_fail_safe(desk, code):
    desk.manager.record_fail_safe("FS050")
    assert desk.manager.record_fail_safe(code).to_state == LOCKDOWN
    assert desk.manager.state == LOCKDOWN


def test_09_in_fail_a_protective_exit_is_sent_and_an_entry_refused(desk):
    desk.manager.record_fail_safe("FS040")
    assert desk.manager.permits(ActionClass.PROTECTIVE_EXIT)
    assert not desk.manager.permits(ActionClass.ENTRY)


@pytest.mark.parametrize("word", ["banana", "ON", "active", "1", "engaged"])
def test_an_environment_that_does_not_say_off_engages_the_kill_switch(clock, word):
    desk = made_desk(clock, None, environ={"KILLSWITCH_STATUS": word})
    assert desk.manager.snapshot().kill_switch.is_engaged
    assert desk.manager.state == LOCKDOWN


@pytest.mark.parametrize("environ", [{}, {"KILLSWITCH_STATUS": ""}, {"KILLSWITCH_STATUS": "Off"}])
def test_an_environment_that_says_off_or_nothing_does_not(clock, environ):
    assert made_desk(clock, None, environ=environ).manager.state == NORMAL


def test_13_an_alert_is_delivered_whatever_is_paused(desk):
    desk.manager.record_anomaly("AN001")
    desk.manager._notifier.pump()
    assert [notice.safety_code for notice in desk.told.sent] == ["AN001"]


# Reports.


def test_a_code_that_is_not_in_the_table_cannot_be_raised(desk):
    for report in (desk.manager.record_fail_safe, desk.manager.record_guardrail, desk.manager.record_anomaly):
        with pytest.raises(ValueError, match="not in the table"):
            report("FS999")
    assert desk.manager.state == NORMAL


def test_an_effect_that_the_code_does_not_have_cannot_be_asked_for(desk):
    with pytest.raises(ValueError, match="cannot ask for LOCKDOWN"):
        desk.manager.record_fail_safe("FS045", effect="LOCKDOWN")
    assert desk.manager.record_fail_safe("FS045").to_state == WARNING
    assert desk.manager.record_fail_safe("FS045", effect="FAIL").to_state == FAIL


def test_a_code_is_reported_once_in_a_cycle(desk):
    first = desk.manager.record_fail_safe("FS040", cycle=7)
    again = desk.manager.record_fail_safe("FS040", cycle=7)
    assert (again.applied, again.reason, again.to_state) == (False, "duplicate", first.to_state)
    assert desk.manager.state == FAIL
    assert desk.manager.record_fail_safe("FS040", cycle=8).to_state == LOCKDOWN


def test_what_was_reported_long_ago_is_forgotten(desk, monkeypatch):
    monkeypatch.setattr("qts.safety.manager._REMEMBERED", 2)
    for cycle in range(4):
        desk.manager.record_fail_safe("FS102", cycle=cycle)
    assert [cycle for _, cycle in desk.manager._seen] == [2, 3]


@pytest.mark.parametrize(
    ("code", "blocked", "state"),
    [
        ("FS040", True, FAIL),
        ("GR020", True, WARNING),
        ("GR001", True, NORMAL),
        ("AN040", False, WARNING),
        ("G_EXE_TRADING_DISABLED", True, NORMAL),
        ("FS042", True, WARNING),
        ("FS102", False, NORMAL),
    ],
)
def test_the_result_of_a_stage_check_is_routed_by_its_code(desk, code, blocked, state):
    assert desk.manager.apply_safety_result(code, "said so", "Evaluate", blocked).to_state == state


def test_the_kill_switch_is_not_engaged_by_a_stage_check(desk):
    with pytest.raises(ValueError, match="engage_kill"):
        desk.manager.apply_safety_result("KS", "", "Act", True)


@pytest.mark.parametrize(
    ("code", "blocked", "counts"),
    [("GR001", True, True), ("GR001", False, True), ("GR061", True, True), ("GR061", False, False),
     ("GR120", True, False), ("GR064", True, False)],
)  # fmt: skip
def test_which_guardrails_count_towards_a_warning(desk, code, blocked, counts):
    for _ in range(5):
        desk.manager.record_guardrail(code, blocked=blocked)
    assert desk.manager.state == (WARNING if counts else NORMAL)


def test_a_level_that_the_caller_knows_better_goes_before_the_table(desk):
    desk.manager.record_anomaly("AN001", level=AnomalyLevel.LOW)
    for _ in range(20):
        desk.manager.finish_cycle(is_clean=True)
    desk.clock.pass_s(60)
    desk.manager.poll()
    assert desk.manager.state == NORMAL


# WARNING, its size and its end.


def test_warning_ends_by_itself_after_a_quiet_time(desk):
    desk.manager.record_fail_safe("FS042")
    for _ in range(20):
        desk.manager.finish_cycle(is_clean=True)
    desk.clock.pass_s(299)
    desk.manager.poll()
    assert desk.manager.state == WARNING
    desk.clock.pass_s(1)
    desk.manager.poll()
    assert desk.manager.state == NORMAL
    assert desk.manager.snapshot().codes == ()


def test_nothing_else_ends_by_itself(desk):
    desk.manager.record_fail_safe("FS040")
    for _ in range(200):
        desk.manager.finish_cycle(is_clean=True)
        desk.clock.pass_s(60)
        desk.manager.poll()
    assert desk.manager.state == FAIL


def test_the_size_of_entries_in_warning_and_in_probation(clock, operators):
    config = SafetyConfig(warning_size_factor=Decimal("0.7"), recovery_probation_factor=Decimal("0.5"))
    desk = made_desk(clock, operators, config=config)
    assert desk.manager.size_factor == 1
    desk.manager.record_anomaly("AN001")
    assert desk.manager.size_factor == Decimal("0.7")
    desk.manager.record_fail_safe("FS040")
    assert desk.manager.ack(KIM, desk.evidence()).to_state == WARNING
    assert (desk.manager.size_factor, desk.manager.snapshot().probation_left) == (Decimal("0.5"), 50)
    for _ in range(50):
        desk.manager.finish_cycle(is_clean=True)
    desk.manager.poll()
    assert (desk.manager.state, desk.manager.size_factor) == (NORMAL, 1)


# What the core raises.


def test_what_rust_raised_is_recorded_and_counted(desk):
    desk.manager.word.raise_state(FAIL.severity, "FS100", 5)
    assert desk.manager.state == FAIL, "in force before anybody has looked"
    desk.manager.poll()
    line = desk.lines[-1]
    assert (line["actor"], line["kind"], line["code"], line["from"], line["to"]) == (
        "core", "transition", "FS100", "NORMAL", "FAIL",
    )  # fmt: skip
    assert desk.manager.snapshot().consecutive == 1
    desk.manager.word.raise_state(FAIL.severity, "FS107", 6)
    desk.manager.poll()
    assert desk.manager.state == LOCKDOWN


@pytest.mark.parametrize(
    ("raised", "code", "state"),
    [(1, "AN001", WARNING), (1, "GR020", WARNING), (1, "FS101", WARNING), (2, "FS101", FAIL), (3, "FS104", LOCKDOWN),
     (2, "AN001", FAIL), (3, "KS", LOCKDOWN), (1, "GR070", WARNING)],
)  # fmt: skip
def test_a_raise_of_rust_does_at_least_what_it_has_raised(desk, raised, code, state):
    desk.manager.word.raise_state(raised, code, 5)
    desk.manager.poll()
    assert desk.manager.state == desk.manager.snapshot().state == state
    assert desk.lines[-1]["to"] == state


def test_a_warning_of_rust_that_changes_nothing_is_recorded_too(desk):
    desk.manager.record_fail_safe("FS040")
    desk.manager.word.raise_state(WARNING.severity, "FS101", 5)
    desk.manager.poll()
    assert (desk.lines[-1]["code"], desk.manager.state) == ("FS101", FAIL)


def test_more_raises_than_are_kept_still_have_their_effect(desk):
    for at in range(300):
        desk.manager.word.raise_state(WARNING.severity, "FS101", at)
    desk.manager.word.raise_state(FAIL.severity, "FS100", 1_000)
    desk.manager.poll()
    shown = desk.manager.snapshot()
    assert shown.state == FAIL
    assert shown.raises_lost == 45
    assert desk.manager._machine.state == FAIL
    assert "raised faster" in str([row.notice.message for row in desk.manager._notifier._outbox.due()])


def test_flags_that_rust_sets_are_taken_over(desk):
    desk.manager.word.set_flags(dict(SAFETY_FLAGS)["HALT_ALL"])
    desk.manager.poll()
    assert desk.manager.snapshot().flags == ("HALT_ALL",)
    assert desk.lines[-1]["payload"] == {"set": ["HALT_ALL"], "cleared": []}


def test_a_kill_that_rust_sets_is_taken_over(desk):
    desk.manager.word.set_flags(dict(SAFETY_FLAGS)["KILL_K3"])
    desk.manager.word.raise_state(LOCKDOWN.severity, "FS104", 1)
    desk.manager.poll()
    kill = desk.manager.snapshot().kill_switch
    assert (kill.is_engaged, kill.level, kill.by) == (True, KillLevel.K3, "core")


def test_a_kill_that_rust_sets_without_a_raise_locks_down_too(desk):
    desk.manager.word.set_flags(dict(SAFETY_FLAGS)["KILL_K1"])
    desk.manager.poll()
    assert desk.manager.state == LOCKDOWN
    assert (desk.lines[-1]["kind"], desk.lines[-1]["actor"]) == ("kill", "core")


def test_a_release_fails_if_rust_raises_at_the_same_moment(desk):
    desk.manager.record_anomaly("AN001")
    for _ in range(20):
        desk.manager.finish_cycle(is_clean=True)
    desk.clock.pass_s(300)
    record = desk.manager._books.record

    def late(entry):
        if entry.kind == "transition" and entry.to_state == "NORMAL":
            desk.manager.word.raise_state(FAIL.severity, "FS100", 9)
        return record(entry)

    desk.manager._books.record = late
    desk.manager.poll()
    assert desk.manager.state == FAIL
    assert desk.manager.snapshot().codes[-1] == "FS100"
    assert [line["reason"] for line in desk.lines if line["kind"] == "void"] == ["changed_meanwhile"]


def test_a_raise_that_waits_for_the_records_blocks_every_release(desk):
    desk.manager.record_anomaly("AN001")
    for _ in range(20):
        desk.manager.finish_cycle(is_clean=True)
    desk.clock.pass_s(300)
    with desk.manager._in_flight():
        desk.manager.poll()
    assert desk.manager.state == WARNING
    desk.manager.poll()
    assert desk.manager.state == NORMAL


# Kill switch, flags, suspensions.


@pytest.mark.parametrize("level", KillLevel)
def test_a_kill_locks_down_and_stops_cycles_and_entries(desk, level):
    result = desk.manager.engage_kill(level, by="kim", reason="looks wrong")
    assert (result.event, result.to_state, result.applied) == (EventKind.KILL, LOCKDOWN, True)
    assert desk.manager.should_run() == (False, False, "kill_switch")
    assert desk.manager.pipeline_state() == "LOCKDOWN"
    assert not desk.manager.permits(ActionClass.ENTRY)
    assert desk.manager.permits(ActionClass.KILL_PLAN) is (level is KillLevel.K3)
    kill = desk.manager.snapshot().kill_switch
    assert (kill.is_engaged, kill.level, kill.by, kill.reason) == (True, level, "kim", "looks wrong")


def test_a_kill_is_never_lowered(desk):
    desk.manager.engage_kill(KillLevel.K2, by="kim")
    desk.manager.engage_kill(KillLevel.K1, by="lee")
    assert desk.manager.snapshot().kill_switch.level is KillLevel.K2
    desk.manager.engage_kill(KillLevel.K3, by="lee")
    assert desk.manager.snapshot().kill_switch.level is KillLevel.K3


def test_a_kill_is_in_force_before_anything_is_written(desk):
    seen = []
    save = desk.manager._books.vault.save_kill
    desk.manager._books.vault.save_kill = lambda record: (
        seen.append((desk.manager.word.kill_level, desk.manager.state)), save(record)
    )  # fmt: skip
    desk.manager.engage_kill(KillLevel.K1, by="kim")
    assert seen == [(1, LOCKDOWN)]


def test_a_kill_does_not_wait_for_a_disk_that_hangs(desk):
    """Somebody else is inside a sync that does not come back; the word is raised all the same."""
    with desk.manager._lock:
        killer = threading.Thread(target=desk.manager.engage_kill, args=(KillLevel.K1,), kwargs={"by": "kim"})
        killer.start()
        while desk.manager.state != LOCKDOWN:
            assert killer.is_alive()
        assert not desk.manager.permits(ActionClass.ENTRY)
    killer.join()
    assert desk.manager.snapshot().kill_switch.is_engaged


def test_a_switch_that_is_not_armed_refuses_and_says_so(clock):
    desk = made_desk(clock, None, config=SafetyConfig(kill_switch_armed=False))
    result = desk.manager.engage_kill(KillLevel.K1, by="kim")
    assert (result.applied, result.reason, result.to_state) == (False, "kill_switch_disarmed", NORMAL)
    assert "armed" in result.refusal
    assert desk.manager.state == NORMAL
    assert desk.lines[-1]["reason"] == "kill_switch_disarmed"
    desk.manager.poll()


def test_safe_mode_lets_cycles_run_and_nothing_leave(desk):
    desk.manager.set_safe_mode(is_on=True, by="kim", reason="warm-up")
    assert desk.manager.should_run() == (True, False, "safe_mode")
    assert desk.manager.pipeline_state() == "SAFE"
    assert desk.manager.snapshot().is_safe_mode
    assert not desk.manager.permits(ActionClass.ENTRY)
    assert desk.manager.permits(ActionClass.PROTECTIVE_EXIT)
    assert desk.manager.state == NORMAL
    desk.manager.set_safe_mode(is_on=False, by="kim")
    assert desk.manager.should_run().may_act


def test_only_flags_that_are_nobody_elses_can_be_set(desk):
    for name in ("KILL_K1", "NONSENSE"):
        with pytest.raises(ValueError, match="expected one of"):
            desk.manager.set_flag(name)
        with pytest.raises(ValueError, match="expected one of"):
            desk.manager.clear_flag(name)


class Contended:
    """The real word, with somebody who raises it once between being read and being changed."""

    def __init__(self, word):
        self.word = word
        self.is_quiet = False

    def __getattr__(self, name):
        return getattr(self.word, name)

    def clear_flags(self, seen, mask):
        if not self.is_quiet:
            self.is_quiet = True
            self.word.raise_state(WARNING.severity, "FS101", 1)
        return self.word.clear_flags(seen, mask)


def test_a_flag_is_cleared_beside_what_others_raise(desk):
    desk.manager.set_flag("HALT_ALL")
    desk.manager._enforcement.word = Contended(desk.manager.word)
    desk.manager.clear_flag("HALT_ALL")
    assert desk.manager.snapshot().flags == ()
    assert desk.manager.state == WARNING, "the raise stands"


def test_a_suspended_pipeline_runs_no_cycle_until_every_code_is_lifted(desk):
    desk.manager.suspend(Unit.PIPELINE, "eteda", "FS103", reason="risk loop")
    desk.manager.suspend(Unit.PIPELINE, "eteda", "FS097")
    assert desk.manager.should_run() == (False, False, "pipeline_paused")
    assert desk.manager.pipeline_state() == "SAFE"
    with pytest.raises(ValueError, match="suspended"):
        desk.manager.clear_flag("ETEDA_SUSPENDED")
    assert desk.manager.lift(Unit.PIPELINE, "eteda", "FS103", by="risk loop")
    assert not desk.manager.should_run()
    assert desk.manager.lift(Unit.PIPELINE, "eteda", "FS097", by="kim", is_operator=True)
    assert desk.manager.should_run()


def test_a_suspended_symbol_is_lifted_by_reconciliation_only_where_it_may(desk):
    desk.manager.suspend(Unit.SYMBOL, "005930", "FS071", lifts_itself=True)
    desk.manager.suspend(Unit.SYMBOL, "005930", "FS091")
    assert desk.manager.is_suspended(Unit.SYMBOL, "005930")
    assert not desk.manager.is_suspended(Unit.SYMBOL, "000660")
    assert desk.manager.lift(Unit.SYMBOL, "005930", by="reconciliation")
    assert desk.manager.is_suspended(Unit.SYMBOL, "005930")
    assert not desk.manager.lift(Unit.SYMBOL, "005930", by="reconciliation")
    assert desk.manager.lift(Unit.SYMBOL, "005930", "FS091", by="kim", is_operator=True)
    assert not desk.manager.is_suspended(Unit.SYMBOL, "005930")
    desk.manager.suspend(Unit.TRACK, "SCALP", "FS081")
    assert desk.manager.lift(Unit.TRACK, "SCALP", by="capital")


def test_the_same_suspension_twice_is_one(desk):
    for _ in range(2):
        desk.manager.suspend(Unit.STRATEGY, "ema_cross", "AN070")
    assert len(desk.manager.snapshot().suspensions) == 1
    assert sum(line["kind"] == "suspend" for line in desk.lines) == 1


# Listeners and records.


def test_listeners_hear_of_changes_after_the_word_has_changed(desk):
    heard = []
    stop = desk.manager.subscribe(lambda change: heard.append((change.to_state, desk.manager.state)))
    desk.manager.record_anomaly("AN001")
    desk.manager.record_anomaly("AN001")
    desk.manager.record_fail_safe("FS040")
    assert heard == [(WARNING, WARNING), (FAIL, FAIL)]
    stop()
    stop()
    desk.manager.record_fail_safe("FS040")
    assert len(heard) == 2


def test_a_listener_that_fails_keeps_nobody_from_hearing(desk):
    heard = []

    def broken(change):
        raise RuntimeError("no")

    desk.manager.subscribe(broken)
    desk.manager.subscribe(heard.append)
    desk.manager.record_fail_safe("FS040")
    assert [change.to_state for change in heard] == [FAIL]
    assert desk.lines[-1]["kind"] == "listener_failed"


def test_a_listener_may_report_something_itself(desk):
    def more(change):
        if change.to_state == FAIL:
            desk.manager.record_fail_safe("FS085")

    desk.manager.subscribe(more)
    desk.manager.record_fail_safe("FS040")
    assert [line["code"] for line in desk.lines[-2:]] == ["FS040", "FS085"]


def test_each_act_is_one_line_with_what_it_did(desk):
    desk.manager.record_fail_safe("FS040", "timeout", "Act", cycle=3, meta={"api_key": "hunter2", "symbol": "005930"})
    line = desk.lines[-1]
    assert (line["kind"], line["code"], line["from"], line["to"], line["applied"]) == (
        "transition", "FS040", "NORMAL", "FAIL", True,
    )  # fmt: skip
    assert line["refs"] == {"cycle": 3}
    assert line["payload"]["api_key"] == "[removed]"
    assert line["payload"]["symbol"] == "005930"
    desk.manager.record_guardrail("GR001", "too large", "Evaluate")
    assert (desk.lines[-1]["kind"], desk.lines[-1]["code"]) == ("guardrail", "GR001")
    desk.manager.record_act(Entry("kim", "config_change", payload={"key": "risk.max_positions"}))
    assert (desk.lines[-1]["kind"], desk.lines[-1]["actor"]) == ("config_change", "kim")
    desk.manager.close()
    assert desk.lines[-1]["kind"] == "stop"


def test_notices_say_level_code_description_state_and_values(desk):
    desk.manager.record_fail_safe("FS040", "timeout", "Act")
    desk.manager._notifier.pump()
    notice = desk.told.sent[-1]
    assert notice.level is NoticeLevel.FAIL
    assert notice.text("en").startswith("[FAIL] FS040 | Broker execution error | FAIL | ")
    assert "stage=Act" in notice.text("en")
    assert "증권사" in notice.text("ko")


class Full:
    """A disk that takes nothing until it is told to."""

    def __init__(self, good):
        self.good = good
        self.is_full = False

    def __getattr__(self, name):
        def call(*args):
            if self.is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return getattr(self.good, name)(*args)

        return call if name.startswith(("save", "append")) else getattr(self.good, name)


def test_a_disk_that_takes_no_audit_fails_the_engine_and_loses_no_line(clock, operators):
    disk = Full(AuditMemory(clock))
    desk = made_desk(clock, operators, audit=disk)
    disk.is_full = True
    desk.manager.record_act(Entry("kim", "config_change"))
    assert desk.manager.state == FAIL
    assert desk.manager.snapshot().last_code == "FS063"
    desk.manager.record_act(Entry("kim", "mode_change"))
    assert desk.manager.state == FAIL, "one fault, not two"
    desk.clock.pass_s(5)
    disk.is_full = False
    desk.manager.poll()
    kinds = [json.loads(line)["kind"] for line in disk.good.lines]
    assert kinds == ["start", "config_change", "transition", "mode_change"]


def test_a_disk_that_takes_no_record_fails_the_engine_once(clock, operators):
    disk = Full(MemoryVault())
    desk = made_desk(clock, operators, vault=disk)
    disk.is_full = True
    desk.manager.record_anomaly("AN001")
    assert desk.manager.state == FAIL
    desk.manager.engage_kill(KillLevel.K1, by="kim")
    assert desk.manager.state == LOCKDOWN
    disk.is_full = False
    desk.manager.record_anomaly("AN001")
    assert disk.load_state().record.state == LOCKDOWN


def test_a_backlog_that_grows_too_long_says_how_much_it_lost(clock, operators, monkeypatch):
    monkeypatch.setattr("qts.safety.books._BACKLOG", 5)
    disk = Full(AuditMemory(clock))
    desk = made_desk(clock, operators, audit=disk)
    disk.is_full = True
    for _ in range(10):
        desk.manager.record_act(Entry("kim", "config_change"))
    assert desk.manager._books.lost > 0


def test_a_word_may_be_shared_with_rust(clock):
    word = SafetyWord("NONE")
    desk = made_desk(clock, None, word=word)
    assert desk.manager.word is word
    desk.manager.record_fail_safe("FS050")
    assert word.state == LOCKDOWN.severity


def test_many_threads_end_in_one_consistent_state(desk):
    go = threading.Barrier(4)

    def report(code):
        go.wait()
        for number in range(50):
            desk.manager.record_anomaly("AN001")
            desk.manager.record_guardrail("GR001")
            if number == 25:
                desk.manager.record_fail_safe(code)
            desk.manager.poll()

    threads = [threading.Thread(target=report, args=(code,)) for code in ("FS040", "FS043", "FS010", "FS020")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.manager.state == desk.manager._machine.state == LOCKDOWN
    assert [line["seq"] for line in desk.lines] == list(range(1, len(desk.lines) + 1))
    assert desk.manager.word.take_raises() == [], "what the manager raises it records itself"
    assert desk.clock.monotonic_ns() < S
