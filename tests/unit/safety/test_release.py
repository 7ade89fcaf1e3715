"""Who leaves which state, with what: every refusal leaves the state as it is and a line in the trail."""

import pytest
from safety_samples import CAUSE, KIM, LEE, Check, S, made_desk

from qts.safety import (
    CHECKS,
    ActionClass,
    Authority,
    Channel,
    Checked,
    CheckOutcome,
    Credential,
    EventKind,
    Evidence,
    KillLevel,
    Role,
    SafetyConfig,
    SafetyState,
    Unit,
)

NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState


def failed(desk):
    desk.manager.record_fail_safe("FS040", "timeout", "Act")
    return desk


def locked(desk):
    desk.manager.record_fail_safe("FS050")
    return desk


def assert_refused(desk, result, reason) -> None:
    state = desk.manager.state
    assert (result.applied, result.reason) == (False, reason)
    assert result.from_state == result.to_state == state
    line = desk.lines[-1]
    assert (line["applied"], line["reason"], line["from"], line["to"]) == (False, reason, state, state)


# WARNING


def test_anybody_may_end_a_warning(desk):
    desk.manager.record_anomaly("AN001")
    assert desk.manager.ack(KIM, Evidence("", "")).to_state == NORMAL
    desk.manager.record_anomaly("AN001")
    assert desk.manager.ack_warning("system").to_state == NORMAL


@pytest.mark.parametrize("make", [failed, locked])
def test_nothing_but_a_warning_ends_without_evidence(desk, make):
    assert_refused(make(desk), desk.manager.ack_warning("system"), "not_listed")


def test_there_is_nothing_to_acknowledge_in_normal(desk):
    result = desk.manager.ack(KIM, Evidence("", ""))
    assert_refused(desk, result, "not_listed")
    assert "nothing to release" in result.refusal


# FAIL


def test_fail_is_left_with_evidence_and_green_checks(desk):
    result = failed(desk).manager.ack(KIM, desk.evidence())
    assert (result.from_state, result.to_state, result.applied) == (FAIL, WARNING, True)
    assert desk.manager.state == WARNING
    assert desk.manager.permits(ActionClass.ENTRY)
    [request] = desk.check.asked
    assert (request.state, request.codes, request.dry_cycles) == (FAIL, ("FS040",), 3)


def test_the_record_of_an_acknowledgement_is_complete(desk):
    failed(desk).manager.ack(KIM, desk.evidence())
    payload = desk.lines[-1]["payload"]
    assert payload["operator_id"] == "kim"
    assert payload["role"] == "operator"
    assert payload["channel"] == "CLI"
    assert payload["code"] == ["FS040"]
    assert payload["cause"] == CAUSE
    assert payload["checks"]["reconciliation"] == "pass"
    assert {payload["checks"][name] for name in CHECKS if name not in {"reconciliation", "journal"}} == {"absent"}
    assert payload["ack_id"].startswith("kim-")
    assert payload["requested_at"] == payload["effective_at"] == "2026-01-05T00:00:00+00:00"
    assert "phrase" not in payload


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": "FS043"}, "wrong_code"),
        ({"cause": "too short"}, "cause_too_short"),
        ({"cause": "          "}, "cause_too_short"),
        ({"channel": Channel.CHAT}, "channel_not_allowed"),
    ],
)
def test_fail_is_not_left_on_weak_evidence(desk, changes, reason):
    failed(desk)
    assert_refused(desk, desk.manager.ack(KIM, desk.evidence(**changes)), reason)
    assert desk.manager.state == FAIL


@pytest.mark.parametrize(
    ("credential", "reason"),
    [(Credential("park", KIM.secret), "unknown_operator"), (Credential("kim", "sesame"), "wrong_secret")],
)
def test_fail_is_not_left_by_somebody_unknown(desk, credential, reason):
    failed(desk)
    result = desk.manager.ack(credential, desk.evidence())
    assert_refused(desk, result, reason)
    assert desk.lines[-1]["actor"] == credential.operator_id
    assert credential.secret not in str(desk.lines)


def test_fail_is_not_left_while_others_can_read_the_credentials(desk, operators):
    operators._path.chmod(0o644)
    failed(desk)
    result = desk.manager.ack(KIM, desk.evidence())
    assert_refused(desk, result, "open_credentials")
    assert "chmod 600" in result.refusal


def test_without_operators_nobody_releases(clock):
    desk = failed(made_desk(clock, None))
    assert_refused(desk, desk.manager.ack(KIM, desk.evidence()), "unknown_operator")


@pytest.mark.parametrize(
    "check",
    [
        Check("broker", outcome=CheckOutcome(is_passed=False, detail="no heartbeat")),
        Check("broker", error=ConnectionError("no route")),
        Check("code", frozenset({"FS040"}), CheckOutcome(is_passed=False)),
        Check("reconciliation", outcome=CheckOutcome(is_passed=False, detail="1 difference")),
    ],
)
def test_a_check_that_is_not_green_refuses(desk, check):
    desk.manager.add_check(check)
    failed(desk)
    result = desk.manager.ack(KIM, desk.evidence())
    assert_refused(desk, result, "check_failed")
    assert check.name in result.refusal


def test_a_check_of_another_code_is_not_asked(desk):
    check = Check("code", frozenset({"FS001"}), CheckOutcome(is_passed=False))
    desk.manager.add_check(check)
    assert failed(desk).manager.ack(KIM, desk.evidence()).applied
    assert check.asked == []


def test_what_only_lockdown_asks_for_is_not_asked_in_fail(desk):
    check = Check("journal", outcome=CheckOutcome(is_passed=False))
    desk.manager.add_check(check)
    assert failed(desk).manager.ack(KIM, desk.evidence()).applied
    locked(desk)
    assert_refused(desk, desk.manager.request_approve(LEE, desk.evidence()), "check_failed")


def test_without_a_reconciliation_nothing_is_released(clock, operators):
    desk = failed(made_desk(clock, operators, checks=[]))
    result = desk.manager.ack(KIM, desk.evidence())
    assert_refused(desk, result, "check_absent")
    assert "reconciliation" in result.refusal


def test_a_fault_while_the_checks_run_keeps_the_state(desk):
    failed(desk)

    class Slow(Check):
        def run(self, request):
            desk.manager.record_fail_safe("FS040", cause="link")
            return CheckOutcome(is_passed=True)

    desk.manager.add_check(Slow("broker"))
    assert_refused(desk, desk.manager.ack(KIM, desk.evidence()), "lockdown_requires_operator_approval")
    assert desk.manager.state == LOCKDOWN


def test_a_fault_of_the_same_cause_while_the_checks_run_keeps_the_state(desk):
    desk.manager.record_fail_safe("FS040", cause="link")

    class Slow(Check):
        def run(self, request):
            desk.manager.record_fail_safe("FS040", cause="link")
            return CheckOutcome(is_passed=True)

    desk.manager.add_check(Slow("broker"))
    assert desk.manager.ack(KIM, desk.evidence()).reason == "changed_meanwhile"
    assert desk.manager.state == FAIL


def test_07_a_new_fault_within_the_window_locks_down_even_after_a_release(desk):
    failed(desk).manager.ack(KIM, desk.evidence())
    desk.clock.pass_s(600)
    assert desk.manager.record_fail_safe("FS010").to_state == LOCKDOWN


def test_a_new_fault_after_the_window_is_a_first_one(desk):
    failed(desk).manager.ack(KIM, desk.evidence())
    desk.clock.pass_s(601)
    assert desk.manager.record_fail_safe("FS010").to_state == FAIL


def test_what_cannot_be_recorded_is_not_released(desk, monkeypatch):
    failed(desk)

    def full(entry):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.manager._books.audit, "append", full)
    result = desk.manager.ack(KIM, desk.evidence())
    assert (result.applied, result.reason) == (False, "not_recorded")
    assert desk.manager.state >= FAIL


# LOCKDOWN


def test_05_lockdown_is_not_left_by_an_acknowledgement(desk):
    locked(desk)
    result = desk.manager.ack(KIM, desk.evidence())
    assert_refused(desk, result, "lockdown_requires_operator_approval")
    assert "safety officer" in result.refusal


def test_lockdown_is_left_by_request_and_confirmation(desk):
    locked(desk)
    heard = []
    desk.manager.subscribe(heard.append)
    asked = desk.manager.request_approve(LEE, desk.evidence())
    assert (asked.applied, asked.reason, asked.to_state) == (False, "cool_down", LOCKDOWN)
    assert asked.meta["effective_at"] == "2026-01-05T00:01:00+00:00"
    pending = desk.manager.snapshot().pending
    assert (pending["nonce"], pending["what"], pending["operator"]) == (asked.meta["nonce"], "APPROVE", "lee-officer")
    desk.clock.pass_s(60)
    result = desk.manager.approve(LEE, asked.meta["nonce"])
    assert (result.event, result.to_state, result.applied) == (EventKind.APPROVE, WARNING, True)
    assert result.meta["requested_at"] == "2026-01-05T00:00:00+00:00"
    assert result.meta["effective_at"] == "2026-01-05T00:01:00+00:00"
    assert desk.check.asked[-1].dry_cycles == 10
    assert desk.manager.snapshot().pending == {}
    assert [(change.is_approved, change.codes) for change in heard] == [(True, ("FS050",))]


@pytest.mark.parametrize(
    ("credential", "changes", "reason"),
    [
        (KIM, {}, "role_required"),
        (LEE, {"phrase": ""}, "wrong_phrase"),
        (LEE, {"phrase": "paper-2 FS050"}, "wrong_phrase"),
        (LEE, {"phrase": "paper-1 fs050"}, "wrong_phrase"),
        (LEE, {"cause": "short"}, "cause_too_short"),
        (LEE, {"code": "FS053"}, "wrong_code"),
        (LEE, {"channel": Channel.CHAT}, "channel_not_allowed"),
        (Credential("lee-officer", "wrong"), {}, "wrong_secret"),
        (Credential("park", "wrong"), {}, "unknown_operator"),
    ],
)
def test_06_lockdown_is_not_left_on_weak_evidence(desk, credential, changes, reason):
    locked(desk)
    assert_refused(desk, desk.manager.request_approve(credential, desk.evidence(**changes)), reason)
    assert desk.manager.state == LOCKDOWN


@pytest.mark.parametrize("age_s", [60, 61, -1])
def test_06_lockdown_is_not_left_on_an_old_reconciliation(desk, age_s):
    locked(desk)
    desk.clock.pass_s(100)
    desk.check.outcome = CheckOutcome(is_passed=True, as_of_ns=desk.clock.monotonic_ns() - age_s * S)
    assert_refused(desk, desk.manager.request_approve(LEE, desk.evidence()), "check_failed")


def test_06_a_reconciliation_that_grows_old_in_the_cool_down_is_not_enough(desk):
    locked(desk)
    desk.check.outcome = CheckOutcome(is_passed=True, as_of_ns=desk.clock.monotonic_ns())
    result = desk.approve()
    assert_refused(desk, result, "check_failed")
    assert "60 s old" in result.refusal
    desk.clock.pass_s(10)
    desk.check.outcome = CheckOutcome(is_passed=True, as_of_ns=desk.clock.monotonic_ns() - 59 * S)
    assert desk.manager.approve(LEE, desk.manager.snapshot().pending["nonce"]).applied


def asked_for(desk) -> str:
    return locked(desk).manager.request_approve(LEE, desk.evidence()).meta["nonce"]


def test_a_confirmation_comes_after_the_cool_down(desk):
    nonce = asked_for(desk)
    desk.clock.pass_s(59)
    result = desk.manager.approve(LEE, nonce)
    assert_refused(desk, result, "cool_down")
    assert "1 s are left" in result.refusal


def test_a_confirmation_does_not_come_hours_later(desk):
    nonce = asked_for(desk)
    desk.clock.pass_s(901)
    assert_refused(desk, desk.manager.approve(LEE, nonce), "request_expired")


def test_a_confirmation_names_its_request(desk):
    nonce = asked_for(desk)
    desk.clock.pass_s(60)
    assert_refused(desk, desk.manager.approve(LEE, "another"), "no_request")
    assert_refused(desk, desk.manager.release_kill(LEE, nonce), "no_request")
    assert_refused(desk, desk.manager.approve(KIM, nonce), "another_operator")
    assert_refused(desk, desk.manager.approve(Credential("lee-officer", "wrong"), nonce), "wrong_secret")


def test_a_fault_after_the_request_voids_it(desk):
    nonce = asked_for(desk)
    desk.manager.word.raise_state(FAIL.severity, "FS100", 1)
    desk.clock.pass_s(60)
    assert_refused(desk, desk.manager.approve(LEE, nonce), "fault_since_request")


def test_a_fault_during_the_last_checks_voids_the_request(desk):
    nonce = asked_for(desk)
    desk.clock.pass_s(60)

    class Slow(Check):
        def run(self, request):
            desk.manager.record_fail_safe("FS040")
            return CheckOutcome(is_passed=True)

    desk.manager.add_check(Slow("broker"))
    assert_refused(desk, desk.manager.approve(LEE, nonce), "fault_since_request")


def test_an_anomaly_after_the_request_does_not_void_it(desk):
    nonce = asked_for(desk)
    desk.manager.record_anomaly("AN001")
    desk.clock.pass_s(60)
    assert desk.manager.approve(LEE, nonce).applied


@pytest.mark.parametrize("step_ns", [-3600 * S, S, 3600 * S])
def test_a_clock_that_was_stepped_voids_the_request(desk, step_ns):
    nonce = asked_for(desk)
    desk.clock.pass_s(60)
    desk.clock.step_ns = step_ns
    result = desk.manager.approve(LEE, nonce)
    assert_refused(desk, result, "clock_stepped")
    assert f"{step_ns // 1_000_000} ms" in result.refusal


def test_an_approval_in_another_state_is_refused(desk):
    failed(desk)
    assert_refused(desk, desk.manager.request_approve(LEE, desk.evidence()), "not_listed")


def test_nobody_recovers_without_an_authority(desk):
    failed(desk)
    result = desk.manager.request_recovery(None, desk.evidence(), Checked({}, ()), faults=1)
    assert_refused(desk, result, "unknown_operator")


def test_an_authority_does_not_acknowledge_lockdown(desk):
    locked(desk)
    authority = Authority("kim", Role.OPERATOR)
    result = desk.manager.request_recovery(authority, desk.evidence(), Checked({}, ()), faults=1)
    assert result.reason == "lockdown_requires_operator_approval"


# Kill switch


def test_the_kill_switch_is_released_then_lockdown_approved(desk):
    desk.manager.engage_kill(KillLevel.K2, by="kim", reason="drill")
    assert_refused(desk, desk.manager.request_approve(LEE, desk.evidence()), "kill_switch_engaged")
    result = desk.release_kill()
    assert (result.applied, result.reason, result.to_state) == (True, "released", LOCKDOWN)
    kill = desk.manager.snapshot().kill_switch
    assert (kill.is_engaged, kill.level) == (False, None)
    assert desk.manager.should_run().reason == "safety"
    assert desk.approve().to_state == WARNING
    assert desk.manager.should_run()


def test_a_kill_switch_that_is_not_engaged_is_not_released(desk):
    locked(desk)
    assert_refused(desk, desk.manager.request_release_kill(LEE, desk.evidence()), "kill_switch_not_engaged")


def test_a_kill_switch_that_cannot_be_recorded_as_released_stays_engaged(desk, monkeypatch):
    desk.manager.engage_kill(KillLevel.K1, by="kim")

    def full(record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk.manager._books.vault, "save_kill", full)
    result = desk.release_kill()
    assert (result.applied, result.reason) == (False, "not_recorded")
    assert desk.manager.snapshot().kill_switch.is_engaged


def test_a_kill_switch_with_a_sentinel_that_stays_is_not_released(desk, monkeypatch):
    desk.manager.engage_kill(KillLevel.K1, by="kim")

    def stays():
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(desk.manager._books.vault, "remove_sentinel", stays)
    assert_refused(desk, desk.release_kill(), "sentinel_present")


def test_a_kill_at_the_moment_of_its_release_stays(desk, monkeypatch):
    desk.manager.engage_kill(KillLevel.K1, by="kim")
    vault = desk.manager._books.vault
    save = vault.save_kill

    def late(record):
        if not record.is_engaged:
            desk.manager.word.raise_state(LOCKDOWN.severity, "FS104", 1)
        save(record)

    monkeypatch.setattr(vault, "save_kill", late)
    assert desk.release_kill().reason == "changed_meanwhile"
    assert desk.manager.snapshot().kill_switch.is_engaged
    assert vault.load_kill().record.is_engaged


def test_16_a_day_with_a_fault_a_lockdown_an_approval_and_a_resumption(desk):
    manager = desk.manager
    assert manager.should_run()
    manager.record_fail_safe("FS040", "timeout", "Act", cycle=10)
    assert not manager.permits(ActionClass.ENTRY)
    assert manager.permits(ActionClass.PROTECTIVE_EXIT)
    desk.clock.pass_s(120)
    manager.record_fail_safe("FS043", "stream down", "Act")
    assert manager.state == LOCKDOWN
    assert not manager.permits(ActionClass.PROTECTIVE_EXIT)
    assert manager.permits(ActionClass.TRUSTED_EXIT)
    manager.suspend(Unit.SYMBOL, "005930", "FS071")
    manager.set_safe_mode(is_on=True, by="lee-officer", reason="dry cycles")
    assert desk.approve().to_state == WARNING
    assert manager.should_run() == (True, False, "safe_mode")
    manager.set_safe_mode(is_on=False, by="lee-officer")
    for _ in range(50):
        manager.finish_cycle(is_clean=True)
    manager.poll()
    assert manager.state == NORMAL
    assert manager.is_suspended(Unit.SYMBOL, "005930")
    states = [(line["from"], line["to"]) for line in desk.lines if line["from"] != line["to"]]
    assert states == [("NORMAL", "FAIL"), ("FAIL", "LOCKDOWN"), ("LOCKDOWN", "WARNING"), ("WARNING", "NORMAL")]


def test_without_probation_the_release_is_whole(clock, operators):
    desk = made_desk(clock, operators, config=SafetyConfig(recovery_probation_cycles=0))
    locked(desk)
    assert desk.approve().to_state == NORMAL
    assert (desk.manager.state, desk.manager.size_factor) == (NORMAL, 1)


def test_refusals_are_told_in_korean_too(desk, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    locked(desk)
    assert "안전 책임자" in desk.manager.ack(KIM, desk.evidence()).refusal


def test_an_alarm_is_quiet_once_somebody_has_seen_it(desk):
    locked(desk)
    assert desk.manager.snapshot().is_ack_pending
    desk.manager.ack(KIM, desk.evidence())
    assert not desk.manager.snapshot().is_ack_pending
    assert desk.manager.state == LOCKDOWN
