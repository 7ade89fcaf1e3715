"""Ticks out of a store into files that the engine reads, and files into a store.

A file is written beside its place and renamed when it is whole, with a manifest that holds its SHA-256. What is read
goes through the core's own parser, once to see that all of it is good and once to keep it. The source of imported
ticks is named after the file's content, and a tick's number is that of its row: a second import adds nothing, and one
that was cut off goes on where it ended.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import io
import json
import tempfile
from collections import Counter
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from qts._core import SourceError, StepEngine, TickSpool, format_decimal
from qts.codes import DataError, UsageError
from qts.data.ticks import TickBatch, check
from qts.data.ticks.records import batch_of
from qts.feed.files import TICK_COLUMNS, inspect, parquet_as_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from qts._core import Instruments
    from qts.data.ticks import TickReader, TickRow, TickSink

    Scales = Mapping[str, int]
    """Decimals of quantities, by symbol."""

_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_CHUNK: Final = 1 << 20
_RECORDS: Final = 65_536
"""Records between two looks at the spool of an import."""
_BATCH: Final = 8_192
_DIGEST_LETTERS: Final = 15


class Manifest(NamedTuple):
    """What stands beside an exported file.

    Args:
        file: its name.
        rows: ticks in it.
        sha256: of its bytes.
        start: begin of the range, ISO 8601.
        end: end of the range; no tick is as late as that.
        symbols: those in the file.
    """

    file: str
    rows: int
    sha256: str
    start: str
    end: str
    symbols: tuple[str, ...]


class Imported(NamedTuple):
    """What became of a file.

    Args:
        source: name under which its ticks are kept.
        rows: ticks in the file.
        stored: kept by this import.
        rejected: kept apart, by cause.
    """

    source: str
    rows: int
    stored: int
    rejected: dict[str, int]


def manifest_of(path: Path) -> Path:
    """Return where the manifest of a file stands."""
    return path.with_name(path.name + ".manifest.json")


async def export_ticks(
    reader: TickReader, path: Path, start: datetime, end: datetime, *, scales: Scales, source: str | None = None
) -> Manifest:
    """Write the ticks from `start` to before `end` to a file, in the order in which they came, in constant memory.

    Args:
        reader: the store.
        path: ends with .csv, .csv.gz or .parquet; replaced if it is there.
        start: aware; bounds the market's time.
        end: aware.
        scales: decimals of quantities, by symbol.
        source: only the ticks of this source.

    Raises:
        UsageError: another suffix, or no range.
        DataError: there is no such tick, or one of a symbol that has no scale. No file is written.
        SinkUnavailable: the store does not answer. No file is written.
    """
    suffix = next((suffix for suffix in reversed(_SUFFIXES) if path.name.endswith(suffix)), None)
    if suffix is None:
        raise UsageError(found=f"a file called {path.name}", expected=f"a name that ends with {', '.join(_SUFFIXES)}")
    symbols: set[str] = set()
    rows = 0
    with _whole(path) as temporary:
        async with aclosing(reader.stream(start, end, source=source)) as blocks:
            with _writer(temporary, suffix) as writer:
                async for block in blocks:
                    symbols.update(row.symbol for row in block)
                    _check_scales(symbols, scales)
                    writer.write([_cells(row, scales[row.symbol]) for row in block])
                    rows += len(block)
        if not rows:
            raise DataError(
                found=f"no ticks from {start.isoformat()} to {end.isoformat()}",
                expected="at least one",
                hint="check the range and the source",
            )
        digest = sha256_of(temporary)
    found = Manifest(path.name, rows, digest, start.isoformat(), end.isoformat(), tuple(sorted(symbols)))
    with _whole(manifest_of(path)) as temporary:
        temporary.write_text(json.dumps(found._asdict(), indent=1) + "\n", encoding="utf-8")
    return found


async def import_ticks(path: Path, instruments: Instruments, make_sink: Callable[[str], TickSink]) -> Imported:
    """Put a file of ticks into a store, in constant memory.

    Args:
        path: CSV, gzipped CSV or Parquet, as the engine takes it.
        instruments: those that the file may name.
        make_sink: gives the store for a source.

    Raises:
        DataError: the file is not what its manifest says, or a row is at fault. Nothing has been stored.
        SinkUnavailable: the store does not answer. Importing again goes on where this ended.
    """
    digest = _checked_digest(path)
    if inspect(path).kind != "ticks":
        raise DataError(found="bars", expected="ticks", hint="bars are read by a backtest as they are", where=str(path))
    source = f"file:{digest[:_DIGEST_LETTERS]}"
    rows = await asyncio.to_thread(_count, path, instruments)
    sink = make_sink(source)
    try:
        begin = await sink.position()
        if begin >= rows:
            return Imported(source, rows, 0, {})
        with tempfile.TemporaryDirectory(prefix="qts-import-") as work:
            spool = TickSpool(Path(work) / "spool", segment_bytes=16 << 20, group_ms=1)
            try:
                stored, rejected = await _carry(_engine(path, instruments), spool, sink)
            finally:
                spool.close()
        return Imported(source, rows, stored, dict(rejected))
    finally:
        await sink.close()


def _engine(path: Path, instruments: Instruments) -> StepEngine:
    """Return an engine that has nothing to do but read the file."""
    engine = StepEngine(instruments, cash=0)
    with _told(path):
        if inspect(path).is_parquet:
            engine.add_chunks(str(path), parquet_as_csv(path))
        else:
            engine.add_ticks(str(path))
    return engine


def _count(path: Path, instruments: Instruments) -> int:
    engine = _engine(path, instruments)
    with _told(path):
        engine.run()
    return engine.records


async def _carry(engine: StepEngine, spool: TickSpool, sink: TickSink) -> tuple[int, Counter[str]]:
    """Run a file through the spool into the sink; how many were stored, and rejected by cause."""
    engine.record_ticks(spool)
    after = number = stored = 0
    rejected: Counter[str] = Counter()
    symbols: tuple[tuple[str, int, int], ...] = ()
    state = ""
    while state != "end":
        state = await asyncio.to_thread(engine.run, max_records=_RECORDS)
        while number < engine.records:
            data, table, through, lost = await asyncio.to_thread(spool.read, after, _BATCH)
            if lost:
                raise DataError(
                    found=f"{lost} rows that could not be written to {tempfile.gettempdir()}",
                    expected="a disk with room for a few files of 16 MiB",
                    hint="make room, or set TMPDIR, and import again",
                )
            if not data:
                await asyncio.sleep(0)
                continue
            symbols = symbols or tuple(spool.table(table))
            batch = batch_of(data, symbols)
            rows = batch.rows.copy()
            rows["seq"] = range(number + 1, number + 1 + len(rows))
            checked = check(TickBatch(rows, symbols))
            number += len(rows)
            stored += await sink.copy(checked.batch, checked.rejected, through_seq=number)
            rejected.update(checked.causes)
            after = through
            spool.keep_behind(after)
        await asyncio.to_thread(spool.retire)
    return stored, rejected


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell what the parser says in the words of this project."""
    try:
        yield
    except SourceError as error:
        _, line, column, found, expected = error.args
        place = f"{path}:{line}" if line else str(path)
        raise DataError(
            found=found,
            expected=expected,
            hint="correct the file; nothing of it has been stored",
            where=f"{place}: {column}" if column else place,
        ) from None


def _checked_digest(path: Path) -> str:
    """Return the SHA-256 of a file; DataError if its manifest names another one."""
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise DataError(
            found=f"a file that cannot be read ({error.strerror})",
            expected="a file of ticks",
            hint="check the path",
            where=str(path),
        ) from None
    beside = manifest_of(path)
    if not beside.exists():
        return digest
    try:
        expected = str(json.loads(beside.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            found=f"a manifest that cannot be read ({error})",
            expected="the manifest that was written with the file",
            hint="bring it back, or remove it to import the file unchecked",
            where=str(beside),
        ) from None
    if digest != expected:
        raise DataError(
            found=f"SHA-256 {digest}",
            expected=f"{expected}, as its manifest says",
            hint="the file has been changed or cut short: export it again",
            where=str(path),
        )
    return digest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_scales(symbols: set[str], scales: Scales) -> None:
    unknown = sorted(symbols - scales.keys())
    if unknown:
        raise DataError(
            found=f"ticks of {', '.join(unknown[:5])}, which the instrument table does not know",
            expected="an entry for each symbol",
            hint="add it to the instruments: without its scale a quantity means nothing",
        )


def _cells(row: TickRow, scale: int) -> tuple[object, ...]:
    """Return a tick as the cells of a file; empty text where something is absent."""

    def price(value: Any) -> str:  # noqa: ANN401 - a Decimal or None
        return "" if value is None else f"{value.normalize():f}"

    def qty(value: int | None) -> str:
        return "" if value is None else format_decimal(value, scale)

    is_trade = row.kind == "T"
    return (
        row.event_ns, row.recv_ns, row.symbol, row.kind, price(row.price), qty(row.volume) if is_trade else "",
        row.side or "", price(row.bid), qty(row.bid_qty), price(row.ask), qty(row.ask_qty),
    )  # fmt: skip


class _Writer(Protocol):
    def write(self, rows: Sequence[tuple[object, ...]]) -> None: ...


class _Text:
    def __init__(self, file: IO[str]) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(TICK_COLUMNS)

    def write(self, rows: Sequence[tuple[object, ...]]) -> None:
        self._rows.writerows(rows)


class _Parquet:
    def __init__(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow = pyarrow
        numbers, text = pyarrow.int64(), pyarrow.string()
        self._schema = pyarrow.schema([(name, numbers if name.endswith("_ns") else text) for name in TICK_COLUMNS])
        self._file = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[tuple[object, ...]]) -> None:
        columns = [[cell if cell != "" else None for cell in column] for column in zip(*rows, strict=True)]
        arrays = [self._arrow.array(cells, field.type) for cells, field in zip(columns, self._schema, strict=True)]
        self._file.write_batch(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._file.close()


@contextmanager
def _writer(path: Path, suffix: str) -> Iterator[_Writer]:
    if suffix == ".parquet":
        parquet = _Parquet(path)
        try:
            yield parquet
        finally:
            parquet.close()
    elif suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            yield _Text(file)
    else:
        # Without name and time in it, so that the same rows give the same bytes.
        with (
            path.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
        ):
            yield _Text(file)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a place to write to; what was written there takes its place at the end, or is gone after a fault."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            found=f"{path} cannot be written ({error.strerror or error})",
            expected="a file in a directory that exists, with room for it",
            hint="make the directory, or name another file",
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
