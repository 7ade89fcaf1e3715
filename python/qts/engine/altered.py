"""Copies of recorded data with another future: equal up to a moment, other prices and volumes from there on."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from qts.clock import midnight_ns, to_ns
from qts.codes import DataError
from qts.feed import FeedFile
from qts.feed.files import parquet_as_csv
from qts.money import format_units, to_units
from qts.state.history import KST_S, vix_ns
from qts.state.quality import VIX_MAX

if TYPE_CHECKING:
    from qts.instruments import Catalog

Variant: TypeAlias = Literal["higher", "lower", "cut off"]
VARIANTS: Final[tuple[Variant, ...]] = ("higher", "lower", "cut off")

_PPM: Final = 1_000_000
_LEVEL_PPM: Final = {"higher": 1_050_000, "lower": 950_000}
"""Level of altered prices: well within the limits of a day."""
_NOISE_PPM: Final = 30_000
"""Each time of each symbol differs from that level by up to so much, so that no return of the future stays."""
_PRICES: Final = frozenset({"price", "bid", "ask", "open", "high", "low", "close"})
_SIZES: Final = frozenset({"qty", "bid_qty", "ask_qty", "volume"})
_KST: Final = timezone(timedelta(seconds=KST_S))


class Future(NamedTuple):
    """Where the past ends, and what comes instead of what came."""

    cut_ns: int
    """The first moment of the altered future, UTC nanoseconds."""
    variant: Variant
    seed: int


class Copy(NamedTuple):
    """A written copy."""

    path: Path
    rows: int
    """Rows of the copy, altered ones included."""
    last_ns: int | None
    """Time of the last row that was kept as it is; None if there is none."""


class _Layout(NamedTuple):
    """Where things stand in a row."""

    time_ns: Callable[[str], int]
    time: int
    symbol: int
    prices: tuple[int, ...]
    sizes: tuple[int, ...]


def alter(file: FeedFile, target: Path, future: Future, catalog: "Catalog") -> Copy:
    """Write a copy of a file of ticks or bars whose future is another one; constant memory.

    A row that cannot be read stays as it is: the run tells of it as it does with the original.
    """
    layout: _Layout | None = None
    rows, last_ns = 0, None
    with _writing(target) as out:
        for line in _lines(file):
            text = line.decode("utf-8-sig" if layout is None else "utf-8", "surrogateescape").rstrip("\r\n")
            if layout is None:
                layout = _layout(text)
                out.write(text.encode() + b"\n")
                continue
            fields = text.split(",")
            ts_ns = _time_of(layout, fields)
            if ts_ns is not None and ts_ns >= future.cut_ns:
                if future.variant == "cut off":
                    break  # time does not run backwards
                line = _altered(layout, fields, ts_ns, future, catalog)
            elif ts_ns is not None:
                last_ns = ts_ns
            rows += 1
            out.write(line)
    return Copy(target, rows, last_ns)


def alter_vol_index(path: Path, target: Path, future: Future) -> None:
    """Write a copy of a file of the volatility index whose values differ from those published from the cut on."""
    level = future.variant if future.variant != "cut off" else "higher"
    with path.open(encoding="utf-8-sig") as source, target.open("w", encoding="utf-8", newline="\n") as out:
        for number, line in enumerate(source):
            day, *values = line.strip().split(",")
            if number and values and vix_ns(date.fromisoformat(day.strip())) >= future.cut_ns:
                ppm = _factor_ppm(future._replace(variant=level), "VIX", day)
                scaled = [min(Decimal(str(VIX_MAX)), Decimal(value.strip()) * ppm / _PPM) for value in values]
                out.write(",".join([day, *(f"{value:f}" for value in scaled)]) + "\n")
            else:
                out.write(line.rstrip("\r\n") + "\n")


def granularity_ns(file: FeedFile, minute_ns: int, day_ns: int) -> int:
    """Return the time that a row of a file covers: a cut must not fall inside."""
    if file.kind == "ticks":
        return 1
    return day_ns if _names(next(_lines(file)).decode("utf-8-sig"))[0] == "date" else minute_ns


def _names(header: str) -> list[str]:
    return [name.strip() for name in header.rstrip("\r\n").split(",")]


def _layout(header: str) -> _Layout:
    names = _names(header)
    key = next(name for name in ("ts_recv_ns", "date", "time") if name in names)
    readers: dict[str, Callable[[str], int]] = {"ts_recv_ns": int, "date": _day_ns, "time": _minute_ns}
    return _Layout(
        readers[key],
        names.index(key),
        names.index("symbol"),
        tuple(number for number, name in enumerate(names) if name in _PRICES),
        tuple(number for number, name in enumerate(names) if name in _SIZES),
    )


def _day_ns(text: str) -> int:
    return midnight_ns(date.fromisoformat(text.strip()), KST_S)


def _minute_ns(text: str) -> int:
    moment = datetime.fromisoformat(text.strip())
    return to_ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=_KST))


def _time_of(layout: _Layout, fields: list[str]) -> int | None:
    try:
        return layout.time_ns(fields[layout.time])
    except (ValueError, IndexError):
        return None


def _altered(layout: _Layout, fields: list[str], ts_ns: int, future: Future, catalog: "Catalog") -> bytes:
    symbol = fields[layout.symbol].strip() if layout.symbol < len(fields) else ""
    if symbol in catalog and len(fields) > max((*layout.prices, *layout.sizes)):
        instrument = catalog[symbol]
        ppm = _factor_ppm(future, symbol, fields[layout.time])
        for number in layout.prices:
            fields[number] = _price(fields[number], instrument.price_scale, ppm, instrument.id, ts_ns, catalog)
        for number in layout.sizes:
            fields[number] = _size(fields[number], 2 + ppm % 3)
    return ",".join(fields).encode("utf-8", "surrogateescape") + b"\n"


def _price(text: str, scale: int, ppm: int, instrument: int, ts_ns: int, catalog: "Catalog") -> str:
    """Return a price times a factor on the ladder; rounding down keeps what was ordered in order."""
    try:
        units = to_units(text.strip(), scale)
    except (ValueError, InvalidOperation):
        return text  # absent, or at fault
    smallest = catalog.core.tick_size(instrument, 1, ts_ns)
    moved = catalog.core.floor_to_tick(instrument, max(smallest, units * ppm // _PPM), ts_ns)
    return format_units(moved, scale)


def _size(text: str, times: int) -> str:
    try:
        return f"{Decimal(text.strip()) * times:f}"
    except InvalidOperation:
        return text


def _factor_ppm(future: Future, symbol: str, time: str) -> int:
    """Return the factor on prices of a symbol at a time: the same for all that is said of that moment."""
    identity = f"{future.seed}|{future.cut_ns}|{symbol}|{time.strip()}".encode()
    drawn = int.from_bytes(hashlib.blake2b(identity, digest_size=4).digest(), "big")
    return _LEVEL_PPM[future.variant] + drawn % (2 * _NOISE_PPM + 1) - _NOISE_PPM


def _lines(file: FeedFile) -> Iterator[bytes]:
    """Return the lines of a file as CSV, whatever it is."""
    if file.is_parquet:
        if file.kind != "ticks":
            raise DataError(found="bars in a Parquet file", expected="bars as .csv or .csv.gz", where=str(file.path))
        for chunk in parquet_as_csv(file.path):
            yield from chunk.splitlines(keepends=True)
        return
    with file.path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
    with gzip.open(file.path, "rb") if is_gzip else file.path.open("rb") as source:
        yield from source


@contextmanager
def _writing(target: Path) -> "Iterator[IO[bytes]]":
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as raw:
        if target.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=1) as packed:
            yield packed  # type: ignore[misc]  # a GzipFile is a binary file
