"""`qts-engine journal`: whether the journal is whole, what stands in it, and what of it may go."""

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qts._core import JournalWriter

app = typer.Typer(help="Verify, show or shorten the write-ahead journal.", no_args_is_help=True)

Dir = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="Directory of the journal. Default: QTS_HOME/journal.", show_default=False),
]


@app.command("verify")
def verify(
    journal: Dir = None, *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Read every byte of the journal and check it. Exit code 1 if durable records are damaged (FS125).

    Example: qts-engine journal verify ~/.qts/journal
    """
    from qts._core import JournalDamageError, journal_verify

    home = _home(journal)
    try:
        with _readable(home):
            found = journal_verify(home)
    except JournalDamageError as error:
        if not as_json:
            raise _fault(error) from None
        path, at, found_there, expected = error.args
        damage = {"segment": path, "first_bad_byte": at, "found": found_there, "expected": expected}
        _print_json({"ok": False, "code": "FS125", **damage})
        raise typer.Exit(1) from None
    if as_json:
        torn = [dict(zip(("segment", "at", "bytes"), tail, strict=True)) for tail in found["torn"]]
        _print_json({"ok": True, **found, "torn": torn})
        return
    sys.stdout.write(
        f"{home}: ok\n"
        f"  segments     {found['segments']:,}\n"
        f"  records      {found['records']:,}\n"
        f"  groups       {found['groups']:,}\n"
        f"  first seq    {found['first_seq']:,}\n"
        f"  last seq     {found['last_seq']:,}\n"
        f"  uncommitted  {found['uncommitted']:,}\n"
    )
    for path, at, size in found["torn"]:
        sys.stdout.write(f"  torn tail    {path}: {size:,} bytes at byte {at:,}, cut at the next start\n")
    if not found["torn"]:
        sys.stdout.write("  torn tail    none\n")
    if found["retired_segments"]:
        sys.stdout.write(
            f"  retired      {found['retired_segments']:,} segments, {found['retired_bytes']:,} bytes: "
            f"the records before {found['first_seq']:,}, up to {_time(found['retired_last_ts_ns'])}; "
            f"last at {_time(found['retired_at_ns'])}\n"
        )
    else:
        sys.stdout.write("  retired      nothing\n")
    used, quota = found["bytes"], found["quota_bytes"]
    sys.stdout.write(f"  size         {used:,} of {quota:,} bytes\n")
    if used * 5 >= quota * 4:
        _say(
            "GR103: the journal is near its quota; back it up, then see `qts-engine journal retire --help`",
            "GR103: 저널이 한도에 가깝습니다. 백업한 뒤 `qts-engine journal retire --help`를 참고하십시오",
        )


@app.command("retire")
def retire(
    journal: Dir = None,
    *,
    keep_from: Annotated[
        int,
        typer.Option(
            "--keep-from",
            metavar="N",
            min=1,
            help="First record that is still needed: all before it is acknowledged and in a verified backup.",
        ),
    ],
    keep_days: Annotated[
        int, typer.Option("--keep-days", metavar="DAYS", min=0, max=36_500, help="Keep younger segments.")
    ] = 30,
    apply: Annotated[bool, typer.Option("--apply", help="Remove the files. Without it nothing is changed.")] = False,
) -> None:
    """Remove whole old segments of a journal that nobody writes; by default only say which.

    Oldest first, up to the first segment that is too young, needed, or holds a P0 event that is not done. Where the
    journal begins is recorded, so that a file that anybody else removes is still missed.

    Example: qts-engine journal retire --keep-from 120000 --apply
    """
    from qts._core import JournalDamageError, journal_plan

    home = _home(journal)
    try:
        with _readable(home):
            if apply:
                writer = _writer(home, keep_from, keep_days)
                try:
                    found = writer.retire()
                finally:
                    writer.close()
            else:
                found = journal_plan(home, keep_from, keep_days)
    except JournalDamageError as error:
        raise _fault(error) from None
    for path in found["segments"]:
        sys.stdout.write(f"{path}\n")
    count, size, first = len(found["segments"]), found["bytes"], found["first_seq"]
    if apply:
        _say(
            f"retired {count:,} segments, {size:,} bytes; the journal begins with record {first:,}",
            f"세그먼트 {count:,}개, {size:,}바이트를 정리했습니다. 저널은 기록 {first:,}부터 시작합니다",
        )
    else:
        _say(
            f"would retire {count:,} segments, {size:,} bytes; nothing was changed (--apply does it)",
            f"세그먼트 {count:,}개, {size:,}바이트가 정리 대상입니다. 아무것도 바꾸지 않았습니다(실행: --apply)",
        )
    reason, seq = found["kept_because"]
    english, korean = _KEPT_BECAUSE[reason]
    _say(
        f"the next one stays: {english.format(seq=f'{seq:,}')}",
        f"다음 세그먼트를 남기는 이유: {korean.format(seq=f'{seq:,}')}",
    )


@app.command("dump")
def dump(
    journal: Dir = None,
    *,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only records of this kind, for example FILL.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Print the records of the journal, one a line: number, UTC time, kind, version, payload.

    Example: qts-engine journal dump --kind FILL --json
    """
    from qts._core import RECORD_KINDS, JournalDamageError, journal_records
    from qts.codes import UsageError

    if kind is not None and kind not in RECORD_KINDS:
        raise UsageError(found=f"--kind {kind!r}", expected=", ".join(RECORD_KINDS))
    home = _home(journal)
    try:
        with _readable(home):
            for seq, ts_ns, name, version, payload in journal_records(home):
                if kind is None or name == kind:
                    line = _object(seq, ts_ns, name, version, payload) if as_json else None
                    sys.stdout.write(line or f"{seq} {_time(ts_ns)} {name} v{version} {_shown(payload)}\n")
    except JournalDamageError as error:
        raise _fault(error) from None


def _home(journal: Path | None) -> Path:
    from qts.codes import UsageError
    from qts.config.paths import home_dir

    home = journal or home_dir() / "journal"
    if not home.exists():
        raise UsageError(
            found=f"no journal at {home}",
            expected="the directory of a journal",
            hint="name the directory, or set QTS_HOME to where the engine keeps its state",
        )
    if not home.is_dir():
        raise UsageError(found=f"{home} is a file", expected="the directory that holds the .qtsj files")
    return home


_KEPT_BECAUSE = {
    "event": ("P0 event {seq} in it is not done", "P0 이벤트 {seq}의 처리가 끝나지 않음"),
    "keep_from": ("it is needed from record {seq} on", "기록 {seq}부터 필요함"),
    "young": ("it is not old enough", "보존 기간이 지나지 않음"),
    "in_use": ("only segments in use are left", "사용 중인 세그먼트만 남음"),
}


def _writer(home: Path, keep_from: int, keep_days: int) -> "JournalWriter":
    from qts._core import JournalWriter
    from qts.codes import UsageError

    try:
        return JournalWriter(home, keep_from=keep_from, keep_days=keep_days)
    except ValueError as error:
        raise UsageError(
            found=str(error), hint="stop the engine that writes the journal; without --apply nothing is changed"
        ) from None


def _say(english: str, korean: str) -> None:
    from qts.codes import language

    sys.stdout.write(f"{korean if language() == 'ko' else english}\n")


@contextmanager
def _readable(home: Path) -> Iterator[None]:
    """Word what the system or a foreign file says."""
    from qts.codes import UsageError

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(
            found=f"{error.filename or home}: {error.strerror or error}",
            expected="a journal that can be read",
            hint="check the permissions of the directory and its files",
        ) from None
    except ValueError as error:
        raise UsageError(found=str(error), hint="move files that are not the journal's out of its directory") from None


def _fault(error: Exception) -> Exception:
    from qts.codes import EngineFault

    path, at, found, expected = error.args
    return EngineFault(
        "FS125",
        where=f"{path}, byte {at}",
        found=found,
        expected=expected,
        hint="keep a copy of the directory and rebuild the state from the broker's truth",
    )


def _object(seq: int, ts_ns: int, kind: str, version: int, payload: bytes) -> str:
    row: dict[str, object] = {"seq": seq, "ts_ns": ts_ns, "kind": kind, "version": version}
    try:
        row["payload"] = payload.decode()
    except UnicodeDecodeError:
        row["payload_base64"] = base64.b64encode(payload).decode()
    return f"{json.dumps(row, ensure_ascii=False)}\n"


def _time(ts_ns: int) -> str:
    from datetime import UTC, datetime

    seconds, ns = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def _shown(payload: bytes) -> str:
    """Text as it is, anything else in hexadecimal digits."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload.hex()
    return text if text.isprintable() else payload.hex()


def _print_json(document: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
