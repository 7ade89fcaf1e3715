"""The name of a home, by which databases tell its journal and ticks from those of others."""

import threading

import pytest

from qts.codes import UsageError
from qts.engine.storage import installation_id


def test_a_home_keeps_the_name_that_it_was_given(tmp_path):
    name = installation_id(tmp_path / "home")
    assert installation_id(tmp_path / "home") == name
    assert installation_id(tmp_path / "other") != name
    assert [path.name for path in (tmp_path / "home" / "state").iterdir()] == ["installation"]


def test_everybody_who_asks_at_once_gets_the_same_name(tmp_path):
    start, found = threading.Barrier(8), []

    def ask(home):
        start.wait()
        found.append(installation_id(home))

    for number in range(20):
        found.clear()
        threads = [threading.Thread(target=ask, args=(tmp_path / str(number),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert found[0]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"0123456789abcdeg\n"])
def test_a_home_without_a_name_is_refused_and_not_taken_for_another_one(tmp_path, content):
    """A full disk, or a process that died, has left the file behind: all such homes would share one acknowledgement."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "installation").write_bytes(content)
    with pytest.raises(UsageError, match="installation"):
        installation_id(tmp_path)


def test_a_home_that_cannot_be_written_to_is_told_in_words(tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(UsageError, match="state"):
        installation_id(tmp_path)
