"""Mistakes of operators, from the command line over the socket to the real rooms: refused, unchanged, on record."""

import json
from datetime import timedelta

import pytest

from qts.cli import main
from qts.clock import SystemClock
from qts.ops.operator import EngineStatus, OperatingStatus, OperatorPort, OperatorServer, Outcome
from qts.safety import AccountDesk, Credential, Evidence, Role, SafetyStateManager, last_lines
from qts.state import FileStateStore, ManualOverride, OperatingState, OperatingStateManager

KIM, OFFICER = "correct horse battery", "staple of the safety desk"
CAUSE = "deposit was booked twice"


class Engine:
    """An engine that stands still."""

    def status(self):
        return EngineStatus(0, 0, "SIM", "", (), stopping=False)


class Safety:
    """The real safety room behind the desk."""

    def __init__(self, manager):
        self.manager = manager

    def _outcome(self, result):
        return Outcome(result.applied, result.refusal or result.reason)

    def ack(self, code, *, by, login, cause):
        return self._outcome(self.manager.ack(Credential(*login), Evidence(code, cause)))

    def request_approve(self, code, *, by, login, cause, phrase):
        return self._outcome(self.manager.request_approve(Credential(*login), Evidence(code, cause, phrase)))

    def approve(self, nonce, *, by, login):
        return self._outcome(self.manager.approve(Credential(*login), nonce))

    def request_release(self, code, *, by, login, cause, phrase):
        return self._outcome(self.manager.request_release_kill(Credential(*login), Evidence(code, cause, phrase)))

    def release(self, nonce, *, by, login):
        return self._outcome(self.manager.release_kill(Credential(*login), nonce))


class State:
    """The real operating state behind the desk; what it notes goes to the safety room, and so into the trail."""

    def __init__(self, home, safety):
        self.store = FileStateStore(home / "state" / "operating")
        self.safety = safety
        self.manager = OperatingStateManager(clock=SystemClock(), store=self.store, listener=self)

    def on_code(self, code, text):
        self.safety.record_guardrail(code, text, "override", blocked=False)

    def on_transition(self, result, snapshot):
        """Nothing to do."""

    def operating(self):
        return OperatingStatus(self.manager.current_state, None, "")

    def set_override(self, state, *, by, reason, duration_s, revert_to):
        now = SystemClock().now_utc()
        until = now + timedelta(seconds=duration_s)
        wish = ManualOverride(OperatingState(state), reason, str(by), now, until, OperatingState(revert_to))
        self.manager.apply_override(wish)
        return Outcome(applied=True)


class Home:
    """A home with two operators and a running desk."""

    def __init__(self, path):
        self.path = path
        with AccountDesk(path, SystemClock(), "CLI:root") as desk:
            desk.add("kim", Role.OPERATOR, KIM)
            desk.add("kim-officer", Role.SAFETY_OFFICER, OFFICER)
        self.safety = SafetyStateManager.open(path, SystemClock(), environ={})
        self.state = State(path, self.safety)
        self.server = OperatorServer(path, OperatorPort(Engine(), Safety(self.safety), self.state), SystemClock())

    def close(self):
        self.server.close()
        self.state.store.close()
        self.safety.close()

    def trail(self):
        return list(last_lines(self.path / "state" / "audit.jsonl"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QTS_LANG", "en")
    running = Home(tmp_path / "home")
    yield running
    running.close()


@pytest.mark.parametrize(
    ("code", "argv", "secret", "reason", "says"),
    [
        ("FS040", ["ack", "FS040", "--operator", "park"], KIM, "unknown_operator", "no operator 'park'"),
        ("FS040", ["ack", "FS040", "--operator", "kim"], "sesame open now", "wrong_secret", "secret of operator 'kim'"),
        ("FS040", ["ack", "FS043", "--operator", "kim"], KIM, "wrong_code", "'FS040'"),
        (
            "FS050",
            ["approve", "FS050", "--phrase", "account FS040", "--operator", "kim-officer"],
            OFFICER,
            "wrong_phrase",
            "typed phrase is wrong",
        ),
        (
            "FS050",
            ["approve", "FS050", "--phrase", "account FS050", "--operator", "kim"],
            KIM,
            "role_required",
            "safety_officer",
        ),
        ("FS050", ["approve", "--nonce", "n", "--operator", "kim-officer"], OFFICER, "no_request", "no such request"),
        (
            "FS050",
            ["release", "FS050", "--phrase", "account FS050", "--operator", "kim-officer"],
            OFFICER,
            "kill_switch_not_engaged",
            "not engaged",
        ),
        ("FS050", ["release", "--nonce", "n", "--operator", "kim-officer"], OFFICER, "no_request", "no such request"),
    ],
)
def test_a_release_by_the_wrong_hands_is_refused_and_on_record(
    home, monkeypatch, capsys, code, argv, secret, reason, says
):
    home.safety.record_fail_safe(code)
    before = home.safety.snapshot()
    monkeypatch.setenv("QTS_OPERATOR_SECRET", secret)
    assert main(argv if "--nonce" in argv else [*argv, "--cause", CAUSE]) == 1
    assert says in capsys.readouterr().err
    after = home.safety.snapshot()
    assert (after.state, after.codes, dict(after.pending)) == (before.state, before.codes, {})
    last = home.trail()[-1]
    assert (last["actor"], last["reason"], last["applied"]) == (argv[argv.index("--operator") + 1], reason, False)
    assert secret not in json.dumps(home.trail())


def test_an_override_of_more_than_seven_days_is_refused_and_not_cut(home, capsys):
    assert main(["override", "set", "DEFENSIVE", "--for", "8d", "--reason", "election"]) == 2
    assert "at most 7 days" in capsys.readouterr().err
    assert not home.state.manager.get_snapshot().manual_override
    assert home.state.manager.current_state is OperatingState.BALANCED
    last = home.trail()[-1]
    assert (last["kind"], last["code"]) == ("guardrail", "GR084")
    assert main(["override", "set", "DEFENSIVE", "--for", "7d", "--reason", "election"]) == 0
    assert home.state.manager.get_snapshot().manual_override


@pytest.mark.parametrize("duration", ["0d", "-1d", "1.5d", "8w", "367d", "99999999999999999999d"])
def test_a_duration_that_makes_no_sense_is_told(home, capsys, duration):
    before = home.trail()
    assert main(["override", "set", "DEFENSIVE", "--for", duration, "--reason", "election"]) == 2
    said = capsys.readouterr().err
    assert "expected" in said
    assert "Traceback" not in said
    assert home.trail() == before
