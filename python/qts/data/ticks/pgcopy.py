"""Ticks in the binary format of PostgreSQL's COPY, made for whole batches at once.

Every row is laid out at its full width; what is absent or shorter is then cut out with one mask. A NUMERIC is five
digits of base 10,000, leading zeros and all: the server takes digits that are not in their shortest form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qts.data.ticks.records import TRADE, decimals

if TYPE_CHECKING:
    from qts.data.ticks.records import Numbers, TickBatch

COLUMNS: Final = (
    "time", "symbol", "kind", "price", "volume", "side", "bid", "ask", "bid_qty", "ask_qty", "source", "seq",
    "event_ns", "recv_ns",
)  # fmt: skip

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which the server counts."""
_DIGITS: Final = 5
_NUMERIC: Final = np.dtype(
    [("ndigits", ">i2"), ("weight", ">i2"), ("sign", ">i2"), ("scale", ">i2"), ("digits", ">i2", (_DIGITS,))]
)
_SIDE: Final = 4


def _row(symbol: int, source: int) -> np.dtype[np.void]:
    forms: dict[str, Any] = dict.fromkeys(COLUMNS, ">i8")
    forms |= dict.fromkeys(("price", "bid", "ask"), _NUMERIC)
    forms |= {"symbol": f"S{symbol}", "kind": "S1", "side": f"S{_SIDE}", "source": f"S{source}"}
    fields: list[Any] = [("fields", ">i2")]
    for name in COLUMNS:
        fields += [(f"{name}_length", ">i4"), (name, forms[name])]
    return np.dtype(fields)


def encode(batch: TickBatch, source: str) -> bytes:
    """Return a batch as the whole of a binary COPY of `COLUMNS`."""
    names = [symbol.encode() for symbol, _, _ in batch.symbols]
    width = max(map(len, names), default=1)
    form = _row(width, len(source.encode()))
    rows = batch.rows
    out = np.zeros(len(rows), dtype=form)
    out["fields"] = len(COLUMNS)
    for name in COLUMNS:
        out[f"{name}_length"] = form[name].itemsize
    out["time"] = rows["ts_event_ns"] // 1_000 - _EPOCH_US
    out["event_ns"], out["recv_ns"], out["seq"] = rows["ts_event_ns"], rows["ts_recv_ns"], rows["seq"]
    out["symbol"] = np.array(names, dtype=f"S{width}")[rows["instrument"]]
    out["source"] = source.encode()
    is_trade = rows["kind"] == TRADE
    out["kind"] = np.where(is_trade, b"T", b"Q")
    out["volume"] = np.where(is_trade, rows["qty"], 0)
    out["side"] = _SIDES[rows["side"]]
    factor = decimals(batch)
    for name in ("price", "bid", "ask"):
        _put_numeric(out[name], rows[name] * factor)
    out["bid_qty"], out["ask_qty"] = rows["bid_qty"], rows["ask_qty"]

    lengths = np.array([len(name) for name in names], dtype=np.int64)[rows["instrument"]]
    sides = _SIDE_LENGTHS[rows["side"]]
    absent = {"price": ~is_trade}
    absent |= {name: rows[name] == 0 for name in ("bid", "ask")}
    absent |= {f"{name}_qty": rows[f"{name}_qty"] == 0 for name in ("bid", "ask")}
    cut = _Cut(out)
    cut.text("symbol", lengths)
    cut.text("side", np.where(is_trade, sides, -1))
    for name, missing in absent.items():
        cut.absent(name, missing)
    return b"".join((_HEADER, cut.bytes(), _TRAILER))


_SIDES: Final = np.array([b"", b"BUY", b"SELL"], dtype=f"S{_SIDE}")
_SIDE_LENGTHS: Final = np.array([-1, 3, 4], dtype=np.int64)


def _put_numeric(out: Any, units: Numbers) -> None:  # noqa: ANN401 - a view of a structured array
    out["ndigits"], out["weight"], out["scale"] = _DIGITS, 2, 8
    for at in range(_DIGITS - 1, 0, -1):
        rest = units // 10_000
        out["digits"][:, at] = units - rest * 10_000
        units = rest
    out["digits"][:, 0] = units


class _Cut:
    """Rows of equal width, and the bytes of them that count."""

    def __init__(self, rows: Any) -> None:  # noqa: ANN401 - a structured array
        self._rows = rows
        self._keep: Any = None

    def _mask(self) -> Any:  # noqa: ANN401
        if self._keep is None:
            self._keep = np.ones((len(self._rows), self._rows.dtype.itemsize), dtype=np.bool_)
        return self._keep

    def _place(self, name: str) -> tuple[int, int]:
        form, at = self._rows.dtype.fields[name][:2]
        return at, form.itemsize

    def absent(self, name: str, missing: Any) -> None:  # noqa: ANN401
        """Make a field NULL where it is missing."""
        if missing.any():
            at, size = self._place(name)
            self._rows[f"{name}_length"][missing] = -1
            self._mask()[:, at : at + size] = ~missing[:, None]

    def text(self, name: str, lengths: Numbers) -> None:
        """Give a text its length, -1 for NULL."""
        at, size = self._place(name)
        if (lengths != size).any():
            self._rows[f"{name}_length"] = lengths
            self._mask()[:, at : at + size] = np.arange(size) < lengths[:, None]

    def bytes(self) -> bytes:
        """Return what counts."""
        if self._keep is None:
            return bytes(self._rows.tobytes())
        width = self._rows.dtype.itemsize
        return bytes(self._rows.view(np.uint8).reshape(-1, width)[self._keep].tobytes())
