import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import qts
from qts.codes import DataError, UsageError
from qts.feed import inspect, write_csv, write_csv_gz
from qts.feed.files import TICK_COLUMNS


def test_a_file_is_known_by_its_content_not_by_its_name(sample, tmp_path):
    assert inspect(sample.ticks)[1:] == ("ticks", False, "005930")
    assert inspect(sample.daily)[1:] == ("bars", False, "005930")
    renamed = tmp_path / "ticks.txt"
    renamed.write_bytes(sample.ticks.read_bytes())
    assert inspect(renamed).kind == "ticks"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"a,b,c\n1,2,3\n", "the header 'a,b,c'"),
        (b"\x1f\x8bnot gzip after all", "a file that cannot be read"),
        (b"\xff\xfe\x00\x01\n", "a file that cannot be read"),
        (b"PAR1 but no Parquet", "damaged Parquet data"),
    ],
)
def test_what_is_no_market_data_is_told(tmp_path, content, found):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        inspect(path)
    assert error.value.found.startswith(found)
    assert str(path) in error.value.where


def test_a_missing_file_and_a_directory_are_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        inspect(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="a directory"):
        inspect(tmp_path)


def test_parquet_gives_what_its_csv_gives(sample, tmp_path):
    with gzip.open(sample.ticks, "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in (next(file) for _ in range(20_001))]
    header, body = rows[0], rows[1:]
    assert tuple(header) == TICK_COLUMNS
    text = tmp_path / "ticks.csv"
    text.write_text("\n".join(",".join(row) for row in rows) + "\n")
    columns = {
        name: pa.array([int(v) for v in values] if name.endswith("_ns") else list(values))
        for name, values in zip(header, zip(*body, strict=True), strict=True)
    }
    parquet = tmp_path / "ticks.parquet"
    pq.write_table(pa.table(columns), parquet)
    reports = []
    for path in (text, parquet):
        with qts.backtest(path, "quote_reversion", cash="100000000") as result:
            reports.append((result.report["run"]["decision_hash"], result.report["events"]["P1"]["admitted"]))
    assert reports[0] == reports[1]
    assert reports[0][1] == 20_000


def test_a_bad_value_in_parquet_is_told_by_row(sample, tmp_path):
    table = pa.table({name: pa.array(["1" if name.endswith("_ns") else "x"]) for name in TICK_COLUMNS})
    path = tmp_path / "bad.parquet"
    pq.write_table(table, path)
    with pytest.raises(DataError):
        qts.backtest(path, "quote_reversion")


def test_bars_in_parquet_are_refused(tmp_path):
    table = pa.table({name: pa.array(["1"]) for name in ("date", "symbol", "open", "high", "low", "close", "volume")})
    path = tmp_path / "bars.parquet"
    pq.write_table(table.set_column(1, "symbol", pa.array(["005930"])), path)
    with pytest.raises(DataError, match="bars in a Parquet file"):
        qts.backtest(path, "daily_momentum")


def test_written_files_are_whole_and_reproducible(tmp_path):
    chunks = [b"h\n1\n", b"2\n"]
    one, two = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz"
    assert write_csv_gz(one, chunks) == write_csv_gz(two, chunks) == 2
    assert one.read_bytes() == two.read_bytes()
    assert write_csv(tmp_path / "new" / "plain.csv", chunks) == 2

    def breaks():
        yield b"h\n"
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        write_csv(tmp_path / "half.csv", breaks())
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["one.csv.gz", "two.csv.gz"]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written to"):
        write_csv(tmp_path / "file" / "x.csv", [b"h\n"])
