"""Pools in a report: panels, rows and frames, of a run that has them and of one that has none."""

import csv
import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

import qts
from qts.capital.config import CapitalFlowConfig, ScalpPromotion
from qts.capital.contracts import POOLS, CapitalAlert, PoolState, TransferStatus
from qts.codes import UsageError
from qts.data import SQLiteStore
from qts.ops.report import BacktestResult, RunRecorder
from qts.ops.report.capital import CapitalRecorder, capital_dict, transfer_rows
from qts.ops.report.charts_capital import pool_lines
from qts.ops.report.panels import capital_panels, progress_text
from qts.ops.report.write import CAPITAL_FILES, EXECUTION_FILES, FILES, check_target

from .pool_samples import PAUSED, START, fill_years, pool, transfer

YEARS = 2_450


@pytest.fixture(scope="module")
def plain(sample):
    with qts.backtest(sample.daily, "ema_cross", cash="100000000") as result:
        yield result


@pytest.fixture(scope="module")
def pooled(plain):
    """The run of `plain` with ten years of pools put beside its books."""
    fill_years(plain._recorder, YEARS)
    yield BacktestResult(plain._run, plain._recorder, plain._store, plain._catalog)
    plain._recorder._capital = CapitalRecorder()


def recorded(*rows, days=(date(2024, 1, 2),)):
    recorder = CapitalRecorder()
    for day in days:
        recorder.on_pools(str(day), rows)
    return recorder.figures()


def test_a_run_without_pools_says_nothing_of_them(plain, tmp_path):
    assert "capital" not in plain.report
    assert plain.capital is None
    assert plain.plot_capital() is None
    out = plain.write(tmp_path / "plain")
    assert {path.name for path in out.iterdir()} == FILES | EXECUTION_FILES
    assert "Capital pools" not in (out / "report.html").read_text()


def test_a_run_with_pools_has_their_files_and_keys(pooled, tmp_path):
    out = pooled.write(tmp_path / "pooled")
    assert {path.name for path in out.iterdir()} == FILES | CAPITAL_FILES | EXECUTION_FILES
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads(json.dumps(pooled.report))
    assert set(report["capital"]) == {
        "first_day", "last_day", "pools", "transfers", "transfers_left_out", "alerts",
    }  # fmt: skip
    assert [row["pool"] for row in report["capital"]["pools"]] == list(POOLS)
    with (out / "capital_pools.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == YEARS * len(POOLS)
    last = {row["pool"]: row for row in rows[-3:]}
    for row in report["capital"]["pools"]:
        assert {name: last[row["pool"]][name] for name in ("total", "unit_price", "share", "target")} == {
            name: row[name] for name in ("total", "unit_price", "share", "target")
        }
        assert re.fullmatch(r"\d+", row["total"])
    with (out / "capital_transfers.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == report["capital"]["transfers"]


def test_either_report_may_be_replaced_by_the_other(plain, pooled, tmp_path):
    out = tmp_path / "report"
    pooled.write(out)
    check_target(out)
    plain.write(out)
    assert {path.name for path in out.iterdir()} == FILES | EXECUTION_FILES
    pooled.write(out)
    assert {path.name for path in out.iterdir()} == FILES | CAPITAL_FILES | EXECUTION_FILES
    (out / "capital_transfers.csv").unlink()
    with pytest.raises(UsageError, match="holds"):
        pooled.write(out)


def test_the_page_opens_offline_and_shows_the_pools(pooled, tmp_path):
    page = (pooled.write(tmp_path / "report") / "report.html").read_text()
    assert not re.search(r"<script[^>]+src=|<link[^>]+href=|<img[^>]+src=[\"']http", page)
    assert len(re.findall(r"^\* plotly\.js v", page, re.MULTILINE)) == 1
    assert page.count("Plotly.newPlot(") == 2
    assert "750,000 / 1,000,000 = 75 %" in page
    assert "profit=1500000; sharpe=1.800000" in page
    assert "drift 10.40 points" in page
    assert "45 earlier ones are in capital_transfers.csv" in page
    assert page.count("SCALP → SWING") == 200


def test_ten_years_are_drawn_in_bounded_space_and_to_the_last_day(pooled):
    lines = pool_lines(pooled._pools.daily)
    last = pooled._pools.daily[-1].day
    for line in lines:
        assert 700 < len(line.days) <= 1_501
        assert (line.days[0], line.days[-1]) == (START.isoformat(), last)
        assert list(line.days) == sorted(line.days)
    for column in zip(*(line.shares_pct for line in lines), strict=True):
        assert sum(column) == pytest.approx(100, abs=0.02)
    figure = pooled.plot_capital("ko")
    borders = [trace for trace in figure.data if trace.line.dash == "dash"]
    assert [trace.y[-1] for trace in borders] == pytest.approx([40, 75, 100])
    assert [trace.stackgroup for trace in figure.data if trace.stackgroup] == ["share"] * 3


def test_frames_hold_exact_decimals(pooled):
    frames = pooled.capital
    assert len(frames.daily) == YEARS * len(POOLS)
    first = frames.daily.iloc[0]
    assert isinstance(first["total"], Decimal)
    assert first["total"] == first["available"] + first["invested"] + first["reserved"] + first["held"]
    assert frames.transfers["amount"].map(type).eq(Decimal).all()
    assert set(frames.transfers["status"]) == {"COMMITTED", "PENDING"}
    assert set(frames.transfers[frames.transfers["status"] == "PENDING"]["code"]) == {"GR056"}
    assert pd.api.types.is_integer_dtype(frames.alerts["times"])


def test_tracks_with_a_pool_are_measured_by_its_unit_price(pooled):
    for name, scope in pooled.performance["tracks"].items():
        prices = [row.unit_price for row in pooled._pools.daily if row.pool == name]
        assert scope["basis"] == "UNIT_PRICE"
        assert scope["returns"]["total_return"] == pytest.approx(float(prices[-1]) - 1, abs=1e-6)
        assert scope["returns"]["days"] == YEARS


def test_key_figures_name_the_pools(pooled):
    english, korean = pooled.summary("en"), pooled.summary("ko")
    assert re.search(r"Pool SCALP +[\d,]+ \(\d+\.\d\d %\), ACTIVE", english)
    assert re.search(r"Capital transfers +210", english)
    assert "풀 SCALP" in korean


# What is kept


def test_the_last_word_of_a_day_and_of_a_transfer_counts():
    recorder = CapitalRecorder()
    assert recorder.figures() is None
    day = date(2024, 1, 2)
    recorder.on_pools(str(day), [pool("SCALP", 1)])
    recorder.on_pools(str(day), [pool("SCALP", 2)])
    recorder.on_transfer(transfer(1, day, status=TransferStatus.PENDING), "GR054")
    recorder.on_transfer(transfer(2, day), "")
    recorder.on_transfer(transfer(1, day), "")
    figures = recorder.figures()
    assert [row.total for row in figures.daily] == [2]
    assert [(row.transfer.transfer_id, row.transfer.status.value, row.code) for row in figures.transfers] == [
        ("t1", "COMMITTED", ""),
        ("t2", "COMMITTED", ""),
    ]


def test_findings_are_counted_by_day_and_told_by_code():
    recorder = CapitalRecorder()
    recorder.on_pools("2024-01-02", [pool("SCALP", 1)])
    for day, times in (("2024-01-02", 3), ("2024-01-04", 1)):
        for number in range(times):
            recorder.on_alert(day, CapitalAlert("GR057", "SWING", "WARNING", f"sharpe missing {number}"))
    recorder.on_alert("2024-01-02", CapitalAlert("FS080", None, "LOCKDOWN", "no capital"))
    figures = recorder.figures()
    assert [(row.day, row.code, row.pool, row.times) for row in figures.alerts] == [
        ("2024-01-02", "FS080", "", 1),
        ("2024-01-02", "GR057", "SWING", 3),
        ("2024-01-04", "GR057", "SWING", 1),
    ]
    told = capital_dict(figures, CapitalFlowConfig(), 0)["alerts"]
    assert told[0]["pool"] is None
    assert (told[1]["times"], told[1]["days"], told[1]["first_day"], told[1]["last_day"]) == (
        4, 2, "2024-01-02", "2024-01-04",
    )  # fmt: skip


def test_a_flood_of_transfers_is_counted_and_not_kept(monkeypatch):
    monkeypatch.setattr("qts.ops.report.capital._MAX_TRANSFERS", 2)
    recorder = CapitalRecorder()
    recorder.on_pools("2024-01-02", [pool("SCALP", 1)])
    for number in range(5):
        recorder.on_transfer(transfer(number, date(2024, 1, 2)), "")
    figures = recorder.figures()
    assert (len(figures.transfers), figures.transfers_left_out) == (2, 3)
    assert capital_dict(figures, CapitalFlowConfig(), 0)["transfers_left_out"] == 3


def test_progress_goes_by_the_smaller_of_profit_and_gain_and_by_the_configured_threshold():
    rules = replace(CapitalFlowConfig(), s2w=replace(ScalpPromotion(), min_accumulated_profit=2_000_000))
    rows = (
        pool("SCALP", 10, profit=1_500_000, gain=500_000, promotion_eligible=True),
        pool("SWING", 10, profit=6_000_000),
        pool("PORTFOLIO", 10),
    )
    told = capital_dict(recorded(*rows), rules, 0)["pools"]
    assert [progress_text(row["promotion"]) for row in told] == [
        "500,000 / 2,000,000 = 25 %",
        "6,000,000 / 5,000,000 = 120 %",
        "-",
    ]
    lost = capital_dict(recorded(pool("SCALP", 10, profit=500_000, gain=-7)), rules, 0)["pools"][0]["promotion"]
    assert (lost["promotable"], lost["progress"]) == ("-7", 0.0)


def test_states_with_their_causes_and_markup_in_texts():
    recorder = CapitalRecorder()
    locked = pool("SWING", 10, state=PoolState.LOCKED, lock_code="FS082", lock_reason="drawdown")
    recorder.on_pools("2024-01-02", [pool("SCALP", 10, state=PoolState.PAUSED, causes=PAUSED), locked])
    recorder.on_alert("2024-01-02", CapitalAlert("GR050", None, "WARNING", "<script>alert(1)</script>"))
    html = capital_panels(capital_dict(recorder.figures(), CapitalFlowConfig(), 0), "", "en")
    assert "PAUSED (BELOW_MIN, DEFENSIVE)" in html
    assert "LOCKED (FS082)" in html
    assert "<script>" not in html
    assert "No capital has moved." in html


def test_money_is_written_in_the_scale_of_its_currency():
    recorder = CapitalRecorder()
    recorder.on_pools("2024-01-02", [pool("SCALP", 12_345)])
    recorder.on_transfer(transfer(1, date(2024, 1, 2), amount=150), "")
    figures = recorder.figures()
    assert capital_dict(figures, CapitalFlowConfig(), 2)["pools"][0]["total"] == "123.45"
    (row,) = transfer_rows(figures, 2)
    assert row[5] == "1.5"
    assert row[13:17] == ("100000", "50000", "99998.5", "50001.5")


# What the recorder keeps for the figures


def test_the_recorder_keeps_the_last_equity_of_each_day_of_the_exchange():
    with SQLiteStore(None, batch=100) as store:
        recorder = RunRecorder(store, utc_offset_s=9 * 3_600)
        hour = 3_600 * 10**9
        for hours, cash, value in ((14, 100, 0), (16, 60, 50), (20, 70, 30), (40, 10, 110)):
            recorder.on_equity(hours * hour, cash, value)
        recorder.on_flow("1970-01-01", 5)
        recorder.on_flow(date(1970, 1, 2), 7)
        recorder.on_flow("1969-12-31", 1)
        recorder.on_flow("1970-02-01", 99)
        recorder.close()
        store._equity.clear()
    assert recorder.days() == [("1970-01-01", 100, 0, 6), ("1970-01-02", 100, 30, 7), ("1970-01-03", 120, 110, 0)]
    assert recorder.peak_exposure == (110, 120)
    assert recorder.holdings() is None


def test_what_the_recorder_is_told_reaches_the_figures(sample):
    with qts.backtest(sample.daily, "ema_cross", cash="100000000") as run:
        fills = run.fills
        held = [(fill.track, fill.symbol, 5_000_000) for fill in list(run._store.iter_fills())[:1]]
        day = run._recorder.days()[-1].day
        run._recorder.on_holdings(day, [])
        run._recorder.on_holdings(run._recorder.days()[0].day, held)
        run._recorder.on_income(day, held[0][0], held[0][1], 1_234)
        again = BacktestResult(run._run, run._recorder, run._store, run._catalog)
        assert len(fills) == again.report["fills"]
        scope = again.performance["strategies"]["ema_cross"]
        assert scope["basis"] == "CONTRIBUTION"
        assert scope["money"]["income"] == "1234"
        assert again.performance["account"]["slippage"]["fills"] > 0
        assert again.figures.account.money.fills == len(fills)
