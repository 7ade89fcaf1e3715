"""Markets of the scenarios: ticks and daily bars written move by move, the same for the same seed."""

from datetime import date
from pathlib import Path
from random import Random

from qts.clock import NS_PER_S, midnight_ns

KST_S = 9 * 3_600
DAY = date(2026, 1, 5)
OPEN_NS = midnight_ns(DAY, KST_S) + 9 * 3_600 * NS_PER_S
CLOSE_S = 6 * 3_600 + 20 * 60
"""Seconds from the open to the end of continuous trading."""
BANDS = ((0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000))
HEADER = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"
PRICES = {"005930": 70_000, "000660": 178_500, "005380": 243_000}


def tick_of(price: float) -> int:
    return next(tick for start, tick in reversed(BANDS) if price >= start)


def on_ladder(price: float) -> int:
    tick = tick_of(price)
    return max(tick, int(price) // tick * tick)


class Ticks:
    """One session of quotes and trades. Each move takes the clock on; all symbols move together."""

    def __init__(self, seed: int = 1, prices=None, every_s: float = 5.0) -> None:
        self._random = Random(seed)  # noqa: S311 - a market, no secret
        self.prices = dict(prices or PRICES)
        self._every_ns = int(every_s * NS_PER_S)
        self._rows: list[str] = []
        self.now_ns = OPEN_NS
        self.marks: dict[str, int] = {}
        """Times that a test asks for by name, UTC nanoseconds."""

    @property
    def passed_s(self) -> int:
        """Seconds since the open."""
        return (self.now_ns - OPEN_NS) // NS_PER_S

    def mark(self, name: str) -> None:
        """Give this moment a name."""
        self.marks[name] = self.now_ns

    def walk(self, minutes: float, *, drift_bps=0.0, noise_bps=3.0, spread_ticks=1, size=2_000) -> None:
        """Trade for a while: drift per minute and noise per step, in hundredths of a percent."""
        end_ns = self.now_ns + int(minutes * 60 * NS_PER_S)
        steps = 60 * NS_PER_S / self._every_ns
        while self.now_ns < end_ns:
            for symbol, price in self.prices.items():
                move = drift_bps / steps + self._random.uniform(-noise_bps, noise_bps)
                self.prices[symbol] = max(100.0, price * (1 + move / 10_000))
                self._show(symbol, spread_ticks, size)
            self.now_ns += self._every_ns

    def gap(self, percent: float) -> None:
        """Move every price at once; the next thing that is seen is the new price."""
        for symbol in self.prices:
            self.prices[symbol] *= 1 + percent / 100

    def silence(self, minutes: float) -> None:
        """Say nothing: a halt, or a line that is down."""
        self.now_ns += int(minutes * 60 * NS_PER_S)

    def lock(self, minutes: float) -> None:
        """Stand at the lower limit: sellers only, and no trade."""
        end_ns = self.now_ns + int(minutes * 60 * NS_PER_S)
        while self.now_ns < end_ns:
            for symbol, price in self.prices.items():
                self._quote(symbol, "", "", on_ladder(price), 500_000)
            self.now_ns += self._every_ns

    def to_the_close(self, **moves) -> None:
        """Trade on until continuous trading ends."""
        self.walk(max(0.0, (CLOSE_S - self.passed_s) / 60), **moves)

    def _show(self, symbol: str, spread_ticks: int, size: int) -> None:
        last = on_ladder(self.prices[symbol])
        bid = on_ladder(last - tick_of(last) * (spread_ticks // 2)) if spread_ticks > 1 else last
        ask = bid
        for _ in range(max(1, spread_ticks)):
            ask += tick_of(ask)
        self._quote(symbol, bid, self._random.randint(1, size), ask, self._random.randint(1, size))
        at = self.now_ns + 1_000_000
        is_buy = self._random.random() < 0.5
        price, qty = (ask if is_buy else bid), self._random.randint(1, max(1, size // 2))
        self._rows.append(f"{at},{at},{symbol},T,{price},{qty},{'BUY' if is_buy else 'SELL'},,,,\n")

    def _quote(self, symbol, bid, bid_qty, ask, ask_qty) -> None:
        self._rows.append(f"{self.now_ns},{self.now_ns},{symbol},Q,,,,{bid},{bid_qty},{ask},{ask_qty}\n")

    def write(self, path: Path) -> Path:
        """Write what has happened."""
        rows = sorted(self._rows, key=lambda row: int(row.split(",", 2)[1]))
        path.write_text(HEADER + "".join(rows))
        return path


MOVES = {
    "up": lambda market: market.walk(20, drift_bps=6),
    "down": lambda market: market.walk(20, drift_bps=-6),
    "range": lambda market: market.walk(30, noise_bps=8),
    "crash": lambda market: (market.gap(-10), market.walk(10, noise_bps=40)),
    "thin": lambda market: market.walk(20, size=30, spread_ticks=12, noise_bps=10),
    "storm": lambda market: market.walk(15, noise_bps=30),
    "halt": lambda market: market.silence(12),
    "lock": lambda market: market.lock(10),
}


def mixed_day(seed: int, path: Path) -> Path:
    """Write a day that has every move once, in an order of its own."""
    market = Ticks(seed)
    market.walk(15)
    names = sorted(MOVES)
    Random(seed).shuffle(names)  # noqa: S311 - as above
    for name in names:
        MOVES[name](market)
        market.walk(3)
    market.to_the_close(noise_bps=5)
    return market.write(path)


def daily_bars(path: Path, closes: dict[str, list[float]]) -> Path:
    """Write one bar a day and symbol; the days are sessions of 2024 in order, weekends left out."""
    days, day = [], date(2024, 3, 4)
    while len(days) < max(map(len, closes.values())):
        if day.weekday() < 5 and day.isoformat() not in {"2024-04-10", "2024-05-01", "2024-05-06", "2024-05-15"}:
            days.append(day)
        day = date.fromordinal(day.toordinal() + 1)
    rows = []
    for number, at in enumerate(days):
        for symbol, prices in closes.items():
            close, before = on_ladder(prices[number]), on_ladder(prices[max(0, number - 1)])
            low, high = on_ladder(min(close, before) * 0.998), on_ladder(max(close, before) * 1.003)
            rows.append(f"{at},{symbol},{before},{high},{low},{close},1000000\n")
    path.write_text("date,symbol,open,high,low,close,volume\n" + "".join(rows))
    return path
