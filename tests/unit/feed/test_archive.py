"""Files of ticks out of a store and into one."""

import asyncio
import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

import qts
from qts.codes import DataError, UsageError
from qts.data.ticks import SqliteTicks
from qts.engine.build import catalog_in, load_config
from qts.feed.archive import export_ticks, import_ticks, manifest_of, sha256_of

HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"
START = datetime(2020, 1, 1, tzinfo=UTC)
NS = 1_700_000_000_000_000_000


@pytest.fixture
def catalog():
    config = load_config(None)
    return catalog_in(config, "KRW")


def scales(catalog):
    return {instrument.symbol: instrument.qty_scale for instrument in catalog}


class Store:
    """A store in a directory, and what goes in and out."""

    def __init__(self, directory, catalog):
        self.directory = directory
        self.catalog = catalog

    def sink(self, source=""):
        return SqliteTicks(self.directory, source)

    def import_(self, path):
        return asyncio.run(import_ticks(path, self.catalog.core, self.sink))

    def export(self, path, *, start=START, days=366 * 5, source=None):
        # A range of years in parts of one: what a caller of a long history does.
        end = start + timedelta(days=days)
        return asyncio.run(export_ticks(self.sink(), path, start, end, scales=scales(self.catalog), source=source))


@pytest.fixture
def store(tmp_path, catalog):
    return Store(tmp_path / "store", catalog)


def text_of(path):
    with gzip.open(path, "rt") if path.name.endswith(".gz") else path.open() as file:
        return file.read()


def span(path):
    lines = text_of(path).splitlines()[1:]
    first = datetime.fromtimestamp(int(lines[0].split(",")[0]) / 1e9, UTC)
    return first - timedelta(days=2)


@pytest.mark.parametrize("name", ["again.csv", "again.csv.gz", "again.parquet"])
def test_a_file_that_went_through_the_store_decides_the_same(tmp_path, store, sample, name):
    found = store.import_(sample.ticks)
    assert (found.stored, found.rejected) == (found.rows, {})
    out = tmp_path / name
    manifest = store.export(out, start=span(sample.ticks), days=30)
    assert manifest.rows == found.rows
    assert json.loads(manifest_of(out).read_text())["sha256"] == sha256_of(out) == manifest.sha256
    if not name.endswith("parquet"):
        assert text_of(out) == text_of(sample.ticks)
    reports = []
    for path in (sample.ticks, out):
        with qts.backtest(path, strategy="ema_cross") as result:
            reports.append(result.report["run"]["decision_hash"])
    assert reports[0] == reports[1]


def test_a_second_import_adds_nothing_and_one_that_was_cut_off_goes_on(tmp_path, store, sample):
    rows = len(text_of(sample.ticks).splitlines()) - 1

    class Dies(SqliteTicks):
        left = 3

        async def copy(self, batch, rejected, *, through_seq):
            Dies.left -= 1
            if Dies.left < 0:
                raise KeyboardInterrupt
            return await super().copy(batch, rejected, through_seq=through_seq)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(import_ticks(sample.ticks, store.catalog.core, lambda source: Dies(store.directory, source)))
    first = store.import_(sample.ticks)
    assert 0 < first.stored < rows
    assert first.stored + 3 * 8_192 == rows
    assert store.import_(sample.ticks)._replace(stored=0) == first._replace(stored=0)
    out = tmp_path / "all.csv"
    store.export(out, start=span(sample.ticks), days=30)
    assert text_of(out) == text_of(sample.ticks)


def test_a_bad_row_at_the_end_leaves_the_store_as_it_was(tmp_path, store):
    path = tmp_path / "ticks.csv"
    good = "".join(f"{NS + at},{NS + at},005930,T,70000,1,BUY,,,,\n" for at in range(100))
    path.write_text(HEADER + good + f"{NS + 200},{NS + 200},005930,T,7x,1,BUY,,,,\n")
    with pytest.raises(DataError, match="102: price"):
        store.import_(path)
    assert not store.directory.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [(None, "cannot be read"), ("date,symbol,open,high,low,close,volume\n2024-01-02,005930,1,1,1,1,1\n", "bars")],
)
def test_what_is_no_file_of_ticks_is_refused(tmp_path, store, content, match):
    path = tmp_path / "x.csv"
    if content:
        path.write_text(content)
    with pytest.raises(DataError, match=match):
        store.import_(path)


def test_a_file_that_is_not_what_its_manifest_says_is_refused(tmp_path, store):
    path = tmp_path / "ticks.csv"
    path.write_text(HEADER + f"{NS},{NS},005930,Q,,,,69900,1,70000,2\n")
    store.import_(path)
    out = tmp_path / "out.csv"
    store.export(out, start=datetime(2023, 11, 1, tzinfo=UTC), days=30)
    out.write_text(out.read_text().replace("69900", "69800"))
    with pytest.raises(DataError, match="as its manifest says"):
        store.import_(out)
    manifest_of(out).write_text("{}")
    with pytest.raises(DataError, match="manifest that cannot be read"):
        store.import_(out)


def test_an_export_that_fails_leaves_no_file(tmp_path, store, sample):
    out = tmp_path / "out.csv"
    with pytest.raises(DataError, match="no ticks"):
        store.export(out, days=10)
    store.import_(sample.ticks)
    with pytest.raises(DataError, match="000660"):
        asyncio.run(
            export_ticks(
                store.sink(), out, span(sample.ticks), span(sample.ticks) + timedelta(30), scales={"005930": 0}
            )
        )
    with pytest.raises(UsageError, match=r"out\.txt"):
        store.export(tmp_path / "out.txt")
    with pytest.raises(UsageError, match="366"):
        store.export(out)
    assert list(tmp_path.glob("*out*")) == []


def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path, store):
    peaks = []
    for rows in (20_000, 60_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write(HEADER)
            file.writelines(f"{NS + at},{NS + at},005930,T,70000,1,BUY,,,,\n" for at in range(rows))
        tracemalloc.start()
        found = store.import_(path)
        store.export(tmp_path / "out.csv", start=datetime(2023, 11, 1, tzinfo=UTC), days=30, source=found.source)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3
