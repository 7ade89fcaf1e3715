"""How a run is put together from configuration, reference data and the user's wishes."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qts.codes import UsageError
from qts.config import ConfigManager
from qts.instruments import Catalog, load_calendars
from qts.money import to_units
from qts.strategy import Strategy, default_registry

if TYPE_CHECKING:
    from qts.config import QtsConfig
    from qts.instruments import Calendar
    from qts.money import Currency

StrategyRef: TypeAlias = str | Strategy | type[Strategy]


_NAME_LENGTH: Final = 50
"""Characters of the name of a strategy; the column of a ledger has no more."""


def load_config(config: "Path | str | QtsConfig | None", overrides: Mapping[str, object] | None = None) -> "QtsConfig":
    """Return a resolved configuration: as it is, from a directory, or the shipped one."""
    if config is None or isinstance(config, str | Path):
        return ConfigManager(None if config is None else Path(config), overrides).load()
    return config


def strategies_of(ref: "StrategyRef | Sequence[StrategyRef]", params: Mapping[str, Any] | None) -> list[Strategy]:
    """Return fresh strategies for names, classes or instances.

    `params` go to a single named strategy or class; with several, each is named with its strategy: `ema_cross.fast`.

    Raises:
        UsageError: an unknown name, parameters that do not fit, parameters for something built already, or a name that
            does not fit into the books.
    """
    refs = [ref] if isinstance(ref, str | Strategy | type) else list(ref)
    if not refs:
        raise UsageError(found="no strategy", expected="at least one", hint="name one, for example ema_cross")
    registry = default_registry()
    built: list[Strategy] = []
    for one, own in zip(refs, _params_of(refs, params or {}), strict=True):
        if isinstance(one, Strategy):
            built.append(one)
        elif isinstance(one, type):
            built.append(one(**own))
        else:
            built.append(registry.create(one, own))
    for strategy in built:
        name = strategy.strategy_id
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
            raise UsageError(
                found=f"a strategy named {name[:80]!r}",
                expected=f"a name of 1 to {_NAME_LENGTH} printable characters: it stands with every order and fill",
                hint="set `name` of its class",
            )
    return built


def _params_of(refs: Sequence[StrategyRef], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each strategy."""
    names = ["" if isinstance(one, Strategy) else one if isinstance(one, str) else one.name for one in refs]
    own: list[dict[str, Any]] = [{} for _ in refs]
    for key, value in params.items():
        owner, dot, name = key.rpartition(".")
        takers = [number for number, taker in enumerate(names) if taker and taker == owner]
        if not dot and len(refs) == 1 and names[0]:
            takers, name = [0], key
        if len(takers) != 1:
            named = [one for one in names if one]
            raise UsageError(
                found=f"parameter {key!r} without one strategy to give it to",
                expected=f"NAME.PARAMETER with one of {', '.join(named)}" if named else "no parameters",
                hint="set them where the strategy is built: MyStrategy(fast=8)",
            )
        own[takers[0]][name] = value
    return own


def traded_by(
    strategies: Sequence[Strategy], catalog: Catalog, symbols: Mapping[str, Sequence[str]] | None
) -> list[tuple[Strategy, Sequence[int]]]:
    """Return each strategy with the ids of the instruments that it trades: all of them, unless `symbols` names some.

    Raises:
        UsageError: `symbols` names a strategy that is not there, or no symbol for it.
        DataError: an unknown symbol.
    """
    wanted = dict(symbols or {})
    traded: list[tuple[Strategy, Sequence[int]]] = []
    for strategy in strategies:
        own = wanted.pop(strategy.strategy_id, None)
        traded.append((strategy, range(len(catalog)) if own is None else [catalog[symbol].id for symbol in own]))
        if own is not None and not own:
            raise UsageError(
                found=f"no symbol for strategy {strategy.strategy_id!r}",
                expected="at least one",
                hint="leave it out: it then trades every symbol of the data",
            )
    if wanted:
        raise UsageError(
            found=f"symbols for {', '.join(wanted)}",
            expected=f"one of {', '.join(one.strategy_id for one in strategies)}",
            hint="name the strategy as in the report",
        )
    return traded


def catalog_in(config: "QtsConfig", currency: str, symbols: Sequence[str] | None = None) -> Catalog:
    """Return the instruments that trade in `currency`, or of them only `symbols`, in the order given.

    One account has one currency: what trades in another is unknown to its run.

    Raises:
        DataError: one of `symbols` is unknown.
        UsageError: one of `symbols` trades in another currency.
    """
    reference = config.reference
    every = reference.instruments
    if symbols is not None:
        whole = Catalog.load(reference)
        for symbol in symbols:
            if whole[symbol].currency != currency:
                raise UsageError(
                    found=f"symbol {symbol}, which trades in {whole[symbol].currency}",
                    expected=f"symbols that trade in {currency}, the currency of the account",
                    hint="run the two in two accounts",
                )
    rows = {
        symbol: every[symbol]
        for symbol in (every if symbols is None else symbols)
        if reference.classes[every[symbol].class_name].currency == currency
    }
    return Catalog.load(reference.model_copy(update={"instruments": rows}))


def calendars_of(config: "QtsConfig", catalog: Catalog) -> "list[Calendar]":
    """Return the calendar of each instrument; the index is the instrument id."""
    calendars = load_calendars(config.reference)
    return [calendars[instrument.calendar] for instrument in catalog]


def cash_units(cash: str | int | Decimal | None, default: int, currency: "Currency") -> int:
    """Return starting cash in money units.

    Raises:
        UsageError: it is no plain positive amount, or finer than the currency.
    """
    amount = default if cash is None else cash
    try:
        units = to_units(amount, currency.scale)
    except (ValueError, InvalidOperation) as error:
        units, reason = 0, f" ({error})"
    else:
        reason = ""
    if units <= 0:
        raise UsageError(
            found=f"cash {amount!s}{reason}",
            expected=f"an amount of {currency.code} above 0 with at most {currency.scale} decimals, such as 100000000",
            hint="give it without separators",
        )
    return units
