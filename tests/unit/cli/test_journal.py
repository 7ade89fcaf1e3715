import json
import os
import shutil

import pytest

from qts._core import JournalWriter, journal_records, journal_verify
from qts.cli import main


@pytest.fixture
def journal(tmp_path):
    home = tmp_path / "journal"
    writer = JournalWriter(home)
    for at in range(200):
        seq = writer.append("FILL", json.dumps({"n": at}).encode())
    writer.wait_durable(seq, 10.0)
    writer.append("AUDIT", b"\xff\x00", version=3)
    writer.close()
    assert writer.failure is None
    assert writer.lag == 0
    return home


def segment(home):
    return sorted(home.glob("*.qtsj"))[0]


def refused(capsys, *argv) -> str:
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.err


def test_a_whole_journal_is_ok(journal, capsys):
    assert main(["journal", "verify", str(journal)]) == 0
    said = capsys.readouterr().out
    assert "ok" in said
    assert "torn tail    none" in said
    assert main(["journal", "verify", str(journal), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["segments"] == 1
    assert found["records"] == found["last_seq"] == 201 + found["groups"]
    assert found["torn"] == []


def test_the_journal_of_the_home_is_the_default(journal, capsys, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(journal.parent))
    assert main(["journal", "verify"]) == 0
    assert str(journal) in capsys.readouterr().out


def test_dump_shows_records_in_their_order(journal, capsys):
    assert main(["journal", "dump", str(journal), "--kind", "FILL", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [json.loads(row["payload"])["n"] for row in rows] == list(range(200))
    assert {row["kind"] for row in rows} == {"FILL"}
    assert main(["journal", "dump", str(journal), "--kind", "AUDIT"]) == 0
    assert capsys.readouterr().out.endswith("AUDIT v3 ff00\n")
    assert main(["journal", "dump", str(journal), "--json"]) == 0
    assert '"payload_base64": "/wA="' in capsys.readouterr().out


def test_damage_names_its_first_byte_and_ends_with_1(journal, capsys):
    path = segment(journal)
    data = bytearray(path.read_bytes())
    data[64 + 10] ^= 1
    path.write_bytes(data)
    assert main(["journal", "verify", str(journal)]) == 1
    said = capsys.readouterr().err
    assert "FS125" in said
    assert "byte 64" in said
    assert main(["journal", "verify", str(journal), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_bad_byte"] == 64
    assert main(["journal", "dump", str(journal)]) == 1


def test_a_torn_tail_is_told_and_cut_at_the_next_start(journal, capsys):
    path = segment(journal)
    with path.open("ab") as file:
        file.write(b"\x30\x00\x00\x00 torn")
    assert main(["journal", "verify", str(journal)]) == 0
    assert "9 bytes" in capsys.readouterr().out
    writer = JournalWriter(journal)
    seq = writer.append("AUDIT", b"next")
    writer.close()
    assert journal_verify(journal)["torn"] == []
    assert [row for row in journal_records(journal) if row[2] == "AUDIT"][-1][0] == seq


def test_events_without_a_mark_come_back(tmp_path):
    writer = JournalWriter(tmp_path / "j", sync=False)
    first, second = writer.append("P0_EVENT", b"a"), writer.append("P0_EVENT", b"b")
    writer.append("P0_DONE", first.to_bytes(8, "little"))
    writer.close()
    again = JournalWriter(tmp_path / "j")
    assert [(seq, payload) for seq, _, _, payload in again.unfinished()] == [(second, b"b")]
    again.close()
    with pytest.raises(KeyError):
        again.append("NONSENSE", b"")
    with pytest.raises(ValueError, match="closed"):
        again.append("AUDIT", b"")


def several(home, *payloads) -> list[int]:
    """One segment for each payload; the numbers of the records."""
    seqs = []
    for payload in payloads:
        writer = JournalWriter(home)
        seqs.append(writer.append("FILL", payload))
        writer.close()
    return seqs


def test_retire_says_what_would_go_and_does_it_when_told(tmp_path, capsys):
    home = tmp_path / "journal"
    seqs = several(home, b"one", b"two", b"three")
    before = sorted(home.glob("*.qtsj"))
    argv = ["journal", "retire", str(home), "--keep-from", str(seqs[2]), "--keep-days", "0"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{before[0]}\n{before[1]}\nwould retire 2 segments")
    assert f"needed from record {seqs[2]} on" in said
    assert sorted(home.glob("*.qtsj")) == before
    assert main([*argv, "--apply"]) == 0
    assert "retired 2 segments, " in capsys.readouterr().out
    assert not before[0].exists()
    assert not before[1].exists()
    assert main(["journal", "verify", str(home)]) == 0
    said = capsys.readouterr().out
    assert f"first seq    {seqs[2]}\n" in said
    assert "retired      2 segments" in said
    assert f"the records before {seqs[2]}, up to 20" in said
    before[2].unlink()
    assert main(["journal", "verify", str(home)]) == 1
    assert "FS125" in capsys.readouterr().err


def test_retire_keeps_what_is_young_or_not_done(tmp_path, capsys, monkeypatch):
    home = tmp_path / "journal"
    writer = JournalWriter(home)
    event = writer.append("P0_EVENT", b"not done")
    writer.close()
    several(home, b"two")
    argv = ["journal", "retire", str(home), "--keep-from", "100"]
    assert main([*argv, "--keep-days", "0"]) == 0
    assert f"P0 event {event} in it is not done" in capsys.readouterr().out
    writer = JournalWriter(home)
    writer.append("P0_DONE", event.to_bytes(8, "little"))
    writer.close()
    monkeypatch.setenv("QTS_LANG", "ko")
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "세그먼트 0개" in said
    assert "보존 기간이 지나지 않음" in said


def test_retire_refuses_a_journal_in_use_and_a_damaged_one(journal, capsys):
    argv = ["journal", "retire", str(journal), "--keep-from", "9", "--keep-days", "0"]
    writer = JournalWriter(journal)
    assert "stop the engine" in refused(capsys, *argv, "--apply")
    writer.close()
    path = segment(journal)
    data = bytearray(path.read_bytes())
    data[64 + 10] ^= 1
    path.write_bytes(data)
    assert main(argv) == 1
    assert "FS125" in capsys.readouterr().err


def test_a_writer_retires_what_its_owner_lets_go(tmp_path):
    home = tmp_path / "journal"
    seqs = several(home, b"one", b"two")
    writer = JournalWriter(home, keep_days=0)
    assert writer.retire()["kept_because"] == ("keep_from", 0)
    writer.keep_from(seqs[1])
    found = writer.retire()
    assert (len(found["segments"]), found["first_seq"]) == (1, seqs[1])
    used, quota = writer.usage
    assert 0 < used < quota == 2 << 30
    writer.close()
    assert next(iter(journal_records(home)))[0] == seqs[1]


def test_verify_warns_near_the_quota(journal, capsys, monkeypatch):
    found = journal_verify(journal)
    assert main(["journal", "verify", str(journal)]) == 0
    assert "GR103" not in capsys.readouterr().out
    monkeypatch.setattr("qts._core.journal_verify", lambda _: {**found, "bytes": found["quota_bytes"]})
    assert main(["journal", "verify", str(journal)]) == 0
    assert "GR103" in capsys.readouterr().out


def test_what_is_no_journal_is_refused(journal, tmp_path, capsys):
    assert "no journal at" in refused(capsys, "journal", "verify", str(tmp_path / "none"))
    assert "is a file" in refused(capsys, "journal", "verify", str(segment(journal)))
    assert "ORDER_INTENT" in refused(capsys, "journal", "dump", str(journal), "--kind", "fills")
    shutil.copy(segment(journal), journal / "copy.qtsj")
    assert "yyyymmdd" in refused(capsys, "journal", "verify", str(journal))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_journal_of_somebody_else_is_refused(journal, capsys):
    segment(journal).chmod(0)
    assert "Permission denied" in refused(capsys, "journal", "dump", str(journal))
