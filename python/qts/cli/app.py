"""The commands and what they have in common."""

from typing import Annotated

import typer

from qts.cli import (
    accounts,
    audit,
    backtest,
    bench,
    capital,
    codes,
    config,
    db,
    explain,
    journal,
    operator,
    run,
    sample,
)

app = typer.Typer(
    name="qts-engine",
    help="Automated trading engine for Korean equities. Start with: qts-engine run --speed max",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.run)
app.command("backtest")(backtest.backtest)
app.command("sample")(sample.sample)
app.command("bench")(bench.bench)
app.command("codes")(codes.codes)
app.command("explain")(explain.explain)
operator.register(app)
app.add_typer(accounts.app, name="operator")
app.add_typer(capital.app, name="capital")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(journal.app, name="journal")
app.add_typer(audit.app, name="audit")


def _version(wanted: bool) -> None:  # noqa: FBT001 - a flag of the command line
    if wanted:
        from qts import __version__

        typer.echo(f"qts-engine {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Exit codes: 0 done, 1 the run ended in a fault (its code is printed), 2 bad usage or configuration."""
