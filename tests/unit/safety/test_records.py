import json
import os

import pytest

from qts.codes import UsageError
from qts.safety import FileVault, KillLevel, MemoryVault, SafetyState, Suspension, Unit
from qts.safety.files import lock_directory, replace_file
from qts.safety.record import KillRecord, StateRecord
from qts.safety.suspensions import Suspensions

RECORD = StateRecord(
    state=SafetyState.LOCKDOWN,
    since_ns=5,
    consecutive=2,
    last_fail_ns=4,
    codes=("FS040", "FS043"),
    flags=("SAFE_MODE",),
    suspensions=(Suspension(unit=Unit.SYMBOL, key="005930", code="FS071", since_ns=1, lifts_itself=True),),
)
KILL = KillRecord(is_engaged=True, level=KillLevel.K2, by="kim", reason="drill", at_ns=3)


@pytest.mark.parametrize("make", [FileVault, lambda _: MemoryVault()])
def test_what_is_kept_comes_back(tmp_path, make):
    vault = make(tmp_path)
    assert vault.load_state() == vault.load_kill() == (None, "")
    assert vault.sentinel() is None
    vault.save_state(RECORD)
    vault.save_kill(KILL)
    assert vault.load_state() == (RECORD, "")
    assert vault.load_kill() == (KILL, "")
    vault.remove_sentinel()


def test_records_are_for_their_owner_alone(tmp_path):
    vault = FileVault(tmp_path)
    vault.save_state(RECORD)
    vault.save_kill(KILL)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "safety.json": 0o600,
        "kill_switch.json": 0o600,
    }


def sealed_anew(path, **changes) -> None:
    """What an editor who knows the checksum could write."""
    import hashlib

    from qts.safety.files import canonical

    document = {**json.loads(path.read_text())["record"], **changes}
    seal = hashlib.sha256(canonical(document)).hexdigest()
    path.write_text(json.dumps({"record": document, "sha256": seal}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text().replace("LOCKDOWN", "NORMAL")),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text("{}"),
        lambda path: sealed_anew(path, version=2),
        lambda path: sealed_anew(path, state="FINE"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_record_is_a_fault_and_never_a_missing_one(tmp_path, damage):
    vault = FileVault(tmp_path)
    vault.save_state(RECORD)
    damage(tmp_path / "safety.json")
    found = vault.load_state()
    assert found.record is None
    assert str(tmp_path) in found.fault


@pytest.mark.parametrize(
    ("content", "level"),
    [("", 1), ("K2\n", 2), ("3", 3), ("k3", 3), ("flatten!", 1), (b"\xff", 1)],
)
def test_the_sentinel_file_names_a_level_and_means_k1_otherwise(tmp_path, content, level):
    path = tmp_path / "KILL"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    vault = FileVault(tmp_path)
    assert vault.sentinel() == level
    vault.remove_sentinel()
    assert vault.sentinel() is None


def test_a_sentinel_that_cannot_be_read_is_one(tmp_path):
    (tmp_path / "KILL").mkdir()
    assert FileVault(tmp_path).sentinel() is KillLevel.K1


def test_a_failed_replacement_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "record"
    replace_file(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_one_holder_at_a_time(tmp_path):
    held = lock_directory(tmp_path / "state")
    with pytest.raises(UsageError, match="another process"):
        lock_directory(tmp_path / "state")
    os.close(held)
    os.close(lock_directory(tmp_path / "state"))


def held(unit=Unit.SYMBOL, key="005930", code="FS071", *, itself=False) -> Suspension:
    return Suspension(unit=unit, key=key, code=code, since_ns=0, lifts_itself=itself)


def test_each_code_holds_its_own_suspension():
    suspensions = Suspensions([held()])
    assert not suspensions.add(held())
    assert suspensions.add(held(code="FS091"))
    assert [row.code for row in suspensions.lift(Unit.SYMBOL, "005930", "FS071")] == ["FS071"]
    assert [row.code for row in suspensions.of(Unit.SYMBOL, "005930")] == ["FS091"]
    assert suspensions.lift(Unit.SYMBOL, "005930")
    assert suspensions.all() == ()


def test_without_an_operator_only_what_lifts_itself_is_lifted():
    suspensions = Suspensions([held(), held(code="GR040", itself=True)])
    assert [row.code for row in suspensions.lift(Unit.SYMBOL, "005930", only_own=True)] == ["GR040"]
    assert [row.code for row in suspensions.all()] == ["FS071"]
