"""Scenario days, end to end through the real engine: whatever the market does, every won and share is accounted for.

The long way round: QTS_SCENARIO_RUNS=500 python -m pytest tests/integration/test_scenarios.py -k consecutive
"""

import json
import os
import shutil
from collections import Counter
from contextlib import closing
from decimal import Decimal
from typing import NamedTuple

import pytest

import qts
from qts.clock import NS_PER_S
from qts.config import shipped_dir
from qts.data import FillRow, OrderRow
from qts.engines.risk import RiskEngine
from qts.ops.operator import OperatorClient
from qts.pipeline.runner import CycleRunner
from qts.safety import OperatorBook, Role
from qts.strategy import Intent, Requirements, Strategy

from ..scenario_market import Ticks, daily_bars, mixed_day
from .test_supervised_session import SECRETS, Session

CASH = 100_000_000
MINUTE_NS = 60 * NS_PER_S
RUNS = int(os.environ.get("QTS_SCENARIO_RUNS", "10"))


class InAndOut(Strategy):
    """Buys when it is flat and sells a minute later, whatever the market does: there is always something at stake."""

    name = "in_and_out"
    hold_ns = MINUTE_NS
    pause_ns = 90 * NS_PER_S

    def __init__(self):
        super().__init__()
        self._since = {}
        self._until = {}

    def on_tick(self, tick):
        symbol, now = tick.symbol, tick.ts_ns
        if tick.position_qty:
            if now - self._since.setdefault(symbol, now) >= self.hold_ns and not tick.working_sell:
                self._until[symbol] = now + self.pause_ns
                return Intent.exit(symbol, "time is up")
            return None
        self._since.pop(symbol, None)
        if now < self._until.get(symbol, 0) or tick.working_buy or not tick.ask:
            return None
        self._until[symbol] = now + self.pause_ns
        return Intent.entry(symbol, "flat", weight_ppm=8_000)


class Holds(InAndOut):
    """Buys once and waits for two hours."""

    name = "holds"
    hold_ns = 120 * MINUTE_NS


class EveryMinute(Strategy):
    """Wants the same thing with every bar of a minute."""

    track = "SCALP"

    def __init__(self, name, side):
        super().__init__()
        self._name, self._side = name, side

    @property
    def strategy_id(self):
        return self._name

    def requirements(self):
        return Requirements(bar_interval_ns=MINUTE_NS)

    def generate_intents(self, market, execution):
        if market.symbol != "005930":
            return ()
        if self._side == "SELL":
            return (Intent.exit(market.symbol, "always out"),) if execution.position_qty else ()
        return (Intent.entry(market.symbol, "always in", qty=5),)


class Breaks(EveryMinute):
    """Fails in the middle of the day."""

    def generate_intents(self, market, execution):
        if len(market.bars) > 30:
            raise ZeroDivisionError("in the middle of the day")
        return super().generate_intents(market, execution)


class Day(NamedTuple):
    """What a run has left."""

    report: dict
    fills: list[FillRow]
    orders: list[OrderRow]
    decisions: list[dict]
    executions: list[dict]

    @property
    def flattened(self) -> set[str]:
        """Decisions to enter whose execution has sold again what it had bought."""
        escapes = ((line["decision_id"], line["escape"]) for line in self.executions)
        return {decision_id for decision_id, escape in escapes if escape and escape["mode"] != "CANCEL_ONLY"}

    @property
    def hash(self) -> str:
        return self.report["run"]["decision_hash"]

    @property
    def refused(self) -> Counter:
        """Decisions against an order, by reason."""
        return Counter(line["reason"] for line in self.decisions if line["action"] == "NONE")

    def since(self, ts_ns: int, side: str = "") -> list[FillRow]:
        """Fills from a moment on."""
        return [row for row in self.fills if row.ts_ns >= ts_ns and side in {"", row.side}]


def run(data, strategy, **more) -> Day:
    """Run a day, prove that nothing was lost or made, and return what it has left."""
    with qts.backtest(data, strategy, cash=CASH, **more) as result:
        assert result._store.verify() == [], "the ledger, derived again, says the same"
        assert result.identity().holds, "cash to the won"
        lines = result._recorder.decisions_path.read_text().splitlines()
        fills, orders = list(result._store.iter_fills()), list(result._store.iter_orders())
        executions = result._recorder.executions_path.read_text().splitlines()
        rows = [[json.loads(line) for line in text] for text in (lines, executions)]
        day = Day(result.report, fills, orders, *rows)
    conserved(day)
    return day


def conserved(day: Day) -> None:
    """Shares to the piece, nothing sold that is not held, no order beyond its decision, no price beyond its limit."""
    assert day.report["events"]["P0"]["dropped"] == 0
    held: Counter = Counter()
    filled: Counter = Counter()
    orders = {row.order_id: row for row in day.orders}
    decided = {line["decision_id"]: line for line in day.decisions}
    cash = CASH
    for row in day.fills:
        order = orders[row.order_id]
        is_purchase = row.side == "BUY"
        filled[row.order_id] += row.qty
        held[row.symbol, row.track] += row.qty if is_purchase else -row.qty
        cash += (-row.amount if is_purchase else row.amount) - row.fee - row.tax
        assert held[row.symbol, row.track] >= 0, "more was sold than held"
        assert row.price <= order.limit_price if is_purchase else row.price >= order.limit_price
        is_flattening = row.side == "SELL" and row.decision_id in day.flattened
        assert decided[row.decision_id]["action"] == row.side or is_flattening
    assert Decimal(day.report["account"]["cash_end"]) == cash
    assert all(count <= orders[order].qty for order, count in filled.items())
    left = {(row["symbol"], row["track"]): int(row["qty"]) for row in day.report["positions"]}
    assert left == {key: qty for key, qty in held.items() if qty}
    assert sum(day.report["orders"].values()) == len(day.orders)
    assert len(decided) == len(day.decisions), "every decision has an id of its own"


@pytest.fixture
def market() -> Ticks:
    return Ticks(seed=3)


# Markets


def test_up_trend_earns_what_the_prices_say(market, tmp_path):
    market.walk(10)
    market.walk(200, drift_bps=3)
    market.to_the_close(drift_bps=1)
    day = run(market.write(tmp_path / "t.csv"), Holds())
    account = day.report["account"]
    assert Decimal(account["equity_end"]) > CASH
    assert day.report["positions"] == [], "scalp positions end before the close"


def test_crash_is_sold_into_at_the_prices_after_it(market, tmp_path):
    market.walk(20, drift_bps=1)
    before = dict(market.prices)
    market.gap(-10)
    market.mark("crash")
    market.walk(90, noise_bps=20)
    market.to_the_close()
    day = run(market.write(tmp_path / "t.csv"), Holds())
    sales = day.since(market.marks["crash"], "SELL")
    assert sales
    assert all(row.price < before[row.symbol] * 0.97 for row in sales)
    assert [row for row in day.fills if row.side == "SELL"] == sales, "none before"
    assert Decimal(day.report["account"]["realized_pnl"]) < 0
    assert Decimal(day.report["account"]["max_drawdown"]) > 0


def test_three_falling_days_end_in_an_exit(tmp_path):
    rising = [100 * (1 + 0.004 * day) for day in range(40)]
    falling = [rising[-1] * (1 - 0.05 * day) for day in (1, 2, 3)]
    flat = [falling[-1]] * 8
    path = [*rising, *falling, *flat]
    bars = daily_bars(
        tmp_path / "d.csv", {"005930": [700 * one for one in path], "000660": [1_800 * one for one in path]}
    )
    day = run(bars, "daily_momentum", params={"entry_days": 10, "exit_days": 3})
    assert {row.side for row in day.fills} == {"BUY", "SELL"}
    assert day.report["positions"] == []


def test_range_costs_no_more_than_its_spread_and_fees(market, tmp_path):
    market.to_the_close(noise_bps=4)
    day = run(market.write(tmp_path / "t.csv"), InAndOut())
    lost = CASH - Decimal(day.report["account"]["equity_end"])
    turned = sum(row.amount for row in day.fills)
    assert len(day.fills) > 20
    assert lost < turned * Decimal("0.01")


def test_thin_book_fills_in_parts_within_the_limit_and_never_beyond_it(market, tmp_path):
    market.walk(10)
    market.mark("thin")
    market.walk(240, size=9, spread_ticks=12, noise_bps=10)  # -70 % and more
    market.to_the_close()
    day = run(market.write(tmp_path / "t.csv"), InAndOut())
    parts = Counter(row.order_id for row in day.since(market.marks["thin"]))
    assert max(parts.values()) > 1, "an order is filled in parts"


def test_locked_at_the_limit_nothing_is_sold_and_nothing_is_lost(market, tmp_path):
    market.walk(20)
    market.gap(-25)
    market.mark("locked")
    market.lock((6 * 3_600 + 20 * 60 - market.passed_s) / 60)
    day = run(market.write(tmp_path / "t.csv"), Holds())
    assert day.since(market.marks["locked"], "SELL") == []
    assert day.report["positions"], "what cannot be sold is still there"


def test_silence_is_a_time_without_a_fill_and_the_day_goes_on(market, tmp_path):
    market.walk(30)
    market.mark("silence")
    market.silence(40)
    market.mark("back")
    market.walk(60)
    market.to_the_close()
    day = run(market.write(tmp_path / "t.csv"), InAndOut())
    times = [row.ts_ns for row in day.fills]
    start, end = market.marks["silence"], market.marks["back"]
    assert [ts_ns for ts_ns in times if start + 10 * NS_PER_S <= ts_ns < end] == []
    assert min(times) < start
    assert max(times) > end


def test_a_bar_that_closes_on_old_prices_enters_nothing(market, tmp_path):
    market.now_ns += 400_000_000  # quotes are more than half a second old whenever a bar of a minute closes
    market.walk(60)
    market.silence(20)
    market.walk(60)
    day = run(market.write(tmp_path / "t.csv"), EveryMinute("in", "BUY"))
    assert day.refused["GR037"] > 50, "too old for a scalp"
    assert day.fills == []


# Engines and strategies


def test_an_exit_and_an_entry_of_the_same_symbol_end_in_the_exit(tmp_path):
    market = Ticks(seed=3, every_s=0.25, prices={"005930": 70_000})
    market.walk(30)
    strategies = [EveryMinute("always_in", "BUY"), EveryMinute("always_out", "SELL")]
    day = run(market.write(tmp_path / "t.csv"), strategies)
    by_cycle: dict[int, list[dict]] = {}
    for line in day.decisions:
        by_cycle.setdefault(line["cycle"], []).append(line)
    both = [lines for lines in by_cycle.values() if len(lines) == 2]
    assert len(both) > 3
    for lines in both:
        actions = {line["strategy"]: line["action"] for line in lines}
        assert (actions["always_in"], actions["always_out"]) == ("NONE", "SELL")
    assert {row.side for row in day.fills} == {"BUY", "SELL"}


def test_a_strategy_that_breaks_is_taken_out_and_the_others_go_on(market, tmp_path):
    market.to_the_close()
    day = run(market.write(tmp_path / "t.csv"), [Breaks("breaks", "BUY"), InAndOut()])
    [fault] = day.report["faults"]
    assert (fault["code"], fault["source"], fault["suspended"]) == ("SE010", "breaks", True)
    assert len(day.fills) > 20


def test_a_risk_engine_that_fails_stops_the_strategies_and_not_what_protects(market, tmp_path, monkeypatch):
    """FS030 is a FAIL: no strategy is asked any more. Exits before the close ask the risk engine, which answers."""
    market.to_the_close()
    evaluate, approved = RiskEngine.evaluate, []

    def fails_once(self, question):
        answer = evaluate(self, question)
        approved.append(answer.approved)
        if answer.approved and sum(approved) == 12:
            raise ZeroDivisionError("risk")
        return answer

    monkeypatch.setattr(RiskEngine, "evaluate", fails_once)
    day = run(market.write(tmp_path / "t.csv"), InAndOut())
    assert [fault["code"] for fault in day.report["faults"]] == ["FS030"]
    purchases = sum(line["action"] == "BUY" for line in day.decisions)
    assert 2 < purchases < 12, "none after the fault"
    monkeypatch.undo()
    usual = run(tmp_path / "t.csv", InAndOut())
    assert sum(line["action"] == "BUY" for line in usual.decisions) > purchases
    assert day.report["positions"] == [], "what was held is sold before the close"


def test_a_stage_that_fails_now_and_then_waits_and_goes_on(market, tmp_path, monkeypatch):
    market.to_the_close()
    stages, count = CycleRunner._stages, []

    def fails_at_times(self, cycle, *rest, **named):
        count.append(cycle.no)
        if len(count) % 500 == 0:
            raise KeyError("now and then")
        return stages(self, cycle, *rest, **named)

    monkeypatch.setattr(CycleRunner, "_stages", fails_at_times)
    config = tmp_path / "config"
    config.mkdir()
    local = json.loads((shipped_dir() / "config_local.json").read_text())
    for row in local:
        if row["key"] == "failsafe_enabled":
            row["value"] = "false"
    if not any(row["key"] == "failsafe_enabled" for row in local):
        local.append({**local[0], "key": "failsafe_enabled", "value": "false"})
    (config / "config_local.json").write_text(json.dumps(local))
    day = run(market.write(tmp_path / "t.csv"), InAndOut(), config=config)
    assert sum(fault["times"] for fault in day.report["faults"]) > 5
    assert len(day.fills) > 20


# People


def test_a_pause_sends_nothing_but_what_protects_and_resume_goes_on_with_what_is_new(tmp_path):
    home, config = tmp_path / "home", tmp_path / "config"
    (home / "state").mkdir(parents=True)
    OperatorBook(home / "state" / "operators.json").add("kim", Role.OPERATOR, SECRETS["kim"])
    config.mkdir()
    shutil.copy(shipped_dir() / "config_local.json", config)
    (config / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    session = Session(home, config)
    session.on_to(lambda status: status.fills >= 2)
    with closing(OperatorClient(home, timeout_s=120)) as client:
        assert dict(client.call("pause", {"reason": "a scenario"}))["applied"]
        paused = session.on_to(lambda status: status.working_orders == 0)
        later = session.on_to(lambda status: status.done > paused.done + 0.05)
        assert later.fills - paused.fills <= paused.positions, "at most what protects"
        before = session.engine._session.pipeline.loop.iterations
        assert dict(client.call("resume", {"reason": "over"}))["applied"]
    resumed = session.on_to(lambda status: status.fills > later.fills)
    assert resumed.ts_ns > later.ts_ns
    report = session.to_the_end()
    pipeline = session.engine._session.pipeline
    assert pipeline.loop.iterations > before
    assert report["positions"] == []
    assert pipeline.overlaps == 0


# Ten in a row


def test_consecutive_scenario_days_are_clean_and_repeat_to_the_byte(tmp_path):
    """Seed 004, NG-0: ten consecutive end-to-end scenario runs. Each day has every move of the set once."""
    hashes = []
    for seed in range(1, RUNS + 1):
        data = mixed_day(seed, tmp_path / "day.csv")
        one, two = (run(data, [InAndOut(), EveryMinute("minute", "BUY"), "quote_reversion"]) for _ in range(2))
        assert (one.hash, one.fills, one.decisions) == (two.hash, two.fills, two.decisions)
        assert len(one.fills) > 20, f"seed {seed} traded"
        assert one.report["faults"] == []
        hashes.append(one.hash)
    assert len(set(hashes)) == RUNS, "no two days are the same"
