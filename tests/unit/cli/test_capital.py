"""`qts-engine capital`, as its operator types it."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests.servers import APP, APP_PASSWORD

from qts.capital.contracts import (
    Bucket,
    CapitalLedgerEntry,
    CapitalPoolContract,
    CapitalTransfer,
    Cause,
    PauseCause,
    PoolState,
    TransferKind,
    TransferProposal,
    TransferReason,
    TransferStatus,
)
from qts.cli import main
from qts.clock import SystemClock
from qts.config import load_secrets
from qts.data import CurrencyRow, SessionRow, SQLiteStore
from qts.engine.build import load_config
from qts.engine.capital_messages import say
from qts.engine.capital_sink import RunCapitalSink
from qts.engine.storage import run_store
from qts.safety import SafetyState
from qts.state import OperatingState

NOW = datetime(2026, 1, 5, 6, 30, tzinfo=UTC)
WEEK = timedelta(days=7)
END = {"ended_ns": 9, "cash_end": 5, "decision_hash": "beef"}


def cli(*args, capsys):
    code = main(["capital", *map(str, args)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def home(tmp_path, monkeypatch):
    place = tmp_path / "home"
    monkeypatch.setenv("QTS_HOME", str(place))
    return place


def pool(name, total, share, target, **changes):
    row = CapitalPoolContract(
        name,
        "1.0.0",
        NOW,
        total,
        total - 2_000_000,
        2_000_000,
        0,
        0,
        500_000,
        -50_000,
        750_000,
        800_000,
        Decimal(share),
        Decimal(target),
        None,
        False,
        PoolState.ACTIVE,
        (),
        None,
        None,
        None,
        total * 10**8,
        Decimal("0.950000"),
        Decimal("1.000000"),
        True,
        3,
    )
    return row._replace(**changes)


def transfer(name, kind, source, target, at, amount=250_000, status=TransferStatus.COMMITTED, key=None):
    proposal = TransferProposal(
        source,
        target,
        amount,
        kind,
        TransferReason.PROFIT_THRESHOLD_EXCEEDED if kind is TransferKind.PROMOTION else TransferReason.DRIFT_EXCEEDED,
        key or f"{kind[0]}:{name}",
        (("profit", "1500000"), ("sharpe", "1.800000")),
    )
    return CapitalTransfer(
        name,
        proposal,
        status,
        at,
        at if status is TransferStatus.COMMITTED else None,
        ((source, 10_000_000), (target, 5_000_000)),
        ((source, 10_000_000 - amount), (target, 5_000_000 + amount)),
        OperatingState.BALANCED,
        SafetyState.NORMAL,
        "kim" if kind is TransferKind.DEMOTION else None,
        at.date(),
    )


PROMOTION = transfer("T1", TransferKind.PROMOTION, "SCALP", "SWING", NOW, key="S>W:2026-W02")
DEMOTION = transfer("T2", TransferKind.DEMOTION, "SWING", "SCALP", NOW + WEEK)
WAITING = transfer("T3", TransferKind.REBALANCE, "SCALP", "PORTFOLIO", NOW + 2 * WEEK, status=TransferStatus.PENDING)


def record(store, session_id="run-1", account=None):
    """A run with a funding, a fill, a promotion, a demotion and a rebalance that waits."""
    store.register([CurrencyRow("KRW", 0)], [])
    started = int(session_id[-1])
    row = SessionRow(session_id, "PAPER", "three", "sim", account or f"paper-{session_id}", "KRW", 1, started, "c")
    store.begin_session(row)
    sink = RunCapitalSink(store, lambda: 1)
    number = 0

    def post(ref, cause, at, *parts):
        nonlocal number
        lines = []
        for name, bucket, amount in parts:
            number += 1
            lines.append(CapitalLedgerEntry(number, at, name, bucket, amount, cause, ref))
        sink.entries(tuple(lines))

    post("external:in", Cause.EXTERNAL, NOW, ("UNALLOCATED", Bucket.UNALLOCATED, 12_345))
    post("fund:SCALP:1", Cause.EXTERNAL, NOW, ("SCALP", Bucket.AVAILABLE, 12_000_000))
    held, spent = ("SCALP", Bucket.HELD, -100), ("SCALP", Bucket.INVESTED, 100)
    post("fill:7:3", Cause.FILL, NOW, held, spent)
    for one, at in ((PROMOTION, NOW), (DEMOTION, NOW + WEEK)):
        source, target, amount = one.proposal.from_pool, one.proposal.to_pool, one.proposal.amount
        reserve = ((source, Bucket.AVAILABLE, -amount), (source, Bucket.RESERVED, amount))
        post(f"{one.transfer_id}:reserve:1", Cause.TRANSFER, at, *reserve)
        sink.transfer(one._replace(status=TransferStatus.PENDING, committed_at=None))
        post(
            one.transfer_id, Cause.TRANSFER, at, (source, Bucket.RESERVED, -amount), (target, Bucket.AVAILABLE, amount)
        )
        sink.transfer(one)
    sink.transfer(WAITING)
    paused = {"pool_state": PoolState.PAUSED, "pause_causes": (PauseCause.BELOW_MIN, PauseCause.SAFETY)}
    locked = {
        "pool_state": PoolState.LOCKED,
        "lock_reason": "drawdown 21 %",
        "lock_code": "FS082",
        "lock_timestamp": NOW,
        "last_promotion_time": NOW,
    }
    sink.pools(
        (
            pool("SCALP", 12_000_000, "0.4000", "0.4000"),
            pool("SWING", 10_500_000, "0.3500", "0.3000", **locked),
            pool("PORTFOLIO", 7_500_000, "0.2500", "0.3000", **paused),
        )
    )
    store.end_session("DONE", **END)


@pytest.fixture
def kept(home):
    """A home in whose embedded database one run has pools and a later one has none."""
    with SQLiteStore(home / "db" / "paper.sqlite") as store:
        record(store)
        store.begin_session(SessionRow("run-2", "PAPER", "one", "sim", "paper-run-2", "KRW", 1, 2, "c"))
    return home


def test_the_pools_of_the_newest_run_that_has_some(kept, capsys):
    code, out, _ = cli("show", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0
    assert (found["account"], found["run"], found["status"]) == ("paper-run-1", "run-1", "DONE")
    assert [one["pool"] for one in found["pools"]] == ["SCALP", "SWING", "PORTFOLIO"]
    scalp, swing, portfolio = found["pools"]
    assert (scalp["total_capital"], scalp["available_capital"], scalp["unrealized_pnl"]) == (
        "12000000",
        "10000000",
        "-50000",
    )
    assert scalp["promotion"] == {"promotable": "750000", "threshold": "1000000", "eligible": False}
    assert swing["promotion"]["threshold"] == "5000000"
    assert portfolio["promotion"] is None
    assert (swing["state"], swing["lock_code"], swing["locked_at"]) == ("LOCKED", "FS082", NOW.isoformat())
    assert (portfolio["state"], portfolio["pause_causes"]) == ("PAUSED", ["BELOW_MIN", "SAFETY"])
    assert (swing["drift"], portfolio["drift"], swing["drawdown"]) == ("0.0500", "-0.0500", "0.050000")
    assert (found["total"], found["unallocated"]) == ("30000000", "12345")
    assert [one["transfer_id"] for one in found["transfers"]] == ["T1", "T2", "T3"]


def test_the_pools_stand_beside_each_other(kept, capsys):
    code, out, _ = cli("show", capsys=capsys)
    assert code == 0
    rows = {line[:16].strip(): line for line in out.splitlines()}
    assert "account paper-run-1, run run-1 (PAPER, three), KRW" in out
    assert "2026-01-05 15:30:00 KST" in out
    assert rows["total"].split() == ["total", "12,000,000", "10,500,000", "7,500,000", "30,000,000"]
    assert rows["state"].split() == ["state", "ACTIVE", "LOCKED", "PAUSED"]
    assert rows["drift, points"].split()[2:] == ["0.00", "+5.00", "-5.00"]
    assert "750,000 / 1,000,000 = 75%" in rows["to promotion"]
    assert rows["because of"].split()[2:] == ["-", "FS082", "BELOW_MIN,", "SAFETY"]
    assert "SWING is locked since 2026-01-05 15:30:00 KST: FS082, drawdown 21 %" in out
    assert "unallocated: 12,345 KRW" in out
    assert len({len(line) for name, line in rows.items() if name in {"available", "total", "realised"}}) == 1


def test_what_is_said_is_korean_where_the_operator_is(kept, capsys, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    _, out, _ = cli("show", capsys=capsys)
    assert "미배정: 12,345 KRW" in out
    _, out, _ = cli("history", capsys=capsys)
    assert "주문 7의 체결 3" in out
    assert say.problems() == []


def test_every_transfer_is_explained_by_its_ledger_lines(kept, capsys):
    code, out, _ = cli("history", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0
    assert [one["transfer_id"] for one in found["transfers"]] == ["T1", "T2", "T3"]
    promotion, demotion, waiting = found["transfers"]
    assert promotion["reason"] == "PROFIT_THRESHOLD_EXCEEDED"
    assert promotion["criteria"] == {"profit": "1500000", "sharpe": "1.800000"}
    assert promotion["after"] == {"SCALP": "9750000", "SWING": "5250000"}
    assert [(line["pool"], line["bucket"], line["amount"]) for line in promotion["ledger"]] == [
        ("SCALP", "AVAILABLE", "-250000"),
        ("SCALP", "RESERVED", "250000"),
        ("SCALP", "RESERVED", "-250000"),
        ("SWING", "AVAILABLE", "250000"),
    ]
    assert sum(int(line["amount"]) for line in promotion["ledger"]) == 0
    assert promotion["ledger"][0]["because"] == "reserved for S>W:2026-W02"
    assert demotion["operator"] == "kim"
    assert (waiting["status"], waiting["committed_at"], waiting["ledger"]) == ("PENDING", None, [])
    assert [line["entry"] for line in found["ledger"]] == list(range(1, 13))
    assert found["ledger"][2]["because"] == "fill 3 of order 7"
    assert date.fromisoformat(promotion["session_date"]) == NOW.date()


@pytest.mark.parametrize(
    ("options", "transfers", "entries"),
    [
        (["--kind", "promotion"], ["T1"], []),
        (["--kind", "REBALANCE", "--pool", "SWING"], [], []),
        (["--pool", "portfolio"], ["T3"], []),
        (["--pool", "UNALLOCATED"], [], [1]),
        (["--pool", "SWING"], ["T1", "T2"], [8, 9, 10, 11]),
        (["--limit", "1"], ["T3"], [12]),
        (["--limit", "2", "--kind", "DEMOTION"], ["T2"], []),
        (["--from", "2026-01-12"], ["T2", "T3"], [9, 10, 11, 12]),
        (["--from", "2026-01-12", "--pool", "SCALP", "--limit", "1"], ["T3"], [12]),
        (["--account", "paper-run-1", "--run", "run-1", "--from", "2027-01-01"], [], []),
    ],
)
def test_the_history_is_chosen_from(kept, capsys, options, transfers, entries):
    code, out, _ = cli("history", "--json", *options, capsys=capsys)
    found = json.loads(out)
    assert code == 0
    assert [one["transfer_id"] for one in found["transfers"]] == transfers
    assert [line["entry"] for line in found["ledger"]] == entries


def test_the_history_is_readable(kept, capsys):
    code, out, _ = cli("history", capsys=capsys)
    assert code == 0
    assert "PROMOTION SCALP > SWING  250,000  COMMITTED" in out
    assert "why: PROFIT_THRESHOLD_EXCEEDED, key S>W:2026-W02" in out
    assert "criteria: profit 1500000, sharpe 1.800000" in out
    assert "totals: SCALP 10,000,000 > 9,750,000, SWING 5,000,000 > 5,250,000" in out
    assert "state BALANCED, safety NORMAL, approved by kim" in out
    assert "+12,000,000" in out
    assert "first funding" in out
    _, out, _ = cli("history", "--kind", "DEMOTION", "--pool", "PORTFOLIO", capsys=capsys)
    assert "no transfer of this kind yet" in out
    _, out, _ = cli("history", "--from", "2027-01-01", capsys=capsys)
    assert "no ledger line that fits" in out


@pytest.mark.parametrize("command", ["show", "history"])
def test_where_there_are_no_pools_the_operator_is_told_what_to_do(home, capsys, command):
    """In an empty home nothing is made either; in one with runs, of which none has pools, the same is said."""
    code, out, _ = cli(command, capsys=capsys)
    assert (code, "capital.mode: ON" in out) == (0, True)
    assert not (home / "db").exists()
    with SQLiteStore(home / "db" / "paper.sqlite") as store:
        store.register([CurrencyRow("KRW", 0)], [])
        store.begin_session(SessionRow("run-1", "PAPER", "one", "sim", "paper-run-1", "KRW", 1, 1, "c"))
    for options in ([], ["--account", "paper-run-1"], ["--run", "run-1"]):
        code, out, _ = cli(command, *options, capsys=capsys)
        assert (code, "capital.mode: ON" in out) == (0, True)
    code, out, _ = cli(command, "--json", capsys=capsys)
    assert code == 0
    assert not any(json.loads(out).values())


@pytest.mark.parametrize(
    ("arguments", "found", "hint"),
    [
        (["show", "--account", "paper-run-7"], "account 'paper-run-7'", "did you mean paper-run-"),
        (["show", "--run", "zzz"], "run 'zzz'", "leave the option out"),
        (["history", "--account", "x"], "account 'x'", "paper-run-1"),
        (["history", "--pool", "SWIMG"], "--pool 'SWIMG'", "did you mean SWING?"),
        (["history", "--kind", "gift"], "--kind 'gift'", "PROMOTION, DEMOTION, REBALANCE"),
        (["history", "--from", "yesterday"], "--from 'yesterday'", "YYYY-MM-DD"),
        (["history", "--limit", "0"], "--limit", "Usage"),
    ],
)
def test_a_mistake_is_told_in_words(kept, capsys, arguments, found, hint):
    code, _, err = cli(*arguments, capsys=capsys)
    assert code == 2
    assert found in err
    assert hint in err
    assert "Traceback" not in err


def test_a_kept_backtest_is_found_as_well(kept, capsys):
    with SQLiteStore(kept / "db" / "backtests.sqlite") as store:
        record(store, "test-5")
    for options in ([], ["--run", "test-5"]):
        code, out, _ = cli("show", "--json", *options, capsys=capsys)
        assert (code, json.loads(out)["run"]) == (0, "test-5")
    _, out, _ = cli("show", "--json", "--account", "paper-run-1", capsys=capsys)
    assert json.loads(out)["run"] == "run-1"


def test_an_engine_may_run_meanwhile(home, capsys):
    """Its store is open, with a run under way, while another thread's command reads."""
    store = run_store(load_config(None, {}), home, SystemClock(), load_secrets(home))
    store.open()
    seen = []
    try:
        store.register([CurrencyRow("KRW", 0)], [])
        store.begin_session(SessionRow("run-1", "PAPER", "three", "sim", "paper-run-1", "KRW", 1, 1, "c"))
        sink = RunCapitalSink(store, lambda: 1)
        for revision in (1, 2):
            sink.pools((pool("SCALP", 10_000_000 * revision, "1.0000", "1.0000", revision=revision),))
            store.flush()
            reader = threading.Thread(target=lambda: seen.append(main(["capital", "show", "--json"])))
            reader.start()
            reader.join()
            found = json.loads(capsys.readouterr().out)
            assert (found["status"], found["total"]) == ("OPEN", str(10_000_000 * revision))
        store.end_session("DONE", **END)
    finally:
        store.close()
    assert seen == [0, 0]


def test_the_pools_of_a_run_on_a_server(postgres, home, capsys, monkeypatch):
    monkeypatch.setenv("DB_HOST", postgres.server.host)
    monkeypatch.setenv("DB_PORT", str(postgres.server.port))
    monkeypatch.setenv("DB_NAME", postgres.name)
    monkeypatch.setenv("DB_USER", APP)
    monkeypatch.setenv("DB_PASSWORD", APP_PASSWORD)
    store = run_store(load_config(None, {}), home, SystemClock(), load_secrets(home))
    with store:
        store.open()
        record(store)
    code, out, err = cli("show", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    there = json.loads(out)
    assert there["run"] == "run-1"
    _, told, _ = cli("history", "--json", capsys=capsys)
    for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"):
        monkeypatch.delenv(f"DB_{name}")
    with SQLiteStore(home / "db" / "paper.sqlite") as embedded:
        record(embedded)
    _, out, _ = cli("show", "--json", capsys=capsys)
    assert json.loads(out) == there
    _, out, _ = cli("history", "--json", capsys=capsys)
    assert json.loads(out) == json.loads(told)
