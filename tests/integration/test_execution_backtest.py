"""Recorded ticks through the six stages: what SCALP decides on a real market is cut, sent, followed and got out of."""

import csv
import json
from collections import Counter
from decimal import Decimal

import pytest

import qts
from qts.engine.build import load_config
from qts.ops.report import verify_identity
from qts.strategy import Intent, Strategy

pytestmark = pytest.mark.recordings

STAGES = {"exec_precheck", "exec_splitting", "exec_sending", "exec_total"}
WORST_BPS = Decimal(50)
"""Half a percent."""


class Trades(Strategy):
    """Buys and sells by the clock, sizes and prices in turn: large and small, at the market and behind it."""

    name = "trades_by_the_clock"
    track = "SCALP"

    def __init__(self):
        super().__init__()
        self._next_ns = 0
        self._turn = 0

    def on_tick(self, tick):
        if tick.ts_ns < self._next_ns or not (tick.bid and tick.ask) or tick.working_buy or tick.working_sell:
            return None
        self._next_ns = tick.ts_ns + 1_000_000_000
        if tick.position_qty:
            return Intent.exit(tick.symbol, "the clock")
        self._turn += 1
        size = (3, 40, 12, 90)[self._turn % 4] * 10**8
        limit = None if self._turn % 3 else tick.bid - (tick.ask - tick.bid)
        return Intent.entry(tick.symbol, "the clock", qty=size, limit_price=limit, ttl_ms=20_000, ref_price=tick.ask)


@pytest.fixture(scope="module")
def config():
    return load_config(
        None,
        {
            "exec.split.min_split_qty": 10,
            "exec.split.display_qty": 8,
            "exec.split.max_wait_ms": 700,
            "exec.adjust.adjust_interval_ms": 200,
            "risk.max_order_krw": 10_000_000,
            "operating_state.properties.balanced.max_daily_trades": 100,
            "strategy.reentry_cooldown_s.scalp": 0,
        },
    )


@pytest.fixture(scope="module", params=["PERP-20240808", "SPOT-20240809"])
def runs(request, recordings, config, tmp_path_factory):
    """The same recording twice."""
    data = recordings / f"ticks/ETHUSDT-{request.param}.csv.gz"
    outs = [tmp_path_factory.mktemp("runs") / str(number) for number in range(2)]
    for out in outs:
        qts.backtest(data, Trades(), config=config, cash=1_000_000, out=out).close()
    return outs


def executions_of(out):
    return [json.loads(line) for line in (out / "executions.jsonl").read_text().splitlines()]


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_execution_ends_and_its_quantities_add_up(runs):
    executions = executions_of(runs[0])
    assert len(executions) > 40
    for one in executions:
        assert one["final_state"] in ("COMPLETE", "ESCAPED", "FAILED"), one
        parts = sum(Decimal(one[name]) for name in ("filled_qty", "unsent_qty", "cancelled_qty"))
        assert parts == Decimal(one["precheck_qty"]), one
        is_exit = one["intent"] == "EXIT"  # what finishes an exit is part of it, what undoes an entry is not
        sent = sum(Decimal(order["filled_qty"]) for order in one["orders"] if is_exit or not order["is_escape"])
        assert sent == Decimal(one["filled_qty"]), one
    states = Counter(one["disposition"] for one in executions)
    assert states["FILLED"] > 20
    strategies = {one["split"]["strategy"] for one in executions}
    assert {"SINGLE", "ICEBERG"} <= strategies
    assert sum(one["rounds"] for one in executions) > 5, "prices were improved"


def test_each_child_is_an_order_under_its_split_id(runs):
    ids = {order["client_order_id"]: order for one in executions_of(runs[0]) for order in one["orders"]}
    rows = rows_of(runs[0] / "orders.csv")
    assert {row["client_order_id"] for row in rows} == ids.keys()
    for row in rows:
        assert Decimal(row["filled_qty"]) == Decimal(ids[row["client_order_id"]]["filled_qty"])
        assert Decimal(row["limit_price"]) == Decimal(ids[row["client_order_id"]]["price"])


def test_fills_are_on_average_far_closer_to_the_decision_than_half_a_percent(runs):
    report = json.loads((runs[0] / "report.json").read_text())
    assert Decimal(report["executions"]["mean_adverse_slippage_bps"]) < WORST_BPS
    assert report["executions"]["filled"] > 40
    worst = max(Decimal(one["slippage_bps"]) for one in executions_of(runs[0]) if one["slippage_bps"] is not None)
    assert worst <= WORST_BPS


def test_no_entry_is_bought_beyond_the_cap(runs):
    for one in executions_of(runs[0]):
        if one["intent"] == "ENTRY":
            cap = Decimal(one["decision_price"]) * Decimal("1.005")
            assert all(Decimal(order["price"]) <= cap for order in one["orders"] if not order["is_escape"])


def test_the_report_says_what_each_stage_took(runs):
    report = json.loads((runs[0] / "report.json").read_text())
    total = report["executions"]["total"]
    assert set(report["latency_us"]) >= STAGES
    for name in STAGES:
        row = report["latency_us"][name]
        assert 0 < row["p50"] <= row["p99"] <= row["p999"] <= row["max"]
    assert report["latency_us"]["exec_precheck"]["n"] == total
    assert report["executions"]["final_states"].keys() <= {"COMPLETE", "ESCAPED", "FAILED"}
    page = (runs[0] / "report.html").read_text()
    assert "precheck" in page


def test_the_cash_is_exactly_what_fills_fees_and_taxes_make_it(runs):
    identity = verify_identity(runs[0])
    assert identity.cash_end == identity.recomputed


def test_nothing_is_sold_that_is_not_held(runs):
    held = Decimal(0)
    for row in rows_of(runs[0] / "fills.csv"):
        held += Decimal(row["qty"]) if row["side"] == "BUY" else -Decimal(row["qty"])
        assert held >= 0


def test_the_same_recording_gives_the_same_run(runs):
    one, two = (json.loads((out / "report.json").read_text())["run"] for out in runs)
    assert one["decision_hash"] == two["decision_hash"]
    for name in ("fills.csv", "orders.csv", "decisions.jsonl", "executions.jsonl", "equity.csv"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name
