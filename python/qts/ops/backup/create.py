"""Makes a set and reads it again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

from qts.codes import DataError, UsageError
from qts.ops.backup.contracts import (
    MANIFEST,
    PREFIX,
    VERIFIED,
    BackupFile,
    BackupSet,
    BackupSource,
    Manifest,
    Verification,
)
from qts.ops.backup.databases import SEGMENTS, check_database, check_journal, copy_database, copy_journal, dump_server
from qts.ops.backup.files import copy_whole, only_one, regular_files, sha256_of, sync_directory, sync_tree, write_new
from qts.ops.backup.manifest import checksum_of, read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from qts.clock import Clock

KST: Final = timezone(timedelta(hours=9), "KST")

_SKIPPED: Final = (".sock", ".lock", ".new", ".pid", ".partial")
_JOURNAL: Final = "journal"
_UNFINISHED: Final = f".{PREFIX}"


def create_backup(source: BackupSource, root: Path, clock: Clock) -> BackupSet:
    """Make a set in `root`, read it again, and give it its name only if it is good.

    Trading goes on meanwhile. Databases are copied before the journal, so that the journal reaches at least as far. A
    process that dies in between leaves a directory with a dot in front of its name, which is no set; the next one
    removes it. Blocks for as long as it takes to copy and read everything.

    Raises:
        UsageError: nothing can be written to `root`, another process is at work there, the home does not exist, or a
            program is missing.
        DataError: something could not be copied, or the copy is not good. Nothing is left of the set.
    """
    if not source.home.is_dir():
        raise UsageError(found=f"no home {source.home}", expected="a directory", hint="set QTS_HOME")
    if root.resolve().is_relative_to((source.home / "state").resolve()):
        raise UsageError(found=f"{root}", expected="a place outside of state", hint="name another directory")
    now = clock.now_utc()
    name = f"{PREFIX}{now.astimezone(KST):%Y%m%d_%H%M%S}"
    with only_one(root):
        final, partial = root / name, root / f".{name}.partial"
        if final.exists():
            raise UsageError(found=f"{final} is there already", expected="a new name", hint="wait a second")
        for left in root.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left)
        try:
            partial.mkdir(mode=0o700)
            records = _collect(source, partial)
            files = _listed(partial, records)
            manifest = Manifest(
                archive_name=name,
                backup_at=now,
                source=str(source.home),
                record_count=sum(file.records for file in files),
                checksum=checksum_of(files),
                code_version=source.code_version,
                files=files,
            )
            write_manifest(partial, manifest)
            found = verify_backup(partial)
            _refuse(found, partial)
            _note(partial, found, clock)
            sync_tree(partial)
            partial.rename(final)
            sync_directory(root)
        except (OSError, sqlite3.Error) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise DataError(
                found=f"the backup failed: {error}",
                expected="sources that can be read, and room for their copies",
                hint="free space or mend the file; earlier sets are untouched",
            ) from error
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return BackupSet(final, now, is_verified=True)


def _collect(source: BackupSource, target: Path) -> dict[str, int]:
    """Copy everything; return the records of what has records."""
    records: dict[str, int] = {}
    for database in sorted((source.home / "db").glob("*.sqlite")):
        if not database.is_symlink():
            copy_database(database, target / "db" / database.name)
    if source.server is not None:
        dump_server(source.server, target / "server" / "qts.dump")
    journal = source.home / _JOURNAL
    if any(journal.glob(SEGMENTS)):
        count = copy_journal(journal, target / _JOURNAL)
        last = max((target / _JOURNAL).glob(SEGMENTS)).name
        records[f"{_JOURNAL}/{last}"] = count
    _copy_tree(source.home / "state", target / "state")
    if source.config is not None:
        _copy_tree(source.config, target / "config")
    return records


def _copy_tree(source: Path, target: Path) -> None:
    for path in regular_files(source) if source.is_dir() else ():
        if path.name.endswith(_SKIPPED) or path.name == "lock":
            continue
        copy_whole(path, target / path.relative_to(source), whole_lines=path.suffix == ".jsonl")


def _listed(directory: Path, records: dict[str, int]) -> tuple[BackupFile, ...]:
    files = []
    for path in regular_files(directory):
        name = path.relative_to(directory).as_posix()
        count = records.get(name, 0)
        if path.suffix == ".sqlite":
            _, count = check_database(path)
        elif path.suffix == ".jsonl":
            with path.open("rb") as lines:
                count = sum(1 for _ in lines)
        files.append(BackupFile(name, path.stat().st_size, sha256_of(path), count))
    return tuple(files)


def verify_backup(directory: Path) -> Verification:
    """Read every byte of a set: checksums, databases, that the books follow from the ledger, and the journal.

    Never raises for what is wrong with the set: that is in the result.
    """
    try:
        manifest = read_manifest(directory)
    except DataError as error:
        return Verification(directory.name, (error.found,), 0)
    problems = _differences(directory, manifest)
    if not problems:
        problems = check_contents(directory, manifest)
    return Verification(directory.name, tuple(problems), manifest.record_count)


def _differences(directory: Path, manifest: Manifest) -> list[str]:
    """Return what is missing, too much or changed."""
    problems = []
    for file in manifest.files:
        path = directory / file.name
        try:
            if path.is_symlink() or path.stat().st_size != file.size:
                problems.append(f"{file.name}: another size than {file.size}")
            elif sha256_of(path) != file.sha256:
                problems.append(f"{file.name}: another checksum")
        except OSError as error:
            problems.append(f"{file.name}: {error.strerror}")
    known = {file.name for file in manifest.files} | {MANIFEST, VERIFIED}
    names = {path.relative_to(directory).as_posix() for path in regular_files(directory)}
    return problems + [f"{name}: not in the manifest" for name in sorted(names - known)]


def check_contents(directory: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with databases and journal below a directory, and where they are not what was counted."""
    problems = []
    for file in manifest.files:
        if not file.name.endswith(".sqlite"):
            continue
        try:
            found, rows = check_database(directory / file.name)
        except (sqlite3.Error, DataError, UsageError) as error:
            found, rows = [str(error)], file.records
        problems += [f"{file.name}: {line}" for line in found]
        if rows != file.records and not found:
            problems.append(f"{file.name}: {rows} ledger rows; the manifest says {file.records}")
    segments = [file for file in manifest.files if file.name.startswith(f"{_JOURNAL}/")]
    if segments:
        found, count = check_journal(directory / _JOURNAL)
        problems += found
        counted = sum(file.records for file in segments)
        if count != counted and not found:
            problems.append(f"journal: {count} records; the manifest says {counted}")
    return problems


def _refuse(found: Verification, partial: Path) -> None:
    if not found.is_good:
        raise DataError(
            found=f"{partial.name} is not good: {'; '.join(found.problems)}",
            expected="a set that reads as it was written, of books that agree",
            hint="qts-engine db verify says what is wrong with the source",
        )


def mark_verified(directory: Path, clock: Clock) -> Verification:
    """Read a set again and note in it that it was good; take an earlier note away if it is not.

    Raises:
        UsageError: nothing can be written beside the set, or another process is at work there.
    """
    with only_one(directory.parent):
        found = verify_backup(directory)
        (directory / VERIFIED).unlink(missing_ok=True)
        if found.is_good:
            _note(directory, found, clock)
        sync_directory(directory)
    return found


def _note(directory: Path, found: Verification, clock: Clock) -> None:
    document = {
        "manifest_sha256": sha256_of(directory / MANIFEST),
        "verified_at": clock.now_utc().isoformat(),
        "verify_result": "OK",
        "records": found.records,
    }
    fresh = directory / f"{VERIFIED}.new"
    fresh.unlink(missing_ok=True)
    write_new(fresh, json.dumps(document, indent=1).encode())
    fresh.replace(directory / VERIFIED)
