"""Operators are added where the secret is typed or set, and nowhere else."""

import json
import os
import pty
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from qts.cli import main
from qts.clock import SystemClock
from qts.safety import Credential, OperatorBook, Role, SafetyStateManager, last_lines

LIMIT_S = 60
TYPED = "correct horse battery"
OFFICER = "staple of the safety desk"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QTS_OPERATOR_SECRET", TYPED)
    monkeypatch.setenv("QTS_LANG", "en")
    return tmp_path / "home"


def test_operators_come_and_go(home, monkeypatch, capsys):
    assert main(["operator", "list"]) == 0
    assert capsys.readouterr().out == "no operators\n"
    assert main(["operator", "add", "kim", "--role", "operator"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "added kim",
        "there is no safety_officer: nobody can release LOCKDOWN or the kill switch",
    ]
    monkeypatch.setenv("QTS_OPERATOR_SECRET", OFFICER)
    assert main(["operator", "add", "kim-officer", "--role", "safety_officer"]) == 0
    assert capsys.readouterr().out == "added kim-officer\n"
    assert main(["operator", "list"]) == 0
    assert capsys.readouterr().out == "kim          operator\nkim-officer  safety_officer\n"
    monkeypatch.setenv("QTS_OPERATOR_SECRET", "another secret of kim")
    assert main(["operator", "secret", "kim"]) == 0
    assert capsys.readouterr().out == "changed the secret of kim\n"
    book = OperatorBook.at(home)
    assert book.authenticate(Credential("kim", "another secret of kim")).role is Role.OPERATOR
    assert book.authenticate(Credential("kim-officer", OFFICER)).role is Role.SAFETY_OFFICER
    assert main(["operator", "remove", "kim"]) == 0
    assert capsys.readouterr().out == "removed kim\n"
    done = [(line["kind"], line["actor"].partition(":")[0]) for line in last_lines(home / "state" / "audit.jsonl")]
    kinds = ["operator_add", "operator_add", "operator_secret", "operator_remove"]
    assert done == [(kind, "CLI") for kind in kinds]


def test_every_answer_is_there_as_json(home, monkeypatch, capsys):
    kim = {"operator": "kim", "role": "operator"}
    answers = [
        (["add", "kim", "--role", "operator"], TYPED, {**kim, "done": "added", "operators": [kim]}),
        (["list"], "", {"operators": [kim]}),
        (["secret", "kim"], OFFICER, {"operator": "kim", "done": "secret_changed", "operators": [kim]}),
        (["remove", "kim"], "", {"operator": "kim", "done": "removed", "operators": []}),
    ]
    for argv, secret, answer in answers:
        monkeypatch.setenv("QTS_OPERATOR_SECRET", secret)
        assert main(["operator", *argv, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == answer


def test_mistakes_are_told_in_the_users_language_and_change_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("QTS_LANG", "ko")
    assert main(["operator", "add", "kim", "--role", "operator"]) == 0
    assert "kim 등록됨" in capsys.readouterr().out
    before = (home / "state" / "operators.json").read_bytes()
    for argv, said in (
        (["add", "kim", "--role", "safety_officer"], "이미 있습니다"),
        (["add", "kim-officer", "--role", "safety_officer"], "다른 운영자의 비밀번호"),
        (["remove", "park"], "'park'이(가) 없습니다"),
    ):
        assert main(["operator", *argv]) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setenv("QTS_OPERATOR_SECRET", "short")
    assert main(["operator", "secret", "kim"]) == 2
    assert "너무 짧거나" in capsys.readouterr().err
    monkeypatch.delenv("QTS_OPERATOR_SECRET")
    assert main(["operator", "secret", "kim"]) == 2
    assert "비밀번호가 없습니다" in capsys.readouterr().err
    (home / "state" / "operators.json").chmod(0o644)
    assert main(["operator", "list"]) == 2
    assert "chmod 600" in capsys.readouterr().err
    assert (home / "state" / "operators.json").read_bytes() == before


def test_a_secret_is_no_argument(home, capsys):
    assert main(["operator", "add", "kim", TYPED, "--role", "operator"]) == 2
    assert main(["operator", "add", "kim", "--role", "operator", "--secret", TYPED]) == 2
    assert not home.exists()
    capsys.readouterr()


def test_no_operator_is_changed_under_a_running_engine(home, capsys):
    manager = SafetyStateManager.open(home, SystemClock(), environ={})
    for argv in (["add", "kim", "--role", "operator"], ["secret", "kim"], ["remove", "kim"]):
        assert main(["operator", *argv]) == 2
        assert "qts-engine stop" in capsys.readouterr().err
    assert main(["operator", "list"]) == 0
    manager.close()


@contextmanager
def terminal(home, *argv):
    """A command on a terminal of its own: what it says can be read, and somebody types."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "QTS_OPERATOR_SECRET"}
    child = subprocess.Popen(
        [sys.executable, "-m", "qts.cli", "operator", *argv],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield child, ours
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def read_until(ours, text):
    said = ""
    while text not in said:
        assert select.select([ours], [], [], LIMIT_S)[0], f"only {said!r}"
        said += os.read(ours, 4_096).decode()
    return said


@pytest.mark.parametrize(
    ("again", "says", "code"), [(TYPED, "added kim", 0), ("correct horse batter?", "two secrets that differ", 2)]
)
def test_on_a_terminal_the_secret_is_asked_for_twice_and_never_shown(home, again, says, code):
    with terminal(home, "add", "kim", "--role", "operator") as (child, ours):
        said = read_until(ours, "new secret: ")
        os.write(ours, f"{TYPED}\n".encode())
        said += read_until(ours, "the same again: ")
        os.write(ours, f"{again}\n".encode())
        said += read_until(ours, says)
        assert child.wait(LIMIT_S) == code
    assert TYPED not in said
    assert again not in said
    assert [row.operator_id for row in OperatorBook.at(home).accounts()] == (["kim"] if code == 0 else [])
