"""A running engine and its operator: processes of their own, a real socket, real kills."""

import asyncio
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from qts.cli import main
from qts.clock import SystemClock
from qts.config import shipped_dir
from qts.data import SQLiteStore
from qts.engine import Engine
from qts.ops.operator import (
    EngineStatus,
    OperatingStatus,
    OperatorClient,
    OperatorPort,
    OperatorServer,
    Outcome,
    OverrideView,
    SafetyStatus,
)
from qts.safety import SafetyStateManager, last_lines

LIMIT_S = 120.0
DAY = "2026-01-05"


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def config(tmp_path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(shipped_dir() / "config_local.json", directory)
    (directory / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    return directory


def environment(home):
    return os.environ | {"QTS_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def command(*argv):
    return [sys.executable, "-m", "qts.cli", *argv]


def said(home, *argv, code=0):
    """Run a command beside the engine and return what it says."""
    done = subprocess.run(
        command(*argv), env=environment(home), capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def session(home, config):
    """A session in a process of its own, under way: it has shown where it stands, and goes on for a quarter hour."""
    running = subprocess.Popen(
        command("run", "--config", str(config), "--speed", "20", "--date", DAY),
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("KST" in line for line in running.stdout), running.stderr.read()
    yield running
    running.kill()
    running.communicate(timeout=LIMIT_S)


def sessions(home):
    with closing(sqlite3.connect(home / "db" / "paper.sqlite")) as db:
        return [row for (row,) in db.execute("SELECT status FROM sessions")]


def test_status_answers_while_the_engine_runs_and_stop_ends_it_with_its_rows_written(home, session):
    status = json.loads(said(home, "status", "--json"))
    assert (status["pid"], status["mode"], status["stopping"]) == (session.pid, "SIM", False)
    assert status["session"]["date"] == DAY
    assert status["uptime_s"] > 0
    assert set(status["queues"]) == {"P0", "P1", "P2", "P3"}
    safety, operating = status["safety"], status["operating"]
    assert (safety["state"], safety["kill_level"], operating["policy"]) == ("NORMAL", 0, "LITERAL")
    assert (operating["state"], operating["cause"], operating["since"][:10]) == ("BALANCED", "BOOT_DEFAULT", DAY)
    page = said(home, "status")
    assert f"process {session.pid}" in page
    assert re.search(r"^safety +NORMAL since .*Z", page, re.MULTILINE)
    assert re.search(rf"^operating +BALANCED since {DAY}T.*Z\n +cause +BOOT_DEFAULT", page, re.MULTILINE)

    refused = said(home, "run", "--speed", "max", code=2)
    assert f"process {session.pid}" in refused

    assert json.loads(said(home, "stop", "--timeout", str(LIMIT_S), "--json"))["ended"] == "STOPPED"
    out, err = session.communicate(timeout=LIMIT_S)
    assert session.returncode == 0, err
    assert sessions(home) == ["STOPPED"]
    with closing(sqlite3.connect(home / "db" / "paper.sqlite")) as db:
        (rows,) = db.execute("SELECT count(*) FROM t_ledger").fetchone()
    assert re.search(rf"^Fills +{rows}$", out, re.MULTILINE), out
    with SQLiteStore(home / "db" / "paper.sqlite") as store:
        assert store.verify() == []
    assert "no engine runs" in said(home, "status", code=2)


def test_a_killed_engine_leaves_nothing_that_stands_in_the_way(home, session):
    session.kill()
    session.wait(timeout=LIMIT_S)
    assert (home / "run" / "engine.sock").is_socket()
    assert "no engine runs" in said(home, "stop", code=2)
    assert sessions(home) == ["OPEN"]
    with OperatorServer(home, OperatorPort(_Still()), SystemClock()), OperatorClient(home) as client:
        assert client.call("status")["pid"] == os.getpid()


class _Still:
    """An engine that stands still."""

    def status(self):
        return EngineStatus(0, 0, "SIM", "", (), stopping=False)

    def stop(self, *, by):
        return Outcome(applied=True, reason="asked")


_KNOCK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(connection.makefile().readline())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_turned_away_even_if_the_door_stands_open():
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        Path(short).chmod(0o755)
        with OperatorServer(Path(short), OperatorPort(_Still()), SystemClock()) as server:
            server.socket_path.parent.chmod(0o755)
            server.socket_path.chmod(0o666)
            knock = [shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin"), "-I", "-c", _KNOCK]
            answer = subprocess.run(
                [*knock, str(server.socket_path)],
                user=65_534,
                group=65_534,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=True,
            )
    error = json.loads(answer.stdout)["error"]
    assert (error["kind"], error["found"]) == ("forbidden", "user 65534 may not command this engine")


class Running:
    """An engine on a thread of this process that stands still whenever the test wants to look."""

    def __init__(self, home, config, **more):
        self.engine = Engine.from_config(config, day=date.fromisoformat(DAY), seed=3, home=home, **more)
        self.is_up, self.go_on = threading.Event(), threading.Event()
        self.report = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.is_up.wait(LIMIT_S)

    def _run(self):
        def stand_still(_):
            self.is_up.set()
            assert self.go_on.wait(LIMIT_S)

        with asyncio.run(self.engine.run(on_status=stand_still)) as result:
            self.report = result.report

    def end(self):
        self.go_on.set()
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()


def test_the_desk_answers_while_the_engine_is_stuck(home, config):
    running = Running(home, config)
    try:
        with OperatorClient(home) as client:
            first = client.call("status")
            assert first["session"]["progress"] < 0.5
            assert client.call("status")["as_of_s"] >= first["as_of_s"]
            assert client.call("stop")["applied"]
    finally:
        running.end()
    assert running.report["run"]["mode"] == "SIM"
    assert sessions(home) == ["STOPPED"]


def test_a_reload_takes_effect_between_two_steps_and_is_on_record(home, config):
    codes = []
    running = Running(home, config)
    try:
        local = config / "config_local.json"
        rows = json.loads(local.read_text())
        next(row for row in rows if row["key"] == "trading_enabled")["value"] = False
        local.write_text(json.dumps(rows))
        with OperatorClient(home, timeout_s=LIMIT_S) as client:
            before = client.call("status")["config_version"]
            reloading = threading.Thread(
                target=lambda: codes.append(
                    main(["reload", "--reason", "halt", "--confirm", "--json", "--home", str(home)])
                )
            )
            reloading.start()
            while not running.engine._inbox._waiting:
                client.call("status")
            running.go_on.set()
            reloading.join(LIMIT_S)
    finally:
        running.end()
    with (home / "state" / "audit.jsonl").open(encoding="utf-8") as lines:
        record = next(line for line in map(json.loads, lines) if line["kind"] == "config_change")
    assert (codes, record["reason"], record["payload"]["applied"]) == ([0], "halt", ["trading_enabled"])
    assert record["actor"].startswith("CLI:")
    assert running.engine._session.supervisor.switches().trading_enabled is False
    assert running.engine._controls.status().config_version == record["payload"]["to"] != before


ACK = ["ack", "FS040", "--cause", "c"]


def test_verbs_that_make_no_sense_are_refused_before_they_leave(home, monkeypatch, capsys):
    monkeypatch.setenv("QTS_HOME", str(home))
    monkeypatch.delenv("QTS_OPERATOR_SECRET", raising=False)
    for argv in (
        ["kill", "K3"],
        ["kill", "K4"],
        ["override", "set", "BALANCED", "--for", "soon", "--reason", "r"],
        ["approve", "FS040", "--cause", "c"],
        ["approve", "FS040", "--cause", "c", "--phrase", "p", "--nonce", "n"],
        ["release"],
        ["pause"],
        ACK,
    ):
        assert main(argv) == 2
        assert "no engine runs" not in capsys.readouterr().err
    monkeypatch.setenv("QTS_OPERATOR_SECRET", "word")
    for argv in (
        ["status"],
        ["stop"],
        ["pause", "--reason", "r"],
        ["resume", "--reason", "r"],
        ["reload", "--reason", "r"],
        ACK,
        ["release", "--nonce", "n"],
    ):
        assert main(argv) == 2
        assert "no engine runs" in capsys.readouterr().err


class _Rooms:
    """Safety and operating state that say back what they were told."""

    def safety(self):
        return SafetyStatus("LOCKDOWN", 0, "KS", kill_level=2, safe_mode=True)

    def operating(self):
        return OperatingStatus("DEFENSIVE", 0, "MANUAL_OVERRIDE", OverrideView("DEFENSIVE", 0, by="CLI:kim"))

    def __getattr__(self, name):
        def told(*args, by, **more):
            more.pop("login", None)
            return Outcome(applied=name != "ack", reason=name, detail={"args": list(args), **more})

        return told


def test_every_verb_of_the_command_line_arrives(home, monkeypatch, capsys):
    monkeypatch.setenv("QTS_HOME", str(home))
    monkeypatch.setenv("QTS_OPERATOR_SECRET", "word")
    rooms = _Rooms()
    evidence = ["KS", "--cause", "c", "--phrase", "p"]
    holding = ["override", "set", "defensive", "--for", "2h", "--reason", "r"]
    told = {
        "kill": (["kill", "K3", "--confirm"], {"args": [3], "cause": "operator"}),
        "request_approve": (["approve", *evidence], {"args": [], "code": "KS", "cause": "c", "phrase": "p"}),
        "approve": (["approve", "--nonce", "n"], {"args": [], "nonce": "n"}),
        "request_release": (["release", *evidence], {"args": [], "code": "KS", "cause": "c", "phrase": "p"}),
        "release": (["release", "--nonce", "n"], {"args": [], "nonce": "n"}),
        "set_override": (holding, {"args": ["DEFENSIVE"], "reason": "r", "duration_s": 7_200, "revert_to": "BALANCED"}),
        "clear_override": (["override", "clear", "--reason", "r"], {"args": [], "reason": "r"}),
        "reload": (["reload", "--reason", "r"], {"args": [], "reason": "r", "confirm": False}),
    }
    safe_mode = {"pause": True, "resume": False}
    with OperatorServer(home, OperatorPort(_Still(), rooms, rooms, rooms), SystemClock()):
        for name, (argv, detail) in told.items():
            assert main([*argv, "--json"]) == 0
            said = json.loads(capsys.readouterr().out)
            assert (said["applied"], said["reason"], said["detail"]) == (True, name, detail)
        for verb, is_on in safe_mode.items():
            assert main([verb, "--reason", "r", "--json"]) == 0
            said = json.loads(capsys.readouterr().out)
            assert (said["reason"], said["detail"]) == ("set_safe_mode", {"args": [], "is_on": is_on, "reason": "r"})
        assert main(ACK) == 1
        assert "refused: ack" in capsys.readouterr().err
        assert main(["kill"]) == 0
        assert "done: kill" in capsys.readouterr().out
        assert main(["override", "show"]) == 0
        assert "expires  1970-01-01T00:00:00Z" in capsys.readouterr().out
        assert main(["override", "show", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["override"]["reason"] is None
        assert main(["status"]) == 0
        page = capsys.readouterr().out
        assert "LOCKDOWN since 1970-01-01T00:00:00Z" in page
        assert re.search("kill switch +K2$", page, re.MULTILINE)
        assert "DEFENSIVE until 1970-01-01T00:00:00Z by CLI:kim" in page
        rooms.operating = lambda: OperatingStatus("BALANCED", None, "")
        assert main(["override", "show"]) == 0
        assert "no override" in capsys.readouterr().out
        assert main(["stop", "--timeout", "0.05"]) == 1
        assert "has not ended" in capsys.readouterr().err
        assert main(["stop", "--timeout", "0", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["reason"] == "asked"
        assert main(["stop", "--timeout", "0"]) == 0
        assert "stopping: asked" in capsys.readouterr().out


def test_a_stop_that_waits_tells_how_it_ended(home, monkeypatch, capsys):
    monkeypatch.setenv("QTS_HOME", str(home))
    for ended, code in (("STOPPED", 0), ("FAULT", 1), (None, 1)):
        engine = _Still()
        asked = threading.Event()
        engine.stop = lambda *, by, asked=asked: (asked.set(), Outcome(applied=True))[1]
        server = OperatorServer(home, OperatorPort(engine), SystemClock())
        codes = []
        stopping = threading.Thread(target=lambda codes=codes: codes.append(main(["stop"])))
        stopping.start()
        assert asked.wait(LIMIT_S)
        server.close(ended)
        stopping.join(LIMIT_S)
        assert codes == [code]
        assert f"ended: {ended or 'the engine did not say how'}" in capsys.readouterr().out


class _SafetyRoom(_Rooms):
    """The real safety room behind the desk, as far as these verbs need it."""

    def __init__(self, manager):
        self.manager = manager

    def safety(self):
        seen = self.manager.snapshot()
        return SafetyStatus(seen.state, seen.since_ns, seen.last_code, safe_mode=seen.is_safe_mode, flags=seen.flags)

    def set_safe_mode(self, is_on, *, by, reason):
        self.manager.set_safe_mode(is_on=is_on, by=str(by), reason=reason)
        return Outcome(applied=True)


def test_pause_and_resume_move_safe_mode_and_release_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("QTS_HOME", str(home))
    manager = SafetyStateManager.open(home, SystemClock(), environ={})
    with OperatorServer(home, OperatorPort(_Still(), _SafetyRoom(manager)), SystemClock()):
        assert main(["pause", "--reason", "odd quotes"]) == 0
        assert manager.should_run() == (True, False, "safe_mode")
        manager.record_fail_safe("FS040")
        monkeypatch.setenv("QTS_LANG", "ko")
        assert main(["status"]) == 0
        assert re.search("안전 모드 +켜짐$", capsys.readouterr().out, re.MULTILINE)
        assert main(["resume", "--reason", "quotes are fine"]) == 0
        assert capsys.readouterr().out == "적용됨\n"
    assert manager.should_run() == (False, False, "safety")
    assert manager.snapshot().flags == ()
    manager.close()
    acts = [row for row in last_lines(home / "state" / "audit.jsonl") if row["kind"] == "flag"]
    assert [(row["payload"]["set"], row["payload"]["reason"]) for row in acts] == [
        (True, "odd quotes"),
        (False, "quotes are fine"),
    ]
    assert all(row["actor"].startswith("CLI:") for row in acts)
    again = SafetyStateManager.open(home, SystemClock(), environ={})
    assert again.state == "FAIL"
    again.close()


def test_on_a_terminal_an_operator_is_asked_for_the_secret(home):
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in environment(home).items() if name != "QTS_OPERATOR_SECRET"}
    told = []
    rooms = _Rooms()
    rooms.ack = lambda code, *, by, login, cause: (told.append((code, *login)), Outcome(applied=True))[1]
    with OperatorServer(home, OperatorPort(_Still(), rooms), SystemClock()):
        child = subprocess.Popen(
            command(*ACK, "--operator", "kim"), stdin=theirs, stdout=theirs, stderr=theirs, env=environ,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        said = b""
        while b"secret: " not in said:
            said += os.read(ours, 4_096)
        os.write(ours, b"a word of kim\n")
        while b"done" not in said:
            said += os.read(ours, 4_096)
        assert child.wait(LIMIT_S) == 0
    os.close(ours)
    assert told == [("FS040", "kim", "a word of kim")]
    assert b"a word of kim" not in said
