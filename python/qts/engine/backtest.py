"""Backtests: recorded data through the same engine that trades."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qts._core import SourceError
from qts.clock import SystemClock
from qts.codes import DataError, UsageError
from qts.engine.books import finish, open_books
from qts.engine.build import (
    StrategyRef,
    calendars_of,
    cash_units,
    catalog_in,
    load_config,
    strategies_of,
    traded_by,
)
from qts.engine.capital import pools_of
from qts.engine.session import Session, data_error
from qts.engine.storage import backtest_store
from qts.feed import FeedFile, add_feed, inspect
from qts.instruments import Catalog
from qts.ops.report import BacktestResult, RunRecorder, check_target
from qts.state.history import read_vix

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.config import QtsConfig

_PROGRESS_RECORDS: Final = 250_000
_BRIDGE: Final = (4, 23_400)
"""Fewest and most trades of a bridged day: a bar's four prices, one a second."""


def backtest(
    data: str | Path | Sequence[str | Path],
    strategy: "StrategyRef | Sequence[StrategyRef]",
    *,
    params: Mapping[str, Any] | None = None,
    cash: str | int | Decimal | None = None,
    config: "Path | str | QtsConfig | None" = None,
    skip_bad_rows: bool = False,
    out: Path | str | None = None,
    on_progress: Callable[[int, int], object] | None = None,
    clock: "Clock | None" = None,
    symbols: Mapping[str, Sequence[str]] | None = None,
    vol_index: Path | str | None = None,
    bridge: int = 0,
) -> BacktestResult:
    """Run recorded ticks or bars through the engine at full speed.

    Synchronous, so that it works in a notebook. The same input and configuration give the same decisions and fills.

    Args:
        data: files of ticks or bars (.csv, .csv.gz, .parquet); several are merged by receive time.
        strategy: a registered name, `module:Class`, a Strategy class or instance, or several of them.
        params: parameters for a strategy given by name or class; with several strategies `name.parameter`.
        cash: starting cash in the currency of the data; default `base_equity` of the configuration.
        config: configuration directory, or a loaded configuration; default the shipped one.
        skip_bad_rows: count bad rows instead of ending at the first one.
        out: directory for the report; nothing is written without it.
        on_progress: called now and then with records handled and fills booked so far.
        clock: measures the run; the machine's clock by default.
        symbols: what each strategy trades, by its name; a strategy that is not named trades everything.
        bridge: trades a day that daily bars are played as, made up by chance between their prices (seed `sim.seed`); 0:
            four prints at open, high, low and close.
        vol_index: daily closes of the VIX (`DATE,OPEN,HIGH,LOW,CLOSE`); without them its level is unknown.

    Returns:
        The result. Its rows live in temporary files until it is closed or collected.

    Raises:
        UsageError: a strategy, parameter or place that does not exist.
        ConfigError: the configuration is wrong.
        DataError: an input is wrong; no report is written.
        EngineFault: the run ended in a fault.
        AdapterError: the database that keeps backtests cannot be opened.
    """
    if bridge and not _BRIDGE[0] <= bridge <= _BRIDGE[1]:
        raise UsageError(
            found=f"a bridge of {bridge} trades a day",
            expected=f"{_BRIDGE[0]} to {_BRIDGE[1]}, or 0 for none",
            hint="39 is one in ten minutes",
        )
    if out is not None:
        check_target(Path(out))
    config = load_config(config)
    built = strategies_of(strategy, params)
    vol_closes = None if vol_index is None else read_vix(Path(vol_index))
    files = _inspect([data] if isinstance(data, str | Path) else data)
    catalog = _catalog_for(config, files)
    currency = catalog.currency(catalog.by_id(0).currency)
    cash_start = cash_units(cash, config.local.base_equity, currency)
    clock = clock or SystemClock()
    calendars = calendars_of(config, catalog)
    store = backtest_store(config, clock)
    try:
        books = open_books(
            store,
            catalog,
            mode="BACKTEST",
            strategy=",".join(one.strategy_id for one in built),
            cash=cash_start,
            config_hash=config.config_hash,
            clock=clock,
        )
    except BaseException:
        store.close()
        raise
    recorder = RunRecorder(store, calendars[0].utc_offset_s)
    try:
        session = Session(
            config=config,
            catalog=catalog,
            calendars=calendars,
            strategies=traded_by(built, catalog, symbols),
            vol_closes=vol_closes,
            pools=pools_of(config, built, currency),
            cash=cash_start,
            clock=clock,
            store=store,
            recorder=recorder,
        )
        _add_files(session, files, config, catalog, skip_bad_rows=skip_bad_rows, bridge=bridge)
        started_ns = clock.monotonic_ns()
        while session.advance(max_records=_PROGRESS_RECORDS) != "end":
            if on_progress is not None:
                on_progress(session.core.records, session.fills)
        result = finish(books, session, catalog, wall_ns=clock.monotonic_ns() - started_ns, clock=clock)
        if out is not None:
            result.write(out)
    except BaseException:
        recorder.close()
        store.close()
        raise
    return result


def _inspect(paths: Sequence[str | Path]) -> list[FeedFile]:
    if not paths:
        raise UsageError(found="no data", expected="at least one file of ticks or bars", hint="name one with --data")
    return [inspect(Path(path)) for path in paths]


def _catalog_for(config: "QtsConfig", files: Sequence[FeedFile]) -> Catalog:
    """Return the instruments in the currency of the data."""
    whole = Catalog.load(config.reference)
    symbols = [(file, file.first_symbol) for file in files if file.first_symbol]
    for file, symbol in symbols:
        if symbol in whole:
            return catalog_in(config, whole[symbol].currency)
        if not symbol.strip():
            break
        try:
            whole[symbol]
        except DataError as error:
            # The first row decides the currency of the account: its symbol has to be known in any case.
            raise DataError(
                found=error.found, expected=error.expected, hint=error.hint, where=f"{file.path}:2"
            ) from None
    return catalog_in(config, whole.by_id(0).currency)


def _add_files(
    session: Session,
    files: Sequence[FeedFile],
    config: "QtsConfig",
    catalog: Catalog,
    *,
    skip_bad_rows: bool,
    bridge: int,
) -> None:
    sessions: list[tuple[int, int, int]] = []
    if any(file.kind == "bars" for file in files):
        calendars = calendars_of(config, catalog)
        sessions = calendars[0].session_table()
    try:
        played = (config.sim.seed, bridge) if bridge else None
        add_feed(session.core, files, sessions, skip_bad_rows=skip_bad_rows, bridge=played)
    except SourceError as error:
        raise data_error(error, catalog) from None
