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
        (["--strategy", "ema_cross", "--symbols", "ema_cross"], "ema_cross=005930,000660"),
        (["--strategy", "ema_cross", "--symbols", "ema_cros=005930"], "symbols for ema_cros"),
        (["--strategy", "ema_cross", "--symbols", "ema_cross="], "no symbol for strategy 'ema_cross'"),
        (["--strategy", "ema_cross", "--symbols", "ema_cross=00593"], "00593"),
        (["--strategy", "ema_cross", "--symbols", "ema_cross=005930", "--symbols", "ema_cross=000660"], "twice"),
        (["--strategy", "ema_cross", "--vol-index", "/nowhere.csv"], "/nowhere.csv"),
        (["--strategy", "ema_cross", "--strategy", "ema_cross"], "ema_cross"),
        (["--strategy", "ema_cross", "--strategy", "quote_reversion", "--set", "fast=3"], "NAME.PARAMETER"),
        (["--strategy", "ema_cross", "--strategy", "quote_reversion", "--set", "ema.fast=3"], "ema.fast"),
        (["--strategy", "ema_cross", "--strategy", "quote_reversion", "--set", "ema_cross.fsat=3"], "fsat"),
    ],
)
def test_a_backtest_that_makes_no_sense_is_refused(sample, capsys, arguments, message):
    assert message in told(capsys, "backtest", "--data", str(sample.ticks), *arguments)


def test_strategies_of_several_tracks_share_an_account_from_the_command_line(sample, tmp_path, capsys):
    vix = tmp_path / "vix.csv"
    vix.write_text("DATE,OPEN,HIGH,LOW,CLOSE\n2024-01-02,13,14,12,13.2\n2024-01-03,13,15,13,14.0\n")
    argv = ["backtest", "--data", str(sample.daily), "--vol-index", str(vix), "--json", "--cash", "100000000"]
    argv += ["--strategy", "daily_momentum", "--set", "daily_momentum.entry_days=5"]
    argv += ["--strategy", "target_weights", "--set", "target_weights.weights=005930=0.3,000660=0.2"]
    argv += ["--symbols", "daily_momentum=005380, 035420", "--symbols", "target_weights=005930,000660"]
    assert main(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["run"]["strategy"] == "daily_momentum,target_weights"
    held = {(row["track"], row["symbol"]) for row in report["positions"]}
    assert {symbol for track, symbol in held if track == "PORTFOLIO"} == {"005930", "000660"}
    assert {symbol for track, symbol in held if track == "SWING"} <= {"005380", "035420"}
    assert {row["pool"] for row in report["capital"]["pools"]} == {"SCALP", "SWING", "PORTFOLIO"}


def test_a_damaged_volatility_index_is_told_with_its_line(sample, tmp_path, capsys):
    vix = tmp_path / "vix.csv"
    vix.write_text("DATE,OPEN,HIGH,LOW,CLOSE\n2024-01-02,13,14,12,much\n")
    said = told(capsys, "backtest", "--data", str(sample.daily), "--strategy", "ema_cross", "--vol-index", str(vix))
    assert "vix.csv:2" in said


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
