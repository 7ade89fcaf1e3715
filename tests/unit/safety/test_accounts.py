"""Operators of a home are added, changed and removed on record, and never under a running engine."""

import json
import os

import pytest
from safety_samples import KIM, LEE, S

from qts.codes import EngineFault, UsageError
from qts.safety import AccountDesk, OperatorBook, Refusal, Role, SafetyState, SafetyStateManager, verify

BY = "CLI:root"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def accounts(home, clock):
    with AccountDesk(home, clock, BY) as desk:
        yield desk


def acts(home):
    lines = (home / "state" / "audit.jsonl").read_text().splitlines()
    return [
        (line["actor"], line["kind"], line["applied"], line["reason"], line["payload"])
        for line in map(json.loads, lines)
    ]


def test_every_change_is_in_the_trail_and_no_secret_is(home, accounts):
    accounts.add("kim", Role.OPERATOR, KIM.secret)
    accounts.add("kim-officer", Role.SAFETY_OFFICER, LEE.secret)
    accounts.change_secret("kim", "another secret of kim")
    accounts.remove("kim-officer")
    assert accounts.accounts() == (("kim", Role.OPERATOR),)
    assert acts(home) == [
        (BY, "operator_add", True, "", {"operator": "kim", "role": "operator"}),
        (BY, "operator_add", True, "", {"operator": "kim-officer", "role": "safety_officer"}),
        (BY, "operator_secret", True, "", {"operator": "kim", "role": "operator"}),
        (BY, "operator_remove", True, "", {"operator": "kim-officer", "role": "safety_officer"}),
    ]
    assert verify(home / "state" / "audit.jsonl").is_whole
    written = b"".join(path.read_bytes() for path in (home / "state").iterdir())
    assert not any(secret.encode() in written for secret in (KIM.secret, LEE.secret, "another secret of kim"))
    assert (home / "state" / "operators.json").stat().st_mode & 0o777 == 0o600
    assert (home / "state").stat().st_mode & 0o777 == 0o700


def test_a_refused_change_is_in_the_trail_too(home, accounts):
    for act in (lambda: accounts.add("kim", Role.OPERATOR, "short"), lambda: accounts.remove("park")):
        with pytest.raises(Refusal):
            act()
    assert acts(home) == [
        (BY, "operator_add", False, "weak_secret", {"operator": "kim"}),
        (BY, "operator_remove", False, "unknown_operator", {"operator": "park"}),
    ]
    assert accounts.accounts() == ()


def test_operators_may_be_added_before_the_first_start_and_that_is_normal(home, accounts, clock):
    accounts.add("kim", Role.OPERATOR, KIM.secret)
    accounts.close()
    clock.pass_s(60)
    manager = SafetyStateManager.open(home, clock, environ={})
    snapshot = manager.snapshot()
    manager.close()
    assert (snapshot.state, snapshot.kill_switch.is_engaged, snapshot.codes) == (SafetyState.NORMAL, False, ())
    assert snapshot.since_ns == clock.now_ns() - 60 * S


def test_a_running_engine_is_not_given_other_operators(home, clock):
    manager = SafetyStateManager.open(home, clock, environ={})
    before = (home / "state" / "audit.jsonl").read_bytes()
    with pytest.raises(UsageError) as caught:
        AccountDesk(home, clock, BY)
    assert "another process holds" in caught.value.found
    assert "qts-engine stop" in caught.value.hint
    assert (home / "state" / "audit.jsonl").read_bytes() == before
    manager.close()
    with AccountDesk(home, clock, BY) as desk:
        desk.add("kim", Role.OPERATOR, KIM.secret)


def test_a_locked_down_home_stays_so_whoever_is_added(home, clock):
    manager = SafetyStateManager.open(home, clock, environ={})
    manager.record_fail_safe("FS050")
    manager.close()
    with AccountDesk(home, clock, BY) as desk:
        desk.add("kim", Role.OPERATOR, KIM.secret)
    again = SafetyStateManager.open(home, clock, environ={})
    assert (again.state, again.snapshot().last_code) == (SafetyState.LOCKDOWN, "FS050")
    again.close()


def _without_lines(trail):
    trail.write_bytes(trail.read_bytes().splitlines(keepends=True)[0])


def _with_another_actor(trail):
    trail.write_bytes(trail.read_bytes().replace(b'"actor":"engine"', b'"actor":"nobody"'))


@pytest.mark.parametrize("damage", [_without_lines, _with_another_actor])
def test_nothing_is_written_after_a_gap_that_it_would_hide(home, clock, damage):
    manager = SafetyStateManager.open(home, clock, environ={})
    manager.record_fail_safe("FS050")
    manager.close()
    trail = home / "state" / "audit.jsonl"
    damage(trail)
    damaged = trail.read_bytes()
    for _ in range(2):  # the second time: the first one holds nothing
        with pytest.raises(Refusal, match="audit trail"):
            AccountDesk(home, clock, BY)
    assert trail.read_bytes() == damaged


def test_a_change_that_the_disk_does_not_take_is_a_fault_and_recorded_as_such(home, accounts):
    accounts.add("kim", Role.OPERATOR, KIM.secret)
    book = (home / "state" / "operators.json").read_bytes()
    (home / "state" / "operators.json.new").mkdir()
    with pytest.raises(EngineFault) as caught:
        accounts.remove("kim")
    assert caught.value.code == "FS063"
    assert (home / "state" / "operators.json").read_bytes() == book
    assert [act[1:4] for act in acts(home)[1:]] == [
        ("operator_remove", True, ""),
        ("operator_remove", False, "not_written"),
    ]


def test_a_home_that_cannot_be_written_is_a_fault(home, clock):
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file")
    with pytest.raises(EngineFault, match="FS063"):
        AccountDesk(home, clock, BY)
    home.unlink()
    (home / "state" / "audit.jsonl").mkdir(parents=True)
    with pytest.raises(EngineFault, match="FS063"):
        AccountDesk(home, clock, BY)


def test_a_trail_that_cannot_be_written_lets_nothing_change(home, accounts):
    accounts.add("kim", Role.OPERATOR, KIM.secret)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, accounts._audit._descriptor)
    os.close(full)
    with pytest.raises(EngineFault, match="FS063"):
        accounts.remove("kim")
    assert OperatorBook(home / "state" / "operators.json").accounts() == (("kim", Role.OPERATOR),)
