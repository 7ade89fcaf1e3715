"""The engine on real recordings. They are no part of the project; where they are absent these tests say so and skip."""

import bisect
import csv
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

import pytest

import qts
from qts.engine.build import load_config
from qts.ops.report import verify_identity

pytestmark = pytest.mark.recordings

ROWS = {"PERP": 68_068, "SPOT": 43_090}
KST = timedelta(hours=9)


@pytest.fixture(scope="module")
def ticks(recordings):
    return {
        "PERP": recordings / "ticks/ETHUSDT-PERP-20240808.csv.gz",
        "SPOT": recordings / "ticks/ETHUSDT-SPOT-20240809.csv.gz",
    }


def rows_of(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run_twice(data, strategy, tmp_path, **more):
    """Run, prove what has to hold for every run, and return the report directory."""
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        qts.backtest(data, strategy, out=out, **more).close()
    one, two = (json.loads((out / "report.json").read_text()) for out in outs)
    assert one["run"]["decision_hash"] == two["run"]["decision_hash"]
    for name in ("fills.csv", "orders.csv", "decisions.jsonl", "equity.csv"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    identity = verify_identity(outs[0])
    assert identity.cash_end == identity.recomputed
    assert one["events"]["P0"]["dropped"] == 0
    assert one["fills"] > 0
    orders = {row["order_id"]: Decimal(row["qty"]) for row in rows_of(outs[0] / "orders.csv")}
    filled: dict[str, Decimal] = {}
    held: dict[tuple[str, str], Decimal] = {}
    for row in rows_of(outs[0] / "fills.csv"):
        qty = Decimal(row["qty"])
        filled[row["order_id"]] = filled.get(row["order_id"], Decimal(0)) + qty
        key = (row["symbol"], row["track"])
        held[key] = held.get(key, Decimal(0)) + (qty if row["side"] == "BUY" else -qty)
        assert held[key] >= 0, "more was sold than held"
    assert all(qty <= orders[order] for order, qty in filled.items())
    assert {key: qty for key, qty in held.items() if qty} == {
        (row["symbol"], row["track"]): Decimal(row["qty"]) for row in one["positions"]
    }
    return outs[0], one


class Market:
    """The recorded market, read independently of the engine."""

    def __init__(self, paths) -> None:
        self.times, self.quotes, self.prints = [], [], []
        for path in paths:
            with gzip.open(path, "rt", newline="") as file:
                quote = (Decimal(0), Decimal(0))
                for row in csv.DictReader(file):
                    if row["bid"]:  # trades of one recording carry the quotes of their moment too
                        quote = (Decimal(row["bid"]), Decimal(row["ask"]))
                    self.times.append(int(row["ts_recv_ns"]))
                    self.quotes.append(quote)
                    self.prints.append(Decimal(row["price"]) if row["kind"] == "T" else None)

    def shows(self, ts_ns: int, price: Decimal) -> bool:
        """Whether the market was at the price then: between what it showed and printed just before and at that time."""
        last = bisect.bisect_right(self.times, ts_ns) - 1
        first = bisect.bisect_left(self.times, ts_ns)
        seen = [price for number in range(max(first - 1, 0), last + 1) for price in self.quotes[number] if price]
        seen += [self.prints[number] for number in range(max(first - 1, 0), last + 1) if self.prints[number]]
        return min(seen) <= price <= max(seen)


@pytest.mark.parametrize("names", [["PERP"], ["PERP", "SPOT"]], ids="+".join)
@pytest.mark.parametrize("strategy", ["ema_cross", "quote_reversion"])
def test_recorded_ticks(ticks, tmp_path, names, strategy):
    paths = [ticks[name] for name in names]
    out, report = run_twice(paths, strategy, tmp_path)
    assert [row["rows"] for row in report["run"]["data"]] == [ROWS[name] for name in names]
    assert report["events"]["P1"]["admitted"] == sum(ROWS[name] for name in names)
    market = Market(paths)
    for row in rows_of(out / "fills.csv"):
        assert market.shows(int(row["ts_ns"]), Decimal(row["price"])), row


def in_force(rows, day):
    """The dated row that holds on a day; before the first row the first one."""
    current = rows[0]
    for row in rows:
        if row.effective_from <= day:
            current = row
    return current


def test_recorded_krx_days(recordings, tmp_path):
    paths = sorted((recordings / "krx-daily").glob("*.csv"))
    out, report = run_twice(paths, "daily_momentum", tmp_path)
    days = {(row["symbol"], row["date"]): row for path in paths for row in rows_of(path)}
    assert sum(row["rows"] for row in report["run"]["data"]) == len(days)
    reference = load_config(None).reference

    def rules(symbol):
        return reference.classes[reference.instruments[symbol].class_name]

    def day_of(ts_ns) -> date:
        return (datetime.fromtimestamp(int(ts_ns) // 10**9, tz=UTC) + KST).date()

    def floor(value) -> Decimal:
        return value.quantize(Decimal(1), ROUND_FLOOR)

    for row in rows_of(out / "fills.csv"):
        day, price, qty = day_of(row["ts_ns"]), Decimal(row["price"]), Decimal(row["qty"])
        recorded = days[row["symbol"], day.isoformat()]
        assert Decimal(recorded["low"]) <= price <= Decimal(recorded["high"]), row
        assert qty == qty.to_integral_value(), "one share is the lot"
        cost = in_force(reference.cost_tables[rules(row["symbol"]).cost_table], day)
        bps = cost.fee_buy_bps if row["side"] == "BUY" else cost.fee_sell_bps
        assert Decimal(row["fee"]) == floor(price * qty * bps / 10_000)
        tax_bps = Decimal(0) if row["side"] == "BUY" else cost.tax_sell_bps
        assert Decimal(row["tax"]) == floor(price * qty * tax_bps / 10_000)
    for row in rows_of(out / "orders.csv"):
        ladder = in_force(reference.tick_tables[rules(row["symbol"]).tick_table], day_of(row["ts_ns"]))
        limit = Decimal(row["limit_price"])
        band = [band for band in ladder.bands if band.from_price <= limit][-1]
        assert limit % band.tick == 0, row
