"""What books behind a journal say when they cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts._core import JournalDamageError, journal_records
from qts.codes import EngineFault
from qts.data.exceptions import AdapterError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def never_taken(error: Exception) -> AdapterError:
    """Return why the database will never take what it was given."""
    if isinstance(error, AdapterError):
        return error
    return AdapterError(
        found=f"{type(error).__name__}: {error}",
        expected="rows that the database takes",
        hint="report this as a defect; what it did not take is in the journal",
    )


def away(found: str) -> StoreUnavailable:
    """Return what is raised when the database does not answer."""
    return StoreUnavailable(
        "FS120",
        found=found,
        expected="a database that takes what the engine books",
        hint="bring the database back; nothing is lost, the next start goes on from the journal",
    )


def unwritable(reason: str) -> EngineFault:
    """Return what is raised when the journal takes nothing."""
    return EngineFault(
        "FS063",
        found=f"the journal cannot be written: {reason}",
        expected="a journal that takes what happens before anything else hears of it",
        hint="free disk space or check the disk, and see that no other engine runs in this home",
    )


def journal_is_behind(directory: Path, acked: int, last: int) -> AdapterError:
    """Return what is raised when the database has what the journal never held."""
    return AdapterError(
        found=f"the database has records of this home up to {acked}, but the journal in {directory} ends at {last}",
        expected="the journal that they came from: new records would count as booked already",
        hint="bring the journal back; if it is gone, move state/installation of the home away: the next start then"
        " begins under a new name and compares everything that the journal holds",
    )


def damaged(error: JournalDamageError) -> EngineFault:
    """Return what is raised when a journal does not read as it was written."""
    path, at, found, expected = error.args
    return EngineFault(
        "FS125",
        where=f"{path}, byte {at}",
        found=found,
        expected=expected,
        hint="keep a copy of the directory; qts-engine journal verify says more, a backup may have the whole",
    )


def records_of(directory: Path) -> Iterator[tuple[int, int, str, int, bytes]]:
    """Yield number, UTC nanoseconds, kind, version and payload of every record of a journal.

    Raises:
        EngineFault: FS125, it is damaged; FS063, it cannot be read, or the directory holds something else.
    """
    try:
        yield from journal_records(directory)
    except JournalDamageError as error:
        raise damaged(error) from None
    except (OSError, ValueError) as error:
        raise EngineFault(
            "FS063",
            found=f"the journal in {directory} cannot be read: {error}",
            expected="a directory that holds the journal and nothing else",
            hint="check its permissions, and move files that are not the journal's out of it",
        ) from None


def of_another_version(directory: Path, seq: int, version: int) -> AdapterError:
    """Return that the journal holds what this version of the program cannot read."""
    return AdapterError(
        found=f"record {seq} of the journal in {directory} in layout {version}",
        expected="a layout that this version of qts-engine knows",
        hint="start the version that wrote it: what it holds would be passed over",
    )
