"""Recorded ticks and bars: what a file holds, and how it reaches the core.

Rows are checked by one parser, that of the core. Parquet is handed to it as CSV text, chunk by chunk, so that a bad
value is told in the same words whatever the file was.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from qts.codes import DataError

if TYPE_CHECKING:
    from qts._core import StepEngine

Kind: TypeAlias = Literal["ticks", "bars"]

TICK_COLUMNS: Final = (
    "ts_event_ns", "ts_recv_ns", "symbol", "kind", "price", "qty", "side", "bid", "bid_qty", "ask", "ask_qty",
)  # fmt: skip
BAR_COLUMNS: Final = ("symbol", "open", "high", "low", "close", "volume")

_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"
_PARQUET_ROWS: Final = 32_768
_HINT: Final = "see docs/howto.md for the file formats; `qts-engine sample --out sample` writes examples"


class FeedFile(NamedTuple):
    """A file as far as its first row."""

    path: Path
    kind: Kind
    is_parquet: bool
    first_symbol: str


def inspect(path: Path) -> FeedFile:
    """Return what a file holds.

    Raises:
        DataError: it is missing, empty, not readable, or neither ticks nor bars.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        is_parquet = magic == _PARQUET_MAGIC
        if not magic:
            raise DataError(
                found="an empty file", expected="a header and at least one row", hint=_HINT, where=str(path)
            )
        rows = _parquet_head(path) if is_parquet else _text_head(path, magic)
    except FileNotFoundError:
        raise DataError(
            found="no such file", expected="a file of ticks or bars", hint="check the path", where=str(path)
        ) from None
    except IsADirectoryError:
        raise DataError(
            found="a directory",
            expected="a file of ticks or bars",
            hint="name the files in it",
            where=str(path),
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            found=f"a file that cannot be read ({error})",
            expected="CSV, gzipped CSV or Parquet",
            hint=_HINT,
            where=str(path),
        ) from None
    return FeedFile(path, _kind(path, rows[0]), is_parquet, _first_symbol(rows))


def _text_head(path: Path, magic: bytes) -> list[list[str]]:
    """Return header and first row of CSV text."""
    is_gzip = magic[:2] == _GZIP_MAGIC
    with gzip.open(path, "rt", encoding="utf-8-sig") if is_gzip else path.open(encoding="utf-8-sig") as file:
        rows = csv.reader(line for line in (file.readline(65_536), file.readline(65_536)) if line)
        return [*rows] or [[]]


def _parquet_head(path: Path) -> list[list[str]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=1):
            return [names, [str(batch.column(name)[0]) for name in names]]
    except pyarrow.ArrowException as error:
        raise DataError(
            found=f"damaged Parquet data ({error})",
            expected="a whole Parquet file",
            hint=_HINT,
            where=str(path),
        ) from None
    return [names]


def _kind(path: Path, header: Sequence[str]) -> Kind:
    names = tuple(name.strip() for name in header)
    if "ts_recv_ns" in names or "kind" in names:
        return "ticks"  # what is missing is told by the parser, column by column
    if names[:1] in (("date",), ("time",)) or set(BAR_COLUMNS) <= set(names):
        return "bars"
    raise DataError(
        found=f"the header {','.join(names)[:120]!r}",
        expected=f"ticks ({','.join(TICK_COLUMNS)}) or bars (date or time,{','.join(BAR_COLUMNS)})",
        hint=_HINT,
        where=f"{path}:1",
    )


def _first_symbol(rows: Sequence[Sequence[str]]) -> str:
    if len(rows) < 2:
        return ""
    return dict(zip((name.strip() for name in rows[0]), rows[1], strict=False)).get("symbol", "")


def add_feed(
    engine: "StepEngine",
    files: Sequence[FeedFile],
    sessions: "Sequence[tuple[int, int, int]]",
    *,
    skip_bad_rows: bool = False,
    bridge: tuple[int, int] | None = None,
) -> None:
    """Hand files to the core, which reads them as it runs and merges them by receive time.

    Args:
        engine: the core.
        files: what `inspect` returned.
        sessions: hours by date for daily bars; see `_core.StepEngine.add_bars`.
        skip_bad_rows: count bad rows instead of ending at the first one.
        bridge: seed and trades a day: bars of a day are played as that many trades made up by chance between their
            open, high, low and close (39 = one in ten minutes), so that what trades inside the day has a market. It
            shows what the engine does there, not what would have been earned; see the core's `sim::bridge`.

    Raises:
        SourceError: a header is wrong.
        ValueError: a bridge that cannot be.
    """
    for file in files:
        path = str(file.path)
        if file.is_parquet and file.kind == "ticks":
            engine.add_chunks(path, parquet_as_csv(file.path), skip_bad_rows=skip_bad_rows)
        elif file.is_parquet:
            raise DataError(
                found="bars in a Parquet file",
                expected="bars as .csv or .csv.gz; Parquet holds ticks",
                hint="write the bars as CSV",
                where=path,
            )
        elif file.kind == "ticks":
            engine.add_ticks(path, skip_bad_rows=skip_bad_rows)
        else:
            engine.add_bars(path, sessions, skip_bad_rows=skip_bad_rows, bridge=bridge)
            if bridge is not None and all(one.kind == "bars" for one in files):
                engine.wait_for_prints()


def parquet_as_csv(path: Path) -> Iterator[bytes]:
    """Return a Parquet file as CSV text in chunks, header first, in constant memory."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    names = file.schema_arrow.names
    plain = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    yield (",".join(names) + "\n").encode()
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
        sink = pyarrow.BufferOutputStream()
        columns = pyarrow.RecordBatch.from_arrays([_as_csv_writes_it(column) for column in batch.columns], names)
        pyarrow.csv.write_csv(columns, sink, write_options=plain)
        yield sink.getvalue().to_pybytes()


def _as_csv_writes_it(column: Any) -> Any:  # noqa: ANN401 - an Arrow array
    """Return a column as one whose text the core's parser takes: what frames hold is not always what files hold."""
    import pyarrow

    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        return column.cast(pyarrow.timestamp("ns", kind.tz)).cast(pyarrow.int64())
    if pyarrow.types.is_floating(kind):
        return _without_exponents(column)
    if pyarrow.types.is_string_view(kind):
        return column.cast(pyarrow.string())
    return column


def _without_exponents(column: Any) -> Any:  # noqa: ANN401 - an Arrow array
    """Return floats with NaN as absent, and as plain decimal text if a number would be written with an exponent."""
    import pyarrow
    import pyarrow.compute

    known = pyarrow.compute.if_else(pyarrow.compute.is_nan(column), None, column)
    text = known.cast(pyarrow.string())
    if not pyarrow.compute.any(pyarrow.compute.match_substring(text, "e")).as_py():
        return known
    # The shortest decimal text of a float, spelled out: the value that the user sees, digit for digit.
    rows = (f"{Decimal(row):f}" if row is not None and "e" in row else row for row in text.to_pylist())
    return pyarrow.array(rows, pyarrow.string())
