"""The operator's desk: real sockets, a real server, and somebody at the other end who makes mistakes."""

import json
import os
import pwd
import socket
import stat
import threading
from contextlib import ExitStack, closing, suppress
from decimal import Decimal

import pytest

from qts.clock import SystemClock
from qts.codes import ConfigError, QtsError, UsageError
from qts.ops.operator import (
    EngineBusy,
    EngineInbox,
    EngineStatus,
    EngineUnreachable,
    OperatingStatus,
    OperatorClient,
    OperatorPort,
    OperatorServer,
    Outcome,
    OverrideView,
    PositionView,
    RemoteError,
    RunPlace,
    SafetyStatus,
    say,
)
from qts.ops.operator.place import connect
from qts.ops.operator.server import MAX_CONNECTIONS
from qts.ops.operator.wire import MAX_REQUEST_BYTES

LIMIT_S = 30.0
LOGIN = {"operator": "kim", "secret": "word"}
HOUR_NS = 3_600_000_000_000


class Engine:
    """An engine that notes what it is told."""

    def __init__(self):
        self.told = []
        self.broken = False
        self.view = EngineStatus(
            taken_ns=0,
            started_ns=0,
            mode="SIM",
            config_version="c0ffee",
            live_gate_refusals=("mode_not_live",),
            stopping=False,
            equity=Decimal("100.50"),
            positions=(PositionView("005930", "SCALP", Decimal(3)),),
            queues={"P0": {"admitted": 1}},
        )

    def status(self):
        if self.broken:
            raise RuntimeError("no idea")
        return self.view

    def stop(self, *, by):
        self.told.append(("stop", by))
        return Outcome(applied=True, reason="on my way")


class Safety:
    """A safety room: ACK waits until `gate` is set, as release checks wait for a broker."""

    def __init__(self):
        self.told = []
        self.gate = threading.Event()
        self.waiting = threading.Event()

    def safety(self):
        return SafetyStatus("FAIL", HOUR_NS, "FS040", consecutive=1, kill_level=2, safe_mode=True, pending_ack=True)

    def kill(self, level, *, by, cause):
        self.told.append(("kill", level, str(by), cause))
        return Outcome(applied=True, detail={"level": level})

    def set_safe_mode(self, is_on, *, by, reason):
        self.told.append(("safe_mode", is_on, str(by), reason))
        return Outcome(applied=True)

    def ack(self, code, *, by, login, cause):
        self.waiting.set()
        assert self.gate.wait(LIMIT_S)
        self.told.append(("ack", code, cause, login.operator_id, login.secret))
        return Outcome(applied=False, reason="check heartbeat fails")

    def request_approve(self, code, *, by, login, cause, phrase):
        self.told.append(("request_approve", code, cause, phrase, repr(login)))
        return Outcome(applied=True, detail={"nonce": "n1"})

    def approve(self, nonce, *, by, login):
        self.told.append(("approve", nonce))
        return Outcome(applied=True)

    def request_release(self, code, *, by, login, cause, phrase):
        self.told.append(("request_release", code, cause, phrase))
        return Outcome(applied=True)

    def release(self, nonce, *, by, login):
        self.told.append(("release", nonce))
        return Outcome(applied=True)


class State:
    """An operating state."""

    def __init__(self):
        self.told = []
        self.override = None

    def operating(self):
        return OperatingStatus("BALANCED", None, "BOOT_DEFAULT", self.override)

    def set_override(self, state, *, by, reason, duration_s, revert_to):
        self.told.append(("set", state, reason, duration_s, revert_to))
        self.override = OverrideView(state, HOUR_NS, str(by), reason, revert_to)
        return Outcome(applied=True)

    def clear_override(self, *, by, reason):
        self.told.append(("clear", reason))
        return Outcome(applied=True)


class Files:
    """A configuration that refuses, or breaks."""

    def __init__(self, error):
        self.error = error

    def reload(self, *, by, reason, confirm):
        raise self.error


@pytest.fixture
def home(tmp_path):
    # Longer than an address of a socket may be.
    return tmp_path / ("h" * 120)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def safety():
    room = Safety()
    yield room
    room.gate.set()


@pytest.fixture
def state():
    return State()


@pytest.fixture
def serve(home):
    servers = []

    def start(port, **more):
        servers.append(OperatorServer(home, port, SystemClock(), **more))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(home, verb, timeout_s=LIMIT_S, **args):
    with OperatorClient(home, timeout_s=timeout_s) as client:
        return client.call(verb, args)


def raw(home, data: bytes, *, shut=False) -> dict:
    """Send bytes as they are and return the one line that comes back."""
    with closing(connect(home, LIMIT_S)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # the server has heard enough
            connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            return json.loads(file.readline())


# -- asking


def test_status_tells_what_is_known_and_that_the_rest_is_not(home, serve, engine):
    serve(OperatorPort(engine))
    status = ask(home, "status")
    assert (status["pid"], status["mode"]) == (os.getpid(), "SIM")
    assert status["uptime_s"] > 0
    assert status["account"]["equity"] == "100.5"
    assert status["account"]["cash"] is None
    assert status["account"]["positions"] == [{"symbol": "005930", "track": "SCALP", "qty": "3"}]
    assert status["queues"] == {"P0": {"admitted": 1}}
    assert status["live_gate"] == {"is_open": False, "refusals": ["mode_not_live"]}
    assert (status["safety"], status["operating"], status["errors"]) == (None, None, {})


def test_both_machines_tell_state_cause_and_since_when(home, serve, engine, safety, state):
    serve(OperatorPort(engine, safety, state))
    status = ask(home, "status")
    assert (status["safety"]["state"], status["safety"]["cause"]) == ("FAIL", "FS040")
    assert status["safety"]["since"] == "1970-01-01T01:00:00Z"
    nothing = dict.fromkeys(("flags", "probation_left", "size_factor"))
    assert status["safety"] == status["safety"] | nothing
    nothing = dict.fromkeys(("since", "override", "tightened", "pending", "policy", "version"))
    assert status["operating"] == {"state": "BALANCED", "cause": "BOOT_DEFAULT", **nothing}


def test_a_part_that_cannot_tell_does_not_hide_the_others(home, serve, engine, safety):
    engine.broken = True
    serve(OperatorPort(engine, safety))
    status = ask(home, "status")
    assert status["errors"] == {"engine": "RuntimeError: no idea"}
    assert (status["mode"], status["account"]) == (None, None)
    assert status["safety"]["state"] == "FAIL"


# -- telling


def test_every_verb_reaches_its_room_with_what_was_said(home, serve, engine, safety, state):
    serve(OperatorPort(engine, safety, state))
    safety.gate.set()
    me = f"CLI:{pwd.getpwuid(os.geteuid()).pw_name}"
    assert ask(home, "kill", level=2, cause=" bad quotes ")["detail"] == {"level": 2}
    refused = ask(home, "ack", code="FS040", cause="link was down", **LOGIN)
    assert refused == {"applied": False, "reason": "check heartbeat fails", "detail": {}}
    assert ask(home, "approve.request", code="FS040", cause="c", phrase="main FS040", **LOGIN)["detail"] == {
        "nonce": "n1"
    }
    ask(home, "approve", nonce="n1", **LOGIN)
    ask(home, "pause", reason="odd quotes")
    ask(home, "resume", reason="fine again")
    ask(home, "release.request", code="KS", cause="c", phrase="p", **LOGIN)
    ask(home, "release", nonce="n2", **LOGIN)
    ask(home, "override.set", state="DEFENSIVE", reason="election", duration_s=3_600, revert_to="BALANCED")
    assert ask(home, "override.show")["override"]["expires"] == "1970-01-01T01:00:00Z"
    ask(home, "override.clear", reason="over")
    assert safety.told == [
        ("kill", 2, me, "bad quotes"),
        ("ack", "FS040", "link was down", "kim", "word"),
        ("request_approve", "FS040", "c", "main FS040", "Login('kim')"),
        ("approve", "n1"),
        ("safe_mode", True, me, "odd quotes"),
        ("safe_mode", False, me, "fine again"),
        ("request_release", "KS", "c", "p"),
        ("release", "n2"),
    ]
    assert state.told == [("set", "DEFENSIVE", "election", 3_600, "BALANCED"), ("clear", "over")]
    assert ask(home, "stop")["reason"] == "on my way"
    assert engine.told[0][1].pid == os.getpid()


def test_a_kill_a_pause_and_a_status_wait_for_no_other_command(home, serve, engine, safety):
    serve(OperatorPort(engine, safety))
    slow = threading.Thread(target=lambda: ask(home, "ack", code="FS040", cause="c", **LOGIN))
    slow.start()
    assert safety.waiting.wait(LIMIT_S)
    ask(home, "pause", reason="look first")
    ask(home, "kill", level=1, cause="now")
    assert ask(home, "status")["safety"]["state"] == "FAIL"
    assert [row[0] for row in safety.told] == ["safe_mode", "kill"]
    safety.gate.set()
    slow.join(LIMIT_S)
    assert [row[0] for row in safety.told] == ["safe_mode", "kill", "ack"]


def test_several_requests_go_over_one_connection(home, serve, engine):
    serve(OperatorPort(engine))
    with OperatorClient(home) as client:
        assert client.call("status")["mode"] == "SIM"
        with pytest.raises(RemoteError):
            client.call("kill", {"level": 1, "cause": "c"})
        assert client.call("status")["mode"] == "SIM"


def test_who_waits_for_the_end_hears_how_it_was(home, serve, engine):
    server = serve(OperatorPort(engine))
    heard = []
    stopper = threading.Thread(target=lambda: heard.append(ask(home, "stop", wait=True)))
    stopper.start()
    with OperatorClient(home) as client:  # the server is at work until the stop has arrived
        while not engine.told:
            client.call("status")
    server.close("STOPPED")
    stopper.join(LIMIT_S)
    assert heard == [{"applied": True, "reason": "on my way", "detail": {}, "ended": "STOPPED"}]
    with pytest.raises(UsageError):
        OperatorClient(home)


# -- what is refused


@pytest.mark.parametrize(
    ("verb", "args", "part"),
    [
        ("kill", {"level": 1, "cause": "c"}, "safety state machine"),
        ("pause", {"reason": "r"}, "safety state machine"),
        ("resume", {"reason": "r"}, "safety state machine"),
        ("ack", {"code": "FS040", "cause": "c", **LOGIN}, "safety state machine"),
        ("override.show", {}, "operating state"),
        ("reload", {"reason": "r"}, "reload"),
        ("capital.unlock", {"pool": "SWING", "reason": "r"}, "capital pools"),
    ],
)
def test_a_verb_whose_part_is_not_built_is_refused(home, serve, engine, verb, args, part):
    serve(OperatorPort(engine))
    with pytest.raises(RemoteError, match=part) as caught:
        ask(home, verb, **args)
    assert (caught.value.kind, caught.value.exit_code) == ("not_provided", 2)
    assert caught.value.expected == "one of status, stop"


def test_an_error_of_a_room_arrives_as_it_is(home, serve, engine):
    serve(OperatorPort(engine, reload=Files(ConfigError(found="f", expected="e", hint="h", where="w", code="FS003"))))
    with pytest.raises(RemoteError) as caught:
        ask(home, "reload", reason="r")
    error = caught.value
    assert (error.found, error.expected, error.hint, error.code, error.exit_code) == ("w: f", "e", "h", "FS003", 2)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("x")])
def test_a_defect_of_a_room_is_told_and_the_desk_goes_on(home, serve, engine, error):
    serve(OperatorPort(engine, reload=Files(error)))
    with pytest.raises(RemoteError, match=type(error).__name__) as caught:
        ask(home, "reload", reason="r")
    assert (caught.value.kind, caught.value.exit_code) == ("failed", 1)
    assert ask(home, "status")["mode"] == "SIM"


def test_an_answer_that_json_does_not_know_is_a_defect_too(home, serve, engine, safety):
    safety.kill = lambda level, *, by, cause: Outcome(applied=True, detail={"x": object()})
    serve(OperatorPort(engine, safety))
    with pytest.raises(RemoteError, match="not JSON serializable"):
        ask(home, "kill", level=1, cause="c")


BAD = {
    "nothing": (b"\n", "syntax"),
    "no json": (b"stop!\n", "syntax"),
    "no utf-8": (b'{"v": 1, "verb": "\xff"}\n', "syntax"),
    "a list": (b"[1]\n", "syntax"),
    "cut off": (b'{"v": 1, "verb"', "syntax"),
    "a key twice": (b'{"v": 1, "verb": "status", "verb": "stop"}\n', "syntax"),
    "too deep": (b"[" * 60_000 + b"\n", "syntax"),
    "no version": (b'{"verb": "status"}\n', "version"),
    "another version": (b'{"v": 2, "verb": "status"}\n', "version"),
    "true is no version": (b'{"v": true, "verb": "status"}\n', "version"),
    "no verb": (b'{"v": 1}\n', "verb"),
    "a wrong verb": (b'{"v": 1, "verb": "statsu"}\n', "verb"),
    "a verb that is no text": (b'{"v": 1, "verb": {}}\n', "verb"),
    "args that are none": (b'{"v": 1, "verb": "status", "args": [1]}\n', "args"),
    "an unknown field": (b'{"v": 1, "verb": "status", "extra": 1}\n', "args"),
    "an unknown argument": (b'{"v": 1, "verb": "status", "args": {"x": 1}}\n', "args"),
    "a missing argument": (b'{"v": 1, "verb": "kill", "args": {"level": 1}}\n', "args"),
    "a wrong level": (b'{"v": 1, "verb": "kill", "args": {"level": 4, "cause": "c"}}\n', "args"),
    "true is no level": (b'{"v": 1, "verb": "kill", "args": {"level": true, "cause": "c"}}\n', "args"),
    "an empty cause": (b'{"v": 1, "verb": "kill", "args": {"level": 1, "cause": " "}}\n', "args"),
    "an endless cause": (
        b'{"v": 1, "verb": "kill", "args": {"level": 1, "cause": "%s"}}\n' % (b"c" * 501),
        "args",
    ),
    "a line break": (b'{"v": 1, "verb": "kill", "args": {"level": 1, "cause": "a\\nb"}}\n', "args"),
    "a negative time": (
        b'{"v": 1, "verb": "override.set", "args": {"state": "BALANCED", "reason": "r", "duration_s": -1}}\n',
        "args",
    ),
    "a flag that is a text": (b'{"v": 1, "verb": "stop", "args": {"wait": "no"}}\n', "args"),
    "too long": (b'{"v": 1, "verb": "%s"}\n' % (b"x" * MAX_REQUEST_BYTES), "too_long"),
    "no end": (b"x" * (4 * MAX_REQUEST_BYTES), "too_long"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_answered_with_an_error(home, serve, engine, safety, state, name):
    serve(OperatorPort(engine, safety, state))
    data, kind = BAD[name]
    answer = raw(home, data, shut=True)
    assert (answer["v"], answer["ok"], answer["error"]["kind"]) == (1, False, kind)
    assert answer["error"]["found"]
    assert (engine.told, safety.told, state.told) == ([], [], [])
    assert ask(home, "status")["mode"] == "SIM"


def test_a_secret_is_not_repeated(home, serve, engine, safety):
    serve(OperatorPort(engine, safety))
    with pytest.raises(RemoteError) as caught:
        ask(home, "approve", nonce="n", operator="kim", secret="word\n" * 3 + "x")
    assert caught.value.found == "secret is ***"


def test_who_says_nothing_is_told_so(home, serve, engine):
    serve(OperatorPort(engine), idle_s=0.05)
    assert raw(home, b'{"v": 1')["error"]["kind"] == "slow"


def test_who_hangs_up_is_no_trouble(home, serve, engine):
    serve(OperatorPort(engine))
    connect(home, LIMIT_S).close()
    with closing(connect(home, LIMIT_S)) as gone:
        gone.sendall(b'{"v": 1, "verb": "status"}\n' * 3)
    assert ask(home, "status")["mode"] == "SIM"


def test_too_many_at_once_are_turned_away(home, serve, engine):
    serve(OperatorPort(engine))
    crowd = []
    try:
        for _ in range(MAX_CONNECTIONS):
            crowd.append(OperatorClient(home))
            crowd[-1].call("status")  # it has its place now
        assert raw(home, b"")["error"]["kind"] == "busy"
    finally:
        for client in crowd:
            client.close()


def test_messages_come_in_the_language_of_who_asks(home, serve, engine, monkeypatch):
    serve(OperatorPort(engine))
    monkeypatch.setenv("QTS_LANG", "ko")
    with pytest.raises(RemoteError, match="안전 상태 기계"):
        ask(home, "kill", level=1, cause="c")


def test_every_text_is_there_in_both_languages():
    assert say.problems() == []


# -- the place


def test_the_place_is_closed_to_others(home, serve, engine):
    run = home / "run"
    run.mkdir(parents=True, mode=0o777)
    run.chmod(0o777)
    server = serve(OperatorPort(engine))
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE((run / "engine.lock").stat().st_mode) == 0o600


def test_a_second_engine_is_refused_and_harms_nothing(home, serve, engine):
    serve(OperatorPort(engine))
    with pytest.raises(UsageError, match=f"process {os.getpid()}"):
        OperatorServer(home, OperatorPort(engine), SystemClock())
    assert ask(home, "status")["mode"] == "SIM"


def test_a_leftover_socket_is_replaced(home, serve, engine):
    place = RunPlace(home)
    leftover = place.listen()
    place._has_socket = False  # as a crash leaves it: the lock is gone, the socket is there
    place.close()
    leftover.close()
    assert (home / "run" / "engine.sock").is_socket()
    with pytest.raises(UsageError, match="no engine runs"):
        OperatorClient(home)
    serve(OperatorPort(engine))
    assert ask(home, "status")["mode"] == "SIM"


def test_a_socket_that_may_not_be_opened_is_told(home, serve, engine, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    serve(OperatorPort(engine))
    monkeypatch.setattr("qts.ops.operator.client.connect", refuse)
    with pytest.raises(UsageError, match="cannot be opened: Permission denied"):
        OperatorClient(home)


def test_an_engine_that_takes_no_more_connections_is_silent(home):
    with RunPlace(home) as place, closing(place.listen()), ExitStack() as waiting:

        def crowd():
            while True:  # until the kernel keeps no more of them waiting
                waiting.enter_context(OperatorClient(home, timeout_s=0.05))

        with pytest.raises(EngineUnreachable, match=r"within 0\.05 s"):
            crowd()


def test_a_check_that_hangs_does_not_hold_up_the_end(home, serve, engine, safety):
    server = serve(OperatorPort(engine, safety))
    errors = []

    def wait():
        try:
            ask(home, "ack", code="FS040", cause="c", **LOGIN)
        except EngineUnreachable as error:
            errors.append(error)

    asking = threading.Thread(target=wait)
    asking.start()
    assert safety.waiting.wait(LIMIT_S)
    server.close("FAULT")
    asking.join(LIMIT_S)
    assert "without an answer" in str(errors[0])
    assert safety.told == []


def test_a_user_without_a_name_is_known_by_number(home, serve, engine, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    serve(OperatorPort(engine))
    ask(home, "stop")
    assert engine.told[0][1].name == str(os.geteuid())


def test_who_talks_on_while_the_server_closes_is_let_go(home, serve, engine):
    server = serve(OperatorPort(engine))
    with OperatorClient(home) as client:
        client.call("status")
        server.close()
        with pytest.raises(EngineUnreachable):
            client.call("status")


def test_nothing_is_left_at_the_end(home, serve, engine):
    serve(OperatorPort(engine)).close()
    assert [path.name for path in (home / "run").iterdir()] == ["engine.lock"]
    serve(OperatorPort(engine))


def test_a_place_that_cannot_be_used_is_told(tmp_path, engine):
    (tmp_path / "file").write_text("")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "run").symlink_to(tmp_path)
    (tmp_path / "taken" / "run" / "engine.sock").mkdir(parents=True)
    for home in ("file", "linked", "taken"):
        with pytest.raises(UsageError, match="cannot be used") as caught:
            OperatorServer(tmp_path / home, OperatorPort(engine), SystemClock())
        assert "QTS_HOME" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(home, engine):
    (home / "run").mkdir(parents=True)
    os.chown(home / "run", 65_534, -1)
    with pytest.raises(UsageError, match="belongs to user 65534"):
        OperatorServer(home, OperatorPort(engine), SystemClock())


# -- the client


def test_without_an_engine_the_client_says_so(home, tmp_path):
    (tmp_path / "file").write_text("")
    for nowhere in (home, tmp_path / "file"):
        with pytest.raises(UsageError, match="no engine runs") as caught:
            OperatorClient(nowhere)
        assert caught.value.exit_code == 2


def strange_engine(home, answer: bytes):
    """Something that listens in the place of an engine and gives one answer."""
    place = RunPlace(home)
    listener = place.listen()

    def once():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(answer)

    thread = threading.Thread(target=once)
    thread.start()
    return place, listener, thread


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"", "without an answer"),
        (b'{"v": 1, "ok"', "without an answer"),
        (b"hello\n", "hello"),
        (b"[]\n", "engine answered"),
        (b'{"v": 9, "ok": true, "result": {}}\n', "engine answered"),
        (b'{"v": 1, "ok": true, "result": 3}\n', "engine answered"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_fault(home, answer, found):
    place, listener, thread = strange_engine(home, answer)
    with pytest.raises(EngineUnreachable, match=found) as caught:
        ask(home, "status")
    assert caught.value.exit_code == 1
    thread.join(LIMIT_S)
    listener.close()
    place.close()


def test_an_engine_that_does_not_answer_is_a_fault(home):
    silence = pytest.raises(EngineUnreachable, match=r"within 0\.05 s")
    with RunPlace(home) as place, closing(place.listen()), silence:
        ask(home, "status", timeout_s=0.05)


# -- the engine's thread


def test_a_call_is_made_where_the_engine_looks_for_it():
    inbox = EngineInbox()
    results = []
    caller = threading.Thread(target=lambda: results.append(inbox.call(threading.get_ident, timeout_s=LIMIT_S)))
    caller.start()
    while not results:
        inbox.run_due()
    caller.join(LIMIT_S)
    assert results == [threading.get_ident()]


def test_an_error_of_a_call_goes_to_who_made_it():
    inbox = EngineInbox()
    errors = []

    def call():
        try:
            inbox.call(lambda: 1 // 0, timeout_s=LIMIT_S)
        except ZeroDivisionError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    while not errors:
        inbox.run_due()
    caller.join(LIMIT_S)
    assert len(errors) == 1


def test_a_call_that_was_given_up_is_not_made_later():
    inbox = EngineInbox()
    made = []
    with pytest.raises(EngineBusy, match="no moment"):
        inbox.call(lambda: made.append(1), timeout_s=0.01)
    inbox.run_due()
    assert made == []


def test_a_call_that_has_begun_counts_even_if_it_is_late():
    inbox = EngineInbox()
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go_on.wait(LIMIT_S)
        return "done"

    def engine():
        while not begun.is_set():
            inbox.run_due()

    looking = threading.Thread(target=engine)
    looking.start()
    results = []
    caller = threading.Thread(target=lambda: results.append(inbox.call(work, timeout_s=0.5)))
    caller.start()
    assert begun.wait(LIMIT_S)
    caller.join(0.6)  # longer than its limit: it waits on, for the work has begun
    go_on.set()
    caller.join(LIMIT_S)
    looking.join(LIMIT_S)
    assert results == ["done"]


def test_an_engine_that_ends_refuses_what_waits_and_what_comes():
    inbox = EngineInbox()
    errors = []

    def call():
        try:
            inbox.call(lambda: None, timeout_s=LIMIT_S)
        except QtsError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    while not inbox._waiting:
        pass
    inbox.close()
    caller.join(LIMIT_S)
    assert "is ending" in str(errors[0])
    with pytest.raises(EngineBusy, match="is ending"):
        inbox.call(lambda: None, timeout_s=LIMIT_S)
