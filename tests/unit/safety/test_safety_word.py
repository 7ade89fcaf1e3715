"""The safety word as Python sees it."""

import re
import threading
from pathlib import Path

import pytest

from qts import _core
from qts._core import SafetyWord

ROOT = Path(__file__).parents[3]
ACTIONS = dict(_core.ACTION_CLASSES)
FLAGS = dict(_core.SAFETY_FLAGS)
NORMAL, WARNING, FAIL, LOCKDOWN = (number for _, number in _core.SAFETY_STATES)


def test_names_and_numbers_are_those_of_the_specification():
    assert [name for name, _ in _core.SAFETY_STATES] == ["NORMAL", "WARNING", "FAIL", "LOCKDOWN"]
    assert [number for _, number in _core.ACTION_CLASSES] == list(range(len(ACTIONS)))
    assert _core.PROTECTIVE_EXITS == ["TRUSTED_ONLY", "KILL_PLAN_ONLY", "NONE"]
    assert list(FLAGS) == [
        "KILL_K1", "KILL_K2", "KILL_K3",
        "SAFE_MODE", "HALT_ALL", "ETEDA_SUSPENDED", "ENTRIES_BLOCKED", "JOURNAL_FAILED",
    ]  # fmt: skip


def test_a_raise_is_recorded_and_a_release_needs_it_to_have_been_heard():
    word = SafetyWord()
    assert (word.state, word.flags, word.kill_level) == (NORMAL, 0, 0)
    assert word.raise_state(FAIL, "FS040", 7) is True
    assert word.raise_state(WARNING, "AN011", 8) is False
    assert word.state == FAIL
    assert word.release(word.value, NORMAL) is False
    assert word.take_raises() == [("FS040", NORMAL, FAIL, 7, 1), ("AN011", FAIL, FAIL, 8, 2)]
    assert word.taken_seq == 2
    assert word.take_raises() == []
    seen = word.value
    word.raise_state(FAIL, "FS043", 9)
    word.take_raises()
    assert word.release(seen, NORMAL) is False
    assert word.release(word.value, WARNING) is True
    assert word.state == WARNING


def test_who_records_it_himself_leaves_no_raise_to_be_heard():
    word = SafetyWord()
    seen = word.value
    assert word.strengthen(FAIL) is True
    assert word.strengthen(WARNING) is False
    assert (word.state, word.take_raises()) == (FAIL, [])
    assert word.value != seen
    with pytest.raises(ValueError, match="safety state 4"):
        word.strengthen(4)


def test_flags_are_set_and_cleared_on_what_was_seen():
    word = SafetyWord()
    assert word.set_flags(FLAGS["SAFE_MODE"] | FLAGS["KILL_K2"]) is True
    assert word.set_flags(FLAGS["KILL_K1"]) is False
    assert (word.kill_level, word.flags) == (2, FLAGS["SAFE_MODE"] | FLAGS["KILL_K2"])
    seen = word.value
    word.set_flags(FLAGS["SAFE_MODE"])
    assert word.clear_flags(seen, FLAGS["SAFE_MODE"]) is False
    assert word.clear_flags(word.value, FLAGS["KILL_K1"]) is True
    assert (word.kill_level, word.flags) == (0, FLAGS["SAFE_MODE"])


def test_what_may_be_done_follows_state_flags_and_setting():
    word = SafetyWord("KILL_PLAN_ONLY")
    assert word.permits(ACTIONS["ENTRY"])
    word.raise_state(LOCKDOWN, "KS", 1)
    word.set_flags(FLAGS["KILL_K3"])
    permitted = {name for name, number in ACTIONS.items() if word.permits(number)}
    assert permitted == {
        "MONITORING_EXTRACT", "KILL_PLAN", "RUNNING_EXIT", "CANCEL", "ACCOUNTING", "SAFETY_CONFIG_RELOAD",
        "OPERATOR_REDUCE_APPROVED", "HOUSEKEEPING",
    }  # fmt: skip
    word.set_flags(FLAGS["HALT_ALL"])
    assert not word.permits(ACTIONS["KILL_PLAN"])
    assert word.permits(ACTIONS["CANCEL"])


def test_what_makes_no_sense_is_refused():
    word = SafetyWord()
    with pytest.raises(ValueError, match="TRUSTED_ONLY, KILL_PLAN_ONLY, NONE"):
        SafetyWord("ANY")
    with pytest.raises(ValueError, match="safety state 4; expected 0 to 3"):
        word.raise_state(4, "FS040", 1)
    with pytest.raises(ValueError, match="NORMAL"):
        word.raise_state(NORMAL, "FS040", 1)
    with pytest.raises(ValueError, match='code "FS999" is not in the table'):
        word.raise_state(FAIL, "FS999", 1)
    with pytest.raises(ValueError, match="0x1; expected masks"):
        word.set_flags(1)
    with pytest.raises(ValueError, match="expected masks"):
        word.clear_flags(word.value, 1 << 32)
    with pytest.raises(ValueError, match=f"action class {len(ACTIONS)}; expected 0 to {len(ACTIONS) - 1}"):
        word.permits(len(ACTIONS))
    with pytest.raises(ValueError, match="not below"):
        word.release(word.value, NORMAL)
    word.raise_state(LOCKDOWN, "KS", 1)
    word.set_flags(FLAGS["KILL_K1"])
    word.take_raises()
    with pytest.raises(ValueError, match="kill switch is engaged"):
        word.release(word.value, NORMAL)
    assert word.state == LOCKDOWN


def test_raises_of_threads_are_recorded_or_counted():
    word = SafetyWord()
    threads = [
        threading.Thread(target=lambda code=code: [word.raise_state(FAIL, code, at_ns) for at_ns in range(200)])
        for code in ("FS040", "FS043", "FS062")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(word.take_raises()) == 256
    assert word.raises_lost == 600 - 256
    assert word.value >> 32 == 600


def test_no_rust_but_the_binding_releases():
    """A release is a decision of an operator: nothing in Rust takes it but what Python calls."""
    binding = ROOT / "rust/qts-py/src/safety.rs"
    releases = re.compile(r"\bword\.(?:release|clear_flags)\(|\bSafetyWord::(?:release|clear_flags)\b")
    inside = ROOT / "rust/qts-core/src/safety"
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("rust/*/src/**/*.rs")
        if path != binding
        and inside not in path.parents
        and "tests" not in path.parts
        and releases.search(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []
    assert releases.search(binding.read_text(encoding="utf-8"))
