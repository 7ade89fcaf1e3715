"""Both states over a run: what is looked at when, what is let go of, and what a reload may change."""

import asyncio
import threading
from datetime import date
from types import SimpleNamespace

import pytest

from qts.clock import NS_PER_S, SimClock, SystemClock
from qts.codes import EngineFault, UsageError
from qts.engine import Engine
from qts.engine.build import load_config
from qts.engine.supervisor import Supervisor
from qts.safety import KillLevel, SafetyState, SafetyStateManager
from qts.state import FileStateStore, OperatingState

START_NS = 1_767_571_200 * NS_PER_S  # 2026-01-05 00:00 UTC
DAY = "2026-01-05"
EQUITY = 100_000_000


@pytest.fixture(scope="module")
def config():
    return load_config(None)


@pytest.fixture
def supervisor(config):
    return Supervisor.in_memory(config, START_NS, equity=EQUITY, in_session=lambda _: True)


def clean_cycle(equity=EQUITY):
    at = SimpleNamespace(cause="INTERVAL", no=1)
    return SimpleNamespace(equity=equity, errors=(), decisions=(), reports=(), cycle=at)


def run_for(supervisor, seconds, step=10):
    start_ns = supervisor.market.now_ns()
    for second in range(step, seconds + 1, step):
        supervisor.observe(start_ns + second * NS_PER_S, DAY)
        supervisor.on_cycle(clean_cycle())


def warn(supervisor):
    for _ in range(5):
        supervisor.safety.record_guardrail("GR041", "price gap", "decide")
    assert supervisor.safety.state is SafetyState.WARNING


def test_a_warning_of_a_backtest_ends_by_itself(supervisor):
    supervisor.observe(START_NS, DAY)
    warn(supervisor)
    run_for(supervisor, 240)
    assert supervisor.safety.state is SafetyState.WARNING, "quiet for less than five minutes"
    run_for(supervisor, 180)
    assert supervisor.safety.state is SafetyState.NORMAL


def test_a_session_ends_with_its_last_equity(supervisor):
    supervisor.observe(START_NS, DAY)
    supervisor.observe(START_NS + 3_590 * NS_PER_S, DAY)
    supervisor.on_cycle(clean_cycle(EQUITY * 2))
    supervisor.observe(START_NS + 3_600 * NS_PER_S, "2026-01-06")
    assert supervisor._account.record().closes == ((date(2026, 1, 5), 2.0),)
    assert supervisor._account.metrics(vix=None, market_circuit_breaker=None).daily_loss_pct == 0.0


def test_a_lockdown_that_comes_while_metrics_are_taken_is_not_followed_by_what_was_before_it(supervisor):
    """An operator's thread kills between the look at the account and the rules: no release may be recorded of that."""
    evaluate = supervisor.state.evaluate_transition

    def late(*args):
        thread = threading.Thread(target=supervisor.safety.engage_kill, args=(KillLevel.K1,), kwargs={"by": "kim"})
        thread.start()
        thread.join()
        return evaluate(*args)

    supervisor.state.evaluate_transition = late
    supervisor.observe(START_NS + 60 * NS_PER_S, DAY)
    assert supervisor.state.get_snapshot().trading_paused
    assert [str(row.kind) for row in supervisor.state.history()] == ["BOOT", "FORCED_SAFETY"]


def test_an_invalid_reload_is_a_fail_and_no_lockdown(supervisor):
    supervisor.fail("FS003", "not a number", "reload", effect="FAIL")
    assert supervisor.safety.state is SafetyState.FAIL
    assert supervisor.state.current_state is OperatingState.DEFENSIVE


def test_a_halt_of_others_outlives_a_change_of_something_else(config, supervisor):
    supervisor.safety.set_flag("HALT_ALL", by="core")
    supervisor.reconfigure(load_config(None, {"safe_mode": "true"}))
    assert (supervisor.switches().safe_mode, supervisor.stance().may_protect) == (True, False)
    supervisor.reconfigure(load_config(None, {"halt_all": "true"}))
    supervisor.reconfigure(config)
    assert supervisor.stance().may_protect, "the switch of the configuration, turned back"


def opened(config, home):
    return Supervisor.open(
        config, home, START_NS, SystemClock(), account="paper", equity=EQUITY, in_session=lambda _: True
    )


def test_a_start_that_fails_lets_go_of_everything(config, tmp_path):
    with FileStateStore(tmp_path / "state" / "paper"), pytest.raises(EngineFault, match="FS112"):
        opened(config, tmp_path)
    with pytest.raises(ValueError, match="equity 0"):
        Supervisor.open(config, tmp_path, START_NS, SystemClock(), account="paper", equity=0, in_session=lambda _: True)
    opened(config, tmp_path).close()


def test_a_state_directory_that_cannot_be_used_is_let_go_of(config, tmp_path):
    broken = tmp_path / "state" / "outbox.jsonl"
    broken.mkdir(parents=True)
    with pytest.raises(EngineFault, match="outbox"):
        opened(config, tmp_path)
    broken.rmdir()
    opened(config, tmp_path).close()


def test_a_safety_state_that_cannot_begin_lets_go_of_its_directory(tmp_path):
    class Broken(SimClock):
        fails = False

        def monotonic_ns(self):
            if self.fails:
                raise RuntimeError("no time")
            return super().monotonic_ns()

    clock = Broken(START_NS)
    clock.fails = True
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "safety.json").write_text("{", encoding="utf-8")
    with pytest.raises(RuntimeError, match="no time"):
        SafetyStateManager.open(tmp_path, clock, environ={})
    clock.fails = False
    SafetyStateManager.open(tmp_path, clock, environ={}).close()


def test_an_engine_without_a_socket_lets_go_of_both_states(config, tmp_path, monkeypatch):
    small = load_config(None, {"sim.session.symbols": "005930"})
    engine = Engine.from_config(small, day=date(2026, 1, 5), seed=3, home=tmp_path)
    threads = threading.active_count()

    def refused(self):
        raise UsageError(found="no socket", expected="a place for it", hint="shorten the path")

    with monkeypatch.context() as patch:
        patch.setattr("qts.ops.operator.place.RunPlace.listen", refused)
        with pytest.raises(UsageError, match="no socket"):
            asyncio.run(engine.run())
    assert threading.active_count() == threads
    opened(config, tmp_path).close()


@pytest.mark.parametrize("day", ["2026-01-06", "2026-01-02"])
@pytest.mark.parametrize("state", ["FAIL", "LOCKDOWN"])
def test_a_restart_on_another_market_day_begins_where_it_was(config, tmp_path, state, day):
    first = opened(config, tmp_path)
    first.fail("FS040", "the venue", "act")
    if state == "LOCKDOWN":
        first.safety.engage_kill(KillLevel.K1, by="kim")
    first.close()
    start_ns = START_NS + (date.fromisoformat(day) - date(2026, 1, 5)).days * 86_400 * NS_PER_S
    again = Supervisor.open(
        config, tmp_path, start_ns, SystemClock(), account="paper", equity=EQUITY, in_session=lambda _: True
    )
    try:
        again.observe(start_ns + 60 * NS_PER_S, day)
        assert (again.safety.state.name, again.state.current_state) == (state, OperatingState.DEFENSIVE)
        assert again.state.get_snapshot().state_duration_days >= 0
        assert not again.stance().may_enter
    finally:
        again.close()


def test_a_damaged_operating_state_begins_defensive_and_in_fail(config, tmp_path):
    opened(config, tmp_path).close()
    path = tmp_path / "state" / "paper" / "operating_state.jsonl"
    path.write_text("{}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    again = opened(config, tmp_path)
    try:
        assert (again.safety.state, again.safety.snapshot().last_code) == (SafetyState.FAIL, "FS111")
        assert again.state.current_state is OperatingState.DEFENSIVE
        assert not again.stance().may_enter
    finally:
        again.close()


def test_a_listener_that_raises_stops_nothing(supervisor):
    supervisor.safety.subscribe(lambda _: 1 / 0)
    supervisor.fail("FS040", "the venue", "act")
    assert supervisor.state.current_state is OperatingState.DEFENSIVE


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("AN080", SafetyState.WARNING),
        ("GR086", SafetyState.NORMAL),
        ("FS110", SafetyState.FAIL),
        ("no code", SafetyState.NORMAL),
    ],
)
def test_whatever_the_operating_state_notes_stops_nothing(supervisor, code, state):
    supervisor.state._book.note(code, "noted")
    assert supervisor.safety.state is state
    supervisor.observe(START_NS + 60 * NS_PER_S, DAY)


def test_a_gap_of_years_is_stepped_through_and_ends(supervisor):
    supervisor.observe(START_NS, DAY)
    supervisor.observe(START_NS + 365 * 86_400 * NS_PER_S, "2027-01-05")
    assert supervisor.market.now_ns() == START_NS + 365 * 86_400 * NS_PER_S
    assert supervisor.state.get_snapshot().state_duration_days == 365
