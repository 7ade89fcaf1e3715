"""Bad input through the command line: exit code 2 or a recorded fault, one clear message, nothing half-written."""

import gzip
import json
import os
import subprocess
import sys

import pytest

from qts.cli import main

ROWS = 400


@pytest.fixture(scope="module")
def lines(sample) -> list[str]:
    with gzip.open(sample.ticks, "rt") as file:
        return [next(file).rstrip("\n") for _ in range(ROWS)]


def quote_line(lines) -> int:
    """The line number of a quote that has rows before and after it."""
    return next(number for number, line in enumerate(lines, 1) if number > 5 and ",Q," in line)


def changed(lines, number, **columns) -> str:
    """The file with some columns of one line (from 1) changed."""
    names = lines[0].split(",")
    values = lines[number - 1].split(",")
    for name, value in columns.items():
        values[names.index(name)] = value
    return "\n".join([*lines[: number - 1], ",".join(values), *lines[number:]]) + "\n"


BAD_FILES = {
    "empty": lambda lines: ("", ["an empty file", "a header and at least one row"]),
    "header only": lambda lines: (lines[0] + "\n", ["bad.csv:1", "a header and nothing else"]),
    "header": lambda lines: (
        "\n".join([lines[0].replace("bid_qty", "bidqty"), *lines[1:]]),
        ["bad.csv:1", '"bidqty"', "the header ts_event_ns,ts_recv_ns,symbol"],
    ),
    "kind": lambda lines: (changed(lines, 9, kind="X"), ["bad.csv:9", "column kind", '"X"', "Q (quote) or T (trade)"]),
    "columns": lambda lines: ("\n".join([*lines[:6], "1,2,3"]), ["bad.csv:7", "3 columns", "11 columns"]),
    "number": lambda lines: (
        changed(lines, quote_line(lines), bid="12o"),
        [f"bad.csv:{quote_line(lines)}", "column bid", '"12o"'],
    ),
    "overflow": lambda lines: (
        changed(lines, quote_line(lines), bid="99999999999999999999"),
        [f"bad.csv:{quote_line(lines)}", "column bid"],
    ),
    "time": lambda lines: (
        changed(lines, 10, ts_recv_ns="1604157200000000000"),
        ["bad.csv:10", "column ts_recv_ns", "does not run backwards"],
    ),
    "crossed": lambda lines: (
        changed(lines, quote_line(lines), bid="900000", bid_qty="1", ask="899900", ask_qty="1"),
        [f"bad.csv:{quote_line(lines)}", 'bid "900000" above ask "899900"'],
    ),
    "symbol": lambda lines: (
        changed(lines, 10, symbol="XYZ"),
        ["bad.csv:10", "column symbol", '"XYZ"', "reference/instruments.yaml"],
    ),
}


def refused(capsys, tmp_path, *arguments) -> str:
    """Run a backtest that must be refused: exit code 2, a message in three parts, no report, no rest of one."""
    out = tmp_path / "report" / "out"
    assert main(["backtest", "--out", str(out), *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.count("error") == 1
    assert "expected: " in said.err
    assert "do next: " in said.err
    assert not list((tmp_path / "report").glob("*")), "nothing may be left of a report"
    return said.err


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_by_line_and_column(lines, tmp_path, capsys, name):
    content, parts = BAD_FILES[name](lines)
    (tmp_path / "bad.csv").write_text(content)
    told = refused(capsys, tmp_path, "--data", str(tmp_path / "bad.csv"), "--strategy", "ema_cross")
    assert not [part for part in parts if part not in told], told


def test_a_bad_row_in_the_second_file_ends_the_run_too(sample, lines, tmp_path, capsys):
    content, parts = BAD_FILES["crossed"](lines)
    (tmp_path / "bad.csv").write_text(content)
    data = ["--data", str(sample.ticks), "--data", str(tmp_path / "bad.csv")]
    assert parts[0] in refused(capsys, tmp_path, *data, "--strategy", "quote_reversion")


@pytest.mark.parametrize("name", ["kind", "time", "crossed", "symbol"])
def test_bad_rows_can_be_counted_instead(lines, tmp_path, capsys, name):
    content, _ = BAD_FILES[name](lines)
    (tmp_path / "bad.csv").write_text(content)
    arguments = ["--data", str(tmp_path / "bad.csv"), "--strategy", "ema_cross", "--skip-bad-rows", "--json"]
    assert main(["backtest", *arguments]) == 0
    data = json.loads(capsys.readouterr().out)["run"]["data"]
    assert [(row["rows"], row["bad_rows"]) for row in data] == [(ROWS - 2, 1)]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--data", "/nowhere/ticks.csv", "--strategy", "ema_cross"], ["/nowhere/ticks.csv", "no such file"]),
        (["--data", "{ticks}", "--strategy", "emacross"], ["'emacross'", "did you mean 'ema_cross'"]),
        (["--data", "{ticks}", "--strategy", "no_such_module:Class"], ["no_such_module", "PYTHONPATH"]),
        (["--data", "{ticks}", "--strategy", "ema_cross", "--set", "fastt=3"], ["'fastt'", "did you mean 'fast'"]),
    ],
)
def test_what_does_not_exist_is_told_with_the_nearest_that_does(sample, tmp_path, capsys, arguments, parts):
    told = refused(capsys, tmp_path, *(text.format(ticks=sample.ticks) for text in arguments))
    assert not [part for part in parts if part not in told], told


def test_an_unknown_configuration_key_ends_the_run_before_it_starts(sample, tmp_path, capsys):
    config = tmp_path / "config"
    config.mkdir()
    (config / "pipeline.yaml").write_text("sim:\n  latency_ot_ms: 5\n")
    told = refused(capsys, tmp_path, "--data", str(sample.ticks), "--strategy", "ema_cross", "--config", str(config))
    assert "pipeline.yaml:2: unknown key sim.latency_ot_ms" in told
    assert "did you mean 'latency_out_ms'" in told


@pytest.mark.parametrize(
    ("name", "text", "mode", "parts"),
    [
        ("config/pipeline.yaml", "sim:\n  seed: 1\n  seed: 2\n", 0o644, ["pipeline.yaml:3", "sim.seed stands twice"]),
        ("config/pipeline.yaml", "- 3\n", 0o644, ["pipeline.yaml", "a mapping of keys to values"]),
        ("config/state.yaml", "DEFENSIVE\n", 0o644, ["state.yaml", "a mapping of keys to values"]),
        ("config/config_local.json", "{}", 0o644, ["config_local.json", "a list"]),
        ("home/secrets.env", "KIS_VTS_APP_KEY=word-of-honour\n", 0o644, ["secrets.env", "mode 0644", "chmod 600"]),
    ],
)
def test_a_session_does_not_start_on_files_that_are_wrong(tmp_path, monkeypatch, capsys, name, text, mode, parts):
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    for directory in ("config", "home"):
        (tmp_path / directory).mkdir()
    (tmp_path / name).write_text(text)
    (tmp_path / name).chmod(mode)
    before = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    run = ["run", "--config", str(tmp_path / "config"), "--out", str(tmp_path / "out"), "--speed", "max"]
    assert main([*run, "--date", "2026-01-05"]) == 2
    told = capsys.readouterr().err
    assert not [part for part in ("error", "expected: ", *parts) if part not in told], told
    assert "word-of-honour" not in told
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.parent.name != "run"}
    assert left - {"home/run"} == before


def test_a_strategy_that_raises_is_a_recorded_fault(sample, tmp_path):
    (tmp_path / "broken.py").write_text(
        "import qts\n\n\nclass Broken(qts.Strategy):\n"
        '    name = "broken"\n\n    def on_tick(self, tick):\n        raise KeyError("no such thing")\n'
    )
    out = tmp_path / "out"
    command = ["backtest", "--data", str(sample.ticks), "--strategy", "broken:Broken", "--out", str(out)]
    run = subprocess.run(
        [sys.executable, "-m", "qts.cli", *command],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    faults = json.loads((out / "report.json").read_text())["faults"]
    assert faults
    assert {fault["code"] for fault in faults} == {"SE010"}
    assert "no such thing" in faults[0]["message"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--speed", "nan"], "--speed 'nan'"),
        (["--speed", "inf"], "--speed 'inf'"),
        (["--speed", "0"], "--speed '0'"),
        (["--speed", "max", "--seed", "99999999999999999999"], "seed 99999999999999999999"),
        (["--speed", "max", "--date", "1800-01-01"], "day 1800-01-01 lies outside the calendar"),
        (["--speed", "max", "--date", "2999-01-01"], "day 2999-01-01 lies outside the calendar"),
        (["--speed", "max", "--date", "2005-03-02"], "a price on the tick ladder"),
        (["--speed", "max", "--cash", "1.5"], "cash 1.5"),
    ],
)
def test_a_session_that_makes_no_sense_is_refused_and_leaves_no_account(tmp_path, capsys, arguments, part):
    assert main(["run", *arguments]) == 2
    assert part in capsys.readouterr().err
    database = tmp_path / "qts-home" / "db" / "paper.sqlite"
    if database.exists():
        import sqlite3

        with sqlite3.connect(database) as db:
            assert db.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
        db.close()
