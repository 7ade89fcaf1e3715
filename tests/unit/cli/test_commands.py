import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from qts.cli import main
from qts.config import shipped_dir


@pytest.fixture
def small(tmp_path):
    (tmp_path / "config").mkdir()
    shutil.copy(shipped_dir() / "config_local.json", tmp_path / "config")
    (tmp_path / "config" / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    return tmp_path / "config"


def told(capsys, *argv) -> str:
    """Run a command that must be refused and return what it says."""
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.err


def test_help_teaches(capsys):
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    said = capsys.readouterr().out
    assert "Start with" in said
    assert "Ctrl-C" in said
    assert main(["--version"]) == 0
    assert "qts-engine 0." in capsys.readouterr().out


def test_run_shows_its_way_and_writes_its_report(small, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            ["run", "--config", str(small), "--speed", "max", "--seed", "3", "--date", "2026-01-05", "--out", str(out)]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "session 2026-01-05" in said
    assert "KST FULL" in said
    assert "Cash at the end" in said
    assert (out / "report.html").exists()


def test_run_prints_json(small, capsys):
    assert main(["run", "--config", str(small), "--speed", "max", "--date", "2026-01-05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["mode"] == "SIM"


def test_backtest_and_sample(sample, tmp_path, capsys):
    assert main(["sample", "--out", str(tmp_path / "s"), "--days", "2", "--seed", "7"]) == 0
    assert "daily.csv: 20 rows" in capsys.readouterr().out
    assert (tmp_path / "s" / "ticks.csv.gz").read_bytes() == sample.ticks.read_bytes()
    arguments = ["backtest", "--data", str(sample.daily), "--strategy", "daily_momentum", "--set", "entry_days=5"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "report.html" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["account"]["currency"] == "KRW"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "ema_cros"], "ema_cross"),
        (["--strategy", "ema_cross", "--set", "fast"], "KEY=VALUE"),
        (["--strategy", "ema_cross", "--set", "fast=1", "--set", "fast=2"], "twice"),
        (["--strategy", "ema_cross", "--set", "fast=many"], "fast"),
        (["--strategy", "ema_cross", "--cash", "lots"], "cash lots"),
        (["--strategy", "ema_cross", "--config", "/nowhere"], "/nowhere"),
        (["--strategy", "ema_cross", "--bogus"], "--bogus"),
        ([], "--strategy"),
    ],
)
def test_a_backtest_that_makes_no_sense_is_refused(sample, capsys, arguments, message):
    assert message in told(capsys, "backtest", "--data", str(sample.ticks), *arguments)


@pytest.mark.parametrize(("option", "value"), [("--speed", "fast"), ("--date", "tomorrow"), ("--speed", "-1")])
def test_a_run_that_makes_no_sense_is_refused(capsys, option, value):
    assert value in told(capsys, "run", option, value)


def test_a_place_for_the_report_is_checked_before_the_run(small, tmp_path, capsys):
    assert "holds" in told(capsys, "run", "--config", str(small), "--out", str(small))


def test_messages_come_in_korean(capsys, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    assert "다음 조치" in told(capsys, "backtest", "--data", "/nowhere.csv", "--strategy", "ema_cross")


def test_config_is_checked_shown_and_described(small, tmp_path, capsys):
    assert main(["config", "check"]) == 0
    assert "ok" in capsys.readouterr().out
    assert main(["config", "show", "--config", str(small)]) == 0
    assert "sim.session.symbols" in capsys.readouterr().out
    assert main(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["keys"]["risk.max_exposure_pct"]["source"] == "config_local.json"
    assert main(["config", "schema"]) == 0
    assert "pipeline.yaml" in json.loads(capsys.readouterr().out)
    (small / "pipeline.yaml").write_text("sim:\n  sede: 1\n")
    assert "did you mean 'seed'" in told(capsys, "config", "check", "--config", str(small))
    assert main(["config", "check", "--config", str(small), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["key"] == "sim.sede"


def test_an_interrupt_ends_a_session_in_order(small, tmp_path):
    environment = os.environ | {"QTS_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "qts.cli", "run", "--config", str(small), "--speed", "300", "--date", "2026-01-05"]
    session = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in session.stdout:
        if "KST" in line:
            break
    session.send_signal(signal.SIGINT)
    out, err = session.communicate(timeout=60)
    assert session.returncode == 0, err
    assert "stopping" in err
    assert "Cash at the end" in out


def test_bench_measures_this_host(capsys):
    assert main(["bench", "--probes", "50"]) == 0
    said = capsys.readouterr().out
    assert "P0 put to handler, idle" in said
    assert "million events/s" in said
    assert "switch interval 0.5 ms: P0 due to Python handler" in said
    assert "priority: P0 " in said
    assert main(["bench", "--probes", "50", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["latency_us"]) == 3
    assert all(0 < row["p50_us"] <= row["p99_us"] for row in report["latency_us"])
    assert report["p1_events_per_s"] > 0
    assert [row["interval_ms"] for row in report["python"]] == [sys.getswitchinterval() * 1_000, 0.5]
    assert all(0 < row["p50_us"] <= row["p99_us"] and row["share"] > 0 for row in report["python"])
    assert report["host"]["scheduling"]["p0"] in {"real-time", "high", "normal"}
    assert f"priority: P0 {report['host']['scheduling']['p0']}, P1 {report['host']['scheduling']['p1']}" in said
    assert 0 < report["python_wake_us"]["p50"] <= report["python_wake_us"]["max"]
