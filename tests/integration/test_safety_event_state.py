"""Safety, event levels and operating state together, with a real dispatcher: one fault reaches all three."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from qts._core import SafetyWord
from qts.clock import NS_PER_S, SimClock
from qts.engine.build import load_config
from qts.engine.live import live_events
from qts.event import (
    CallbackHandler,
    DegradationLevel,
    EventConfig,
    EventDispatcher,
    EventPriority,
    EventType,
    create_event,
)
from qts.safety import (
    ActionClass,
    CheckOutcome,
    Credential,
    Evidence,
    KillLevel,
    OperatorBook,
    Role,
    SafetyState,
    SafetyStateManager,
)
from qts.state import ManualOverride, OperatingState, OperatingStateManager, TransitionReason

NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState
SECRET = "correct horse battery"  # noqa: S105 - of a made-up person
CAUSE = "the cause, in enough words"


class Green:
    """A release check that finds everything in order."""

    name = "reconciliation"
    codes = frozenset()

    def run(self, request):
        return CheckOutcome(is_passed=True)


class Desk:
    """Both machines, wired as an engine wires them, on a clock that a test moves."""

    def __init__(self, home, state=OperatingState.BALANCED):
        home.mkdir(parents=True, exist_ok=True)
        self.clock = SimClock(int(datetime(2026, 1, 5, 1, tzinfo=UTC).timestamp()) * NS_PER_S)
        book = OperatorBook(home / "operators.json")
        book.add("lee", Role.SAFETY_OFFICER, SECRET)
        self.safety = SafetyStateManager(self.clock, operators=book, checks=[Green()], account_alias="paper")
        self.state = OperatingStateManager(clock=self.clock)
        if state is not OperatingState.BALANCED:
            self.hold(state)
        self.safety.subscribe(
            lambda change: self.state.on_safety_change(change.from_state, change.to_state, change.codes)
        )
        self.lee = Credential("lee", SECRET)

    def trail(self):
        return [json.loads(line) for line in self.safety._books.audit.lines]

    def hold(self, state):
        now = self.clock.now_utc()
        override = ManualOverride(state, "held by hand", "lee", now, now + timedelta(days=2), OperatingState.BALANCED)
        self.state.apply_override(override)

    def approve(self, code):
        asked = self.safety.request_approve(self.lee, Evidence(code, CAUSE, f"paper {code}"))
        self.clock.advance_to(self.clock.now_ns() + 61 * NS_PER_S)
        return self.safety.approve(self.lee, asked.meta["nonce"])


class Seen:
    """What handlers of each level have got."""

    def __init__(self):
        self.events = {priority: [] for priority in EventPriority}

    def handlers(self):
        return [
            (priority, CallbackHandler(self.events[priority].append, f"seen_{priority.name}"))
            for priority in (EventPriority.P0_CRITICAL, EventPriority.P2_MEDIUM)
        ]

    def count(self, priority):
        return len(self.events[priority])


def signal(number):
    return create_event(EventType.STRATEGY_EVALUATE, "STRATEGY", {"symbol": f"S{number}", "cycle_id": number})


def position(number):
    payload = {
        "order_id": f"ORD-{number}",
        "exec_id": f"E-{number}",
        "symbol": "005930",
        "side": "BUY",
        "filled_qty": 1,
        "filled_price": 70_000,
        "cumulative_qty": 1,
        "remaining_qty": 0,
        "fee": 10,
        "filled_time": datetime(2026, 1, 5, 1, tzinfo=UTC),
    }
    return create_event(EventType.FILL_CONFIRMED, "BROKER", payload)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0.001)


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


LEVELS = {
    NORMAL: DegradationLevel.NORMAL,
    WARNING: DegradationLevel.P3_PAUSED,
    FAIL: DegradationLevel.P2_P3_PAUSED,
    LOCKDOWN: DegradationLevel.CRITICAL_ONLY,
}


def test_safety_to_event(tmp_path):
    """Each safety state has its level at once; CRITICAL_ONLY takes no signal, and P0 never waits."""

    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):
            levels = [dispatcher.level]
            for act in (
                lambda: desk.safety.record_anomaly("AN001"),
                lambda: desk.safety.record_fail_safe("FS040"),
                lambda: desk.safety.engage_kill(KillLevel.K1, by="test"),
            ):
                act()
                levels.append(dispatcher.level)
            assert levels == [LEVELS[state] for state in SafetyState], "at once, not at the next look"
            assert not await dispatcher.dispatch(signal(1))
            await dispatcher.dispatch(position(1))
            await until(lambda: seen.count(EventPriority.P0_CRITICAL) == 1)

    run(work())


def test_safety_to_operating(tmp_path):
    """FAIL forces DEFENSIVE past every gate, LOCKDOWN keeps the state, a release turns AGGRESSIVE into BALANCED."""
    desk = Desk(tmp_path, OperatingState.AGGRESSIVE)
    desk.safety.engage_kill(KillLevel.K2, by="test")
    snapshot = desk.state.get_snapshot()
    assert (snapshot.current_state, snapshot.trading_paused) == (OperatingState.AGGRESSIVE, True)
    asked = desk.safety.request_release_kill(desk.lee, Evidence("KS", CAUSE, "paper KS"))
    desk.clock.advance_to(desk.clock.now_ns() + 61 * NS_PER_S)
    assert desk.safety.release_kill(desk.lee, asked.meta["nonce"]).applied
    assert desk.safety.state is LOCKDOWN, "released, not approved"
    assert desk.approve("KS").applied
    snapshot = desk.state.get_snapshot()
    assert (snapshot.current_state, snapshot.transition_reason) == (
        OperatingState.BALANCED,
        TransitionReason.LOCKDOWN_RELEASE_CONSERVATIVE,
    )
    desk.hold(OperatingState.AGGRESSIVE)
    desk.clock.advance_to(desk.clock.now_ns() + 3_600 * NS_PER_S)
    desk.safety.record_fail_safe("FS040")
    snapshot = desk.state.get_snapshot()
    assert (snapshot.current_state, snapshot.manual_override) == (OperatingState.DEFENSIVE, False)
    assert snapshot.transition_reason is TransitionReason.SAFETY_FAIL_TRIGGERED


def test_the_full_cascade(tmp_path):
    """A fault in the event system is one of the safety state, which lowers the levels and the operating state."""

    async def work():
        desk, seen = Desk(tmp_path / "desk", OperatingState.AGGRESSIVE), Seen()
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):
            assert desk.safety.permits(ActionClass.ENTRY)
            dispatcher._bus.close_journal()  # nothing is written from now on
            await dispatcher.dispatch(position(1))
            await until(lambda: desk.safety.state is FAIL)
            await until(lambda: "ENTRIES_BLOCKED" in desk.safety.snapshot().flags)
            assert desk.safety.snapshot().last_code == "FS063"
            assert dispatcher.level is DegradationLevel.P2_P3_PAUSED
            assert desk.state.current_state is OperatingState.DEFENSIVE
            assert not desk.safety.permits(ActionClass.ENTRY)
            assert desk.safety.permits(ActionClass.PROTECTIVE_EXIT)

            desk.safety.record_fail_safe("FS040")  # a second one within ten minutes
            assert (desk.safety.state, dispatcher.level) == (LOCKDOWN, DegradationLevel.CRITICAL_ONLY)
            assert desk.state.get_snapshot().trading_paused
            assert not await dispatcher.dispatch(signal(1)), "a signal of a bad hour is none of a better one"
            await dispatcher.dispatch(position(2))
            await until(lambda: seen.count(EventPriority.P0_CRITICAL) == 2)
            assert seen.count(EventPriority.P2_MEDIUM) == 0

            assert desk.approve("FS040").applied
            assert (desk.safety.state, dispatcher.level) == (WARNING, DegradationLevel.P3_PAUSED)
            assert await dispatcher.dispatch(signal(2))
            await until(lambda: seen.count(EventPriority.P2_MEDIUM) == 1)
            assert desk.state.current_state is OperatingState.DEFENSIVE, "the state recovers by its own rules"
            assert not desk.safety.permits(ActionClass.ENTRY), "the journal is still not written"
            assert dispatcher.release("FS063")
            await until(lambda: desk.safety.permits(ActionClass.ENTRY))

    run(work())


def test_the_level_of_critical_only_is_a_guardrail_of_the_safety_state(tmp_path):
    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):
            dispatcher.set_degradation_level(DegradationLevel.CRITICAL_ONLY)
            await until(lambda: any(entry["code"] == "GR090" for entry in desk.trail()))

    run(work())


@pytest.mark.parametrize("state", [WARNING, FAIL])
def test_a_session_that_begins_in_a_state_begins_on_its_level(tmp_path, state):
    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        desk.safety.record_fail_safe("FS040") if state is FAIL else desk.safety.record_anomaly("AN001")
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):
            assert dispatcher.level is LEVELS[state]

    run(work())


def test_reports_of_the_dispatcher_carry_their_numbers(tmp_path):
    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):
            dispatcher._bus.close_journal()
            await dispatcher.dispatch(position(1))
            await until(lambda: desk.safety.state is FAIL)
        counted, numbers = [entry for entry in desk.trail() if entry["code"] == "FS063"]
        assert (counted["actor"], counted["kind"], counted["to"]) == ("core", "transition", "FAIL")
        assert (numbers["kind"], numbers["to"]) == ("alert", "")
        assert numbers["payload"]["message"].startswith("journal_failed")
        assert desk.safety.snapshot().consecutive == 1, "one fault counts once"

    run(work())


def test_entries_are_held_back_while_nobody_can_look(tmp_path, monkeypatch):
    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety) as (
            dispatcher,
            _,
        ):

            def broken():
                raise RuntimeError("no alerts today")

            with monkeypatch.context() as patch:
                patch.setattr(dispatcher, "alerts", broken)
                await until(lambda: not desk.safety.permits(ActionClass.ENTRY))
                flag = next(entry for entry in desk.trail() if entry["kind"] == "flag")
                assert flag["payload"]["reason"] == "RuntimeError: no alerts today"
            await until(lambda: desk.safety.permits(ActionClass.ENTRY))

    run(work())


def test_entries_that_a_session_before_held_back_are_free_once_nothing_holds_them(tmp_path):
    async def work():
        desk, seen = Desk(tmp_path / "desk"), Seen()
        desk.safety.set_flag("ENTRIES_BLOCKED", by="event dispatcher", reason="FS063")
        async with live_events(load_config(None), seen.handlers(), home=tmp_path, notifiers=(), safety=desk.safety):
            await until(lambda: desk.safety.permits(ActionClass.ENTRY))

    run(work())


def test_a_fault_of_the_dispatcher_raises_the_word_while_nobody_listens(tmp_path):
    """Neither an alert nor a raise is heard here, and the word forbids entries all the same."""

    async def work():
        word, seen = SafetyWord(), Seen()
        dispatcher = EventDispatcher(
            EventConfig.from_settings(load_config(None).event), journal=tmp_path / "journal", safety=word
        )
        assert dispatcher.raised_codes == {"FS063", "FS096", "FS097", "FS098"}, "FS095 is a note"
        for priority, handler in seen.handlers():
            dispatcher.register_handler(priority, handler)
        await dispatcher.start()
        dispatcher._bus.close_journal()
        assert word.permits(ActionClass.ENTRY)
        for number in range(3):
            await dispatcher.dispatch(position(number))
        assert not word.permits(ActionClass.ENTRY)
        await until(lambda: seen.count(EventPriority.P0_CRITICAL) == 3)
        await dispatcher.stop()
        assert [(code, before, after) for code, before, after, *_ in word.take_raises()] == [("FS063", 0, 2)], "once"

    run(work())


def test_a_dispatcher_without_a_word_raises_nothing():
    assert EventDispatcher(EventConfig.from_settings(load_config(None).event)).raised_codes == frozenset()
