"""`qts-engine audit`: whether the audit trail is whole."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check the audit trail.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Check the audit trail."""


@app.command("verify")
def verify(
    trail: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The trail. Default: QTS_HOME/state/audit.jsonl.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every line of the audit trail against the one before. Exit code 1 names the first line that is wrong.

    The trail of QTS_HOME is also checked against the last line that the safety state remembers.

    Example: qts-engine audit verify --json
    """
    from qts.codes import UsageError
    from qts.config import home_dir
    from qts.safety import FileVault, Head
    from qts.safety import verify as check

    path = trail or home_dir() / "state" / "audit.jsonl"
    record = FileVault(path.parent).load_state().record
    known = Head(record.audit_seq, record.audit_hash) if record is not None and trail is None else None
    try:
        found = check(path, known)
    except OSError as error:
        raise UsageError(
            found=f"{path}: {error.strerror or error}",
            expected="an audit trail that can be read",
            hint="name the file, or set QTS_HOME to where the engine keeps its state",
        ) from None
    if as_json:
        document = {
            "ok": found.is_whole,
            "path": str(path),
            "records": found.records,
            "head": found.head._asdict(),
            "first_bad_seq": found.first_bad_seq,
            "fault": found.fault or None,
            "torn_bytes": found.torn_bytes,
        }
        sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
    elif found.is_whole:
        sys.stdout.write(f"{path}: ok\n  records    {found.records:,}\n  head       {found.head.hash}\n")
        if found.torn_bytes:
            sys.stdout.write(f"  torn line  {found.torn_bytes:,} bytes, cut at the next start\n")
    else:
        sys.stdout.write(
            f"{path}: first bad seq {found.first_bad_seq:,} ({found.fault})\n"
            f"  good records  {found.records:,}\n"
            "  do next       keep a copy of the file; compare the head with the one in your last backup\n"
        )
    if not found.is_whole:
        raise typer.Exit(1)
