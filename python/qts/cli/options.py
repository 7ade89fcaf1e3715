"""Options that several commands share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from qts.codes import UsageError

ConfigDir: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="DIR", help="Configuration directory. Default: the shipped one."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of a table.")]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter of the strategy. May be repeated."),
]
Cash: TypeAlias = Annotated[
    str | None,
    typer.Option("--cash", metavar="N", help="Cash to start with. Default: `base_equity` of the configuration."),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Write the report there: report.html, report.json, fills.csv and the other tables.",
    ),
]
Home: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Home of the engine. Default: QTS_HOME, else ~/.qts.", show_default=False
    ),
]
Symbols: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols",
        metavar="NAME=A,B",
        help="What a strategy trades; without it every symbol there is. May be repeated.",
        show_default=False,
    ),
]
JsonOut: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(pairs: Iterable[str] | None, option: str = "--set") -> dict[str, str]:
    """Return `key=value` texts of an option as a mapping."""
    result: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                found=f"{option} {pair!r}",
                expected="KEY=VALUE",
                hint="for example --set fast=8, or --symbols ema_cross=005930,000660",
            )
        if key.strip() in result:
            raise UsageError(
                found=f"{option} {key.strip()} twice",
                expected="each parameter once",
                hint="remove one of the two",
            )
        result[key.strip()] = value.strip()
    return result


def symbols_of(pairs: Iterable[str] | None) -> dict[str, list[str]]:
    """Return the symbols of each strategy that `--symbols` names."""
    return {
        name: [symbol.strip() for symbol in text.split(",") if symbol.strip()]
        for name, text in settings(pairs, "--symbols").items()
    }
