"""Performance in a report: as numbers, as a table, and where it cannot be told."""

import json
import math
from decimal import Decimal

import pytest

import qts
from qts.engines import EquityDay, Holdings, PerformanceEngine, PerformanceInput, PerformanceSettings
from qts.ops.report.panels import performance_panel, shown
from qts.ops.report.performance import References, performance_dict

from ..engines.performance_samples import fill

SCOPE_KEYS = {"basis", "returns", "trades", "money", "slippage", "orders", "exposure", "error"}


@pytest.fixture(scope="module")
def result(sample):
    with qts.backtest(sample.daily, "ema_cross", cash="100000000") as done:
        yield done


def performance(days, fills=(), start=1_000_000, **more):
    figures = PerformanceEngine(PerformanceSettings(Decimal("0.03"), 250)).calculate_performance_metrics(
        PerformanceInput(start, days, fills, **more)
    )
    return performance_dict(figures, 0)


def numbers(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, float):
        yield value


def test_every_scope_has_every_key_and_every_number_is_one(result):
    figures = result.performance
    assert set(figures) == {"account", "tracks", "strategies", "risk_free_rate", "trading_days_per_year"}
    for scope in (figures["account"], *figures["tracks"].values(), *figures["strategies"].values()):
        assert set(scope) == SCOPE_KEYS
    assert set(figures["tracks"]) == {"SCALP"}
    assert set(figures["strategies"]) == {"ema_cross"}
    assert all(math.isfinite(number) and round(number, 9) == number for number in numbers(figures))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_figures_agree_with_the_books(result):
    account, money = result.report["account"], result.performance["account"]["money"]
    fills = result.fills
    assert Decimal(money["fees"]) == Decimal(account["fees"]) == fills["fee"].sum()
    assert Decimal(money["taxes"]) == Decimal(account["taxes"])
    assert money["fills"] == result.report["fills"] == len(fills)
    amounts = (fills["qty"] * fills["price"]).groupby(fills["side"]).sum()
    assert (Decimal(money["bought"]), Decimal(money["sold"])) == (amounts["BUY"], amounts["SELL"])
    assert result.report["positions"] == []  # flat: everything is realised
    assert Decimal(money["realized_net"]) == Decimal(account["cash_end"]) - Decimal(account["cash_start"])
    growth = 1 + result.performance["account"]["returns"]["total_return"]
    assert growth == pytest.approx(float(Decimal(account["equity_end"]) / Decimal(account["cash_start"])), abs=1e-9)


def test_slippage_is_measured_against_the_quote_of_the_decision(result):
    references = {}
    for line in result._recorder.decisions_path.read_text().splitlines():
        row = json.loads(line)
        if row["action"] != "NONE" and row["ref_price"] is not None:
            references[row["decision_id"]] = float(row["ref_price"])
    costs = []
    for one in result._store.iter_fills():
        if (reference := references.get(one.decision_id)) is not None:
            worse = (one.price - reference) * (1 if one.side == "BUY" else -1)
            costs.append((worse / reference * 10_000, one.amount))
    slippage = result.performance["account"]["slippage"]
    assert slippage["fills"] == len(costs) > 0
    assert slippage["mean_bps"] == pytest.approx(
        sum(bps * amount for bps, amount in costs) / sum(amount for _, amount in costs), abs=1e-6
    )


def line(decision_id, ts_ns, ref_price, action="BUY"):
    return json.dumps(
        {"action": action, "decision_id": decision_id, "ref_price": ref_price, "ts_ns": ts_ns}, separators=(",", ":")
    )


def test_references_are_read_no_further_than_the_fills(result, monkeypatch):
    monkeypatch.setattr("qts.ops.report.performance._MAX_REFERENCES", 2)
    symbol = result.fills["symbol"].iloc[0]
    read = []

    def lines():
        for number, text in enumerate(
            (
                line("a", 10, "100"),
                line("refused", 11, "1", "NONE"),
                line("b", 20, None),
                line("c", 30, "300"),
                line("d", 30, "400"),
                line("e", 90, "900"),
            )
        ):
            read.append(number)
            yield text

    find = References(lines(), result._catalog)
    assert find(fill("BUY", 1, 1, symbol=symbol, ref="a", ts_ns=15)) == 100
    assert read == [0, 1, 2]
    assert find(fill("BUY", 1, 1, symbol=symbol, ref="b", ts_ns=25)) is None
    assert find(fill("BUY", 1, 1, symbol=symbol, ref="d", ts_ns=31)) == 400
    assert find(fill("SELL", 1, 1, symbol=symbol, ref="a", ts_ns=32)) is None  # the oldest of three made room
    assert find(fill("SELL", 1, 1, symbol=symbol, ref="e", ts_ns=33)) is None  # decided later than this fill
    assert find(fill("SELL", 1, 1, symbol=symbol, ref="e", ts_ns=99)) == 900


def test_the_table_names_its_parameters_and_what_its_columns_mean():
    days = [EquityDay("2024-01-02", 1_000_100, 100), EquityDay("2024-02-01", 1_000_050, 0)]
    figures = performance(days, [fill("BUY", 1, 100, fee=1)], holdings={"2024-01-02": [Holdings("SCALP", "A", 100)]})
    html = performance_panel(figures, "en")
    assert "risk-free rate of 0.03 a year and 250 trading days a year" in html
    assert "over the equity of the whole account" in html
    assert "unit price" not in html
    assert "Returns by month" in html
    assert "샤프·소르티노 비율의 무위험 수익률은 연 0.03" in performance_panel(figures, "ko")
    prices = {"SCALP": [("2024-01-02", Decimal("1.5"))]}
    assert "unit price" in performance_panel(performance(days, unit_prices=prices), "en")


def test_what_cannot_be_told_says_so_and_stays_text():
    figures = performance([EquityDay("2024-01-02", -1, 0)], [fill("SELL", 1, 100, strategy="<b>")])
    html = performance_panel(figures, "en")
    assert figures["account"]["error"]["code"] == "FE040"
    assert "FE040: on 2024-01-02 the equity went from 1000000" in html
    assert "FE040: SCALP sold 1 units of A on 2024-01-02 and held 0" in html
    assert "<b>" not in html
    assert "Sharpe" not in html.split("<p")[0]


def test_years_of_months_are_compounded():
    days = [EquityDay(f"20{year}-{month:02d}-02", 100 + month, 0) for year in (23, 24) for month in range(1, 13)]
    html = performance_panel(performance(days, start=100), "en").split("Returns by month")[1]
    assert html.count("<tr>") == 3
    assert "<td class='n'>2023</td>" in html
    assert "12.00 %" in html
    assert "0.00 %" in html.rsplit("<tr>", 1)[1]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "pct", "-"),
        (-0.000001, "pct", "0.00 %"),
        (12.5, "pct", "1,250.00 %"),
        (1.23456, "ratio", "1.235"),
        (-7.126, "bps", "-7.13 bps"),
        (0.25, "time", "250.0 ms"),
        (90, "time", "90.0 s"),
        (600, "time", "10.0 min"),
        (7_200, "time", "2.0 h"),
        (864_000, "time", "10.0 d"),
        (2.5, "ms", "2.5 ms"),
        ("-1234567.5", "money", "-1,234,567.5"),
        (1_234, "count", "1,234"),
    ],
)
def test_figures_as_they_are_shown(value, kind, text):
    assert shown(value, kind) == text
