"""Several holders of the flag that keeps entries back."""

from qts.clock import SimClock
from qts.engine.holds import EntryHolds
from qts.safety import ActionClass, SafetyConfig, SafetyStateManager


def safety():
    return SafetyStateManager(SimClock(1_700_000_000_000_000_000), SafetyConfig())


def test_entries_are_free_only_when_the_last_holder_lets_go():
    state = safety()
    holds = EntryHolds(state)
    holds.hold("data layer", "database away")
    holds.hold("event dispatcher", "FS095")
    holds.hold("data layer", "")
    assert not state.permits(ActionClass.ENTRY)
    holds.hold("event dispatcher", "")
    assert state.permits(ActionClass.ENTRY)


def test_exits_are_not_held_back():
    state = safety()
    EntryHolds(state).hold("data layer", "database away")
    assert state.permits(ActionClass.PROTECTIVE_EXIT)
    assert state.permits(ActionClass.STRATEGY_EXIT)


def test_what_a_session_before_has_left_falls_with_the_first_look_that_finds_nothing():
    state = safety()
    state.set_flag("ENTRIES_BLOCKED", by="data layer", reason="database away")
    holds = EntryHolds(state)
    assert not state.permits(ActionClass.ENTRY)
    holds.hold("data layer", "")
    assert state.permits(ActionClass.ENTRY)
