"""Pools of a paper session on record: after its end, after a kill, and after the start that follows one."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from qts.cli import main
from qts.config import shipped_dir

DAY = "2026-01-05"
LIMIT_S = 120.0
STRATEGIES = ("--strategy", "quote_reversion", "--strategy", "daily_momentum")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("QTS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def config(tmp_path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "config_local.json").write_bytes((shipped_dir() / "config_local.json").read_bytes())
    (directory / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    return directory


def arguments(config, speed):
    return ["run", *STRATEGIES, "--config", str(config), "--date", DAY, "--seed", "3", "--speed", speed]


def said(capsys, *argv):
    assert main([str(one) for one in argv]) == 0
    return capsys.readouterr().out


def shown(capsys, config):
    found = json.loads(said(capsys, "capital", "show", "--json", "--config", config))
    return {one["pool"]: one for one in found["pools"]}


def test_the_pools_of_a_session_are_shown_and_explained_after_it(home, config, capsys):
    report = json.loads(said(capsys, *arguments(config, "max"), "--json"))
    assert report["run"]["mode"] == "SIM"
    pools = shown(capsys, config)
    assert set(pools) == {"SCALP", "SWING", "PORTFOLIO"}
    assert {one["state"] for one in pools.values()} == {"ACTIVE"}
    totals = {name: int(one["total_capital"]) for name, one in pools.items()}
    assert sum(totals.values()) == int(report["account"]["equity_end"]), "a session that ends flat"
    assert totals["SWING"] == int(report["account"]["cash_start"]) * 35 // 100, "who did not trade has what it had"
    history = json.loads(said(capsys, "capital", "history", "--json", "--limit", 100_000, "--config", config))
    assert sum(int(line["amount"]) for line in history["ledger"]) == sum(totals.values())
    assert said(capsys, "db", "verify", "--config", config)


def test_a_kill_leaves_pools_that_agree_and_a_start_after_it_goes_on(home, config, capsys):
    running = subprocess.Popen(
        [sys.executable, "-m", "qts.cli", *arguments(config, "400")],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in running.stdout:
            words = line.split()
            if "fills" in words and int(words[words.index("fills") + 1].replace(",", "")) >= 6:
                break
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait(LIMIT_S)
        running.stdout.close()
    assert running.returncode == -signal.SIGKILL

    again = json.loads(said(capsys, *arguments(config, "max"), "--json"))  # what the journal has is in the books
    assert again["fills"] > 0
    assert said(capsys, "db", "verify", "--config", config)
    with closing(sqlite3.connect(home / "db" / "paper.sqlite")) as db:
        accounts = [row[0] for row in db.execute("SELECT account_id FROM sessions ORDER BY started_ns")]
        assert len(accounts) == 2
        for account in accounts:
            where = "FROM t_ledger WHERE account_id = ?"
            fills = db.execute(f"SELECT count(*), sum(fee) {where}", (account,)).fetchone()
            refs = db.execute(
                "SELECT count(DISTINCT ref_id), -sum(CASE cause WHEN 'FEE' THEN amount ELSE 0 END)"
                " FROM capital_ledger WHERE account_id = ? AND ref_id LIKE 'fill:%'",
                (account,),
            ).fetchone()
            assert fills == refs, "each fill is in both ledgers, once"
            assert fills[0] > 0
            held = dict(db.execute(
                "SELECT bucket, sum(amount) FROM capital_ledger WHERE account_id = ? GROUP BY bucket", (account,)
            ))  # fmt: skip
            open_holds = db.execute(
                "SELECT coalesce(sum(remaining), 0) FROM capital_holds WHERE account_id = ?", (account,)
            ).fetchone()[0]
            assert held["HELD"] == open_holds
    assert {one["state"] for one in shown(capsys, config).values()} == {"ACTIVE"}
