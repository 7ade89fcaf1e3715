"""Brings a set back, into a home in which nothing is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from qts.codes import DataError, UsageError
from qts.ops.backup.create import check_contents, verify_backup
from qts.ops.backup.databases import restore_server
from qts.ops.backup.files import copy_whole, sha256_of, sync_directory, sync_tree
from qts.ops.backup.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from qts.ops.backup.contracts import Manifest, ServerDump, Verification


_NAME_OF_HOME: Final = "state/installation"
"""By which a database knows the journal of a home. The home of the set may go on, and its records with it."""


def restore_backup(directory: Path, home: Path, *, server: ServerDump | None = None) -> Verification:
    """Restore a set into a home that is empty or not there; it is verified before and after.

    Everything is put beside the home and takes its place at once: a process that dies in between leaves the home as
    it was. The configuration comes to `config` in the home. With a `server` its dump is loaded into an empty database
    first. Afterwards the journal has to be replayed and the positions compared with the broker before trading goes on.

    The restored home gets a name of its own at its first start, under which databases compare all of its journal: what
    they have acknowledged to the home of the set since then, or still do, says nothing about the new one.

    Raises:
        UsageError: the home is not empty, or the set has no dump for the server.
        DataError: the set is not good, or what was restored is not; the home is as it was.
    """
    found = verify_backup(directory)
    if not found.is_good:
        raise DataError(
            found=f"{directory}: {'; '.join(found.problems)}", expected="a good set", hint="use another set"
        )
    manifest = read_manifest(directory)
    home = home.absolute()
    _refuse_used(home)
    beside = home.with_name(f".{home.name}.restoring")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _copy(directory, manifest, beside)
        _load(directory, server)
        sync_tree(beside)
        if home.exists():
            home.rmdir()
        os.rename(beside, home)  # noqa: PTH104 - refuses a target that has been filled meanwhile
        sync_directory(home.parent)
    except OSError as error:
        raise DataError(
            found=f"{home} could not be restored: {error}",
            expected="room for the set, and a directory that can be renamed",
            hint="the home is as it was; free space or name another one",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return found


def _refuse_used(home: Path) -> None:
    if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
        raise UsageError(
            found=f"{home} is not empty",
            expected="an empty or absent directory: nothing is ever overwritten",
            hint="stop the engine and move the old home aside, or restore into another one",
        )


def _copy(directory: Path, manifest: Manifest, beside: Path) -> None:
    beside.mkdir(mode=0o700, parents=True)
    for file in manifest.files:
        if file.name.startswith("server/") or file.name == _NAME_OF_HOME:
            continue
        copy_whole(directory / file.name, beside / file.name)
        if sha256_of(beside / file.name) != file.sha256:
            raise DataError(
                found=f"{file.name} was restored with another checksum", expected=file.sha256, hint="check the disk"
            )
    problems = check_contents(beside, manifest)
    if problems:
        raise DataError(found=f"restored, but {'; '.join(problems)}", expected="a good home", hint="check the disk")


def _load(directory: Path, server: ServerDump | None) -> None:
    dump = directory / "server" / "qts.dump"
    if server is None:
        return
    if not dump.is_file():
        raise UsageError(found=f"{directory} has no dump", expected="a set of a server", hint="use another set")
    restore_server(server, dump)
