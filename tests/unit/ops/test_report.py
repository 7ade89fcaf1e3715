import csv
import hashlib
import json
import re

import pytest

import qts
from qts.codes import UsageError
from qts.ops.report import check_target, verify_identity
from qts.ops.report.figures import average_price
from qts.ops.report.messages import say
from qts.ops.report.series import Series

FILES = ["decisions.jsonl", "equity.csv", "executions.jsonl", "fills.csv", "orders.csv", "report.html", "report.json"]


@pytest.fixture(scope="module")
def written(sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports") / "one"
    with qts.backtest(sample.ticks, "quote_reversion", cash="100000000", out=out) as result:
        yield out, result


def test_a_report_has_exactly_its_files_and_keys(written):
    out, result = written
    assert sorted(path.name for path in out.iterdir()) == FILES
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads(json.dumps(result.report))
    assert set(report) == {
        "run", "account", "events", "orders", "fills", "positions", "risk", "states", "latency_us", "cycles", "faults",
        "performance", "executions",
    }  # fmt: skip
    assert set(report["run"]) == {
        "id", "mode", "strategy", "config_hash", "decision_hash", "data", "wall_s", "events_per_s",
    }  # fmt: skip
    assert set(report["run"]["data"][0]) >= {"path", "rows", "first_ts", "last_ts"}
    assert set(report["account"]) == {
        "currency", "cash_start", "cash_end", "equity_end", "fees", "taxes", "realized_pnl", "unrealized_pnl",
        "max_drawdown",
    }  # fmt: skip
    assert set(report["events"]) == {"P0", "P1", "P2", "P3"}
    assert report["events"]["P0"]["dropped"] == 0
    assert report["fills"] > 0
    assert {"P0", "P1", "P2", "P3", "extract", "transform", "evaluate", "decide", "act"} <= set(report["latency_us"])


def test_the_identity_holds_and_the_hash_is_that_of_the_file(written):
    out, result = written
    assert verify_identity(out).holds
    decisions = (out / "decisions.jsonl").read_bytes()
    assert hashlib.sha256(decisions).hexdigest() == result.report["run"]["decision_hash"]
    for line in decisions.decode().splitlines():
        assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=True) == line


def test_rows_agree_with_the_figures(written):
    out, result = written
    with (out / "fills.csv").open() as file:
        fills = list(csv.DictReader(file))
    assert len(fills) == result.report["fills"] == len(result.fills)
    with (out / "orders.csv").open() as file:
        orders = list(csv.DictReader(file))
    assert len(orders) == sum(result.report["orders"].values()) == len(result.orders)
    with (out / "equity.csv").open() as file:
        equity = list(csv.DictReader(file))
    assert equity[-1]["equity"] == result.report["account"]["equity_end"]
    assert max(float(row["drawdown"]) for row in equity) == pytest.approx(
        float(result.report["account"]["max_drawdown"]), abs=1e-8
    )
    assert str(result.equity["equity"].iloc[-1]) == result.report["account"]["equity_end"]


def test_the_page_opens_offline(written):
    out, _ = written
    page = (out / "report.html").read_text()
    assert not re.search(r"<script[^>]+src=|<link[^>]+href=|<img[^>]+src=[\"']http", page)
    assert "Plotly" in page


def test_an_earlier_report_is_replaced_and_anything_else_is_left_alone(written, tmp_path):
    _, result = written
    out = tmp_path / "report"
    result.write(out)
    result.write(out)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"chapter1\.txt"):
        result.write(foreign)
    assert (foreign / "chapter1.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        check_target(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be written"):
        result.write(tmp_path / "file" / "below")


def test_a_result_shows_itself(written):
    _, result = written
    english, korean = result.summary("en"), result.summary("ko")
    assert "Cash at the end" in english
    assert "종료 현금" in korean
    assert "fills" in repr(result)
    assert "<table>" in result._repr_html_()
    figure = result.plot("ko")
    assert len(figure.data) > 4


def test_texts_are_there_in_both_languages():
    assert say.problems() == []


def test_a_series_stays_small_and_keeps_its_extremes():
    series = Series(max_buckets=50)
    values = [1_000 + (number * 7919) % 997 for number in range(20_000)]
    values[12_345] = -5
    values[17_001] = 99_999
    for ts_ns, value in enumerate(values):
        series.add(ts_ns, value)
    points = series.points()
    assert len(series) <= 50
    assert min(point.value for point in points) == -5
    assert max(point.value for point in points) == 99_999
    assert [point.ts_ns for point in points] == sorted(point.ts_ns for point in points)


def test_a_short_series_is_kept_whole():
    series = Series()
    for ts_ns in range(100):
        series.add(ts_ns, ts_ns % 7)
    assert [point.value for point in series.points()] == [ts_ns % 7 for ts_ns in range(100)]


def test_average_prices_are_exact_decimals():
    assert average_price(710_001, 10, 0, 0, 0) == "71000.1"
    assert average_price(0, 0, 0, 0, 0) == ""
    assert average_price(268_162_00000000, 100_00000000, 8, 8, 8) == "2681.62"
