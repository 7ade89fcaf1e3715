"""Ten years of recorded days with all three tracks: what moves between the pools, and why.

    python -m tests.ten_years OUT [--docs docs] [--data ../shared/data] [--seeds 10]

Everything of the run is named in `SCENARIO`; the settings of the pools are the shipped ones. SWING and PORTFOLIO trade
at recorded prices. SCALP trades on prints made up by chance between the recorded prices of a day, so that what it earns
says nothing of a market: it is there to show what the engine does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from qts.clock import SystemClock
from qts.engine.books import finish, open_books
from qts.engine.build import calendars_of, catalog_in, load_config, strategies_of, traded_by
from qts.engine.capital import pools_of
from qts.engine.session import Session
from qts.engine.storage import backtest_store
from qts.feed import add_feed, inspect
from qts.ops.report import BacktestResult, RunRecorder
from qts.state.history import read_vix
from qts.strategy import Strategy
from qts.strategy.contracts import Intent, Tick
from qts.strategy.params import StrategyParams, Weight, weight_ppm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qts.broker.contracts import Track
    from qts.config import QtsConfig
    from qts.data import RunStore

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT.parent / "shared" / "data"
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
KST_NS = 9 * HOUR_NS
FROM_NS = 9 * HOUR_NS + HOUR_NS // 12
UNTIL_NS = 14 * HOUR_NS
BPS = 10_000


class Scenario(NamedTuple):
    """Everything that the run follows from, beside the shipped settings and the recordings."""

    first: str = "2012-01-02"
    last: str = "2021-12-30"
    cash_krw: int = 600_000_000
    seed: int = 1
    prints: int = 26
    """Prints a day of each fund that SCALP trades; the shares come as four: open, high, low and close."""
    scalped: Sequence[str] = ("069500", "114800", "122630")
    swung: Sequence[str] = ("005930", "000660")
    held: str = "005930=0.25,069500=0.25"
    scalp: Mapping[str, Any] = {"take_bps": 40, "stop_bps": 200, "gap_bps": 0, "trades": 2, "weight": 0.12}
    swing: Mapping[str, Any] = {"entry_days": 40, "exit_days": 10, "weight": 0.2}
    settings: Mapping[str, object] = {
        "risk.max_order_krw": 200_000_000,
        "risk.max_trade_qty": 1_000_000,
        "risk.max_exposure_pct": "0.95",
        "risk.max_symbol_exposure_pct": "0.15",
        "loop.interval_ms": 60_000,
    }
    """What differs from the shipped settings: room for orders of an account of this size, and a cycle a minute."""

    @property
    def shares(self) -> list[str]:
        """Symbols that come as four prints a day."""
        held = {part.partition("=")[0] for part in self.held.split(",")}
        return sorted({*self.swung, *held} - {*self.scalped})

    def config(self) -> QtsConfig:
        """Return the shipped configuration with what differs."""
        return load_config(None, {**self.settings, "sim.seed": self.seed})


SCENARIO = Scenario()


class SmallGainsParams(StrategyParams):
    """What can be set."""

    take_bps: int = Field(40, ge=1, description="gain that ends a trade, in hundredths of a percent")
    stop_bps: int = Field(200, ge=1, description="loss that ends a trade, in hundredths of a percent")
    gap_bps: int = Field(0, ge=0, description="least rise from the last print of yesterday to the open of today")
    trades: int = Field(2, ge=1, description="entries a day and symbol at most")
    weight: Weight = Field(0.2, description="share of the track's equity per position")


class _Day:
    """What the strategy remembers of one symbol."""

    __slots__ = ("asked", "entry", "is_up", "last", "number")

    def __init__(self) -> None:
        self.number = -1
        self.asked = self.entry = self.last = 0
        self.is_up = False


class SmallGains(Strategy):
    """On days that open higher: in, out at a small gain or a wider loss, and in again a few times.

    Many trades, most of them won, and over the years nothing earned: what the criteria of a promotion have to judge.
    """

    name: ClassVar[str] = "small_gains"
    track: ClassVar[Track] = "SCALP"
    Params = SmallGainsParams
    params: SmallGainsParams

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._days: dict[int, _Day] = {}
        self._weight_ppm = weight_ppm(self.params.weight)

    def on_tick(self, tick: Tick) -> Intent | None:
        """Follow the prints of the day."""
        price = tick.price
        if tick.kind not in ("T", "A") or price <= 0:
            return None
        day = self._days.get(tick.instrument)
        if day is None:
            day = self._days[tick.instrument] = _Day()
        time_ns = tick.ts_ns + KST_NS
        if time_ns // DAY_NS != day.number:
            is_up = day.last > 0 and price * BPS >= day.last * (BPS + self.params.gap_bps)
            day.number, day.asked, day.is_up = time_ns // DAY_NS, 0, is_up
        day.last = price
        if tick.position_qty:
            return self._exit(tick, day)
        is_time = FROM_NS <= time_ns % DAY_NS < UNTIL_NS
        if not (day.is_up and is_time) or day.asked >= self.params.trades or tick.working_buy or tick.working_sell:
            return None
        day.asked += 1
        day.entry = price
        return Intent.entry(
            tick.symbol, "a day that opened higher", weight_ppm=self._weight_ppm, confidence=0.9, ref_price=tick.ask
        )

    def _exit(self, tick: Tick, day: _Day) -> Intent | None:
        is_gain = tick.price * BPS >= day.entry * (BPS + self.params.take_bps)
        is_loss = tick.price * BPS <= day.entry * (BPS - self.params.stop_bps)
        if tick.working_sell or not (is_gain or is_loss):
            return None
        return Intent.exit(tick.symbol, "small gain" if is_gain else "wide stop", ref_price=tick.bid)


class Run(NamedTuple):
    """A run that is over."""

    result: BacktestResult
    session: Session
    store: RunStore


def run(recordings: Path, places: Path, scenario: Scenario = SCENARIO) -> Run:
    """Run the scenario; `places` is an empty directory for the recordings of its time."""
    config, clock = scenario.config(), SystemClock()
    built = strategies_of(
        [SmallGains(**scenario.scalp), "daily_momentum", "target_weights"],
        {
            **{f"daily_momentum.{name}": value for name, value in scenario.swing.items()},
            "target_weights.weights": scenario.held,
        },
    )
    catalog = catalog_in(config, "KRW")
    calendars = calendars_of(config, catalog)
    store = backtest_store(config, clock)
    recorder = RunRecorder(store, calendars[0].utc_offset_s)
    names = ",".join(one.strategy_id for one in built)
    books = open_books(
        store,
        catalog,
        mode="BACKTEST",
        strategy=names,
        cash=scenario.cash_krw,
        config_hash=config.config_hash,
        clock=clock,
    )
    session = Session(
        config=config,
        catalog=catalog,
        calendars=calendars,
        strategies=traded_by(built, catalog, {"small_gains": scenario.scalped, "daily_momentum": scenario.swung}),
        vol_closes=read_vix(recordings / "index/VIX-daily.csv"),
        pools=pools_of(config, built, catalog.currency("KRW")),
        cash=scenario.cash_krw,
        clock=clock,
        store=store,
        recorder=recorder,
    )
    hours = calendars[0].session_table()
    for symbols, bridge in ((scenario.scalped, (scenario.seed, scenario.prints)), (scenario.shares, None)):
        files = [inspect(_cut(recordings, places, symbol, scenario)) for symbol in symbols]
        add_feed(session.core, files, hours, bridge=bridge)
    started_ns = clock.monotonic_ns()
    while session.advance(max_records=250_000) != "end":
        pass
    result = finish(books, session, catalog, wall_ns=clock.monotonic_ns() - started_ns, clock=clock)
    return Run(result, session, store)


def _cut(recordings: Path, places: Path, symbol: str, scenario: Scenario) -> Path:
    """Return a file of the days of the run out of a recording."""
    head, *rows = (recordings / "krx-daily" / f"{symbol}.csv").read_text().splitlines()
    kept = [row for row in rows if scenario.first <= row[:10] <= scenario.last]
    path = places / f"{symbol}.csv"
    path.write_text("\n".join([head, *kept]) + "\n")
    return path


def moves(result: BacktestResult) -> Counter[tuple[str, str, str]]:
    """Return how often money moved, by kind and pools."""
    rows = result.report["capital"]["transfers"]
    return Counter((row["kind"], row["from_pool"], row["to_pool"]) for row in rows if row["status"] == "COMMITTED")


def main() -> None:
    """Run it, write the report and, if asked for, the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.ten_years", description=__doc__)
    parser.add_argument("out", type=Path, help="directory for the report")
    parser.add_argument("--docs", type=Path, help="directory for the page and its picture")
    parser.add_argument("--data", type=Path, default=RECORDINGS, help="the recordings")
    parser.add_argument("--seeds", type=int, default=0, help="try so many seeds and tell what moved with each")
    parser.add_argument("--last", default=SCENARIO.last, help="last day, for a shorter try")
    given = parser.parse_args()
    say = sys.stdout.write
    if given.seeds:
        for seed in range(1, given.seeds + 1):
            with tempfile.TemporaryDirectory() as places:
                scenario = SCENARIO._replace(seed=seed, last=given.last)
                with run(given.data, Path(places), scenario).result as result:
                    say(f"{seed} {dict(moves(result))}\n")
        return
    with tempfile.TemporaryDirectory() as places:
        done = run(given.data, Path(places), SCENARIO._replace(last=given.last))
        with done.result as result:
            say(result.summary() + "\n")
            say(f"{dict(moves(result))} in {result.report['run']['wall_s']} s\n")
            result.write(given.out)
            if given.docs is not None:
                from .ten_years_page import write_page

                write_page(given.docs, given.out, SCENARIO)


if __name__ == "__main__":
    main()
