"""What a person reads of a running engine, in both languages: over the real socket, column under column."""

import json
import os
import pty
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from qts.cli import main
from qts.clock import SystemClock
from qts.codes import TABLE, columns
from qts.ops.operator import (
    EngineStatus,
    OperatingStatus,
    OperatorPort,
    OperatorServer,
    OverrideView,
    PositionView,
    SafetyStatus,
)

HOUR_NS = 3_600_000_000_000


class Engine:
    """An engine that shows what it is told to."""

    def __init__(self, **more):
        self.view = EngineStatus(SystemClock().monotonic_ns(), 0, "SIM", "c0ffee", (), stopping=False, **more)

    def status(self):
        if self.view is None:
            raise RuntimeError("no idea")
        return self.view


class Rooms:
    """Both machines, as they are told to stand."""

    def __init__(self, safety, operating):
        self.safety = lambda: safety
        self.operating = lambda: operating


FAILED = SafetyStatus(
    "FAIL", HOUR_NS, "FS040", consecutive=1, kill_level=0, safe_mode=True, pending_ack=True, flags=("SAFE_MODE",),
    probation_left=50, size_factor=Decimal("0.5"),
)  # fmt: skip
DEFENSIVE = OperatingStatus(
    "DEFENSIVE", HOUR_NS, "MANUAL_OVERRIDE", OverrideView("DEFENSIVE", 2 * HOUR_NS, by="CLI:kim"), tightened=True,
    pending="BALANCED 1/2", policy="SAFE", version=7,
)  # fmt: skip
CALM = SafetyStatus(
    "NORMAL", None, "", kill_level=0, safe_mode=False, flags=(), probation_left=0, size_factor=Decimal(1)
)
BALANCED = OperatingStatus("BALANCED", None, "BOOT_DEFAULT", tightened=False, pending="", policy="LITERAL", version=1)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(tmp_path))
    monkeypatch.setenv("QTS_LANG", "en")
    return tmp_path


@pytest.fixture
def read(home, capsys):
    """Ask a running engine over its socket; return the page, label to value, as it is read."""

    def _read(engine, safety=None, operating=None):
        rooms = Rooms(safety, operating)
        port = OperatorPort(engine, rooms if safety else None, rooms if operating else None)
        with OperatorServer(home, port, SystemClock()):
            assert main(["status"]) == 0
        lines = capsys.readouterr().out.splitlines()
        # A value begins in the same column of every line, whatever the width of its label.
        start = next(begin for begin in range(2, 80) if all(_splits(line, begin) for line in lines))
        return {_head(line, start).strip(): line[len(_head(line, start)) :] for line in lines}

    return _read


def _head(line, width):
    """The letters that fill so many columns."""
    return next((line[:end] for end in range(len(line)) if columns(line[:end]) >= width), line)


def _splits(line, at):
    head = _head(line, at)
    return columns(head) == at and head.endswith("  ") and line[len(head) :][:1].strip() != ""


def test_everything_that_is_known_of_both_machines_is_shown(read):
    page = read(Engine(), FAILED, DEFENSIVE)
    shown = {
        "safety": "FAIL since 1970-01-01T01:00:00Z",
        "cause": "MANUAL_OVERRIDE",
        "kill switch": "not engaged",
        "safe mode": "on",
        "flags": "SAFE_MODE",
        "probation": "50 clean cycles left",
        "entry size": "0.5 times",
        "waits for": "an operator: `ack` or `approve`",
        "operating": "DEFENSIVE since 1970-01-01T01:00:00Z",
        "override": "DEFENSIVE until 1970-01-01T02:00:00Z by CLI:kim",
        "pending": "BALANCED 1/2",
        "limits": "tightened already",
        "policy": "SAFE",
        "version": "7",
        "live gate": "open",
    }
    assert {label: page[label] for label in shown} == shown


@pytest.mark.parametrize(("lang", "title"), [("en", TABLE["FS040"].title.en), ("ko", TABLE["FS040"].title.ko)])
def test_a_cause_is_told_in_words(read, monkeypatch, lang, title):
    monkeypatch.setenv("QTS_LANG", lang)
    assert f"FS040 {title}" in read(Engine(), FAILED).values()


def test_the_page_is_korean_for_koreans(read, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    engine = Engine(working_orders=1, fills=2, queues={"P0": {"admitted": 1_000, "other": 1}})
    page = read(engine, FAILED, DEFENSIVE)
    shown = {
        "안전 상태": "FAIL, 1970-01-01T01:00:00Z부터",
        "킬 스위치": "걸려 있지 않음",
        "안전 모드": "켜짐",
        "관찰 기간": "정상 사이클 50회 남음",
        "진입 수량": "0.5배",
        "운영 상태": "DEFENSIVE, 1970-01-01T01:00:00Z부터",
        "수동 지정": "DEFENSIVE, 1970-01-01T02:00:00Z까지, CLI:kim",
        "한도": "이미 강화됨",
        "주문": "미체결 1, 체결 2",
        "평가액": "알 수 없음",
        "P0": "접수 1,000, other 1",
    }
    assert {label: page[label] for label in shown} == shown


def test_what_is_at_rest_is_told_from_what_is_unknown(read):
    page = read(Engine(), CALM, BALANCED)
    rest = {
        "kill switch": "not engaged",
        "safe mode": "off",
        "flags": "none",
        "probation": "none",
        "entry size": "1 times",
        "override": "none",
        "pending": "none",
        "limits": "those of the state",
    }
    assert {label: page[label] for label in rest} == rest
    assert page["safety"] == "NORMAL since unknown"
    assert "waits for" not in page
    page = read(Engine(), SafetyStatus("NORMAL", None, ""), OperatingStatus("BALANCED", None, ""))
    silent = ("kill switch", "safe mode", "flags", "probation", "entry size", "pending", "limits", "policy", "version")
    assert {page[label] for label in silent} == {"unknown"}
    assert page["cause"] == "none"
    page = read(Engine())
    assert (page["safety"], page["operating"], page["queues"]) == ("unknown", "unknown", "unknown")


def test_the_account_the_gate_and_days_of_running(read):
    engine = Engine(
        equity=Decimal(100), currency="KRW", positions=(PositionView("005930", "SWING", Decimal(3)),), phase="FULL"
    )
    now_ns = engine.view.taken_ns
    engine.view = engine.view._replace(
        started_ns=now_ns - 49 * HOUR_NS, live_gate_refusals=("mode_not_live",), stopping=True
    )
    page = read(engine)
    assert (page["mode"], page["equity"], page["cash"]) == ("SIM (stopping)", "100 KRW", "unknown KRW")
    assert (page["positions"], page["005930"]) == ("1", "3 SWING")
    assert (page["live gate"], page["session"]) == ("closed: mode_not_live", "unknown FULL unknown")
    assert page["uptime"].startswith("2 d 1:00:0")
    assert page["as of"].endswith(" s ago")


def test_a_part_that_cannot_tell_hides_nothing_else(read):
    engine = Engine()
    engine.view = None
    page = read(engine, CALM)
    assert (page["error in engine"], page["uptime"]) == ("RuntimeError: no idea", "unknown")
    assert page["safety"] == "NORMAL since unknown"


def watching(home, *more, **given):
    return subprocess.Popen(
        [sys.executable, "-m", "qts.cli", "status", "--watch", *more], stderr=subprocess.PIPE, **given
    )


def test_a_watch_shows_the_state_again_until_it_is_interrupted(home):
    with OperatorServer(home, OperatorPort(Engine()), SystemClock()):
        child = watching(home, "--json", stdout=subprocess.PIPE, text=True)
        first, second = (json.loads(child.stdout.readline()) for _ in range(2))
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (0, "")
    assert second["uptime_s"] - first["uptime_s"] == pytest.approx(2, abs=1.5)


def test_a_watch_on_a_terminal_draws_over_and_ends_with_the_engine(home):
    ours, theirs = pty.openpty()
    with OperatorServer(home, OperatorPort(Engine()), SystemClock()):
        child = watching(home, stdout=theirs, text=True)
        os.close(theirs)
        said = b""
        while said.count(b"\x1b[H\x1b[2J") < 2:
            said += os.read(ours, 4_096)
    _, error = child.communicate(timeout=60)
    os.close(ours)
    assert child.returncode == 2
    assert "no engine runs" in error
