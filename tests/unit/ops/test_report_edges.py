"""Reports that meet trouble: places that are taken, disks that fill up, runs without a fill, names with markup."""

import csv
import errno
import re
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qts
from qts.codes import UsageError
from qts.data import SQLiteStore
from qts.ops.report import RunRecorder, check_target, verify_identity, write
from qts.ops.report.series import Series, Thinned


@pytest.fixture(scope="module")
def result(sample):
    with qts.backtest(sample.ticks, "quote_reversion", cash="100000000") as done:
        yield done


@pytest.fixture(scope="module")
def idle(sample, tmp_path_factory):
    """A run in which nothing was traded: a configuration directory without files leaves trading switched off."""
    with qts.backtest(sample.ticks, "quote_reversion", config=tmp_path_factory.mktemp("config")) as done:
        yield done


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# Whole or not at all


@pytest.mark.parametrize("name", ["report.json", "fills.csv", "report.html"])
def test_a_file_that_only_has_the_name_of_ours_is_not_overwritten(result, tmp_path, name):
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("not a report of qts-engine")
    with pytest.raises(UsageError, match=re.escape(name)):
        result.write(out)
    assert contents(tmp_path) == {Path("mine") / name: b"not a report of qts-engine"}


def test_a_report_with_something_added_is_left_alone(result, tmp_path):
    out = result.write(tmp_path / "report")
    (out / "notes.txt").write_text("what I learnt")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"notes\.txt"):
        result.write(out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("earlier", [True, False])
def test_trouble_half_way_leaves_what_was_there(result, tmp_path, monkeypatch, trouble, earlier):
    out = tmp_path / "report"
    if earlier:
        result.write(out)
    before = contents(tmp_path)

    def broken(*_):
        raise trouble

    monkeypatch.setattr(write, "page", broken)
    with pytest.raises((UsageError, KeyboardInterrupt)) as caught:
        result.write(out)
    if isinstance(trouble, OSError):
        assert "No space left on device" in str(caught.value)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["report"] if earlier else [])


def test_an_earlier_report_comes_back_if_the_new_one_cannot_take_its_place(result, tmp_path, monkeypatch):
    out = result.write(tmp_path / "report")
    before = contents(tmp_path)
    rename = Path.rename

    def refuses_the_new_one(self, target):
        if self.name.startswith(".report-") and Path(target) == out:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuses_the_new_one)
    with pytest.raises(UsageError, match="Input/output error"):
        result.write(out)
    monkeypatch.undo()
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_the_current_directory_and_a_link_are_places_too(result, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    result.write(".")
    assert len(contents(here)) == 7
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    result.write(tmp_path / "link")
    assert len(contents(real)) == 7
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "here", "link"]


def test_places_are_judged_before_a_long_run(sample, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="is a file"):
        qts.backtest(sample.ticks, "ema_cross", out=tmp_path / "file")
    check_target(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")


# The page


class _Page(HTMLParser):
    """Text outside scripts, and everything that would be fetched."""

    def __init__(self):
        super().__init__()
        self.fetched = []
        self.text = []
        self.tags = []
        self._in_script = False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in_script = tag == "script"
        self.fetched += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]

    def handle_endtag(self, tag):
        if tag == "script":
            self._in_script = False

    def handle_data(self, data):
        if not self._in_script:
            self.text.append(data)


def test_the_page_fetches_nothing_and_holds_the_library_once(result, tmp_path):
    text = (result.write(tmp_path / "report") / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.fetched == []
    assert not re.search(r"https?://|@import|url\(", "".join(page.text))
    assert len(re.findall(r"^\* plotly\.js v", text, re.MULTILINE)) == 1
    assert text.count("Plotly.newPlot(") == 1


def test_markup_in_names_stays_text(result, tmp_path, monkeypatch):
    nasty = "<script>alert(1)</script>&.csv"
    monkeypatch.setitem(result.report["run"], "data", [{"path": nasty, "rows": 1, "bad_rows": 0}])
    monkeypatch.setitem(result.report["run"], "strategy", "<img src=x>")
    page = _Page()
    page.feed((result.write(tmp_path / "report") / "report.html").read_text())
    assert nasty in "".join(page.text)
    assert "img" not in page.tags
    assert nasty not in result._repr_html_()


def test_no_more_than_the_most_traded_symbols_are_drawn(result):
    figure = result.plot("en")
    drawn = [trace.name for trace in figure.data if " " not in trace.name and trace.name.isdigit()]
    counts = result.fills["symbol"].value_counts()
    assert 1 <= len(drawn) <= 6
    assert min(counts[drawn]) >= max(counts.drop(drawn), default=0)


# Rows and figures


def test_the_result_proves_its_own_identity(result, tmp_path):
    assert result.identity().holds
    assert result.identity() == verify_identity(result.write(tmp_path / "report"))


def test_a_changed_fill_breaks_the_identity_by_what_was_changed(result, tmp_path):
    out = result.write(tmp_path / "report")
    with (out / "fills.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["fee"] = str(Decimal(rows[0]["fee"]) + 1)
    with (out / "fills.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    identity = verify_identity(out)
    assert not identity.holds
    assert identity.cash_end - identity.recomputed == 1


def test_a_run_without_a_fill_has_a_report_with_all_its_columns(idle, tmp_path):
    assert list(idle.fills.columns)[:5] == ["time", "symbol", "track", "side", "qty"]
    assert idle.fills.empty
    assert idle.orders.empty
    assert "state" in idle.orders.columns
    out = idle.write(tmp_path / "report")
    assert (out / "fills.csv").read_text().count("\n") == 1
    assert (out / "report.html").stat().st_size > 1_000_000
    assert idle.identity().holds
    assert idle.report["account"]["max_drawdown"] == "0.00000000"


@settings(deadline=None)  # each example opens a store, which a busy machine takes its time for
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=200))
def test_the_deepest_drawdown_is_exact_over_all_samples(values):
    deepest = max((Fraction(max(values[: n + 1]) - value, max(values[: n + 1])) for n, value in enumerate(values)))
    with SQLiteStore(None, batch=10_000) as store:
        recorder = RunRecorder(store)
        for ts_ns, value in enumerate(values):
            recorder.on_equity(ts_ns, 0, value)
        recorder.close()
        store._equity.clear()
    assert Fraction(*recorder.max_drawdown) == deepest


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=3_000), st.integers(2, 20))
def test_a_series_of_any_length_keeps_its_extremes_in_bounded_space(values, buckets):
    series = Series(max_buckets=buckets)
    for ts_ns, value in enumerate(values):
        series.add(ts_ns, value)
    points = series.points()
    assert len(points) <= 2 * buckets
    assert {min(values), max(values)} <= {point.value for point in points}
    assert all(values[point.ts_ns] == point.value for point in points)


@given(st.integers(0, 5_000), st.integers(2, 50))
def test_a_thinned_stream_is_bounded_ordered_and_reaches_its_end(length, limit):
    thinned = Thinned(limit)
    for item in range(length):
        thinned.add(item)
    kept = thinned.kept
    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    if length <= limit:
        assert kept == list(range(length))
    else:
        assert kept[0] == 0
        assert length - kept[-1] <= 4 * length / limit
