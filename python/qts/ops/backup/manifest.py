"""The manifest of a set: what it holds, with a checksum of everything."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qts.codes import DataError
from qts.ops.backup.contracts import FORMAT, MANIFEST, BackupFile, Manifest
from qts.ops.backup.files import write_new

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def checksum_of(files: Iterable[BackupFile]) -> str:
    """Return the checksum of a whole set."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.size}\0{file.sha256}\n".encode())
    return digest.hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of a set that has none yet."""
    document = manifest._asdict() | {
        "format": FORMAT,
        "backup_at": manifest.backup_at.isoformat(),
        "file_count": len(manifest.files),
        "files": [file._asdict() for file in manifest.files],
    }
    write_new(directory / MANIFEST, json.dumps(document, ensure_ascii=False, indent=1).encode())


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a set.

    Raises:
        DataError: there is none, so this is no backup; or it is not what was written.
    """
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        return _parsed(document)
    except OSError as error:
        raise _unusable(directory, f"no manifest ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(directory, f"a manifest that cannot be read ({error})") from None


def _parsed(document: dict[str, Any]) -> Manifest:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}; this program reads {FORMAT}")
    files = tuple(BackupFile(**file) for file in document["files"])
    for file in files:
        parts = file.name.split("/")
        if file.name.startswith("/") or ".." in parts or "" in parts:
            raise ValueError(f"file name {file.name!r}")
    checksum = checksum_of(files)
    if checksum != document["checksum"]:
        raise ValueError(f"checksum {checksum}; it says {document['checksum']}")
    return Manifest(
        archive_name=document["archive_name"],
        backup_at=datetime.fromisoformat(document["backup_at"]),
        source=document["source"],
        record_count=document["record_count"],
        checksum=checksum,
        code_version=document["code_version"],
        files=files,
    )


def _unusable(directory: Path, found: str) -> DataError:
    return DataError(
        found=f"{directory}: {found}",
        expected="a set that create_backup has finished",
        hint="use another set",
    )
