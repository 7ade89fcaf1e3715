"""Writes generated market data."""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from qts.codes import UsageError


def write_csv_gz(path: Path, chunks: Iterable[bytes]) -> int:
    """Write chunks of CSV text as gzip and return the number of rows. The same text gives the same bytes."""
    with _replaced(path) as part:
        with part.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            rows = _write(file, chunks)
        part.replace(path)
    return rows


def write_csv(path: Path, chunks: Iterable[bytes]) -> int:
    """Write chunks of CSV text and return the number of rows."""
    with _replaced(path) as part:
        with part.open("wb") as file:
            rows = _write(file, chunks)
        part.replace(path)
    return rows


def _write(file: "IO[bytes] | gzip.GzipFile", chunks: Iterable[bytes]) -> int:
    lines = 0
    for chunk in chunks:
        file.write(chunk)
        lines += chunk.count(b"\n")
    return max(0, lines - 1)


class _replaced:  # noqa: N801 - used like a function
    """A file beside the target that is renamed when it is whole, and removed if it does not become so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")

    def __enter__(self) -> Path:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
        except OSError as error:
            raise UsageError(
                found=f"directory {self._path.parent} cannot be written to ({error.strerror})",
                expected="a directory that can",
                hint="choose another --out",
            ) from None
        return self._part

    def __exit__(self, *_: object) -> None:
        self._part.unlink(missing_ok=True)
