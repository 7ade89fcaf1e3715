import errno
import hashlib
import json
import os

import pytest

from qts.cli import main
from qts.safety import AuditFile, AuditMemory, Entry, Head, last_lines, verify
from qts.safety.audit import scrub


def trail(path, clock, count=5) -> AuditFile:
    audit = AuditFile(path, clock)
    for number in range(count):
        audit.append(Entry("engine", "code", "FS040", "NORMAL", "FAIL", payload={"number": number}))
    return audit


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


def test_a_line_carries_the_hash_of_the_one_before(path, clock):
    trail(path, clock).close()
    before = "0" * 64
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        record = json.loads(line)
        assert (record["seq"], record["prev_hash"]) == (number, before)
        before = record.pop("hash")
        # What anybody can do with a text editor and sha256sum.
        plain = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(plain.encode()).hexdigest() == before
    assert record["session_date"] == "2026-01-05"
    assert record["ts_utc"] == "2026-01-05T00:00:00.000000000Z"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_whole_trail_is_whole(path, clock):
    head = trail(path, clock).head
    found = verify(path, head)
    assert (found.is_whole, found.records, found.head, found.torn_bytes) == (True, 5, head, 0)
    assert [row["payload"]["number"] for row in last_lines(path, 2)] == [3, 4]


def changed(line, **fields) -> bytes:
    record = {**json.loads(line), **fields}
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("edit", "first_bad", "fault"),
    [
        (lambda lines: [*lines[:2], changed(lines[2], reason="nothing"), *lines[3:]], 3, "hash"),
        (lambda lines: [*lines[:1], *lines[2:]], 2, "gap"),
        (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], 3, "gap"),
        (lambda lines: [*lines[:3], b"what was here is gone\n", lines[4]], 4, "unreadable"),
        (lambda lines: [*lines[:3], b"[1]\n", lines[4]], 4, "unreadable"),
        (lambda lines: [*lines[:4], changed(lines[4], prev_hash="f" * 64)], 5, "prev_hash"),
        (lambda lines: [lines[0].replace(b'"seq":1', b'"seq": 1'), *lines[1:]], 1, "hash"),
    ],
)
def test_an_edited_trail_names_its_first_bad_seq(path, clock, edit, first_bad, fault):
    trail(path, clock).close()
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    found = verify(path)
    assert (found.first_bad_seq, found.fault, found.records) == (first_bad, fault, first_bad - 1)


def test_a_trail_that_was_cut_is_found_by_the_head_that_somebody_remembers(path, clock):
    audit = trail(path, clock)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert verify(path).is_whole, "the chain itself cannot know"
    found = verify(path, audit.head)
    assert (found.first_bad_seq, found.fault) == (4, "missing")


def test_a_trail_that_was_written_anew_is_found_by_the_head_that_somebody_remembers(path, clock):
    head = trail(path, clock).head
    path.unlink()
    clock.pass_s(1)
    trail(path, clock).close()
    found = verify(path, head)
    assert (found.first_bad_seq, found.fault) == (5, "hash")


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_cut_and_the_chain_goes_on(path, clock, keep):
    audit = trail(path, clock)
    head = audit.head
    line = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as file:
        file.write(line[:keep])
    torn = len(line[:keep])
    assert verify(path, head).torn_bytes == torn
    assert len(list(last_lines(path))) == 5
    again = AuditFile(path, clock)
    assert (again.cut_bytes, again.head) == (torn, head)
    again.append(Entry("engine", "start"))
    assert verify(path, head).records == 6


def test_a_torn_first_line_leaves_an_empty_trail(path, clock):
    path.write_bytes(b'{"seq":1')
    audit = AuditFile(path, clock)
    assert (audit.cut_bytes, audit.head) == (8, Head())
    audit.append(Entry("engine", "start"))
    assert verify(path).records == 1


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"seq":1,"prev_hash":"0","hash":"0"}\n'])
def test_a_damaged_last_line_is_not_built_upon(path, clock, line):
    path.write_bytes(line)
    with pytest.raises(ValueError, match="damaged"):
        AuditFile(path, clock)


def test_what_a_full_disk_left_is_cut_off_again(path, clock, monkeypatch):
    audit = trail(path, clock)
    size = path.stat().st_size

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            audit.append(Entry("engine", "code"))
    assert path.stat().st_size == size
    audit.append(Entry("engine", "code"))
    assert verify(path, audit.head).records == 6


def test_what_could_not_even_be_cut_is_cut_before_the_next_line(path, clock, monkeypatch):
    audit = trail(path, clock)

    def full(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        patched.setattr(os, "ftruncate", full)
        with pytest.raises(OSError, match="Input/output"):
            audit.append(Entry("engine", "code"))
    audit.append(Entry("engine", "code"))
    assert verify(path, audit.head).records == 6


def test_memory_keeps_the_same_lines(path, clock):
    memory = AuditMemory(clock)
    for number in range(5):
        memory.append(Entry("engine", "code", "FS040", "NORMAL", "FAIL", payload={"number": number}))
    trail(path, clock).close()
    assert b"".join(memory.lines) == path.read_bytes()


def test_secrets_do_not_get_into_the_trail():
    payload = {
        "password": "p",
        "APP_KEY": "k",
        "nested": {"token": "t", "list": [{"secret": "s"}, 1]},
        "account_no": "12345678-01",
        "config_hash": "abc",
        "set": {"b", "a"},
        "number": 1.5,
    }
    assert scrub(payload) == {
        "password": "[removed]",
        "APP_KEY": "[removed]",
        "nested": {"token": "[removed]", "list": [{"secret": "[removed]"}, 1]},
        "account_no": "***-01",
        "config_hash": "abc",
        "set": ["a", "b"],
        "number": "1.5",
    }


def test_the_command_says_ok(path, clock, capsys):
    trail(path, clock).close()
    assert main(["audit", "verify", str(path)]) == 0
    assert "records    5" in capsys.readouterr().out
    with path.open("ab") as file:
        file.write(b"{")
    assert main(["audit", "verify", str(path)]) == 0
    assert "torn line" in capsys.readouterr().out
    assert main(["audit", "verify", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["records"], found["torn_bytes"], found["fault"]) == (True, 5, 1, None)


def test_the_command_names_the_first_bad_seq_and_ends_with_1(path, clock, capsys):
    trail(path, clock).close()
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":7'))
    assert main(["audit", "verify", str(path)]) == 1
    assert "first bad seq 3 (hash)" in capsys.readouterr().out
    assert main(["audit", "verify", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_bad_seq"] == 3


def test_the_command_without_a_trail_says_what_to_do(capsys):
    assert main(["audit", "verify"]) == 2
    said = capsys.readouterr().err
    assert "audit.jsonl" in said
    assert "QTS_HOME" in said
