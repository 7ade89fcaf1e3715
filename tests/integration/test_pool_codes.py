"""What goes wrong with pools within a run is found in it, told with its code, and stops what it has to stop."""

import csv

import pytest

from qts.capital.contracts import CapitalAlert
from qts.capital.engine import CapitalEngine
from qts.capital.service import CapitalTransferService
from qts.codes import EngineFault
from qts.engine import backtest
from qts.engine.build import load_config
from qts.engine.capital import CapitalDesk
from qts.strategy.examples import QuoteReversion

from .tracks_watch import CASH, watched

CRASH = 6
"""Session in which the price falls by 28 %."""


class SwingReversion(QuoteReversion):
    name = "swing_reversion"
    track = "SWING"


def crash_of(sample, tmp_path):
    """Bars of two symbols that stand still and then fall within a day."""
    with sample.daily.open() as file:
        days = sorted({row["date"] for row in csv.DictReader(file)})[:12]
    path = tmp_path / "crash.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["date", "symbol", "open", "high", "low", "close", "volume"])
        for number, day in enumerate(days):
            still = (70_000, 70_100, 69_900, 70_000) if number < CRASH else (50_500, 50_600, 50_400, 50_500)
            prices = (70_000, 70_000, 50_400, 50_500) if number == CRASH else still
            rows.writerows([day, symbol, *prices, 9_000_000] for symbol in ("005930", "035720"))
    return path


def alerts(result):
    return {(one["code"], one["pool"]) for one in result.report["capital"]["alerts"]}


def pools(result):
    return {row.pool_id: row for row in result._store.iter_capital_pools()}


def test_a_pool_that_falls_too_deep_is_locked_alone_and_its_books_stay_right(sample, tmp_path, monkeypatch):
    config = load_config(None, {"risk.max_order_krw": "50000000", "capital.mode": "ON"})
    with (
        watched(monkeypatch) as watch,
        backtest(
            crash_of(sample, tmp_path),
            ["target_weights"],
            params={"weights": "005930=0.5,035720=0.5"},
            cash=CASH,
            config=config,
            bridge=78,
        ) as result,
    ):
        assert watch.wrong == []
        assert ("FS082", "PORTFOLIO") in alerts(result)
        found = pools(result)
        assert (found["PORTFOLIO"].pool_state, found["PORTFOLIO"].lock_code) == ("LOCKED", "FS082")
        assert ("FS083", "PORTFOLIO") in alerts(result), "a tenth in a day is abnormal, too: Safety is in FAIL"
        assert {found[pool].lock_code for pool in ("SCALP", "SWING")} == {None}
        assert all("SAFETY" in found[pool].pause_causes for pool in ("SCALP", "SWING"))
        assert list(result._store.iter_capital_transfers()) == [], "and stops all transfers"


def test_money_that_moves_without_the_books_is_found_at_the_close(sample, monkeypatch):
    close, closed = CapitalDesk.close_day, []

    def close_day(desk):
        if len(closed) == 2:
            desk._core.move_pool_cash("SCALP", "SWING", 1_000_000)
        close(desk)
        closed.append(desk.books.snapshot(desk._now())["SWING"])

    monkeypatch.setattr(CapitalDesk, "close_day", close_day)
    config = load_config(None, {"capital.mode": "ON"})
    with backtest(sample.daily, ["daily_momentum"], cash=CASH, config=config) as result:
        assert ("FS084", "SWING") in alerts(result)
        assert [one.lock_code for one in closed[:4]] == [None, None, "FS084", "FS084"]
        assert pools(result)["SWING"].pool_state == "LOCKED"
        assert pools(result)["SCALP"].lock_code in (None, "FS084")


def test_what_a_day_without_an_evaluation_finds_is_told_and_ends_nothing(sample, monkeypatch):
    real, opened = CapitalTransferService.open_day, []

    def open_day(service, day):
        done = real(service, day)
        opened.append(day.date)
        found = CapitalAlert("FS086", None, "FAIL", "cannot be kept")
        return done._replace(alerts=(found,), output=None) if len(opened) == 3 else done

    monkeypatch.setattr(CapitalTransferService, "open_day", open_day)
    config = load_config(None, {"capital.mode": "ON"})
    with backtest(sample.daily, ["daily_momentum"], cash=CASH, config=config) as result:
        assert ("FS086", None) in alerts(result)
        assert any(change["cause"] == "FS086" for change in result.report["states"])


def test_an_engine_of_capital_that_fails_lets_the_run_go_on_without_entries(sample, monkeypatch):
    def evaluate(self, inp):
        raise ArithmeticError("no answer")

    monkeypatch.setattr(CapitalEngine, "evaluate", evaluate)
    with backtest(sample.ticks, ["quote_reversion", SwingReversion], cash=CASH) as result:
        assert result.report["fills"] == 0
        assert ("AN081", None) in alerts(result)
        assert result.report["account"]["cash_end"] == str(CASH)


def test_a_failure_that_passes_is_asked_again(sample, monkeypatch):
    real, calls = CapitalEngine.evaluate, []

    def evaluate(self, inp):
        calls.append(inp)
        if len(calls) < 3:
            raise ArithmeticError("no answer")
        return real(self, inp)

    monkeypatch.setattr(CapitalEngine, "evaluate", evaluate)
    with backtest(sample.ticks, ["quote_reversion", SwingReversion], cash=CASH) as result:
        assert result.report["fills"] > 0
        assert ("AN081", None) not in alerts(result)


def test_pools_below_their_least_amount_open_nothing_and_the_others_do(sample):
    with backtest(sample.ticks, ["quote_reversion", SwingReversion], cash=5_000_000) as result:
        assert {("GR051", "SWING"), ("GR051", "PORTFOLIO")} <= alerts(result)
        assert pools(result)["SWING"].pause_causes == ("BELOW_MIN",)
        assert {row.track for row in result._store.iter_fills()} == {"SCALP"}


def test_a_ledger_that_cannot_be_kept_ends_a_run_with_its_code(sample, monkeypatch):
    from qts.engine.capital_sink import RunCapitalSink

    real, count = RunCapitalSink.entries, []

    def entries(self, lines):
        count.append(lines)
        if len(count) > 12:
            raise EngineFault("FS086", found="disk full", expected="a ledger that can be written")
        real(self, lines)

    monkeypatch.setattr(RunCapitalSink, "entries", entries)
    with pytest.raises(EngineFault) as fault:
        backtest(sample.ticks, ["quote_reversion", SwingReversion], cash=CASH)
    assert fault.value.code == "FS086"
