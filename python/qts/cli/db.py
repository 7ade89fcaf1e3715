"""`qts-engine db`: the database behind the books."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qts.cli.options import ConfigDir, Home, JsonOut
from qts.codes import aligned, language

if TYPE_CHECKING:
    from qts.data.migration import PhaseChange
    from qts.engine.database import DatabaseDesk
    from qts.engine.sheets import MigrationDesk

OWNER_PASSWORD: Final = "DB_OWNER_PASSWORD"  # noqa: S105 - the name of a variable

By = Annotated[
    str, typer.Option("--by", metavar="ID", help="Who does it; stands in the record of the phases.", show_default=False)
]

app = typer.Typer(
    help="Prepare, check, back up and restore the database; which one it is says data.yaml.", no_args_is_help=True
)


@app.command("init")
def init(
    config: ConfigDir = None,
    home: Home = None,
    *,
    owner: Annotated[
        str | None,
        typer.Option(
            "--owner",
            metavar="ROLE",
            help="Role that is to own the tables of a server; its password comes from DB_OWNER_PASSWORD.",
        ),
    ] = None,
    as_json: JsonOut = False,
) -> None:
    """Make the tables, or bring them to this version. To do it again changes nothing.

    With --owner the engine's own role may only add to the ledger and the audit log, never change or remove.

    Example: DB_HOST=db1 DB_PASSWORD=... DB_OWNER_PASSWORD=... qts-engine db init --owner postgres
    """
    done = _desk(config, home).prepare(owner, os.environ.get(OWNER_PASSWORD, ""))
    if as_json:
        _print_json(done._asdict())
        return
    for name in done.applied:
        sys.stdout.write(f"{name}\n")
    _say(f"{done.where}: ready, profile {done.profile}", f"{done.where}: 준비됨, 프로파일 {done.profile}")
    if done.remark:
        _say(f"not timescale: {done.remark}", f"timescale이 아닌 이유: {done.remark}")


@app.command("status")
def status(config: ConfigDir = None, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Show how the database is, what waits for it, and how old the last backup is. Exit code 1 if it does not answer.

    An engine may run meanwhile.
    """
    found = _desk(config, home).status()
    if as_json:
        _print_json(found)
    else:
        sys.stdout.writelines(f"{line}\n" for line in aligned(list(_rows(found))))
    if not found["healthy"]:
        raise typer.Exit(1)


@app.command("verify")
def verify(config: ConfigDir = None, home: Home = None, *, as_json: JsonOut = False) -> None:
    """Derive positions and orders from the ledger again, and compare the ledger with the journal and the sheets.

    Exit code 1 if anything differs. An engine may run meanwhile; what the database has not acknowledged is left out.
    While sheets are in use (data.source_mode), the comparison with them is put on record: it counts for the next phase.
    """
    from qts.engine.sheets import MigrationDesk, has_sheets

    desk = _desk(config, home)
    differing = desk.verify()
    if has_sheets(desk.config) and desk.config.data.source_mode != "DB_ONLY":
        for one in MigrationDesk(desk).compare():
            if not as_json:
                _say(
                    f"{one.scope}: {one.matched} of {one.compared} agree with the sheets",
                    f"{one.scope}: 시트와 {one.compared}건 중 {one.matched}건 일치",
                )
            differing += [f"{one.scope}: {mismatch}" for mismatch in one.mismatches]
    if as_json:
        _print_json({"ok": not differing, "differences": differing})
    elif differing:
        sys.stdout.writelines(f"{line}\n" for line in differing)
    else:
        _say("ledger, positions, orders and journal agree", "원장, 포지션, 주문, 저널이 일치합니다")
    if differing:
        raise typer.Exit(1)


@app.command("migrate")
def migrate(config: ConfigDir = None, home: Home = None, *, by: By, as_json: JsonOut = False) -> None:
    """Go to the next phase of the way from Google Sheets to the database, up to the one that reads the database.

    0 nothing, 1 loaded, 2 both are written and the sheets are read, 3 both are written and the database is read. Each
    step compares both sides first, and from phase 2 on asks for ten trading days in a row that agree entirely. The
    market must be closed and the safety state NORMAL.

    Example: qts-engine db migrate --by kim
    """
    _show_change(_migration(config, home).advance(by, cutover=False), as_json=as_json)


@app.command("cutover")
def cutover(config: ConfigDir = None, home: Home = None, *, by: By, as_json: JsonOut = False) -> None:
    """Leave the sheets: first only the engine writes them (phase 4), then nobody reads them any more (5).

    Set data.source_mode: DB_ONLY after phase 5.

    Example: qts-engine db cutover --by kim
    """
    _show_change(_migration(config, home).advance(by, cutover=True), as_json=as_json)


@app.command("rollback")
def rollback(config: ConfigDir = None, home: Home = None, *, by: By, as_json: JsonOut = False) -> None:
    """Go back without losing anything: from phase 2 to the sheets alone, from 3, 4 and 5 to phase 2.

    Refused while anything waits for the sheets, while the market is open (unless the safety state is FAIL), and if both
    sides do not agree. What to do before and after: docs/storage-rollback.md.

    Example: qts-engine db rollback --by kim
    """
    _show_change(_migration(config, home).rollback(by), as_json=as_json)


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Ends with .csv, .csv.gz or .parquet.")],
    config: ConfigDir = None,
    home: Home = None,
    *,
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First day, as YYYY-MM-DD (Korea).")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, as YYYY-MM-DD.")],
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="Only ticks of this source; default: of this home."),
    ] = None,
    as_json: JsonOut = False,
) -> None:
    """Write stored ticks to a file that `qts-engine backtest` reads, with a manifest beside it. Memory stays flat.

    Example: qts-engine db export ticks.parquet --from 2026-01-05 --to 2026-01-09
    """
    from qts.engine.ticks import TickDesk

    made = TickDesk(_desk(config, home)).export(out, start, end, source)
    if as_json:
        _print_json(made._asdict())
        return
    _say(
        f"{out}: {made.rows:,} ticks of {', '.join(made.symbols)}",
        f"{out}: 틱 {made.rows:,}건({', '.join(made.symbols)})",
    )


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ticks: .csv, .csv.gz or .parquet.")],
    config: ConfigDir = None,
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Put a file of ticks into the store. A bad row refuses all of it; a file that is there already adds nothing.

    Example: qts-engine db import ticks.parquet
    """
    from qts.engine.ticks import TickDesk

    done = TickDesk(_desk(config, home)).take_in(file)
    if as_json:
        _print_json(done._asdict())
        return
    _say(
        f"{file}: {done.rows:,} ticks, {done.stored:,} new, as source {done.source}",
        f"{file}: 틱 {done.rows:,}건, 신규 {done.stored:,}건, 출처 {done.source}",
    )
    for cause, count in done.rejected.items():
        sys.stdout.write(f"  {cause}: {count:,}\n")


@app.command("backup")
def backup(
    config: ConfigDir = None,
    home: Home = None,
    *,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where the sets lie; best on another disk. Default: data.backup_dir"),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Then remove old sets: 30 daily, 12 weekly and 60 monthly stay.")
    ] = False,
    as_json: JsonOut = False,
) -> None:
    """Make a verified set of databases, journal, state and configuration, while an engine runs or not.

    It is not encrypted and lies on this host: copy it to another one. A server is dumped with its own pg_dump.

    Example: qts-engine db backup --to /mnt/backup --prune
    """
    from qts.engine.storage import backups_of
    from qts.ops.backup import apply_keeping, create_backup

    desk = _desk(config, home)
    root = to or backups_of(desk.config, desk.home)
    made = create_backup(desk.backup_source(), root, desk.clock)
    removed = [str(one.path) for one in apply_keeping(root).drop] if prune else []
    if as_json:
        _print_json({"path": str(made.path), "backup_at": made.backup_at.isoformat(), "removed": removed})
        return
    _say(f"{made.path}: verified", f"{made.path}: 검증 완료")
    for name in removed:
        _say(f"{name}: removed", f"{name}: 삭제")


@app.command("restore")
def restore(
    directory: Annotated[Path, typer.Argument(metavar="SET", help="Directory of the set, for example qts_backup_...")],
    home: Home = None,
    config: ConfigDir = None,
    *,
    server: Annotated[
        bool,
        typer.Option("--server", help="Also load the dump of the set into the (empty) database of the configuration."),
    ] = False,
    as_json: JsonOut = False,
) -> None:
    """Verify a set and restore it into a home that is empty or not there yet. A home in use is refused.

    The next start brings the database what the journal holds beyond it; check with `qts-engine db verify`.

    Example: qts-engine db restore /mnt/backup/qts_backup_20260105_163000 --home ~/.qts-restored
    """
    from qts.config import home_dir
    from qts.ops.backup import restore_backup

    target = home or home_dir()
    found = restore_backup(directory, target, server=_desk(config, target).server_dump() if server else None)
    if as_json:
        _print_json({"home": str(target), "set": found.name, "records": found.records})
        return
    _say(f"{target}: restored from {found.name}", f"{target}: {found.name}에서 복원했습니다")


def _desk(config: Path | None, home: Path | None) -> "DatabaseDesk":
    from qts.engine.database import DatabaseDesk

    return DatabaseDesk(config, home)


def _migration(config: Path | None, home: Path | None) -> "MigrationDesk":
    from qts.engine.sheets import MigrationDesk

    return MigrationDesk(_desk(config, home))


def _show_change(change: "PhaseChange", *, as_json: bool) -> None:
    before, after = change.before, change.after
    if as_json:
        _print_json(
            {
                "from": None if before is None else before.phase,
                "to": after.phase,
                "mode": after.mode,
                "read_source": after.read_source,
                "steps": list(change.steps),
            }
        )
        return
    for step in change.steps:
        sys.stdout.write(f"  {step}\n")
    _say(
        f"phase {after.phase}; set data.source_mode: {after.mode} and data.read_source: {after.read_source}",
        f"{after.phase}단계. data.source_mode: {after.mode}, data.read_source: {after.read_source}(으)로 설정하십시오",
    )


def _rows(found: dict[str, Any], prefix: str = "") -> "list[tuple[str, str]]":
    rows = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{name} ")
        elif value is not None:
            rows.append((f"{prefix}{name}".replace("_", " "), str(value)))
    return rows


def _say(english: str, korean: str) -> None:
    sys.stdout.write(f"{korean if language() == 'ko' else english}\n")


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
