"""Files of recorded history, good and bad, and the command that replays them."""

import os
import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest

from qts.codes import DataError
from qts.state.history import DailyClose, read_history
from qts.state.replay import main

VIX = """DATE,OPEN,HIGH,LOW,CLOSE
2008-09-12,25.000000,26.000000,24.000000,25.660000
2008-09-15,30.000000,31.900000,29.000000,31.700000
2008-09-16,30.000000,33.000000,29.000000,30.300000
"""
INDEX = """date,close
2008-09-11,183.5
2008-09-12,188.24
2008-09-16,176.5
2008-09-17,181.17
"""


class Files:
    """Two files and a place for results."""

    def __init__(self, directory):
        self.vix, self.index, self.out = directory / "vix.csv", directory / "index.csv", directory / "new" / "out"
        self.vix.write_text(VIX, encoding="utf-8")
        self.index.write_text(INDEX, encoding="utf-8")

    @property
    def options(self):
        return ["--vix", str(self.vix), "--index", str(self.index), "--out", str(self.out)]

    def read(self):
        return read_history(self.vix, self.index)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_the_last_column_is_the_close(files):
    history = files.read()
    assert history.index[1] == DailyClose(date(2008, 9, 12), Decimal("188.24"))
    assert [one.close for one in history.vix] == [Decimal("25.66"), Decimal("31.7"), Decimal("30.3")]
    assert [one.day.day for one in history.shared()] == [12, 16]


def test_a_byte_order_mark_and_spaces_do_no_harm(files):
    files.index.write_text("\ufeff" + INDEX.replace(",", ", "), encoding="utf-8")
    assert len(files.read().index) == 4


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        ("", 1, "no rows", "DATE,OPEN,HIGH,LOW,CLOSE"),
        ("DATE,OPEN,HIGH,LOW,CLOSE\n", 1, "no rows", "at least one row"),
        (INDEX, 1, "'date,close'", "DATE,OPEN,HIGH,LOW,CLOSE"),
        (VIX + "2008-09-17,1,2,3\n", 5, "4 columns", "DATE,OPEN,HIGH,LOW,CLOSE"),
        (VIX + "\n", 5, "0 columns", "DATE,OPEN,HIGH,LOW,CLOSE"),
        (VIX + "17.09.2008,1,2,3,4\n", 5, "DATE '17.09.2008'", "2008-09-15"),
        (VIX + "2008-09-17,1,2,x,4\n", 5, "LOW 'x'", "above 0, at most 200"),
        (VIX + "2008-09-17,1,2,3,\n", 5, "CLOSE ''", "above 0"),
        (VIX + "2008-09-17,1,2,3,nan\n", 5, "CLOSE 'nan'", "above 0"),
        (VIX + "2008-09-17,1,2,3,inf\n", 5, "CLOSE 'inf'", "above 0"),
        (VIX + "2008-09-17,1,2,3,0\n", 5, "CLOSE '0'", "above 0"),
        (VIX + "2008-09-17,1,2,3,-4\n", 5, "CLOSE '-4'", "above 0"),
        (VIX + "2008-09-17,1,2,3,200.01\n", 5, "CLOSE '200.01'", "at most 200"),
        (VIX + "2008-09-16,1,2,3,4\n", 5, "2008-09-16 after 2008-09-16", "ascending"),
        (VIX + "2008-09-15,1,2,3,4\n", 5, "2008-09-15 after 2008-09-16", "ascending"),
    ],
)
def test_a_bad_file_is_told_with_its_line(files, text, line, found, expected):
    files.vix.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        files.read()
    assert caught.value.where == f"{files.vix}:{line}"
    assert found in caught.value.found
    assert expected in caught.value.expected
    assert caught.value.hint


def test_an_index_may_be_above_200_and_not_below_zero(files):
    files.index.write_text(INDEX + "2008-09-18,2000\n", encoding="utf-8")
    assert files.read().index[-1].close == 2000
    files.index.write_text(INDEX + "2008-09-18,-1\n", encoding="utf-8")
    with pytest.raises(DataError, match="close '-1'") as caught:
        files.read()
    assert caught.value.expected == "a number above 0"


def test_histories_without_a_common_day_are_refused(files):
    files.index.write_text("date,close\n2009-01-02,150\n", encoding="utf-8")
    with pytest.raises(DataError, match="a VIX from 2008-09-12 to 2008-09-16") as caught:
        files.read()
    assert "2009-01-02" in caught.value.expected


@pytest.mark.parametrize("kind", ["missing", "directory", "binary"])
def test_what_cannot_be_read_is_told(files, kind):
    files.index.unlink()
    if kind == "directory":
        files.index.mkdir()
    if kind == "binary":
        files.index.write_bytes(b"date,close\n\xff\xfe\n")
    with pytest.raises(DataError) as caught:
        files.read()
    assert caught.value.where == str(files.index)
    assert caught.value.found.startswith("no such file" if kind == "missing" else "a file that cannot be read")


# The command


def test_the_command_writes_tables_and_picture(files, capsys):
    assert main(files.options) == 0
    said = capsys.readouterr()
    assert said.out == (f"2 sessions, 2008-09-12 to 2008-09-16; wrote tables.md, operating-states.svg to {files.out}\n")
    assert said.err == ""
    first = {path.name: path.read_bytes() for path in files.out.iterdir()}
    assert set(first) == {"tables.md", "operating-states.svg"}
    assert main(files.options) == 0, "a second run writes over the first"
    assert {path.name: path.read_bytes() for path in files.out.iterdir()} == first


@pytest.mark.parametrize(("lang", "word"), [("en", "error"), ("ko", "오류")])
def test_a_users_mistake_ends_with_2_and_no_traceback(files, lang, word):
    files.vix.write_text(VIX.replace("31.700000", "n/a"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "qts.state.replay", *files.options],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"QTS_LANG": lang, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{word}: {files.vix}:3: CLOSE 'n/a'\n")
    assert "Traceback" not in done.stderr
    assert not files.out.exists()


def test_a_place_that_cannot_be_written_is_told(files, capsys):
    files.out.parent.write_text("a file in the way", encoding="utf-8")
    assert main(files.options) == 2
    assert f"error: {files.out}: a directory that cannot be written" in capsys.readouterr().err


def test_a_missing_option_ends_with_2(files, capsys):
    with pytest.raises(SystemExit) as done:
        main(files.options[2:])
    assert done.value.code == 2
    assert "--vix" in capsys.readouterr().err
