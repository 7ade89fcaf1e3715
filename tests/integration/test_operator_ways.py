"""Operators from the command line over the socket to the real rooms: the ways of the how-to, and their mistakes."""

import json
import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from qts.cli import main
from qts.clock import NS_PER_S, SystemClock
from qts.ops.operator import EngineStatus, OperatingStatus, OperatorPort, OperatorServer, Outcome, OverrideView
from qts.safety import (
    RECONCILIATION,
    AccountDesk,
    CheckOutcome,
    Credential,
    Evidence,
    KillLevel,
    OperatorBook,
    Role,
    SafetyStateManager,
    last_lines,
)
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

    def _asked(self, result):
        nonce = result.meta.get("nonce")
        return Outcome(bool(nonce), result.refusal or result.reason, {"nonce": nonce} if nonce else {})

    def kill(self, level, *, by, cause):
        return self._outcome(self.manager.engage_kill(KillLevel(level), by=str(by), reason=cause))

    def ack(self, code, *, by, login, cause):
        return self._outcome(self.manager.ack(Credential(*login), Evidence(code, cause)))

    def request_approve(self, code, *, by, login, cause, phrase):
        return self._asked(self.manager.request_approve(Credential(*login), Evidence(code, cause, phrase)))

    def approve(self, nonce, *, by, login):
        return self._outcome(self.manager.approve(Credential(*login), nonce))

    def request_release(self, code, *, by, login, cause, phrase):
        return self._asked(self.manager.request_release_kill(Credential(*login), Evidence(code, cause, phrase)))

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
        held = self.manager.active_override
        view = None if held is None else OverrideView(held.override_state, 0, held.operator_id, held.override_reason)
        return OperatingStatus(self.manager.current_state, None, "", view)

    def set_override(self, state, *, by, reason, duration_s, revert_to):
        now = SystemClock().now_utc()
        until = now + timedelta(seconds=duration_s)
        wish = ManualOverride(OperatingState(state), reason, str(by), now, until, OperatingState(revert_to))
        self.manager.apply_override(wish)
        return Outcome(applied=True)

    def clear_override(self, *, by, reason):
        self.manager.cancel_override(str(by), reason)
        return Outcome(applied=True)


class Clock(SystemClock):
    """The clock of the machine, set forward for those who would wait."""

    ahead_ns = 0

    def now_ns(self):
        return super().now_ns() + self.ahead_ns

    def monotonic_ns(self):
        return super().monotonic_ns() + self.ahead_ns


class Reconciled:
    """A reconciliation that finds no difference."""

    name, codes = RECONCILIATION, frozenset()

    def run(self, request):
        return CheckOutcome(is_passed=True)


class Home:
    """A home with two operators and a running desk."""

    def __init__(self, path):
        self.path = path
        with AccountDesk(path, SystemClock(), "CLI:root") as desk:
            desk.add("kim", Role.OPERATOR, KIM)
            desk.add("kim-officer", Role.SAFETY_OFFICER, OFFICER)
        self.clock = Clock()
        self.safety = SafetyStateManager.open(
            path, self.clock, environ={}, account_alias="paper", checks=[Reconciled()]
        )
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


def section(name, heading):
    """The commands of a section of the how-to, block by block."""
    text = (Path(__file__).parents[2] / "docs" / name).read_text()
    _, _, rest = text.partition(f"\n## {heading}")
    blocks = re.findall(r"^```\n(.*?)^```$", rest.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    return [[shlex.split(line, comments=True)[1:] for line in block.splitlines()] for block in blocks]


WAYS = [("howto.md", "Operators: from the first one"), ("howto.ko.md", "운영자: 첫 등록부터")]


@pytest.mark.parametrize(("name", "heading"), WAYS)
def test_operators_come_and_go_as_the_how_to_says(tmp_path, monkeypatch, name, heading):
    monkeypatch.setenv("QTS_HOME", str(tmp_path))
    [commands, *_] = section(name, heading)
    for number, argv in enumerate(commands):
        monkeypatch.setenv("QTS_OPERATOR_SECRET", f"the secret of line {number}")
        assert main(argv) == 0
    assert OperatorBook.at(tmp_path).accounts() == (("kim-officer", Role.SAFETY_OFFICER),)


@pytest.mark.parametrize(("name", "heading"), WAYS)
def test_every_way_out_of_the_how_to_leads_out(home, monkeypatch, capsys, name, heading):
    _, [fail], lockdown, kill, override = section(name, heading)
    secrets = {"kim": KIM, "kim-officer": OFFICER}

    def told(argv):
        """Give a command as its operator; the nonce is the one that was shown."""
        monkeypatch.setenv("QTS_OPERATOR_SECRET", secrets[argv[argv.index("--operator") + 1]])
        if "--nonce" in argv:
            home.clock.ahead_ns += 60 * NS_PER_S
            argv = [*argv[: argv.index("--nonce") + 1], nonces.pop()]
            argv += ["--operator", "kim-officer"]
        assert main([*argv, "--json"]) == 0, capsys.readouterr()
        nonces.append(json.loads(capsys.readouterr().out)["detail"].get("nonce"))

    nonces = []
    home.safety.record_fail_safe("FS040")
    told(fail)
    assert home.safety.state == "WARNING"
    home.safety.record_fail_safe("FS050")
    assert home.safety.state == "LOCKDOWN"
    for argv in lockdown:
        told(argv)
    assert home.safety.state == "WARNING"
    assert main(["kill", "K2"]) == 0
    capsys.readouterr()
    assert home.safety.snapshot().kill_switch.level == KillLevel.K2
    for argv in kill:
        told(argv)
    snapshot = home.safety.snapshot()
    assert (snapshot.state, snapshot.kill_switch.is_engaged) == ("WARNING", False)
    held = []
    for argv in override:
        assert main(argv) == 0
        held.append(home.state.manager.get_snapshot().manual_override)
    assert held == [True, True, False]


@pytest.mark.parametrize(
    ("code", "argv", "secret", "reason", "says"),
    [
        ("FS040", ["ack", "FS040", "--operator", "park"], KIM, "unknown_operator", "no operator 'park'"),
        ("FS040", ["ack", "FS040", "--operator", "kim"], "sesame open now", "wrong_secret", "secret of operator 'kim'"),
        ("FS040", ["ack", "FS043", "--operator", "kim"], KIM, "wrong_code", "'FS040'"),
        (
            "FS050",
            ["approve", "FS050", "--phrase", "paper FS040", "--operator", "kim-officer"],
            OFFICER,
            "wrong_phrase",
            "typed phrase is wrong",
        ),
        (
            "FS050",
            ["approve", "FS050", "--phrase", "paper FS050", "--operator", "kim"],
            KIM,
            "role_required",
            "safety_officer",
        ),
        ("FS050", ["approve", "--nonce", "n", "--operator", "kim-officer"], OFFICER, "no_request", "no such request"),
        (
            "FS050",
            ["release", "FS050", "--phrase", "paper FS050", "--operator", "kim-officer"],
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
