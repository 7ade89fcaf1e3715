"""`qts-engine config`: what is configured, whether it is right, and what there is to configure."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qts.cli import options

app = typer.Typer(help="Check, show, compare or describe the configuration.", no_args_is_help=True)

JsonOut = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("check")
def check(config: options.ConfigDir = None, *, as_json: JsonOut = False) -> None:
    """Check every file, and that of the secrets, and tell everything that is wrong. Exit code 2 if anything is."""
    from qts.config import ConfigManager, home_dir, shipped_dir
    from qts.config import check as find
    from qts.engine.closing import action_findings

    findings = find(config, home=home_dir())
    if not findings:
        findings = action_findings(ConfigManager(config).load())
    if as_json:
        sys.stdout.write(f"{json.dumps([finding._asdict() for finding in findings], ensure_ascii=False, indent=2)}\n")
    elif findings:
        for finding in findings:
            sys.stderr.write(f"{finding}\n")
    else:
        sys.stdout.write(f"{config or shipped_dir()}: ok\n")
    if findings:
        raise typer.Exit(2)


@app.command("show")
def show(config: options.ConfigDir = None, *, as_json: JsonOut = False) -> None:
    """Show every key with its value, where it comes from, when a change takes effect, and what it means."""
    from qts.config import ConfigManager
    from qts.config import show as shown

    loaded = ConfigManager(config).load()
    rows = shown(loaded)
    if as_json:
        document = {"config_hash": loaded.config_hash, "keys": rows}
        sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
        return
    lines = [f"config {loaded.config_hash[:16]}"]
    for name, row in rows.items():
        value = row["value"]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        unread = "" if row["is_built"] else ", not read in this version"
        lines += [
            f"{name} = {text}  [{row['source']}]",
            f"    {row['tag']} {row['reload']}{unread}: {row['description']}",
        ]
    sys.stdout.write("\n".join(lines) + "\n")


@app.command("diff")
def diff(
    config: Annotated[Path, typer.Argument(metavar="DIR", help="Configuration directory.")],
    against: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OTHER]", help="Directory to compare with. Default: the shipped one.", show_default=False
        ),
    ] = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Show what DIR says differently from the shipped configuration, or from OTHER.

    Example: qts-engine config diff my-config
    """
    from qts.config import diff as compare

    changes = compare(config, against)
    if as_json:
        sys.stdout.write(f"{json.dumps([change._asdict() for change in changes], ensure_ascii=False, indent=2)}\n")
        return
    for change in changes:
        old, new = (json.dumps(value, ensure_ascii=False) for value in (change.old, change.new))
        sys.stdout.write(f"{change.key}  [{change.file}]\n  - {old}\n  + {new}\n")


@app.command("schema")
def schema(*, as_json: JsonOut = False) -> None:  # noqa: ARG001 - a schema is JSON in any case
    """Print the JSON schema of every configuration file."""
    from qts.config import schema as described

    sys.stdout.write(f"{json.dumps(described(), ensure_ascii=False, indent=2)}\n")
