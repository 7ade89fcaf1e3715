"""What a backup consists of, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import SecretStr

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

PREFIX: Final = "qts_backup_"
MANIFEST: Final = "MANIFEST.json"
VERIFIED: Final = "VERIFIED.json"
FORMAT: Final = "1.0"
MAX_AGE_H: Final = 26
"""Age of the last verified backup from which it is GR108."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDump:
    """A database server whose contents go into the set, by its own tools.

    The programs are asked for by name, which is looked for in PATH, or by path. The password reaches them through the
    environment, never through their arguments.
    """

    host: str
    """Host, or directory of a Unix socket."""
    port: int
    database: str
    user: str
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    dump: str = "pg_dump"
    restore: str = "pg_restore"
    timeout_s: int = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSource:
    """Where everything lies that a set holds. What is not there is left out; symbolic links are not followed."""

    home: Path
    """Its databases `db/*.sqlite`, `journal` and `state` go into the set."""
    config: Path | None = None
    """Directory of the configuration, which has no secrets: those are in the environment."""
    server: ServerDump | None = None
    code_version: str = ""


class BackupFile(NamedTuple):
    """One file of a set."""

    name: str
    """Path within the set, with slashes."""
    size: int
    sha256: str
    records: int
    """Ledger rows of a database, records of the journal (with its last file), lines of a trail; else 0."""


class Manifest(NamedTuple):
    """What a set says of itself."""

    archive_name: str
    backup_at: datetime
    source: str
    record_count: int
    checksum: str
    """SHA-256 over names, sizes and checksums of all files."""
    code_version: str
    files: tuple[BackupFile, ...]


class Verification(NamedTuple):
    """What came of reading a set again, every byte of it."""

    name: str
    problems: tuple[str, ...]
    """Empty if the set is good."""
    records: int

    @property
    def is_good(self) -> bool:
        """Whether the set can be restored from."""
        return not self.problems


class BackupSet(NamedTuple):
    """A set in its place."""

    path: Path
    backup_at: datetime
    is_verified: bool
    """Whether it was read again and found good, and its manifest is still the one that was read."""


class BackupAge(NamedTuple):
    """How old the last verified backup is."""

    name: str
    """Empty if there is none."""
    age_h: float | None
    code: str
    """GR108 if it is too old or there is none; else empty."""
