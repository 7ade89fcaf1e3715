"""What outlives the process: safety state, counters, suspensions, kill switch. A restart is not a release."""

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qts.safety.audit import GENESIS
from qts.safety.files import canonical, replace_file, sync_directory
from qts.safety.states import KillLevel, SafetyState

_VERSION: Final = 1


class Unit(StrEnum):
    """What can be suspended below the state machine."""

    SYMBOL = "SYMBOL"
    STRATEGY = "STRATEGY"
    TRACK = "TRACK"
    PIPELINE = "PIPELINE"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Suspension(_Model):
    """One unit that is suspended, for one code.

    Attributes:
        unit: what kind of thing.
        key: which one: symbol, strategy, track; `eteda` for the pipeline.
        code: why; each code is lifted on its own.
        since_ns: UTC nanoseconds.
        lifts_itself: whether reconciliation may lift it without an operator.
    """

    unit: Unit
    key: str
    code: str
    since_ns: int
    lifts_itself: bool = False


class StateRecord(_Model):
    """The safety state and what it takes to go on from it.

    Attributes:
        state: the state.
        since_ns: UTC nanoseconds of the last change.
        reason: why that change came.
        consecutive: fail-safes in a row.
        last_fail_ns: UTC nanoseconds of the last of them, None if none counts.
        probation_left: cycles of probation that are left.
        codes: codes that led here, oldest first.
        flags: names of the flags that were set on purpose.
        suspensions: what is suspended.
        audit_seq: number of the last line of the audit trail.
        audit_hash: its hash.
        raises_heard: number up to which raises of the core are in here and in the trail; None without a log of them.
    """

    version: int = Field(default=_VERSION, ge=1, le=_VERSION)
    state: SafetyState = SafetyState.NORMAL
    since_ns: int = 0
    reason: str = ""
    consecutive: int = Field(default=0, ge=0)
    last_fail_ns: int | None = None
    probation_left: int = Field(default=0, ge=0)
    codes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    suspensions: tuple[Suspension, ...] = ()
    audit_seq: int = Field(default=0, ge=0)
    audit_hash: str = GENESIS
    raises_heard: int | None = Field(default=None, ge=0)


class KillRecord(_Model):
    """The kill switch: whether it is engaged, how far, by whom and why."""

    version: int = Field(default=_VERSION, ge=1, le=_VERSION)
    is_engaged: bool = False
    level: KillLevel = KillLevel.K1
    by: str = ""
    reason: str = ""
    at_ns: int = 0


_Record = TypeVar("_Record", bound=_Model)


class Found(NamedTuple, Generic[_Record]):
    """A record that was looked for. Neither record nor fault: there is none."""

    record: _Record | None
    fault: str = ""


class Vault(Protocol):
    """Where the records are kept."""

    def load_state(self) -> Found[StateRecord]:
        """Return the safety state."""
        ...

    def load_kill(self) -> Found[KillRecord]:
        """Return the kill switch."""
        ...

    def save_state(self, record: StateRecord) -> None:
        """Keep the safety state; OSError if it cannot be made durable."""
        ...

    def save_kill(self, record: KillRecord) -> None:
        """Keep the kill switch; OSError if it cannot be made durable."""
        ...

    def sentinel(self) -> KillLevel | None:
        """Return the level that the sentinel file asks for, None if it is not there."""
        ...

    def remove_sentinel(self) -> None:
        """Remove the sentinel file; OSError if it cannot be removed."""
        ...


class MemoryVault:
    """Records of a simulated session: they end with it."""

    def __init__(self) -> None:
        self._state: StateRecord | None = None
        self._kill: KillRecord | None = None

    def load_state(self) -> Found[StateRecord]:
        """Return the safety state."""
        return Found(self._state)

    def load_kill(self) -> Found[KillRecord]:
        """Return the kill switch."""
        return Found(self._kill)

    def save_state(self, record: StateRecord) -> None:
        """Keep the safety state."""
        self._state = record

    def save_kill(self, record: KillRecord) -> None:
        """Keep the kill switch."""
        self._kill = record

    def sentinel(self) -> KillLevel | None:
        """Return None: a simulated session has no sentinel file."""
        return None

    def remove_sentinel(self) -> None:
        """Do nothing."""


class FileVault:
    """Records in `QTS_HOME/state`, one file each, so that one that is damaged does not hide the other.

    Args:
        directory: `QTS_HOME/state`.
    """

    STATE: Final = "safety.json"
    KILL: Final = "kill_switch.json"
    SENTINEL: Final = "KILL"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load_state(self) -> Found[StateRecord]:
        """Return the safety state."""
        return _load(self._directory / self.STATE, StateRecord)

    def load_kill(self) -> Found[KillRecord]:
        """Return the kill switch."""
        return _load(self._directory / self.KILL, KillRecord)

    def save_state(self, record: StateRecord) -> None:
        """Replace the file of the safety state, synced."""
        replace_file(self._directory / self.STATE, _sealed(record))

    def save_kill(self, record: KillRecord) -> None:
        """Replace the file of the kill switch, synced."""
        replace_file(self._directory / self.KILL, _sealed(record))

    def sentinel(self) -> KillLevel | None:
        """Return the level in the file `KILL`; any content that names none, or cannot be read, means K1."""
        try:
            text = (self._directory / self.SENTINEL).read_text(encoding="utf-8").strip().upper()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return KillLevel.K1
        return next((level for level in KillLevel if text in {level.name, str(level.value)}), KillLevel.K1)

    def remove_sentinel(self) -> None:
        """Remove the file `KILL`."""
        (self._directory / self.SENTINEL).unlink(missing_ok=True)
        sync_directory(self._directory)


def _sealed(record: _Model) -> bytes:
    document = record.model_dump(mode="json")
    return canonical({"record": document, "sha256": hashlib.sha256(canonical(document)).hexdigest()}) + b"\n"


def _load(path: Path, model: type[_Record]) -> Found[_Record]:
    try:
        sealed = json.loads(path.read_bytes())
        document, seal = sealed["record"], sealed["sha256"]
        if hashlib.sha256(canonical(document)).hexdigest() != seal:
            return Found(None, f"{path}: content and checksum differ")
        return Found(model.model_validate(document))
    except FileNotFoundError:
        return Found(None)
    except OSError as error:
        return Found(None, f"{path}: {error.strerror}")
    except ValidationError as error:
        return Found(None, f"{path}: {error.errors(include_url=False)[0]['msg']}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Found(None, f"{path}: not a sealed record")
