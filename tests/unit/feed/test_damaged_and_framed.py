"""Files as other programs leave them: frames written as Parquet, and files that broke on the way."""

import gzip
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import qts
from qts.codes import DataError
from qts.feed import inspect
from qts.feed.files import TICK_COLUMNS, parquet_as_csv

ROWS = 3
START_NS = 1_723_161_256_310_000_000


def frame(**columns):
    """Quotes of one symbol as a data frame would hold them; absent is null."""
    times = [START_NS + row for row in range(ROWS)]
    quotes = {
        "ts_event_ns": pa.array(times),
        "ts_recv_ns": pa.array(times),
        "symbol": pa.array(["ETHUSDT"] * ROWS),
        "kind": pa.array(["Q"] * ROWS),
        "price": pa.nulls(ROWS, pa.float64()),
        "qty": pa.nulls(ROWS, pa.float64()),
        "side": pa.nulls(ROWS),
        "bid": pa.array([2681.62] * ROWS),
        "bid_qty": pa.array([1.165] * ROWS),
        "ask": pa.array([2681.63] * ROWS),
        "ask_qty": pa.array([73.077] * ROWS),
    }
    return pa.table(quotes | columns)


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("symbol", pa.array(["ETHUSDT"] * ROWS).dictionary_encode(), "ETHUSDT"),
        ("symbol", pa.array(["ETHUSDT"] * ROWS, pa.large_string()), "ETHUSDT"),
        ("symbol", pa.array(["ETHUSDT"] * ROWS, pa.string_view()), "ETHUSDT"),
        ("bid", pa.array([Decimal("2681.62")] * ROWS, pa.decimal128(18, 8)), "2681.62000000"),
        ("bid", pa.array([2681.62] * ROWS, pa.float32()), "2681.62"),
        ("bid_qty", pa.array([1e-7, 2.5, 73.077]), "0.0000001"),
        ("price", pa.array([float("nan")] * ROWS), ""),
        ("ts_recv_ns", pa.array(range(START_NS, START_NS + ROWS), pa.timestamp("ns", "UTC")), str(START_NS)),
        ("ts_recv_ns", pa.array([START_NS // 1_000] * ROWS, pa.timestamp("us")), str(START_NS)),
    ],
)
def test_what_frames_hold_arrives_as_the_parser_wants_it(tmp_path, column, values, text):
    path = tmp_path / "ticks.parquet"
    pq.write_table(frame(**{column: values}), path)
    lines = b"".join(parquet_as_csv(path)).decode().splitlines()
    assert lines[1].split(",")[TICK_COLUMNS.index(column)] == text
    with qts.backtest(path, "quote_reversion", cash="100000") as result:
        assert result.report["run"]["data"][0]["rows"] == ROWS


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame(bid_qty=pa.array([1.0, float("inf"), 1.0])), ":3: column bid_qty"),
        (frame(bid_qty=pa.array([1e22] * ROWS)), "10000000000000000000000"),
        (frame(symbol=pa.array(["ETHUSDT", "ETH,USDT", "ETHUSDT"])), "ETH,USDT"),
        (frame(side=pa.array([["BUY"]] * ROWS)), "list"),
        (frame(index=pa.array(range(ROWS))), 'unexpected "index"'),
        (frame().slice(0, 0), "a header and nothing else"),
    ],
)
def test_what_no_tick_can_be_is_told(tmp_path, table, message):
    path = tmp_path / "ticks.parquet"
    pq.write_table(table, path)
    with pytest.raises(DataError) as caught:
        qts.backtest(path, "quote_reversion", cash="100000").close()
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_parquet_is_read_in_pieces(tmp_path):
    path = tmp_path / "ticks.parquet"
    pq.write_table(pa.concat_tables([frame()] * 50_000), path)
    chunks = [len(chunk) for chunk in parquet_as_csv(path)]
    assert len(chunks) > 4
    assert max(chunks) < 4_000_000


def flipped(data, start, end):
    return data[:start] + bytes(byte ^ 0xFF for byte in data[start:end]) + data[end:]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:8], id="cut in the header"),
        pytest.param(lambda data: data[:15], id="cut in the first row"),
        pytest.param(lambda data: flipped(data, 12, 60), id="garbled at the start"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut in the middle"),
        pytest.param(lambda data: flipped(data, len(data) // 2, len(data) // 2 + 200), id="garbled in the middle"),
        pytest.param(lambda data: data[:-4] + b"\0\0\0\0", id="wrong length at the end"),
    ],
)
def test_a_gzip_file_that_broke_on_the_way_is_told_and_leaves_no_report(sample, tmp_path, damage):
    path = tmp_path / "ticks.csv.gz"
    path.write_bytes(damage(sample.ticks.read_bytes()))
    with pytest.raises(DataError) as caught:
        qts.backtest(path, "quote_reversion", out=tmp_path / "out").close()
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "qts-home"] == ["ticks.csv.gz"]


def test_a_byte_order_mark_and_joined_gzip_members_are_read(sample, tmp_path):
    with gzip.open(sample.ticks) as file:
        lines = [next(file) for _ in range(2_001)]
    path = tmp_path / "ticks.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + b"".join(lines[:1_000])) + gzip.compress(b"".join(lines[1_000:])))
    assert inspect(path).kind == "ticks"
    with qts.backtest(path, "quote_reversion", cash="100000000") as result:
        assert result.report["run"]["data"][0]["rows"] == 2_000
